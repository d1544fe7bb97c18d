//! One look: Secrets of the operator's namespace, the backend, and its images. Takes what it finds into effect
//! at the door before it asks there.

use super::Context;
use super::plan::{Certificates, Seen};
use super::settle::{Refusal, Settled, Uses, settle};
use super::token_keys::Holders;
use crate::api::Reason;
use crate::api::backend_config::{Backend, BackendConfig, DockerHost, DockerNetwork, Runtime, SecretKey};
use crate::api::workspace::{LocalRef, Tier};
use crate::backend::{
    BackendError, BoxOrder, Configuration, ControlPlaneEndpoint, Ec2Endpoint, EngineEndpoint, ErrorKind,
    ImageState, Placement, Preflight, Selected, TlsFiles,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use std::sync::Arc;
use std::time::Duration;

/// How long one read of a Secret may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The address at which ports are published where the config names none.
const LOOPBACK: &str = "127.0.0.1";
/// The type of a Secret that images are pulled with, and its one entry.
const PULL_SECRET: (&str, &str) = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");

/// The endpoints that the door was told of last.
#[derive(Debug, Default)]
pub struct Last {
    engine: Option<EngineEndpoint>,
    ec2: Option<Ec2Endpoint>,
}

impl Last {
    /// There is no config any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Looks, and takes the config into effect.
pub async fn look(
    ctx: &Context,
    last: &mut Last,
    config: &BackendConfig,
    preflight_within: Duration,
) -> Seen {
    let workspaces = ctx.workspaces.store().state();
    let workspaces = || workspaces.iter().map(|workspace| &**workspace);
    let uses = Uses::of(workspaces());
    let settled = settle(config, &uses);
    let (engine, tls) = engine(ctx, &settled).await;
    let (ec2, secret) = ec2(ctx, &settled).await;
    let engine = remembered(&mut last.engine, engine, &tls, |one, other| {
        one.name == other.name && one.address == other.address
    });
    let ec2 = remembered(&mut last.ec2, ec2, &secret, |one, other| {
        one.control_plane.url == other.control_plane.url
    });
    let backend = settled.spec.backend;
    let certificates = match backend {
        Backend::Docker => tls,
        Backend::Ec2 => secret,
    };
    let configured = configuration(backend, engine, ec2, &certificates);
    let asks = matches!(configured.selected, Selected::Docker(_) | Selected::Ec2);
    ctx.backends.configure(configured);
    ctx.current.set(Some(Arc::new(settled.spec.clone())));

    let preflight = if asks { Some(ask(ctx, preflight_within).await) } else { None };
    let remarks = match (&preflight, backend) {
        (Some(Ok(_)), Backend::Docker) => remarks(ctx, &settled.spec.runtimes).await,
        _ => Vec::new(),
    };
    Seen {
        settled,
        uses,
        certificates,
        preflight,
        remarks,
        keys: ctx.token_keys.state().borrow().clone(),
        holders: ctx.token_keys.keys().get().map(|ring| Holders::of(workspaces(), &ring)).unwrap_or_default(),
        too_many_silent: *ctx.too_many_silent.borrow(),
    }
}

/// The Docker engine that is in effect, and whether its certificates were found.
async fn engine(ctx: &Context, settled: &Settled) -> (Option<EngineEndpoint>, Certificates) {
    let (tls, certificates) = match settled.host.as_ref().and_then(|host| host.tls_secret_ref.as_ref()) {
        None => (None, Certificates::Good),
        Some(reference) => match tls_files(&ctx.secrets, reference).await {
            Ok(files) => (Some(files), Certificates::Good),
            Err(problem) => (None, problem),
        },
    };
    let network = settled.spec.docker.as_ref().map(|docker| docker.network.clone()).unwrap_or_default();
    (settled.host.as_ref().map(|host| endpoint(host, tls, network)), certificates)
}

/// What is in effect for EC2, and whether the shared secret was found.
async fn ec2(ctx: &Context, settled: &Settled) -> (Option<Ec2Endpoint>, Certificates) {
    let Some(control_plane) = &settled.control_plane else { return (None, Certificates::Good) };
    let (secret, found) = match shared_secret(&ctx.secrets, &control_plane.token_secret_ref).await {
        Ok(secret) => (secret, Certificates::Good),
        Err(problem) => (String::new(), problem),
    };
    let endpoint = Ec2Endpoint {
        control_plane: ControlPlaneEndpoint {
            url: control_plane.url.clone(),
            ca_bundle: control_plane.ca_bundle.clone(),
            secret,
        },
        spec: settled.spec.ec2.clone().unwrap_or_default(),
        amis: settled.spec.runtimes.iter().filter_map(|runtime| runtime.ami_id.clone()).collect(),
    };
    (Some(endpoint), found)
}

/// The endpoint to use: one whose credentials could not be read goes on with those that it had.
fn remembered<T: Clone>(
    last: &mut Option<T>,
    now: Option<T>,
    credentials: &Certificates,
    is_same: impl Fn(&T, &T) -> bool,
) -> Option<T> {
    let known = last.clone().filter(|known| now.as_ref().is_some_and(|now| is_same(now, known)));
    if *credentials == Certificates::Good {
        last.clone_from(&now);
        return now;
    }
    known
}

/// What the door is told. Credentials that were refused place nothing new, and keep what runs.
fn configuration(
    backend: Backend,
    engine: Option<EngineEndpoint>,
    ec2: Option<Ec2Endpoint>,
    credentials: &Certificates,
) -> Configuration {
    let is_refused = matches!(credentials, Certificates::Refused(_));
    let selected = match (backend, &engine, &ec2) {
        (Backend::Docker, Some(engine), _) if !is_refused => Selected::Docker(engine.clone()),
        (Backend::Ec2, _, Some(_)) if !is_refused => Selected::Ec2,
        (backend, ..) => Selected::NotAccepted { why: why(backend, credentials) },
    };
    let in_use = match selected {
        Selected::Docker(_) => Vec::new(),
        _ => engine.into_iter().collect(),
    };
    Configuration { selected, in_use, ec2 }
}

fn why(backend: Backend, credentials: &Certificates) -> String {
    match (credentials, backend) {
        (Certificates::Good, Backend::Docker) => "spec.docker.hosts names no engine".into(),
        (Certificates::Good, Backend::Ec2) => "spec.ec2 names no control plane".into(),
        (Certificates::Refused(refusal), _) => refusal.message.clone(),
        (Certificates::Unread(why), _) => why.clone(),
    }
}

async fn shared_secret(secrets: &Api<Secret>, reference: &SecretKey) -> Result<String, Certificates> {
    let refused = |reason, message| Certificates::Refused(Refusal { reason, message });
    let SecretKey { name, key } = reference;
    let field = "spec.ec2.controlPlane.tokenSecretRef";
    let secret = read(secrets, name).await.map_err(Certificates::Unread)?.ok_or_else(|| {
        let message =
            format!("{field} names the Secret {name:?}, which is not in the operator's namespace: create it with {key}");
        refused(Reason::ReferenceNotFound, message)
    })?;
    let bytes = secret.data.unwrap_or_default().remove(key).map(|bytes| bytes.0).unwrap_or_default();
    let text = String::from_utf8(bytes).map(|text| text.trim().to_owned()).unwrap_or_default();
    if text.is_empty() {
        let message = format!("{field}: the Secret {name:?} has no text under {key}: add it");
        return Err(refused(Reason::InvalidSpec, message));
    }
    Ok(text)
}

async fn ask(ctx: &Context, within: Duration) -> Result<Preflight, BackendError> {
    tokio::time::timeout(within, ctx.backends.preflight()).await.unwrap_or_else(|_| {
        let detail = format!("the backend did not answer within {} ms", within.as_millis());
        Err(BackendError::new(ErrorKind::Unreachable, detail))
    })
}

fn endpoint(host: &DockerHost, tls: Option<TlsFiles>, network: DockerNetwork) -> EngineEndpoint {
    EngineEndpoint {
        name: host.name.clone(),
        address: host.address.clone(),
        publish_address: host.publish_address.clone().unwrap_or_else(|| LOOPBACK.to_owned()),
        tls,
        network,
    }
}

async fn tls_files(secrets: &Api<Secret>, reference: &LocalRef) -> Result<TlsFiles, Certificates> {
    let refused = |reason, message| Certificates::Refused(Refusal { reason, message });
    let name = &reference.name;
    let secret = match read(secrets, name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            let message = format!(
                "spec.docker.hosts refers to the Secret {name:?}, which is not in the operator's namespace: create it \
                 with ca.crt, tls.crt and tls.key"
            );
            return Err(refused(Reason::ReferenceNotFound, message));
        }
        Err(why) => return Err(Certificates::Unread(why)),
    };
    let data = secret.data.unwrap_or_default();
    let entry = |key: &str| match data.get(key) {
        Some(bytes) if !bytes.0.is_empty() => Ok(bytes.0.clone()),
        _ => Err(refused(
            Reason::InvalidSpec,
            format!("the Secret {name:?} of spec.docker.hosts has no {key}: add it"),
        )),
    };
    Ok(TlsFiles { ca: entry("ca.crt")?, certificate: entry("tls.crt")?, key: entry("tls.key")? })
}

async fn read(secrets: &Api<Secret>, name: &str) -> Result<Option<Secret>, String> {
    match tokio::time::timeout(PATIENCE, secrets.get_opt(name)).await {
        Ok(Ok(secret)) => Ok(secret),
        Ok(Err(error)) => Err(format!("the Secret {name:?} could not be read: {error}")),
        Err(_) => Err(format!("the Secret {name:?} could not be read in time")),
    }
}

/// What is to be said of images and of the Secrets to pull them with.
async fn remarks(ctx: &Context, runtimes: &[Runtime]) -> Vec<String> {
    let Ok(placement) = ctx.backends.place(None) else { return Vec::new() };
    let (mut present, mut missing, mut remarks) = (Vec::new(), Vec::new(), Vec::new());
    for runtime in runtimes {
        match image(&placement, runtime).await {
            Ok(ImageState::Present) => present.push(runtime.image.as_str()),
            Ok(ImageState::Missing) => missing.push(runtime.image.as_str()),
            // Until a retry brings news, what its forerunner met stands.
            Ok(
                ImageState::Failed(why, _) | ImageState::Pulling { how_far: None, failed_before: Some(why) },
            ) => {
                remarks.push(format!("image {:?} could not be pulled: {why}", runtime.image));
            }
            Ok(ImageState::Pulling { .. }) => {
                remarks.push(format!("image {:?} is being pulled", runtime.image));
            }
            Err(error) => remarks.push(format!("image {:?}: {error}", runtime.image)),
        }
        if let Some(reference) = &runtime.image_pull_secret_ref
            && let Err(problem) = pull_secret(&ctx.secrets, reference).await
        {
            remarks.push(format!("runtime {:?}: {problem}", runtime.name));
        }
    }
    if !missing.is_empty() {
        remarks.insert(0, format!("images to be pulled at their first launch: {}", missing.join(", ")));
    }
    if !present.is_empty() {
        remarks.insert(0, format!("images at hand: {}", present.join(", ")));
    }
    remarks
}

/// Whether the image of a runtime is at hand. The order is for nobody: only its image is looked at.
async fn image(placement: &Placement, runtime: &Runtime) -> Result<ImageState, BackendError> {
    let order = BoxOrder {
        uid: "",
        namespace: "",
        name: "",
        attempt: 0,
        spec_hash: "",
        network_of: "",
        tier: Tier::default(),
        granted: None,
        runtime,
        platform_url: "",
        ca_bundle: None,
        recorded: None,
        zone: None,
        retain: false,
    };
    placement.image(&placement.render(&order)?).await
}

async fn pull_secret(secrets: &Api<Secret>, reference: &LocalRef) -> Result<(), String> {
    let name = &reference.name;
    let (type_, entry) = PULL_SECRET;
    match read(secrets, name).await? {
        None => Err(format!("the pull Secret {name:?} is not in the operator's namespace")),
        Some(secret) if secret.type_.as_deref() != Some(type_) => {
            Err(format!("the pull Secret {name:?} is not of the type {type_}"))
        }
        Some(secret) if !secret.data.as_ref().is_some_and(|data| data.contains_key(entry)) => {
            Err(format!("the pull Secret {name:?} has no {entry}"))
        }
        Some(_) => Ok(()),
    }
}
