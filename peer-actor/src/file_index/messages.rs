//! What the file index is told and asked, and what it tells.

use std::path::PathBuf;

use actix::Message;
use shared::{ContentId, snapshot::ShareStatus, wire::FileEntry};
use thiserror::Error;

/// Asks for the hints of an own file.
pub use crate::discovery::ReadOwnHints as GetLocalHints;
use crate::file_index::state::{Imported, Scanned};

/// What is offered has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Message)]
#[rtype(result = "()")]
pub struct FilesChanged {
    /// Files that are new or described anew.
    pub changed: Vec<FileEntry>,
    /// Files that are gone.
    pub removed: Vec<ContentId>,
}

/// Something a person should know, once: a file that cannot be read, a folder too large.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct IndexNotice {
    /// One sentence a person can act on.
    pub text: String,
}

/// Shares a folder, now and after every restart.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<(), ShareError>")]
pub struct ShareFolder {
    /// Which folder.
    pub path: PathBuf,
}

/// Stops sharing a folder.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<(), ShareError>")]
pub struct UnshareFolder {
    /// Which folder.
    pub path: PathBuf,
}

/// Asks for the shared folders and how far each is, ordered by path.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<ShareStatus>")]
pub struct ListShares;

/// A shared file turned out not to hold what was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(crate) struct ContentAltered(pub(crate) ContentId);

/// News from a worker thread, from the system's watcher, or from the timer.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum WorkerReport {
    Scanned(Scanned),
    Imported(Imported),
    /// Something below these folders changed; taken from the watcher's set.
    Touched,
    /// The state's next deadline has come.
    Due,
}

/// Why a folder was not shared or unshared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ShareError {
    /// Nothing is there.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// It is a file.
    #[error("{} is not a folder; share the folder it is in", .0.display())]
    NotAFolder(PathBuf),
    /// It may not be listed.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// It is shared already.
    #[error("{} is shared already", .0.display())]
    AlreadyShared(PathBuf),
    /// It is not shared.
    #[error("{} is not shared", .0.display())]
    NotShared(PathBuf),
    /// The index has ended, or could not write down the change.
    #[error("the list of shared folders could not be saved: {0}")]
    NotSaved(String),
}
