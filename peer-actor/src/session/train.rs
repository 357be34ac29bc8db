//! What this node's uplink carries, told by a train of padded frames before anything else is sent over it.
//!
//! A viewer that begins to pass things on does not know how fast it can, nor does anybody else: its first chunks were paced by a guess, and
//! an origin gave an uplink of 0.3 Mbit/s as much to pass on as one of 4. So a client sends a train to its tracker, which answers each frame
//! at once; what the slowest link of the way carries is how far apart the answers come (Dovrolis, Ramanathan and Moore, "Packet-Dispersion
//! Techniques and a Capacity-Estimation Methodology", 2004). The first frames do not count, for a shaper lets a burst through.
//!
//! Invariant: a train leaves at most once a session, and tells one rate or none. An uplink that is fast is left to be measured by what it carries:
//! on that, moments of this computer's would be taken for the path's.

use shared::{
    limits::{MAX_PADDING_BYTES, MAX_PROBED_BPS},
    wire::Probe,
};

/// A registration goes first.
const AFTER_MS: u64 = 300;
/// All of a train is to fit into the queue of an uplink of 0.3 Mbit/s.
const FRAMES: u8 = 7;
/// Answers before this one do not count.
const FIRST_COUNTED: u8 = 2;

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct Train {
    is_wanted: bool,
    due_ms: Option<u64>,
    /// The answer that is awaited.
    next: u8,
    counted_from_us: u64,
}

impl Train {
    /// A train is to leave when the session is open.
    pub(super) const fn want(&mut self) {
        self.is_wanted = true;
    }

    /// The session is open.
    pub(super) fn opened(&mut self, now_ms: u64) {
        self.due_ms = self.is_wanted.then_some(now_ms + AFTER_MS);
    }

    /// When it is to leave.
    pub(super) const fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// The frames to send, one behind the other, if they are due.
    pub(super) fn leaves(&mut self, now_ms: u64) -> impl Iterator<Item = Probe> + use<> {
        let leaves = self.due_ms.take_if(|due_ms| *due_ms <= now_ms).is_some();
        let frames = if leaves { FRAMES } else { 0 };
        (0..frames).map(|number| Probe { number, padding: vec![0; MAX_PADDING_BYTES] })
    }

    /// An answer came. The rate, once all have.
    pub(super) fn answered(&mut self, now_us: u64, number: u8) -> Option<u64> {
        if !self.is_wanted || number != self.next || number >= FRAMES {
            return None;
        }
        self.next += 1;
        if number == FIRST_COUNTED {
            self.counted_from_us = now_us;
        }
        if self.next < FRAMES {
            return None;
        }
        let bits = u64::from(FRAMES - 1 - FIRST_COUNTED) * MAX_PADDING_BYTES as u64 * 8;
        let bps = bits * 1_000_000 / now_us.saturating_sub(self.counted_from_us).max(1);
        (bps <= MAX_PROBED_BPS).then_some(bps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a train tells whose answers come at these milliseconds.
    fn told(answers_ms: [u64; FRAMES as usize]) -> Option<u64> {
        let mut train = Train::default();
        train.want();
        train.opened(1_000);
        assert_eq!(train.leaves(1_000).count(), 0);
        assert_eq!(train.leaves(1_000 + AFTER_MS).count(), usize::from(FRAMES));
        assert_eq!((train.leaves(9_000).count(), train.due_ms()), (0, None), "it leaves once");
        let mut rates = (0..).zip(answers_ms).filter_map(|(number, ms)| train.answered(1_000 * ms, number));
        (rates.next(), rates.next()).0
    }

    #[test]
    fn answers_tell_by_their_distance_what_the_uplink_carries() {
        // A burst of two, then a frame each 40 ms.
        assert_eq!(told([1, 1, 41, 81, 121, 161, 201]), Some(280_000));
        assert_eq!(told([1, 1, 1, 12, 23, 34, 45]), Some(1_018_181));
    }

    #[test]
    fn an_uplink_that_is_fast_is_left_to_be_measured() {
        assert_eq!(told([1, 1, 1, 1, 1, 2, 2]), None);
    }

    #[test]
    fn no_train_leaves_that_is_not_wanted_and_answers_that_nobody_asked_for_tell_nothing() {
        let mut train = Train::default();
        train.opened(1_000);
        assert_eq!((train.due_ms(), train.leaves(9_000).count()), (None, 0));
        assert_eq!([0, 6, 200].map(|number| train.answered(1, number)), [None; 3]);
        assert_eq!((0..FRAMES).filter_map(|number| train.answered(2, number)).count(), 0);
    }
}
