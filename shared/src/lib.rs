//! The vocabulary of Rusteze and everything both sides of a wire must agree on.
//!
//! Nothing in this crate performs I/O, spawns, sleeps or reads a clock: time and randomness are arguments.
//!
//! | module | holds |
//! | --- | --- |
//! | [`ids`] | identities: content, nodes, media kinds |
//! | [`leaf_set`] | which leaves of a content are held, dense, with runs |
//! | [`units`] | leaves, chunks, byte ranges, rates |
//! | [`limits`] | every bound the protocol relies on, and the sum that gives peak memory |
//! | [`wire`] | the protocol, byte by byte |
//! | [`content`] | the trust chain from a [`ids::ContentId`] down to one leaf |
//! | [`schedule`] | the pure cores of viewer and uploader |
//! | [`snapshot`] | what observers (window, gateway, console) may see of a running node |

pub mod content;
pub mod ids;
pub mod leaf_set;
pub mod limits;
pub mod schedule;
pub mod snapshot;
pub mod units;
pub mod wire;

pub use ids::{ContentId, MediaKind, NodeId};
pub use leaf_set::LeafSet;
pub use units::{ByteRange, LeafIndex, LeafRange};
