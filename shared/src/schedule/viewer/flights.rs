//! Requests that are out: by id, by leaf, and what is remembered of those that were taken back.
//!
//! Invariant: `by_leaf` names exactly the flights in `by_id`, and two flights overlap only if they are for the same leaves (a hedge).

use std::collections::BTreeMap;

use super::types::SourceId;
use crate::{
    schedule::numbered::Numbered,
    units::{LeafIndex, LeafRange},
    wire::RequestId,
};

/// How many taken-back requests are remembered, so that their data is recognised when it crosses the Cancel.
const MAX_REMEMBERED: usize = 4_096;

/// One request that is out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) source: SourceId,
    pub(super) leaves: LeafRange,
    pub(super) bytes: u64,
    pub(super) sent_ms: u64,
    /// When its bytes are needed.
    pub(super) deadline_ms: u64,
    /// How long it was expected to take when it was sent.
    pub(super) expected_ms: u64,
    /// Whether another flight for the same leaves is out too.
    pub(super) hedged: bool,
    /// Since when its source has been asked to give it up, so that another can be asked.
    pub(super) leaving_since_ms: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Flights {
    by_id: Numbered<RequestId, Flight>,
    by_leaf: BTreeMap<LeafIndex, Vec<RequestId>>,
    taken_back: BTreeMap<RequestId, (SourceId, LeafRange)>,
}

impl Flights {
    pub(super) fn insert(&mut self, id: RequestId, flight: Flight) {
        self.by_leaf.entry(flight.leaves.first).or_default().push(id);
        self.by_id.insert(id, flight);
    }

    /// A flight has landed or failed. One that is left alone with its leaves may be asked twice again.
    pub(super) fn remove(&mut self, id: RequestId) -> Option<Flight> {
        let flight = self.by_id.remove(&id)?;
        if let Some(ids) = self.by_leaf.get_mut(&flight.leaves.first) {
            ids.retain(|other| *other != id);
            if let [alone] = ids[..]
                && let Some(alone) = self.by_id.get_mut(&alone)
            {
                alone.hedged = false;
            }
            if ids.is_empty() {
                self.by_leaf.remove(&flight.leaves.first);
            }
        }
        Some(flight)
    }

    /// A flight is cancelled or flushed: its data may still come.
    pub(super) fn take_back(&mut self, id: RequestId) -> Option<Flight> {
        let flight = self.remove(id)?;
        self.expect_late(id, flight.source, flight.leaves);
        Some(flight)
    }

    /// Data is on its way under `id` that no flight waits for.
    pub(super) fn expect_late(&mut self, id: RequestId, source: SourceId, leaves: LeafRange) {
        self.taken_back.insert(id, (source, leaves));
        if self.taken_back.len() > MAX_REMEMBERED {
            self.taken_back.pop_first();
        }
    }

    /// Whether `id` was taken back from `source`; forgets it.
    pub(super) fn recall(&mut self, id: RequestId, source: SourceId) -> Option<LeafRange> {
        let leaves = self.taken_back.get(&id).filter(|(asked, _)| *asked == source)?.1;
        self.taken_back.remove(&id);
        Some(leaves)
    }

    /// Forgets what was taken back from a source that is gone.
    pub(super) fn forget_source(&mut self, source: SourceId) {
        self.taken_back.retain(|_, (asked, _)| *asked != source);
    }

    pub(super) fn get(&self, id: RequestId) -> Option<&Flight> {
        self.by_id.get(&id)
    }

    pub(super) fn mark_hedged(&mut self, id: RequestId) {
        if let Some(flight) = self.by_id.get_mut(&id) {
            flight.hedged = true;
        }
    }

    pub(super) fn mark_leaving(&mut self, id: RequestId, now_ms: u64) {
        if let Some(flight) = self.by_id.get_mut(&id) {
            flight.leaving_since_ms = Some(now_ms);
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RequestId, &Flight)> {
        self.by_id.iter().map(|(id, flight)| (*id, flight))
    }

    /// The flights that overlap `range`.
    pub(super) fn overlapping(&self, range: LeafRange) -> impl Iterator<Item = (RequestId, &Flight)> {
        let before = self.by_leaf.range(..range.first).next_back();
        before
            .into_iter()
            .chain(self.by_leaf.range(range.leaves()))
            .flat_map(|(_, ids)| ids)
            .filter_map(|id| self.by_id.get(id).map(|flight| (*id, flight)))
            .filter(move |(_, flight)| flight.leaves.end() > range.first && flight.leaves.first < range.end())
    }

    pub(super) fn ids_at(&self, source: SourceId) -> Vec<RequestId> {
        self.iter().filter(|(_, flight)| flight.source == source).map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_alone_with_its_leaves_may_be_asked_twice_again() {
        let mut flights = Flights::default();
        let flight = |source, hedged| Flight {
            source,
            leaves: LeafRange::new(8, 2),
            bytes: 1,
            sent_ms: 0,
            deadline_ms: 0,
            expected_ms: 0,
            hedged,
            leaving_since_ms: None,
        };
        flights.insert(1, flight(1, false));
        flights.mark_hedged(1);
        flights.insert(2, flight(2, true));
        assert!(flights.get(1).is_some_and(|flight| flight.hedged));
        flights.remove(2);
        assert!(flights.get(1).is_some_and(|flight| !flight.hedged));
        assert_eq!(flights.overlapping(LeafRange::new(9, 1)).count(), 1);
    }
}
