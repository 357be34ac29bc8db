//! What the owner of the tracker link is told, and what it tells.

use std::{net::SocketAddr, sync::Arc};

use actix::{Message, Recipient};
use shared::{
    ContentId, NodeId,
    snapshot::TrackerStatus,
    wire::{CatalogueEntry, FileEntry, Hints, Holdings, LinkReport, PathKind, PathOffer, PathRefused, Plan},
};

use crate::{relay::Relays, session::LocalNode};

/// What does not change while the node runs.
#[derive(Debug, Clone)]
pub struct DiscoveryConfig {
    /// `ws://HOST:PORT` of the tracker; the endpoint's path is added here.
    pub tracker_url: String,
    /// Who this node is.
    pub local: LocalNode,
    /// Port of the peer endpoint; none when it accepts no connections.
    pub listen_port: Option<u16>,
    /// Further addresses the peer endpoint may be reached at.
    pub addresses: Vec<SocketAddr>,
    /// The upload limit its user set, or 0 for none.
    pub upload_limit_bps: u64,
    /// What it relays for others in all, or 0 when it relays nothing.
    pub relay_limit_bps: u64,
    /// Seeds the jitter of the back-off.
    pub seed: u64,
}

/// Where discovery's news go.
#[derive(Debug, Clone)]
pub struct DiscoveryRoutes {
    /// Plans of watched contents.
    pub plans: Vec<Recipient<PlanArrived>>,
    /// Answers to [`AskPath`], and the tracker's invitations to dial somebody.
    pub paths: Recipient<PathAnswer>,
    /// Nodes the tracker lost.
    pub gone: Recipient<NodeGone>,
    /// The catalogue and the tracker's status.
    pub network: Recipient<NetworkChanged>,
    /// What this node's uplink carries, as probed.
    pub uplink: Recipient<UplinkProbed>,
    /// What the node relays, where the tracker's grants go.
    pub relays: Arc<Relays>,
    /// Reads the hints of this node's own files, a few at a time; none keeps them private.
    pub own_hints: Option<Recipient<ReadOwnHints>>,
}

/// What this node's uplink carries to the tracker, found out before anything was uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct UplinkProbed {
    /// Bits per second.
    pub bps: u64,
}

/// The node streams a content, or its playhead jumped: the tracker is asked for a plan, again after every reconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct WatchContent {
    /// Which content.
    pub content_id: ContentId,
    /// Where the playhead is.
    pub playhead_leaf: u32,
}

/// The node streams a content no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ForgetContent {
    /// Which content.
    pub content_id: ContentId,
}

/// The node's own files changed.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct OwnFiles {
    /// Files that are new or described anew.
    pub changed: Vec<FileEntry>,
    /// Files that are gone.
    pub removed: Vec<ContentId>,
}

/// Asks the file index for the hints of an own file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Option<Hints>")]
pub struct ReadOwnHints {
    /// Which file.
    pub content_id: ContentId,
}

/// What the path planner measured. Kept per neighbour and told again after a reconnect.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ReportLinks(pub LinkReport);

/// How much of a content the node holds. Kept per content and told again after a reconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ReportHoldings(pub Holdings);

/// Asks the tracker for a path; refused at once while the tracker is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct AskPath {
    /// To whom.
    pub node: NodeId,
    /// `Reversed` or `Relayed`.
    pub kind: PathKind,
}

/// Asks for the hints of a file of the network: from the cache, or from the tracker within 5 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Option<Hints>")]
pub struct FetchHints {
    /// Which file.
    pub content_id: ContentId,
}

/// Says goodbye to the tracker and stops.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// The tracker's plan of a watched content. Epochs grow over reconnects and restarts of the tracker as well. A forgotten content gets
/// a last plan without sources.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct PlanArrived(pub Plan);

/// What the tracker says about a path.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum PathAnswer {
    /// Arranged, whether asked for here or at the other end. A relay's address is always there.
    Offered(PathOffer),
    /// Not to be had.
    Refused(PathRefused),
}

/// The tracker lost a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NodeGone(pub NodeId);

/// The catalogue or the tracker's status changed. Sent a few times a second at most, and each replaces the last.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct NetworkChanged {
    /// The network's files of this client's kind, ordered by name; kept while the tracker is away.
    pub files: Arc<Vec<CatalogueEntry>>,
    /// How the tracker link stands.
    pub status: TrackerStatus,
}
