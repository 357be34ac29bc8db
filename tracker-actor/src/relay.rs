//! Relayed connections: two clients that cannot dial each other both dial the tracker, which passes frames between them.
//!
//! A relay is named by a token from the system's randomness, offered to both ends, claimed once by each within [`TOKEN_MS`] and never
//! again. The tracker passes well-formed frames on and reads nothing else of them: both ends prove their keys to each other through it.
//! A slow end holds the fast one back: nothing is read from one link until the other has taken what came before.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use peer_actor::{
    identity::random_bytes,
    transport::{LinkEvent, LinkEvents, LinkHandle, Permit},
};
use shared::{limits::SILENCE_TIMEOUT_MS, wire};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use crate::counters::Counters;

/// How long a token may be claimed.
pub const TOKEN_MS: u64 = 15_000;
/// A held frame is offered again at least so often: where both ends are full, neither hears that the other has room.
const OFFER_AGAIN: Duration = Duration::from_millis(10);
/// Tokens waiting to be claimed.
pub const MAX_TOKENS: usize = 4_096;

/// Names a relayed connection.
pub type Token = [u8; 16];

/// The tokens that may still be claimed. Pure.
#[derive(Debug)]
pub struct RelayTable<End> {
    waiting: BTreeMap<Token, Waiting<End>>,
}

#[derive(Debug)]
struct Waiting<End> {
    until_ms: u64,
    first: Option<End>,
}

/// What a token was good for.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim<End> {
    /// The first end: it waits.
    First,
    /// The second end: here is the first.
    Second(End),
    /// No such token, or no longer.
    Unknown(End),
}

impl<End> Default for RelayTable<End> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new() }
    }
}

impl<End> RelayTable<End> {
    /// Offers a token. False when too many wait already.
    pub fn offer(&mut self, now_ms: u64, token: Token) -> bool {
        self.expire(now_ms);
        if self.waiting.len() >= MAX_TOKENS {
            return false;
        }
        self.waiting.insert(token, Waiting { until_ms: now_ms + TOKEN_MS, first: None });
        true
    }

    /// An end names a token.
    pub fn claim(&mut self, now_ms: u64, token: &Token, end: End) -> Claim<End> {
        self.expire(now_ms);
        let Some(waiting) = self.waiting.get_mut(token) else { return Claim::Unknown(end) };
        match waiting.first.take() {
            None => {
                waiting.first = Some(end);
                Claim::First
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

/// One end's side of a relay: its link, or the promise of one while its upgrade is under way.
type RelayEnd = oneshot::Sender<(LinkHandle, LinkEvents)>;

/// The relays of one tracker.
#[derive(Debug)]
pub struct Relays {
    table: Mutex<RelayTable<RelayEnd>>,
    in_use: AtomicUsize,
    most: usize,
}

/// An end that may be upgraded.
#[derive(Debug)]
pub enum Admission {
    /// Wait for the other end here.
    Wait(oneshot::Receiver<(LinkHandle, LinkEvents)>),
    /// Hand the link to the end that waits.
    Join(RelayEnd),
    /// Not a valid token.
    Unknown,
}

impl Relays {
    /// At most `most` relayed connections at once.
    pub fn new(most: usize) -> Self {
        Self { table: Mutex::default(), in_use: AtomicUsize::new(0), most }
    }

    /// A fresh token both ends may claim, if there is room for another relay.
    pub fn mint(&self, now_ms: u64) -> Option<Token> {
        let token = random_bytes().ok()?;
        (self.in_use() < self.most && self.table().offer(now_ms, token)).then_some(token)
    }

    /// An end comes with a token.
    pub fn admit(&self, now_ms: u64, token: &Token) -> Admission {
        let (promise, other) = oneshot::channel();
        match self.table().claim(now_ms, token, promise) {
            Claim::First => Admission::Wait(other),
            Claim::Second(first) => Admission::Join(first),
            Claim::Unknown(_) => Admission::Unknown,
        }
    }

    /// Relayed connections carried now.
    pub fn in_use(&self) -> usize {
        self.in_use.load(Relaxed)
    }

    /// Forgets tokens nobody came for; to be called now and then.
    pub fn expire(&self, now_ms: u64) {
        self.table().expire(now_ms);
    }

    /// Waits for the other end and carries frames until either is gone. Runs on the arbiter of the end that came first.
    pub async fn carry(
        self: Arc<Self>,
        counters: Counted,
        near: (LinkHandle, LinkEvents),
        other: oneshot::Receiver<(LinkHandle, LinkEvents)>,
    ) {
        let limit = Duration::from_millis(TOKEN_MS);
        let Ok(Ok(far)) = tokio::time::timeout(limit, other).await else { return near.0.cut() };
        self.in_use.fetch_add(1, Relaxed);
        counters.opened();
        splice(near, far, |carried_bytes| counters.carried(carried_bytes)).await;
        self.in_use.fetch_sub(1, Relaxed);
        counters.closed();
    }

    fn table(&self) -> MutexGuard<'_, RelayTable<RelayEnd>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where relayed connections are counted.
#[derive(Debug, Clone)]
pub struct Counted(pub Arc<crate::registry::Registry>);

impl Counted {
    fn counters(&self) -> &Counters {
        &self.0.counters
    }

    fn opened(&self) {
        self.counters().relays_opened.inc();
        self.counters().relays.inc();
    }

    fn carried(&self, bytes: u64) {
        self.counters().relayed_bytes.inc_by(bytes);
    }

    fn closed(&self) {
        self.counters().relays.dec();
    }
}

/// Passes frames both ways until an end is gone or both are silent, then cuts both.
async fn splice(near: (LinkHandle, LinkEvents), far: (LinkHandle, LinkEvents), count: impl Fn(u64)) {
    let (near_side, far_side) = (Side::new(near.0), Side::new(far.0));
    tokio::select! {
        () = pass(near.1, &near_side, &far_side, &count) => {}
        () = pass(far.1, &far_side, &near_side, &count) => {}
    }
    near_side.link.cut();
    far_side.link.cut();
}

/// One end's way out, and the news that it has room again.
struct Side {
    link: LinkHandle,
    has_room: Notify,
}

impl Side {
    fn new(link: LinkHandle) -> Self {
        Self { link, has_room: Notify::new() }
    }
}

/// Passes what `events` of `from` brings to `to`. A frame `to` has no room for is held, with its permit, until it has; meanwhile nothing
/// more is taken from `from`, which is what slows its sender down.
async fn pass(mut events: LinkEvents, from: &Side, to: &Side, count: &impl Fn(u64)) {
    let silence = Duration::from_millis(SILENCE_TIMEOUT_MS);
    let mut held: Option<(Bytes, Permit)> = None;
    let mut until = Instant::now() + silence;
    while !to.link.is_closed() {
        if let Some((message, _)) = &held
            && to.link.try_send_encoded(message.clone()).is_ok()
        {
            count(message.len() as u64);
            until = Instant::now() + silence;
            held = None;
        }
        tokio::select! {
            () = to.has_room.notified(), if held.is_some() => {}
            () = tokio::time::sleep(OFFER_AGAIN), if held.is_some() => {}
            event = events.next(), if held.is_none() => match event {
                Some(LinkEvent::Frame(frame, permit)) => held = Some((wire::encode(&frame), permit)),
                Some(LinkEvent::Drained) => {
                    from.link.drained_bytes();
                    from.has_room.notify_one();
                }
                Some(LinkEvent::Closed(cause)) => return tracing::debug!(%cause, "an end of a relay has gone"),
                None => return,
            },
            () = tokio::time::sleep_until(until) => return tracing::debug!("a relay fell silent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_joins_its_two_ends_once() {
        let mut table = RelayTable::default();
        assert!(table.offer(0, [1; 16]));
        assert_eq!(table.claim(1, &[1; 16], "one"), Claim::First);
        assert_eq!(table.claim(2, &[1; 16], "two"), Claim::Second("one"));
        assert_eq!(table.claim(3, &[1; 16], "three"), Claim::Unknown("three"));
    }

    #[test]
    fn a_token_nobody_offered_opens_nothing() {
        let mut table = RelayTable::default();
        table.offer(0, [1; 16]);
        assert_eq!(table.claim(1, &[2; 16], "guess"), Claim::Unknown("guess"));
    }

    #[test]
    fn a_token_ends_with_its_time_and_drops_who_waited() {
        let mut table = RelayTable::default();
        table.offer(0, [1; 16]);
        let waiting = std::rc::Rc::new(());
        assert_eq!(table.claim(1, &[1; 16], waiting.clone()), Claim::First);
        assert_eq!(std::rc::Rc::strong_count(&waiting), 2);
        assert!(matches!(table.claim(TOKEN_MS, &[1; 16], waiting.clone()), Claim::Unknown(_)));
        assert_eq!(std::rc::Rc::strong_count(&waiting), 1);
    }

    #[test]
    fn tokens_that_wait_are_bounded() {
        let mut table: RelayTable<()> = RelayTable::default();
        let offered = (0..MAX_TOKENS as u32 + 9).filter(|n| {
            let mut token = [0; 16];
            token[..4].copy_from_slice(&n.to_be_bytes());
            table.offer(0, token)
        });
        assert_eq!(offered.count(), MAX_TOKENS);
        assert!(table.offer(TOKEN_MS, [255; 16]), "those nobody came for make room");
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn tokens_are_not_repeated_and_stop_at_the_most_relays() {
        let relays = Relays::new(4);
        let tokens: std::collections::BTreeSet<Token> = (0..100).filter_map(|_| relays.mint(0)).collect();
        assert_eq!(tokens.len(), 100);
        assert_eq!(Relays::new(0).mint(0), None);
    }
}
