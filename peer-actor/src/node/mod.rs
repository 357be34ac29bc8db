//! # Node: the composition root
//!
//! [`start`] opens the store, makes every actor, hands each the [`actix::Recipient`]s it needs and mounts the peer endpoint and
//! the [relay](crate::relay)'s. No other file knows all actors; no actor holds another's `Addr`.
//!
//! ```text
//!                     +-> uploader <---- to_source ----+
//!  file index --> observer                             session <-- link (one per neighbour)
//!       ^             +-> discovery <-> tracker        |  ^
//!       |                  |  plans, paths             |  | opened, closed
//!  share_folder            v                           v  |
//!                     path planner --- links ---> chunk scheduler <-- ContentReader (player, gateway, get)
//!                          ^                           |
//!                          +------- banned, unwanted --+
//! ```
//!
//! The tracker runs the same node with the role of an origin, without a tracker of its own.

mod config;
mod handle;
mod observer;
mod start;

pub use config::NodeConfig;
pub use handle::{NodeHandle, OpenError};

pub use crate::file_index::ShareError;
pub use start::{NodeError, start};
