//! The tracker's own planner in the simulated world: who joins is registered with it, whom a node meets is what it plans.
//!
//! Clients are one half of a round trip from their tracker. It can dial everybody, hears every five seconds what clients measured and
//! hold, and misses a client that has vanished as late as its neighbours do.

use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use shared::{
    ContentId, MediaKind, NodeId,
    schedule::viewer::Swarm,
    wire::{FindPeers, Holdings, LinkMetric, LinkReport, PathKind, Register, Role, TrackerMessage},
};
use tracker_actor::{
    file_index::{HeldFile, HolderChange},
    path_planner::{ClientSays, NodeJoined, NodeLeft, PathPlannerState, PlannerRequest, ProbeFinished},
    registry::SessionId,
};

use super::{
    events::Event,
    node::Content,
    world::{World, content_of},
};

/// How often a client says what it measured.
const REPORTS_US: u64 = 5_000_000;
const KIND: MediaKind = MediaKind::Video;

/// The planner, and what it did.
#[derive(Debug)]
pub(super) struct Tracker {
    planner: PathPlannerState,
    wake_ms: Option<u64>,
    pub(super) plans: u64,
    /// Sources of plans that were not in the plan before, first plans apart.
    pub(super) changes: u64,
    /// What the planner said last that the swarm can carry.
    pub(super) sustainable_bps: u64,
    /// On this machine, so no part of what a seed repeats.
    pub(super) took: Duration,
}

impl Tracker {
    pub(super) fn new() -> Self {
        Self {
            planner: PathPlannerState::new(1),
            wake_ms: None,
            plans: 0,
            changes: 0,
            sustainable_bps: 0,
            took: Duration::ZERO,
        }
    }

    fn drive(&mut self, input: impl FnOnce(&mut PathPlannerState)) {
        let began = Instant::now();
        input(&mut self.planner);
        self.took += began.elapsed();
    }

    fn join(&mut self, now_ms: u64, n: u32, role: Role, content: Content, held: Vec<ContentId>) {
        let [_, b, c, d] = n.to_be_bytes();
        let register = Register {
            listen_port: Some(7_701),
            addresses: Vec::new(),
            upload_limit_bps: 0,
            relay_limit_bps: 0,
        };
        let (node, session) = (id(n), session(n));
        let kind = (role == Role::Peer).then_some(KIND);
        let observed = ([10, b, c, d], 40_000).into();
        self.drive(|planner| {
            planner.handle_joined(now_ms, NodeJoined { node, session, role, kind, observed, register });
            planner.handle_probe(now_ms, ProbeFinished { node, session, is_open: true });
            let gained = Some(HeldFile { size_bytes: content.size_bytes, bitrate_bps: content.rate_bps });
            let gained = held.into_iter().map(|of| HolderChange { key: (KIND, of), node, session, gained });
            planner.handle_holders(now_ms, gained.collect());
        });
    }

    fn says(&mut self, now_ms: u64, n: u32, request: PlannerRequest) {
        let says = ClientSays { node: id(n), session: session(n), request };
        self.drive(|planner| planner.handle_says(now_ms, says));
    }
}

impl World {
    /// A node registers; a viewer asks whom to meet.
    pub(super) fn register(&mut self, n: u32) {
        let now_ms = self.now_ms();
        let node = &self.nodes[n as usize];
        let role = if node.spec.is_origin() { Role::Origin } else { Role::Peer };
        let is_viewer = node.spec.is_viewer();
        let held = self.held_for(n);
        self.tracker.join(now_ms, n, role, self.content, held);
        if is_viewer {
            self.find(n);
        }
        self.plan(self.now_us + REPORTS_US, n, Event::Report);
        self.hear_tracker();
    }

    /// The tracker is asked, as at the start and after a jump.
    pub(super) fn find(&mut self, n: u32) {
        let playhead = self.nodes[n as usize].player.as_ref().map_or(0, |player| player.byte(self.now_us));
        let find = FindPeers {
            content_id: content_of(&self.scenario, n),
            playhead_leaf: shared::units::leaf_of(playhead),
        };
        self.tracker.says(self.now_ms(), n, PlannerRequest::Find(find));
    }

    /// A node tells what it measured, holds and plays.
    pub(super) fn report(&mut self, n: u32) {
        let now_ms = self.now_ms();
        let node = &self.nodes[n as usize];
        let rtt_us = self.scenario.rtt_ms as u32 * 1_000;
        let sources = node.viewer.as_ref().map_or_else(Vec::new, |viewer| viewer.snapshot(now_ms).sources);
        let links = sources.into_iter().map(|source| LinkMetric {
            node: id(source.source),
            path: PathKind::Direct,
            rtt_us,
            goodput_bps: source.goodput_bps,
            failures: 0,
            connected: true,
        });
        let mut report = LinkReport { links: links.collect(), uplink_bps: node.uploader.carried_bps() };
        report.links.truncate(shared::limits::MAX_LINK_METRICS);
        let held = node.viewer.as_ref().map(|viewer| viewer.held().count());
        self.tracker.says(now_ms, n, PlannerRequest::Links(report));
        if let Some(leaves) = held {
            let content_id = content_of(&self.scenario, n);
            self.tracker.says(now_ms, n, PlannerRequest::Holdings(Holdings { content_id, leaves }));
            self.tracker.says(now_ms, n, PlannerRequest::TrackerRtt(rtt_us));
        }
        self.plan(self.now_us + REPORTS_US, n, Event::Report);
        self.hear_tracker();
    }

    /// The tracker has noticed that a node is gone.
    pub(super) fn missed(&mut self, n: u32) {
        let (now_ms, left) = (self.now_ms(), NodeLeft { node: id(n), session: session(n) });
        self.tracker.drive(|planner| planner.handle_left(now_ms, left));
        self.hear_tracker();
    }

    /// Plans are due.
    pub(super) fn plans_due(&mut self) {
        let now_ms = self.now_ms();
        if self.tracker.wake_ms == Some(now_ms) {
            self.tracker.wake_ms = None;
            self.tracker.drive(|planner| planner.handle_timeout(now_ms));
            self.hear_tracker();
        }
    }

    /// What the planner tells its clients is on its way to them, and it is woken in time.
    pub(super) fn hear_tracker(&mut self) {
        let one_way_us = self.scenario.rtt_ms * 500;
        while let Some(output) = self.tracker.planner.poll_output() {
            let tracker_actor::path_planner::state::Output::Tell(node, _, TrackerMessage::Plan(plan)) =
                output
            else {
                continue;
            };
            let Some(n) = number(&node) else { continue };
            let sources =
                plan.sources.iter().filter_map(|source| Some((number(&source.node)?, source.share_bps)));
            let told: Vec<(u32, u64)> = sources.collect();
            let others: Vec<u32> = told.iter().map(|(other, _)| *other).collect();
            let viewer = &mut self.nodes[n as usize];
            let new = others.iter().filter(|other| !viewer.planned.contains(other)).count() as u64;
            if !viewer.planned.is_empty() {
                self.tracker.changes += new;
            }
            viewer.planned = others;
            self.tracker.plans += 1;
            self.tracker.sustainable_bps = plan.sustainable_bps;
            let swarm = Swarm { viewers: plan.viewers, sustainable_bps: plan.sustainable_bps };
            // An answer has the question's way behind it, and each neighbour is a round trip away.
            self.plan(self.now_us + 2 * one_way_us, n, Event::Meet(swarm, told));
        }
        if let Some(due) = self.tracker.planner.poll_timeout() {
            let due_ms = due.at_us.div_ceil(1_000).max(self.now_ms() + 1);
            if self.tracker.wake_ms.is_none_or(|wake_ms| wake_ms > due_ms) {
                self.tracker.wake_ms = Some(due_ms);
                self.plan(due_ms * 1_000, 0, Event::PlansDue);
            }
        }
    }
}

/// Ids are spread over the ring as keys are, and carry the number.
fn id(n: u32) -> NodeId {
    let mut id: [u8; 32] = StdRng::seed_from_u64(n.into()).random();
    id[4..8].copy_from_slice(&n.to_be_bytes());
    NodeId(id)
}

fn number(id: &NodeId) -> Option<u32> {
    id.0.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
}

fn session(n: u32) -> SessionId {
    SessionId(u64::from(n) + 1)
}
