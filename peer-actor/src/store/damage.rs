//! What happens when stored bytes or pairs turn out to be wrong: find out whose fault it is, and give up no more than what is wrong.
//!
//! Invariant: what is given up is struck from memory and map before anyone is answered, so nothing wrong is served twice.

use std::io;

use shared::{
    LeafRange,
    content::{path_to, verify_path},
    wire::ProofPair,
};
use tracing::warn;

use super::{
    content::Content,
    error::{IngestError, ReadChunkError},
    spare::Struck,
};

impl Content {
    /// Before a sender is blamed: are the pairs that his proof was checked against themselves whole?
    pub(super) fn check_own_path(&self, leaves: LeafRange, proof: &[ProofPair]) -> Result<(), IngestError> {
        let nodes = path_to(leaves, self.size_bytes()).map(|path| path.nodes).unwrap_or_default();
        let skipped = &nodes[..nodes.len().saturating_sub(proof.len())];
        let pairs =
            skipped.iter().map(|node| self.files.read_pair(node.pair)).collect::<io::Result<Vec<_>>>()?;
        match verify_path(self.content_id(), skipped, &pairs) {
            Ok(_) => Ok(()),
            Err(level) => Err(IngestError::Damaged { lost_leaves: self.disclaim(skipped[level].leaves) }),
        }
    }

    pub(super) fn unreadable(&self, error: io::Error) -> ReadChunkError {
        let is_missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof);
        if is_missing && self.is_shared() { self.give_up_shared() } else { ReadChunkError::Io(error) }
    }

    /// What was read does not verify: withdraws an edited file, or disclaims what is rotten.
    pub(super) fn give_up(&self, leaves: LeafRange, pairs: &[ProofPair]) -> ReadChunkError {
        if self.is_shared() {
            return self.give_up_shared();
        }
        let nodes = path_to(leaves, self.size_bytes()).map(|path| path.nodes).unwrap_or_default();
        let rotten =
            verify_path(self.content_id(), &nodes, pairs).err().map_or(leaves, |level| nodes[level].leaves);
        ReadChunkError::Rotten { lost_leaves: self.disclaim(rotten) }
    }

    fn give_up_shared(&self) -> ReadChunkError {
        warn!(content = %self.content_id().short(), path = %self.files.bytes_path().display(), "shared file has changed; withdrawn");
        if let Some(store) = self.store.upgrade() {
            store.withdraw(self);
        }
        self.retire();
        ReadChunkError::Altered
    }

    /// Gives up leaves that turned out not to be there; returns how many of them were held.
    pub(super) fn disclaim(&self, leaves: LeafRange) -> u32 {
        self.forget_branches(leaves);
        let Struck { lost_leaves, written, .. } = self.strike(&[leaves]);
        if let Err(error) = written {
            warn!(content = %self.content_id().short(), %error, "damaged leaves could not be struck from the map");
        }
        if lost_leaves > 0 {
            warn!(content = %self.content_id().short(), first = leaves.first, lost_leaves, "cached leaves were damaged; given up");
        }
        lost_leaves
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::spare::tests::{make_map_unwritable, partial},
        *,
    };

    #[test]
    fn only_what_was_held_is_lost_whether_or_not_the_map_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let (store, content) = partial(&dir, 10, LeafRange::new(2, 4));
        let seen = (content.losses(), content.generation());
        assert_eq!(content.disclaim(LeafRange::new(6, 4)), 0);
        assert_eq!((content.losses(), content.generation()), seen, "nothing was lost");
        assert_eq!(content.disclaim(LeafRange::new(0, 3)), 1);
        make_map_unwritable(&content);
        assert_eq!(content.disclaim(LeafRange::new(0, 5)), 2);
        assert_eq!(content.verified_ranges(), [LeafRange::new(5, 1)]);
        assert_eq!(store.cache_bytes(), shared::limits::LEAF_BYTES);
    }
}
