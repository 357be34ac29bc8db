//! # Session: one client, from its first byte to its last
//!
//! ```text
//! accepted --Hello--> --Confirm--> greeted --Register--> open --Goodbye, silence, violation, cut--> closed
//!     \------------- 5 s ------------/
//! ```
//!
//! The WebSocket itself is a transport shell that may freeze when its client does not read; the session lives outside it, with its own
//! clock, and ends it with [`LinkHandle::cut`](peer_actor::transport::LinkHandle::cut). A pump hands the session one event at a time
//! and waits until everything the event asked for is done, so a busy tracker slows its clients down instead of queueing their words.
//!
//! - [`state`]: the conversation, pure;
//! - [`rate`]: how fast a client may talk, pure;
//! - `actor`: the shell.

mod actor;
mod messages;
pub mod rate;
pub mod state;

pub use actor::{SessionActor, Wiring};
pub use messages::{EndSession, LinkArrived};
pub use state::CloseReason;
