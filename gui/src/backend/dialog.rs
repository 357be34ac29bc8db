//! The folder dialog, on a thread of its own, because it blocks until the person has chosen.
//!
//! Invariant: one dialog at a time. Where the desktop has none, the person is told what works instead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Answer, updates::Updates};

/// A dialog that ends sooner than this was never seen by anybody.
const NEVER_SEEN: Duration = Duration::from_millis(400);

static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// Asks for a folder; the answer comes through `updates`.
pub fn choose_folder(updates: &Arc<Updates>) {
    if IS_OPEN.swap(true, Ordering::AcqRel) {
        return;
    }
    let answers = Arc::clone(updates);
    let work = move || {
        let begun = Instant::now();
        let folder = rfd::FileDialog::new().set_title("Share a folder").pick_folder();
        IS_OPEN.store(false, Ordering::Release);
        match folder {
            Some(folder) => answers.push(Answer::FolderChosen(folder)),
            None if begun.elapsed() < NEVER_SEEN => answers.push(no_dialog()),
            None => {}
        }
    };
    if let Err(error) = std::thread::Builder::new().name("folder-dialog".to_owned()).spawn(work) {
        tracing::warn!(%error, "no thread for the folder dialog");
        IS_OPEN.store(false, Ordering::Release);
        updates.push(no_dialog());
    }
}

fn no_dialog() -> Answer {
    let text =
        "This desktop offers no folder dialog: type the path, or drop the folder onto the window.".to_owned();
    Answer::Notice { is_error: false, text }
}
