//! What the gateway needs of a node, as two small traits; the node itself implements them at the foot of this file.
//!
//! They exist so that the HTTP behaviour is tested against a content whose bytes arrive when the test says so. Reads wait
//! without a limit: whoever reads decides when it has waited enough, by dropping the future.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use shared::{
    ContentId,
    snapshot::{NetworkFile, NodeSnapshot, StreamSnapshot},
};
use thiserror::Error;

use crate::{
    chunk_scheduler::ContentReader,
    node::{NodeHandle, OpenError},
};

/// A node, seen from the gateway. Clones are handles to the same node.
pub trait Library: Clone + Send + Sync + 'static {
    /// A position in one content.
    type Reader: Reader;

    /// The latest state of the node.
    fn snapshot(&self) -> Arc<NodeSnapshot>;

    /// The state of a content that is being streamed, fresh from its scheduler.
    fn stream(&self, content_id: ContentId) -> impl Future<Output = Option<Arc<StreamSnapshot>>>;

    /// Joins the swarm of a content.
    fn open(&self, content_id: ContentId) -> impl Future<Output = Result<Self::Reader, OpenRefusal>>;

    /// The cover of a content, as JPEG.
    fn cover(&self, content_id: ContentId) -> impl Future<Output = Option<Bytes>>;
}

/// One reader of one content. Dropping it leaves.
pub trait Reader: 'static {
    /// What the content is.
    fn file(&self) -> &NetworkFile;

    /// Tells where this reader is, before it reads there.
    fn set_position(&self, byte: u64);

    /// Tells that nothing is read from `byte` on, before the position it is meant for.
    fn set_end(&self, byte: u64);

    /// Up to `max_bytes` verified bytes at `byte`, waiting for the first of them; none at the end. Tells that the reader
    /// waits there as soon as it does.
    fn read_at(&self, byte: u64, max_bytes: usize) -> impl Future<Output = Result<Bytes, ReadRefusal>>;
}

/// Why a content cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenRefusal {
    /// Nobody ever named it.
    #[error("no such content in this network")]
    Unknown,
    /// As many are open as may be.
    #[error("too many contents or readers are open")]
    Busy,
    /// The node could not; in its own words.
    #[error("{0}")]
    Failed(String),
}

/// Why bytes that should come will not.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ReadRefusal(pub String);

impl Library for NodeHandle {
    type Reader = ContentReader;

    fn snapshot(&self) -> Arc<NodeSnapshot> {
        Self::snapshot(self)
    }

    async fn stream(&self, content_id: ContentId) -> Option<Arc<StreamSnapshot>> {
        self.subscribe_stream(content_id).await?.borrow().clone()
    }

    async fn open(&self, content_id: ContentId) -> Result<ContentReader, OpenRefusal> {
        Self::open(self, content_id).await.map_err(|error| match error {
            OpenError::Unknown(_) => OpenRefusal::Unknown,
            OpenError::TooMany(_) => OpenRefusal::Busy,
            OpenError::Store(_) | OpenError::Stopping => OpenRefusal::Failed(error.to_string()),
        })
    }

    async fn cover(&self, content_id: ContentId) -> Option<Bytes> {
        let jpeg = self.hints(content_id).await?.cover_jpeg;
        (!jpeg.is_empty()).then(|| jpeg.into())
    }
}

impl Reader for ContentReader {
    fn file(&self) -> &NetworkFile {
        Self::file(self)
    }

    fn set_position(&self, byte: u64) {
        Self::set_position(self, byte, false);
    }

    fn set_end(&self, byte: u64) {
        Self::set_end(self, byte);
    }

    async fn read_at(&self, byte: u64, max_bytes: usize) -> Result<Bytes, ReadRefusal> {
        Self::read_at(self, byte, max_bytes).await.map_err(|error| ReadRefusal(error.to_string()))
    }
}
