//! One reader: where it reads, and where its player is likely to be.
//!
//! A player reads ahead of what it plays, some by seconds, some by half a minute, and as fast as bytes come. Its deadlines follow from
//! what it plays, so the playhead is reckoned: playback begins with a second read, goes on in real time, never passes what was read, and
//! after running dry resumes with half a second. A reader is *dry* from when it waits for bytes without playing until it plays,
//! also in the moments between its reads.

use super::timeline::Timeline;

/// Read media with which playback is taken to begin, and to resume.
const BEGINS_WITH_MS: u64 = 1_000;
const RESUMES_WITH_MS: u64 = 500;
/// One that does not wait for so long has what it wants, and plays. For a moment none waits: between one read and the next.
const RESTS_MS: u64 = 250;
/// The most a player waits for before it begins.
const CAREFUL_MS: u64 = 2_000;

/// One reader position.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    pub(super) position: u64,
    /// Where it stops reading, as far as it said.
    pub(super) ends_at: u64,
    pub(super) is_blocked: bool,
    /// Since when it waits without playing, and whether that was counted as a stall.
    pub(super) dry_since_ms: Option<u64>,
    pub(super) counted: bool,
    /// Until when waiting is no stall: it has just started or jumped.
    pub(super) grace_until_ms: u64,
    /// Media time of the playhead at `since_ms`.
    playhead_ms: u64,
    since_ms: u64,
    is_playing: bool,
    /// Since when it does not wait.
    rests_since_ms: Option<u64>,
    /// Media it needs beyond the playhead before it plays.
    needs_ms: u64,
    /// Where it began, as media time, and when.
    began_ms: u64,
    began_at_ms: u64,
}

impl Reader {
    /// A reader that appears at `position`.
    pub(super) fn new(now_ms: u64, position: u64, timeline: &Timeline, grace_until_ms: u64) -> Self {
        Self {
            position,
            ends_at: u64::MAX,
            is_blocked: false,
            dry_since_ms: None,
            counted: false,
            grace_until_ms,
            playhead_ms: timeline.ms_at(position),
            since_ms: now_ms,
            is_playing: false,
            rests_since_ms: None,
            needs_ms: BEGINS_WITH_MS,
            began_ms: timeline.ms_at(position),
            began_at_ms: now_ms,
        }
    }

    /// It is at `position` now. `is_jump` says that it did not read its way there.
    pub(super) fn moved(
        &mut self,
        now_ms: u64,
        position: u64,
        is_blocked: bool,
        is_jump: bool,
        timeline: &Timeline,
    ) {
        if is_jump {
            let (counted, ends_at) = (self.counted, self.ends_at);
            *self = Self { counted, ends_at, ..Self::new(now_ms, position, timeline, self.grace_until_ms) };
        }
        (self.position, self.is_blocked) = (position, is_blocked);
        self.advance(now_ms, timeline);
    }

    /// Plays until now.
    pub(super) fn advance(&mut self, now_ms: u64, timeline: &Timeline) {
        let read_ms = timeline.ms_at(self.position);
        if self.is_playing {
            let played_ms = self.playhead_ms + now_ms.saturating_sub(self.since_ms);
            self.playhead_ms = played_ms.min(read_ms).max(self.playhead_ms.min(read_ms));
            if played_ms >= read_ms && self.is_blocked {
                (self.is_playing, self.needs_ms) = (false, RESUMES_WITH_MS);
            }
        }
        self.since_ms = now_ms;
        self.rests_since_ms = (!self.is_blocked).then(|| self.rests_since_ms.unwrap_or(now_ms));
        let rests = self.rests_since_ms.is_some_and(|since_ms| now_ms >= since_ms + RESTS_MS);
        self.is_playing |= rests || read_ms >= self.playhead_ms + self.needs_ms;
        let is_dry = !self.is_playing && (self.is_blocked || self.dry_since_ms.is_some());
        self.dry_since_ms = is_dry.then(|| self.dry_since_ms.unwrap_or(now_ms));
        self.counted &= is_dry;
    }

    /// Media time is told by `after` from now on, not by `before`: it stays where it is in the content.
    pub(super) fn retime(&mut self, before: &Timeline, after: &Timeline) {
        for ms in [&mut self.playhead_ms, &mut self.began_ms] {
            *ms = after.ms_at(before.byte_at(*ms));
        }
    }

    /// Media time of what is played, reckoned at the last [`advance`](Self::advance).
    pub(super) const fn playhead_ms(&self) -> u64 {
        self.playhead_ms
    }

    /// When it opened, or jumped.
    pub(super) const fn began_at_ms(&self) -> u64 {
        self.began_at_ms
    }

    /// The media time up to which the most careful players read before they begin.
    pub(super) const fn begins_by_ms(&self) -> u64 {
        self.began_ms + CAREFUL_MS
    }

    /// Whether it has read less than that.
    pub(super) fn is_beginning(&self, timeline: &Timeline) -> bool {
        self.is_blocked && timeline.ms_at(self.position) < self.begins_by_ms()
    }

    /// When it will have played all it has read, if it waits for more.
    pub(super) fn runs_dry_at_ms(&self, timeline: &Timeline) -> Option<u64> {
        let left_ms = timeline.ms_at(self.position).saturating_sub(self.playhead_ms);
        (self.is_playing && self.is_blocked).then_some(self.since_ms + left_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte a millisecond.
    fn timeline() -> Timeline {
        Timeline::new(1_000_000, 8_000, 0, &[])
    }

    #[test]
    fn it_plays_in_real_time_what_was_read_ahead() {
        let timeline = timeline();
        let mut reader = Reader::new(0, 0, &timeline, 0);
        reader.moved(0, 0, true, false, &timeline);
        assert_eq!(reader.dry_since_ms, Some(0));
        reader.moved(300, 900, true, false, &timeline);
        assert_eq!(reader.dry_since_ms, Some(0));
        reader.moved(500, 5_000, true, false, &timeline);
        assert_eq!((reader.dry_since_ms, reader.playhead_ms()), (None, 0));
        reader.moved(3_000, 9_000, true, false, &timeline);
        assert_eq!(reader.playhead_ms(), 2_500);
        assert_eq!(reader.runs_dry_at_ms(&timeline), Some(9_500));
    }

    #[test]
    fn it_runs_dry_where_it_waits_and_resumes_with_little() {
        let timeline = timeline();
        let mut reader = Reader::new(0, 0, &timeline, 0);
        reader.moved(0, 2_000, true, false, &timeline);
        reader.advance(2_500, &timeline);
        assert_eq!((reader.dry_since_ms, reader.playhead_ms()), (Some(2_500), 2_000));
        reader.moved(2_600, 2_400, true, false, &timeline);
        assert_eq!(reader.dry_since_ms, Some(2_500));
        reader.moved(2_700, 2_500, true, false, &timeline);
        assert_eq!((reader.dry_since_ms, reader.playhead_ms()), (None, 2_000));
    }

    #[test]
    fn a_reader_that_does_not_wait_is_never_dry() {
        let timeline = timeline();
        let mut reader = Reader::new(0, 0, &timeline, 0);
        reader.moved(0, 100, false, false, &timeline);
        reader.advance(RESTS_MS, &timeline);
        reader.advance(60_000, &timeline);
        assert_eq!((reader.dry_since_ms, reader.playhead_ms()), (None, 100));
    }

    #[test]
    fn a_moment_between_two_reads_is_no_playing() {
        let timeline = timeline();
        let mut reader = Reader::new(0, 0, &timeline, 0);
        for read in 1..9 {
            reader.moved(100 * read, 100 * read, false, false, &timeline);
            reader.moved(100 * read + 5, 100 * read, true, false, &timeline);
        }
        assert_eq!((reader.playhead_ms(), reader.dry_since_ms), (0, Some(105)));
        reader.moved(900, 900, false, false, &timeline);
        reader.advance(900 + RESTS_MS, &timeline);
        reader.advance(1_000 + RESTS_MS, &timeline);
        assert_eq!(reader.playhead_ms(), 100);
    }

    #[test]
    fn a_better_map_of_time_leaves_it_where_it_is() {
        let before = timeline();
        let mut reader = Reader::new(0, 500_000, &before, 0);
        reader.moved(0, 500_000, true, false, &before);
        let after = Timeline::new(1_000_000, 8_000, 0, &[(560_000, 500_000)]);
        reader.retime(&before, &after);
        reader.moved(10, 500_000, true, false, &after);
        assert_eq!((reader.playhead_ms(), reader.dry_since_ms), (560_000, Some(0)), "it has nothing yet");
    }

    #[test]
    fn a_jump_starts_anew() {
        let timeline = timeline();
        let mut reader = Reader::new(0, 0, &timeline, 0);
        reader.moved(0, 5_000, true, false, &timeline);
        reader.moved(1_000, 400_000, true, true, &timeline);
        assert_eq!((reader.dry_since_ms, reader.playhead_ms()), (Some(1_000), 400_000));
    }
}
