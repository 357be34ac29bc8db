//! One fixed frame of every type, in the order of the registry; the source of the golden vectors.
//!
//! Every field has a value of its own, so that two swapped fields show. A new frame type belongs here and in `tests/golden`.

use bytes::Bytes;
use shared::{
    ContentId, LeafRange, MediaKind, NodeId,
    wire::{
        Assigned, Cancel, Capabilities, CatalogueDelta, CatalogueEntry, Close, Confirm, Credit, Data,
        FileEntry, FilesDelta, FindPeers, Flush, ForgetPeers, Frame, GetHints, Goodbye, GoodbyeReason, Have,
        Hello, Hints, HintsReply, Holdings, LinkMetric, LinkReport, NoFresh, Open, PathKind, PathOffer,
        PathRefused, PathRole, PeerGone, Ping, Plan, PlannedSource, Pong, Probe, Probed, PutHints, Refuse,
        RefuseReason, Register, Registered, Reject, RejectReason, RelayAnswer, RelayGrant, RelayUse, Request,
        RequestPath, Role, Seed, Signature, Token, WantedBranch, WantedChunk, Welcome,
    },
};

pub(crate) const CONTENT: ContentId = ContentId([0xc0; 32]);
const NODE: NodeId = NodeId([0xa1; 32]);

/// One frame of every type.
pub(crate) fn frames() -> Vec<Frame> {
    [handshake(), link(), tracker(), paths(), peer()].concat()
}

fn handshake() -> Vec<Frame> {
    let signature = Signature([[0x51; 32], [0x52; 32]]);
    vec![
        Hello {
            version: 1,
            node: NODE,
            role: Role::Peer,
            kind: Some(MediaKind::Video),
            capabilities: Capabilities(5),
            nonce: [0x11; 32],
            agent: "rusteze/0.1".to_owned(),
        }
        .into(),
        Welcome {
            node: NodeId([0xa2; 32]),
            role: Role::Origin,
            kind: None,
            capabilities: Capabilities(300),
            nonce: [0x22; 32],
            signature,
            agent: "rusteze-tracker/0.1".to_owned(),
        }
        .into(),
        Confirm { signature }.into(),
        Reject { reason: RejectReason::Version(7) }.into(),
    ]
}

fn link() -> Vec<Frame> {
    vec![
        Ping { nonce: 0x0102_0304_0506_0708 }.into(),
        Pong { nonce: 250 }.into(),
        Credit { granted_bytes: 1 << 33, received_bytes: (1 << 33) - 70_000, at_ms: 90_000 }.into(),
        Goodbye { reason: GoodbyeReason::Replaced }.into(),
        Probe { number: 3, padding: vec![0xa5; 4] }.into(),
        Probed { number: 3 }.into(),
    ]
}

fn tracker() -> Vec<Frame> {
    let removed = vec![ContentId([0xde; 32])];
    vec![
        Register {
            listen_port: Some(4711),
            addresses: vec![
                "192.0.2.1:4711".parse().expect("an address"),
                "[2001:db8::1]:80".parse().expect("an address"),
            ],
            upload_limit_bps: 8_000_000,
            relay_limit_bps: 1_000_000,
        }
        .into(),
        Registered { observed: "198.51.100.7:50000".parse().expect("an address"), files_version: 9 }.into(),
        FilesDelta { version: 10, reset: true, changed: vec![file()], removed: removed.clone() }.into(),
        CatalogueDelta {
            version: 11,
            reset: false,
            changed: vec![CatalogueEntry {
                file: file(),
                sources: 3,
                at_origin: true,
                seeds: vec![
                    Seed { node: NODE, role: Role::Origin, address: None },
                    Seed {
                        node: NodeId([0xa3; 32]),
                        role: Role::Peer,
                        address: Some("203.0.113.8:4712".parse().expect("an address")),
                    },
                ],
            }],
            removed,
        }
        .into(),
        PutHints { content_id: CONTENT, hints: hints() }.into(),
        GetHints { content_id: CONTENT }.into(),
        HintsReply { content_id: CONTENT, hints: Some(hints()) }.into(),
        FindPeers { content_id: CONTENT, playhead_leaf: 77 }.into(),
        Plan {
            content_id: CONTENT,
            epoch: 12,
            sources: vec![PlannedSource {
                node: NODE,
                role: Role::Origin,
                addresses: vec!["203.0.113.9:9000".parse().expect("an address")],
                path: PathKind::Relayed,
                rate_bps: 12_000_000,
                rtt_us: 40_000,
                complete: true,
                uploads: false,
                share_bps: 900_000,
            }],
            origin_reserve_bps: 5_200_000,
            sustainable_bps: 4_000_000,
            viewers: 30,
        }
        .into(),
        ForgetPeers { content_id: CONTENT }.into(),
    ]
}

fn paths() -> Vec<Frame> {
    vec![
        LinkReport {
            links: vec![LinkMetric {
                node: NODE,
                path: PathKind::Direct,
                rtt_us: 1_500,
                goodput_bps: 93_000_000,
                failures: 2,
                connected: true,
            }],
            uplink_bps: 20_000_000,
        }
        .into(),
        Holdings { content_id: CONTENT, leaves: 640 }.into(),
        PeerGone { node: NODE }.into(),
        RequestPath { node: NODE, kind: PathKind::Reversed }.into(),
        PathOffer {
            node: NODE,
            kind: PathKind::Relayed,
            role: PathRole::Accept,
            addresses: vec!["192.0.2.33:7000".parse().expect("an address")],
            token: Some([0x77; 16]),
        }
        .into(),
        PathRefused { node: NODE, kind: PathKind::Relayed }.into(),
        RelayGrant { token: [0x78; 16], ends: [NODE, NodeId([0xa4; 32])], valid_ms: 15_000 }.into(),
        RelayAnswer { token: [0x79; 16], granted: true }.into(),
        RelayUse { in_use: 3, carried_bytes: 1 << 34 }.into(),
    ]
}

fn peer() -> Vec<Frame> {
    vec![
        Open { content_id: CONTENT }.into(),
        Close { content_id: CONTENT }.into(),
        Have {
            content_id: CONTENT,
            size_bytes: 5_000_000,
            reset: true,
            complete: false,
            ranges: vec![LeafRange::new(0, 16), LeafRange::new(300, 6)],
            backlog_ms: 450,
        }
        .into(),
        Request {
            content_id: CONTENT,
            epoch: 3,
            starting: true,
            chunks: vec![
                WantedChunk {
                    id: 21,
                    leaves: LeafRange::new(16, 4),
                    deadline_ms: -250,
                    proof_skip: 2,
                    branch: WantedBranch::None,
                },
                WantedChunk {
                    id: 22,
                    leaves: LeafRange::new(20, 4),
                    deadline_ms: 1_000,
                    proof_skip: 0,
                    branch: WantedBranch::Next,
                },
            ],
        }
        .into(),
        Cancel { ids: vec![21, 70_000], confirm: true }.into(),
        Flush { content_id: CONTENT, epoch: 4 }.into(),
        Frame::data(
            Data {
                id: 22,
                leaves: LeafRange::new(305, 1),
                proof: vec![[[0x01; 32], [0x02; 32]], [[0x03; 32], [0x04; 32]]],
                branch: vec![[[0x05; 32], [0x06; 32]]],
            },
            Bytes::from_static(b"the short last leaf"),
        ),
        Refuse { id: 21, content_id: CONTENT, reason: RefuseReason::Busy(800) }.into(),
        Token {
            content_id: CONTENT,
            id: 23,
            epoch: 3,
            from_leaf: 32,
            forced_leaf: Some(40),
            chunk_leaves: 8,
            idle_in_ms: 700,
            leaf_ms: 110,
            proven_to: 48,
            branch: WantedBranch::Own,
        }
        .into(),
        Assigned { id: 23, leaves: LeafRange::new(40, 8) }.into(),
        NoFresh { id: 24 }.into(),
    ]
}

fn file() -> FileEntry {
    FileEntry {
        content_id: CONTENT,
        name: "Bunny – ünïcode.mkv".to_owned(),
        size_bytes: 5_000_000,
        kind: MediaKind::Video,
        duration_ms: 60_000,
        bitrate_bps: 666_666,
        container: "matroska,webm".to_owned(),
        codecs: vec!["h264".to_owned(), "opus".to_owned()],
        width: 1280,
        height: 720,
        title: "Bunny".to_owned(),
        artist: "Blender".to_owned(),
        album: "Open".to_owned(),
        has_cover: true,
    }
}

fn hints() -> Hints {
    Hints {
        startup_ranges: vec![(0, 65_536), (4_900_000, 100_000)],
        time_index: vec![(0, 4_096), (1_000, 90_000), (2_000, 170_000)],
        cover_jpeg: vec![0xff, 0xd8, 0xff, 0xd9],
        waveform: vec![0, 12, 255, 40],
    }
}
