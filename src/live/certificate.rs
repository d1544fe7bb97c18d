//! The certificate of this API: an authority of its own signs it, and nothing else ever; the authority's key is
//! never stored. Pure but for chance.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a certificate is good for.
const LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// So long before its end it is replaced.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Clocks differ: it is good from then on.
const BACKDATED: SignedDuration = SignedDuration::from_hours(24);
/// The names in the Secret.
const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";

/// A certificate with its key, and what is to be trusted for it. All PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub chain: String,
    /// Its key.
    pub key: String,
    /// Its authority; and that of the one before, which other replicas serve for a moment longer.
    pub authorities: String,
}

impl Pair {
    /// A new one for a name. `former` are the authorities that were trusted before.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn new(name: &str, former: Option<&str>, now: Timestamp) -> Result<Self, rcgen::Error> {
        let authority_key = KeyPair::generate()?;
        let mut authority = parameters(&format!("{name} authority {:08x}", rand::random::<u32>()), now);
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(authority, authority_key)?;

        let key = KeyPair::generate()?;
        let mut own = parameters(name, now);
        own.subject_alt_names = CertificateParams::new([name.to_owned()])?.subject_alt_names;
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        own.use_authority_key_identifier_extension = true;
        let own = own.signed_by(&key, &authority)?;
        let former = former.and_then(first_certificate).unwrap_or_default();
        Ok(Self {
            chain: own.pem(),
            key: key.serialize_pem(),
            authorities: format!("{}{former}", authority.pem()),
        })
    }

    /// What stands in a Secret; none where a part is missing.
    pub fn from_data(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let text = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok();
        Some(Self { chain: text(CHAIN)?, key: text(KEY)?, authorities: text(AUTHORITIES)? })
    }

    /// The same for a Secret.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        [(CHAIN, &self.chain), (KEY, &self.key), (AUTHORITIES, &self.authorities)]
            .map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes())))
            .into()
    }

    /// Whether it can be served under this name, and for a good while yet.
    pub fn is_good(&self, name: &str, now: Timestamp) -> bool {
        let at = UnixTime::since_unix_epoch(
            Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default()) + RENEWED_BEFORE,
        );
        self.verified(name, at).is_some()
    }

    fn verified(&self, name: &str, at: UnixTime) -> Option<()> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(self.chain.as_bytes()).collect::<Result<_, _>>().ok()?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).ok()?;
        CertifiedKey::from_der(chain.clone(), key, &provider).ok()?.keys_match().ok()?;
        let mut roots = RootCertStore::empty();
        for one in CertificateDer::pem_slice_iter(self.authorities.as_bytes()) {
            roots.add(one.ok()?).ok()?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
        let (own, above) = chain.split_first()?;
        let name = ServerName::try_from(name).ok()?;
        verifier.verify_server_cert(own, above, &name, &[], at).ok().map(drop)
    }
}

fn parameters(common_name: &str, now: Timestamp) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    let day = |at: Timestamp| {
        let date = at.to_zoned(TimeZone::UTC).date();
        date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    parameters.not_before = day(now.saturating_sub(BACKDATED).unwrap_or(now));
    parameters.not_after = day(now.saturating_add(LIFE).unwrap_or(now));
    parameters
}

/// The first certificate of some, PEM again.
fn first_certificate(pem: &str) -> Option<String> {
    let first = CertificateDer::pem_slice_iter(pem.as_bytes()).next()?.ok()?;
    let text = STANDARD.encode(&first);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    Some(format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME_OF_SERVICE: &str = "atelier-live.atelier-system.svc";

    fn day(count: i64) -> Timestamp {
        Timestamp::now() + SignedDuration::from_hours(24 * count)
    }

    #[test]
    fn a_new_one_is_good_for_its_name_until_a_month_before_its_end() {
        let pair = Pair::new(NAME_OF_SERVICE, None, day(0)).unwrap();
        assert!(pair.is_good(NAME_OF_SERVICE, day(0)));
        assert!(pair.is_good(NAME_OF_SERVICE, day(330)));
        assert!(!pair.is_good(NAME_OF_SERVICE, day(337)), "it ends in less than a month");
        assert!(!pair.is_good("atelier-live.elsewhere.svc", day(0)));
    }

    #[test]
    fn a_secret_that_was_tampered_with_is_not_served() {
        let (one, two) = (Pair::new("n", None, day(0)).unwrap(), Pair::new("n", None, day(0)).unwrap());
        assert!(one.is_good("n", day(0)));
        assert!(!Pair { key: two.key.clone(), ..one.clone() }.is_good("n", day(0)), "another key");
        assert!(!Pair { authorities: two.authorities.clone(), ..one.clone() }.is_good("n", day(0)));
        assert!(!Pair { chain: String::new(), ..one.clone() }.is_good("n", day(0)));
        assert!(Pair::from_data(&one.data()) == Some(one.clone()));
        let mut partial = one.data();
        partial.remove(AUTHORITIES);
        assert!(Pair::from_data(&partial).is_none());
    }

    #[test]
    fn the_one_before_is_trusted_for_as_long_as_others_may_serve_it_and_no_longer() {
        let first = Pair::new("n", None, day(0)).unwrap();
        let second = Pair::new("n", Some(&first.authorities), day(0)).unwrap();
        let third = Pair::new("n", Some(&second.authorities), day(0)).unwrap();
        let trusts = |bundle: &Pair, served: &Pair| {
            Pair { authorities: bundle.authorities.clone(), ..served.clone() }.is_good("n", day(0))
        };
        assert!(trusts(&second, &second) && trusts(&second, &first));
        assert!(trusts(&third, &second) && !trusts(&third, &first));
    }
}
