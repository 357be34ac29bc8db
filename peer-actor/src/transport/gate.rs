//! The inbound gate: counts bytes read from a socket and not yet handled, and stops reading while there are too many.
//!
//! Invariant: unhandled bytes exceed the limit by at most one read of the socket.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use shared::limits::LINK_INBOUND_BYTES;

/// What the smallest frame counts for, so that a flood of tiny frames is bounded too.
const MIN_FRAME_COST_BYTES: usize = 256;

/// Shared by the socket's reader, which waits on it, and the permits, which open it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    unhandled_bytes: AtomicUsize,
    reader: AtomicWaker,
}

impl Gate {
    /// Ready when the socket may be read.
    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_open() {
            return Poll::Ready(());
        }
        self.reader.register(cx.waker());
        if self.is_open() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_open(&self) -> bool {
        self.unhandled_bytes.load(Ordering::Acquire) < LINK_INBOUND_BYTES
    }

    /// Counts a frame of `frame_bytes` until the permit is dropped.
    pub(crate) fn admit(self: &Arc<Self>, frame_bytes: usize) -> Permit {
        let cost_bytes = frame_bytes.max(MIN_FRAME_COST_BYTES);
        self.unhandled_bytes.fetch_add(cost_bytes, Ordering::AcqRel);
        Permit { gate: self.clone(), cost_bytes }
    }
}

/// Held while a frame is being handled; its drop lets the socket be read again.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    cost_bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.unhandled_bytes.fetch_sub(self.cost_bytes, Ordering::AcqRel);
        self.gate.reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker_ref;

    use super::*;

    fn is_open(gate: &Gate) -> bool {
        gate.poll_open(&mut Context::from_waker(noop_waker_ref())).is_ready()
    }

    #[test]
    fn unhandled_bytes_close_the_gate_and_handling_opens_it() {
        let gate = Arc::new(Gate::default());
        let first = gate.admit(LINK_INBOUND_BYTES - 1);
        assert!(is_open(&gate));
        let second = gate.admit(1);
        assert!(!is_open(&gate));
        drop(first);
        assert!(is_open(&gate));
        drop(second);
        assert_eq!(gate.unhandled_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn tiny_frames_are_not_free() {
        let gate = Arc::new(Gate::default());
        let permits: Vec<_> =
            (0..LINK_INBOUND_BYTES.div_ceil(MIN_FRAME_COST_BYTES)).map(|_| gate.admit(1)).collect();
        assert!(!is_open(&gate));
        drop(permits);
    }
}
