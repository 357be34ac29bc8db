//! The budget with a clock: each direction of a relay awaits its turn here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::budget::{Budget, Flow, Ticket, Turn};
use crate::clock;

/// See the file's header.
#[derive(Debug)]
pub(super) struct Pacer {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    budget: Budget,
    waiters: BTreeMap<Ticket, Arc<Notify>>,
}

/// A place in the queue, given up on drop.
struct Place<'a> {
    pacer: &'a Pacer,
    ticket: Ticket,
    is_head: Arc<Notify>,
}

impl Pacer {
    pub(super) const fn new(limit_bps: u64) -> Self {
        Self { inner: Mutex::new(Inner { budget: Budget::new(limit_bps), waiters: BTreeMap::new() }) }
    }

    /// Waits until a frame of `bytes` may leave. Whoever stops waiting gives up the frame's place.
    pub(super) async fn turn(&self, flow: Flow, bytes: u64) {
        let Some(place) = self.enter(flow, bytes) else { return };
        loop {
            let turn = self.inner().budget.turn(clock::now_us(), place.ticket);
            match turn {
                Turn::Now => return,
                Turn::At(at_us) => {
                    let wait = Duration::from_micros(at_us.saturating_sub(clock::now_us()));
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = place.is_head.notified() => {}
                    }
                }
                Turn::Behind => place.is_head.notified().await,
            }
        }
    }

    /// A relay has ended.
    pub(super) fn forget(&self, relay: u64) {
        self.inner().budget.forget(relay);
    }

    fn enter(&self, flow: Flow, bytes: u64) -> Option<Place<'_>> {
        let mut inner = self.inner();
        let ticket = inner.budget.enter(clock::now_us(), flow, bytes)?;
        let is_head = Arc::new(Notify::new());
        inner.waiters.insert(ticket, is_head.clone());
        Some(Place { pacer: self, ticket, is_head })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inner = self.pacer.inner();
        inner.budget.leave(self.ticket);
        inner.waiters.remove(&self.ticket);
        // Only the head waits for time; whoever follows it must be told that it is the head now.
        if let Some(next) = inner.budget.head().and_then(|head| inner.waiters.get(&head)) {
            next.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn many_relays_take_turns_and_keep_to_the_limit() {
        let pacer = Arc::new(Pacer::new(16_000_000));
        let began_us = clock::now_us();
        let sending = (0..8).map(|relay| {
            let pacer = pacer.clone();
            actix_rt::spawn(async move {
                for _ in 0..10 {
                    pacer.turn(Flow { relay, is_back: false }, 10_000).await;
                }
            })
        });
        for sent in sending.collect::<Vec<_>>() {
            sent.await.expect("sent");
        }
        // 800 kB at 2 MB a second, less the burst and the last frame.
        let took_ms = (clock::now_us() - began_us) / 1_000;
        assert!((340..4_000).contains(&took_ms), "{took_ms} ms");
    }

    #[actix_rt::test]
    async fn who_stops_waiting_holds_nobody_up() {
        let pacer = Pacer::new(800_000);
        pacer.turn(Flow { relay: 1, is_back: false }, 20_000).await;
        let given_up = pacer.turn(Flow { relay: 1, is_back: false }, 1_000_000);
        assert!(tokio::time::timeout(Duration::from_millis(10), given_up).await.is_err());
        let next = pacer.turn(Flow { relay: 2, is_back: false }, 20_000);
        assert!(tokio::time::timeout(Duration::from_secs(2), next).await.is_ok());
        assert!(pacer.inner().waiters.is_empty());
    }
}
