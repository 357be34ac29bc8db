//! How fast a link is while it is busy, from when bytes arrived.
//!
//! Only the time between arrivals with more still outstanding counts, so an idle link does not look slow and a round trip does not look
//! like transfer time. Millisecond clocks are too coarse for one chunk on a fast link: bytes gather until enough time has passed.

/// Busy time that is folded into the estimate at once.
const FOLD_MS: u64 = 20;
/// How fast older samples fade.
const FADE_MS: f64 = 1_500.0;
/// Samples until the estimate is trusted to fade slowly.
const YOUNG_FOLDS: u32 = 4;

/// Estimates goodput of one link from arrivals.
#[derive(Debug, Clone, Default)]
pub struct Goodput {
    bytes_per_ms: Option<f64>,
    folds: u32,
    asked_ms: u64,
    /// Since when the bytes of the running busy period count; none before its first arrival.
    mark_ms: Option<u64>,
    pending_bytes: u64,
    pending_ms: u64,
}

impl Goodput {
    /// Something is outstanding from now on, after nothing was.
    pub fn busy(&mut self, now_ms: u64) {
        self.asked_ms = now_ms;
        self.mark_ms = None;
    }

    /// Payload has arrived; `more` says whether something is still outstanding.
    pub fn arrived(&mut self, now_ms: u64, bytes: u64, more: bool) {
        match self.mark_ms {
            Some(mark_ms) => {
                self.pending_bytes += bytes;
                self.pending_ms += now_ms.saturating_sub(mark_ms);
                if self.pending_ms >= FOLD_MS {
                    self.fold();
                }
            }
            None => {
                // The first arrival of a busy period carries the round trip: a lower bound, used only while nothing better is known.
                let took_ms = now_ms.saturating_sub(self.asked_ms).max(1);
                if self.folds == 0 {
                    let bound = bytes as f64 / took_ms as f64;
                    self.bytes_per_ms = Some(self.bytes_per_ms.map_or(bound, |known| known.max(bound)));
                }
            }
        }
        self.mark_ms = more.then_some(now_ms);
    }

    /// Bits per second while busy; none before anything arrived.
    pub fn bps(&self) -> Option<u64> {
        self.bytes_per_ms.map(|rate| (rate * 8_000.0) as u64)
    }

    /// Bytes per millisecond while busy.
    pub fn bytes_per_ms(&self) -> Option<f64> {
        self.bytes_per_ms
    }

    /// Whether the estimate rests on transfer time rather than on a first round trip.
    pub fn is_measured(&self) -> bool {
        self.folds > 0
    }

    fn fold(&mut self) {
        let sample = self.pending_bytes as f64 / self.pending_ms as f64;
        let faded = 1.0 - (-(self.pending_ms as f64) / FADE_MS).exp();
        let weight = if self.folds < YOUNG_FOLDS { faded.max(0.5) } else { faded };
        self.bytes_per_ms = Some(match self.bytes_per_ms {
            Some(known) if self.folds > 0 => known + weight * (sample - known),
            Some(_) | None => sample,
        });
        self.folds = self.folds.saturating_add(1);
        (self.pending_bytes, self.pending_ms) = (0, 0);
    }
}

/// What passed in the last two seconds, for people: bytes per second over a sliding window of buckets.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    buckets: [u64; METER_BUCKETS],
    newest: u64,
}

const METER_BUCKETS: usize = 8;
const METER_BUCKET_MS: u64 = 250;

impl Meter {
    /// Counts bytes that passed now.
    pub fn count(&mut self, now_ms: u64, bytes: u64) {
        self.advance(now_ms);
        self.buckets[(self.newest % METER_BUCKETS as u64) as usize] += bytes;
    }

    /// Bits per second over the window that ends now.
    pub fn bps(&self, now_ms: u64) -> u64 {
        let mut current = self.clone();
        current.advance(now_ms);
        current.buckets.iter().sum::<u64>() * 8_000 / (METER_BUCKETS as u64 * METER_BUCKET_MS)
    }

    fn advance(&mut self, now_ms: u64) {
        let bucket = now_ms / METER_BUCKET_MS;
        let fresh = bucket.saturating_sub(self.newest).min(METER_BUCKETS as u64);
        for step in 1..=fresh {
            self.buckets[((bucket - fresh + step) % METER_BUCKETS as u64) as usize] = 0;
        }
        self.newest = self.newest.max(bucket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_link_is_measured_without_its_round_trip() {
        let mut goodput = Goodput::default();
        goodput.busy(0);
        // 100 ms of round trip, then 16 KiB each 16 ms: 1024 bytes a millisecond.
        for n in 0..50 {
            goodput.arrived(100 + n * 16, 16 * 1024, n < 49);
        }
        let bps = goodput.bps().unwrap();
        assert!((8_000_000..8_400_000).contains(&bps), "{bps}");
    }

    #[test]
    fn idle_time_does_not_make_a_link_slow() {
        let mut goodput = Goodput::default();
        for burst in 0..20 {
            let start = burst * 10_000;
            goodput.busy(start);
            (0..10).for_each(|n| goodput.arrived(start + 5 + n * 10, 10_000, n < 9));
        }
        assert_eq!(goodput.bps(), Some(8_000_000));
    }

    #[test]
    fn arrivals_within_one_millisecond_are_not_an_infinite_rate() {
        let mut goodput = Goodput::default();
        goodput.busy(0);
        (0..400).for_each(|n| goodput.arrived(1 + n / 4, 1 << 20, true));
        let bps = goodput.bps().unwrap();
        assert!((30_000_000_000..40_000_000_000).contains(&bps), "{bps}");
    }

    #[test]
    fn the_meter_shows_the_last_two_seconds() {
        let mut meter = Meter::default();
        (0..40).for_each(|n| meter.count(1_000_000 + n * 100, 12_500));
        let bps = meter.bps(1_003_900);
        assert!((900_000..=1_000_000).contains(&bps), "{bps}");
        assert_eq!(meter.bps(1_010_000), 0);
    }
}
