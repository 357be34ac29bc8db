//! What an origin has sent lately, so that it sends something else first.
//!
//! Only of a chunk's first leaf, and only for some seconds: whoever got a copy announces it long before that, or is gone. Bounded; when it
//! is full the oldest half is forgotten, which costs second copies and nothing else.

use std::collections::BTreeMap;

use crate::{
    ids::ContentId,
    units::{LeafIndex, LeafRange},
};

/// How long a sent chunk counts as being passed on.
const PASSED_ON_MS: u64 = 10_000;
/// So many first copies go before an urgent second one: the share of an origin's uplink that helps those who start.
const FIRSTS_PER_REPEAT: u32 = 2;
const MAX_REMEMBERED: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct FirstCopies {
    sent_ms: BTreeMap<(ContentId, LeafIndex), u64>,
    /// First copies sent since the last excused second one.
    firsts: u32,
}

impl FirstCopies {
    /// A chunk leaves.
    pub(super) fn sent(&mut self, now_ms: u64, content_id: ContentId, leaves: LeafRange) {
        self.firsts =
            if self.has_left(now_ms, content_id, leaves) { 0 } else { self.firsts.saturating_add(1) };
        if self.sent_ms.len() + leaves.count as usize > MAX_REMEMBERED {
            let mut times: Vec<u64> = self.sent_ms.values().copied().collect();
            times.sort_unstable();
            let median_ms = times[times.len() / 2];
            self.sent_ms.retain(|_, sent_ms| *sent_ms > median_ms);
        }
        self.sent_ms.extend(leaves.leaves().map(|leaf| ((content_id, leaf), now_ms)));
    }

    /// Whether an urgent second copy may go before first ones.
    pub(super) const fn may_repeat(&self) -> bool {
        self.firsts >= FIRSTS_PER_REPEAT
    }

    /// Whether a copy of the chunk left lately.
    pub(super) fn has_left(&self, now_ms: u64, content_id: ContentId, leaves: LeafRange) -> bool {
        let sent_ms = self.sent_ms.get(&(content_id, leaves.first));
        sent_ms.is_some_and(|sent_ms| now_ms.saturating_sub(*sent_ms) < PASSED_ON_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_a_repeat_for_some_seconds() {
        let mut copies = FirstCopies::default();
        let content = ContentId([1; 32]);
        copies.sent(1_000, content, LeafRange::new(8, 4));
        assert!(copies.has_left(1_000, content, LeafRange::new(8, 2)));
        assert!(copies.has_left(2_000, content, LeafRange::new(11, 1)));
        assert!(!copies.has_left(2_000, content, LeafRange::new(12, 4)));
        assert!(!copies.has_left(2_000, ContentId([2; 32]), LeafRange::new(8, 4)));
        assert!(!copies.has_left(1_000 + PASSED_ON_MS, content, LeafRange::new(8, 4)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut copies = FirstCopies::default();
        for n in 0..40_000 {
            copies.sent(u64::from(n), ContentId([1; 32]), LeafRange::new(n * 2, 2));
            assert!(copies.sent_ms.len() <= MAX_REMEMBERED);
        }
        assert!(copies.has_left(40_000, ContentId([1; 32]), LeafRange::new(79_998, 2)));
    }
}
