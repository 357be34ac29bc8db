//! What travels from the node to the window: latest values, answers, and a waker that asks for a repaint.
//!
//! Invariant: a value that does not differ from the one before wakes nobody, so an idle window stays still.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shared::snapshot::{NodeSnapshot, StreamSnapshot};

use super::{Answer, Ticket};

/// Asks the window to draw again.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// The receiving side is the window's, once a frame.
pub struct Updates {
    shared: Mutex<Shared>,
    waker: Waker,
}

#[derive(Default)]
struct Shared {
    node: Option<Arc<NodeSnapshot>>,
    stream: Option<(Ticket, Arc<StreamSnapshot>)>,
    answers: Vec<Answer>,
}

impl fmt::Debug for Updates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Updates")
    }
}

impl Updates {
    /// Nothing yet; `waker` is called after every change.
    pub fn new(waker: Waker) -> Self {
        Self { shared: Mutex::default(), waker }
    }

    /// The node's newest snapshot.
    pub fn set_node(&self, snapshot: Arc<NodeSnapshot>) {
        let mut shared = self.lock();
        if shared.node.as_ref() != Some(&snapshot) {
            shared.node = Some(snapshot);
            drop(shared);
            (self.waker)();
        }
    }

    /// The newest snapshot of the stream that was opened with `ticket`.
    pub fn set_stream(&self, ticket: Ticket, snapshot: Arc<StreamSnapshot>) {
        let mut shared = self.lock();
        let is_same = shared.stream.as_ref().is_some_and(|(of, last)| *of == ticket && *last == snapshot);
        if !is_same {
            shared.stream = Some((ticket, snapshot));
            drop(shared);
            (self.waker)();
        }
    }

    /// An answer to a request.
    pub fn push(&self, answer: Answer) {
        self.lock().answers.push(answer);
        (self.waker)();
    }

    /// The node's last word.
    pub fn node(&self) -> Option<Arc<NodeSnapshot>> {
        self.lock().node.clone()
    }

    /// The last word of the stream opened with `ticket`.
    pub fn stream(&self, ticket: Ticket) -> Option<Arc<StreamSnapshot>> {
        self.lock().stream.as_ref().filter(|(of, _)| *of == ticket).map(|(_, snapshot)| snapshot.clone())
    }

    /// The answers since the last call.
    pub fn take_answers(&self) -> Vec<Answer> {
        std::mem::take(&mut self.lock().answers)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn an_unchanged_snapshot_wakes_nobody() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = wakes.clone();
        let updates = Updates::new(Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        updates.set_node(Arc::default());
        updates.set_node(Arc::default());
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        updates.set_node(Arc::new(NodeSnapshot { upload_bps: 1, ..NodeSnapshot::default() }));
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn answers_are_taken_once() {
        let updates = Updates::new(Arc::new(|| {}));
        updates.push(Answer::Failed("x".to_owned()));
        assert_eq!(updates.take_answers().len(), 1);
        assert!(updates.take_answers().is_empty());
    }
}
