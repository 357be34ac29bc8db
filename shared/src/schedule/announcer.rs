//! Who asked to hear what is held of which content, and what they have not been told yet.
//!
//! What no neighbour is known to have is told soon, since whoever hears of it first passes it on; the rest is told with that, or later: it is
//! a choice more for those who lack it, and near the limit of a swarm its frame would be in the way of data. A seed that serves nobody else
//! is told last of all: it counts copies for viewers that are yet to come.
//!
//! Whoever starts is told also when what it would wait here becomes another: all who start ask whoever has what they lack, at once, and what
//! that told with its last news was true before they asked. In a large swarm nobody is: there is always somebody else.
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
/// A wait is news if it is another by so much, and by half.
const WAIT_STEP_MS: u64 = 200;
/// Whoever asked as one that starts is told of waits for so long.
const STARTING_MS: u64 = 2_000;

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
    /// For how long it gathered last.
    gathers_ms: u64,
    /// Until then it is taken to start.
    starts_until_ms: u64,
    /// When a request would have been served, as it was told last.
    told_free_ms: u64,
}

impl News {
    fn is_due(&self, now_ms: u64, wait_ms: u64) -> bool {
        !self.ranges.is_empty() && self.due_ms <= now_ms
            || self.is_of_waits(now_ms) && self.is_another(now_ms, wait_ms)
    }

    /// Whether it is told of waits: it starts, in a swarm that is not large, where nothing gathers for long.
    const fn is_of_waits(&self, now_ms: u64) -> bool {
        now_ms < self.starts_until_ms && self.gathers_ms <= TICK_MS
    }

    /// Whether it believes in another wait.
    fn is_another(&self, now_ms: u64, wait_ms: u64) -> bool {
        let told_ms = self.told_free_ms.saturating_sub(now_ms);
        wait_ms.abs_diff(told_ms) >= WAIT_STEP_MS.max(told_ms / 2)
    }
}

impl Announcer {
    /// A neighbour wants to hear of a content. It is told in this moment all that is held, and that a request would wait for `wait_ms`.
    pub fn subscribe(
        &mut self,
        now_ms: u64,
        link: LinkId,
        content_id: ContentId,
        wait_ms: u32,
    ) -> Subscription {
        let told_free_ms = now_ms + u64::from(wait_ms);
        let known = self.pending.get_mut(&content_id).and_then(|subscribers| subscribers.get_mut(&link));
        if let Some(news) = known {
            news.told_free_ms = told_free_ms;
            return Subscription::Known;
        }
        let followed = self.pending.values().filter(|subscribers| subscribers.contains_key(&link)).count();
        if followed >= 4 * MAX_OPEN_CONTENTS {
            return Subscription::Refused;
        }
        self.pending.entry(content_id).or_default().insert(link, News { told_free_ms, ..News::default() });
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
            news.gathers_ms = soon_ms;
            news.due_ms = if news.ranges.is_empty() { due_ms } else { news.due_ms.min(due_ms) };
            news.ranges.push(leaves);
        }
    }

    /// A neighbour that starts asked for some of a content.
    pub fn starts(&mut self, now_ms: u64, link: LinkId, content_id: &ContentId) {
        let news = self.pending.get_mut(content_id).and_then(|subscribers| subscribers.get_mut(&link));
        if let Some(news) = news {
            news.starts_until_ms = now_ms + STARTING_MS;
        }
    }

    /// Everybody who follows the content.
    pub fn subscribers(&self, content_id: &ContentId) -> Vec<LinkId> {
        self.pending
            .get(content_id)
            .map(|subscribers| subscribers.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Whether there may be anything to tell, now or later.
    pub fn has_news(&self, now_ms: u64) -> bool {
        let mut news = self.pending.values().flat_map(BTreeMap::values);
        news.any(|news| !news.ranges.is_empty() || news.is_of_waits(now_ms))
    }

    /// What is to be told now that a request would wait for `wait_ms`: to whoever something is due all there is for it, in order and coalesced.
    pub fn take(&mut self, now_ms: u64, wait_ms: u32) -> Vec<(LinkId, ContentId, Vec<LeafRange>)> {
        let mut due = Vec::new();
        for (content_id, subscribers) in &mut self.pending {
            for (link, news) in subscribers {
                if news.is_due(now_ms, wait_ms.into()) {
                    news.told_free_ms = now_ms + u64::from(wait_ms);
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
        announcer.subscribe(0, ONE, CONTENT, 0);
        announcer
    }

    #[test]
    fn every_subscriber_is_told_every_gained_leaf_once() {
        let mut announcer = announcer();
        announcer.gained(0, &CONTENT, LeafRange::new(4, 2), SOON_MS, |_| Some(Notice::Soon));
        announcer.gained(0, &CONTENT, LeafRange::new(0, 2), SOON_MS, |_| Some(Notice::Soon));
        announcer.subscribe(0, TWO, CONTENT, 0);
        announcer.gained(0, &CONTENT, LeafRange::new(2, 1), SOON_MS, |_| Some(Notice::Soon));
        assert!(announcer.take(SOON_MS - 1, 0).is_empty());
        let whole = vec![LeafRange::new(0, 3), LeafRange::new(4, 2)];
        assert_eq!(
            announcer.take(SOON_MS, 0),
            vec![(ONE, CONTENT, whole), (TWO, CONTENT, vec![LeafRange::new(2, 1)])]
        );
        assert!(announcer.take(u64::MAX, 0).is_empty() && !announcer.has_news(u64::MAX));
    }

    #[test]
    fn what_is_common_waits_for_what_is_not() {
        let mut announcer = announcer();
        announcer.gained(0, &CONTENT, LeafRange::new(0, 1), SOON_MS, |_| Some(Notice::Later));
        assert!(announcer.take(COMMON_DELAYS * SOON_MS - 1, 0).is_empty());
        announcer.gained(100, &CONTENT, LeafRange::new(7, 1), SOON_MS, |_| Some(Notice::Soon));
        let told = announcer.take(100 + SOON_MS, 0);
        assert_eq!(told, vec![(ONE, CONTENT, vec![LeafRange::new(0, 1), LeafRange::new(7, 1)])]);
        announcer.gained(1_000, &CONTENT, LeafRange::new(9, 1), SOON_MS, |_| Some(Notice::Later));
        assert_eq!(announcer.take(1_000 + COMMON_DELAYS * SOON_MS, 0).len(), 1);
    }

    #[test]
    fn who_has_no_use_for_it_yet_is_told_last() {
        let mut announcer = announcer();
        announcer.subscribe(0, TWO, CONTENT, 0);
        announcer.gained(0, &CONTENT, LeafRange::new(0, 1), SOON_MS, |link| Notice::of(&link, &[3], &[ONE]));
        assert_eq!(
            announcer.take(LAST_DELAYS * SOON_MS - 1, 0),
            vec![(TWO, CONTENT, vec![LeafRange::new(0, 1)])]
        );
        assert_eq!(
            announcer.take(LAST_DELAYS * SOON_MS, 0),
            vec![(ONE, CONTENT, vec![LeafRange::new(0, 1)])]
        );
    }

    #[test]
    fn who_has_it_is_not_told() {
        let mut announcer = announcer();
        announcer.subscribe(0, TWO, CONTENT, 0);
        announcer.gained(0, &CONTENT, LeafRange::new(0, 2), SOON_MS, |link| Notice::of(&link, &[ONE], &[]));
        assert_eq!(
            announcer.take(COMMON_DELAYS * SOON_MS, 0),
            vec![(TWO, CONTENT, vec![LeafRange::new(0, 2)])]
        );
        assert!(announcer.take(u64::MAX, 0).is_empty());
    }

    #[test]
    fn who_left_is_told_nothing() {
        let mut announcer = announcer();
        announcer.subscribe(0, TWO, CONTENT, 0);
        announcer.forget(ONE);
        assert!(announcer.unsubscribe(TWO, &CONTENT));
        assert!(!announcer.unsubscribe(TWO, &CONTENT));
        announcer.gained(0, &CONTENT, LeafRange::new(0, 1), SOON_MS, |_| Some(Notice::Soon));
        assert!(announcer.take(u64::MAX, 0).is_empty());
        assert!(announcer.subscribers(&CONTENT).is_empty());
    }

    #[test]
    fn a_neighbour_cannot_follow_without_bound() {
        let mut announcer = Announcer::default();
        let followed = (0..1000u32).filter(|n| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&n.to_le_bytes());
            announcer.subscribe(0, ONE, ContentId(id), 0) == Subscription::New
        });
        assert_eq!(followed.count(), 4 * MAX_OPEN_CONTENTS);
        assert_eq!(announcer.subscribe(0, ONE, ContentId([0; 32]), 0), Subscription::Known);
    }

    #[test]
    fn who_starts_is_told_when_its_wait_becomes_another() {
        let mut announcer = announcer();
        announcer.subscribe(0, TWO, CONTENT, 0);
        assert!(announcer.take(0, 1_000).is_empty() && !announcer.has_news(0), "nobody starts");
        announcer.subscribe(0, ONE, CONTENT, 900);
        announcer.starts(0, ONE, &CONTENT);
        assert!(announcer.take(0, 1_000).is_empty(), "it was told when it came");
        announcer.subscribe(0, ONE, CONTENT, 0);
        announcer.starts(0, ONE, &CONTENT);
        assert!(announcer.has_news(0) && announcer.take(0, 100).is_empty(), "it hardly waits");
        assert_eq!(announcer.take(0, 1_000), [(ONE, CONTENT, vec![])]);
        assert!(announcer.take(500, 500).is_empty(), "it knows that time passes");
        assert!(
            announcer.take(500, 700).is_empty() && announcer.take(500, 300).is_empty(),
            "by less than half"
        );
        assert_eq!(announcer.take(500, 751), [(ONE, CONTENT, vec![])]);
        assert!(announcer.take(STARTING_MS, 9_000).is_empty() && !announcer.has_news(STARTING_MS));
        announcer.gained(STARTING_MS, &CONTENT, LeafRange::new(0, 1), 2 * SOON_MS, |_| Some(Notice::Soon));
        announcer.starts(STARTING_MS, ONE, &CONTENT);
        assert!(announcer.take(STARTING_MS, 9_000).is_empty(), "its swarm is large");
    }

    #[test]
    fn a_wait_is_told_with_what_was_gained() {
        let mut announcer = announcer();
        announcer.starts(0, ONE, &CONTENT);
        announcer.gained(0, &CONTENT, LeafRange::new(0, 1), SOON_MS, |_| Some(Notice::Soon));
        assert_eq!(announcer.take(0, 1_000), [(ONE, CONTENT, vec![LeafRange::new(0, 1)])]);
        assert!(announcer.take(SOON_MS, 1_000).is_empty());
    }
}
