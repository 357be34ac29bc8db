//! Whose frame leaves next, and when: one limit for everything a node relays, shared fairly between its relays. Pure.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng 1996) in front of a pacer: each relay's next frame begins where its last one ended in
//! bytes served, or where service stands now, whichever is later; the least beginning leaves first. So relays that want much get the same
//! each, and one that wants little hardly waits. Small frames are upkeep: they leave at once and are paid for by what follows.

use std::collections::BTreeMap;

/// What an idle budget saves up for the next burst.
const BURST_US: u64 = 50_000;
/// Frames up to this long leave at once: pings, credits, requests.
const SMALL_BYTES: u64 = 1_024;
/// How far small frames may run ahead of the limit.
const SMALL_AHEAD_US: u64 = 250_000;

/// One direction of one relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// The relay's number.
    pub relay: u64,
    /// Whether it goes back from the end that came second.
    pub is_back: bool,
}

/// A place in the queue; the least is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    begins_bytes: u64,
    flow: Flow,
}

/// Whether it is a frame's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It leaves; its place is given up.
    Now,
    /// It is the next, at this time.
    At(u64),
    /// Others are before it.
    Behind,
}

/// See the file's header.
#[derive(Debug)]
pub struct Budget {
    limit_bps: u64,
    /// When the next frame may leave.
    free_at_us: u64,
    /// Where service stands: the beginning of the frame served last.
    served_bytes: u64,
    /// Where each relay's next frame begins.
    relays: BTreeMap<u64, u64>,
    queue: BTreeMap<Ticket, u64>,
}

impl Budget {
    /// A budget of `limit_bps`, or without a limit when that is 0.
    pub const fn new(limit_bps: u64) -> Self {
        Self { limit_bps, free_at_us: 0, served_bytes: 0, relays: BTreeMap::new(), queue: BTreeMap::new() }
    }

    /// A frame wants to leave: its place in the queue, or none when it leaves at once.
    pub fn enter(&mut self, now_us: u64, flow: Flow, bytes: u64) -> Option<Ticket> {
        if self.limit_bps == 0 {
            return None;
        }
        if bytes <= SMALL_BYTES && self.free_at_us <= now_us + SMALL_AHEAD_US {
            self.charge(now_us, bytes);
            return None;
        }
        let next_bytes = self.relays.entry(flow.relay).or_default();
        let begins_bytes = self.served_bytes.max(*next_bytes);
        *next_bytes = begins_bytes + bytes;
        let ticket = Ticket { begins_bytes, flow };
        self.queue.insert(ticket, bytes);
        Some(ticket)
    }

    /// Whether the frame with this ticket may leave now.
    pub fn turn(&mut self, now_us: u64, ticket: Ticket) -> Turn {
        if self.head() != Some(ticket) {
            return Turn::Behind;
        }
        if now_us < self.free_at_us {
            return Turn::At(self.free_at_us);
        }
        if let Some(bytes) = self.queue.remove(&ticket) {
            self.served_bytes = ticket.begins_bytes;
            self.charge(now_us, bytes);
        }
        Turn::Now
    }

    /// Who is served next.
    pub fn head(&self) -> Option<Ticket> {
        self.queue.first_key_value().map(|(ticket, _)| *ticket)
    }

    /// The frame does not leave after all.
    pub fn leave(&mut self, ticket: Ticket) {
        self.queue.remove(&ticket);
    }

    /// A relay has ended.
    pub fn forget(&mut self, relay: u64) {
        self.relays.remove(&relay);
        self.queue.retain(|ticket, _| ticket.flow.relay != relay);
    }

    fn charge(&mut self, now_us: u64, bytes: u64) {
        let took_us = bytes.saturating_mul(8_000_000) / self.limit_bps.max(1);
        self.free_at_us = self.free_at_us.max(now_us.saturating_sub(BURST_US)).saturating_add(took_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 16_384;

    #[test]
    fn all_relays_together_keep_to_the_limit() {
        let mut world = World::new(8_000_000, &[(0, FRAME), (1, 4 * FRAME), (2, FRAME)]);
        world.run(10_000_000);
        let sum: u64 = world.sent.values().sum();
        // A megabyte a second, the burst, and the frame that was under way.
        assert!((9_800_000..=10_000_000 + 50_000 + 4 * FRAME).contains(&sum), "{sum}");
    }

    #[test]
    fn relays_that_want_much_get_the_same_whatever_their_frames_are() {
        let mut world = World::new(8_000_000, &[(0, FRAME), (1, 16 * FRAME), (2, FRAME), (2, FRAME)]);
        world.run(10_000_000);
        let shares: Vec<u64> = world.sent.values().copied().collect();
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(most - least <= 32 * FRAME, "{shares:?}");
    }

    #[test]
    fn what_one_does_not_want_the_others_get() {
        let mut world = World::new(8_000_000, &[(0, FRAME), (1, FRAME)]);
        world.run(1_000_000);
        world.wants.truncate(1);
        let before = world.sent[&0];
        world.run(2_000_000);
        assert!(world.sent[&0] - before > 980_000, "{:?}", world.sent);
    }

    #[test]
    fn an_idle_relay_saves_nothing_up_against_the_others() {
        let mut world = World::new(8_000_000, &[(0, FRAME)]);
        world.run(5_000_000);
        world.wants.push((Flow { relay: 1, is_back: false }, FRAME, None));
        let before = world.sent[&0];
        world.run(7_000_000);
        let gained = world.sent[&0] - before;
        assert!((900_000..=1_100_000).contains(&gained), "half of two seconds, not {gained}");
    }

    #[test]
    fn upkeep_does_not_wait_behind_data_and_is_paid_for() {
        let mut budget = Budget::new(80_000);
        let flow = Flow { relay: 1, is_back: false };
        let ticket = budget.enter(1_000_000, flow, 5_000).expect("a place");
        assert_eq!(budget.turn(1_000_000, ticket), Turn::Now);
        assert_eq!(
            budget.enter(1_000_000, flow, 5_000).map(|next| budget.turn(1_000_000, next)),
            Some(Turn::At(1_450_000))
        );
        let other = Flow { relay: 2, is_back: false };
        // Half a second is owed already; upkeep goes on as soon as that is a quarter.
        assert!(budget.enter(1_000_000, other, 100).is_some());
        assert_eq!(budget.enter(1_250_000, other, 100), None);
        assert_eq!(budget.free_at_us, 1_460_000);
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        assert_eq!(Budget::new(0).enter(5, Flow { relay: 1, is_back: false }, 1 << 20), None);
    }

    #[test]
    fn who_gives_up_lets_the_next_go() {
        let mut budget = Budget::new(8_000_000);
        let [one, two] = [1, 2]
            .map(|relay| budget.enter(1_000_000, Flow { relay, is_back: false }, FRAME).expect("a place"));
        assert_eq!(budget.turn(1_000_000, two), Turn::Behind);
        budget.leave(one);
        assert_eq!(budget.turn(1_000_000, two), Turn::Now);
        budget.forget(1);
        budget.forget(2);
        assert!(budget.relays.is_empty() && budget.queue.is_empty());
    }

    /// Flows that always have another frame of the same length.
    struct World {
        budget: Budget,
        now_us: u64,
        wants: Vec<(Flow, u64, Option<Ticket>)>,
        sent: BTreeMap<u64, u64>,
    }

    impl World {
        fn new(limit_bps: u64, wants: &[(u64, u64)]) -> Self {
            let flows = wants.iter().enumerate().map(|(n, (relay, bytes))| {
                let is_back = wants[..n].iter().any(|(other, _)| other == relay);
                (Flow { relay: *relay, is_back }, *bytes, None)
            });
            Self { budget: Budget::new(limit_bps), now_us: 0, wants: flows.collect(), sent: BTreeMap::new() }
        }

        fn run(&mut self, until_us: u64) {
            while self.now_us < until_us {
                for (flow, bytes, place) in &mut self.wants {
                    let ticket = *place.get_or_insert_with(|| {
                        self.budget.enter(self.now_us, *flow, *bytes).expect("a place")
                    });
                    if self.budget.turn(self.now_us, ticket) == Turn::Now {
                        *self.sent.entry(flow.relay).or_default() += *bytes;
                        *place = None;
                    }
                }
                self.now_us += 500;
            }
        }
    }
}
