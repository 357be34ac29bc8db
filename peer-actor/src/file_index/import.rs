//! Probing, hashing and listening to one file. Blocking; runs on an import thread.
//!
//! Invariant: what is remembered was hashed from one version of the file: its stamp is the same before and after.

use std::{
    fs::{self, File},
    io::{self, BufReader},
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use media::ProbeError;
use shared::{
    MediaKind,
    content::{OutboardError, build},
    wire::FileEntry,
};
use tracing::{info, warn};

use super::{
    entry::{describe, kind_of},
    persistence::Persistence,
    scan::stamp,
    state::{ImportOutcome, Stamp},
};
use crate::probe::Probe;

const READ_BYTES: usize = 1 << 20;

/// How far an import is, and whether it is still wanted.
#[derive(Debug, Default)]
pub(super) struct ImportProgress {
    pub(super) hashed_bytes: AtomicU64,
    pub(super) cancelled: Arc<AtomicBool>,
}

pub(super) fn import(
    path: &Path,
    expected: Stamp,
    (kind, probe): (Option<MediaKind>, Probe),
    progress: &ImportProgress,
    persistence: &Persistence,
) -> ImportOutcome {
    match try_import(path, expected, (kind, probe), progress, persistence) {
        Ok(entry) => {
            info!(path = %path.display(), content = %entry.content_id.short(), "file indexed");
            ImportOutcome::Ready(Box::new(entry))
        }
        Err(outcome) => outcome,
    }
}

fn try_import(
    path: &Path,
    expected: Stamp,
    (kind, probe): (Option<MediaKind>, Probe),
    progress: &ImportProgress,
    persistence: &Persistence,
) -> Result<FileEntry, ImportOutcome> {
    let info = (probe.info)(path).map_err(|error| improbable(path, expected, error))?;
    if kind.is_some_and(|kind| kind != kind_of(info.kind)) {
        return Err(ImportOutcome::Skipped { notice: None });
    }
    let waveform = match info.kind {
        media::MediaKind::Audio => (probe.waveform)(path, info.duration_ms, &progress.cancelled),
        media::MediaKind::Video => Vec::new(),
    };
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let size_bytes = expected.size_bytes;
    let tell = |hashed_bytes| {
        progress.hashed_bytes.store(hashed_bytes, Ordering::Relaxed);
        if progress.cancelled.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let hashed = build(BufReader::with_capacity(READ_BYTES, &file), size_bytes, tell);
    let (content_id, outboard) = hashed.map_err(|error| match error {
        OutboardError::Cancelled => ImportOutcome::Cancelled,
        OutboardError::SizeChanged | OutboardError::Empty => ImportOutcome::Changed,
        OutboardError::TooLarge => {
            ImportOutcome::Skipped { notice: Some(format!("{} is too large to share", path.display())) }
        }
        OutboardError::Io(error) => unreadable(path, &error),
    })?;
    let is_same =
        file.metadata().is_ok_and(|after| stamp(&after) == expected) && is_unchanged(path, expected);
    if !is_same {
        return Err(ImportOutcome::Changed);
    }
    let Some((entry, hints)) = describe(content_id, path, size_bytes, info, waveform) else {
        return Err(ImportOutcome::Skipped {
            notice: Some(format!("{} cannot be described to others", path.display())),
        });
    };
    persistence.remember(&expected, &entry, &hints, &outboard).map_err(|error| {
        warn!(path = %path.display(), %error, "file was hashed but cannot be remembered");
        ImportOutcome::Unreadable { notice: format!("{} could not be indexed: {error}", path.display()) }
    })?;
    Ok(entry)
}

fn improbable(path: &Path, expected: Stamp, error: ProbeError) -> ImportOutcome {
    if !is_unchanged(path, expected) {
        return ImportOutcome::Changed;
    }
    match error {
        ProbeError::Io(error) => unreadable(path, &error),
        ProbeError::Empty => ImportOutcome::Changed,
        ProbeError::NotMedia(_) | ProbeError::NoTracks | ProbeError::Truncated => {
            ImportOutcome::Skipped { notice: Some(format!("{} is not shared: {error}", path.display())) }
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ImportOutcome {
    if error.kind() == io::ErrorKind::NotFound {
        ImportOutcome::Changed
    } else {
        ImportOutcome::Unreadable { notice: format!("{} cannot be read: {error}", path.display()) }
    }
}

fn is_unchanged(path: &Path, expected: Stamp) -> bool {
    fs::metadata(path).is_ok_and(|metadata| stamp(&metadata) == expected)
}
