//! What the Helm chart writes is what the commands read.

use crate::support::roles::RELEASE;
use crate::support::scene::Scene;
use crate::support::script::{root, run};
use crate::support::world::world;
use serde_json::Value;
use std::process::Command;

trials![the_control_plane_takes_the_settings_of_the_chart];

async fn the_control_plane_takes_the_settings_of_the_chart() {
    let scene = Scene::new("chart").await;
    let rendered = run(Command::new(&world().await.cluster.helm)
        .args(["template", RELEASE])
        .arg(root().join("charts/atelier"))
        .arg("--values")
        .arg(root().join("charts/tests/values/full.yaml"))
        .args(["--show-only", "templates/control-plane/deployment.yaml"])
        .env("HELM_CONFIG_HOME", scene.dir())
        .env("HELM_CACHE_HOME", scene.dir())
        .env("HELM_DATA_HOME", scene.dir()))
    .unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    let settings = objects.iter().find_map(|object| object["data"]["settings.yaml"].as_str()).unwrap();
    let start = |settings: &str| {
        let file = scene.dir().join("settings.yaml");
        std::fs::write(&file, settings).unwrap();
        let atelier = env!("CARGO_BIN_EXE_atelier");
        run(Command::new(atelier).args(["control-plane", "--bind", "127.0.0.1:0", "--settings"]).arg(file))
            .unwrap_err()
    };
    // The keys are right: what is missing is what a pod would have mounted.
    let said = start(settings);
    assert!(said.contains("/etc/atelier/user-data/script: No such file"), "{said}\n{settings}");
    let said = start(&settings.replace("rateScale", "rateScales"));
    assert!(said.contains("unknown field `rateScales`"), "{said}");
}
