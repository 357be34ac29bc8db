//! The Rusteze tracker: it knows who is there and who has what, plans the best paths for the data, and is itself a source of media.
//!
//! - [`server`] puts everything together and is the way in;
//! - [`session`], [`file_index`], [`path_planner`] and [`console`] are the actors, each a thin shell around a pure state;
//! - [`registry`] is what all of them read, [`counters`] what they count, [`observe`] and
//!   [`observe_swarm`] how it is looked at;
//! - [`origin`] serves the tracker's own library with a peer's code, and [`peer_actor::relay`] carries connections of clients that cannot
//!   dial each other where no peer can;
//! - [`dashboard`] is the page at `/`.

pub mod config;
pub mod console;
pub mod counters;
pub mod dashboard;
pub mod deadline;
pub mod error;
pub mod file_index;
pub mod gatekeeper;
pub mod limits;
pub mod observe;
pub mod observe_swarm;
pub mod origin;
pub mod path_planner;
pub mod registry;
pub mod server;
pub mod session;
