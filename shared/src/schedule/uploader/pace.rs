//! How much may be unsent at once, and how much may be sent at all.

use crate::limits::{LEAF_BYTES, MAX_PAYLOAD_BYTES};

/// Unsent bytes are worth this much of the uplink's time.
const WINDOW_MS: u64 = 100;
/// Two leaves: what a slow uplink has unsent at most, and where every window starts.
const MIN_WINDOW_BYTES: u64 = 2 * LEAF_BYTES;
/// Enough to keep a fast network busy while the disk is read.
const MAX_WINDOW_BYTES: u64 = 4 * MAX_PAYLOAD_BYTES as u64;
/// What an uplink is taken to carry before it was measured, 2 Mbit/s: to say that nothing waits would draw a crowd.
const UNMEASURED_BYTES_PER_MS: f64 = 250.0;
/// Drained bytes are turned into a rate after this much time.
const SAMPLE_MS: u64 = 20;
/// How long a link may drain nothing, at the least and at the most.
const STUCK_MS: u64 = 500;
const LONGEST_STUCK_MS: u64 = 3_000;

/// The send window: what the uplink drains in [`WINDOW_MS`].
#[derive(Debug, Default)]
pub(super) struct SendWindow {
    bytes_per_ms: Option<f64>,
    since_ms: u64,
    sample_bytes: u64,
}

impl SendWindow {
    pub(super) fn bytes(&self) -> u64 {
        let Some(rate) = self.bytes_per_ms else { return MIN_WINDOW_BYTES };
        ((rate * WINDOW_MS as f64) as u64).clamp(MIN_WINDOW_BYTES, MAX_WINDOW_BYTES)
    }

    /// Something is unsent from now on, after nothing was: time before this is no sign of slowness.
    pub(super) fn busy(&mut self, now_ms: u64) {
        (self.since_ms, self.sample_bytes) = (now_ms, 0);
    }

    /// Sockets took `bytes`. A window that drains within one sample grows, because the uplink was never the limit.
    pub(super) fn drained(&mut self, now_ms: u64, bytes: u64) {
        self.sample_bytes += bytes;
        let took_ms = now_ms.saturating_sub(self.since_ms);
        if took_ms < SAMPLE_MS && self.sample_bytes < self.bytes() * 2 {
            return;
        }
        let sample = self.sample_bytes as f64 / took_ms.max(1) as f64;
        self.bytes_per_ms = Some(self.bytes_per_ms.map_or(sample, |rate| rate + (sample - rate) / 4.0));
        (self.since_ms, self.sample_bytes) = (now_ms, 0);
    }

    /// A link that has drained nothing for this long is passed over and no longer counted against the window: several times what the
    /// uplink needs for all that may be unsent, since a slow one is not stuck.
    pub(super) fn patience_ms(&self) -> u64 {
        STUCK_MS.max(2 * u64::from(self.time_for_ms(self.bytes()))).min(LONGEST_STUCK_MS)
    }

    pub(super) fn uplink_bps(&self) -> u64 {
        self.bytes_per_ms.map_or(0, |rate| (rate * 8_000.0) as u64)
    }

    pub(super) fn time_for_ms(&self, bytes: u64) -> u32 {
        let rate = self.bytes_per_ms.unwrap_or(UNMEASURED_BYTES_PER_MS);
        (bytes as f64 / rate.max(0.001)).min(60_000.0) as u32
    }
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
        self.tokens_bytes = (self.tokens_bytes + refill).min(rate * WINDOW_MS as f64);
        self.filled_ms = now_ms;
        self.tokens_bytes >= 0.0
    }

    pub(super) fn give_back(&mut self, bytes: u64) {
        if self.limit_bps > 0 {
            self.tokens_bytes += bytes as f64;
        }
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
