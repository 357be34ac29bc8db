//! The tokens that may still be claimed. Pure.
//!
//! Invariant: a token is claimed once by each of two ends, within its time, and never again; those that wait are bounded.

use std::collections::BTreeMap;

use shared::NodeId;

/// How long a token may be claimed.
pub const TOKEN_MS: u64 = 15_000;

/// Names a relayed connection.
pub type Token = [u8; 16];

/// See the file's header.
#[derive(Debug)]
pub struct RelayTable<End> {
    waiting: BTreeMap<Token, Waiting<End>>,
    most: usize,
}

#[derive(Debug)]
struct Waiting<End> {
    until_ms: u64,
    ends: [NodeId; 2],
    first: Option<End>,
}

/// What a token was good for.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim<End> {
    /// The first end, of a connection between these two: it waits.
    First([NodeId; 2]),
    /// The second end: here is the first.
    Second(End),
    /// No such token, or no longer.
    Unknown(End),
}

impl<End> RelayTable<End> {
    /// A table for `most` tokens at once.
    pub const fn new(most: usize) -> Self {
        Self { waiting: BTreeMap::new(), most }
    }

    /// Offers a token to both `ends`. False when it waits already, or too many do.
    pub fn offer(&mut self, now_ms: u64, token: Token, ends: [NodeId; 2]) -> bool {
        self.expire(now_ms);
        if self.waiting.len() >= self.most || self.waiting.contains_key(&token) {
            return false;
        }
        self.waiting.insert(token, Waiting { until_ms: now_ms + TOKEN_MS, ends, first: None });
        true
    }

    /// An end names a token.
    pub fn claim(&mut self, now_ms: u64, token: &Token, end: End) -> Claim<End> {
        self.expire(now_ms);
        let Some(waiting) = self.waiting.get_mut(token) else { return Claim::Unknown(end) };
        match waiting.first.take() {
            None => {
                waiting.first = Some(end);
                Claim::First(waiting.ends)
            }
            Some(first) => {
                self.waiting.remove(token);
                Claim::Second(first)
            }
        }
    }

    /// Forgets what nobody came for; the ends that waited in vain are dropped.
    pub fn expire(&mut self, now_ms: u64) {
        self.waiting.retain(|_, waiting| now_ms < waiting.until_ms);
    }

    /// How many tokens wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no token waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [NodeId; 2] = [NodeId([1; 32]), NodeId([2; 32])];

    #[test]
    fn a_token_joins_its_two_ends_once() {
        let mut table = RelayTable::new(9);
        assert!(table.offer(0, [1; 16], ENDS));
        assert_eq!(table.claim(1, &[1; 16], "one"), Claim::First(ENDS));
        assert_eq!(table.claim(2, &[1; 16], "two"), Claim::Second("one"));
        assert_eq!(table.claim(3, &[1; 16], "three"), Claim::Unknown("three"));
    }

    #[test]
    fn a_token_nobody_offered_opens_nothing() {
        let mut table = RelayTable::new(9);
        assert!(table.offer(0, [1; 16], ENDS));
        assert_eq!(table.claim(1, &[2; 16], "guess"), Claim::Unknown("guess"));
    }

    #[test]
    fn a_token_offered_twice_is_offered_once() {
        let mut table = RelayTable::new(9);
        assert!(table.offer(0, [1; 16], ENDS));
        assert_eq!(table.claim(1, &[1; 16], "one"), Claim::First(ENDS));
        assert!(!table.offer(2, [1; 16], ENDS), "whoever waits is not pushed out");
        assert_eq!(table.claim(3, &[1; 16], "two"), Claim::Second("one"));
    }

    #[test]
    fn a_token_ends_with_its_time_and_drops_who_waited() {
        let mut table = RelayTable::new(9);
        assert!(table.offer(0, [1; 16], ENDS));
        let waiting = std::rc::Rc::new(());
        assert_eq!(table.claim(1, &[1; 16], waiting.clone()), Claim::First(ENDS));
        assert_eq!(std::rc::Rc::strong_count(&waiting), 2);
        assert!(matches!(table.claim(TOKEN_MS, &[1; 16], waiting.clone()), Claim::Unknown(_)));
        assert_eq!(std::rc::Rc::strong_count(&waiting), 1);
    }

    #[test]
    fn tokens_that_wait_are_bounded() {
        let mut table: RelayTable<()> = RelayTable::new(40);
        let offered = (0..49u32).filter(|n| {
            let mut token = [0; 16];
            token[..4].copy_from_slice(&n.to_be_bytes());
            table.offer(0, token, ENDS)
        });
        assert_eq!(offered.count(), 40);
        assert!(table.offer(TOKEN_MS, [255; 16], ENDS), "those nobody came for make room");
        assert_eq!(table.len(), 1);
    }
}
