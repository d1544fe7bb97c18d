//! The common name of a certificate: what the names of front proxies are compared with. Pure.

/// The tag of a SEQUENCE, of a SET, and of the version that may stand first.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
/// The object identifier 2.5.4.3, with its tag and length.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// The common name of a certificate in DER; none where it has none, or one that is no plain text.
pub fn common_name(certificate: &[u8]) -> Option<String> {
    let mut certificate = Der(certificate).inside(SEQUENCE)?;
    let mut signed = certificate.inside(SEQUENCE)?;
    if signed.0.first() == Some(&VERSION) {
        signed.next()?;
    }
    // Serial number, algorithm, issuer, validity.
    for _ in 0..4 {
        signed.next()?;
    }
    let mut subject = signed.inside(SEQUENCE)?;
    while let Some(mut set) = subject.inside(SET) {
        while let Some(attribute) = set.inside(SEQUENCE) {
            if let Some(value) = attribute.0.strip_prefix(&COMMON_NAME) {
                let (_, text) = Der(value).next()?;
                return String::from_utf8(text.to_vec()).ok();
            }
        }
    }
    None
}

/// What is left to read of some DER.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and what is in it.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return None;
            }
            let (length, rest) = rest.split_at_checked(count)?;
            (length.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        };
        let (inside, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, inside))
    }

    /// What is in the next element, if it has this tag.
    fn inside(&mut self, tag: u8) -> Option<Self> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, inside)| Self(inside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            parameters.distinguished_name.push(kind.clone(), *name);
        }
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_found_among_others() {
        let named = certificate(&[
            (DnType::OrganizationName, "system:masters"),
            (DnType::CommonName, "front-proxy-client"),
        ]);
        assert_eq!(common_name(&named).as_deref(), Some("front-proxy-client"));
        assert_eq!(common_name(&certificate(&[(DnType::OrganizationName, "o")])), None);
        assert_eq!(common_name(&certificate(&[])), None);
    }

    #[test]
    fn a_long_name_has_a_length_of_several_bytes() {
        let long = "n".repeat(300);
        assert_eq!(common_name(&certificate(&[(DnType::CommonName, &long)])), Some(long));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..400) {
            let _ = common_name(&bytes);
            let named = certificate(&[(DnType::CommonName, "n")]);
            let _ = common_name(&named[..cut.min(named.len())]);
        }
    }
}
