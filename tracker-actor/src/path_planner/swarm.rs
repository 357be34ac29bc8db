//! Who is in the swarm of one content, and who of them a viewer should look at. Pure.
//!
//! Invariant: looking at a swarm costs the same however many are in it: a viewer is shown those it has, the origin, its neighbours in
//! playhead and its neighbours on the ring of node ids, [`POOL`] in all at most.

use std::collections::{BTreeMap, BTreeSet};

use shared::{LeafIndex, NodeId, wire::PlannedSource};

/// The most members of a swarm that are looked at for one plan.
pub const POOL: usize = 64;
/// How many of them by nearness of playhead.
const NEAR: usize = 16;

/// A member that wants the content.
#[derive(Debug, Clone, Default)]
pub struct Viewer {
    /// Where its playhead is.
    pub playhead_leaf: LeafIndex,
    /// The plan it was told last.
    pub plan: Vec<PlannedSource>,
    /// The epoch of that plan, or 0.
    pub epoch: u64,
    /// When it was told.
    pub told_ms: u64,
    /// When its plan is looked at again.
    pub due_ms: Option<u64>,
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
    by_playhead: BTreeSet<(LeafIndex, NodeId)>,
}

impl Swarm {
    /// `node` wants the content from `playhead_leaf` on. Whether it is new to the swarm.
    pub fn enter(&mut self, node: NodeId, playhead_leaf: LeafIndex) -> bool {
        let is_new = !self.viewers.contains_key(&node);
        let viewer = self.viewers.entry(node).or_default();
        self.by_playhead.remove(&(viewer.playhead_leaf, node));
        viewer.playhead_leaf = playhead_leaf;
        self.by_playhead.insert((playhead_leaf, node));
        is_new
    }

    /// `node` no longer wants it. Its last plan, if it did.
    pub fn leave(&mut self, node: &NodeId) -> Option<Viewer> {
        let viewer = self.viewers.remove(node)?;
        self.by_playhead.remove(&(viewer.playhead_leaf, *node));
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

    /// The members worth a look for a plan of `viewer`, without itself, in no order.
    pub fn pool(&self, viewer: &NodeId) -> BTreeSet<NodeId> {
        let mut pool = BTreeSet::new();
        if self.holders.len() + self.partial.len() + self.viewers.len() <= POOL {
            pool.extend(self.holders.iter().chain(self.partial.keys()).chain(self.viewers.keys()));
        } else {
            pool.extend(self.origin);
            if let Some(known) = self.viewers.get(viewer) {
                pool.extend(known.plan.iter().map(|source| source.node).filter(|node| self.has(node)));
            }
            pool.extend(self.near(viewer));
            let share = POOL.saturating_sub(pool.len());
            pool.extend(ring(viewer, share / 2, |range| self.holders.range(range)));
            let share = POOL.saturating_sub(pool.len());
            pool.extend(ring(viewer, share / 2, |range| self.viewers.range(range).map(|(node, _)| node)));
            let share = POOL.saturating_sub(pool.len());
            pool.extend(ring(viewer, share, |range| self.partial.range(range).map(|(node, _)| node)));
        }
        pool.remove(viewer);
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
        assert_eq!(swarm.pool(&id(4)), BTreeSet::from([id(1), id(2), id(3), id(5)]));
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
        let kept = *before.iter().next().expect("a member");
        let viewer = swarm.viewers.get_mut(&id(5_000)).expect("a viewer");
        viewer.plan = vec![planned(kept)];
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

    fn planned(node: NodeId) -> PlannedSource {
        PlannedSource {
            node,
            role: shared::wire::Role::Peer,
            addresses: Vec::new(),
            path: shared::wire::PathKind::Direct,
            rate_bps: 0,
            rtt_us: 0,
            complete: true,
            uploads: true,
        }
    }

    fn id(n: u16) -> NodeId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    }
}
