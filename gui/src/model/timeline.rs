//! Bytes as time and time as bytes, so that what is here can be drawn where it will be heard or seen.
//!
//! Invariant: both directions are monotonic and agree at the ends (byte 0 = 0 ms, last byte = duration). Between the points of
//! the media's index they interpolate; without an index they use the mean rate.

use shared::snapshot::StreamSnapshot;

/// The relation of bytes and time in one content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    /// `(ms, byte)`, both strictly growing, from `(0, 0)` to `(duration, size)`.
    points: Vec<(u64, u64)>,
}

impl Timeline {
    /// From an index whose points may be unordered, repeated or out of range; such points are dropped.
    pub fn new(duration_ms: u64, size_bytes: u64, index: &[(u32, u64)]) -> Self {
        let mut points = vec![(0, 0)];
        if duration_ms == 0 || size_bytes == 0 {
            return Self { points };
        }
        for &(ms, byte) in index {
            let (last_ms, last_byte) = points.last().copied().unwrap_or_default();
            let ms = u64::from(ms);
            // The first point of most files lies behind a header: the header's bytes belong to time zero.
            if ms > last_ms && byte > last_byte && ms < duration_ms && byte < size_bytes {
                points.push((ms, byte));
            }
        }
        points.push((duration_ms, size_bytes));
        Self { points }
    }

    /// The timeline of a stream, by its own duration or, if it has none, by the player's.
    pub fn of_stream(stream: &StreamSnapshot, player_duration_ms: u64) -> Self {
        let duration_ms = if player_duration_ms > 0 { player_duration_ms } else { stream.duration_ms };
        Self::new(duration_ms, stream.size, &stream.time_index)
    }

    /// Length of the media, or 0 when unknown.
    pub fn duration_ms(&self) -> u64 {
        self.points.last().map_or(0, |point| point.0)
    }

    /// Bytes of the content, or 0 when its length is unknown.
    pub fn size_bytes(&self) -> u64 {
        self.points.last().map_or(0, |point| point.1)
    }

    /// The bytes strictly between `start` and `end` at which the relation bends.
    pub fn bytes_within(&self, start: u64, end: u64) -> impl Iterator<Item = u64> {
        self.points.iter().map(|point| point.1).filter(move |byte| (start + 1..end).contains(byte))
    }

    /// When the byte is played.
    pub fn ms_of(&self, byte: u64) -> u64 {
        interpolate(&self.points, byte, |point| (point.1, point.0))
    }

    /// Where the bytes of that moment begin.
    pub fn byte_of(&self, ms: u64) -> u64 {
        interpolate(&self.points, ms, |point| *point)
    }

    /// Byte ranges as fractions of the duration, in order, touching ones joined.
    pub fn fractions(&self, ranges: &[(u64, u64)]) -> Vec<(f32, f32)> {
        let duration = self.duration_ms();
        if duration == 0 {
            return Vec::new();
        }
        let fraction = |byte| (self.ms_of(byte) as f64 / duration as f64) as f32;
        let mut joined: Vec<(f32, f32)> = Vec::with_capacity(ranges.len());
        for &(start, end) in ranges {
            let (start, end) = (fraction(start), fraction(end));
            match joined.last_mut() {
                Some(last) if start <= last.1 + f32::EPSILON => last.1 = last.1.max(end),
                _ => joined.push((start, end)),
            }
        }
        joined
    }
}

/// The value at `x` on the polyline of `key(point) = (x, y)`, held at its ends.
fn interpolate(points: &[(u64, u64)], x: u64, key: impl Fn(&(u64, u64)) -> (u64, u64)) -> u64 {
    let after = points.partition_point(|point| key(point).0 <= x);
    let Some(before) = after.checked_sub(1).and_then(|index| points.get(index)) else { return 0 };
    let (x0, y0) = key(before);
    let Some((x1, y1)) = points.get(after).map(&key) else { return y0 };
    if x1 <= x0 {
        return y0;
    }
    let rise = u128::from(y1.saturating_sub(y0)) * u128::from(x - x0) / u128::from(x1 - x0);
    y0 + rise as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_index_the_mean_rate_rules() {
        let timeline = Timeline::new(10_000, 1_000_000, &[]);
        assert_eq!(timeline.ms_of(500_000), 5_000);
        assert_eq!(timeline.byte_of(2_500), 250_000);
        assert_eq!(timeline.ms_of(9_999_999), 10_000);
    }

    #[test]
    fn an_index_bends_the_line() {
        let timeline = Timeline::new(10_000, 1_000_000, &[(5_000, 900_000)]);
        assert_eq!(timeline.ms_of(900_000), 5_000);
        assert_eq!(timeline.ms_of(450_000), 2_500);
        assert_eq!(timeline.byte_of(7_500), 950_000);
    }

    #[test]
    fn a_hostile_index_changes_nothing() {
        let timeline =
            Timeline::new(10_000, 1_000_000, &[(5_000, 0), (0, 7), (4_000_000_000, 1), (9, u64::MAX)]);
        assert_eq!(timeline, Timeline::new(10_000, 1_000_000, &[]));
    }

    #[test]
    fn both_directions_never_run_backwards() {
        let timeline =
            Timeline::new(60_000, 7_777_777, &[(2_000, 90_000), (4_000, 2_000_000), (30_000, 2_100_000)]);
        let times: Vec<u64> = (0..7_777_777).step_by(10_007).map(|byte| timeline.ms_of(byte)).collect();
        assert!(times.is_sorted());
        let bytes: Vec<u64> = (0..60_000).step_by(61).map(|ms| timeline.byte_of(ms)).collect();
        assert!(bytes.is_sorted());
    }

    #[test]
    fn touching_ranges_become_one_bar() {
        let timeline = Timeline::new(10_000, 1_000, &[]);
        assert_eq!(timeline.fractions(&[(0, 100), (100, 200), (500, 1_000)]), [(0.0, 0.2), (0.5, 1.0)]);
    }

    #[test]
    fn an_unknown_duration_draws_nothing() {
        assert_eq!(Timeline::new(0, 1_000, &[(1, 1)]).fractions(&[(0, 1_000)]), []);
    }
}
