//! What a swarm can carry: the origin's share, the uplinks, and the rate at which all its viewers can be fed together. Pure.
//!
//! Summed up anew now and then only, and of samples, for uplinks change slowly and are not known better: a plan costs the same however many
//! viewers and swarms there are.

use super::{
    nodes::{Handle, Node},
    plan::sustainable_bps,
    state::{PLAN_SPACING_MS, PathPlannerState},
    swarm::Swarm,
};
use crate::file_index::FileKey;

/// Uplinks that are added up one by one.
const SAMPLED_UPLINKS: usize = 256;

/// In bits per second, 0 when unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwarmRates {
    /// The origin's share for first copies in this swarm.
    pub origin_reserve_bps: u64,
    /// What those that have everything can send of it together: the origin its share, the others all they have.
    pub first_copies_bps: u64,
    /// What every viewer can have.
    pub sustainable_bps: u64,
}

impl PathPlannerState {
    /// The rates of a swarm as they were not long ago.
    pub(super) fn rates(&mut self, now_ms: u64, key: FileKey) -> SwarmRates {
        let is_fresh = |at_ms: u64| now_ms < at_ms + PLAN_SPACING_MS;
        let Some(swarm) = self.swarms.get(&key) else { return SwarmRates::default() };
        if let Some((_, rates)) = swarm.rates.filter(|(at_ms, _)| is_fresh(*at_ms)) {
            return rates;
        }
        let (served_ms, served) = self
            .served
            .filter(|(at_ms, _)| is_fresh(*at_ms))
            .unwrap_or_else(|| (now_ms, self.served_swarms()));
        self.served = Some((served_ms, served));
        let rates = self.swarm_rates(swarm, served);
        if let Some(swarm) = self.swarms.get_mut(&key) {
            swarm.rates = Some((now_ms, rates));
        }
        rates
    }

    /// The rates of a swarm where the origin serves so many.
    pub(super) fn swarm_rates(&self, swarm: &Swarm, served: usize) -> SwarmRates {
        let origin_bps = swarm.origin.and_then(|origin| self.nodes.at(origin)).and_then(Node::uplink);
        let origin_reserve_bps = origin_bps.unwrap_or(0) / (served as u64).max(1);
        let holders = swarm.holders.iter().filter(|node| Some(**node) != swarm.origin);
        let first_copies_bps =
            origin_reserve_bps.saturating_add(self.uplinks_bps(holders, swarm.holders.len()));
        let viewers = swarm.viewers.keys().filter(|node| !swarm.holders.contains(node));
        let peers_bps = self.uplinks_bps(viewers, swarm.viewers.len());
        let sustainable_bps = sustainable_bps(first_copies_bps, peers_bps, swarm.viewers.len());
        SwarmRates { origin_reserve_bps, first_copies_bps, sustainable_bps }
    }

    /// How many swarms have viewers and the origin to serve them.
    pub(super) fn served_swarms(&self) -> usize {
        self.swarms.values().filter(|swarm| swarm.origin.is_some() && !swarm.viewers.is_empty()).count()
    }

    /// The uplinks of `nodes`, of which there are `count` at the most.
    fn uplinks_bps<'a>(&self, nodes: impl Iterator<Item = &'a Handle>, count: usize) -> u64 {
        let (mut sampled, mut sum_bps) = (0, 0u64);
        for node in nodes.take(SAMPLED_UPLINKS) {
            sampled += 1;
            sum_bps = sum_bps.saturating_add(self.nodes.at(*node).and_then(Node::uplink).unwrap_or(0));
        }
        if sampled < SAMPLED_UPLINKS as u64 { sum_bps } else { sum_bps / sampled * count as u64 }
    }
}
