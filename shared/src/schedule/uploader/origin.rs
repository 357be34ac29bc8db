//! What a seed serves before what: first copies first, with a little set aside for those that start.
//!
//! Everybody passes on what he got, so a first copy is worth many second ones. In this order:
//!
//! 1. a request for what nobody has that is needed at once;
//! 2. a request that is about to be late, or of a viewer that starts, out of a budget that leaves first copies 1.3 times the media's rate, in a large
//!    swarm 3 times;
//! 3. a *token*: any fresh chunk for a viewer whose own uplink is about to idle, in turns; one whose does not waits until the swarm comes
//!    near what has never left, and if it came for a certain chunk that is not fresh any more, it brings nothing;
//! 4. whatever else is asked.
//!
//! Invariant: 2 is bounded by its budget unless first copies lead (`Copies::is_ahead`), so no trouble of a viewer's makes an origin repeat
//! itself while what is played soon has never left.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{LinkId, UploaderOutput, copies::Copies, holders::Holders, link::Queued, turns::Turns};
use crate::{
    ids::ContentId,
    limits::{LEAF_BYTES, MAX_CHUNK_LEAVES, MAX_FILES_PER_CLIENT},
    units::LeafRange,
    wire::{Token, WantedBranch},
};

/// What nobody has goes first if it is needed within this, or if a viewer starts, within that.
const FRESH_NOW_MS: u64 = 1_000;
const FRESH_STARTING_MS: u64 = 2_500;
/// What a viewer that starts needs within this may come out of the budget.
const BOOST_MS: u64 = 3_000;
/// What a viewer that plays needs within this may: it is to come before the viewer stalls.
pub(super) const LATE_MS: u64 = 400;
/// The budget is worth this much time at the most, and a chunk.
const BOOST_CAP_MS: f64 = 2_000.0;
const FIRST_BOOST_BYTES: f64 = 128.0 * 1024.0;
/// How often lost copies are looked for.
const EXPIRE_EACH_MS: u64 = 50;
/// Contents whose size and rate are remembered.
const MAX_CONTENTS: usize = MAX_FILES_PER_CLIENT;

impl Token {
    /// What of the proof of a chunk it has: all or nothing is known.
    pub(super) const fn proof_skip(&self, leaves: LeafRange) -> u8 {
        if self.has_path_to(leaves) { u8::MAX } else { 0 }
    }

    /// What is to come along with a chunk; not what it turns out to have.
    pub(super) const fn branch(&self, leaves: LeafRange) -> WantedBranch {
        let is_there = matches!(self.branch, WantedBranch::Own) && self.has_path_to(leaves);
        if is_there { WantedBranch::None } else { self.branch }
    }

    const fn has_path_to(&self, leaves: LeafRange) -> bool {
        leaves.first >= self.from_leaf && leaves.first < self.proven_to
    }
}

/// How urgent a request is to an origin; less goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    FreshNow,
    Boost,
    /// A token is worth as much; requests never have this rank.
    Fresh,
    Rest,
}

/// The origin's view of its contents.
#[derive(Debug, Default)]
pub(super) struct Origin {
    media: BTreeMap<ContentId, Media>,
    copies: BTreeMap<ContentId, Copies>,
    tokens: Turns,
    boost_bytes: f64,
    boost_ms: u64,
    has_begun: bool,
    expired_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Media {
    size_bytes: u64,
    bitrate_bps: u64,
}

impl Origin {
    /// Whether the node is a seed of it.
    pub(super) fn is_seed_of(&self, content_id: &ContentId) -> bool {
        self.media.contains_key(content_id)
    }

    /// Of what it is a seed no longer it makes no copies.
    pub(super) fn forget(&mut self, content_id: &ContentId) {
        self.media.remove(content_id);
        self.copies.remove(content_id);
    }

    /// Whether anybody wants something of what the node is a seed of.
    pub(super) fn is_in_demand(&self) -> bool {
        !self.copies.is_empty()
    }

    /// A content is there to be served. One too many is served like what is not here from the start.
    pub(super) fn content(&mut self, content_id: ContentId, size_bytes: u64, bitrate_bps: u64) {
        if self.media.len() >= MAX_CONTENTS && !self.media.contains_key(&content_id) {
            return;
        }
        let media = self.media.entry(content_id).or_insert(Media { size_bytes, bitrate_bps });
        if bitrate_bps > 0 {
            media.bitrate_bps = bitrate_bps;
        }
    }

    /// What viewers have of a content that the node has become a seed of.
    pub(super) fn learns(&mut self, content_id: &ContentId, holders: Holders) {
        if let Some(copies) = self.copies_of(content_id) {
            copies.learn(holders);
        }
    }

    /// Whether a token waits.
    pub(super) const fn has_tokens(&self) -> bool {
        self.tokens.is_any()
    }

    /// When the next token becomes urgent by time alone.
    pub(super) fn token_due_ms(&self, now_ms: u64) -> Option<u64> {
        self.tokens.next_urgent_ms(now_ms)
    }

    /// The copies of a content that was announced.
    fn copies_of(&mut self, content_id: &ContentId) -> Option<&mut Copies> {
        let media = self.media.get(content_id)?;
        let copies = self.copies.entry(*content_id).or_insert_with(|| Copies::new(media.size_bytes));
        copies.bitrate_bps = media.bitrate_bps;
        Some(copies)
    }

    pub(super) fn have(
        &mut self,
        link: LinkId,
        content_id: &ContentId,
        reset: bool,
        complete: bool,
        ranges: &[LeafRange],
    ) {
        if let Some(copies) = self.copies_of(content_id) {
            copies.have(link, reset, complete, ranges);
        }
    }

    /// Who has what of a content, if any of that was announced.
    pub(super) fn holders(&self, content_id: &ContentId) -> Option<&Holders> {
        self.copies.get(content_id).map(Copies::holders)
    }

    /// A request comes.
    pub(super) fn wants(&mut self, link: LinkId, content_id: &ContentId, leaves: LeafRange) {
        if let Some(copies) = self.copies.get_mut(content_id) {
            copies.wants(link, leaves.first);
        }
    }

    /// A token comes. It waits for its turn, unless what it wants at once is fresh indeed.
    pub(super) fn token(&mut self, now_ms: u64, link: LinkId, wanted: Token) -> Option<UploaderOutput> {
        let Some(copies) = self.copies_of(&wanted.content_id) else {
            return Some(UploaderOutput::NoFresh { link, id: wanted.id });
        };
        copies.plays(now_ms, link, wanted.from_leaf);
        copies.wants(link, wanted.from_leaf);
        let is_forced = wanted.forced_leaf.is_some_and(|leaf| copies.is_fresh(LeafRange::new(leaf, 1)));
        let is_taken = self.tokens.push(now_ms, link, wanted, is_forced);
        (!is_taken).then_some(UploaderOutput::NoFresh { link, id: wanted.id })
    }

    /// Tokens of a link that are void.
    pub(super) fn void(&mut self, link: LinkId, is_void: impl Fn(&Token) -> bool) {
        self.tokens.void(link, is_void);
    }

    /// A link no longer wants a content.
    pub(super) fn closed(&mut self, link: LinkId, content_id: &ContentId) {
        self.void(link, |wanted| wanted.content_id == *content_id);
        if let Some(copies) = self.copies.get_mut(content_id) {
            copies.closed(link);
            if copies.is_unused() {
                self.copies.remove(content_id);
            }
        }
    }

    /// A link is gone.
    pub(super) fn left(&mut self, link: LinkId) {
        self.tokens.left(link);
        self.copies.values_mut().for_each(|copies| copies.left(link));
        self.copies.retain(|_, copies| !copies.is_unused());
    }

    /// Time passes: budgets fill, lost copies are given up.
    pub(super) fn advance(&mut self, now_ms: u64, uplink_bps: u64) {
        if !std::mem::replace(&mut self.has_begun, true) {
            (self.boost_bytes, self.boost_ms) = (FIRST_BOOST_BYTES, now_ms);
        }
        if now_ms >= self.expired_ms + EXPIRE_EACH_MS {
            self.expired_ms = now_ms;
            self.copies.values_mut().for_each(|copies| copies.expire(now_ms));
        }
        let media_bps: f64 = self.copies.values().map(Copies::reserve_bps).sum();
        let reserved = if media_bps == 0.0 { uplink_bps as f64 / 1.5 } else { media_bps };
        let per_ms = (uplink_bps as f64 - reserved).max(0.0) / 8_000.0;
        let filled = self.boost_bytes + per_ms * now_ms.saturating_sub(self.boost_ms) as f64;
        let cap = (per_ms * BOOST_CAP_MS).max(FIRST_BOOST_BYTES) + LEAF_BYTES as f64;
        (self.boost_bytes, self.boost_ms) = (filled.min(cap), now_ms);
    }

    /// The contents whose first copies lead. Every playhead is looked at, so this is for a whole queue, not for each request of it.
    pub(super) fn ahead(&self) -> BTreeSet<ContentId> {
        self.copies
            .iter()
            .filter(|(_, copies)| copies.is_ahead())
            .map(|(content_id, _)| *content_id)
            .collect()
    }

    /// How a request ranks, where the first copies of `ahead` lead; those of other contents have no rank.
    pub(super) fn rank(
        &self,
        now_ms: u64,
        queued: &Queued,
        due_ms: u64,
        ahead: &BTreeSet<ContentId>,
    ) -> Rank {
        let Some(copies) = self.copies.get(&queued.content_id) else { return Rank::Rest };
        let within = |ms: u64| due_ms < now_ms + ms;
        let soon_ms = if queued.starting { FRESH_STARTING_MS } else { FRESH_NOW_MS };
        if copies.is_fresh(queued.leaves) && within(soon_ms) {
            Rank::FreshNow
        } else if (queued.starting && within(BOOST_MS) || within(LATE_MS))
            && (self.boost_bytes >= queued.bytes as f64 || ahead.contains(&queued.content_id))
        {
            Rank::Boost
        } else {
            Rank::Rest
        }
    }

    /// Whether it asks for a second copy of what the node is a seed of.
    pub(super) fn is_repeat(&self, queued: &Queued) -> bool {
        self.copies.get(&queued.content_id).is_some_and(|copies| !copies.is_fresh(queued.leaves))
    }

    /// The next token that can be answered with a chunk: whose link `can_take` so many bytes. Tokens for which nothing is fresh, or nothing that
    /// their viewers should be given, are answered at once.
    pub(super) fn pop_token(
        &mut self,
        now_ms: u64,
        can_take: impl Fn(LinkId, u64) -> bool,
        answers: &mut VecDeque<UploaderOutput>,
    ) -> Option<(LinkId, Token, LeafRange, u64)> {
        let (mut due, mut void, mut answer) = (BTreeMap::new(), BTreeSet::new(), None);
        for token in self.tokens.in_order(now_ms) {
            let (link, wanted) = (token.link, token.wanted);
            let copies = self.copies.get(&wanted.content_id);
            // Every playhead is looked at for that, so it is asked once of a content, not for each of its tokens.
            let are_due =
                |copies: &Copies| *due.entry(wanted.content_id).or_insert_with(|| copies.are_due(now_ms));
            if !token.is_urgent(now_ms) && !copies.is_none_or(are_due) {
                continue;
            }
            let chunk_leaves = u32::from(wanted.chunk_leaves).clamp(1, MAX_CHUNK_LEAVES);
            let chosen = copies.and_then(|copies| {
                let leaves = copies.choose(wanted.from_leaf, wanted.forced_leaf, chunk_leaves)?;
                let may_be_given =
                    token.takes_any(now_ms) || wanted.forced_leaf.is_some_and(|leaf| leaves.contains(leaf));
                may_be_given.then(|| (leaves, copies.len_bytes(leaves)))
            });
            match chosen {
                None => _ = void.insert(token.name()),
                Some((leaves, bytes)) if can_take(link, bytes) => {
                    answer = Some((link, wanted, leaves, bytes));
                    break;
                }
                Some(_) => {}
            }
        }
        self.tokens.refuse(&void);
        answers.extend(void.into_iter().map(|(link, id)| UploaderOutput::NoFresh { link, id }));
        answer.inspect(|(link, wanted, ..)| self.tokens.serve((*link, wanted.id)))
    }

    /// A chunk leaves.
    pub(super) fn sent(&mut self, now_ms: u64, link: LinkId, content_id: &ContentId, leaves: LeafRange) {
        if let Some(copies) = self.copies_of(content_id) {
            copies.sent(now_ms, link, leaves);
        }
    }

    /// A chunk did not leave after all.
    pub(super) fn unsent(&mut self, link: LinkId, content_id: &ContentId, leaves: LeafRange) {
        if let Some(copies) = self.copies.get_mut(content_id) {
            copies.unsent(link, leaves);
        }
    }

    /// A second copy was sent out of the budget.
    pub(super) fn boosted(&mut self, bytes: u64) {
        self.boost_bytes = (self.boost_bytes - bytes as f64).max(0.0);
    }
}
