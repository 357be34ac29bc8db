//! What a viewer is told when it cannot be given a chunk, and telling it.
//!
//! Invariant: nobody waits here: what does not fit into a link is dropped.

use shared::{
    ContentId,
    wire::{Frame, RefuseReason},
};

use crate::{store::ReadChunkError, transport::LinkHandle};

/// A full link means the other end does not read; it will be found silent.
pub(super) fn send(link: &LinkHandle, frame: impl Into<Frame>) {
    if link.try_send(frame).is_err() {
        tracing::debug!("an answer was dropped: the link is full");
    }
}

/// What a viewer is told of a chunk that could not be read.
pub(super) fn refusal(content_id: ContentId, error: &ReadChunkError) -> RefuseReason {
    match error {
        ReadChunkError::NotAChunk => RefuseReason::NotAChunk,
        ReadChunkError::NotHeld => RefuseReason::NotHere,
        ReadChunkError::Altered | ReadChunkError::Rotten { .. } | ReadChunkError::Io(_) => {
            tracing::error!(content = ?content_id, %error, "a chunk could not be served");
            RefuseReason::Unreadable
        }
    }
}
