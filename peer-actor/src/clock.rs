//! The only reader of system time in this crate. Pure states are given milliseconds since the node started.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

static START: OnceLock<Instant> = OnceLock::new();

/// Monotonic milliseconds since the process first asked.
pub fn now_ms() -> u64 {
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}

/// Monotonic microseconds since the process first asked.
pub fn now_us() -> u64 {
    START.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// How long until a deadline in [`now_ms`] time; zero when it has passed.
pub fn until_ms(deadline_ms: u64) -> Duration {
    Duration::from_millis(deadline_ms.saturating_sub(now_ms()))
}
