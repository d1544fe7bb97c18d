use super::*;
use crate::api::Workspace;
use crate::api::condition::{find, is_true};
use crate::team::child::body;
use crate::team::fixtures::{made, says, team, wanted};
use crate::team::plan::Apply;
use crate::team::rollup::roll_up;
use crate::team::validate::validate;
use ConditionType::{
    Accepted, AgentConnected, Expanded, MembersReady, Ready, Reconciling, Stalled, Suspended,
};
use proptest::prelude::*;

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn child(member: &str) -> Workspace {
    let team = team(&["a", "b", "c", "d", "e"]);
    let wanted = wanted(&team);
    made(&body(&team, wanted.iter().find(|child| child.member == member).unwrap(), None))
}

fn ready(member: &str) -> Workspace {
    says(child(member), &[(Ready, Status::True, Reason::Ready, "up")])
}

fn failing(member: &str, reason: Reason, message: &str) -> Workspace {
    let kind = if reason.progress() == Progress::Stalled { Stalled } else { Reconciling };
    says(
        child(member),
        &[
            (AgentConnected, Status::False, reason, message),
            (Ready, Status::False, reason, message),
            (kind, Status::True, reason, message),
        ],
    )
}

fn stopped(member: &str) -> Workspace {
    let mut ws = child(member);
    ws.spec.suspend = true;
    says(
        ws,
        &[
            (Ready, Status::False, Reason::Suspended, "stopped"),
            (Suspended, Status::True, Reason::Suspended, "stopped"),
        ],
    )
}

fn report(members: &[(&str, Option<Workspace>)], troubles: &[Trouble]) -> TeamStatus {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let rollup = roll_up(members.iter().map(|(name, ws)| (*name, ws.as_ref())), troubles);
    let findings = Findings { accepted: &Ok(()), held_back: None, troubles, leaving: &[], members: &rollup };
    status(&team(&names), &findings, now())
}

fn word(status: &TeamStatus, type_: ConditionType) -> (String, String, String) {
    let condition = find(&status.conditions, type_);
    condition.map(|c| (c.status.clone(), c.reason.clone(), c.message.clone())).unwrap_or_default()
}

fn reason(status: &TeamStatus, type_: ConditionType) -> String {
    word(status, type_).1
}

#[test]
fn all_ready_is_ready_and_nothing_else() {
    let status = report(&[("a", Some(ready("a"))), ("b", Some(ready("b")))], &[]);
    let types: Vec<&str> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
    assert_eq!(types, ["Accepted", "Expanded", "MembersReady", "Ready"]);
    assert!(status.conditions.iter().all(|c| c.status == "True" && c.observed_generation == Some(3)));
    assert_eq!((status.ready_summary.as_deref(), status.observed_generation), (Some("2/2"), 3));
}

#[test]
fn the_worst_three_are_named_with_reason_and_box() {
    let mut lost = failing("b", Reason::HeartbeatLost, "silent for 200 s");
    lost.status.as_mut().unwrap().instance_id = Some("0123456789abcdef".repeat(4));
    let status = report(
        &[
            ("a", Some(failing("a", Reason::Booting, "boots"))),
            ("b", Some(lost)),
            ("c", Some(failing("c", Reason::ImageNotFound, "no image x"))),
            ("d", Some(failing("d", Reason::Launching, "launches"))),
            ("e", Some(ready("e"))),
        ],
        &[],
    );
    let (said, reason, message) = word(&status, MembersReady);
    assert_eq!((said.as_str(), reason.as_str()), ("False", "MembersStalled"));
    assert_eq!(
        message,
        "1 of 5 members are ready. c: ImageNotFound: no image x; \
         b: HeartbeatLost, box 0123456789ab: silent for 200 s; a: Booting: boots; and 1 more. \
         Hint: Correct the runtime's image in the BackendConfig, or load the image on the engine. \
         See the agent's log; restart it with spec.restartedAt if it hangs."
    );
    assert_eq!(word(&status, Ready).1, "MembersStalled");
    assert_eq!(word(&status, Stalled).1, "MembersStalled");
    let members = status.members.unwrap();
    let listed: Vec<&str> = members.not_ready.iter().map(|m| m.name.as_str()).collect();
    assert_eq!((members.total, members.ready, listed), (5, 1, vec!["c", "b", "a", "d"]));
    assert_eq!(members.not_ready[1].instance_id, Some("0123456789abcdef".repeat(4)));
}

#[test]
fn what_mends_several_members_is_said_once_and_what_their_messages_say_not_again() {
    let tier = |member| Some(failing(member, Reason::TierNotAllowed, "T4 is not allowed"));
    let status = report(&[("a", tier("a")), ("b", tier("b"))], &[]);
    let (_, _, message) = word(&status, Ready);
    assert_eq!(message.matches(Reason::TierNotAllowed.fix()).count(), 1, "{message}");
    let missing = failing("a", Reason::NoBackend, "there is none: create it");
    let (_, _, message) = word(&report(&[("a", Some(missing))], &[]), Ready);
    assert!(message.ends_with("there is none: create it"), "{message}");
}

#[test]
fn ready_of_an_earlier_generation_does_not_count() {
    let mut changed = ready("a");
    changed.metadata.generation = Some(2);
    let status = report(&[("a", Some(changed)), ("b", Some(child("b"))), ("c", None)], &[]);
    assert_eq!(status.ready_summary.as_deref(), Some("0/3"));
    let members = status.members.unwrap();
    assert!(members.not_ready.iter().all(|m| m.reason == "NotYetSeen"), "{members:?}");
}

#[test]
fn what_was_wrong_with_an_earlier_generation_stalls_nothing() {
    let mut mended = failing("a", Reason::TierNotAllowed, "T4 is not allowed");
    mended.metadata.generation = Some(2);
    let status = report(&[("a", Some(mended))], &[]);
    assert_eq!(
        (reason(&status, Stalled), reason(&status, Reconciling)),
        (String::new(), "MembersNotReady".into())
    );
    assert_eq!(status.members.unwrap().not_ready[0].reason, "NotYetSeen");
}

#[test]
fn a_suspended_team_is_neither_reconciling_nor_stalled() {
    let status = report(&[("a", Some(stopped("a"))), ("b", Some(stopped("b")))], &[]);
    assert_eq!(reason(&status, Ready), "Suspended");
    assert!(is_true(&status.conditions, Suspended));
    assert_eq!((reason(&status, Reconciling), reason(&status, Stalled)), Default::default());
    let one = report(&[("a", Some(stopped("a"))), ("b", Some(ready("b")))], &[]);
    assert_eq!(word(&one, Ready).2, "1 of 2 members are ready; suspended: a");
}

#[test]
fn a_member_that_fails_counts_more_than_one_that_is_suspended() {
    let status =
        report(&[("a", Some(stopped("a"))), ("b", Some(failing("b", Reason::Booting, "boots")))], &[]);
    assert_eq!(reason(&status, Ready), "MembersNotReady");
    assert!(is_true(&status.conditions, Reconciling) && !is_true(&status.conditions, Suspended));
    assert_eq!(status.members.unwrap().suspended, 1);
}

#[test]
fn the_spec_is_judged_before_the_members() {
    let mut broken = team(&["a", "b"]);
    broken.spec.members[0].reports_to = Some("b".into());
    let accepted = validate(&broken.spec);
    let rollup = roll_up([("a", None), ("b", None)].into_iter(), &[]);
    let findings =
        Findings { accepted: &accepted, held_back: None, troubles: &[], leaving: &[], members: &rollup };
    let status = status(&broken, &findings, now());
    assert_eq!(word(&status, Accepted).1, "ReportingCycle");
    assert_eq!(word(&status, Expanded).0, "Unknown");
    assert_eq!(word(&status, Ready).1, "ReportingCycle");
    assert_eq!(word(&status, Stalled).1, "ReportingCycle");
}

#[test]
fn a_conflict_is_told_before_what_mends_itself() {
    let trouble = |member: &str, reason, message: &str| Trouble {
        member: member.into(),
        reason,
        message: message.into(),
    };
    let troubles = [
        trouble("a", Reason::WaitingForTermination, "a leaves"),
        trouble("b", Reason::NameConflict, "b is taken"),
    ];
    let status = report(&[("a", None), ("b", None)], &troubles);
    assert_eq!(
        word(&status, Expanded),
        ("False".into(), "NameConflict".into(), "b is taken; a leaves".into())
    );
    assert_eq!(reason(&status, Stalled), "NameConflict");
    let waits = report(&[("a", None)], &troubles[..1]);
    assert_eq!(reason(&waits, Reconciling), "WaitingForTermination");
}

#[test]
fn a_paused_team_says_what_waits() {
    let team = team(&["a"]);
    let create = body(&team, &wanted(&team)[0], None);
    let apply = Apply { member: "a".into(), name: "studio-a".into(), body: create, existing: None };
    let plan = Plan { applies: vec![vec![apply]], ..Plan::default() };
    let rollup = roll_up([("a", None)].into_iter(), &[]);
    let findings =
        Findings { accepted: &Ok(()), held_back: Some(&plan), troubles: &[], leaving: &[], members: &rollup };
    let status = status(&team, &findings, now());
    assert_eq!((reason(&status, Expanded), reason(&status, Stalled)), ("Paused".into(), "Paused".into()));
    assert!(word(&status, Expanded).2.contains("1 Workspaces to apply and 0 to delete"));
}

#[test]
fn a_team_that_is_deleted_is_on_its_way() {
    let status = deleting(&team(&["a"]), now());
    let types: Vec<&str> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
    assert_eq!(types, ["Ready", "Deleting", "Reconciling"]);
}

#[test]
fn at_most_twenty_are_listed_and_their_words_are_cut() {
    let names: Vec<String> = (0..30).map(|n| format!("m{n}")).collect();
    let long = failing("a", Reason::Booting, &"x".repeat(5000));
    let members: Vec<_> = names.iter().map(|name| (name.as_str(), Some(long.clone()))).collect();
    let status = report(&members, &[]);
    let listed = status.members.as_ref().unwrap();
    assert_eq!((listed.total, listed.not_ready.len()), (30, 20));
    assert!(serde_json::to_string(&status).unwrap().len() < 12 * 1024);
}

/// Every kind of status that a Team has.
#[test]
fn each_status_of_a_team_has_its_health() {
    use crate::api::gitops::Health::{self, Degraded, Healthy, Progressing, Suspended};
    use crate::api::gitops::{Case, assert_committed};
    let case = |name: &str, health: Health, status: TeamStatus| {
        Case::new(name, health, &Team { status: Some(status), ..team(&["a"]) })
    };
    let members = |name: &str, health: Health, members: &[(&str, Option<Workspace>)]| {
        case(name, health, report(members, &[]))
    };
    let refused = |reason: Reason| {
        let rollup = roll_up([("a", None)].into_iter(), &[]);
        let accepted = Err(Invalid { reason, message: "what was found and what to do".into() });
        let findings =
            Findings { accepted: &accepted, held_back: None, troubles: &[], leaving: &[], members: &rollup };
        case(&format!("its spec is judged {reason}"), Degraded, status(&team(&["a"]), &findings, now()))
    };
    let trouble = |reason: Reason, health: Health| {
        let trouble = Trouble { member: "a".into(), reason, message: "why".into() };
        case(&format!("a child meets {reason}"), health, report(&[("a", None)], &[trouble]))
    };
    let with = |held_back: Option<&Plan>, leaving: &[String]| {
        let rollup = roll_up([("a", Some(&ready("a")))].into_iter(), &[]);
        let findings = Findings { accepted: &Ok(()), held_back, troubles: &[], leaving, members: &rollup };
        status(&team(&["a"]), &findings, now())
    };
    let mut deleted = team(&["a"]);
    deleted.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    deleted.status = Some(deleting(&deleted, now()));
    let untouched = TeamStatus { observed_generation: -1, ..TeamStatus::default() };
    let cases = [
        case("nobody has looked at it", Progressing, untouched),
        members("a member was not looked at", Progressing, &[("a", None), ("b", Some(ready("b")))]),
        members("all are ready", Healthy, &[("a", Some(ready("a"))), ("b", Some(ready("b")))]),
        case("all are ready, and a removed one leaves", Healthy, with(None, &["studio-b".into()])),
        case("it is paused with work to do", Degraded, with(Some(&Plan::default()), &[])),
        members("all are suspended", Suspended, &[("a", Some(stopped("a"))), ("b", Some(stopped("b")))]),
        members("one is suspended", Suspended, &[("a", Some(stopped("a"))), ("b", Some(ready("b")))]),
        members(
            "one is suspended and one boots",
            Progressing,
            &[("a", Some(stopped("a"))), ("b", Some(failing("b", Reason::Booting, "boots")))],
        ),
        members(
            "one boots and one cannot go on",
            Degraded,
            &[
                ("a", Some(failing("a", Reason::Booting, "boots"))),
                ("b", Some(failing("b", Reason::MissingEnv, "no key"))),
            ],
        ),
        Case::new("it is deleted", Progressing, &deleted),
        refused(Reason::ReportingCycle),
        refused(Reason::UnknownReportsTo),
        refused(Reason::MissingRuntime),
        trouble(Reason::NameConflict, Degraded),
        trouble(Reason::ChildRejected, Degraded),
        trouble(Reason::WaitingForTermination, Progressing),
        trouble(Reason::ApplyFailed, Progressing),
    ];
    assert_committed("Team", &cases);
}

fn anybody() -> impl Strategy<Value = Option<Workspace>> {
    let reasons = proptest::sample::select(Reason::ALL);
    prop_oneof![
        Just(None),
        Just(Some(child("a"))),
        Just(Some(ready("a"))),
        Just(Some(stopped("a"))),
        reasons.prop_map(|reason| Some(failing("a", reason, "m"))),
    ]
}

fn anything() -> impl Strategy<Value = Vec<Trouble>> {
    let reasons =
        [Reason::NameConflict, Reason::WaitingForTermination, Reason::ApplyFailed, Reason::ChildRejected];
    let trouble = (0..4usize, proptest::sample::select(reasons.to_vec())).prop_map(|(member, reason)| {
        Trouble { member: ["a", "b", "c", "d"][member].into(), reason, message: "m".into() }
    });
    proptest::collection::vec(trouble, 0..3)
}

proptest! {
    /// kstatus: never both, exactly one while Ready is not True (none when only suspended), and Stalled as
    /// soon as anything or anybody needs a person.
    #[test]
    fn exactly_one_verdict(
        members in proptest::collection::vec(anybody(), 1..4),
        troubles in anything(),
        invalid in any::<bool>(),
    ) {
        let names = ["a", "b", "c"];
        let members: Vec<(&str, Option<Workspace>)> = names.into_iter().zip(members).collect();
        let rollup = roll_up(members.iter().map(|(name, ws)| (*name, ws.as_ref())), &troubles);
        let accepted = if invalid {
            Err(Invalid { reason: Reason::ReportingCycle, message: "a -> a".into() })
        } else {
            Ok(())
        };
        let findings = Findings {
            accepted: &accepted, held_back: None, troubles: &troubles, leaving: &[], members: &rollup,
        };
        let said = status(&team(&names), &findings, now());
        let is = |type_| is_true(&said.conditions, type_);
        let all_up = rollup.ready == members.len() && troubles.is_empty() && !invalid;
        prop_assert_eq!(is(Ready), all_up);
        let only_suspended = !invalid && troubles.is_empty() && rollup.not_ready.is_empty() && !all_up;
        prop_assert_eq!(is(Suspended), only_suspended);
        prop_assert_eq!(u8::from(is(Reconciling)) + u8::from(is(Stalled)), u8::from(!all_up && !only_suspended));
        let needs_person = invalid
            || troubles.iter().any(|t| t.reason.progress() == Progress::Stalled)
            || rollup.stalled();
        prop_assert_eq!(is(Stalled), needs_person);
        prop_assert_eq!(rollup.ready + rollup.suspended.len() + rollup.not_ready.len(), members.len());
    }
}
