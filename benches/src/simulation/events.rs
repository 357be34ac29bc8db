//! What is still to happen, in order of time, and in the order it was planned in where times are equal.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::node::Message;

#[derive(Debug)]
pub(super) enum Event {
    Join,
    /// The node knows how many play the content, its neighbours, and what it may take of each.
    Meet(u32, Vec<(u32, u64)>),
    Leave,
    /// A neighbour's silence is noticed.
    Gone(u32),
    Arrive(u32, Message),
    /// Wakes the cores.
    Wake,
    TurnEnd,
    Announce,
    /// The node tells its tracker what it measured.
    Report,
    /// The tracker has plans to make.
    PlansDue,
    /// The tracker notices that the node is gone.
    Missed,
    /// The player looks at what is there.
    Look,
    Seek(u64),
    /// Books are compared.
    Audit,
    Happen(usize),
}

/// All that is planned. The heap moves its entries about all the time, so it holds no more than when they are and where the rest is.
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    planned: Vec<Option<(u32, Event)>>,
    free: Vec<usize>,
    next: u64,
}

impl Events {
    pub(super) fn push(&mut self, at_us: u64, node: u32, event: Event) {
        self.next += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.planned.push(None);
            self.planned.len() - 1
        });
        self.planned[place] = Some((node, event));
        self.heap.push(Reverse((at_us, self.next, place)));
    }

    pub(super) fn pop(&mut self) -> Option<(u64, u32, Event)> {
        let Reverse((at_us, _, place)) = self.heap.pop()?;
        let (node, event) = self.planned[place].take()?;
        self.free.push(place);
        Some((at_us, node, event))
    }
}
