//! From what callers send to what may be used: ids that can stand in a filter, and one kind of provision.
//!
//! EC2's filters take `*`, `?` and `\` as patterns, so no id of a caller may hold one.

use super::auth::Caller;
use super::faults::Fault;
use super::settings::Settings;
use atelier_wire::control_plane::{LaunchSpec, Provision, USER_DATA_MAX_BYTES};
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;

/// The longest id of a workspace or cluster, in bytes.
const ID_MAX_BYTES: usize = 128;
/// The longest ClientToken, in bytes.
const KEY_MAX_BYTES: usize = 64;

fn is_plain(text: &str, max: usize) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    (1..=max).contains(&text.len()) && text.bytes().all(plain)
}

/// Whether a text can be a cluster's id.
pub fn is_cluster_id(text: &str) -> bool {
    is_plain(text, ID_MAX_BYTES)
}

/// The id of a workspace.
///
/// # Errors
/// When it cannot be one.
pub fn workspace_id(text: &str) -> Result<&str, Fault> {
    if is_plain(text, ID_MAX_BYTES) {
        return Ok(text);
    }
    Err(Fault::invalid("workspace_id", "use 1 to 128 of a-z, A-Z, 0-9, . _ : -"))
}

/// An id of EC2 with this prefix, such as `i-`.
///
/// # Errors
/// When it cannot be one; names the field.
pub fn resource_id<'a>(field: &str, prefix: &str, text: &'a str) -> Result<&'a str, Fault> {
    let hex = text.strip_prefix(prefix).unwrap_or_default();
    if (1..=32).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(text);
    }
    Err(Fault::invalid(field, &format!("this is no id of EC2 that begins with {prefix}")))
}

/// A ClientToken.
///
/// # Errors
/// When it cannot be one.
pub fn key(text: &str) -> Result<&str, Fault> {
    let pattern = |b: u8| matches!(b, b'*' | b'?' | b'\\');
    if (1..=KEY_MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && !pattern(b))
    {
        return Ok(text);
    }
    Err(Fault::invalid("idempotency_key", "use 1 to 64 printable ASCII characters, without * ? and \\"))
}

/// The one cluster that a call is for: the one that it names, or the only one of the caller.
///
/// # Errors
/// When it names one that is not the caller's, or must name one.
pub fn cluster<'a>(named: Option<&'a str>, caller: &'a Caller) -> Result<&'a str, Fault> {
    if let Some(named) = named.filter(|id| !id.is_empty()) {
        return if caller.may_act_for(named) { Ok(named) } else { Err(Fault::other_cluster()) };
    }
    caller.only_cluster().ok_or_else(|| {
        Fault::invalid("cluster_id", "this secret is good for several clusters: say which is meant")
    })
}

/// A launch that may be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The ClientToken.
    pub key: String,
    /// The attempt.
    pub attempt: i64,
    /// When it is too late to send it.
    pub not_after: Timestamp,
}

/// What a provision asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Ask {
    /// The cluster.
    pub cluster: String,
    /// The workspace.
    pub workspace: String,
    /// How it is made to happen once; `None`: a client that knows nothing of our extensions.
    pub keyed: Option<Keyed>,
    /// What to launch.
    pub launch: LaunchSpec,
    /// What runs at the first boot.
    pub user_data: String,
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("workspace", &self.workspace)
            .field("keyed", &self.keyed)
            .finish_non_exhaustive()
    }
}

impl Ask {
    /// Reads a provision.
    ///
    /// # Errors
    /// Names the field.
    pub fn new(provision: Provision, caller: &Caller, settings: &Settings) -> Result<Self, Fault> {
        let Provision {
            org_id: _,
            workspace_id,
            runtime,
            tier,
            platform_url,
            env,
            idempotency_key,
            attempt,
            not_after,
            cluster_id,
            launch,
            user_data,
        } = provision;
        let workspace = self::workspace_id(&workspace_id)?.to_owned();
        let cluster = cluster(cluster_id.as_deref(), caller)?.to_owned();
        let keyed = match idempotency_key {
            None => None,
            Some(text) => {
                let attempt =
                    attempt.ok_or_else(|| Fault::invalid("attempt", "is needed with an idempotency_key"))?;
                if attempt < 1 {
                    return Err(Fault::invalid("attempt", "attempts count from 1"));
                }
                let limit = not_after
                    .ok_or_else(|| Fault::invalid("not_after", "is needed with an idempotency_key"))?;
                let not_after: Timestamp = limit
                    .parse()
                    .map_err(|_| Fault::invalid("not_after", "give a time such as 2026-01-31T12:00:00Z"))?;
                Some(Keyed { key: key(&text)?.to_owned(), attempt, not_after })
            }
        };
        if !env.is_empty() && !settings.legacy_env_in_user_data {
            return Err(Fault::invalid(
                "env",
                "could travel only in user-data, where everything on the machine can read it; leave it out, or \
                 set legacyEnvInUserData in the control plane's settings",
            ));
        }
        let defaults = settings.defaults.as_ref();
        let launch = match (launch, defaults) {
            (Some(launch), _) => launch,
            (None, Some(defaults)) => defaults.launch(),
            (None, None) => {
                return Err(Fault::invalid(
                    "launch",
                    "is needed: the control plane's settings have no defaults",
                ));
            }
        };
        let user_data = match user_data {
            Some(_) if !env.is_empty() => {
                return Err(Fault::invalid(
                    "env",
                    "cannot go with user_data: there is one script, and it is given",
                ));
            }
            Some(script) => script,
            None => {
                let said = [
                    ("WORKSPACE_ID", workspace.clone()),
                    ("RUNTIME", runtime),
                    ("TIER", tier.to_string()),
                    ("PLATFORM_URL", platform_url),
                ];
                let said = said.into_iter().map(|(name, value)| (name.to_owned(), value));
                script(&said.chain(env).collect(), defaults.map_or("", |defaults| &defaults.user_data))?
            }
        };
        if user_data.len() > USER_DATA_MAX_BYTES {
            let why = format!("is {} bytes long, and EC2 takes {USER_DATA_MAX_BYTES}", user_data.len());
            return Err(Fault::invalid("user_data", &why));
        }
        Ok(Self { cluster, workspace, keyed, launch, user_data })
    }
}

/// The script of a client that sends none: its variables, then what the settings give.
fn script(variables: &BTreeMap<String, String>, body: &str) -> Result<String, Fault> {
    let mut script = "#!/bin/sh\n".to_owned();
    for (name, value) in variables {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if name.is_empty() || !name.bytes().all(word) || name.as_bytes()[0].is_ascii_digit() {
            return Err(Fault::invalid(
                "env",
                "a name is not one that a shell takes: use A-Z, a-z, 0-9 and _",
            ));
        }
        if value.contains('\0') {
            return Err(Fault::invalid("env", "a value holds a NUL, which no environment can"));
        }
        script.extend(["export ", name, "='", &value.replace('\'', "'\\''"), "'\n"]);
    }
    // The first line of the body is a comment to the shell, also when it is a `#!`.
    script.push_str(body);
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{caller, launch, provision, settings};
    use super::*;

    #[test]
    fn a_full_provision_is_read() {
        let ask = Ask::new(provision(), &caller(&["c1", "c2"]), &settings()).unwrap();
        assert_eq!((&*ask.cluster, &*ask.workspace, &*ask.user_data), ("c1", "w1", "#!/bin/sh\n"));
        let keyed = ask.keyed.unwrap();
        assert_eq!((&*keyed.key, keyed.attempt), ("k1", 1));
        assert_eq!(ask.launch, launch());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let change = |change: fn(&mut Provision)| {
            let mut provision = provision();
            change(&mut provision);
            provision
        };
        for (field, bad) in [
            ("workspace_id", change(|p| p.workspace_id = String::new())),
            ("workspace_id", change(|p| p.workspace_id = "w*".into())),
            ("workspace_id", change(|p| p.workspace_id = "w".repeat(129))),
            ("idempotency_key", change(|p| p.idempotency_key = Some(String::new()))),
            ("idempotency_key", change(|p| p.idempotency_key = Some("k?".into()))),
            ("idempotency_key", change(|p| p.idempotency_key = Some("k".repeat(65)))),
            ("attempt", change(|p| p.attempt = None)),
            ("attempt", change(|p| p.attempt = Some(0))),
            ("not_after", change(|p| p.not_after = None)),
            ("not_after", change(|p| p.not_after = Some("60s".into()))),
            ("cluster_id", change(|p| p.cluster_id = None)),
            ("env", change(|p| p.env = [("A".to_owned(), "b".to_owned())].into())),
            ("launch", change(|p| p.launch = None)),
            ("user_data", change(|p| p.user_data = Some("x".repeat(USER_DATA_MAX_BYTES + 1)))),
        ] {
            let fault = Ask::new(bad, &caller(&["c1", "c2"]), &settings()).unwrap_err();
            assert_eq!((fault.status, &*fault.code), (400, "InvalidBody"), "{field}");
            assert!(fault.error.starts_with(field), "{field}: {}", fault.error);
        }
        let foreign = change(|p| p.cluster_id = Some("c3".into()));
        assert_eq!(Ask::new(foreign, &caller(&["c1"]), &settings()).unwrap_err().status, 403);
    }

    #[test]
    fn a_client_without_our_extensions_needs_one_cluster_and_defaults() {
        let old = Provision { workspace_id: "w1".into(), runtime: "r".into(), ..Provision::default() };
        let mut settings = settings();
        settings.defaults = Some(super::super::fixtures::defaults("echo boot\n"));
        let ask = Ask::new(old.clone(), &caller(&["c1"]), &settings).unwrap();
        assert_eq!((ask.keyed, &*ask.cluster), (None, "c1"));
        assert_eq!(ask.launch.ami_id, "ami-1");
        assert_eq!(
            ask.user_data,
            "#!/bin/sh\nexport PLATFORM_URL=''\nexport RUNTIME='r'\nexport TIER='0'\nexport WORKSPACE_ID='w1'\n\
             echo boot\n"
        );
        let fault = Ask::new(old, &caller(&["c1", "c2"]), &settings).unwrap_err();
        assert!(fault.error.starts_with("cluster_id"), "{}", fault.error);
    }

    #[test]
    fn env_goes_into_user_data_only_where_the_settings_say_so_and_is_quoted() {
        let mut settings = settings();
        settings.defaults = Some(super::super::fixtures::defaults(""));
        let old = |name: &str| Provision {
            workspace_id: "w1".into(),
            env: [(name.to_owned(), "it's $x\n`y`".to_owned())].into(),
            ..Provision::default()
        };
        assert!(
            Ask::new(old("A"), &caller(&["c1"]), &settings)
                .unwrap_err()
                .error
                .contains("legacyEnvInUserData")
        );
        settings.legacy_env_in_user_data = true;
        let ask = Ask::new(old("A"), &caller(&["c1"]), &settings).unwrap();
        assert!(ask.user_data.contains("export A='it'\\''s $x\n`y`'\n"), "{}", ask.user_data);
        for name in ["A B", "1A", "", "A;reboot"] {
            assert!(Ask::new(old(name), &caller(&["c1"]), &settings).is_err(), "{name}");
        }
        assert!(!format!("{ask:?}").contains("it'"));
    }

    #[test]
    fn ids_of_ec2_hold_nothing_but_letters_and_digits() {
        assert_eq!(resource_id("instance_id", "i-", "i-0abc"), Ok("i-0abc"));
        for bad in ["", "i-", "i-*", "x-0abc", "i-0 ", "i-0,i-1"] {
            assert!(
                resource_id("instance_id", "i-", bad).unwrap_err().error.starts_with("instance_id"),
                "{bad}"
            );
        }
    }
}
