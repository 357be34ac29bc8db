//! What of one content an origin's viewers have, so that it sends what nobody has yet.
//!
//! A leaf is *fresh* while no live link has announced it and no copy is on its way. A copy counts as being on its way for some seconds
//! after it was sent; whoever got it has announced it long before that, or is gone. Viewers that never announce anything are given
//! longer. A false Have keeps leaves from being fresh, no more: they are still served to whoever asks.

use std::collections::{BTreeMap, VecDeque};

use super::{LinkId, holders::Holders};
use crate::{
    leaf_set::LeafSet,
    schedule::LARGE_SWARM,
    units::{LeafIndex, LeafRange, leaf_count},
};

/// How long a sent chunk counts as being on its way.
const ON_ITS_WAY_MS: u64 = 3_000;
/// The same where nobody announces what it got.
const UNHEARD_MS: u64 = 10_000;
/// Fresh chunks are sent for what is played within this, by anybody.
const WINDOW_MS: u64 = 15_000;
/// The window of a content whose rate is unknown.
const WINDOW_LEAVES: u32 = 256;
/// First copies are early enough when they are so far ahead of everybody who plays: that is time to pass them on to all.
const LEAD_MS: u64 = 4_000;
/// First copies are left this many times the rate of the media.
const RESERVE: f64 = 1.3;
const LARGE_RESERVE: f64 = 3.0;
/// What of a large swarm's first copies those may have whose uplinks have enough to do: what is played within this by whoever is foremost.
const BUSY_LEAD_MS: u64 = 8_000;
/// Whoever asked so often for what it had announced is not believed any more.
const MAX_DOUBTS: u8 = 3;
/// A playhead that was not heard of for so long is none; in a large swarm each is heard of rarely.
const PLAYHEAD_MS: u64 = 5_000;
const LARGE_PLAYHEAD_MS: u64 = 60_000;

/// The copies of one content.
#[derive(Debug)]
pub(super) struct Copies {
    pub(super) bitrate_bps: u64,
    size_bytes: u64,
    /// Nobody has it and nobody is being sent it.
    fresh: LeafSet,
    /// What live links have announced.
    holders: Holders,
    /// How often each link asked for what it had announced.
    doubts: BTreeMap<LinkId, u8>,
    /// What was sent, to whom, and until when that counts; in order of time.
    on_way: VecDeque<(u64, LinkId, LeafRange)>,
    /// Where viewers play, and when they said so.
    playheads: BTreeMap<LinkId, (LeafIndex, u64)>,
}

impl Copies {
    pub(super) fn new(size_bytes: u64) -> Self {
        let leaves = leaf_count(size_bytes);
        Self {
            bitrate_bps: 0,
            size_bytes,
            fresh: LeafSet::full(leaves),
            holders: Holders::new(leaves),
            doubts: BTreeMap::new(),
            on_way: VecDeque::new(),
            playheads: BTreeMap::new(),
        }
    }

    pub(super) fn len_bytes(&self, leaves: LeafRange) -> u64 {
        leaves.len_bytes(self.size_bytes)
    }

    /// Whether nobody has the first leaf of it.
    pub(super) fn is_fresh(&self, leaves: LeafRange) -> bool {
        self.fresh.has(leaves.first)
    }

    /// A chunk leaves.
    pub(super) fn sent(&mut self, now_ms: u64, link: LinkId, leaves: LeafRange) {
        let lasts_ms = if self.holders.is_empty() { UNHEARD_MS } else { ON_ITS_WAY_MS };
        self.fresh.remove(leaves);
        self.on_way.push_back((now_ms + lasts_ms, link, leaves));
    }

    /// A chunk did not leave after all.
    pub(super) fn unsent(&mut self, link: LinkId, leaves: LeafRange) {
        self.on_way.retain(|(_, to, sent)| *to != link || *sent != leaves);
        self.freshen(leaves);
    }

    /// A viewer announces what it holds.
    pub(super) fn have(&mut self, link: LinkId, reset: bool, complete: bool, ranges: &[LeafRange]) {
        if complete && self.holders.is_complete(link) {
            return;
        }
        if reset {
            self.forget_held(link);
        }
        let doubts = self.doubts.get(&link).copied().unwrap_or(0);
        if doubts >= MAX_DOUBTS {
            return;
        }
        self.holders.have(link, complete, ranges);
        let whole = [LeafRange::new(0, leaf_count(self.size_bytes))];
        let ranges = if complete { &whole[..] } else { ranges };
        ranges.iter().for_each(|range| _ = self.fresh.remove(*range));
    }

    /// A viewer asks for a leaf. Whoever asks for what it has announced has announced what it does not have, or has lost it: nothing that it
    /// said before counts any more, and if that goes on, nothing that it says.
    pub(super) fn wants(&mut self, link: LinkId, leaf: LeafIndex) {
        if self.holders.has(link, leaf) {
            self.forget_held(link);
            let doubts = self.doubts.entry(link).or_default();
            *doubts = doubts.saturating_add(1);
        }
    }

    /// A link is gone.
    pub(super) fn left(&mut self, link: LinkId) {
        self.closed(link);
        self.doubts.remove(&link);
    }

    /// A link no longer wants the content: what only it had, or was being sent, is fresh again.
    pub(super) fn closed(&mut self, link: LinkId) {
        self.playheads.remove(&link);
        let lost: Vec<LeafRange> =
            self.on_way.iter().filter(|(_, to, _)| *to == link).map(|(_, _, leaves)| *leaves).collect();
        self.on_way.retain(|(_, to, _)| *to != link);
        self.forget_held(link);
        lost.into_iter().for_each(|leaves| self.freshen(leaves));
    }

    /// Whether nobody is known to care.
    pub(super) fn is_unused(&self) -> bool {
        self.holders.is_empty() && self.on_way.is_empty() && self.playheads.is_empty()
    }

    /// A viewer needs nothing before `leaf`.
    pub(super) fn plays(&mut self, now_ms: u64, link: LinkId, leaf: LeafIndex) {
        self.playheads.insert(link, (leaf, now_ms));
    }

    /// What was sent too long ago and never announced is fresh again.
    pub(super) fn expire(&mut self, now_ms: u64) {
        while let Some((_, _, leaves)) = self.on_way.pop_front_if(|(until_ms, ..)| *until_ms <= now_ms) {
            self.freshen(leaves);
        }
        let lasts_ms = if self.is_large() { LARGE_PLAYHEAD_MS } else { PLAYHEAD_MS };
        self.playheads.retain(|_, (_, heard_ms)| now_ms < *heard_ms + lasts_ms);
    }

    /// The fresh chunk for a viewer that needs nothing before `from` and takes `chunk_leaves` at most: the earliest that anybody plays
    /// soon. `forced`, if it is fresh, goes before all others.
    pub(super) fn choose(
        &self,
        from: LeafIndex,
        forced: Option<LeafIndex>,
        chunk_leaves: u32,
    ) -> Option<LeafRange> {
        if let Some(leaf) = forced.filter(|leaf| self.fresh.has(*leaf)) {
            return Some(self.chunk_at(leaf, chunk_leaves));
        }
        let mut next = from;
        loop {
            let leaf = self.fresh.first_held(next)?;
            let window = self.leaves_in(WINDOW_MS);
            let is_near = |(playhead, _): &(LeafIndex, u64)| {
                *playhead <= leaf && leaf < playhead.saturating_add(window)
            };
            if self.playheads.values().any(is_near) {
                return Some(self.chunk_at(leaf, chunk_leaves));
            }
            next = self.playheads.values().map(|(playhead, _)| *playhead).filter(|at| *at > leaf).min()?;
        }
    }

    /// The largest aligned chunk at `leaf` that is fresh throughout.
    fn chunk_at(&self, leaf: LeafIndex, chunk_leaves: u32) -> LeafRange {
        let leaves = leaf_count(self.size_bytes);
        let most = chunk_leaves.max(1).ilog2().min(leaf.trailing_zeros());
        (0..=most)
            .rev()
            .map(|log| LeafRange::new(leaf, (1 << log).min(leaves - leaf)))
            .find(|chunk| self.fresh.contains(*chunk))
            .unwrap_or_else(|| LeafRange::new(leaf, 1))
    }

    /// Whether whatever anybody plays soon has left already: more of it can wait.
    pub(super) fn is_ahead(&self) -> bool {
        if self.is_large() {
            return false;
        }
        let lead = self.leaves_in(LEAD_MS);
        let is_early = |(playhead, _): &(LeafIndex, u64)| {
            self.fresh.first_held(*playhead).is_none_or(|fresh| fresh - playhead >= lead)
        };
        self.playheads.values().all(is_early)
    }

    /// Whether viewers that have enough to do are given first copies too: whoever is foremost comes near what has never left. Among few they
    /// are whenever they ask.
    pub(super) fn are_due(&self, now_ms: u64) -> bool {
        if !self.is_large() {
            return true;
        }
        let lead = self.leaves_in(BUSY_LEAD_MS);
        let plays_at = |(leaf, heard_ms): &(LeafIndex, u64)| {
            leaf.saturating_add(self.leaves_in(now_ms.saturating_sub(*heard_ms)))
        };
        let foremost = self.playheads.values().map(plays_at).max().unwrap_or(0);
        self.fresh.first_held(0).is_some_and(|fresh| fresh < foremost.saturating_add(lead))
    }

    /// What of an uplink first copies are left before anything else is sent ahead of them.
    pub(super) fn reserve_bps(&self) -> f64 {
        let factor = if self.is_large() { LARGE_RESERVE } else { RESERVE };
        factor * self.bitrate_bps as f64
    }

    /// Whether the swarm is so large that a second copy helps one of many: first copies go before all of those, however far they lead.
    fn is_large(&self) -> bool {
        self.holders.len() > LARGE_SWARM
    }

    fn leaves_in(&self, ms: u64) -> u32 {
        match self.bitrate_bps {
            0 => (u64::from(WINDOW_LEAVES).saturating_mul(ms) / WINDOW_MS) as u32,
            bps => ((bps.saturating_mul(ms) / 8_000 / crate::limits::LEAF_BYTES) as u32).saturating_add(1),
        }
    }

    fn forget_held(&mut self, link: LinkId) {
        let lost = self.holders.forget(link);
        lost.into_iter().for_each(|leaves| self.freshen(leaves));
    }

    /// What viewers have said before this node had everything.
    pub(super) fn learn(&mut self, holders: Holders) {
        let whole = LeafRange::new(0, leaf_count(self.size_bytes));
        whole.leaves().filter(|leaf| holders.of(*leaf) > 0).for_each(|leaf| {
            self.fresh.remove(LeafRange::new(leaf, 1));
        });
        self.holders = holders;
    }

    /// Who has what.
    pub(super) const fn holders(&self) -> &Holders {
        &self.holders
    }

    /// Makes fresh what of `leaves` nobody has and nobody is being sent.
    fn freshen(&mut self, leaves: LeafRange) {
        let end = leaves.end().min(self.fresh.leaf_count());
        for leaf in (leaves.first..end).filter(|leaf| self.holders.of(*leaf) == 0) {
            self.fresh.insert(LeafRange::new(leaf, 1));
        }
        for (_, _, sent) in self.on_way.iter().filter(|(_, _, sent)| sent.first < end) {
            self.fresh.remove(*sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 100 << 14;

    #[test]
    fn what_is_sent_or_held_is_not_fresh_and_becomes_so_again() {
        let mut copies = Copies::new(SIZE);
        copies.have(1, true, false, &[LeafRange::new(0, 4)]);
        copies.sent(0, 1, LeafRange::new(4, 4));
        copies.sent(100, 2, LeafRange::new(8, 1));
        assert!(!copies.is_fresh(LeafRange::new(0, 1)) && !copies.is_fresh(LeafRange::new(4, 1)));
        copies.expire(ON_ITS_WAY_MS);
        assert!(copies.is_fresh(LeafRange::new(4, 4)) && !copies.is_fresh(LeafRange::new(8, 1)));
        copies.left(2);
        assert!(copies.is_fresh(LeafRange::new(8, 1)));
        copies.have(3, false, false, &[LeafRange::new(2, 3)]);
        copies.left(1);
        assert!(copies.is_fresh(LeafRange::new(0, 2)) && !copies.is_fresh(LeafRange::new(2, 1)));
        copies.left(3);
        assert_eq!(copies.fresh.count(), 100);
    }

    #[test]
    fn the_earliest_that_anybody_plays_soon_is_chosen() {
        let mut copies = Copies::new(SIZE);
        // One leaf a second: a window of 15 leaves and one.
        copies.bitrate_bps = 8 << 14;
        assert_eq!(copies.choose(0, None, 1), None);
        assert_eq!(copies.choose(0, Some(90), 1), Some(LeafRange::new(90, 1)));
        copies.plays(0, 1, 3);
        copies.plays(0, 2, 50);
        assert_eq!(copies.choose(3, None, 4), Some(LeafRange::new(3, 1)));
        copies.sent(0, 1, LeafRange::new(0, 30));
        assert_eq!(copies.choose(3, None, 4), Some(LeafRange::new(50, 2)));
        assert_eq!(copies.choose(3, Some(5), 4), Some(LeafRange::new(50, 2)));
        copies.sent(0, 1, LeafRange::new(50, 16));
        assert_eq!(copies.choose(3, None, 4), None);
    }

    #[test]
    fn first_copies_are_ahead_when_nobody_plays_what_has_not_left_for_a_while() {
        let mut copies = Copies::new(SIZE);
        // One leaf a second.
        copies.bitrate_bps = 8 << 14;
        let lead = LEAD_MS as u32 / 1_000 + 1;
        copies.plays(0, 1, 10);
        copies.sent(0, 1, LeafRange::new(0, 10 + lead - 1));
        assert!(!copies.is_ahead());
        copies.sent(0, 1, LeafRange::new(10 + lead - 1, 1));
        assert!(copies.is_ahead());
        copies.plays(0, 2, 90);
        assert!(!copies.is_ahead());
    }

    #[test]
    fn in_a_large_swarm_first_copies_never_lead_and_busy_viewers_have_them_when_the_foremost_comes_near() {
        let mut copies = Copies::new(SIZE);
        // One leaf a second.
        copies.bitrate_bps = 8 << 14;
        for link in 0..=LARGE_SWARM as u64 {
            copies.have(link, true, false, &[]);
        }
        copies.plays(0, 1, 10);
        copies.sent(0, 1, LeafRange::new(0, 60));
        assert!(!copies.is_ahead() && !copies.are_due(0));
        assert!((copies.reserve_bps() - LARGE_RESERVE * f64::from(8 << 14)).abs() < 1.0);
        // It has played on since it was heard of, to 8 s and a leaf before what has never left.
        assert!(!copies.are_due(40_000) && copies.are_due(41_000));
        copies.left(2);
        assert!(copies.is_ahead() && copies.are_due(0), "the others are few");
    }

    #[test]
    fn a_chunk_is_aligned_and_fresh_throughout() {
        let mut copies = Copies::new(SIZE);
        copies.plays(0, 1, 0);
        copies.sent(0, 1, LeafRange::new(6, 1));
        assert_eq!(copies.choose(0, None, 8), Some(LeafRange::new(0, 4)));
        assert_eq!(copies.choose(4, None, 8), Some(LeafRange::new(4, 2)));
        assert_eq!(copies.choose(96, None, 8), Some(LeafRange::new(96, 4)));
    }

    #[test]
    fn whoever_asks_again_and_again_for_what_it_announced_is_not_believed() {
        let mut copies = Copies::new(SIZE);
        let leaf = LeafRange::new(50, 1);
        for _ in 0..MAX_DOUBTS {
            copies.have(1, true, true, &[]);
            assert!(!copies.is_fresh(leaf));
            copies.wants(1, 50);
            assert!(copies.is_fresh(leaf), "its word still counts");
        }
        copies.have(1, true, true, &[]);
        assert!(copies.is_fresh(leaf));
        copies.closed(1);
        copies.have(1, true, true, &[]);
        assert!(copies.is_fresh(leaf), "nor if it opens the content anew");
        copies.have(2, true, false, &[leaf]);
        copies.wants(2, 51);
        assert!(!copies.is_fresh(leaf), "others are believed");
        copies.left(1);
        copies.have(1, true, true, &[]);
        assert!(!copies.is_fresh(LeafRange::new(51, 1)), "a link begins anew");
    }
}
