//! Looking through a folder. Blocking; runs on the scanner's thread.
//!
//! Invariant: every media file below the folder is listed once, or a notice says what could not be looked into. Links are followed, loops
//! are not.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use shared::limits::{MAX_CONTENT_BYTES, MAX_FILES_PER_CLIENT};
use tracing::{debug, warn};
use walkdir::WalkDir;

use super::{
    persistence::Persistence,
    state::{SETTLE_MS, Scanned, Seen, Stamp},
};

/// How deep folders may be nested.
const MAX_DEPTH: usize = 64;

pub(super) fn scan(folder: PathBuf, watched: bool, persistence: &Persistence) -> Scanned {
    let started = Instant::now();
    let mut notices = Vec::new();
    let files = list(&folder, &mut notices).map(|files| recall(files, persistence));
    let took_ms = started.elapsed().as_millis() as u64;
    debug!(folder = %folder.display(), files = files.as_ref().map_or(0, Vec::len), took_ms, "folder scanned");
    Scanned { folder, files, notices, watched, took_ms }
}

fn list(folder: &Path, notices: &mut Vec<String>) -> Result<Vec<Seen>, String> {
    match std::fs::read_dir(folder) {
        Ok(_) => {}
        Err(error) => return Err(format!("the folder cannot be read: {error}")),
    }
    let now = SystemTime::now();
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true).max_depth(MAX_DEPTH).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                if error.depth() == 0 {
                    return Err(format!("the folder cannot be read: {error}"));
                }
                // A loop of links, or a link to nothing, is no loss: what it leads to is found elsewhere, or is not there.
                let is_lost = error.loop_ancestor().is_none()
                    && error.io_error().is_none_or(|error| error.kind() != std::io::ErrorKind::NotFound);
                if is_lost {
                    notices.push(format!("a shared folder could not be looked into: {error}"));
                }
                continue;
            }
        };
        if !entry.file_type().is_file() || !media::is_media_name(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let stamp = stamp(&metadata);
        if stamp.size_bytes == 0 || stamp.size_bytes > MAX_CONTENT_BYTES {
            continue;
        }
        if files.len() >= MAX_FILES_PER_CLIENT {
            notices.push(format!(
                "{} has more than {MAX_FILES_PER_CLIENT} files; the rest is left out",
                folder.display()
            ));
            break;
        }
        files.push(Seen { path: entry.into_path(), stamp, at_rest: is_at_rest(&metadata, now), known: None });
    }
    Ok(files)
}

fn recall(mut files: Vec<Seen>, persistence: &Persistence) -> Vec<Seen> {
    let stamps: Vec<Stamp> = files.iter().map(|seen| seen.stamp).collect();
    match persistence.recall(&stamps) {
        Ok(known) => files.iter_mut().zip(known).for_each(|(seen, known)| seen.known = known),
        Err(error) => warn!(%error, "file index cannot be read; files are hashed again"),
    }
    files
}

pub(super) fn stamp(metadata: &Metadata) -> Stamp {
    let mtime = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let nanoseconds = |since: Duration| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
    let mtime_ns = match mtime.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => nanoseconds(since),
        Err(before) => -nanoseconds(before.duration()),
    };
    Stamp { size_bytes: metadata.len(), mtime_ns, place: place(metadata) }
}

/// A time in the future says nothing about rest.
fn is_at_rest(metadata: &Metadata, now: SystemTime) -> bool {
    let age = metadata.modified().ok().and_then(|at| now.duration_since(at).ok());
    age.is_some_and(|age| age >= Duration::from_millis(SETTLE_MS))
}

#[cfg(unix)]
fn place(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn place(_: &Metadata) -> (u64, u64) {
    (0, 0)
}
