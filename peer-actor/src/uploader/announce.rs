//! Who asked to hear what is held of which content, and what they have not been told yet.
//!
//! Invariant: a subscriber's first Have is a reset with everything held; after that each gained leaf is announced once, unless the
//! subscriber has it itself.

use std::collections::BTreeMap;

use shared::{
    ContentId, LeafRange,
    leaf_set::LeafSet,
    limits::{MAX_HAVE_RANGES, MAX_OPEN_CONTENTS},
    wire,
};

use crate::{session::SessionId, store::Content};

/// What subscribers are still to be told.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    pending: BTreeMap<ContentId, BTreeMap<SessionId, Vec<LeafRange>>>,
}

impl Announcer {
    /// A neighbour wants to hear of a content; false when it follows too many.
    pub(crate) fn subscribe(&mut self, session: SessionId, content_id: ContentId) -> bool {
        let followed = self.pending.values().filter(|subscribers| subscribers.contains_key(&session)).count();
        if followed >= 4 * MAX_OPEN_CONTENTS {
            return false;
        }
        self.pending.entry(content_id).or_default().entry(session).or_default();
        true
    }

    /// A neighbour no longer wants to hear of a content.
    pub(crate) fn unsubscribe(&mut self, session: SessionId, content_id: &ContentId) {
        if let Some(subscribers) = self.pending.get_mut(content_id) {
            subscribers.remove(&session);
            if subscribers.is_empty() {
                self.pending.remove(content_id);
            }
        }
    }

    /// A link has ended.
    pub(crate) fn forget(&mut self, session: SessionId) {
        self.pending.retain(|_, subscribers| {
            subscribers.remove(&session);
            !subscribers.is_empty()
        });
    }

    /// Leaves are newly held; of use to those for whom `is_told` says so.
    pub(crate) fn gained(
        &mut self,
        content_id: &ContentId,
        leaves: LeafRange,
        is_told: impl Fn(SessionId) -> bool,
    ) {
        let subscribers = self.pending.get_mut(content_id).into_iter().flatten();
        for (_, pending) in subscribers.filter(|(session, _)| is_told(**session)) {
            match pending.last_mut() {
                Some(last) if last.end() == leaves.first => last.count += leaves.count,
                _ => pending.push(leaves),
            }
        }
    }

    /// Everybody who follows the content.
    pub(crate) fn subscribers(&self, content_id: &ContentId) -> Vec<SessionId> {
        self.pending
            .get(content_id)
            .map(|subscribers| subscribers.keys().copied().collect())
            .unwrap_or_default()
    }

    /// What is to be told now; afterwards nothing is pending.
    pub(crate) fn take(&mut self) -> Vec<(SessionId, ContentId, Vec<LeafRange>)> {
        let mut due = Vec::new();
        for (content_id, subscribers) in &mut self.pending {
            for (session, pending) in subscribers {
                if !pending.is_empty() {
                    due.push((*session, *content_id, std::mem::take(pending)));
                }
            }
        }
        due
    }
}

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
    if haves.is_empty() {
        haves.push(wire::Have {
            content_id,
            size_bytes,
            reset: true,
            complete: false,
            ranges: Vec::new(),
            backlog_ms,
        });
    }
    haves[0].reset = true;
    haves
}

/// Have frames for gained leaves, or the one that says that everything is held.
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

/// Have frames for gained leaves, as many as the limit of ranges needs.
fn haves(content_id: ContentId, size_bytes: u64, ranges: &[LeafRange], backlog_ms: u32) -> Vec<wire::Have> {
    ranges
        .chunks(MAX_HAVE_RANGES)
        .map(|part| wire::Have {
            content_id,
            size_bytes,
            reset: false,
            complete: false,
            ranges: part.to_vec(),
            backlog_ms,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: ContentId = ContentId([1; 32]);
    const ONE: SessionId = SessionId(1);
    const TWO: SessionId = SessionId(2);

    #[test]
    fn every_subscriber_is_told_every_gained_leaf_once() {
        let mut announcer = Announcer::default();
        announcer.subscribe(ONE, CONTENT);
        announcer.gained(&CONTENT, LeafRange::new(0, 2), |_| true);
        announcer.subscribe(TWO, CONTENT);
        announcer.gained(&CONTENT, LeafRange::new(2, 1), |_| true);
        let told = announcer.take();
        assert_eq!(
            told,
            vec![(ONE, CONTENT, vec![LeafRange::new(0, 3)]), (TWO, CONTENT, vec![LeafRange::new(2, 1)])]
        );
        assert!(announcer.take().is_empty());
    }

    #[test]
    fn who_has_it_is_not_told() {
        let mut announcer = Announcer::default();
        announcer.subscribe(ONE, CONTENT);
        announcer.subscribe(TWO, CONTENT);
        announcer.gained(&CONTENT, LeafRange::new(0, 2), |session| session != ONE);
        assert_eq!(announcer.take(), vec![(TWO, CONTENT, vec![LeafRange::new(0, 2)])]);
    }

    #[test]
    fn who_left_is_told_nothing() {
        let mut announcer = Announcer::default();
        announcer.subscribe(ONE, CONTENT);
        announcer.subscribe(TWO, CONTENT);
        announcer.forget(ONE);
        announcer.unsubscribe(TWO, &CONTENT);
        announcer.gained(&CONTENT, LeafRange::new(0, 1), |_| true);
        assert!(announcer.take().is_empty());
        assert!(announcer.subscribers(&CONTENT).is_empty());
    }

    #[test]
    fn a_neighbour_cannot_follow_without_bound() {
        let mut announcer = Announcer::default();
        let followed = (0..1000u32).filter(|n| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&n.to_le_bytes());
            announcer.subscribe(ONE, ContentId(id))
        });
        assert_eq!(followed.count(), 4 * MAX_OPEN_CONTENTS);
    }

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
