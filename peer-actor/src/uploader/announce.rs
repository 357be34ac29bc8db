//! What is held, as Have frames.
//!
//! Invariant: the first Have of a link is a reset with everything held, also if that is nothing.

use shared::{ContentId, LeafRange, leaf_set::LeafSet, limits::MAX_HAVE_RANGES, wire};

use crate::store::Content;

/// The first Have frames of a link: everything held.
pub(crate) fn first_haves(
    content_id: ContentId,
    size_bytes: u64,
    held: &LeafSet,
    backlog_ms: u32,
) -> Vec<wire::Have> {
    if held.is_full() {
        let ranges = Vec::new();
        return vec![wire::Have { content_id, size_bytes, reset: true, complete: true, ranges, backlog_ms }];
    }
    let runs: Vec<LeafRange> = held.runs().collect();
    let mut haves = haves(content_id, size_bytes, &runs, backlog_ms);
    haves[0].reset = true;
    haves
}

/// Have frames for gained leaves, or for the wait alone, or the one that says that everything is held.
pub(crate) fn news(
    content_id: ContentId,
    content: &Content,
    ranges: &[LeafRange],
    backlog_ms: u32,
) -> Vec<wire::Have> {
    let size_bytes = content.size_bytes();
    if content.is_complete() {
        let ranges = Vec::new();
        return vec![wire::Have { content_id, size_bytes, reset: false, complete: true, ranges, backlog_ms }];
    }
    haves(content_id, size_bytes, ranges, backlog_ms)
}

/// Have frames for gained leaves, as many as the limit of ranges needs; one if there are none.
fn haves(content_id: ContentId, size_bytes: u64, ranges: &[LeafRange], backlog_ms: u32) -> Vec<wire::Have> {
    let have =
        |ranges| wire::Have { content_id, size_bytes, reset: false, complete: false, ranges, backlog_ms };
    if ranges.is_empty() {
        return vec![have(Vec::new())];
    }
    ranges.chunks(MAX_HAVE_RANGES).map(|part| have(part.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: ContentId = ContentId([1; 32]);

    #[test]
    fn the_first_have_resets_even_when_nothing_is_held() {
        let haves = first_haves(CONTENT, 1 << 20, &LeafSet::new(64), 0);
        assert_eq!(haves.len(), 1);
        assert!(haves[0].reset && !haves[0].complete && haves[0].ranges.is_empty());
        let full = first_haves(CONTENT, 1 << 20, &LeafSet::full(64), 0);
        assert!(full[0].complete);
    }

    #[test]
    fn a_fragmented_holding_takes_several_frames() {
        let count = 2 * (MAX_HAVE_RANGES as u32 + 1);
        let mut held = LeafSet::new(count);
        for leaf in (0..count).step_by(2) {
            held.insert(LeafRange::new(leaf, 1));
        }
        let haves = first_haves(CONTENT, u64::from(count) << 14, &held, 0);
        assert_eq!(haves.len(), 2);
        assert!(haves[0].reset && !haves[1].reset);
    }
}
