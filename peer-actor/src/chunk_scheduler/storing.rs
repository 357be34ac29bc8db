//! Verifying and storing what has arrived, off the actor thread.
//!
//! Invariant: nothing of an arrival is kept whose branch or proof is wrong, and its permit is given back only when that is known: it keeps
//! the socket unread meanwhile.

use std::{io, sync::Arc};

use bytes::Bytes;
use shared::{
    LeafRange,
    schedule::viewer::SourceId,
    wire::{self, RequestId},
};

use crate::{
    store::{Content, IngestError},
    transport::Permit,
};

/// A chunk that somebody waits for.
pub(super) struct Arrived {
    pub(super) content: Arc<Content>,
    pub(super) source: SourceId,
    pub(super) head: wire::Data,
    /// The branch that was asked for along with it; what comes unasked is not looked at.
    pub(super) branch: Option<LeafRange>,
    pub(super) payload: Bytes,
}

/// What came of it.
pub(super) struct Stored {
    pub(super) content: Arc<Content>,
    pub(super) source: SourceId,
    pub(super) id: RequestId,
    pub(super) leaves: LeafRange,
    pub(super) result: Result<Vec<LeafRange>, IngestError>,
}

/// Verifies and stores a chunk and the branch that came along.
pub(super) async fn store(arrived: Arrived, permit: Option<Permit>) -> Stored {
    let (content, source) = (arrived.content.clone(), arrived.source);
    let (id, leaves) = (arrived.head.id, arrived.head.leaves);
    let job = tokio::task::spawn_blocking(move || {
        let result = ingest(&arrived);
        drop(permit);
        result
    });
    let result = job.await.unwrap_or_else(|error| Err(IngestError::Io(io::Error::other(error))));
    Stored { content, source, id, leaves, result }
}

/// The leaves that were not held before.
fn ingest(arrived: &Arrived) -> Result<Vec<LeafRange>, IngestError> {
    let Arrived { content, head, branch, payload, .. } = arrived;
    if let Some(branch) = branch.filter(|_| !head.branch.is_empty()) {
        content.ingest_branch(branch, &head.branch)?;
    }
    Ok(content.ingest(head.leaves, &head.proof, payload)?.new_leaves)
}
