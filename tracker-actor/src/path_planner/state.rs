//! The network as the tracker sees it, and what must be told to whom when it changes. Pure.
//!
//! Invariant: a plan names only nodes that are registered, share the viewer's kind (or are the tracker's own origin) and are in the
//! swarm; when one of them goes, everyone whose plan names it hears so before anything else, and is given a new plan.

use std::collections::{BTreeSet, VecDeque};

use foldhash::HashMap;
use shared::{
    NodeId,
    limits::MAX_OPEN_CONTENTS,
    wire::{
        FindPeers, Holdings, LinkReport, PathKind, PathOffer, PathRefused, PathRole, PeerGone, RequestPath,
        Role, TrackerMessage,
    },
};

use super::{
    addresses,
    messages::{ClientSays, DialBack, NodeJoined, NodeLeft, PlannerRequest, ProbeFinished},
    nodes::{Handle, Node, Nodes},
    paths::Reach,
    relays::Broker,
    reprobe::Reprobes,
    sharing::Sharing,
    swarm::Swarm,
};
use crate::{
    deadline::Deadline,
    file_index::{FileKey, HolderChange},
    registry::SessionId,
};

/// Plans of one viewer follow each other no faster, unless a source of it is gone.
pub const PLAN_SPACING_MS: u64 = 1_000;
/// The most plans made in one turn; the rest follow in the next, so that a crowd does not hold up a single viewer.
pub const PLANS_PER_TURN: usize = 256;
/// A plan with so few sources is made anew as soon as another appears.
pub const FEW_SOURCES: usize = 4;
/// The most contents of which a node may say that it has a part.
pub const MAX_PARTIAL: usize = 4_096;

/// What the planner asks its shell to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Tell a client.
    Tell(NodeId, SessionId, TrackerMessage),
    /// Try to dial a client, and say how it went with [`PathPlannerState::handle_probe`].
    Probe(DialBack),
    /// The same for a client that was tried before, unless too many are being tried.
    ProbeAgain(DialBack),
    /// Mint a token of the tracker's own relay and offer it to both: the viewer dials and says Hello, the source awaits it there.
    OfferRelay {
        /// Who asked.
        viewer: (NodeId, SessionId),
        /// Whom it wants to reach.
        source: (NodeId, SessionId),
    },
}

/// The state of the path planner.
#[derive(Debug)]
pub struct PathPlannerState {
    pub(super) nodes: Nodes,
    pub(super) swarms: HashMap<FileKey, Swarm>,
    pub(super) due: BTreeSet<(u64, FileKey, Handle)>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) epoch: u64,
    pub(super) broker: Broker,
    pub(super) reprobes: Reprobes,
    pub(super) plans_told: u64,
    /// How many swarms the origin serves, and when they were counted.
    pub(super) served: Option<(u64, usize)>,
    pub(super) sharing: Sharing,
    /// Those whose shares have moved are settled no sooner.
    pub(super) next_settle_ms: u64,
}

impl PathPlannerState {
    /// A planner that knows nobody. Epochs grow from `first_epoch`, which must be above every epoch an earlier run has told.
    pub fn new(first_epoch: u64) -> Self {
        Self {
            nodes: Nodes::default(),
            swarms: HashMap::default(),
            due: BTreeSet::new(),
            outputs: VecDeque::new(),
            epoch: first_epoch,
            broker: Broker::new(),
            reprobes: Reprobes::default(),
            plans_told: 0,
            served: None,
            sharing: Sharing::default(),
            next_settle_ms: 0,
        }
    }

    /// A client registered, or registered anew with other addresses.
    pub fn handle_joined(&mut self, now_ms: u64, joined: NodeJoined) {
        let NodeJoined { node, session, role, kind, observed, register } = joined;
        if let Some(known) = self.nodes.get(&node).filter(|known| known.session != session) {
            let session = known.session;
            self.handle_left(now_ms, NodeLeft { node, session });
        }
        let probed = if role == Role::Origin { None } else { addresses::probed(observed, &register) };
        let reach = match (role, probed) {
            (Role::Origin, _) => Reach::Open,
            (_, Some(_)) => Reach::Untried,
            (_, None) => Reach::Closed,
        };
        let (handle, known) = self.nodes.enter(node, || Node::new(node, session, role, kind, observed));
        let addresses = addresses::dialable(observed, &register);
        if (known.observed, &known.addresses) != (observed, &addresses) {
            (known.observed, known.addresses) = (observed, addresses);
            known.registered += 1;
        }
        known.upload_limit_bps = register.upload_limit_bps;
        known.relaying.limit_bps = register.relay_limit_bps;
        (known.reach, known.probed) = (reach, probed);
        let known_uplink = known.uplink();
        self.consider_as_relay(&node);
        self.sharing.uplink(handle, known_uplink);
        if let Some(address) = probed {
            self.outputs.push_back(Output::Probe(DialBack { node, session, kind, address }));
        }
        self.look_again_around(now_ms, handle);
    }

    /// A client's session ended: those whose plans name it hear so at once.
    pub fn handle_left(&mut self, now_ms: u64, left: NodeLeft) {
        let NodeLeft { node, session } = left;
        if self.nodes.of_session(&node, session).is_none() {
            return;
        }
        let Some((handle, gone)) = self.nodes.remove(&node) else { return };
        self.consider_as_relay(&node);
        self.forget_reprobe(handle, gone.reprobe_ms);
        self.forget_own_relays(node);
        for key in &gone.views {
            self.leave_swarm(*key, handle);
        }
        let keys: BTreeSet<FileKey> =
            gone.views.iter().chain(&gone.holds).chain(&gone.parts).copied().collect();
        let mut bereft: BTreeSet<Handle> = BTreeSet::new();
        for key in keys {
            let Some(swarm) = self.swarms.get_mut(&key) else { continue };
            swarm.holders.remove(&handle);
            swarm.partial.remove(&handle);
            swarm.origin.take_if(|origin| *origin == handle);
            for viewer in swarm.naming(handle) {
                bereft.insert(viewer);
                self.look_again(now_ms, key, viewer);
            }
            self.drop_if_empty(key);
        }
        for viewer in bereft {
            if let Some(known) = self.nodes.at_mut(viewer) {
                known.links.handle_gone(&node);
                let notice = PeerGone { node };
                self.outputs.push_back(Output::Tell(
                    known.id,
                    known.session,
                    TrackerMessage::PeerGone(notice),
                ));
            }
        }
    }

    /// A registered client says something.
    pub fn handle_says(&mut self, now_ms: u64, says: ClientSays) {
        let ClientSays { node, session, request } = says;
        let Some((handle, known)) = self.nodes.of_session(&node, session) else { return };
        match request {
            PlannerRequest::Find(find) => self.on_find(now_ms, handle, find),
            PlannerRequest::Forget(forget) => self.on_forget(now_ms, handle, forget.content_id),
            PlannerRequest::Links(report) => self.on_links(now_ms, handle, &report),
            PlannerRequest::Holdings(holdings) => self.on_holdings(now_ms, handle, holdings),
            PlannerRequest::Path(request) => self.on_request_path(now_ms, node, request),
            PlannerRequest::RelayAnswer(answer) => self.on_relay_answer(now_ms, &node, answer),
            PlannerRequest::RelayUse(relay_use) => self.on_relay_use(&node, relay_use),
            // The least of the latest already: to smooth it would bring the queues back in that it leaves out.
            PlannerRequest::TrackerRtt(rtt_us) => known.tracker_rtt_us = rtt_us,
        }
    }

    /// Holders were gained and lost.
    pub fn handle_holders(&mut self, now_ms: u64, changes: Vec<HolderChange>) {
        for HolderChange { key, node, session, gained } in changes {
            let Some((handle, known)) = self.nodes.of_session(&node, session) else { continue };
            let is_origin = known.role == Role::Origin;
            if let Some(file) = gained {
                known.holds.insert(key);
                let swarm = self.swarms.entry(key).or_default();
                swarm.size_bytes = file.size_bytes;
                swarm.bitrate_bps = file.bitrate_bps;
                swarm.holders.insert(handle);
                if is_origin {
                    swarm.origin = Some(handle);
                }
                self.greet_in_swarm(now_ms, key, handle);
            } else {
                known.holds.remove(&key);
                if let Some(swarm) = self.swarms.get_mut(&key) {
                    swarm.holders.remove(&handle);
                    swarm.origin.take_if(|origin| *origin == handle);
                }
                self.part_in_swarm(now_ms, key, handle);
            }
        }
    }

    /// The tracker tried to dial a client.
    pub fn handle_probe(&mut self, now_ms: u64, probe: ProbeFinished) {
        let ProbeFinished { node, session, is_open } = probe;
        let reach = if is_open { Reach::Open } else { Reach::Closed };
        let Some((handle, known)) = self.nodes.of_session(&node, session) else { return };
        if std::mem::replace(&mut known.reach, reach) != reach {
            if is_open {
                self.became_open(handle);
            }
            self.consider_as_relay(&node);
            self.look_again_around(now_ms, handle);
        }
    }

    /// Makes the plans that are due, as many as one turn allows, and what else is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        self.expire_grants(now_ms);
        self.reprobe(now_ms);
        self.spare_own_line(now_ms);
        for _ in 0..PLANS_PER_TURN {
            let Some(due) = self.due.first().copied().filter(|(at_ms, _, _)| *at_ms <= now_ms) else { break };
            self.due.remove(&due);
            let (_, key, node) = due;
            if let Some(viewer) = self.viewer_mut(key, node) {
                viewer.due_ms = None;
                self.replan(now_ms, key, node, false);
            }
        }
        self.settle_shares(now_ms);
    }

    /// The next thing to do; drain to none after each `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let plan = self.due.first().map(|(at_ms, _, _)| Deadline::at_ms(*at_ms, "plan"));
        let grant = self.next_grant_ms().map(|at_ms| Deadline::at_ms(at_ms, "unanswered relay"));
        let reprobe = self.next_reprobe_ms().map(|at_ms| Deadline::at_ms(at_ms, "dial a relayed client"));
        let spare = self.next_move_ms().map(|at_ms| Deadline::at_ms(at_ms, "spare the tracker's line"));
        let is_settled = self.sharing.is_settled();
        let shares = (!is_settled).then(|| Deadline::at_ms(self.next_settle_ms, "shares have moved"));
        [plan, grant, reprobe, spare, shares].into_iter().flatten().min_by_key(|due| due.at_us)
    }

    /// Every client that is here, as far as was heard.
    pub fn present(&self) -> Vec<(NodeId, SessionId)> {
        self.nodes.iter().map(|known| (known.id, known.session)).collect()
    }

    fn on_find(&mut self, now_ms: u64, node: Handle, find: FindPeers) {
        let Some(known) = self.nodes.at_mut(node) else { return };
        let Some(kind) = known.kind else { return };
        let key = (kind, find.content_id);
        if known.views.len() >= MAX_OPEN_CONTENTS && !known.views.contains(&key) {
            return self.tell_empty_plan(node, find.content_id);
        }
        known.views.insert(key);
        let is_new = self.swarms.entry(key).or_default().enter(now_ms, node, find.playhead_leaf);
        self.replan(now_ms, key, node, true);
        if is_new {
            self.greet_in_swarm(now_ms, key, node);
        }
    }

    fn on_forget(&mut self, now_ms: u64, node: Handle, content_id: shared::ContentId) {
        let Some(known) = self.nodes.at_mut(node) else { return };
        let Some(kind) = known.kind else { return };
        let key = (kind, content_id);
        if known.views.remove(&key) {
            self.leave_swarm(key, node);
            self.part_in_swarm(now_ms, key, node);
        }
    }

    fn on_links(&mut self, now_ms: u64, node: Handle, report: &LinkReport) {
        let Some(known) = self.nodes.at_mut(node) else { return };
        for metric in &report.links {
            known.links.handle_metric(now_ms, metric);
        }
        let failed = report.links.iter().filter(|metric| metric.failures > 0 && !metric.connected);
        let over_relays: Vec<NodeId> =
            failed.filter(|metric| metric.path == PathKind::Relayed).map(|metric| metric.node).collect();
        if report.uplink_bps > 0 {
            known.uplink_bps = super::links::smooth(known.uplink_bps, report.uplink_bps);
            self.sharing.uplink(node, known.uplink());
        }
        let id = known.id;
        let views: Vec<FileKey> = known.views.iter().copied().collect();
        for key in views {
            self.look_again_spaced(now_ms, key, node);
        }
        for source in over_relays {
            self.note_failure(now_ms, &id, &source, u64::MAX);
        }
        self.watch_reach(now_ms, node);
    }

    fn on_holdings(&mut self, now_ms: u64, node: Handle, holdings: Holdings) {
        let Some(known) = self.nodes.at_mut(node) else { return };
        let Some(kind) = known.kind else { return };
        let key = (kind, holdings.content_id);
        if holdings.leaves == 0 {
            if known.parts.remove(&key) {
                if let Some(swarm) = self.swarms.get_mut(&key) {
                    swarm.partial.remove(&node);
                }
                self.part_in_swarm(now_ms, key, node);
            }
            return;
        }
        if known.parts.len() >= MAX_PARTIAL && !known.parts.contains(&key) {
            return;
        }
        known.parts.insert(key);
        if self.swarms.entry(key).or_default().partial.insert(node, holdings.leaves).is_none() {
            self.greet_in_swarm(now_ms, key, node);
        }
    }

    /// A viewer cannot reach a source the ordinary way. Only nodes of one swarm are brought together.
    fn on_request_path(&mut self, now_ms: u64, viewer: NodeId, request: RequestPath) {
        let Some(asking) = self.nodes.get(&viewer) else { return };
        let to_viewer = (viewer, asking.session);
        let bitrate_bps = self.shared_bitrate(&viewer, &request.node);
        let source =
            self.nodes.get(&request.node).filter(|_| bitrate_bps.is_some() && request.node != viewer);
        let Some(source) = source else { return self.refuse_path(to_viewer, request) };
        let to_source = (request.node, source.session);
        match request.kind {
            PathKind::Reversed if asking.reach.may_be_dialled() => {
                let addresses = addresses::addresses_for(source.observed, &asking.addresses);
                let offer = |node, role, addresses| PathOffer {
                    node,
                    kind: PathKind::Reversed,
                    role,
                    addresses,
                    token: None,
                };
                let dial = offer(viewer, PathRole::Dial, addresses);
                let accept = offer(request.node, PathRole::Accept, Vec::new());
                self.outputs.push_back(Output::Tell(
                    to_source.0,
                    to_source.1,
                    TrackerMessage::PathOffer(dial),
                ));
                self.outputs.push_back(Output::Tell(
                    to_viewer.0,
                    to_viewer.1,
                    TrackerMessage::PathOffer(accept),
                ));
            }
            PathKind::Relayed => {
                self.relay(now_ms, to_viewer, to_source, bitrate_bps.unwrap_or(0));
            }
            PathKind::Reversed | PathKind::Direct => self.refuse_path(to_viewer, request),
        }
    }

    fn refuse_path(&mut self, (node, session): (NodeId, SessionId), request: RequestPath) {
        let refused = PathRefused { node: request.node, kind: request.kind };
        self.outputs.push_back(Output::Tell(node, session, TrackerMessage::PathRefused(refused)));
    }

    fn leave_swarm(&mut self, key: FileKey, node: Handle) {
        let Some(viewer) = self.swarms.get_mut(&key).and_then(|swarm| swarm.leave(node)) else { return };
        if let Some(due_ms) = viewer.due_ms {
            self.due.remove(&(due_ms, key, node));
        }
        for told in &viewer.plan {
            self.unname(told.node);
        }
        viewer.receiver.into_iter().for_each(|receiver| self.sharing.leave(receiver));
        self.drop_if_empty(key);
    }

    fn drop_if_empty(&mut self, key: FileKey) {
        if self.swarms.get(&key).is_some_and(Swarm::is_empty) {
            self.swarms.remove(&key);
        }
    }

    /// `node` has become a member: those who have few sources look at it soon.
    fn greet_in_swarm(&mut self, now_ms: u64, key: FileKey, node: Handle) {
        let Some(swarm) = self.swarms.get(&key) else { return };
        let hungry = swarm.hungry().filter(|(viewer, _)| *viewer != node);
        let viewers: Vec<(Handle, bool)> =
            hungry.map(|(viewer, sources)| (viewer, sources < FEW_SOURCES)).collect();
        for (viewer, is_urgent) in viewers {
            if is_urgent {
                self.look_again(now_ms, key, viewer);
            } else {
                self.look_again_spaced(now_ms, key, viewer);
            }
        }
    }

    /// `node` is no longer a member in some part: those whose plans name it look again.
    fn part_in_swarm(&mut self, now_ms: u64, key: FileKey, node: Handle) {
        let Some(swarm) = self.swarms.get(&key) else { return };
        let naming = swarm.naming(node);
        for viewer in naming {
            self.look_again(now_ms, key, viewer);
        }
        self.drop_if_empty(key);
    }

    /// What is known of `node` itself has changed: its own plans and those that name it are looked at again.
    fn look_again_around(&mut self, now_ms: u64, node: Handle) {
        let Some(known) = self.nodes.at(node) else { return };
        let views: Vec<FileKey> = known.views.iter().copied().collect();
        let member_of: BTreeSet<FileKey> =
            known.views.iter().chain(&known.holds).chain(&known.parts).copied().collect();
        for key in views {
            self.look_again(now_ms, key, node);
        }
        for key in member_of {
            self.part_in_swarm(now_ms, key, node);
        }
    }
}
