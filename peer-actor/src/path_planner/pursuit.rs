//! How a node is tried: direct race, reversed, relayed, back-off; and how a relayed link is made better. Part of the pure state.
//!
//! Invariant: a node has at most one pursuit; every pursuit ends, because every step of it does: dials and handshakes have time limits,
//! so has every wait, and a dial that opens ends it whether or not its connection stays.

use std::{collections::VecDeque, fmt::Write as _};

use shared::{
    NodeId,
    limits::MAX_LINKS,
    wire::{GoodbyeReason, PEER_PATH, PathKind, PathOffer, PathRole, RELAY_PATH},
};

use super::{
    neighbour::{Neighbour, Pursuit, Step, TryId},
    output::PlannerOutput,
    score::is_relayed,
    state::{LEFT_RETRY, MAX_NEIGHBOURS, PathPlannerState, Try},
};
use crate::{discovery::PathAnswer, session::Side};

/// Time between two addresses of a race: long enough for a good one to win alone.
const STAGGER_MS: u64 = 250;
/// How long the other end may take to dial.
const REVERSED_MS: u64 = 3_000;
/// How long the tracker may take to offer a relay.
const RELAY_OFFER_MS: u64 = 5_000;
/// How often a better path than a relay is tried.
const UPGRADE_MS: u64 = 20_000;
/// How long to leave a node alone that refuses this one.
pub(super) const REFUSED_RETRY_MS: u64 = 60_000;
/// Relays tried for a node before a pause: the best, and the tracker's alternate.
const RELAYS_TRIED: u8 = 2;
/// Wrong bytes twice within this time, over two relays then, are their source's.
const DOUBT_MS: u64 = 300_000;
/// How long the tracker may take to hear that a relay is doubted, so that it names another.
const DOUBT_TOLD_MS: u64 = 2_500;
/// Nodes tried at once.
const MAX_PURSUITS: usize = 16;
/// Pursuits begun on others' behalf at once; more are ignored, and asked for again.
const MAX_INVITED: usize = 64;

impl PathPlannerState {
    /// The tracker's word on a path.
    pub fn handle_answer(&mut self, now_ms: u64, answer: PathAnswer) {
        match answer {
            PathAnswer::Offered(offer) => self.offered(now_ms, offer),
            PathAnswer::Refused(refused) => {
                let pursuit = self.neighbours.get(&refused.node).and_then(|known| known.pursuit.as_ref());
                if pursuit.is_some_and(|pursuit| pursuit.awaits(refused.kind)) {
                    self.advance(now_ms, refused.node);
                }
            }
        }
        self.settle(now_ms);
    }

    fn offered(&mut self, now_ms: u64, offer: PathOffer) {
        let invited = self.neighbours.values().filter(|known| known.is_invited()).count();
        let has_room = self.neighbours.len() < MAX_NEIGHBOURS && invited < MAX_INVITED;
        let is_known = self.neighbours.contains_key(&offer.node);
        if offer.node == self.own || !(has_room || is_known) {
            return;
        }
        let neighbour = self.neighbours.entry(offer.node).or_insert_with(|| Neighbour::new(now_ms));
        if neighbour.is_banned() {
            return;
        }
        match (offer.kind, offer.role) {
            (PathKind::Reversed, PathRole::Accept) => {
                if let Some(Pursuit { step: Step::Awaiting { path: PathKind::Reversed, until_ms }, .. }) =
                    &mut neighbour.pursuit
                {
                    *until_ms = now_ms + REVERSED_MS;
                }
            }
            (PathKind::Reversed, PathRole::Dial) => {
                let is_racing = |pursuit: &Pursuit| matches!(pursuit.step, Step::Racing { .. });
                if neighbour.pursuit.as_ref().is_some_and(is_racing) {
                    return;
                }
                let left = VecDeque::from(offer.addresses);
                let step = Step::Racing { path: PathKind::Reversed, left, next_ms: now_ms };
                let next = neighbour.pursuit.take().map(|old| old.next).unwrap_or_default();
                neighbour.pursuit = Some(Pursuit { is_invited: true, ..Pursuit::new(step, next) });
                self.pursuit_due(now_ms, offer.node);
            }
            (PathKind::Relayed, role) => self.relay(&offer, role),
            (PathKind::Direct, _) => {}
        }
    }

    /// Both ends dial the relay; the offer says who says Hello there.
    fn relay(&mut self, offer: &PathOffer, role: PathRole) {
        let (Some(token), Some(address)) = (offer.token, offer.addresses.first()) else { return };
        let mut url = format!("ws://{address}{RELAY_PATH}/");
        for byte in token {
            // Writing to a string cannot fail.
            write!(url, "{byte:02x}").unwrap_or_default();
        }
        let side = match role {
            PathRole::Dial => Side::Dialler,
            PathRole::Accept => Side::Acceptor,
        };
        let relay_try = self.dial(offer.node, PathKind::Relayed, address.to_string(), url, side);
        let Some(neighbour) = self.neighbours.get_mut(&offer.node) else { return };
        match &mut neighbour.pursuit {
            Some(pursuit) if pursuit.awaits(PathKind::Relayed) => pursuit.step = Step::Relaying { relay_try },
            Some(_) => {}
            None => {
                let step = Step::Relaying { relay_try };
                neighbour.pursuit = Some(Pursuit { is_invited: true, ..Pursuit::new(step, VecDeque::new()) });
            }
        }
    }

    fn dial(&mut self, node: NodeId, path: PathKind, address: String, url: String, side: Side) -> TryId {
        self.try_count += 1;
        let try_id = TryId(self.try_count);
        self.tries.insert(try_id, Try { node, path, address, session: None });
        self.outputs.push_back(PlannerOutput::Dial { try_id, node, url, side });
        try_id
    }

    /// What is due in a node's pursuit.
    pub(super) fn pursuit_due(&mut self, now_ms: u64, node: NodeId) {
        let Some(neighbour) = self.neighbours.get_mut(&node) else { return };
        match neighbour.pursuit.as_mut().map(|pursuit| &mut pursuit.step) {
            Some(Step::Racing { path, left, next_ms }) if *next_ms <= now_ms => {
                *next_ms = now_ms + STAGGER_MS;
                let (path, address) = (*path, left.pop_front());
                match address {
                    Some(address) => {
                        let url = format!("ws://{address}{PEER_PATH}");
                        self.dial(node, path, address.to_string(), url, Side::Dialler);
                    }
                    None if !self.tries.values().any(|known| known.node == node && known.path == path) => {
                        self.advance(now_ms, node);
                    }
                    None => {}
                }
            }
            Some(Step::Awaiting { until_ms, .. }) if *until_ms <= now_ms => self.advance(now_ms, node),
            Some(Step::Racing { .. } | Step::Awaiting { .. } | Step::Relaying { .. }) | None => {}
        }
    }

    /// A dial found nobody, or its handshake failed.
    pub(super) fn try_failed(&mut self, now_ms: u64, try_id: TryId, is_refused: bool) {
        let Some(failed) = self.tries.remove(&try_id) else { return };
        let Some(neighbour) = self.neighbours.get_mut(&failed.node) else { return };
        let Some(pursuit) = &mut neighbour.pursuit else { return };
        pursuit.is_refused |= is_refused;
        match &mut pursuit.step {
            Step::Racing { path, next_ms, .. } if *path == failed.path => {
                *next_ms = now_ms;
                self.pursuit_due(now_ms, failed.node);
            }
            Step::Relaying { relay_try } if *relay_try == try_id => self.relay_failed(now_ms, failed.node),
            Step::Racing { .. } | Step::Awaiting { .. } | Step::Relaying { .. } => {}
        }
    }

    /// A relay was not reached, or nobody met this node there: the tracker is asked for another at once, once.
    fn relay_failed(&mut self, now_ms: u64, node: NodeId) {
        let can_ask = self.can_ask;
        let pursuit = self.neighbours.get_mut(&node).and_then(|known| known.pursuit.as_mut());
        let Some(pursuit) = pursuit else { return };
        pursuit.relays_tried += 1;
        if pursuit.is_invited || !can_ask || pursuit.relays_tried >= RELAYS_TRIED {
            return self.advance(now_ms, node);
        }
        pursuit.step = Step::Awaiting { path: PathKind::Relayed, until_ms: now_ms + RELAY_OFFER_MS };
        self.outputs.push_back(PlannerOutput::Ask(node, PathKind::Relayed));
    }

    /// Wrong bytes came from a node. Over a relay they may be the relay's doing, which must not get an honest source banned: the first time
    /// the link is given up, the tracker told, and another relay taken. Whether that is so.
    pub(super) fn doubts(&mut self, now_ms: u64, node: NodeId) -> bool {
        self.doubted.retain(|_, at_ms| now_ms < *at_ms + DOUBT_MS);
        let live = self.neighbours.get(&node).and_then(|known| known.live.as_ref());
        let is_over_relay = live.is_some_and(|live| is_relayed(live.contender.path));
        if !is_over_relay || self.doubted.insert(node, now_ms).is_some() {
            return false;
        }
        self.reports.failed(node, PathKind::Relayed);
        self.drop_link(node, GoodbyeReason::Idle);
        self.give_up(node);
        if let Some(neighbour) = self.neighbours.get_mut(&node) {
            neighbour.next_try_ms = now_ms + DOUBT_TOLD_MS;
        }
        true
    }

    /// The present step came to nothing: the next one, or a pause.
    fn advance(&mut self, now_ms: u64, node: NodeId) {
        let Some(neighbour) = self.neighbours.get_mut(&node) else { return };
        let Some(mut pursuit) = neighbour.pursuit.take() else { return };
        self.reports.failed(node, pursuit.step.path());
        if let Some(path) = pursuit.next.pop_front() {
            pursuit.step = self.first_of(now_ms, node, path);
            if let Some(neighbour) = self.neighbours.get_mut(&node) {
                neighbour.pursuit = Some(pursuit);
            }
            return self.pursuit_due(now_ms, node);
        }
        let is_linked = neighbour.live.is_some();
        neighbour.failures += u32::from(!is_linked);
        let failures = neighbour.failures;
        let retry_ms = self.retry_ms(failures);
        let upgrade_ms = self.upgrade_ms();
        let Some(neighbour) = self.neighbours.get_mut(&node) else { return };
        neighbour.next_try_ms = now_ms + if pursuit.is_refused { REFUSED_RETRY_MS } else { retry_ms };
        neighbour.next_upgrade_ms = now_ms + upgrade_ms;
    }

    fn first_of(&mut self, now_ms: u64, node: NodeId, path: PathKind) -> Step {
        let limit_ms = match path {
            PathKind::Direct => {
                let left =
                    self.neighbours.get(&node).map(|known| known.addresses.clone()).unwrap_or_default();
                return Step::Racing { path, left: left.into(), next_ms: now_ms };
            }
            PathKind::Reversed => REVERSED_MS,
            PathKind::Relayed => RELAY_OFFER_MS,
        };
        self.outputs.push_back(PlannerOutput::Ask(node, path));
        Step::Awaiting { path, until_ms: now_ms + limit_ms }
    }

    /// A node is linked over `path`: what else is tried for it ends, unless it may become better.
    pub(super) fn reached(&mut self, now_ms: u64, node: NodeId, path: PathKind) {
        let upgrade_ms = self.upgrade_ms();
        let Some(neighbour) = self.neighbours.get_mut(&node) else { return };
        neighbour.next_upgrade_ms = now_ms + upgrade_ms;
        let goes_on = is_relayed(path)
            && neighbour.pursuit.as_ref().is_some_and(|known| matches!(known.step, Step::Racing { .. }));
        if goes_on {
            if let Some(pursuit) = &mut neighbour.pursuit {
                pursuit.next.clear();
            }
        } else {
            self.give_up(node);
        }
    }

    /// Ends every try of a node; of one that is linked, those that have no WebSocket yet. A later one may be open at the other end
    /// already, which then lets go of the link that is live here: both ends must judge the two, or none is left.
    pub(super) fn give_up(&mut self, node: NodeId) {
        let is_linked = self.neighbours.get(&node).is_some_and(|known| known.live.is_some());
        let is_ended = |known: &Try| known.node == node && !(is_linked && known.session.is_some());
        let ended: Vec<TryId> =
            self.tries.iter().filter(|(_, known)| is_ended(known)).map(|(try_id, _)| *try_id).collect();
        for try_id in ended {
            self.outputs.push_back(PlannerOutput::Abandon(try_id));
            if let Some(session) = self.tries.remove(&try_id).and_then(|known| known.session) {
                self.close(session, GoodbyeReason::Replaced);
            }
        }
        if let Some(neighbour) = self.neighbours.get_mut(&node) {
            neighbour.pursuit = None;
        }
    }

    /// A dial opened and every place is taken. Its way is good, so no failure is told; it is tried again later.
    pub(super) fn put_off(&mut self, now_ms: u64, node: NodeId) {
        self.give_up(node);
        if let Some(neighbour) = self.neighbours.get_mut(&node) {
            neighbour.next_try_ms = now_ms + LEFT_RETRY.delay_ms(1, &mut self.random);
        }
    }

    /// After every change: ends what nobody wants any more, and begins what is due.
    pub(super) fn settle(&mut self, now_ms: u64) {
        let unwanted: Vec<NodeId> = self
            .neighbours
            .iter()
            .filter(|(node, known)| self.wants.rank(node).is_none() && !known.is_invited())
            .map(|(node, _)| *node)
            .collect();
        for node in unwanted {
            self.give_up(node);
            if self.neighbours.get(&node).is_some_and(Neighbour::is_forgettable) {
                self.neighbours.remove(&node);
            }
        }
        let mut due: Vec<(usize, NodeId)> = self
            .candidates()
            .filter(|(due_ms, ..)| *due_ms <= now_ms)
            .map(|(_, rank, node)| (rank, node))
            .collect();
        due.sort_unstable();
        due.truncate(self.places_left());
        for (_, node) in due {
            self.pursue(now_ms, node);
        }
    }

    /// When the next try is due; none while every place is taken.
    pub(super) fn next_try_ms(&self) -> Option<u64> {
        if self.places_left() == 0 {
            return None;
        }
        self.candidates().map(|(due_ms, ..)| due_ms).min()
    }

    fn places_left(&self) -> usize {
        let pursuits = self.neighbours.values().filter(|known| known.pursuit.is_some()).count();
        let links = self.neighbours.values().filter(|known| known.live.is_some()).count();
        MAX_PURSUITS.saturating_sub(pursuits).min(MAX_LINKS.saturating_sub(links + pursuits))
    }

    /// Wanted nodes that are to be tried, or tried for a better path: when, how much wanted, who.
    fn candidates(&self) -> impl Iterator<Item = (u64, usize, NodeId)> {
        self.neighbours.iter().filter_map(|(node, known)| {
            let rank = self.wants.rank(node)?;
            if known.pursuit.is_some() || known.is_banned() || self.steps(known).is_empty() {
                return None;
            }
            let due_ms = if known.live.is_some() { known.next_upgrade_ms } else { known.next_try_ms };
            Some((due_ms, rank, *node))
        })
    }

    fn pursue(&mut self, now_ms: u64, node: NodeId) {
        let Some(mut next) = self.neighbours.get(&node).map(|known| self.steps(known)) else { return };
        let Some(path) = next.pop_front() else { return };
        let step = self.first_of(now_ms, node, path);
        if let Some(neighbour) = self.neighbours.get_mut(&node) {
            neighbour.pursuit = Some(Pursuit::new(step, next));
        }
        self.pursuit_due(now_ms, node);
    }

    /// The ways to try, the planned one first; for a linked node only those that are better.
    fn steps(&self, known: &Neighbour) -> VecDeque<PathKind> {
        let order = match known.planned {
            PathKind::Direct => [PathKind::Direct, PathKind::Reversed, PathKind::Relayed],
            PathKind::Reversed => [PathKind::Reversed, PathKind::Relayed, PathKind::Direct],
            PathKind::Relayed => [PathKind::Relayed, PathKind::Direct, PathKind::Reversed],
        };
        let live = known.live.as_ref().map(|live| live.contender.path);
        let is_open = |path: &PathKind| match path {
            PathKind::Direct => !known.addresses.is_empty(),
            PathKind::Reversed => self.can_accept && self.can_ask,
            PathKind::Relayed => self.can_ask,
        };
        let is_better = |path: &PathKind| live.is_none_or(|live| is_relayed(live) && !is_relayed(*path));
        order.into_iter().filter(|path| is_open(path) && is_better(path)).collect()
    }

    fn upgrade_ms(&mut self) -> u64 {
        UPGRADE_MS - UPGRADE_MS / 8 + self.random.below(UPGRADE_MS / 4)
    }
}

impl Pursuit {
    const fn new(step: Step, next: VecDeque<PathKind>) -> Self {
        Self { step, next, is_invited: false, is_refused: false, relays_tried: 0 }
    }

    fn awaits(&self, kind: PathKind) -> bool {
        matches!(self.step, Step::Awaiting { path, .. } if path == kind)
    }
}

impl Neighbour {
    /// Whether it is being dialled where it was thought to be.
    pub(super) fn is_raced(&self) -> bool {
        let step = self.pursuit.as_ref().map(|pursuit| &pursuit.step);
        matches!(step, Some(Step::Racing { path: PathKind::Direct, .. }))
    }

    fn is_invited(&self) -> bool {
        self.pursuit.as_ref().is_some_and(|pursuit| pursuit.is_invited)
    }

    /// What an incoming connection is: the one that was asked for, or the other end's own direct dial.
    pub(super) fn incoming_path(&self) -> PathKind {
        let is_asked_for = self.pursuit.as_ref().is_some_and(|pursuit| pursuit.awaits(PathKind::Reversed));
        if is_asked_for { PathKind::Reversed } else { PathKind::Direct }
    }
}
