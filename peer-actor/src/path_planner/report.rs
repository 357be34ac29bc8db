//! What the tracker is told of the links: only what changed noticeably, not too often. Pure.
//!
//! Invariant: every failure is told once; a way that failed is told apart from the way that is up; a node is remembered while it is linked
//! or there is something to tell of it.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    NodeId,
    limits::MAX_LINK_METRICS,
    wire::{LinkMetric, LinkReport, PathKind},
};

/// The least time between two reports.
const INTERVAL_MS: u64 = 2_000;
/// Nodes of which something is remembered.
const MAX_NODES: usize = 1024;

#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    up: Option<PathKind>,
    rtt_us: u32,
    goodput_bps: u64,
}

#[derive(Debug, Default)]
struct Told {
    now: Figures,
    told: Figures,
    /// Failures not told yet, per way.
    failures: BTreeMap<PathKind, u32>,
}

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct Reports {
    nodes: BTreeMap<NodeId, Told>,
    dirty: BTreeSet<NodeId>,
    uplink_bps: u64,
    told_uplink_bps: u64,
    next_ms: u64,
}

impl Reports {
    pub(super) fn up(&mut self, node: NodeId, path: PathKind) {
        self.change(node, |told| told.now.up = Some(path));
    }

    pub(super) fn down(&mut self, node: NodeId) {
        self.change(node, |told| told.now.up = None);
    }

    pub(super) fn failed(&mut self, node: NodeId, path: PathKind) {
        self.change(node, |told| *told.failures.entry(path).or_default() += 1);
    }

    pub(super) fn rtt(&mut self, node: NodeId, rtt_us: u32) {
        self.change(node, |told| told.now.rtt_us = rtt_us);
    }

    pub(super) fn goodput(&mut self, node: NodeId, goodput_bps: u64) {
        self.change(node, |told| told.now.goodput_bps = goodput_bps);
    }

    pub(super) const fn uplink(&mut self, bps: u64) {
        self.uplink_bps = bps;
    }

    pub(super) fn due_ms(&self) -> Option<u64> {
        let has_news = !self.dirty.is_empty() || is_noticeable(self.told_uplink_bps, self.uplink_bps);
        has_news.then_some(self.next_ms)
    }

    pub(super) fn poll(&mut self, now_ms: u64) -> Option<LinkReport> {
        if self.due_ms()? > now_ms {
            return None;
        }
        self.next_ms = now_ms + INTERVAL_MS;
        self.told_uplink_bps = self.uplink_bps;
        let mut links = Vec::new();
        // A node takes as many places as there are ways, at most.
        while links.len() + 3 <= MAX_LINK_METRICS
            && let Some(node) = self.dirty.pop_first()
        {
            let Some(told) = self.nodes.get_mut(&node) else { continue };
            told.metrics(node, &mut links);
            if told.now.up.is_none() {
                self.nodes.remove(&node);
            }
        }
        Some(LinkReport { links, uplink_bps: self.uplink_bps })
    }

    fn change(&mut self, node: NodeId, change: impl FnOnce(&mut Told)) {
        if self.nodes.len() >= MAX_NODES && !self.nodes.contains_key(&node) {
            return;
        }
        let told = self.nodes.entry(node).or_default();
        change(told);
        let (has_news, is_up) = (told.has_news(), told.now.up.is_some());
        if has_news {
            self.dirty.insert(node);
            return;
        }
        self.dirty.remove(&node);
        if !is_up {
            self.nodes.remove(&node);
        }
    }
}

impl Told {
    fn has_news(&self) -> bool {
        self.now.up != self.told.up
            || !self.failures.is_empty()
            || self.now.up.is_some()
                && (is_noticeable(u64::from(self.told.rtt_us), u64::from(self.now.rtt_us))
                    || is_noticeable(self.told.goodput_bps, self.now.goodput_bps))
    }

    fn metrics(&mut self, node: NodeId, out: &mut Vec<LinkMetric>) {
        let Figures { up, rtt_us, goodput_bps } = self.now;
        let lost = self.told.up.filter(|lost| up.is_none() && !self.failures.contains_key(lost));
        for (path, failures) in
            std::mem::take(&mut self.failures).into_iter().chain(lost.map(|path| (path, 0)))
        {
            out.push(LinkMetric { node, path, rtt_us: 0, goodput_bps: 0, failures, connected: false });
        }
        if let Some(path) = up {
            out.push(LinkMetric { node, path, rtt_us, goodput_bps, failures: 0, connected: true });
        }
        self.told = self.now;
    }
}

/// A fifth up or down, or known for the first time.
const fn is_noticeable(told: u64, now: u64) -> bool {
    now != told && now.abs_diff(told).saturating_mul(5) >= told
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 32]);

    #[test]
    fn only_noticeable_changes_are_told_and_not_too_often() {
        let mut reports = Reports::default();
        reports.up(NODE, PathKind::Direct);
        reports.rtt(NODE, 1_000);
        assert_eq!(reports.poll(0).unwrap().links.len(), 1);
        reports.rtt(NODE, 1_199);
        assert_eq!(reports.due_ms(), None);
        reports.rtt(NODE, 1_200);
        assert_eq!(reports.due_ms(), Some(INTERVAL_MS));
        assert_eq!(reports.poll(INTERVAL_MS - 1), None);
        assert_eq!(reports.poll(INTERVAL_MS).unwrap().links[0].rtt_us, 1_200);
    }

    #[test]
    fn a_failed_way_is_told_before_the_way_that_is_up() {
        let mut reports = Reports::default();
        reports.failed(NODE, PathKind::Direct);
        reports.failed(NODE, PathKind::Direct);
        reports.up(NODE, PathKind::Reversed);
        let links = reports.poll(0).unwrap().links;
        let told: Vec<_> = links.iter().map(|link| (link.path, link.failures, link.connected)).collect();
        assert_eq!(told, [(PathKind::Direct, 2, false), (PathKind::Reversed, 0, true)]);
        assert_eq!(reports.due_ms(), None);
    }

    #[test]
    fn a_lost_link_is_told_without_a_failure_and_then_forgotten() {
        let mut reports = Reports::default();
        reports.up(NODE, PathKind::Relayed);
        reports.poll(0).unwrap();
        reports.down(NODE);
        let links = reports.poll(INTERVAL_MS).unwrap().links;
        assert_eq!((links[0].path, links[0].failures, links[0].connected), (PathKind::Relayed, 0, false));
        assert!(reports.nodes.is_empty());
    }

    #[test]
    fn a_link_that_came_and_went_untold_leaves_nothing() {
        let mut reports = Reports::default();
        for n in 0..=MAX_NODES {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            reports.up(NodeId(id), PathKind::Direct);
            reports.rtt(NodeId(id), 1_000);
            reports.down(NodeId(id));
        }
        assert!(reports.nodes.is_empty() && reports.dirty.is_empty());
        reports.up(NODE, PathKind::Direct);
        assert_eq!(reports.poll(0).unwrap().links.len(), 1);
    }

    #[test]
    fn the_uplink_is_told_when_it_changes() {
        let mut reports = Reports::default();
        reports.uplink(1_000_000);
        assert_eq!(reports.poll(0).unwrap().uplink_bps, 1_000_000);
        reports.uplink(1_100_000);
        assert_eq!(reports.due_ms(), None);
    }

    #[test]
    fn a_report_never_exceeds_its_bound_and_the_rest_follows() {
        let mut reports = Reports::default();
        for n in 0..300u16 {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&n.to_be_bytes());
            reports.up(NodeId(id), PathKind::Direct);
        }
        let first = reports.poll(0).unwrap().links.len();
        assert!(first <= MAX_LINK_METRICS);
        assert_eq!(first + reports.poll(INTERVAL_MS).unwrap().links.len(), 300);
    }
}
