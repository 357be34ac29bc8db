//! What the path planner is told, and what it tells.

use std::sync::Arc;

use actix::{Message, Recipient};
use shared::{ContentId, NodeId, wire::PathKind};

use crate::{
    discovery::{AskPath, ReportLinks},
    session::{LocalNode, Remote, SessionFrame, SessionState},
    transport::{LinkEvents, LinkHandle},
};

/// What does not change while the node runs.
#[derive(Debug, Clone)]
pub struct PathPlannerConfig {
    /// Who this node is.
    pub local: LocalNode,
    /// Whether others can dial this node's endpoint; else no reversed path is asked for.
    pub can_accept: bool,
    /// Seeds the jitter of the back-off.
    pub seed: u64,
}

/// Where the planner's news and its sessions' frames go.
#[derive(Debug, Clone)]
pub struct PathPlannerRoutes {
    /// Asks the tracker for reversed and relayed paths.
    pub ask_path: Option<Recipient<AskPath>>,
    /// Tells the tracker what was measured.
    pub report: Option<Recipient<ReportLinks>>,
    /// Everyone who uses links.
    pub links: Vec<Recipient<LinkChanged>>,
    /// Frames that answer this node as a viewer.
    pub to_viewer: Recipient<SessionFrame>,
    /// Frames that ask this node as a source.
    pub to_source: Recipient<SessionFrame>,
}

/// A change of the links.
///
/// No frame of a link is routed before its `Up`, and none of an older link to the same node after the newer one's `Up` counts: an
/// `Up` of a node that is up already replaces its link, and what was asked for on the old one must be asked for again.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub enum LinkChanged {
    /// A node is reached, or reached over a better path.
    Up {
        /// Who.
        node: NodeId,
        /// What it proved and said.
        remote: Arc<Remote>,
        /// The way to send.
        link: LinkHandle,
        /// How it is reached.
        path: PathKind,
        /// Where, for people; empty when unknown.
        address: String,
        /// What the tracker's plan expects of it, or 0.
        rate_hint_bps: u64,
        /// Round trip, or 0 when unknown.
        rtt_us: u32,
    },
    /// The round trip was measured.
    Measured {
        /// Who.
        node: NodeId,
        /// The least of the latest.
        rtt_us: u32,
    },
    /// A node is not reached any more.
    Down {
        /// Who.
        node: NodeId,
    },
    /// The sources of a content changed.
    SourcesPlanned {
        /// Which content.
        content_id: ContentId,
        /// Connected or being tried, best first.
        nodes: Vec<NodeId>,
        /// Those of them that hold all of it, as the tracker knows.
        complete: Vec<NodeId>,
    },
}

/// A WebSocket another node opened at this node's peer endpoint.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct IncomingLink {
    /// The way to send.
    pub link: LinkHandle,
    /// What comes in.
    pub events: LinkEvents,
    /// Its session, which may have answered a Hello already.
    pub state: Box<SessionState>,
}

/// A content is streamed no more; its sources need not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ContentUnwanted {
    /// Which content.
    pub content_id: ContentId,
}

/// A node was found lying: its link is cut and it is never dialled or admitted again.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NodeBanned {
    /// Who.
    pub node: NodeId,
    /// What it did, for logs.
    pub reason: String,
}

/// What a link carried while requests were waiting; told to the tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct GoodputMeasured {
    /// From whom.
    pub node: NodeId,
    /// Payload bits per second.
    pub bps: u64,
}

/// What this node's uplink carried while busy; told to the tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct UplinkMeasured {
    /// Payload bits per second, all neighbours together.
    pub bps: u64,
}

/// Says goodbye on every link and stops.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Stop;
