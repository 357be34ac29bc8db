//! What goes into a viewer and comes out of it. Plain data; the rules are in the other files of this folder.

use crate::{
    ids::ContentId,
    schedule::RequestIds,
    snapshot::PieceState,
    units::{LeafIndex, LeafRange},
    wire::{PathKind, RequestId, Token, WantedBranch},
};

/// Names a source within one viewer: a number its owner gives each link, never given twice while the viewer lives.
pub type SourceId = u32;

/// Names a reader within one viewer: a number its owner gives each open reader, never given twice while the viewer lives.
pub type ReaderId = u32;

/// What the tracker says of all who play the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swarm {
    /// How many they are, this node included; 0 when unknown.
    pub viewers: u32,
    /// The rate they can carry, or 0 when unknown.
    pub sustainable_bps: u64,
}

/// What a viewer needs to know about its content.
#[derive(Debug, Clone)]
pub struct ViewerConfig {
    /// Bytes of the content.
    pub size_bytes: u64,
    /// Mean rate of the content, or 0 when unknown.
    pub bitrate_bps: u64,
    /// Length of the media, or 0 when unknown.
    pub duration_ms: u64,
    /// `(ms, byte)` points, both growing; empty when unknown. Hints that come later are given to `Viewer::hints`.
    pub time_index: Vec<(u32, u64)>,
    /// `(offset, length)` of bytes a player touches first; empty when unknown.
    pub startup_ranges: Vec<(u64, u64)>,
    /// Breaks ties; two viewers with different seeds spread over different chunks.
    pub seed: u64,
    /// Where request ids come from: the same for all viewers of a node.
    pub request_ids: RequestIds,
    /// How much media is fetched ahead of a reader.
    pub window_ms: u64,
    /// The most bytes that are fetched ahead of a reader.
    pub window_bytes: u64,
    /// Whether fresh chunks are asked of origins by token; for crowds near the limit of what the swarm can carry.
    pub tokens: bool,
    /// Whether this node passes on what it has; one that does not asks for no fresh chunks but those it needs itself.
    pub uploads: bool,
}

impl ViewerConfig {
    /// A content about which nothing but its size is known.
    pub fn new(size_bytes: u64, seed: u64, request_ids: RequestIds) -> Self {
        Self {
            size_bytes,
            bitrate_bps: 0,
            duration_ms: 0,
            time_index: Vec::new(),
            startup_ranges: Vec::new(),
            seed,
            request_ids,
            window_ms: 30_000,
            window_bytes: 32 << 20,
            tokens: false,
            uploads: true,
        }
    }
}

/// What is known of a source when it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceTraits {
    /// Whether it is the tracker's own library; peers are preferred where they are as good.
    pub is_origin: bool,
    /// How it is reached.
    pub path: PathKind,
    /// What the path is said to carry, or 0 when unknown.
    pub rate_hint_bps: u64,
    /// Its round trip, or 0 when unknown.
    pub rtt_hint_us: u32,
}

/// A chunk to request; becomes a [`WantedChunk`](crate::wire::WantedChunk) once the store has said how much of the proof is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRequest {
    /// Names the answer.
    pub id: RequestId,
    /// An aligned subtree of leaves.
    pub leaves: LeafRange,
    /// When it must be there, relative to now; negative when it is late.
    pub deadline_ms: i32,
}

/// A chunk of an origin's choice to ask for; becomes a [`Token`] once the store has said how much is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRequest {
    /// Names the answer.
    pub id: RequestId,
    /// The seek epoch.
    pub epoch: u32,
    /// Nothing before this leaf is of use.
    pub from_leaf: LeafIndex,
    /// A chunk that is needed now and nobody has.
    pub forced_leaf: Option<LeafIndex>,
    /// How many leaves the chunk should have.
    pub chunk_leaves: u8,
    /// When this node's uplink will have nothing to do.
    pub idle_in_ms: u16,
    /// How long it takes for a leaf.
    pub leaf_ms: u16,
}

impl TokenRequest {
    /// The frame, of a content whose leaves are proven from `from_leaf` to `proven_to`.
    pub const fn token(self, content_id: ContentId, proven_to: LeafIndex, branch: WantedBranch) -> Token {
        let Self { id, epoch, from_leaf, forced_leaf, chunk_leaves, idle_in_ms, leaf_ms } = self;
        Token {
            content_id,
            id,
            epoch,
            from_leaf,
            forced_leaf,
            chunk_leaves,
            idle_in_ms,
            leaf_ms,
            proven_to,
            branch,
        }
    }
}

/// What the owner of a viewer has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewerOutput {
    /// Send a Request, earliest deadline first; at most [`MAX_REQUEST_BATCH`](crate::limits::MAX_REQUEST_BATCH) chunks.
    Request {
        /// To whom.
        source: SourceId,
        /// The seek epoch.
        epoch: u32,
        /// A reader is starting, seeking or stalled.
        starting: bool,
        /// What.
        chunks: Vec<ChunkRequest>,
    },
    /// Send a Cancel.
    Cancel {
        /// To whom.
        source: SourceId,
        /// Which requests.
        ids: Vec<RequestId>,
        /// Whether to be told which of them will not be served: they are out until then.
        confirm: bool,
    },
    /// Send a Flush: everything asked before this epoch is void.
    Flush {
        /// To whom.
        source: SourceId,
        /// The oldest epoch still wanted.
        epoch: u32,
    },
    /// Send a Token to an origin.
    Token {
        /// To whom.
        source: SourceId,
        /// What for.
        request: TokenRequest,
    },
    /// Close the link and never take the node behind it back: it served bytes that do not verify.
    Ban {
        /// Whom.
        source: SourceId,
    },
}

/// What of a content must stay in the cache while it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Leaves readers are about to need or have just read, in no order; they may overlap.
    pub leaves: Vec<LeafRange>,
    /// Where the first reader is: what lies before it was read, what lies after it may yet be.
    pub playhead: LeafIndex,
}

/// What a data frame is to the viewer that is told of it, before its bytes are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It answers a live request: verify and store it, then say `verified`, `corrupt` or `unstored`.
    Wanted,
    /// Its request was taken back, but its leaves are still missing: treat it like `Wanted`.
    Late,
    /// Its leaves are held or being verified: drop the bytes.
    Unneeded,
    /// It answers nothing that was asked of this source: drop the bytes; a source that goes on like this breaks the protocol.
    Unknown,
}

impl Arrival {
    /// Whether the bytes are to be verified and stored.
    pub const fn is_useful(self) -> bool {
        matches!(self, Self::Wanted | Self::Late)
    }
}

/// A viewer as observers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewerSnapshot {
    /// The seek epoch.
    pub epoch: u32,
    /// The position of the reader whose bytes are needed first.
    pub playhead_byte: u64,
    /// The same as time.
    pub playhead_ms: u64,
    /// Media from there on without a gap.
    pub buffered_ahead_ms: u64,
    /// Length of the media by duration, index or mean rate; 0 when unknown.
    pub duration_ms: u64,
    /// Bytes held.
    pub verified_bytes: u64,
    /// Leaves per piece of the map.
    pub piece_leaves: u32,
    /// One state per piece.
    pub piece_map: Vec<PieceState>,
    /// Held byte ranges as `(start, end)`, in order, coalesced; the longest ones if there are very many.
    pub verified_ranges: Vec<(u64, u64)>,
    /// The `(ms, byte)` points in use.
    pub time_index: Vec<(u32, u64)>,
    /// Payload bits received per second.
    pub download_bps: u64,
    /// Payload bytes received in all.
    pub received_bytes: u64,
    /// Of those, bytes that were held already or answered nothing.
    pub wasted_bytes: u64,
    /// Of those, bytes that did not verify.
    pub corrupt_bytes: u64,
    /// Bytes requested a second time on purpose.
    pub hedged_bytes: u64,
    /// Times a playing reader ran dry.
    pub stalls: u32,
    /// Why a reader waits now, for a person; none when nobody waits.
    pub waiting: Option<String>,
    /// Whether everything is held.
    pub complete: bool,
    /// Every source that is joined, by number.
    pub sources: Vec<SourceSnapshot>,
}

/// A source as observers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceSnapshot {
    /// Its number.
    pub source: SourceId,
    /// What was known of it when it joined.
    pub traits: SourceTraits,
    /// Payload bits received per second now.
    pub rate_bps: u64,
    /// What the link carries while it is busy, or 0 when unknown.
    pub goodput_bps: u64,
    /// Payload bytes received in all.
    pub received_bytes: u64,
    /// Requests in flight.
    pub in_flight: u32,
    /// Bytes in flight.
    pub in_flight_bytes: u64,
    /// Leaves it is known to hold.
    pub leaves: u32,
    /// Whether it went silent and is asked again only now and then.
    pub snubbed: bool,
}
