//! # Session: the life of one link
//!
//! ```text
//!  dialler:   greeting --Welcome--> open ----silence, violation, goodbye, cut----> closed
//!  acceptor:  greeted  --Hello----> proving --Confirm--> open ------"------------> closed
//! ```
//!
//! A session proves who is at the other end, keeps the link alive and measures its round trip, grants credit for data, and routes
//! every other frame to the actor whose conversation it is. It ends for one typed [`CloseReason`], told exactly once.
//!
//! A dialler's Hello and the answer to it travel with the WebSocket's upgrade where both ends know how ([`call`], [`receive`]), so that the
//! session is open for the dialler as soon as its link is. What is proved, and when, is the same.
//!
//! Invariants: no frame of another conversation is routed before both keys are proved; a closed session emits nothing; liveness is
//! judged by the session's own clock, never by the socket.

mod actor;
mod credit;
mod messages;
mod round_trip;
mod state;
mod train;

pub use actor::{SessionActor, SessionRoutes, call, called, receive, start, start_held};
pub use messages::{
    AdmitSession, CloseReason, CloseSession, RefuseSession, SessionEvent, SessionFrame, SessionId,
};
pub use round_trip::RoundTrip;
pub use state::{Audience, LocalNode, Remote, SessionOutput, SessionState, Side};
