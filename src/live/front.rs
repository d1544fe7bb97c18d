//! Who calls: the API server's front proxy, known by its certificate, and the user that it names in headers.
//!
//! Which certificate, and which headers, stands in a ConfigMap that every API server publishes for such servers.

use super::status::Refusal;
use super::subject::common_name;
use axum::http::{HeaderMap, HeaderName};
use k8s_openapi::api::core::v1::ConfigMap;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The namespace and the name of that `ConfigMap`.
pub const NAMESPACE: &str = "kube-system";
pub const NAME: &str = "extension-apiserver-authentication";

/// A user as the API server knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// The name.
    pub name: String,
    /// The uid; empty where the API server passes none on.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// Everything else.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What a front proxy of this cluster shows, and where it names the user.
#[derive(Clone, Debug)]
pub struct Front {
    authority: Arc<dyn ClientCertVerifier>,
    /// Any name, where there is none.
    allowed_names: Vec<String>,
    user: Vec<HeaderName>,
    uid: Vec<HeaderName>,
    group: Vec<HeaderName>,
    extra_prefix: Vec<String>,
}

impl Front {
    /// Reads the `ConfigMap`.
    ///
    /// # Errors
    /// What is missing in it, or cannot be read.
    pub fn read(map: &ConfigMap) -> Result<Self, String> {
        let text = |key: &str| map.data.as_ref().and_then(|data| data.get(key)).map(String::as_str);
        let list = |key: &str| -> Result<Vec<String>, String> {
            serde_json::from_str(text(key).unwrap_or("[]")).map_err(|error| format!("{key}: {error}"))
        };
        let headers = |key: &str| -> Result<Vec<HeaderName>, String> {
            let names =
                list(key)?.into_iter().map(|name| name.parse().map_err(|_| format!("{key}: {name:?}")));
            names.collect()
        };
        let front = Self {
            authority: authority(text("requestheader-client-ca-file").unwrap_or_default())?,
            allowed_names: list("requestheader-allowed-names")?,
            user: headers("requestheader-username-headers")?,
            uid: headers("requestheader-uid-headers")?,
            group: headers("requestheader-group-headers")?,
            extra_prefix: list("requestheader-extra-headers-prefix")?,
        };
        if front.user.is_empty() {
            return Err("requestheader-username-headers names no header".into());
        }
        Ok(front)
    }

    /// The user for whom the front proxy calls. `shown` is the caller's own certificate, and those above it.
    ///
    /// # Errors
    /// 401 where it is not the front proxy, or it names no user.
    pub fn user(&self, shown: &[Vec<u8>], headers: &HeaderMap, now: UnixTime) -> Result<User, Refusal> {
        let unknown = |why: &str| {
            Refusal::unauthorized(format!(
                "{why}: call this API through the Kubernetes API server, as kubectl does"
            ))
        };
        let Some((own, above)) = shown.split_first() else {
            return Err(unknown("no certificate of the API server's front proxy was shown"));
        };
        let above: Vec<_> = above.iter().map(|one| CertificateDer::from(one.as_slice())).collect();
        self.authority
            .verify_client_cert(&CertificateDer::from(own.as_slice()), &above, now)
            .map_err(|error| unknown(&format!("the certificate is not the front proxy's ({error})")))?;
        let name = common_name(own).unwrap_or_default();
        if !self.allowed_names.is_empty() && !self.allowed_names.contains(&name) {
            return Err(unknown(&format!("the certificate's name {name:?} is no front proxy's")));
        }
        let name = first(&self.user, headers).ok_or_else(|| unknown("the front proxy names no user"))?;
        Ok(User {
            name,
            uid: first(&self.uid, headers).unwrap_or_default(),
            groups: self.group.iter().flat_map(|name| all(name, headers)).collect(),
            extra: self.extra(headers),
        })
    }

    /// The headers with one of the prefixes; what follows the prefix is escaped like the path of a URL.
    fn extra(&self, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in headers.keys() {
            let key = self.extra_prefix.iter().find_map(|prefix| {
                let (start, key) = name.as_str().split_at_checked(prefix.len())?;
                start.eq_ignore_ascii_case(prefix).then_some(key)
            });
            if let Some(key) = key {
                extra.entry(unescaped(key)).or_default().extend(all(name, headers));
            }
        }
        extra
    }
}

fn authority(pem: &str) -> Result<Arc<dyn ClientCertVerifier>, String> {
    const KEY: &str = "requestheader-client-ca-file";
    let mut roots = RootCertStore::empty();
    for one in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let one = one.map_err(|error| format!("{KEY}: {error}"))?;
        roots.add(one).map_err(|error| format!("{KEY}: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!(
            "{KEY} holds no certificate: start kube-apiserver with --requestheader-client-ca-file"
        ));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| format!("{KEY}: {error}"))
}

fn first(names: &[HeaderName], headers: &HeaderMap) -> Option<String> {
    names.iter().flat_map(|name| all(name, headers)).find(|value| !value.is_empty())
}

fn all(name: &HeaderName, headers: &HeaderMap) -> Vec<String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// With `%2f` read as `/`; what is no such escape stays as it is.
fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped =
            (byte == b'%').then(|| after.split_first_chunk::<2>()).flatten().and_then(|(digits, after)| {
                let digits =
                    std::str::from_utf8(digits).ok().filter(|d| d.chars().all(|c| c.is_ascii_hexdigit()))?;
                Some((u8::from_str_radix(digits, 16).ok()?, after))
            });
        let (byte, after) = escaped.unwrap_or((byte, after));
        out.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::testing::{Authority, authentication};
    use axum::http::HeaderValue;
    use serde_json::json;
    use std::time::Duration;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn code(result: Result<User, Refusal>) -> u16 {
        use axum::response::IntoResponse;
        result.map_or_else(|refusal| refusal.into_response().status().as_u16(), |_| 200)
    }

    #[test]
    fn the_front_proxy_names_the_user_in_headers() {
        let authority = Authority::new("front-proxy-ca");
        let front = Front::read(&authentication(&authority, &["front-proxy-client"])).unwrap();
        let shown = [authority.client("front-proxy-client")];
        let said = headers(&[
            ("x-remote-user", "ann"),
            ("x-remote-uid", "u-1"),
            ("x-remote-group", "ops"),
            ("X-Remote-Group", "system:authenticated"),
            ("x-remote-extra-scopes", "read"),
            ("x-remote-extra-scopes", "write"),
            ("x-remote-extra-example.com%2fproject", "p"),
            ("x-other", "x"),
        ]);
        let user = front.user(&shown, &said, UnixTime::now()).unwrap();
        let extra = [("scopes", vec!["read", "write"]), ("example.com/project", vec!["p"])];
        assert_eq!(
            user,
            User {
                name: "ann".into(),
                uid: "u-1".into(),
                groups: vec!["ops".into(), "system:authenticated".into()],
                extra: extra.map(|(k, v)| (k.to_owned(), v.into_iter().map(str::to_owned).collect())).into(),
            }
        );
    }

    #[test]
    fn headers_without_the_front_proxy_s_certificate_are_worth_nothing() {
        let (ours, other) = (Authority::new("front-proxy-ca"), Authority::new("front-proxy-ca"));
        let front = Front::read(&authentication(&ours, &["front-proxy-client"])).unwrap();
        let admin = headers(&[("x-remote-user", "admin"), ("x-remote-group", "system:masters")]);
        let of = |shown: &[Vec<u8>]| code(front.user(shown, &admin, UnixTime::now()));
        assert_eq!(of(&[ours.client("front-proxy-client")]), 200);
        assert_eq!(of(&[]), 401, "none");
        assert_eq!(of(&[ours.client("kubelet")]), 401, "another name");
        assert_eq!(of(&[other.client("front-proxy-client")]), 401, "another authority of that name");
        assert_eq!(of(&[other.client("front-proxy-client"), ours.client("front-proxy-client")]), 401);
        assert_eq!(of(&[b"no certificate".to_vec()]), 401);
        let late = UnixTime::since_unix_epoch(Duration::from_secs(3_000 * 365 * 86_400));
        assert_eq!(code(front.user(&[ours.client("front-proxy-client")], &admin, late)), 401, "it has ended");
        let nobody = front.user(&[ours.client("front-proxy-client")], &HeaderMap::new(), UnixTime::now());
        assert_eq!(code(nobody), 401, "no user is named");
    }

    #[test]
    fn where_no_name_is_demanded_the_authority_decides() {
        let authority = Authority::new("front-proxy-ca");
        let front = Front::read(&authentication(&authority, &[])).unwrap();
        let said = headers(&[("x-remote-user", "ann")]);
        assert_eq!(code(front.user(&[authority.client("any")], &said, UnixTime::now())), 200);
    }

    #[test]
    fn a_config_map_that_names_no_authority_or_no_header_trusts_nobody() {
        let authority = Authority::new("front-proxy-ca");
        let read = |key: &str, value: &str| {
            let mut map = authentication(&authority, &[]);
            map.data.as_mut().unwrap().insert(key.into(), value.into());
            Front::read(&map).err()
        };
        let error = read("requestheader-client-ca-file", "").unwrap();
        assert!(error.contains("--requestheader-client-ca-file"), "{error}");
        assert!(Front::read(&ConfigMap::default()).is_err());
        assert!(read("requestheader-username-headers", "[]").is_some());
        assert!(read("requestheader-username-headers", &json!(["no header"]).to_string()).is_some());
        assert!(read("requestheader-allowed-names", "front").is_some());
        assert_eq!(read("requestheader-uid-headers", "[]"), None);
    }

    #[test]
    fn only_whole_escapes_are_read() {
        for (text, plain) in [("a%2Fb", "a/b"), ("a%2", "a%2"), ("%zz", "%zz"), ("%+1", "%+1"), ("", "")] {
            assert_eq!(unescaped(text), plain);
        }
    }
}
