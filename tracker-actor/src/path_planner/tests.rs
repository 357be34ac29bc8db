//! Scenarios of the planner: real messages in, what each client is told out, on a clock of the test's own.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one message among many")]

use std::collections::BTreeMap;

use shared::{
    ContentId, MediaKind, NodeId,
    wire::{
        FindPeers, ForgetPeers, Holdings, LinkMetric, LinkReport, PathKind, PathOffer, PathRole, Plan,
        Register, RequestPath, Role, TrackerMessage,
    },
};

use super::{
    ClientSays, NodeJoined, NodeLeft, PathPlannerState, PlannerRequest, ProbeFinished,
    planning::{ORIGIN_BPS_EACH, PLAN_NEIGHBOURS},
    state::{Output, PLAN_SPACING_MS},
};
use crate::{
    file_index::{HeldFile, HolderChange},
    registry::SessionId,
};

#[test]
fn a_viewer_is_told_who_has_the_file() {
    let mut net = Net::new();
    net.joins(1).joins(2).holds(2);
    let plan = net.finds(1);
    assert_eq!(sources(&plan), [2]);
    assert_eq!(plan.sources[0].path, PathKind::Direct);
    assert_eq!(plan.sources[0].addresses, [at(2)]);
    assert!(plan.sources[0].complete);
}

#[test]
fn nobody_is_told_of_a_node_of_the_other_kind() {
    let mut net = Net::new();
    net.joins(1).joins_as(2, Some(MediaKind::Audio), Role::Peer);
    net.holds_as(2, MediaKind::Audio);
    assert!(net.finds(1).sources.is_empty());
    assert!(net.says(1, request_path(2, PathKind::Relayed)).refused(1));
}

#[test]
fn every_source_appears_as_it_comes_and_epochs_grow() {
    let mut net = Net::new();
    net.joins(1);
    let mut epoch = net.finds(1).epoch;
    for n in 2..6 {
        net.joins(n).holds(n);
        net.run_to(net.now_ms + PLAN_SPACING_MS);
        let plan = net.plan_of(1).expect("a new plan");
        assert_eq!(plan.sources.len(), usize::from(n) - 1);
        assert!(plan.epoch > epoch);
        epoch = plan.epoch;
    }
}

#[test]
fn a_source_that_cannot_be_dialled_is_reached_in_reverse_and_else_by_relay() {
    let mut net = Net::new();
    net.joins(1).joins(2).holds(2);
    net.probe(2, false);
    assert_eq!(net.finds(1).sources[0].path, PathKind::Reversed);
    net.probe(1, false);
    net.run_to(1);
    assert_eq!(net.plan_of(1).expect("a new plan").sources[0].path, PathKind::Relayed);
}

#[test]
fn a_client_that_listens_nowhere_is_never_probed_nor_dialled() {
    let mut net = Net::new();
    net.joins(1);
    net.join(NodeJoined { register: Register { listen_port: None, ..register(2) }, ..joined(2) });
    assert!(net.probes.iter().all(|node| *node != id(2)));
    net.holds(2);
    assert_eq!(net.finds(1).sources[0].path, PathKind::Reversed);
}

#[test]
fn the_failed_dials_of_a_pair_move_that_pair_alone_to_the_next_way() {
    let mut net = Net::new();
    net.joins(1).joins(2).joins(3).holds(3);
    net.finds(1);
    net.finds(2);
    net.says(1, report(3, |metric| LinkMetric { failures: 1, connected: false, ..metric }));
    net.run_to(PLAN_SPACING_MS);
    assert_eq!(net.plan_of(1).expect("a new plan").sources[0].path, PathKind::Reversed);
    assert_eq!(net.plan_of(2).expect("the first plan").sources[0].path, PathKind::Direct);
}

#[test]
fn a_gone_source_is_told_at_once_and_a_new_plan_follows_in_the_same_turn() {
    let mut net = Net::new();
    net.joins(1).joins(2).joins(3).holds(2).holds(3);
    net.finds(1);
    net.told.clear();
    net.planner.handle_left(5, NodeLeft { node: id(2), session: SessionId(1) });
    net.run_to(5);
    let told = net.told_to(1);
    assert!(matches!(told[0], TrackerMessage::PeerGone(gone) if gone.node == id(2)));
    assert!(matches!(&told[1], TrackerMessage::Plan(plan) if sources(plan) == [3]));
}

#[test]
fn a_gone_viewer_is_told_to_those_whose_plans_name_it() {
    let mut net = Net::new();
    net.joins(1).joins(2);
    net.finds(1);
    net.finds(2);
    net.run_to(PLAN_SPACING_MS);
    assert_eq!(sources(&net.plan_of(1).expect("a plan")), [2]);
    net.planner.handle_left(net.now_ms, NodeLeft { node: id(2), session: SessionId(1) });
    net.run_to(net.now_ms);
    assert!(net.told_to(1).iter().any(|told| matches!(told, TrackerMessage::PeerGone(_))));
    assert_eq!(sources(&net.plan_of(1).expect("a plan")), [0u8; 0]);
}

#[test]
fn a_partial_holder_is_a_source_and_one_with_every_leaf_a_complete_one() {
    let mut net = Net::new();
    net.joins(1).joins(2).joins(3).holds(3);
    net.says(2, PlannerRequest::Holdings(Holdings { content_id: CONTENT, leaves: 3 }));
    let complete = |plan: &Plan| -> BTreeMap<u8, bool> {
        plan.sources.iter().map(|source| (source.node.0[0], source.complete)).collect()
    };
    assert_eq!(complete(&net.finds(1)), BTreeMap::from([(2, false), (3, true)]));
    net.says(2, PlannerRequest::Holdings(Holdings { content_id: CONTENT, leaves: 64 }));
    assert_eq!(complete(&net.finds(1)), BTreeMap::from([(2, true), (3, true)]));
    net.says(2, PlannerRequest::Holdings(Holdings { content_id: CONTENT, leaves: 0 }));
    net.run_to(net.now_ms);
    assert_eq!(complete(&net.plan_of(1).expect("a plan")), BTreeMap::from([(3, true)]));
}

#[test]
fn a_plan_says_how_many_play() {
    let mut net = Net::new();
    net.joins(1).joins(2).joins(3).holds(3);
    assert_eq!(net.finds(1).viewers, 1);
    assert_eq!(net.finds(2).viewers, 2);
}

#[test]
fn the_origin_is_always_in_the_plan_and_is_reached_where_the_tracker_is() {
    let mut net = Net::new();
    net.joins_as(200, None, Role::Origin).holds(200).joins(1);
    for n in 2..80 {
        net.joins(n).holds(n);
    }
    let plan = net.finds(1);
    assert_eq!(plan.sources.len(), PLAN_NEIGHBOURS);
    let origin = plan.sources.iter().find(|source| source.role == Role::Origin).expect("the origin");
    assert_eq!((origin.path, origin.addresses.len()), (PathKind::Direct, 0));
}

#[test]
fn an_origin_is_named_to_as_many_as_its_uplink_can_listen_to_and_to_whoever_has_nobody_near() {
    let mut net = Net::new();
    net.joins_as(200, None, Role::Origin);
    let gained = Some(HeldFile { size_bytes: 10_000 * 16_384, bitrate_bps: 1_000_000 });
    let change =
        HolderChange { key: (MediaKind::Video, CONTENT), node: id(200), session: SessionId(1), gained };
    net.planner.handle_holders(0, vec![change]);
    let listens_to = 100;
    net.says(200, uplink(ORIGIN_BPS_EACH * listens_to));
    let watch = |net: &mut Net, n: u16, playhead_leaf: u32| {
        net.join(NodeJoined { node: wide_id(n), ..joined(1) });
        let request = PlannerRequest::Find(FindPeers { content_id: CONTENT, playhead_leaf });
        net.planner.handle_says(net.now_ms, ClientSays { node: wide_id(n), session: SessionId(1), request });
        net.drain();
    };
    let names_origin = |net: &Net, n: u16| {
        let told = net.told.iter().rev().find_map(|(node, told)| match told {
            TrackerMessage::Plan(plan) if *node == wide_id(n) => Some(plan),
            _ => None,
        });
        told.expect("a plan").sources.iter().any(|source| source.role == Role::Origin)
    };
    for n in 0..300 {
        watch(&mut net, n, 0);
    }
    assert_eq!((0..300).filter(|n| names_origin(&net, *n)).count() as u64, listens_to);
    // Whoever is the first so far on has no other to ask.
    watch(&mut net, 300, 5_000);
    assert!(names_origin(&net, 300));
    // Those told keep it, and the place of one that leaves goes to who asks next.
    watch(&mut net, 1, 0);
    assert!(names_origin(&net, 1));
    watch(&mut net, 299, 0);
    assert!(!names_origin(&net, 299));
    for n in [0, 2] {
        net.planner.handle_left(net.now_ms, NodeLeft { node: wide_id(n), session: SessionId(1) });
    }
    watch(&mut net, 299, 0);
    assert!(names_origin(&net, 299));
}

#[test]
fn wobble_of_a_fifth_tells_no_new_plan_and_a_lasting_change_does() {
    let mut net = Net::new();
    net.joins(1).joins(2).joins(3).joins(4).holds(2).holds(3).holds(4);
    net.finds(1);
    let mut seed = 7u64;
    for second in 1..=60 {
        for n in 2..=4 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let goodput_bps = 8_000_000 + (seed >> 33) % 4_000_000;
            net.says(1, report(n, |metric| LinkMetric { goodput_bps, ..metric }));
        }
        net.run_to(second * 1_000);
    }
    let plans = net.told_to(1).iter().filter(|told| matches!(told, TrackerMessage::Plan(_))).count();
    assert!(plans <= 2, "{plans} plans in a minute of wobble");
    let last = sources(&net.plan_of(1).expect("a plan"))[2];
    for second in 61..=80 {
        net.says(1, report(last, |metric| LinkMetric { goodput_bps: 60_000_000, ..metric }));
        net.run_to(second * 1_000);
    }
    assert_eq!(sources(&net.plan_of(1).expect("a plan"))[0], last);
}

/// Forty viewers of one film measure all they are linked to, each time up to a fifth off: who is named, and by which way, hardly changes.
#[test]
fn paths_of_a_swarm_whose_metrics_wobble_by_a_fifth_stay() {
    const MINUTES: u64 = 5;
    let mut net = Net::new();
    net.joins_as(200, None, Role::Origin).holds(200);
    (1..=40).for_each(|n| _ = net.joins(n));
    (1..=40).for_each(|n| _ = net.finds(n));
    let mut seed = 11u64;
    let mut wobble = |value: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        value * (80 + (seed >> 33) % 41) / 100
    };
    let paths = |net: &Net, n: u8| -> Vec<(NodeId, PathKind)> {
        let plan = net.plan_of(n).expect("a plan");
        let mut paths: Vec<_> = plan.sources.iter().map(|source| (source.node, source.path)).collect();
        paths.sort_unstable();
        paths
    };
    let mut known: BTreeMap<u8, Vec<(NodeId, PathKind)>> = BTreeMap::new();
    let mut changes = 0;
    for second in (5..=(1 + MINUTES) * 60).step_by(5) {
        for n in 1..=40u8 {
            let linked = net.plan_of(n).expect("a plan").sources;
            let links = linked.iter().map(|source| LinkMetric {
                node: source.node,
                path: source.path,
                rtt_us: wobble(5_000 + 1_000 * u64::from(source.node.0[0])) as u32,
                goodput_bps: wobble(400_000 + 300_000 * u64::from(source.node.0[0] % 7)),
                failures: 0,
                connected: true,
            });
            let report = LinkReport { links: links.collect(), uplink_bps: wobble(1_200_000) };
            net.says(n, PlannerRequest::Links(report));
        }
        net.run_to(second * 1_000);
        for n in 1..=40u8 {
            let now = paths(&net, n);
            let before = known.insert(n, now.clone()).unwrap_or_default();
            // The first minute is for finding out.
            if second > 60 {
                changes += now.iter().filter(|path| !before.contains(path)).count();
            }
        }
        net.told.retain(|(_, told)| matches!(told, TrackerMessage::Plan(_)));
    }
    let each_minute = changes as f64 / (40 * MINUTES) as f64;
    assert!(each_minute <= 0.2, "{each_minute} path changes a peer-minute");
}

/// Two films have one seed, two others both. Together they need 0.87 of what both can send; the optimum leaves the first to those who
/// have no other, and gives each of the others half of the second.
#[test]
fn shares_leave_a_source_to_those_who_have_no_other() {
    let mut net = library(8_000_000, 8_000_000);
    net.run_for(30_000);
    for n in 3..=4 {
        let shares = net.shares_of(n);
        assert_eq!(shares[&10], 1, "nothing of the first: {shares:?}");
        assert!(shares[&11].abs_diff(4_000_000) < 40_000, "half of the second: {shares:?}");
    }
    assert!(net.shares_of(1).values().all(|share_bps| *share_bps == 0), "who has no choice is told nothing");
}

/// What one of them has alone is not enough for it; the rest is shared so that all fare alike.
#[test]
fn shares_are_the_optimum_where_supply_is_short() {
    let mut net = library(8_000_000, 4_000_000);
    net.run_for(30_000);
    // Four want 3.5 Mbit/s each of 12 Mbit/s: 3 Mbit/s each, 6 of them for the two that have the first alone.
    let told: Vec<BTreeMap<u8, u64>> = (3..=4).map(|n| net.says(n, find_film(n)).shares_of(n)).collect();
    for shares in &told {
        assert!(shares.values().sum::<u64>().abs_diff(3_000_000) < 60_000, "{told:?}");
    }
    assert!((told[0][&10] + told[1][&10]).abs_diff(2_000_000) < 60_000, "{told:?}");
}

#[test]
fn shares_follow_a_lasting_change_of_an_uplink_and_not_its_wobble() {
    let mut net = library(8_000_000, 8_000_000);
    net.run_for(30_000);
    net.told.clear();
    let mut seed = 3u64;
    for _ in 0..60 {
        for n in 10..=11 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            net.says(n, uplink(8_000_000 * (80 + (seed >> 33) % 41) / 100));
        }
        net.run_for(1_000);
    }
    let plans = net.told.iter().filter(|(_, told)| matches!(told, TrackerMessage::Plan(_))).count();
    assert!(plans <= 4, "{plans} plans in a minute of wobble");
    for _ in 0..20 {
        net.says(11, uplink(2_000_000));
        net.run_for(1_000);
    }
    // 10 Mbit/s for four, 2.5 each, within what is no news.
    let told = [net.shares_of(3), net.shares_of(4)];
    assert!(told.iter().all(|shares| shares.values().sum::<u64>().abs_diff(2_500_000) < 400_000), "{told:?}");
    assert!((told[0][&11] + told[1][&11]).abs_diff(2_000_000) < 600_000, "{told:?}");
    let plans = net.told.iter().filter(|(_, told)| matches!(told, TrackerMessage::Plan(_))).count();
    assert!(plans <= 4 + 2 * 6, "{plans} plans in all");
}

#[test]
fn shares_are_not_told_where_supply_is_ample_or_unknown_nor_in_a_crowd() {
    let mut ample = library(80_000_000, 80_000_000);
    ample.run_for(30_000);
    assert!(ample.shares_of(3).values().all(|share_bps| *share_bps == 0));
    let mut unknown = library(0, 0);
    unknown.run_for(30_000);
    assert!(unknown.shares_of(3).values().all(|share_bps| *share_bps == 0));
    let mut crowd = library(4_000_000, 4_000_000);
    // Another plays what 3 plays.
    crowd.joins(5).says(5, find_film(3));
    crowd.run_for(30_000);
    assert!(crowd.shares_of(3).values().all(|share_bps| *share_bps == 0), "{:?}", crowd.shares_of(3));
    assert!(crowd.shares_of(4)[&11] > 1);
}

#[test]
fn who_has_its_sources_to_itself_again_is_told_no_shares_any_more() {
    let mut net = library(4_000_000, 4_000_000);
    net.run_for(30_000);
    assert!(net.shares_of(3)[&11] > 1);
    for n in [1, 2, 4] {
        net.planner.handle_left(net.now_ms, NodeLeft { node: id(n), session: SessionId(1) });
    }
    net.run_for(30_000);
    assert!(net.shares_of(3).values().all(|share_bps| *share_bps == 0), "{:?}", net.shares_of(3));
}

#[test]
fn a_source_that_was_tried_in_vain_counts_for_nothing() {
    let mut net = library(8_000_000, 8_000_000);
    net.says(3, report(11, |metric| LinkMetric { failures: 1, connected: false, ..metric }));
    net.run_for(30_000);
    assert!(net.shares_of(3).values().all(|share_bps| *share_bps == 0), "it has the first alone");
    // Three have the first alone now, and the second is for the one that reaches it.
    let shares = net.shares_of(4);
    assert_eq!(shares[&10], 1, "{shares:?}");
    net.planner.handle_left(net.now_ms, NodeLeft { node: id(4), session: SessionId(1) });
    net.says(1, PlannerRequest::Forget(ForgetPeers { content_id: film(1) }));
    net.run_for(30_000);
    assert!(net.planner.sharing.is_settled());
}

#[test]
fn a_reversed_path_is_offered_to_both_ends() {
    let mut net = Net::new();
    net.joins(1).joins(2).holds(2);
    net.finds(1);
    net.told.clear();
    net.says(1, request_path(2, PathKind::Reversed));
    let offer =
        |node, role, addresses| PathOffer { node, kind: PathKind::Reversed, role, addresses, token: None };
    assert_eq!(net.told_to(2), [TrackerMessage::PathOffer(offer(id(1), PathRole::Dial, vec![at(1)]))]);
    assert_eq!(net.told_to(1), [TrackerMessage::PathOffer(offer(id(2), PathRole::Accept, Vec::new()))]);
}

#[test]
fn a_path_is_refused_where_it_cannot_be_or_must_not_be() {
    let mut net = Net::new();
    net.joins(1).joins(2).joins(3).holds(2);
    assert!(net.says(1, request_path(2, PathKind::Relayed)).refused(1), "no swarm is shared yet");
    net.finds(1);
    assert!(net.says(1, request_path(3, PathKind::Relayed)).refused(1), "node 3 is in no swarm");
    assert!(net.says(1, request_path(1, PathKind::Relayed)).refused(1), "to itself");
    assert!(net.says(1, request_path(2, PathKind::Direct)).refused(1), "a direct path needs nobody's help");
    net.probe(1, false);
    assert!(net.says(1, request_path(2, PathKind::Reversed)).refused(1), "the viewer cannot be dialled");
}

#[test]
fn a_relay_is_offered_with_the_sessions_of_both() {
    let mut net = Net::new();
    net.joins(1).joins(2).holds(2);
    net.finds(1);
    net.says(1, request_path(2, PathKind::Relayed));
    assert_eq!(net.relays, [((id(1), SessionId(1)), (id(2), SessionId(1)))]);
}

#[test]
fn a_relayed_pair_moves_over_as_soon_as_an_end_can_be_dialled() {
    for (opens, way) in [(2, PathKind::Direct), (1, PathKind::Reversed)] {
        let mut net = Net::new();
        net.joins(1).joins(2).holds(2);
        net.probe(1, false);
        net.probe(2, false);
        assert_eq!(net.finds(1).sources[0].path, PathKind::Relayed);
        // What was tried before the router opened says nothing afterwards.
        for path in [PathKind::Direct, PathKind::Reversed] {
            net.says(1, report(2, |metric| LinkMetric { path, failures: 1, connected: false, ..metric }));
        }
        for (n, other) in [(1, 2), (2, 1)] {
            net.says(n, report(other, |metric| LinkMetric { path: PathKind::Relayed, ..metric }));
        }
        for second in 1..=20 {
            net.run_to(second * 1_000);
        }
        let tried = |n| net.reprobes.iter().filter(move |(_, node)| *node == id(n)).map(|(at_ms, _)| *at_ms);
        for n in [1, 2] {
            let times: Vec<u64> = tried(n).collect();
            assert!(times.len() >= 19 && times.windows(2).all(|two| two[1] - two[0] <= 1_000), "{times:?}");
        }
        assert_eq!(net.plan_of(1).expect("a plan").sources[0].path, PathKind::Relayed);
        net.probe(opens, true);
        net.run_to(20_001);
        let plan = net.plan_of(1).expect("a new plan");
        assert_eq!(plan.sources[0].path, way);
        assert_eq!(plan.sources[0].addresses.is_empty(), way == PathKind::Reversed);
    }
}

#[test]
fn only_who_is_relayed_and_closed_is_dialled_again() {
    let mut net = Net::new();
    net.joins(1).joins(2).joins(3).holds(2).holds(3);
    (1..=3).for_each(|n| net.probe(n, false));
    net.says(1, report(2, |metric| LinkMetric { path: PathKind::Relayed, ..metric }));
    net.says(3, report(1, |metric| LinkMetric { path: PathKind::Reversed, ..metric }));
    net.run_to(1_000);
    assert_eq!(net.reprobes, [(1_000, id(1))], "1 is relayed; 2 has not said so, and 3 is linked otherwise");
    net.says(1, report(2, |metric| LinkMetric { path: PathKind::Relayed, connected: false, ..metric }));
    (2..9).for_each(|second| net.run_to(second * 1_000));
    assert_eq!(net.reprobes.len(), 1, "the relayed link is gone");
    assert!(net.planner.poll_timeout().is_none_or(|due| due.at_us > 9_000_000));
}

#[test]
fn so_many_are_dialled_again_a_second_and_no_more() {
    let mut net = Net::new();
    for n in 1..=200 {
        net.joins(n);
        net.probe(n, false);
        net.says(n, report(201, |metric| LinkMetric { path: PathKind::Relayed, ..metric }));
    }
    (10..600).for_each(|tick| net.run_to(tick * 100));
    let in_time = net.reprobes.iter().filter(|(at_ms, _)| *at_ms >= 10_000).count();
    assert!((25 * 50..=33 * 50).contains(&in_time), "{in_time} in fifty seconds");
    let each = (1..=200).map(|n| net.reprobes.iter().filter(|(_, node)| *node == id(n)).count());
    assert!(each.min().is_some_and(|least| least >= 5));
}

#[test]
fn a_viewer_that_forgets_the_file_is_told_no_more_and_leaves_nothing_behind() {
    let mut net = Net::new();
    net.joins(1).joins(2).holds(2);
    net.finds(1);
    net.says(1, PlannerRequest::Forget(ForgetPeers { content_id: CONTENT }));
    net.told.clear();
    net.joins(3).holds(3);
    net.run_to(60_000);
    assert!(net.told_to(1).is_empty());
    assert_eq!(net.planner.snapshot(9).viewers, 0);
    assert!(net.planner.nodes.iter().all(|node| node.named == 0));
}

#[test]
fn a_returning_node_replaces_itself_and_old_words_are_ignored() {
    let mut net = Net::new();
    net.joins(1).joins(2).holds(2);
    net.finds(1);
    net.told.clear();
    net.join(NodeJoined { session: SessionId(2), ..joined(2) });
    assert!(net.told_to(1).iter().any(|told| matches!(told, TrackerMessage::PeerGone(_))));
    net.planner.handle_left(0, NodeLeft { node: id(2), session: SessionId(1) });
    assert_eq!(net.planner.snapshot(9).nodes, 2);
    net.holds(2);
    let handle = net.planner.nodes.handle(&id(2)).expect("it is registered");
    assert!(
        !net.planner.swarms.values().any(|swarm| swarm.holders.contains(&handle)),
        "said over the old session"
    );
}

#[test]
fn an_origin_that_gains_the_file_takes_a_seat_and_adds_none() {
    let mut net = Net::new();
    net.joins(1).joins_as(100, None, Role::Origin);
    (2..40).for_each(|n| _ = net.joins(n).holds(n));
    assert_eq!(net.finds(1).sources.len(), PLAN_NEIGHBOURS);
    net.holds(100);
    net.says(1, report(2, |metric| metric));
    net.run_for(10 * PLAN_SPACING_MS);
    let plan = net.plan_of(1).expect("a plan");
    assert!(sources(&plan).contains(&100), "{:?}", sources(&plan));
    assert_eq!(plan.sources.len(), PLAN_NEIGHBOURS);
}

#[test]
fn a_client_may_not_watch_without_bound() {
    let mut net = Net::new();
    net.joins(1);
    for n in 0..=255 {
        net.says(1, PlannerRequest::Find(FindPeers { content_id: ContentId([n; 32]), playhead_leaf: 0 }));
    }
    assert_eq!(net.planner.snapshot(999).viewers, shared::limits::MAX_OPEN_CONTENTS);
    assert_eq!(net.told_to(1).len(), 256, "each question is answered");
}

#[test]
fn ten_thousand_viewers_of_one_file_are_planned_within_seconds_of_cpu() {
    let mut net = Net::new();
    for n in 0..10_000u16 {
        let node = wide_id(n);
        net.join(NodeJoined { node, ..joined(1) });
        net.planner.handle_says(0, ClientSays { node, session: SessionId(1), request: find() });
        while net.planner.poll_output().is_some() {}
    }
    let mut turns = 0;
    while net.planner.poll_timeout().is_some() {
        net.planner.handle_timeout(PLAN_SPACING_MS + turns);
        turns += 1;
        assert!(turns < 10_000, "planning does not settle");
        while net.planner.poll_output().is_some() {}
    }
    let swarm = net.planner.swarms.values().next().expect("a swarm");
    assert!(swarm.viewers.values().all(|viewer| viewer.plan.len() <= PLAN_NEIGHBOURS));
    assert!(swarm.viewers.values().all(|viewer| viewer.plan.len() >= PLAN_NEIGHBOURS / 2));
}

const CONTENT: ContentId = ContentId([77; 32]);

/// Viewers 1 to 4 play a film each, of 3.5 Mbit/s; 10 has all four, 11 those of 3 and 4. What they can send was measured.
fn library(first_bps: u64, second_bps: u64) -> Net {
    let mut net = Net::new();
    for (seed, films, bps) in [(10, 1..=4, first_bps), (11, 3..=4, second_bps)] {
        net.joins(seed).says(seed, uplink(bps));
        let gained = Some(HeldFile { size_bytes: 1 << 30, bitrate_bps: 3_500_000 });
        let changes = films.map(|n| HolderChange {
            key: (MediaKind::Video, film(n)),
            node: id(seed),
            session: SessionId(1),
            gained,
        });
        net.planner.handle_holders(0, changes.collect());
    }
    (1..=4).for_each(|n| _ = net.joins(n).says(n, find_film(n)));
    net
}

fn film(n: u8) -> ContentId {
    ContentId([n; 32])
}

fn find_film(n: u8) -> PlannerRequest {
    PlannerRequest::Find(FindPeers { content_id: film(n), playhead_leaf: 0 })
}

fn uplink(uplink_bps: u64) -> PlannerRequest {
    PlannerRequest::Links(LinkReport { links: Vec::new(), uplink_bps })
}

struct Net {
    planner: PathPlannerState,
    now_ms: u64,
    told: Vec<(NodeId, TrackerMessage)>,
    probes: Vec<NodeId>,
    reprobes: Vec<(u64, NodeId)>,
    relays: Vec<((NodeId, SessionId), (NodeId, SessionId))>,
}

impl Net {
    fn new() -> Self {
        Self {
            planner: PathPlannerState::new(1),
            now_ms: 0,
            told: Vec::new(),
            probes: Vec::new(),
            reprobes: Vec::new(),
            relays: Vec::new(),
        }
    }

    fn joins(&mut self, n: u8) -> &mut Self {
        self.joins_as(n, Some(MediaKind::Video), Role::Peer)
    }

    fn joins_as(&mut self, n: u8, kind: Option<MediaKind>, role: Role) -> &mut Self {
        self.join(NodeJoined { kind, role, ..joined(n) });
        self
    }

    fn join(&mut self, joined: NodeJoined) {
        self.planner.handle_joined(self.now_ms, joined);
        self.drain();
    }

    fn holds(&mut self, n: u8) -> &mut Self {
        self.holds_as(n, MediaKind::Video);
        self
    }

    fn holds_as(&mut self, n: u8, kind: MediaKind) {
        let gained = Some(HeldFile { size_bytes: 64 * 16_384, bitrate_bps: 1_000_000 });
        let change = HolderChange { key: (kind, CONTENT), node: id(n), session: SessionId(1), gained };
        self.planner.handle_holders(self.now_ms, vec![change]);
        self.drain();
    }

    fn probe(&mut self, n: u8, is_open: bool) {
        self.planner.handle_probe(self.now_ms, ProbeFinished { node: id(n), session: SessionId(1), is_open });
        self.drain();
    }

    fn finds(&mut self, n: u8) -> Plan {
        self.says(n, find());
        self.plan_of(n).expect("an answer")
    }

    fn says(&mut self, n: u8, request: PlannerRequest) -> &mut Self {
        self.planner.handle_says(self.now_ms, ClientSays { node: id(n), session: SessionId(1), request });
        self.drain();
        self
    }

    fn run_to(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.planner.handle_timeout(now_ms);
        self.drain();
    }

    /// Lets everything happen that is due within `ms`.
    fn run_for(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while let Some(due) = self.planner.poll_timeout().filter(|due| due.at_us <= end_ms * 1_000) {
            self.run_to(self.now_ms.max(due.at_us / 1_000));
        }
        self.now_ms = end_ms;
    }

    /// What a viewer was told last that it may take of each source.
    fn shares_of(&self, n: u8) -> BTreeMap<u8, u64> {
        let plan = self.plan_of(n).expect("a plan");
        plan.sources.iter().map(|source| (source.node.0[0], source.share_bps)).collect()
    }

    fn drain(&mut self) {
        while let Some(output) = self.planner.poll_output() {
            match output {
                Output::Tell(node, _, message) => self.told.push((node, message)),
                Output::Probe(dial) => self.probes.push(dial.node),
                Output::ProbeAgain(dial) => self.reprobes.push((self.now_ms, dial.node)),
                Output::OfferRelay { viewer, source } => self.relays.push((viewer, source)),
            }
        }
    }

    fn told_to(&self, n: u8) -> Vec<TrackerMessage> {
        self.told.iter().filter(|(node, _)| *node == id(n)).map(|(_, message)| message.clone()).collect()
    }

    fn plan_of(&self, n: u8) -> Option<Plan> {
        self.told_to(n).into_iter().rev().find_map(|message| match message {
            TrackerMessage::Plan(plan) => Some(plan),
            _ => None,
        })
    }

    fn refused(&self, n: u8) -> bool {
        matches!(self.told_to(n).last(), Some(TrackerMessage::PathRefused(_)))
    }
}

fn sources(plan: &Plan) -> Vec<u8> {
    plan.sources.iter().map(|source| source.node.0[0]).collect()
}

fn find() -> PlannerRequest {
    PlannerRequest::Find(FindPeers { content_id: CONTENT, playhead_leaf: 0 })
}

fn request_path(n: u8, kind: PathKind) -> PlannerRequest {
    PlannerRequest::Path(RequestPath { node: id(n), kind })
}

fn report(n: u8, change: impl Fn(LinkMetric) -> LinkMetric) -> PlannerRequest {
    let metric = LinkMetric {
        node: id(n),
        path: PathKind::Direct,
        rtt_us: 20_000,
        goodput_bps: 10_000_000,
        failures: 0,
        connected: true,
    };
    PlannerRequest::Links(LinkReport { links: vec![change(metric)], uplink_bps: 0 })
}

fn joined(n: u8) -> NodeJoined {
    NodeJoined {
        node: id(n),
        session: SessionId(1),
        role: Role::Peer,
        kind: Some(MediaKind::Video),
        observed: format!("10.0.0.{n}:40000").parse().expect("an address"),
        register: register(n),
    }
}

fn register(n: u8) -> Register {
    Register {
        listen_port: Some(at(n).port()),
        addresses: Vec::new(),
        upload_limit_bps: 0,
        relay_limit_bps: 0,
    }
}

fn at(n: u8) -> std::net::SocketAddr {
    format!("10.0.0.{n}:7701").parse().expect("an address")
}

fn id(n: u8) -> NodeId {
    NodeId([n; 32])
}

fn wide_id(n: u16) -> NodeId {
    let mut id = [0; 32];
    // An odd multiplier spreads the ids over the ring as keys would be.
    id[..2].copy_from_slice(&n.wrapping_mul(40_503).to_be_bytes());
    NodeId(id)
}
