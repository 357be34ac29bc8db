//! One swarm as the planner sees it, for people: who is in it, who was told to get it from whom over which way, and why. Reading only.
//!
//! Reasons are read off what the planner knows now, not off what it knew when it told the plan; where they differ the plan is about to
//! be looked at again. Bounded: [`VIEW_NODES`] members, and the plans of those that are shown.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::{
    ContentId, MediaKind, NodeId,
    units::leaf_count,
    wire::{PathKind, Role},
};

use super::{
    nodes::{Handle, Node},
    paths::Reach,
    planning::PLAN_NEIGHBOURS,
    rates::SwarmRates,
    relays::Via,
    state::PathPlannerState,
    swarm::{Swarm, Told, Viewer},
};
use crate::file_index::FileKey;

/// The most members of a swarm that are shown.
pub const VIEW_NODES: usize = 64;

/// A swarm, its members and its plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SwarmView {
    /// Audio or video.
    pub kind: MediaKind,
    /// Which content.
    pub content_id: ContentId,
    /// Mean rate of the content, or 0 when unknown.
    pub bitrate_bps: u64,
    /// Leaves of the content, or 0 when unknown.
    pub leaves: u32,
    /// The rate at which every viewer can be fed, or 0 when unknown.
    pub sustainable_bps: u64,
    /// What the library keeps for first copies in this swarm, or 0 when unknown.
    pub origin_reserve_bps: u64,
    /// What keeps the sustainable rate from being higher.
    pub limit: Limit,
    /// The epoch of the newest plan of a viewer.
    pub epoch: u64,
    /// Members that are not shown.
    pub hidden: usize,
    /// The library first, then those that have everything, then viewers in the order of their playheads, then the rest.
    pub members: Vec<Member>,
    /// What was planned, by viewer and place.
    pub edges: Vec<Edge>,
}

/// What bounds a swarm's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// The uplinks are not known yet.
    Unknown,
    /// The library's uplink: nobody gets first copies faster.
    Library,
    /// The uplinks of the library and of those that have everything.
    Holders,
    /// All uplinks together, over the number of viewers.
    Uplinks,
}

/// A member of a swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Who.
    pub node: NodeId,
    /// Peer or origin.
    pub role: Role,
    /// Whether it wants the content.
    pub is_viewer: bool,
    /// Whether it can be dialled.
    pub reach: Reach,
    /// Leaves it holds.
    pub leaves: u32,
    /// Where its playhead is if it is a viewer and has played on since it said.
    pub playhead_leaf: u32,
    /// What it can send, or 0 when unknown.
    pub uplink_bps: u64,
    /// Its round trip to the tracker, or 0 when unknown.
    pub tracker_rtt_us: u32,
    /// What its plan predicts that it can get: the sustainable rate, or what its paths were measured to carry while that is unknown.
    pub predicted_bps: u64,
    /// The epoch of its plan; 0 where it has none.
    pub epoch: u64,
}

/// A source in a viewer's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The viewer, as an index of the members.
    pub viewer: usize,
    /// The source, as an index of the members.
    pub source: usize,
    /// Its place in the plan, 1 for the best.
    pub place: usize,
    /// The way that was planned, or that it is connected by.
    pub path: PathKind,
    /// Whether the viewer says that it is connected.
    pub connected: bool,
    /// What the viewer measured that the link carries while it is busy, or 0.
    pub rate_bps: u64,
    /// The round trip the viewer measured, or 0.
    pub rtt_us: u32,
    /// What the viewer was told that it may take of it, or 0 where it was told nothing; 1 for nothing of it.
    pub share_bps: u64,
    /// Why this source.
    pub why_source: String,
    /// Why this way, and over whom if it is relayed.
    pub why_path: String,
    /// Who relays, if it is relayed.
    pub relay: Option<Relay>,
}

/// What sort of node relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Relay {
    /// The tracker itself.
    Tracker,
    /// A peer.
    Peer,
}

impl PathPlannerState {
    /// The swarm of a content; none when nobody is in it.
    pub fn view(&self, now_ms: u64, key: FileKey) -> Option<SwarmView> {
        let swarm = self.swarms.get(&key)?;
        let rates = self.swarm_rates(swarm, self.served_swarms());
        let SwarmRates { origin_reserve_bps, sustainable_bps, .. } = rates;
        let (order, hidden) = self.order(now_ms, swarm);
        let places: BTreeMap<Handle, usize> =
            order.iter().enumerate().map(|(index, node)| (*node, index)).collect();
        let members: Vec<Member> =
            order.iter().filter_map(|node| self.member(now_ms, swarm, node, sustainable_bps)).collect();
        let viewers = order.iter().filter_map(|node| Some((node, swarm.viewers.get(node)?)));
        let edges = viewers.flat_map(|(node, viewer)| self.edges(now_ms, swarm, (node, viewer), &places));
        let is_first = rates.first_copies_bps <= sustainable_bps;
        let limit = match (sustainable_bps, is_first) {
            (0, _) => Limit::Unknown,
            (_, true) if swarm.origin.is_some() && swarm.holders.len() <= 1 => Limit::Library,
            (_, true) => Limit::Holders,
            (_, false) => Limit::Uplinks,
        };
        Some(SwarmView {
            kind: key.0,
            content_id: key.1,
            bitrate_bps: swarm.bitrate_bps,
            leaves: if swarm.size_bytes > 0 { leaf_count(swarm.size_bytes) } else { 0 },
            sustainable_bps,
            origin_reserve_bps,
            limit,
            epoch: swarm.viewers.values().map(|viewer| viewer.epoch).max().unwrap_or(0),
            hidden,
            edges: edges.collect(),
            members,
        })
    }

    /// The members that are shown, in order, and how many are not.
    fn order(&self, now_ms: u64, swarm: &Swarm) -> (Vec<Handle>, usize) {
        let mut viewers: Vec<(u32, Handle)> =
            swarm.viewers.iter().map(|(node, viewer)| (swarm.playhead(now_ms, viewer), *node)).collect();
        viewers.sort_unstable();
        let is_viewer = |node: &&Handle| !swarm.viewers.contains_key(node);
        let holders = swarm.holders.iter().filter(|node| Some(**node) != swarm.origin).filter(is_viewer);
        let partial = swarm.partial.keys().filter(is_viewer).filter(|node| !swarm.holders.contains(node));
        let all = swarm.origin.into_iter().chain(holders.copied());
        let all = all.chain(viewers.into_iter().map(|(_, node)| node)).chain(partial.copied());
        let mut all: Vec<Handle> = all.filter(|node| self.nodes.at(*node).is_some()).collect();
        let hidden = all.len().saturating_sub(VIEW_NODES);
        all.truncate(VIEW_NODES);
        (all, hidden)
    }

    fn member(&self, now_ms: u64, swarm: &Swarm, node: &Handle, sustainable_bps: u64) -> Option<Member> {
        let known = self.nodes.at(*node)?;
        let viewer = swarm.viewers.get(node);
        let held = swarm.partial.get(node).copied().unwrap_or(0);
        let whole = if swarm.size_bytes > 0 { leaf_count(swarm.size_bytes) } else { held };
        let planned_bps =
            viewer.map_or(0, |viewer| viewer.plan.iter().map(|source| source.rate_bps).sum::<u64>());
        Some(Member {
            node: known.id,
            role: known.role,
            is_viewer: viewer.is_some(),
            reach: known.reach,
            leaves: if swarm.holders.contains(node) { whole } else { held },
            playhead_leaf: viewer.map_or(0, |viewer| swarm.playhead(now_ms, viewer)),
            uplink_bps: known.uplink().unwrap_or(0),
            tracker_rtt_us: known.tracker_rtt_us,
            predicted_bps: if sustainable_bps > 0 { sustainable_bps } else { planned_bps },
            epoch: viewer.map_or(0, |viewer| viewer.epoch),
        })
    }

    fn edges(
        &self,
        now_ms: u64,
        swarm: &Swarm,
        (node, viewer): (&Handle, &Viewer),
        places: &BTreeMap<Handle, usize>,
    ) -> Vec<Edge> {
        let Some(viewing) = self.nodes.at(*node) else { return Vec::new() };
        let near = swarm.near(*node);
        let planned = viewer.plan.iter().enumerate();
        let edges = planned.filter_map(|(index, source)| {
            let known = self.nodes.at(source.node)?;
            let link = viewing.links.estimate(now_ms, &known.id);
            let path = link.connected.unwrap_or(source.path);
            let via = self.via(&viewing.id, &known.id).filter(|_| path == PathKind::Relayed);
            Some(Edge {
                viewer: *places.get(node)?,
                source: *places.get(&source.node)?,
                place: index + 1,
                path,
                connected: link.connected.is_some(),
                rate_bps: link.rate_bps,
                rtt_us: link.rtt_us,
                share_bps: source.share_bps,
                why_source: why_source(source, viewer.plan.len(), near.contains(&source.node)),
                why_path: format!("{}{}", why_path(now_ms, viewing, source, known), over(via)),
                relay: via.map(|via| if via == Via::Tracker { Relay::Tracker } else { Relay::Peer }),
            })
        });
        edges.collect()
    }
}

/// Why `source` is in a plan of `planned` sources.
fn why_source(source: &Told, planned: usize, is_near: bool) -> String {
    let mut reasons = Vec::new();
    if source.role == Role::Origin {
        reasons.push("the library, which has what nobody else has");
    } else if planned < PLAN_NEIGHBOURS {
        reasons.push("all are named, the swarm is small");
    } else if is_near {
        reasons.push("near in playhead");
    } else {
        reasons.push("among the widest and nearest");
    }
    reasons.push(if source.rate_bps > 0 { "measured" } else { "not measured yet, taken for fair" });
    reasons.push(if source.complete { "has the whole file" } else { "has a part" });
    if !source.uploads {
        reasons.push("hardly uploads, so it stands last");
    }
    match source.share_bps {
        0 => {}
        1 => reasons.push("left to those who have no other"),
        _ => reasons.push("in demand, so it is shared"),
    }
    reasons.join("; ")
}

/// Over whom, as the end of a sentence.
fn over(via: Option<Via>) -> String {
    match via {
        None => String::new(),
        Some(Via::Tracker) => "; over the tracker".to_owned(),
        Some(Via::Peer(relay)) => format!("; over peer {}", relay.short()),
    }
}

/// Why `source` is reached the way it is.
fn why_path(now_ms: u64, viewing: &Node, source: &Told, known: &Node) -> &'static str {
    let failed = |path| viewing.links.is_blocked(now_ms, &known.id, path);
    let connected = viewing.links.estimate(now_ms, &known.id).connected;
    match (connected, source.path) {
        (_, PathKind::Direct) if source.role == Role::Origin => "the library is where the tracker is",
        (Some(PathKind::Relayed), PathKind::Direct | PathKind::Reversed) => {
            "relayed until the better way that has opened is up"
        }
        (Some(way), planned) if way != planned || known.reach != Reach::Open => {
            "connected so, and a way that works is kept"
        }
        (_, PathKind::Direct) => match known.reach {
            Reach::Open => "the tracker dialled it and it answered",
            Reach::Untried => "it says that it listens",
            Reach::Closed => "everything else failed lately, so the cheapest way is tried anew",
        },
        (_, PathKind::Reversed) if failed(PathKind::Direct) => {
            "dialling it failed lately, and the viewer can be dialled"
        }
        (_, PathKind::Reversed) => "it cannot be dialled, and the viewer can",
        (_, PathKind::Relayed) if viewing.reach.may_be_dialled() || known.reach.may_be_dialled() => {
            "dialling failed lately both ways"
        }
        (_, PathKind::Relayed) => "neither can be dialled",
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
