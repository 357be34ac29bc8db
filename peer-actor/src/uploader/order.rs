//! Reads end in any order; chunks leave in the order in which they were begun. Pure.
//!
//! Invariant: of each link, a finished read is given out exactly once, and never before one that was begun earlier.

use std::collections::{BTreeMap, VecDeque};

use shared::wire::RequestId;

use crate::session::SessionId;

/// Reads of all links, each with its result once it is there.
#[derive(Debug)]
pub(crate) struct ReadOrder<T> {
    links: BTreeMap<SessionId, VecDeque<(RequestId, Option<T>)>>,
}

impl<T> Default for ReadOrder<T> {
    fn default() -> Self {
        Self { links: BTreeMap::new() }
    }
}

impl<T> ReadOrder<T> {
    /// A read begins.
    pub(crate) fn begun(&mut self, session: SessionId, id: RequestId) {
        self.links.entry(session).or_default().push_back((id, None));
    }

    /// A read has ended: what may leave now, in order. Nothing for a link that has gone.
    pub(crate) fn ended(&mut self, session: SessionId, id: RequestId, result: T) -> Vec<T> {
        let Some(reads) = self.links.get_mut(&session) else { return Vec::new() };
        if let Some((_, slot)) = reads.iter_mut().find(|(begun, slot)| *begun == id && slot.is_none()) {
            *slot = Some(result);
        }
        let mut ready = Vec::new();
        while let Some((_, Some(_))) = reads.front() {
            ready.extend(reads.pop_front().and_then(|(_, result)| result));
        }
        if reads.is_empty() {
            self.links.remove(&session);
        }
        ready
    }

    /// A link has gone, and with it whoever waits for its reads.
    pub(crate) fn forget(&mut self, session: SessionId) {
        self.links.remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_leave_in_the_order_in_which_their_reads_began() {
        let mut order = ReadOrder::default();
        let (one, other) = (SessionId(1), SessionId(2));
        for id in 1..=3 {
            order.begun(one, id);
        }
        order.begun(other, 9);
        assert!(order.ended(one, 3, 'c').is_empty());
        assert_eq!(order.ended(other, 9, 'x'), ['x']);
        assert_eq!(order.ended(one, 1, 'a'), ['a']);
        assert_eq!(order.ended(one, 2, 'b'), ['b', 'c']);
        assert!(order.links.is_empty());
    }

    #[test]
    fn what_ends_after_its_link_has_gone_is_dropped() {
        let mut order = ReadOrder::default();
        order.begun(SessionId(1), 1);
        order.forget(SessionId(1));
        assert!(order.ended(SessionId(1), 1, ()).is_empty());
    }
}
