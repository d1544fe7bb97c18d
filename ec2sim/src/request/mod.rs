//! A request, parsed once: the action with its typed parameters.

pub mod describe;
pub mod launch;
pub mod tags;
pub mod volume;

use crate::action::Action;
use crate::error::ApiError;
use crate::ids::{self, Kind};
use crate::query::Query;
use describe::Describe;
use launch::Launch;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use tags::{TagEdit, Tags};
use volume::{Attach, Detach, NewVolume};

/// Most resources that one call may name.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html>
const IDS_MAX: usize = 1_000;

/// A request that could be read.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which action.
    pub action: Action,
    /// Whether it is only to be said that it would be done.
    pub dry_run: bool,
    /// What to do.
    pub call: Call,
    /// SHA-256 over all parameters that make two calls with one token the same call.
    pub fingerprint: String,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Call {
    /// `RunInstances`
    Run(Box<Launch>),
    /// One of the `Describe…` actions; which one is the request's action.
    Describe(Describe),
    /// `TerminateInstances`
    Terminate(Vec<String>),
    /// `StopInstances`
    Stop(Vec<String>),
    /// `StartInstances`
    Start(Vec<String>),
    /// `GetConsoleOutput`
    Console {
        /// Of which instance.
        id: String,
        /// Also what was not posted yet.
        latest: bool,
    },
    /// `CreateVolume`
    CreateVolume(NewVolume),
    /// `AttachVolume`
    Attach(Attach),
    /// `DetachVolume`
    Detach(Detach),
    /// `DeleteVolume`
    DeleteVolume(String),
    /// `CreateTags`
    CreateTags {
        /// On what.
        resources: Vec<String>,
        /// Which.
        tags: Tags,
    },
    /// `DeleteTags`
    DeleteTags {
        /// On what.
        resources: Vec<String>,
        /// Which, and of what value; none: all.
        tags: Vec<TagEdit>,
    },
    /// `DeleteNetworkInterface`
    DeleteInterface(String),
    /// `GetCallerIdentity`
    CallerIdentity,
}

/// What is written down of a request's parameters: all but the user-data itself.
pub type Logged = BTreeMap<String, String>;

/// The action that a form names, if it names a known one.
pub fn action_of(query: &mut Query) -> Result<Action, ApiError> {
    let name = query
        .text("Action")
        .ok_or_else(|| ApiError::new("MissingAction", "The request must contain the parameter Action"))?;
    let action = Action::parse(&name).ok_or_else(|| {
        ApiError::new("InvalidAction", format!("The action {name} is not valid for this web service."))
    })?;
    let version = query.required("Version")?;
    let served = if action == Action::GetCallerIdentity { "2011-06-15" } else { "2016-11-15" };
    if version == served {
        Ok(action)
    } else {
        Err(ApiError::new(
            "NoSuchVersion",
            format!("The requested version ({version}) of service AmazonEC2 does not exist"),
        ))
    }
}

/// Parameters as they may be shown: of user-data only length and SHA-256.
pub fn logged(query: &Query) -> Logged {
    let mut shown = query.params().clone();
    shown.remove("Version");
    shown.remove("Action");
    if let Some(encoded) = shown.remove("UserData") {
        let raw = launch::decode_user_data(&encoded).unwrap_or_else(|_| encoded.into_bytes());
        shown.insert("UserData.Bytes".into(), raw.len().to_string());
        shown.insert("UserData.SHA256".into(), sha256(&raw));
    }
    shown
}

impl Request {
    /// Reads the parameters of this action. All of them must be known.
    pub fn parse(action: Action, mut query: Query) -> Result<Self, ApiError> {
        let dry_run = query.flag("DryRun")?.unwrap_or_default();
        let fingerprint = fingerprint(&query);
        let call = match action {
            Action::RunInstances => Call::Run(Box::new(Launch::parse(&mut query)?)),
            Action::DescribeInstances
            | Action::DescribeVolumes
            | Action::DescribeNetworkInterfaces
            | Action::DescribeSubnets
            | Action::DescribeImages
            | Action::DescribeAvailabilityZones
            | Action::DescribeInstanceTypes => Call::Describe(Describe::parse(action, &mut query)?),
            Action::TerminateInstances => {
                // Neither changes what the simulator does.
                query.flag("Force")?;
                query.flag("SkipOsShutdown")?;
                Call::Terminate(instances(&mut query)?)
            }
            Action::StopInstances => {
                query.flag("Force")?;
                query.flag("SkipOsShutdown")?;
                Call::Stop(instances(&mut query)?)
            }
            Action::StartInstances => Call::Start(instances(&mut query)?),
            Action::GetConsoleOutput => {
                let id = query.required("InstanceId")?;
                ids::check(Kind::Instance, &id)?;
                Call::Console { id, latest: query.flag("Latest")?.unwrap_or_default() }
            }
            Action::CreateVolume => Call::CreateVolume(NewVolume::parse(&mut query)?),
            Action::AttachVolume => Call::Attach(Attach::parse(&mut query)?),
            Action::DetachVolume => Call::Detach(Detach::parse(&mut query)?),
            Action::DeleteVolume => {
                let id = query.required("VolumeId")?;
                ids::check(Kind::Volume, &id)?;
                Call::DeleteVolume(id)
            }
            Action::CreateTags => {
                Call::CreateTags { resources: resources(&mut query)?, tags: tags::parse(&mut query)? }
            }
            Action::DeleteTags => {
                Call::DeleteTags { resources: resources(&mut query)?, tags: tags::parse_edits(&mut query)? }
            }
            Action::DeleteNetworkInterface => {
                let id = query.required("NetworkInterfaceId")?;
                ids::check(Kind::NetworkInterface, &id)?;
                Call::DeleteInterface(id)
            }
            Action::GetCallerIdentity => Call::CallerIdentity,
        };
        query.finish()?;
        Ok(Self { action, dry_run, call, fingerprint })
    }

    /// How many instances the call is about: the unit of the resource buckets.
    pub fn instances(&self) -> usize {
        match &self.call {
            Call::Run(_) => 1,
            Call::Terminate(ids) | Call::Stop(ids) | Call::Start(ids) => ids.len(),
            _ => 0,
        }
    }
}

/// A SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a token may be one.
///
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>
fn client_token(query: &mut Query) -> Result<Option<String>, ApiError> {
    let token = query.text("ClientToken");
    match &token {
        Some(token) if token.len() > 64 || !token.is_ascii() => {
            Err(ApiError::value("Value for parameter ClientToken is invalid. At most 64 ASCII characters"))
        }
        _ => Ok(token),
    }
}

fn instances(query: &mut Query) -> Result<Vec<String>, ApiError> {
    let ids = query.list("InstanceId");
    if ids.is_empty() {
        return Err(ApiError::missing("InstanceId"));
    }
    within(ids.len())?;
    ids.iter().try_for_each(|id| ids::check(Kind::Instance, id))?;
    Ok(ids)
}

fn resources(query: &mut Query) -> Result<Vec<String>, ApiError> {
    let ids = query.list("ResourceId");
    if ids.is_empty() {
        return Err(ApiError::missing("ResourceId"));
    }
    within(ids.len())?;
    for id in &ids {
        let kind =
            Kind::of(id).ok_or_else(|| ApiError::new("InvalidID", format!("The ID '{id}' is not valid")))?;
        ids::check(kind, id)?;
    }
    Ok(ids)
}

fn within(count: usize) -> Result<(), ApiError> {
    if count <= IDS_MAX {
        Ok(())
    } else {
        Err(ApiError::new(
            "RequestResourceCountExceeded",
            format!("The request names {count} resources; at most {IDS_MAX} are allowed in a single call"),
        ))
    }
}

fn fingerprint(query: &Query) -> String {
    let mut text = String::new();
    for (name, value) in query.params().iter().filter(|(name, _)| *name != "ClientToken") {
        // Lengths keep two neighbours from being read as one.
        // Writing into a String cannot fail.
        let _ = write!(text, "{}:{name}={}:{value};", name.len(), value.len());
    }
    sha256(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(form: &str) -> Result<Request, ApiError> {
        let mut query = Query::parse(form.as_bytes());
        let action = action_of(&mut query)?;
        Request::parse(action, query)
    }

    const RUN: &str = "Action=RunInstances&Version=2016-11-15&ImageId=ami-0a7e11e7000000001&MinCount=1&\
                       MaxCount=1&InstanceType=t3.medium";

    #[test]
    fn the_token_is_no_part_of_what_must_agree_and_all_else_is() {
        let print = |more: &str| parse(&format!("{RUN}{more}")).unwrap().fingerprint;
        assert_eq!(print("&ClientToken=a"), print("&ClientToken=b"));
        assert_ne!(print(""), print("&UserData=YQ%3D%3D"));
        assert_ne!(print("&UserData=Yg%3D%3D"), print("&UserData=YQ%3D%3D"));
    }

    #[test]
    fn an_unknown_action_version_or_parameter_is_refused() {
        for (form, code) in [
            ("", "MissingAction"),
            ("Action=Dance&Version=2016-11-15", "InvalidAction"),
            ("Action=DescribeInstances", "MissingParameter"),
            ("Action=DescribeInstances&Version=2012-01-01", "NoSuchVersion"),
            ("Action=DescribeInstances&Version=2016-11-15&Colour=red", "UnknownParameter"),
            ("Action=TerminateInstances&Version=2016-11-15", "MissingParameter"),
            ("Action=TerminateInstances&Version=2016-11-15&InstanceId.1=x", "InvalidInstanceID.Malformed"),
            ("Action=DeleteTags&Version=2016-11-15&ResourceId.1=sg-1", "InvalidID"),
        ] {
            assert_eq!(parse(form).unwrap_err().code, code, "{form}");
        }
    }

    #[test]
    fn a_call_names_a_thousand_instances_and_no_more() {
        let form = |n: usize| {
            (1..=n).fold("Action=TerminateInstances&Version=2016-11-15".to_owned(), |form, i| {
                format!("{form}&InstanceId.{i}=i-{i:017x}")
            })
        };
        assert_eq!(parse(&form(1_000)).unwrap().instances(), 1_000);
        assert_eq!(parse(&form(1_001)).unwrap_err().code, "RequestResourceCountExceeded");
    }

    #[test]
    fn user_data_is_never_logged() {
        let query = Query::parse(b"Action=RunInstances&UserData=c2VjcmV0");
        let shown = logged(&query);
        assert_eq!(shown["UserData.Bytes"], "6");
        assert_eq!(shown["UserData.SHA256"], sha256(b"secret"));
        assert!(!format!("{shown:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn a_token_is_short_and_ascii() {
        for token in ["x".repeat(65), "%C3%A4".to_owned()] {
            let error = parse(&format!("{RUN}&ClientToken={token}")).unwrap_err();
            assert_eq!(error.code, "InvalidParameterValue", "{token}");
        }
        parse(&format!("{RUN}&ClientToken={}", "x".repeat(64))).unwrap();
    }
}
