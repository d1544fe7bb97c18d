//! An API server with etcd and the controllers that matter, our CRDs in it, and its audit log.

use super::script::{hack, run, tool};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A cluster that runs.
pub struct Cluster {
    /// The admin's kubeconfig.
    pub kubeconfig: PathBuf,
    /// One line of JSON for each write.
    pub audit_log: PathBuf,
    kubectl: PathBuf,
}

impl Cluster {
    /// Starts it in a folder.
    pub fn start(dir: &Path) -> Result<Self, String> {
        run(hack("cluster-up.sh").arg(dir).env("ATELIER_AUDIT", "1"))?;
        Ok(Self {
            kubeconfig: dir.join("kubeconfig"),
            audit_log: dir.join("audit.log"),
            kubectl: tool("kubectl")?,
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
