//! A replica that does not lead passes what agents say on to the one that does.

use super::a2a::{capped, plain};
use super::{Refusal, Registry, Standing, reply};
use atelier_wire::BODY_MAX_BYTES;
use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::response::Response;
use reqwest::{Client, ClientBuilder, Url};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Marks a call that was passed on once: whoever gets it and does not lead passes it no further.
const FORWARDED: &str = "x-atelier-forwarded";
/// How long a connection to the leader may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// The registry of the replica that leads, wherever that is.
pub struct Leader {
    ca: Option<Vec<u8>>,
    name: Option<String>,
    client: Client,
    named: Mutex<Option<Named>>,
}

/// A client for one address, at which it expects the certificate of a name.
#[derive(Clone)]
struct Named {
    address: String,
    url: Url,
    client: Client,
}

impl Leader {
    /// Trusts these certificates (PEM) or else the system's. Where a name is given, the leader's certificate must be
    /// good for it, whatever its address is.
    ///
    /// # Errors
    /// When these are no certificates.
    pub fn new(ca: Option<Vec<u8>>, name: Option<String>) -> Result<Self, reqwest::Error> {
        let client = built(ca.as_deref(), |builder| builder)?;
        Ok(Self { ca, name, client, named: Mutex::default() })
    }

    /// A client for the leader at this address, and the URL to use with it.
    fn at(&self, address: &str) -> Result<(Client, String), reqwest::Error> {
        let as_it_is = || Ok((self.client.clone(), address.trim_end_matches('/').to_owned()));
        let Some(name) = &self.name else { return as_it_is() };
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match named.take().filter(|named| named.address == address) {
            Some(named) => named,
            None => match self.by_name(address, name)? {
                Some(named) => named,
                None => return as_it_is(),
            },
        };
        let answer = (found.client.clone(), found.url.as_str().trim_end_matches('/').to_owned());
        *named = Some(found);
        Ok(answer)
    }

    /// `None` where the address is no https URL of an IP address: then its own host is the name.
    fn by_name(&self, address: &str, name: &str) -> Result<Option<Named>, reqwest::Error> {
        let Ok(mut url) = Url::parse(address) else { return Ok(None) };
        let ip: Option<IpAddr> = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
        let (Some(ip), Some(port), "https") = (ip, url.port_or_known_default(), url.scheme()) else {
            return Ok(None);
        };
        if url.set_host(Some(name)).is_err() {
            return Ok(None);
        }
        let client = built(self.ca.as_deref(), |builder| builder.resolve(name, SocketAddr::new(ip, port)))?;
        Ok(Some(Named { address: address.to_owned(), url, client }))
    }
}

fn built(ca: Option<&[u8]>, more: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client, reqwest::Error> {
    let builder = || more(plain().connect_timeout(CONNECT_DEADLINE));
    match ca {
        Some(pem) => builder().tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?).build(),
        // A system without any certificates is no hindrance where the leader speaks plain HTTP.
        None => builder().build().or_else(|_| builder().tls_certs_only([]).build()),
    }
}

impl Registry {
    /// Has the leader hear a call, with the caller's own token.
    pub(super) async fn forward(&self, parts: &Parts, body: Bytes) -> Result<Response, Refusal> {
        let nobody = || Refusal::unavailable("no leader is known at the moment: try again");
        if parts.headers.contains_key(FORWARDED) {
            return Err(nobody());
        }
        // Where it took the lead in the meantime, the next call will tell.
        let Standing::Following { leader_url: Some(leader) } = self.leadership.standing() else {
            return Err(nobody());
        };
        let silent = |error| {
            tracing::warn!(%error, "the leader's registry did not answer");
            Refusal::unavailable("the leader did not answer: try again")
        };
        let (client, url) = self.to_leader.at(&leader).map_err(silent)?;
        let url = format!("{url}{}", parts.uri.path());
        let mut call = client.request(parts.method.clone(), url).timeout(self.settings.forward_deadline);
        for name in [AUTHORIZATION, CONTENT_TYPE] {
            if let Some(value) = parts.headers.get(&name) {
                call = call.header(name, value);
            }
        }
        let answer = call.header(FORWARDED, "1").body(body).send().await.map_err(silent)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = capped(answer, BODY_MAX_BYTES).await?;
        Ok(reply::passed_on(status, &headers, &[CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE], body))
    }
}
