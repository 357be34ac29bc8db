//! Between a client and its tracker: registration, file lists, catalogue, plans, paths.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    BodyError, CatalogueEntry, FileEntry, Hints, Role,
    catalogue::{Validate, bounded, list},
};
use crate::{
    ids::{ContentId, NodeId},
    limits::{MAX_ADDRESSES, MAX_DELTA_FILES, MAX_LINK_METRICS, MAX_PLAN_SOURCES},
};

/// A client's first word after the handshake. Sent again when its addresses change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The port its peer endpoint listens on; none when it accepts no connections.
    pub listen_port: Option<u16>,
    /// Further addresses its peer endpoint may be reached at, in order of preference.
    #[serde(deserialize_with = "list::<_, _, MAX_ADDRESSES>")]
    pub addresses: Vec<SocketAddr>,
    /// The upload limit its user set, or 0 for none.
    pub upload_limit_bps: u64,
    /// What it passes on for others in all, or 0 when it relays nothing.
    pub relay_limit_bps: u64,
}

/// The tracker's answer to [`Register`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The address the tracker sees the client come from.
    pub observed: SocketAddr,
    /// The version of the client's file list the tracker holds; 0 asks for a full list.
    pub files_version: u64,
}

/// A change of the client's file list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesDelta {
    /// The list's version after this change; grows by one a delta.
    pub version: u64,
    /// Forget what was there before.
    pub reset: bool,
    /// Files that are new or described anew.
    #[serde(deserialize_with = "list::<_, _, MAX_DELTA_FILES>")]
    pub changed: Vec<FileEntry>,
    /// Files that are gone.
    #[serde(deserialize_with = "list::<_, _, MAX_DELTA_FILES>")]
    pub removed: Vec<ContentId>,
}

/// A change of the network's catalogue, of the client's kind alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueDelta {
    /// The catalogue's version after this change.
    pub version: u64,
    /// Forget what was there before.
    pub reset: bool,
    /// Files that are new or changed.
    #[serde(deserialize_with = "list::<_, _, MAX_DELTA_FILES>")]
    pub changed: Vec<CatalogueEntry>,
    /// Files nobody has any more.
    #[serde(deserialize_with = "list::<_, _, MAX_DELTA_FILES>")]
    pub removed: Vec<ContentId>,
}

/// Media hints of a file the client shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutHints {
    /// Which file.
    pub content_id: ContentId,
    /// What a viewer needs to start quickly.
    pub hints: Hints,
}

/// Asks for the hints of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetHints {
    /// Which file.
    pub content_id: ContentId,
}

/// Answers [`GetHints`]; none where the tracker has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HintsReply {
    /// Which file.
    pub content_id: ContentId,
    /// The hints, from the first sharer that gave some.
    pub hints: Option<Hints>,
}

/// Asks who has a file; the answer is a [`Plan`], pushed anew on change until [`ForgetPeers`]. Sent again when the playhead jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindPeers {
    /// Which file.
    pub content_id: ContentId,
    /// Where the viewer's playhead is, as a leaf.
    pub playhead_leaf: u32,
}

/// The viewer has left the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetPeers {
    /// Which file.
    pub content_id: ContentId,
}

/// How bytes get from a source to a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// The viewer dials the source.
    Direct,
    /// The source dials the viewer.
    Reversed,
    /// Both dial a third node that splices them.
    Relayed,
}

/// The tracker's answer to [`FindPeers`]: the best sources first, each with its best path. Advisory and idempotent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Which file.
    pub content_id: ContentId,
    /// Grows with every plan; an older one is ignored.
    pub epoch: u64,
    /// Best first: bottleneck rate, then delay.
    #[serde(deserialize_with = "list::<_, _, MAX_PLAN_SOURCES>")]
    pub sources: Vec<PlannedSource>,
    /// What the origin keeps for first copies, or 0 when unknown.
    pub origin_reserve_bps: u64,
    /// The rate the swarm can carry, or 0 when unknown.
    pub sustainable_bps: u64,
    /// How many play the file, the receiver included, or will shortly if a crowd is just coming; 0 when unknown.
    pub viewers: u32,
}

impl Plan {
    /// Sources and nothing else that is known.
    pub const fn of_sources(content_id: ContentId, epoch: u64, sources: Vec<PlannedSource>) -> Self {
        Self { content_id, epoch, sources, origin_reserve_bps: 0, sustainable_bps: 0, viewers: 0 }
    }
}

/// One source of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSource {
    /// Who.
    pub node: NodeId,
    /// Peer or origin.
    pub role: Role,
    /// Where it can be dialled, best first.
    #[serde(deserialize_with = "list::<_, _, MAX_ADDRESSES>")]
    pub addresses: Vec<SocketAddr>,
    /// How to reach it.
    pub path: PathKind,
    /// What the path can carry at its narrowest, or 0 when unknown.
    pub rate_bps: u64,
    /// Round trip over the path, or 0 when unknown.
    pub rtt_us: u32,
    /// Whether it has the whole file.
    pub complete: bool,
    /// Whether it is known to upload; what is known not to is no holder.
    pub uploads: bool,
    /// What the viewer may take of its uplink so that all who need it fare alike, or 0 where nothing says that it is short.
    pub share_bps: u64,
}

/// What a client measured of its links since the last report; only what changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Per neighbour.
    #[serde(deserialize_with = "list::<_, _, MAX_LINK_METRICS>")]
    pub links: Vec<LinkMetric>,
    /// The client's upload capacity as measured while busy, or 0 when unknown.
    pub uplink_bps: u64,
}

/// What a client measured of one neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkMetric {
    /// The neighbour.
    pub node: NodeId,
    /// How the neighbour was, or was not, reached.
    pub path: PathKind,
    /// Smoothed round trip, or 0 when unknown.
    pub rtt_us: u32,
    /// What the link carried while requests were waiting, or 0 when unknown.
    pub goodput_bps: u64,
    /// Failed dials and lost connections since the last report.
    pub failures: u32,
    /// Whether the link is up now.
    pub connected: bool,
}

/// How much of a file the client holds; lets partial holders be planned as sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// Which file.
    pub content_id: ContentId,
    /// Verified leaves held.
    pub leaves: u32,
}

/// A node other clients had in their plans is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerGone {
    /// Who.
    pub node: NodeId,
}

/// Asks the tracker to bring about a path to a node that cannot be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPath {
    /// To whom.
    pub node: NodeId,
    /// `Reversed` or `Relayed`.
    pub kind: PathKind,
}

/// What the receiver of a [`PathOffer`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathRole {
    /// Dial and say Hello.
    Dial,
    /// Await the connection, or dial the relay and await a Hello there.
    Accept,
}

/// The tracker has arranged a path; each end learns its part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathOffer {
    /// The node at the other end.
    pub node: NodeId,
    /// `Reversed` or `Relayed`.
    pub kind: PathKind,
    /// Who says Hello.
    pub role: PathRole,
    /// Where to dial: the other end, or the relay.
    #[serde(deserialize_with = "list::<_, _, MAX_ADDRESSES>")]
    pub addresses: Vec<SocketAddr>,
    /// Names the relayed connection at the relay; unguessable, valid once an end, for a short time.
    pub token: Option<[u8; 16]>,
}

/// No such path can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRefused {
    /// To whom.
    pub node: NodeId,
    /// Which path.
    pub kind: PathKind,
}

/// Asks a client that relays to pass frames between two others that cannot dial each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayGrant {
    /// Names the relayed connection; each end claims it once.
    pub token: [u8; 16],
    /// The two ends, the one that says Hello first.
    pub ends: [NodeId; 2],
    /// How long the token may be claimed.
    pub valid_ms: u32,
}

/// Answers [`RelayGrant`]; the ends are told of the relay when it has agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayAnswer {
    /// Which connection.
    pub token: [u8; 16],
    /// Whether it will be carried.
    pub granted: bool,
}

/// What a client relays for others; told when it has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RelayUse {
    /// Relayed connections it carries now.
    pub in_use: u32,
    /// Bytes it has passed on since it last said so.
    pub carried_bytes: u64,
}

impl Validate for Register {
    fn validate(&self) -> Result<(), BodyError> {
        bounded(self.addresses.len() <= MAX_ADDRESSES, "addresses")
    }
}

impl Validate for FilesDelta {
    fn validate(&self) -> Result<(), BodyError> {
        bounded(self.changed.len() <= MAX_DELTA_FILES, "changed")?;
        bounded(self.removed.len() <= MAX_DELTA_FILES, "removed")?;
        self.changed.iter().try_for_each(Validate::validate)
    }
}

impl Validate for CatalogueDelta {
    fn validate(&self) -> Result<(), BodyError> {
        bounded(self.changed.len() <= MAX_DELTA_FILES, "changed")?;
        bounded(self.removed.len() <= MAX_DELTA_FILES, "removed")?;
        self.changed.iter().try_for_each(Validate::validate)
    }
}

impl Validate for PutHints {
    fn validate(&self) -> Result<(), BodyError> {
        self.hints.validate()
    }
}

impl Validate for HintsReply {
    fn validate(&self) -> Result<(), BodyError> {
        self.hints.iter().try_for_each(Validate::validate)
    }
}

impl Validate for Plan {
    fn validate(&self) -> Result<(), BodyError> {
        bounded(self.sources.len() <= MAX_PLAN_SOURCES, "sources")?;
        bounded(self.sources.iter().all(|source| source.addresses.len() <= MAX_ADDRESSES), "addresses")
    }
}

impl Validate for LinkReport {
    fn validate(&self) -> Result<(), BodyError> {
        bounded(self.links.len() <= MAX_LINK_METRICS, "links")
    }
}

impl Validate for PathOffer {
    fn validate(&self) -> Result<(), BodyError> {
        bounded(self.addresses.len() <= MAX_ADDRESSES, "addresses")
    }
}

impl Validate for Registered {}
impl Validate for GetHints {}
impl Validate for FindPeers {}
impl Validate for ForgetPeers {}
impl Validate for Holdings {}
impl Validate for PeerGone {}
impl Validate for RequestPath {}
impl Validate for PathRefused {}
impl Validate for RelayGrant {}
impl Validate for RelayAnswer {}
impl Validate for RelayUse {}
