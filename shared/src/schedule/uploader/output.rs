//! What an uploader tells its owner to do.
//!
//! Invariant: plain data; a Serve is the only output that costs the uplink more than a frame of some bytes.

use super::LinkId;
use crate::{
    ids::ContentId,
    units::LeafRange,
    wire::{RefuseReason, RequestId, WantedBranch},
};

/// What the owner of an uploader has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploaderOutput {
    /// Read the chunk, then ask [`super::Uploader::read_done`].
    Serve {
        /// For whom.
        link: LinkId,
        /// Of which content.
        content_id: ContentId,
        /// Which request.
        id: RequestId,
        /// Which chunk.
        leaves: LeafRange,
        /// Levels of the proof to leave out.
        proof_skip: u8,
        /// The branch to send along.
        branch: WantedBranch,
    },
    /// Send a Refuse.
    Refuse {
        /// To whom.
        link: LinkId,
        /// Of which content.
        content_id: ContentId,
        /// Which request.
        id: RequestId,
        /// Why.
        reason: RefuseReason,
    },
    /// Send an Assigned at once; the Serve that brings the chunk follows.
    Assigned {
        /// To whom.
        link: LinkId,
        /// The token.
        id: RequestId,
        /// The chunk.
        leaves: LeafRange,
    },
    /// Send a NoFresh.
    NoFresh {
        /// To whom.
        link: LinkId,
        /// The token.
        id: RequestId,
    },
}
