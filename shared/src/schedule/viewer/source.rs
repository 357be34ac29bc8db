//! What a viewer knows of one source: what it holds, how fast it is, how much is outstanding, whether it may be asked now.
//!
//! Estimates only; which request goes where is decided in `plan` and `repair`.

use std::collections::BTreeMap;

use super::types::{SourceId, SourceSnapshot, SourceTraits};
use crate::{
    leaf_set::LeafSet,
    limits::{LEAF_BYTES, MAX_CHUNK_LEAVES},
    schedule::rate::{Goodput, Meter},
    wire::RequestId,
};

/// A chunk should take about this long on the link it crosses: what is on its way when a reader jumps is not taken back.
const CHUNK_MS: f64 = 12.5;
/// Chunk size while a link is unknown, where there is no other.
const FIRST_CHUNK_LEAVES: u32 = 2;
/// The most that is outstanding at one source, at all of them together, and at each of very many.
const MAX_DEPTH_BYTES: u64 = 4 << 20;
const ALL_DEPTH_BYTES: u64 = 8 << 20;
const MIN_DEPTH_BYTES: u64 = 128 << 10;
/// The most that is outstanding at a source nothing is known of; where there are others, of which it may be the slowest, before and after
/// its first delivery.
const FIRST_DEPTH_BYTES: u64 = 128 << 10;
const UNPROVEN_DEPTH_BYTES: u64 = LEAF_BYTES;
const PROVEN_DEPTH_BYTES: u64 = 2 * LEAF_BYTES;
/// Of what is outstanding, a source has begun to send about this much, in bytes and in time of its link: the window of an uploader.
const BEGUN_BYTES: u64 = 2 * LEAF_BYTES;
const BEGUN_MS: f64 = 50.0;
/// What a connection carries while its rate still grows with each round trip.
const YOUNG_BYTES: u64 = 1 << 20;
/// What is outstanding at one source for the sake of the deadline order there, in time of its link.
const MAX_FLOOR_MS: f64 = 1_000.0;
/// What a link is assumed to carry when nothing at all is known: 8 Mbit/s.
pub(super) const DEFAULT_BYTES_PER_MS: f64 = 1_000.0;
/// A quickest answer that took longer says more of a queue than of a round trip.
const MAX_GUESSED_RTT_MS: u64 = 400;
/// After so many chunks the quickest answer tells of an uplink, and no more of what waited there.
const TELLING_CHUNKS: u64 = 6;
/// By how much the least round trip rises at a longer measurement, at the least.
const MIN_RTT_STEP_US: u32 = 200;
/// Silence with requests outstanding that does not make a source suspect yet.
const PATIENCE_MS: u64 = 300;
/// More time than this for one chunk is no excuse.
const MAX_CHUNK_MS: f64 = 2_000.0;
/// Silence with requests outstanding after which a source is snubbed.
const SNUB_AFTER_MS: u64 = 3_000;
const SNUB_FIRST_MS: u64 = 4_000;
const SNUB_LONGEST_MS: u64 = 64_000;
/// So often in a row it may fail to serve what it announced before it is snubbed too. What fails together counts once: a source whose cache
/// has moved on refuses a whole batch, and a busy one is silent for a second or two.
const FAILURES: u32 = 4;
const REFUSED_TOGETHER_MS: u64 = 500;
const SILENT_TOGETHER_MS: u64 = 1_500;

/// A source that takes this much longer than the fastest is slow; it is given what is needed so much later than it takes.
pub(super) const SLOW_FACTOR: f64 = 1.5;
const SLOW_MARGIN_MS: f64 = 100.0;
/// Half a leaf in the time that asks are counted over.
const HALF_LEAF_BPS: u64 = LEAF_BYTES * 8 / 2 / 2;

/// What one source may have on its way at the most, so that all of them together stay within a bound of memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    depth_bytes: u64,
    chunk_leaves: u32,
    first_chunk_leaves: u32,
    /// There is no other source.
    is_whole: bool,
}

impl Share {
    /// Of so many sources.
    pub(super) fn of(sources: u64) -> Self {
        let depth_bytes = (ALL_DEPTH_BYTES / sources).clamp(MIN_DEPTH_BYTES, MAX_DEPTH_BYTES);
        let chunk_leaves = (depth_bytes / LEAF_BYTES / 4) as u32;
        let is_whole = sources <= 1;
        Self {
            depth_bytes,
            chunk_leaves: chunk_leaves.clamp(FIRST_CHUNK_LEAVES, MAX_CHUNK_LEAVES),
            first_chunk_leaves: if is_whole { FIRST_CHUNK_LEAVES } else { 1 },
            is_whole,
        }
    }
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) traits: SourceTraits,
    pub(super) have: LeafSet,
    /// It held everything when it was first heard of: an origin, or a peer that shares the file.
    pub(super) is_seed: bool,
    pub(super) goodput: Goodput,
    pub(super) meter: Meter,
    /// What the tracker says may be taken of it, or 0 where it says nothing, and what was asked of it lately.
    pub(super) share_bps: u64,
    asks: Meter,
    pub(super) received_bytes: u64,
    pub(super) outstanding_bytes: u64,
    /// What is outstanding, by deadline: the order in which it is served.
    outstanding: BTreeMap<(u64, RequestId), u64>,
    /// When it last delivered, or was first asked after having nothing to do.
    heard_ms: u64,
    /// The shortest time from a request to its data: a round trip and a little more.
    quickest_ms: Option<u64>,
    /// The least round trip measured lately, in microseconds; 0 when none was. The others waited in a queue that is ours to keep short.
    least_rtt_us: u32,
    backlog_ms: u64,
    backlog_at_ms: u64,
    retry_at_ms: u64,
    refusals: u32,
    snubbed_until_ms: Option<u64>,
    snub_ms: u64,
    /// How often it did not serve what it announced since it last delivered, and when last.
    failures: u32,
    failed_ms: u64,
}

impl Source {
    pub(super) fn new(now_ms: u64, traits: SourceTraits, leaf_count: u32) -> Self {
        Self {
            traits,
            have: LeafSet::new(leaf_count),
            is_seed: traits.is_origin,
            goodput: Goodput::default(),
            meter: Meter::default(),
            share_bps: 0,
            asks: Meter::default(),
            received_bytes: 0,
            outstanding_bytes: 0,
            outstanding: BTreeMap::new(),
            heard_ms: now_ms,
            quickest_ms: None,
            least_rtt_us: traits.rtt_hint_us,
            backlog_ms: 0,
            backlog_at_ms: now_ms,
            retry_at_ms: 0,
            refusals: 0,
            snubbed_until_ms: None,
            snub_ms: SNUB_FIRST_MS,
            failures: 0,
            failed_ms: 0,
        }
    }

    /// The round trip was measured. A longer one than the least counts a little, so that a path that became longer is believed in time.
    pub(super) fn measured_rtt(&mut self, rtt_us: u32) {
        self.traits.rtt_hint_us = rtt_us;
        let least_us = self.least_rtt_us;
        self.least_rtt_us =
            if least_us == 0 { rtt_us } else { rtt_us.min(least_us + (least_us / 16).max(MIN_RTT_STEP_US)) };
    }

    pub(super) fn announce_backlog(&mut self, now_ms: u64, backlog_ms: u32) {
        (self.backlog_ms, self.backlog_at_ms) = (u64::from(backlog_ms).min(60_000), now_ms);
    }

    pub(super) fn asked(&mut self, now_ms: u64, id: RequestId, deadline_ms: u64, bytes: u64) {
        if self.outstanding.is_empty() {
            self.goodput.busy(now_ms);
            self.heard_ms = now_ms;
        }
        if self.is_snubbed() {
            // The one chunk by which it may prove itself, and the time it has for it.
            self.snub(now_ms);
        }
        self.outstanding.insert((deadline_ms, id), bytes);
        self.outstanding_bytes += bytes;
        self.asks.count(now_ms, bytes);
    }

    /// A request is no longer outstanding, for whatever reason.
    pub(super) fn settled(&mut self, id: RequestId, deadline_ms: u64) {
        if let Some(bytes) = self.outstanding.remove(&(deadline_ms, id)) {
            self.outstanding_bytes -= bytes;
        }
    }

    /// How many requests are outstanding.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Whether as much was asked of it lately as this viewer may take, to the nearest leaf. Shares follow what is measured, so a quarter
    /// more than one is fine.
    pub(super) fn is_used_up(&self, now_ms: u64) -> bool {
        let asked_bps = self.asks.bps(now_ms) + HALF_LEAF_BPS;
        self.share_bps > 0 && asked_bps * 4 > self.share_bps.saturating_mul(5)
    }

    /// Whether it ever delivered anything.
    pub(super) const fn is_proven(&self) -> bool {
        self.received_bytes > 0
    }

    /// A request was answered after so long.
    pub(super) fn answered_after(&mut self, took_ms: u64) {
        self.quickest_ms = Some(self.quickest_ms.map_or(took_ms, |known| known.min(took_ms)));
    }

    /// Payload arrived; its request is already settled.
    pub(super) fn delivered(&mut self, now_ms: u64, bytes: u64) {
        self.received_bytes += bytes;
        self.meter.count(now_ms, bytes);
        self.goodput.arrived(now_ms, bytes, !self.outstanding.is_empty());
        self.heard_ms = now_ms;
        self.refusals = 0;
        self.failures = 0;
        self.snubbed_until_ms = None;
        self.snub_ms = SNUB_FIRST_MS;
    }

    /// It refused what it announced.
    pub(super) fn refused(&mut self, now_ms: u64) {
        self.failed(now_ms, REFUSED_TOGETHER_MS);
    }

    /// It was silent until another was asked. Of one that has served before that says nothing: near the limit it serves others first.
    pub(super) fn asked_in_vain(&mut self, now_ms: u64) {
        if !self.is_proven() {
            self.failed(now_ms, SILENT_TOGETHER_MS);
        }
    }

    fn failed(&mut self, now_ms: u64, together_ms: u64) {
        if self.failures > 0 && now_ms < self.failed_ms + together_ms {
            return;
        }
        self.failed_ms = now_ms;
        self.failures += 1;
        if self.failures >= FAILURES && self.snubbed_until_ms.is_none() {
            self.snub(now_ms);
        }
    }

    /// Not to be asked for a while; twice as long each time in a row.
    pub(super) fn back_off(&mut self, now_ms: u64, at_least_ms: u64) {
        let longer_ms = 50 << self.refusals.min(6);
        self.retry_at_ms = now_ms + at_least_ms.max(longer_ms).min(5_000);
        self.refusals = self.refusals.saturating_add(1);
    }

    /// Whether it has been silent for too long with something outstanding, and is not snubbed already.
    pub(super) fn deserves_snub(&self, now_ms: u64) -> bool {
        !self.outstanding.is_empty()
            && self.snubbed_until_ms.is_none()
            && self.silent_ms(now_ms) > SNUB_AFTER_MS
    }

    pub(super) fn snub(&mut self, now_ms: u64) {
        self.snubbed_until_ms = Some(now_ms + self.snub_ms);
        self.snub_ms = (self.snub_ms * 2).min(SNUB_LONGEST_MS);
    }

    /// Whether a snub is over: it gets one chunk to prove itself.
    pub(super) fn may_prove_itself(&self, now_ms: u64) -> bool {
        self.snubbed_until_ms.is_some_and(|until| now_ms >= until)
    }

    pub(super) const fn is_snubbed(&self) -> bool {
        self.snubbed_until_ms.is_some()
    }

    /// Whether it gives nothing: a peer that was asked for what it announced, again and again, and has never served any of it. Near the limit
    /// an honest one is silent for seconds too, but not every time.
    pub(super) const fn is_idler(&self) -> bool {
        self.failures >= FAILURES && !self.is_proven() && !self.traits.is_origin
    }

    /// Whether it may be asked for anything now.
    pub(super) fn is_usable(&self, now_ms: u64) -> bool {
        now_ms >= self.retry_at_ms
            && match self.snubbed_until_ms {
                None => true,
                Some(until) => now_ms >= until && self.outstanding.is_empty(),
            }
    }

    /// The round trip through empty queues: as measured, else no longer than the quickest answer took.
    pub(super) fn rtt_ms(&self) -> f64 {
        match self.least_rtt_us {
            0 => self.quickest_ms.unwrap_or(0).min(MAX_GUESSED_RTT_MS) as f64,
            known_us => f64::from(known_us) / 1_000.0,
        }
    }

    /// Bytes per millisecond as planned.
    pub(super) fn hint_bytes_per_ms(&self) -> Option<f64> {
        (self.traits.rate_hint_bps > 0).then_some(self.traits.rate_hint_bps as f64 / 8_000.0)
    }

    /// Bytes per millisecond that it cannot do better than, as its quickest answer to a request for `chunk_bytes` tells; nothing before it has
    /// answered some, for the first may all have waited.
    pub(super) fn quickest_bytes_per_ms(&self, chunk_bytes: u64) -> Option<f64> {
        let took_ms = self.quickest_ms.filter(|_| self.received_bytes >= TELLING_CHUNKS * chunk_bytes)?;
        Some(chunk_bytes as f64 / (took_ms as f64 - self.rtt_ms()).max(1.0))
    }

    /// Bytes per millisecond as measured, by transfer time and not by a first arrival.
    pub(super) fn measured_bytes_per_ms(&self) -> Option<f64> {
        self.goodput.bytes_per_ms().filter(|_| self.goodput.is_measured())
    }

    /// Whether its rate was measured or planned.
    fn is_rate_known(&self) -> bool {
        self.goodput.is_measured() || self.traits.rate_hint_bps > 0
    }

    /// Bytes per millisecond: measured, else the hint, else what is usual here. The first arrival tells nothing yet: a shaper lets a burst
    /// through.
    pub(super) fn bytes_per_ms(&self, usual: f64) -> f64 {
        let measured = self.measured_bytes_per_ms();
        measured.or_else(|| self.hint_bytes_per_ms()).unwrap_or(usual).max(1.0)
    }

    /// When `bytes` asked for now and needed at `deadline_ms` would be here, in milliseconds from now: behind what is needed sooner, and
    /// what has begun.
    pub(super) fn arrival_ms(&self, now_ms: u64, bytes: u64, deadline_ms: u64, usual: f64) -> f64 {
        let ahead = self.sooner_bytes(deadline_ms).max(self.outstanding_bytes.min(self.begun_bytes()));
        let queue_ms = self.time_for_ms(now_ms, ahead + bytes, usual);
        self.rtt_ms() + self.aged_backlog_ms(now_ms) as f64 + queue_ms
    }

    /// When a request that is out, needed at `deadline_ms`, will be here.
    pub(super) fn remaining_ms(&self, now_ms: u64, deadline_ms: u64, usual: f64) -> f64 {
        // What it has been sending since it delivered last is nearly here.
        let sending_ms = self.silent_ms(now_ms) as f64 - self.suspicious_ms(now_ms) as f64 - self.rtt_ms();
        let queue_ms = self.time_for_ms(now_ms, self.sooner_bytes(deadline_ms), usual);
        (queue_ms - sending_ms.max(0.0)).max(0.0)
    }

    /// Whether it is probably sending a request already, so that it comes whatever is said: it is among the first by deadline.
    pub(super) fn has_begun(&self, deadline_ms: u64, id: RequestId) -> bool {
        let before: u64 = self.outstanding.range(..(deadline_ms, id)).map(|(_, bytes)| bytes).sum();
        before < self.begun_bytes()
    }

    fn begun_bytes(&self) -> u64 {
        let rate = self.measured_bytes_per_ms().unwrap_or(0.0);
        BEGUN_BYTES.max((rate * BEGUN_MS) as u64)
    }

    /// What is outstanding and needed by `deadline_ms`.
    fn sooner_bytes(&self, deadline_ms: u64) -> u64 {
        self.outstanding.range(..=(deadline_ms, RequestId::MAX)).map(|(_, bytes)| bytes).sum()
    }

    fn time_for_ms(&self, now_ms: u64, bytes: u64, usual: f64) -> f64 {
        bytes as f64 / self.bytes_per_ms(usual) + self.suspicious_ms(now_ms) as f64
    }

    pub(super) fn aged_backlog_ms(&self, now_ms: u64) -> u64 {
        self.backlog_ms.saturating_sub(now_ms.saturating_sub(self.backlog_at_ms))
    }

    /// How long it has been silent beyond what is usual, with something outstanding.
    pub(super) fn suspicious_ms(&self, now_ms: u64) -> u64 {
        if self.outstanding.is_empty() || self.silent_ms(now_ms) <= PATIENCE_MS {
            return 0;
        }
        let measured = self.measured_bytes_per_ms();
        let first_bytes = self.outstanding.first_key_value().map_or(0, |(_, bytes)| *bytes);
        let chunk_ms = measured.map_or(0.0, |rate| first_bytes as f64 / rate.max(0.1));
        self.silent_ms(now_ms)
            .saturating_sub(PATIENCE_MS + (self.rtt_ms() + chunk_ms.min(MAX_CHUNK_MS)) as u64)
    }

    /// How many leaves a chunk from here should have; a power of two.
    pub(super) fn chunk_leaves(&self, usual: f64, share: Share) -> u32 {
        if !self.is_rate_known() || self.is_snubbed() {
            return share.first_chunk_leaves;
        }
        let leaves = self.bytes_per_ms(usual) * CHUNK_MS / LEAF_BYTES as f64;
        1 << (leaves as u32).clamp(1, share.chunk_leaves).ilog2()
    }

    /// How many bytes may be outstanding: what the link carries in a round trip and `ahead_ms`, at least `floor_bytes` and two chunks.
    pub(super) fn depth_bytes(&self, ahead_ms: f64, floor_bytes: u64, usual: f64, share: Share) -> u64 {
        if !self.is_rate_known() && !share.is_whole {
            return if self.is_proven() { PROVEN_DEPTH_BYTES } else { UNPROVEN_DEPTH_BYTES };
        }
        let two_chunks = 2 * u64::from(self.chunk_leaves(usual, share)) * LEAF_BYTES;
        let rate = self.bytes_per_ms(usual);
        let floor_bytes = if self.goodput.is_measured() {
            floor_bytes.min((rate * MAX_FLOOR_MS) as u64)
        } else {
            FIRST_DEPTH_BYTES
        };
        // On a long path the rate is found by asking for more: what was not asked for does not come. A young connection carries twice as
        // much with each round trip, and what was measured of it lags behind.
        let growth = if self.received_bytes < YOUNG_BYTES { 2.0 } else { 0.5 };
        let carried = rate * (self.rtt_ms() + ahead_ms.max(self.rtt_ms() * growth));
        (carried as u64).max(floor_bytes).max(two_chunks).min(share.depth_bytes)
    }

    pub(super) fn snapshot(&self, source: SourceId, now_ms: u64) -> SourceSnapshot {
        SourceSnapshot {
            source,
            traits: self.traits,
            rate_bps: self.meter.bps(now_ms),
            goodput_bps: self.goodput.bps().unwrap_or(0),
            received_bytes: self.received_bytes,
            in_flight: self.outstanding.len() as u32,
            in_flight_bytes: self.outstanding_bytes,
            leaves: self.have.count(),
            snubbed: self.is_snubbed(),
        }
    }

    /// Since when it has delivered nothing, or nothing was asked of it.
    pub(super) fn silent_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.heard_ms)
    }
}

/// Whether what is estimated to take `ms` is there in time also if that errs.
pub(super) fn is_in_time(ms: f64, slack_ms: i64) -> bool {
    SLOW_FACTOR * ms + SLOW_MARGIN_MS <= slack_ms as f64
}
