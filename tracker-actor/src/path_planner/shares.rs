//! Who is to take how much from whom: shares of lines that many receivers want. Pure, incremental.
//!
//! A *line* carries so much and no more: a node's way up, or its way down. A *way* from a source to a receiver crosses some lines: direct and
//! reversed ways the source's up and the receiver's down, relayed ways the relay's down and up besides. Every receiver spreads its demand
//! over its ways; a line's *pressure* is what is asked of it over what it carries. Goals, in this order:
//!
//! - **(a)** the smallest rate / demand is as large as can be, and of the others the smallest again;
//! - **(b)** costly lines (an origin's way up) carry no more than that needs;
//! - **(c)** what may stay as it is stays.
//!
//! Each receiver moves demand from the way that is pressed most to the one that is pressed least until they are pressed alike: steepest
//! descent, a receiver at a time, on the convex sum over lines of `capacity x pressure^(n+1)`. Where every way crosses one shared line, the
//! least point is the same for every `n` and is the fairest spread there is (Fujishige, "Lexicographically optimal base of a polymatroid",
//! 1980). Where relays share lines a large `n` comes near it, found from the least point of a small one. A costly line counts as pressed by
//! [`COST_PRESSURE`] at least, so it serves those whom the others cannot serve in full. Only receivers that a change reaches look again.
//!
//! Invariant: a line's load is the sum of what its ways ask of it, and the rates told never exceed what a line or a link carries.

use std::collections::VecDeque;

/// The most lines that a way crosses.
pub const MAX_LINES: usize = 4;
/// The most ways of one receiver; more are not looked at.
pub const MAX_WAYS: usize = 32;
/// What a costly line counts as pressed at least: others are filled first.
pub const COST_PRESSURE: f64 = 0.999;
/// The rounds of a balance from scratch: the exponent `n` as a number of squarings, and up to which difference pressures count as alike.
const ROUNDS: [(u32, f64); 3] = [(3, 0.02), (5, 0.005), FINEST];
const FINEST: (u32, f64) = (6, 0.005);
/// Moves of one receiver in one look, as a multiple of its ways.
const MOVES_PER_WAY: usize = 2;
/// No line is narrower and no pressure higher than this: powers stay finite.
const MIN_BPS: f64 = 1.0;
const MAX_PRESSURE: f64 = 1e4;

/// Names a line.
pub type LineId = u32;
/// Names a receiver.
pub type ReceiverId = u32;

const NO_LINE: LineId = u32::MAX;

/// One way from a source to a receiver.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Way {
    lines: [LineId; MAX_LINES],
    /// What the link carries by itself.
    link_bps: f64,
    asked_bps: f64,
}

#[derive(Debug, Clone, Default)]
struct Line {
    capacity_bps: f64,
    load_bps: f64,
    /// What it adds to the steepness of a way.
    steepness: f64,
    /// The pressure its users were last asked to look at.
    seen: f64,
    is_costly: bool,
}

#[derive(Debug, Clone, Default)]
struct Receiver {
    demand_bps: f64,
    ways: Vec<Way>,
    is_due: bool,
}

/// What a receiver may take of a way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Bits per second, if the line of the way that is pressed most were used up; of costly lines no more than is asked of them.
    pub bps: f64,
    /// How much that line is pressed.
    pub pressure: f64,
    /// The first line of the way.
    pub first: LineId,
    /// The way crosses a costly line.
    pub is_costly: bool,
}

/// Lines, receivers, and how these share those.
#[derive(Debug, Clone)]
pub struct Shares {
    lines: Vec<Line>,
    /// Whose ways cross each line; who crosses it twice is there twice, who has no other way not at all: it has nothing to look at.
    users: Vec<Vec<ReceiverId>>,
    receivers: Vec<Receiver>,
    due: VecDeque<ReceiverId>,
    squarings: u32,
    tolerance: f64,
}

impl Way {
    /// A way across `lines`, the first [`MAX_LINES`] of them; `link_bps` is what the link carries by itself, if known.
    pub fn new(lines: &[LineId], link_bps: Option<u64>) -> Self {
        let mut crossed = [NO_LINE; MAX_LINES];
        crossed.iter_mut().zip(lines).for_each(|(slot, line)| *slot = *line);
        let link_bps = link_bps.map_or(f64::INFINITY, |bps| (bps as f64).max(MIN_BPS));
        Self { lines: crossed, link_bps, asked_bps: 0.0 }
    }

    fn lines(&self) -> impl Iterator<Item = usize> + use<> {
        self.lines.into_iter().take_while(|line| *line != NO_LINE).map(|line| line as usize)
    }

    fn link_pressure(&self) -> f64 {
        self.asked_bps / self.link_bps
    }
}

impl Line {
    fn pressure(&self) -> f64 {
        self.load_bps / self.capacity_bps
    }

    fn press(&mut self, squarings: u32) {
        let least = if self.is_costly { COST_PRESSURE } else { 0.0 };
        self.steepness = power(self.pressure().max(least), squarings);
    }
}

impl Default for Shares {
    fn default() -> Self {
        let (squarings, tolerance) = FINEST;
        Self {
            lines: Vec::new(),
            users: Vec::new(),
            receivers: Vec::new(),
            due: VecDeque::new(),
            squarings,
            tolerance,
        }
    }
}

impl Shares {
    /// A line that carries `capacity_bps`; `is_costly` if it is to be spared.
    pub fn add_line(&mut self, capacity_bps: u64, is_costly: bool) -> LineId {
        let mut line =
            Line { capacity_bps: (capacity_bps as f64).max(MIN_BPS), is_costly, ..Line::default() };
        line.press(self.squarings);
        self.lines.push(line);
        self.users.push(Vec::new());
        (self.lines.len() - 1) as LineId
    }

    /// Another line by the name of one that no way crosses any more.
    pub fn renew_line(&mut self, line: LineId, capacity_bps: u64, is_costly: bool) {
        let Some(known) = self.lines.get_mut(line as usize) else { return };
        let capacity_bps = (capacity_bps as f64).max(MIN_BPS);
        *known = Line { capacity_bps, is_costly, ..Line::default() };
        known.press(self.squarings);
    }

    /// A line carries more or less than before.
    pub fn set_capacity(&mut self, line: LineId, capacity_bps: u64) {
        let Some(known) = self.lines.get_mut(line as usize) else { return };
        known.capacity_bps = (capacity_bps as f64).max(MIN_BPS);
        known.press(self.squarings);
        self.notice(line as usize);
    }

    /// A receiver that wants nothing yet.
    pub fn add_receiver(&mut self) -> ReceiverId {
        self.receivers.push(Receiver::default());
        (self.receivers.len() - 1) as ReceiverId
    }

    /// What a receiver wants, and over which ways it can be had. Ways that were there before keep what is asked of them.
    pub fn set_ways(&mut self, receiver: ReceiverId, demand_bps: u64, mut ways: Vec<Way>) {
        let Some(known) = self.receivers.get_mut(receiver as usize) else { return };
        known.demand_bps = demand_bps as f64;
        let before = std::mem::take(&mut known.ways);
        ways.truncate(MAX_WAYS);
        ways.retain(|way| way.lines().all(|line| line < self.lines.len()));
        for way in &mut ways {
            let same = before.iter().find(|other| other.lines == way.lines);
            way.asked_bps = same.map_or(0.0, |other| other.asked_bps);
        }
        for way in &before {
            self.shift(way, -way.asked_bps);
            if before.len() > 1 {
                way.lines().for_each(|line| self.forget_user(line, receiver));
            }
        }
        for way in &ways {
            self.shift(way, way.asked_bps);
            if ways.len() > 1 {
                way.lines().for_each(|line| self.users[line].push(receiver));
            }
        }
        before.iter().chain(&ways).flat_map(Way::lines).for_each(|line| self.notice(line));
        self.receivers[receiver as usize].ways = ways;
        look_at(receiver, &mut self.receivers, &mut self.due);
    }

    /// Balances everything anew, from what is asked now.
    pub fn balance(&mut self) {
        for (squarings, tolerance) in ROUNDS {
            (self.squarings, self.tolerance) = (squarings, tolerance);
            self.lines.iter_mut().for_each(|line| line.press(squarings));
            for receiver in 0..self.receivers.len() as ReceiverId {
                look_at(receiver, &mut self.receivers, &mut self.due);
            }
            while !self.settle(usize::MAX) {}
        }
    }

    /// Lets those that a change has reached move their demand, `looks` times at most. Whether everybody is content.
    pub fn settle(&mut self, looks: usize) -> bool {
        (0..looks).all(|_| self.settle_next().is_some());
        self.is_settled()
    }

    /// Lets one receiver do so out of turn.
    pub fn settle_one(&mut self, receiver: ReceiverId) {
        if (receiver as usize) < self.receivers.len() {
            self.look(receiver);
        }
    }

    /// Lets the next of them do so; who that was.
    pub fn settle_next(&mut self) -> Option<ReceiverId> {
        let receiver = self.due.pop_front()?;
        self.look(receiver);
        Some(receiver)
    }

    /// Whether everybody is content.
    pub fn is_settled(&self) -> bool {
        self.due.is_empty()
    }

    /// What a receiver may expect of each of its ways, in bits per second and in their order.
    pub fn rates(&self, receiver: ReceiverId) -> impl Iterator<Item = f64> {
        let ways = self.receivers.get(receiver as usize).map_or(&[][..], |known| &known.ways);
        ways.iter().map(|way| {
            let lines = way.lines().map(|line| self.lines[line].pressure());
            way.asked_bps / lines.fold(way.link_pressure(), f64::max).max(1.0)
        })
    }

    /// What a receiver may take of each of its ways, in their order, so that all fare alike.
    pub fn parts(&self, receiver: ReceiverId) -> impl Iterator<Item = Part> {
        let ways = self.receivers.get(receiver as usize).map_or(&[][..], |known| &known.ways);
        ways.iter().map(|way| {
            let lines = || way.lines().map(|line| &self.lines[line]);
            let pressure = lines().map(Line::pressure).fold(way.link_pressure(), f64::max);
            let is_costly = lines().any(|line| line.is_costly);
            let scale = if is_costly { pressure.max(1.0) } else { pressure };
            let bps = if scale > 0.0 { way.asked_bps / scale } else { 0.0 };
            Part { bps, pressure, first: way.lines[0], is_costly }
        })
    }

    /// What a receiver may expect in all over what it wants; 1 if it wants nothing.
    pub fn fraction(&self, receiver: ReceiverId) -> f64 {
        let demand_bps = self.receivers.get(receiver as usize).map_or(0.0, |known| known.demand_bps);
        if demand_bps == 0.0 { 1.0 } else { self.rates(receiver).sum::<f64>() / demand_bps }
    }

    /// The smallest [`Self::fraction`] of all.
    pub fn smallest_fraction(&self) -> f64 {
        (0..self.receivers.len() as ReceiverId).map(|receiver| self.fraction(receiver)).fold(1.0, f64::min)
    }

    /// One receiver moves its demand until its ways are pressed alike.
    fn look(&mut self, receiver: ReceiverId) {
        let known = &mut self.receivers[receiver as usize];
        known.is_due = false;
        let (demand_bps, mut ways) = (known.demand_bps, std::mem::take(&mut known.ways));
        let mut steepness = [0.0; MAX_WAYS];
        self.meet_demand(demand_bps, &mut ways);
        steepness.iter_mut().zip(&ways).for_each(|(slot, way)| *slot = self.steepness(way));
        for _ in 0..MOVES_PER_WAY * ways.len() {
            if !self.move_once(&mut ways, &mut steepness) {
                break;
            }
        }
        ways.iter().flat_map(Way::lines).for_each(|line| self.notice(line));
        self.receivers[receiver as usize].ways = ways;
    }

    /// Asks in all for what is wanted: more of the way pressed least, or less of all.
    fn meet_demand(&mut self, demand_bps: f64, ways: &mut [Way]) {
        let asked_bps: f64 = ways.iter().map(|way| way.asked_bps).sum();
        let missing_bps = demand_bps - asked_bps;
        if missing_bps < 0.0 {
            for way in ways {
                let bps = way.asked_bps * missing_bps / asked_bps;
                way.asked_bps += bps;
                self.shift(way, bps);
            }
        } else if missing_bps > 0.0
            && let Some(way) = ways.iter_mut().min_by(|a, b| self.steepness(a).total_cmp(&self.steepness(b)))
        {
            way.asked_bps += missing_bps;
            self.shift(way, missing_bps);
        }
    }

    /// Moves demand from the way pressed most to the one pressed least. Whether that was worth it.
    fn move_once(&mut self, ways: &mut [Way], steepness: &mut [f64; MAX_WAYS]) -> bool {
        let (mut from, mut to) = (None, None);
        for (at, (way, steep)) in ways.iter().zip(&*steepness).enumerate() {
            if way.asked_bps > 0.0 && from.is_none_or(|from: usize| *steep > steepness[from]) {
                from = Some(at);
            }
            if to.is_none_or(|to: usize| *steep < steepness[to]) {
                to = Some(at);
            }
        }
        let (Some(from), Some(to)) = (from, to) else { return false };
        let (high, low) = (root(steepness[from], self.squarings), root(steepness[to], self.squarings));
        if high - low <= self.tolerance * high {
            return false;
        }
        // Pressures are nearly straight lines over the rate, so one step of Newton's brings both together.
        let slope = self.slope(&ways[from], high) + self.slope(&ways[to], low);
        let bps = ((high - low) / slope).min(ways[from].asked_bps);
        for (at, bps) in [(from, -bps), (to, bps)] {
            ways[at].asked_bps += bps;
            self.shift(&ways[at], bps);
        }
        steepness[from] = self.steepness(&ways[from]);
        steepness[to] = self.steepness(&ways[to]);
        true
    }

    /// How fast the sum that is to become small grows with what is asked of a way: the pressures along it, each to the power of `n`.
    fn steepness(&self, way: &Way) -> f64 {
        let link = power(way.link_pressure(), self.squarings);
        way.lines().map(|line| self.lines[line].steepness).sum::<f64>() + link
    }

    /// How fast the root of a way's steepness grows with what is asked of it.
    fn slope(&self, way: &Way, pressure: f64) -> f64 {
        if pressure == 0.0 {
            // Of lines that nobody uses the narrowest will be pressed most.
            return way.lines().map(|line| 1.0 / self.lines[line].capacity_bps).fold(0.0, f64::max);
        }
        let share = |own: f64, carries_bps: f64| match own {
            0.0 => 0.0,
            own => power(own / pressure, self.squarings) * pressure / own / carries_bps,
        };
        let lines = way.lines().map(|line| {
            let line = &self.lines[line];
            let is_flat = line.is_costly && line.pressure() < COST_PRESSURE;
            if is_flat { 0.0 } else { share(line.pressure(), line.capacity_bps) }
        });
        (lines.sum::<f64>() + share(way.link_pressure(), way.link_bps)).max(f64::MIN_POSITIVE)
    }

    fn shift(&mut self, way: &Way, bps: f64) {
        for line in way.lines() {
            let line = &mut self.lines[line];
            line.load_bps = (line.load_bps + bps).max(0.0);
            line.press(self.squarings);
        }
    }

    fn forget_user(&mut self, line: usize, receiver: ReceiverId) {
        let users = &mut self.users[line];
        if let Some(at) = users.iter().position(|user| *user == receiver) {
            users.swap_remove(at);
        }
    }

    /// If a line is pressed otherwise than its users know, they look again.
    fn notice(&mut self, line: usize) {
        let known = &mut self.lines[line];
        let pressure = known.pressure();
        if (pressure - known.seen).abs() > self.tolerance * pressure.max(known.seen) {
            known.seen = pressure;
            for user in &self.users[line] {
                look_at(*user, &mut self.receivers, &mut self.due);
            }
        }
    }
}

fn look_at(receiver: ReceiverId, receivers: &mut [Receiver], due: &mut VecDeque<ReceiverId>) {
    let known = &mut receivers[receiver as usize];
    if !std::mem::replace(&mut known.is_due, true) {
        due.push_back(receiver);
    }
}

/// `pressure` to the power of two to the power of `squarings`.
fn power(pressure: f64, squarings: u32) -> f64 {
    (0..squarings).fold(pressure.min(MAX_PRESSURE), |power, _| power * power)
}

fn root(steepness: f64, squarings: u32) -> f64 {
    (0..squarings).fold(steepness, |root, _| root.sqrt())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_that_share_a_line_get_alike_and_a_line_of_ones_own_helps_both() {
        let mut shares = Shares::default();
        let (common, own) = (shares.add_line(1_000, false), shares.add_line(500, false));
        let both = receiver(&mut shares, 1_000, &[&[common], &[own]]);
        let one = receiver(&mut shares, 1_000, &[&[common]]);
        shares.balance();
        for receiver in [both, one] {
            assert!((shares.fraction(receiver) - 0.75).abs() < 0.01, "{}", shares.fraction(receiver));
        }
    }

    #[test]
    fn who_has_a_poor_source_alone_does_not_hold_back_the_others() {
        let mut shares = Shares::default();
        let (wide, narrow) = (shares.add_line(10_000, false), shares.add_line(10, false));
        let (rich, poor) = (receiver(&mut shares, 100, &[&[wide]]), receiver(&mut shares, 100, &[&[narrow]]));
        shares.balance();
        assert!((shares.fraction(poor) - 0.1).abs() < 0.001);
        assert!((shares.fraction(rich) - 1.0).abs() < 0.001);
    }

    #[test]
    fn a_costly_line_carries_only_what_the_others_cannot() {
        let mut shares = Shares::default();
        let (origin, peer) = (shares.add_line(10_000, true), shares.add_line(600, false));
        let one = receiver(&mut shares, 1_000, &[&[origin], &[peer]]);
        shares.balance();
        let rates: Vec<f64> = shares.rates(one).collect();
        assert!((rates[0] - 400.0).abs() < 10.0 && (rates[1] - 600.0).abs() < 10.0, "{rates:?}");
        shares.set_capacity(peer, 1_200);
        while !shares.settle(1) {}
        assert!(shares.rates(one).next().is_some_and(|origin_bps| origin_bps < 5.0));
    }

    #[test]
    fn a_relay_spends_two_lines_and_is_spared_where_a_direct_way_does() {
        let mut shares = Shares::default();
        let (source, down, up) =
            (shares.add_line(1_000, false), shares.add_line(1_000, false), shares.add_line(300, false));
        let other = shares.add_line(1_000, false);
        let relayed = receiver(&mut shares, 500, &[&[source, down, up], &[other]]);
        let neighbour = receiver(&mut shares, 1_000, &[&[source]]);
        shares.balance();
        assert!(shares.rates(relayed).next().is_some_and(|relayed_bps| relayed_bps < 300.0));
        assert!(shares.fraction(neighbour) > 0.99 && shares.fraction(relayed) > 0.99);
    }

    #[test]
    fn what_is_settled_stays_and_a_small_change_moves_little() {
        let (mut shares, lines) = swarm(300, 8, 7);
        shares.balance();
        let before = asked(&shares);
        assert!(shares.settle(1));
        assert_eq!(asked(&shares), before);
        shares.set_capacity(lines[3], 900_000);
        let mut looks = 0;
        while !shares.settle(1) {
            looks += 1;
        }
        let moved: f64 = asked(&shares).iter().zip(&before).map(|(a, b)| (a - b).abs()).sum();
        let all: f64 = before.iter().sum();
        assert!(moved < 0.02 * all, "{moved} of {all} moved in {looks} looks");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Receivers, sources and lines come, change and go; books are kept, nothing is carried beyond what there is.
        #[test]
        fn loads_are_what_is_asked_and_no_line_carries_more_than_it_can(seed: u64, changes in prop::collection::vec((0u32..40, 1u64..4_000_000, any::<bool>()), 0..40)) {
            let (mut shares, lines) = swarm(40, 4, seed);
            for (at, bps, is_line) in changes {
                if is_line {
                    shares.set_capacity(lines[at as usize], bps);
                } else {
                    let ways = vec![Way::new(&[lines[(at as usize + 1) % 40], lines[at as usize]], Some(bps))];
                    shares.set_ways(at, bps, ways);
                }
                shares.settle(20);
            }
            shares.balance();
            let mut loads = vec![0.0; lines.len()];
            let mut carried = vec![0.0; lines.len()];
            for number in 0..40 {
                let ways = &shares.receivers[number as usize].ways;
                for (way, bps) in ways.iter().zip(shares.rates(number)) {
                    prop_assert!(way.asked_bps >= 0.0 && bps <= way.link_bps * 1.000_001);
                    way.lines().for_each(|line| loads[line] += way.asked_bps);
                    way.lines().for_each(|line| carried[line] += bps);
                }
                prop_assert!(shares.fraction(number) <= 1.000_001);
            }
            for (at, line) in shares.lines.iter().enumerate() {
                prop_assert!((line.load_bps - loads[at]).abs() <= 1e-6 * line.load_bps + 1e-3);
                prop_assert!(carried[at] <= line.capacity_bps * 1.000_01 + 1e-3);
            }
        }
    }

    fn receiver(shares: &mut Shares, demand_bps: u64, ways: &[&[LineId]]) -> ReceiverId {
        let receiver = shares.add_receiver();
        shares.set_ways(receiver, demand_bps, ways.iter().map(|lines| Way::new(lines, None)).collect());
        receiver
    }

    /// Receivers that are sources of each other, on a ring with jumps.
    fn swarm(count: u32, fan_in: u32, seed: u64) -> (Shares, Vec<LineId>) {
        let mut shares = Shares::default();
        let width =
            |n: u32| 200_000 + (seed.wrapping_add(u64::from(n)).wrapping_mul(2_654_435_761) >> 7) % 1_000_000;
        let lines: Vec<LineId> = (0..count).map(|n| shares.add_line(width(n), false)).collect();
        for n in 0..count {
            let sources = (1..=fan_in).map(|k| (n + k * k * 7 + 1) % count).filter(|source| *source != n);
            let ways = sources.map(|source| Way::new(&[lines[source as usize]], None)).collect();
            let receiver = shares.add_receiver();
            shares.set_ways(receiver, 1_000_000, ways);
        }
        (shares, lines)
    }

    fn asked(shares: &Shares) -> Vec<f64> {
        shares.receivers.iter().flat_map(|known| known.ways.iter().map(|way| way.asked_bps)).collect()
    }
}
