//! All sources together, kept in step with each: which are seeds, and what the others may hold.
//!
//! Whether anybody else has a leaf is asked for many leaves that nobody has. Invariant: the others hold nothing that is not in `others`; what
//! one of them loses stays in it until the next [`Viewer::look_over`].

use std::ops::Range;

use super::{SourceId, Viewer, source::Source};
use crate::{
    leaf_set::LeafSet,
    units::{LeafIndex, LeafRange},
};

/// See the file's header.
#[derive(Debug)]
pub(super) struct Overview {
    /// In the order of their numbers.
    seeds: Vec<SourceId>,
    others: LeafSet,
    is_lost: bool,
}

impl Overview {
    pub(super) fn new(leaf_count: u32) -> Self {
        Self { seeds: Vec::new(), others: LeafSet::new(leaf_count), is_lost: false }
    }

    /// In the order of their numbers.
    pub(super) fn seeds(&self) -> impl Iterator<Item = SourceId> {
        self.seeds.iter().copied()
    }

    /// A source is a seed from now on.
    pub(super) fn seeded(&mut self, id: SourceId) {
        if let Err(at) = self.seeds.binary_search(&id) {
            self.seeds.insert(at, id);
        }
    }

    /// A source is no seed after all.
    pub(super) fn unseeded(&mut self, id: SourceId) {
        self.seeds.retain(|seed| *seed != id);
    }

    /// A source that is no seed holds more.
    pub(super) fn gained(&mut self, leaves: LeafRange) {
        self.others.insert(leaves);
    }

    /// A source may hold less than before.
    pub(super) const fn lost(&mut self) {
        self.is_lost = true;
    }

    /// A source is gone.
    pub(super) fn left(&mut self, id: SourceId, source: &Source) {
        self.unseeded(id);
        self.is_lost |= !source.have.is_empty();
    }

    /// Whether a source other than `spared` may hold `leaf`.
    pub(super) fn may_be_had(&self, leaf: LeafIndex, spared: Option<SourceId>) -> bool {
        self.others.has(leaf) || self.seeds().any(|seed| Some(seed) != spared)
    }

    /// The first leaf of `range` that any source may hold.
    pub(super) fn first_to_be_had(&self, range: Range<LeafIndex>) -> Option<LeafIndex> {
        if self.seeds.is_empty() { self.others.first_held_in(range) } else { Some(range.start) }
    }
}

impl Viewer {
    /// Finds out anew what the others hold, if one of them may hold less than before.
    pub(super) fn look_over(&mut self) {
        if !std::mem::take(&mut self.overview.is_lost) {
            return;
        }
        self.overview.others.clear();
        for source in self.sources.values().filter(|source| !source.is_seed) {
            source.have.runs().for_each(|run| self.overview.gained(run));
        }
    }
}
