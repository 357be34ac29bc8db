//! Tokens that wait at a seed, in the order in which they are answered.
//!
//! What a viewer needs at once and nobody has goes first. Then come those whose uplinks are about to idle, whoever was given the
//! least to pass on before the others, and whose idles first of these: all first copies in the hands of one would pass through its uplink
//! alone. Whoever asks anew begins a little behind who had the last turn (start-time fair queueing, Goyal, Vin and Cheng 1996), so that who
//! wanted nothing for long is not given everything.
//!
//! Invariant: tokens are in order, and those of a link never more than [`MAX_LINK_TOKENS`].

use std::collections::{BTreeMap, BTreeSet};

use super::LinkId;
use crate::{
    schedule::IDLE_SOON_MS,
    wire::{RequestId, Token},
};

/// Tokens one link may have waiting, and all together.
const MAX_LINK_TOKENS: usize = 8;
const MAX_TOKENS: usize = 4_096;
/// Whoever asks anew is given so much to pass on before those who had the last turn are given more, in milliseconds of its uplink: three leaves
/// of one of 1 Mbit/s.
const HEAD_START_MS: u64 = 400;
/// What a viewer that wanted a certain chunk said of its uplink holds for so long.
const SAID_MS: u64 = 500;

/// A token that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) link: LinkId,
    pub(super) wanted: Token,
    /// When it came.
    since_ms: u64,
    /// When the viewer's uplink will have nothing to do.
    idle_ms: u64,
    is_forced: bool,
    /// How long the link's uplink takes for what it has been given.
    turn: u64,
}

impl Waiting {
    /// Names it.
    pub(super) const fn name(&self) -> (LinkId, RequestId) {
        (self.link, self.wanted.id)
    }

    /// Whether the viewer's uplink is about to idle, or it cannot wait for that.
    pub(super) const fn is_urgent(&self, now_ms: u64) -> bool {
        self.is_forced || self.idles_soon(now_ms)
    }

    const fn idles_soon(&self, now_ms: u64) -> bool {
        self.idle_ms <= now_ms + IDLE_SOON_MS
    }

    /// Whether it may be answered with any chunk. Who asked for what it needs itself, and somebody else was given meanwhile, may have far too
    /// much to pass on already, or have found out since how slow its uplink is.
    pub(super) const fn takes_any(&self, now_ms: u64) -> bool {
        self.wanted.forced_leaf.is_none() || self.idles_soon(now_ms) && now_ms <= self.since_ms + SAID_MS
    }

    const fn rank(&self) -> (bool, u64, u64) {
        (!self.is_forced, self.turn, self.idle_ms)
    }
}

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: Vec<Waiting>,
    given: BTreeMap<LinkId, u64>,
    /// What whoever had the last turn had been given before.
    last_turn: u64,
}

impl Turns {
    /// A token comes; false if too many wait.
    pub(super) fn push(&mut self, now_ms: u64, link: LinkId, wanted: Token, is_forced: bool) -> bool {
        let of_link = self.waiting.iter().filter(|token| token.link == link).count();
        if of_link >= MAX_LINK_TOKENS || self.waiting.len() >= MAX_TOKENS {
            return false;
        }
        let given = self.given.entry(link).or_default();
        if of_link == 0 {
            *given = (*given).max(self.last_turn.saturating_sub(HEAD_START_MS));
        }
        let (turn, idle_ms) = (*given, now_ms + u64::from(wanted.idle_in_ms));
        self.place(Waiting { link, wanted, since_ms: now_ms, idle_ms, is_forced, turn });
        true
    }

    /// Whether any waits.
    pub(super) const fn is_any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When the next that is not urgent becomes so.
    pub(super) fn next_urgent_ms(&self, now_ms: u64) -> Option<u64> {
        let later = self.waiting.iter().filter(|token| !token.is_urgent(now_ms));
        later.map(|token| token.idle_ms - IDLE_SOON_MS).min()
    }

    /// Tokens of a link that are void.
    pub(super) fn void(&mut self, link: LinkId, is_void: impl Fn(&Token) -> bool) {
        self.waiting.retain(|token| token.link != link || !is_void(&token.wanted));
    }

    /// A link is gone.
    pub(super) fn left(&mut self, link: LinkId) {
        self.void(link, |_| true);
        self.given.remove(&link);
    }

    /// All that wait, in order: those that are urgent, then the others.
    pub(super) fn in_order(&self, now_ms: u64) -> impl Iterator<Item = &Waiting> {
        let urgent = self.waiting.iter().filter(move |token| token.is_urgent(now_ms));
        urgent.chain(self.waiting.iter().filter(move |token| !token.is_urgent(now_ms)))
    }

    /// These are answered with nothing.
    pub(super) fn refuse(&mut self, names: &BTreeSet<(LinkId, RequestId)>) {
        if !names.is_empty() {
            self.waiting.retain(|token| !names.contains(&token.name()));
        }
    }

    /// This one is answered with a chunk: its link's others wait behind those of who was given less.
    pub(super) fn serve(&mut self, name: (LinkId, RequestId)) {
        let took = self.waiting.extract_if(.., |token| token.name() == name);
        let took_ms = took.map(|token| u64::from(token.wanted.leaf_ms.max(1))).sum::<u64>();
        let link = name.0;
        let given = self.given.entry(link).or_default();
        self.last_turn = self.last_turn.max(*given);
        *given += took_ms;
        let turn = *given;
        let others: Vec<Waiting> = self.waiting.extract_if(.., |token| token.link == link).collect();
        others.into_iter().for_each(|token| self.place(Waiting { turn, ..token }));
    }

    fn place(&mut self, token: Waiting) {
        let at = self.waiting.partition_point(|other| other.rank() <= token.rank());
        self.waiting.insert(at, token);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::token_tests::token, *};

    #[test]
    fn what_is_needed_at_once_goes_first_then_who_was_given_least_then_who_idles_first() {
        let mut turns = Turns::default();
        assert!(turns.push(0, 1, token(10, 100), false));
        assert!(turns.push(0, 1, token(11, 200), false));
        assert!(turns.push(0, 2, token(20, 300), false));
        assert!(turns.push(0, 3, token(30, 5_000), false));
        assert!(turns.push(0, 4, token(40, 5_000), true));
        assert_eq!(order(&turns, 0), [40, 10, 11, 20, 30]);
        turns.serve((1, 10));
        assert_eq!(order(&turns, 0), [40, 20, 11, 30]);
        assert_eq!(order(&turns, 5_000), [40, 20, 30, 11], "an uplink idles by and by");
    }

    #[test]
    fn who_asks_anew_has_a_head_start_and_no_more() {
        let mut turns = Turns::default();
        for id in 0..10 {
            assert!(turns.push(0, 1, token(id, 0), false));
            turns.serve((1, id));
        }
        // The one link was given ten; the other, which asks for the first time, counts as if it had been given six.
        let mut served = Vec::new();
        for id in 100..108 {
            assert!(turns.push(0, 1, token(id, 0), false) && turns.push(0, 2, token(100 + id, 0), false));
            let first = turns.in_order(0).next().map(Waiting::name).unwrap();
            turns.serve(first);
            served.push(first.0);
            turns.void(1, |_| true);
            turns.void(2, |_| true);
        }
        assert_eq!(served[..4], [2, 2, 2, 2], "{served:?}");
        assert_eq!(served[4..].iter().filter(|link| **link == 1).count(), 2, "{served:?}");
    }

    #[test]
    fn too_many_are_refused_and_who_leaves_is_forgotten() {
        let mut turns = Turns::default();
        let pushed = (0..20).filter(|id| turns.push(0, 1, token(*id, 0), false)).count();
        assert_eq!(pushed, MAX_LINK_TOKENS);
        turns.refuse(&BTreeSet::from([(1, 0), (1, 2)]));
        assert_eq!(order(&turns, 0), [1, 3, 4, 5, 6, 7]);
        turns.left(1);
        assert!(order(&turns, 0).is_empty() && turns.given.is_empty());
    }

    fn order(turns: &Turns, now_ms: u64) -> Vec<RequestId> {
        turns.in_order(now_ms).map(|token| token.wanted.id).collect()
    }
}
