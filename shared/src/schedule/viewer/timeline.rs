//! Bytes as time and time as bytes, by the media's index, else by its mean rate.
//!
//! Index points come from strangers: those that do not grow or lie outside the content are left out, so both directions are monotone
//! and never divide by zero.

/// Media are no longer than this, 34 years: sums of times do not overflow, whatever a stranger says.
const MAX_MEDIA_MS: u64 = 1 << 40;
/// What is assumed of a content about which nothing is known.
const DEFAULT_BYTES_PER_SECOND: u64 = 250_000;

/// The map between bytes and media time of one content.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    /// `(ms, byte)`; both strictly growing, the first is `(0, 0)`, the last is the end of the content.
    points: Vec<(u64, u64)>,
    index: Vec<(u32, u64)>,
}

impl Timeline {
    pub(super) fn new(size_bytes: u64, bitrate_bps: u64, duration_ms: u64, index: &[(u32, u64)]) -> Self {
        let mut points = vec![(0, 0)];
        let mut last = (0, 0);
        for &(ms, byte) in index {
            let point = (u64::from(ms), byte);
            if point.0 > last.0 && point.1 > last.1 && byte < size_bytes {
                points.push(point);
                last = point;
            }
        }
        let by_rate = match bitrate_bps {
            0 => size_bytes.saturating_mul(1_000) / DEFAULT_BYTES_PER_SECOND,
            bps => size_bytes.saturating_mul(8_000) / bps,
        };
        let end_ms = match (duration_ms, points.len()) {
            (0, 1) => by_rate,
            (0, _) => scaled(last.0, size_bytes, last.1),
            (known, _) => known,
        };
        points.push((end_ms.min(MAX_MEDIA_MS).max(last.0 + 1), size_bytes.max(last.1 + 1)));
        let used = points.len() - 1;
        let index = if used > 1 {
            points[1..used].iter().map(|&(ms, byte)| (ms as u32, byte)).collect()
        } else {
            Vec::new()
        };
        Self { points, index }
    }

    /// The media time at which `byte` is needed.
    pub(super) fn ms_at(&self, byte: u64) -> u64 {
        let after = self.points.partition_point(|point| point.1 <= byte).clamp(1, self.points.len() - 1);
        let ((ms0, byte0), (ms1, byte1)) = (self.points[after - 1], self.points[after]);
        let within = byte.clamp(byte0, byte1) - byte0;
        ms0 + scaled(within, ms1 - ms0, byte1 - byte0)
    }

    /// The first byte that is needed at `ms`.
    pub(super) fn byte_at(&self, ms: u64) -> u64 {
        let after = self.points.partition_point(|point| point.0 <= ms).clamp(1, self.points.len() - 1);
        let ((ms0, byte0), (ms1, byte1)) = (self.points[after - 1], self.points[after]);
        let within = ms.clamp(ms0, ms1) - ms0;
        byte0 + scaled(within, byte1 - byte0, ms1 - ms0)
    }

    /// Length of the media.
    pub(super) fn duration_ms(&self) -> u64 {
        self.points[self.points.len() - 1].0
    }

    /// Mean bytes of `ms` of media, at least one.
    pub(super) fn bytes_in(&self, ms: u64) -> u64 {
        let (duration_ms, size_bytes) = self.points[self.points.len() - 1];
        scaled(ms, size_bytes, duration_ms).max(1)
    }

    /// The index points in use, for drawing; empty when time is only estimated.
    pub(super) fn index(&self) -> &[(u32, u64)] {
        &self.index
    }
}

/// `part * whole / of`; a product that fits is divided many times faster than one that does not.
fn scaled(part: u64, whole: u64, of: u64) -> u64 {
    match part.checked_mul(whole) {
        Some(product) => product / of,
        None => u64::try_from(u128::from(part) * u128::from(whole) / u128::from(of)).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_index_decides_where_there_is_one() {
        let timeline = Timeline::new(1_000, 0, 100, &[(0, 100), (50, 900)]);
        assert_eq!(timeline.ms_at(450), 25);
        assert_eq!(timeline.ms_at(900), 50);
        assert_eq!(timeline.byte_at(75), 950);
        assert_eq!(timeline.ms_at(5_000), 100);
    }

    #[test]
    fn the_mean_rate_decides_where_there_is_no_index() {
        let timeline = Timeline::new(1_000_000, 8_000, 0, &[]);
        assert_eq!(timeline.duration_ms(), 1_000_000);
        assert_eq!(timeline.ms_at(500), 500);
        assert_eq!(timeline.bytes_in(2_000), 2_000);
    }

    proptest! {
        #[test]
        fn any_index_gives_a_monotone_map(
            size in 0u64..1 << 45, bps: u64, duration: u64,
            index in prop::collection::vec((any::<u32>(), any::<u64>()), 0..20),
            mut bytes in prop::collection::vec(any::<u64>(), 2..10),
        ) {
            let timeline = Timeline::new(size, bps, duration, &index);
            bytes.sort_unstable();
            prop_assert!(bytes.windows(2).all(|pair| timeline.ms_at(pair[0]) <= timeline.ms_at(pair[1])));
            prop_assert!(bytes.windows(2).all(|pair| timeline.byte_at(pair[0]) <= timeline.byte_at(pair[1])));
            prop_assert!(timeline.byte_at(u64::MAX) <= size.max(1));
            prop_assert!(timeline.ms_at(u64::MAX) <= MAX_MEDIA_MS);
        }
    }
}
