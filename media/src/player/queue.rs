//! Bounded hand-over between the player's threads, tagged by epoch.
//!
//! Invariants: an item of another epoch than the queue's is neither accepted nor handed out, so a seek is one
//! [`Queue::flush`]; the end of an epoch is handed out exactly once; a closed queue releases everyone.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Wakes a thread that waits for any of several things.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn notify(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// To be taken before looking at what one may then have to wait for.
    pub(crate) fn count(&self) -> u64 {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until somebody has notified since `seen`, or for `timeout`.
    pub(crate) fn wait(&self, seen: u64, timeout: Duration) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        // The count is looked at again by every caller, so a time-out needs no answer.
        drop(self.changed.wait_timeout_while(count, timeout, |count| *count == seen));
    }
}

/// What a consumer gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Popped<T> {
    Item(u32, T),
    /// The epoch has no more items.
    End(u32),
    Closed,
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fill {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
    pub(crate) duration_us: i64,
    pub(crate) ended: bool,
}

pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// Told about everything that happens here.
    watcher: Arc<Signal>,
}

struct State<T> {
    items: VecDeque<Entry<T>>,
    bytes: usize,
    duration_us: i64,
    epoch: u32,
    ended: bool,
    end_popped: bool,
    closed: bool,
}

struct Entry<T> {
    item: T,
    bytes: usize,
    duration_us: i64,
}

impl<T> Queue<T> {
    pub(crate) fn new(watcher: Arc<Signal>) -> Self {
        let state = State {
            items: VecDeque::new(),
            bytes: 0,
            duration_us: 0,
            epoch: 0,
            ended: false,
            end_popped: false,
            closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), watcher }
    }

    /// Empties the queue for a new epoch.
    pub(crate) fn flush(&self, epoch: u32) {
        let mut state = self.lock();
        state.items.clear();
        (state.bytes, state.duration_us) = (0, 0);
        (state.ended, state.end_popped) = (false, false);
        state.epoch = epoch;
        self.tell(state);
    }

    /// Adds an item without waiting: bounds are the producer's to keep, by [`Self::fill`] or [`Self::wait_room`].
    /// `false` if the item came too late.
    pub(crate) fn push(&self, epoch: u32, item: T, bytes: usize, duration_us: i64) -> bool {
        let mut state = self.lock();
        if state.closed || state.epoch != epoch {
            return false;
        }
        state.items.push_back(Entry { item, bytes, duration_us });
        state.bytes += bytes;
        state.duration_us += duration_us;
        self.tell(state);
        true
    }

    /// Says that nothing more comes in `epoch`.
    pub(crate) fn end(&self, epoch: u32) {
        let mut state = self.lock();
        if state.epoch == epoch {
            state.ended = true;
            self.tell(state);
        }
    }

    /// Waits until fewer than `max_items` are queued; `false` if `epoch` is over or the queue closed.
    pub(crate) fn wait_room(&self, epoch: u32, max_items: usize) -> bool {
        let mut state = self.lock();
        while !state.closed && state.epoch == epoch && state.items.len() >= max_items {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.closed && state.epoch == epoch
    }

    /// Waits for the next item.
    pub(crate) fn pop(&self) -> Popped<T> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Popped::Closed;
            }
            let epoch = state.epoch;
            if let Some(entry) = take(&mut state) {
                self.tell(state);
                return Popped::Item(epoch, entry);
            }
            if state.ended && !state.end_popped {
                state.end_popped = true;
                return Popped::End(epoch);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next item of `epoch`, if there is one already.
    pub(crate) fn try_pop(&self, epoch: u32) -> Option<T> {
        let mut state = self.lock();
        if state.epoch != epoch {
            return None;
        }
        let item = take(&mut state)?;
        self.tell(state);
        Some(item)
    }

    /// Looks at the first two items of `epoch`.
    pub(crate) fn peek<R>(&self, epoch: u32, look: impl Fn(&T) -> R) -> (Option<R>, Option<R>) {
        let state = self.lock();
        let at = |index: usize| {
            state.items.get(index).filter(|_| state.epoch == epoch).map(|entry| look(&entry.item))
        };
        (at(0), at(1))
    }

    pub(crate) fn fill(&self) -> Fill {
        let state = self.lock();
        Fill {
            items: state.items.len(),
            bytes: state.bytes,
            duration_us: state.duration_us,
            ended: state.ended,
        }
    }

    /// Releases everyone, for good.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.items.clear();
        self.tell(state);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: MutexGuard<'_, State<T>>) {
        drop(state);
        self.changed.notify_all();
        self.watcher.notify();
    }
}

fn take<T>(state: &mut State<T>) -> Option<T> {
    let entry = state.items.pop_front()?;
    state.bytes -= entry.bytes;
    state.duration_us -= entry.duration_us;
    Some(entry.item)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_flush_drops_the_old_epoch_and_refuses_its_latecomers() {
        let queue = queue();
        assert!(queue.push(1, "old", 10, 5));
        queue.flush(2);
        assert!(!queue.push(1, "late", 10, 5));
        assert!(queue.push(2, "new", 3, 4));
        assert_eq!(queue.fill(), Fill { items: 1, bytes: 3, duration_us: 4, ended: false });
        assert_eq!(queue.try_pop(1), None);
        assert_eq!(queue.pop(), Popped::Item(2, "new"));
        assert_eq!(queue.fill(), Fill::default());
    }

    #[test]
    fn the_end_comes_once_after_the_last_item() {
        let queue = queue();
        queue.push(1, "last", 1, 1);
        queue.end(1);
        assert_eq!(queue.pop(), Popped::Item(1, "last"));
        assert_eq!(queue.pop(), Popped::End(1));
        queue.flush(2);
        queue.push(2, "again", 1, 1);
        assert_eq!(queue.pop(), Popped::Item(2, "again"));
    }

    #[test]
    fn closing_releases_a_waiting_consumer_and_producer() {
        let queue = Arc::new(queue());
        queue.push(1, "full", 1, 1);
        let spawn = |work: fn(&Queue<&'static str>) -> bool| {
            let queue = Arc::clone(&queue);
            thread::Builder::new().spawn(move || work(&queue)).unwrap()
        };
        let producer = spawn(|queue| queue.wait_room(1, 1));
        thread::sleep(Duration::from_millis(20));
        queue.close();
        assert!(!producer.join().unwrap());
        assert!(spawn(|queue| queue.pop() == Popped::Closed).join().unwrap());
    }

    #[test]
    fn peeking_sees_two_items_of_the_right_epoch() {
        let queue = queue();
        for item in ["a", "b", "c"] {
            queue.push(1, item, 0, 0);
        }
        assert_eq!(queue.peek(1, |item| *item), (Some("a"), Some("b")));
        assert_eq!(queue.peek(2, |item| *item), (None, None));
    }

    fn queue() -> Queue<&'static str> {
        let queue = Queue::new(Arc::default());
        queue.flush(1);
        queue
    }
}
