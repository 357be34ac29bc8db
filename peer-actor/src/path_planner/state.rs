//! The path planner as a pure state machine: plans and connections in, dials and links out.
//!
//! Drive it: `handle_*`, drain [`PathPlannerState::poll_output`], arm a timer for [`PathPlannerState::poll_timeout`]. The shell dials,
//! starts held sessions, and names them; what it names and this state does not know any more is closed. How a node is tried, step by
//! step, is in `pursuit.rs`.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use shared::{
    ContentId, NodeId,
    limits::{MAX_LINKS, MAX_UNGREETED},
    wire::{GoodbyeReason, PathKind, Plan, RejectReason},
};

use super::{
    neighbour::{IDLE_MS, Live, Neighbour, TryId},
    output::PlannerOutput,
    pursuit::REFUSED_RETRY_MS,
    report::Reports,
    score::{Contender, Verdict, judge},
    wants::Wants,
};
use crate::{
    backoff::{Backoff, Random},
    session::{CloseReason, SessionId, Side},
};

/// Tries after the first, per node.
const RETRY: Backoff = Backoff { first_ms: 500, cap_ms: 15_000 };
/// A link that held this long is tried again at once when it is lost.
const STABLE_MS: u64 = 5_000;
/// When to come back to a node that said it leaves, or that it saw no use in the link.
pub(super) const LEFT_RETRY: Backoff = Backoff { first_ms: 5_000, cap_ms: 5_000 };
/// How long the other end has to choose between two connections it dialled.
const SPARE_MS: u64 = 1_000;
/// How long the connection that replaces a lost one may take to show.
const REPLACE_MS: u64 = 1_000;
/// Bytes that make a link used, between two looks at it; upkeep is less.
const USED_BYTES: u64 = 1024;
/// Nodes remembered at once, linked, wanted or banned.
pub(super) const MAX_NEIGHBOURS: usize = 4096;
/// Banned nodes remembered; keys are free, so the oldest ban makes room.
const MAX_BANNED: usize = 1024;

/// A dial that has not opened.
#[derive(Debug, Clone)]
pub(super) struct Try {
    pub(super) node: NodeId,
    pub(super) path: PathKind,
    pub(super) address: String,
    pub(super) session: Option<SessionId>,
}

/// A session this planner owns.
#[derive(Debug, Clone)]
struct Session {
    try_id: Option<TryId>,
    path: PathKind,
    address: String,
    /// Who it is, once open.
    node: Option<NodeId>,
}

/// See the file's header.
#[derive(Debug)]
pub struct PathPlannerState {
    pub(super) own: NodeId,
    pub(super) can_accept: bool,
    pub(super) can_ask: bool,
    pub(super) random: Random,
    pub(super) wants: Wants,
    pub(super) neighbours: BTreeMap<NodeId, Neighbour>,
    /// Of whom wrong bytes came over a relay, and when.
    pub(super) doubted: BTreeMap<NodeId, u64>,
    sessions: BTreeMap<SessionId, Session>,
    pub(super) tries: BTreeMap<TryId, Try>,
    pub(super) try_count: u64,
    pub(super) reports: Reports,
    pub(super) outputs: VecDeque<PlannerOutput>,
    is_stopped: bool,
}

impl PathPlannerState {
    /// A planner at the node `own`. `can_accept` says whether others can dial it, `can_ask` whether there is a tracker to ask.
    pub fn new(own: NodeId, can_accept: bool, can_ask: bool, seed: u64) -> Self {
        Self {
            own,
            can_accept,
            can_ask,
            random: Random::new(seed),
            wants: Wants::default(),
            neighbours: BTreeMap::new(),
            doubted: BTreeMap::new(),
            sessions: BTreeMap::new(),
            tries: BTreeMap::new(),
            try_count: 0,
            reports: Reports::default(),
            outputs: VecDeque::new(),
            is_stopped: false,
        }
    }

    /// The tracker planned a content.
    pub fn handle_plan(&mut self, now_ms: u64, plan: Plan) {
        let content_id = plan.content_id;
        if !self.wants.take(plan.clone()) {
            return;
        }
        let mut raced_in_vain = Vec::new();
        for source in plan.sources.iter().filter(|source| source.node != self.own) {
            let has_room =
                self.neighbours.len() < MAX_NEIGHBOURS || self.neighbours.contains_key(&source.node);
            if !has_room {
                continue;
            }
            let neighbour = self.neighbours.entry(source.node).or_insert_with(|| Neighbour::new(now_ms));
            let is_news = neighbour.planned != source.path || neighbour.addresses != source.addresses;
            let is_raced_in_vain = is_news && source.path != PathKind::Direct && neighbour.is_raced();
            if is_news {
                neighbour.planned = source.path;
                neighbour.addresses.clone_from(&source.addresses);
                neighbour.next_try_ms = now_ms;
                neighbour.next_upgrade_ms = now_ms;
            }
            neighbour.was_wanted = true;
            neighbour.rate_hint_bps = source.rate_bps;
            if neighbour.live.is_none() {
                neighbour.rtt_us = source.rtt_us;
            }
            raced_in_vain.extend(is_raced_in_vain.then_some(source.node));
        }
        for node in raced_in_vain {
            self.give_up(node);
        }
        self.tell_planned(content_id);
        if plan.sources.is_empty() {
            self.wants.forget(&content_id);
        }
        self.settle(now_ms);
    }

    /// A content is streamed no more.
    pub fn handle_unwanted(&mut self, now_ms: u64, content_id: &ContentId) {
        self.wants.forget(content_id);
        for neighbour in self.neighbours.values_mut() {
            if let Some(live) = &mut neighbour.live {
                // The time without use starts now.
                live.used_ms = live.used_ms.max(now_ms);
            }
        }
        self.settle(now_ms);
    }

    /// The tracker lost a node: it is not tried any more, but a live link stays.
    pub fn handle_gone(&mut self, now_ms: u64, node: NodeId) {
        for content_id in self.wants.drop_node(&node) {
            self.tell_planned(content_id);
        }
        self.settle(now_ms);
    }

    /// Whether another incoming connection may stay until it has said Hello.
    pub fn admits_incoming(&self) -> bool {
        let is_ungreeted = |session: &&Session| session.try_id.is_none() && session.node.is_none();
        !self.is_stopped && self.sessions.values().filter(is_ungreeted).count() < MAX_UNGREETED
    }

    /// The session of an incoming connection was started.
    pub fn handle_incoming(&mut self, session: SessionId, address: Option<SocketAddr>) {
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        let path = PathKind::Direct;
        self.sessions.insert(session, Session { try_id: None, path, address, node: None });
    }

    /// A dial has a WebSocket, and its session was started.
    pub fn handle_dialled(&mut self, try_id: TryId, session: SessionId) {
        let Some(known) = self.tries.get_mut(&try_id) else {
            return self.outputs.push_back(PlannerOutput::Close(session, GoodbyeReason::Replaced));
        };
        known.session = Some(session);
        let (path, address) = (known.path, known.address.clone());
        self.sessions.insert(session, Session { try_id: Some(try_id), path, address, node: None });
    }

    /// A dial found nobody.
    pub fn handle_dial_failed(&mut self, now_ms: u64, try_id: TryId) {
        self.try_failed(now_ms, try_id, false);
        self.settle(now_ms);
    }

    /// Both keys of a session are proved.
    pub fn handle_opened(&mut self, now_ms: u64, session: SessionId, node: NodeId, side: Side) {
        let Some(known) = self.sessions.get_mut(&session) else {
            return self.outputs.push_back(PlannerOutput::Close(session, GoodbyeReason::Replaced));
        };
        known.node = Some(node);
        let (try_id, planned_path, address) = (known.try_id, known.path, known.address.clone());
        if let Some(try_id) = try_id {
            self.tries.remove(&try_id);
        }
        self.make_room(now_ms);
        let links = self.neighbours.values().filter(|neighbour| neighbour.live.is_some()).count();
        let has_room = self.neighbours.len() < MAX_NEIGHBOURS || self.neighbours.contains_key(&node);
        let is_known_live = self.neighbours.get(&node).is_some_and(|known| known.live.is_some());
        if self.is_stopped || !has_room || (links >= MAX_LINKS && !is_known_live) {
            self.close(session, GoodbyeReason::Idle);
            if try_id.is_some() {
                self.put_off(now_ms, node);
            }
            return self.settle(now_ms);
        }
        let neighbour = self.neighbours.entry(node).or_insert_with(|| Neighbour::new(now_ms));
        if neighbour.is_banned() {
            self.sessions.remove(&session);
            return self.outputs.push_back(PlannerOutput::Refuse(session, RejectReason::Banned));
        }
        let path = if try_id.is_none() { neighbour.incoming_path() } else { planned_path };
        let dialler = if side == Side::Dialler { self.own } else { node };
        let contender = Contender { dialler, path, opened_ms: now_ms };
        let new = Live { session, contender, address, moved_bytes: 0, used_ms: now_ms };
        let live = neighbour.live.as_ref().map(|live| live.contender);
        match live.map(|live| (judge(self.own, live, contender), live.path)) {
            None | Some((Verdict::Replace, _)) => self.go_live(now_ms, node, new),
            Some((Verdict::Refuse, live_path)) => {
                self.close(session, GoodbyeReason::Replaced);
                self.reached(now_ms, node, live_path);
            }
            Some((Verdict::Spare, live_path)) => {
                let older = neighbour.spare.replace((new, now_ms + SPARE_MS));
                if let Some((older, _)) = older {
                    self.close(older.session, GoodbyeReason::Replaced);
                }
                self.reached(now_ms, node, live_path);
            }
        }
        self.settle(now_ms);
    }

    /// A session's round trip was measured.
    pub fn handle_measured(&mut self, session: SessionId, rtt_us: u32) {
        let Some(node) = self.sessions.get(&session).and_then(|known| known.node) else { return };
        if let Some(neighbour) = self.neighbours.get_mut(&node)
            && neighbour.live.as_ref().is_some_and(|live| live.session == session)
        {
            neighbour.rtt_us = rtt_us;
            self.reports.rtt(node, rtt_us);
            self.outputs.push_back(PlannerOutput::Measured(node, rtt_us));
        }
    }

    /// A session ended.
    pub fn handle_closed(&mut self, now_ms: u64, session: SessionId, reason: &CloseReason) {
        let Some(known) = self.sessions.remove(&session) else { return };
        match (known.node, known.try_id) {
            (Some(node), _) => self.lost(now_ms, node, session, reason),
            (None, Some(try_id)) => {
                let is_refused = matches!(reason, CloseReason::Rejected(_));
                self.try_failed(now_ms, try_id, is_refused);
            }
            (None, None) => {}
        }
        self.settle(now_ms);
    }

    /// Bytes moved on a session's link since it opened.
    pub fn handle_traffic(&mut self, now_ms: u64, session: SessionId, moved_bytes: u64) {
        let Some(node) = self.sessions.get(&session).and_then(|known| known.node) else { return };
        if let Some(live) = self.neighbours.get_mut(&node).and_then(|neighbour| neighbour.live.as_mut())
            && live.session == session
        {
            if moved_bytes >= live.moved_bytes + USED_BYTES {
                live.used_ms = now_ms;
            }
            live.moved_bytes = moved_bytes;
        }
    }

    /// A node was found lying; over a relay, it or the relay.
    pub fn handle_ban(&mut self, now_ms: u64, node: NodeId) {
        if self.doubts(now_ms, node) {
            return self.settle(now_ms);
        }
        let bans = self.neighbours.iter().filter_map(|(node, known)| Some((known.banned_ms?, *node)));
        let (count, oldest) = (bans.clone().count(), bans.min());
        if count >= MAX_BANNED
            && let Some((_, oldest)) = oldest
            && let Some(pardoned) = self.neighbours.get_mut(&oldest)
        {
            pardoned.banned_ms = None;
        }
        self.neighbours.entry(node).or_insert_with(|| Neighbour::new(now_ms)).banned_ms = Some(now_ms);
        // The link first: of a linked node not every try is given up.
        self.drop_link(node, GoodbyeReason::Violation);
        self.give_up(node);
        for content_id in self.wants.drop_node(&node) {
            self.tell_planned(content_id);
        }
        self.settle(now_ms);
    }

    /// What a link carried while requests were waiting.
    pub fn handle_goodput(&mut self, node: NodeId, bps: u64) {
        if self.neighbours.get(&node).is_some_and(|neighbour| neighbour.live.is_some()) {
            self.reports.goodput(node, bps);
        }
    }

    /// What the uplink carried while busy.
    pub const fn handle_uplink(&mut self, bps: u64) {
        self.reports.uplink(bps);
    }

    /// The node stops: every link is closed politely.
    pub fn handle_stop(&mut self) {
        self.is_stopped = true;
        for try_id in std::mem::take(&mut self.tries).into_keys() {
            self.outputs.push_back(PlannerOutput::Abandon(try_id));
        }
        for session in std::mem::take(&mut self.sessions).into_keys() {
            self.outputs.push_back(PlannerOutput::Close(session, GoodbyeReason::Leaving));
        }
        self.neighbours.clear();
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        let is_due = |node: &NodeId, neighbour: &Neighbour| {
            neighbour.due_ms(self.wants.rank(node).is_some()).is_some_and(|(due_ms, _)| due_ms <= now_ms)
        };
        let due: Vec<NodeId> = self
            .neighbours
            .iter()
            .filter(|(node, known)| is_due(node, known))
            .map(|(node, _)| *node)
            .collect();
        for node in due {
            self.neighbour_due(now_ms, node);
        }
        if let Some(report) = self.reports.poll(now_ms) {
            self.outputs.push_back(PlannerOutput::Report(report));
        }
        self.settle(now_ms);
    }

    /// When [`Self::handle_timeout`] is due, and why.
    pub fn poll_timeout(&self) -> Option<(u64, &'static str)> {
        if self.is_stopped {
            return None;
        }
        let known = self.neighbours.iter();
        let timers = known.filter_map(|(node, known)| known.due_ms(self.wants.rank(node).is_some()));
        let next_try = self.next_try_ms().map(|due_ms| (due_ms, "next try"));
        let report = self.reports.due_ms().map(|due_ms| (due_ms, "report"));
        timers.chain(next_try).chain(report).min_by_key(|(due_ms, _)| *due_ms)
    }

    /// The next thing to do; drain after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<PlannerOutput> {
        self.outputs.pop_front()
    }

    fn neighbour_due(&mut self, now_ms: u64, node: NodeId) {
        self.pursuit_due(now_ms, node);
        let is_wanted = self.wants.rank(&node).is_some();
        let Some(neighbour) = self.neighbours.get_mut(&node) else { return };
        if neighbour.pending_down_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            neighbour.pending_down_ms = None;
            self.reports.down(node);
            self.outputs.push_back(PlannerOutput::Down(node));
        }
        if let Some((spare, _)) = neighbour.spare.take_if(|(_, due_ms)| *due_ms <= now_ms) {
            return self.go_live(now_ms, node, spare);
        }
        if !is_wanted && neighbour.idle_at_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            self.drop_link(node, GoodbyeReason::Idle);
        }
    }

    /// When every place for a link is taken, the one that has been without use for longest, and for long, is given up.
    fn make_room(&mut self, now_ms: u64) {
        let live =
            self.neighbours.iter().filter_map(|(node, known)| Some((known.live.as_ref()?.used_ms, *node)));
        if live.clone().count() < MAX_LINKS {
            return;
        }
        let unused = live
            .filter(|(used_ms, node)| used_ms + IDLE_MS <= now_ms && self.wants.rank(node).is_none())
            .min();
        if let Some((_, node)) = unused {
            self.drop_link(node, GoodbyeReason::Idle);
        }
    }

    /// `new` takes over: users of links hear of it before its frames come, and before the old one closes.
    fn go_live(&mut self, now_ms: u64, node: NodeId, new: Live) {
        let Some(neighbour) = self.neighbours.get_mut(&node) else { return };
        let path = new.contender.path;
        neighbour.failures = 0;
        neighbour.pending_down_ms = None;
        self.outputs.push_back(PlannerOutput::Up {
            node,
            session: new.session,
            path,
            address: new.address.clone(),
            rate_hint_bps: neighbour.rate_hint_bps,
            rtt_us: neighbour.rtt_us,
        });
        self.outputs.push_back(PlannerOutput::Admit(new.session));
        let old = neighbour.live.replace(new);
        self.reports.up(node, path);
        if let Some(old) = old {
            self.close(old.session, GoodbyeReason::Replaced);
        }
        self.reached(now_ms, node, path);
    }

    fn lost(&mut self, now_ms: u64, node: NodeId, session: SessionId, reason: &CloseReason) {
        let Some(neighbour) = self.neighbours.get_mut(&node) else { return };
        if neighbour.spare.take_if(|(spare, _)| spare.session == session).is_some() {
            return;
        }
        let Some(live) = neighbour.live.take_if(|live| live.session == session) else { return };
        if let Some((spare, _)) = neighbour.spare.take() {
            return self.go_live(now_ms, node, spare);
        }
        let held_ms = now_ms.saturating_sub(live.contender.opened_ms);
        neighbour.next_try_ms = now_ms;
        match reason {
            CloseReason::Goodbye(GoodbyeReason::Replaced) => {
                neighbour.pending_down_ms = Some(now_ms + REPLACE_MS);
                neighbour.next_try_ms = now_ms + REPLACE_MS;
                return;
            }
            CloseReason::Goodbye(GoodbyeReason::Leaving | GoodbyeReason::Idle) => {
                neighbour.next_try_ms += LEFT_RETRY.delay_ms(1, &mut self.random);
            }
            CloseReason::Goodbye(GoodbyeReason::Violation) | CloseReason::Violation(_) => {
                neighbour.failures += 5;
                neighbour.next_try_ms += RETRY.delay_ms(neighbour.failures, &mut self.random);
            }
            CloseReason::Rejected(_) => {
                neighbour.failures += 1;
                neighbour.next_try_ms += REFUSED_RETRY_MS;
            }
            CloseReason::Link(_)
            | CloseReason::Ended(_)
            | CloseReason::TurnedAway(_)
            | CloseReason::Silent
            | CloseReason::Deaf
            | CloseReason::HandshakeTimeout => {
                if held_ms < STABLE_MS {
                    neighbour.failures += 1;
                    neighbour.next_try_ms += RETRY.delay_ms(neighbour.failures, &mut self.random);
                }
            }
        }
        self.reports.down(node);
        self.outputs.push_back(PlannerOutput::Down(node));
    }

    /// Closes what links a node, and says so.
    pub(super) fn drop_link(&mut self, node: NodeId, reason: GoodbyeReason) {
        let Some(neighbour) = self.neighbours.get_mut(&node) else { return };
        let (live, spare) = (neighbour.live.take(), neighbour.spare.take());
        let was_up = live.is_some() || neighbour.pending_down_ms.take().is_some();
        for session in live.into_iter().chain(spare.map(|(spare, _)| spare)).map(|link| link.session) {
            self.close(session, reason);
        }
        if was_up {
            self.reports.down(node);
            self.outputs.push_back(PlannerOutput::Down(node));
        }
    }

    pub(super) fn close(&mut self, session: SessionId, reason: GoodbyeReason) {
        self.sessions.remove(&session);
        self.outputs.push_back(PlannerOutput::Close(session, reason));
    }

    pub(super) fn retry_ms(&mut self, failures: u32) -> u64 {
        RETRY.delay_ms(failures, &mut self.random)
    }

    fn tell_planned(&mut self, content_id: ContentId) {
        let Some(plan) = self.wants.plan(&content_id) else { return };
        let is_banned = |node: &NodeId| self.neighbours.get(node).is_some_and(Neighbour::is_banned);
        let sources =
            || plan.sources.iter().filter(|source| source.node != self.own && !is_banned(&source.node));
        let nodes = sources().map(|source| source.node).collect();
        let complete = sources().filter(|source| source.complete).map(|source| source.node).collect();
        self.outputs.push_back(PlannerOutput::Planned { content_id, nodes, complete });
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
