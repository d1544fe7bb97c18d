//! The settings file: read and checked once, at the start. An error names the key.

use super::periods::Periods;
use atelier_wire::control_plane::{LaunchSpec, VolumeSpec};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the control plane may do, for whom, and where.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The Region that everything is in.
    pub region: String,
    /// Another address of EC2 than AWS's own, such as that of a VPC endpoint.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The account, where subnets do not tell: they are another account's when they are shared.
    #[serde(default, rename = "accountID")]
    pub account_id: Option<String>,
    /// How many processes share the account's rate limits.
    #[serde(default = "one")]
    pub replicas: u32,
    /// What share of AWS's published rates is used: below 1 where others use the account too, above where AWS
    /// has raised them.
    #[serde(default = "whole")]
    pub rate_scale: f64,
    /// Who may call.
    pub secrets: Vec<SecretSource>,
    /// Who may read consoles and do nothing else.
    #[serde(default)]
    pub console_secrets: Vec<SecretSource>,
    /// The file of a token that every call must carry as well, in `X-Molecule-Admin-Token`.
    #[serde(default)]
    pub admin_token_file: Option<PathBuf>,
    /// What launches may use.
    #[serde(default)]
    pub allow: Allow,
    /// What is launched for a request without `launch`.
    #[serde(default)]
    pub defaults: Option<Defaults>,
    /// Whether `env` of a request may be put into user-data, where everything on the machine can read it.
    #[serde(default)]
    pub legacy_env_in_user_data: bool,
    /// Periods and deadlines.
    #[serde(default)]
    pub periods: Periods,
}

fn one() -> u32 {
    1
}

fn whole() -> f64 {
    1.0
}

/// A shared secret: a file with one valid value a line.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretSource {
    /// What logs call whoever uses it.
    pub name: String,
    /// Where it is.
    pub file: PathBuf,
    /// The clusters that it may act for.
    #[serde(rename = "clusterIDs")]
    pub cluster_ids: Vec<String>,
}

/// What launches may use. What is not listed is denied.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Allow {
    /// Machine images.
    pub amis: Vec<String>,
    /// Instance types.
    pub instance_types: Vec<String>,
    /// Subnets.
    pub subnets: Vec<String>,
    /// Security groups.
    pub security_groups: Vec<String>,
    /// Instance profiles, by name.
    pub instance_profiles: Vec<String>,
    /// KMS keys of volumes. The account's default key needs no entry.
    pub kms_keys: Vec<String>,
    /// The largest volume, in GiB.
    #[serde(rename = "volumeMaxGiB")]
    pub volume_max_gib: VolumeMax,
}

/// The largest volume that may be made, in GiB.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct VolumeMax(pub i32);

impl Default for VolumeMax {
    fn default() -> Self {
        Self(1_024)
    }
}

/// What is launched for a request without `launch`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Defaults {
    /// The machine image.
    #[serde(rename = "amiID")]
    pub ami_id: String,
    /// The instance type.
    pub instance_type: String,
    /// The subnet.
    #[serde(rename = "subnetID")]
    pub subnet_id: String,
    /// The security groups.
    #[serde(rename = "securityGroupIDs")]
    pub security_group_ids: Vec<String>,
    /// The instance profile, by name.
    #[serde(default)]
    pub instance_profile_name: Option<String>,
    /// The size of the root volume, in GiB.
    #[serde(default = "root_gib", rename = "rootVolumeGiB")]
    pub root_volume_gib: i32,
    /// The type of the root volume.
    #[serde(default = "root_type")]
    pub root_volume_type: String,
    /// The KMS key of the root volume.
    #[serde(default, rename = "rootVolumeKMSKeyID")]
    pub root_volume_kms_key_id: Option<String>,
    /// Tags besides ours.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The file of a shell script, run at the first boot for a request without `user_data`.
    #[serde(default)]
    pub user_data_file: Option<PathBuf>,
    /// The text of that file.
    #[serde(skip)]
    pub user_data: String,
}

fn root_gib() -> i32 {
    VolumeSpec::default().size_gib
}

fn root_type() -> String {
    VolumeSpec::default().volume_type
}

impl Defaults {
    /// As if a request had said so.
    pub fn launch(&self) -> LaunchSpec {
        LaunchSpec {
            ami_id: self.ami_id.clone(),
            instance_type: self.instance_type.clone(),
            subnet_id: self.subnet_id.clone(),
            security_group_ids: self.security_group_ids.clone(),
            instance_profile_name: self.instance_profile_name.clone(),
            root_volume: VolumeSpec {
                size_gib: self.root_volume_gib,
                volume_type: self.root_volume_type.clone(),
                kms_key_id: self.root_volume_kms_key_id.clone(),
            },
            tags: self.tags.clone(),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file cannot be read.
    #[error("{key} {}: {source}", file.display())]
    File {
        /// The key or flag that names it.
        key: String,
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text is no YAML of this form.
    #[error("{}: {why}", file.display())]
    Form {
        /// The settings file.
        file: PathBuf,
        /// Which line or key, and what is wrong.
        why: String,
    },
    /// A value cannot be used.
    #[error("{key}: {why}")]
    Value {
        /// Its key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Settings {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// Names the key.
    pub fn read(file: &Path) -> Result<Self, SettingsError> {
        let text = read_file("--settings", file)?;
        let mut settings = Self::parse(&text).map_err(|error| match error {
            SettingsError::Form { why, .. } => SettingsError::Form { file: file.to_owned(), why },
            other => other,
        })?;
        if let Some(defaults) = &mut settings.defaults
            && let Some(script) = &defaults.user_data_file
        {
            defaults.user_data = read_file("defaults.userDataFile", script)?;
        }
        Ok(settings)
    }

    /// Reads and checks the text of a settings file.
    ///
    /// # Errors
    /// Names the key.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = serde_saphyr::from_str(text)
            .map_err(|error| SettingsError::Form { file: PathBuf::new(), why: error.to_string() })?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let wrong =
            |key: &str, why: &str| Err(SettingsError::Value { key: key.to_owned(), why: why.to_owned() });
        if !is_name(&self.region) {
            return wrong("region", "name an AWS Region, such as eu-central-1");
        }
        if let Some(endpoint) = &self.endpoint
            && !(endpoint.starts_with("https://") || endpoint.starts_with("http://"))
        {
            return wrong("endpoint", "give a URL that starts with https:// or http://");
        }
        if let Some(account) = &self.account_id
            && !(account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
        {
            return wrong("accountID", "give the twelve digits of an AWS account, in quotes");
        }
        if self.replicas == 0 {
            return wrong("replicas", "at least one process runs: this one");
        }
        if !(self.rate_scale > 0.0 && self.rate_scale <= 1_000_000.0) {
            return wrong("rateScale", "give a number above 0, such as 0.5");
        }
        if self.secrets.is_empty() {
            return wrong("secrets", "without a secret nobody can call; give at least one");
        }
        check_secrets("secrets", &self.secrets)?;
        check_secrets("consoleSecrets", &self.console_secrets)?;
        if self.allow.volume_max_gib.0 < 1 {
            return wrong("allow.volumeMaxGiB", "the smallest volume has 1 GiB");
        }
        for (list, values) in [
            ("amis", &self.allow.amis),
            ("instanceTypes", &self.allow.instance_types),
            ("subnets", &self.allow.subnets),
            ("securityGroups", &self.allow.security_groups),
        ] {
            if let Some(bad) = values.iter().find(|value| !is_name(value)) {
                let why = format!("{bad:?} is not a full name; nothing stands for others");
                return wrong(&format!("allow.{list}"), &why);
            }
        }
        if let Some(defaults) = &self.defaults {
            let launch = defaults.launch();
            if let Err(fault) = super::allow::check(&launch, &self.allow) {
                return wrong("defaults", &fault.error);
            }
        }
        Ok(())
    }

    /// How much of the published rates this process may use.
    pub fn share(&self) -> f64 {
        self.rate_scale / f64::from(self.replicas)
    }
}

fn check_secrets(list: &str, sources: &[SecretSource]) -> Result<(), SettingsError> {
    for (index, source) in sources.iter().enumerate() {
        let wrong = |key: &str, why: &str| {
            Err(SettingsError::Value { key: format!("{list}[{index}].{key}"), why: why.to_owned() })
        };
        if source.name.is_empty() {
            return wrong("name", "give a name for the log");
        }
        if source.cluster_ids.is_empty() {
            return wrong("clusterIDs", "name at least one cluster that this secret may act for");
        }
        if let Some(bad) = source.cluster_ids.iter().find(|id| !super::parse::is_cluster_id(id)) {
            return wrong(
                "clusterIDs",
                &format!("{bad:?} cannot be a cluster id: use 1 to 128 of a-z, A-Z, 0-9, . _ : -"),
            );
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn read_file(key: &str, file: &Path) -> Result<String, SettingsError> {
    std::fs::read_to_string(file).map_err(|source| SettingsError::File {
        key: key.to_owned(),
        file: file.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LEAST: &str = "region: eu-central-1\nsecrets: [{name: prod, file: /s, clusterIDs: [c1]}]\n";

    #[test]
    fn the_least_settings_deny_everything_and_have_the_documented_defaults() {
        let settings = Settings::parse(LEAST).unwrap();
        assert!(settings.allow.amis.is_empty() && settings.defaults.is_none());
        assert!(!settings.legacy_env_in_user_data);
        assert_eq!(settings.allow.volume_max_gib, VolumeMax(1_024));
        assert_eq!(settings.periods.wait_max, Duration::from_secs(30));
        assert!((settings.share() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn everything_can_be_set() {
        let text = format!(
            "{LEAST}{}",
            r#"
endpoint: http://127.0.0.1:1
accountID: "123456789012"
replicas: 2
rateScale: 0.5
consoleSecrets: [{name: ops, file: /c, clusterIDs: [c1, c2]}]
adminTokenFile: /a
allow:
  amis: [ami-1]
  instanceTypes: [t3.small]
  subnets: [subnet-1]
  securityGroups: [sg-1]
  instanceProfiles: [box]
  kmsKeys: [alias/a]
  volumeMaxGiB: 50
defaults:
  amiID: ami-1
  instanceType: t3.small
  subnetID: subnet-1
  securityGroupIDs: [sg-1]
  instanceProfileName: box
  rootVolumeGiB: 20
  tags: {team: a}
legacyEnvInUserData: true
periods: {visibilityWindow: 5s, waitMax: 1s, callDeadline: 250ms}
"#
        );
        let settings = Settings::parse(&text).unwrap();
        assert_eq!(settings.defaults.as_ref().unwrap().launch().root_volume.size_gib, 20);
        assert_eq!(settings.periods.call_deadline, Duration::from_millis(250));
        assert!((settings.share() - 0.25).abs() < 1e-9);
    }

    #[test]
    fn an_error_names_the_key() {
        for (text, named) in [
            ("secrets: []", "region"),
            ("region: a\nsecrets: []", "secrets"),
            ("region: \"\"\nsecrets: [{name: a, file: /s, clusterIDs: [c]}]", "region"),
            ("region: a\nsecrets: [{name: a, file: /s, clusterIDs: []}]", "secrets[0].clusterIDs"),
            ("region: a\nsecrets: [{name: a, file: /s, clusterIDs: [\"c*\"]}]", "secrets[0].clusterIDs"),
            ("region: a\nsecrets: [{name: a, file: /s}]", "clusterIDs"),
            ("region: a\nsecrets: [{name: \"\", file: /s, clusterIDs: [c]}]", "secrets[0].name"),
            (&format!("{LEAST}regoin: a"), "regoin"),
            (&format!("{LEAST}endpoint: localhost"), "endpoint"),
            (&format!("{LEAST}accountID: \"12\""), "accountID"),
            (&format!("{LEAST}replicas: 0"), "replicas"),
            (&format!("{LEAST}rateScale: 0"), "rateScale"),
            (&format!("{LEAST}rateScale: .nan"), "rateScale"),
            (&format!("{LEAST}allow: {{amis: [\"*\"]}}"), "allow.amis"),
            (&format!("{LEAST}allow: {{volumeMaxGiB: 0}}"), "allow.volumeMaxGiB"),
            (&format!("{LEAST}allow: {{ami: []}}"), "ami"),
            (&format!("{LEAST}periods: {{waitMax: 30}}"), "30s"),
            (
                &format!(
                    "{LEAST}defaults: {{amiID: ami-1, instanceType: t, subnetID: s, securityGroupIDs: []}}"
                ),
                "ami_id",
            ),
        ] {
            let error = Settings::parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}\n{error}\ndoes not name {named}");
        }
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = Settings::read(Path::new("/nowhere/x.yaml")).unwrap_err().to_string();
        assert!(error.contains("--settings /nowhere/x.yaml"), "{error}");
    }
}
