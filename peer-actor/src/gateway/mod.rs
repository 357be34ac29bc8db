//! The gateway: the network as plain local HTTP, good enough that any player, browser or script streams and seeks through it.
//!
//! ```text
//! GET      /ready                     200 once it serves
//! GET      /api/files                 the network's files of this kind
//! GET|HEAD /stream/{content_id}       the bytes, verified; ranges by RFC 9110; waits for what has not arrived
//! GET      /api/streams/{content_id}  progress, piece map, peers, paths, rates, bytes by source, waste
//! GET      /api/status                everything an observer may see of the node
//! GET      /api/cover/{content_id}    the cover, JPEG
//! GET      /metrics                   Prometheus
//! ```
//!
//! The reader's position is the playhead: a body asks for bytes only when the client has taken those before, so where the
//! client reads is where the swarm works. A client that leaves ends its body and with it the wish for the bytes.
//!
//! What is *not* here: any decision about chunks or peers, and any way to change the node. [`byte_range`], [`guard`] and
//! [`media_type`] are pure; `source` is the one file that knows the node.

mod body;
pub mod byte_range;
mod error;
pub mod guard;
pub mod media_type;
mod metrics;
mod routes;
mod server;
mod source;

pub use error::GatewayError;
pub use server::{BindError, Gateway, serve};
pub use source::{Library, OpenRefusal, ReadRefusal, Reader};
