//! Who is in the swarm of one content, and who of them a viewer should look at. Pure.
//!
//! Invariant: looking at a swarm costs the same however many are in it: a viewer is shown those it has, the origin, its neighbours in
//! playhead and its neighbours on the ring of node ids, [`POOL`] in all at most.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound::{self, Excluded, Included, Unbounded},
};

use foldhash::HashMap;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use shared::{
    LeafIndex,
    limits::LEAF_BYTES,
    schedule::LARGE_SWARM,
    units::leaf_count,
    wire::{PathKind, Role},
};

use super::{
    nodes::{Handle, Slot},
    planning::PLAN_NEIGHBOURS,
    rates::SwarmRates,
    shares::ReceiverId,
};

/// The most members of a swarm that are looked at for one plan.
pub const POOL: usize = 64;
/// How many of them by nearness of playhead. Half of those are the nearest; the others are scattered over who plays so much ahead and behind:
/// in a crowd the nearest came within one moment, and are each other's nearest.
const NEAR: usize = 16;
const NEAREST: usize = NEAR / 2;
const SCATTER_AHEAD_MS: i64 = 6_000;
const SCATTER_BEHIND_MS: i64 = 2_000;
/// Viewers of one swarm that came within the last second are a crowd if they are so many, and crowds are taken to come for so many more
/// seconds, also where chance makes a pause. That they become a large swarm, in which other rules hold, is believed of twice as many, and while
/// they do come: six of sixteen come in one second by chance.
const CROWD_JOINS: usize = 4;
const LARGE_CROWD_JOINS: usize = 8;
const CROWD_MORE_SECONDS: usize = 4;
/// Media in a leaf where the rate is unknown.
const USUAL_LEAF_MS: u64 = 100;

/// A source as a viewer was told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Who.
    pub node: Handle,
    /// Peer or origin.
    pub role: Role,
    /// How to reach it.
    pub path: PathKind,
    /// What was measured of the path, or 0.
    pub rate_bps: u64,
    /// Whether it has the whole file.
    pub complete: bool,
    /// Whether it is known to upload.
    pub uploads: bool,
    /// Grows as either end registers other addresses; 0 where none were told.
    pub addresses: u64,
    /// What the viewer may take of it, or 0 where nothing was told.
    pub share_bps: u64,
}

/// A member that wants the content.
#[derive(Debug, Clone, Default)]
pub struct Viewer {
    /// Where its playhead was when it said so.
    pub playhead_leaf: LeafIndex,
    /// When it would have been at the first leaf: who plays on keeps its distance to others who do.
    began_ms: i64,
    /// When it came.
    entered_ms: u64,
    /// The plan it was told last.
    pub plan: Vec<Told>,
    /// The epoch of that plan, or 0.
    pub epoch: u64,
    /// When it was told.
    pub told_ms: u64,
    /// When it was last given another source for one that it had.
    pub explored_ms: u64,
    /// When its plan is looked at again.
    pub due_ms: Option<u64>,
    /// Who it is among those that share uplinks.
    pub receiver: Option<ReceiverId>,
}

/// Whose plans name a member, in no order.
type NamedBy = HashMap<Handle, Vec<Handle>>;

/// The members of one content's swarm.
#[derive(Debug, Clone, Default)]
pub struct Swarm {
    /// Those that have all of it.
    pub holders: BTreeSet<Handle>,
    /// Those that have some of it, in leaves.
    pub partial: BTreeMap<Handle, u32>,
    /// Those that want it.
    pub viewers: BTreeMap<Handle, Viewer>,
    /// The tracker's own origin, if it has the content.
    pub origin: Option<Handle>,
    /// Length of the content, or 0 when unknown.
    pub size_bytes: u64,
    /// Mean rate of the content, or 0 when unknown.
    pub bitrate_bps: u64,
    /// What it can carry, and when that was summed up.
    pub rates: Option<(u64, SwarmRates)>,
    /// By when each would have been at the first leaf: whoever is foremost first.
    by_playhead: BTreeSet<(i64, Handle)>,
    /// Whose plans name a member.
    named_by: NamedBy,
    /// Viewers whose plans have room for more.
    hungry: BTreeSet<Handle>,
    /// When those viewers came that came last, the earliest first.
    entered_ms: VecDeque<u64>,
    /// How many viewers a small crowd was expected to become, and until when others may come.
    forecast: (usize, u64),
}

impl Viewer {
    /// The share it was told of a source, or 0.
    pub fn told_shares(&self) -> impl Fn(Handle) -> u64 {
        |node| self.plan.iter().find(|told| told.node == node).map_or(0, |told| told.share_bps)
    }
}

impl Swarm {
    /// `node` wants the content from `playhead_leaf` on. Whether it is new to the swarm.
    pub fn enter(&mut self, now_ms: u64, node: Handle, playhead_leaf: LeafIndex) -> bool {
        let is_new = !self.viewers.contains_key(&node);
        let began_ms = now_ms as i64 - self.media_ms(playhead_leaf) as i64;
        let viewer = self.viewers.entry(node).or_default();
        self.by_playhead.remove(&(viewer.began_ms, node));
        (viewer.playhead_leaf, viewer.began_ms) = (playhead_leaf, began_ms);
        self.by_playhead.insert((began_ms, node));
        if is_new {
            viewer.entered_ms = now_ms;
            self.hungry.insert(node);
            self.entered_ms.drain(..self.entered_ms.len() - self.newcomers(now_ms));
            self.entered_ms.push_back(now_ms);
            self.forecast(now_ms);
        }
        is_new
    }

    /// How many viewers there will soon be: a crowd is reckoned with before it is all there, for what its first ones do with the origin's
    /// uplink its last ones lack.
    pub fn expected_viewers(&self, now_ms: u64) -> usize {
        let (viewers, newcomers) = (self.viewers.len(), self.newcomers(now_ms));
        let (expected, until_ms) = self.forecast;
        match newcomers {
            LARGE_CROWD_JOINS.. => viewers + CROWD_MORE_SECONDS * newcomers,
            _ if now_ms < until_ms => viewers.max(expected),
            _ => viewers,
        }
    }

    /// A viewer came.
    fn forecast(&mut self, now_ms: u64) {
        let newcomers = self.newcomers(now_ms);
        let expected = LARGE_SWARM.min(self.viewers.len() + CROWD_MORE_SECONDS * newcomers);
        let (before, until_ms) = self.forecast;
        if newcomers >= CROWD_JOINS && (expected >= before || now_ms >= until_ms) {
            self.forecast = (expected, now_ms + 1_000 * CROWD_MORE_SECONDS as u64);
        }
    }

    /// How many came within the last second and are still there.
    fn newcomers(&self, now_ms: u64) -> usize {
        self.entered_ms.len() - self.entered_ms.partition_point(|at_ms| at_ms + 1_000 <= now_ms)
    }

    /// `node` is told another plan; the one it had.
    pub fn tell(&mut self, now_ms: u64, node: Handle, epoch: u64, plan: Vec<Told>) -> Option<Vec<Told>> {
        let viewer = self.viewers.get_mut(&node)?;
        (viewer.told_ms, viewer.epoch) = (now_ms, epoch);
        if plan.len() < PLAN_NEIGHBOURS {
            self.hungry.insert(node);
        } else {
            self.hungry.remove(&node);
        }
        let before = std::mem::replace(&mut viewer.plan, plan);
        let is_in = |plan: &[Told], node: Handle| plan.iter().any(|told| told.node == node);
        for told in viewer.plan.iter().filter(|told| !is_in(&before, told.node)) {
            self.named_by.entry(told.node).or_default().push(node);
        }
        for told in before.iter().filter(|told| !is_in(&viewer.plan, told.node)) {
            unname(&mut self.named_by, told.node, node);
        }
        Some(before)
    }

    /// The viewers whose plans name `node`.
    pub fn naming(&self, node: Handle) -> Vec<Handle> {
        self.named_by.get(&node).cloned().unwrap_or_default()
    }

    /// How many viewers' plans name `node`.
    pub fn naming_count(&self, node: Handle) -> usize {
        self.named_by.get(&node).map_or(0, Vec::len)
    }

    /// The viewers whose plans have room for more, and how many sources they have.
    pub fn hungry(&self) -> impl Iterator<Item = (Handle, usize)> {
        self.hungry.iter().filter_map(|node| self.viewers.get(node).map(|viewer| (*node, viewer.plan.len())))
    }

    /// `node` no longer wants it. Its last plan, if it did.
    pub fn leave(&mut self, node: Handle) -> Option<Viewer> {
        let viewer = self.viewers.remove(&node)?;
        self.by_playhead.remove(&(viewer.began_ms, node));
        self.hungry.remove(&node);
        if let Ok(at) = self.entered_ms.binary_search(&viewer.entered_ms) {
            self.entered_ms.remove(at);
        }
        for told in &viewer.plan {
            unname(&mut self.named_by, told.node, node);
        }
        Some(viewer)
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.partial.is_empty() && self.viewers.is_empty()
    }

    /// Whether `node` is in it in any part.
    pub fn has(&self, node: Handle) -> bool {
        self.holders.contains(&node) || self.partial.contains_key(&node) || self.viewers.contains_key(&node)
    }

    /// The members worth a look for a plan of `viewer`, without itself, in order of their ids.
    pub fn pool(&self, viewer: Handle) -> Vec<Handle> {
        let mut pool: Vec<Handle> = Vec::with_capacity(2 * POOL);
        if self.holders.len() + self.partial.len() + self.viewers.len() <= POOL {
            pool.extend(self.holders.iter().chain(self.partial.keys()).chain(self.viewers.keys()));
        } else {
            pool.extend(self.origin);
            if let Some(known) = self.viewers.get(&viewer) {
                pool.extend(known.plan.iter().map(|told| told.node).filter(|node| self.has(*node)));
            }
            pool.extend(self.near(viewer));
            let share = POOL.saturating_sub(distinct(&mut pool));
            pool.extend(scattered(viewer, share / 2, |range| self.holders.range(range)));
            let share = POOL.saturating_sub(distinct(&mut pool));
            pool.extend(scattered(viewer, share / 2, |range| {
                self.viewers.range(range).map(|(node, _)| node)
            }));
            let share = POOL.saturating_sub(distinct(&mut pool));
            pool.extend(scattered(viewer, share, |range| self.partial.range(range).map(|(node, _)| node)));
        }
        distinct(&mut pool);
        if let Ok(at) = pool.binary_search(&viewer) {
            pool.remove(at);
        }
        pool
    }

    /// Viewers near in playhead, those ahead first, for they have what `viewer` needs next: the nearest, then others.
    pub fn near(&self, viewer: Handle) -> Vec<Handle> {
        let Some(known) = self.viewers.get(&viewer) else { return Vec::new() };
        let here = (known.began_ms, viewer);
        let (mut ahead, mut behind) =
            (self.by_playhead.range(..here).rev(), self.by_playhead.range(here..).skip(1));
        let mut nearest = (1..).map_while(|nth: usize| {
            let next = if nth.is_multiple_of(5) { behind.next() } else { None };
            next.or_else(|| ahead.next()).or_else(|| behind.next()).map(|(_, node)| *node)
        });
        let mut near: Vec<Handle> = nearest.by_ref().take(NEAREST).collect();
        for (point, later_ms) in near_points(viewer).take(NEAR - NEAREST) {
            let next = self.by_playhead.range((known.began_ms + later_ms, point)..).next();
            near.extend(next.map(|(_, node)| *node).filter(|node| *node != viewer && !near.contains(node)));
        }
        for node in nearest.take(NEAR) {
            if near.len() < NEAR && !near.contains(&node) {
                near.push(node);
            }
        }
        near
    }

    /// Where a viewer's playhead is if it has played on since it said.
    pub fn playhead(&self, now_ms: u64, viewer: &Viewer) -> LeafIndex {
        let played_ms = now_ms as i64 - viewer.began_ms;
        let leaves =
            u64::try_from(played_ms).unwrap_or(0).saturating_mul(self.bitrate_bps) / 8_000 / LEAF_BYTES;
        (leaves.min(leaf_count(self.size_bytes).into()) as LeafIndex).max(viewer.playhead_leaf)
    }

    /// How far apart two viewers play.
    pub fn apart_ms(&self, one: Handle, other: Handle) -> Option<u64> {
        Some(self.viewers.get(&one)?.began_ms.abs_diff(self.viewers.get(&other)?.began_ms))
    }

    /// Media before a leaf. A bitrate is a claim.
    fn media_ms(&self, leaf: LeafIndex) -> u64 {
        match self.bitrate_bps {
            0 => u64::from(leaf) * USUAL_LEAF_MS,
            bps => (u64::from(leaf) * LEAF_BYTES).saturating_mul(8_000) / bps,
        }
    }
}

/// Sorts, and leaves each once; how many there are.
fn distinct(nodes: &mut Vec<Handle>) -> usize {
    nodes.sort_unstable();
    nodes.dedup();
    nodes.len()
}

fn unname(named_by: &mut NamedBy, node: Handle, viewer: Handle) {
    if let Some(viewers) = named_by.get_mut(&node) {
        if let Some(at) = viewers.iter().position(|naming| *naming == viewer) {
            viewers.swap_remove(at);
        }
        if viewers.is_empty() {
            named_by.remove(&node);
        }
    }
}

/// `share` members all over the ring of ids, the same as long as they are there. A stretch from the viewer's own place on would make neighbours of
/// neighbours, and of a large swarm a ring: what the first had came to the others through very few.
fn scattered<'a, I: Iterator<Item = &'a Handle>>(
    viewer: Handle,
    share: usize,
    range: impl Fn((Bound<Handle>, Bound<Handle>)) -> I,
) -> Vec<Handle> {
    let mut members = Vec::with_capacity(share);
    let next = |bounds, members: &[Handle]| range(bounds).find(|node| !members.contains(*node)).copied();
    for point in points(viewer).take(share) {
        let onward = next((Excluded(point), Unbounded), &members);
        let Some(next) = onward.or_else(|| next((Unbounded, Included(point)), &members)) else { break };
        members.push(next);
    }
    members
}

/// Points on the ring of ids: the same for a viewer, other ones for each.
fn points(viewer: Handle) -> impl Iterator<Item = Handle> + use<> {
    SmallRng::seed_from_u64(viewer.ring).random_iter().map(point)
}

fn point(ring: u64) -> Handle {
    Handle { ring, slot: Slot::default() }
}

/// Likewise points among the viewers that play near: on the ring, and how much later one there began.
fn near_points(viewer: Handle) -> impl Iterator<Item = (Handle, i64)> + use<> {
    let mut rng = SmallRng::seed_from_u64(viewer.ring);
    let next = move || (point(rng.random()), rng.random_range(-SCATTER_AHEAD_MS..SCATTER_BEHIND_MS));
    std::iter::repeat_with(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_swarm_is_looked_at_whole() {
        let mut swarm = Swarm::default();
        swarm.holders.extend([id(1), id(2)]);
        swarm.partial.insert(id(3), 5);
        swarm.enter(0, id(4), 0);
        swarm.enter(0, id(5), 9);
        assert_eq!(swarm.pool(id(4)), [id(1), id(2), id(3), id(5)]);
    }

    #[test]
    fn a_big_swarm_costs_no_more_than_the_pool_and_shows_the_origin_and_the_near() {
        let mut swarm = Swarm::default();
        for n in 0..5_000u16 {
            swarm.holders.insert(id(n));
            swarm.enter(0, id(20_000 + n), u32::from(n) * 10);
        }
        swarm.holders.insert(id(60_000));
        swarm.origin = Some(id(60_000));
        let pool = swarm.pool(id(22_000));
        assert!(pool.len() <= POOL);
        assert!(pool.contains(&id(60_000)));
        assert!(pool.contains(&id(22_001)) && pool.contains(&id(21_999)));
        assert!(!pool.contains(&id(22_000)));
    }

    #[test]
    fn those_of_the_last_plan_are_looked_at_again() {
        let mut swarm = Swarm::default();
        for n in 0..1_000u16 {
            swarm.holders.insert(id(n));
        }
        swarm.enter(0, id(5_000), 0);
        let before = swarm.pool(id(5_000));
        for n in 10_000..20_000u16 {
            swarm.holders.insert(id(n));
        }
        let kept = *before.first().expect("a member");
        swarm.tell(0, id(5_000), 1, vec![told(kept)]);
        assert_eq!(swarm.naming(kept), [id(5_000)]);
        assert!(swarm.pool(id(5_000)).contains(&kept));
    }

    #[test]
    fn a_crowd_is_expected_before_it_is_there() {
        let mut swarm = Swarm::default();
        for n in 0..3 {
            swarm.enter(u64::from(n) * 300, id(n), 0);
        }
        assert_eq!(swarm.expected_viewers(800), 3, "these come one by one");
        swarm.enter(900, id(3), 0);
        swarm.enter(900, id(3), 7);
        assert_eq!(swarm.expected_viewers(999), 4 + 4 * 4);
        assert_eq!(swarm.expected_viewers(4_899), 4 + 4 * 4, "others may come yet");
        assert_eq!(swarm.expected_viewers(4_900), 4);
        for _ in 0..9 {
            swarm.leave(id(3));
            swarm.enter(5_000, id(3), 0);
        }
        assert_eq!(swarm.expected_viewers(5_000), 4, "who comes and goes is one");
        swarm.enter(9_000, id(4), 0);
        assert_eq!((swarm.expected_viewers(9_000), swarm.entered_ms.len()), (5, 1));
    }

    #[test]
    fn a_large_swarm_is_expected_of_many_newcomers_only() {
        let mut swarm = Swarm::default();
        for n in 0..7 {
            swarm.enter(0, id(n), 0);
        }
        assert_eq!(swarm.expected_viewers(0), LARGE_SWARM);
        swarm.enter(0, id(7), 0);
        assert_eq!(swarm.expected_viewers(0), 8 + 4 * 8);
        for n in 8..40 {
            swarm.enter(5_000, id(n), 0);
        }
        for n in 40..44 {
            swarm.enter(9_000, id(n), 0);
        }
        assert_eq!(swarm.expected_viewers(9_000), 44, "it is one already");
    }

    #[test]
    fn different_viewers_are_shown_different_holders() {
        let mut swarm = Swarm::default();
        for n in 0..10_000u16 {
            // An odd multiplier spreads the ids over the ring as keys would be.
            swarm.holders.insert(id(n.wrapping_mul(40_503)));
        }
        let seen: BTreeSet<Handle> = (0..200u16)
            .flat_map(|n| {
                let viewer = id(n * 50 + 1);
                swarm.enter(0, viewer, 0);
                swarm.pool(viewer)
            })
            .collect();
        // Each draws some two dozen; drawn at random, 4,800 of 10,000 are 3,800 different ones.
        assert!(seen.len() > 3_500, "{}", seen.len());
    }

    #[test]
    fn the_viewers_of_a_crowd_are_few_steps_from_each_other() {
        let mut swarm = Swarm::default();
        let viewers: Vec<Handle> = (0..2_000u16).map(|n| id(n.wrapping_mul(40_503))).collect();
        for (at, viewer) in viewers.iter().enumerate() {
            swarm.enter(at as u64 * 5, *viewer, 0);
        }
        let (mut reached, mut next, mut steps) = (BTreeSet::from([viewers[0]]), vec![viewers[0]], 0);
        while reached.len() < viewers.len() * 9 / 10 {
            let others = next.iter().flat_map(|viewer| swarm.pool(*viewer));
            next = others
                .collect::<BTreeSet<_>>()
                .into_iter()
                .filter(|other| !reached.contains(other))
                .collect();
            assert!(!next.is_empty(), "{} of them are reached", reached.len());
            reached.extend(&next);
            steps += 1;
        }
        assert!(steps <= 3, "{steps} steps");
    }

    #[test]
    fn those_are_near_who_play_the_same_and_not_who_asked_with_the_same_playhead() {
        let mut swarm = Swarm { bitrate_bps: 1_000_000, ..Swarm::default() };
        for n in 0..100u16 {
            swarm.enter(u64::from(n) * 10_000, id(n), 0);
        }
        // A leaf is 131 ms: it is with those who began at 50 x 10 s.
        swarm.enter(990_000, id(500), (490_000 * 1_000 / 8 / (1 << 14)) as LeafIndex);
        let near = swarm.near(id(500));
        assert_eq!(near.len(), NEAR);
        assert!(
            near.iter().all(|node| swarm.apart_ms(*node, id(500)).is_some_and(|ms| ms <= 140_000)),
            "{near:?}"
        );
        assert!(near.contains(&id(50)) && near.contains(&id(49)));
    }

    #[test]
    fn a_jump_moves_the_viewer_among_the_playheads() {
        let mut swarm = Swarm::default();
        swarm.enter(0, id(1), 0);
        swarm.enter(0, id(2), 100);
        assert!(!swarm.enter(0, id(1), 200));
        assert_eq!(swarm.by_playhead.len(), 2);
        swarm.leave(id(1));
        swarm.leave(id(2));
        assert!(swarm.is_empty() && swarm.by_playhead.is_empty());
    }

    #[test]
    fn a_swarm_knows_whose_plans_name_whom_and_who_wants_more() {
        let mut swarm = Swarm::default();
        swarm.enter(0, id(1), 0);
        swarm.enter(0, id(2), 0);
        swarm.tell(5, id(1), 1, (10..10 + PLAN_NEIGHBOURS as u16).map(|n| told(id(n))).collect());
        swarm.tell(5, id(2), 1, vec![told(id(10)), told(id(11))]);
        assert_eq!(swarm.naming(id(10)), [id(1), id(2)]);
        assert_eq!(swarm.hungry().collect::<Vec<_>>(), [(id(2), 2)]);
        swarm.tell(6, id(2), 2, vec![told(id(11))]);
        assert_eq!(swarm.naming(id(10)), [id(1)]);
        swarm.leave(id(1));
        swarm.leave(id(2));
        assert!(swarm.named_by.is_empty() && swarm.hungry.is_empty());
    }

    fn told(node: Handle) -> Told {
        Told {
            node,
            role: Role::Peer,
            path: PathKind::Direct,
            rate_bps: 0,
            complete: true,
            uploads: true,
            addresses: 0,
            share_bps: 0,
        }
    }

    fn id(n: u16) -> Handle {
        Handle { ring: u64::from(n) << 48, slot: Slot::default() }
    }
}
