//! Who calls: shared secrets, each bound to clusters. Pure; the files are read in `secrets`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeSet;
use std::fmt;

/// The shortest secret, in bytes.
pub const SECRET_MIN_BYTES: usize = 16;

/// Whoever a call is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    name: String,
    clusters: BTreeSet<String>,
}

impl Caller {
    /// A caller that may act for these clusters.
    pub fn new(name: &str, clusters: impl IntoIterator<Item = String>) -> Self {
        Self { name: name.to_owned(), clusters: clusters.into_iter().collect() }
    }

    /// What logs call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it may act for this cluster.
    pub fn may_act_for(&self, cluster: &str) -> bool {
        self.clusters.contains(cluster)
    }

    /// Its cluster, if there is only one.
    pub fn only_cluster(&self) -> Option<&str> {
        self.clusters.first().filter(|_| self.clusters.len() == 1).map(String::as_str)
    }

    /// The clusters that it may act for.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.clusters.iter().map(String::as_str)
    }
}

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Any of the secrets that are good for everything.
    Everything,
    /// One of those, or one that is good for consoles alone.
    Console,
}

/// A secret as read from its file.
#[derive(Clone)]
pub struct Secret {
    /// What logs call whoever uses it.
    pub name: String,
    /// The clusters that it may act for.
    pub clusters: BTreeSet<String>,
    /// The values that are valid now.
    pub values: Vec<String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, {} values)", self.name, self.values.len())
    }
}

/// Why nobody that we know is calling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No header.
    #[error("give the shared secret as Authorization: Bearer <secret>")]
    Missing,
    /// A value that is none of ours.
    #[error("the shared secret is wrong")]
    Wrong,
    /// The second token.
    #[error("the X-Molecule-Admin-Token is missing or wrong; it is needed besides the shared secret")]
    Admin,
}

/// All secrets that are valid now. Only keyed hashes of them are kept.
#[derive(Clone)]
pub struct Secrets {
    key: Hmac<Sha256>,
    everything: Vec<Known>,
    console: Vec<Known>,
    admin: Vec<[u8; 32]>,
}

#[derive(Clone)]
struct Known {
    caller: Caller,
    hashes: Vec<[u8; 32]>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            self.everything.iter().chain(&self.console).map(|known| known.caller.name()).collect();
        f.debug_struct("Secrets").field("names", &names).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Keeps hashes of these secrets under a random key. An empty `admin` asks for no second token.
    pub fn new(key: [u8; 32], everything: &[Secret], console: &[Secret], admin: &[String]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let key = Hmac::<Sha256>::new_from_slice(&key).expect("32 bytes are a key");
        let hash = |value: &String| mac(&key, value);
        let known = |secret: &Secret| Known {
            caller: Caller::new(&secret.name, secret.clusters.clone()),
            hashes: secret.values.iter().map(hash).collect(),
        };
        Self {
            everything: everything.iter().map(known).collect(),
            console: console.iter().map(known).collect(),
            admin: admin.iter().map(hash).collect(),
            key: key.clone(),
        }
    }

    /// Whether a value is that of a hash, without telling by the time how much of it is right.
    fn is(&self, value: &str, hash: &[u8; 32]) -> bool {
        let mut mac = self.key.clone();
        mac.update(value.as_bytes());
        mac.verify_slice(hash).is_ok()
    }

    /// Who calls with these headers.
    ///
    /// # Errors
    /// When a header is missing or wrong.
    pub fn identify(
        &self,
        authorization: Option<&str>,
        admin: Option<&str>,
        scope: Scope,
    ) -> Result<Caller, AuthError> {
        let (scheme, value) =
            authorization.and_then(|text| text.split_once(' ')).ok_or(AuthError::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::Missing);
        }
        let value = value.trim();
        let console: &[Known] = if scope == Scope::Console { &self.console } else { &[] };
        let mut found: Option<Caller> = None;
        // All are compared, whichever matches.
        for known in self.everything.iter().chain(console) {
            let matches = known.hashes.iter().fold(false, |any, hash| self.is(value, hash) | any);
            if matches {
                let mut caller = known.caller.clone();
                if let Some(found) = &found {
                    caller.clusters.extend(found.clusters.iter().cloned());
                }
                found = Some(caller);
            }
        }
        let caller = found.ok_or(AuthError::Wrong)?;
        if !self.admin.is_empty() {
            let admin = admin.unwrap_or_default().trim();
            if !self.admin.iter().fold(false, |any, hash| self.is(admin, hash) | any) {
                return Err(AuthError::Admin);
            }
        }
        Ok(caller)
    }
}

fn mac(key: &Hmac<Sha256>, value: &str) -> [u8; 32] {
    let mut mac = key.clone();
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().into()
}

/// The values in the text of a secret's file: one a line, so that two can be valid while one replaces the other.
///
/// # Errors
/// When there is none, or one is too short to be a secret.
pub fn values(text: &str) -> Result<Vec<String>, String> {
    let values: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if values.is_empty() {
        return Err("the file holds no secret".into());
    }
    if values.iter().any(|value| value.len() < SECRET_MIN_BYTES) {
        return Err(format!("a secret has at least {SECRET_MIN_BYTES} characters"));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, clusters: &[&str], values: &[&str]) -> Secret {
        Secret {
            name: name.into(),
            clusters: clusters.iter().map(|id| (*id).to_owned()).collect(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    fn secrets(admin: &[&str]) -> Secrets {
        let everything =
            [secret("one", &["c1"], &["old-secret", "new-secret"]), secret("two", &["c2", "c3"], &["other"])];
        let console = [secret("ops", &["c1"], &["console"])];
        let admin: Vec<_> = admin.iter().map(|value| (*value).to_owned()).collect();
        Secrets::new([7; 32], &everything, &console, &admin)
    }

    #[test]
    fn a_secret_says_who_calls_and_for_which_clusters() {
        let who = |header: &str| secrets(&[]).identify(Some(header), None, Scope::Everything);
        let one = Caller::new("one", ["c1".to_owned()]);
        assert_eq!(who("Bearer old-secret"), Ok(one.clone()));
        assert_eq!(who("bearer  new-secret "), Ok(one.clone()), "two may be valid at a time");
        assert_eq!(one.only_cluster(), Some("c1"));
        let two = who("Bearer other").unwrap();
        assert!(two.may_act_for("c2") && two.may_act_for("c3") && !two.may_act_for("c1"));
        assert_eq!(two.only_cluster(), None);
    }

    #[test]
    fn anything_else_is_refused() {
        let who = |header| secrets(&[]).identify(header, None, Scope::Everything);
        assert_eq!(who(None), Err(AuthError::Missing));
        for bad in ["", "Bearer", "old-secret", "Basic old-secret"] {
            assert_eq!(who(Some(bad)), Err(AuthError::Missing), "{bad}");
        }
        for bad in
            ["Bearer ", "Bearer old-secre", "Bearer old-secret2", "Bearer OLD-SECRET", "Bearer console"]
        {
            assert_eq!(who(Some(bad)), Err(AuthError::Wrong), "{bad}");
        }
    }

    #[test]
    fn a_console_secret_is_good_for_consoles_alone() {
        let console = |header| secrets(&[]).identify(Some(header), None, Scope::Console);
        assert_eq!(console("Bearer console").unwrap().name(), "ops");
        assert_eq!(console("Bearer other").unwrap().name(), "two");
    }

    #[test]
    fn an_admin_token_is_needed_in_addition_and_never_instead() {
        let who = |header, admin| secrets(&["admin-token"]).identify(header, admin, Scope::Everything);
        assert_eq!(who(Some("Bearer other"), None), Err(AuthError::Admin));
        assert_eq!(who(Some("Bearer other"), Some("wrong")), Err(AuthError::Admin));
        assert_eq!(who(None, Some("admin-token")), Err(AuthError::Missing));
        assert_eq!(who(Some("Bearer admin-token"), Some("admin-token")), Err(AuthError::Wrong));
        assert!(who(Some("Bearer other"), Some("admin-token")).is_ok());
        assert!(secrets(&[]).identify(Some("Bearer other"), Some("anything"), Scope::Everything).is_ok());
    }

    #[test]
    fn a_value_in_two_secrets_is_good_for_both() {
        let all = [secret("one", &["c1"], &["same"]), secret("two", &["c2"], &["same"])];
        let secrets = Secrets::new([1; 32], &all, &[], &[]);
        let caller = secrets.identify(Some("Bearer same"), None, Scope::Everything).unwrap();
        assert!(caller.may_act_for("c1") && caller.may_act_for("c2"));
    }

    #[test]
    fn a_file_holds_one_value_a_line_and_none_too_short() {
        assert_eq!(values("\n 0123456789abcdef \r\nfedcba9876543210").unwrap().len(), 2);
        assert!(values("\n \n").is_err());
        assert!(values("0123456789abcdef\nshort").is_err());
    }

    #[test]
    fn no_secret_is_ever_printed() {
        let printed = format!("{:?} {:?}", secrets(&["a"]), secret("one", &[], &["old-secret"]));
        assert!(!printed.contains("old-secret"), "{printed}");
    }
}
