//! What to request now: candidates in order, each to the source with the least estimated arrival.
//!
//! Three zones share every source's pipeline, in this order: *near* (deadlines within ten seconds, and the start-up ranges; earliest first),
//! *far* (the rest of the readers' windows, in groups of ten seconds, rarest first), *background* (everything, when the content is kept
//! whole). Only the near zone may fill a pipeline beyond a round trip, so that an urgent request never waits behind distant ones.
//!
//! Invariant: `ask` is the only place a flight is made for leaves that are not taken, and it makes one only to a usable source that
//! holds them.

use std::{collections::BTreeMap, ops::Range};

use super::{
    BLOCKED_TICK_MS, ChunkRequest, SourceId, Viewer, ViewerOutput,
    crowd::{DIRECT, Scarcity},
    flights::Flight,
    known::Known,
    reader::Reader,
    regions::{NEAR_MEDIA_MS, Region},
    source::{SLOW_FACTOR, Share, Source, is_in_time},
};
use crate::{
    content::geometry::piece_leaves,
    limits::{LEAF_BYTES, MAX_CHUNK_LEAVES, MAX_REQUEST_BATCH},
    units::{LeafIndex, LeafRange, leaf_of},
    wire::RequestId,
};

/// Deadlines within this are near.
pub(super) const NEAR_MS: u64 = 10_000;
/// The same in a swarm too large for everybody to be a neighbour, where a chunk passes through many hands: it must be asked for early.
const LARGE_NEAR_MEDIA_MS: u64 = 4_000;
/// What a pipeline holds beyond a round trip, near and far: enough that a late planning does not leave the link idle, and little, because
/// a reader that jumps waits for what is on its way.
const NEAR_AHEAD_MS: f64 = 25.0;
const FAR_AHEAD_MS: f64 = 20.0;
/// A peer that delivers within this is as good as the origin.
pub(super) const PEER_WAIT_MS: f64 = 800.0;
/// With less slack than this, whoever is fastest is asked, origin or not: in a crowd, where an origin's uplink is for what nobody else
/// has, and where there is supply to spare, so that a buffer is built with everything there is.
const ANY_SOURCE_SLACK_MS: i64 = 1_000;
const ANY_SOURCE_SPARE_SLACK_MS: i64 = 5_000;
/// With more slack than this, viewers spread over what only the origin has instead of all asking for the same.
const SPREAD_SLACK_MS: i64 = 3_000;
/// What a request costs that no reader waits for.
const BACKGROUND_SLACK_MS: i64 = 60_000;
/// Candidates looked at in one planning.
const MAX_TRIES: u32 = 512;
const MAX_CROWD_TRIES: u32 = 128;
/// Pieces of one group in the background.
const GROUP_PIECES: u32 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    Near,
    Far,
    Background,
}

/// One planning.
pub(super) struct Round {
    pub(super) known: Known,
    near_floor_bytes: u64,
    share: Share,
    is_crowd: bool,
    /// Whether shares of sources are kept to.
    pub(super) has_shares: bool,
    /// Whether supply is scarce, and what may still be asked of peers.
    pub(super) scarce: Option<Scarcity>,
    pub(super) room_bytes: u64,
    /// Requests by name that are out at that origin.
    pub(super) direct: usize,
    tries: u32,
    asks: BTreeMap<SourceId, Vec<ChunkRequest>>,
}

enum Asked {
    /// Requested up to this leaf.
    Until(LeafIndex),
    /// Better not now.
    Wait,
}

impl Viewer {
    /// Fills the pipelines of all sources.
    pub(super) fn plan(&mut self, known: Known) {
        self.unmet = false;
        let tries_in_trouble = self.tries_in_trouble();
        if tries_in_trouble == Some(0) || self.is_store_behind() {
            (self.unmet, self.is_full) = (true, true);
            return;
        }
        self.look_over();
        let usable = self.sources.values().filter(|source| source.is_usable(self.now_ms)).count() as u64;
        let is_crowd = self.is_crowd();
        let media_ms = if self.is_large_swarm() { LARGE_NEAR_MEDIA_MS } else { NEAR_MEDIA_MS };
        let near_bytes = if is_crowd { self.timeline.bytes_in(NEAR_MEDIA_MS) } else { 0 };
        let scarce = self.scarcity();
        let spared = scarce.and_then(|scarcity| scarcity.spared);
        let usual_tries = if scarce.is_some() { MAX_CROWD_TRIES } else { MAX_TRIES };
        let mut round = Round {
            known,
            near_floor_bytes: near_bytes / usable.max(1),
            share: Share::of(usable.max(1)),
            is_crowd,
            has_shares: self.has_shares(is_crowd),
            scarce,
            room_bytes: self.timeline.bytes_in(media_ms).saturating_sub(self.bytes_at_peers(spared)),
            tries: tries_in_trouble.unwrap_or(usual_tries),
            direct: spared.map_or(0, |origin| self.direct_requests(origin)),
            asks: BTreeMap::new(),
        };
        self.plan_near(&mut round);
        self.plan_far(&mut round);
        if self.keep_whole {
            self.plan_background(&mut round);
        }
        self.is_full = !self.has_capacity(Zone::Near, &round);
        self.emit(round.asks);
    }

    fn plan_near(&mut self, round: &mut Round) {
        let mut regions = self.near_regions();
        while round.tries > 0 && self.has_capacity(Zone::Near, round) {
            let next = regions
                .iter()
                .enumerate()
                .filter_map(|(number, region)| {
                    let leaf = self.next_askable(region.next..region.end)?;
                    Some((self.slack_in(region, leaf), number, leaf))
                })
                .min();
            let Some((slack_ms, number, leaf)) = next else { break };
            if self.waits_for_shares(leaf, slack_ms, Zone::Near, round) {
                break;
            }
            let end = regions[number].end;
            regions[number].next = match self.ask(leaf..end, slack_ms, Zone::Near, round) {
                Asked::Until(next) => next,
                Asked::Wait => leaf + 1,
            };
        }
        let is_missing = |region: &Region| self.is_missing_in(region.next..region.end);
        self.unmet = regions.iter().any(is_missing) || self.near_regions().iter().any(is_missing);
    }

    fn plan_far(&mut self, round: &mut Round) {
        let readers: Vec<Reader> = self.readers.values().copied().collect();
        for reader in readers {
            let window = self.window(&reader);
            let mut start = window.start;
            let mut group_ms = self.near_until_ms(&reader).saturating_sub(NEAR_MS);
            while start < window.end {
                group_ms += NEAR_MS;
                let end = leaf_of(self.timeline.byte_at(group_ms)).max(start + 1).min(window.end);
                self.plan_group(start..end, Zone::Far, round);
                if round.tries == 0 || !self.has_capacity(Zone::Far, round) {
                    self.unmet |= self.is_missing_in(start..window.end);
                    return;
                }
                start = end;
            }
        }
    }

    fn plan_background(&mut self, round: &mut Round) {
        let ahead = self.readers.values().map(|reader| leaf_of(reader.position)).min().unwrap_or(0);
        let group_leaves = GROUP_PIECES * self.piece_leaves();
        for range in [ahead..self.leaf_count, 0..ahead] {
            let mut start = range.start;
            while let Some(leaf) = self.next_askable(start..range.end) {
                if round.tries == 0 || !self.has_capacity(Zone::Background, round) {
                    break;
                }
                let end = leaf.saturating_add(group_leaves).min(range.end);
                self.plan_group(leaf..end, Zone::Background, round);
                start = end;
            }
        }
        self.unmet |= !self.taken.is_full();
    }

    /// Asks for the missing pieces of one group: in order while every holder has everything, else rarest first.
    fn plan_group(&mut self, group: Range<LeafIndex>, zone: Zone, round: &mut Round) {
        if !self.has_capacity(zone, round) {
            return;
        }
        let spread = self.sources.values().any(|source| !source.have.is_full());
        // Pieces matter only where sources differ in them; elsewhere a fast link may have its largest chunks.
        let piece = if spread { self.piece_leaves() } else { MAX_CHUNK_LEAVES };
        let mut pieces = Vec::new();
        let mut start = group.start;
        while let Some(leaf) = self.next_askable(start..group.end) {
            let end = (leaf - leaf % piece + piece).min(group.end);
            let rank = if spread { (self.holders(leaf), self.hash(leaf / piece)) } else { (0, 0) };
            pieces.push((rank, leaf, end));
            start = end;
        }
        if spread {
            pieces.sort_unstable();
        }
        for (_, first, end) in pieces {
            let mut next = first;
            while let Some(leaf) = self.next_askable(next..end) {
                if round.tries == 0 || !self.has_capacity(zone, round) {
                    return;
                }
                let slack_ms = match zone {
                    Zone::Background => BACKGROUND_SLACK_MS,
                    Zone::Near | Zone::Far => self.slack_ms(leaf).unwrap_or(BACKGROUND_SLACK_MS),
                };
                next = match self.ask(leaf..end, slack_ms, zone, round) {
                    Asked::Until(next) => next,
                    Asked::Wait => end,
                };
            }
        }
    }

    /// Requests the chunk at `range.start`, no further than `range.end`, if a source is worth asking now.
    fn ask(&mut self, range: Range<LeafIndex>, slack_ms: i64, zone: Zone, round: &mut Round) -> Asked {
        round.tries -= 1;
        let leaf = range.start;
        let Some((expected_ms, id)) = self.choose(leaf, slack_ms, zone, round) else { return Asked::Wait };
        let Some(leaves) = self.chunk_for(id, range, round) else { return Asked::Wait };
        let request = self.fly(id, leaves, slack_ms, expected_ms as u64, false);
        round.known.asked(self, id);
        if round.scarce.is_some_and(|scarcity| scarcity.spares(id)) {
            round.direct += 1;
        } else {
            round.room_bytes = round.room_bytes.saturating_sub(leaves.len_bytes(self.config.size_bytes));
        }
        round.asks.entry(id).or_default().push(request);
        Asked::Until(leaves.end())
    }

    /// The source with the least estimated arrival among those that hold `leaf`, may be asked and have room.
    fn choose(&self, leaf: LeafIndex, slack_ms: i64, zone: Zone, round: &Round) -> Option<(f64, SourceId)> {
        if let Some(scarcity) = round.scarce {
            return self.choose_sparing(scarcity, leaf, slack_ms, round);
        }
        let deadline_ms = self.now_ms.saturating_add_signed(slack_ms);
        let keeps_to_shares = zone != Zone::Background && self.keeps_to_shares(leaf, slack_ms, round);
        let usual = round.known.usual(self);
        let holders = || {
            self.sources
                .iter()
                .filter(|(_, source)| source.have.has(leaf) && source.is_usable(self.now_ms))
                .filter(|(_, source)| !(keeps_to_shares && source.is_used_up(self.now_ms)))
                .map(|(id, source)| {
                    (source.arrival_ms(self.now_ms, LEAF_BYTES, deadline_ms, usual), *id, source)
                })
        };
        let least = |origins_too: bool| {
            holders()
                .filter(|(_, _, source)| origins_too || !source.traits.is_origin)
                .map(|(ms, ..)| ms)
                .min_by(f64::total_cmp)
        };
        let peer_ms = least(false);
        if peer_ms.is_none() && zone == Zone::Near && slack_ms > SPREAD_SLACK_MS && round.is_crowd {
            return None;
        }
        let good_enough_ms =
            if zone == Zone::Far { slack_ms as f64 } else { PEER_WAIT_MS.min(slack_ms as f64) };
        let spares_origins_from_ms =
            if round.is_crowd { ANY_SOURCE_SLACK_MS } else { ANY_SOURCE_SPARE_SLACK_MS };
        let peers_do = zone != Zone::Background
            && slack_ms >= spares_origins_from_ms
            && peer_ms.is_some_and(|ms| ms <= good_enough_ms);
        let least_ms = if peers_do { peer_ms? } else { least(true)? };
        let (ms, id, _) = holders()
            .filter(|(_, _, source)| !(peers_do && source.traits.is_origin))
            .filter(|(_, _, source)| self.has_room(source, zone, round))
            .min_by(|a, b| a.0.total_cmp(&b.0))?;
        // A slow source may have what is not urgent, with time to spare, for estimates err; what is urgent rather waits for room at a
        // fast one.
        let worth =
            is_in_time(ms, slack_ms) || ms <= SLOW_FACTOR * least_ms + f64::from(BLOCKED_TICK_MS as u32);
        worth.then_some((ms, id))
    }

    /// The largest aligned chunk at `range.start` that suits the link, is not taken, and lies in the range.
    fn chunk_for(&self, id: SourceId, range: Range<LeafIndex>, round: &Round) -> Option<LeafRange> {
        let source = self.sources.get(&id)?;
        let leaf = range.start;
        // What a waiting reader needs first is small, so that it starts at once; sizes double from there.
        let distance = self
            .readers
            .values()
            .filter(|reader| reader.dry_since_ms.is_some() && leaf_of(reader.position) <= leaf)
            .map(|reader| (leaf - leaf_of(reader.position)).max(1))
            .min()
            .unwrap_or(MAX_CHUNK_LEAVES);
        let suits = match round.scarce {
            Some(_) => self.crowd_leaves(),
            None => source.chunk_leaves(round.known.usual(self), round.share),
        };
        let most = suits.min(distance).ilog2().min(leaf.trailing_zeros());
        (0..=most).rev().map(|log| LeafRange::new(leaf, (1 << log).min(self.leaf_count - leaf))).find(
            |chunk| {
                chunk.end() <= range.end && !self.taken.intersects(*chunk) && source.have.contains(*chunk)
            },
        )
    }

    /// Makes a flight. The caller has chosen source and leaves.
    pub(super) fn fly(
        &mut self,
        source: SourceId,
        leaves: LeafRange,
        slack_ms: i64,
        expected_ms: u64,
        hedged: bool,
    ) -> ChunkRequest {
        let id = self.config.request_ids.next();
        let bytes = leaves.len_bytes(self.config.size_bytes);
        let flight = Flight {
            source,
            leaves,
            bytes,
            sent_ms: self.now_ms,
            deadline_ms: self.now_ms.saturating_add_signed(slack_ms),
            expected_ms,
            hedged,
            leaving_since_ms: None,
        };
        self.take_off(id, flight);
        let deadline_ms = slack_ms.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        ChunkRequest { id, leaves, deadline_ms }
    }

    /// A flight is out from now on.
    pub(super) fn take_off(&mut self, id: RequestId, flight: Flight) {
        self.flights.insert(id, flight);
        self.taken.insert(flight.leaves);
        if let Some(source) = self.sources.get_mut(&flight.source) {
            source.asked(self.now_ms, id, flight.deadline_ms, flight.bytes);
        }
    }

    /// Turns what was asked into Requests, earliest deadline first.
    pub(super) fn emit(&mut self, asks: BTreeMap<SourceId, Vec<ChunkRequest>>) {
        let (epoch, starting) = (self.epoch, self.is_starting());
        for (source, mut chunks) in asks {
            chunks.sort_by_key(|chunk| chunk.deadline_ms);
            for batch in chunks.chunks(MAX_REQUEST_BATCH) {
                self.outputs.push_back(ViewerOutput::Request {
                    source,
                    epoch,
                    starting,
                    chunks: batch.to_vec(),
                });
            }
        }
    }

    /// The first leaf of `range` that is not taken and that somebody may be asked for.
    fn next_askable(&self, range: Range<LeafIndex>) -> Option<LeafIndex> {
        let mut from = range.start;
        loop {
            let leaf = self.taken.first_missing(from).filter(|leaf| *leaf < range.end)?;
            let had = self.overview.first_to_be_had(leaf..range.end)?;
            if had > leaf {
                from = had;
                continue;
            }
            let mut next = None;
            for source in self.sources.values().filter(|source| source.is_usable(self.now_ms)) {
                if source.have.has(leaf) {
                    return Some(leaf);
                }
                // Of sources that hold little, no more is looked at than up to what another holds.
                let least = next.unwrap_or(range.end);
                next = source.have.first_held_in(leaf..least).or(next);
            }
            from = next?;
        }
    }

    fn is_missing_in(&self, range: Range<LeafIndex>) -> bool {
        self.taken.first_missing(range.start).is_some_and(|leaf| leaf < range.end)
    }

    fn has_capacity(&self, zone: Zone, round: &Round) -> bool {
        if round.scarce.is_some() {
            return round.room_bytes > 0 || zone == Zone::Near && round.direct < DIRECT + 2;
        }
        let keeps_to_shares = zone == Zone::Far && round.has_shares;
        self.sources
            .values()
            .filter(|source| !(keeps_to_shares && source.is_used_up(self.now_ms)))
            .any(|source| source.is_usable(self.now_ms) && self.has_room(source, zone, round))
    }

    pub(super) fn has_room(&self, source: &Source, zone: Zone, round: &Round) -> bool {
        let usual = round.known.usual(self);
        let depth = match zone {
            Zone::Near => source.depth_bytes(NEAR_AHEAD_MS, round.near_floor_bytes, usual, round.share),
            Zone::Far | Zone::Background => source.depth_bytes(FAR_AHEAD_MS, 0, usual, round.share),
        };
        source.outstanding_bytes < depth && source.outstanding() < MAX_REQUESTS_OUT
    }

    fn holders(&self, leaf: LeafIndex) -> usize {
        self.sources.values().filter(|source| source.have.has(leaf)).count()
    }

    /// Spreads viewers with different salts over equally rare pieces, and over seeds.
    pub(super) fn hash(&self, piece: u32) -> u64 {
        let mut mixed = self.salt ^ u64::from(piece).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn piece_leaves(&self) -> u32 {
        let bitrate_bps = self.timeline.bytes_in(1_000).saturating_mul(8);
        piece_leaves(self.config.size_bytes, bitrate_bps)
    }
}

/// The most requests outstanding at one source; half of what an uploader queues for one neighbour.
pub(super) const MAX_REQUESTS_OUT: usize = crate::limits::MAX_QUEUED_REQUESTS / 2;
