//! Whether what is being played will reach its end without a stop, and if not, how long to wait so that it does.
//!
//! The bytes that are missing arrive one after another at the present rate; each is due when it is played. The longest
//! lateness of any of them is the wait that makes all of them punctual.
//!
//! Invariant: nothing is promised without a rate to promise it by. Pure.

use super::timeline::Timeline;

/// What to expect of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forecast {
    /// Everything from the playhead on is here.
    Complete,
    /// What is missing arrives before it is played.
    Smooth,
    /// It plays to the end without a stop after this wait.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// Nothing arrives, so nobody can say.
    Unknown,
}

/// What the forecast depends on.
#[derive(Debug, Clone, Copy)]
pub struct Outlook<'a> {
    /// Bytes as time.
    pub timeline: &'a Timeline,
    /// Verified byte ranges, in order.
    pub verified: &'a [(u64, u64)],
    /// The playhead.
    pub position_ms: u64,
    /// Bits per second that arrive.
    pub rate_bps: u64,
    /// Media time per real time.
    pub speed: f32,
}

impl Outlook<'_> {
    /// What to expect of the rest.
    pub fn forecast(self) -> Forecast {
        let size = self.timeline.size_bytes();
        let head = self.timeline.byte_of(self.position_ms).min(size);
        let mut lateness_ms: Option<f64> = None;
        let mut missing_before = 0_u64;
        for (start, end) in gaps(self.verified, head, size) {
            if self.rate_bps == 0 {
                return Forecast::Unknown;
            }
            // Within a gap lateness runs straight from one point of the index to the next.
            for byte in self.timeline.bytes_within(start, end).chain([end]) {
                let late = self.arrival_ms(missing_before + (byte - start)) - self.due_ms(byte);
                lateness_ms = Some(lateness_ms.map_or(late, |worst| worst.max(late)));
            }
            missing_before += end - start;
        }
        match lateness_ms {
            None => Forecast::Complete,
            Some(late) if late <= 0.0 => Forecast::Smooth,
            Some(late) => Forecast::Wait { ms: late.ceil() as u64 },
        }
    }

    fn arrival_ms(self, bytes: u64) -> f64 {
        bytes as f64 * 8_000.0 / self.rate_bps as f64
    }

    fn due_ms(self, byte: u64) -> f64 {
        let media_ms = self.timeline.ms_of(byte).saturating_sub(self.position_ms);
        media_ms as f64 / f64::from(self.speed.max(0.1))
    }
}

/// What of `from..to` is in none of `held`.
fn gaps(held: &[(u64, u64)], from: u64, to: u64) -> Vec<(u64, u64)> {
    let mut gaps = Vec::new();
    let mut next = from;
    for &(start, end) in held {
        if start > next && next < to {
            gaps.push((next, start.min(to)));
        }
        next = next.max(end);
    }
    if next < to {
        gaps.push((next, to));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_all_here_needs_no_forecast() {
        assert_eq!(forecast(&[(0, 1_000)], 0, 0), Forecast::Complete);
        assert_eq!(forecast(&[(500, 1_000)], 5_000, 0), Forecast::Complete);
    }

    #[test]
    fn a_rate_above_the_files_needs_no_wait() {
        assert_eq!(forecast(&[], 0, 801), Forecast::Smooth);
        assert_eq!(forecast(&[], 0, 800), Forecast::Smooth);
    }

    #[test]
    fn a_slow_rate_waits_for_the_difference() {
        // 1,000 bytes in 10 s of media at half the rate take 20 s.
        assert_eq!(forecast(&[], 0, 400), Forecast::Wait { ms: 10_000 });
        // With half of it here, the other half takes 10 s and is due over 10 s.
        assert_eq!(forecast(&[(0, 500)], 0, 400), Forecast::Smooth);
        assert_eq!(forecast(&[(0, 300)], 0, 400), Forecast::Wait { ms: 4_000 });
    }

    #[test]
    fn without_a_rate_nothing_is_promised() {
        assert_eq!(forecast(&[(0, 500)], 0, 0), Forecast::Unknown);
    }

    #[test]
    fn a_dense_stretch_in_the_middle_is_seen() {
        // Nine tenths of the bytes are played in the first second.
        let timeline = Timeline::new(10_000, 1_000, &[(1_000, 900)]);
        let outlook =
            Outlook { timeline: &timeline, verified: &[], position_ms: 0, rate_bps: 800, speed: 1.0 };
        assert_eq!(outlook.forecast(), Forecast::Wait { ms: 8_000 });
    }

    #[test]
    fn playing_faster_needs_a_longer_wait() {
        let timeline = Timeline::new(10_000, 1_000, &[]);
        let outlook =
            Outlook { timeline: &timeline, verified: &[], position_ms: 0, rate_bps: 800, speed: 2.0 };
        assert_eq!(outlook.forecast(), Forecast::Wait { ms: 5_000 });
    }

    #[test]
    fn what_lies_behind_the_playhead_is_not_waited_for() {
        assert_eq!(gaps(&[(100, 200), (300, 400)], 150, 350), [(200, 300)]);
        assert_eq!(gaps(&[(0, 50)], 100, 350), [(100, 350)]);
        assert_eq!(gaps(&[], 0, 0), []);
    }

    fn forecast(verified: &[(u64, u64)], position_ms: u64, rate_bps: u64) -> Forecast {
        let timeline = Timeline::new(10_000, 1_000, &[]);
        Outlook { timeline: &timeline, verified, position_ms, rate_bps, speed: 1.0 }.forecast()
    }
}
