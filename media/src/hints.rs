//! What a sharer can tell a viewer ahead of time: which bytes playback starts with, and where each moment lies.
//!
//! Pure. Both tables are bounded and ordered; they are advice, checked by the demuxer when it gets there.

/// At most this many entries in a time index.
const MAX_INDEX_ENTRIES: usize = 4096;
/// Neighbouring index entries are at least this far apart.
const MIN_INDEX_STEP_MS: u32 = 2000;
/// Ranges closer together than this are one.
const MERGE_GAP_BYTES: u64 = 32 << 10;

/// Byte ranges sorted and merged where they touch or nearly do.
pub(crate) fn merge_ranges(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.retain(|(start, end)| start < end);
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (start, end) in ranges {
        match merged.last_mut() {
            Some(last) if start <= last.1.saturating_add(MERGE_GAP_BYTES) => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// Thins `(ms, byte)` points to a monotone table of at most one entry per two seconds.
pub(crate) fn thin_index(mut points: Vec<(u32, u64)>, duration_ms: u64) -> Vec<(u32, u64)> {
    points.sort_unstable();
    let spread = u32::try_from(duration_ms / MAX_INDEX_ENTRIES as u64 + 1).unwrap_or(u32::MAX);
    let step = MIN_INDEX_STEP_MS.max(spread);
    let mut index: Vec<(u32, u64)> = Vec::new();
    for (ms, byte) in points {
        let fits = index.last().is_none_or(|(last_ms, last_byte)| ms - last_ms >= step && byte > *last_byte);
        if fits && index.len() < MAX_INDEX_ENTRIES {
            index.push((ms, byte));
        }
    }
    index
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn touching_and_near_ranges_become_one() {
        let merged = merge_ranges(vec![
            (1_000_000, 1_000_100),
            (0, 32_768),
            (32_768, 65_536),
            (70_000, 80_000),
            (5, 5),
        ]);
        assert_eq!(merged, [(0, 80_000), (1_000_000, 1_000_100)]);
    }

    proptest! {
        #[test]
        fn an_index_is_monotone_sparse_and_bounded(
            points in proptest::collection::vec((0..=u32::MAX, 0..=u64::MAX), 0..600),
            duration_ms in prop_oneof![0..40_000_000_u64, 0..=u64::MAX],
        ) {
            let index = thin_index(points, duration_ms);
            prop_assert!(index.len() <= MAX_INDEX_ENTRIES);
            for pair in index.windows(2) {
                prop_assert!(pair[1].0.saturating_sub(pair[0].0) >= MIN_INDEX_STEP_MS);
                prop_assert!(pair[1].1 > pair[0].1);
            }
        }
    }
}
