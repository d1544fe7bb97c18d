use super::*;
use crate::api::names;
use crate::team::fixtures::{foreign, made, team, terminating, wanted};
use proptest::prelude::*;
use serde_json::json;

fn nothing_refused(_: &Apply) -> Option<Trouble> {
    None
}

fn plan_for(team: &Team, found: &[Workspace]) -> Plan {
    let found: Vec<Arc<Workspace>> = found.iter().cloned().map(Arc::new).collect();
    plan(team, &wanted(team), &found, nothing_refused)
}

fn children_of(team: &Team) -> Vec<Workspace> {
    wanted(team).iter().map(|child| made(&body(team, child, None))).collect()
}

fn applied(plan: &Plan) -> Vec<Vec<&str>> {
    plan.applies.iter().map(|level| level.iter().map(|apply| apply.member.as_str()).collect()).collect()
}

fn told(plan: &Plan) -> Vec<(&str, Reason)> {
    plan.troubles.iter().map(|trouble| (trouble.member.as_str(), trouble.reason)).collect()
}

#[test]
fn those_that_others_report_to_come_first() {
    let mut team = team(&["a", "b", "c", "d"]);
    team.spec.members[3].reports_to = Some("c".into());
    assert_eq!(applied(&plan_for(&team, &[])), [vec!["a"], vec!["b", "c"], vec!["d"]]);
}

#[test]
fn nothing_is_done_again() {
    let team = team(&["a", "b"]);
    let plan = plan_for(&team, &children_of(&team));
    assert!(!plan.has_effects(), "{plan:?}");
    assert_eq!(plan, Plan::default());
}

#[test]
fn an_apply_can_only_create_or_only_change_the_very_object() {
    let mut team = team(&["a"]);
    let create = plan_for(&team, &[]).applies[0][0].body.json.clone();
    assert_eq!(create["metadata"]["resourceVersion"], "1");
    assert!(create["metadata"].get("uid").is_none());
    let found = children_of(&team);
    team.spec.members[0].template.model = Some("new".into());
    let change = plan_for(&team, &found).applies[0][0].body.json.clone();
    assert_eq!(change["metadata"]["uid"], "uid-of-studio-a");
    assert!(change["metadata"].get("resourceVersion").is_none());
}

type Edit = fn(&mut Workspace);

#[test]
fn what_a_person_changed_is_seen_and_what_a_person_added_is_theirs() {
    let mut team = team(&["a"]);
    team.spec.members[0].template = serde_json::from_value(json!({
        "model": "m", "env": [{"name": "X", "value": "1"}], "requiredEnv": [{"anyOf": ["X"]}],
        "files": [{"path": "f", "content": "c"}],
    }))
    .unwrap();
    let edits: [(bool, &str, Edit); 12] = [
        (false, "suspend", |ws| ws.spec.suspend = true),
        (false, "restartedAt", |ws| ws.spec.restarted_at = Some("now".into())),
        (false, "a field of nobody", |ws| ws.spec.role = Some("r".into())),
        (false, "another variable", |ws| {
            ws.spec.env.insert(0, serde_json::from_value(json!({"name": "Y"})).unwrap());
        }),
        (false, "another label", |ws| drop(ws.labels_mut().insert("l".into(), "v".into()))),
        (true, "a scalar", |ws| ws.spec.model = Some("n".into())),
        (true, "a scalar taken away", |ws| ws.spec.model = None),
        (true, "a variable", |ws| ws.spec.env[0].value = None),
        (true, "a list", |ws| ws.spec.required_env.clear()),
        (true, "a file taken away", |ws| ws.spec.files.clear()),
        (true, "our label", |ws| drop(ws.labels_mut().remove(names::TEAM))),
        (true, "the hash", |ws| drop(ws.annotations_mut().remove(names::APPLIED_HASH))),
    ];
    for (ours, what, edit) in edits {
        let mut found = children_of(&team);
        edit(&mut found[0]);
        assert_eq!(plan_for(&team, &found).has_effects(), ours, "{what}");
    }
}

#[test]
fn what_the_team_no_longer_says_is_taken_back() {
    let mut team = team(&["a", "b"]);
    team.spec.members[0].template.suspend = Some(true);
    let found = children_of(&team);
    team.spec.members[0].template.suspend = None;
    let plan = plan_for(&team, &found);
    assert_eq!(applied(&plan), [["a"]]);
    assert!(plan.applies[0][0].body.json["spec"].get("suspend").is_none());
}

#[test]
fn a_removed_member_goes_and_no_other_is_touched() {
    let all = children_of(&team(&["a", "b", "c"]));
    let fewer = team(&["a", "c"]);
    let plan = plan_for(&fewer, &all);
    assert_eq!(plan.prunes, [Prune { name: "studio-b".into(), uid: "uid-of-studio-b".into() }]);
    assert!(plan.applies.is_empty());
    let going = [all[0].clone(), terminating(all[1].clone()), all[2].clone()];
    let plan = plan_for(&fewer, &going);
    assert_eq!((plan.prunes.len(), plan.leaving), (0, vec!["studio-b".to_owned()]));
}

#[test]
fn others_workspaces_are_neither_applied_nor_deleted() {
    let team = team(&["a", "b", "c", "d"]);
    let mut unowned = foreign("studio-b", "Team", "x", "x");
    unowned.metadata.owner_references = None;
    let found = [
        foreign("studio-a", "Team", "stu", "other-uid"),
        unowned,
        foreign("studio-c", "Team", "studio", "uid-of-an-earlier-one"),
        // Only the name is that of an earlier Team; it is another kind.
        foreign("studio-d", "Crew", "studio", "other-uid"),
        foreign("studio-gone", "Team", "studio", "uid-of-an-earlier-one"),
    ];
    let plan = plan_for(&team, &found);
    assert!(!plan.has_effects(), "{plan:?}");
    assert_eq!(
        told(&plan),
        [
            ("a", Reason::NameConflict),
            ("b", Reason::NameConflict),
            ("c", Reason::WaitingForTermination),
            ("d", Reason::NameConflict)
        ]
    );
    let message = |at: usize| plan.troubles[at].message.clone();
    assert!(message(0).contains("Workspace studio-a exists and belongs to Team stu:"), "{}", message(0));
    assert!(message(1).contains("belongs to no Team"), "{}", message(1));
    assert!(message(3).contains("belongs to Crew studio"), "{}", message(3));
}

#[test]
fn a_child_on_its_way_out_is_waited_for() {
    let team = team(&["a"]);
    let own = terminating(children_of(&team).remove(0));
    let others = terminating(foreign("studio-a", "Team", "stu", "other-uid"));
    for found in [own, others] {
        let plan = plan_for(&team, &[found]);
        assert!(!plan.has_effects(), "{plan:?}");
        assert_eq!(told(&plan), [("a", Reason::WaitingForTermination)]);
    }
}

#[test]
fn what_was_refused_lately_is_told_and_not_sent_again() {
    let team = team(&["a", "b"]);
    let refusal = Trouble { member: "a".into(), reason: Reason::ChildRejected, message: "no".into() };
    let plan = plan(&team, &wanted(&team), &[], |apply| (apply.member == "a").then(|| refusal.clone()));
    assert_eq!(applied(&plan), [["b"]]);
    assert_eq!(plan.troubles, [refusal]);
}

/// What may stand in the place of a child.
#[derive(Clone, Copy, Debug)]
enum Place {
    Absent,
    InSync,
    Drifted,
    Leaving,
    Earlier,
    Strange,
}

fn places() -> impl Strategy<Value = Place> {
    use Place::{Absent, Drifted, Earlier, InSync, Leaving, Strange};
    prop_oneof![Just(Absent), Just(InSync), Just(Drifted), Just(Leaving), Just(Earlier), Just(Strange)]
}

proptest! {
    /// From any start: only what is missing or ours is applied, only what is ours is deleted, parents come
    /// first, and once the plan is carried out nothing is left to do.
    #[test]
    fn one_pass_is_enough(
        before in proptest::collection::vec(places(), 5),
        bosses in proptest::collection::vec(proptest::option::of(0usize..5), 5),
        stays in proptest::collection::vec(any::<bool>(), 5),
    ) {
        let members = ["a", "b", "c", "d", "e"];
        let mut whole = team(&members);
        for (member, boss) in whole.spec.members.iter_mut().zip(&bosses) {
            // Only upwards in the alphabet: no circles.
            member.reports_to = boss.map(|at| members[at].to_owned()).filter(|boss| *boss < member.name);
        }
        let found: Vec<Workspace> = wanted(&whole)
            .iter()
            .zip(&before)
            .filter_map(|(child, place)| {
                let own = made(&body(&whole, child, None));
                Some(match place {
                    Place::Absent => return None,
                    Place::InSync => own,
                    Place::Drifted => {
                        let mut own = own;
                        own.spec.runtime = "edited".into();
                        own
                    }
                    Place::Leaving => terminating(own),
                    Place::Earlier => foreign(&child.name, "Team", "studio", "earlier"),
                    Place::Strange => foreign(&child.name, "Team", "stu", "strange"),
                })
            })
            .collect();
        let mut team = whole;
        team.spec.members.retain(|m| stays[members.iter().position(|name| *name == m.name).unwrap()]);
        let here: Vec<String> = team.spec.members.iter().map(|m| m.name.clone()).collect();
        for member in &mut team.spec.members {
            member.reports_to = member.reports_to.take().filter(|boss| here.contains(boss));
        }

        let plan = plan_for(&team, &found);
        let mut world: BTreeMap<String, Workspace> =
            found.iter().map(|ws| (ws.name_any(), ws.clone())).collect();
        for prune in &plan.prunes {
            let gone = world.remove(&prune.name).unwrap();
            prop_assert_eq!(gone.owner_references()[0].uid.as_str(), "uid-of-studio");
            prop_assert_eq!(gone.uid(), Some(prune.uid.clone()));
        }
        let mut done: Vec<String> = Vec::new();
        for level in &plan.applies {
            for apply in level {
                let child = wanted(&team).into_iter().find(|c| c.member == apply.member).unwrap();
                if let Some(boss) = &child.reports_to {
                    let settled = done.contains(boss) || !plan.applies.iter().flatten().any(|a| a.member == *boss);
                    prop_assert!(settled, "{} before {boss}", apply.member);
                }
                match (world.get(&apply.name), &apply.existing) {
                    (None, None) => {}
                    (Some(ws), Some((uid, _))) => {
                        prop_assert_eq!(ws.metadata.uid.as_ref(), Some(uid));
                        prop_assert_eq!(ws.owner_references()[0].uid.as_str(), "uid-of-studio");
                        prop_assert!(ws.metadata.deletion_timestamp.is_none());
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            for apply in level {
                let mut ws = made(&apply.body);
                ws.metadata.uid = Some(format!("uid-of-{}", apply.name));
                world.insert(apply.name.clone(), ws);
                done.push(apply.member.clone());
            }
        }
        let after: Vec<Workspace> = world.into_values().collect();
        let again = plan_for(&team, &after);
        prop_assert!(!again.has_effects(), "{again:?}");
        prop_assert_eq!(again.troubles.len(), plan.troubles.len());
    }
}
