//! What time it is: for the outside world, and in the media.
//!
//! The sound thread publishes an [`Anchor`] per chunk: this moment of the media is heard at that instant, and what is
//! known to follow lasts this long. Everybody else extrapolates from the latest one.
//!
//! Invariants: the position never runs past what was rendered, never falls behind where its stretch of playing began,
//! and an anchor of an older epoch never replaces one of a newer.

use std::{
    sync::{
        Arc, Mutex, PoisonError, TryLockError,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

/// Microseconds since the player was opened, real or virtual.
#[derive(Debug, Clone)]
pub(crate) enum TimeSource {
    Real(Instant),
    Virtual(Arc<AtomicI64>),
}

impl TimeSource {
    pub(crate) fn real() -> Self {
        Self::Real(Instant::now())
    }

    pub(crate) fn stepped() -> Self {
        Self::Virtual(Arc::new(AtomicI64::new(0)))
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(_))
    }

    pub(crate) fn now_us(&self) -> i64 {
        match self {
            Self::Real(origin) => origin.elapsed().as_micros() as i64,
            Self::Virtual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Moves virtual time; real time moves by itself.
    pub(crate) fn advance_us(&self, by_us: i64) {
        if let Self::Virtual(now) = self {
            now.fetch_add(by_us, Ordering::SeqCst);
        }
    }
}

/// One statement of the sound thread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Anchor {
    /// Which seek this belongs to.
    pub(crate) epoch: u32,
    /// This moment of the media ...
    pub(crate) pts_us: i64,
    /// ... is heard at this instant.
    pub(crate) at_us: i64,
    /// Media time per real time.
    pub(crate) speed: f64,
    /// Media time known to follow; none when paused.
    pub(crate) limit_us: i64,
    /// Where the present stretch of playing began.
    pub(crate) floor_us: i64,
}

impl Anchor {
    /// A clock that stands at `pts_us`.
    pub(crate) fn standing(epoch: u32, pts_us: i64) -> Self {
        Self { epoch, pts_us, at_us: 0, speed: 1.0, limit_us: 0, floor_us: pts_us }
    }

    pub(crate) fn position_us(&self, now_us: i64) -> i64 {
        let ran_us = ((now_us - self.at_us) as f64 * self.speed) as i64;
        (self.pts_us + ran_us.min(self.limit_us)).max(self.floor_us)
    }
}

/// The latest anchor, shared between the sound thread and everybody else.
#[derive(Debug)]
pub(crate) struct MediaClock(Mutex<Anchor>);

impl MediaClock {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Anchor::standing(0, 0)))
    }

    /// From the sound thread: never blocks; in the rare case that a reader holds the lock, the next chunk corrects it.
    pub(crate) fn publish(&self, anchor: Anchor) {
        let mut latest = match self.0.try_lock() {
            Ok(latest) => latest,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if !is_older(anchor.epoch, latest.epoch) {
            *latest = anchor;
        }
    }

    /// From the player: stand at `pts_us` from now on, for a new epoch.
    pub(crate) fn stand(&self, epoch: u32, pts_us: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Anchor::standing(epoch, pts_us);
    }

    pub(crate) fn position_us(&self, now_us: i64) -> i64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).position_us(now_us)
    }
}

/// Whether epoch `a` came before `b`, across wrap-around.
fn is_older(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < u32::MAX / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYING: Anchor = Anchor {
        epoch: 1,
        pts_us: 1_000_000,
        at_us: 500_000,
        speed: 1.0,
        limit_us: 10_000,
        floor_us: 980_000,
    };

    #[test]
    fn the_position_runs_with_time_up_to_what_was_rendered() {
        assert_eq!(PLAYING.position_us(500_000), 1_000_000);
        assert_eq!(PLAYING.position_us(504_000), 1_004_000);
        assert_eq!(PLAYING.position_us(900_000), 1_010_000);
    }

    #[test]
    fn before_a_chunk_is_heard_the_previous_one_is_but_never_before_the_start() {
        assert_eq!(PLAYING.position_us(490_000), 990_000);
        assert_eq!(PLAYING.position_us(400_000), 980_000);
    }

    #[test]
    fn double_speed_covers_twice_the_media() {
        let fast = Anchor { speed: 2.0, limit_us: 20_000, ..PLAYING };
        assert_eq!(fast.position_us(505_000), 1_010_000);
    }

    #[test]
    fn an_anchor_from_before_a_seek_is_ignored() {
        let clock = MediaClock::new();
        clock.stand(2, 7_000_000);
        clock.publish(PLAYING);
        assert_eq!(clock.position_us(505_000), 7_000_000);
        clock.publish(Anchor { epoch: 2, ..PLAYING });
        assert_eq!(clock.position_us(505_000), 1_005_000);
    }

    #[test]
    fn epochs_compare_across_the_wrap() {
        assert!(is_older(1, 2) && !is_older(2, 1) && !is_older(3, 3));
        assert!(is_older(u32::MAX, 0));
    }
}
