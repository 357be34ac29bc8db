//! What plans ask of whose uplink, over all contents together: [`Shares`] kept in step with plans, and what of them is worth telling. Pure.
//!
//! Only supplies that are there already count: sources that have everything. What a viewer may have of others that play the same, it has
//! of them: its demand on the rest is that much less, and it is told no shares, since in a crowd chunks are had from whoever has them.
//! Who has one source only has no choice, and is told none either. A share is told where an uplink is known and in much demand by several
//! viewers; where it is not, nobody needs to hold back, and each builds its buffer with whatever its sources can send.
//!
//! Invariant: a line is there while a way crosses it, and no longer.

use foldhash::HashMap;

use super::{
    nodes::Handle,
    paths::UNKNOWN_RATE_BPS,
    shares::{LineId, MAX_WAYS, Part, ReceiverId, Shares, Way},
};
use crate::file_index::FileKey;

/// An uplink of which this is asked is in much demand; told shares are told on until it is down to that.
const PRESSED: f64 = 0.6;
const STILL_PRESSED: f64 = 0.4;
/// An uplink has changed when it differs by more than this from what is reckoned with: measurements wobble.
const UPLINK_MARGIN_PERCENT: u64 = 15;
/// A share is news when it differs by a fifth from the one told, and by a twentieth of what its viewer wants.
const NEWS_PART: u64 = 5;
const NEWS_DEMAND_PART: u64 = 20;

/// A source whose supply is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    /// Who.
    pub node: Handle,
    /// What the way to it carries by itself, where that is less than the source can send: over a relay.
    pub link_bps: Option<u64>,
}

/// What a source can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uplink {
    /// Bits per second, if that is known.
    pub bps: Option<u64>,
    /// It is the tracker's own, and to be spared.
    pub is_origin: bool,
}

/// What a viewer wants, and of whom it can have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// Bits per second; 0 where it wants nothing, or nobody knows.
    pub bps: u64,
    /// It plays in a crowd.
    pub is_crowd: bool,
    /// The best first.
    pub supplies: Vec<Supply>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    id: LineId,
    capacity_bps: u64,
    ways: usize,
}

#[derive(Debug, Clone)]
struct Receiver {
    /// Nobody, when it is to be had again.
    who: Option<(FileKey, Handle)>,
    demand: Demand,
}

/// What a viewer may take of its sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharesOf(Vec<(Handle, u64)>);

impl SharesOf {
    /// Of one of them, or 0 where nothing is to be said.
    pub fn of(&self, node: Handle) -> u64 {
        self.0.iter().find(|(of, _)| *of == node).map_or(0, |(_, bps)| *bps)
    }
}

/// See the file's header.
#[derive(Debug, Default)]
pub struct Sharing {
    shares: Shares,
    lines: HashMap<Handle, Line>,
    /// Of each line whether what it carries was measured, or limited.
    is_known: Vec<bool>,
    free_lines: Vec<LineId>,
    receivers: Vec<Receiver>,
    free_receivers: Vec<ReceiverId>,
}

impl Sharing {
    /// A viewer's demand, new or as it is now; it chooses at once, others as they are settled. By what name it goes on.
    pub fn demand(
        &mut self,
        known: Option<ReceiverId>,
        who: (FileKey, Handle),
        mut demand: Demand,
        uplink: impl Fn(Handle) -> Uplink,
    ) -> Option<ReceiverId> {
        demand.supplies.truncate(MAX_WAYS);
        if demand.bps == 0 || demand.supplies.is_empty() {
            known.into_iter().for_each(|receiver| self.leave(receiver));
            return None;
        }
        let receiver = known.unwrap_or_else(|| self.new_receiver(who));
        if self.receivers[receiver as usize].demand != demand {
            let supplies = demand.supplies.iter();
            let ways: Vec<Way> = supplies.map(|supply| self.way(supply, uplink(supply.node))).collect();
            self.shares.set_ways(receiver, demand.bps, ways);
            self.shares.settle_one(receiver);
            let before = std::mem::replace(&mut self.receivers[receiver as usize].demand, demand);
            before.supplies.iter().for_each(|supply| self.release(supply.node));
        }
        Some(receiver)
    }

    /// A viewer wants nothing any more.
    pub fn leave(&mut self, receiver: ReceiverId) {
        let Some(known) = self.receivers.get_mut(receiver as usize) else { return };
        known.who = None;
        let before = std::mem::take(&mut known.demand);
        self.shares.set_ways(receiver, 0, Vec::new());
        before.supplies.iter().for_each(|supply| self.release(supply.node));
        self.free_receivers.push(receiver);
    }

    /// What a node can send was measured, or limited.
    pub fn uplink(&mut self, node: Handle, uplink_bps: Option<u64>) {
        let (Some(line), Some(bps)) = (self.lines.get_mut(&node), uplink_bps) else { return };
        let is_change = line.capacity_bps.abs_diff(bps) * 100 > line.capacity_bps * UPLINK_MARGIN_PERCENT;
        let was_known = std::mem::replace(&mut self.is_known[line.id as usize], true);
        if is_change || !was_known {
            line.capacity_bps = bps;
            self.shares.set_capacity(line.id, bps);
        }
    }

    /// Lets the next viewer that a change has reached move its demand; who that was.
    pub fn settle_next(&mut self) -> Option<Option<(FileKey, Handle)>> {
        self.shares.settle_next().map(|receiver| self.receivers[receiver as usize].who)
    }

    /// Whether nobody is left to be settled.
    pub fn is_settled(&self) -> bool {
        self.shares.is_settled()
    }

    /// What a viewer is to be told of each source of its plan, of which it was told `told`; 0 for nothing.
    pub fn shares(&self, receiver: Option<ReceiverId>, told: impl Fn(Handle) -> u64) -> SharesOf {
        let Some((receiver, known)) = self.receiver(receiver) else { return SharesOf::default() };
        let supplies = &known.demand.supplies;
        if known.demand.is_crowd || supplies.len() < 2 {
            return SharesOf::default();
        }
        let is_short = |supply: &Supply, part: &Part| {
            let is_known = !part.is_costly && self.is_known.get(part.first as usize) == Some(&true);
            let is_pressed = part.pressure >= PRESSED;
            let is_wanted_by_others = self.lines.get(&supply.node).is_some_and(|line| line.ways > 1);
            is_known
                && is_wanted_by_others
                && (is_pressed || part.pressure >= STILL_PRESSED && told(supply.node) > 0)
        };
        let mut are_peers_short = false;
        let mut shares = Vec::with_capacity(supplies.len());
        for (supply, part) in supplies.iter().zip(self.shares.parts(receiver)) {
            let is_short = is_short(supply, &part);
            are_peers_short |= is_short;
            if is_short || part.is_costly {
                // The least there is says "nothing of this one", which is not the same as saying nothing.
                shares.push((supply.node, (part.bps as u64).max(1)));
            }
        }
        // An origin is nobody's to make up for shares that are used up; where none is told, nor is its.
        SharesOf(if are_peers_short { shares } else { Vec::new() })
    }

    /// Whether a viewer that was told `told` should hear of `now`.
    pub fn are_news(
        &self,
        receiver: Option<ReceiverId>,
        told: impl Fn(Handle) -> u64,
        now: &SharesOf,
    ) -> bool {
        let Some((_, known)) = self.receiver(receiver) else { return false };
        known.demand.supplies.iter().any(|supply| {
            let (told, now) = (told(supply.node), now.of(supply.node));
            let margin = (told.max(now) / NEWS_PART).max(known.demand.bps / NEWS_DEMAND_PART);
            (told == 0) != (now == 0) || told.abs_diff(now) > margin
        })
    }

    fn receiver(&self, receiver: Option<ReceiverId>) -> Option<(ReceiverId, &Receiver)> {
        let receiver = receiver?;
        self.receivers.get(receiver as usize).map(|known| (receiver, known))
    }

    fn new_receiver(&mut self, who: (FileKey, Handle)) -> ReceiverId {
        let receiver = Receiver { who: Some(who), demand: Demand::default() };
        if let Some(free) = self.free_receivers.pop() {
            self.receivers[free as usize] = receiver;
            return free;
        }
        self.receivers.push(receiver);
        self.shares.add_receiver()
    }

    /// The way to a source; its line is used once more.
    fn way(&mut self, supply: &Supply, uplink: Uplink) -> Way {
        let (shares, free, known) = (&mut self.shares, &mut self.free_lines, &mut self.is_known);
        let line = self.lines.entry(supply.node).or_insert_with(|| {
            let capacity_bps = uplink.bps.unwrap_or(UNKNOWN_RATE_BPS);
            let id = free.pop().inspect(|id| shares.renew_line(*id, capacity_bps, uplink.is_origin));
            let id = id.unwrap_or_else(|| shares.add_line(capacity_bps, uplink.is_origin));
            known.resize(known.len().max(id as usize + 1), false);
            known[id as usize] = uplink.bps.is_some();
            Line { id, capacity_bps, ways: 0 }
        });
        line.ways += 1;
        Way::new(&[line.id], supply.link_bps)
    }

    fn release(&mut self, node: Handle) {
        let Some(line) = self.lines.get_mut(&node) else { return };
        line.ways -= 1;
        if line.ways == 0 {
            self.free_lines.push(line.id);
            self.lines.remove(&node);
        }
    }
}
