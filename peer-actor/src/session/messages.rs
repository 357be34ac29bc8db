//! What a session tells those who listen, and what it can be told.

use std::sync::Arc;

use actix::Message;
use shared::wire::{Frame, GoodbyeReason};

use super::state::{CloseReason, Remote};
use crate::transport::{LinkHandle, Permit};

/// Numbers a session within this process; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

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
        /// Smoothed round trip.
        rtt_us: u32,
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

/// Ends a session politely.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CloseSession(pub GoodbyeReason);
