//! Whom this node wants as a source: the union of the plans of the contents it streams. Pure.
//!
//! Invariant: [`Wants::rank`] is the best place a node has in any plan, and is kept up to date by every change.

use std::collections::BTreeMap;

use shared::{ContentId, NodeId, limits::MAX_OPEN_CONTENTS, wire::Plan};

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct Wants {
    plans: BTreeMap<ContentId, Plan>,
    ranks: BTreeMap<NodeId, usize>,
}

impl Wants {
    /// Takes a plan; false when it is older than the last, or plans nothing new for nobody.
    pub(super) fn take(&mut self, plan: Plan) -> bool {
        let known = self.plans.get(&plan.content_id);
        let is_stale = known.is_some_and(|known| plan.epoch <= known.epoch);
        let is_nothing = known.is_none() && plan.sources.is_empty();
        let has_room = known.is_some() || self.plans.len() < MAX_OPEN_CONTENTS;
        if is_stale || is_nothing || !has_room {
            return false;
        }
        self.plans.insert(plan.content_id, plan);
        self.rank_all();
        true
    }

    /// The content is streamed no more.
    pub(super) fn forget(&mut self, content_id: &ContentId) {
        self.plans.remove(content_id);
        self.rank_all();
    }

    /// Takes a node out of every plan; answers which changed.
    pub(super) fn drop_node(&mut self, node: &NodeId) -> Vec<ContentId> {
        let mut changed = Vec::new();
        for plan in self.plans.values_mut() {
            let before = plan.sources.len();
            plan.sources.retain(|source| source.node != *node);
            if plan.sources.len() != before {
                changed.push(plan.content_id);
            }
        }
        self.rank_all();
        changed
    }

    /// The plan of a content.
    pub(super) fn plan(&self, content_id: &ContentId) -> Option<&Plan> {
        self.plans.get(content_id)
    }

    /// The best place of a node in any plan; none when it is not wanted.
    pub(super) fn rank(&self, node: &NodeId) -> Option<usize> {
        self.ranks.get(node).copied()
    }

    fn rank_all(&mut self) {
        self.ranks.clear();
        for plan in self.plans.values() {
            for (rank, source) in plan.sources.iter().enumerate() {
                let best = self.ranks.entry(source.node).or_insert(rank);
                *best = rank.min(*best);
            }
        }
    }
}
