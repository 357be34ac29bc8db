//! What one client has measured of its neighbours: smoothed, aged, bounded. Pure.
//!
//! Invariant: at most [`MAX_LINKS`] neighbours are remembered, those up before those down, the latest before the oldest. A measurement
//! of a link that is down fades: after [`STALE_MS`] it counts for nothing. A failure blocks its way of reaching the neighbour for
//! [`BLOCK_MS`], not the neighbour.

use std::collections::BTreeMap;

use shared::{
    NodeId,
    limits::MAX_LINKS,
    wire::{LinkMetric, PathKind},
};

/// How long a measurement of a link that is down is believed.
pub const STALE_MS: u64 = 120_000;
/// How long a way that failed is not tried again.
pub const BLOCK_MS: u64 = 60_000;
/// Weight of a new sample against all before it, as its divisor: one in four.
const SMOOTHING: u64 = 4;

/// What is believed of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// What it carries, or 0 when unknown.
    pub rate_bps: u64,
    /// Its round trip, or 0 when unknown.
    pub rtt_us: u32,
    /// How the neighbour is reached now, if it is.
    pub connected: Option<PathKind>,
    /// Whether a direct dial, a reversed one and a relayed connection failed lately.
    pub blocked: [bool; 3],
    /// The neighbour was tried, and nothing came of it yet.
    pub is_unreached: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    rate_bps: u64,
    rtt_us: u32,
    connected: Option<PathKind>,
    reported_ms: u64,
    blocked_until_ms: [u64; 3],
}

/// The links one client reports.
#[derive(Debug, Clone, Default)]
pub struct Links {
    links: BTreeMap<NodeId, Link>,
}

impl Links {
    /// Takes one measurement.
    pub fn handle_metric(&mut self, now_ms: u64, metric: &LinkMetric) {
        let link = self.links.entry(metric.node).or_default();
        link.reported_ms = now_ms;
        if metric.goodput_bps > 0 {
            link.rate_bps = smooth(link.rate_bps, metric.goodput_bps);
        }
        if metric.rtt_us > 0 {
            link.rtt_us = smooth(u64::from(link.rtt_us), u64::from(metric.rtt_us)) as u32;
        }
        if metric.connected {
            link.connected = Some(metric.path);
            link.blocked_until_ms[slot(metric.path)] = 0;
        } else {
            link.connected = None;
            if metric.failures > 0 {
                link.blocked_until_ms[slot(metric.path)] = now_ms + BLOCK_MS;
            }
        }
        self.evict();
    }

    /// What is believed of the link to `node`.
    pub fn estimate(&self, now_ms: u64, node: &NodeId) -> Estimate {
        let Some(link) = self.links.get(node) else { return Estimate::default() };
        let blocked = link.blocked_until_ms.map(|until_ms| now_ms < until_ms);
        let has_failed = link.blocked_until_ms.iter().any(|until_ms| *until_ms > 0);
        let connected = link.connected;
        let known =
            Estimate { blocked, is_unreached: connected.is_none() && has_failed, ..Estimate::default() };
        if connected.is_none() && now_ms >= link.reported_ms + STALE_MS {
            return known;
        }
        Estimate { rate_bps: link.rate_bps, rtt_us: link.rtt_us, connected, ..known }
    }

    /// Whether reaching `node` this way failed lately.
    pub fn is_blocked(&self, now_ms: u64, node: &NodeId, path: PathKind) -> bool {
        self.estimate(now_ms, node).blocked[slot(path)]
    }

    /// The neighbour is gone: its link is down, without anybody's fault.
    pub fn handle_gone(&mut self, node: &NodeId) {
        if let Some(link) = self.links.get_mut(node) {
            link.connected = None;
            // It may come back as another: from elsewhere, with another firewall.
            link.blocked_until_ms = [0; 3];
        }
    }

    /// Reversed dials that failed say nothing any more: the client itself can be dialled now.
    pub fn forgive_reversed(&mut self) {
        for link in self.links.values_mut() {
            link.blocked_until_ms[slot(PathKind::Reversed)] = 0;
        }
    }

    /// Nor do direct ones to `node`, which can be dialled now.
    pub fn forgive_direct(&mut self, node: &NodeId) {
        if let Some(link) = self.links.get_mut(node) {
            link.blocked_until_ms[slot(PathKind::Direct)] = 0;
        }
    }

    /// Whether any link is up over a relay.
    pub fn is_any_relayed(&self) -> bool {
        self.links.values().any(|link| link.connected == Some(PathKind::Relayed))
    }

    /// How many neighbours are remembered.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether nothing was reported yet.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    fn evict(&mut self) {
        while self.links.len() > MAX_LINKS {
            let worst =
                self.links.iter().min_by_key(|(_, link)| (link.connected.is_some(), link.reported_ms));
            let Some(worst) = worst.map(|(node, _)| *node) else { return };
            self.links.remove(&worst);
        }
    }
}

/// An exponential mean whose first sample stands alone.
pub(super) fn smooth(before: u64, sample: u64) -> u64 {
    if before == 0 {
        return sample;
    }
    let sum = u128::from(before) * u128::from(SMOOTHING - 1) + u128::from(sample);
    u64::try_from(sum / u128::from(SMOOTHING)).unwrap_or(u64::MAX).max(1)
}

const fn slot(path: PathKind) -> usize {
    match path {
        PathKind::Direct => 0,
        PathKind::Reversed => 1,
        PathKind::Relayed => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_blocks_its_way_for_a_while_and_a_connection_frees_it() {
        let mut links = Links::default();
        links.handle_metric(0, &LinkMetric { failures: 1, connected: false, ..up(1) });
        assert!(links.is_blocked(BLOCK_MS - 1, &node(1), PathKind::Direct));
        assert!(!links.is_blocked(BLOCK_MS - 1, &node(1), PathKind::Reversed));
        assert!(!links.is_blocked(BLOCK_MS, &node(1), PathKind::Direct));
        links.handle_metric(10, &up(1));
        assert!(!links.is_blocked(11, &node(1), PathKind::Direct));
    }

    #[test]
    fn a_lost_connection_counts_as_a_failure_only_if_one_is_reported() {
        let mut links = Links::default();
        links.handle_metric(0, &up(1));
        links.handle_metric(1, &LinkMetric { connected: false, ..up(1) });
        assert!(!links.is_blocked(2, &node(1), PathKind::Direct));
    }

    #[test]
    fn a_link_that_is_up_does_not_fade_and_one_that_is_down_does() {
        let mut links = Links::default();
        links.handle_metric(0, &up(1));
        assert_eq!(links.estimate(10 * STALE_MS, &node(1)).rate_bps, 8_000_000);
        links.handle_metric(1, &LinkMetric { connected: false, ..up(1) });
        assert_eq!(links.estimate(STALE_MS, &node(1)).rate_bps, 8_000_000);
        assert_eq!(links.estimate(STALE_MS + 1, &node(1)), Estimate::default());
    }

    #[test]
    fn an_unknown_measure_leaves_the_known_one() {
        let mut links = Links::default();
        links.handle_metric(0, &up(1));
        links.handle_metric(1, &LinkMetric { goodput_bps: 0, rtt_us: 0, ..up(1) });
        assert_eq!(
            links.estimate(1, &node(1)),
            Estimate {
                rate_bps: 8_000_000,
                rtt_us: 20_000,
                connected: Some(PathKind::Direct),
                ..Estimate::default()
            }
        );
    }

    #[test]
    fn wobble_is_smoothed_and_a_lasting_change_arrives() {
        let mut links = Links::default();
        for round in 0..100 {
            let goodput_bps = if round % 2 == 0 { 8_000_000 } else { 12_000_000 };
            links.handle_metric(round, &LinkMetric { goodput_bps, ..up(1) });
        }
        let settled = links.estimate(100, &node(1)).rate_bps;
        assert!((9_000_000..11_000_000).contains(&settled), "{settled}");
        for round in 100..120 {
            links.handle_metric(round, &LinkMetric { goodput_bps: 1_000_000, ..up(1) });
        }
        assert!(links.estimate(120, &node(1)).rate_bps < 1_100_000);
    }

    #[test]
    fn the_number_of_neighbours_is_bounded_and_those_up_stay() {
        let mut links = Links::default();
        links.handle_metric(0, &up(0));
        for n in 1..1_000 {
            links.handle_metric(u64::from(n), &LinkMetric { connected: false, ..up(n) });
        }
        assert_eq!(links.len(), MAX_LINKS);
        assert_eq!(links.estimate(1_000, &node(0)).connected, Some(PathKind::Direct));
    }

    #[test]
    fn absurd_measures_do_not_overflow() {
        let mut links = Links::default();
        for _ in 0..3 {
            let absurd = LinkMetric { goodput_bps: u64::MAX, rtt_us: u32::MAX, failures: u32::MAX, ..up(1) };
            links.handle_metric(0, &absurd);
        }
        assert_eq!(links.estimate(0, &node(1)).rtt_us, u32::MAX);
    }

    fn up(n: u16) -> LinkMetric {
        LinkMetric {
            node: node(n),
            path: PathKind::Direct,
            rtt_us: 20_000,
            goodput_bps: 8_000_000,
            failures: 0,
            connected: true,
        }
    }

    fn node(n: u16) -> NodeId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    }
}
