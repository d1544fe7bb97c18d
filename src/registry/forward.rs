//! A replica that does not lead passes what agents say on to the one that does.

use super::a2a::{capped, plain};
use super::{Refusal, Registry, Standing, reply};
use atelier_wire::BODY_MAX_BYTES;
use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::response::Response;
use std::time::Duration;

/// Marks a call that was passed on once: whoever gets it and does not lead passes it no further.
const FORWARDED: &str = "x-atelier-forwarded";
/// How long a connection to the leader may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// A client for the leader's registry, which trusts these certificates (PEM) or else the system's.
///
/// # Errors
/// When these are no certificates.
pub fn client(ca: Option<&[u8]>) -> Result<reqwest::Client, reqwest::Error> {
    let builder = || plain().connect_timeout(CONNECT_DEADLINE);
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
        let url = format!("{}{}", leader.trim_end_matches('/'), parts.uri.path());
        let mut call =
            self.to_leader.request(parts.method.clone(), url).timeout(self.settings.forward_deadline);
        for name in [AUTHORIZATION, CONTENT_TYPE] {
            if let Some(value) = parts.headers.get(&name) {
                call = call.header(name, value);
            }
        }
        let answer = call.header(FORWARDED, "1").body(body).send().await.map_err(|error| {
            tracing::warn!(%error, "the leader's registry did not answer");
            Refusal::unavailable("the leader did not answer: try again")
        })?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = capped(answer, BODY_MAX_BYTES).await?;
        Ok(reply::passed_on(status, &headers, &[CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE], body))
    }
}
