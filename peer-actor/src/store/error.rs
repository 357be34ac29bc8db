//! What can go wrong in the store, one enum per operation.

use std::{io, path::PathBuf};

use shared::content::ProofError;
use thiserror::Error;

/// Why a store or a content could not be opened.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process uses the cache folder.
    #[error("the cache folder {} is in use by another Rusteze process", .0.display())]
    InUse(PathBuf),
    /// The cache folder cannot be used.
    #[error("the cache folder {} cannot be used: {error}", path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A content's size is none the protocol can name.
    #[error("a content of {0} bytes cannot be stored")]
    BadSize(u64),
    /// The last leaf is verified under another size, which proves it.
    #[error("the size of this content is proven to be {proven} bytes, not {claimed}")]
    SizeDisproven {
        /// What is verified.
        proven: u64,
        /// What was asked for.
        claimed: u64,
    },
    /// Somebody is fetching this content under another size.
    #[error("this content is being fetched as one of {open} bytes, not {claimed}")]
    SizeDiffers {
        /// The size it is open with.
        open: u64,
        /// What was asked for.
        claimed: u64,
    },
    /// The hash tree given for a shared file is not as long as its size demands.
    #[error("the hash tree has {got} bytes where {expected} are needed")]
    BadOutboard {
        /// What the geometry says.
        expected: u64,
        /// What was given.
        got: u64,
    },
    /// No room for another content.
    #[error("the disk is full: free some space")]
    Full,
    /// Anything else the system said.
    #[error("the store failed: {0}")]
    Io(#[source] io::Error),
}

/// Why a chunk was not taken.
#[derive(Debug, Error)]
pub enum IngestError {
    /// The sender lies, or holds another content.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Every leaf of the chunk is held.
    #[error("already held")]
    AlreadyHeld,
    /// The content was removed, or was a shared file that has changed.
    #[error("the content is gone from this store")]
    Gone,
    /// The tree stored here was damaged, so nothing can be said about the sender. What depended on it was given up; ask again.
    #[error("the stored hash tree was damaged; {lost_leaves} leaves must be fetched again")]
    Damaged {
        /// How many leaves were given up.
        lost_leaves: u32,
    },
    /// The quota is used up by contents that are open, or the disk is full.
    #[error("no room for more: {0}")]
    Full(&'static str),
    /// Anything else the system said.
    #[error("could not be written: {0}")]
    Io(#[source] io::Error),
}

/// Why a chunk was not served.
#[derive(Debug, Error)]
pub enum ReadChunkError {
    /// The range is not an aligned subtree of this content.
    #[error("not a chunk of this content")]
    NotAChunk,
    /// Not all of it is verified.
    #[error("not held")]
    NotHeld,
    /// The shared file is not what was indexed; the content was withdrawn.
    #[error("the shared file has changed")]
    Altered,
    /// The cache was damaged; what was wrong is given up and will be fetched again.
    #[error("the cached bytes were damaged; {lost_leaves} leaves must be fetched again")]
    Rotten {
        /// How many leaves were given up.
        lost_leaves: u32,
    },
    /// Anything else the system said.
    #[error("could not be read: {0}")]
    Io(#[source] io::Error),
}

/// Whether the system refused for want of room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl From<io::Error> for IngestError {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full("the disk is full; free some space") } else { Self::Io(error) }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full } else { Self::Io(error) }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, os::unix::fs::FileExt as _};

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_apart_from_other_failures() {
        let full =
            OpenOptions::new().write(true).open("/dev/full").unwrap().write_all_at(b"x", 0).unwrap_err();
        assert!(matches!(IngestError::from(full), IngestError::Full(_)));
        assert!(matches!(
            IngestError::from(io::Error::from(io::ErrorKind::PermissionDenied)),
            IngestError::Io(_)
        ));
    }
}
