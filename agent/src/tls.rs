//! Whom the agent trusts: the web's roots, built in, and the platform's own certificate authority.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, pem};
use rustls::{ClientConfig, RootCertStore};

/// Why no trust could be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("ca.crt is not PEM: {0:?}; it must hold one or more CERTIFICATE blocks")]
    Pem(pem::Error),
    #[error("ca.crt holds no CERTIFICATE block")]
    Empty,
    #[error("a certificate in ca.crt cannot be used: {0}")]
    Certificate(rustls::Error),
    #[error("cannot set up TLS: {0}")]
    Client(#[from] rustls::Error),
}

/// A TLS client that trusts the web's roots and, if given, the private authority in PEM.
pub(crate) fn client_config(private_ca: Option<&[u8]>) -> Result<ClientConfig, Error> {
    // The provider is named rather than taken from the process, so that no order of calls matters.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(private_ca)?)
        .with_no_client_auth())
}

fn roots(private_ca: Option<&[u8]>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = private_ca {
        let web = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(Error::Pem)?).map_err(Error::Certificate)?;
        }
        if roots.len() == web {
            return Err(Error::Empty);
        }
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed certificate made for this test; its key was thrown away.
    const CA: &[u8] = include_bytes!("../tests/data/ca.crt");

    #[test]
    fn a_private_authority_comes_on_top_of_the_web() {
        let web = roots(None).unwrap().len();
        assert!(web > 50);
        assert_eq!(roots(Some(CA)).unwrap().len(), web + 1);
    }

    #[test]
    fn a_file_without_a_usable_certificate_is_an_error() {
        assert!(matches!(roots(Some(b"")), Err(Error::Empty)));
        let key = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(roots(Some(key)), Err(Error::Certificate(_))));
    }
}
