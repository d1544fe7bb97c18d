//! The HTTP client of the control plane: one method a call, a deadline on each.

use super::fault;
use crate::backend::{BackendError, ErrorKind};
use atelier_wire::control_plane::{
    AttachOrder, Console, Deleted, ErrorBody, InstancePage, InstanceView, PreflightOrder, PreflightReply,
    Provision, Provisioned, Resources, VolumeOrder, VolumeView,
};
use reqwest::{Client as Http, Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

/// How long a call may take.
const CALL: Duration = Duration::from_secs(20);
/// How long a launch may take: the control plane may have to wait for EC2's rate limit.
const LAUNCH: Duration = Duration::from_secs(60);
/// How long a connection may take: what does not answer at all is said soon.
const CONNECT: Duration = Duration::from_secs(3);
/// The longest message that is taken from an answer that is not the control plane's own.
const WORDS: usize = 200;

/// How the control plane is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct ControlPlaneEndpoint {
    /// Its URL.
    pub url: String,
    /// The certificates (PEM) that it is known by, in place of the public ones.
    pub ca_bundle: Option<String>,
    /// The shared secret.
    pub secret: String,
}

impl fmt::Debug for ControlPlaneEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlaneEndpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What a call came to: the error, and whether it was answered at all.
#[derive(Debug)]
pub struct Failed {
    /// The error.
    pub error: BackendError,
    /// Whether its effect is known: none, or what the error says. False where no answer came, or one that says
    /// that EC2 gave none.
    pub is_known: bool,
}

/// The client of one control plane.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: ControlPlaneEndpoint,
    base: Url,
    http: Http,
}

impl Client {
    /// No call is made yet.
    ///
    /// # Errors
    /// When the URL or the certificates cannot be used; it names the field.
    pub fn new(endpoint: ControlPlaneEndpoint) -> Result<Self, BackendError> {
        let invalid = |field: &str, why: &dyn fmt::Display| {
            BackendError::new(ErrorKind::Invalid, format!("spec.ec2.controlPlane.{field}: {why}"))
        };
        let base = Url::parse(&endpoint.url).map_err(|error| invalid("url", &error))?;
        let builder = || Http::builder().no_proxy().connect_timeout(CONNECT);
        let http = match &endpoint.ca_bundle {
            Some(pem) => {
                let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
                let certificates = certificates.map_err(|error| invalid("caBundle", &error))?;
                builder().tls_certs_only(certificates).build()
            }
            // A system without any certificates is no hindrance where the control plane speaks plain HTTP.
            None => builder().build().or_else(|_| builder().tls_certs_only([]).build()),
        };
        let http = http.map_err(|error| invalid("caBundle", &error))?;
        Ok(Self { endpoint, base, http })
    }

    /// Asks for one instance.
    pub async fn provision(&self, order: &Provision) -> Result<Provisioned, Failed> {
        let during = format!("launch of attempt {}", order.attempt.unwrap_or_default());
        let request =
            self.to(Method::POST, &["cp", "workspaces", "provision"], &[]).json(order).timeout(LAUNCH);
        self.answer(&during, request).await
    }

    /// Ends an instance.
    pub async fn delete(&self, uid: &str, id: &str, cluster: &str) -> Result<Deleted, BackendError> {
        let request = self.to(
            Method::DELETE,
            &["cp", "workspaces", uid],
            &[("instance_id", id), ("cluster_id", cluster)],
        );
        self.call(&format!("termination of {id}"), request).await
    }

    /// How an instance is.
    pub async fn status(&self, uid: &str, id: &str, cluster: &str) -> Result<InstanceView, BackendError> {
        let request = self.to(
            Method::GET,
            &["cp", "workspaces", uid, "status"],
            &[("instance_id", id), ("cluster_id", cluster)],
        );
        self.call(&format!("status of {id}"), request).await
    }

    /// One page of all instances of a cluster.
    pub async fn list(&self, cluster: &str, page: Option<&str>) -> Result<InstancePage, BackendError> {
        let query = [("cluster_id", cluster), ("page", page.unwrap_or_default())];
        let query = if page.is_some() { &query[..] } else { &query[..1] };
        self.call("list of instances", self.to(Method::GET, &["cp", "workspaces"], query)).await
    }

    /// Stops or starts an instance; its volumes stay.
    pub async fn set_running(
        &self,
        uid: &str,
        id: &str,
        cluster: &str,
        run: bool,
    ) -> Result<InstanceView, BackendError> {
        let word = if run { "start" } else { "stop" };
        let request = self.to(
            Method::POST,
            &["cp", "workspaces", uid, word],
            &[("instance_id", id), ("cluster_id", cluster)],
        );
        self.call(&format!("{word} of {id}"), request).await
    }

    /// The last lines of an instance's console, redacted.
    pub async fn console(&self, uid: &str, id: &str, cluster: &str) -> Result<Console, BackendError> {
        let request = self.to(
            Method::GET,
            &["cp", "admin", "workspaces", uid, "console"],
            &[("instance_id", id), ("cluster_id", cluster)],
        );
        self.call(&format!("console of {id}"), request).await
    }

    /// Makes the volume of a Workspace's data, or finds it by its token.
    pub async fn volume(&self, uid: &str, order: &VolumeOrder) -> Result<VolumeView, BackendError> {
        let request = self.to(Method::POST, &["cp", "workspaces", uid, "volume"], &[]).json(order);
        self.call("making of the data volume", request).await
    }

    /// Attaches it to a running instance.
    pub async fn attach(&self, uid: &str, order: &AttachOrder) -> Result<VolumeView, BackendError> {
        let request = self.to(Method::POST, &["cp", "workspaces", uid, "volume", "attach"], &[]).json(order);
        let during = format!("attaching of {} to {}", order.volume_id, order.instance_id);
        self.call(&during, request).await
    }

    /// Deletes a volume.
    pub async fn delete_volume(&self, id: &str, cluster: &str) -> Result<Deleted, BackendError> {
        let request = self.to(Method::DELETE, &["cp", "volumes", id], &[("cluster_id", cluster)]);
        self.call(&format!("deletion of {id}"), request).await
    }

    /// The volumes and network interfaces of a cluster.
    pub async fn resources(&self, cluster: &str) -> Result<Resources, BackendError> {
        let request = self.to(Method::GET, &["cp", "resources"], &[("cluster_id", cluster)]);
        self.call("list of volumes and network interfaces", request).await
    }

    /// Deletes a network interface.
    pub async fn delete_interface(&self, id: &str, cluster: &str) -> Result<Deleted, BackendError> {
        let request = self.to(Method::DELETE, &["cp", "network-interfaces", id], &[("cluster_id", cluster)]);
        self.call(&format!("deletion of {id}"), request).await
    }

    /// Marks a volume as one to keep.
    pub async fn retain_volume(&self, id: &str, cluster: &str) -> Result<VolumeView, BackendError> {
        let request = self.to(Method::POST, &["cp", "volumes", id, "retain"], &[("cluster_id", cluster)]);
        self.call(&format!("retention of {id}"), request).await
    }

    /// Whether these launches would be taken.
    pub async fn preflight(&self, order: &PreflightOrder) -> Result<PreflightReply, BackendError> {
        self.call("preflight", self.to(Method::POST, &["cp", "preflight"], &[]).json(order)).await
    }

    fn to(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.base.clone();
        // Fails for URLs that cannot be a base, and the schema takes http and https only.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http.request(method, url).bearer_auth(&self.endpoint.secret).timeout(CALL)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        during: &str,
        request: RequestBuilder,
    ) -> Result<T, BackendError> {
        self.answer(during, request).await.map_err(|failed| failed.error)
    }

    async fn answer<T: DeserializeOwned>(&self, during: &str, request: RequestBuilder) -> Result<T, Failed> {
        let answer = request.send().await.map_err(|error| {
            // A connection that was never made carried nothing.
            Failed { error: self.unreachable(&error), is_known: error.is_connect() }
        })?;
        let status = answer.status();
        let lost = |error: reqwest::Error| Failed { error: self.unreachable(&error), is_known: false };
        let body = answer.bytes().await.map_err(lost)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                let detail = format!("{during}: the answer of {} cannot be read: {error}", self.endpoint.url);
                Failed { error: BackendError::new(ErrorKind::Failed, detail), is_known: false }
            });
        }
        Err(self.refused(during, status, &body))
    }

    fn refused(&self, during: &str, status: StatusCode, body: &[u8]) -> Failed {
        let Ok(body) = serde_json::from_slice::<ErrorBody>(body) else {
            let words: String = String::from_utf8_lossy(body).chars().take(WORDS).collect();
            let detail = format!(
                "{during}: {} answered {status}, not as a control plane does: {words:?}",
                self.endpoint.url
            );
            return Failed {
                error: BackendError::new(ErrorKind::ControlPlaneUnreachable, detail),
                is_known: false,
            };
        };
        let error = fault::error(during, status.as_u16(), &body);
        let is_known = !body.code.is_empty() && is_definite(&body.code);
        Failed { error, is_known }
    }

    fn unreachable(&self, error: &reqwest::Error) -> BackendError {
        let why = if error.is_timeout() {
            "it did not answer in time".to_owned()
        } else {
            // The innermost cause is what a person can act on: refused, unknown host, certificate.
            let mut cause: &dyn std::error::Error = error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            cause.to_string()
        };
        // Whatever was asked: the next call will not fare better, and says the same.
        let detail = format!("the control plane at {} cannot be reached: {why}", self.endpoint.url);
        BackendError::new(ErrorKind::ControlPlaneUnreachable, detail)
    }
}

/// Whether an error of this code says for sure that the call has no effect to come.
fn is_definite(code: &str) -> bool {
    use atelier_wire::control_plane::codes;
    let is_open = [
        codes::UNKNOWN_OUTCOME,
        "InternalError",
        "InternalFailure",
        "Unavailable",
        "ServiceUnavailable",
        "IdempotentParameterMismatch",
    ];
    !is_open.contains(&code)
}
