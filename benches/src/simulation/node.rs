//! One simulated node: the real cores, its links and its player.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use shared::{
    LeafRange, LeafSet,
    limits::INITIAL_CREDIT_BYTES,
    schedule::{
        RequestIds,
        announcer::Announcer,
        uploader::Uploader,
        viewer::{ChunkRequest, Viewer, ViewerConfig},
    },
    wire::{RefuseReason, RequestId, Token},
};

use super::{ledger::Ledger, player::Player, scenario::Role, uplink::Uplink};

/// Ethernet, IPv4 and TCP with timestamps, and what one segment carries on an Ethernet.
pub(super) const HEADER_BYTES: u64 = 66;
pub(super) const SEGMENT_BYTES: u64 = 1_448;
/// What a player reads of a WAV file before it plays, as probed.
const STARTUP_BYTES: u64 = 11 * shared::limits::LEAF_BYTES;
/// How often a node's uploader is told who gives nothing.
const IDLERS_EACH_MS: u64 = 100;

/// A frame between two nodes. Its bytes are what the wire would carry.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Request { epoch: u32, starting: bool, chunks: Vec<ChunkRequest> },
    Cancel { ids: Vec<RequestId>, confirm: bool },
    Flush(u32),
    Refuse { id: RequestId, reason: RefuseReason },
    Credit { granted_bytes: u64, received_bytes: u64, at_ms: u32 },
    Have { reset: bool, complete: bool, ranges: Rc<[LeafRange]>, backlog_ms: u32 },
    Token(Token),
    Assigned { id: RequestId, leaves: LeafRange },
    NoFresh(RequestId),
    Data { id: RequestId, leaves: LeafRange },
}

impl Message {
    /// Bytes of the message, unless it is data; as measured on real links.
    pub(super) fn message_bytes(&self) -> u64 {
        match self {
            Self::Request { chunks, .. } => 47 + 11 * chunks.len() as u64,
            Self::Cancel { ids, .. } => 13 + 4 * ids.len() as u64,
            Self::Have { ranges, .. } => 50 + 4 * ranges.len() as u64,
            Self::Token(_) => 55,
            Self::Flush(_) | Self::Refuse { .. } => 50,
            Self::Credit { .. } => 28,
            Self::Assigned { .. } | Self::NoFresh(_) => 15,
            Self::Data { .. } => 0,
        }
    }
}

/// The other end of a link as a node knows it.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// When the last frame from it was here; frames of one link keep their order.
    pub(super) last_arrival_us: u64,
    /// When the last small frame to it left: what is said to it at that moment leaves with that.
    pub(super) said_us: Option<u64>,
    pub(super) received_bytes: u64,
    /// What it may send, as it was told.
    pub(super) granted_bytes: u64,
    /// What may be taken of it, as the tracker says.
    pub(super) share_bps: u64,
}

impl Peer {
    /// Data came; what to tell.
    pub(super) fn received(&mut self, now_ms: u64, bytes: u64) -> Message {
        self.received_bytes += bytes;
        self.granted_bytes = self.granted_bytes.max(self.received_bytes + INITIAL_CREDIT_BYTES);
        let (granted_bytes, received_bytes) = (self.granted_bytes, self.received_bytes);
        Message::Credit { granted_bytes, received_bytes, at_ms: now_ms as u32 }
    }
}

/// What a node is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeSpec {
    pub(super) group: usize,
    /// None for the origin.
    pub(super) role: Option<Role>,
    pub(super) up_bps: u64,
    pub(super) down_bps: u64,
    pub(super) joins_ms: u64,
}

impl NodeSpec {
    pub(super) const fn is_origin(&self) -> bool {
        self.role.is_none()
    }

    pub(super) const fn is_viewer(&self) -> bool {
        !matches!(self.role, None | Some(Role::Seed))
    }

    /// Whether it says that it has everything.
    pub(super) const fn forges(&self) -> bool {
        matches!(self.role, Some(Role::Forger { .. }))
    }

    /// Whether it sends what it has.
    pub(super) const fn uploads(&self) -> bool {
        !matches!(self.role, Some(Role::FreeRider | Role::SecretFreeRider | Role::Forger { .. }))
    }
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) spec: NodeSpec,
    pub(super) is_up: bool,
    pub(super) viewer: Option<Viewer>,
    pub(super) uploader: Uploader,
    pub(super) uplink: Uplink,
    pub(super) down_bytes_per_us: f64,
    pub(super) down_free_us: u64,
    pub(super) player: Option<Player>,
    pub(super) links: BTreeMap<u32, Peer>,
    /// Whom the tracker named last.
    pub(super) planned: Vec<u32>,
    pub(super) announcer: Announcer,
    pub(super) announces: bool,
    /// Whether the uploader was told anything since it was asked when it is to be woken, and what it said.
    pub(super) uploader_touched: bool,
    pub(super) uploader_due_ms: Option<u64>,
    /// Since when its player waits and it is given nothing, and the longest that it was though a neighbour had what it needs.
    pub(super) waits_since_us: Option<u64>,
    pub(super) longest_wait_us: u64,
    /// When it is woken next, and when its player looks next.
    pub(super) wake_us: Option<u64>,
    pub(super) look_us: Option<u64>,
    pub(super) told_idlers_ms: u64,
    pub(super) ledger: Ledger,
}

impl Node {
    pub(super) fn new(spec: NodeSpec) -> Self {
        Self {
            uploader: Uploader::new(0),
            uplink: Uplink::new(spec.up_bps),
            down_bytes_per_us: spec.down_bps as f64 / 8_000_000.0,
            down_free_us: 0,
            spec,
            is_up: false,
            viewer: None,
            player: None,
            links: BTreeMap::new(),
            planned: Vec::new(),
            announcer: Announcer::default(),
            announces: false,
            uploader_touched: true,
            uploader_due_ms: None,
            waits_since_us: None,
            longest_wait_us: 0,
            wake_us: None,
            look_us: None,
            told_idlers_ms: 0,
            ledger: Ledger::default(),
        }
    }

    /// The node begins to fetch.
    pub(super) fn open(&mut self, content: &Content, seed: u64, tokens: bool) {
        let config = ViewerConfig {
            bitrate_bps: content.rate_bps,
            duration_ms: content.media_us / 1_000,
            startup_ranges: vec![(0, STARTUP_BYTES)],
            tokens,
            uploads: self.spec.uploads(),
            ..ViewerConfig::new(content.size_bytes, seed, RequestIds::default())
        };
        self.viewer = Some(Viewer::new(config, LeafSet::new(content.leaf_count)));
        self.ledger.open(content.leaf_count);
    }

    /// Its uploader is told now and then who gives nothing, as a real node's is.
    pub(super) fn tell_idlers(&mut self, now_ms: u64) {
        let Some(viewer) = self.viewer.as_ref().filter(|_| now_ms >= self.told_idlers_ms + IDLERS_EACH_MS)
        else {
            return;
        };
        self.told_idlers_ms = now_ms;
        let idlers: BTreeSet<u32> = viewer.idlers().collect();
        self.uploader.idlers(|link| idlers.contains(&(link as u32)));
    }

    /// What it holds; none if that is everything.
    pub(super) fn held(&self) -> Option<&LeafSet> {
        self.viewer.as_ref().map(Viewer::held)
    }
}

/// The one content of a world.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    pub(super) size_bytes: u64,
    pub(super) leaf_count: u32,
    pub(super) rate_bps: u64,
    pub(super) media_us: u64,
}
