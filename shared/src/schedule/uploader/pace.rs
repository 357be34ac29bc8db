//! How much may be on its way at once, how fast that turns out to arrive, and how much may be sent at all.

use crate::limits::{LEAF_BYTES, MAX_PAYLOAD_BYTES};

/// Beyond round trips, what is on its way is worth this much time: receivers and this node take a while to get round to it.
const WINDOW_MS: u64 = 50;
/// Two leaves: one arrives while the next is sent. A slow uplink has no more on its way. The last chunk may be over the window.
const MIN_WINDOW_BYTES: u64 = 2 * LEAF_BYTES;
/// Arrivals are told by the chunk: half of one has arrived at any time and is not known to have.
const TOLD_BYTES: u64 = LEAF_BYTES / 2;
/// On a slow uplink that is told late besides: a viewer's words wait for what it uploads itself, for about a leaf of such a link.
const WORDS_MS: f64 = 60.0;
/// What a path is tried with over its round trip before anything is measured, 8 Mbit/s: on a long one a start must not wait for the first
/// arrival to be told.
const TRIED_BYTES_PER_MS: u64 = 1_000;
/// Enough to keep a fast network busy over a long path.
const MAX_WINDOW_BYTES: u64 = 8 * MAX_PAYLOAD_BYTES as u64;
/// What an uplink is taken to carry before it was measured, 2 Mbit/s: to say that nothing waits would draw a crowd.
const UNMEASURED_BYTES_PER_MS: f64 = 250.0;
/// How long a viewer's uplink is taken to need for a chunk when it passes on its first, about a tenth of a second of media: what a crowd asks
/// of it would fill a slow one's queue for a fifth of a second and more, and be lost in part, while who shares a file serves a path as wide as
/// it may be. Of the slowest media that is 0.5 Mbit/s.
const GUESSED_CHUNK_MS: f64 = 262.0;
/// Arrivals are turned into a sample after this much time, so that a late word of one and an early one of the next make no rate.
const FOLD_MS: u64 = 50;
/// How fast older samples fade.
const FADE_MS: f64 = 1_500.0;
/// How long nothing of a link may arrive, at the least and at the most.
const STUCK_MS: u64 = 500;
const LONGEST_STUCK_MS: u64 = 3_000;
/// An uplink that will have nothing left within this is about to idle. What is on its way then, beyond the window, is bounded: a rate may
/// turn out to be less.
const AHEAD_MS: f64 = 80.0;
pub(super) const UNHEARD_BYTES: u64 = 2 * LEAF_BYTES;
/// How long a quick word is remembered, twice that at the most.
const REMEMBERED_MS: u64 = 30_000;
/// A chunk begins to leave when what is before it has so little left: a clock ticks in milliseconds, and estimates are only that.
const LEAD_MS: f64 = 15.0;
/// It leaves so much faster than the uplink is thought to be, which may turn out to carry more.
const PACED_GAIN: f64 = 1.5;
/// What a seed sends is not paced before arrivals of this long have told a rate, nor is anything on an uplink of more than 40 Mbit/s: there
/// nothing waits for long.
const SETTLED_MS: f64 = 300.0;
const PACED_BYTES_PER_MS: f64 = 5_000.0;
/// No word is taken to be later.
const LATEST_MS: u64 = 2_000;
/// The burst an upload limit allows is worth this much time.
const BURST_MS: u64 = 100;

/// The rate of a way out, from what receivers say has arrived, and the window that follows from it.
///
/// Only arrivals say what a path carries: a kernel takes more than its link does. Time counts from one arrival to the next, of what had been
/// handed over by then, as a receiver's clock tells it ([`Words`]), and a time in which there was too little to send only ever raises the
/// rate. Old and new are averaged as bytes over time, not as rates, because a shaper lets a burst through at any speed.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Fading sums of what arrived and of the time it took.
    bytes: f64,
    ms: f64,
    /// What was found out before anything was sent: used while nothing is measured, and then worth as much as all that older samples
    /// ever are. The first samples alone are two times too high, or too low: a burst passes a shaper, words are late.
    probed: Option<f64>,
    /// What the first arrival tells, round trip and all: used while nothing better is known.
    bound: Option<f64>,
    /// The last arrival.
    mark_ms: Option<u64>,
    /// Whether the time up to the last arrival counts.
    is_busy: bool,
    /// When all that was handed over has left, as far as is known.
    clear_ms: f64,
    /// The last chunk handed over: when, and its bytes.
    last: (u64, u64),
    sample_bytes: u64,
    sample_ms: u64,
    had_room: bool,
    /// Whether it was asked for something that was here from the start: then it is no viewer that begins to pass things on.
    is_seed: bool,
}

impl Pace {
    /// How much may be on its way over round trips of `rtt_ms`: twice what they need, so that the path can turn out to carry more.
    pub(super) fn window_bytes(&self, rtt_ms: u64) -> u64 {
        let tried = if self.ms > 0.0 || !self.is_seed { 0 } else { 2 * rtt_ms * TRIED_BYTES_PER_MS };
        let least = tried.max(MIN_WINDOW_BYTES);
        let rate = self.bytes_per_ms().unwrap_or_default();
        let worth = rate * (WINDOW_MS + 2 * rtt_ms) as f64;
        let words = (rate * WORDS_MS).min(LEAF_BYTES as f64);
        ((worth + words) as u64 + TOLD_BYTES).clamp(least, MAX_WINDOW_BYTES)
    }

    /// Something is asked for that was here from the start.
    pub(super) const fn seeds(&mut self) {
        self.is_seed = true;
    }

    /// What the way out carries was found out otherwise, before anything is sent.
    pub(super) fn probed(&mut self, bps: u64) {
        self.probed = (bps > 0).then_some(bps as f64 / 8_000.0);
    }

    /// A chunk is given to a socket.
    pub(super) fn handed(&mut self, now_ms: u64, bytes: u64) {
        self.last = (now_ms, bytes);
        self.clear_ms = self.clear_ms.max(now_ms as f64) + bytes as f64 / self.guessed_bytes_per_ms(bytes);
    }

    /// When a chunk of `bytes` that is handed over now should leave, and how fast. What waits with the node is in nobody's way; what the kernel is
    /// given waits in one queue with all that is said on any link.
    pub(super) fn pacing(&self, now_ms: u64, bytes: u64) -> Option<Pacing> {
        let rate = self.guessed_bytes_per_ms(bytes);
        let is_paced = (self.ms >= SETTLED_MS || !self.is_seed) && rate <= PACED_BYTES_PER_MS;
        let left_ms = (self.clear_ms - now_ms as f64).max(0.0) / PACED_GAIN - LEAD_MS;
        let start_ms = now_ms + left_ms.max(0.0) as u64;
        is_paced.then(|| Pacing { start_ms, bytes_per_ms: (rate * PACED_GAIN).ceil() as u32 })
    }

    /// Whether nearly all that was handed over has left by what is known of the rate, whatever has been heard of it; `reading_bytes` are
    /// about to be handed over. Words may be late by more than a window, and an uplink is not to idle meanwhile.
    pub(super) fn is_about_to_idle(&self, now_ms: u64, reading_bytes: u64) -> bool {
        let Some(rate) = self.measured_bytes_per_ms() else { return false };
        self.clear_ms + reading_bytes as f64 / rate < now_ms as f64 + AHEAD_MS
    }

    /// When that will be so if nothing more is handed over.
    pub(super) fn about_to_idle_at_ms(&self) -> Option<u64> {
        self.measured_bytes_per_ms().map(|_| (self.clear_ms - AHEAD_MS).max(0.0) as u64 + 1)
    }

    /// There was too little to send.
    pub(super) const fn had_room(&mut self) {
        self.had_room = true;
    }

    /// Chunks have arrived; `left_bytes` of what was handed over have not. Only what was handed over before the last arrival tells a rate:
    /// else the uplink was idle in between.
    pub(super) fn arrived(&mut self, arrived: Arrived, left_bytes: u64) {
        let Arrived { bytes, at_ms, handed_ms } = arrived;
        if self.mark_ms.is_none_or(|mark_ms| at_ms > mark_ms) {
            self.is_busy = self.mark_ms.is_some_and(|mark_ms| handed_ms <= mark_ms);
        }
        if self.is_busy {
            // Of several links the one's word may overtake the other's, which then belongs to time that is counted, or is not, already.
            self.sample_bytes += bytes;
            self.sample_ms += at_ms.saturating_sub(self.mark_ms.unwrap_or(at_ms));
            if self.sample_ms >= FOLD_MS {
                self.fold();
            }
        } else if self.ms == 0.0 {
            let bound = bytes as f64 / at_ms.saturating_sub(handed_ms).max(1) as f64;
            self.bound = Some(self.bound.map_or(bound, |known| known.max(bound)));
        }
        self.mark_ms = self.mark_ms.max(Some(at_ms));
        let (last_ms, last_bytes) = self.last;
        let rate = self.guessed_bytes_per_ms(last_bytes);
        let clear_ms = |since_ms: u64, bytes: u64| since_ms as f64 + bytes as f64 / rate;
        self.clear_ms = clear_ms(at_ms, left_bytes).max(clear_ms(last_ms, last_bytes.min(left_bytes)));
    }

    fn fold(&mut self) {
        let (bytes, ms) = (self.sample_bytes as f64, self.sample_ms as f64);
        (self.sample_bytes, self.sample_ms) = (0, 0);
        let had_room = std::mem::take(&mut self.had_room);
        if had_room && self.bytes_per_ms().is_some_and(|known| bytes < known * ms) {
            return;
        }
        if self.ms == 0.0
            && let Some(probed) = self.probed
        {
            (self.bytes, self.ms) = (probed * FADE_MS, FADE_MS);
        }
        let faded = (-ms / FADE_MS).exp();
        self.bytes = self.bytes * faded + bytes;
        self.ms = self.ms * faded + ms;
    }

    /// How long nothing may arrive of a link with round trips of `rtt_ms` before it is passed over and no longer counted against the
    /// window: several times what the uplink needs for all that may be on its way, since a slow one is not stuck.
    pub(super) fn patience_ms(&self, rtt_ms: u64) -> u64 {
        let window_ms = u64::from(self.time_for_ms(self.window_bytes(rtt_ms)));
        STUCK_MS.max(2 * window_ms).min(LONGEST_STUCK_MS)
    }

    pub(super) fn bytes_per_ms(&self) -> Option<f64> {
        self.measured_bytes_per_ms().or(self.probed).or(self.bound)
    }

    /// The same by arrivals alone.
    pub(super) fn carried_bytes_per_ms(&self) -> Option<f64> {
        self.measured_bytes_per_ms().or(self.bound)
    }

    /// What is known, or guessed of an uplink that is asked for chunks of `bytes`.
    fn guessed_bytes_per_ms(&self, bytes: u64) -> f64 {
        self.bytes_per_ms().unwrap_or_else(|| bytes.max(LEAF_BYTES) as f64 / GUESSED_CHUNK_MS)
    }

    fn measured_bytes_per_ms(&self) -> Option<f64> {
        (self.ms > 0.0).then(|| (self.bytes / self.ms).max(0.001))
    }

    pub(super) fn time_for_ms(&self, bytes: u64) -> u32 {
        let rate = self.bytes_per_ms().unwrap_or(UNMEASURED_BYTES_PER_MS);
        (bytes as f64 / rate.max(0.001)).min(60_000.0) as u32
    }
}

/// When a chunk should leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// Not before this.
    pub start_ms: u64,
    /// And not faster than this.
    pub bytes_per_ms: u32,
}

/// What a viewer says of chunks that came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived {
    pub(super) bytes: u64,
    /// When it would have said so had its words not waited.
    pub(super) at_ms: u64,
    /// When the last of them was handed over.
    pub(super) handed_ms: u64,
}

/// How late a viewer's words are: by how much longer they take than the quickest of the last minute.
#[derive(Debug, Default)]
pub(super) struct Words {
    since_ms: u64,
    least: Option<u32>,
    before: Option<u32>,
}

impl Words {
    /// How late a word is that comes now and was said at `at_ms` by the viewer's clock. Clocks drift, so quick words are forgotten.
    pub(super) fn late_ms(&mut self, now_ms: u64, at_ms: u32) -> u64 {
        let took = (now_ms as u32).wrapping_sub(at_ms);
        if now_ms >= self.since_ms + REMEMBERED_MS {
            (self.before, self.since_ms) = (self.least.take(), now_ms);
        }
        let least = self.least.map_or(took, |known| sooner(took, known));
        self.least = Some(least);
        let least = self.before.map_or(least, |before| sooner(least, before));
        u64::from(took.wrapping_sub(least)).min(LATEST_MS)
    }
}

/// The lesser of two differences of clocks that wrap around (serial numbers, RFC 1982).
const fn sooner(one: u32, other: u32) -> u32 {
    if (one.wrapping_sub(other) as i32) < 0 { one } else { other }
}

/// A token bucket (RFC 2697 without colours): a tenth of a second of burst, but one chunk always fits.
#[derive(Debug)]
pub(super) struct UploadLimit {
    limit_bps: u64,
    tokens_bytes: f64,
    filled_ms: u64,
}

impl UploadLimit {
    pub(super) const fn new(limit_bps: u64) -> Self {
        Self { limit_bps, tokens_bytes: 0.0, filled_ms: 0 }
    }

    /// Takes bytes while the limit is open; the bucket may go below zero by one chunk, which is then waited for.
    pub(super) fn take(&mut self, now_ms: u64, bytes: u64) {
        if self.is_open(now_ms) && self.limit_bps > 0 {
            self.tokens_bytes -= bytes as f64;
        }
    }

    /// Whether the limit allows anything now.
    pub(super) fn is_open(&mut self, now_ms: u64) -> bool {
        if self.limit_bps == 0 {
            return true;
        }
        let rate = self.limit_bps as f64 / 8_000.0;
        let refill = now_ms.saturating_sub(self.filled_ms) as f64 * rate;
        self.tokens_bytes = (self.tokens_bytes + refill).min(rate * BURST_MS as f64);
        self.filled_ms = now_ms;
        self.tokens_bytes >= 0.0
    }

    /// Bytes that share the uplink have left beside it; they are waited for like its own.
    pub(super) fn charge(&mut self, bytes: u64) {
        if self.limit_bps > 0 {
            self.tokens_bytes -= bytes as f64;
        }
    }

    pub(super) fn give_back(&mut self, bytes: u64) {
        if self.limit_bps > 0 {
            self.tokens_bytes += bytes as f64;
        }
    }

    /// How long `bytes` take at the limit.
    pub(super) fn time_for_ms(&self, bytes: u64) -> u32 {
        (bytes * 8_000).checked_div(self.limit_bps).unwrap_or(0).min(60_000) as u32
    }

    /// What of a rate the limit allows.
    pub(super) fn at_most(&self, bps: u64) -> u64 {
        if self.limit_bps == 0 { bps } else { bps.min(self.limit_bps) }
    }

    /// When the bucket is no longer below zero; none when it is not.
    pub(super) fn free_at(&self, now_ms: u64) -> Option<u64> {
        if self.limit_bps == 0 || self.tokens_bytes >= 0.0 {
            return None;
        }
        let wait_ms = (-self.tokens_bytes * 8_000.0 / self.limit_bps as f64).ceil() as u64 + 1;
        Some((self.filled_ms + wait_ms).max(now_ms))
    }
}
