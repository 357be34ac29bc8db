//! The planner's rules under a virtual clock: outputs are drained after every step and looked at as a list.

#![allow(clippy::wildcard_enum_match_arm, reason = "tests look for one thing among many")]

use std::net::SocketAddr;

use shared::wire::{PathOffer, PathRefused, PathRole, PlannedSource, Role};

use super::*;
use crate::{
    discovery::PathAnswer,
    path_planner::neighbour::{Pursuit, Step},
    transport::CloseCause,
};

const OWN: NodeId = NodeId([5; 32]);
const SMALL: NodeId = NodeId([1; 32]);
const LARGE: NodeId = NodeId([9; 32]);
const FILM: ContentId = ContentId([7; 32]);

struct World {
    state: PathPlannerState,
    now_ms: u64,
    sessions: u64,
    epoch: u64,
}

impl World {
    fn new() -> Self {
        let state = PathPlannerState::new(OWN, true, true, 42);
        Self { state, now_ms: 1_000, sessions: 0, epoch: 0 }
    }

    fn drain(&mut self) -> Vec<PlannerOutput> {
        std::iter::from_fn(|| self.state.poll_output()).collect()
    }

    fn plan(&mut self, sources: Vec<PlannedSource>) -> Vec<PlannerOutput> {
        self.epoch += 1;
        let epoch = self.epoch;
        let plan = Plan::of_sources(FILM, epoch, sources);
        self.state.handle_plan(self.now_ms, plan);
        self.drain()
    }

    /// Runs every timer up to `ms` from now.
    fn pass(&mut self, ms: u64) -> Vec<PlannerOutput> {
        let until_ms = self.now_ms + ms;
        let mut outputs = Vec::new();
        while let Some((due_ms, _)) = self.state.poll_timeout().filter(|(due_ms, _)| *due_ms <= until_ms) {
            self.now_ms = due_ms.max(self.now_ms);
            let before = self.state.poll_timeout();
            self.state.handle_timeout(self.now_ms);
            outputs.append(&mut self.drain());
            assert_ne!(self.state.poll_timeout(), before, "a timer that is handled is not due again");
        }
        self.now_ms = until_ms;
        outputs
    }

    fn session(&mut self) -> SessionId {
        self.sessions += 1;
        SessionId(self.sessions)
    }

    /// The dial finds its node.
    fn opens(&mut self, dial: &PlannerOutput) -> (SessionId, Vec<PlannerOutput>) {
        let PlannerOutput::Dial { try_id, node, side, .. } = dial else { panic!("a dial: {dial:?}") };
        let session = self.session();
        self.state.handle_dialled(*try_id, session);
        self.state.handle_opened(self.now_ms, session, *node, *side);
        (session, self.drain())
    }

    fn fails(&mut self, dial: &PlannerOutput) -> Vec<PlannerOutput> {
        let PlannerOutput::Dial { try_id, .. } = dial else { panic!("a dial: {dial:?}") };
        self.state.handle_dial_failed(self.now_ms, *try_id);
        self.drain()
    }

    fn comes_in(&mut self, node: NodeId) -> (SessionId, Vec<PlannerOutput>) {
        let session = self.session();
        self.state.handle_incoming(session, Some(address(4)));
        self.state.handle_opened(self.now_ms, session, node, Side::Acceptor);
        (session, self.drain())
    }

    fn closes(&mut self, session: SessionId, reason: CloseReason) -> Vec<PlannerOutput> {
        self.state.handle_closed(self.now_ms, session, &reason);
        self.drain()
    }

    fn refuses(&mut self, node: NodeId, kind: PathKind) -> Vec<PlannerOutput> {
        self.state.handle_answer(self.now_ms, PathAnswer::Refused(PathRefused { node, kind }));
        self.drain()
    }

    fn offers(&mut self, node: NodeId, kind: PathKind, role: PathRole) -> Vec<PlannerOutput> {
        let token = (kind == PathKind::Relayed).then_some([0xab; 16]);
        let offer = PathOffer { node, kind, role, addresses: vec![address(80)], token };
        self.state.handle_answer(self.now_ms, PathAnswer::Offered(offer));
        self.drain()
    }

    /// A world with one link to `node`, dialled, and its session.
    fn linked(node: NodeId, path: PathKind) -> (Self, SessionId) {
        let mut world = Self::new();
        let mut outputs = world.plan(vec![source(node, path)]);
        if path == PathKind::Relayed {
            outputs = world.offers(node, PathKind::Relayed, PathRole::Dial);
        }
        let (session, _) = world.opens(&dials(&outputs)[0]);
        (world, session)
    }
}

#[test]
fn sources_are_dialled_best_first_and_no_more_at_once_than_bearable() {
    let mut world = World::new();
    let nodes: Vec<NodeId> = (20..60).map(|n| NodeId([n; 32])).collect();
    let outputs = world.plan(nodes.iter().rev().map(|node| source(*node, PathKind::Direct)).collect());
    let dialled: Vec<NodeId> = dials(&outputs).iter().map(dialled_node).collect();
    assert_eq!(dialled, nodes.iter().rev().take(16).copied().collect::<Vec<_>>());
    let next = world.fails(&dials(&outputs)[0]);
    assert!(dials(&next).is_empty(), "the first goes on with its other ways before another is begun");
}

#[test]
fn a_race_ends_when_the_plan_knows_another_way() {
    let mut world = World::new();
    let ahead = world.plan(vec![source(SMALL, PathKind::Direct)]);
    assert_eq!(dials(&ahead).len(), 1);
    let outputs = world.plan(vec![source(SMALL, PathKind::Reversed)]);
    assert!(outputs.iter().any(|output| matches!(output, PlannerOutput::Abandon(_))));
    assert!(outputs.contains(&PlannerOutput::Ask(SMALL, PathKind::Reversed)));
    assert!(world.state.tries.is_empty());
}

#[test]
fn addresses_race_with_a_head_start_and_the_first_to_open_ends_the_others() {
    let mut world = World::new();
    let addresses = vec![address(1), address(2), address(3)];
    let first = world.plan(vec![PlannedSource { addresses, ..source(SMALL, PathKind::Direct) }]);
    assert_eq!(urls(&first), ["ws://10.0.0.1:1/peer"]);
    assert!(dials(&world.pass(249)).is_empty());
    let second = world.pass(1);
    assert_eq!(urls(&second), ["ws://10.0.0.1:2/peer"]);
    let third = world.fails(&dials(&first)[0]);
    assert_eq!(urls(&third), ["ws://10.0.0.1:3/peer"], "a failure does not wait for its turn");
    let (_, outputs) = world.opens(&dials(&second)[0]);
    assert_eq!(ups(&outputs), [(SMALL, PathKind::Direct)]);
    assert!(outputs.iter().any(|output| matches!(output, PlannerOutput::Abandon(_))));
    assert!(world.state.tries.is_empty());
}

#[test]
fn a_node_that_cannot_be_dialled_is_asked_to_dial_and_then_relayed() {
    let mut world = World::new();
    let outputs = world.plan(vec![source(SMALL, PathKind::Direct)]);
    let outputs = world.fails(&dials(&outputs)[0]);
    assert_eq!(asks(&outputs), [(SMALL, PathKind::Reversed)]);
    assert!(asks(&world.pass(2_999)).is_empty());
    assert_eq!(asks(&world.pass(1)), [(SMALL, PathKind::Relayed)]);
    let outputs = world.offers(SMALL, PathKind::Relayed, PathRole::Accept);
    let token = "ab".repeat(16);
    assert_eq!(urls(&outputs), [format!("ws://10.0.0.1:80/relay/{token}")]);
    assert!(matches!(dials(&outputs)[0], PlannerOutput::Dial { side: Side::Acceptor, .. }));
    let (_, outputs) = world.opens(&dials(&outputs)[0]);
    assert_eq!(ups(&outputs), [(SMALL, PathKind::Relayed)]);
}

#[test]
fn a_relay_that_is_not_reached_makes_way_for_another_at_once_and_once() {
    let mut world = World::new();
    assert_eq!(asks(&world.plan(vec![source(SMALL, PathKind::Relayed)])), [(SMALL, PathKind::Relayed)]);
    let outputs = world.offers(SMALL, PathKind::Relayed, PathRole::Dial);
    let outputs = world.fails(&dials(&outputs)[0]);
    assert_eq!(asks(&outputs), [(SMALL, PathKind::Relayed)], "the tracker names another");
    let outputs = world.offers(SMALL, PathKind::Relayed, PathRole::Dial);
    let outputs = world.fails(&dials(&outputs)[0]);
    assert!(!asks(&outputs).contains(&(SMALL, PathKind::Relayed)), "{outputs:?}");
    let invited = world.offers(LARGE, PathKind::Relayed, PathRole::Accept);
    assert!(
        asks(&world.fails(&dials(&invited)[0])).is_empty(),
        "whoever was invited waits to be asked again"
    );
}

#[test]
fn wrong_bytes_over_a_relay_cost_the_relay_first_and_their_source_the_second_time() {
    let (mut world, relayed) = World::linked(SMALL, PathKind::Relayed);
    world.state.handle_ban(world.now_ms, SMALL);
    let outputs = world.drain();
    assert_eq!(closes(&outputs), [(relayed, GoodbyeReason::Idle)]);
    assert!(outputs.contains(&PlannerOutput::Down(SMALL)) && asks(&outputs).is_empty());
    assert!(!world.state.neighbours[&SMALL].is_banned());
    let outputs = world.pass(2_500);
    let reported = outputs.iter().position(|output| {
        let PlannerOutput::Report(report) = output else { return false };
        report.links.iter().any(|link| link.path == PathKind::Relayed && link.failures == 1)
    });
    let asked = outputs.iter().position(|output| *output == PlannerOutput::Ask(SMALL, PathKind::Relayed));
    assert!(reported.is_some() && reported < asked, "the tracker hears of it first: {outputs:?}");
    let outputs = world.offers(SMALL, PathKind::Relayed, PathRole::Dial);
    let (_, outputs) = world.opens(&dials(&outputs)[0]);
    assert_eq!(ups(&outputs), [(SMALL, PathKind::Relayed)]);
    world.state.handle_ban(world.now_ms, SMALL);
    world.drain();
    assert!(world.state.neighbours[&SMALL].is_banned(), "two relays do not both lie");
}

#[test]
fn a_doubt_is_forgotten_with_time_and_none_is_left_where_no_relay_was() {
    let (mut world, _) = World::linked(SMALL, PathKind::Relayed);
    world.state.handle_ban(world.now_ms, SMALL);
    world.drain();
    world.pass(300_001);
    let outputs = world.offers(SMALL, PathKind::Relayed, PathRole::Dial);
    world.opens(&dials(&outputs)[0]);
    world.state.handle_ban(world.now_ms, SMALL);
    assert!(!world.state.neighbours[&SMALL].is_banned());
    let (mut world, _) = World::linked(SMALL, PathKind::Direct);
    world.state.handle_ban(world.now_ms, SMALL);
    assert!(world.state.neighbours[&SMALL].is_banned());
}

#[test]
fn a_planned_reversal_is_asked_for_at_once_and_the_incoming_link_counts_as_one() {
    let mut world = World::new();
    let outputs = world.plan(vec![source(SMALL, PathKind::Reversed)]);
    assert!(dials(&outputs).is_empty());
    assert_eq!(asks(&outputs), [(SMALL, PathKind::Reversed)]);
    let (_, outputs) = world.comes_in(SMALL);
    assert_eq!(ups(&outputs), [(SMALL, PathKind::Reversed)]);
    assert!(asks(&world.pass(10_000)).is_empty());
}

#[test]
fn a_refused_path_is_not_waited_for() {
    let mut world = World::new();
    world.plan(vec![source(SMALL, PathKind::Reversed)]);
    assert_eq!(asks(&world.refuses(SMALL, PathKind::Reversed)), [(SMALL, PathKind::Relayed)]);
}

#[test]
fn without_a_tracker_known_addresses_are_tried_with_growing_pauses() {
    let mut world = World::new();
    let mut dial = dials(&world.plan(vec![source(SMALL, PathKind::Direct)]))[0].clone();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        world.fails(&dial);
        world.refuses(SMALL, PathKind::Reversed);
        assert!(dials(&world.refuses(SMALL, PathKind::Relayed)).is_empty());
        let pause_ms = world.state.next_try_ms().unwrap() - world.now_ms;
        dial = dials(&world.pass(pause_ms))[0].clone();
        pauses.push(pause_ms);
    }
    assert!((250..=500).contains(&pauses[0]), "{pauses:?}");
    assert!(pauses[7..].iter().all(|pause| (7_500..=15_000).contains(pause)), "{pauses:?}");
    assert!(world.state.neighbours[&SMALL].failures >= 12);
}

#[test]
fn a_lost_link_is_tried_again_at_once_and_only_once() {
    let (mut world, session) = World::linked(SMALL, PathKind::Direct);
    world.pass(60_000);
    let outputs = world.closes(session, CloseReason::Link(CloseCause::Remote));
    assert_eq!(downs(&outputs), [SMALL]);
    assert_eq!(dials(&outputs).len(), 1);
    world.fails(&dials(&outputs)[0]);
    world.refuses(SMALL, PathKind::Reversed);
    assert!(dials(&world.refuses(SMALL, PathKind::Relayed)).is_empty());
    assert!(dials(&world.pass(200)).is_empty());
}

#[test]
fn a_node_that_accepts_and_drops_is_not_hammered() {
    let (mut world, session) = World::linked(SMALL, PathKind::Direct);
    let outputs = world.closes(session, CloseReason::Link(CloseCause::Remote));
    assert!(dials(&outputs).is_empty());
    assert!(dials(&world.pass(249)).is_empty());
    assert_eq!(dials(&world.pass(251)).len(), 1);
}

#[test]
fn a_live_link_survives_the_tracker_forgetting_the_node() {
    let (mut world, session) = World::linked(SMALL, PathKind::Direct);
    world.state.handle_gone(world.now_ms, SMALL);
    let outputs = world.drain();
    assert_eq!(planned(&outputs), [Vec::<NodeId>::new()]);
    assert!(downs(&outputs).is_empty() && closes(&outputs).is_empty());
    let outputs = world.closes(session, CloseReason::Silent);
    assert_eq!(downs(&outputs), [SMALL]);
    assert!(dials(&outputs).is_empty() && dials(&world.pass(60_000)).is_empty());
    assert!(world.state.neighbours.is_empty());
}

#[test]
fn a_node_the_tracker_lost_is_not_tried_any_more() {
    let mut world = World::new();
    let outputs = world.plan(vec![source(SMALL, PathKind::Direct)]);
    world.state.handle_gone(world.now_ms, SMALL);
    assert!(matches!(world.drain()[..], [PlannerOutput::Planned { .. }, PlannerOutput::Abandon(_)]));
    assert!(world.fails(&dials(&outputs)[0]).is_empty());
}

#[test]
fn of_two_links_opened_at_once_the_smaller_nodes_dial_stays() {
    for (node, keeps_own) in [(LARGE, true), (SMALL, false)] {
        let (mut world, own) = World::linked(node, PathKind::Direct);
        world.now_ms += 20;
        let (theirs, outputs) = world.comes_in(node);
        assert!(downs(&outputs).is_empty());
        let loser = if keeps_own { theirs } else { own };
        assert_eq!(closes(&outputs), [(loser, GoodbyeReason::Replaced)]);
        assert_eq!(ups(&outputs).len(), usize::from(!keeps_own));
        assert!(world.closes(loser, CloseReason::Ended(GoodbyeReason::Replaced)).is_empty());
    }
}

#[test]
fn a_link_that_comes_in_long_after_replaces_one_whose_end_was_not_noticed() {
    let (mut world, old) = World::linked(LARGE, PathKind::Direct);
    world.pass(6_000);
    let (new, outputs) = world.comes_in(LARGE);
    assert_eq!(ups(&outputs).len(), 1);
    assert_eq!(closes(&outputs), [(old, GoodbyeReason::Replaced)]);
    assert_eq!(downs(&world.closes(new, CloseReason::Silent)), [LARGE]);
}

#[test]
fn of_two_links_of_one_dialler_the_one_it_does_not_close_is_used_without_a_gap() {
    let mut world = World::new();
    let (first, _) = world.comes_in(SMALL);
    let (second, outputs) = world.comes_in(SMALL);
    assert!(ups(&outputs).is_empty() && closes(&outputs).is_empty());
    let outputs = world.closes(first, CloseReason::Goodbye(GoodbyeReason::Replaced));
    assert!(
        matches!(outputs[..], [PlannerOutput::Up { session, .. }, PlannerOutput::Admit(_)] if session == second)
    );
    let (third, _) = world.comes_in(SMALL);
    let outputs = world.pass(1_000);
    assert_eq!(
        closes(&outputs),
        [(second, GoodbyeReason::Replaced)],
        "where none is closed, the newest stays"
    );
    assert!(ups(&outputs).len() == 1 && downs(&outputs).is_empty());
    assert_eq!(downs(&world.closes(third, CloseReason::Silent)), [SMALL]);
}

#[test]
fn a_replacement_announced_by_the_other_end_leaves_no_gap_and_one_that_never_comes_ends_the_link() {
    let mut world = World::new();
    let (first, _) = world.comes_in(SMALL);
    assert!(world.closes(first, CloseReason::Goodbye(GoodbyeReason::Replaced)).is_empty());
    let (second, outputs) = world.comes_in(SMALL);
    assert_eq!((ups(&outputs).len(), downs(&outputs).len()), (1, 0));
    world.closes(second, CloseReason::Goodbye(GoodbyeReason::Replaced));
    assert_eq!(downs(&world.pass(REPLACE_MS)), [SMALL]);
}

#[test]
fn a_relayed_link_is_made_direct_without_a_gap() {
    let (mut world, relayed) = World::linked(SMALL, PathKind::Relayed);
    assert!(dials(&world.pass(17_000)).is_empty());
    let outputs = world.pass(6_000);
    assert_eq!(urls(&outputs), ["ws://10.0.0.1:1/peer"]);
    let (_, outputs) = world.opens(&dials(&outputs)[0]);
    let order: Vec<_> = outputs.iter().map(name).collect();
    assert_eq!(order, ["up", "admit", "close"]);
    assert_eq!(closes(&outputs), [(relayed, GoodbyeReason::Replaced)]);
    assert_eq!(ups(&outputs), [(SMALL, PathKind::Direct)]);
    assert!(dials(&world.pass(60_000)).is_empty(), "a direct link is as good as it gets");
}

#[test]
fn a_failed_upgrade_leaves_the_relayed_link_and_is_repeated() {
    let (mut world, _) = World::linked(SMALL, PathKind::Relayed);
    for _ in 0..3 {
        let outputs = world.pass(25_000);
        assert_eq!(dials(&outputs).len(), 1);
        let outputs = world.fails(&dials(&outputs)[0]);
        assert_eq!(asks(&outputs), [(SMALL, PathKind::Reversed)]);
        assert!(downs(&world.refuses(SMALL, PathKind::Reversed)).is_empty());
    }
    assert_eq!(world.state.neighbours[&SMALL].failures, 0);
}

#[test]
fn a_relay_offered_for_a_direct_link_does_not_take_it_over() {
    let (mut world, _) = World::linked(SMALL, PathKind::Direct);
    let outputs = world.offers(SMALL, PathKind::Relayed, PathRole::Accept);
    let (relayed, outputs) = world.opens(&dials(&outputs)[0]);
    assert_eq!(closes(&outputs), [(relayed, GoodbyeReason::Replaced)]);
    assert!(ups(&outputs).is_empty());
    assert!(world.state.neighbours[&SMALL].pursuit.is_none());
}

#[test]
fn an_invited_dial_to_a_node_that_is_linked_by_now_ends_and_the_node_is_tried_again_when_it_is_lost() {
    let (mut world, session) = World::linked(SMALL, PathKind::Direct);
    let outputs = world.offers(SMALL, PathKind::Reversed, PathRole::Dial);
    let (second, outputs) = world.opens(&dials(&outputs)[0]);
    assert_eq!(closes(&outputs), [(second, GoodbyeReason::Replaced)]);
    assert!(world.state.neighbours[&SMALL].pursuit.is_none());
    world.pass(60_000);
    let outputs = world.closes(session, CloseReason::Link(CloseCause::Remote));
    assert_eq!(dials(&outputs).len(), 1);
}

#[test]
fn an_invited_wait_at_a_relay_ends_with_the_spare_that_comes_of_it() {
    let mut world = World::new();
    let outputs = world.offers(SMALL, PathKind::Relayed, PathRole::Accept);
    world.opens(&dials(&outputs)[0]);
    let outputs = world.offers(SMALL, PathKind::Relayed, PathRole::Accept);
    let (_, outputs) = world.opens(&dials(&outputs)[0]);
    assert!(ups(&outputs).is_empty() && closes(&outputs).is_empty());
    let known = &world.state.neighbours[&SMALL];
    assert!(known.spare.is_some() && known.pursuit.is_none());
}

#[test]
fn an_invited_node_dials_although_no_plan_names_the_other() {
    let mut world = World::new();
    let outputs = world.offers(SMALL, PathKind::Reversed, PathRole::Dial);
    assert_eq!(urls(&outputs), ["ws://10.0.0.1:80/peer"]);
    let (_, outputs) = world.opens(&dials(&outputs)[0]);
    assert_eq!(ups(&outputs), [(SMALL, PathKind::Reversed)]);
    let outputs = world.offers(LARGE, PathKind::Reversed, PathRole::Dial);
    assert!(dials(&world.fails(&dials(&outputs)[0])).is_empty());
    world.pass(60_000);
    assert!(!world.state.neighbours.contains_key(&LARGE), "a failed invitation leaves nothing");
}

#[test]
fn a_banned_node_is_dropped_refused_and_never_dialled() {
    let (mut world, session) = World::linked(SMALL, PathKind::Direct);
    world.state.handle_ban(world.now_ms, SMALL);
    let outputs = world.drain();
    assert_eq!(closes(&outputs), [(session, GoodbyeReason::Violation)]);
    assert_eq!(downs(&outputs), [SMALL]);
    assert_eq!(planned(&outputs), [Vec::<NodeId>::new()]);
    let outputs = world.plan(vec![source(SMALL, PathKind::Direct)]);
    assert!(dials(&outputs).is_empty());
    assert_eq!(planned(&outputs), [Vec::<NodeId>::new()]);
    let (again, outputs) = world.comes_in(SMALL);
    assert_eq!(outputs, [PlannerOutput::Refuse(again, RejectReason::Banned)]);
    assert!(world.offers(SMALL, PathKind::Reversed, PathRole::Dial).is_empty());
    assert!(world.state.neighbours[&SMALL].is_banned());
}

#[test]
fn the_number_of_remembered_bans_is_bounded() {
    let mut world = World::new();
    for n in 0..2_000u16 {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        world.now_ms += 1;
        world.state.handle_ban(world.now_ms, NodeId(id));
    }
    assert_eq!(world.state.neighbours.len(), MAX_BANNED);
}

#[test]
fn a_link_without_use_outlives_a_pause_of_the_viewer_at_its_end_but_not_for_ever() {
    let mut world = World::new();
    let (used, _) = world.comes_in(SMALL);
    let (unused, _) = world.comes_in(LARGE);
    for look in 1..=100 {
        let outputs = world.pass(10_000);
        world.state.handle_traffic(world.now_ms, used, look * 100_000);
        world.state.handle_traffic(world.now_ms, unused, look * 200);
        if look == 90 {
            assert_eq!(closes(&outputs), [(unused, GoodbyeReason::Idle)]);
            assert_eq!(downs(&outputs), [LARGE]);
        } else {
            assert!(closes(&outputs).is_empty());
        }
    }
}

#[test]
fn a_wanted_link_is_kept_however_quiet_and_let_go_after_it_is_not_wanted() {
    let (mut world, session) = World::linked(SMALL, PathKind::Direct);
    assert!(closes(&world.pass(600_000)).is_empty());
    world.state.handle_unwanted(world.now_ms, &FILM);
    assert!(closes(&world.drain()).is_empty());
    assert!(closes(&world.pass(59_999)).is_empty());
    assert_eq!(closes(&world.pass(1)), [(session, GoodbyeReason::Idle)]);
}

#[test]
fn connections_that_do_not_greet_are_bounded_and_make_room_when_they_end() {
    let mut world = World::new();
    for _ in 0..MAX_UNGREETED {
        assert!(world.state.admits_incoming());
        let session = world.session();
        world.state.handle_incoming(session, None);
    }
    assert!(!world.state.admits_incoming());
    world.closes(SessionId(1), CloseReason::HandshakeTimeout);
    assert!(world.state.admits_incoming());
}

#[test]
fn links_are_bounded() {
    let mut world = World::new();
    let up: usize = (0..300u16)
        .map(|n| {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&n.to_be_bytes());
            ups(&world.comes_in(NodeId(id)).1).len()
        })
        .sum();
    assert_eq!(up, MAX_LINKS);
    assert!(dials(&world.plan(vec![source(LARGE, PathKind::Direct)])).is_empty());
}

#[test]
fn a_dial_that_finds_every_place_taken_when_it_opens_is_repeated_later_and_no_failure_is_told() {
    let mut world = World::new();
    let dial = dials(&world.plan(vec![source(LARGE, PathKind::Direct)]))[0].clone();
    let guests: Vec<SessionId> = (0..MAX_LINKS as u16)
        .map(|n| {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&n.to_be_bytes());
            world.comes_in(NodeId(id)).0
        })
        .collect();
    let (late, outputs) = world.opens(&dial);
    assert_eq!(closes(&outputs), [(late, GoodbyeReason::Idle)]);
    assert!(world.state.neighbours[&LARGE].pursuit.is_none());
    let outputs = world.closes(guests[0], CloseReason::Silent);
    assert!(dials(&outputs).is_empty());
    let outputs = world.pass(LEFT_RETRY.cap_ms);
    assert_eq!(dials(&outputs).iter().map(dialled_node).collect::<Vec<_>>(), [LARGE]);
    let is_told = |output: &PlannerOutput| match output {
        PlannerOutput::Report(report) => report.links.iter().any(|link| link.failures > 0),
        _ => false,
    };
    assert!(!outputs.iter().any(is_told));
}

#[test]
fn where_places_are_short_a_newcomer_takes_that_of_the_link_longest_without_use() {
    let mut world = World::new();
    let guests: Vec<SessionId> = (0..MAX_LINKS as u16)
        .map(|n| {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&n.to_be_bytes());
            world.comes_in(NodeId(id)).0
        })
        .collect();
    world.pass(IDLE_MS);
    guests.iter().skip(1).for_each(|guest| world.state.handle_traffic(world.now_ms, *guest, 1 << 20));
    let (_, outputs) = world.comes_in(LARGE);
    assert_eq!(closes(&outputs), [(guests[0], GoodbyeReason::Idle)]);
    assert_eq!(ups(&outputs).len(), 1);
    assert!(ups(&world.comes_in(NodeId([0xab; 32])).1).is_empty(), "the others are in use");
}

#[test]
fn an_older_plan_changes_nothing_and_an_empty_one_ends_the_wish() {
    let mut world = World::new();
    world.plan(vec![source(SMALL, PathKind::Direct)]);
    world.epoch = 0;
    assert!(world.plan(Vec::new()).is_empty());
    world.epoch = 5;
    let outputs = world.plan(Vec::new());
    assert_eq!(planned(&outputs), [Vec::<NodeId>::new()]);
    assert!(world.state.tries.is_empty() && world.state.neighbours.is_empty());
    world.state.handle_unwanted(world.now_ms, &FILM);
    assert!(world.plan(Vec::new()).is_empty(), "nobody is told of a plan for nothing");
}

#[test]
fn a_node_that_refuses_is_left_alone_for_long() {
    let mut world = World::new();
    let outputs = world.plan(vec![source(SMALL, PathKind::Direct)]);
    let PlannerOutput::Dial { try_id, .. } = dials(&outputs)[0] else { panic!("a dial") };
    let session = world.session();
    world.state.handle_dialled(try_id, session);
    world.closes(session, CloseReason::Rejected(RejectReason::Banned));
    world.refuses(SMALL, PathKind::Reversed);
    world.refuses(SMALL, PathKind::Relayed);
    assert!(dials(&world.pass(59_000)).is_empty());
    assert_eq!(dials(&world.pass(2_000)).len(), 1);
}

#[test]
fn a_node_that_refuses_when_it_knows_who_dialled_is_left_alone_for_long_too() {
    let (mut world, session) = World::linked(SMALL, PathKind::Direct);
    let outputs = world.closes(session, CloseReason::Rejected(RejectReason::Banned));
    assert_eq!(downs(&outputs), [SMALL]);
    assert!(dials(&outputs).is_empty() && dials(&world.pass(59_000)).is_empty());
    assert_eq!(dials(&world.pass(2_000)).len(), 1);
}

#[test]
fn a_node_that_said_it_leaves_is_tried_again_after_a_while() {
    let (mut world, session) = World::linked(SMALL, PathKind::Direct);
    let outputs = world.closes(session, CloseReason::Goodbye(GoodbyeReason::Leaving));
    assert_eq!(downs(&outputs), [SMALL]);
    assert!(dials(&outputs).is_empty() && dials(&world.pass(2_499)).is_empty());
    assert_eq!(dials(&world.pass(2_501)).len(), 1);
}

#[test]
fn a_wrong_node_at_an_address_costs_that_address_only() {
    let mut world = World::new();
    let addresses = vec![address(1), address(2)];
    let outputs = world.plan(vec![PlannedSource { addresses, ..source(SMALL, PathKind::Direct) }]);
    let PlannerOutput::Dial { try_id, .. } = dials(&outputs)[0] else { panic!("a dial") };
    let session = world.session();
    world.state.handle_dialled(try_id, session);
    let outputs = world.closes(session, CloseReason::TurnedAway(RejectReason::Proof));
    assert_eq!(urls(&outputs), ["ws://10.0.0.1:2/peer"]);
}

#[test]
fn a_dial_that_comes_too_late_is_closed() {
    let mut world = World::new();
    let outputs = world.plan(vec![source(SMALL, PathKind::Direct)]);
    world.comes_in(SMALL);
    let (late, outputs) = world.opens(&dials(&outputs)[0]);
    assert!(closes(&outputs).iter().all(|(session, _)| *session == late) && !outputs.is_empty());
}

#[test]
fn a_dial_the_other_end_may_have_opened_is_judged_and_not_given_up() {
    for (node, winner) in [(LARGE, "own"), (SMALL, "theirs")] {
        let mut world = World::new();
        let outputs = world.plan(vec![source(node, PathKind::Direct)]);
        let PlannerOutput::Dial { try_id, side, .. } = dials(&outputs)[0].clone() else { panic!("a dial") };
        let own = world.session();
        world.state.handle_dialled(try_id, own);
        let (theirs, outputs) = world.comes_in(node);
        assert!(closes(&outputs).is_empty(), "the other end may have let go of the one that came in");
        world.state.handle_opened(world.now_ms, own, node, side);
        let outputs = world.drain();
        let loser = if winner == "own" { theirs } else { own };
        assert_eq!(closes(&outputs), [(loser, GoodbyeReason::Replaced)]);
        assert_eq!(ups(&outputs).len(), usize::from(winner == "own"));
    }
}

#[test]
fn round_trips_of_the_link_in_use_alone_are_told() {
    let (mut world, session) = World::linked(LARGE, PathKind::Direct);
    let (loser, _) = world.comes_in(LARGE);
    world.state.handle_measured(loser, 7);
    assert!(world.drain().is_empty());
    world.state.handle_measured(session, 9);
    assert_eq!(world.drain(), [PlannerOutput::Measured(LARGE, 9)]);
}

#[test]
fn stopping_says_goodbye_everywhere_and_nothing_follows() {
    let (mut world, session) = World::linked(SMALL, PathKind::Direct);
    world.plan(vec![source(SMALL, PathKind::Direct), source(LARGE, PathKind::Direct)]);
    world.state.handle_stop();
    let outputs = world.drain();
    assert_eq!(closes(&outputs), [(session, GoodbyeReason::Leaving)]);
    assert!(outputs.iter().any(|output| matches!(output, PlannerOutput::Abandon(_))));
    assert_eq!(world.state.poll_timeout(), None);
    assert!(!world.state.admits_incoming());
}

#[test]
fn users_of_links_never_see_two_ends_in_a_row_whatever_happens() {
    for seed in 0..300 {
        chaos(seed);
    }
}

/// Random happenings; per node, `Up`s and `Down`s must make sense, one session must be in use, every try must end, and so must every
/// pursuit.
fn chaos(seed: u64) {
    let mut chaos = Chaos {
        random: Random::new(seed),
        world: World::new(),
        up: BTreeMap::new(),
        open: Vec::new(),
        pending: Vec::new(),
    };
    for _ in 0..200 {
        let outputs = chaos.happen();
        outputs.into_iter().for_each(|output| chaos.perform(seed, output));
        chaos.check(seed);
    }
}

struct Chaos {
    random: Random,
    world: World,
    up: BTreeMap<NodeId, SessionId>,
    open: Vec<SessionId>,
    pending: Vec<PlannerOutput>,
}

impl Chaos {
    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    fn happen(&mut self) -> Vec<PlannerOutput> {
        let nodes = [SMALL, LARGE, NodeId([3; 32])];
        let node = nodes[self.below(3)];
        let kind = [PathKind::Direct, PathKind::Reversed, PathKind::Relayed][self.below(3)];
        match self.below(10) {
            0 => {
                let count = self.below(4);
                self.world.plan(nodes[..count].iter().map(|node| source(*node, kind)).collect())
            }
            1..=3 if !self.pending.is_empty() => {
                let chosen = self.below(self.pending.len());
                let dial = self.pending.swap_remove(chosen);
                if self.below(3) == 0 {
                    return self.world.fails(&dial);
                }
                let (session, outputs) = self.world.opens(&dial);
                self.open.push(session);
                outputs
            }
            4 => {
                let (session, outputs) = self.world.comes_in(node);
                self.open.push(session);
                outputs
            }
            5 if !self.open.is_empty() => {
                let chosen = self.below(self.open.len());
                let session = self.open.swap_remove(chosen);
                let reasons = [
                    CloseReason::Silent,
                    CloseReason::Goodbye(GoodbyeReason::Replaced),
                    CloseReason::Goodbye(GoodbyeReason::Leaving),
                ];
                let reason = reasons[self.below(3)].clone();
                self.world.closes(session, reason)
            }
            6 => {
                let role = [PathRole::Dial, PathRole::Accept][self.below(2)];
                self.world.offers(node, kind, role)
            }
            7 => self.world.refuses(node, kind),
            8 => {
                self.world.state.handle_gone(self.world.now_ms, node);
                self.world.drain()
            }
            _ => {
                let ms = self.random.below(3_000);
                self.world.pass(ms)
            }
        }
    }

    fn perform(&mut self, seed: u64, output: PlannerOutput) {
        match output {
            PlannerOutput::Up { node, session, .. } => {
                self.up.insert(node, session);
            }
            PlannerOutput::Down(node) => {
                assert!(self.up.remove(&node).is_some(), "seed {seed}: a link that was not up went down");
            }
            PlannerOutput::Close(session, _) => self.open.retain(|known| *known != session),
            PlannerOutput::Abandon(ended) => self
                .pending
                .retain(|dial| !matches!(dial, PlannerOutput::Dial { try_id, .. } if *try_id == ended)),
            dial @ PlannerOutput::Dial { .. } => self.pending.push(dial),
            _ => {}
        }
    }

    fn check(&self, seed: u64) {
        let neighbours = &self.world.state.neighbours;
        for (node, session) in &self.up {
            let known = neighbours.get(node);
            let live = known.and_then(|known| known.live.as_ref()).map(|live| live.session);
            let is_waiting = known.is_some_and(|known| known.pending_down_ms.is_some());
            assert!(live == Some(*session) || is_waiting, "seed {seed}: a lost link was not told");
        }
        for (node, known) in neighbours {
            let Some(live) = &known.live else { continue };
            assert_eq!(self.up.get(node), Some(&live.session), "seed {seed}: a link was not told");
            assert!(self.open.contains(&live.session), "seed {seed}: a closed session is in use");
        }
        assert_eq!(self.world.state.tries.len(), self.pending.len(), "seed {seed}: a try was lost");
        for (node, known) in neighbours {
            let Some(pursuit) = &known.pursuit else { continue };
            assert!(self.goes_on(*node, pursuit), "seed {seed}: nothing goes on with {node:?}: {pursuit:?}");
        }
    }

    /// Whether a dial or a deadline will bring the pursuit further.
    fn goes_on(&self, node: NodeId, pursuit: &Pursuit) -> bool {
        let tries = &self.world.state.tries;
        match &pursuit.step {
            Step::Racing { path, left, .. } => {
                !left.is_empty() || tries.values().any(|known| known.node == node && known.path == *path)
            }
            Step::Awaiting { .. } => true,
            Step::Relaying { relay_try } => tries.contains_key(relay_try),
        }
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

fn source(node: NodeId, path: PathKind) -> PlannedSource {
    PlannedSource {
        node,
        role: Role::Peer,
        addresses: vec![address(1)],
        path,
        rate_bps: 8_000_000,
        rtt_us: 20_000,
        complete: true,
        uploads: true,
        share_bps: 0,
    }
}

fn dials(outputs: &[PlannerOutput]) -> Vec<PlannerOutput> {
    outputs.iter().filter(|output| matches!(output, PlannerOutput::Dial { .. })).cloned().collect()
}

fn dialled_node(output: &PlannerOutput) -> NodeId {
    let PlannerOutput::Dial { node, .. } = output else { panic!("a dial") };
    *node
}

fn urls(outputs: &[PlannerOutput]) -> Vec<String> {
    let url = |output: &PlannerOutput| match output {
        PlannerOutput::Dial { url, .. } => Some(url.clone()),
        _ => None,
    };
    outputs.iter().filter_map(url).collect()
}

fn ups(outputs: &[PlannerOutput]) -> Vec<(NodeId, PathKind)> {
    let up = |output: &PlannerOutput| match output {
        PlannerOutput::Up { node, path, .. } => Some((*node, *path)),
        _ => None,
    };
    outputs.iter().filter_map(up).collect()
}

fn downs(outputs: &[PlannerOutput]) -> Vec<NodeId> {
    let down = |output: &PlannerOutput| match output {
        PlannerOutput::Down(node) => Some(*node),
        _ => None,
    };
    outputs.iter().filter_map(down).collect()
}

fn closes(outputs: &[PlannerOutput]) -> Vec<(SessionId, GoodbyeReason)> {
    let close = |output: &PlannerOutput| match output {
        PlannerOutput::Close(session, reason) => Some((*session, *reason)),
        _ => None,
    };
    outputs.iter().filter_map(close).collect()
}

fn asks(outputs: &[PlannerOutput]) -> Vec<(NodeId, PathKind)> {
    let ask = |output: &PlannerOutput| match output {
        PlannerOutput::Ask(node, kind) => Some((*node, *kind)),
        _ => None,
    };
    outputs.iter().filter_map(ask).collect()
}

fn planned(outputs: &[PlannerOutput]) -> Vec<Vec<NodeId>> {
    let plan = |output: &PlannerOutput| match output {
        PlannerOutput::Planned { nodes, .. } => Some(nodes.clone()),
        _ => None,
    };
    outputs.iter().filter_map(plan).collect()
}

const fn name(output: &PlannerOutput) -> &'static str {
    match output {
        PlannerOutput::Up { .. } => "up",
        PlannerOutput::Admit(_) => "admit",
        PlannerOutput::Close(..) => "close",
        PlannerOutput::Report(_) => "report",
        _ => "other",
    }
}
