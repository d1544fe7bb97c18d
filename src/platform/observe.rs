//! One look: Secrets of the operator's namespace, the backend, and its images. Takes what it finds into effect
//! at the door before it asks there.

use super::Context;
use super::plan::{Certificates, Seen};
use super::settle::{Refusal, Uses, settle};
use super::token_keys::Holders;
use crate::api::Reason;
use crate::api::backend_config::{BackendConfig, DockerHost, DockerNetwork, Runtime};
use crate::api::workspace::{LocalRef, Tier};
use crate::backend::{
    BackendError, BoxOrder, Configuration, EngineEndpoint, ErrorKind, ImageState, Placement, Preflight,
    TlsFiles,
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

/// Looks, and takes the config into effect.
///
/// `last` is the endpoint that the door was told of last.
pub async fn look(
    ctx: &Context,
    last: &mut Option<EngineEndpoint>,
    config: &BackendConfig,
    preflight_within: Duration,
) -> Seen {
    let workspaces = ctx.workspaces.store().state();
    let workspaces = || workspaces.iter().map(|workspace| &**workspace);
    let uses = Uses::of(workspaces());
    let settled = settle(config, &uses);
    let (tls, certificates) = match settled.host.as_ref().and_then(|host| host.tls_secret_ref.as_ref()) {
        None => (None, Certificates::Good),
        Some(reference) => match tls_files(&ctx.secrets, reference).await {
            Ok(files) => (Some(files), Certificates::Good),
            Err(problem) => (None, problem),
        },
    };
    let network = settled.spec.docker.as_ref().map(|docker| docker.network.clone()).unwrap_or_default();
    let endpoint = settled.host.as_ref().map(|host| endpoint(host, tls, network));
    let configured = configuration(last, endpoint, &certificates);
    let asks = matches!(configured, Configuration::Docker { .. });
    ctx.backends.configure(configured);
    ctx.current.set(Some(Arc::new(settled.spec.clone())));

    let preflight = if asks { Some(ask(ctx, preflight_within).await) } else { None };
    let remarks = match &preflight {
        Some(Ok(_)) => remarks(ctx, &settled.spec.runtimes).await,
        Some(Err(_)) | None => Vec::new(),
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

/// What the door is told. An endpoint whose certificates could not be read goes on with those that it had.
fn configuration(
    last: &mut Option<EngineEndpoint>,
    endpoint: Option<EngineEndpoint>,
    certificates: &Certificates,
) -> Configuration {
    let same = |known: &EngineEndpoint| {
        endpoint
            .as_ref()
            .is_some_and(|endpoint| endpoint.name == known.name && endpoint.address == known.address)
    };
    let known = last.clone().filter(same);
    match (endpoint, certificates, known) {
        (Some(selected), Certificates::Good, _) => {
            *last = Some(selected.clone());
            Configuration::Docker { selected, in_use: Vec::new() }
        }
        (_, Certificates::Unread(_), Some(selected)) => {
            Configuration::Docker { selected, in_use: Vec::new() }
        }
        (_, certificates, known) => {
            Configuration::NotAccepted { why: why(certificates), in_use: known.into_iter().collect() }
        }
    }
}

fn why(certificates: &Certificates) -> String {
    match certificates {
        Certificates::Good => "spec.docker.hosts names no engine".into(),
        Certificates::Refused(refusal) => refusal.message.clone(),
        Certificates::Unread(why) => why.clone(),
    }
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
            Ok(ImageState::Pulling(_)) => remarks.push(format!("image {:?} is being pulled", runtime.image)),
            Ok(ImageState::Failed(why, _)) => {
                remarks.push(format!("image {:?} could not be pulled: {why}", runtime.image));
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
        retain: false,
    };
    placement.image(&placement.render(&order)).await
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
