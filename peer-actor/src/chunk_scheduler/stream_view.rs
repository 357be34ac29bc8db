//! A stream as observers see it: the viewer core's view, the nodes behind its sources, and what the tracker planned of them. Reading
//! only; nothing here changes a decision.

use std::collections::BTreeMap;

use shared::{
    NodeId,
    schedule::viewer::SourceSnapshot,
    snapshot::{PeerSnapshot, PlanSnapshot, PlannedPath, StreamSnapshot},
    wire::PlannedSource,
};

use super::stream::{Neighbour, Stream};
use crate::traffic::Traffic;

impl Stream {
    /// Every source: see [`Self::peers_of`].
    pub(super) fn peers(
        &self,
        now_ms: u64,
        links: &BTreeMap<NodeId, Neighbour>,
        traffic: &Traffic,
    ) -> Vec<PeerSnapshot> {
        self.peers_of(&self.viewer.source_snapshots(now_ms), links, traffic)
    }

    /// Connected sources with what they gave before, then those that left, then those planned that are not reached yet.
    fn peers_of(
        &self,
        sources: &[SourceSnapshot],
        links: &BTreeMap<NodeId, Neighbour>,
        traffic: &Traffic,
    ) -> Vec<PeerSnapshot> {
        let connected = sources.iter().filter_map(|source| {
            let node = self.node(source.source)?;
            let neighbour = links.get(&node)?;
            let before_bytes = self.past.get(&node).map_or(0, |past| past.received_bytes);
            Some(PeerSnapshot {
                node,
                role: neighbour.remote.role,
                path: neighbour.path,
                address: neighbour.address.clone(),
                connected: true,
                rtt_us: u64::from(neighbour.rtt_us),
                rate_bps: source.rate_bps,
                received_bytes: before_bytes + source.received_bytes,
                sent_bytes: traffic.sent_to(&node),
                goodput_bps: source.goodput_bps,
                in_flight: source.in_flight,
                in_flight_bytes: source.in_flight_bytes,
                leaves: source.leaves,
                silent: source.snubbed,
                banned: self.liars.contains(&node),
                planned: None,
            })
        });
        let mut peers: Vec<PeerSnapshot> = connected.collect();
        let connected = peers.len();
        for past in self.past.values() {
            if !peers[..connected].iter().any(|peer| peer.node == past.node) {
                peers.push(PeerSnapshot { banned: self.liars.contains(&past.node), ..past.clone() });
            }
        }
        let planned = self.plan.iter().flat_map(|plan| &plan.sources).enumerate();
        for (index, source) in planned {
            let path = Some(PlannedPath::of(index, source));
            match peers.iter_mut().find(|peer| peer.node == source.node) {
                Some(peer) => peer.planned = path,
                // A plan may lag behind a ban, and a file that is here needs nobody.
                None if self.planned.contains(&source.node) && !self.content.is_complete() => {
                    peers.push(PeerSnapshot { planned: path, ..unreached(source) });
                }
                None => {}
            }
        }
        peers
    }

    /// What observers may see.
    pub(crate) fn snapshot(
        &self,
        now_ms: u64,
        links: &BTreeMap<NodeId, Neighbour>,
        traffic: &Traffic,
    ) -> StreamSnapshot {
        let view = self.viewer.snapshot(now_ms);
        StreamSnapshot {
            content_id: self.content_id(),
            name: self.file.name.clone(),
            size: self.content.size_bytes(),
            duration_ms: view.duration_ms,
            bitrate: self.file.bitrate,
            epoch: view.epoch,
            playhead_byte: view.playhead_byte,
            playhead_ms: view.playhead_ms,
            buffered_ahead_ms: view.buffered_ahead_ms,
            verified_bytes: view.verified_bytes,
            piece_leaves: view.piece_leaves,
            peers: self.peers_of(&view.sources, links, traffic),
            plan: self.plan.as_ref().map(PlanSnapshot::of),
            piece_map: view.piece_map,
            verified_ranges: view.verified_ranges,
            time_index: view.time_index,
            download_bps: view.download_bps,
            received_bytes: view.received_bytes,
            wasted_bytes: view.wasted_bytes,
            corrupt_bytes: view.corrupt_bytes,
            stalls: view.stalls,
            waiting: view.waiting,
            complete: view.complete,
        }
    }
}

/// A planned source there is no link to yet.
fn unreached(source: &PlannedSource) -> PeerSnapshot {
    let address = source.addresses.first().map(ToString::to_string).unwrap_or_default();
    PeerSnapshot { address, ..PeerSnapshot::unreached(source.node, source.role, source.path) }
}
