//! The relays of one node: tokens, places, the limit and the accounts, shared by whoever grants, accepts and looks.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shared::{
    NodeId,
    snapshot::{RelaySnapshot, RelayingSnapshot},
};
use tokio::sync::oneshot;

use super::{
    accounts::{Account, Accounts, RelayTally},
    pacer::Pacer,
    splice::{Carrier, splice},
    table::{Claim, RelayTable, TOKEN_MS, Token},
};
use crate::{
    clock,
    identity::random_bytes,
    transport::{LinkEvents, LinkHandle},
};

/// What a node is willing to relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayLimits {
    /// Connections at once; 0 relays nothing.
    pub most: usize,
    /// Bits per second in all, or 0 for no limit.
    pub bps: u64,
    /// Tokens that may wait to be claimed.
    pub tokens: usize,
}

impl RelayLimits {
    /// No relaying.
    pub const NONE: Self = Self { most: 0, bps: 0, tokens: 0 };
}

/// One end's side of a relay: its link, or the promise of one while its upgrade is under way.
type End = oneshot::Sender<(LinkHandle, LinkEvents)>;

/// See the file's header.
#[derive(Debug)]
pub struct Relays {
    limits: RelayLimits,
    table: Mutex<RelayTable<End>>,
    accounts: Mutex<Accounts>,
    pacer: Pacer,
    tally: RelayTally,
}

/// An end that may be upgraded.
#[derive(Debug)]
pub(super) enum Admission {
    /// Wait for the other end here; the connection is between these two.
    Wait([NodeId; 2], oneshot::Receiver<(LinkHandle, LinkEvents)>),
    /// Hand the link to the end that waits.
    Join(End),
    /// Not a valid token.
    Unknown,
}

impl Relays {
    /// The relays of a node, which count into `tally`.
    pub fn new(limits: RelayLimits, tally: RelayTally) -> Self {
        Self {
            limits,
            table: Mutex::new(RelayTable::new(limits.tokens)),
            accounts: Mutex::default(),
            pacer: Pacer::new(limits.bps),
            tally,
        }
    }

    /// A fresh token both ends may claim, if there is room for another relay.
    pub fn mint(&self, now_ms: u64, ends: [NodeId; 2]) -> Option<Token> {
        let token = random_bytes().ok()?;
        self.grant(now_ms, token, ends).then_some(token)
    }

    /// Lets both ends claim a token the tracker has made. False where there is no room for another relay.
    pub fn grant(&self, now_ms: u64, token: Token, ends: [NodeId; 2]) -> bool {
        self.in_use() < self.limits.most && self.table().offer(now_ms, token, ends)
    }

    /// Relayed connections carried now.
    pub fn in_use(&self) -> usize {
        self.accounts().len()
    }

    /// The most relayed connections at once.
    pub const fn most(&self) -> usize {
        self.limits.most
    }

    /// What is relayed in all, in bits per second; 0 where that is not limited.
    pub const fn limit_bps(&self) -> u64 {
        self.limits.bps
    }

    /// Bytes passed on since start.
    pub fn carried_bytes(&self) -> u64 {
        self.tally.carried_bytes.get()
    }

    /// Forgets tokens nobody came for; to be called now and then.
    pub fn expire(&self, now_ms: u64) {
        self.table().expire(now_ms);
    }

    /// What is relayed, for people.
    pub fn snapshot(&self) -> RelayingSnapshot {
        RelayingSnapshot {
            most: self.limits.most as u32,
            limit_bps: self.limits.bps,
            opened: self.tally.opened.get(),
            carried_bytes: self.carried_bytes(),
            relays: self.relays(),
        }
    }

    /// Every relay in use, oldest first.
    pub fn relays(&self) -> Vec<RelaySnapshot> {
        self.accounts().snapshot(clock::now_ms())
    }

    /// An end comes with a token.
    pub(super) fn admit(&self, now_ms: u64, token: &Token) -> Admission {
        let (promise, other) = oneshot::channel();
        match self.table().claim(now_ms, token, promise) {
            Claim::First(ends) => Admission::Wait(ends, other),
            Claim::Second(first) => Admission::Join(first),
            Claim::Unknown(_) => Admission::Unknown,
        }
    }

    /// Waits for the other end and carries frames until either is gone. Runs on the arbiter of the end that came first.
    pub(super) async fn carry(
        self: Arc<Self>,
        ends: [NodeId; 2],
        near: (LinkHandle, LinkEvents),
        other: oneshot::Receiver<(LinkHandle, LinkEvents)>,
    ) {
        let limit = Duration::from_millis(TOKEN_MS);
        let Ok(Ok(far)) = tokio::time::timeout(limit, other).await else { return near.0.cut() };
        // Grants are made while there is room; more of them than that may be claimed at once.
        let Some((relay, account)) = self.open(ends) else {
            far.0.cut();
            return near.0.cut();
        };
        let carrier = Carrier { relay, account: &account, tally: &self.tally, pacer: &self.pacer };
        splice(near, far, carrier).await;
        self.pacer.forget(relay);
        self.accounts().close(relay);
        self.tally.in_use.dec();
    }

    fn open(&self, ends: [NodeId; 2]) -> Option<(u64, Arc<Account>)> {
        let mut accounts = self.accounts();
        if accounts.len() >= self.limits.most {
            return None;
        }
        self.tally.opened.inc();
        self.tally.in_use.inc();
        Some(accounts.open(clock::now_ms(), ends))
    }

    fn table(&self) -> MutexGuard<'_, RelayTable<End>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ENDS: [NodeId; 2] = [NodeId([1; 32]), NodeId([2; 32])];

    fn relays(most: usize) -> Relays {
        Relays::new(RelayLimits { most, bps: 0, tokens: 200 }, RelayTally::default())
    }

    #[test]
    fn tokens_are_not_repeated() {
        let relays = relays(4);
        let tokens: BTreeSet<Token> = (0..100).filter_map(|_| relays.mint(0, ENDS)).collect();
        assert_eq!(tokens.len(), 100);
    }

    #[test]
    fn who_relays_nothing_grants_nothing_and_no_more_is_opened_than_may_be() {
        assert_eq!(relays(0).mint(0, ENDS), None);
        let few = relays(2);
        assert!(few.grant(0, [7; 16], ENDS));
        let opened = (0..3).filter(|_| few.open(ENDS).is_some()).count();
        assert_eq!((opened, few.in_use()), (2, 2));
        assert!(!few.grant(0, [8; 16], ENDS), "every place is taken");
    }

    #[test]
    fn a_token_nobody_granted_is_unknown() {
        let relays = relays(4);
        assert!(relays.grant(0, [7; 16], ENDS));
        assert!(matches!(relays.admit(1, &[8; 16]), Admission::Unknown));
        assert!(matches!(relays.admit(1, &[7; 16]), Admission::Wait(ENDS, _)));
    }
}
