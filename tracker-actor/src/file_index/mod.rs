//! # The file index: the catalogue of the network
//!
//! Clients tell their file lists as deltas with versions; the index merges them into two catalogues, one a kind, and tells every
//! subscriber what changed in the catalogue of its kind. It is the only writer of the registry's files and hints.
//!
//! ```text
//! session --NodeJoined, ClientSays, NodeLeft--> FileIndexActor --CatalogueDelta--> links of subscribers
//!                                                  |        \--files, hints--> registry (read by anyone)
//!                                                  \--HoldersChanged, one batch at a time--> PathPlannerActor
//! ```
//!
//! - [`catalogue`] is one kind's files and their change list; a subscriber is a cursor into it, not a queue.
//! - [`hints`] accounts for the bytes of hints.
//! - [`state`] puts both together with the clients.

mod actor;
pub mod catalogue;
pub mod hints;
mod messages;
pub mod state;

pub use actor::FileIndexActor;
pub use hints::FileKey;
pub use messages::{ClientSays, FilesOutcome, IndexRequest, IndexSnapshot, NodeJoined, NodeLeft, Observe};
pub use state::{FileIndexState, HeldFile, HolderChange};
