//! A scenario and a seed become a world: who takes part, with which uplink, from when, and how fast the media is.

use rand::{Rng as _, RngExt as _, rngs::StdRng};

use super::{
    node::{Content, NodeSpec},
    player,
    scenario::{Happening, Joins, Rate, Role, Scenario, Up},
};

/// Everybody and the content.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    /// The origin first, if there is one.
    pub(super) nodes: Vec<NodeSpec>,
    pub(super) content: Content,
    /// What the swarm could carry without headers; 0 if it has no origin.
    pub(super) max_bps: u64,
}

impl Cast {
    pub(super) fn new(scenario: &Scenario, rng: &mut StdRng) -> Self {
        let mut nodes = Vec::new();
        if scenario.origin_bps > 0 {
            nodes.push(NodeSpec {
                group: usize::MAX,
                role: None,
                up_bps: scenario.origin_bps,
                down_bps: 1_000_000_000,
                joins_ms: 0,
            });
        }
        for (number, group) in scenario.groups.iter().enumerate() {
            let count = scenario.viewers.filter(|_| group.role == Role::Viewer).unwrap_or(group.count);
            let joins = joins(group.joins, count, rng);
            let turn = if matches!(group.up, Up::Each(..)) { 0 } else { rng.next_u32() };
            nodes.extend(joins.into_iter().enumerate().map(|(n, joins_ms)| NodeSpec {
                group: number,
                role: Some(group.role),
                up_bps: uplink(group.up, n as u32 + turn, rng),
                down_bps: group.down_bps,
                joins_ms,
            }));
        }
        let max_bps = max_bps(scenario.origin_bps, &nodes);
        let supply_bps = supply_bps(&nodes);
        let viewers = (nodes.iter().filter(|node| node.is_viewer()).count() as u64).max(1);
        nodes.extend(replacements(scenario, &nodes));
        let rate_bps = match scenario.rate {
            Rate::Bps(bps) => bps,
            Rate::OfMax(share) => (max_bps as f64 * share) as u64,
            Rate::SupplyOver(times) => (supply_bps as f64 / times) as u64 / viewers,
        };
        let media_us = scenario.media_ms * 1_000;
        let size_bytes = player::size_bytes(rate_bps, media_us);
        let leaf_count = shared::units::leaf_count(size_bytes);
        Self { nodes, content: Content { size_bytes, leaf_count, rate_bps, media_us }, max_bps }
    }
}

fn joins(joins: Joins, count: u32, rng: &mut StdRng) -> Vec<u64> {
    let mut at_ms = 0.0;
    (0..count)
        .map(|n| match joins {
            Joins::At(ms) => ms,
            Joins::Evenly(over_ms) => over_ms * u64::from(n) / u64::from(count),
            Joins::Listed(times_ms) => times_ms[n as usize % times_ms.len()],
            Joins::Randomly(within_ms) => rng.random_range(0..within_ms.max(1)),
            Joins::Daily(day_ms) => loop {
                let at = rng.random::<f64>();
                if rng.random::<f64>() < (at * std::f64::consts::PI).sin().powi(2) {
                    break (at * day_ms as f64) as u64;
                }
            },
            Joins::Poisson(gap_ms) => {
                let gap = -(1.0 - rng.random::<f64>()).ln() * gap_ms as f64;
                at_ms += gap;
                at_ms as u64
            }
        })
        .collect()
}

fn uplink(up: Up, number: u32, rng: &mut StdRng) -> u64 {
    match up {
        Up::Fixed(bps) => bps,
        Up::Around(bps, share) => around(bps, share, rng),
        Up::Listed(all) => all[number as usize % all.len()],
        Up::Each(all, share) => around(all[number as usize % all.len()], share, rng),
    }
}

fn around(bps: u64, share: f64, rng: &mut StdRng) -> u64 {
    (bps as f64 * rng.random_range(1.0 - share..=1.0 + share)) as u64
}

/// `min(u_s, (u_s + sum u_i) / N)`.
fn max_bps(origin_bps: u64, nodes: &[NodeSpec]) -> u64 {
    let viewers = nodes.iter().filter(|node| node.is_viewer()).count() as u64;
    let uploading = nodes.iter().filter(|node| node.is_viewer() && node.uploads());
    let sum_bps: u64 = uploading.map(|node| node.up_bps).sum();
    match (origin_bps, viewers) {
        (0, _) | (_, 0) => 0,
        (origin_bps, viewers) => origin_bps.min((origin_bps + sum_bps) / viewers),
    }
}

fn supply_bps(nodes: &[NodeSpec]) -> u64 {
    nodes.iter().filter(|node| node.role == Some(Role::Seed)).map(|node| node.up_bps).sum()
}

/// Those that come in the place of others.
fn replacements(scenario: &Scenario, nodes: &[NodeSpec]) -> Vec<NodeSpec> {
    let mut coming = Vec::new();
    for happening in scenario.happenings {
        let Happening::ReplaceEach { every_ms, group, times } = *happening else { continue };
        let replaced = nodes.iter().filter(|node| node.group == group).take(times as usize);
        coming.extend(replaced.zip(1..).map(|(node, n)| NodeSpec {
            joins_ms: every_ms * n,
            group: usize::MAX,
            ..*node
        }));
    }
    coming
}
