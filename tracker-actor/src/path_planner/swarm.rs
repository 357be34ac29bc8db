//! Who is in the swarm of one content, and who of them a viewer should look at. Pure.
//!
//! Invariant: looking at a swarm costs the same however many are in it: a viewer is shown those it has, the origin, its neighbours in
//! playhead and its neighbours on the ring of node ids, [`POOL`] in all at most.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use shared::{
    LeafIndex, NodeId,
    wire::{PathKind, Role},
};

use super::{planning::PLAN_NEIGHBOURS, shares::ReceiverId};

/// The most members of a swarm that are looked at for one plan.
pub const POOL: usize = 64;
/// How many of them by nearness of playhead.
const NEAR: usize = 16;

/// A source as a viewer was told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Who.
    pub node: NodeId,
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
    /// Where its playhead is.
    pub playhead_leaf: LeafIndex,
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

/// The members of one content's swarm.
#[derive(Debug, Clone, Default)]
pub struct Swarm {
    /// Those that have all of it.
    pub holders: BTreeSet<NodeId>,
    /// Those that have some of it, in leaves.
    pub partial: BTreeMap<NodeId, u32>,
    /// Those that want it.
    pub viewers: BTreeMap<NodeId, Viewer>,
    /// The tracker's own origin, if it has the content.
    pub origin: Option<NodeId>,
    /// Length of the content, or 0 when unknown.
    pub size_bytes: u64,
    /// Mean rate of the content, or 0 when unknown.
    pub bitrate_bps: u64,
    /// The origin's share and what every viewer can have, and when that was summed up.
    pub rates: Option<(u64, (u64, u64))>,
    by_playhead: BTreeSet<(LeafIndex, NodeId)>,
    /// Whose plans name a member.
    named_by: HashMap<NodeId, BTreeSet<NodeId>>,
    /// Viewers whose plans have room for more.
    hungry: BTreeSet<NodeId>,
}

impl Viewer {
    /// The share it was told of a source, or 0.
    pub fn told_shares(&self) -> impl Fn(&NodeId) -> u64 {
        |node| self.plan.iter().find(|told| told.node == *node).map_or(0, |told| told.share_bps)
    }
}

impl Swarm {
    /// `node` wants the content from `playhead_leaf` on. Whether it is new to the swarm.
    pub fn enter(&mut self, node: NodeId, playhead_leaf: LeafIndex) -> bool {
        let is_new = !self.viewers.contains_key(&node);
        let viewer = self.viewers.entry(node).or_default();
        self.by_playhead.remove(&(viewer.playhead_leaf, node));
        viewer.playhead_leaf = playhead_leaf;
        self.by_playhead.insert((playhead_leaf, node));
        if is_new {
            self.hungry.insert(node);
        }
        is_new
    }

    /// `node` is told another plan; the one it had.
    pub fn tell(&mut self, now_ms: u64, node: &NodeId, epoch: u64, plan: Vec<Told>) -> Option<Vec<Told>> {
        let viewer = self.viewers.get_mut(node)?;
        (viewer.told_ms, viewer.epoch) = (now_ms, epoch);
        if plan.len() < PLAN_NEIGHBOURS {
            self.hungry.insert(*node);
        } else {
            self.hungry.remove(node);
        }
        let before = std::mem::replace(&mut viewer.plan, plan);
        let is_in = |plan: &[Told], node: &NodeId| plan.iter().any(|told| told.node == *node);
        for told in viewer.plan.iter().filter(|told| !is_in(&before, &told.node)) {
            self.named_by.entry(told.node).or_default().insert(*node);
        }
        for told in before.iter().filter(|told| !is_in(&viewer.plan, &told.node)) {
            unname(&mut self.named_by, &told.node, node);
        }
        Some(before)
    }

    /// The viewers whose plans name `node`.
    pub fn naming(&self, node: &NodeId) -> Vec<NodeId> {
        self.named_by.get(node).map_or_else(Vec::new, |viewers| viewers.iter().copied().collect())
    }

    /// How many viewers' plans name `node`.
    pub fn naming_count(&self, node: &NodeId) -> usize {
        self.named_by.get(node).map_or(0, BTreeSet::len)
    }

    /// The viewers whose plans have room for more, and how many sources they have.
    pub fn hungry(&self) -> impl Iterator<Item = (NodeId, usize)> {
        self.hungry.iter().filter_map(|node| self.viewers.get(node).map(|viewer| (*node, viewer.plan.len())))
    }

    /// `node` no longer wants it. Its last plan, if it did.
    pub fn leave(&mut self, node: &NodeId) -> Option<Viewer> {
        let viewer = self.viewers.remove(node)?;
        self.by_playhead.remove(&(viewer.playhead_leaf, *node));
        self.hungry.remove(node);
        for told in &viewer.plan {
            unname(&mut self.named_by, &told.node, node);
        }
        Some(viewer)
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.partial.is_empty() && self.viewers.is_empty()
    }

    /// Whether `node` is in it in any part.
    pub fn has(&self, node: &NodeId) -> bool {
        self.holders.contains(node) || self.partial.contains_key(node) || self.viewers.contains_key(node)
    }

    /// The members worth a look for a plan of `viewer`, without itself, in order of their ids.
    pub fn pool(&self, viewer: &NodeId) -> Vec<NodeId> {
        let mut pool: Vec<NodeId> = Vec::with_capacity(2 * POOL);
        if self.holders.len() + self.partial.len() + self.viewers.len() <= POOL {
            pool.extend(self.holders.iter().chain(self.partial.keys()).chain(self.viewers.keys()));
        } else {
            pool.extend(self.origin);
            if let Some(known) = self.viewers.get(viewer) {
                pool.extend(known.plan.iter().map(|told| told.node).filter(|node| self.has(node)));
            }
            pool.extend(self.near(viewer));
            let share = POOL.saturating_sub(distinct(&mut pool));
            pool.extend(ring(viewer, share / 2, |range| self.holders.range(range)));
            let share = POOL.saturating_sub(distinct(&mut pool));
            pool.extend(ring(viewer, share / 2, |range| self.viewers.range(range).map(|(node, _)| node)));
            let share = POOL.saturating_sub(distinct(&mut pool));
            pool.extend(ring(viewer, share, |range| self.partial.range(range).map(|(node, _)| node)));
        }
        distinct(&mut pool);
        if let Ok(at) = pool.binary_search(viewer) {
            pool.remove(at);
        }
        pool
    }

    /// The viewers nearest in playhead, those ahead first: they have what `viewer` needs next.
    pub fn near(&self, viewer: &NodeId) -> Vec<NodeId> {
        let Some(known) = self.viewers.get(viewer) else { return Vec::new() };
        let here = (known.playhead_leaf, *viewer);
        let ahead = self.by_playhead.range(here..).skip(1).take(NEAR);
        let behind = self.by_playhead.range(..here).rev().take(NEAR);
        let (mut ahead, mut behind) = (ahead.peekable(), behind.peekable());
        let mut near = Vec::with_capacity(NEAR);
        while near.len() < NEAR {
            let Some((_, node)) = ahead.next().or_else(|| behind.next()) else { break };
            near.push(*node);
            if near.len().is_multiple_of(4)
                && let Some((_, node)) = behind.next()
            {
                near.push(*node);
            }
        }
        near
    }
}

/// Sorts, and leaves each once; how many there are.
fn distinct(nodes: &mut Vec<NodeId>) -> usize {
    nodes.sort_unstable();
    nodes.dedup();
    nodes.len()
}

fn unname(named_by: &mut HashMap<NodeId, BTreeSet<NodeId>>, node: &NodeId, viewer: &NodeId) {
    if let Some(viewers) = named_by.get_mut(node) {
        viewers.remove(viewer);
        if viewers.is_empty() {
            named_by.remove(node);
        }
    }
}

/// `share` members from the viewer's place on the ring of ids on: ids are keys, so this is an even spread, and a lasting one.
fn ring<'a, I: Iterator<Item = &'a NodeId>>(
    viewer: &NodeId,
    share: usize,
    range: impl Fn((std::ops::Bound<NodeId>, std::ops::Bound<NodeId>)) -> I,
) -> Vec<NodeId> {
    use std::ops::Bound::{Excluded, Unbounded};
    let onward = range((Excluded(*viewer), Unbounded));
    onward.chain(range((Unbounded, Excluded(*viewer)))).take(share).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_swarm_is_looked_at_whole() {
        let mut swarm = Swarm::default();
        swarm.holders.extend([id(1), id(2)]);
        swarm.partial.insert(id(3), 5);
        swarm.enter(id(4), 0);
        swarm.enter(id(5), 9);
        assert_eq!(swarm.pool(&id(4)), [id(1), id(2), id(3), id(5)]);
    }

    #[test]
    fn a_big_swarm_costs_no_more_than_the_pool_and_shows_the_origin_and_the_near() {
        let mut swarm = Swarm::default();
        for n in 0..5_000u16 {
            swarm.holders.insert(id(n));
            swarm.enter(id(20_000 + n), u32::from(n) * 10);
        }
        swarm.holders.insert(id(60_000));
        swarm.origin = Some(id(60_000));
        let pool = swarm.pool(&id(22_000));
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
        swarm.enter(id(5_000), 0);
        let before = swarm.pool(&id(5_000));
        for n in 10_000..20_000u16 {
            swarm.holders.insert(id(n));
        }
        let kept = *before.first().expect("a member");
        swarm.tell(0, &id(5_000), 1, vec![told(kept)]);
        assert_eq!(swarm.naming(&kept), [id(5_000)]);
        assert!(swarm.pool(&id(5_000)).contains(&kept));
    }

    #[test]
    fn different_viewers_are_shown_different_holders() {
        let mut swarm = Swarm::default();
        for n in 0..10_000u16 {
            swarm.holders.insert(id(n));
        }
        let seen: BTreeSet<NodeId> = (0..200u16)
            .flat_map(|n| {
                let viewer = id(n * 50 + 1);
                swarm.enter(viewer, 0);
                swarm.pool(&viewer)
            })
            .collect();
        assert!(seen.len() > 4_000, "{}", seen.len());
    }

    #[test]
    fn a_jump_moves_the_viewer_among_the_playheads() {
        let mut swarm = Swarm::default();
        swarm.enter(id(1), 0);
        swarm.enter(id(2), 100);
        assert!(!swarm.enter(id(1), 200));
        assert_eq!(swarm.by_playhead.len(), 2);
        swarm.leave(&id(1));
        swarm.leave(&id(2));
        assert!(swarm.is_empty() && swarm.by_playhead.is_empty());
    }

    #[test]
    fn a_swarm_knows_whose_plans_name_whom_and_who_wants_more() {
        let mut swarm = Swarm::default();
        swarm.enter(id(1), 0);
        swarm.enter(id(2), 0);
        swarm.tell(5, &id(1), 1, (10..10 + PLAN_NEIGHBOURS as u16).map(|n| told(id(n))).collect());
        swarm.tell(5, &id(2), 1, vec![told(id(10)), told(id(11))]);
        assert_eq!(swarm.naming(&id(10)), [id(1), id(2)]);
        assert_eq!(swarm.hungry().collect::<Vec<_>>(), [(id(2), 2)]);
        swarm.tell(6, &id(2), 2, vec![told(id(11))]);
        assert_eq!(swarm.naming(&id(10)), [id(1)]);
        swarm.leave(&id(1));
        swarm.leave(&id(2));
        assert!(swarm.named_by.is_empty() && swarm.hungry.is_empty());
    }

    fn told(node: NodeId) -> Told {
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

    fn id(n: u16) -> NodeId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    }
}
