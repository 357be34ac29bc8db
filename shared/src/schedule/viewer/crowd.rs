//! A crowd near its limit: who is asked where the origin could not feed everybody.
//!
//! What peers hold is asked of peers, of whoever has it soonest, with so much media out at once and no more. The origin is asked by name
//! for little: what is needed at once and nobody has, and, while there is time, what peers would be slow to bring.

use super::{
    SourceId, Viewer,
    plan::{MAX_REQUESTS_OUT, NEAR_MS, PEER_WAIT_MS, Round},
    source::Source,
};
use crate::{
    limits::{LEAF_BYTES, MAX_CHUNK_LEAVES},
    units::{LeafIndex, LeafRange},
};

/// An origin that delivers this many times the media's rate has supply to spare.
const SPARE_FACTOR: f64 = 4.0;
/// More sources than these are not everybody: the swarm is a large one.
const LARGE: usize = 17;
/// Media in one chunk.
const CHUNK_MS: u64 = 100;
/// Requests by name that may be out at an origin that is to be spared: ordinarily, and while a viewer starts.
pub(super) const DIRECT: usize = 2;
const DIRECT_STARTING: usize = 4;
/// What no peer has is asked of such an origin when it is needed within this; within that if those that have it do not serve.
const DIRECT_SLACK_MS: i64 = 700;
const DIRECT_HELD_SLACK_MS: i64 = 2_000;

impl Viewer {
    /// The seed that is to be spared, an origin if there is one: there is a crowd, and seeds have not shown that they could feed everybody.
    /// Of several peers that share the file each viewer has its own; the others are peers to it that happen to have everything.
    pub(super) fn scarce_origin(&self) -> Option<SourceId> {
        if !self.config.tokens || !self.is_crowd() {
            return None;
        }
        let media = self.timeline.bytes_in(1_000) as f64 / 1_000.0;
        let seeds = || self.sources.iter().filter(|(_, source)| source.is_seed && !source.is_idler());
        let seeded: f64 = seeds().filter_map(|(_, source)| source.measured_bytes_per_ms()).sum();
        if seeded >= SPARE_FACTOR * media {
            return None;
        }
        let spared = seeds().min_by_key(|(id, source)| (!source.traits.is_origin, self.hash(**id)))?;
        Some(*spared.0)
    }

    /// Whether the swarm is too large for everybody to be a neighbour.
    pub(super) fn is_large_swarm(&self) -> bool {
        self.sources.len() > LARGE
    }

    /// Whether a source is neither the seed that is to be spared nor another origin.
    pub(super) fn is_peer(&self, spared: Option<SourceId>, id: SourceId, source: &Source) -> bool {
        spared != Some(id) && !source.traits.is_origin
    }

    /// How long a peer of a crowd takes to deliver one more chunk: what it says it has queued, and what it was asked since. Rates measured
    /// per link say little where every uplink is shared by all; near the limit it carries about the media's rate, unless the plan knows better.
    pub(super) fn crowd_wait_ms(&self, source: &Source) -> f64 {
        let usual = self.timeline.bytes_in(1_000) as f64 / 1_000.0;
        let rate = source.hint_bytes_per_ms().unwrap_or(usual).max(1.0);
        let asked_bytes = source.outstanding_bytes + u64::from(self.crowd_leaves()) * LEAF_BYTES;
        let queue_ms = source.aged_backlog_ms(self.now_ms) as f64 + asked_bytes as f64 / rate;
        source.rtt_ms() + queue_ms + source.suspicious_ms(self.now_ms) as f64
    }

    /// Requests out at an origin that were asked by name.
    pub(super) fn direct_requests(&self, origin: SourceId) -> usize {
        let outstanding = self.sources.get(&origin).map_or(0, Source::outstanding);
        outstanding.saturating_sub(self.tokens.coming())
    }

    /// Where the origin is to be spared: of peers whoever has it soonest; of the origin what is needed at once, and little of it.
    pub(super) fn choose_sparing(
        &self,
        origin: SourceId,
        leaf: LeafIndex,
        slack_ms: i64,
        round: &Round,
    ) -> Option<(f64, SourceId)> {
        let deadline_ms = self.now_ms.saturating_add_signed(slack_ms);
        let arrival = |source: &Source| source.arrival_ms(self.now_ms, LEAF_BYTES, deadline_ms, round.usual);
        let holders = self.sources.iter().filter(|(id, source)| **id != origin && source.have.has(leaf));
        let usable = holders.clone().filter(|(_, source)| source.is_usable(self.now_ms));
        let best = usable
            .filter(|(_, source)| source.outstanding() < MAX_REQUESTS_OUT)
            .map(|(id, source)| (self.crowd_wait_ms(source), *id))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let starting = self.is_starting();
        let (direct, few) = (round.direct, if starting { DIRECT_STARTING } else { DIRECT });
        let by_origin = |most: usize| {
            let source = self.sources.get(&origin).filter(|source| source.is_usable(self.now_ms))?;
            (direct < most).then(|| (arrival(source), origin))
        };
        // What an origin sends twice is what it has left over: it is asked while there is time to think again.
        let is_slow = |ms: f64| ms > PEER_WAIT_MS && slack_ms < NEAR_MS as i64;
        let has_time = |ms: f64| starting || slack_ms as f64 > ms + PEER_WAIT_MS;
        match best {
            Some((ms, _)) if is_slow(ms) && has_time(ms) && direct < few => by_origin(few),
            Some(best) => (round.room_bytes > 0).then_some(best),
            None if slack_ms < DIRECT_SLACK_MS => by_origin(DIRECT + 2),
            None if slack_ms < DIRECT_HELD_SLACK_MS && holders.count() > 0 => by_origin(DIRECT + 2),
            None => None,
        }
    }

    /// Sources that hold all of `leaves` and are viewers themselves.
    pub fn viewers_with(&self, leaves: LeafRange) -> impl Iterator<Item = SourceId> {
        let viewers = self.sources.iter().filter(|(_, source)| !source.is_seed);
        viewers.filter(move |(_, source)| source.have.contains(leaves)).map(|(id, _)| *id)
    }

    pub(super) fn bytes_at_peers(&self, spared: Option<SourceId>) -> u64 {
        let peers = self.sources.iter().filter(|(id, source)| self.is_peer(spared, **id, source));
        peers.map(|(_, source)| source.outstanding_bytes).sum()
    }

    /// How many leaves a chunk has that passes through a crowd: the same for all its viewers, so that what one got another can ask for,
    /// and small, so that it is passed on soon. Near the limit an uplink carries about the media's rate.
    pub(super) fn crowd_leaves(&self) -> u32 {
        let leaves = (self.timeline.bytes_in(CHUNK_MS) / LEAF_BYTES) as u32;
        1 << leaves.clamp(1, MAX_CHUNK_LEAVES).ilog2()
    }
}
