//! A swarm as it is shown: members in order, plans as they were told, reasons as they are.

use std::collections::BTreeSet;

use shared::wire::{FindPeers, Holdings, LinkMetric, LinkReport, Register};

use super::*;
use crate::{
    file_index::{HeldFile, HolderChange},
    path_planner::{ClientSays, NodeJoined, PlannerRequest, ProbeFinished},
    registry::SessionId,
};

const CONTENT: ContentId = ContentId([77; 32]);
const KEY: FileKey = (MediaKind::Video, CONTENT);
const LEAVES: u32 = 64;

#[test]
fn nobody_makes_no_swarm() {
    assert_eq!(PathPlannerState::new(1).view(0, KEY), None);
}

#[test]
fn members_stand_in_order_and_plans_point_at_them() {
    let mut planner = swarm();
    says(&mut planner, 4, PlannerRequest::Find(FindPeers { content_id: CONTENT, playhead_leaf: 40 }));
    says(&mut planner, 3, PlannerRequest::Find(FindPeers { content_id: CONTENT, playhead_leaf: 2 }));
    says(&mut planner, 4, PlannerRequest::Holdings(Holdings { content_id: CONTENT, leaves: 50 }));
    planner.handle_timeout(10);
    let view = planner.view(10, KEY).expect("a swarm");
    let order: Vec<u8> = view.members.iter().map(|member| member.node.0[0]).collect();
    assert_eq!(order, [1, 2, 3, 4]);
    assert_eq!((view.members[0].role, view.leaves), (Role::Origin, LEAVES));
    let leaves: Vec<u32> = view.members.iter().map(|member| member.leaves).collect();
    assert_eq!(leaves, [LEAVES, LEAVES, 0, 50]);
    let plan: BTreeSet<usize> =
        view.edges.iter().filter(|edge| edge.viewer == 3).map(|edge| edge.source).collect();
    assert_eq!(plan, BTreeSet::from([0, 1, 2]));
    assert!(view.edges.iter().all(|edge| edge.viewer != edge.source && edge.place >= 1));
    assert_eq!(view.epoch, view.members.iter().map(|member| member.epoch).max().unwrap());
    assert!(view.epoch > 1);
}

#[test]
fn the_limit_is_whoever_is_short() {
    let mut planner = swarm();
    find(&mut planner, 3);
    let limit = |planner: &PathPlannerState| {
        let view = planner.view(0, KEY).unwrap();
        (view.limit, view.sustainable_bps)
    };
    assert_eq!(limit(&planner), (Limit::Unknown, 0));
    uplink(&mut planner, 1, 1_000_000);
    uplink(&mut planner, 2, 2_000_000);
    assert_eq!(limit(&planner), (Limit::Holders, 3_000_000));
    find(&mut planner, 4);
    assert_eq!(limit(&planner), (Limit::Uplinks, 1_500_000));
    let lost = HolderChange { key: KEY, node: id(2), session: SessionId(1), gained: None };
    planner.handle_holders(0, vec![lost]);
    uplink(&mut planner, 3, 9_000_000);
    assert_eq!(limit(&planner), (Limit::Library, 1_000_000));
}

#[test]
fn a_way_is_explained_by_what_was_tried() {
    let mut planner = swarm();
    probe(&mut planner, 2, true);
    find(&mut planner, 3);
    let why = |planner: &PathPlannerState, source: usize| {
        let view = planner.view(1, KEY).unwrap();
        let edge = view.edges.into_iter().find(|edge| edge.viewer == 2 && edge.source == source);
        let edge = edge.unwrap();
        (edge.path, edge.why_path)
    };
    assert_eq!(why(&planner, 0), (PathKind::Direct, "the library is where the tracker is".to_owned()));
    assert_eq!(why(&planner, 1), (PathKind::Direct, "the tracker dialled it and it answered".to_owned()));
    probe(&mut planner, 2, false);
    planner.handle_timeout(10_000);
    assert_eq!(why(&planner, 1), (PathKind::Reversed, "it cannot be dialled, and the viewer can".to_owned()));
    let metric = LinkMetric {
        node: id(2),
        path: PathKind::Direct,
        rtt_us: 9,
        goodput_bps: 5_000,
        failures: 0,
        connected: true,
    };
    says(&mut planner, 3, PlannerRequest::Links(LinkReport { links: vec![metric], uplink_bps: 0 }));
    assert_eq!(why(&planner, 1), (PathKind::Direct, "connected so, and a way that works is kept".to_owned()));
}

#[test]
fn a_huge_swarm_is_shown_in_part() {
    let mut planner = swarm();
    for n in 3..200 {
        join(&mut planner, n, Role::Peer);
        find(&mut planner, n);
    }
    let view = planner.view(0, KEY).unwrap();
    assert_eq!((view.members.len(), view.hidden), (VIEW_NODES, 199 - VIEW_NODES));
    assert!(view.edges.iter().all(|edge| edge.viewer < VIEW_NODES && edge.source < VIEW_NODES));
}

/// The library and peer 2 have everything; 3 and 4 are there.
fn swarm() -> PathPlannerState {
    let mut planner = PathPlannerState::new(1);
    join(&mut planner, 1, Role::Origin);
    for n in 2..5 {
        join(&mut planner, n, Role::Peer);
    }
    let gained = Some(HeldFile { size_bytes: u64::from(LEAVES) * 16_384, bitrate_bps: 1_000_000 });
    let change = |n| HolderChange { key: KEY, node: id(n), session: SessionId(1), gained };
    planner.handle_holders(0, vec![change(1), change(2)]);
    planner
}

fn join(planner: &mut PathPlannerState, n: u8, role: Role) {
    let register =
        Register { listen_port: Some(7701), addresses: Vec::new(), upload_limit_bps: 0, relay_limit_bps: 0 };
    let kind = (role == Role::Peer).then_some(MediaKind::Video);
    let observed = format!("10.0.0.{n}:40000").parse().expect("an address");
    planner
        .handle_joined(0, NodeJoined { node: id(n), session: SessionId(1), role, kind, observed, register });
}

fn find(planner: &mut PathPlannerState, n: u8) {
    says(planner, n, PlannerRequest::Find(FindPeers { content_id: CONTENT, playhead_leaf: 0 }));
}

fn uplink(planner: &mut PathPlannerState, n: u8, uplink_bps: u64) {
    says(planner, n, PlannerRequest::Links(LinkReport { links: Vec::new(), uplink_bps }));
}

fn says(planner: &mut PathPlannerState, n: u8, request: PlannerRequest) {
    planner.handle_says(0, ClientSays { node: id(n), session: SessionId(1), request });
}

fn probe(planner: &mut PathPlannerState, n: u8, is_open: bool) {
    planner.handle_probe(0, ProbeFinished { node: id(n), session: SessionId(1), is_open });
}

fn id(n: u8) -> NodeId {
    NodeId([n; 32])
}
