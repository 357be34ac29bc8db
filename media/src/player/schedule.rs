//! Which frame to show when: the decision, without the doing.
//!
//! Pure. Audio is the master; a frame is shown when the clock reaches it. A little lateness is caught up by showing
//! frames in quick succession; only real lateness drops one, and only when its successor is there and due as well.

/// Lateness up to this is caught up, not dropped.
const MAX_CATCH_UP_US: i64 = 120_000;
/// A frame this close is shown now: sleeping for less costs more than it gains.
const EARLY_US: i64 = 500;

/// What to do with the frame at the head of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not before this much media time has passed.
    Wait(i64),
    Show,
    Drop,
}

/// Judges the head of the queue against the clock; `next_us` is the frame after it, if it is there.
pub(crate) fn judge(position_us: i64, head_us: i64, next_us: Option<i64>) -> Verdict {
    let late_us = position_us - head_us;
    if late_us < -EARLY_US {
        return Verdict::Wait(-late_us);
    }
    match next_us {
        Some(next_us) if late_us > MAX_CATCH_UP_US && next_us <= position_us => Verdict::Drop,
        _ => Verdict::Show,
    }
}

/// Decides when decoding is so far behind that quality must give: decode only what others refer to.
#[derive(Debug, Default)]
pub(crate) struct Economy {
    late_in_a_row: u32,
    on_time_in_a_row: u32,
    on: bool,
}

impl Economy {
    const LATE_TO_ENTER: u32 = 8;
    const ON_TIME_TO_LEAVE: u32 = 90;

    /// Notes one decoded frame; `true` while economy is on.
    pub(crate) fn note(&mut self, late: bool) -> bool {
        if late {
            self.late_in_a_row += 1;
            self.on_time_in_a_row = 0;
            self.on |= self.late_in_a_row >= Self::LATE_TO_ENTER;
        } else {
            self.on_time_in_a_row += 1;
            self.late_in_a_row = 0;
            self.on &= self.on_time_in_a_row < Self::ON_TIME_TO_LEAVE;
        }
        self.on
    }
}

/// Decides which of the pictures that come out of the decoder too late are shown all the same.
#[derive(Debug, Default)]
pub(crate) struct Thinning {
    late_in_a_row: u32,
}

impl Thinning {
    const SHOWN_ONE_IN: u32 = 8;

    /// Notes one decoded picture; `true` if it is to be dropped.
    pub(crate) fn drops(&mut self, late: bool) -> bool {
        self.late_in_a_row = if late { self.late_in_a_row.wrapping_add(1) } else { 0 };
        // One in eight is shown all the same, so that the picture never stands still.
        late && !self.late_in_a_row.is_multiple_of(Self::SHOWN_ONE_IN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_waits_for_its_moment() {
        assert_eq!(judge(0, 33_333, Some(66_667)), Verdict::Wait(33_333));
        assert_eq!(judge(33_000, 33_333, None), Verdict::Show);
        assert_eq!(judge(33_333, 33_333, None), Verdict::Show);
    }

    #[test]
    fn a_little_late_is_caught_up_and_very_late_is_dropped() {
        assert_eq!(judge(90_000, 33_333, Some(66_667)), Verdict::Show);
        assert_eq!(judge(400_000, 33_333, Some(66_667)), Verdict::Drop);
    }

    #[test]
    fn the_newest_frame_there_is_is_never_dropped() {
        assert_eq!(judge(400_000, 33_333, None), Verdict::Show);
        assert_eq!(judge(400_000, 33_333, Some(500_000)), Verdict::Show);
    }

    #[test]
    fn economy_starts_late_and_ends_later() {
        let mut economy = Economy::default();
        assert!((0..7).all(|_| !economy.note(true)));
        assert!(economy.note(true));
        assert!((0..89).all(|_| economy.note(false)));
        assert!(!economy.note(false));
    }

    #[test]
    fn of_late_pictures_one_in_eight_is_shown() {
        let mut thinning = Thinning::default();
        assert!(!thinning.drops(false));
        for _ in 0..3 {
            assert!((0..7).all(|_| thinning.drops(true)));
            assert!(!thinning.drops(true));
        }
        assert!(thinning.drops(true));
        assert!((0..20).all(|_| !thinning.drops(false)));
        assert!((0..7).all(|_| thinning.drops(true)));
    }
}
