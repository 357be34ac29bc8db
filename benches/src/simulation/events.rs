//! What is still to happen, in order of time, and in the order it was planned in where times are equal.

use std::{cmp::Reverse, collections::BinaryHeap};

use shared::schedule::viewer::Swarm;

use super::node::Message;

#[derive(Debug)]
pub(super) enum Event {
    Join,
    /// The node knows of the swarm, its neighbours, and what it may take of each.
    Meet(Swarm, Vec<(u32, u64)>),
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

/// What happens within so many milliseconds waits by the millisecond; the rest, of which there is little, in a heap.
const SLOTS: usize = 8_192;

/// All that is planned. With thousands of nodes that is much, and one heap of it would have each event wander through all of memory.
#[derive(Debug)]
pub(super) struct Events {
    /// What happens in the current millisecond.
    now: BinaryHeap<Reverse<Planned>>,
    now_ms: u64,
    /// What happens in those that follow, each in its slot, and how much that is.
    soon: Vec<Vec<Reverse<Planned>>>,
    soon_count: usize,
    later: BinaryHeap<Reverse<Planned>>,
    next: u64,
}

impl Default for Events {
    fn default() -> Self {
        let soon = std::iter::repeat_with(Vec::new).take(SLOTS).collect();
        Self { now: BinaryHeap::new(), now_ms: 0, soon, soon_count: 0, later: BinaryHeap::new(), next: 0 }
    }
}

impl Events {
    pub(super) fn push(&mut self, at_us: u64, node: u32, event: Event) {
        self.next += 1;
        self.place(Reverse(Planned { at: (at_us, self.next), node, event }));
    }

    pub(super) fn pop(&mut self) -> Option<(u64, u32, Event)> {
        while self.now.is_empty() {
            self.advance()?;
        }
        self.now.pop().map(|Reverse(planned)| (planned.at.0, planned.node, planned.event))
    }

    fn place(&mut self, planned: Reverse<Planned>) {
        let at_ms = planned.0.at_ms();
        if at_ms <= self.now_ms {
            self.now.push(planned);
        } else if at_ms < self.now_ms + SLOTS as u64 {
            self.soon[at_ms as usize % SLOTS].push(planned);
            self.soon_count += 1;
        } else {
            self.later.push(planned);
        }
    }

    /// Goes on to the next millisecond in which anything may happen; none if nothing is planned.
    fn advance(&mut self) -> Option<()> {
        let later_ms = self.later.peek().map(|Reverse(planned)| planned.at_ms());
        self.now_ms = if self.soon_count > 0 { self.now_ms + 1 } else { later_ms? };
        let slot = std::mem::take(&mut self.soon[self.now_ms as usize % SLOTS]);
        self.soon_count -= slot.len();
        self.now = BinaryHeap::from(slot);
        while self.later.peek().is_some_and(|Reverse(planned)| planned.at_ms() < self.now_ms + SLOTS as u64)
            && let Some(planned) = self.later.pop()
        {
            self.place(planned);
        }
        Some(())
    }
}

#[derive(Debug)]
struct Planned {
    at: (u64, u64),
    node: u32,
    event: Event,
}

impl Planned {
    const fn at_ms(&self) -> u64 {
        self.at.0 / 1_000
    }
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

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn all_happens_in_order_of_time_and_then_of_planning() {
        let (mut events, mut rng, mut expected) = (Events::default(), StdRng::seed_from_u64(7), Vec::new());
        let (mut now_us, mut done) = (0, Vec::new());
        for node in 0..20_000 {
            let ahead_us = [0, 300, 1_500, 400_000, 9_000_000, 60_000_000][rng.random_range(0..6)];
            let at_us = now_us + rng.random_range(0..=ahead_us);
            expected.push((at_us, node));
            events.push(at_us, node, Event::Wake);
            if node % 3 > 0
                && let Some((at_us, node, _)) = events.pop()
            {
                now_us = at_us;
                done.push((at_us, node));
            }
        }
        done.extend(std::iter::from_fn(|| events.pop()).map(|(at_us, node, _)| (at_us, node)));
        expected.sort_unstable();
        assert_eq!(done, expected);
    }
}
