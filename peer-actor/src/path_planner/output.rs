//! What the pure planner asks of its shell: plain data, in the order it is to be done.

use shared::{
    ContentId, NodeId,
    wire::{GoodbyeReason, LinkReport, PathKind, RejectReason},
};

use super::neighbour::TryId;
use crate::session::{SessionId, Side};

/// What the shell does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannerOutput {
    /// Open a link to `url` and start a session with `node`.
    Dial {
        /// Names the dial in the answer.
        try_id: TryId,
        /// Who must be there.
        node: NodeId,
        /// Where.
        url: String,
        /// Who says Hello.
        side: Side,
    },
    /// Stop a dial; its session, if there is one, is closed beside.
    Abandon(TryId),
    /// Let a session's frames be routed.
    Admit(SessionId),
    /// End a session.
    Close(SessionId, GoodbyeReason),
    /// End a session whose other end is not wanted here, and say so.
    Refuse(SessionId, RejectReason),
    /// Ask the tracker for a path.
    Ask(NodeId, PathKind),
    /// Tell the users of links.
    Up {
        /// Who.
        node: NodeId,
        /// The session whose link it is.
        session: SessionId,
        /// How.
        path: PathKind,
        /// Where.
        address: String,
        /// What the plan expects, or 0.
        rate_hint_bps: u64,
        /// Round trip, or 0.
        rtt_us: u32,
    },
    /// Tell the users of links.
    Measured(NodeId, u32),
    /// Tell the users of links.
    Down(NodeId),
    /// Tell the users of links.
    Planned {
        /// Which content.
        content_id: ContentId,
        /// Best first.
        nodes: Vec<NodeId>,
        /// Those of them that hold all of it.
        complete: Vec<NodeId>,
    },
    /// Tell the tracker.
    Report(LinkReport),
}
