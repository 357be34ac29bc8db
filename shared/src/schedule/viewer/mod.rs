//! The download core of one streamed content: what to request from whom, and when.
//!
//! ```text
//! source_joined have source_left ---+                        +--> Request Cancel Flush
//! reader_moved reader_closed        +--> Viewer (this folder) +--> Token
//! data_arrived verified corrupt ----+                        +--> Ban
//! ```
//!
//! Every leaf is in exactly one state: *held*, *in flight* (once, or twice while hedged), *being verified*, *wanted* (a reader's window,
//! the start-up ranges, everything when the whole content is kept) or not wanted. `taken` is the union of the first three; nothing in it is
//! requested but by a deliberate, budgeted hedge.
//!
//! - Near a reader the earliest deadline goes first, each chunk to the source with the least estimated arrival. Beyond, what the fewest
//!   sources hold goes first, ties by a seeded hash (`plan`).
//! - A request that waits much longer than it would elsewhere moves; a blocked reader's late chunk is asked twice within a budget; silent
//!   sources are snubbed (`repair`).
//! - A reader that jumps to bytes neither held nor in flight starts a new epoch: everything older is flushed and asked anew.
//! - A source whose bytes do not verify is banned and nothing is asked of it again.
//!
//! The viewer never sees bytes: its owner verifies and stores them and reports the result. It does not know sockets or clocks.

mod crowd;
mod flights;
mod intake;
mod known;
mod observe;
mod overview;
mod plan;
mod reader;
mod regions;
mod repair;
mod room;
mod shares;
mod source;
mod timeline;
mod tokens;
mod types;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::{Rng, SeedableRng, rngs::StdRng};

pub use self::types::{
    Arrival, ChunkRequest, Needs, ReaderId, SourceId, SourceSnapshot, SourceTraits, Swarm, TokenRequest,
    ViewerConfig, ViewerOutput, ViewerSnapshot,
};
use self::{
    flights::Flights,
    known::Known,
    overview::Overview,
    reader::Reader,
    room::Trouble,
    source::{DEFAULT_BYTES_PER_MS, Source},
    timeline::Timeline,
    tokens::Tokens,
};
use super::{Deadline, numbered::Numbered};
use crate::{
    leaf_set::LeafSet,
    limits::MAX_READERS,
    units::{LeafIndex, LeafRange, leaf_count, leaf_of},
    wire::RequestId,
};

/// How long after opening or seeking a viewer counts as starting.
const STARTING_MS: u64 = 10_000;
/// A reader that ran dry for this long has stalled.
const STALL_MS: u64 = 300;
/// How far beyond what is taken a reader may move without that being a seek: what a demuxer skips.
const SKIP_BYTES: u64 = 128 << 10;
/// A reader that jumps to what was asked for by a deadline this near finds it on its way.
const COMING_MS: u64 = 1_000;
/// How often things are looked at while a reader waits, and otherwise.
const BLOCKED_TICK_MS: u64 = 50;
const TICK_MS: u64 = 100;

/// What was counted since the viewer opened.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    received_bytes: u64,
    wasted_bytes: u64,
    corrupt_bytes: u64,
    hedged_bytes: u64,
    stalls: u32,
}

/// The download core of one streamed content. See the [module](self) for the rules.
#[derive(Debug)]
pub struct Viewer {
    config: ViewerConfig,
    timeline: Timeline,
    leaf_count: u32,
    salt: u64,
    now_ms: u64,
    epoch: u32,
    starting_until_ms: u64,
    /// How many play the content, as the tracker says.
    swarm: Swarm,
    keep_whole: bool,
    held: LeafSet,
    /// Held, in flight or being verified.
    taken: LeafSet,
    /// Start-up ranges, most urgent first.
    startup: Vec<LeafRange>,
    verifying: Vec<(SourceId, LeafRange)>,
    flights: Flights,
    /// How often the request for a chunk was moved, by its first leaf.
    moves: BTreeMap<LeafIndex, u8>,
    sources: Numbered<SourceId, Source>,
    overview: Overview,
    banned: BTreeSet<SourceId>,
    readers: BTreeMap<ReaderId, Reader>,
    outputs: VecDeque<ViewerOutput>,
    dirty: bool,
    /// Something wanted could not be requested at the last planning.
    unmet: bool,
    /// Nothing could be requested at the last planning, whoever had it: as much is out as may be.
    is_full: bool,
    next_repair_ms: u64,
    tokens: Tokens,
    tally: Tally,
    /// While nothing can be stored.
    trouble: Option<Trouble>,
}

impl Viewer {
    /// A viewer of a content of which `held` is there already.
    pub fn new(config: ViewerConfig, held: LeafSet) -> Self {
        let leaf_count = leaf_count(config.size_bytes);
        let held = if held.leaf_count() == leaf_count {
            held
        } else {
            LeafSet::from_ranges(leaf_count, held.runs())
        };
        let timeline =
            Timeline::new(config.size_bytes, config.bitrate_bps, config.duration_ms, &config.time_index);
        let mut viewer = Self {
            timeline,
            leaf_count,
            salt: StdRng::seed_from_u64(config.seed).next_u64(),
            now_ms: 0,
            epoch: 0,
            starting_until_ms: 0,
            swarm: Swarm::default(),
            keep_whole: false,
            taken: held.clone(),
            held,
            startup: Vec::new(),
            verifying: Vec::new(),
            flights: Flights::default(),
            moves: BTreeMap::new(),
            sources: Numbered::default(),
            overview: Overview::new(leaf_count),
            banned: BTreeSet::new(),
            readers: BTreeMap::new(),
            outputs: VecDeque::new(),
            dirty: true,
            unmet: false,
            is_full: false,
            next_repair_ms: 0,
            tokens: Tokens::default(),
            tally: Tally::default(),
            trouble: None,
            config,
        };
        viewer.startup = viewer.startup_leaves();
        viewer
    }

    /// Media hints that came after opening. Wrong ones cost time only.
    pub fn hints(&mut self, now_ms: u64, startup_ranges: Vec<(u64, u64)>, time_index: Vec<(u32, u64)>) {
        self.touch(now_ms);
        self.config.startup_ranges = startup_ranges;
        self.config.time_index = time_index;
        let config = &self.config;
        let timeline =
            Timeline::new(config.size_bytes, config.bitrate_bps, config.duration_ms, &config.time_index);
        let before = std::mem::replace(&mut self.timeline, timeline);
        self.readers.values_mut().for_each(|reader| reader.retime(&before, &self.timeline));
        self.startup = self.startup_leaves();
    }

    /// A reader is at `position_byte` and reads on from there; `is_blocked` says that it waits for that very byte. Readers appear by
    /// moving. A jump to bytes neither held nor on their way is a seek: a new epoch, in which everything older is void.
    pub fn reader_moved(&mut self, now_ms: u64, reader_id: ReaderId, position_byte: u64, is_blocked: bool) {
        self.touch(now_ms);
        let position = position_byte.min(self.config.size_bytes);
        let before = self.readers.get(&reader_id).copied();
        if before.is_none() && self.readers.len() >= MAX_READERS {
            return;
        }
        let is_jump = match before {
            Some(before) => self.is_jump(before.position, position),
            None => !self.flights.is_empty() && !self.is_expected(position),
        };
        let grace_until_ms = self.now_ms + STARTING_MS;
        let mut reader =
            before.unwrap_or_else(|| Reader::new(self.now_ms, position, &self.timeline, grace_until_ms));
        if before.is_none() {
            self.starting_until_ms = grace_until_ms;
        }
        if is_jump {
            reader.grace_until_ms = grace_until_ms;
        }
        // Whoever opens or jumps waits from that moment, also if it has not said so yet.
        let waits = is_blocked
            || is_jump
            || before.is_none_or(|before| before.position == position && before.dry_since_ms.is_some());
        let waits = waits && position < self.config.size_bytes && !self.held.has(leaf_of(position));
        let is_skip = before.is_some_and(|before| self.is_skip(&before, position));
        reader.moved(self.now_ms, position, waits, is_skip, &self.timeline);
        if reader.dry_since_ms.is_none()
            && before.is_some_and(|before| before.position < position)
            && !is_jump
        {
            // It has begun to play: from here on, running dry is a stall.
            reader.grace_until_ms = reader.grace_until_ms.min(self.now_ms + STARTING_MS / 5);
        }
        self.readers.insert(reader_id, reader);
        if is_jump {
            self.seek();
        }
    }

    /// A reader stops before `end_byte`: nothing is fetched ahead of it beyond, which would be in the way of wherever its player reads next.
    pub fn reader_ends(&mut self, now_ms: u64, reader: ReaderId, end_byte: u64) {
        self.touch(now_ms);
        if let Some(reader) = self.readers.get_mut(&reader) {
            reader.ends_at = end_byte;
        }
    }

    /// A reader is gone; what only it wanted is no longer wanted, and taken back as far as it is not on its way.
    pub fn reader_closed(&mut self, now_ms: u64, reader: ReaderId) {
        self.touch(now_ms);
        if self.readers.remove(&reader).is_none() || self.keep_whole {
            return;
        }
        let windows = self.readers.values().map(|reader| self.window(reader));
        let wanted: Vec<_> = windows.chain(self.startup.iter().map(|leaves| leaves.leaves())).collect();
        let is_wanted = |leaves: LeafRange| {
            wanted.iter().any(|wanted| wanted.start < leaves.end() && leaves.first < wanted.end)
        };
        let unwanted = self.flights.iter().filter(|(_, flight)| !is_wanted(flight.leaves)).map(|(id, _)| id);
        self.cancel(unwanted.collect());
    }

    /// Whether everything is to be fetched, in the background beyond the readers.
    pub fn keep_whole(&mut self, now_ms: u64, keep_whole: bool) {
        self.touch(now_ms);
        self.keep_whole = keep_whole;
    }

    /// Time has passed; call at [`Self::poll_timeout`] at the latest.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        let was_dirty = self.dirty;
        self.touch(now_ms);
        // Tokens come more often than there is something to plan.
        self.dirty = was_dirty || self.now_ms >= self.next_repair_ms;
    }

    /// The next thing to do, until there is none. Decisions are made here, over all inputs since the last call.
    pub fn poll_output(&mut self) -> Option<ViewerOutput> {
        if self.outputs.is_empty() && self.dirty {
            self.dirty = false;
            let mut known = Known::default();
            if self.now_ms >= self.next_repair_ms {
                self.next_repair_ms = self.now_ms + BLOCKED_TICK_MS;
                self.count_stalls();
                known = self.repair();
            }
            self.plan(known);
        }
        if self.config.tokens && self.outputs.is_empty() && self.trouble.is_none() {
            self.ask_for_fresh();
        }
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let repair = self.repair_timeout();
        let dry_ms = self.readers.values().filter_map(|reader| reader.runs_dry_at_ms(&self.timeline)).min();
        let dry =
            dry_ms.map(|at_ms| Deadline { at_ms: at_ms.max(self.now_ms + 1), reason: "a reader runs dry" });
        let tokens = if self.config.tokens && self.trouble.is_none() { self.tokens_due_ms() } else { None };
        let tokens = tokens.map(|at_ms| Deadline { at_ms, reason: "the uplink is about to idle" });
        repair.into_iter().chain(dry).chain(tokens).min_by_key(|deadline| deadline.at_ms)
    }

    fn repair_timeout(&self) -> Option<Deadline> {
        if self.is_anybody_dry() {
            Some(Deadline { at_ms: self.now_ms + BLOCKED_TICK_MS, reason: "a reader waits" })
        } else if !self.flights.is_empty() {
            Some(Deadline { at_ms: self.now_ms + TICK_MS, reason: "requests are out" })
        } else {
            let is_waiting = self.unmet && !self.sources.is_empty();
            is_waiting.then(|| Deadline { at_ms: self.now_ms + TICK_MS, reason: "nobody can be asked yet" })
        }
    }

    /// The seek epoch.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether everything is held.
    pub const fn is_complete(&self) -> bool {
        self.held.is_full()
    }

    /// What is held, as the viewer was told.
    pub const fn held(&self) -> &LeafSet {
        &self.held
    }

    /// Every request that is out: its id, of whom, for which leaves.
    pub fn in_flight(&self) -> impl Iterator<Item = (RequestId, SourceId, LeafRange)> {
        self.flights.iter().map(|(id, flight)| (id, flight.source, flight.leaves))
    }

    /// Time never goes back, and every input may change what is best.
    fn touch(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        self.dirty = true;
        for reader in self.readers.values_mut() {
            reader.advance(self.now_ms, &self.timeline);
        }
    }

    /// Hints decide; without any, the head, then the tail, where containers keep their index.
    fn startup_leaves(&self) -> Vec<LeafRange> {
        let size = self.config.size_bytes;
        let ranges = if self.config.startup_ranges.is_empty() {
            vec![(0, HEAD_BYTES), (size.saturating_sub(TAIL_BYTES), TAIL_BYTES)]
        } else {
            self.config.startup_ranges.clone()
        };
        // A file whose index is damaged may name all of itself.
        let mut left_bytes = MAX_STARTUP_BYTES;
        ranges
            .into_iter()
            .map(|(offset, length)| {
                let length = length.min(left_bytes);
                left_bytes -= length;
                LeafRange::covering(&(offset.min(size)..offset.saturating_add(length).min(size)))
            })
            .filter(|leaves| leaves.count > 0)
            .collect()
    }

    /// Whether going from `from` to `to` passes over what is missing, to where nothing is nor is about to come.
    fn is_jump(&self, from: u64, to: u64) -> bool {
        if to >= self.config.size_bytes || self.held.has(leaf_of(to)) {
            return false;
        }
        let reach = self.first_absent(leaf_of(from));
        let reads_on_to = LeafRange::new(0, reach).bytes(self.config.size_bytes).end.max(from) + SKIP_BYTES;
        (to < from || to > reads_on_to) && !self.is_coming(leaf_of(to))
    }

    /// The first leaf at or after `from` that is neither held nor being verified. A reader reads what is stored, and may have passed
    /// what this viewer is yet to hear of.
    fn first_absent(&self, from: LeafIndex) -> LeafIndex {
        let mut next = from;
        loop {
            let missing = self.held.first_missing(next).unwrap_or(self.leaf_count);
            match self.verifying.iter().find(|(_, leaves)| leaves.contains(missing)) {
                Some((_, leaves)) => next = leaves.end(),
                None => return missing,
            }
        }
    }

    /// Whether `leaf` was asked for as something that is needed about now, or is being verified. What was asked for a later time would
    /// come in its turn, behind all that was needed before it.
    fn is_coming(&self, leaf: LeafIndex) -> bool {
        let leaf = LeafRange::new(leaf, 1);
        let soon_ms = self.now_ms + COMING_MS;
        self.flights.overlapping(leaf).any(|(_, flight)| flight.deadline_ms <= soon_ms)
            || self.verifying.iter().any(|(_, leaves)| leaves.contains(leaf.first))
    }

    /// Whether a reader came to `to` otherwise than by reading on. One that waited reads on from there as far as bytes are held.
    fn is_skip(&self, before: &Reader, to: u64) -> bool {
        let step = SKIP_BYTES.max(self.timeline.bytes_in(1_000));
        let reads_on = before.is_blocked && self.held.has(leaf_of(before.position));
        to < before.position || to > before.position + step && !reads_on
    }

    /// Whether the byte at `position` is held or on its way, or is none of the content's.
    fn is_expected(&self, position: u64) -> bool {
        position >= self.config.size_bytes || self.taken.has(leaf_of(position))
    }

    fn count_stalls(&mut self) {
        let now_ms = self.now_ms;
        for reader in self.readers.values_mut() {
            let is_stalled = reader.dry_since_ms.is_some_and(|since| now_ms >= since + STALL_MS);
            if is_stalled && !reader.counted && now_ms >= reader.grace_until_ms {
                reader.counted = true;
                self.tally.stalls += 1;
            }
        }
    }

    /// A new epoch: nothing that was asked before is wanted from anybody, what is still needed is asked anew.
    fn seek(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.starting_until_ms = self.now_ms + STARTING_MS;
        let asked: BTreeSet<SourceId> = self.flights.iter().map(|(_, flight)| flight.source).collect();
        let asked: BTreeSet<SourceId> = asked.into_iter().chain(self.tokens.sources()).collect();
        let ids: Vec<RequestId> = self.flights.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.take_back(id);
        }
        self.moves.clear();
        self.tokens.flush();
        self.outputs
            .retain(|output| !matches!(output, ViewerOutput::Request { .. } | ViewerOutput::Token { .. }));
        let epoch = self.epoch;
        self.outputs.extend(asked.into_iter().map(|source| ViewerOutput::Flush { source, epoch }));
    }

    /// Removes a flight whose data may still come; the owner is told by the caller.
    fn take_back(&mut self, id: RequestId) -> Option<flights::Flight> {
        let flight = self.flights.take_back(id)?;
        self.settle(id, &flight);
        Some(flight)
    }

    /// Removes a flight whose data cannot come any more.
    fn drop_flight(&mut self, id: RequestId) -> Option<flights::Flight> {
        let flight = self.flights.remove(id)?;
        self.settle(id, &flight);
        Some(flight)
    }

    fn settle(&mut self, id: RequestId, flight: &flights::Flight) {
        self.tokens.landed(id);
        if let Some(source) = self.sources.get_mut(&flight.source) {
            source.settled(id, flight.deadline_ms);
        }
        self.retake(flight.leaves);
    }

    /// Brings `taken` up to date for `leaves`.
    fn retake(&mut self, leaves: LeafRange) {
        self.taken.remove(leaves);
        let held = self.held.runs_in(leaves);
        let flying = self.flights.overlapping(leaves).map(|(_, flight)| flight.leaves);
        let verifying = self.verifying.iter().map(|(_, verifying)| *verifying);
        for range in held.chain(flying).chain(verifying) {
            self.taken.insert(range);
        }
    }

    /// Whether a reader has not read enough yet for its player to begin, or has run dry.
    pub fn is_starting(&self) -> bool {
        self.readers.values().any(|reader| reader.dry_since_ms.is_some() || self.has_yet_to_begin(reader))
    }

    fn has_yet_to_begin(&self, reader: &Reader) -> bool {
        self.now_ms < self.starting_until_ms && reader.is_beginning(&self.timeline)
    }

    fn is_anybody_dry(&self) -> bool {
        self.readers.values().any(|reader| reader.dry_since_ms.is_some())
    }

    /// What a link is assumed to carry before it is measured: somewhat less than the median of the measured ones.
    fn usual_bytes_per_ms(&self) -> f64 {
        let measured = self.sources.values().filter(|source| source.goodput.is_measured());
        let mut rates: Vec<f64> = measured.filter_map(|source| source.goodput.bytes_per_ms()).collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).map_or(DEFAULT_BYTES_PER_MS, |median| 0.7 * median)
    }

    /// How long until `leaf` is needed by any reader whose window holds it; none if no reader comes to it.
    fn slack_ms(&self, leaf: LeafIndex) -> Option<i64> {
        let first_byte = LeafRange::new(0, leaf).bytes(self.config.size_bytes).end;
        let needed_ms = self.timeline.ms_at(first_byte);
        let ahead = self.readers.values().filter(|reader| leaf_of(reader.position) <= leaf);
        let slack_ms = |reader: &Reader| {
            let of_start = self.start_of(reader).and_then(|start| start.slack_at(needed_ms));
            of_start.unwrap_or_else(|| needed_ms.saturating_sub(reader.playhead_ms()) as i64)
        };
        ahead.map(slack_ms).min()
    }
}

/// What is fetched first of a content without hints.
const HEAD_BYTES: u64 = 256 << 10;
/// What is fetched next of a content without hints: Matroska and MP4 often keep their index at the end.
const TAIL_BYTES: u64 = 64 << 10;
/// What start-up ranges may name in all.
const MAX_STARTUP_BYTES: u64 = 8 << 20;
