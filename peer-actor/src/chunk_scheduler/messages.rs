//! What the chunk scheduler is asked and told. Frames and links come as [`crate::session::SessionFrame`] and
//! [`crate::path_planner::LinkChanged`].

use std::{collections::BTreeSet, sync::Arc};

use actix::Message;
use shared::{
    ContentId, NodeId,
    snapshot::{NetworkFile, StreamSnapshot},
};
use tokio::sync::watch;

use super::reader::ContentReader;
use crate::store::Content;

/// Numbers a reader within this process; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderId(pub u32);

/// Opens a reader; starts streaming the content if nobody reads it yet.
#[derive(Debug, Message)]
#[rtype(result = "Result<ContentReader, TooManyStreams>")]
pub struct OpenStream {
    /// What the network says of the file.
    pub file: Arc<NetworkFile>,
    /// Where its bytes are kept.
    pub content: Arc<Content>,
}

/// What this node's uplink carries, and how long a new request for something of it would wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct UplinkState {
    /// Bits per second while busy, or 0 when unknown.
    pub bps: u64,
    /// Milliseconds.
    pub backlog_ms: u32,
}

/// Neighbours that give nothing, as far as this node's viewers know: all of them, told when that changes, ten times a second at the most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Idlers(pub BTreeSet<NodeId>);

/// Every place for a content or a reader is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many streams are open; close one first")]
pub struct TooManyStreams;

/// A reader moved, waits, wants everything, or left. Its cell says the rest.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct ReaderNews {
    /// Which content.
    pub content_id: ContentId,
    /// Which reader.
    pub reader: ReaderId,
    /// Nothing follows.
    pub is_gone: bool,
}

/// Follows one content's playback progress and piece map: the latest value, none while it is not streamed.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "watch::Receiver<Option<Arc<StreamSnapshot>>>")]
pub struct SubscribeStream {
    /// Which content.
    pub content_id: ContentId,
}

/// Asks for all streams, ordered by content.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<Arc<StreamSnapshot>>")]
pub struct ObserveStreams;

/// Leaves of a content are here no longer, maybe none at all: those who follow it are told what is left.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct LeavesLost {
    /// What is left.
    pub content: Arc<Content>,
}

/// Leaves of a content were verified here: worth announcing to those who asked for it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct LeavesGained {
    /// Which content.
    pub content: Arc<Content>,
    /// Which leaves.
    pub leaves: shared::LeafRange,
    /// Viewers that have them already.
    pub known: Vec<NodeId>,
    /// Seeds that have nobody else to serve.
    pub idle: Vec<NodeId>,
    /// How long the news may gather, in milliseconds.
    pub soon_ms: u64,
}
