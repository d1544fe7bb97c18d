//! An API server with etcd and the controllers that matter, our CRDs in it, and its audit log.

use super::script::{go_tool, hack, run, tool};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A cluster that runs.
pub struct Cluster {
    /// The admin's kubeconfig.
    pub kubeconfig: PathBuf,
    /// One line of JSON for each write, and for each call of an operator.
    pub audit_log: PathBuf,
    kubectl: PathBuf,
    /// For the roles of the chart.
    pub helm: PathBuf,
}

/// Owner references that hold a deletion back are for those who may set finalizers: not asked by default, but where
/// it is, Teams must go on.
const ADMISSION: &str = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement";

impl Cluster {
    /// Starts it in a folder.
    pub fn start(dir: &Path) -> Result<Self, String> {
        run(hack("cluster-up.sh").arg(dir).env("ATELIER_AUDIT", "1").env("APISERVER_ARGS", ADMISSION))?;
        Ok(Self {
            kubeconfig: dir.join("kubeconfig"),
            audit_log: dir.join("audit.log"),
            kubectl: tool("kubectl")?,
            helm: go_tool("helm")?,
        })
    }

    /// Ends what runs in a folder, and removes it.
    pub fn remove(dir: &Path) -> Result<(), String> {
        run(hack("cluster-down.sh").arg(dir)).map(drop)
    }

    /// The admin's client.
    pub async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    /// `kubectl` as the admin.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command
    }
}
