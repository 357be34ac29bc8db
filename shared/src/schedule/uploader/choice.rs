//! Which queued request is served next: the earliest deadline in fair shares, or an origin's order.
//!
//! Of what is not needed at once, what few neighbours have goes first: whoever gets it serves the others. By deadline alone a chunk would
//! wait until it is due, and then all its copies were due together; in a large swarm that is too late for most. While all who ask have
//! yet to start, what most wait for goes first of what is needed at once: nobody starts with one chunk of several, and chunk after chunk, each
//! to everybody before the next to anybody, would be one uplink's work.
//!
//! Invariant: what is chosen fits into the credit of its link and what that link can take.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    LinkId, Uploader, UploaderOutput,
    link::{Link, Queued},
    origin::Rank,
};

/// A link may be ahead of the least served one by this much and still compete by deadline.
const FAIR_SLACK_BYTES: u64 = 256 * 1024;
/// What is needed within this is served by deadline alone.
const AT_ONCE_MS: u64 = 3_000;

impl Uploader {
    /// What is served next, charged to its link.
    pub(super) fn next(&mut self, now_ms: u64, patience_ms: u64) -> Option<(LinkId, Queued)> {
        let best = self.most_urgent_ranked(now_ms, patience_ms);
        if best.is_none_or(|(rank, ..)| rank > Rank::Fresh)
            && let Some(fresh) = self.next_fresh(now_ms, patience_ms)
        {
            return Some(fresh);
        }
        let (rank, link_id, at) = best?;
        let link = self.links.get_mut(&link_id)?;
        self.fair_bytes = self.fair_bytes.max(link.served_bytes);
        let queued = link.start(at);
        if rank == Rank::Boost {
            self.origin.boosted(queued.bytes);
        }
        Some((link_id, queued))
    }

    /// Answers a token with a fresh chunk.
    fn next_fresh(&mut self, now_ms: u64, patience_ms: u64) -> Option<(LinkId, Queued)> {
        let links = &self.links;
        let can_take = |link: LinkId, bytes: u64| {
            links.get(&link).is_some_and(|link| link.can_take(now_ms, bytes, patience_ms))
        };
        let (link_id, wanted, leaves, bytes) = self.origin.pop_token(now_ms, can_take, &mut self.outputs)?;
        let queued = Queued {
            id: wanted.id,
            content_id: wanted.content_id,
            epoch: wanted.epoch,
            leaves,
            bytes,
            deadline_ms: now_ms,
            proof_skip: wanted.proof_skip(leaves),
            branch: wanted.branch(leaves),
            starting: false,
        };
        self.links.get_mut(&link_id)?.begin(&queued);
        self.begin_use(link_id);
        self.outputs.push_back(UploaderOutput::Assigned { link: link_id, id: wanted.id, leaves });
        Some((link_id, queued))
    }

    /// The request to serve next: of what this node is a seed of by rank, then by deadline; of the rest, first copies before second ones,
    /// in fair shares.
    fn most_urgent_ranked(&self, now_ms: u64, patience_ms: u64) -> Option<(Rank, LinkId, usize)> {
        let origin = &self.origin;
        let ahead = origin.ahead();
        let mut best = None;
        let open = self.links_in_use().filter(|(_, link)| link.is_open(now_ms, patience_ms));
        for (id, link) in open.filter(|_| origin.is_in_demand()) {
            for (at, queued) in link.queue().iter().enumerate() {
                if !link.can_take(now_ms, queued.bytes, patience_ms) {
                    continue;
                }
                let due_ms = link.due_ms(queued);
                let rank = origin.rank(now_ms, queued, due_ms, &ahead);
                let key = (rank, due_ms, *id);
                if rank < Rank::Rest && best.is_none_or(|(least, _)| key < least) {
                    best = Some((key, at));
                }
            }
        }
        if let Some(((rank, _, link), at)) = best {
            return Some((rank, link, at));
        }
        let (link, at) = self.most_urgent(now_ms, patience_ms, |queued| origin.is_repeat(queued))?;
        Some((Rank::Rest, link, at))
    }

    /// Among the links with the least service that can take it: of what is no repeat before what is one, what is needed at once (by those who
    /// start alone: what most wait for), what few have, the earliest deadline.
    pub(super) fn most_urgent(
        &self,
        now_ms: u64,
        patience_ms: u64,
        is_repeat: impl Fn(&Queued) -> bool,
    ) -> Option<(LinkId, usize)> {
        let by_deadline = |link: &Link, queued: &Queued| (is_repeat(queued), link.due_ms(queued));
        let (link, at, due_ms) = self.first_in_fair_shares(now_ms, patience_ms, by_deadline)?;
        let soon_ms = now_ms + AT_ONCE_MS;
        let queued = || self.links_in_use().flat_map(|(_, link)| link.queue());
        let do_all_start = || queued().all(|queued| queued.starting);
        if due_ms <= soon_ms && !do_all_start() {
            return Some((link, at));
        }
        let mut waiting = BTreeMap::new();
        if due_ms <= soon_ms {
            for queued in queued() {
                *waiting.entry((queued.leaves, queued.content_id)).or_insert(0u32) += 1;
            }
        }
        let by_rarity = |link: &Link, queued: &Queued| {
            let due_ms = link.due_ms(queued);
            let is_at_once = due_ms <= soon_ms;
            let (waiting, held_by) = if is_at_once {
                (waiting.get(&(queued.leaves, queued.content_id)).copied(), 0)
            } else {
                (None, self.held_by(&queued.content_id, queued.leaves.first))
            };
            (is_repeat(queued), !is_at_once, Reverse(waiting), held_by, due_ms)
        };
        self.first_in_fair_shares(now_ms, patience_ms, by_rarity).map(|(link, at, _)| (link, at))
    }

    /// The first by `key` of the links with the least service that can take theirs.
    fn first_in_fair_shares<K: Ord>(
        &self,
        now_ms: u64,
        patience_ms: u64,
        key: impl Fn(&Link, &Queued) -> K,
    ) -> Option<(LinkId, usize, u64)> {
        let open = self.links_in_use().filter(|(_, link)| link.is_open(now_ms, patience_ms));
        let candidates = open.filter_map(|(id, link)| {
            let (at, queued) = link.first_by(&key)?;
            link.can_take(now_ms, queued.bytes, patience_ms).then_some((*id, link, at, queued))
        });
        let mut waiting = Vec::with_capacity(self.in_use.len());
        waiting.extend(candidates);
        let least = waiting.iter().map(|(_, link, ..)| link.served_bytes).min()?;
        waiting
            .into_iter()
            .filter(|(_, link, ..)| link.served_bytes <= least + FAIR_SLACK_BYTES)
            .min_by_key(|(id, link, _, queued)| (key(link, queued), *id))
            .map(|(id, link, at, queued)| (id, at, link.due_ms(queued)))
    }
}
