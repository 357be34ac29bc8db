//! The round trip of a link's path, without the queues before it.
//!
//! Whoever sends as much as its uplink carries has a queue there, and its pings wait in it: what is above the least of the latest samples
//! says how full queues were, not how long the path is (LEDBAT's base delay, RFC 6817, section 2.4.2; BBR's minimum). A sender that took
//! it for the path would put more on its way, and wait longer. Pure.

use std::collections::VecDeque;

/// Samples that count, about five minutes of them, as for the least round trip in Linux.
const SAMPLES: usize = 20;

/// The latest samples of one link.
#[derive(Debug, Default)]
pub struct RoundTrip {
    samples_us: VecDeque<u32>,
}

impl RoundTrip {
    /// A ping was answered after `sample_us`. Returns the round trip, in microseconds.
    pub fn sampled(&mut self, sample_us: u64) -> u32 {
        if self.samples_us.len() == SAMPLES {
            self.samples_us.pop_front();
        }
        self.samples_us.push_back(sample_us.clamp(1, u64::from(u32::MAX)) as u32);
        self.least_us()
    }

    /// In microseconds, or 0 while unknown.
    pub(super) fn least_us(&self) -> u32 {
        self.samples_us.iter().min().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_do_not_count_and_a_longer_path_does_after_a_while() {
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.least_us(), 0);
        assert_eq!(round_trip.sampled(300_000), 300_000);
        assert_eq!(round_trip.sampled(20_000), 20_000);
        assert_eq!(round_trip.sampled(250_000), 20_000);
        for _ in 0..SAMPLES {
            round_trip.sampled(90_000);
        }
        assert_eq!(round_trip.least_us(), 90_000);
    }
}
