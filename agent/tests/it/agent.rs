//! The agent as a process, with a configuration folder of its own.

use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::registry::DEADLINE;

pub const WORKSPACE: &str = "3f6c0c1e-0000-4000-8000-000000000001";
pub const TOKEN: &str = "v1.k1.workspace.3f6c0c1e.1.not-a-real-one";

/// A running agent; it is killed with the test.
pub struct Agent {
    child: Child,
    stdout: Output,
    stderr: Output,
}

impl Agent {
    pub fn start(name: &str, registry: &str, arguments: &[&str]) -> Self {
        Self::start_without(name, "", registry, arguments)
    }

    /// Starts without one of the environment variables.
    pub fn start_without(name: &str, variable: &str, registry: &str, arguments: &[&str]) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(".auth_token"), format!("{TOKEN}\n")).unwrap();
        std::fs::write(folder.join("config.yaml"), "name: Tester\ntier: 2\na2a: {port: 0}\n").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_atelier-agent"))
            .args(arguments)
            .env("WORKSPACE_ID", WORKSPACE)
            .env("PLATFORM_URL", registry)
            .env("HOSTNAME", "127.0.0.1")
            .env("WORKSPACE_CONFIG_PATH", &folder)
            .env("ATELIER_HEARTBEAT_SECONDS", "0.05")
            .env_remove(variable)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = Output::read(child.stdout.take().unwrap());
        let stderr = Output::read(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// Sends SIGTERM and answers the exit code.
    pub async fn stop(&mut self) -> i32 {
        let pid = self.child.id().expect("the agent ended before it was stopped");
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::TERM).unwrap();
        self.output().await.0
    }

    /// Waits for the end: exit code and standard output.
    pub async fn output(&mut self) -> (i32, String) {
        let status = timeout(DEADLINE, self.child.wait()).await.expect("the agent does not end").unwrap();
        self.stdout.end().await;
        self.stderr.end().await;
        (status.code().expect("the agent was killed"), self.stdout())
    }

    pub fn stdout(&self) -> String {
        self.stdout.text.borrow().clone()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text.borrow().clone()
    }

    /// All of standard output, once it contains `wanted`.
    pub async fn until_stdout(&mut self, wanted: &str) -> String {
        self.stdout.until(wanted).await
    }

    /// All of standard error, once it contains `wanted`.
    pub async fn until_stderr(&mut self, wanted: &str) -> String {
        self.stderr.until(wanted).await
    }
}

/// One stream of the agent's output, read as it comes.
struct Output {
    text: watch::Receiver<String>,
    reader: JoinHandle<()>,
}

impl Output {
    fn read(mut from: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, text) = watch::channel(String::new());
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = from.read(&mut buffer).await {
                let chunk = String::from_utf8_lossy(&buffer[..length]);
                sender.send_modify(|text| text.push_str(&chunk));
            }
        });
        Self { text, reader }
    }

    async fn until(&mut self, wanted: &str) -> String {
        let found = timeout(DEADLINE, self.text.wait_for(|text| text.contains(wanted))).await;
        let found = found.is_ok_and(|found| found.is_ok());
        let text = self.text.borrow().clone();
        assert!(found, "the agent never said {wanted:?}, but: {text}");
        text
    }

    async fn end(&mut self) {
        timeout(DEADLINE, &mut self.reader).await.expect("the output does not end").unwrap();
    }
}
