//! Who asked to hear what is held of which content, and what they have not been told yet.
//!
//! What no neighbour is known to have is told soon, since whoever hears of it first passes it on; the rest is told with that, or later: it is
//! a choice more for those who lack it, and near the limit of a swarm its frame would be in the way of data. A seed that serves nobody else
//! is told last of all: it counts copies for viewers that are yet to come.
//!
//! Invariant: each gained leaf is told once to each subscriber, unless that has it itself.

use std::collections::BTreeMap;

use super::uploader::LinkId;
use crate::{ids::ContentId, limits::MAX_OPEN_CONTENTS, units::LeafRange};

/// How often what is due is looked for.
pub const TICK_MS: u64 = 60;
/// What a neighbour has already is told after this many times the delay of what none has.
const COMMON_DELAYS: u64 = 8;
/// What is of no use yet is told after so many: a seed counts what it sent as being on its way for three times as long.
const LAST_DELAYS: u64 = 16;

/// When somebody is told what is gained, soonest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// No neighbour is known to have it.
    Soon,
    /// Some neighbour has it already.
    Later,
    /// It lacks nothing itself, and nobody else plays the content.
    Last,
}

impl Notice {
    /// What is due to `who`, where `known` have it already and `idle` have no use for it yet; none to those who have it.
    pub fn of<T: PartialEq>(who: &T, known: &[T], idle: &[T]) -> Option<Self> {
        if known.contains(who) {
            return None;
        }
        let others = if known.is_empty() { Self::Soon } else { Self::Later };
        Some(if idle.contains(who) { Self::Last } else { others })
    }

    const fn delays(self) -> u64 {
        match self {
            Self::Soon => 1,
            Self::Later => COMMON_DELAYS,
            Self::Last => LAST_DELAYS,
        }
    }
}

/// What became of a neighbour's wish to hear of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription {
    /// It is told from now on.
    New,
    /// It was told already.
    Known,
    /// It follows too many.
    Refused,
}

/// What subscribers are still to be told.
#[derive(Debug, Default)]
pub struct Announcer {
    pending: BTreeMap<ContentId, BTreeMap<LinkId, News>>,
}

/// What one subscriber is to be told of one content.
#[derive(Debug, Default)]
struct News {
    ranges: Vec<LeafRange>,
    /// Of any use while there is something to tell.
    due_ms: u64,
}

impl Announcer {
    /// A neighbour wants to hear of a content.
    pub fn subscribe(&mut self, link: LinkId, content_id: ContentId) -> Subscription {
        if self.pending.get(&content_id).is_some_and(|subscribers| subscribers.contains_key(&link)) {
            return Subscription::Known;
        }
        let followed = self.pending.values().filter(|subscribers| subscribers.contains_key(&link)).count();
        if followed >= 4 * MAX_OPEN_CONTENTS {
            return Subscription::Refused;
        }
        self.pending.entry(content_id).or_default().insert(link, News::default());
        Subscription::New
    }

    /// A neighbour no longer wants to hear of a content. Whether it did until now.
    pub fn unsubscribe(&mut self, link: LinkId, content_id: &ContentId) -> bool {
        let Some(subscribers) = self.pending.get_mut(content_id) else { return false };
        let followed = subscribers.remove(&link).is_some();
        if subscribers.is_empty() {
            self.pending.remove(content_id);
        }
        followed
    }

    /// A link has ended.
    pub fn forget(&mut self, link: LinkId) {
        self.pending.retain(|_, subscribers| {
            subscribers.remove(&link);
            !subscribers.is_empty()
        });
    }

    /// Leaves are newly held; `notice` says when each neighbour is told, if at all, and what is told soon gathers for `soon_ms`.
    pub fn gained(
        &mut self,
        now_ms: u64,
        content_id: &ContentId,
        leaves: LeafRange,
        soon_ms: u64,
        notice: impl Fn(LinkId) -> Option<Notice>,
    ) {
        for (link, news) in self.pending.get_mut(content_id).into_iter().flatten() {
            let Some(notice) = notice(*link) else { continue };
            let due_ms = now_ms + notice.delays() * soon_ms;
            news.due_ms = if news.ranges.is_empty() { due_ms } else { news.due_ms.min(due_ms) };
            news.ranges.push(leaves);
        }
    }

    /// Everybody who follows the content.
    pub fn subscribers(&self, content_id: &ContentId) -> Vec<LinkId> {
        self.pending
            .get(content_id)
            .map(|subscribers| subscribers.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Whether there is anything to tell, now or later.
    pub fn has_news(&self) -> bool {
        self.pending.values().flat_map(BTreeMap::values).any(|news| !news.ranges.is_empty())
    }

    /// What is to be told now: to whoever something is due all there is for it, in order and coalesced.
    pub fn take(&mut self, now_ms: u64) -> Vec<(LinkId, ContentId, Vec<LeafRange>)> {
        let mut due = Vec::new();
        for (content_id, subscribers) in &mut self.pending {
            for (link, news) in subscribers {
                if !news.ranges.is_empty() && news.due_ms <= now_ms {
                    due.push((*link, *content_id, coalesced(std::mem::take(&mut news.ranges))));
                }
            }
        }
        due
    }
}

/// Ranges in order, neighbours joined.
fn coalesced(mut ranges: Vec<LeafRange>) -> Vec<LeafRange> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, last| {
        let joins = last.end() >= next.first;
        if joins {
            last.count = last.count.max(next.end() - last.first);
        }
        joins
    });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: ContentId = ContentId([1; 32]);
    const SOON_MS: u64 = TICK_MS;
    const ONE: LinkId = 1;
    const TWO: LinkId = 2;

    fn announcer() -> Announcer {
        let mut announcer = Announcer::default();
        announcer.subscribe(ONE, CONTENT);
        announcer
    }

    #[test]
    fn every_subscriber_is_told_every_gained_leaf_once() {
        let mut announcer = announcer();
        announcer.gained(0, &CONTENT, LeafRange::new(4, 2), SOON_MS, |_| Some(Notice::Soon));
        announcer.gained(0, &CONTENT, LeafRange::new(0, 2), SOON_MS, |_| Some(Notice::Soon));
        announcer.subscribe(TWO, CONTENT);
        announcer.gained(0, &CONTENT, LeafRange::new(2, 1), SOON_MS, |_| Some(Notice::Soon));
        assert!(announcer.take(SOON_MS - 1).is_empty());
        let whole = vec![LeafRange::new(0, 3), LeafRange::new(4, 2)];
        assert_eq!(
            announcer.take(SOON_MS),
            vec![(ONE, CONTENT, whole), (TWO, CONTENT, vec![LeafRange::new(2, 1)])]
        );
        assert!(announcer.take(u64::MAX).is_empty() && !announcer.has_news());
    }

    #[test]
    fn what_is_common_waits_for_what_is_not() {
        let mut announcer = announcer();
        announcer.gained(0, &CONTENT, LeafRange::new(0, 1), SOON_MS, |_| Some(Notice::Later));
        assert!(announcer.take(COMMON_DELAYS * SOON_MS - 1).is_empty());
        announcer.gained(100, &CONTENT, LeafRange::new(7, 1), SOON_MS, |_| Some(Notice::Soon));
        let told = announcer.take(100 + SOON_MS);
        assert_eq!(told, vec![(ONE, CONTENT, vec![LeafRange::new(0, 1), LeafRange::new(7, 1)])]);
        announcer.gained(1_000, &CONTENT, LeafRange::new(9, 1), SOON_MS, |_| Some(Notice::Later));
        assert_eq!(announcer.take(1_000 + COMMON_DELAYS * SOON_MS).len(), 1);
    }

    #[test]
    fn who_has_no_use_for_it_yet_is_told_last() {
        let mut announcer = announcer();
        announcer.subscribe(TWO, CONTENT);
        announcer.gained(0, &CONTENT, LeafRange::new(0, 1), SOON_MS, |link| Notice::of(&link, &[3], &[ONE]));
        assert_eq!(
            announcer.take(LAST_DELAYS * SOON_MS - 1),
            vec![(TWO, CONTENT, vec![LeafRange::new(0, 1)])]
        );
        assert_eq!(announcer.take(LAST_DELAYS * SOON_MS), vec![(ONE, CONTENT, vec![LeafRange::new(0, 1)])]);
    }

    #[test]
    fn who_has_it_is_not_told() {
        let mut announcer = announcer();
        announcer.subscribe(TWO, CONTENT);
        announcer.gained(0, &CONTENT, LeafRange::new(0, 2), SOON_MS, |link| Notice::of(&link, &[ONE], &[]));
        assert_eq!(announcer.take(COMMON_DELAYS * SOON_MS), vec![(TWO, CONTENT, vec![LeafRange::new(0, 2)])]);
        assert!(announcer.take(u64::MAX).is_empty());
    }

    #[test]
    fn who_left_is_told_nothing() {
        let mut announcer = announcer();
        announcer.subscribe(TWO, CONTENT);
        announcer.forget(ONE);
        assert!(announcer.unsubscribe(TWO, &CONTENT));
        assert!(!announcer.unsubscribe(TWO, &CONTENT));
        announcer.gained(0, &CONTENT, LeafRange::new(0, 1), SOON_MS, |_| Some(Notice::Soon));
        assert!(announcer.take(u64::MAX).is_empty());
        assert!(announcer.subscribers(&CONTENT).is_empty());
    }

    #[test]
    fn a_neighbour_cannot_follow_without_bound() {
        let mut announcer = Announcer::default();
        let followed = (0..1000u32).filter(|n| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&n.to_le_bytes());
            announcer.subscribe(ONE, ContentId(id)) == Subscription::New
        });
        assert_eq!(followed.count(), 4 * MAX_OPEN_CONTENTS);
        assert_eq!(announcer.subscribe(ONE, ContentId([0; 32])), Subscription::Known);
    }
}
