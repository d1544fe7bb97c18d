//! A scene on EC2: the operator, a control plane and the simulator, and the BackendConfig that joins them.

use super::cloud::{ControlPlane, SECRET, Simulator};
use super::operator::{Operator, QUICK, SHORT_LEASE};
use super::scene::Scene;
use super::wait::LATER;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A scene on EC2: what it runs in.
pub struct Cloud {
    pub scene: Scene,
    pub simulator: Simulator,
    pub control_plane: ControlPlane,
    pub operator: Operator,
}

impl Cloud {
    /// With short periods, and quick boots that the simulator plays.
    pub async fn start(topic: &str, arguments: &[&str]) -> Self {
        Self::start_with(topic, arguments, &[]).await
    }

    /// The same, with more flags of the operator.
    pub async fn start_with(topic: &str, arguments: &[&str], flags: &[&str]) -> Self {
        let quick = ["--boot", "scripted", "--stage-ms", "20", "--heartbeat-ms", "1000"];
        let arguments = [&quick[..], arguments].concat();
        Self::start_by(topic, &arguments, &[&QUICK[..], &SHORT_LEASE, flags].concat()).await
    }

    /// With the usual periods.
    pub async fn start_usual(topic: &str) -> Self {
        Self::start_by(topic, &["--boot", "scripted"], &[]).await
    }

    /// With these arguments of the simulator, and flags of the operator.
    pub async fn start_by(topic: &str, arguments: &[&str], flags: &[&str]) -> Self {
        let scene = Scene::new(topic).await;
        let simulator = Simulator::start(scene.dir(), arguments);
        let control_plane = ControlPlane::start(scene.dir(), &simulator, &cluster_id(&scene).await);
        control_plane.ready().await;
        make_secret(&scene, SECRET).await;
        scene.apply_config(config(&scene, &simulator, &control_plane)).await;
        let mut operator = scene.operator_at(registry(&scene), flags);
        operator.ready().await;
        Self { scene, simulator, control_plane, operator }
    }

    /// Waits until the simulator has no live instance, no volume and no interface, and the cluster no Workspace.
    pub async fn until_nothing_is_left(&self) {
        self.scene
            .within(LATER, "nothing is left", async || {
                let live = self.simulator.live().await;
                let volumes = self.simulator.get("volumes").await;
                let volumes: Vec<_> =
                    volumes.as_array().unwrap().iter().map(|v| v["volumeId"].clone()).collect();
                let objects: Vec<_> =
                    self.scene.workspaces().await.iter().map(ResourceExt::name_any).collect();
                if live.is_empty() && volumes.is_empty() && objects.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{} instances, volumes {volumes:?}, {objects:?}", live.len()))
                }
            })
            .await;
    }

    /// At no instant did two instances of one attempt live.
    pub async fn assert_exact(&self) {
        let audit = self.simulator.get("audit").await;
        assert_eq!(audit["maxPerAttempt"], 1, "{audit:#}");
    }
}

/// The id of the cluster.
pub async fn cluster_id(scene: &Scene) -> String {
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    namespaces.get("kube-system").await.unwrap().uid().unwrap()
}

/// Makes the Secret that the config refers to.
pub async fn make_secret(scene: &Scene, text: &str) {
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), &scene.system());
    let secret = json!({"metadata": {"name": "control-plane"}, "stringData": {"token": text}});
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
}

/// Where boxes of the simulator look for the registry.
pub fn registry(scene: &Scene) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], scene.registry_port))
}

/// An operator with short periods that serves its registry there.
pub fn operator(scene: &Scene) -> Operator {
    scene.operator_at(registry(scene), &[&QUICK[..], &SHORT_LEASE].concat())
}

/// The usual `spec` of a BackendConfig on EC2.
pub fn config(scene: &Scene, simulator: &Simulator, control_plane: &ControlPlane) -> Value {
    let mut config = scene.config();
    config["backend"] = json!("EC2");
    config["registry"]["advertiseURL"] = json!(format!("http://{}", registry(scene)));
    config["ec2"] = json!({
        "controlPlane": {
            "url": control_plane.url(),
            "tokenSecretRef": {"name": "control-plane", "key": "token"},
        },
        "region": simulator.about["region"],
        "amiID": simulator.ids("images")[0],
        "subnetIDs": simulator.ids("subnets")[..2],
        "securityGroupIDs": [simulator.ids("securityGroups")[0]],
        "instanceTypes": [
            {"tier": "T1", "types": ["t3.small"]},
            {"tier": "T2", "types": ["t3.medium", "t3.large"]},
        ],
    });
    config
}
