//! Snapshots for tests: a stream and its sources in which nothing happens yet.

use shared::{
    ContentId, NodeId,
    snapshot::{PeerSnapshot, StreamSnapshot},
    wire::{PathKind, Role},
};

/// Ten seconds of which nothing is here.
pub(super) fn stream() -> StreamSnapshot {
    StreamSnapshot {
        content_id: ContentId([1; 32]),
        name: String::new(),
        size: 1_000,
        duration_ms: 10_000,
        bitrate: 800,
        epoch: 0,
        playhead_byte: 0,
        playhead_ms: 0,
        buffered_ahead_ms: 0,
        verified_bytes: 0,
        piece_leaves: 1,
        piece_map: Vec::new(),
        verified_ranges: Vec::new(),
        time_index: Vec::new(),
        peers: Vec::new(),
        plan: None,
        download_bps: 0,
        received_bytes: 0,
        wasted_bytes: 0,
        corrupt_bytes: 0,
        stalls: 0,
        waiting: None,
        complete: false,
    }
}

/// A peer that is connected and sends nothing.
pub(super) fn peer(id: u8) -> PeerSnapshot {
    PeerSnapshot {
        connected: true,
        ..PeerSnapshot::unreached(NodeId([id; 32]), Role::Peer, PathKind::Direct)
    }
}
