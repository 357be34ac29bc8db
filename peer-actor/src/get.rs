//! `rusteze-peer get`: one whole file, from everybody who has it, verified, under the name that was asked for.
//!
//! Invariant: the file appears under its name only when every byte of it is verified and on disk; until then what has arrived is
//! kept in the cache, so that a second run goes on where the first was stopped. Then it is moved there. Nothing here decides whom to ask.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use peer_actor::{
    chunk_scheduler::ContentReader,
    node::{NodeHandle, OpenError},
};
use shared::snapshot::{NetworkFile, StreamSnapshot, TrackerStatus};
use thiserror::Error;
use tokio::time::timeout;

/// Why a file was not fetched.
#[derive(Debug, Error)]
pub(crate) enum GetError {
    /// The tracker did not answer in time.
    #[error("the tracker was not reached within {} s: {reason}; is its address right (--tracker)?", CONNECT_PATIENCE.as_secs())]
    NoTracker {
        /// The last try's end.
        reason: String,
    },
    /// Nothing in the network matches.
    #[error("nothing in this network is called `{0}`; list what there is with GET /api/files of the gateway")]
    NotFound(String),
    /// Several files match.
    #[error("`{wanted}` means several files; write more of the id or of the name:\n{list}")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// One file a line.
        list: String,
    },
    /// The node cannot open it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Where to.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The node stopped first.
    #[error("stopped before everything had arrived; run the same command again to go on")]
    Stopped,
}

impl GetError {
    /// The exit code scripts can tell it by.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Open(_) | Self::Write { .. } | Self::Stopped => 1,
            Self::NotFound(_) | Self::Ambiguous { .. } => 3,
            Self::NoTracker { .. } => 4,
        }
    }
}

/// Fetches the file `wanted` names (an id, or the beginning of an id or of a name) to `out`.
pub(crate) async fn get(node: &NodeHandle, wanted: &str, out: &Path) -> Result<(), GetError> {
    let file = find(node, wanted).await?;
    // What is fetched to be moved out is no part of the cache, and may be larger than it.
    let store = node.store();
    store.set_quota_bytes(store.quota_bytes().saturating_add(file.size));
    let target = if out.is_dir() { out.join(&file.name) } else { out.to_owned() };
    let reader = node.open(file.content_id).await?;
    reader.keep_whole();
    let begun = Instant::now();
    let held_before = reader.content().verified_bytes();
    fetch(node, &reader).await?;

    let (store, content, to) = (node.store().clone(), reader.content().clone(), target.clone());
    let written = tokio::task::spawn_blocking(move || store.hand_over(&content, &to));
    let written = written.await.map_err(|_| GetError::Stopped)?;
    written.map_err(|source| GetError::Write { path: target.clone(), source })?;
    let fetched = reader.size_bytes().saturating_sub(held_before);
    say(&format!(
        "{} is whole: {} in {:.1} s ({} fetched now), BLAKE3 {}",
        target.display(),
        HumanBytes(reader.size_bytes()),
        begun.elapsed().as_secs_f64(),
        HumanBytes(fetched),
        file.content_id
    ));
    Ok(())
}

/// Waits for the catalogue and picks the one file that is meant.
async fn find(node: &NodeHandle, wanted: &str) -> Result<NetworkFile, GetError> {
    let mut snapshots = node.watch();
    let deadline = Instant::now() + CONNECT_PATIENCE;
    let mut settled: Option<Instant> = None;
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let found = choose(&snapshot.files, wanted);
        // A catalogue arrives in parts: an exact id is enough at once, anything else waits until parts stop coming.
        let is_exact = found.as_ref().is_ok_and(|file| file.content_id.to_string() == wanted);
        if is_exact || settled.is_some_and(|since| since.elapsed() >= SETTLING) {
            return found.cloned();
        }
        if Instant::now() >= deadline {
            return match &snapshot.tracker {
                TrackerStatus::Connected => found.cloned(),
                TrackerStatus::Refused { reason } | TrackerStatus::Waiting { reason, .. } => {
                    Err(GetError::NoTracker { reason: reason.clone() })
                }
                TrackerStatus::Connecting => Err(GetError::NoTracker { reason: "no answer".into() }),
            };
        }
        if snapshot.tracker == TrackerStatus::Connected && settled.is_none() {
            settled = Some(Instant::now());
        }
        if let Ok(Err(_)) = timeout(Duration::from_millis(100), snapshots.changed()).await {
            return Err(GetError::Stopped);
        }
    }
}

/// The one file an id, or the beginning of an id or of a name, means.
fn choose<'a>(files: &'a [NetworkFile], wanted: &str) -> Result<&'a NetworkFile, GetError> {
    let lower = wanted.to_lowercase();
    let is_exact = |file: &&NetworkFile| file.name == wanted || wanted.parse() == Ok(file.content_id);
    if let Some(file) = files.iter().find(is_exact) {
        return Ok(file);
    }
    let means = |file: &&NetworkFile| {
        file.name.to_lowercase().starts_with(&lower)
            || lower.len() >= MIN_ID_DIGITS && file.content_id.to_string().starts_with(&lower)
    };
    let matching: Vec<&NetworkFile> = files.iter().filter(means).collect();
    match matching.as_slice() {
        [] => Err(GetError::NotFound(wanted.into())),
        [only] => Ok(only),
        several => {
            let lines: Vec<String> =
                several.iter().take(10).map(|file| format!("  {}  {}", file.content_id, file.name)).collect();
            Err(GetError::Ambiguous { wanted: wanted.into(), list: lines.join("\n") })
        }
    }
}

/// Waits until every byte is there, telling how it goes.
async fn fetch(node: &NodeHandle, reader: &ContentReader) -> Result<(), GetError> {
    let (content, file) = (reader.content(), reader.file());
    let mut progress = Progress::new(file);
    let mut changes = content.changed();
    let mut stream = node.subscribe_stream(file.content_id).await.ok_or(GetError::Stopped)?;
    let mut shown: Option<Instant> = None;
    while !content.is_complete() {
        if shown.is_none_or(|shown| shown.elapsed() >= REFRESH) {
            shown = Some(Instant::now());
            let now = stream.borrow_and_update().clone();
            progress.show(content.verified_bytes(), now.as_deref());
        }
        if let Ok(Err(_)) = timeout(REFRESH, changes.changed()).await {
            return Err(GetError::Stopped);
        }
    }
    progress.done(content.verified_bytes());
    Ok(())
}

/// A bar where a person looks, a line every few seconds where a log is kept.
enum Progress {
    Bar(ProgressBar),
    Lines { size_bytes: u64, name: String, last: Option<Instant> },
}

impl Progress {
    fn new(file: &NetworkFile) -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { size_bytes: file.size, name: file.name.clone(), last: None };
        }
        let bar = ProgressBar::new(file.size);
        if let Ok(style) = ProgressStyle::with_template(
            "{prefix} {wide_bar} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left  {msg}",
        ) {
            bar.set_style(style);
        }
        bar.set_prefix(file.name.clone());
        Self::Bar(bar)
    }

    fn show(&mut self, held_bytes: u64, stream: Option<&StreamSnapshot>) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(held_bytes);
                bar.set_message(origin_of(stream));
            }
            Self::Lines { size_bytes, name, last } => {
                if last.is_some_and(|last| last.elapsed() < LINE_EVERY) {
                    return;
                }
                *last = Some(Instant::now());
                let percent = held_bytes * 100 / (*size_bytes).max(1);
                let rate = stream.map_or(0, |stream| stream.download_bps / 8);
                say(&format!(
                    "{name}: {} of {} ({percent} %), {}/s, {}",
                    HumanBytes(held_bytes),
                    HumanBytes(*size_bytes),
                    HumanBytes(rate),
                    origin_of(stream)
                ));
            }
        }
    }

    fn done(&self, held_bytes: u64) {
        if let Self::Bar(bar) = self {
            bar.set_position(held_bytes);
            bar.finish_and_clear();
        }
    }
}

fn origin_of(stream: Option<&StreamSnapshot>) -> String {
    let connected = stream.map_or(0, |stream| stream.peers.iter().filter(|peer| peer.connected).count());
    match (connected, stream.and_then(|stream| stream.waiting.as_deref())) {
        (0, Some(reason)) => reason.to_owned(),
        (0, None) => "looking for sources".to_owned(),
        (1, _) => "1 source".to_owned(),
        (count, _) => format!("{count} sources"),
    }
}

/// A line to the person at the terminal; one that cannot be written has no reader.
pub(crate) fn say(line: &str) {
    if writeln!(io::stderr(), "{line}").is_err() {
        tracing::trace!("standard error is closed");
    }
}

const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// How long after the greeting parts of the catalogue may still come.
const SETTLING: Duration = Duration::from_millis(700);
const REFRESH: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(2);
/// Fewer digits than this name too many contents to be meant as an id.
const MIN_ID_DIGITS: usize = 6;

#[cfg(test)]
mod tests {
    use shared::{ContentId, MediaKind};

    use super::*;

    #[test]
    fn an_id_a_name_or_the_beginning_of_either_names_a_file() {
        let files = [file(0xab, "Aurora.mkv"), file(0xcd, "Autumn.mp4")];
        let id = files[1].content_id.to_string();
        assert_eq!(choose(&files, &id).unwrap().name, "Autumn.mp4");
        assert_eq!(choose(&files, &id[..8]).unwrap().name, "Autumn.mp4");
        assert_eq!(choose(&files, "aur").unwrap().name, "Aurora.mkv");
        assert!(
            matches!(choose(&files, "au"), Err(GetError::Ambiguous { list, .. }) if list.lines().count() == 2)
        );
        assert!(matches!(choose(&files, "cdc"), Err(GetError::NotFound(_))));
    }

    #[test]
    fn a_name_that_begins_another_can_still_be_meant() {
        let files = [file(1, "Film"), file(2, "Film 2")];
        assert_eq!(choose(&files, "Film").unwrap().content_id, files[0].content_id);
    }

    fn file(byte: u8, name: &str) -> NetworkFile {
        NetworkFile {
            content_id: ContentId([byte; 32]),
            name: name.into(),
            size: 1,
            kind: MediaKind::Video,
            duration_ms: 0,
            bitrate: 0,
            codecs: Vec::new(),
            container: String::new(),
            width: 0,
            height: 0,
            title: String::new(),
            artist: String::new(),
            album: String::new(),
            sources: 1,
            at_origin: false,
            has_cover: false,
            is_local: false,
        }
    }
}
