//! Fresh tokens: how a viewer's idle uplink brings new material into a crowd near its limit.
//!
//! Where an origin could not feed everybody, it is asked for *any* chunk that nobody has yet, by those whose uplinks are about to idle:
//! they pass it on to all the others. Uplinks clock themselves that way, without anybody knowing how fast they are. What peers hold is
//! pulled from peers; the origin is asked for a certain chunk only when it is needed at once.
//!
//! Invariant: a token out is answered by Assigned, which makes it a flight, or by NoFresh; a seek or the origin's leaving ends it.

use std::collections::{BTreeMap, BTreeSet};

use super::{BLOCKED_TICK_MS, SourceId, TokenRequest, Viewer, ViewerOutput, flights::Flight};
use crate::{
    limits::LEAF_BYTES,
    schedule::IDLE_SOON_MS,
    units::{LeafIndex, LeafRange, leaf_of},
    wire::RequestId,
};

/// Tokens that may be out: ordinarily, and while the viewer starts, seeks or stalls.
const TOKENS: usize = 2;
const STARTING_TOKENS: usize = 4;
/// A fresh chunk is asked for by about so many neighbours.
const ASKERS: usize = 8;
/// What nobody has and is needed within this is asked for by name.
const FORCED_MS: u64 = 1_000;
const FORCED_STARTING_MS: u64 = 2_500;
/// Between two tokens, and after one that brought nothing; the latter grows while nothing comes.
const SPACING_MS: u64 = 20;
const NOTHING_FRESH_MS: u64 = 100;
const NOTHING_FRESH_LONGEST_MS: u64 = 400;
/// A token that was not answered for so long is lost; one that was sent from a busy uplink waits until the origin has time for it.
const LOST_MS: u64 = 5_000;
const STANDING_MS: u64 = 60_000;
/// Voided tokens that are remembered.
const MAX_VOID: usize = 64;
/// What an uplink is taken to carry before it has carried anything: 1 Mbit/s.
const DEFAULT_UPLINK_BYTES_PER_MS: f64 = 125.0;

#[derive(Debug, Clone, Copy)]
struct Out {
    source: SourceId,
    lost_ms: u64,
    forced_leaf: Option<LeafIndex>,
}

/// The viewer's tokens, and what it knows of its own uplink.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    out: BTreeMap<RequestId, Out>,
    /// Tokens of an older epoch that may still be answered.
    void: BTreeMap<RequestId, SourceId>,
    /// Assigned and not yet here.
    coming: BTreeSet<RequestId>,
    next_ms: u64,
    refused: u32,
    uplink_bytes_per_ms: Option<f64>,
    backlog_ms: u64,
    backlog_at_ms: u64,
}

impl Tokens {
    /// Assigned chunks among what is out at the origin.
    pub(super) fn coming(&self) -> usize {
        self.coming.len()
    }

    pub(super) fn landed(&mut self, id: RequestId) {
        self.coming.remove(&id);
    }

    /// Everything out is void: a seek.
    pub(super) fn flush(&mut self) {
        self.give_up_lost(u64::MAX);
        self.coming.clear();
    }

    /// What was not answered for long does not count any more; an answer may still come.
    fn give_up_lost(&mut self, now_ms: u64) {
        let lost = self.out.extract_if(.., |_, out| now_ms >= out.lost_ms);
        self.void.extend(lost.map(|(id, out)| (id, out.source)));
        while self.void.len() > MAX_VOID {
            self.void.pop_first();
        }
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = SourceId> {
        self.out.values().map(|out| out.source)
    }

    pub(super) fn source_left(&mut self, source: SourceId) {
        self.out.retain(|_, out| out.source != source);
        self.void.retain(|_, of| *of != source);
    }
}

impl Viewer {
    /// What this node's own uplink carries, or 0 when unknown, and how long a new request for something of it would wait. To be told
    /// whenever it changes by much, ten times a second at the most. Of use only where [`tokens`](super::ViewerConfig::tokens) are on.
    pub fn uplink(&mut self, now_ms: u64, uplink_bps: u64, backlog_ms: u32) {
        self.now_ms = self.now_ms.max(now_ms);
        let tokens = &mut self.tokens;
        tokens.uplink_bytes_per_ms = (uplink_bps > 0).then_some(uplink_bps as f64 / 8_000.0);
        (tokens.backlog_ms, tokens.backlog_at_ms) = (backlog_ms.into(), self.now_ms);
    }

    /// An origin has chosen `leaves` for token `id`; their data follows under that id.
    pub fn token_assigned(&mut self, now_ms: u64, source: SourceId, id: RequestId, leaves: LeafRange) {
        self.touch(now_ms);
        if self.tokens.void.get(&id) == Some(&source) {
            self.tokens.void.remove(&id);
            self.flights.expect_late(id, source, leaves);
            return;
        }
        if self.tokens.out.get(&id).is_none_or(|out| out.source != source) {
            return;
        }
        self.tokens.out.remove(&id);
        self.tokens.refused = 0;
        let is_inside = leaves.count > 0 && leaves.end() <= self.leaf_count;
        if !is_inside || self.taken.intersects(leaves) {
            // It has come, or is coming, another way: what the origin sends is late, and welcome all the same if it is first.
            self.flights.expect_late(id, source, leaves);
            return;
        }
        self.tokens.coming.insert(id);
        let slack_ms = self.slack_ms(leaves.first).unwrap_or(0);
        let flight = Flight {
            source,
            leaves,
            bytes: leaves.len_bytes(self.config.size_bytes),
            sent_ms: self.now_ms,
            deadline_ms: self.now_ms.saturating_add_signed(slack_ms),
            expected_ms: NOTHING_FRESH_MS,
            hedged: false,
            leaving_since_ms: None,
        };
        self.take_off(id, flight);
    }

    /// An origin has nothing fresh for token `id`.
    pub fn no_fresh(&mut self, now_ms: u64, source: SourceId, id: RequestId) {
        self.touch(now_ms);
        let tokens = &mut self.tokens;
        tokens.void.remove(&id);
        if tokens.out.get(&id).is_none_or(|out| out.source != source) {
            return;
        }
        tokens.out.remove(&id);
        let wait_ms = (NOTHING_FRESH_MS << tokens.refused.min(4)).min(NOTHING_FRESH_LONGEST_MS);
        tokens.refused += 1;
        tokens.next_ms = tokens.next_ms.max(self.now_ms + wait_ms);
    }

    /// Sends tokens, if any are due.
    pub(super) fn ask_for_fresh(&mut self) {
        let now_ms = self.now_ms;
        if now_ms < self.tokens.next_ms || self.held.is_full() {
            return;
        }
        let Some(origin) = self.scarce_origin().filter(|origin| self.is_usable_origin(*origin)) else {
            return;
        };
        self.tokens.give_up_lost(now_ms);
        let from_leaf = self.needs_from();
        let forced_leaf = self.forced_leaf(origin);
        let busy_ms = self.expected_upload_ms();
        let is_idle = busy_ms < IDLE_SOON_MS as f64;
        let may_ask = self.config.uploads
            && (is_idle || self.may_stand())
            && self.tokens.out.len() < TOKENS
            && self.wants_fresh(from_leaf, origin);
        if forced_leaf.is_none() && !may_ask {
            return;
        }
        let idle_in_ms = busy_ms as u16;
        let lost_ms = now_ms + if is_idle || forced_leaf.is_some() { LOST_MS } else { STANDING_MS };
        let id = self.config.request_ids.next();
        self.tokens.out.insert(id, Out { source: origin, lost_ms, forced_leaf });
        self.tokens.next_ms = now_ms + SPACING_MS;
        let (epoch, chunk_leaves) = (self.epoch, self.crowd_leaves() as u8);
        let leaf_ms = (LEAF_BYTES as f64 / self.uplink_bytes_per_ms()) as u16;
        let request = TokenRequest { id, epoch, from_leaf, forced_leaf, chunk_leaves, idle_in_ms, leaf_ms };
        self.outputs.push_back(ViewerOutput::Token { source: origin, request });
    }

    /// When a token may be due next, if nothing else happens.
    pub(super) fn tokens_due_ms(&self) -> Option<u64> {
        if self.held.is_full() || self.tokens.out.len() >= STARTING_TOKENS {
            return None;
        }
        // One that may not be asked now is looked at again with the rest.
        let origin = self.scarce_origin().filter(|origin| self.is_usable_origin(*origin))?;
        let is_forced = self.forced_leaf(origin).is_some();
        if !is_forced && (!self.config.uploads || self.tokens.out.len() >= TOKENS) {
            return None;
        }
        // Nothing but an input makes a token wanted that was not.
        if !is_forced && !self.wants_fresh(self.needs_from(), origin) {
            return None;
        }
        let busy_ms = if is_forced || self.may_stand() {
            0.0
        } else {
            (self.expected_upload_ms() - IDLE_SOON_MS as f64).max(0.0)
        };
        Some(self.tokens.next_ms.max(self.now_ms + busy_ms as u64).max(self.now_ms + 1))
    }

    /// Whether a token may wait at the origin though the uplink is busy. In a large swarm few uplinks idle while all goes well, and who is
    /// foremost would come to the end of what has ever left.
    fn may_stand(&self) -> bool {
        self.is_large_swarm() && self.tokens.out.is_empty() && self.tokens.coming.is_empty()
    }

    fn is_usable_origin(&self, origin: SourceId) -> bool {
        self.sources.get(&origin).is_some_and(|source| source.is_usable(self.now_ms))
    }

    /// How long the uplink will be busy with what is queued and with what tokens will bring.
    fn expected_upload_ms(&self) -> f64 {
        let tokens = &self.tokens;
        let backlog_ms =
            tokens.backlog_ms.saturating_sub(self.now_ms.saturating_sub(tokens.backlog_at_ms)) as f64;
        let neighbours = self.sources.values().filter(|source| !source.is_seed).take(ASKERS).count();
        let rate = self.uplink_bytes_per_ms();
        let chunks = tokens.out.len() + tokens.coming.len();
        let chunk_bytes = LEAF_BYTES as f64 * f64::from(self.crowd_leaves());
        backlog_ms + (chunks * neighbours) as f64 * chunk_bytes / rate
    }

    /// Whether this node's own uplink is known to carry so much.
    pub(super) fn uplink_exceeds(&self, bytes_per_ms: f64) -> bool {
        self.tokens.uplink_bytes_per_ms.is_some_and(|known| known > bytes_per_ms)
    }

    fn uplink_bytes_per_ms(&self) -> f64 {
        self.tokens.uplink_bytes_per_ms.unwrap_or(DEFAULT_UPLINK_BYTES_PER_MS).max(1.0)
    }

    /// The first leaf that is of use: from the reader on that has least ahead of it.
    fn needs_from(&self) -> LeafIndex {
        let playhead = self.playheads().min_by_key(|playhead| {
            self.taken.first_missing(*playhead).map_or(u32::MAX, |leaf| leaf - playhead)
        });
        self.taken.first_missing(playhead.unwrap_or(0)).unwrap_or(self.leaf_count)
    }

    /// Whether peers leave anything to fetch: somebody who has everything and delivers soon makes tokens needless.
    fn wants_fresh(&self, from: LeafIndex, spared: SourceId) -> bool {
        from < self.leaf_count
            && !self.sources.iter().any(|(id, source)| {
                self.is_peer(Some(spared), *id, source)
                    && source.have.is_full()
                    && source.is_proven()
                    && source.aged_backlog_ms(self.now_ms) < IDLE_SOON_MS
            })
    }

    /// A leaf that is needed very soon, that no peer has, and that was not asked for by name yet.
    fn forced_leaf(&self, spared: SourceId) -> Option<LeafIndex> {
        let (starting, out) = (self.is_starting(), self.tokens.out.len());
        let (within_ms, most) = if starting { (FORCED_STARTING_MS, STARTING_TOKENS) } else { (FORCED_MS, 1) };
        if out >= most {
            return None;
        }
        self.readers.values().find_map(|reader| {
            let from = leaf_of(self.timeline.byte_at(reader.playhead_ms()));
            let until = leaf_of(self.timeline.byte_at(reader.playhead_ms() + within_ms));
            let mut next = from;
            while let Some(leaf) = self.taken.first_missing(next).filter(|leaf| *leaf <= until) {
                let is_asked = self.tokens.out.values().any(|out| out.forced_leaf == Some(leaf));
                if !is_asked && !self.is_held_by_peer(leaf, spared) {
                    return Some(leaf);
                }
                next = leaf + 1;
            }
            None
        })
    }

    fn is_held_by_peer(&self, leaf: LeafIndex, spared: SourceId) -> bool {
        let mut sources = self.sources.iter();
        // The word of a source that never serves is not taken.
        sources.any(|(id, source)| {
            self.is_peer(Some(spared), *id, source) && !source.is_idler() && source.have.has(leaf)
        })
    }

    fn playheads(&self) -> impl Iterator<Item = LeafIndex> {
        self.readers.values().map(|reader| leaf_of(self.timeline.byte_at(reader.playhead_ms())))
    }
}

const _: () = assert!(SPACING_MS < BLOCKED_TICK_MS);
