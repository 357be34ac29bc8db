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
    units::LeafIndex,
};

/// An origin that delivers this many times the media's rate has supply to spare.
const SPARE_FACTOR: f64 = 4.0;
/// Media in one chunk.
const CHUNK_MS: u64 = 100;
/// Requests by name that may be out at an origin that is to be spared: ordinarily, and while a viewer starts.
pub(super) const DIRECT: usize = 2;
const DIRECT_STARTING: usize = 4;
/// What no peer has is asked of such an origin when it is needed within this; within that if those that have it do not serve.
const DIRECT_SLACK_MS: i64 = 700;
const DIRECT_HELD_SLACK_MS: i64 = 2_000;

impl Viewer {
    /// The origin that is to be spared: there is a crowd, and it has not shown that it could feed everybody.
    pub(super) fn scarce_origin(&self) -> Option<SourceId> {
        if !self.config.tokens || !self.is_crowd() {
            return None;
        }
        let media = self.timeline.bytes_in(1_000) as f64 / 1_000.0;
        let is_scarce = |source: &Source| {
            let known = source.goodput.bytes_per_ms().filter(|_| source.goodput.is_measured());
            known.is_none_or(|rate| rate < SPARE_FACTOR * media)
        };
        let origin = self.sources.iter().find(|(_, source)| source.traits.is_origin)?;
        is_scarce(origin.1).then_some(*origin.0)
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

    pub(super) fn bytes_at_peers(&self) -> u64 {
        let peers = self.sources.values().filter(|source| !source.traits.is_origin);
        peers.map(|source| source.outstanding_bytes).sum()
    }

    /// How many leaves a chunk has that passes through a crowd: the same for all its viewers, so that what one got another can ask for,
    /// and small, so that it is passed on soon. Near the limit an uplink carries about the media's rate.
    pub(super) fn crowd_leaves(&self) -> u32 {
        let leaves = (self.timeline.bytes_in(CHUNK_MS) / LEAF_BYTES) as u32;
        1 << leaves.clamp(1, MAX_CHUNK_LEAVES).ilog2()
    }
}
