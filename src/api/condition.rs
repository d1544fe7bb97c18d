//! Condition types and reasons: every word that a status can say, with its meaning and what to do about it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use std::fmt;

/// The types of condition, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The spec can be carried out as it is.
    Accepted,
    /// BackendConfig: the backend answered.
    Reachable,
    /// BackendConfig: the registry hears the agents.
    RegistryHealthy,
    /// Workspace: the chosen or recorded backend answers.
    BackendReady,
    /// Workspace: the box exists and runs.
    InstanceLaunched,
    /// Workspace: the box has its files and its agent started.
    Bootstrapped,
    /// Workspace: the agent registered and its heartbeats are fresh.
    AgentConnected,
    /// Team: the children match the spec.
    Expanded,
    /// Team: every member is ready.
    MembersReady,
    /// All of the above.
    Ready,
    /// Workspace: the box was made from the current platform settings.
    UpToDate,
    /// Workspace: a diagnosis is attached. Present only then.
    Diagnosed,
    /// Stopped on request. Present only then.
    Suspended,
    /// On its way out. Present only then.
    Deleting,
    /// kstatus: on its way. Absent when all is well.
    Reconciling,
    /// kstatus: a person must change something. Absent when all is well.
    Stalled,
}

impl ConditionType {
    /// The word in `status.conditions[].type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Reachable => "Reachable",
            Self::RegistryHealthy => "RegistryHealthy",
            Self::BackendReady => "BackendReady",
            Self::InstanceLaunched => "InstanceLaunched",
            Self::Bootstrapped => "Bootstrapped",
            Self::AgentConnected => "AgentConnected",
            Self::Expanded => "Expanded",
            Self::MembersReady => "MembersReady",
            Self::Ready => "Ready",
            Self::UpToDate => "UpToDate",
            Self::Diagnosed => "Diagnosed",
            Self::Suspended => "Suspended",
            Self::Deleting => "Deleting",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told.
    Unknown,
}

impl Status {
    /// The word in `status.conditions[].status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a cause means to tools that wait: kstatus's two abnormal conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is wrong.
    Fine,
    /// The operator is at work, or repairs by itself.
    Reconciling,
    /// Another object may be on its way: Reconciling for 120 s, then Stalled.
    Awaiting,
    /// A person must change something.
    Stalled,
}

macro_rules! reasons {
    ($($name:ident $progress:ident $meaning:literal $fix:literal)*) => {
        /// Every reason that a condition can carry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $meaning] $name,)*
        }

        impl Reason {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The word in `status.conditions[].reason`.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name),)* }
            }

            /// What it means to tools that wait.
            pub fn progress(self) -> Progress {
                match self { $(Reason::$name => Progress::$progress,)* }
            }

            /// What was observed, in general terms.
            pub fn meaning(self) -> &'static str {
                match self { $(Reason::$name => $meaning,)* }
            }

            /// What a person can do; empty where there is nothing to do.
            pub fn fix(self) -> &'static str {
                match self { $(Reason::$name => $fix,)* }
            }
        }
    };
}

reasons! {
    // All is well.
    Accepted Fine "The spec can be carried out." ""
    Reachable Fine "The backend answered." ""
    Running Fine "The box exists and runs." ""
    Bootstrapped Fine "The agent made an authenticated call." ""
    Connected Fine "The agent registered, or its heartbeat was accepted, and heartbeats are fresh." ""
    Expanded Fine "There is one Workspace for each member, and it matches the spec." ""
    AllReady Fine "Every member is ready." ""
    Ready Fine "Everything above holds." ""
    UpToDate Fine "The box was made from the current platform settings." ""
    Healthy Fine "Agents are heard." ""

    // Accepted
    UnknownRuntime Stalled "The runtime is not in the BackendConfig." "Use one of the runtimes that the message names, or add this one to BackendConfig spec.runtimes."
    TierNotAllowed Stalled "The platform's policy does not allow this tier here." "Use an allowed tier, or add this one to BackendConfig spec.policy.tiers."
    NotAllowedHere Stalled "The platform's policy does not allow Workspaces, or this reference, in this namespace." "Move it to an allowed namespace, or change BackendConfig spec.policy.allowedNamespaces."
    QuotaExceeded Stalled "As many Workspaces as the platform allows already have a box." "Delete others, or raise the limit that the message names."
    ReferenceNotFound Awaiting "A Secret, ConfigMap or Workspace that the spec refers to does not exist." "Create the object that the message names; the Workspace goes on by itself."
    ReferenceUnreadable Reconciling "A Secret, ConfigMap or Workspace that the spec refers to could not be read; the operator tries again." "If it lasts, check the operator's permissions against the API server's words in the message."
    MissingEnv Stalled "A required environment variable is not set." "Set one of the variables that the message names, in env or in a Secret of envFrom."
    StorageNotSupported Stalled "The storage that is asked for cannot be provided here." "Delete the Workspace and make it again with other storage."
    InvalidSpec Stalled "The spec contradicts itself." "Change the field that the message names."
    InUse Stalled "The change would cut off boxes that run." "Undo the change, or delete the Workspaces that run there first; until then the former endpoint serves."

    // BackendReady, Reachable
    NoBackend Awaiting "There is no BackendConfig of the name that the operator reads." "Create the BackendConfig that the message names."
    BackendNotReady Awaiting "The BackendConfig is there, but was not accepted or not yet looked at." "See the conditions of the BackendConfig."
    DockerUnreachable Reconciling "The Docker engine did not answer." "Start the engine, or correct the address in BackendConfig spec.docker.hosts."
    ControlPlaneUnreachable Reconciling "The EC2 control plane did not answer." "Start the control plane, or correct the URL in BackendConfig spec.ec2.controlPlane."
    Unauthorized Stalled "The backend refused our credentials." "Correct the credentials that the BackendConfig refers to, or permit what the message names."
    WrongBackend Stalled "Another engine answers at this address than the one the box was launched on." "Bring the recorded engine back, or, if it is gone for good, annotate the Workspace with atelier.dev/forget-instance."
    TokenKeyMissing Stalled "The Secret with the key for agents' tokens is gone while boxes use it." "Restore the Secret that the message names."

    // InstanceLaunched
    WaitingForSlot Reconciling "The Team's maxConcurrentLaunches other members are launching." ""
    PullingImage Reconciling "The engine pulls the image." ""
    ImageNotFound Stalled "The image is not on the engine and could not be pulled." "Correct the runtime's image in the BackendConfig, or load the image on the engine."
    Launching Reconciling "The launch is recorded and the box is being made." ""
    InsufficientCapacity Reconciling "EC2 has no capacity now for any of the instance types and subnets that the platform offers." "Add instance types or subnets to BackendConfig spec.ec2, or wait: all are tried again."
    VcpuLimitExceeded Stalled "The AWS account's vCPU limit does not let another instance start." "Ask AWS for a higher limit (Service Quotas, EC2), or end instances; it is tried again by itself."
    Throttled Reconciling "EC2 takes no more calls for the moment." ""
    LaunchDenied Stalled "AWS or the control plane's own rules did not permit the launch." "Permit what the message names, in the control plane's IAM policy or settings; it is tried again by itself."
    SubnetFull Reconciling "The subnet has no free address." "Add subnets to BackendConfig spec.ec2.subnetIDs, or free addresses."
    SpotInterrupted Reconciling "AWS took the spot instance back." ""
    InvalidRequest Stalled "The backend refused the request." "Change what the message names."
    NameTaken Stalled "A container, volume or network of the box's name exists and is not ours." "Remove or rename what the message names."
    LaunchFailed Reconciling "The backend answered with an error; the operator tries again." "If it lasts, see the backend's own log."
    InstanceGone Reconciling "The box is gone; another is launched." ""
    InstanceStopped Reconciling "The box was stopped from outside; it is started again." ""
    Suspended Fine "Stopped on request; volumes are kept." "Set spec.suspend to false to go on."
    Paused Stalled "The annotation atelier.dev/paused is \"true\": the operator keeps its hands off." "Remove the annotation."

    // Bootstrapped
    Booting Reconciling "The box runs and its agent has not connected yet." ""
    BootFailed Reconciling "The box reported that a boot stage failed." "See the stage and its output in the message."
    BootTimeout Reconciling "No authenticated call came within the runtime's boot timeout." "See the log tail; check that the image runs an agent and that the box can reach the registry's URL."
    ContainerExited Reconciling "The container exited." "See the exit code and the log tail."
    OOMKilled Reconciling "The kernel killed the container: it used more memory than its tier has." "Use a larger tier, or make the agent use less."
    CrashLoop Reconciling "The container keeps exiting; the operator starts it again with growing pauses." "See the exit code and the log tail; correct the command, the image or the environment."

    // AgentConnected
    NeverRegistered Stalled "The box made authenticated calls, but neither a registration nor a heartbeat." "See what the box did say; check the agent's log and its contract with the registry."
    RegistrationRejected Stalled "The agent's registration was refused." "Correct what the message names in the agent."
    HeartbeatLost Reconciling "The agent was connected and has been silent for longer than the TTL." "See the agent's log; restart it with spec.restartedAt if it hangs."
    AgentWedged Reconciling "The agent says that it is wedged, or half of its calls fail." "See the sample error; restart it with spec.restartedAt if it does not recover."

    // UpToDate
    ImageChanged Fine "The runtime's image in the BackendConfig is another than the box runs." "Restart the Workspace, or set BackendConfig spec.policy.rollout.maxUnavailable."
    PlatformChanged Fine "Platform settings changed since the box was made." "Restart the Workspace, or set BackendConfig spec.policy.rollout.maxUnavailable."

    // Deleting
    Deleting Reconciling "The object is being deleted." ""
    WaitingForBackend Reconciling "The object is being deleted, and the backend that has its box does not answer." "Bring the backend back, or, if it is gone for good, annotate the Workspace with atelier.dev/forget-instance."
    WaitingForWorkspaces Reconciling "The BackendConfig is being deleted, and Workspaces still use it." "Delete the Workspaces first."

    // Team
    ReportingCycle Stalled "Members report to each other in a circle." "Break the circle that the message names."
    UnknownReportsTo Stalled "A member reports to one that is not in the Team." "Correct reportsTo, or add the member."
    MissingRuntime Stalled "Neither the member nor the defaults name a runtime." "Set runtime in the member or in spec.defaults."
    NameConflict Stalled "A Workspace of a child's name exists and belongs to somebody else." "Rename the member or the Team, or delete the other Workspace."
    WaitingForTermination Reconciling "A child of an earlier Team of this name is still terminating." ""
    ApplyFailed Reconciling "A child could not be applied; the operator tries again." "See the API server's words in the message."
    ChildRejected Stalled "The API server refused a child." "Change what the API server's words in the message name."
    NotYetSeen Reconciling "The operator has not looked at a member's Workspace since it was made or changed." ""
    MembersNotReady Reconciling "Some members are not ready." "See the members that the message names."
    MembersStalled Stalled "A member cannot go on without a person." "See the members that the message names."

    // RegistryHealthy
    TooManySilent Reconciling "Too many agents fell silent at once; the fault is likely ours or the network's." "Check that boxes can reach the registry's URL."
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Reason {
    /// The reason of this name, if it is one of ours.
    pub fn parse(word: &str) -> Option<Reason> {
        Self::ALL.iter().copied().find(|r| r.as_str() == word)
    }

    /// What a person can do, where a message with this reason does not say it itself.
    pub fn fix_beyond(self, message: &str) -> Option<&'static str> {
        // These messages always end with what to create.
        let says_so = matches!(self, Self::NoBackend | Self::ReferenceNotFound);
        Some(self.fix()).filter(|fix| !fix.is_empty() && !says_so && !message.contains(fix))
    }
}

/// The longest message that a condition carries, in bytes.
pub const MESSAGE_MAX_BYTES: usize = 4096;

/// The conditions of one object while they are put together.
///
/// Times are kept: `lastTransitionTime` of a condition changes only when its status does.
#[derive(Clone, Debug)]
pub struct Conditions<'a> {
    previous: &'a [Condition],
    generation: i64,
    now: Timestamp,
    next: Vec<(ConditionType, Condition)>,
}

impl<'a> Conditions<'a> {
    /// Starts anew: what is not set again is dropped.
    pub fn new(previous: &'a [Condition], generation: i64, now: Timestamp) -> Self {
        Self { previous, generation, now, next: Vec::new() }
    }

    /// Says one condition. The last word on a type counts.
    pub fn set(&mut self, type_: ConditionType, status: Status, reason: Reason, message: impl Into<String>) {
        let message = truncate(message.into(), MESSAGE_MAX_BYTES);
        let since = find(self.previous, type_)
            .filter(|p| p.status == status.as_str())
            .map_or(Time(self.now), |p| p.last_transition_time.clone());
        let condition = Condition {
            type_: type_.as_str().into(),
            status: status.as_str().into(),
            reason: reason.as_str().into(),
            message,
            observed_generation: Some(self.generation),
            last_transition_time: since,
        };
        self.next.retain(|(t, _)| *t != type_);
        self.next.push((type_, condition));
    }

    /// What was said of a type so far.
    pub fn get(&self, type_: ConditionType) -> Option<&Condition> {
        self.next.iter().find(|(t, _)| *t == type_).map(|(_, c)| c)
    }

    /// The conditions in the order in which they are shown.
    pub fn finish(mut self) -> Vec<Condition> {
        self.next.sort_by_key(|(t, _)| *t);
        self.next.into_iter().map(|(_, c)| c).collect()
    }
}

/// The condition of a type, if it is there.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == type_.as_str())
}

/// Whether a condition is there and True.
pub fn is_true(conditions: &[Condition], type_: ConditionType) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == Status::True.as_str())
}

/// Cuts a text to so many bytes, at a character, and shows that it was cut.
pub fn truncate(mut text: String, max_bytes: usize) -> String {
    const MARK: &str = "…";
    if text.len() > max_bytes {
        let cut = text.floor_char_boundary(max_bytes.saturating_sub(MARK.len()));
        text.truncate(cut);
        text.push_str(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let mut first = Conditions::new(&[], 1, at(10));
        first.set(ConditionType::Ready, Status::False, Reason::Booting, "boots");
        let first = first.finish();
        let mut second = Conditions::new(&first, 2, at(20));
        second.set(ConditionType::Ready, Status::False, Reason::BootTimeout, "too slow");
        let second = second.finish();
        assert_eq!(second[0].last_transition_time.0, at(10));
        let mut third = Conditions::new(&second, 2, at(30));
        third.set(ConditionType::Ready, Status::True, Reason::Ready, "");
        assert_eq!(third.finish()[0].last_transition_time.0, at(30));
    }

    #[test]
    fn what_a_person_must_mend_says_how() {
        for reason in Reason::ALL {
            if matches!(reason.progress(), Progress::Stalled | Progress::Awaiting) {
                assert!(!reason.fix().is_empty(), "{reason} is a person's to mend and does not say how");
            }
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        }
    }

    /// `docs/troubleshooting.md` has a section for each reason that is not simply good news, in the words above.
    #[test]
    fn the_documents_explain_every_reason() {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md")).unwrap();
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let sections: BTreeMap<&str, String> = text
            .split("\n## ")
            .flat_map(|chapter| chapter.split("\n### ").skip(1))
            .filter_map(|section| section.split_once('\n'))
            .map(|(title, body)| (title, one_line(body)))
            .collect();
        for reason in Reason::ALL {
            let (meaning, fix) = (reason.meaning(), reason.fix());
            let Some(section) = sections.get(reason.as_str()) else {
                let is_row =
                    |line: &str| line.starts_with(&format!("| `{reason}` |")) && line.contains(meaning);
                assert!(
                    text.lines().any(is_row),
                    "docs/troubleshooting.md says nothing of {reason}: {meaning}"
                );
                continue;
            };
            assert!(section.contains(&format!("**Means.** {meaning}")), "{reason} means: {meaning}");
            assert!(
                fix.is_empty() || section.contains(&format!("**Fix.** {fix}")),
                "{reason} is mended so: {fix}"
            );
            assert!(section.contains("**Who.** "), "docs/troubleshooting.md does not say who mends {reason}");
        }
        for title in sections.keys().filter(|title| !title.contains(' ')) {
            assert!(
                Reason::parse(title).is_some(),
                "docs/troubleshooting.md explains {title}, which nothing says"
            );
        }
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(truncate("äöü".into(), 5), "ä…");
        assert_eq!(truncate("abc".into(), 3), "abc");
    }
}
