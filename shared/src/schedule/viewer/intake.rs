//! What sources do and what became of their bytes: joining, announcing, delivering, refusing, lying, leaving.
//!
//! Each input restores the invariants of the folder at once and leaves decisions to the next `poll_output`. Inputs about unknown,
//! departed or banned sources are ignored: they are late, not wrong.

use super::{Arrival, Source, SourceId, SourceTraits, Swarm, Viewer, ViewerOutput};
use crate::{
    limits::MAX_REQUEST_BATCH,
    units::LeafRange,
    wire::{RefuseReason, RequestId},
};

impl Viewer {
    /// A link to a source is up. It holds nothing until it says [`have`](Self::have).
    pub fn source_joined(&mut self, now_ms: u64, source: SourceId, traits: SourceTraits) {
        self.touch(now_ms);
        if self.banned.contains(&source) {
            return;
        }
        self.source_left(now_ms, source);
        let joined = Source::new(self.now_ms, traits, self.leaf_count);
        if joined.is_seed {
            self.overview.seeded(source);
        }
        self.sources.insert(source, joined);
    }

    /// What the path to a source carries, as measured or planned anew; 0 leaves a value as it is.
    pub fn source_measured(&mut self, now_ms: u64, source: SourceId, rate_hint_bps: u64, rtt_us: u32) {
        self.touch(now_ms);
        let Some(source) = self.sources.get_mut(&source) else { return };
        if rate_hint_bps > 0 {
            source.traits.rate_hint_bps = rate_hint_bps;
        }
        if rtt_us > 0 {
            source.measured_rtt(rtt_us);
        }
    }

    /// What the tracker says that may be taken of a source, or 0 where it says nothing.
    pub fn source_share(&mut self, now_ms: u64, source: SourceId, share_bps: u64) {
        self.touch(now_ms);
        if let Some(source) = self.sources.get_mut(&source) {
            source.share_bps = share_bps;
        }
    }

    /// The tracker says this of the swarm.
    pub fn told_of_swarm(&mut self, now_ms: u64, swarm: Swarm) {
        self.touch(now_ms);
        self.swarm = swarm;
    }

    /// The link to a source is gone: what was asked of it is asked of others at once.
    pub fn source_left(&mut self, now_ms: u64, source: SourceId) {
        self.touch(now_ms);
        let Some(left) = self.sources.remove(&source) else { return };
        self.overview.left(source, &left);
        for id in self.flights.ids_at(source) {
            self.drop_flight(id);
        }
        self.flights.forget_source(source);
        self.tokens.source_left(source);
        self.outputs.retain(|output| output.source() != source || matches!(output, ViewerOutput::Ban { .. }));
    }

    /// A source announces what it holds.
    pub fn have(
        &mut self,
        now_ms: u64,
        source: SourceId,
        reset: bool,
        complete: bool,
        ranges: &[LeafRange],
        backlog_ms: u32,
    ) {
        let was_dirty = self.dirty;
        self.touch(now_ms);
        // Where no more may be asked, it makes no difference who has it; moves have their own time.
        self.dirty = was_dirty || reset || !self.is_full;
        let now_ms = self.now_ms;
        let Some(known) = self.sources.get_mut(&source) else { return };
        known.announce_backlog(now_ms, backlog_ms);
        if reset {
            if !known.have.is_empty() {
                self.overview.lost();
            }
            known.have.clear();
            known.is_seed = complete;
            if !complete {
                self.overview.unseeded(source);
            }
        }
        if known.is_seed {
            self.overview.seeded(source);
        }
        let whole = complete.then_some(LeafRange::new(0, u32::MAX));
        for range in whole.iter().chain(ranges) {
            known.have.insert(*range);
            if !known.is_seed {
                self.overview.gained(*range);
            }
        }
        if reset {
            self.take_back_what_is_lost(source);
        }
    }

    /// A data frame of `bytes` came, answering request `id`; before its bytes are verified. Frees the place in the pipeline.
    pub fn data_arrived(
        &mut self,
        now_ms: u64,
        source: SourceId,
        id: RequestId,
        leaves: LeafRange,
        bytes: u64,
    ) -> Arrival {
        self.touch(now_ms);
        self.tally.received_bytes += bytes;
        let arrival = self.sort_arrival(source, id, leaves);
        let now_ms = self.now_ms;
        if let Some(known) = self.sources.get_mut(&source) {
            if arrival == Arrival::Unknown {
                known.back_off(now_ms, 0);
            } else {
                known.delivered(now_ms, bytes);
            }
        }
        if arrival.is_useful() {
            self.verifying.push((source, leaves));
            self.taken.insert(leaves);
        } else {
            self.tally.wasted_bytes += bytes;
        }
        arrival
    }

    /// Leaves from `source` verified and are stored.
    pub fn verified(&mut self, now_ms: u64, source: SourceId, leaves: LeafRange) {
        self.touch(now_ms);
        self.trouble = None;
        self.no_longer_verifying(source, leaves);
        // A late chunk may overlap what came meanwhile.
        let size = self.config.size_bytes;
        self.tally.wasted_bytes += self.held.runs_in(leaves).map(|run| run.len_bytes(size)).sum::<u64>();
        self.put(leaves);
    }

    /// Leaves are held that came another way than through this viewer.
    pub fn stored(&mut self, now_ms: u64, leaves: LeafRange) {
        self.touch(now_ms);
        self.put(leaves);
    }

    /// Leaves from `source` could not be stored; they are wanted as before. Where `why` says what is in the way of storing anything, for a
    /// person, nothing more is asked for for a while.
    pub fn unstored(&mut self, now_ms: u64, source: SourceId, leaves: LeafRange, why: Option<String>) {
        self.touch(now_ms);
        self.no_longer_verifying(source, leaves);
        self.retake(leaves);
        if let Some(why) = why {
            self.hold_back(why);
        }
    }

    /// Leaves from `source` did not verify: it is banned, and all that was asked of it is asked of others.
    pub fn corrupt(&mut self, now_ms: u64, source: SourceId, leaves: LeafRange) {
        self.touch(now_ms);
        self.no_longer_verifying(source, leaves);
        self.retake(leaves);
        self.tally.corrupt_bytes += leaves.len_bytes(self.config.size_bytes);
        if self.banned.insert(source) {
            self.source_left(now_ms, source);
            self.outputs.push_back(ViewerOutput::Ban { source });
        }
    }

    /// A source will not serve request `id`.
    pub fn refused(&mut self, now_ms: u64, source: SourceId, id: RequestId, reason: RefuseReason) {
        self.touch(now_ms);
        let now_ms = self.now_ms;
        let asked = self.flights.get(id).is_some_and(|flight| flight.source == source);
        let flight = if asked { self.drop_flight(id) } else { None };
        let Some(known) = self.sources.get_mut(&source) else { return };
        match (reason, flight) {
            (RefuseReason::Busy(ms), _) => known.back_off(now_ms, ms.into()),
            (RefuseReason::Withdrawn, Some(flight)) if flight.leaving_since_ms.is_some() => {
                self.moved_off(&flight);
            }
            // Nor does one have it to give that gives up what it was not asked to.
            (
                RefuseReason::NotHere
                | RefuseReason::NotAChunk
                | RefuseReason::Unreadable
                | RefuseReason::Withdrawn,
                Some(flight),
            ) => {
                known.have.remove(flight.leaves);
                self.overview.lost();
                known.refused(now_ms);
            }
            (_, None) => {}
        }
    }

    /// Leaves were deleted here; they are wanted again where a reader comes to them.
    pub fn evicted(&mut self, now_ms: u64, ranges: &[LeafRange]) {
        self.touch(now_ms);
        for range in ranges {
            self.held.remove(*range);
            self.retake(*range);
        }
    }

    /// What arrived, and the bookkeeping of its request.
    fn sort_arrival(&mut self, source: SourceId, id: RequestId, leaves: LeafRange) -> Arrival {
        let live = self.flights.get(id).filter(|flight| flight.source == source).copied();
        let asked = match live {
            Some(flight) => {
                self.drop_flight(id);
                let took_ms = self.now_ms.saturating_sub(flight.sent_ms);
                if let Some(known) = self.sources.get_mut(&source) {
                    known.answered_after(took_ms);
                }
                flight.leaves
            }
            None => match self.flights.recall(id, source) {
                Some(asked) => asked,
                None => return Arrival::Unknown,
            },
        };
        if asked != leaves {
            return Arrival::Unknown;
        }
        let is_verifying = self.verifying.iter().any(|(_, other)| *other == leaves);
        if is_verifying || self.held.contains(leaves) {
            Arrival::Unneeded
        } else if live.is_some() {
            Arrival::Wanted
        } else {
            Arrival::Late
        }
    }

    fn no_longer_verifying(&mut self, source: SourceId, leaves: LeafRange) {
        self.verifying.retain(|entry| *entry != (source, leaves));
    }

    /// Puts leaves into what is held and takes back other requests for them.
    fn put(&mut self, leaves: LeafRange) {
        self.held.insert(leaves);
        self.taken.insert(leaves);
        self.moves.retain(|first, _| !leaves.contains(*first));
        let needless: Vec<RequestId> = self
            .flights
            .overlapping(leaves)
            .filter(|(_, flight)| self.held.contains(flight.leaves))
            .map(|(id, _)| id)
            .collect();
        self.cancel(needless);
    }

    fn take_back_what_is_lost(&mut self, source: SourceId) {
        let Some(known) = self.sources.get(&source) else { return };
        let lost = |leaves: LeafRange| !known.have.contains(leaves);
        let ids: Vec<RequestId> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.source == source && lost(flight.leaves))
            .map(|(id, _)| id)
            .collect();
        self.cancel(ids);
    }

    /// Takes requests back and tells their sources.
    pub(super) fn cancel(&mut self, ids: Vec<RequestId>) {
        for id in ids {
            let Some(flight) = self.take_back(id) else { continue };
            self.push_cancel(flight.source, id, false);
        }
    }

    pub(super) fn push_cancel(&mut self, to: SourceId, id: RequestId, confirmed: bool) {
        if let Some(ViewerOutput::Cancel { source, ids, confirm }) = self.outputs.back_mut()
            && (*source, *confirm) == (to, confirmed)
            && ids.len() < MAX_REQUEST_BATCH
        {
            ids.push(id);
        } else {
            self.outputs.push_back(ViewerOutput::Cancel { source: to, ids: vec![id], confirm: confirmed });
        }
    }
}

impl ViewerOutput {
    /// Whom it is for.
    pub const fn source(&self) -> SourceId {
        match self {
            Self::Request { source, .. }
            | Self::Cancel { source, .. }
            | Self::Flush { source, .. }
            | Self::Token { source, .. }
            | Self::Ban { source } => *source,
        }
    }
}
