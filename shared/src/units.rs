//! Leaves, byte ranges and their arithmetic. Index, count and size never mix.
//!
//! A content of `size` bytes has `ceil(size / 16 KiB)` leaves; only the last may be short. An empty content has none.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::limits::LEAF_BYTES;

/// The number of a leaf within its content, from 0.
pub type LeafIndex = u32;

/// Half-open range of bytes within one content.
pub type ByteRange = Range<u64>;

/// Half-open range of leaves within one content; the unit of request, transfer and announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeafRange {
    /// The first leaf.
    pub first: LeafIndex,
    /// How many leaves; a range of none is legal in arithmetic and refused on the wire.
    pub count: u32,
}

impl LeafRange {
    /// `first .. first + count`.
    pub const fn new(first: LeafIndex, count: u32) -> Self {
        Self { first, count }
    }

    /// One past the last leaf.
    pub const fn end(self) -> LeafIndex {
        self.first.saturating_add(self.count)
    }

    /// The indices in order.
    pub fn leaves(self) -> Range<LeafIndex> {
        self.first..self.end()
    }

    /// Whether `leaf` lies within.
    pub fn contains(self, leaf: LeafIndex) -> bool {
        self.leaves().contains(&leaf)
    }

    /// The bytes the range covers in a content of `size_bytes`.
    pub fn bytes(self, size_bytes: u64) -> ByteRange {
        let start = u64::from(self.first) * LEAF_BYTES;
        let end = u64::from(self.end()) * LEAF_BYTES;
        start.min(size_bytes)..end.min(size_bytes)
    }

    /// How many bytes the range covers in a content of `size_bytes`.
    pub fn len_bytes(self, size_bytes: u64) -> u64 {
        let range = self.bytes(size_bytes);
        range.end - range.start
    }

    /// The smallest range of leaves that covers `bytes`.
    pub fn covering(bytes: &ByteRange) -> Self {
        if bytes.start >= bytes.end {
            return Self::new(leaf_of(bytes.start), 0);
        }
        let first = leaf_of(bytes.start);
        Self::new(first, leaf_of(bytes.end - 1) - first + 1)
    }
}

/// How many leaves a content of `size_bytes` has.
pub const fn leaf_count(size_bytes: u64) -> u32 {
    size_bytes.div_ceil(LEAF_BYTES) as u32
}

/// The leaf that holds the byte at `offset_bytes`.
pub const fn leaf_of(offset_bytes: u64) -> LeafIndex {
    (offset_bytes / LEAF_BYTES) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_leaf_is_as_short_as_the_content() {
        let size = 2 * LEAF_BYTES + 5;
        assert_eq!(leaf_count(size), 3);
        assert_eq!(LeafRange::new(2, 1).len_bytes(size), 5);
        assert_eq!(LeafRange::new(0, 3).bytes(size), 0..size);
    }

    #[test]
    fn covering_takes_every_touched_leaf() {
        assert_eq!(LeafRange::covering(&(LEAF_BYTES - 1..LEAF_BYTES + 1)), LeafRange::new(0, 2));
        assert_eq!(LeafRange::covering(&(LEAF_BYTES..2 * LEAF_BYTES)), LeafRange::new(1, 1));
        assert_eq!(LeafRange::covering(&(7..7)).count, 0);
    }

    #[test]
    fn an_empty_content_has_no_leaf() {
        assert_eq!(leaf_count(0), 0);
    }
}
