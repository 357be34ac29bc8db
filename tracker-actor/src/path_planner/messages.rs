//! What the path planner is told and asked. A client's session awaits each answer, and the file index hands over one batch at a time,
//! so the mailbox is bounded by the sessions.

use std::net::SocketAddr;

use actix::Message;
use shared::{
    MediaKind, NodeId,
    wire::{
        FindPeers, ForgetPeers, Holdings, LinkReport, Register, RelayAnswer, RelayUse, RequestPath, Role,
    },
};

use crate::{
    file_index::{FileKey, HolderChange},
    registry::SessionId,
};

/// What a client says about paths.
#[derive(Debug, Clone, PartialEq)]
pub enum PlannerRequest {
    /// It wants a content.
    Find(FindPeers),
    /// It no longer does.
    Forget(ForgetPeers),
    /// It measured its links.
    Links(LinkReport),
    /// It holds part of a content.
    Holdings(Holdings),
    /// It wants a path brought about.
    Path(RequestPath),
    /// It says whether it relays for a pair.
    RelayAnswer(RelayAnswer),
    /// It says what it relays.
    RelayUse(RelayUse),
    /// The tracker measured the round trip to it.
    TrackerRtt(u32),
}

/// A client has registered, or registered anew.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NodeJoined {
    /// Who.
    pub node: NodeId,
    /// Over which session.
    pub session: SessionId,
    /// Peer, or the tracker's own origin.
    pub role: Role,
    /// The kind of media it wants; none for the origin.
    pub kind: Option<MediaKind>,
    /// Where the tracker sees it come from.
    pub observed: SocketAddr,
    /// What it says of itself.
    pub register: Register,
}

/// A client's session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NodeLeft {
    /// Who.
    pub node: NodeId,
    /// Which of its sessions.
    pub session: SessionId,
}

/// A registered client says something.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ClientSays {
    /// Who.
    pub node: NodeId,
    /// Over which session.
    pub session: SessionId,
    /// What.
    pub request: PlannerRequest,
}

/// Holders were gained and lost.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct HoldersChanged(pub Vec<HolderChange>);

/// A client to be dialled, to see whether it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialBack {
    /// Whom.
    pub node: NodeId,
    /// During which of its sessions.
    pub session: SessionId,
    /// Its kind of media: a peer welcomes its own.
    pub kind: Option<MediaKind>,
    /// Where.
    pub address: SocketAddr,
}

/// The tracker tried to dial a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ProbeFinished {
    /// Whom.
    pub node: NodeId,
    /// During which of its sessions.
    pub session: SessionId,
    /// Whether it was reached and proved its key.
    pub is_open: bool,
}

/// Asks what the planner sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "super::PlannerSnapshot")]
pub struct Observe;

/// Asks for one swarm with its members and plans; none when nobody is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Option<super::view::SwarmView>")]
pub struct ObserveSwarm(pub FileKey);
