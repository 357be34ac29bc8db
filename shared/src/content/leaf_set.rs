//! A dense set of leaves of one content: one bit a leaf, 8 KiB per GiB of media.
//!
//! Invariant: no bit at or beyond `leaf_count` is ever set, and `len` counts the bits. Ranges given from outside are clipped to the
//! content, never refused.

use crate::units::{LeafIndex, LeafRange};

const WORD_BITS: u32 = u64::BITS;

/// Which leaves of a content are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeafSet {
    words: Vec<u64>,
    leaf_count: u32,
    len: u32,
}

impl LeafSet {
    /// No leaf of a content of `leaf_count` leaves.
    pub fn empty(leaf_count: u32) -> Self {
        Self { words: vec![0; leaf_count.div_ceil(WORD_BITS) as usize], leaf_count, len: 0 }
    }

    /// Every leaf of a content of `leaf_count` leaves.
    pub fn full(leaf_count: u32) -> Self {
        let mut set = Self::empty(leaf_count);
        set.insert(LeafRange::new(0, leaf_count));
        set
    }

    /// Reads the byte form: leaf `i` is bit `i % 8` of byte `i / 8`. `None` if the length is wrong or a bit beyond the end is set.
    pub fn from_bytes(leaf_count: u32, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != leaf_count.div_ceil(8) as usize {
            return None;
        }
        let mut set = Self::empty(leaf_count);
        for (word, group) in set.words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..group.len()].copy_from_slice(group);
            *word = u64::from_le_bytes(padded);
        }
        let tail = leaf_count % WORD_BITS;
        if tail != 0 && set.words.last().is_some_and(|last| last >> tail != 0) {
            return None;
        }
        set.len = set.words.iter().map(|word| word.count_ones()).sum();
        Some(set)
    }

    /// The bytes of the byte form that hold `leaves`, and the offset of the first of them.
    pub fn bytes_around(&self, leaves: LeafRange) -> (u64, Vec<u8>) {
        let leaves = self.clip(leaves);
        if leaves.count == 0 {
            return (0, Vec::new());
        }
        let (first, last) = (leaves.first / 8, (leaves.end() - 1) / 8);
        let byte = |at: u32| self.words[(at / 8) as usize].to_le_bytes()[(at % 8) as usize];
        (first.into(), (first..=last).map(byte).collect())
    }

    /// Adds `leaves`; returns how many are new.
    pub fn insert(&mut self, leaves: LeafRange) -> u32 {
        let mut new = 0;
        for (word, mask) in masks(self.clip(leaves)) {
            new += (mask & !self.words[word]).count_ones();
            self.words[word] |= mask;
        }
        self.len += new;
        new
    }

    /// Takes `leaves` out; returns how many were in.
    pub fn remove(&mut self, leaves: LeafRange) -> u32 {
        let mut gone = 0;
        for (word, mask) in masks(self.clip(leaves)) {
            gone += (mask & self.words[word]).count_ones();
            self.words[word] &= !mask;
        }
        self.len -= gone;
        gone
    }

    /// Adds every leaf of `other`, as far as this content reaches.
    pub fn union_with(&mut self, other: &Self) {
        for range in other.ranges() {
            self.insert(range);
        }
    }

    /// How many leaves the content has.
    pub const fn leaf_count(&self) -> u32 {
        self.leaf_count
    }

    /// How many leaves are in.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether none is in.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether all are in.
    pub const fn is_full(&self) -> bool {
        self.len == self.leaf_count
    }

    /// Whether `leaf` is in.
    pub fn contains(&self, leaf: LeafIndex) -> bool {
        leaf < self.leaf_count && self.words[(leaf / WORD_BITS) as usize] >> (leaf % WORD_BITS) & 1 == 1
    }

    /// Whether all of `leaves` are in; a range that reaches beyond the content is not.
    pub fn contains_all(&self, leaves: LeafRange) -> bool {
        self.clip(leaves) == leaves && masks(leaves).all(|(word, mask)| self.words[word] & mask == mask)
    }

    /// Whether any of `leaves` is in.
    pub fn contains_any(&self, leaves: LeafRange) -> bool {
        masks(self.clip(leaves)).any(|(word, mask)| self.words[word] & mask != 0)
    }

    /// How many of `leaves` are in.
    pub fn count_in(&self, leaves: LeafRange) -> u32 {
        masks(self.clip(leaves)).map(|(word, mask)| (self.words[word] & mask).count_ones()).sum()
    }

    /// The first leaf at or after `from` that is in.
    pub fn next_held(&self, from: LeafIndex) -> Option<LeafIndex> {
        self.next(from, |word| word)
    }

    /// The first leaf at or after `from` that is not in.
    pub fn next_missing(&self, from: LeafIndex) -> Option<LeafIndex> {
        self.next(from, |word| !word)
    }

    /// The last leaf at or before `from` that is in.
    pub fn last_held(&self, from: LeafIndex) -> Option<LeafIndex> {
        let from = from.min(self.leaf_count.checked_sub(1)?);
        let mut word = (from / WORD_BITS) as usize;
        let mut bits = self.words[word] & (u64::MAX >> (WORD_BITS - 1 - from % WORD_BITS));
        while bits == 0 {
            word = word.checked_sub(1)?;
            bits = self.words[word];
        }
        Some(word as u32 * WORD_BITS + bits.ilog2())
    }

    /// The leaves that are in, as maximal ranges in order.
    pub fn ranges(&self) -> impl Iterator<Item = LeafRange> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            let first = self.next_held(from)?;
            from = self.next_missing(first).unwrap_or(self.leaf_count);
            Some(LeafRange::new(first, from - first))
        })
    }

    /// The leaves of `within` that are not in, as maximal ranges in order.
    pub fn missing_in(&self, within: LeafRange) -> impl Iterator<Item = LeafRange> + '_ {
        let within = self.clip(within);
        let mut from = within.first;
        std::iter::from_fn(move || {
            let first = self.next_missing(from).filter(|first| *first < within.end())?;
            from = self.next_held(first).unwrap_or(self.leaf_count).min(within.end());
            Some(LeafRange::new(first, from - first))
        })
    }

    fn next(&self, from: LeafIndex, sought: impl Fn(u64) -> u64) -> Option<LeafIndex> {
        if from >= self.leaf_count {
            return None;
        }
        let mut word = (from / WORD_BITS) as usize;
        let mut bits = sought(self.words[word]) & (u64::MAX << (from % WORD_BITS));
        while bits == 0 {
            word += 1;
            bits = sought(*self.words.get(word)?);
        }
        Some(word as u32 * WORD_BITS + bits.trailing_zeros()).filter(|leaf| *leaf < self.leaf_count)
    }

    fn clip(&self, leaves: LeafRange) -> LeafRange {
        let first = leaves.first.min(self.leaf_count);
        LeafRange::new(first, leaves.end().min(self.leaf_count).saturating_sub(first))
    }
}

/// The words `leaves` touches, each with the bits that are meant.
fn masks(leaves: LeafRange) -> impl Iterator<Item = (usize, u64)> {
    let mut from = leaves.first;
    std::iter::from_fn(move || {
        if from >= leaves.end() {
            return None;
        }
        let bit = from % WORD_BITS;
        let count = (WORD_BITS - bit).min(leaves.end() - from);
        let item = ((from / WORD_BITS) as usize, u64::MAX >> (WORD_BITS - count) << bit);
        from += count;
        Some(item)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_set_holds_every_leaf_and_nothing_beyond() {
        for count in [0, 1, 63, 64, 65, 200] {
            let set = LeafSet::full(count);
            assert!(set.is_full());
            assert_eq!(
                set.ranges().collect::<Vec<_>>(),
                (count > 0).then_some(LeafRange::new(0, count)).into_iter().collect::<Vec<_>>()
            );
            assert!(!set.contains(count));
            assert!(!set.contains_all(LeafRange::new(0, count + 1)));
            assert_eq!(set.next_missing(0), None);
        }
    }

    #[test]
    fn a_byte_form_with_a_bit_beyond_the_end_is_refused() {
        assert!(LeafSet::from_bytes(9, &[0xff, 0x01]).is_some());
        assert!(LeafSet::from_bytes(9, &[0xff, 0x02]).is_none());
        assert!(LeafSet::from_bytes(9, &[0xff]).is_none());
        assert!(LeafSet::from_bytes(64, &[0xff; 8]).is_some_and(|set| set.is_full()));
    }

    proptest! {
        #[test]
        fn it_agrees_with_an_ordered_set(
            leaf_count in 1_u32..300,
            steps in prop::collection::vec((any::<bool>(), 0_u32..320, 0_u32..150), 0..30),
            probe in 0_u32..320, probe_count in 0_u32..150,
        ) {
            let (mut set, mut model) = (LeafSet::empty(leaf_count), BTreeSet::new());
            for (adds, first, count) in steps {
                let leaves = LeafRange::new(first, count);
                let inside: Vec<u32> = leaves.leaves().filter(|leaf| *leaf < leaf_count).collect();
                if adds {
                    let new = inside.iter().filter(|leaf| model.insert(**leaf)).count();
                    prop_assert_eq!(set.insert(leaves) as usize, new);
                } else {
                    let gone = inside.iter().filter(|leaf| model.remove(*leaf)).count();
                    prop_assert_eq!(set.remove(leaves) as usize, gone);
                }
            }
            let range = LeafRange::new(probe, probe_count);
            prop_assert_eq!(set.len() as usize, model.len());
            prop_assert_eq!(set.contains_all(range), range.leaves().all(|leaf| model.contains(&leaf)) && (range.end() <= leaf_count && probe <= leaf_count));
            prop_assert_eq!(set.contains_any(range), range.leaves().any(|leaf| model.contains(&leaf)));
            prop_assert_eq!(set.count_in(range) as usize, model.range(range.leaves()).count());
            prop_assert_eq!(set.next_held(probe), model.range(probe..).next().copied());
            prop_assert_eq!(set.last_held(probe), model.range(..=probe).next_back().copied());
            prop_assert_eq!(set.next_missing(probe), (probe..leaf_count).find(|leaf| !model.contains(leaf)));
            prop_assert_eq!(set.ranges().flat_map(LeafRange::leaves).collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            let missing: Vec<u32> = set.missing_in(range).flat_map(LeafRange::leaves).collect();
            let expected: Vec<u32> = range.leaves().filter(|leaf| *leaf < leaf_count && !model.contains(leaf)).collect();
            prop_assert_eq!(missing, expected);
            let (at, bytes) = set.bytes_around(LeafRange::new(0, leaf_count));
            prop_assert_eq!(at, 0);
            prop_assert_eq!(LeafSet::from_bytes(leaf_count, &bytes), Some(set));
        }
    }
}
