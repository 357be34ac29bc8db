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

/// All that is planned.
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Reverse<Planned>>,
    next: u64,
}

impl Events {
    pub(super) fn push(&mut self, at_us: u64, node: u32, event: Event) {
        self.next += 1;
        self.heap.push(Reverse(Planned { at: (at_us, self.next), node, event }));
    }

    pub(super) fn pop(&mut self) -> Option<(u64, u32, Event)> {
        self.heap.pop().map(|Reverse(planned)| (planned.at.0, planned.node, planned.event))
    }
}

#[derive(Debug)]
struct Planned {
    at: (u64, u64),
    node: u32,
    event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Planned {}
impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
