//! The state machine over time: no clock runs here, every moment is given in seconds.

use super::*;
use atelier_wire::BootStage;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use proptest::prelude::*;
use serde_json::json;

const TTL: i64 = 180;
const URL: &str = "http://ws-1:8000";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

/// A process that leads and serves since second 0.
struct World {
    liveness: Liveness,
    woken: mpsc::UnboundedReceiver<String>,
}

impl World {
    fn new() -> Self {
        let (liveness, woken) = Liveness::new(Duration::from_secs(TTL.unsigned_abs()), QUIET);
        liveness.lead(Some(at(0)));
        liveness.serve(at(0));
        Self { liveness, woken }
    }

    fn woken(&mut self) -> Vec<String> {
        let mut uids = Vec::new();
        while let Ok(uid) = self.woken.try_recv() {
            uids.push(uid);
        }
        uids.sort();
        uids
    }

    /// A look while the box runs since second `start`, with nothing recorded.
    fn look(&self, uid: &str, start: i64, now: i64) -> AgentView {
        self.liveness.view(uid, 1, Life::Running(Some(at(start))), Recorded::Nothing, at(now))
    }

    fn link(&self, uid: &str, start: i64, now: i64) -> Link {
        self.look(uid, start, now).link
    }

    fn beat(&self, uid: &str, now: i64) -> bool {
        self.liveness.heartbeat(uid, 1, &Heartbeat::healthy(uid, 60), at(now))
    }

    fn ill(&self, uid: &str, error_rate: f64, now: i64) -> bool {
        let beat = Heartbeat { error_rate, sample_error: "429\u{1b}".into(), ..Heartbeat::healthy(uid, 60) };
        self.liveness.heartbeat(uid, 1, &beat, at(now))
    }

    fn register(&self, uid: &str, now: i64) -> bool {
        let card = AgentCard { name: "R".into(), version: "1".into(), ..AgentCard::default() };
        self.liveness.registered(uid, 1, URL, &card, at(now))
    }

    fn tick(&mut self, now: i64) -> Vec<String> {
        self.liveness.tick(at(now));
        self.woken()
    }
}

fn card() -> CardSeen {
    CardSeen { url: URL.into(), name: "R".into(), version: Some("1".into()) }
}

fn connected(since: i64) -> Link {
    Link::Connected { since: at(since), card: Some(card()) }
}

#[test]
fn a_registration_connects_and_wakes_once() {
    let mut world = World::new();
    assert_eq!(world.link("a", 200, 201), Link::Silent, "it would have been heard: the box started since");
    assert!(world.register("a", 202));
    assert!(!world.beat("a", 203), "nobody has looked yet");
    assert_eq!(world.woken(), ["a"]);
    assert_eq!(world.link("a", 200, 204), connected(202));
    assert!(!world.beat("a", 233), "a heartbeat that changes nothing wakes nobody");
    assert_eq!(world.look("a", 200, 234).first_call, Some(at(202)));
}

#[test]
fn a_heartbeat_alone_connects_without_a_card() {
    let mut world = World::new();
    assert!(world.beat("a", 10));
    assert_eq!(world.link("a", 5, 11), Link::Connected { since: at(10), card: None });
    assert_eq!(world.liveness.connected(), 1);
    assert_eq!(world.woken(), ["a"]);
}

#[test]
fn a_silent_agent_is_lost_after_the_ttl_and_not_before() {
    let mut world = World::new();
    world.register("a", 10);
    world.link("a", 5, 11);
    world.woken();
    assert!(world.tick(10 + TTL).is_empty());
    assert_eq!(world.tick(11 + TTL), ["a"]);
    assert_eq!(world.link("a", 5, 11 + TTL), Link::Lost { last_heard: at(10) });
    assert_eq!(world.liveness.connected(), 0);
    assert!(world.tick(500).is_empty(), "lost is said once");
    world.beat("a", 600);
    assert_eq!(world.woken(), ["a"]);
    assert_eq!(world.link("a", 5, 601), connected(600));
}

#[test]
fn the_ttl_can_change_at_run_time() {
    let mut world = World::new();
    world.register("a", 10);
    world.link("a", 5, 10);
    world.liveness.set_ttl(Duration::from_secs(5));
    world.woken();
    assert_eq!(world.tick(16), ["a"]);
}

#[test]
fn a_new_leader_takes_what_is_recorded_for_granted_for_one_ttl() {
    let life = Life::Running(Some(at(-500)));
    for (lead, serve) in [(0, 50), (50, 0)] {
        let mut world = World::new();
        world.liveness.lead(Some(at(lead)));
        world.liveness.serve(at(serve));
        let look = |uid, recorded, now| world.liveness.view(uid, 1, life, recorded, at(now)).link;
        let all = [
            ("n", Recorded::Nothing),
            ("c", Recorded::Connected),
            ("w", Recorded::Wedged),
            ("l", Recorded::Lost),
        ];
        for (uid, recorded) in all {
            assert_eq!(look(uid, recorded, 60), Link::TooEarly, "{uid}");
            assert_eq!(look(uid, recorded, 49 + TTL), Link::TooEarly, "{uid}");
        }
        assert!(world.tick(49 + TTL).is_empty(), "the TTL counts from the later of the two");
        assert_eq!(world.tick(51 + TTL), ["c", "l", "n", "w"]);
        for (uid, recorded) in all {
            let view = world.liveness.view(uid, 1, life, recorded, at(51 + TTL));
            assert_eq!(view.link, Link::Silent, "{uid}");
        }
    }
}

#[test]
fn a_process_that_does_not_lead_or_serve_never_calls_anybody_silent() {
    let (liveness, _woken) = Liveness::new(Duration::from_secs(1), QUIET);
    liveness.serve(at(0));
    let life = Life::Running(Some(at(-500)));
    liveness.view("a", 1, life, Recorded::Connected, at(1));
    liveness.tick(at(10_000));
    assert_eq!(liveness.view("a", 1, life, Recorded::Connected, at(10_000)).link, Link::TooEarly);
}

#[test]
fn a_lost_lead_forgets_what_was_heard() {
    let world = World::new();
    world.register("a", 1);
    world.liveness.lead(Some(at(2)));
    assert!(world.liveness.voice("a", 1).is_some(), "what came in while it took the lead counts");
    world.liveness.lead(None);
    world.liveness.lead(Some(at(2)));
    assert_eq!(world.liveness.voice("a", 1), None);
    assert_eq!(world.link("a", -5, 3), Link::TooEarly);
}

#[test]
fn a_recorded_wedge_needs_two_good_beats_from_a_new_leader_too() {
    let mut world = World::new();
    let look = |world: &World, now| {
        world.liveness.view("a", 1, Life::Running(Some(at(-500))), Recorded::Wedged, at(now)).link
    };
    world.ill("a", 0.4, 5);
    assert!(matches!(look(&world, 6), Link::Wedged { card: None, .. }));
    world.beat("a", 40);
    assert!(matches!(look(&world, 41), Link::Wedged { .. }));
    world.beat("a", 70);
    assert_eq!(world.woken(), ["a", "a"]);
    assert_eq!(look(&world, 71), Link::Connected { since: at(5), card: None });

    // Two good beats that came before the first look say more than the record.
    let world = World::new();
    world.beat("a", 1);
    world.beat("a", 2);
    assert!(matches!(look(&world, 3), Link::Connected { .. }));
}

#[test]
fn what_is_recorded_is_read_of_this_start_and_attempt_alone() {
    let status = |type_status: &str, reason: Reason, agent_attempt: i64| -> WorkspaceStatus {
        let mut status: WorkspaceStatus = serde_json::from_value(json!({
            "launch": {"attempt": 2, "outcome": "Launched", "specHash": "", "keyID": "k", "request": "",
                       "startedAt": "2026-01-01T00:00:00Z"},
            "instance": {"state": "running"},
            "agent": {"connectedAt": "2026-01-01T00:00:00Z", "attempt": agent_attempt},
        }))
        .unwrap();
        status.instance.as_mut().unwrap().started_at =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(at(7)));
        status.conditions = vec![Condition {
            type_: "AgentConnected".into(),
            status: type_status.into(),
            reason: reason.as_str().into(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(at(8)),
        }];
        status
    };
    let runs = Life::Running(Some(at(7)));
    for (status, life, expected) in [
        (status("True", Reason::Connected, 2), runs, Recorded::Connected),
        (status("True", Reason::Connected, 2), Life::Unknown, Recorded::Connected),
        (status("True", Reason::Connected, 2), Life::Stopped, Recorded::Nothing),
        (status("True", Reason::Connected, 2), Life::Running(Some(at(9))), Recorded::Nothing),
        (status("True", Reason::Connected, 1), runs, Recorded::Nothing),
        (status("False", Reason::AgentWedged, 2), runs, Recorded::Wedged),
        (status("False", Reason::HeartbeatLost, 2), runs, Recorded::Lost),
        (status("Unknown", Reason::Booting, 2), runs, Recorded::Nothing),
        (WorkspaceStatus::default(), runs, Recorded::Nothing),
    ] {
        assert_eq!(Recorded::of(&status, life), expected, "{life:?} {:?}", status.conditions);
    }
}

#[test]
fn what_was_assumed_while_the_backend_was_unreachable_is_judged_when_it_answers() {
    let world = World::new();
    let look = |life, recorded, now| world.liveness.view("a", 1, life, recorded, at(now)).link;
    assert_eq!(look(Life::Unknown, Recorded::Connected, 1), Link::TooEarly);
    // It was restarted meanwhile: the record is of another start, and its end is nobody's loss.
    look(Life::Running(Some(at(-5))), Recorded::Nothing, 2);
    world.liveness.tick(at(1 + TTL));
    assert_eq!(world.liveness.fleet().tick(at(2 + TTL)), [""; 0]);
}

mod lives {
    use super::*;

    #[test]
    fn a_stopped_box_has_lost_its_connection_whatever_the_clocks_say() {
        let mut world = World::new();
        world.register("a", 10);
        assert_eq!(world.link("a", 5, 11), connected(10));
        let stopped = world.liveness.view("a", 1, Life::Stopped, Recorded::Nothing, at(12));
        assert_eq!(stopped.link, Link::Silent);
        // The backend's clock is far behind ours: the new start lies before the old beat.
        assert_eq!(world.link("a", 6, 20), Link::Silent);
        world.woken();
        assert!(world.beat("a", 21), "the first connection of the new life wakes");
        assert_eq!(world.woken(), ["a"]);
        assert_eq!(world.link("a", 6, 22), connected(21), "and has the card that was registered");
        assert!(world.tick(23).is_empty());
    }

    #[test]
    fn a_restart_that_nobody_saw_is_told_by_its_time() {
        let mut world = World::new();
        world.register("a", 10);
        world.link("a", 5, 11);
        world.woken();
        assert_eq!(world.link("a", 15, 16), Link::Silent);
        assert_eq!(world.look("a", 15, 16).first_call, None);
        assert!(world.beat("a", 17));
        assert_eq!(world.link("a", 15, 18), connected(17));
        assert_eq!(world.woken(), ["a"]);
    }

    #[test]
    fn a_call_between_a_start_and_the_look_that_sees_it_is_not_forgotten() {
        let world = World::new();
        world.register("a", 10);
        world.link("a", 5, 11);
        world.register("a", 16);
        let view = world.look("a", 15, 17);
        assert_eq!((view.link, view.first_call), (connected(16), Some(at(16))));
    }

    #[test]
    fn a_start_that_is_noted_late_does_not_cost_a_fast_agent_its_registration() {
        let world = World::new();
        world.liveness.view("a", 1, Life::Stopped, Recorded::Nothing, at(9));
        world.register("a", 10);
        let view = world.look("a", 11, 12);
        assert_eq!((view.link, view.first_call), (connected(10), Some(at(10))));
    }

    #[test]
    fn evidence_goes_with_the_next_start_and_not_before() {
        let world = World::new();
        let l = &world.liveness;
        l.boot("a", 1, &Boot { stage: BootStage::Started, ok: true, detail: None, boot_id: None }, at(6));
        l.rejected("a", 1, "its url", at(7));
        l.exit("a", 1, &Exit { exit_code: 3, signal: None, log_tail: "x".into() }, at(8));
        let dead = l.view("a", 1, Life::Stopped, Recorded::Nothing, at(9));
        assert_eq!((dead.stages.len(), dead.exit.unwrap().exit_code), (1, 3));
        assert_eq!(dead.rejected.as_deref(), Some("its url"));
        let next = world.look("a", 10, 11);
        assert_eq!((next.stages.len(), next.exit, next.rejected), (0, None, None));
    }

    #[test]
    fn an_unanswering_backend_changes_nothing() {
        let world = World::new();
        world.register("a", 10);
        world.link("a", 5, 11);
        let view = world.liveness.view("a", 1, Life::Unknown, Recorded::Connected, at(12));
        assert_eq!(view.link, connected(10));
    }

    #[test]
    fn a_superseded_attempt_changes_nothing() {
        let mut world = World::new();
        let l = world.liveness.clone();
        l.registered("a", 2, URL, &AgentCard::default(), at(1));
        let before = l.view("a", 2, Life::Running(Some(at(0))), Recorded::Nothing, at(2));
        world.woken();
        assert!(!world.register("a", 3) && !world.ill("a", 1.0, 4));
        assert!(!l.exit("a", 1, &Exit { exit_code: 1, signal: None, log_tail: String::new() }, at(5)));
        assert_eq!(l.view("a", 2, Life::Running(Some(at(0))), Recorded::Nothing, at(60)), before);
        assert_eq!(
            l.view("a", 1, Life::Running(Some(at(0))), Recorded::Connected, at(60)).link,
            Link::TooEarly
        );
        assert!(world.tick(61).is_empty());
    }

    #[test]
    fn a_new_attempt_starts_from_nothing() {
        let world = World::new();
        world.register("a", 1);
        let view = world.liveness.view("a", 2, Life::Running(Some(at(5))), Recorded::Nothing, at(6));
        assert_eq!((view.link, view.first_call), (Link::Silent, None));
        assert_eq!(world.liveness.voice("a", 1), None);
    }

    #[test]
    fn stopped_and_forgotten_boxes_are_never_lost() {
        let mut world = World::new();
        for uid in ["a", "b"] {
            world.register(uid, 1);
            world.link(uid, 0, 2);
        }
        world.liveness.view("a", 1, Life::Stopped, Recorded::Nothing, at(3));
        world.liveness.forget("b");
        world.woken();
        assert!(world.tick(10_000).is_empty());
    }
}

mod wedge {
    use super::*;

    fn wedged(link: &Link) -> bool {
        matches!(link, Link::Wedged { .. })
    }

    #[test]
    fn half_of_the_calls_failing_wedges_and_says_so_in_its_first_words() {
        let mut world = World::new();
        world.register("a", 1);
        world.link("a", 0, 2);
        world.woken();
        assert!(!world.ill("a", 0.49, 40) && world.ill("a", 0.5, 41));
        let why = "50 % of its calls fail; one of the errors: 429".to_owned();
        assert_eq!(world.link("a", 0, 42), Link::Wedged { since: at(41), card: Some(card()), why });
        assert_eq!(world.woken(), ["a"]);
        assert_eq!(world.liveness.voice("a", 1).unwrap().standing, Standing::Wedged);
    }

    #[test]
    fn two_good_beats_in_a_row_take_it_back() {
        for (rates, expected) in [
            (&[0.05, 0.05][..], false),
            (&[0.05][..], true),
            (&[0.05, 0.1, 0.05][..], true),
            (&[0.05, 0.6, 0.05][..], true),
            (&[0.4, 0.3, 0.2][..], true),
            (&[0.4, 0.0, 0.09][..], false),
        ] {
            let world = World::new();
            world.ill("a", 0.7, 1);
            for (i, rate) in rates.iter().enumerate() {
                world.ill("a", *rate, 30 + 30 * i64::try_from(i).unwrap());
            }
            assert_eq!(wedged(&world.link("a", 0, 500)), expected, "{rates:?}");
        }
    }

    #[test]
    fn a_task_note_says_nothing_of_health() {
        let world = World::new();
        world.ill("a", 0.7, 1);
        for now in 2..10 {
            world.liveness.heartbeat("a", 1, &Heartbeat::healthy("a", 0), at(now));
        }
        assert!(wedged(&world.link("a", 0, 11)));
        world.liveness.tick(at(5 + TTL));
        assert!(wedged(&world.link("a", 0, 5 + TTL)), "but it keeps the agent alive");
        let world = World::new();
        let beat = Heartbeat { error_rate: 1.0, ..Heartbeat::healthy("a", 0) };
        world.liveness.heartbeat("a", 1, &beat, at(1));
        assert!(!wedged(&world.link("a", 0, 2)));
    }

    #[test]
    fn the_runtime_s_own_word_counts_and_a_rate_that_it_manages_does_not() {
        let beat = |state: Option<&str>, rate, manages: bool| Heartbeat {
            runtime_state: state.map(Into::into),
            error_rate: rate,
            runtime_metadata: json!({"capabilities": {"status_mgmt": manages}}).as_object().unwrap().clone(),
            ..Heartbeat::healthy("a", 60)
        };
        for (beats, expected) in [
            (vec![beat(Some("wedged"), 0.0, false)], true),
            (vec![beat(Some("wedged"), 0.0, true)], true),
            (vec![beat(None, 0.9, true)], false),
            (vec![beat(Some("wedged"), 0.0, true), beat(None, 0.9, true), beat(None, 0.9, true)], false),
            (
                vec![beat(None, 0.9, false), beat(Some("busy"), 0.0, false), beat(Some("busy"), 0.0, false)],
                true,
            ),
            (vec![beat(None, 0.9, false), beat(Some(""), 0.0, false), beat(Some(""), 0.0, false)], false),
        ] {
            let world = World::new();
            for beat in &beats {
                world.liveness.heartbeat("a", 1, beat, at(1));
            }
            assert_eq!(wedged(&world.link("a", 0, 2)), expected, "{beats:?}");
        }
    }

    proptest! {
        /// Whatever a wedged agent says between good and bad, nothing is shown and nobody is woken.
        #[test]
        fn a_wavering_rate_causes_no_transition(rates in prop::collection::vec(0.4f64..=0.6, 1..40)) {
            let mut world = World::new();
            world.ill("a", 0.6, 1);
            let before = world.look("a", 0, 2);
            world.woken();
            for (i, rate) in rates.into_iter().enumerate() {
                let now = 30 * i64::try_from(i).unwrap() + 31;
                prop_assert!(!world.ill("a", rate, now));
                prop_assert_eq!(&world.look("a", 0, now), &before);
                prop_assert!(world.tick(now).is_empty());
            }
        }
    }
}

mod silence {
    use super::*;

    /// So many agents, each beating every 30 s at its own phase until second `end`; the first `dying` stop at 300.
    fn outage(agents: usize, dying: usize, end: i64) -> World {
        let mut world = World::new();
        for i in 0..agents {
            let uid = format!("{i:02}");
            let phase = i64::try_from(i * 30 / agents).unwrap();
            world.register(&uid, 1 + phase);
            world.link(&uid, 0, 1 + phase);
            let last = if i < dying { 300 } else { end };
            for now in (31..=last).step_by(30) {
                world.beat(&uid, now + phase);
            }
        }
        world.woken();
        world
    }

    /// When each was called lost, by the second.
    fn losses(world: &mut World, from: i64, to: i64) -> Vec<i64> {
        let mut losses = Vec::new();
        for now in from..=to {
            losses.extend(world.tick(now).iter().map(|_| now));
        }
        losses
    }

    #[test]
    fn all_at_once_are_held_back_for_one_more_ttl_and_then_lost() {
        let mut world = outage(7, 7, 300);
        let too_many = world.liveness.too_many_silent();
        // The last beats came at 271 and up to 25 s later.
        assert!(losses(&mut world, 271, 271 + TTL).is_empty());
        assert!(!*too_many.borrow());
        assert!(losses(&mut world, 272 + TTL, 271 + 2 * TTL).is_empty());
        assert!(*too_many.borrow(), "the fault is ours until shown otherwise");
        let lost = losses(&mut world, 272 + 2 * TTL, 300 + 2 * TTL);
        assert_eq!(lost.len(), 7, "and theirs after all");
        assert!(!*too_many.borrow());
    }

    #[test]
    fn few_of_many_and_two_of_three_are_lost_at_once() {
        for (agents, dying, is_ours) in
            [(7, 2, false), (10, 3, false), (9, 3, true), (3, 2, false), (3, 3, true)]
        {
            let mut world = outage(agents, dying, 1_000);
            let lost = losses(&mut world, 272, 300 + TTL);
            assert_eq!(lost.len(), if is_ours { 0 } else { dying }, "{dying} of {agents}");
        }
    }

    #[test]
    fn who_comes_back_meanwhile_was_never_lost() {
        let mut world = outage(7, 7, 300);
        losses(&mut world, 271, 271 + TTL + 60);
        for i in 0..7 {
            assert!(!world.beat(&format!("{i:02}"), 280 + TTL + 60));
        }
        assert!(world.tick(281 + TTL + 60).is_empty());
        assert!(!*world.liveness.too_many_silent().borrow());
        assert!(matches!(world.link("00", 0, 281 + TTL + 60), Link::Connected { .. }));
    }

    #[test]
    fn a_new_leader_that_hears_nobody_blames_itself_first() {
        let mut world = World::new();
        let look = |world: &World, uid: &str, now| {
            world.liveness.view(uid, 1, Life::Running(Some(at(-99))), Recorded::Connected, at(now)).link
        };
        for uid in ["a", "b", "c"] {
            look(&world, uid, 1);
        }
        assert!(losses(&mut world, 1, 2 * TTL).is_empty());
        assert_eq!(look(&world, "a", 2 * TTL), Link::TooEarly);
        assert_eq!(world.tick(1 + 2 * TTL), ["a", "b", "c"]);
        assert_eq!(look(&world, "a", 1 + 2 * TTL), Link::Silent);
    }
}

mod quiet {
    use super::*;

    fn exit(world: &World, code: i32, now: i64) -> bool {
        let exit = Exit { exit_code: code, signal: Some(9), log_tail: "a\u{7}b\n".into() };
        world.liveness.exit("a", 1, &exit, at(now))
    }

    #[test]
    fn news_is_held_back_for_thirty_seconds_and_then_delivered() {
        let mut world = World::new();
        world.register("a", 10);
        let shown = world.look("a", 5, 10);
        world.woken();
        assert!(!world.ill("a", 1.0, 12), "too soon after the connection");
        assert_eq!(world.look("a", 5, 20).link, shown.link, "whoever looks, and why");
        assert!(world.tick(39).is_empty());
        assert_eq!(world.tick(40), ["a"]);
        assert!(world.tick(41).is_empty(), "once");
        assert!(matches!(world.link("a", 5, 41), Link::Wedged { .. }));
    }

    #[test]
    fn what_was_taken_back_meanwhile_is_not_news() {
        let mut world = World::new();
        world.register("a", 10);
        world.look("a", 5, 10);
        world.woken();
        world.ill("a", 1.0, 12);
        world.beat("a", 14);
        world.beat("a", 15);
        assert!(world.tick(100).is_empty());
    }

    #[test]
    fn the_first_connection_and_a_lost_one_are_never_held_back() {
        let mut world = World::new();
        world.liveness.set_ttl(Duration::from_secs(5));
        world.look("a", 9, 9);
        world.liveness.rejected("a", 1, "its url", at(10));
        assert_eq!(world.look("a", 9, 10).rejected.as_deref(), Some("its url"));
        world.woken();
        assert!(world.register("a", 11));
        assert_eq!(world.look("a", 9, 11).link, connected(11));
        assert_eq!(world.look("a", 9, 11).rejected, None);
        world.woken();
        assert_eq!(world.tick(17), ["a"]);
        assert!(matches!(world.link("a", 9, 17), Link::Lost { .. }));
        assert!(!world.beat("a", 18), "the way back is not urgent");
        assert!(matches!(world.link("a", 9, 18), Link::Lost { .. }));
        for now in 19..47 {
            world.beat("a", now);
            assert!(world.tick(now).is_empty());
        }
        assert!(world.beat("a", 47));
        assert_eq!(world.link("a", 9, 47), connected(18));
    }

    #[test]
    fn the_end_of_a_box_shows_all_that_was_held_back() {
        let world = World::new();
        world.register("a", 10);
        world.look("a", 5, 10);
        assert!(!exit(&world, 3, 11));
        assert_eq!(world.look("a", 5, 11).exit, None);
        let dead = world.liveness.view("a", 1, Life::Stopped, Recorded::Nothing, at(12));
        let seen = ExitSeen { exit_code: 3, signal: Some(9), log_tail: "ab".into(), at: at(11) };
        assert_eq!(dead.exit, Some(seen));
    }

    #[test]
    fn boot_stages_ride_along_and_only_a_failed_one_wakes() {
        let mut world = World::new();
        world.look("a", 5, 5);
        let boot = |stage, ok, detail: &str| Boot { stage, ok, detail: Some(detail.into()), boot_id: None };
        assert!(!world.liveness.boot("a", 1, &boot(BootStage::Started, true, ""), at(6)));
        assert_eq!(world.look("a", 5, 6).stages.len(), 1, "they are there for whoever looks");
        assert!(world.liveness.boot("a", 1, &boot(BootStage::AgentStarted, false, "no\u{1b} file"), at(7)));
        for now in 8..100 {
            world.liveness.boot("a", 1, &boot(BootStage::AgentStarted, false, &now.to_string()), at(now));
        }
        let stages = world.look("a", 5, 100).stages;
        assert_eq!(stages.len(), 2, "the first word on a stage counts");
        assert_eq!(stages[1].detail.as_deref(), Some("no file"));
        assert_eq!((stages[0].detail.as_deref(), world.woken().len()), (None, 1));
    }

    #[test]
    fn a_new_card_of_the_same_name_wakes_nobody_and_another_one_does() {
        let mut world = World::new();
        world.register("a", 10);
        world.look("a", 5, 10);
        world.woken();
        let card = |name: &str, description: &str| AgentCard {
            name: name.into(),
            version: "1".into(),
            description: description.into(),
            ..AgentCard::default()
        };
        assert!(!world.liveness.card_updated("a", 1, URL, &card("R", "new"), at(100)));
        let voice = world.liveness.voice("a", 1).unwrap();
        assert_eq!(voice.registration.unwrap().card.description, "new");
        assert!(world.liveness.card_updated("a", 1, URL, &card("S", "new"), at(101)));
    }

    #[derive(Clone, Debug)]
    enum Said {
        Register(u8),
        Beat(f64, bool),
        Exit(i32),
        Reject(u8),
        Boot(usize, bool),
        Look,
    }

    fn said() -> impl Strategy<Value = Said> {
        prop_oneof![
            (0u8..3).prop_map(Said::Register),
            (0.0f64..1.0, any::<bool>()).prop_map(|(rate, note)| Said::Beat(rate, note)),
            (0i32..3).prop_map(Said::Exit),
            (0u8..3).prop_map(Said::Reject),
            (0usize..5, any::<bool>()).prop_map(|(stage, ok)| Said::Boot(stage, ok)),
            Just(Said::Look),
        ]
    }

    proptest! {
        /// Whatever an agent says and whoever looks when: in any 30 s what is shown of it changes once, and
        /// twice where the first connection is among it. And what was said last is shown in the end.
        #[test]
        fn an_agent_cannot_make_what_is_shown_change_often(
            script in prop::collection::vec((0i64..4, said()), 1..200)
        ) {
            let mut world = World::new();
            let life = Life::Running(Some(at(0)));
            let mut now = 1;
            let budgeted = |view: AgentView| (view.link, view.exit, view.rejected);
            let mut shown = budgeted(world.liveness.view("a", 1, life, Recorded::Nothing, at(now)));
            let mut changes: Vec<i64> = Vec::new();
            let mut first_connection = None;
            let l = world.liveness.clone();
            for (pause, said) in script {
                now += pause;
                l.tick(at(now));
                match said {
                    Said::Register(n) => {
                        let card = AgentCard { name: n.to_string(), ..AgentCard::default() };
                        l.registered("a", 1, URL, &card, at(now));
                    }
                    Said::Beat(error_rate, note) => {
                        let beat = Heartbeat { error_rate, ..Heartbeat::healthy("a", u64::from(!note)) };
                        l.heartbeat("a", 1, &beat, at(now));
                    }
                    Said::Exit(code) => { exit(&world, code, now); }
                    Said::Reject(n) => { l.rejected("a", 1, &n.to_string(), at(now)); }
                    Said::Boot(stage, ok) => {
                        let boot = Boot { stage: BootStage::ALL[stage], ok, detail: None, boot_id: None };
                        l.boot("a", 1, &boot, at(now));
                    }
                    Said::Look => {}
                }
                // Everybody looks all the time, woken or not.
                let next = budgeted(l.view("a", 1, life, Recorded::Nothing, at(now)));
                if next != shown {
                    if first_connection.is_none() && matches!(next.0, Link::Connected { .. } | Link::Wedged { .. }) {
                        first_connection = Some(now);
                    } else {
                        changes.push(now);
                    }
                    shown = next;
                }
            }
            for pair in changes.windows(2) {
                prop_assert!(pair[1] - pair[0] >= 30, "{changes:?}");
            }
            world.woken();
            l.tick(at(now + 30));
            let last = budgeted(l.view("a", 1, life, Recorded::Nothing, at(now + 30)));
            prop_assert!(last == shown || !world.woken().is_empty(), "what was held back wakes");
            world.woken();
            l.tick(at(now + 60));
            prop_assert!(world.woken().is_empty());
        }
    }
}

#[test]
fn a_bundle_is_fetched_once_an_attempt_whatever_becomes_of_the_box() {
    let world = World::new();
    let l = &world.liveness;
    let boot = |stage, ok| Boot { stage, ok, detail: None, boot_id: None };
    for (stage, ok) in [(BootStage::Started, true), (BootStage::BundleFetched, false)] {
        l.boot("a", 1, &boot(stage, ok), at(5));
    }
    assert!(!l.has_bundle("a", 1));
    l.boot("a", 1, &boot(BootStage::BundleFetched, true), at(6));
    l.view("a", 1, Life::Stopped, Recorded::Nothing, at(9));
    assert!(world.look("a", 20, 30).stages.is_empty(), "stages are of this life");
    assert!(l.has_bundle("a", 1) && !l.has_bundle("a", 2) && !l.has_bundle("b", 1));
    assert!(l.asked_for_bundle_again("a", 1) && !l.asked_for_bundle_again("a", 1));
    l.boot("a", 1, &boot(BootStage::BundleFetched, true), at(31));
    assert!(!l.asked_for_bundle_again("a", 1), "the box cannot make it new");
    l.called("a", 2, at(40));
    assert!(!l.has_bundle("a", 2) && !l.has_bundle("a", 1) && !l.asked_for_bundle_again("a", 1));
}

#[test]
fn time_that_runs_backwards_breaks_nothing() {
    let world = World::new();
    world.register("a", 100);
    world.beat("a", 50);
    world.liveness.tick(at(-1_000));
    assert_eq!(world.link("a", 5, 101), connected(100));
    let (liveness, _woken) = Liveness::new(Duration::MAX, Duration::MAX);
    liveness.lead(Some(Timestamp::MIN));
    liveness.serve(Timestamp::MAX);
    liveness.heartbeat("a", 1, &Heartbeat::healthy("a", 1), Timestamp::MIN);
    liveness.tick(Timestamp::MAX);
}

#[tokio::test]
async fn the_watch_ends_with_its_shutdown_and_counts() {
    let (liveness, mut woken) = Liveness::new(Duration::from_secs(1), QUIET);
    liveness.lead(Some(at(0)));
    liveness.serve(at(0));
    liveness.heartbeat("a", 1, &Heartbeat::healthy("a", 1), at(0));
    assert_eq!(woken.recv().await.as_deref(), Some("a"));
    liveness.view("a", 1, Life::Running(Some(at(0))), Recorded::Nothing, at(0));
    let metrics = Metrics::default();
    // The real clock is decades past the last beat: the first tick calls it lost.
    let lost = async { assert_eq!(woken.recv().await.as_deref(), Some("a")) };
    tokio::time::timeout(Duration::from_secs(60), liveness.run(metrics.clone(), lost)).await.unwrap();
    assert!(metrics.text().unwrap().contains("connected_agents 0"));
}
