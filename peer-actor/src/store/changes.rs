//! A generation that grows whenever the verified leaves of a content change, for threads and tasks that wait.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::sync::lock;

#[derive(Debug)]
pub(super) struct Changes {
    generation: Mutex<u64>,
    grown: Condvar,
    watched: watch::Sender<u64>,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self { generation: Mutex::new(0), grown: Condvar::new(), watched: watch::Sender::new(0) }
    }

    pub(super) fn bump(&self) {
        let mut generation = lock(&self.generation);
        *generation += 1;
        self.watched.send_replace(*generation);
        self.grown.notify_all();
    }

    pub(super) fn generation(&self) -> u64 {
        *lock(&self.generation)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.watched.subscribe()
    }

    /// Waits until the generation differs from `seen`, or `timeout` has passed; returns the generation.
    pub(super) fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let generation = lock(&self.generation);
        let waited = self.grown.wait_timeout_while(generation, timeout, |generation| *generation == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
