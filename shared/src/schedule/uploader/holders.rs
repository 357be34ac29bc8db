//! Who of the neighbours has what of one content, by what they announce.
//!
//! Invariant: `counts` says of each leaf how many of `held` have it; who has everything is in `complete` and not in `held`, which costs no
//! more for a large file than for a small one.

use std::collections::{BTreeMap, BTreeSet};

use super::LinkId;
use crate::{
    leaf_set::LeafSet,
    units::{LeafIndex, LeafRange},
};

/// The holders of one content.
#[derive(Debug)]
pub(super) struct Holders {
    leaf_count: u32,
    counts: Vec<u16>,
    held: BTreeMap<LinkId, LeafSet>,
    complete: BTreeSet<LinkId>,
}

impl Holders {
    pub(super) const fn new(leaf_count: u32) -> Self {
        Self { leaf_count, counts: Vec::new(), held: BTreeMap::new(), complete: BTreeSet::new() }
    }

    /// A neighbour has these too, or everything.
    pub(super) fn have(&mut self, link: LinkId, complete: bool, ranges: &[LeafRange]) {
        if complete {
            self.forget(link);
            self.complete.insert(link);
        }
        if self.complete.contains(&link) {
            return;
        }
        self.counts.resize(self.leaf_count as usize, 0);
        let held = self.held.entry(link).or_insert_with(|| LeafSet::new(self.leaf_count));
        for range in ranges {
            let gained: Vec<LeafRange> = held.missing_runs_in(*range).collect();
            for leaf in gained.iter().flat_map(|run| run.leaves()) {
                let count = &mut self.counts[leaf as usize];
                *count = count.saturating_add(1);
            }
            held.insert(*range);
        }
    }

    /// What a neighbour said no longer counts; all that it had.
    pub(super) fn forget(&mut self, link: LinkId) -> Vec<LeafRange> {
        if self.complete.remove(&link) {
            return vec![LeafRange::new(0, self.leaf_count)];
        }
        let Some(held) = self.held.remove(&link) else { return Vec::new() };
        for leaf in held.runs().flat_map(|run| run.leaves()) {
            let count = &mut self.counts[leaf as usize];
            *count = count.saturating_sub(1);
        }
        held.runs().collect()
    }

    /// Whether a neighbour has everything.
    pub(super) fn is_complete(&self, link: LinkId) -> bool {
        self.complete.contains(&link)
    }

    /// Whether a neighbour has a leaf.
    pub(super) fn has(&self, link: LinkId, leaf: LeafIndex) -> bool {
        self.complete.contains(&link) || self.held.get(&link).is_some_and(|held| held.has(leaf))
    }

    /// How many have a leaf.
    pub(super) fn of(&self, leaf: LeafIndex) -> usize {
        self.complete.len() + usize::from(self.counts.get(leaf as usize).copied().unwrap_or(0))
    }

    /// How many have said anything.
    pub(super) fn len(&self) -> usize {
        self.complete.len() + self.held.len()
    }

    /// Whether nobody has said anything.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_leaf_is_counted_once_and_no_more_when_it_is_forgotten() {
        let mut holders = Holders::new(100);
        holders.have(1, false, &[LeafRange::new(0, 10), LeafRange::new(5, 10)]);
        holders.have(1, false, &[LeafRange::new(14, 2), LeafRange::new(90, 50)]);
        holders.have(2, false, &[LeafRange::new(14, 1)]);
        assert_eq!([0, 7, 14, 15, 16, 99, 500].map(|leaf| holders.of(leaf)), [1, 1, 2, 1, 0, 1, 0]);
        assert!(holders.has(2, 14) && !holders.has(2, 15) && holders.len() == 2);
        assert_eq!(holders.forget(1), [LeafRange::new(0, 16), LeafRange::new(90, 10)]);
        assert_eq!([0, 14, 99].map(|leaf| holders.of(leaf)), [0, 1, 0]);
        assert!(holders.forget(1).is_empty());
    }

    #[test]
    fn who_has_everything_has_each_leaf_until_it_is_forgotten() {
        let mut holders = Holders::new(100);
        holders.have(1, false, &[LeafRange::new(0, 10)]);
        holders.have(1, true, &[]);
        holders.have(1, false, &[LeafRange::new(3, 1)]);
        assert!(holders.has(1, 99) && holders.of(3) == 1 && holders.len() == 1);
        assert_eq!(holders.forget(1), [LeafRange::new(0, 100)]);
        assert!(holders.is_empty() && holders.of(3) == 0);
    }
}
