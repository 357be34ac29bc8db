//! Letting a large message leave at the pace of the uplink, so that what is said meanwhile, on any link, does not wait behind it.
//!
//! What the kernel is given waits in the machine's or the router's one queue; what is kept here waits in nobody's way. The uploader says when
//! its chunk should begin to leave and how fast ([`Pacing`]).
//!
//! Invariant: messages without a pace leave in order, and so do those with one; one that has begun is finished before anything else.

use std::collections::VecDeque;

use shared::schedule::uploader::Pacing;
use socket2::SockRef;

use super::writer::Outgoing;

/// Segments the kernel is given at once, so that none is short.
const SLICE_SEGMENTS: u64 = 2;
/// On a fast uplink as much at once as leaves within this.
const SLICE_MS: u64 = 4;
/// Payload of a segment where the system does not say.
const USUAL_SEGMENT_BYTES: u32 = 1_448;

/// The messages whose time has not come, and the one that is leaving.
#[derive(Debug)]
pub(super) struct Paced {
    segment_bytes: u64,
    waiting: VecDeque<(Pacing, Outgoing)>,
    leaving: Option<Leaving>,
}

/// A message of which some may have left.
#[derive(Debug)]
struct Leaving {
    start_us: u64,
    bytes_per_ms: u64,
    slice_bytes: u64,
    given_bytes: u64,
}

impl Paced {
    pub(super) fn new(socket: SockRef<'_>) -> Self {
        let segment_bytes = socket.tcp_mss().unwrap_or(USUAL_SEGMENT_BYTES).max(1);
        Self { segment_bytes: segment_bytes.into(), waiting: VecDeque::new(), leaving: None }
    }

    /// Whether a message is leaving: nothing else may be given to the kernel.
    pub(super) const fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Keeps a message until its time has come.
    pub(super) fn keep(&mut self, pacing: Pacing, message: Outgoing) {
        self.waiting.push_back((pacing, message));
    }

    /// The next message, if its time has come: it is the one that leaves now.
    pub(super) fn begin(&mut self, now_us: u64) -> Option<Outgoing> {
        if self.is_leaving() || self.waiting.front()?.0.start_ms * 1_000 > now_us {
            return None;
        }
        let (pacing, message) = self.waiting.pop_front()?;
        let bytes_per_ms = u64::from(pacing.bytes_per_ms.max(1));
        let segments = (bytes_per_ms * SLICE_MS / self.segment_bytes).max(SLICE_SEGMENTS);
        let slice_bytes = segments * self.segment_bytes;
        self.leaving = Some(Leaving { start_us: now_us, bytes_per_ms, slice_bytes, given_bytes: 0 });
        Some(message)
    }

    /// How many bytes the kernel may be given now.
    pub(super) fn allowed_bytes(&self, now_us: u64) -> usize {
        self.leaving.as_ref().map_or(usize::MAX, |leaving| {
            let worth = now_us.saturating_sub(leaving.start_us) * leaving.bytes_per_ms / 1_000;
            let slices = 1 + worth / leaving.slice_bytes;
            (slices * leaving.slice_bytes).saturating_sub(leaving.given_bytes) as usize
        })
    }

    /// The kernel took bytes; `is_all` if that was the rest of the message.
    pub(super) fn given(&mut self, bytes: usize, is_all: bool) {
        if let Some(leaving) = &mut self.leaving {
            leaving.given_bytes += bytes as u64;
        }
        self.leaving.take_if(|_| is_all);
    }

    /// When the kernel may be given more.
    pub(super) fn due_us(&self) -> Option<u64> {
        let next = self.waiting.front().map(|(pacing, _)| pacing.start_ms * 1_000);
        self.leaving.as_ref().map(Leaving::due_us).or(next)
    }
}

impl Leaving {
    fn due_us(&self) -> u64 {
        self.start_us
            + (self.given_bytes / self.slice_bytes * self.slice_bytes * 1_000).div_ceil(self.bytes_per_ms)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn paced() -> Paced {
        Paced { segment_bytes: 1_000, waiting: VecDeque::new(), leaving: None }
    }

    fn message(bytes: usize) -> Outgoing {
        Outgoing::message(Bytes::new(), vec![0; bytes].into())
    }

    #[test]
    fn a_message_leaves_slice_by_slice_at_its_pace() {
        let mut paced = paced();
        paced.keep(Pacing { start_ms: 5, bytes_per_ms: 100 }, message(10_000));
        assert_eq!((paced.due_us(), paced.begin(4_999).is_some()), (Some(5_000), false));
        assert!(paced.begin(5_000).is_some() && paced.is_leaving());
        let (mut left_bytes, mut now_us) = (10_000, 5_000);
        while left_bytes > 0 {
            let allowed = paced.allowed_bytes(now_us).min(left_bytes);
            assert_eq!(allowed, 2_000, "at {now_us}");
            left_bytes -= allowed;
            paced.given(allowed, left_bytes == 0);
            assert!(left_bytes == 0 || paced.allowed_bytes(now_us) == 0);
            now_us = paced.due_us().unwrap_or(now_us);
        }
        assert_eq!((now_us, paced.is_leaving()), (85_000, false));
    }

    #[test]
    fn who_wakes_late_makes_up_for_it() {
        let mut paced = paced();
        paced.keep(Pacing { start_ms: 0, bytes_per_ms: 100 }, message(9_000));
        paced.begin(0);
        paced.given(2_000, false);
        assert_eq!(paced.allowed_bytes(47_000), 4_000);
        paced.given(3_500, false);
        assert_eq!(paced.allowed_bytes(47_000), 500, "the kernel took less than it was given");
    }

    #[test]
    fn one_after_another_and_none_while_another_leaves() {
        let mut paced = paced();
        for start_ms in [1, 0] {
            paced.keep(Pacing { start_ms, bytes_per_ms: 100 }, message(2_000 - start_ms as usize));
        }
        assert!(paced.begin(500).is_none(), "the second does not overtake the first");
        assert_eq!(paced.begin(1_000).map(|message| message.len()), Some(1_999));
        assert!(paced.begin(1_000).is_none());
        paced.given(1_999, true);
        assert_eq!(paced.begin(1_000).map(|message| message.len()), Some(2_000));
        assert_eq!(paced.allowed_bytes(1_000), 2_000);
    }

    #[test]
    fn without_a_pace_everything_may_go() {
        let paced = paced();
        assert_eq!((paced.allowed_bytes(7), paced.due_us()), (usize::MAX, None));
    }
}
