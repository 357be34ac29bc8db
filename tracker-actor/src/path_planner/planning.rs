//! From what is known to what a viewer is told: candidates, choice, order, and whether it is news. Pure.
//!
//! Goals, in this order:
//!
//! - **(a) reachable**: every source stands with the best way that is open to this viewer ([`super::paths`]);
//! - **(b) wide, then near**: the best first ([`super::plan`]);
//! - **(c) enough and not too many**: [`PLAN_NEIGHBOURS`] at most, half of them by rank, a part by nearness of playhead, and always the
//!   origin, which has what nobody else has;
//! - **(d) stable**: those told before stay unless one is clearly better, and nothing is told that is no news.

use shared::{
    ContentId, NodeId,
    limits::MAX_PLAN_SOURCES,
    units::leaf_count,
    wire::{PathKind, Plan, PlannedSource, Role, TrackerMessage},
};

use super::{
    PlannerSnapshot, SwarmSnapshot,
    addresses::addresses_for,
    paths::{Between, End, Reach, best_path},
    plan::{Candidate, order, sustainable_bps},
    state::{Node, Output, PLAN_SPACING_MS, PathPlannerState, RELAY_TOTAL_BPS},
    swarm::{Swarm, Viewer},
};
use crate::file_index::FileKey;

/// The most neighbours a plan names: enough to fill any line, few enough to know well.
pub const PLAN_NEIGHBOURS: usize = 20;
/// Of those, how many are chosen by rank alone; the rest by nearness of playhead first.
const BY_RANK: usize = PLAN_NEIGHBOURS / 2;
/// Uplinks that are added up one by one.
const SAMPLED_UPLINKS: usize = 256;
/// An uplink below this is none: a leaf would take more than two seconds.
const MIN_UPLINK_BPS: u64 = 64_000;

const _: () = assert!(PLAN_NEIGHBOURS <= MAX_PLAN_SOURCES);

impl PathPlannerState {
    /// Makes the plan of one viewer, and tells it if it is an answer or news.
    pub(super) fn replan(&mut self, now_ms: u64, key: FileKey, node: NodeId, is_answer: bool) {
        let Some(swarm) = self.swarms.get(&key) else { return };
        let Some(known) = swarm.viewers.get(&node) else { return };
        let previous: Vec<NodeId> = known.plan.iter().map(|source| source.node).collect();
        let candidates = self.candidates(now_ms, swarm, &node);
        let chosen = choose(&swarm.near(&node), order(&node, &previous, candidates));
        let sources: Vec<PlannedSource> =
            chosen.iter().filter_map(|candidate| self.planned(&node, candidate)).collect();
        if !is_answer && !is_news(&known.plan, &sources) {
            return;
        }
        let (origin_reserve_bps, sustainable_bps) = self.swarm_rates(swarm);
        for source in &sources {
            if let Some(named) = self.nodes.get_mut(&source.node) {
                named.named += 1;
            }
        }
        let epoch = self.epoch + 1;
        let Some(viewer) = self.viewer_mut(key, &node) else { return };
        viewer.told_ms = now_ms;
        viewer.epoch = epoch;
        let before = std::mem::replace(&mut viewer.plan, sources.clone());
        for source in before {
            self.unname(&source.node);
        }
        let Some(session) = self.nodes.get(&node).map(|known| known.session) else { return };
        self.epoch = epoch;
        self.plans_told += 1;
        let plan = Plan { content_id: key.1, epoch, sources, origin_reserve_bps, sustainable_bps };
        self.outputs.push_back(Output::Tell(node, session, TrackerMessage::Plan(plan)));
    }

    /// Answers a client that has asked for more contents than it may open.
    pub(super) fn tell_empty_plan(&mut self, node: NodeId, content_id: ContentId) {
        let Some(session) = self.nodes.get(&node).map(|known| known.session) else { return };
        self.epoch += 1;
        let plan = Plan {
            content_id,
            epoch: self.epoch,
            sources: Vec::new(),
            origin_reserve_bps: 0,
            sustainable_bps: 0,
        };
        self.outputs.push_back(Output::Tell(node, session, TrackerMessage::Plan(plan)));
    }

    /// The viewer's plan is looked at in the next turn.
    pub(super) fn look_again(&mut self, now_ms: u64, key: FileKey, node: NodeId) {
        self.look_again_at(now_ms, key, node);
    }

    /// The viewer's plan is looked at when the last one has had its time.
    pub(super) fn look_again_spaced(&mut self, now_ms: u64, key: FileKey, node: NodeId) {
        let told_ms = self.viewer_mut(key, &node).map_or(0, |viewer| viewer.told_ms);
        self.look_again_at(now_ms.max(told_ms + PLAN_SPACING_MS), key, node);
    }

    fn look_again_at(&mut self, at_ms: u64, key: FileKey, node: NodeId) {
        let Some(viewer) = self.viewer_mut(key, &node) else { return };
        let due_ms = viewer.due_ms;
        if due_ms.is_some_and(|due_ms| due_ms <= at_ms) {
            return;
        }
        viewer.due_ms = Some(at_ms);
        if let Some(due_ms) = due_ms {
            self.due.remove(&(due_ms, key, node));
        }
        self.due.insert((at_ms, key, node));
    }

    pub(super) fn viewer_mut(&mut self, key: FileKey, node: &NodeId) -> Option<&mut Viewer> {
        self.swarms.get_mut(&key)?.viewers.get_mut(node)
    }

    pub(super) fn unname(&mut self, node: &NodeId) {
        if let Some(named) = self.nodes.get_mut(node) {
            named.named = named.named.saturating_sub(1);
        }
    }

    /// What the planner sees; the largest swarms first, `most` of them.
    pub fn snapshot(&self, most: usize) -> PlannerSnapshot {
        let mut swarms: Vec<SwarmSnapshot> = self
            .swarms
            .iter()
            .filter(|(_, swarm)| !swarm.viewers.is_empty())
            .map(|(key, swarm)| {
                let (_, sustainable_bps) = self.swarm_rates(swarm);
                SwarmSnapshot {
                    kind: key.0,
                    content_id: key.1,
                    viewers: swarm.viewers.len(),
                    holders: swarm.holders.len(),
                    partial: swarm.partial.len(),
                    at_origin: swarm.origin.is_some(),
                    sustainable_bps,
                }
            })
            .collect();
        swarms.sort_by_key(|swarm| std::cmp::Reverse(swarm.viewers));
        swarms.truncate(most);
        PlannerSnapshot {
            nodes: self.nodes.len(),
            watched: self.swarms.values().filter(|swarm| !swarm.viewers.is_empty()).count(),
            viewers: self.swarms.values().map(|swarm| swarm.viewers.len()).sum(),
            plans_due: self.due.len(),
            plans_told: self.plans_told,
            swarms,
        }
    }

    /// Whether a node can be dialled, as far as is known, and how many links it has up.
    pub fn reach(&self, node: &NodeId) -> Option<(Reach, usize)> {
        self.nodes.get(node).map(|known| (known.reach, known.links.connected()))
    }

    fn candidates(&self, now_ms: u64, swarm: &Swarm, viewer: &NodeId) -> Vec<Candidate> {
        let Some(viewing) = self.nodes.get(viewer) else { return Vec::new() };
        let pool = swarm.pool(viewer);
        let members = pool.iter().filter_map(|node| self.nodes.get(node).map(|known| (node, known)));
        let candidates = members.map(|(node, known)| Candidate {
            node: *node,
            role: known.role,
            complete: is_complete(swarm, node),
            uploads: known.uplink().is_none_or(|uplink_bps| uplink_bps >= MIN_UPLINK_BPS),
            path: best_path(
                viewing.end(),
                known.end(),
                between(now_ms, viewing, node, known),
                known.named,
                RELAY_TOTAL_BPS / (self.relays_in_use as u64 + 1),
            ),
        });
        candidates.collect()
    }

    fn planned(&self, viewer: &NodeId, candidate: &Candidate) -> Option<PlannedSource> {
        let (viewing, known) = (self.nodes.get(viewer)?, self.nodes.get(&candidate.node)?);
        let is_dialled = candidate.path.kind == PathKind::Direct;
        // A client reaches the origin where it reaches the tracker; no address says so.
        let is_origin = candidate.role == Role::Origin;
        let addresses = if is_dialled && !is_origin {
            addresses_for(viewing.observed, &known.addresses)
        } else {
            Vec::new()
        };
        Some(PlannedSource {
            node: candidate.node,
            role: candidate.role,
            addresses,
            path: candidate.path.kind,
            rate_bps: candidate.path.measured_bps,
            rtt_us: candidate.path.rtt_us,
            complete: candidate.complete,
            uploads: candidate.uploads,
        })
    }

    /// The origin's share for this swarm, and the rate the swarm can carry.
    pub(super) fn swarm_rates(&self, swarm: &Swarm) -> (u64, u64) {
        let reserve_bps = self.origin_reserve_bps(swarm);
        let first_bps = self.first_copies_bps(swarm);
        let viewers = swarm.viewers.keys().filter(|node| !swarm.holders.contains(node));
        let peers_bps = self.uplinks_bps(viewers, swarm.viewers.len());
        (reserve_bps, sustainable_bps(first_bps, peers_bps, swarm.viewers.len()))
    }

    /// What those that have everything can send of it together: the origin its share, the others all they have.
    pub(super) fn first_copies_bps(&self, swarm: &Swarm) -> u64 {
        let others = swarm.holders.iter().filter(|node| Some(**node) != swarm.origin);
        self.origin_reserve_bps(swarm).saturating_add(self.uplinks_bps(others, swarm.holders.len()))
    }

    fn origin_reserve_bps(&self, swarm: &Swarm) -> u64 {
        let Some(origin) = swarm.origin.and_then(|origin| self.nodes.get(&origin)) else { return 0 };
        let is_served = |swarm: &&Swarm| swarm.origin.is_some() && !swarm.viewers.is_empty();
        let served = self.swarms.values().filter(is_served).take(1_000);
        origin.uplink().unwrap_or(0) / (served.count() as u64).max(1)
    }

    /// The uplinks of `nodes`, of which there are `count` at the most. Large swarms are sampled: the sum needs no more precision than the
    /// uplinks themselves have.
    fn uplinks_bps<'a>(&self, nodes: impl Iterator<Item = &'a NodeId>, count: usize) -> u64 {
        let (mut sampled, mut sum_bps) = (0, 0u64);
        for node in nodes.take(SAMPLED_UPLINKS) {
            sampled += 1;
            sum_bps = sum_bps.saturating_add(self.nodes.get(node).and_then(Node::uplink).unwrap_or(0));
        }
        if sampled < SAMPLED_UPLINKS as u64 { sum_bps } else { sum_bps / sampled * count as u64 }
    }
}

impl Node {
    /// What it can send, if anything is known of it.
    pub(super) fn uplink(&self) -> Option<u64> {
        let known = [self.uplink_bps, self.upload_limit_bps];
        known.into_iter().filter(|rate_bps| *rate_bps > 0).min()
    }

    fn end(&self) -> End {
        End { reach: self.reach, uplink_bps: self.uplink().unwrap_or(0), tracker_rtt_us: self.tracker_rtt_us }
    }
}

fn between(now_ms: u64, viewing: &Node, node: &NodeId, known: &Node) -> Between {
    let mine = viewing.links.estimate(now_ms, node);
    let blocked = |path| known.role != Role::Origin && viewing.links.is_blocked(now_ms, node, path);
    Between {
        rate_bps: mine.rate_bps,
        rtt_us: mine.rtt_us,
        connected: mine.connected,
        direct_blocked: blocked(PathKind::Direct),
        reversed_blocked: blocked(PathKind::Reversed),
        relayed_blocked: blocked(PathKind::Relayed),
    }
}

fn is_complete(swarm: &Swarm, node: &NodeId) -> bool {
    let has_every_leaf = |leaves: &u32| swarm.size_bytes > 0 && *leaves >= leaf_count(swarm.size_bytes);
    swarm.holders.contains(node) || swarm.partial.get(node).is_some_and(has_every_leaf)
}

/// Of `ordered`, which stand in the plan: the origin, the best, the near, then whoever follows; in the order given.
fn choose(near: &[NodeId], ordered: Vec<Candidate>) -> Vec<Candidate> {
    if ordered.len() <= PLAN_NEIGHBOURS {
        return ordered;
    }
    let mut is_chosen: Vec<bool> =
        ordered.iter().enumerate().map(|(at, source)| at < BY_RANK || source.role == Role::Origin).collect();
    let mut places = PLAN_NEIGHBOURS.saturating_sub(is_chosen.iter().filter(|chosen| **chosen).count());
    let near_first = near.iter().filter_map(|node| ordered.iter().position(|source| source.node == *node));
    for at in near_first.chain(0..ordered.len()) {
        if places > 0 && !is_chosen[at] {
            is_chosen[at] = true;
            places -= 1;
        }
    }
    ordered.into_iter().zip(is_chosen).filter(|(_, chosen)| *chosen).map(|(source, _)| source).collect()
}

/// Whether a viewer that has `told` should hear of `planned`. Rates and delays alone are no news: it measures them itself.
fn is_news(told: &[PlannedSource], planned: &[PlannedSource]) -> bool {
    let same = |a: &PlannedSource, b: &PlannedSource| {
        (a.node, a.path, a.complete, a.uploads) == (b.node, b.path, b.complete, b.uploads)
            && a.addresses == b.addresses
    };
    told.len() != planned.len() || told.iter().zip(planned).any(|(a, b)| !same(a, b))
}
