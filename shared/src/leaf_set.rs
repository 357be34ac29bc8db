//! A set of leaves of one content: one bit a leaf, with runs.
//!
//! Invariant: no bit at or beyond `leaf_count` is ever set, and `count` is the number of set bits. Ranges that reach beyond the
//! content are cut, so no input can panic or grow the set. It does not know bytes, files or hashes.

use std::{fmt, ops::Range};

use crate::units::{LeafIndex, LeafRange};

const WORD_BITS: u32 = u64::BITS;

/// Which leaves of one content are in; dense, 8 KiB per GiB of content.
#[derive(Clone, PartialEq, Eq)]
pub struct LeafSet {
    words: Vec<u64>,
    leaf_count: u32,
    count: u32,
}

impl LeafSet {
    /// The empty set of a content of `leaf_count` leaves.
    pub fn new(leaf_count: u32) -> Self {
        Self { words: vec![0; leaf_count.div_ceil(WORD_BITS) as usize], leaf_count, count: 0 }
    }

    /// Every leaf of a content of `leaf_count` leaves.
    pub fn full(leaf_count: u32) -> Self {
        let mut set = Self::new(leaf_count);
        set.insert(LeafRange::new(0, leaf_count));
        set
    }

    /// The leaves of `ranges`, cut to the content.
    pub fn from_ranges(leaf_count: u32, ranges: impl IntoIterator<Item = LeafRange>) -> Self {
        let mut set = Self::new(leaf_count);
        for range in ranges {
            set.insert(range);
        }
        set
    }

    /// Reads the packed form: leaf `i` is bit `i % 8` of byte `i / 8`. `None` if the length is wrong or a bit beyond the end is set.
    pub fn from_packed(leaf_count: u32, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != leaf_count.div_ceil(8) as usize {
            return None;
        }
        let mut set = Self::new(leaf_count);
        for (word, group) in set.words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..group.len()].copy_from_slice(group);
            *word = u64::from_le_bytes(padded);
        }
        let tail = leaf_count % WORD_BITS;
        if tail != 0 && set.words.last().is_some_and(|last| last >> tail != 0) {
            return None;
        }
        set.count = set.words.iter().map(|word| word.count_ones()).sum();
        Some(set)
    }

    /// The bytes of the packed form that hold `range`, and the offset of the first of them.
    pub fn packed_around(&self, range: LeafRange) -> (u64, Vec<u8>) {
        let end = range.end().min(self.leaf_count);
        if range.first >= end {
            return (0, Vec::new());
        }
        let (first, last) = (range.first / 8, (end - 1) / 8);
        let byte = |at: u32| self.words[(at / 8) as usize].to_le_bytes()[(at % 8) as usize];
        (first.into(), (first..=last).map(byte).collect())
    }

    /// Puts a range in; how many of its leaves are new.
    pub fn insert(&mut self, range: LeafRange) -> u32 {
        let before = self.count;
        for (word, mask) in self.masks(range) {
            let added = mask & !self.words[word];
            self.words[word] |= mask;
            self.count += added.count_ones();
        }
        self.count - before
    }

    /// Takes a range out; how many of its leaves were in.
    pub fn remove(&mut self, range: LeafRange) -> u32 {
        let before = self.count;
        for (word, mask) in self.masks(range) {
            let removed = mask & self.words[word];
            self.words[word] &= !mask;
            self.count -= removed.count_ones();
        }
        before - self.count
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.words.fill(0);
        self.count = 0;
    }

    /// How many leaves the content has.
    pub const fn leaf_count(&self) -> u32 {
        self.leaf_count
    }

    /// How many leaves are in.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether nothing is in.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether every leaf of the content is in.
    pub const fn is_full(&self) -> bool {
        self.count == self.leaf_count
    }

    /// Whether one leaf is in.
    pub fn has(&self, leaf: LeafIndex) -> bool {
        self.words.get((leaf / WORD_BITS) as usize).is_some_and(|word| word >> (leaf % WORD_BITS) & 1 == 1)
    }

    /// Whether all of a range is in; a range that reaches beyond the content is not, an empty one is.
    pub fn contains(&self, range: LeafRange) -> bool {
        range.count == 0
            || (u64::from(range.first) + u64::from(range.count) <= u64::from(self.leaf_count)
                && self.masks(range).all(|(word, mask)| self.words[word] & mask == mask))
    }

    /// Whether any leaf of a range is in.
    pub fn intersects(&self, range: LeafRange) -> bool {
        self.masks(range).any(|(word, mask)| self.words[word] & mask != 0)
    }

    /// How many leaves of a range are in.
    pub fn count_in(&self, range: LeafRange) -> u32 {
        self.masks(range).map(|(word, mask)| (self.words[word] & mask).count_ones()).sum()
    }

    /// The first leaf at or after `from` that is not in.
    pub fn first_missing(&self, from: LeafIndex) -> Option<LeafIndex> {
        self.next(from..self.leaf_count, false)
    }

    /// The first leaf at or after `from` that is in.
    pub fn first_held(&self, from: LeafIndex) -> Option<LeafIndex> {
        self.next(from..self.leaf_count, true)
    }

    /// The first leaf of `range` that is in. Looks no further than it must.
    pub fn first_held_in(&self, range: Range<LeafIndex>) -> Option<LeafIndex> {
        self.next(range, true)
    }

    /// The last leaf at or before `from` that is in.
    pub fn last_held(&self, from: LeafIndex) -> Option<LeafIndex> {
        let from = from.min(self.leaf_count.checked_sub(1)?);
        let mut index = (from / WORD_BITS) as usize;
        let mut word = self.words[index] & (u64::MAX >> (WORD_BITS - 1 - from % WORD_BITS));
        while word == 0 {
            index = index.checked_sub(1)?;
            word = self.words[index];
        }
        Some(index as u32 * WORD_BITS + word.ilog2())
    }

    /// The maximal runs of leaves that are in, in order.
    pub fn runs(&self) -> Runs<'_> {
        self.runs_in(LeafRange::new(0, self.leaf_count))
    }

    /// The runs of leaves that are in, cut to `range`.
    pub fn runs_in(&self, range: LeafRange) -> Runs<'_> {
        Runs { set: self, held: true, next: range.first, end: range.end().min(self.leaf_count) }
    }

    /// The runs of leaves that are not in, cut to `range`.
    pub fn missing_runs_in(&self, range: LeafRange) -> Runs<'_> {
        Runs { set: self, held: false, next: range.first, end: range.end().min(self.leaf_count) }
    }

    fn next(&self, range: Range<LeafIndex>, held: bool) -> Option<LeafIndex> {
        let (from, end) = (range.start, range.end.min(self.leaf_count));
        if from >= end {
            return None;
        }
        let flip = if held { 0 } else { u64::MAX };
        let mut index = (from / WORD_BITS) as usize;
        let mut word = (self.words[index] ^ flip) & (u64::MAX << (from % WORD_BITS));
        while word == 0 {
            index += 1;
            if index as u32 * WORD_BITS >= end {
                return None;
            }
            word = self.words[index] ^ flip;
        }
        let leaf = index as u32 * WORD_BITS + word.trailing_zeros();
        (leaf < end).then_some(leaf)
    }

    /// The words a range touches, each with the mask of its bits, cut to the content.
    fn masks(&self, range: LeafRange) -> impl Iterator<Item = (usize, u64)> + use<> {
        let first = range.first.min(self.leaf_count);
        let end = range.end().min(self.leaf_count);
        let words = if first < end { first / WORD_BITS..end.div_ceil(WORD_BITS) } else { 0..0 };
        words.map(move |word| {
            let from = first.saturating_sub(word * WORD_BITS).min(WORD_BITS - 1);
            let to = (end - word * WORD_BITS).min(WORD_BITS);
            (word as usize, (u64::MAX << from) & (u64::MAX >> (WORD_BITS - to)))
        })
    }
}

impl fmt::Debug for LeafSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafSet({}/{})", self.count, self.leaf_count)
    }
}

/// Maximal runs of a [`LeafSet`], in order; made by [`LeafSet::runs`] and its kin.
#[derive(Debug, Clone)]
pub struct Runs<'a> {
    set: &'a LeafSet,
    held: bool,
    next: LeafIndex,
    end: LeafIndex,
}

impl Iterator for Runs<'_> {
    type Item = LeafRange;

    fn next(&mut self) -> Option<LeafRange> {
        let first = self.set.next(self.next..self.end, self.held)?;
        let end = self.set.next(first..self.end, !self.held).unwrap_or(self.end);
        self.next = end;
        Some(LeafRange::new(first, end - first))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_set_has_one_run_and_no_missing_leaf() {
        let set = LeafSet::full(130);
        assert!(set.is_full());
        assert_eq!(set.runs().collect::<Vec<_>>(), [LeafRange::new(0, 130)]);
        assert_eq!(set.first_missing(0), None);
    }

    #[test]
    fn a_content_without_leaves_is_both_empty_and_full() {
        let mut set = LeafSet::new(0);
        assert_eq!(set.insert(LeafRange::new(0, 9)), 0);
        assert!(set.is_full() && set.is_empty());
        assert_eq!(set.runs().count(), 0);
        assert_eq!(set.first_missing(0), None);
    }

    #[test]
    fn ranges_beyond_the_content_are_cut() {
        let mut set = LeafSet::new(70);
        assert_eq!(set.insert(LeafRange::new(60, u32::MAX)), 10);
        assert_eq!(set.insert(LeafRange::new(u32::MAX, u32::MAX)), 0);
        assert!(set.contains(LeafRange::new(60, 10)));
        assert!(!set.contains(LeafRange::new(60, 11)));
        assert!(!set.has(70));
        assert_eq!(
            set.missing_runs_in(LeafRange::new(50, 100)).collect::<Vec<_>>(),
            [LeafRange::new(50, 10)]
        );
    }

    #[test]
    fn a_packed_form_with_a_bit_beyond_the_end_is_refused() {
        assert!(LeafSet::from_packed(9, &[0xff, 0x01]).is_some());
        assert!(LeafSet::from_packed(9, &[0xff, 0x02]).is_none());
        assert!(LeafSet::from_packed(9, &[0xff]).is_none());
        assert!(LeafSet::from_packed(64, &[0xff; 8]).is_some_and(|set| set.is_full()));
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_set_of_integers(
            leaf_count in 1u32..300,
            steps in prop::collection::vec((any::<bool>(), 0u32..320, 0u32..150), 1..40),
            window in (0u32..320, 0u32..320),
        ) {
            let mut set = LeafSet::new(leaf_count);
            let mut model = BTreeSet::new();
            for (put, first, count) in steps {
                let range = LeafRange::new(first, count);
                let inside = first..range.end().min(leaf_count);
                let before = model.len();
                if put {
                    model.extend(inside);
                    prop_assert_eq!(set.insert(range) as usize, model.len() - before);
                } else {
                    inside.for_each(|leaf| { model.remove(&leaf); });
                    prop_assert_eq!(set.remove(range) as usize, before - model.len());
                }
                prop_assert_eq!(set.count() as usize, model.len());
            }
            let range = LeafRange::new(window.0, window.1);
            let end = range.end().min(leaf_count);
            let held: Vec<u32> = (range.first..end).filter(|leaf| model.contains(leaf)).collect();
            let missing: Vec<u32> = (range.first..end).filter(|leaf| !model.contains(leaf)).collect();
            prop_assert_eq!(set.runs_in(range).flat_map(LeafRange::leaves).collect::<Vec<_>>(), held.clone());
            prop_assert_eq!(set.missing_runs_in(range).flat_map(LeafRange::leaves).collect::<Vec<_>>(), missing.clone());
            prop_assert_eq!(set.count_in(range) as usize, held.len());
            prop_assert_eq!(set.intersects(range), !held.is_empty());
            prop_assert_eq!(set.contains(range), range.count == 0 || (range.end() <= leaf_count && missing.is_empty()));
            prop_assert_eq!(set.first_missing(range.first), (range.first..leaf_count).find(|leaf| !model.contains(leaf)));
            prop_assert_eq!(set.first_held(range.first), model.range(range.first..).next().copied());
            prop_assert_eq!(set.first_held_in(range.first..end), held.first().copied());
            prop_assert_eq!(set.last_held(range.first), model.range(..=range.first).next_back().copied());
            let (at, packed) = set.packed_around(LeafRange::new(0, leaf_count));
            prop_assert_eq!(at, 0);
            prop_assert_eq!(LeafSet::from_packed(leaf_count, &packed), Some(set.clone()));
            let (at, some) = set.packed_around(range);
            prop_assert_eq!(&packed[at as usize..at as usize + some.len()], &some[..]);
            let runs: Vec<LeafRange> = set.runs().collect();
            prop_assert!(runs.windows(2).all(|pair| pair[0].end() < pair[1].first));
        }
    }
}
