//! # Transport: ordered frame pipes over WebSockets
//!
//! A *link* is one WebSocket between two nodes, seen from either side as a [`LinkHandle`] (send, cut) and a stream of [`LinkEvent`]s.
//! [`accept`] makes one from an incoming HTTP upgrade (actix-web-actors), [`dial`] from a URL (awc); above this module nobody can
//! tell which. Both ends may say the first frame of a handshake with the upgrade ([`greeting`], [`answer_greeting`]).
//!
//! Invariants:
//! * a frame longer than [`MAX_FRAME_BYTES`](shared::limits::MAX_FRAME_BYTES) ends the link when its *header* is seen, before it is buffered;
//! * reading stops while [`LINK_INBOUND_BYTES`](shared::limits::LINK_INBOUND_BYTES) of frames are unhandled: every frame carries a
//!   [`Permit`] whose drop lets the socket be read again;
//! * at most [`LINK_OUTBOUND_BYTES`](shared::limits::LINK_OUTBOUND_BYTES) wait to be sent: [`LinkHandle::try_send`] refuses more;
//! * [`LinkHandle::cut`] closes the socket whatever the other end, or a stuck actor, does.
//!
//! It does not know what frames mean, who is at the other end, or when to give up: that is the session's.

mod client;
mod gate;
mod greeting;
mod guard;
mod lazy;
mod link;
mod paced;
mod reader;
mod serve;
mod server;
mod socket;
mod writer;

pub use client::{DialError, Dialled, dial};
pub use gate::Permit;
pub use greeting::{BadGreeting, answer_greeting, greeting};
pub use link::{CloseCause, LinkEvent, LinkEvents, LinkFull, LinkHandle};
#[cfg(test)]
pub(crate) use link::{LinkCore, link};
pub(crate) use serve::serve;
pub use server::{accept, keep_socket};
