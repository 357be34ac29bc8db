//! From what is known to what a viewer is told: candidates, choice, order, and whether it is news. Pure.
//!
//! Goals, in this order:
//!
//! - **(a) reachable**: every source stands with the best way that is open to this viewer ([`super::paths`]);
//! - **(b) wide, then near**: the best first ([`super::plan`]);
//! - **(c) enough and not too many**: [`PLAN_NEIGHBOURS`] at most, half of them by rank, a part by nearness of playhead, and always the
//!   origin, which has what nobody else has; in a swarm too large for its uplink only those it was named to first, who pass it on;
//! - **(d) stable**: those told before stay while they upload, but for one in five minutes; an order changes where one is clearly better; and
//!   nothing is told that is no news.

use shared::{
    ContentId,
    limits::MAX_PLAN_SOURCES,
    units::leaf_count,
    wire::{PathKind, Plan, PlannedSource, Role, TrackerMessage},
};

use super::{
    PlannerSnapshot, SwarmSnapshot,
    addresses::addresses_for,
    links::Estimate,
    nodes::{Handle, Node},
    paths::{Between, best_path},
    plan::{Candidate, is_clearly_better, order},
    rates::SwarmRates,
    sharing::{Demand, Supply, Uplink},
    state::{Output, PLAN_SPACING_MS, PathPlannerState},
    swarm::{Swarm, Told, Viewer},
};
use crate::file_index::FileKey;

/// The most neighbours a plan names: enough to fill any line, few enough to know well.
pub const PLAN_NEIGHBOURS: usize = 20;
/// Of those, how many are chosen by rank alone; the rest by nearness of playhead first.
const BY_RANK: usize = PLAN_NEIGHBOURS / 2;
/// What of an origin's uplink each viewer that is linked to it may count for. What viewers announce and what acknowledges that takes 620
/// bit/s each (`simulate crowd-1000`), so an origin spends a twentieth of its uplink on it at the most.
pub(super) const ORIGIN_BPS_EACH: u64 = 12_400;
/// However slow its uplink is, an origin is named to as many.
const ORIGIN_NAMED_AT_LEAST: u64 = 64;
/// Who has neighbours within this of its playhead has somebody to ask.
const NEAR_PLAYHEAD_MS: u64 = 30_000;
/// An uplink below this is none: a leaf would take more than two seconds.
const MIN_UPLINK_BPS: u64 = 64_000;
/// So often one of a viewer's sources at most makes room for one that promises more.
const EXPLORE_MS: u64 = 300_000;

/// News of shares alone follow each other, and plans, no faster.
const SHARE_SPACING_MS: u64 = 5_000;
/// Those whose shares have moved are settled so many at once and so often: a turn is short, and what never settles costs little.
const LOOKS_PER_TURN: usize = 256;
const SETTLE_MS: u64 = 2;

const _: () = assert!(PLAN_NEIGHBOURS <= MAX_PLAN_SOURCES);

impl PathPlannerState {
    /// Makes the plan of one viewer, and tells it if it is an answer or news.
    pub(super) fn replan(&mut self, now_ms: u64, key: FileKey, node: Handle, is_answer: bool) {
        let (Some(swarm), Some(viewing)) = (self.swarms.get(&key), self.nodes.at(node)) else { return };
        let Some(known) = swarm.viewers.get(&node) else { return };
        let previous: Vec<Handle> = known.plan.iter().map(|told| told.node).collect();
        let candidates = self.candidates(now_ms, swarm, node, viewing);
        // Whoever asks, at the start or after a jump, is given the best there is now; else those told keep their seats.
        let kept = if is_answer { &[][..] } else { &previous[..] };
        let may_explore = now_ms >= known.explored_ms + EXPLORE_MS;
        let near = swarm.near(node);
        let spares_origin = self.spares_origin(swarm, node, known, &near);
        let (chosen, has_explored) =
            choose(&near, order(node, &previous, candidates), kept, may_explore, spares_origin);
        let demand = demand(swarm, node, &chosen);
        let uplink = |node| self.nodes.at(node).map_or_else(Uplink::default, Node::as_supply);
        let receiver = self.sharing.demand(known.receiver, (key, node), demand, uplink);
        let shares = self.sharing.shares(receiver, known.told_shares());
        let told = |candidate: &Candidate| self.told(viewing, candidate, shares.of(candidate.node));
        let told: Vec<Told> = chosen.iter().filter_map(told).collect();
        let is_news = is_answer || is_news(&known.plan, &told);
        let are_shares_news = self.sharing.are_news(receiver, known.told_shares(), &shares);
        let shares_due_ms = known.told_ms + SHARE_SPACING_MS;
        if let Some(viewer) = self.viewer_mut(key, node) {
            viewer.receiver = receiver;
            if has_explored && is_news || is_answer {
                viewer.explored_ms = now_ms;
            }
        }
        if is_news || are_shares_news && now_ms >= shares_due_ms {
            self.tell_plan(now_ms, key, node, &chosen, told);
        } else if are_shares_news {
            self.look_again(shares_due_ms, key, node);
        }
    }

    fn tell_plan(&mut self, now_ms: u64, key: FileKey, node: Handle, chosen: &[Candidate], told: Vec<Told>) {
        let Some((id, session)) = self.nodes.at(node).map(|known| (known.id, known.session)) else { return };
        let sources = self.planned(node, chosen, &told);
        let SwarmRates { origin_reserve_bps, sustainable_bps, .. } = self.rates(now_ms, key);
        for told in &told {
            if let Some(named) = self.nodes.at_mut(told.node) {
                named.named += 1;
            }
        }
        let epoch = self.epoch + 1;
        let tell = |swarm: &mut Swarm| swarm.tell(now_ms, node, epoch, told);
        let Some(before) = self.swarms.get_mut(&key).and_then(tell) else { return };
        for told in before {
            self.unname(told.node);
        }
        self.epoch = epoch;
        self.plans_told += 1;
        let viewers = self.swarms.get(&key).map_or(0, |swarm| swarm.expected_viewers(now_ms) as u32);
        let plan = Plan { content_id: key.1, epoch, sources, origin_reserve_bps, sustainable_bps, viewers };
        self.outputs.push_back(Output::Tell(id, session, TrackerMessage::Plan(plan)));
    }

    /// Lets viewers that changes have reached move their demand, and looks again at the plans of those that should hear of it.
    pub(super) fn settle_shares(&mut self, now_ms: u64) {
        if now_ms < self.next_settle_ms || self.sharing.is_settled() {
            return;
        }
        self.next_settle_ms = now_ms + SETTLE_MS;
        for _ in 0..LOOKS_PER_TURN {
            let Some(who) = self.sharing.settle_next() else { break };
            let Some((key, node)) = who else { continue };
            let Some(viewer) = self.swarms.get(&key).and_then(|swarm| swarm.viewers.get(&node)) else {
                continue;
            };
            let shares = self.sharing.shares(viewer.receiver, viewer.told_shares());
            if self.sharing.are_news(viewer.receiver, viewer.told_shares(), &shares) {
                self.look_again(now_ms.max(viewer.told_ms + SHARE_SPACING_MS), key, node);
            }
        }
    }

    /// Answers a client that has asked for more contents than it may open.
    pub(super) fn tell_empty_plan(&mut self, node: Handle, content_id: ContentId) {
        let Some(known) = self.nodes.at(node) else { return };
        self.epoch += 1;
        let plan = Plan::of_sources(content_id, self.epoch, Vec::new());
        self.outputs.push_back(Output::Tell(known.id, known.session, TrackerMessage::Plan(plan)));
    }

    /// The viewer's plan is looked at when the last one has had its time.
    pub(super) fn look_again_spaced(&mut self, now_ms: u64, key: FileKey, node: Handle) {
        let told_ms = self.viewer_mut(key, node).map_or(0, |viewer| viewer.told_ms);
        self.look_again(now_ms.max(told_ms + PLAN_SPACING_MS), key, node);
    }

    /// The viewer's plan is looked at again at `at_ms`, or before: in the next turn if that is now.
    pub(super) fn look_again(&mut self, at_ms: u64, key: FileKey, node: Handle) {
        let Some(viewer) = self.viewer_mut(key, node) else { return };
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

    pub(super) fn viewer_mut(&mut self, key: FileKey, node: Handle) -> Option<&mut Viewer> {
        self.swarms.get_mut(&key)?.viewers.get_mut(&node)
    }

    pub(super) fn unname(&mut self, node: Handle) {
        if let Some(named) = self.nodes.at_mut(node) {
            named.named = named.named.saturating_sub(1);
        }
    }

    /// What the planner sees; the largest swarms first, `most` of them.
    pub fn snapshot(&self, most: usize) -> PlannerSnapshot {
        let served = self.served_swarms();
        let mut swarms: Vec<SwarmSnapshot> = self
            .swarms
            .iter()
            .filter(|(_, swarm)| !swarm.viewers.is_empty())
            .map(|(key, swarm)| SwarmSnapshot {
                kind: key.0,
                content_id: key.1,
                viewers: swarm.viewers.len(),
                holders: swarm.holders.len(),
                partial: swarm.partial.len(),
                at_origin: swarm.origin.is_some(),
                sustainable_bps: self.swarm_rates(swarm, served).sustainable_bps,
            })
            .collect();
        swarms.sort_by_key(|swarm| (std::cmp::Reverse(swarm.viewers), swarm.kind, swarm.content_id));
        swarms.truncate(most);
        PlannerSnapshot {
            nodes: self.nodes.len(),
            watched: self.swarms.values().filter(|swarm| !swarm.viewers.is_empty()).count(),
            viewers: self.swarms.values().map(|swarm| swarm.viewers.len()).sum(),
            plans_due: self.due.len(),
            plans_told: self.plans_told,
            relays: self.peer_relays(),
            swarms,
        }
    }

    fn candidates(&self, now_ms: u64, swarm: &Swarm, viewer: Handle, viewing: &Node) -> Vec<Candidate> {
        let pool = swarm.pool(viewer);
        let mut candidates = Vec::with_capacity(pool.len());
        let members = pool.into_iter().filter_map(|node| self.nodes.at(node).map(|known| (node, known)));
        let end = viewing.end();
        candidates.extend(members.map(|(node, known)| {
            let link = viewing.links.estimate(now_ms, &known.id);
            let between = between(link, known.role);
            Candidate {
                node,
                role: known.role,
                complete: is_complete(swarm, node),
                uploads: known.uplink().is_none_or(|uplink_bps| uplink_bps >= MIN_UPLINK_BPS),
                is_unreached: link.is_unreached,
                path: best_path(end, known.end(), between, known.named, self.broker.tracker_bps),
            }
        }));
        candidates
    }

    /// Whether a viewer that has others near it does without the origin, since as many are linked to that as its uplink can listen to.
    fn spares_origin(&self, swarm: &Swarm, viewer: Handle, known: &Viewer, near: &[Handle]) -> bool {
        let Some(origin) = swarm.origin.filter(|origin| known.plan.iter().all(|told| told.node != *origin))
        else {
            return false;
        };
        let Some(uplink_bps) = self.nodes.at(origin).and_then(Node::uplink) else { return false };
        let most = (uplink_bps / ORIGIN_BPS_EACH).max(ORIGIN_NAMED_AT_LEAST);
        let is_near =
            |other: &&Handle| swarm.apart_ms(viewer, **other).is_some_and(|ms| ms <= NEAR_PLAYHEAD_MS);
        swarm.naming_count(origin) as u64 >= most
            && near.iter().filter(is_near).count() >= PLAN_NEIGHBOURS / 2
    }

    /// A source as it is remembered that it was told.
    fn told(&self, viewing: &Node, candidate: &Candidate, share_bps: u64) -> Option<Told> {
        let known = self.nodes.at(candidate.node)?;
        Some(Told {
            node: candidate.node,
            role: candidate.role,
            path: candidate.path.kind,
            rate_bps: candidate.path.measured_bps,
            complete: candidate.complete,
            uploads: candidate.uploads,
            addresses: if has_addresses(candidate) { viewing.registered + known.registered } else { 0 },
            share_bps,
        })
    }

    /// Sources as they are told, of those that were chosen.
    fn planned(&self, viewer: Handle, chosen: &[Candidate], told: &[Told]) -> Vec<PlannedSource> {
        let Some(viewing) = self.nodes.at(viewer) else { return Vec::new() };
        let known = chosen.iter().filter_map(|candidate| Some((candidate, self.nodes.at(candidate.node)?)));
        let mut planned = Vec::with_capacity(chosen.len());
        planned.extend(known.zip(told).map(|((candidate, known), told)| {
            let addresses =
                has_addresses(candidate).then(|| addresses_for(viewing.observed, &known.addresses));
            PlannedSource {
                node: known.id,
                role: candidate.role,
                addresses: addresses.unwrap_or_default(),
                path: candidate.path.kind,
                rate_bps: candidate.path.measured_bps,
                rtt_us: candidate.path.rtt_us,
                complete: candidate.complete,
                uploads: candidate.uploads,
                share_bps: told.share_bps,
            }
        }));
        planned
    }
}

/// What a viewer's link says of the way to a node. The origin is where the tracker is, whatever failed.
fn between(link: Estimate, role: Role) -> Between {
    let [direct, reversed, relayed] = link.blocked.map(|is_blocked| is_blocked && role != Role::Origin);
    Between {
        rate_bps: link.rate_bps,
        rtt_us: link.rtt_us,
        connected: link.connected,
        direct_blocked: direct,
        reversed_blocked: reversed,
        relayed_blocked: relayed,
    }
}

/// What a viewer wants of those of `chosen` that have everything. What it shares with others of a crowd it takes mostly from them.
fn demand(swarm: &Swarm, node: Handle, chosen: &[Candidate]) -> Demand {
    if swarm.bitrate_bps == 0 || is_complete(swarm, node) {
        return Demand::default();
    }
    let reached = || chosen.iter().filter(|source| !source.is_unreached);
    let crowd = reached().filter(|source| !source.complete).count();
    let supplies = reached().filter(|source| source.complete && source.uploads);
    let supplies =
        supplies.map(|source| Supply { node: source.node, link_bps: relayed_bps(source) }).collect();
    Demand { bps: (swarm.bitrate_bps / (1 + crowd as u64)).max(1), is_crowd: crowd > 0, supplies }
}

/// What a relay passes on from a source, in powers of two: what was measured wobbles.
fn relayed_bps(source: &Candidate) -> Option<u64> {
    let is_relayed = source.path.kind == PathKind::Relayed;
    is_relayed.then(|| source.path.expected_bps.checked_ilog2().map_or(0, |log| 1 << log))
}

/// A client reaches the origin where it reaches the tracker; no address says so.
fn has_addresses(candidate: &Candidate) -> bool {
    candidate.path.kind == PathKind::Direct && candidate.role != Role::Origin
}

fn is_complete(swarm: &Swarm, node: Handle) -> bool {
    let has_every_leaf = |leaves: &u32| swarm.size_bytes > 0 && *leaves >= leaf_count(swarm.size_bytes);
    swarm.holders.contains(&node) || swarm.partial.get(&node).is_some_and(has_every_leaf)
}

/// Of `ordered`, which stand in the plan, in the order given: the origin, those `kept` that upload, then the best, the near, whoever follows.
/// What was never tried promises more than what was; so one of those kept at most makes room for it, and that now and then. Whether one did.
fn choose(
    near: &[Handle],
    mut ordered: Vec<Candidate>,
    kept: &[Handle],
    may_explore: bool,
    spares_origin: bool,
) -> (Vec<Candidate>, bool) {
    if ordered.len() <= PLAN_NEIGHBOURS {
        return (ordered, false);
    }
    ordered.retain(|source| !(spares_origin && source.role == Role::Origin));
    let is_kept = |source: &Candidate| source.uploads && kept.contains(&source.node);
    let by_rank = BY_RANK.saturating_sub(ordered.iter().filter(|source| is_kept(source)).count());
    let mut is_chosen: Vec<bool> =
        ordered.iter().map(|source| source.role == Role::Origin || is_kept(source)).collect();
    if is_chosen.iter().filter(|chosen| **chosen).count() > PLAN_NEIGHBOURS
        && let Some(last) = last_seated(&ordered, &is_chosen)
    {
        // Every seat was taken when the origin came.
        is_chosen[last] = false;
    }
    let ranked: Vec<usize> = (0..ordered.len()).filter(|at| !is_chosen[*at]).take(by_rank).collect();
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
    let mut is_chosen = is_chosen.into_iter();
    ordered.retain(|_| is_chosen.next() == Some(true));
    (ordered, has_explored)
}

/// Gives the seat of the last that is seated to the first that is not, if that is clearly better.
fn explore(ordered: &[Candidate], is_chosen: &mut [bool]) -> bool {
    let best = is_chosen.iter().position(|chosen| !chosen);
    let (Some(best), Some(last)) = (best, last_seated(ordered, is_chosen)) else { return false };
    let is_better = is_clearly_better(&ordered[best], &ordered[last]);
    if is_better {
        (is_chosen[best], is_chosen[last]) = (true, false);
    }
    is_better
}

/// The last that is seated and is not the origin, which keeps its seat.
fn last_seated(ordered: &[Candidate], is_chosen: &[bool]) -> Option<usize> {
    (0..ordered.len()).rev().find(|at| is_chosen[*at] && ordered[*at].role != Role::Origin)
}

/// Whether a viewer that has `told` should hear of `planned`. Rates and delays alone are no news: it measures them itself. Nor are
/// shares, which have their own pace.
fn is_news(told: &[Told], planned: &[Told]) -> bool {
    let apart_from_rates = |told: &Told| Told { rate_bps: 0, share_bps: 0, ..*told };
    !told.iter().map(apart_from_rates).eq(planned.iter().map(apart_from_rates))
}
