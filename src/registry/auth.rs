//! Who is calling: by token, or, for a few questions, by the address of a box.

use super::directory::attempt;
use super::{Refusal, Registry};
use crate::api::Workspace;
use crate::keys::{Claims, Purpose};
use atelier_wire::paths::WORKSPACE_ID_HEADER;
use axum::extract::{ConnectInfo, FromRequestParts, Path};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long the API server may take for a live look.
const LIVE_LOOK_DEADLINE: Duration = Duration::from_secs(3);

/// An agent, with a valid token of its Workspace's current attempt.
pub struct Caller {
    pub workspace: Arc<Workspace>,
    pub uid: String,
    pub attempt: i64,
}

impl Caller {
    /// Refuses an id that names the caller and is not the token's.
    pub fn must_be(&self, field: &str, id: &str) -> Result<(), Refusal> {
        if id == self.uid {
            return Ok(());
        }
        Err(Refusal::forbidden(format!(
            "{field} is {id:?}, and the token is of {:?}: use your own id",
            self.uid
        )))
    }
}

impl Caller {
    /// Which agent calls, if there is a token at all.
    pub async fn of(parts: &Parts, registry: &Registry) -> Result<Option<Self>, Refusal> {
        Self::with(parts, registry, &[Purpose::Workspace]).await
    }

    /// Who calls with a token for one of these purposes, if there is a token at all.
    async fn with(parts: &Parts, registry: &Registry, good: &[Purpose]) -> Result<Option<Self>, Refusal> {
        match bearer(parts) {
            Some(token) => registry.authenticate(&token, parts, good).await.map(Some),
            None => Ok(None),
        }
    }

    async fn must_call(parts: &Parts, registry: &Registry, good: &[Purpose]) -> Result<Self, Refusal> {
        Self::with(parts, registry, good).await?.ok_or_else(|| registry.refuse(parts, NO_TOKEN))
    }
}

impl FromRequestParts<Arc<Registry>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, registry: &Arc<Registry>) -> Result<Self, Refusal> {
        Self::must_call(parts, registry, &[Purpose::Workspace]).await
    }
}

/// A box that tells of its boot: with the token of its agent, or, before it has that, its bootstrap token.
pub struct Booting(pub Caller);

impl FromRequestParts<Arc<Registry>> for Booting {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, registry: &Arc<Registry>) -> Result<Self, Refusal> {
        Caller::must_call(parts, registry, &[Purpose::Workspace, Purpose::Bootstrap]).await.map(Self)
    }
}

/// A box without its files, with its bootstrap token.
pub struct Bare(pub Caller);

impl FromRequestParts<Arc<Registry>> for Bare {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, registry: &Arc<Registry>) -> Result<Self, Refusal> {
        Caller::must_call(parts, registry, &[Purpose::Bootstrap]).await.map(Self)
    }
}

/// The address that a call comes from.
pub struct Source(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(source(parts)))
    }
}

const NO_TOKEN: &str = "there is no token: send the header `Authorization: Bearer <token>` with the content of \
     /configs/.auth_token";

/// The id in the path.
pub struct Id(pub String);

impl FromRequestParts<Arc<Registry>> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, registry: &Arc<Registry>) -> Result<Self, Refusal> {
        let id = Path::<String>::from_request_parts(parts, registry).await;
        id.map(|Path(id)| Self(id)).map_err(|_| Refusal::bad("the id in the path is no text"))
    }
}

impl Registry {
    /// Who asks a question in the name of `named`: the token's Workspace, or, without a token, the one named
    /// if the call comes from the recorded address of its box. Today's agents ask for their peers before they
    /// register and without a token.
    pub(super) async fn reader(
        &self,
        parts: &Parts,
        named: &str,
        field: &str,
    ) -> Result<Arc<Workspace>, Refusal> {
        if let Some(caller) = Caller::of(parts, self).await? {
            caller.must_be(field, named)?;
            return Ok(caller.workspace);
        }
        let source = source(parts);
        let workspace = self.directory.find(named).filter(|workspace| is_at(workspace, source));
        let Some(workspace) = workspace else { return Err(self.refuse(parts, NO_TOKEN)) };
        self.count_call(named)?;
        Ok(workspace)
    }

    /// Who calls with this token, which must be for one of these purposes.
    async fn authenticate(&self, token: &str, parts: &Parts, good: &[Purpose]) -> Result<Caller, Refusal> {
        let Some(keyring) = self.keys.get() else {
            return Err(Refusal::unavailable("the registry has not read its keys yet"));
        };
        let Some(claims) = keyring.verify(token) else {
            return Err(self.refuse(parts, "the token is not valid: use the content of /configs/.auth_token"));
        };
        self.count_call(&claims.uid)?;
        if !good.contains(&claims.purpose) {
            return Err(Refusal::forbidden(not_for_this(claims.purpose)));
        }
        let workspace = self.current(&claims, parts).await?;
        let caller = Caller { workspace, uid: claims.uid, attempt: claims.attempt };
        if let Some(named) = header(parts, WORKSPACE_ID_HEADER) {
            caller.must_be(WORKSPACE_ID_HEADER, named)?;
        }
        if self.leads() {
            self.liveness.called(&caller.uid, caller.attempt, Timestamp::now());
        }
        Ok(caller)
    }

    /// The Workspace of a token, if the token is of its current attempt.
    async fn current(&self, claims: &Claims, parts: &Parts) -> Result<Arc<Workspace>, Refusal> {
        let Some(cached) = self.directory.find(&claims.uid) else {
            if !self.directory.is_ready() {
                return Err(Refusal::unavailable("the registry does not know the Workspaces yet"));
            }
            return Err(self.refuse(parts, "the token is of a Workspace that does not exist"));
        };
        let workspace = if attempt(&cached) < Some(claims.attempt) {
            // The attempt may have been recorded a moment ago, by another process.
            self.live(&cached, &claims.uid).await?
        } else {
            cached
        };
        match attempt(&workspace) {
            Some(current) if current == claims.attempt => Ok(workspace),
            Some(current) if current > claims.attempt => {
                Err(self.refuse(parts, &format!("superseded by attempt {current}")))
            }
            _ => Err(self.refuse(parts, "the token is of an attempt that is not recorded")),
        }
    }

    async fn live(&self, cached: &Workspace, uid: &str) -> Result<Arc<Workspace>, Refusal> {
        let unavailable = || Refusal::unavailable("the API server does not say which attempt is current");
        let namespace = cached.namespace().ok_or_else(unavailable)?;
        let api: Api<Workspace> = Api::namespaced(self.client.clone(), &namespace);
        let name = cached.name_any();
        let look = tokio::time::timeout(LIVE_LOOK_DEADLINE, api.get_opt(&name)).await;
        match look {
            Ok(Ok(Some(workspace))) if workspace.uid().as_deref() == Some(uid) => Ok(Arc::new(workspace)),
            // Gone, or another of its name: what is cached is the last word on this uid.
            Ok(Ok(_)) => Ok(Arc::new(cached.clone())),
            Ok(Err(_)) | Err(_) => Err(unavailable()),
        }
    }

    fn count_call(&self, uid: &str) -> Result<(), Refusal> {
        if self.limits.may_call(uid) {
            return Ok(());
        }
        Err(Refusal::too_many("this Workspace calls too often: slow down"))
    }

    /// A 401, or 429 for a source that had too many.
    fn refuse(&self, parts: &Parts, why: &str) -> Refusal {
        if self.limits.may_be_refused(source(parts)) {
            return Refusal::unauthorized(why);
        }
        Refusal::too_many("too many calls without a valid token came from this address")
    }
}

fn not_for_this(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Workspace => "this call takes the bootstrap token of the box, not the token of its agent",
        Purpose::Bootstrap => {
            "a bootstrap token is good for boot stages and the bundle alone: use the content of \
             /configs/.auth_token"
        }
    }
}

/// Whether the box of this Workspace is recorded at this address.
pub fn is_at(workspace: &Workspace, source: IpAddr) -> bool {
    let instance = workspace.status.as_ref().and_then(|status| status.instance.as_ref());
    instance.is_some_and(|instance| {
        let addresses = instance.addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
        addresses.map(|address| address.to_canonical()).any(|address| address == source)
    })
}

/// The address that calls. Headers of proxies are not believed.
fn source(parts: &Parts) -> IpAddr {
    let info = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip().to_canonical())
}

/// The bearer token; none when it is empty, which agents without a token file send.
fn bearer(parts: &Parts) -> Option<String> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().unwrap_or("?");
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ if value.eq_ignore_ascii_case("bearer") => "",
        // Another scheme is a wrong token, not none.
        _ => value,
    };
    Some(token.to_owned()).filter(|token| !token.is_empty())
}

/// A header's text; what is no text is a text that fits nothing.
pub fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}
