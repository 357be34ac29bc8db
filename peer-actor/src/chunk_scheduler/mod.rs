//! # Chunk scheduler: every content that is being streamed
//!
//! The problem, for each content: (a) no reader ever waits for a byte some source could have sent in time; (b) nothing is asked twice
//! without need; (c) all sources that help are used; (d) after a seek nothing older is served. The decisions are
//! [`shared::schedule::viewer`]'s; this actor gives it readers, links and the store, and does what it says.
//!
//! ```text
//!  ContentReader --ReaderNews--> actor --Request, Cancel, Flush--> links
//!  links --Have, Data, Refuse--> actor --ingest (blocking pool)--> store --verified--> viewer core, uploader (Have), observers
//! ```
//!
//! Invariants: a data frame's permit is held until its bytes are stored or dropped, so a slow disk stops the sockets; bytes reach the
//! store only through [`crate::store::Content::ingest`], which verifies them; a stream lives while it has a reader, and some seconds on.

mod actor;
mod media_source;
mod messages;
mod outputs;
mod reader;
mod storing;
mod stream;
mod stream_view;
mod watchers;

pub use actor::{ChunkSchedulerActor, SchedulerRoutes};
pub use media_source::StreamSource;
pub use messages::{
    Idlers, LeavesGained, LeavesLost, ObserveStreams, OpenStream, ReaderId, ReaderNews, SubscribeStream,
    TooManyStreams, UplinkState,
};
pub use reader::{ContentReader, ReadError};
