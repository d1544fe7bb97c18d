//! The files of the shared secrets: read at the start, and again when they change.

use super::auth::{self, AuthError, Caller, Scope, Secret, Secrets};
use super::settings::{SecretSource, Settings, SettingsError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tracing::{info, warn};

/// The texts of all files, by path.
type Texts = BTreeMap<PathBuf, String>;

/// The secrets that are valid now. Clones share them.
#[derive(Clone, Debug)]
pub struct SecretStore {
    key: [u8; 32],
    settings: Arc<Settings>,
    current: Arc<RwLock<Arc<Secrets>>>,
}

fn read(settings: &Settings) -> Result<Texts, SettingsError> {
    let mut texts = Texts::new();
    let mut add = |key: String, file: &Path| {
        let text = std::fs::read_to_string(file).map_err(|source| SettingsError::File {
            key,
            file: file.to_owned(),
            source,
        })?;
        texts.insert(file.to_owned(), text);
        Ok::<_, SettingsError>(())
    };
    for (list, sources) in [("secrets", &settings.secrets), ("consoleSecrets", &settings.console_secrets)] {
        for (index, source) in sources.iter().enumerate() {
            add(format!("{list}[{index}].file"), &source.file)?;
        }
    }
    if let Some(file) = &settings.admin_token_file {
        add("adminTokenFile".into(), file)?;
    }
    Ok(texts)
}

fn values(key: String, file: &Path, texts: &Texts) -> Result<Vec<String>, SettingsError> {
    let text = texts.get(file).map(String::as_str).unwrap_or_default();
    auth::values(text).map_err(|why| SettingsError::Value { key, why: format!("{}: {why}", file.display()) })
}

fn list(name: &str, sources: &[SecretSource], texts: &Texts) -> Result<Vec<Secret>, SettingsError> {
    let secret = |(index, source): (usize, &SecretSource)| {
        Ok(Secret {
            name: source.name.clone(),
            clusters: source.cluster_ids.iter().cloned().collect(),
            values: values(format!("{name}[{index}].file"), &source.file, texts)?,
        })
    };
    sources.iter().enumerate().map(secret).collect()
}

fn put_together(key: [u8; 32], settings: &Settings, texts: &Texts) -> Result<Secrets, SettingsError> {
    let everything = list("secrets", &settings.secrets, texts)?;
    let console = list("consoleSecrets", &settings.console_secrets, texts)?;
    let admin = match &settings.admin_token_file {
        Some(file) => values("adminTokenFile".into(), file, texts)?,
        None => Vec::new(),
    };
    Ok(Secrets::new(key, &everything, &console, &admin))
}

impl SecretStore {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When one cannot be read or holds no secret; names the key of the settings.
    pub fn open(settings: Arc<Settings>) -> Result<Self, SettingsError> {
        let key = rand::random();
        let secrets = put_together(key, &settings, &read(&settings)?)?;
        Ok(Self { key, settings, current: Arc::new(RwLock::new(Arc::new(secrets))) })
    }

    /// Who calls with these headers.
    ///
    /// # Errors
    /// When a header is missing or wrong.
    pub fn identify(
        &self,
        authorization: Option<&str>,
        admin: Option<&str>,
        scope: Scope,
    ) -> Result<Caller, AuthError> {
        let secrets = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        secrets.identify(authorization, admin, scope)
    }

    /// Reads the files again and again. What cannot be used leaves the former secrets valid, and is said once.
    pub async fn keep_reading(&self, every: Duration) {
        let mut current = None;
        let mut failed = None;
        loop {
            let (key, settings) = (self.key, self.settings.clone());
            let read = tokio::task::spawn_blocking(move || {
                let texts = read(&settings)?;
                Ok::<_, SettingsError>((put_together(key, &settings, &texts)?, texts))
            });
            match read.await {
                Ok(Ok((secrets, texts))) => {
                    failed = None;
                    if current.as_ref() != Some(&texts) {
                        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(secrets);
                        if current.replace(texts).is_some() {
                            info!("took changed secrets into use");
                        }
                    }
                }
                Ok(Err(error)) => {
                    let error = error.to_string();
                    if failed.as_ref() != Some(&error) {
                        warn!(error, "the changed secrets cannot be used; the former ones stay valid");
                        failed = Some(error);
                    }
                }
                // The process is ending.
                Err(_) => return,
            }
            tokio::time::sleep(every).await;
        }
    }
}
