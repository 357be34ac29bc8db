//! When a state machine wants to be woken, and why; so that "why did it wake?" has an answer in the console.

/// A point in time with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// Microseconds on the tracker's monotonic clock.
    pub at_us: u64,
    /// What is due then.
    pub reason: &'static str,
}

impl Deadline {
    /// `reason` is due at `at_us`.
    pub const fn new(at_us: u64, reason: &'static str) -> Self {
        Self { at_us, reason }
    }

    /// The same in milliseconds.
    pub const fn at_ms(at_ms: u64, reason: &'static str) -> Self {
        Self::new(at_ms * 1_000, reason)
    }
}
