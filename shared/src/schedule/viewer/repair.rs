//! Requests that do badly: moved, asked twice, given up.
//!
//! Everything here is bounded, because answers to trouble make trouble: moves back off exponentially per chunk and are few per run,
//! duplicates stay below a sixty-fourth of what was received, and the origin is the last resort, not the first.

use std::collections::BTreeMap;

use super::{
    ChunkRequest, SourceId, Viewer,
    crowd::Scarcity,
    flights::Flight,
    known::Known,
    source::{Source, is_in_time},
};
use crate::{units::LeafRange, wire::RequestId};

/// Requests looked at in one run, and how many of them may move.
const MAX_LOOKED_AT: usize = 24;
const MAX_MOVES_PER_RUN: u32 = 4;
/// A request that has waited less than this does not move; twice as long after each move.
const MOVE_AFTER_MS: u64 = 300;
/// What is expected within this does not move.
const NOT_WORTH_MOVING_MS: f64 = 400.0;
/// Where a request waits, another must be this many times better.
const MOVE_FACTOR: f64 = 3.0;
/// What is expected so long before it is needed stays where it is: most of it is on its way already. In a large swarm it moves all the same,
/// since whoever idles there has nothing but what waits elsewhere.
const IN_TIME_MS: f64 = 100.0;
/// What waits at an origin is asked of a peer of a crowd that could deliver it in this part of the time there is, and of any so long before it
/// would be too late: peers take longer than they say, for what others need sooner goes before it. Who starts trusts an origin longer.
const RELIABLE_PART: f64 = 0.3;
const JUST_IN_TIME_MS: f64 = 500.0;
const JUST_IN_TIME_STARTING_MS: f64 = 300.0;
/// One that takes longer is too busy to be asked for that,
const QUICK_MS: f64 = 1_200.0;
/// until what is to be played is due within this: peers serve what is needed first, however much they have to do, and an origin with more than
/// one content may have nothing left over for seconds.
const LAST_CALL_MS: f64 = 800.0;
/// Outside a crowd, what is needed within this moves without a word: there is supply for asking twice.
const ASK_FIRST_SLACK_MS: f64 = 2_000.0;
/// How long a source may take to say that it gives a request up.
const LEAVE_PATIENCE_MS: u64 = 1_000;
const MAX_BACK_OFF: u8 = 6;
/// The only request that is out at a source nobody can stand in for is asked again after so much more silence than is usual; twice as long
/// after each time.
const ALONE_LOST_AFTER_MS: u64 = 1_000;
/// A request this old at a source that delivers other things is lost.
const LOST_AFTER_MS: u64 = 10_000;
/// What was asked of a source that never delivered moves after so long, begun or not.
const UNPROVEN_MS: u64 = 600;
/// The origin takes over what has waited so long and is needed so soon.
const LAST_RESORT_WAITED_MS: u64 = 1_500;
const LAST_RESORT_SLACK_MS: u64 = 1_000;
const MAX_LAST_RESORTS: usize = 4;
/// What has waited so long at an origin goes to a peer that has it and delivers in time, or within this.
const RELIEVE_AFTER_MS: u64 = 100;
const RELIEVE_MS: u64 = 500;
/// What is needed within this may be asked twice.
const HEDGE_SLACK_MS: u64 = 1_500;
const HEDGE_AFTER_MS: u64 = 150;
/// A second request must promise to be so many times sooner than the first.
const HEDGE_FACTOR: f64 = 1.5;
/// Duplicates may be a sixty-fourth of what was received, and a little to begin with.
const HEDGE_SHARE: u64 = 64;
const HEDGE_FREE_BYTES: u64 = 128 << 10;

/// One run: what is known, and what is asked.
struct Run {
    scarce: Option<Scarcity>,
    known: Known,
    asks: BTreeMap<SourceId, Vec<ChunkRequest>>,
}

impl Run {
    fn new(scarce: Option<Scarcity>) -> Self {
        Self { scarce, known: Known::default(), asks: BTreeMap::new() }
    }
}

impl Viewer {
    /// Looks at what is out, a few times a second. What it leaves known.
    pub(super) fn repair(&mut self) -> Known {
        self.snub_the_silent();
        self.give_up_the_lost();
        let now_ms = self.now_ms;
        let is_late = |flight: &Flight| now_ms.saturating_sub(flight.sent_ms) >= HEDGE_AFTER_MS;
        let mut late = Vec::with_capacity(self.flights.len());
        let flights = self.flights.iter().filter(|(_, flight)| is_late(flight));
        late.extend(flights.map(|(id, flight)| (flight.deadline_ms, id)));
        late.sort_unstable();
        late.truncate(MAX_LOOKED_AT);
        let (mut run, mut moved) = (Run::new(self.scarcity()), 0);
        if run.scarce.is_none() {
            self.relieve_the_origin(&mut run);
            self.ask_again_for_the_last(&mut run);
        }
        for (_, id) in late {
            let Some(flight) = self.flights.get(id).copied() else { continue };
            if moved < MAX_MOVES_PER_RUN && self.relocate(id, &flight, &mut run) {
                moved += 1;
                run.known.forget_soonest();
            } else if run.scarce.is_none() {
                self.hedge(id, &flight, &mut run);
            }
        }
        self.emit(run.asks);
        run.known
    }

    /// What waits at an origin and has come to a peer meanwhile is asked of the peer: an origin's uplink is for what nobody else has.
    fn relieve_the_origin(&mut self, run: &mut Run) {
        let now_ms = self.now_ms;
        let at_origin: Vec<(RequestId, Flight)> = self
            .flights
            .iter()
            .filter(|(_, flight)| now_ms.saturating_sub(flight.sent_ms) >= RELIEVE_AFTER_MS && !flight.hedged)
            .filter(|(_, flight)| {
                self.sources.get(&flight.source).is_some_and(|source| source.traits.is_origin)
            })
            .map(|(id, flight)| (id, *flight))
            .take(MAX_LOOKED_AT)
            .collect();
        for (id, flight) in at_origin {
            let slack_ms = flight.deadline_ms.saturating_sub(now_ms);
            let is_soon = |ms| ms <= slack_ms.max(RELIEVE_MS) as f64;
            if let Some((ms, other)) = self.best_other(&flight, false, run, is_soon) {
                self.cancel(vec![id]);
                self.ask_other(other, &flight, ms, false, run);
            }
        }
    }

    /// A source that says nothing for seconds is asked again only now and then; what others have is asked of them.
    fn snub_the_silent(&mut self) {
        let now_ms = self.now_ms;
        let silent: Vec<SourceId> = self
            .sources
            .iter()
            .filter(|(_, source)| source.deserves_snub(now_ms))
            .map(|(id, _)| *id)
            .collect();
        for id in silent {
            if let Some(source) = self.sources.get_mut(&id) {
                source.snub(now_ms);
                source.asked_in_vain(now_ms);
            }
            let ids = self
                .flights
                .ids_at(id)
                .into_iter()
                .filter(|request| self.has_alternative(id, *request))
                .collect();
            self.cancel(ids);
        }
        // Whatever it was asked before is lost; once nothing is outstanding, planning gives it one chunk.
        if !self.sources.values().any(|source| source.may_prove_itself(now_ms)) {
            return;
        }
        let retried: Vec<RequestId> = self
            .flights
            .iter()
            .filter(|(_, flight)| {
                self.sources.get(&flight.source).is_some_and(|source| source.may_prove_itself(now_ms))
            })
            .map(|(id, _)| id)
            .collect();
        self.cancel(retried);
    }

    fn has_alternative(&self, to: SourceId, request: RequestId) -> bool {
        let Some(flight) = self.flights.get(request) else { return false };
        self.sources.iter().any(|(id, source)| {
            *id != to && source.is_usable(self.now_ms) && source.have.contains(flight.leaves)
        })
    }

    fn give_up_the_lost(&mut self) {
        let now_ms = self.now_ms;
        let lost: Vec<RequestId> = self
            .flights
            .iter()
            .filter(|(_, flight)| {
                let waited_ms = now_ms.saturating_sub(flight.sent_ms);
                waited_ms > LOST_AFTER_MS && waited_ms > LOST_AFTER_MS << self.back_off(flight)
            })
            .map(|(id, _)| id)
            .collect();
        for id in &lost {
            if let Some(first) = self.flights.get(*id).map(|flight| flight.leaves.first) {
                self.count_move(first);
            }
        }
        self.cancel(lost);
    }

    /// A source that lost a chunk goes on with the next, and repair has time. Behind the last chunk nothing comes, and a lone source would be
    /// found silent only after seconds.
    fn ask_again_for_the_last(&mut self, run: &mut Run) {
        let lost: Vec<(RequestId, Flight)> = self
            .flights
            .iter()
            .filter(|(id, flight)| self.is_lost_alone(*id, flight))
            .map(|(id, flight)| (id, *flight))
            .collect();
        for (id, flight) in lost {
            if self.may_come_twice(flight.bytes) {
                self.tally.hedged_bytes += flight.bytes;
                self.take_to(flight.source, flight.expected_ms as f64, id, &flight, run);
            }
        }
    }

    fn is_lost_alone(&self, id: RequestId, flight: &Flight) -> bool {
        let Some(source) = self.sources.get(&flight.source) else { return false };
        let patience_ms =
            (ALONE_LOST_AFTER_MS << self.back_off(flight)) + source.aged_backlog_ms(self.now_ms);
        source.outstanding() == 1
            && source.is_proven()
            && source.is_usable(self.now_ms)
            && source.suspicious_ms(self.now_ms) > patience_ms
            && flight.leaving_since_ms.is_none()
            && !self.has_alternative(flight.source, id)
    }

    /// Whether bytes that were asked for may be asked for once more, though both may come.
    const fn may_come_twice(&self, bytes: u64) -> bool {
        let budget = self.tally.received_bytes / HEDGE_SHARE + HEDGE_FREE_BYTES;
        self.tally.hedged_bytes + bytes <= budget
    }

    /// Asks a second source for what a reader needs very soon and is late.
    fn hedge(&mut self, id: RequestId, flight: &Flight, run: &mut Run) {
        let waited_ms = self.now_ms.saturating_sub(flight.sent_ms);
        let is_proven = self.sources.get(&flight.source).is_some_and(Source::is_proven);
        let patience_ms = if is_proven { flight.expected_ms * 3 / 2 } else { 0 };
        let is_late = waited_ms >= patience_ms.max(HEDGE_AFTER_MS);
        let is_urgent = flight.deadline_ms < self.now_ms + HEDGE_SLACK_MS;
        if flight.hedged || !is_late || !is_urgent || self.is_coming_in_time(flight) {
            return;
        }
        if !self.may_come_twice(flight.bytes) {
            return;
        }
        let still_ms = self.still_ms(flight, run);
        let is_soon = |ms| ms <= 2.0 * waited_ms as f64 && HEDGE_FACTOR * ms < still_ms;
        if let Some((ms, other)) = self.best_other(flight, false, run, is_soon) {
            self.tally.hedged_bytes += flight.bytes;
            self.flights.mark_hedged(id);
            self.ask_other(other, flight, ms, true, run);
        }
    }

    /// Whether a source that delivers as it is used to will have sent a flight in time, however long that has waited.
    fn is_coming_in_time(&self, flight: &Flight) -> bool {
        let Some(source) = self.sources.get(&flight.source) else { return false };
        let usual = self.usual_bytes_per_ms();
        let still_ms = source.remaining_ms(self.now_ms, flight.deadline_ms, usual);
        source.is_proven()
            && source.suspicious_ms(self.now_ms) == 0
            && is_in_time(still_ms, flight.deadline_ms as i64 - self.now_ms as i64)
    }

    /// Takes a request back and asks another source. Whether it did.
    fn relocate(&mut self, id: RequestId, flight: &Flight, run: &mut Run) -> bool {
        let is_scarce = run.scarce.is_some();
        let waited_ms = self.now_ms.saturating_sub(flight.sent_ms);
        if let Some(since_ms) = flight.leaving_since_ms {
            return self.leave_without_word(id, flight, since_ms, run);
        }
        let is_young = || waited_ms < MOVE_AFTER_MS || waited_ms < MOVE_AFTER_MS << self.back_off(flight);
        if flight.hedged || is_young() {
            return false;
        }
        let still_ms = self.still_ms(flight, run);
        let slack_ms = flight.deadline_ms.saturating_sub(self.now_ms) as f64;
        if run.scarce.is_some_and(|scarcity| scarcity.spares(flight.source)) {
            return self.leave_the_origin(id, flight, run);
        }
        let Some(source) = self.sources.get(&flight.source) else { return false };
        let (is_proven, silent_ms) = (source.is_proven(), source.silent_ms(self.now_ms));
        let is_in_time = !self.is_large_swarm() && is_proven && still_ms + IN_TIME_MS <= slack_ms;
        if still_ms < NOT_WORTH_MOVING_MS || is_in_time {
            return false;
        }
        let has_waited_long = waited_ms > LAST_RESORT_WAITED_MS;
        let is_silent = silent_ms > LAST_RESORT_WAITED_MS;
        // What a source is sending comes anyway: that is a matter of duplicates, but while a reader waits to start. One that never sent
        // anything may never do.
        // A slow one needs longer for its first chunk, and has it while there is time.
        let has_until_ms = if is_scarce { 0 } else { (flight.expected_ms * 3 / 2).min(slack_ms as u64) };
        let unproven_ms = UNPROVEN_MS.max(has_until_ms);
        let is_hopeless = is_silent || !is_proven && silent_ms > unproven_ms;
        let comes_anyway = !is_hopeless && !is_scarce && source.has_begun(flight.deadline_ms, id);
        if comes_anyway && !self.is_starting() {
            return false;
        }
        let is_last_resort = has_waited_long
            && flight.deadline_ms < self.now_ms + LAST_RESORT_SLACK_MS
            && (is_silent || !is_scarce);
        let is_worth = |ms| MOVE_FACTOR * ms + 100.0 < still_ms;
        let Some((ms, other)) = self.best_other(flight, is_last_resort, run, is_worth) else { return false };
        let has_time = is_scarce || slack_ms > ASK_FIRST_SLACK_MS;
        if is_hopeless && let Some(source) = self.sources.get_mut(&flight.source) {
            source.asked_in_vain(self.now_ms);
        }
        if is_hopeless || !has_time {
            self.take_to(other, ms, id, flight, run);
        } else {
            self.leave(id, flight);
        }
        true
    }

    /// What an origin sends twice is what it has left over, and no deadline can rely on that: a peer is asked while it can still make it. In
    /// a large swarm nothing is left over.
    fn leave_the_origin(&mut self, id: RequestId, flight: &Flight, run: &Run) -> bool {
        let slack_ms = flight.deadline_ms.saturating_sub(self.now_ms) as f64;
        let Some((ms, _)) = self.best_other(flight, false, run, |_| true) else { return false };
        let (part, early_ms) = if self.is_starting() {
            (0.0, JUST_IN_TIME_STARTING_MS)
        } else {
            (RELIABLE_PART, JUST_IN_TIME_MS)
        };
        let is_last_call = slack_ms < LAST_CALL_MS && !self.is_starting();
        let has_time = slack_ms > ms + early_ms && ms >= part * slack_ms;
        let may_wait = has_time || ms > QUICK_MS && !is_last_call;
        if may_wait && !self.is_large_swarm() {
            return false;
        }
        self.leave(id, flight);
        true
    }

    /// Asks a source to give a request up. Only once it says that it has, another is asked: or both would send.
    fn leave(&mut self, id: RequestId, flight: &Flight) {
        self.flights.mark_leaving(id, self.now_ms);
        self.push_cancel(flight.source, id, true);
    }

    /// A source that was asked to give a request up says nothing for long: it is asked of another nevertheless.
    fn leave_without_word(&mut self, id: RequestId, flight: &Flight, since_ms: u64, run: &mut Run) -> bool {
        if self.now_ms < since_ms + LEAVE_PATIENCE_MS {
            return false;
        }
        let Some((ms, other)) = self.best_other(flight, false, run, |_| true) else { return false };
        self.take_to(other, ms, id, flight, run);
        true
    }

    fn take_to(&mut self, other: SourceId, ms: f64, id: RequestId, flight: &Flight, run: &mut Run) {
        self.count_move(flight.leaves.first);
        self.cancel(vec![id]);
        self.ask_other(other, flight, ms, false, run);
    }

    /// A source has given a request up, as it was asked: another is asked now, or whoever planning finds.
    pub(super) fn moved_off(&mut self, flight: &Flight) {
        self.count_move(flight.leaves.first);
        if self.taken.intersects(flight.leaves) {
            return;
        }
        let mut run = Run::new(self.scarcity());
        if let Some((ms, other)) = self.best_other(flight, false, &run, |_| true)
            && other != flight.source
        {
            self.ask_other(other, flight, ms, false, &mut run);
        }
        self.emit(run.asks);
    }

    /// How long a flight is going to take where it is: by what is queued there before it, and no less than its waiting so far suggests.
    /// In a crowd peers serve what is needed first; how long a request has waited says little there, and measured rates less.
    fn still_ms(&self, flight: &Flight, run: &Run) -> f64 {
        let Some(source) = self.sources.get(&flight.source) else { return f64::MAX };
        let waited_ms = self.now_ms.saturating_sub(flight.sent_ms) as f64;
        let announced_ms = source.aged_backlog_ms(self.now_ms) as f64;
        if run.scarce.is_some() {
            return announced_ms.max(waited_ms * 0.5);
        }
        let suggested_ms = waited_ms * if source.is_proven() { 0.5 } else { 2.0 };
        let queued_ms = source.remaining_ms(self.now_ms, flight.deadline_ms, run.known.usual(self));
        queued_ms.max(announced_ms).max(suggested_ms)
    }

    /// The best other source for a flight's leaves, if it takes no longer than `is_soon` says; none when some of them came another way, late
    /// or twice, and are not to be asked again.
    fn best_other(
        &self,
        flight: &Flight,
        origins_too: bool,
        run: &Run,
        is_soon: impl Fn(f64) -> bool,
    ) -> Option<(f64, SourceId)> {
        let is_here = |(_, leaves): &(SourceId, LeafRange)| {
            leaves.first < flight.leaves.end() && flight.leaves.first < leaves.end()
        };
        if self.held.intersects(flight.leaves) || self.verifying.iter().any(is_here) {
            return None;
        }
        let is_asked =
            |id: SourceId| self.flights.overlapping(flight.leaves).any(|(_, other)| other.source == id);
        let has_it = |source: &Source| source.have.contains(flight.leaves);
        let arrival_ms = |source: &Source| {
            source.arrival_ms(self.now_ms, flight.bytes, flight.deadline_ms, run.known.usual(self))
        };
        let spared = run.scarce.and_then(|scarcity| scarcity.spared);
        let is_peer = |id: SourceId, source: &Source| self.is_peer(spared, id, source);
        let others = self.sources.iter().filter(|(id, source)| {
            let may_be_asked = if is_peer(**id, source) { run.scarce.is_none() } else { origins_too };
            may_be_asked && source.is_usable(self.now_ms) && has_it(source) && !is_asked(**id)
        });
        let others = others
            .filter(|(id, source)| is_peer(**id, source) || self.direct_requests(**id) < MAX_LAST_RESORTS)
            .map(|(id, source)| (arrival_ms(source), *id));
        // Of a crowd it is known who is soonest.
        let crowd = run.scarce.and_then(|scarcity| {
            let soon = run.known.soonest(self, scarcity).take_while(|(ms, ..)| is_soon(*ms));
            let mut holders = soon.filter(|(_, id, source)| is_peer(*id, source) && has_it(source));
            holders.find(|(_, id, _)| !is_asked(*id)).map(|(ms, id, _)| (ms, id))
        });
        let best = crowd.into_iter().chain(others).min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        best.filter(|(ms, _)| is_soon(*ms))
    }

    fn ask_other(&mut self, other: SourceId, flight: &Flight, expected_ms: f64, hedged: bool, run: &mut Run) {
        let slack_ms = flight.deadline_ms as i64 - self.now_ms as i64;
        let request = self.fly(other, flight.leaves, slack_ms, expected_ms as u64, hedged);
        run.asks.entry(other).or_default().push(request);
    }

    fn back_off(&self, flight: &Flight) -> u8 {
        self.moves.get(&flight.leaves.first).copied().unwrap_or(0).min(MAX_BACK_OFF)
    }

    fn count_move(&mut self, first: u32) {
        let moves = self.moves.entry(first).or_insert(0);
        *moves = moves.saturating_add(1);
    }
}
