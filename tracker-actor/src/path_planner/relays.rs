//! Over whom two nodes that cannot dial each other are brought together. Pure.
//!
//! Goals, in this order:
//!
//! - **(a) sound**: a relay has offered to be one, has been dialled by the tracker and has proved its key, is of the pair's own kind and
//!   neither of its ends, and can be reached by both as far as is known;
//! - **(b) wide enough**: its share, an eighth of its uplink where that was measured, carries the pair's content with a margin; else the tracker relays, whose line is spared otherwise;
//! - **(c) wide, then near**: the widest share first, in steps of the margin, then the shortest way by the round trips to the tracker;
//! - **(d) disjoint alternates**: a relay that failed for a pair is not offered to it again for a while: the tracker takes its place, or
//!   another peer where the tracker has no room.
//!
//! A peer is asked before its ends are told: it must know the token when they come, and may have no room. One that does not answer in
//! time costs [`GRANT_MS`], once.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
};

use peer_actor::relay::{PEER_RELAYS, TOKEN_MS, Token, spare_bps};
use shared::{
    MediaKind, NodeId,
    wire::{PathKind, PathOffer, PathRole, RelayAnswer, RelayGrant, RelayUse, TrackerMessage},
};

use super::{
    addresses::addresses_for,
    nodes::Node,
    own_relays::OwnRelays,
    plan::{known_or_far, width_step},
    state::{Output, PathPlannerState},
};
use crate::registry::SessionId;

/// How long a peer may take to agree to relay.
pub const GRANT_MS: u64 = 1_000;
/// A pair that asks again so soon has found its relay of no use.
pub const SOON_MS: u64 = 60_000;
/// How long a relay that was of no use to a pair is not offered to it again.
pub const FAILED_MS: u64 = 600_000;
/// How long a peer that has no room, or does not answer, is not asked.
pub const BUSY_MS: u64 = 10_000;
/// How much wider than the content a relay's share must be.
pub const MARGIN_PERCENT: u64 = 125;
/// A share below this relays nothing of use.
const LEAST_BPS: u64 = 128_000;
/// Peers looked at for one pair, from a place of its own on the ring of ids: the cost does not grow with the network.
const LOOKED_AT: usize = 64;
/// A connection that was granted so lately may not be among those its relay reports.
const UNREPORTED_MS: u64 = 3_000;
/// Tokens kept for the grants of one turn.
const TOKENS: usize = 16;
/// Peers that are being asked at once.
const MAX_GRANTS: usize = 4_096;
/// Peers remembered to be of no use to a pair.
const MAX_FAILED: usize = 16;
/// Sources of a viewer of which it is remembered who relayed.
const MAX_OFFERS: usize = 256;

/// Who passes a pair's frames on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// The tracker itself.
    Tracker,
    /// A peer.
    Peer(NodeId),
}

/// What was offered to a viewer for one source.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    via: Via,
    at_ms: u64,
    /// Peers that were of no use to the pair, and until when.
    failed: Vec<(NodeId, u64)>,
}

/// What a node is as a relay.
#[derive(Debug, Clone, Default)]
pub(super) struct Relaying {
    /// What it offers in all; 0 when it does not relay.
    pub(super) limit_bps: u64,
    /// Connections it says it carries.
    pub(super) in_use: u32,
    /// Connections it has been asked about and has not answered.
    asked: usize,
    /// When it last agreed to some that it may not have counted yet.
    agreed_ms: VecDeque<u64>,
    busy_until_ms: u64,
}

/// A peer that was asked to relay and has not answered.
#[derive(Debug, Clone, Copy)]
struct Grant {
    relay: NodeId,
    address: SocketAddr,
    viewer: (NodeId, SessionId),
    source: (NodeId, SessionId),
    due_ms: u64,
    /// The tracker relays for the pair already.
    is_move: bool,
}

/// What the planner knows of relays beside the nodes themselves.
#[derive(Debug)]
pub(super) struct Broker {
    /// Those that may be asked, by the kind they serve.
    pub(super) offering: BTreeSet<(MediaKind, NodeId)>,
    grants: BTreeMap<Token, Grant>,
    due: BTreeSet<(u64, Token)>,
    tokens: Vec<Token>,
    /// What the tracker spares one more connection, and whether it has room for it.
    pub(super) tracker_bps: u64,
    tracker_is_full: bool,
    /// Bytes peers say they have relayed.
    carried_bytes: u64,
    /// Pairs the tracker relays for.
    pub(super) own: OwnRelays,
}

/// What peers relay, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct PeerRelays {
    /// Peers that may be asked to relay.
    pub offering: usize,
    /// Connections they say they carry now.
    pub in_use: u64,
    /// Bytes they say they have passed on.
    pub carried_bytes: u64,
}

impl Broker {
    /// A broker that knows of no limit yet.
    pub(super) fn new() -> Self {
        Self {
            offering: BTreeSet::new(),
            grants: BTreeMap::new(),
            due: BTreeSet::new(),
            tokens: Vec::new(),
            tracker_bps: u64::MAX,
            tracker_is_full: false,
            carried_bytes: 0,
            own: OwnRelays::default(),
        }
    }
}

impl PathPlannerState {
    /// How many more tokens the next turn may need; each must come from the system's randomness.
    pub fn tokens_wanted(&self) -> usize {
        TOKENS - self.broker.tokens.len().min(TOKENS)
    }

    /// A fresh token.
    pub fn handle_token(&mut self, token: Token) {
        self.broker.tokens.push(token);
    }

    /// How many relayed connections the tracker carries, of how many, and its limit for all of them; 0 for none.
    pub fn handle_relays(&mut self, in_use: usize, most: usize, limit_bps: u64) {
        self.broker.tracker_is_full = in_use >= most;
        self.broker.tracker_bps = if limit_bps == 0 { u64::MAX } else { limit_bps / (in_use as u64 + 1) };
    }

    /// Brings `viewer` together with `source` over a relay. `bitrate_bps` is what it has to carry, or 0 when unknown.
    pub(super) fn relay(
        &mut self,
        now_ms: u64,
        viewer: (NodeId, SessionId),
        source: (NodeId, SessionId),
        bitrate_bps: u64,
    ) {
        self.note_failure(now_ms, &viewer.0, &source.0, SOON_MS);
        if !self.ask_a_peer(now_ms, viewer, source, bitrate_bps, false) {
            self.relay_here(now_ms, viewer, source);
        }
    }

    /// Asks the best peer to relay for a pair; false when none is fit to.
    pub(super) fn ask_a_peer(
        &mut self,
        now_ms: u64,
        viewer: (NodeId, SessionId),
        source: (NodeId, SessionId),
        bitrate_bps: u64,
        is_move: bool,
    ) -> bool {
        let needed_bps = bitrate_bps.saturating_mul(MARGIN_PERCENT) / 100;
        let failed = self.failed(now_ms, &viewer.0, &source.0);
        if !failed.is_empty() && !self.broker.tracker_is_full {
            return false;
        }
        let chosen = self.choose(now_ms, &viewer.0, &source.0, needed_bps.max(LEAST_BPS), &failed);
        let Some((relay, address)) = chosen else { return false };
        let (Some(known), Some(token)) = (self.nodes.get_mut(&relay), self.broker.tokens.pop()) else {
            return false;
        };
        known.relaying.asked += 1;
        let due_ms = now_ms + GRANT_MS;
        self.broker.grants.insert(token, Grant { relay, address, viewer, source, due_ms, is_move });
        self.broker.due.insert((due_ms, token));
        let grant = RelayGrant { token, ends: [viewer.0, source.0], valid_ms: TOKEN_MS as u32 };
        self.outputs.push_back(Output::Tell(relay, known.session, TrackerMessage::RelayGrant(grant)));
        true
    }

    /// A peer says whether it relays.
    pub(super) fn on_relay_answer(&mut self, now_ms: u64, node: &NodeId, answer: RelayAnswer) {
        let asked = self.broker.grants.get(&answer.token).is_some_and(|grant| grant.relay == *node);
        let Some(grant) = asked.then(|| self.take_grant(&answer.token)).flatten() else { return };
        if !answer.granted {
            return self.refused(now_ms, &grant);
        }
        if let Some(relay) = self.nodes.get_mut(node) {
            let agreed_ms = &mut relay.relaying.agreed_ms;
            agreed_ms.retain(|at_ms| now_ms < *at_ms + UNREPORTED_MS);
            agreed_ms.push_back(now_ms);
        }
        self.remember(now_ms, &grant.viewer.0, &grant.source.0, Via::Peer(*node));
        self.relays_no_more((grant.viewer.0, grant.source.0));
        let offer = |node, role| {
            TrackerMessage::PathOffer(PathOffer {
                node,
                kind: PathKind::Relayed,
                role,
                addresses: vec![grant.address],
                token: Some(answer.token),
            })
        };
        let (viewer, source) = (grant.viewer, grant.source);
        self.outputs.push_back(Output::Tell(source.0, source.1, offer(viewer.0, PathRole::Accept)));
        self.outputs.push_back(Output::Tell(viewer.0, viewer.1, offer(source.0, PathRole::Dial)));
    }

    /// A peer says what it relays.
    pub(super) fn on_relay_use(&mut self, node: &NodeId, relay_use: RelayUse) {
        let Some(known) = self.nodes.get_mut(node) else { return };
        known.relaying.in_use = relay_use.in_use;
        self.broker.carried_bytes = self.broker.carried_bytes.saturating_add(relay_use.carried_bytes);
    }

    /// Gives up on peers that have not answered.
    pub(super) fn expire_grants(&mut self, now_ms: u64) {
        while let Some((_, token)) = self.broker.due.first().copied().filter(|(due_ms, _)| *due_ms <= now_ms)
        {
            if let Some(grant) = self.take_grant(&token) {
                self.refused(now_ms, &grant);
            }
        }
    }

    /// When the next of them is given up.
    pub(super) fn next_grant_ms(&self) -> Option<u64> {
        self.broker.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// What is known of `node` has changed: whether it may be asked to relay.
    pub(super) fn consider_as_relay(&mut self, node: &NodeId) {
        let known = self.nodes.get(node);
        let offers =
            known.is_some_and(|known| known.relaying.limit_bps > 0 && known.proven_address().is_some());
        let kinds = [MediaKind::Audio, MediaKind::Video];
        for kind in kinds {
            let key = (kind, *node);
            if offers && known.is_some_and(|known| known.kind == Some(kind)) {
                self.broker.offering.insert(key);
            } else {
                self.broker.offering.remove(&key);
            }
        }
    }

    /// Who was last offered to relay between two nodes.
    pub(super) fn via(&self, one: &NodeId, two: &NodeId) -> Option<Via> {
        let offers = [self.offer(one, two), self.offer(two, one)].into_iter().flatten();
        offers.max_by_key(|offer| offer.at_ms).map(|offer| offer.via)
    }

    /// What peers relay, for people.
    pub(super) fn peer_relays(&self) -> PeerRelays {
        let known = self.broker.offering.iter().filter_map(|(_, node)| self.nodes.get(node));
        PeerRelays {
            offering: self.broker.offering.len(),
            in_use: known.map(|known| u64::from(known.relaying.in_use)).sum(),
            carried_bytes: self.broker.carried_bytes,
        }
    }

    /// The best peer to relay for a pair, and where both ends reach it.
    fn choose(
        &self,
        now_ms: u64,
        viewer: &NodeId,
        source: &NodeId,
        needed_bps: u64,
        failed: &[NodeId],
    ) -> Option<(NodeId, SocketAddr)> {
        if self.broker.grants.len() >= MAX_GRANTS {
            return None;
        }
        let ends = [self.nodes.get(viewer)?, self.nodes.get(source)?];
        let kind = ends[0].kind.filter(|kind| ends[1].kind == Some(*kind))?;
        let start = NodeId(std::array::from_fn(|at| viewer.0[at] ^ source.0[at]));
        let (least, most) = (NodeId([0; 32]), NodeId([255; 32]));
        let onward = self.broker.offering.range((kind, start)..=(kind, most));
        let around = self.broker.offering.range((kind, least)..(kind, start));
        let looked_at = onward.chain(around).take(LOOKED_AT);
        let usable = looked_at.filter(|(_, node)| node != viewer && node != source && !failed.contains(node));
        let fitting = usable.filter_map(|(_, node)| {
            let known = self.nodes.get(node)?;
            let address = known.proven_address().filter(|address| is_for_both(*address, ends))?;
            let share_bps = known.relay_share_bps(now_ms).filter(|share_bps| *share_bps >= needed_bps)?;
            let rank = (Reverse(width_step(share_bps)), known_or_far(known.tracker_rtt_us));
            Some((rank, *node, address))
        });
        fitting.min().map(|(_, node, address)| (node, address))
    }

    fn relay_here(&mut self, now_ms: u64, viewer: (NodeId, SessionId), source: (NodeId, SessionId)) {
        self.remember(now_ms, &viewer.0, &source.0, Via::Tracker);
        self.relays_itself(now_ms, (viewer.0, source.0));
        self.outputs.push_back(Output::OfferRelay { viewer, source });
    }

    /// The peer relays nothing for now: the tracker does, or goes on to.
    fn refused(&mut self, now_ms: u64, grant: &Grant) {
        if let Some(relay) = self.nodes.get_mut(&grant.relay) {
            relay.relaying.busy_until_ms = now_ms + BUSY_MS;
        }
        if !grant.is_move {
            self.relay_here(now_ms, grant.viewer, grant.source);
        }
    }

    fn take_grant(&mut self, token: &Token) -> Option<Grant> {
        let grant = self.broker.grants.remove(token)?;
        self.broker.due.remove(&(grant.due_ms, *token));
        if let Some(relay) = self.nodes.get_mut(&grant.relay) {
            relay.relaying.asked = relay.relaying.asked.saturating_sub(1);
        }
        Some(grant)
    }

    /// A viewer says that its relayed link to a source was of no use, or asks again, which says so when it comes soon after an offer.
    pub(super) fn note_failure(&mut self, now_ms: u64, viewer: &NodeId, source: &NodeId, within_ms: u64) {
        let offer = self.nodes.get_mut(viewer).and_then(|known| known.offers.get_mut(source));
        let Some(offer) = offer else { return };
        offer.failed.retain(|(_, until_ms)| now_ms < *until_ms);
        if let Via::Peer(relay) = offer.via
            && now_ms < offer.at_ms.saturating_add(within_ms)
            && offer.failed.len() < MAX_FAILED
        {
            offer.failed.push((relay, now_ms + FAILED_MS));
        }
    }

    /// The peers that were of no use to a pair lately, whichever end asked.
    fn failed(&self, now_ms: u64, one: &NodeId, two: &NodeId) -> Vec<NodeId> {
        let offers = [self.offer(one, two), self.offer(two, one)].into_iter().flatten();
        let failed = offers.flat_map(|offer| &offer.failed).filter(|(_, until_ms)| now_ms < *until_ms);
        failed.map(|(node, _)| *node).collect()
    }

    fn remember(&mut self, now_ms: u64, viewer: &NodeId, source: &NodeId, via: Via) {
        let Some(known) = self.nodes.get_mut(viewer) else { return };
        let failed = known.offers.remove(source).map(|offer| offer.failed).unwrap_or_default();
        if known.offers.len() >= MAX_OFFERS
            && let Some(oldest) = known.offers.iter().min_by_key(|(_, offer)| offer.at_ms)
        {
            let oldest = *oldest.0;
            known.offers.remove(&oldest);
        }
        known.offers.insert(*source, Offer { via, at_ms: now_ms, failed });
    }

    /// What a pair's content needs, if they share one: its rate, or 0 when that is unknown.
    pub(super) fn shared_bitrate(&self, viewer: &NodeId, source: &NodeId) -> Option<u64> {
        let source = self.nodes.handle(source)?;
        let swarms = self.nodes.get(viewer)?.views.iter().filter_map(|key| self.swarms.get(key));
        swarms.filter(|swarm| swarm.has(source)).map(|swarm| swarm.bitrate_bps).max()
    }

    fn offer(&self, viewer: &NodeId, source: &NodeId) -> Option<&Offer> {
        self.nodes.get(viewer)?.offers.get(source)
    }
}

impl Node {
    /// Where the tracker dialled it and it proved its key.
    fn proven_address(&self) -> Option<SocketAddr> {
        self.probed.filter(|_| self.reach == super::paths::Reach::Open)
    }

    /// What it has for one more relayed connection; none when it should not be asked.
    fn relay_share_bps(&self, now_ms: u64) -> Option<u64> {
        let relaying = &self.relaying;
        let unreported = relaying.agreed_ms.iter().filter(|at_ms| now_ms < **at_ms + UNREPORTED_MS).count();
        let carried = relaying.in_use as usize + unreported + relaying.asked;
        if carried >= PEER_RELAYS || now_ms < relaying.busy_until_ms {
            return None;
        }
        Some(spare_bps(relaying.limit_bps, self.uplink_bps) / (carried as u64 + 1))
    }
}

/// Whether both ends can reach `address`, as far as is known.
fn is_for_both(address: SocketAddr, ends: [&Node; 2]) -> bool {
    ends.iter().all(|end| {
        let speaks_it = end.observed.ip().to_canonical().is_ipv4() == address.is_ipv4();
        speaks_it && !addresses_for(end.observed, &[address]).is_empty()
    })
}

#[cfg(test)]
#[path = "relays_tests.rs"]
mod tests;
