//! Jittered exponential back-off: pure, seeded, used by everything that tries again.
//!
//! Invariant: a delay lies between half of its nominal value and the whole of it, so that nodes which lost the same neighbour at the
//! same moment do not come back at the same moment.

/// Doubles from a first delay up to a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The nominal delay after the first failure.
    pub first_ms: u64,
    /// The longest nominal delay.
    pub cap_ms: u64,
}

impl Backoff {
    /// The delay after `failures` failures in a row; none waits less than one failure.
    pub fn delay_ms(self, failures: u32, random: &mut Random) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        let nominal_ms = self.first_ms.saturating_mul(1 << doublings).min(self.cap_ms);
        nominal_ms - random.below(nominal_ms / 2 + 1)
    }
}

/// A small seeded generator (splitmix64) for jitter; not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `bound`; 0 for a bound of 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        if bound == 0 { 0 } else { mixed % bound }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { first_ms: 400, cap_ms: 4_000 };

    #[test]
    fn delays_double_up_to_the_cap_within_half_of_their_nominal_value() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            for (failures, nominal_ms) in
                [(0, 400), (1, 400), (2, 800), (3, 1_600), (4, 3_200), (5, 4_000), (99, 4_000)]
            {
                let delay_ms = BACKOFF.delay_ms(failures, &mut random);
                assert!((nominal_ms / 2..=nominal_ms).contains(&delay_ms), "{failures}: {delay_ms}");
            }
        }
    }

    #[test]
    fn nodes_with_different_seeds_do_not_come_back_together() {
        let delays: std::collections::BTreeSet<u64> =
            (0..50).map(|seed| BACKOFF.delay_ms(5, &mut Random::new(seed))).collect();
        assert!(delays.len() > 40, "{delays:?}");
    }
}
