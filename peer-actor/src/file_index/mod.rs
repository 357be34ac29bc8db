//! The file index: which files of the shared folders are offered, and under which content id.
//!
//! A folder is scanned when it is shared, when the system says that something in it changed, and now and then in case the system says
//! nothing. A media file that is at rest is probed and hashed once, off the actor's thread, and remembered with its size, its times and
//! its place on the disk, so that neither a restart nor a rename hashes it again. Whatever changes is withdrawn at once and looked at
//! anew; what vanishes is withdrawn; what comes back is offered again.
//!
//! | file | holds |
//! | --- | --- |
//! | [`messages`] | what the actor is told and asked, and what it tells |
//! | [`state`] | what is offered, what waits, what to do next; pure |
//! | [`entry`] | one file's description, clamped to what the wire allows |
//! | `actor` | the shell |
//! | `worker` | the threads that scan, import and write small things down, one job at a time each |
//! | `scan`, `import` | the blocking work |
//! | `persistence` | the database beside the hash trees |
//!
//! On the disk, below the data folder: `index.redb`, and `outboards/<content id>`, the hash tree of each known file. Entries that no scan
//! has seen for [`FORGET_AFTER_DAYS`] days are forgotten.
//!
//! Not here: who is told (the composition root routes [`messages::FilesChanged`]), and the bytes themselves ([`crate::store`]).

mod actor;
pub mod entry;
mod import;
pub mod messages;
mod persistence;
mod scan;
pub mod state;
mod worker;

pub use actor::{FileIndexActor, FileIndexConfig, FileIndexError};
pub use messages::{
    FilesChanged, GetLocalHints, IndexNotice, ListShares, ShareError, ShareFolder, UnshareFolder,
};
pub use persistence::FORGET_AFTER_DAYS;
