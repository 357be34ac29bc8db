//! Makes decoded sound gapless on the media's time line.
//!
//! Pure. What the device plays is a count of samples, what the container says is a time: a gap between them is filled
//! with silence, an overlap cut away, and the small difference that rounding leaves is absorbed slowly.

/// Smaller differences are rounding, not gaps.
const TOLERANCE_US: i64 = 40_000;
/// At the start of an epoch the first sample is placed this exactly.
const START_TOLERANCE_US: i64 = 500;
/// A longer gap is a broken time line and is jumped.
const MAX_SILENCE_US: i64 = 30_000_000;

/// What to do with a stretch of decoded sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Frames of silence to play first.
    pub(crate) silence: usize,
    /// Frames to cut from its beginning.
    pub(crate) skip: usize,
    /// Media time of the first frame played, silence included.
    pub(crate) pts_us: i64,
}

#[derive(Debug)]
pub(crate) struct Continuity {
    expected_us: f64,
    at_start: bool,
    us_per_frame: f64,
}

impl Continuity {
    /// A time line that begins at `start_us`, played at `rate_hz` output frames per second.
    pub(crate) fn new(start_us: i64, rate_hz: u32) -> Self {
        let us_per_frame = 1e6 / f64::from(rate_hz.max(1));
        Self { expected_us: start_us as f64, at_start: true, us_per_frame }
    }

    /// Places `frames` output frames that the container puts at `pts_us`.
    pub(crate) fn place(&mut self, pts_us: Option<i64>, frames: usize) -> Placement {
        let ahead_us = pts_us.map_or(0.0, |pts_us| pts_us as f64 - self.expected_us);
        let tolerance_us = if self.at_start { START_TOLERANCE_US } else { TOLERANCE_US } as f64;
        let mut placement = Placement { silence: 0, skip: 0, pts_us: 0 };
        if ahead_us > MAX_SILENCE_US as f64 {
            self.expected_us += ahead_us;
        } else if ahead_us > tolerance_us {
            placement.silence = (ahead_us / self.us_per_frame).round() as usize;
        } else if ahead_us < -tolerance_us {
            placement.skip = ((-ahead_us / self.us_per_frame).round() as usize).min(frames);
        } else {
            self.expected_us += ahead_us / 16.0;
        }
        let played = placement.silence + frames - placement.skip;
        placement.pts_us = self.expected_us.round() as i64;
        self.expected_us += played as f64 * self.us_per_frame;
        self.at_start &= played == 0;
        placement
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 48_000;

    #[test]
    fn sound_before_the_target_of_a_seek_is_cut_to_the_sample() {
        let mut line = Continuity::new(1_000_000, RATE);
        let early = line.place(Some(960_000), 1024);
        assert_eq!(early, Placement { silence: 0, skip: 1024, pts_us: 1_000_000 });
        let across = line.place(Some(981_333), 1024);
        assert_eq!(across, Placement { silence: 0, skip: 896, pts_us: 1_000_000 });
        assert_eq!(line.place(Some(1_002_667), 1024).skip, 0);
    }

    #[test]
    fn sound_that_starts_late_is_preceded_by_silence() {
        let mut line = Continuity::new(0, RATE);
        assert_eq!(line.place(Some(500_000), 1024), Placement { silence: 24_000, skip: 0, pts_us: 0 });
    }

    #[test]
    fn rounding_in_the_container_neither_cuts_nor_fills() {
        let mut line = Continuity::new(0, RATE);
        for packet in 0..1000_i64 {
            let rounded_to_ms = (packet * 1024 * 1000 + 24_000) / 48_000 * 1000;
            let placed = line.place(Some(rounded_to_ms), 1024);
            assert_eq!((placed.silence, placed.skip), (0, 0));
            assert!((placed.pts_us - packet * 1024 * 1_000_000 / 48_000).abs() < 1_500);
        }
    }

    #[test]
    fn a_broken_time_line_is_jumped_not_slept_through() {
        let mut line = Continuity::new(0, RATE);
        line.place(Some(0), 1024);
        let placed = line.place(Some(3_600_000_000), 1024);
        assert_eq!((placed.silence, placed.pts_us), (0, 3_600_000_000));
    }

    proptest! {
        #[test]
        fn played_frames_are_never_more_than_given_plus_silence(
            steps in proptest::collection::vec((proptest::option::of(-5_000_000..50_000_000_i64), 0..5000_usize), 1..50),
        ) {
            let mut line = Continuity::new(0, RATE);
            let mut last_us = -1_000_000;
            for (pts_us, frames) in steps {
                let placed = line.place(pts_us, frames);
                prop_assert!(placed.skip <= frames);
                prop_assert!(placed.pts_us >= last_us - 3_000);
                last_us = placed.pts_us;
            }
        }
    }
}
