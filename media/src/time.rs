//! Media time: container ticks to microseconds, and timestamps that jump made continuous.
//!
//! Pure. Everything inside the crate counts microseconds from the start of the file; milliseconds are for callers.

use ffmpeg_next::Rational;

/// A jump larger than this between neighbouring packets is a discontinuity, not a gap.
const MAX_GAP_US: i64 = 10_000_000;

/// What the tracks of one file have in common in time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLine {
    /// What the container calls time zero.
    pub(crate) base_us: i64,
    /// Later than this nothing can be: a timestamp that says so is damaged.
    pub(crate) latest_us: i64,
}

impl TimeLine {
    pub(crate) fn new(base_us: i64, duration_us: Option<i64>) -> Self {
        let latest_us = duration_us.map_or(i64::MAX, |duration_us| duration_us.saturating_add(MAX_GAP_US));
        Self { base_us, latest_us }
    }

    /// A container's timestamp as time from the start of the file, if it can be true.
    pub(crate) fn place(&self, ticks: i64, time_base: Rational) -> Option<i64> {
        let at_us = ticks_to_us(ticks, time_base) - self.base_us;
        (at_us <= self.latest_us).then_some(at_us)
    }
}

/// Rescales `ticks` of `time_base` seconds to microseconds, rounding to nearest and saturating.
pub(crate) fn ticks_to_us(ticks: i64, time_base: Rational) -> i64 {
    let (num, den) = (i128::from(time_base.numerator()), i128::from(time_base.denominator()));
    if den <= 0 || num <= 0 {
        return 0;
    }
    let scaled = i128::from(ticks) * num * 1_000_000;
    let half = if scaled >= 0 { den / 2 } else { -den / 2 };
    ((scaled + half) / den).clamp(i128::from(i64::MIN / 4), i128::from(i64::MAX / 4)) as i64
}

/// Microseconds to whole milliseconds, never negative.
pub(crate) fn us_to_ms(us: i64) -> u64 {
    (us.max(0) / 1000) as u64
}

/// Makes broadcast timestamps, which may jump, continuous.
///
/// One per file, fed every packet's decode time in reading order; [`Self::reset`] after a seek.
#[derive(Debug, Default)]
pub(crate) struct Unwrapper {
    offset_us: i64,
    last_us: Option<i64>,
}

impl Unwrapper {
    /// The offset to add to this packet's timestamps.
    pub(crate) fn offset_for(&mut self, dts_us: i64) -> i64 {
        let mut here = dts_us + self.offset_us;
        if let Some(last) = self.last_us
            && (here - last).abs() > MAX_GAP_US
        {
            self.offset_us += last - here;
            here = last;
        }
        self.last_us = Some(self.last_us.map_or(here, |last| last.max(here)));
        self.offset_us
    }

    /// After a seek any time may follow.
    pub(crate) fn reset(&mut self) {
        self.last_us = None;
        self.offset_us = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_round_to_the_nearest_microsecond() {
        assert_eq!(ticks_to_us(1, Rational(1, 30)), 33_333);
        assert_eq!(ticks_to_us(2, Rational(1, 30)), 66_667);
        assert_eq!(ticks_to_us(-1, Rational(1, 30)), -33_333);
        assert_eq!(ticks_to_us(i64::MAX, Rational(1, 1)), i64::MAX / 4);
        assert_eq!(ticks_to_us(5, Rational(0, 0)), 0);
    }

    #[test]
    fn a_time_far_behind_the_end_of_the_file_is_not_believed() {
        let line = TimeLine::new(1_400_000, Some(4_000_000));
        assert_eq!(line.place(2, Rational(1, 1)), Some(600_000));
        assert_eq!(line.place(95_000, Rational(1, 1)), None);
        assert!(TimeLine::new(0, None).place(95_000, Rational(1, 1)).is_some());
    }

    #[test]
    fn a_timestamp_jump_continues_where_the_stream_was() {
        let mut unwrapper = Unwrapper::default();
        assert_eq!(unwrapper.offset_for(0), 0);
        assert_eq!(unwrapper.offset_for(40_000), 0);
        let offset = unwrapper.offset_for(95_000_000_000);
        assert_eq!(95_000_000_000 + offset, 40_000);
        assert_eq!(unwrapper.offset_for(95_000_040_000), offset);
    }

    #[test]
    fn ordinary_gaps_and_reordering_are_left_alone() {
        let mut unwrapper = Unwrapper::default();
        for dts in [0, 200_000, 120_000, 5_000_000, 4_500_000] {
            assert_eq!(unwrapper.offset_for(dts), 0);
        }
    }

    #[test]
    fn a_seek_may_land_anywhere() {
        let mut unwrapper = Unwrapper::default();
        assert_eq!(unwrapper.offset_for(0), 0);
        unwrapper.reset();
        assert_eq!(unwrapper.offset_for(3_600_000_000), 0);
    }
}
