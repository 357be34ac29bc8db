//! The pairs that the tracker relays for itself, which move over to a peer as soon as one is fit to relay for them. Pure.
//!
//! A few are looked at at a time. The link over the peer takes the place of the other when both ends have it, so nothing pauses; where a
//! peer says no, or cannot be reached, the link that is up stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
};

use shared::{NodeId, wire::PathKind};

use super::state::PathPlannerState;

/// How often it is looked whether pairs can move.
pub(super) const MOVE_MS: u64 = 2_000;
/// Pairs looked at each time.
const MOVED_AT_ONCE: usize = 4;
/// A connection so young may not be up yet, or not told; and the ends take one that is much younger than another for its heir.
const SETTLED_MS: u64 = 10_000;
/// Pairs remembered; others stay where they are.
const MAX_PAIRS: usize = 8_192;

/// Viewer and source.
type Pair = (NodeId, NodeId);

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct OwnRelays {
    /// Since when.
    pairs: BTreeMap<Pair, u64>,
    /// Whoever was looked at last.
    last: Option<Pair>,
    due_ms: u64,
}

impl PathPlannerState {
    /// The tracker offers to relay for a pair.
    pub(super) fn relays_itself(&mut self, now_ms: u64, pair: Pair) {
        let own = &mut self.broker.own.pairs;
        if own.len() < MAX_PAIRS || own.contains_key(&pair) {
            own.insert(pair, now_ms);
        }
    }

    /// Somebody else does.
    pub(super) fn relays_no_more(&mut self, pair: Pair) {
        self.broker.own.pairs.remove(&pair);
    }

    /// `viewer` is gone, and with it every pair it was in as one.
    pub(super) fn forget_own_relays(&mut self, viewer: NodeId) {
        let pairs = self.broker.own.pairs.range((viewer, NodeId([0; 32]))..=(viewer, NodeId([255; 32])));
        let pairs: Vec<Pair> = pairs.map(|(pair, _)| *pair).collect();
        pairs.into_iter().for_each(|pair| self.relays_no_more(pair));
    }

    /// When it is looked again whether pairs can move; never while there is nobody to move to.
    pub(super) fn next_move_ms(&self) -> Option<u64> {
        let is_needed = !self.broker.own.pairs.is_empty() && !self.broker.offering.is_empty();
        is_needed.then_some(self.broker.own.due_ms)
    }

    /// Moves pairs over to peers.
    pub(super) fn spare_own_line(&mut self, now_ms: u64) {
        if self.next_move_ms().is_none_or(|due_ms| now_ms < due_ms) {
            return;
        }
        self.broker.own.due_ms = now_ms + MOVE_MS;
        for (viewer, source) in self.next_pairs() {
            let settled_ms =
                self.broker.own.pairs.get(&(viewer, source)).map_or(0, |at_ms| at_ms + SETTLED_MS);
            if now_ms < settled_ms {
                continue;
            }
            let ends = [viewer, source].map(|node| Some((node, self.nodes.get(&node)?.session)));
            let link = self.nodes.get(&viewer).map(|known| known.links.estimate(now_ms, &source));
            let is_relayed = link.is_some_and(|link| link.connected == Some(PathKind::Relayed));
            let ([Some(viewing), Some(serving)], true) = (ends, is_relayed) else {
                self.relays_no_more((viewer, source));
                continue;
            };
            if let Some(bitrate_bps) = self.shared_bitrate(&viewer, &source) {
                self.ask_a_peer(now_ms, viewing, serving, bitrate_bps, true);
            }
        }
    }

    /// Those whose turn it is, each pair once around.
    fn next_pairs(&mut self) -> BTreeSet<Pair> {
        let own = &mut self.broker.own;
        let after = own.last.map_or(Unbounded, Excluded);
        let onward = own.pairs.range((after, Unbounded)).map(|(pair, _)| *pair);
        let around = own.pairs.keys().copied();
        let next: Vec<Pair> = onward.chain(around).take(MOVED_AT_ONCE.min(own.pairs.len())).collect();
        own.last = next.last().copied();
        next.into_iter().collect()
    }
}
