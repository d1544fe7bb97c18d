//! What the box tells its agent: the environment and the files in `/configs`, parsed once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use atelier_wire::contract;
use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::Deserialize;

/// Seconds between two heartbeats, for tests that cannot wait.
const ENV_HEARTBEAT_SECONDS: &str = "ATELIER_HEARTBEAT_SECONDS";

/// Everything the agent needs to know. Holds the token, so it has no `Debug`.
pub(crate) struct Settings {
    /// The Workspace's uid.
    pub(crate) workspace_id: String,
    /// Base URL of the registry, without a slash at the end.
    pub(crate) platform_url: String,
    /// The host of the advertised url.
    pub(crate) hostname: String,
    /// The `Authorization` header, marked sensitive so that no library prints it.
    pub(crate) authorization: HeaderValue,
    /// A private certificate authority, in PEM.
    pub(crate) private_ca: Option<Vec<u8>>,
    /// Time between two heartbeats.
    pub(crate) heartbeat: Duration,
    /// What the box is called and for.
    pub(crate) config: Config,
}

/// The part of `config.yaml` that the agent reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) a2a: A2a,
}

/// Where A2A is served.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct A2a {
    /// 0 lets the system choose.
    pub(crate) port: u16,
}

impl Default for A2a {
    fn default() -> Self {
        Self { port: contract::A2A_PORT }
    }
}

/// What is wrong with the box's environment or files, and how to put it right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("environment variable {0} is missing or not text; set it to {1}")]
    Missing(&'static str, &'static str),
    #[error("PLATFORM_URL={0} is not an http or https URL; set it to the base URL of the registry")]
    PlatformUrl(String),
    #[error("ATELIER_HEARTBEAT_SECONDS={0} is not a number of seconds above 0")]
    Heartbeat(String),
    #[error("cannot read {}: {cause}; the platform puts this file there before the box starts", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{} holds no token: it must be one line of printable ASCII", .0.display())]
    BadToken(PathBuf),
    #[error("{} is not as expected: {cause}", path.display())]
    BadConfig { path: PathBuf, cause: Box<serde_saphyr::Error> },
}

impl Settings {
    /// Reads the environment and the configuration folder of this process.
    pub(crate) fn read() -> Result<Self, Error> {
        let folder = config_folder();
        let heartbeat = match std::env::var_os(ENV_HEARTBEAT_SECONDS) {
            None => Duration::from_secs(contract::HEARTBEAT_SECONDS),
            Some(text) => heartbeat_period(&text)?,
        };
        Ok(Self {
            workspace_id: variable(contract::ENV_WORKSPACE_ID, "the Workspace's uid")?,
            platform_url: base_url(&variable(contract::ENV_PLATFORM_URL, "the base URL of the registry")?)?,
            hostname: variable(contract::ENV_HOSTNAME, "a name or address under which peers reach this box")?,
            authorization: authorization(&folder)?,
            private_ca: private_ca_in(&folder)?,
            heartbeat,
            config: config(&folder)?,
        })
    }
}

/// The private certificate authority of this box, if it has one.
pub(crate) fn private_ca() -> Result<Option<Vec<u8>>, Error> {
    private_ca_in(&config_folder())
}

fn config_folder() -> PathBuf {
    std::env::var_os(contract::ENV_CONFIG_PATH).map_or_else(|| contract::CONFIG_DIR.into(), PathBuf::from)
}

fn variable(name: &'static str, meaning: &'static str) -> Result<String, Error> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(Error::Missing(name, meaning))
}

fn heartbeat_period(text: &OsString) -> Result<Duration, Error> {
    text.to_str()
        .and_then(|text| text.parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|period| !period.is_zero())
        .ok_or_else(|| Error::Heartbeat(text.to_string_lossy().into_owned()))
}

fn base_url(text: &str) -> Result<String, Error> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(Error::PlatformUrl(text.to_owned())),
    }
}

fn authorization(folder: &Path) -> Result<HeaderValue, Error> {
    let path = folder.join(contract::TOKEN_FILE);
    let token = match std::fs::read_to_string(&path) {
        Ok(token) => token,
        Err(cause) => return Err(Error::Unreadable { path, cause }),
    };
    let token = token.trim();
    match HeaderValue::from_str(&format!("Bearer {token}")) {
        Ok(mut header) if !token.is_empty() => {
            header.set_sensitive(true);
            Ok(header)
        }
        _ => Err(Error::BadToken(path)),
    }
}

fn private_ca_in(folder: &Path) -> Result<Option<Vec<u8>>, Error> {
    optional(folder.join(contract::CA_FILE)).map(|found| found.map(|(_, pem)| pem))
}

fn config(folder: &Path) -> Result<Config, Error> {
    match optional(folder.join(contract::CONFIG_FILE))? {
        None => Ok(Config::default()),
        Some((path, yaml)) => {
            serde_saphyr::from_slice(&yaml).map_err(|cause| Error::BadConfig { path, cause: Box::new(cause) })
        }
    }
}

fn optional(path: PathBuf) -> Result<Option<(PathBuf, Vec<u8>)>, Error> {
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some((path, bytes))),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::Unreadable { path, cause }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_url_has_no_slash_at_its_end_and_is_a_web_url() {
        assert_eq!(base_url("http://registry:8080/").unwrap(), "http://registry:8080");
        assert_eq!(base_url("https://registry/atelier").unwrap(), "https://registry/atelier");
        for bad in ["registry:8080", "unix:///run/x.sock", "", "http://"] {
            assert!(matches!(base_url(bad), Err(Error::PlatformUrl(_))), "{bad}");
        }
    }

    #[test]
    fn a_heartbeat_period_is_above_zero() {
        assert_eq!(heartbeat_period(&"0.2".into()).unwrap(), Duration::from_millis(200));
        for bad in ["0", "-1", "soon", "inf", "NaN", ""] {
            assert!(matches!(heartbeat_period(&bad.into()), Err(Error::Heartbeat(_))), "{bad}");
        }
    }

    #[test]
    fn a_rendered_config_is_read_and_the_rest_of_it_ignored() {
        let yaml = "name: Researcher\ndescription: \"Reads: all of it.\"\ntier: 2\nruntime: echo\n\
                    initial_prompt: |\n  name: not this\nplugins: []\na2a: {port: 9000}\n";
        let config: Config = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(config.name.as_deref(), Some("Researcher"));
        assert_eq!(config.description.as_deref(), Some("Reads: all of it."));
        assert_eq!(config.a2a.port, 9000);
        assert_eq!(serde_saphyr::from_str::<Config>("version: 1.0.0\n").unwrap().a2a.port, 8000);
    }
}
