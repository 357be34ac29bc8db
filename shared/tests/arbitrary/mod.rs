//! Strategies for frames of every type within the bounds of the wire.
//!
//! The registry decides which types exist; `any_frame` fails to cover one only if `wire_golden` fails too.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};
use shared::{
    ContentId, LeafRange, MediaKind, NodeId,
    limits::{
        LEAF_BYTES, MAX_ADDRESSES, MAX_BRANCH_PAIRS, MAX_CHUNK_LEAVES, MAX_CODECS, MAX_CONTENT_BYTES,
        MAX_COVER_BYTES, MAX_DELTA_FILES, MAX_HAVE_RANGES, MAX_LINK_METRICS, MAX_PADDING_BYTES,
        MAX_PLAN_SOURCES, MAX_PROOF_NODES, MAX_REQUEST_BATCH, MAX_SEEDS, MAX_STARTUP_RANGES, MAX_TIME_INDEX,
        MAX_WAVEFORM,
    },
    units::leaf_count,
    wire::{
        Assigned, Cancel, Capabilities, CatalogueDelta, CatalogueEntry, Close, Confirm, Credit, Data,
        FileEntry, FilesDelta, FindPeers, Flush, ForgetPeers, Frame, GetHints, Goodbye, GoodbyeReason, Have,
        Hello, Hints, HintsReply, Holdings, LinkMetric, LinkReport, NoFresh, Open, PathKind, PathOffer,
        PathRefused, PathRole, PeerGone, Ping, Plan, PlannedSource, Pong, Probe, Probed, PutHints, Refuse,
        RefuseReason, Register, Registered, Reject, RejectReason, RelayAnswer, RelayGrant, RelayUse, Request,
        RequestPath, Role, Seed, Signature, Token, WantedBranch, WantedChunk, Welcome,
    },
};

/// Any frame that may be on the wire.
pub(crate) fn any_frame() -> impl Strategy<Value = Frame> {
    prop_oneof![any_handshake(), any_link(), any_tracker(), any_paths(), any_have_or_data(), any_peer()]
}

pub(crate) fn any_handshake() -> impl Strategy<Value = Frame> {
    let hello = (any::<u16>(), any_node(), any_role(), any_kind(), any::<(u64, [u8; 32])>(), any_text(128))
        .prop_map(|(version, node, role, kind, (capabilities, nonce), agent)| {
            let kind = Some(kind).filter(|_| role == Role::Peer);
            Hello { version, node, role, kind, capabilities: Capabilities(capabilities), nonce, agent }.into()
        });
    let welcome = (
        any_node(),
        any_role(),
        option::of(any_kind()),
        any::<(u64, [u8; 32])>(),
        any_signature(),
        any_text(128),
    )
        .prop_map(|(node, role, kind, (capabilities, nonce), signature, agent)| {
            Welcome { node, role, kind, capabilities: Capabilities(capabilities), nonce, signature, agent }
                .into()
        });
    let reason = prop_oneof![
        any::<u16>().prop_map(RejectReason::Version),
        Just(RejectReason::Proof),
        Just(RejectReason::Full),
        Just(RejectReason::Banned),
        Just(RejectReason::NotServed),
        Just(RejectReason::Duplicate),
    ];
    prop_oneof![
        hello,
        welcome,
        any_signature().prop_map(|signature| Confirm { signature }.into()),
        reason.prop_map(|reason| Reject { reason }.into()),
    ]
}

fn any_link() -> impl Strategy<Value = Frame> {
    let reason = prop::sample::select(vec![
        GoodbyeReason::Leaving,
        GoodbyeReason::Idle,
        GoodbyeReason::Replaced,
        GoodbyeReason::Violation,
    ]);
    prop_oneof![
        any::<u64>().prop_map(|nonce| Ping { nonce }.into()),
        any::<u64>().prop_map(|nonce| Pong { nonce }.into()),
        any::<(u64, u64, u32)>().prop_map(|(granted_bytes, received_bytes, at_ms)| Credit {
            granted_bytes,
            received_bytes,
            at_ms
        }
        .into()),
        reason.prop_map(|reason| Goodbye { reason }.into()),
        (any::<u8>(), vec(any::<u8>(), 0..=MAX_PADDING_BYTES)).prop_map(|(number, padding)| Probe {
            number,
            padding
        }
        .into()),
        any::<u8>().prop_map(|number| Probed { number }.into()),
    ]
}

fn any_tracker() -> impl Strategy<Value = Frame> {
    prop_oneof![
        (option::of(any::<u16>()), any_addresses(), any::<u64>(), any::<u64>()).prop_map(
            |(listen_port, addresses, upload_limit_bps, relay_limit_bps)| {
                Register { listen_port, addresses, upload_limit_bps, relay_limit_bps }.into()
            }
        ),
        (any_address(), any::<u64>()).prop_map(|(observed, files_version)| Registered {
            observed,
            files_version
        }
        .into()),
        (any::<u64>(), any::<bool>(), vec(any_file(), 0..=8), any_removed()).prop_map(
            |(version, reset, changed, removed)| FilesDelta { version, reset, changed, removed }.into()
        ),
        (any::<u64>(), any::<bool>(), vec(any_entry(), 0..=8), any_removed()).prop_map(
            |(version, reset, changed, removed)| CatalogueDelta { version, reset, changed, removed }.into()
        ),
        (any_content(), any_hints()).prop_map(|(content_id, hints)| PutHints { content_id, hints }.into()),
        any_content().prop_map(|content_id| GetHints { content_id }.into()),
        (any_content(), option::of(any_hints())).prop_map(|(content_id, hints)| HintsReply {
            content_id,
            hints
        }
        .into()),
        (any_content(), any::<u32>()).prop_map(|(content_id, playhead_leaf)| FindPeers {
            content_id,
            playhead_leaf
        }
        .into()),
        any_content().prop_map(|content_id| ForgetPeers { content_id }.into()),
        (any_content(), any::<[u64; 3]>(), any::<u32>(), vec(any_planned(), 0..=MAX_PLAN_SOURCES)).prop_map(
            |(content_id, [epoch, origin_reserve_bps, sustainable_bps], viewers, sources)| {
                Plan { content_id, epoch, sources, origin_reserve_bps, sustainable_bps, viewers }.into()
            }
        ),
    ]
}

fn any_paths() -> impl Strategy<Value = Frame> {
    prop_oneof![
        (vec(any_metric(), 0..=MAX_LINK_METRICS), any::<u64>()).prop_map(|(links, uplink_bps)| LinkReport {
            links,
            uplink_bps
        }
        .into()),
        (any_content(), any::<u32>()).prop_map(|(content_id, leaves)| Holdings { content_id, leaves }.into()),
        any_node().prop_map(|node| PeerGone { node }.into()),
        (any_node(), any_path()).prop_map(|(node, kind)| RequestPath { node, kind }.into()),
        (
            any_node(),
            any_path(),
            prop::sample::select(vec![PathRole::Dial, PathRole::Accept]),
            any_addresses(),
            option::of(any::<[u8; 16]>()),
        )
            .prop_map(|(node, kind, role, addresses, token)| PathOffer {
                node,
                kind,
                role,
                addresses,
                token
            }
            .into()),
        (any_node(), any_path()).prop_map(|(node, kind)| PathRefused { node, kind }.into()),
        (any::<[u8; 16]>(), any_node(), any_node(), any::<u32>())
            .prop_map(|(token, one, two, valid_ms)| RelayGrant { token, ends: [one, two], valid_ms }.into()),
        (any::<[u8; 16]>(), any::<bool>()).prop_map(|(token, granted)| RelayAnswer { token, granted }.into()),
        (any::<u32>(), any::<u64>())
            .prop_map(|(in_use, carried_bytes)| RelayUse { in_use, carried_bytes }.into()),
    ]
}

fn any_have_or_data() -> impl Strategy<Value = Frame> {
    let have = (any_content(), any::<bool>(), any::<bool>(), 1..=MAX_CONTENT_BYTES, any::<u32>())
        .prop_flat_map(|(content_id, reset, complete, size_bytes, backlog_ms)| {
            let most = if complete { 0 } else { MAX_HAVE_RANGES };
            vec(any_range_within(leaf_count(size_bytes)), 0..=most).prop_map(move |ranges| {
                Have { content_id, size_bytes, reset, complete, ranges, backlog_ms }.into()
            })
        });
    let data = (
        any::<u32>(),
        any_chunk(),
        1..=LEAF_BYTES,
        vec(any::<[[u8; 32]; 2]>(), 0..=MAX_PROOF_NODES),
        vec(any::<[[u8; 32]; 2]>(), 0..=MAX_BRANCH_PAIRS),
        any::<u8>(),
    )
        .prop_map(|(id, leaves, last_leaf_bytes, proof, branch, fill)| {
            let payload_bytes = u64::from(leaves.count - 1) * LEAF_BYTES + last_leaf_bytes;
            Frame::data(Data { id, leaves, proof, branch }, Bytes::from(vec![fill; payload_bytes as usize]))
        });
    prop_oneof![have, data]
}

fn any_branch() -> impl Strategy<Value = WantedBranch> {
    prop_oneof![Just(WantedBranch::None), Just(WantedBranch::Own), Just(WantedBranch::Next)]
}

fn any_peer() -> impl Strategy<Value = Frame> {
    let wanted = (any::<u32>(), any_chunk(), any::<i32>(), any::<u8>(), any_branch()).prop_map(
        |(id, leaves, deadline_ms, proof_skip, branch)| WantedChunk {
            id,
            leaves,
            deadline_ms,
            proof_skip,
            branch,
        },
    );
    let reason = prop_oneof![
        Just(RefuseReason::NotHere),
        any::<u32>().prop_map(RefuseReason::Busy),
        Just(RefuseReason::NotAChunk),
        Just(RefuseReason::Unreadable),
        Just(RefuseReason::Withdrawn),
    ];
    prop_oneof![
        any_content().prop_map(|content_id| Open { content_id }.into()),
        any_content().prop_map(|content_id| Close { content_id }.into()),
        (any_content(), any::<u32>(), any::<bool>(), vec(wanted, 1..=MAX_REQUEST_BATCH)).prop_map(
            |(content_id, epoch, starting, chunks)| Request { content_id, epoch, starting, chunks }.into()
        ),
        (vec(any::<u32>(), 1..=MAX_REQUEST_BATCH), any::<bool>()).prop_map(|(ids, confirm)| Cancel {
            ids,
            confirm
        }
        .into()),
        (any_content(), any::<u32>()).prop_map(|(content_id, epoch)| Flush { content_id, epoch }.into()),
        (any::<u32>(), any_content(), reason).prop_map(|(id, content_id, reason)| Refuse {
            id,
            content_id,
            reason
        }
        .into()),
        (
            any_content(),
            any::<[u32; 4]>(),
            option::of(any::<u32>()),
            0..=MAX_CHUNK_LEAVES.ilog2(),
            any::<[u16; 2]>(),
            any_branch(),
        )
            .prop_map(
                |(
                    content_id,
                    [id, epoch, from_leaf, proven_to],
                    forced_leaf,
                    log,
                    [idle_in_ms, leaf_ms],
                    branch,
                )| {
                    Token {
                        content_id,
                        id,
                        epoch,
                        from_leaf,
                        forced_leaf,
                        chunk_leaves: 1 << log,
                        idle_in_ms,
                        leaf_ms,
                        proven_to,
                        branch,
                    }
                    .into()
                }
            ),
        (any::<u32>(), any_chunk()).prop_map(|(id, leaves)| Assigned { id, leaves }.into()),
        any::<u32>().prop_map(|id| NoFresh { id }.into()),
    ]
}

fn any_content() -> impl Strategy<Value = ContentId> {
    any::<[u8; 32]>().prop_map(ContentId)
}

fn any_node() -> impl Strategy<Value = NodeId> {
    any::<[u8; 32]>().prop_map(NodeId)
}

fn any_kind() -> impl Strategy<Value = MediaKind> {
    prop::sample::select(vec![MediaKind::Audio, MediaKind::Video])
}

fn any_role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Tracker, Role::Origin, Role::Peer])
}

fn any_path() -> impl Strategy<Value = PathKind> {
    prop::sample::select(vec![PathKind::Direct, PathKind::Reversed, PathKind::Relayed])
}

fn any_signature() -> impl Strategy<Value = Signature> {
    any::<[[u8; 32]; 2]>().prop_map(Signature)
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(|(ip, port)| (Ipv4Addr::from(ip), port).into()),
        any::<([u8; 16], u16)>().prop_map(|(ip, port)| (Ipv6Addr::from(ip), port).into()),
    ]
}

fn any_addresses() -> impl Strategy<Value = Vec<SocketAddr>> {
    vec(any_address(), 0..=MAX_ADDRESSES)
}

fn any_removed() -> impl Strategy<Value = Vec<ContentId>> {
    vec(any_content(), 0..=MAX_DELTA_FILES)
}

/// Text of at most `max_bytes` bytes without control characters.
fn any_text(max_bytes: usize) -> impl Strategy<Value = String> {
    vec(any::<char>().prop_filter("no control character", |c| !c.is_control()), 0..=max_bytes / 4)
        .prop_map(|characters| characters.into_iter().collect())
}

fn any_file() -> impl Strategy<Value = FileEntry> {
    let texts =
        (any_text(128), any_text(128), any_text(128), any_text(128), vec(any_text(128), 0..=MAX_CODECS));
    let numbers = (1..=MAX_CONTENT_BYTES, any::<[u64; 2]>(), any::<[u32; 2]>(), any::<bool>());
    (any_content(), "[^/\\\\\\p{Cc}]{1,60}", any_kind(), texts, numbers)
        .prop_filter("a folder is no file name", |entry| ![".", ".."].contains(&entry.1.as_str()))
        .prop_map(|(content_id, name, kind, texts, numbers)| {
            let (container, title, artist, album, codecs) = texts;
            let (size_bytes, [duration_ms, bitrate_bps], [width, height], has_cover) = numbers;
            FileEntry {
                content_id,
                name,
                size_bytes,
                kind,
                duration_ms,
                bitrate_bps,
                container,
                codecs,
                width,
                height,
                title,
                artist,
                album,
                has_cover,
            }
        })
}

fn any_entry() -> impl Strategy<Value = CatalogueEntry> {
    let seeds = vec(any_seed(), 0..=MAX_SEEDS);
    (any_file(), any::<u32>(), any::<bool>(), seeds)
        .prop_map(|(file, sources, at_origin, seeds)| CatalogueEntry { file, sources, at_origin, seeds })
}

fn any_seed() -> impl Strategy<Value = Seed> {
    (any_node(), any_role(), option::of(any_address())).prop_map(|(node, role, address)| Seed {
        node,
        role,
        address,
    })
}

fn any_hints() -> impl Strategy<Value = Hints> {
    let half = MAX_CONTENT_BYTES / 2;
    let steps = vec((1u32..1_000, 0u64..1 << 30), 0..=MAX_TIME_INDEX);
    let bars = vec(any::<u8>(), 0..=MAX_WAVEFORM);
    (vec((0..half, 0..half), 0..=MAX_STARTUP_RANGES), steps, any::<u8>(), 0..=MAX_COVER_BYTES, bars).prop_map(
        |(startup_ranges, steps, fill, cover_bytes, waveform)| {
            let mut point = (0, 0);
            let time_index = steps
                .into_iter()
                .map(|(ms, bytes)| {
                    point = (point.0 + ms, point.1 + bytes);
                    point
                })
                .collect();
            Hints { startup_ranges, time_index, cover_jpeg: vec![fill; cover_bytes], waveform }
        },
    )
}

fn any_planned() -> impl Strategy<Value = PlannedSource> {
    (any_node(), any_role(), any_addresses(), any_path(), any::<(u64, u32, bool, bool, u64)>()).prop_map(
        |(node, role, addresses, path, (rate_bps, rtt_us, complete, uploads, share_bps))| PlannedSource {
            node,
            role,
            addresses,
            path,
            rate_bps,
            rtt_us,
            complete,
            uploads,
            share_bps,
        },
    )
}

fn any_metric() -> impl Strategy<Value = LinkMetric> {
    (any_node(), any_path(), any::<(u32, u64, u32, bool)>()).prop_map(
        |(node, path, (rtt_us, goodput_bps, failures, connected))| LinkMetric {
            node,
            path,
            rtt_us,
            goodput_bps,
            failures,
            connected,
        },
    )
}

fn any_chunk() -> impl Strategy<Value = LeafRange> {
    (0..u32::MAX >> 1, 1..=MAX_CHUNK_LEAVES).prop_map(|(first, count)| LeafRange::new(first, count))
}

fn any_range_within(leaves: u32) -> impl Strategy<Value = LeafRange> {
    (0..leaves)
        .prop_flat_map(move |first| (1..=leaves - first).prop_map(move |count| LeafRange::new(first, count)))
}
