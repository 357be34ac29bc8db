//! What a session tells those who listen, and what it can be told.

use std::sync::Arc;

use actix::Message;
use shared::wire::{Frame, GoodbyeReason, RejectReason};
use thiserror::Error;

use super::state::Remote;
use crate::transport::{CloseCause, LinkHandle, Permit};

/// Numbers a session within this process; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// The link ended first.
    #[error("{0}")]
    Link(CloseCause),
    /// The other end said goodbye.
    #[error("the other end said goodbye ({0:?})")]
    Goodbye(GoodbyeReason),
    /// Ended here on purpose.
    #[error("ended here ({0:?})")]
    Ended(GoodbyeReason),
    /// The other end does not want this node.
    #[error("refused: {0}")]
    Rejected(RejectReason),
    /// This node does not want the other end.
    #[error("turned away: {0}")]
    TurnedAway(RejectReason),
    /// Nothing was heard for too long.
    #[error("nothing heard for too long")]
    Silent,
    /// It says things, but what it is told waits unread.
    #[error("it does not read what it is told")]
    Deaf,
    /// The handshake took too long.
    #[error("the handshake took too long")]
    HandshakeTimeout,
    /// The other end broke the protocol; names the rule.
    #[error("broke the protocol: {0}")]
    Violation(&'static str),
}

/// A change in a session's life.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum SessionEvent {
    /// Both keys are proved.
    Opened {
        /// Which session.
        session: SessionId,
        /// Who is at the other end.
        remote: Arc<Remote>,
        /// The way to send.
        link: LinkHandle,
    },
    /// A new round trip was measured.
    Measured {
        /// Which session.
        session: SessionId,
        /// Who is at the other end.
        remote: Arc<Remote>,
        /// The least of the latest.
        rtt_us: u32,
    },
    /// This node's uplink was probed.
    UplinkProbed {
        /// What it carries.
        bps: u64,
    },
    /// Nothing follows. Also said of sessions that never opened.
    Closed {
        /// Which session.
        session: SessionId,
        /// Who was at the other end, if it was proved.
        remote: Option<Arc<Remote>>,
        /// Why.
        reason: CloseReason,
    },
}

/// A frame of the tracker's or the peers' conversation, with all that is needed to answer it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SessionFrame {
    /// Which session.
    pub session: SessionId,
    /// Who sent it.
    pub remote: Arc<Remote>,
    /// The way to answer.
    pub link: LinkHandle,
    /// What came; none when the link has drained.
    pub frame: Option<Frame>,
    /// Keeps the socket from being read on while the frame is handled.
    pub permit: Option<Permit>,
}

/// Lets the frames of a session that was started held be routed, those that waited first.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct AdmitSession;

/// Ends a session whose other end is not wanted, and tells it so.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct RefuseSession(pub RejectReason);

/// Ends a session politely.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CloseSession(pub GoodbyeReason);
