//! One simulator for one test, and what tests say to it.

use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A launch that needs no more.
pub const RUN: &str = "Action=RunInstances&ImageId=ami-0a7e11e7000000001&MinCount=1&MaxCount=1&\
                       InstanceType=t3.medium&SubnetId=subnet-0a7e11e7000000001";

/// A process that ends with the test.
pub struct Sim {
    process: Child,
    /// The line that it printed.
    pub announced: Value,
    endpoint: String,
    client: Client,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub text: String,
}

impl Sim {
    /// Starts one, with everything quick.
    pub fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[])
    }

    /// The same with more in its environment.
    pub fn start_with(args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ec2sim"))
            .args(["--pending-ms", "10", "--log-level", "warn"])
            .args(args)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap();
        let endpoint = announced["endpoint"].as_str().unwrap().to_owned();
        // Whoever comes first installs it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // No connection is used twice: one that was cut must not spoil the next call.
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { process, announced, endpoint, client }
    }

    /// Lets it end by itself.
    pub fn end(mut self) {
        let told = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(told.success() && self.process.wait().unwrap().success());
    }

    /// One call, with the version that belongs to it. An error: there was no answer.
    pub async fn try_call(&self, form: &str) -> reqwest::Result<Answer> {
        let body = format!("{form}&Version=2016-11-15");
        let request = self.client.post(&self.endpoint).body(body);
        let response = request.timeout(Duration::from_secs(20)).send().await?;
        Ok(Answer { status: response.status(), text: response.text().await? })
    }

    pub async fn call(&self, form: &str) -> Answer {
        self.try_call(form).await.unwrap()
    }

    /// Launches; the id.
    pub async fn run(&self, more: &str) -> String {
        let answer = self.call(&format!("{RUN}&{more}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.element("instanceId")
    }

    /// A POST of the admin interface that must succeed.
    pub async fn post(&self, path: &str, body: Value) {
        let (status, text) = self.admin(path, body).await;
        assert!(status.is_success(), "{path}: {status} {text}");
    }

    /// A POST of the admin interface.
    pub async fn admin(&self, path: &str, body: Value) -> (StatusCode, String) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response =
            self.client.post(format!("{}/_sim/{path}", self.endpoint)).body(body).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// A GET of the admin interface.
    pub async fn text(&self, path: &str) -> String {
        let response = self.client.get(format!("{}/_sim/{path}", self.endpoint)).send().await.unwrap();
        assert!(response.status().is_success(), "{path}");
        response.text().await.unwrap()
    }

    pub async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    /// How many instances there really are.
    pub async fn count(&self) -> usize {
        self.json("instances").await.as_array().unwrap().len()
    }

    /// Waits until the instance is in this state.
    pub async fn until_state(&self, id: &str, state: &str) {
        until(state, async || {
            let all = self.json("instances").await;
            all.as_array().unwrap().iter().any(|one| one["instanceId"] == id && one["state"] == state)
        })
        .await;
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Answer {
    /// The text of the first element of this name.
    pub fn element(&self, name: &str) -> String {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let rest = self.text.split_once(&open).unwrap_or_else(|| panic!("no {open} in {}", self.text)).1;
        rest.split_once(&close).unwrap().0.to_owned()
    }

    /// The code of the error that it must be.
    pub fn code(&self) -> String {
        assert!(!self.status.is_success(), "{}", self.text);
        self.element("Code")
    }
}

/// Waits for a condition, with a deadline.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
