//! How fast one client may talk: a token bucket that answers "not before" instead of "no".
//!
//! A client that floods waits: its frames stay in its own socket, so it slows nobody but itself. Nothing here ends a session.

/// Frames a client may send in one burst; a full file list of 100,000 files is 1,563 deltas.
pub const BURST_FRAMES: u64 = 2_000;
/// Frames a second a client may send for long.
pub const FRAMES_PER_SECOND: u64 = 200;

const TOKEN_US: u64 = 1_000_000 / FRAMES_PER_SECOND;

/// A token bucket, kept as the instant at which it would be full again.
#[derive(Debug, Clone, Copy)]
pub struct FrameBudget {
    full_at_us: u64,
}

impl FrameBudget {
    /// A full bucket.
    pub const fn new(now_us: u64) -> Self {
        Self { full_at_us: now_us }
    }

    /// Takes one token. The answer is how long the reader must rest before it reads the next frame; 0 within the burst.
    pub fn take(&mut self, now_us: u64) -> u64 {
        self.full_at_us = self.full_at_us.max(now_us) + TOKEN_US;
        self.full_at_us.saturating_sub(now_us + BURST_FRAMES * TOKEN_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_without_rest() {
        let mut budget = FrameBudget::new(7);
        assert!((0..BURST_FRAMES).all(|_| budget.take(7) == 0));
        assert!(budget.take(7) > 0);
    }

    #[test]
    fn a_flood_is_held_to_the_steady_rate() {
        let mut budget = FrameBudget::new(0);
        let (mut now_us, frames) = (0, BURST_FRAMES + 10 * FRAMES_PER_SECOND);
        for _ in 0..frames {
            now_us += budget.take(now_us);
        }
        assert!((9_900_000..=10_100_000).contains(&now_us), "{now_us}");
    }

    #[test]
    fn a_rested_client_has_its_burst_again() {
        let mut budget = FrameBudget::new(0);
        for _ in 0..BURST_FRAMES {
            budget.take(0);
        }
        assert_eq!(budget.take(BURST_FRAMES * TOKEN_US), 0);
    }
}
