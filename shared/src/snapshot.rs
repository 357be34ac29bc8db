//! What observers may see of a running node: plain data, cheap to clone, serialised as JSON by gateway and console.
//!
//! An observer holds the last snapshot and sends commands; it never keeps a copy it edits. Names here are the JSON names of the
//! gateway (`/api/...`) and are stable.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ContentId, MediaKind, NodeId},
    wire::{PathKind, Plan, PlannedSource, Role},
};

/// The whole node, for a window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NodeSnapshot {
    /// This node's public key.
    pub node: Option<NodeId>,
    /// How the tracker link stands.
    pub tracker: TrackerStatus,
    /// Port of the peer endpoint, once it listens.
    pub listen_port: Option<u16>,
    /// The gateway's base URL, once it listens.
    pub gateway_url: Option<String>,
    /// The network's files of this client's kind, ordered by name.
    #[serde(with = "by_value")]
    pub files: Arc<Vec<NetworkFile>>,
    /// The folders this node shares, ordered by path.
    pub shares: Vec<ShareStatus>,
    /// Contents that are being streamed or fetched, ordered by id.
    #[serde(with = "each_by_value")]
    pub streams: Vec<Arc<StreamSnapshot>>,
    /// Uploads per second now, all neighbours together.
    pub upload_bps: u64,
    /// Downloads per second now, all neighbours together.
    pub download_bps: u64,
    /// Payload bytes sent since start.
    pub uploaded_bytes: u64,
    /// Payload bytes received since start.
    pub downloaded_bytes: u64,
    /// Bytes of other nodes' files kept here.
    pub cache_bytes: u64,
    /// The most bytes of other nodes' files kept here.
    pub cache_limit_bytes: u64,
    /// What it passes on between others that cannot dial each other.
    pub relaying: RelayingSnapshot,
    /// What went wrong lately and what to do about it, newest last.
    pub notices: Vec<Notice>,
}

/// What a node relays for others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RelayingSnapshot {
    /// Relayed connections it is willing to carry at once; 0 where it relays nothing.
    pub most: u32,
    /// What it relays at most, in bits per second; 0 for no limit.
    pub limit_bps: u64,
    /// Relayed connections since start.
    pub opened: u64,
    /// Bytes passed on since start.
    pub carried_bytes: u64,
    /// Those it carries now, oldest first.
    pub relays: Vec<RelaySnapshot>,
}

/// One relayed connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelaySnapshot {
    /// The nodes it was granted for, the one that says Hello first.
    pub ends: [NodeId; 2],
    /// Bytes passed on from the first end, and from the second.
    pub carried_bytes: [u64; 2],
    /// How long it lasts.
    pub age_s: u64,
}

/// How the link to the tracker stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum TrackerStatus {
    /// Dialling for the first time, or again at once.
    #[default]
    Connecting,
    /// Registered; the catalogue is live.
    Connected,
    /// Lost; the next try is due.
    Waiting {
        /// Milliseconds until the next try.
        retry_ms: u64,
        /// Why the last try failed.
        reason: String,
    },
    /// The tracker refused this client for good.
    Refused {
        /// The tracker's reason.
        reason: String,
    },
}

/// A message to the person at the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Grows by one a notice.
    pub number: u64,
    /// Whether something was lost (else it is information).
    pub is_error: bool,
    /// One sentence a person can act on.
    pub text: String,
}

/// A file of the network; an element of `GET /api/files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkFile {
    /// The BLAKE3 hash of its bytes.
    pub content_id: ContentId,
    /// The file name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Audio or video.
    pub kind: MediaKind,
    /// Length of the media.
    pub duration_ms: u64,
    /// Mean bits per second.
    pub bitrate: u64,
    /// Codecs of the streams.
    pub codecs: Vec<String>,
    /// The container's short name.
    pub container: String,
    /// Picture size; zero for sound.
    pub width: u32,
    /// Picture size; zero for sound.
    pub height: u32,
    /// Title from tags, or empty.
    pub title: String,
    /// Artist from tags, or empty.
    pub artist: String,
    /// Album from tags, or empty.
    pub album: String,
    /// Nodes that have all of it, the origin included.
    pub sources: u32,
    /// Whether the tracker's own library has it.
    pub at_origin: bool,
    /// Whether a cover can be asked for.
    pub has_cover: bool,
    /// Whether this node shares or has fetched all of it.
    pub is_local: bool,
}

/// A shared folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareStatus {
    /// The folder.
    pub path: String,
    /// Files offered now.
    pub files: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Files found but not hashed yet.
    pub pending_files: u32,
    /// Bytes hashed of those being hashed.
    pub hashed_bytes: u64,
    /// Bytes to hash in all.
    pub to_hash_bytes: u64,
    /// Why the folder cannot be shared, if it cannot.
    pub error: Option<String>,
}

/// One content that is streamed or fetched; the answer of `GET /api/streams/{content_id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamSnapshot {
    /// Which content.
    pub content_id: ContentId,
    /// Its file name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Length of the media, or 0 when unknown.
    pub duration_ms: u64,
    /// Mean bits per second of the file.
    pub bitrate: u64,
    /// The seek epoch.
    pub epoch: u32,
    /// The reader position that leads, in bytes.
    pub playhead_byte: u64,
    /// The same as time, by the media's index or mean rate.
    pub playhead_ms: u64,
    /// Media that can be played from the playhead without another byte.
    pub buffered_ahead_ms: u64,
    /// Verified bytes held.
    pub verified_bytes: u64,
    /// Leaves per piece of the map.
    pub piece_leaves: u32,
    /// One state per piece.
    pub piece_map: Vec<PieceState>,
    /// Verified byte ranges, in order, coalesced; at most a few hundred.
    pub verified_ranges: Vec<(u64, u64)>,
    /// `(ms, byte)` points of the media's index, for drawing bytes as time; empty when unknown.
    pub time_index: Vec<(u32, u64)>,
    /// The sources connected or being tried.
    pub peers: Vec<PeerSnapshot>,
    /// What the tracker planned for this node, if it has.
    pub plan: Option<PlanSnapshot>,
    /// Payload bytes received per second.
    pub download_bps: u64,
    /// Payload bytes received in all.
    pub received_bytes: u64,
    /// Of those, bytes that were held already or belonged to no request.
    pub wasted_bytes: u64,
    /// Of those, bytes that did not verify.
    pub corrupt_bytes: u64,
    /// Times a reader waited for bytes longer than it could bear, since the stream opened.
    pub stalls: u32,
    /// Why a reader waits now, in words for a person; none when nobody waits.
    pub waiting: Option<String>,
    /// Whether everything is held.
    pub complete: bool,
}

/// A piece of the piece map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PieceState {
    /// No connected source has all of it.
    Missing,
    /// Some source has it.
    Available,
    /// Requested from somebody.
    Requested,
    /// Some of its leaves are verified.
    Partial,
    /// All of it is verified.
    Verified,
}

/// A source of a stream, as the viewer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerSnapshot {
    /// Who.
    pub node: NodeId,
    /// Peer or origin.
    pub role: Role,
    /// How it is reached.
    pub path: PathKind,
    /// Where, for people; empty when unknown.
    pub address: String,
    /// Whether the link is up.
    pub connected: bool,
    /// Smoothed round trip, or 0 when unknown.
    pub rtt_us: u64,
    /// Payload received per second now.
    pub rate_bps: u64,
    /// Payload received in all.
    pub received_bytes: u64,
    /// Payload sent to it in all.
    pub sent_bytes: u64,
    /// What its link carries while it is busy, or 0 when unknown.
    pub goodput_bps: u64,
    /// Requests in flight to it.
    pub in_flight: u32,
    /// Payload bytes asked of it that have not come.
    pub in_flight_bytes: u64,
    /// Leaves it is known to hold.
    pub leaves: u32,
    /// Whether it went silent and is asked again only now and then.
    pub silent: bool,
    /// Whether it was found lying and is banned.
    pub banned: bool,
    /// What the plan says of it; none for a source that no plan names any more.
    pub planned: Option<PlannedPath>,
}

impl PeerSnapshot {
    /// A node that is not connected and has given nothing.
    pub const fn unreached(node: NodeId, role: Role, path: PathKind) -> Self {
        Self {
            node,
            role,
            path,
            address: String::new(),
            connected: false,
            rtt_us: 0,
            rate_bps: 0,
            received_bytes: 0,
            sent_bytes: 0,
            goodput_bps: 0,
            in_flight: 0,
            in_flight_bytes: 0,
            leaves: 0,
            silent: false,
            banned: false,
            planned: None,
        }
    }
}

/// The tracker's plan for one stream as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSnapshot {
    /// Counts the plans of this node.
    pub epoch: u64,
    /// Sources it names.
    pub sources: u32,
    /// The rate at which the swarm can feed every viewer, or 0 when unknown.
    pub sustainable_bps: u64,
    /// What the origin keeps for first copies in this swarm, or 0 when unknown.
    pub origin_reserve_bps: u64,
    /// What this node can expect: the sustainable rate, or what the planned paths were measured to carry together while that is
    /// unknown; 0 when nothing is known. Paths share uplinks with the paths of others, so their sum alone promises too much.
    pub predicted_bps: u64,
}

/// A source's place in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPath {
    /// Its place, 1 for the best.
    pub place: u32,
    /// The way the tracker proposes.
    pub path: PathKind,
    /// What that path was measured to carry, or 0 when unknown.
    pub rate_bps: u64,
    /// Its round trip, or 0 when unknown.
    pub rtt_us: u32,
    /// Whether it has the whole file.
    pub complete: bool,
    /// Whether it is known to upload.
    pub uploads: bool,
    /// What this node may take of its uplink, or 0 where nothing says that it is short.
    pub share_bps: u64,
}

impl PlanSnapshot {
    /// The plan in numbers.
    pub fn of(plan: &Plan) -> Self {
        let uploading = plan.sources.iter().filter(|source| source.uploads);
        let measured_bps = uploading.fold(0, |sum: u64, source| sum.saturating_add(source.rate_bps));
        Self {
            epoch: plan.epoch,
            sources: plan.sources.len() as u32,
            sustainable_bps: plan.sustainable_bps,
            origin_reserve_bps: plan.origin_reserve_bps,
            predicted_bps: if plan.sustainable_bps > 0 { plan.sustainable_bps } else { measured_bps },
        }
    }
}

impl PlannedPath {
    /// `source` at `index` of its plan.
    pub const fn of(index: usize, source: &PlannedSource) -> Self {
        Self {
            place: index as u32 + 1,
            path: source.path,
            rate_bps: source.rate_bps,
            rtt_us: source.rtt_us,
            complete: source.complete,
            uploads: source.uploads,
            share_bps: source.share_bps,
        }
    }
}

/// An `Arc` as the value it shares.
mod by_value {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(value, serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

/// A list of `Arc`s as the values they share.
mod each_by_value {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        values: &[Arc<T>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| &**value))
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Arc<T>>, D::Error> {
        Ok(Vec::<T>::deserialize(from)?.into_iter().map(Arc::new).collect())
    }
}
