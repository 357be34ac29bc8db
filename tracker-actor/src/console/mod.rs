//! # The debug console: what the tracker is doing, live, in a browser
//!
//! `/console` is a page without any dependency; it opens `/console/ws` and is sent updates as JSON text: tables of actors, sessions and
//! swarms once a second, and, while it watches, every decoded message that its filter lets through.
//!
//! - [`tap`]: the trace; costs one atomic load a frame while nobody watches;
//! - [`state`]: one browser: filter, place in the trace, one update under way at most; pure;
//! - `actor`: the WebSocket; `messages`: the JSON.
//!
//! The console shows who talks to whom, so it is served to this host alone unless the tracker is told otherwise.

mod actor;
mod messages;
pub mod state;
pub mod tap;

pub use actor::{ConsoleActor, Place};
pub use messages::{ActorRow, SessionRow, SwarmRow, Tables, Update};

/// The page.
pub const PAGE: &str = include_str!("page.html");
