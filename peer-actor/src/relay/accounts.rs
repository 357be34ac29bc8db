//! Who is carried since when, and how much: per relay while it lasts, in sum for ever.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use shared::{NodeId, snapshot::RelaySnapshot};

/// The sums. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct RelayTally {
    /// Connections carried since start.
    pub opened: Counter,
    /// Bytes passed on since start.
    pub carried_bytes: Counter,
    /// Connections carried now.
    pub in_use: Gauge,
}

/// One relay's account.
#[derive(Debug)]
pub(super) struct Account {
    ends: [NodeId; 2],
    since_ms: u64,
    /// From the end that came first, from the one that came second.
    carried_bytes: [AtomicU64; 2],
    /// Whether the end that came first is the second that was granted: who says Hello is the first.
    is_crossed: AtomicBool,
}

impl Account {
    pub(super) fn carried(&self, is_back: bool, bytes: u64) {
        self.carried_bytes[usize::from(is_back)].fetch_add(bytes, Relaxed);
    }

    /// An end has said Hello: that is the first that was granted.
    pub(super) fn said_hello(&self, is_back: bool) {
        self.is_crossed.store(is_back, Relaxed);
    }

    fn snapshot(&self, now_ms: u64) -> RelaySnapshot {
        let mut carried_bytes = [0, 1].map(|way: usize| self.carried_bytes[way].load(Relaxed));
        if self.is_crossed.load(Relaxed) {
            carried_bytes.reverse();
        }
        RelaySnapshot { ends: self.ends, carried_bytes, age_s: now_ms.saturating_sub(self.since_ms) / 1_000 }
    }
}

/// The accounts of the relays that last.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    last: u64,
    open: BTreeMap<u64, Arc<Account>>,
}

impl Accounts {
    /// A relay between `ends` begins: its number and its account.
    pub(super) fn open(&mut self, now_ms: u64, ends: [NodeId; 2]) -> (u64, Arc<Account>) {
        self.last += 1;
        let account = Account {
            ends,
            since_ms: now_ms,
            carried_bytes: [AtomicU64::new(0), AtomicU64::new(0)],
            is_crossed: AtomicBool::new(false),
        };
        let account = Arc::new(account);
        self.open.insert(self.last, account.clone());
        (self.last, account)
    }

    pub(super) fn close(&mut self, relay: u64) {
        self.open.remove(&relay);
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Every relay, oldest first.
    pub(super) fn snapshot(&self, now_ms: u64) -> Vec<RelaySnapshot> {
        self.open.values().map(|account| account.snapshot(now_ms)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_to_the_end_they_came_from() {
        let ends = [NodeId([1; 32]), NodeId([2; 32])];
        let mut accounts = Accounts::default();
        let (relay, account) = accounts.open(5_000, ends);
        account.carried(false, 10);
        account.carried(true, 700);
        let told = |accounts: &Accounts| accounts.snapshot(9_500)[0].carried_bytes;
        assert_eq!(told(&accounts), [10, 700]);
        account.said_hello(true);
        assert_eq!(told(&accounts), [700, 10]);
        assert_eq!((accounts.snapshot(9_500)[0].age_s, accounts.snapshot(9_500)[0].ends), (4, ends));
        accounts.close(relay);
        assert!(accounts.snapshot(9_500).is_empty());
    }
}
