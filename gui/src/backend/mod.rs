//! The wall between the egui thread and the actix thread.
//!
//! ```text
//!  egui thread                       node thread (actix system)
//!  app::logic  --Request-->  mpsc(256)  -->  node, gateway
//!              <--latest value of the node's snapshot, of the played stream's--
//!              <--Answer (one for each request that has one)--
//! ```
//!
//! Invariant: the egui thread never waits for the node, and a hidden window accumulates nothing: snapshots overwrite each
//! other, and there are never more answers than requests. The node thread is joined when the window closes.

pub mod dialog;
pub mod thread;
pub mod updates;

use std::{path::PathBuf, sync::Arc};

use egui::ColorImage;
use media::MediaSource;
use shared::ContentId;

/// Names one opening of a content, so that a late answer is recognised.
pub type Ticket = u64;

/// What the window asks of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Join the swarm of a content and follow its stream.
    Open {
        /// Comes back with the answer.
        ticket: Ticket,
        /// Which content.
        content_id: ContentId,
    },
    /// Follow no stream any more.
    Close,
    /// Fetch a cover.
    Cover(ContentId),
    /// Fetch how loud a sound file is where.
    Waveform(ContentId),
    /// Share a folder.
    Share(PathBuf),
    /// Stop sharing a folder.
    Unshare(PathBuf),
}

/// What comes back.
pub enum Answer {
    /// A content is ready to be read, or will not be, and why.
    Opened {
        /// The request's ticket.
        ticket: Ticket,
        /// What to play from.
        source: Result<Arc<dyn MediaSource>, String>,
    },
    /// A cover, or that there is none.
    Cover(ContentId, Option<ColorImage>),
    /// How loud a file is where; empty when nobody knows.
    Waveform(ContentId, Vec<u8>),
    /// Something to tell the person.
    Notice {
        /// Whether something was lost.
        is_error: bool,
        /// One sentence.
        text: String,
    },
    /// A folder was chosen in the dialog.
    FolderChosen(PathBuf),
    /// The node cannot run at all.
    Failed(String),
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Opened { ticket, source } => write!(f, "Opened({ticket}, {:?})", source.as_ref().err()),
            Self::Cover(content_id, image) => write!(f, "Cover({content_id:?}, {})", image.is_some()),
            Self::Waveform(content_id, bars) => write!(f, "Waveform({content_id:?}, {})", bars.len()),
            Self::Notice { text, .. } => write!(f, "Notice({text})"),
            Self::FolderChosen(folder) => write!(f, "FolderChosen({})", folder.display()),
            Self::Failed(reason) => write!(f, "Failed({reason})"),
        }
    }
}
