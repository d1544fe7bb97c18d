//! A front proxy for tests: an authority, certificates of it, and the ConfigMap that names it.

use k8s_openapi::api::core::v1::ConfigMap;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};
use serde_json::json;

/// An authority of front proxies.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut parameters = named(name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// The certificate of a client of this name, DER.
    pub fn client(&self, name: &str) -> Vec<u8> {
        self.signed(name, &KeyPair::generate().unwrap()).der().to_vec()
    }

    /// The same with its key, PEM.
    pub fn client_pem(&self, name: &str) -> String {
        let key = KeyPair::generate().unwrap();
        format!("{}{}", self.signed(name, &key).pem(), key.serialize_pem())
    }

    fn signed(&self, name: &str, key: &KeyPair) -> rcgen::Certificate {
        let mut parameters = named(name);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        parameters.signed_by(key, &self.0).unwrap()
    }
}

/// What an API server publishes of its front proxy.
pub fn authentication(authority: &Authority, names: &[&str]) -> ConfigMap {
    let data = [
        ("requestheader-client-ca-file", authority.pem()),
        ("requestheader-allowed-names", json!(names).to_string()),
        ("requestheader-username-headers", json!(["X-Remote-User"]).to_string()),
        ("requestheader-uid-headers", json!(["X-Remote-Uid"]).to_string()),
        ("requestheader-group-headers", json!(["X-Remote-Group"]).to_string()),
        ("requestheader-extra-headers-prefix", json!(["X-Remote-Extra-"]).to_string()),
    ];
    ConfigMap { data: Some(data.map(|(key, value)| (key.to_owned(), value)).into()), ..ConfigMap::default() }
}
