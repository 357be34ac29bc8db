//! When to start, when to wait, when to go on.
//!
//! Pure: levels and the time go in, a phase comes out. Playing starts when enough is decodable, stops *before*
//! anything runs dry, so that no frame is lost, and needs more to start again after each stall. Waiting although the
//! bytes are there is a fault of ours: the watchdog then asks for one fresh start.

/// Media needed to start, with and without a picture.
const START_VIDEO_US: i64 = 1_000_000;
const START_AUDIO_US: i64 = 500_000;
/// After stalls at most this much is asked for.
const MAX_START_US: i64 = 8_000_000;
/// Below this, with a reader that waits, playing stops.
const LOW_WATER_US: i64 = 250_000;
const READER_PATIENCE_US: i64 = 60_000;
const STALL_MEMORY_US: i64 = 300_000_000;
const WATCHDOG_US: i64 = 5_000_000;

/// One track's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    /// The first picture or a little sound is decoded.
    pub(crate) primed: bool,
    /// Media demuxed beyond the clock.
    pub(crate) ahead_us: i64,
    /// Nothing decoded is left to show or hear.
    pub(crate) dry: bool,
    /// Everything up to the end of the file has been demuxed.
    pub(crate) ended: bool,
}

/// Everything the decision depends on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Levels {
    pub(crate) video: Option<Lane>,
    pub(crate) audio: Option<Lane>,
    /// The demuxer has read as far ahead as it may.
    pub(crate) demux_full: bool,
    /// For how long the reader has been waiting for bytes.
    pub(crate) reader_waits_us: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waiting for media.
    Filling,
    /// Enough is there; the clock may run.
    Ready,
}

#[derive(Debug)]
pub(crate) struct Buffering {
    phase: Phase,
    since_us: i64,
    stalled_since_us: Option<i64>,
    recent_stalls: Vec<i64>,
    kicked: bool,
    stalls: u64,
    stalled_us: i64,
}

impl Buffering {
    pub(crate) fn new(now_us: i64) -> Self {
        Self {
            phase: Phase::Filling,
            since_us: now_us,
            stalled_since_us: None,
            recent_stalls: Vec::new(),
            kicked: false,
            stalls: 0,
            stalled_us: 0,
        }
    }

    /// A seek or the start of a file: filling, but nobody's stall.
    pub(crate) fn restart(&mut self, now_us: i64) {
        self.settle(now_us);
        self.phase = Phase::Filling;
        self.since_us = now_us;
        self.kicked = false;
    }

    pub(crate) fn update(&mut self, now_us: i64, levels: &Levels) -> Phase {
        match self.phase {
            Phase::Filling if self.may_start(levels) => {
                self.settle(now_us);
                self.phase = Phase::Ready;
                self.since_us = now_us;
            }
            Phase::Ready if must_wait(levels) => {
                self.phase = Phase::Filling;
                self.since_us = now_us;
                self.stalled_since_us = Some(now_us);
                self.stalls += 1;
                self.kicked = false;
                self.recent_stalls.retain(|at_us| now_us - at_us < STALL_MEMORY_US);
                self.recent_stalls.push(now_us);
            }
            Phase::Filling | Phase::Ready => {}
        }
        self.phase
    }

    /// Once per filling: the bytes are there and still nothing starts.
    pub(crate) fn needs_kick(&mut self, now_us: i64, levels: &Levels) -> bool {
        let stuck = self.phase == Phase::Filling
            && levels.reader_waits_us.is_none()
            && now_us - self.since_us > WATCHDOG_US
            && !self.kicked;
        self.kicked |= stuck;
        stuck
    }

    pub(crate) fn stalls(&self) -> u64 {
        self.stalls
    }

    pub(crate) fn stalled_us(&self, now_us: i64) -> i64 {
        self.stalled_us + self.stalled_since_us.map_or(0, |since_us| now_us - since_us)
    }

    fn settle(&mut self, now_us: i64) {
        if let Some(since_us) = self.stalled_since_us.take() {
            self.stalled_us += now_us - since_us;
        }
    }

    fn may_start(&self, levels: &Levels) -> bool {
        let base_us = if levels.video.is_some() { START_VIDEO_US } else { START_AUDIO_US };
        let doublings = self.recent_stalls.len().min(4) as u32;
        let need_us = (base_us << doublings).min(MAX_START_US);
        let lanes = [levels.video, levels.audio];
        let mut some = false;
        for lane in lanes.into_iter().flatten() {
            some = true;
            let enough = lane.ended || levels.demux_full || lane.ahead_us >= need_us;
            let primed = lane.primed || (levels.demux_full && lane.dry && lane.ahead_us <= 0);
            if !enough || !primed {
                return false;
            }
        }
        some
    }
}

fn must_wait(levels: &Levels) -> bool {
    let Some(waits_us) = levels.reader_waits_us else { return false };
    [levels.video, levels.audio].into_iter().flatten().any(|lane| {
        !lane.ended && (lane.dry || (lane.ahead_us < LOW_WATER_US && waits_us >= READER_PATIENCE_US))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Lane = Lane { primed: true, ahead_us: 5_000_000, dry: false, ended: false };

    #[test]
    fn a_video_starts_with_a_second_and_audio_with_half() {
        let mut video = Buffering::new(0);
        let with = |ahead_us| Levels { video: Some(Lane { ahead_us, ..FULL }), ..Levels::default() };
        assert_eq!(video.update(0, &with(900_000)), Phase::Filling);
        assert_eq!(video.update(0, &with(1_000_000)), Phase::Ready);
        let mut audio = Buffering::new(0);
        let levels = Levels { audio: Some(Lane { ahead_us: 500_000, ..FULL }), ..Levels::default() };
        assert_eq!(audio.update(0, &levels), Phase::Ready);
    }

    #[test]
    fn a_short_file_starts_when_it_is_all_there() {
        let mut buffering = Buffering::new(0);
        let lane = Lane { ahead_us: 100_000, ended: true, ..FULL };
        assert_eq!(buffering.update(0, &Levels { video: Some(lane), ..Levels::default() }), Phase::Ready);
    }

    #[test]
    fn both_tracks_must_be_primed() {
        let mut buffering = Buffering::new(0);
        let levels =
            Levels { video: Some(FULL), audio: Some(Lane { primed: false, ..FULL }), ..Levels::default() };
        assert_eq!(buffering.update(0, &levels), Phase::Filling);
    }

    #[test]
    fn it_stops_before_running_dry_and_then_asks_for_more() {
        let mut buffering = ready();
        let low = Lane { ahead_us: 200_000, ..FULL };
        let levels = Levels { video: Some(low), reader_waits_us: Some(100_000), ..Levels::default() };
        assert_eq!(buffering.update(1_000_000, &levels), Phase::Filling);
        assert_eq!(buffering.stalls(), 1);
        let some = Levels { video: Some(Lane { ahead_us: 1_500_000, ..FULL }), ..Levels::default() };
        assert_eq!(buffering.update(1_400_000, &some), Phase::Filling);
        let enough = Levels { video: Some(Lane { ahead_us: 2_000_000, ..FULL }), ..Levels::default() };
        assert_eq!(buffering.update(1_500_000, &enough), Phase::Ready);
        assert_eq!(buffering.stalled_us(9_000_000), 500_000);
    }

    #[test]
    fn with_the_bytes_there_nothing_stalls() {
        let mut buffering = ready();
        let dry = Lane { dry: true, ahead_us: 0, ..FULL };
        let levels = Levels { video: Some(dry), ..Levels::default() };
        assert_eq!(buffering.update(1_000_000, &levels), Phase::Ready);
    }

    #[test]
    fn the_end_of_the_file_is_no_stall() {
        let mut buffering = ready();
        let last = Lane { dry: true, ahead_us: 0, ended: true, ..FULL };
        let levels = Levels { video: Some(last), reader_waits_us: Some(1_000_000), ..Levels::default() };
        assert_eq!(buffering.update(1_000_000, &levels), Phase::Ready);
    }

    #[test]
    fn the_watchdog_barks_once_per_wait_and_only_with_the_bytes_there() {
        let mut buffering = Buffering::new(0);
        let waiting = Levels { reader_waits_us: Some(9_000_000), ..Levels::default() };
        assert!(!buffering.needs_kick(10_000_000, &waiting));
        assert!(buffering.needs_kick(10_000_000, &Levels::default()));
        assert!(!buffering.needs_kick(20_000_000, &Levels::default()));
    }

    #[test]
    fn a_seek_is_not_counted_as_a_stall() {
        let mut buffering = ready();
        buffering.restart(2_000_000);
        assert_eq!(buffering.update(2_000_000, &Levels::default()), Phase::Filling);
        assert_eq!(buffering.stalls(), 0);
        assert_eq!(buffering.stalled_us(5_000_000), 0);
    }

    fn ready() -> Buffering {
        let mut buffering = Buffering::new(0);
        let levels = Levels { video: Some(FULL), ..Levels::default() };
        assert_eq!(buffering.update(0, &levels), Phase::Ready);
        buffering
    }
}
