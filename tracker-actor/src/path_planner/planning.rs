//! From what is known to what a viewer is told: candidates, choice, order, and whether it is news. Pure.
//!
//! Goals, in this order:
//!
//! - **(a) reachable**: every source stands with the best way that is open to this viewer ([`super::paths`]);
//! - **(b) wide, then near**: the best first ([`super::plan`]);
//! - **(c) enough and not too many**: [`PLAN_NEIGHBOURS`] at most, half of them by rank, a part by nearness of playhead, and always the
//!   origin, which has what nobody else has;
//! - **(d) stable**: those told before stay while they upload, but for one in five minutes; an order changes where one is clearly better; and
//!   nothing is told that is no news.

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
    plan::{Candidate, is_clearly_better, order, sustainable_bps},
    state::{Node, Output, PLAN_SPACING_MS, PathPlannerState, RELAY_TOTAL_BPS},
    swarm::{Rates, Swarm, Told, Viewer},
};
use crate::file_index::FileKey;

/// The most neighbours a plan names: enough to fill any line, few enough to know well.
pub const PLAN_NEIGHBOURS: usize = 20;
/// Of those, how many are chosen by rank alone; the rest by nearness of playhead first.
const BY_RANK: usize = PLAN_NEIGHBOURS / 2;
/// An uplink below this is none: a leaf would take more than two seconds.
const MIN_UPLINK_BPS: u64 = 64_000;
/// So often one of a viewer's sources at most makes room for one that promises more.
const EXPLORE_MS: u64 = 300_000;
/// Members of a sort whose uplinks are looked at to know those of all.
const SAMPLED: usize = 256;
/// Contents among which an origin's uplink is divided are counted up to this.
const MAX_SHARING: usize = 1_000;

const _: () = assert!(PLAN_NEIGHBOURS <= MAX_PLAN_SOURCES);

impl PathPlannerState {
    /// Makes the plan of one viewer, and tells it if it is an answer or news.
    pub(super) fn replan(&mut self, now_ms: u64, key: FileKey, node: NodeId, is_answer: bool) {
        let (Some(swarm), Some(viewing)) = (self.swarms.get(&key), self.nodes.get(&node)) else { return };
        let Some(known) = swarm.viewers.get(&node) else { return };
        let session = viewing.session;
        let previous: Vec<NodeId> = known.plan.iter().map(|told| told.node).collect();
        let candidates = self.candidates(now_ms, swarm, &node, viewing);
        // Whoever asks, at the start or after a jump, is given the best there is now; else those told keep their seats.
        let kept = if is_answer { &[][..] } else { &previous[..] };
        let may_explore = now_ms >= known.explored_ms + EXPLORE_MS;
        let (chosen, has_explored) =
            choose(&swarm.near(&node), order(&node, &previous, candidates), kept, may_explore);
        let (told, sources): (Vec<Told>, Vec<PlannedSource>) =
            chosen.iter().filter_map(|candidate| self.planned(viewing, candidate)).unzip();
        if !is_answer && told == known.plan {
            // Rates and delays alone are no news: the viewer measures them itself.
            return;
        }
        let rates = self.rates(now_ms, key);
        for told in &told {
            if let Some(named) = self.nodes.get_mut(&told.node) {
                named.named += 1;
            }
        }
        let Some(before) = self.swarms.get_mut(&key).and_then(|swarm| swarm.tell(now_ms, &node, told)) else {
            return;
        };
        for told in before {
            self.unname(&told.node);
        }
        if let Some(viewer) = self.viewer_mut(key, &node).filter(|_| has_explored || is_answer) {
            viewer.explored_ms = now_ms;
        }
        self.epoch += 1;
        self.plans_told += 1;
        let plan = Plan {
            content_id: key.1,
            epoch: self.epoch,
            sources,
            origin_reserve_bps: rates.origin_reserve_bps,
            sustainable_bps: rates.sustainable_bps,
        };
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
                let sustainable_bps = self.sum_up(swarm).sustainable_bps;
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

    fn candidates(&self, now_ms: u64, swarm: &Swarm, viewer: &NodeId, viewing: &Node) -> Vec<Candidate> {
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

    fn planned(&self, viewing: &Node, candidate: &Candidate) -> Option<(Told, PlannedSource)> {
        let known = self.nodes.get(&candidate.node)?;
        // A client reaches the origin where it reaches the tracker; no address says so.
        let has_addresses = candidate.path.kind == PathKind::Direct && candidate.role != Role::Origin;
        let told = Told {
            node: candidate.node,
            path: candidate.path.kind,
            complete: candidate.complete,
            uploads: candidate.uploads,
            addresses: if has_addresses { viewing.registered + known.registered } else { 0 },
        };
        let addresses = has_addresses.then(|| addresses_for(viewing.observed, &known.addresses));
        let planned = PlannedSource {
            node: candidate.node,
            role: candidate.role,
            addresses: addresses.unwrap_or_default(),
            path: candidate.path.kind,
            rate_bps: candidate.path.measured_bps,
            rtt_us: candidate.path.rtt_us,
            complete: candidate.complete,
            uploads: candidate.uploads,
        };
        Some((told, planned))
    }

    /// What the swarm can carry; summed up anew now and then, for uplinks change slowly.
    fn rates(&mut self, now_ms: u64, key: FileKey) -> Rates {
        let Some(swarm) = self.swarms.get(&key) else { return Rates::default() };
        if let Some((_, rates)) = swarm.rates.filter(|(at_ms, _)| now_ms < at_ms + PLAN_SPACING_MS) {
            return rates;
        }
        let rates = self.sum_up(swarm);
        if let Some(swarm) = self.swarms.get_mut(&key) {
            swarm.rates = Some((now_ms, rates));
        }
        rates
    }

    fn sum_up(&self, swarm: &Swarm) -> Rates {
        let uplink = |node: &NodeId| self.nodes.get(node).and_then(Node::uplink);
        let Some(origin) = swarm.origin else { return Rates::default() };
        let served = self
            .swarms
            .values()
            .filter(|swarm| swarm.origin.is_some() && !swarm.viewers.is_empty())
            .take(MAX_SHARING);
        let origin_reserve_bps = uplink(&origin).unwrap_or(0) / (served.count() as u64).max(1);
        let holders =
            swarm.holders.iter().filter(|node| **node != origin && !swarm.viewers.contains_key(node));
        let others_bps = together(holders, swarm.holders.len().saturating_sub(1), uplink);
        let viewers_bps = together(swarm.viewers.keys(), swarm.viewers.len(), uplink);
        let peers_bps = others_bps.saturating_add(viewers_bps);
        let sustainable_bps = sustainable_bps(origin_reserve_bps, peers_bps, swarm.viewers.len());
        Rates { origin_reserve_bps, sustainable_bps }
    }
}

/// The uplinks of all `count` nodes together, from those of some: the sum needs no more precision than the uplinks themselves have. Of whom
/// nothing is known is taken to be like the others.
fn together<'a>(
    nodes: impl Iterator<Item = &'a NodeId>,
    count: usize,
    uplink: impl Fn(&NodeId) -> Option<u64>,
) -> u64 {
    let (mut sampled, mut known, mut sum_bps) = (0usize, 0u64, 0u64);
    for node in nodes.take(SAMPLED) {
        sampled += 1;
        if let Some(bps) = uplink(node) {
            known += 1;
            sum_bps = sum_bps.saturating_add(bps);
        }
    }
    let all = if sampled < SAMPLED { sampled } else { count } as u64;
    sum_bps.checked_div(known).unwrap_or(0).saturating_mul(all)
}

impl Node {
    /// What it can send, if anything is known of it.
    fn uplink(&self) -> Option<u64> {
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

/// Of `ordered`, which stand in the plan, in the order given: the origin, those `kept` that upload, then the best, the near, whoever follows.
/// What was never tried promises more than what was; so one of those kept at most makes room for it, and that now and then. Whether one did.
fn choose(
    near: &[NodeId],
    ordered: Vec<Candidate>,
    kept: &[NodeId],
    may_explore: bool,
) -> (Vec<Candidate>, bool) {
    if ordered.len() <= PLAN_NEIGHBOURS {
        return (ordered, false);
    }
    let is_kept = |source: &Candidate| source.uploads && kept.contains(&source.node);
    let by_rank = BY_RANK.saturating_sub(ordered.iter().filter(|source| is_kept(source)).count());
    let mut is_chosen: Vec<bool> =
        ordered.iter().map(|source| source.role == Role::Origin || is_kept(source)).collect();
    let mut ranked = (0..ordered.len()).filter(|at| !is_chosen[*at]);
    let ranked: Vec<usize> = ranked.by_ref().take(by_rank).collect();
    ranked.into_iter().for_each(|at| is_chosen[at] = true);
    let has_explored = may_explore && explore(&ordered, &mut is_chosen);
    let mut places = PLAN_NEIGHBOURS.saturating_sub(is_chosen.iter().filter(|chosen| **chosen).count());
    let near_first = near.iter().filter_map(|node| ordered.iter().position(|source| source.node == *node));
    for at in near_first.chain(0..ordered.len()) {
        if places > 0 && !is_chosen[at] {
            is_chosen[at] = true;
            places -= 1;
        }
    }
    let chosen = ordered.into_iter().zip(is_chosen).filter(|(_, chosen)| *chosen).map(|(source, _)| source);
    (chosen.collect(), has_explored)
}

/// Gives the seat of the last that is seated to the first that is not, if that is clearly better.
fn explore(ordered: &[Candidate], is_chosen: &mut [bool]) -> bool {
    let best = is_chosen.iter().position(|chosen| !chosen);
    let last = (0..ordered.len()).rev().find(|at| is_chosen[*at] && ordered[*at].role != Role::Origin);
    let (Some(best), Some(last)) = (best, last) else { return false };
    let is_better = is_clearly_better(&ordered[best], &ordered[last]);
    if is_better {
        (is_chosen[best], is_chosen[last]) = (true, false);
    }
    is_better
}
