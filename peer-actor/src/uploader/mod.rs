//! # Uploader: serving neighbours
//!
//! The problem: one uplink, many viewers with deadlines. Whom to serve next is [`shared::schedule::uploader`]'s decision; this actor
//! gives it requests, credit and drained links, reads verified chunks off the actor thread and sends them. It also announces what is
//! held ([`Have`](shared::wire::Have)) to those who opened a content, coalesced.
//!
//! The tracker's origin serves its library through the same actor.
//!
//! Invariants: nothing is served that the store did not verify while reading it; no payload beyond a link's credit; a content of one
//! kind is not even confirmed to a client of the other.

mod actor;
mod announce;
mod answer;
mod links;
mod order;

pub use actor::{UploaderActor, UploaderRoutes};
