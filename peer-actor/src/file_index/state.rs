//! What is offered, what waits to be hashed, and what to do next. Pure: scans and imports are outputs, their results are inputs.
//!
//! Invariants: a content is offered exactly while at least one present, unchanged file holds it; of scans at most one is under way, of
//! imports at most [`MAX_IMPORTS`]; a file is hashed only when its size and times have rested for [`SETTLE_MS`]. No clock, no disk.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
};

use shared::{ContentId, limits::MAX_FILES_PER_CLIENT, snapshot::ShareStatus, wire::FileEntry};

use super::messages::{FilesChanged, ShareError};

/// How long size and times of a file must rest before it is hashed.
pub const SETTLE_MS: u64 = 1_000;
/// Files probed and hashed at once.
pub const MAX_IMPORTS: usize = 2;
/// How long a burst of changes is gathered before the folder is scanned.
const DEBOUNCE_MS: u64 = 300;
/// A folder is scanned this often even if the system reports no change.
const RESCAN_MS: u64 = 60_000;
/// A folder that is missing, or that the system does not watch, is looked at this often.
const RETRY_MS: u64 = 5_000;
/// Scanning may take this part of the time at most.
const SCAN_SHARE: u64 = 10;
/// The most notices remembered, so that each is given once.
const MAX_NOTICED: usize = 1_000;

/// What tells one version of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Length.
    pub size_bytes: u64,
    /// Time of last modification, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Device and number of the file on it: survives a rename.
    pub place: (u64, u64),
}

/// A media file that a scan saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where.
    pub path: PathBuf,
    /// Which version.
    pub stamp: Stamp,
    /// By the wall clock it has rested for a while already.
    pub at_rest: bool,
    /// What is remembered of just this version.
    pub known: Option<FileEntry>,
}

/// The result of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Which shared folder.
    pub folder: PathBuf,
    /// Every media file below it, or why it cannot be listed.
    pub files: Result<Vec<Seen>, String>,
    /// What could not be looked into.
    pub notices: Vec<String>,
    /// Whether the system will tell of changes.
    pub watched: bool,
    /// How long it took.
    pub took_ms: u64,
}

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Which file.
    pub path: PathBuf,
    /// The version that was to be imported.
    pub stamp: Stamp,
    /// What came of it.
    pub outcome: ImportOutcome,
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportOutcome {
    /// Probed, hashed and remembered.
    Ready(Box<FileEntry>),
    /// It changed meanwhile.
    Changed,
    /// It is none of ours, or makes no sense; not looked at again until it changes.
    Skipped {
        /// Why, for a person; none if nobody would care.
        notice: Option<String>,
    },
    /// It could not be read; tried again later.
    Unreadable {
        /// Why, for a person.
        notice: String,
    },
    /// The import was called off.
    Cancelled,
}

/// What the shell must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Scan a folder, and watch it.
    Scan(PathBuf),
    /// Probe and hash a file.
    Import(PathBuf, Stamp),
    /// Stop watching a folder, and call off imports below it.
    Release(PathBuf),
    /// Serve a file under its id.
    Serve(ContentId, PathBuf, u64),
    /// Serve it no more.
    Withdraw(ContentId),
    /// Forget what is remembered of a version of a file; it is not what was hashed.
    Forget(Stamp),
    /// Tell what changed.
    Announce(FilesChanged),
    /// Tell a person.
    Notice(String),
}

/// The state of the file index.
#[derive(Debug, Default)]
pub struct FileIndexState {
    shares: BTreeMap<PathBuf, Share>,
    files: BTreeMap<PathBuf, File>,
    contents: BTreeMap<ContentId, Content>,
    queue: VecDeque<PathBuf>,
    importing: BTreeSet<PathBuf>,
    scanning: Option<PathBuf>,
    /// Contents whose offer may have changed in this turn.
    touched: BTreeSet<ContentId>,
    noticed: BTreeSet<String>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Share {
    scan_at_ms: u64,
    scanned_at_ms: Option<u64>,
    took_ms: u64,
    error: Option<String>,
}

#[derive(Debug)]
struct File {
    stamp: Stamp,
    phase: Phase,
    /// The shared folders it lies below.
    shares: BTreeSet<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Settling { since_ms: u64 },
    Queued,
    Ready(ContentId),
    Skipped,
    Unreadable { retry_at_ms: u64 },
}

#[derive(Debug)]
struct Content {
    entry: FileEntry,
    paths: BTreeSet<PathBuf>,
    /// What the outside was told: which file is served, and how it is described.
    offered: Option<(PathBuf, FileEntry)>,
}

impl FileIndexState {
    /// Adds a folder; it is scanned as soon as possible.
    pub fn handle_share(&mut self, now_ms: u64, path: PathBuf) -> Result<(), ShareError> {
        if self.shares.contains_key(&path) {
            return Err(ShareError::AlreadyShared(path));
        }
        self.shares.insert(path, Share { scan_at_ms: now_ms, scanned_at_ms: None, took_ms: 0, error: None });
        self.advance(now_ms);
        Ok(())
    }

    /// Withdraws a folder and everything that lies in no other.
    pub fn handle_unshare(&mut self, now_ms: u64, path: &Path) -> Result<(), ShareError> {
        if self.shares.remove(path).is_none() {
            return Err(ShareError::NotShared(path.to_owned()));
        }
        self.keep_only(path, &BTreeSet::new());
        self.outputs.push_back(Output::Release(path.to_owned()));
        self.advance(now_ms);
        Ok(())
    }

    /// The system says that something below these folders changed.
    pub fn handle_touched(&mut self, now_ms: u64, folders: &BTreeSet<PathBuf>) {
        for folder in folders {
            if let Some(share) = self.shares.get_mut(folder) {
                let soonest = share.scanned_at_ms.map_or(0, |at| at + share.took_ms * SCAN_SHARE);
                share.scan_at_ms = share.scan_at_ms.min(soonest.max(now_ms + DEBOUNCE_MS));
            }
        }
        self.advance(now_ms);
    }

    /// A scan is done.
    pub fn handle_scanned(&mut self, now_ms: u64, scanned: Scanned) {
        self.scanning = None;
        let Scanned { folder, files, notices, watched, took_ms } = scanned;
        if let Some(share) = self.shares.get_mut(&folder) {
            let next_ms = if files.is_ok() && watched { RESCAN_MS } else { RETRY_MS };
            share.scan_at_ms = share.scan_at_ms.min(now_ms + next_ms).max(now_ms + took_ms * SCAN_SHARE);
            share.scanned_at_ms = Some(now_ms);
            share.took_ms = took_ms;
            share.error = files.as_ref().err().cloned();
            notices.into_iter().for_each(|notice| self.notice(notice));
            let files = files.unwrap_or_default();
            let present: BTreeSet<PathBuf> = files.iter().map(|seen| seen.path.clone()).collect();
            self.keep_only(&folder, &present);
            files.into_iter().for_each(|seen| self.see(now_ms, &folder, seen));
        }
        self.advance(now_ms);
    }

    /// An import is done, one way or another.
    pub fn handle_imported(&mut self, now_ms: u64, imported: Imported) {
        let Imported { path, stamp, outcome } = imported;
        self.importing.remove(&path);
        let is_current =
            self.files.get(&path).is_some_and(|file| file.stamp == stamp && file.phase == Phase::Queued);
        if is_current {
            let phase = match outcome {
                ImportOutcome::Ready(entry) => self.hold(&path, *entry),
                ImportOutcome::Changed => {
                    self.rescan_above(&path, now_ms + SETTLE_MS);
                    Phase::Settling { since_ms: now_ms }
                }
                ImportOutcome::Skipped { notice } => {
                    notice.into_iter().for_each(|notice| self.notice(notice));
                    Phase::Skipped
                }
                ImportOutcome::Unreadable { notice } => {
                    self.notice(notice);
                    Phase::Unreadable { retry_at_ms: now_ms + RESCAN_MS }
                }
                ImportOutcome::Cancelled => {
                    self.queue.push_back(path.clone());
                    Phase::Queued
                }
            };
            if let Some(file) = self.files.get_mut(&path) {
                file.phase = phase;
            }
        } else if self.files.get(&path).is_some_and(|file| file.phase == Phase::Queued) {
            // Another version was queued while this one was being hashed.
            self.queue.push_back(path);
        }
        self.advance(now_ms);
    }

    /// What was served from these files is not what was hashed, although they look the same from outside.
    pub fn handle_altered(&mut self, now_ms: u64, content_id: ContentId) {
        let paths = self.contents.get(&content_id).map(|content| content.paths.clone()).unwrap_or_default();
        for path in paths {
            self.let_go(&path);
            if let Some(file) = self.files.get_mut(&path) {
                file.phase = Phase::Queued;
                self.outputs.push_back(Output::Forget(file.stamp));
                self.queue.push_back(path);
            }
        }
        self.advance(now_ms);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        self.advance(now_ms);
    }

    /// What to do, until there is nothing more.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`], and why.
    pub fn poll_timeout(&self) -> Option<(u64, &'static str)> {
        if self.scanning.is_some() {
            return None;
        }
        self.shares.values().map(|share| share.scan_at_ms).min().map(|at_ms| (at_ms, "scan a folder"))
    }

    /// The shared folders, ordered by path. `hashed_bytes` says how far an import is.
    pub fn shares(&self, hashed_bytes: impl Fn(&Path) -> u64) -> Vec<ShareStatus> {
        let mut all: BTreeMap<&Path, ShareStatus> =
            self.shares.iter().map(|(path, share)| (path.as_path(), status(path, share))).collect();
        for (path, file) in &self.files {
            for folder in &file.shares {
                let Some(status) = all.get_mut(folder.as_path()) else { continue };
                match file.phase {
                    Phase::Ready(_) => {
                        status.files += 1;
                        status.bytes += file.stamp.size_bytes;
                    }
                    Phase::Settling { .. } | Phase::Queued => {
                        status.pending_files += 1;
                        status.to_hash_bytes += file.stamp.size_bytes;
                        status.hashed_bytes +=
                            if self.importing.contains(path) { hashed_bytes(path) } else { 0 };
                    }
                    Phase::Skipped | Phase::Unreadable { .. } => {}
                }
            }
        }
        all.into_values().collect()
    }

    /// Whether a content is offered now.
    pub fn is_offered(&self, content_id: ContentId) -> bool {
        self.contents.get(&content_id).is_some_and(|content| content.offered.is_some())
    }

    /// Takes note of a file that a scan saw.
    fn see(&mut self, now_ms: u64, folder: &Path, seen: Seen) {
        let Seen { path, stamp, at_rest, known } = seen;
        let file = self.files.entry(path.clone()).or_insert_with(|| File {
            stamp,
            phase: Phase::Settling { since_ms: now_ms },
            shares: BTreeSet::new(),
        });
        file.shares.insert(folder.to_owned());
        if file.stamp != stamp {
            self.let_go(&path);
        }
        let Some(file) = self.files.get_mut(&path) else { return };
        if file.stamp != stamp {
            (file.stamp, file.phase) = (stamp, Phase::Settling { since_ms: now_ms });
        }
        let next = match (&file.phase, known) {
            (Phase::Settling { .. }, Some(entry)) => Some(self.hold(&path, entry)),
            (Phase::Settling { since_ms }, None) if at_rest || now_ms >= since_ms + SETTLE_MS => {
                Some(Phase::Queued)
            }
            (Phase::Settling { .. }, None) => {
                self.rescan_above(&path, now_ms + SETTLE_MS);
                None
            }
            (Phase::Unreadable { retry_at_ms }, _) if now_ms >= *retry_at_ms => Some(Phase::Queued),
            (Phase::Queued | Phase::Ready(_) | Phase::Skipped | Phase::Unreadable { .. }, _) => None,
        };
        if next == Some(Phase::Queued) && !self.importing.contains(&path) {
            self.queue.push_back(path.clone());
        }
        if let (Some(phase), Some(file)) = (next, self.files.get_mut(&path)) {
            file.phase = phase;
        }
    }

    /// Drops every file of `folder` that is not among `present`.
    fn keep_only(&mut self, folder: &Path, present: &BTreeSet<PathBuf>) {
        let gone: Vec<PathBuf> = self
            .files
            .iter_mut()
            .filter(|(path, file)| file.shares.contains(folder) && !present.contains(*path))
            .filter_map(|(path, file)| {
                file.shares.remove(folder);
                file.shares.is_empty().then(|| path.clone())
            })
            .collect();
        for path in gone {
            self.let_go(&path);
            self.files.remove(&path);
        }
    }

    /// `path` holds this content now.
    fn hold(&mut self, path: &Path, entry: FileEntry) -> Phase {
        let content_id = entry.content_id;
        if !self.contents.contains_key(&content_id) && self.contents.len() >= MAX_FILES_PER_CLIENT {
            self.notice(format!("more than {MAX_FILES_PER_CLIENT} files are shared; the rest is left out"));
            return Phase::Skipped;
        }
        let content = self.contents.entry(content_id).or_insert_with(|| Content {
            entry,
            paths: BTreeSet::new(),
            offered: None,
        });
        content.paths.insert(path.to_owned());
        self.touched.insert(content_id);
        Phase::Ready(content_id)
    }

    /// `path` holds nothing that is known any more; its phase says what it held.
    fn let_go(&mut self, path: &Path) {
        if let Some(Phase::Ready(content_id)) = self.files.get(path).map(|file| &file.phase)
            && let Some(content) = self.contents.get_mut(content_id)
        {
            content.paths.remove(path);
            self.touched.insert(*content_id);
        }
    }

    /// Ends every turn: starts what is due, and tells what changed.
    fn advance(&mut self, now_ms: u64) {
        self.announce();
        while self.importing.len() < MAX_IMPORTS
            && let Some(path) = self.queue.pop_front()
        {
            let waiting = self.files.get(&path).filter(|file| file.phase == Phase::Queued);
            if let Some(stamp) = waiting.map(|file| file.stamp)
                && self.importing.insert(path.clone())
            {
                self.outputs.push_back(Output::Import(path, stamp));
            }
        }
        if self.scanning.is_none()
            && let Some((folder, share)) = self.shares.iter_mut().min_by_key(|(_, share)| share.scan_at_ms)
            && share.scan_at_ms <= now_ms
        {
            // Due again only when something changes meanwhile, or when the result says.
            share.scan_at_ms = u64::MAX;
            self.scanning = Some(folder.clone());
            self.outputs.push_back(Output::Scan(folder.clone()));
        }
    }

    fn announce(&mut self) {
        let mut news = FilesChanged::default();
        for content_id in std::mem::take(&mut self.touched) {
            let Some(content) = self.contents.get_mut(&content_id) else { continue };
            let Some(path) = content.paths.first().cloned() else {
                if content.offered.is_some() {
                    self.outputs.push_back(Output::Withdraw(content_id));
                    news.removed.push(content_id);
                }
                self.contents.remove(&content_id);
                continue;
            };
            let entry = FileEntry { name: super::entry::clean_name(&path), ..content.entry.clone() };
            if content.offered.as_ref().is_none_or(|(served, _)| *served != path) {
                self.outputs.push_back(Output::Serve(content_id, path.clone(), entry.size_bytes));
            }
            if content.offered.as_ref().is_none_or(|(_, told)| *told != entry) {
                news.changed.push(entry.clone());
            }
            content.offered = Some((path, entry));
        }
        if news != FilesChanged::default() {
            self.outputs.push_back(Output::Announce(news));
        }
    }

    fn rescan_above(&mut self, path: &Path, at_ms: u64) {
        let Some(file) = self.files.get(path) else { return };
        for folder in &file.shares {
            if let Some(share) = self.shares.get_mut(folder) {
                share.scan_at_ms = share
                    .scan_at_ms
                    .min(at_ms.max(share.scanned_at_ms.unwrap_or(0) + share.took_ms * SCAN_SHARE));
            }
        }
    }

    fn notice(&mut self, text: String) {
        if self.noticed.len() < MAX_NOTICED && self.noticed.insert(text.clone()) {
            self.outputs.push_back(Output::Notice(text));
        }
    }
}

fn status(path: &Path, share: &Share) -> ShareStatus {
    ShareStatus {
        path: path.to_string_lossy().into_owned(),
        files: 0,
        bytes: 0,
        pending_files: 0,
        hashed_bytes: 0,
        to_hash_bytes: 0,
        error: share.error.clone(),
    }
}

#[cfg(test)]
mod tests {
    use shared::MediaKind;

    use super::*;

    #[test]
    fn a_file_at_rest_is_imported_served_and_announced() {
        let mut index = Index::sharing(&["/m"]);
        index.scan("/m", vec![seen("/m/a.mp3", 1)]);
        assert_eq!(index.take_imports(), [path("/m/a.mp3")]);
        index.imported("/m/a.mp3", 1, ready(7));
        assert_eq!(index.served(), [(id(7), path("/m/a.mp3"))]);
        assert_eq!(index.announced(), (vec!["a.mp3".to_owned()], vec![]));
        assert!(index.state.is_offered(id(7)));
    }

    #[test]
    fn a_file_that_is_being_copied_waits_until_it_rests() {
        let mut index = Index::sharing(&["/m"]);
        for version in 1..5 {
            index.scan("/m", vec![Seen { at_rest: false, ..seen("/m/a.mp3", version) }]);
            assert_eq!(index.take_imports(), [] as [PathBuf; 0]);
            let (at_ms, _) = index.state.poll_timeout().unwrap();
            assert!(at_ms <= index.now_ms + SETTLE_MS, "it is looked at again soon");
            index.now_ms = at_ms;
        }
        index.scan("/m", vec![Seen { at_rest: false, ..seen("/m/a.mp3", 4) }]);
        assert_eq!(index.take_imports(), [path("/m/a.mp3")]);
    }

    #[test]
    fn what_is_remembered_is_offered_without_hashing() {
        let mut index = Index::sharing(&["/m"]);
        index.scan("/m", vec![Seen { known: Some(entry(3)), at_rest: false, ..seen("/m/a.mp3", 1) }]);
        assert_eq!(index.take_imports(), [] as [PathBuf; 0]);
        assert_eq!(index.announced(), (vec!["a.mp3".to_owned()], vec![]));
    }

    #[test]
    fn an_edited_file_is_withdrawn_at_once_and_hashed_again() {
        let mut index = Index::with_file("/m/a.mp3", 7);
        index.scan("/m", vec![seen("/m/a.mp3", 2)]);
        assert_eq!(index.withdrawn(), [id(7)]);
        assert_eq!(index.announced(), (vec![], vec![id(7)]));
        assert_eq!(index.take_imports(), [path("/m/a.mp3")]);
        index.imported("/m/a.mp3", 2, ready(8));
        assert_eq!(index.announced(), (vec!["a.mp3".to_owned()], vec![]));
    }

    #[test]
    fn a_file_that_changes_while_it_is_hashed_is_hashed_again_later() {
        let mut index = Index::sharing(&["/m"]);
        index.scan("/m", vec![seen("/m/a.mp3", 1)]);
        index.take_imports();
        index.scan("/m", vec![seen("/m/a.mp3", 2)]);
        assert_eq!(index.take_imports(), [] as [PathBuf; 0], "not twice at once");
        index.imported("/m/a.mp3", 1, ready(7));
        assert_eq!(index.announced(), (vec![], vec![]), "the old version is not offered");
        assert_eq!(index.take_imports(), [path("/m/a.mp3")]);
        index.imported("/m/a.mp3", 2, ImportOutcome::Changed);
        index.scan("/m", vec![seen("/m/a.mp3", 3)]);
        index.imported("/m/a.mp3", 3, ready(8));
        assert_eq!(index.announced(), (vec!["a.mp3".to_owned()], vec![]));
    }

    #[test]
    fn a_second_copy_takes_over_when_the_first_is_deleted() {
        let mut index = Index::sharing(&["/m"]);
        index.scan("/m", vec![seen("/m/a.mp3", 1), seen("/m/b.mp3", 1)]);
        index.imported("/m/a.mp3", 1, ready(7));
        index.imported("/m/b.mp3", 1, ready(7));
        assert_eq!(index.announced(), (vec!["a.mp3".to_owned()], vec![]), "told once");
        index.served();
        index.scan("/m", vec![seen("/m/b.mp3", 1)]);
        assert_eq!(index.served(), [(id(7), path("/m/b.mp3"))]);
        assert_eq!(index.announced(), (vec!["b.mp3".to_owned()], vec![]));
        index.scan("/m", vec![]);
        assert_eq!(index.announced(), (vec![], vec![id(7)]));
    }

    #[test]
    fn a_renamed_file_is_told_under_its_new_name_only() {
        let mut index = Index::with_file("/m/a.mp3", 7);
        index.scan("/m", vec![Seen { known: Some(entry(7)), ..seen("/m/new.mp3", 1) }]);
        assert_eq!(index.served(), [(id(7), path("/m/new.mp3"))]);
        assert_eq!(index.announced(), (vec!["new.mp3".to_owned()], vec![]));
        assert_eq!(index.withdrawn(), []);
    }

    #[test]
    fn a_folder_that_vanishes_is_withdrawn_with_a_reason_and_offered_when_it_returns() {
        let mut index = Index::with_file("/m/a.mp3", 7);
        index.fail("/m", "the folder cannot be read");
        assert_eq!(index.announced(), (vec![], vec![id(7)]));
        let status = &index.state.shares(|_| 0)[0];
        assert_eq!((status.error.as_deref(), status.files), (Some("the folder cannot be read"), 0));
        let (at_ms, _) = index.state.poll_timeout().unwrap();
        assert!(at_ms <= index.now_ms + RETRY_MS);
        index.now_ms = at_ms;
        index.scan("/m", vec![Seen { known: Some(entry(7)), ..seen("/m/a.mp3", 1) }]);
        assert_eq!(index.announced(), (vec!["a.mp3".to_owned()], vec![]));
        assert_eq!(index.state.shares(|_| 0)[0].error, None);
    }

    #[test]
    fn a_file_in_two_shares_stays_until_both_are_gone() {
        let mut index = Index::sharing(&["/m", "/m/sub"]);
        index.scan("/m", vec![seen("/m/sub/a.mp3", 1)]);
        index.scan("/m/sub", vec![seen("/m/sub/a.mp3", 1)]);
        index.imported("/m/sub/a.mp3", 1, ready(7));
        index.announced();
        index.state.handle_unshare(index.now_ms, Path::new("/m")).unwrap();
        assert_eq!(index.announced(), (vec![], vec![]));
        index.state.handle_unshare(index.now_ms, Path::new("/m/sub")).unwrap();
        assert_eq!(index.announced(), (vec![], vec![id(7)]));
        let again = index.state.handle_unshare(index.now_ms, Path::new("/m/sub"));
        assert_eq!(again, Err(ShareError::NotShared(path("/m/sub"))));
    }

    #[test]
    fn what_served_wrong_bytes_is_forgotten_and_hashed_again() {
        let mut index = Index::with_file("/m/a.mp3", 7);
        index.state.handle_altered(index.now_ms, id(7));
        let outputs: Vec<Output> = std::iter::from_fn(|| index.state.poll_output()).collect();
        assert!(outputs.contains(&Output::Forget(stamp(1))));
        assert!(outputs.contains(&Output::Withdraw(id(7))));
        assert!(outputs.contains(&Output::Import(path("/m/a.mp3"), stamp(1))));
        assert!(!index.state.is_offered(id(7)));
    }

    #[test]
    fn an_unreadable_file_is_told_once_and_tried_again_now_and_then() {
        let mut index = Index::sharing(&["/m"]);
        let unreadable = || ImportOutcome::Unreadable { notice: "cannot read a.mp3".to_owned() };
        let mut tries = 0;
        for _ in 0..10 {
            index.scan("/m", vec![seen("/m/a.mp3", 1)]);
            for file in index.take_imports() {
                tries += 1;
                index.imported(file.to_str().unwrap(), 1, unreadable());
            }
            index.now_ms += RESCAN_MS / 2;
        }
        assert!((3..=6).contains(&tries), "{tries}");
        assert_eq!(index.notices, ["cannot read a.mp3"]);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_not_looked_at_again_until_it_changes() {
        let mut index = Index::sharing(&["/m"]);
        index.scan("/m", vec![seen("/m/a.mp3", 1)]);
        index.take_imports();
        index.imported("/m/a.mp3", 1, ImportOutcome::Skipped { notice: None });
        index.scan("/m", vec![seen("/m/a.mp3", 1)]);
        assert_eq!(index.take_imports(), [] as [PathBuf; 0]);
        index.scan("/m", vec![seen("/m/a.mp3", 2)]);
        assert_eq!(index.take_imports(), [path("/m/a.mp3")]);
    }

    #[test]
    fn a_change_during_a_scan_leads_to_another_scan() {
        let mut index = Index::sharing(&["/m"]);
        assert!(matches!(index.state.poll_output(), Some(Output::Scan(_))));
        index.now_ms += 5;
        index.state.handle_touched(index.now_ms, &[path("/m")].into());
        assert_eq!(index.state.poll_timeout(), None);
        index.state.handle_scanned(index.now_ms, scanned("/m", Ok(vec![])));
        let (at_ms, _) = index.state.poll_timeout().unwrap();
        assert!(at_ms <= index.now_ms + DEBOUNCE_MS);
    }

    #[test]
    fn bursts_of_changes_do_not_scan_without_pause() {
        let mut index = Index::sharing(&["/m"]);
        let mut scans = 0;
        for _ in 0..600 {
            index.now_ms += 100;
            index.state.handle_touched(index.now_ms, &[path("/m")].into());
            index.state.handle_timeout(index.now_ms);
            while let Some(output) = index.state.poll_output() {
                if matches!(output, Output::Scan(_)) {
                    scans += 1;
                    let scanned = Scanned { took_ms: 200, ..scanned("/m", Ok(vec![])) };
                    index.state.handle_scanned(index.now_ms, scanned);
                }
            }
        }
        assert!((20..=31).contains(&scans), "{scans} scans of 200 ms in 60 s");
    }

    #[test]
    fn few_files_are_imported_at_once_and_all_in_the_end() {
        let mut index = Index::sharing(&["/m"]);
        let names: Vec<String> = (0..20).map(|number| format!("/m/{number}.mp3")).collect();
        index.scan("/m", names.iter().map(|name| seen(name, 1)).collect());
        let mut done = 0;
        loop {
            let batch = index.take_imports();
            assert!(batch.len() <= MAX_IMPORTS);
            if batch.is_empty() {
                break;
            }
            for file in &batch {
                done += 1;
                index.imported(file.to_str().unwrap(), 1, ready(done));
            }
            let status = &index.state.shares(|_| 0)[0];
            assert_eq!(status.files + status.pending_files, 20);
        }
        assert_eq!(done, 20);
        assert_eq!(index.state.shares(|_| 0)[0].bytes, 20_000);
    }

    struct Index {
        state: FileIndexState,
        now_ms: u64,
        imports: Vec<PathBuf>,
        served: Vec<(ContentId, PathBuf)>,
        withdrawn: Vec<ContentId>,
        changed: Vec<String>,
        removed: Vec<ContentId>,
        notices: Vec<String>,
    }

    impl Index {
        fn sharing(folders: &[&str]) -> Self {
            let mut state = FileIndexState::default();
            for folder in folders {
                state.handle_share(1_000, path(folder)).unwrap();
            }
            Self {
                state,
                now_ms: 1_000,
                imports: vec![],
                served: vec![],
                withdrawn: vec![],
                changed: vec![],
                removed: vec![],
                notices: vec![],
            }
        }

        fn with_file(file: &str, content: u8) -> Self {
            let mut index = Self::sharing(&["/m"]);
            index.scan("/m", vec![seen(file, 1)]);
            index.imported(file, 1, ready(content));
            index.drain();
            index.forget();
            index
        }

        fn scan(&mut self, folder: &str, files: Vec<Seen>) {
            self.state.handle_timeout(self.now_ms);
            self.state.handle_scanned(self.now_ms, scanned(folder, Ok(files)));
        }

        fn fail(&mut self, folder: &str, why: &str) {
            self.state.handle_scanned(self.now_ms, scanned(folder, Err(why.to_owned())));
        }

        fn imported(&mut self, file: &str, version: u64, outcome: ImportOutcome) {
            let imported = Imported { path: path(file), stamp: stamp(version), outcome };
            self.state.handle_imported(self.now_ms, imported);
        }

        fn drain(&mut self) {
            while let Some(output) = self.state.poll_output() {
                match output {
                    Output::Import(path, _) => self.imports.push(path),
                    Output::Serve(content_id, path, _) => self.served.push((content_id, path)),
                    Output::Withdraw(content_id) => self.withdrawn.push(content_id),
                    Output::Announce(news) => {
                        self.changed.extend(news.changed.into_iter().map(|entry| entry.name));
                        self.removed.extend(news.removed);
                    }
                    Output::Notice(text) => self.notices.push(text),
                    Output::Scan(_) | Output::Release(_) | Output::Forget(_) => {}
                }
            }
        }

        fn forget(&mut self) {
            *self = Self {
                state: std::mem::take(&mut self.state),
                now_ms: self.now_ms,
                imports: vec![],
                served: vec![],
                withdrawn: vec![],
                changed: vec![],
                removed: vec![],
                notices: vec![],
            };
        }

        fn take_imports(&mut self) -> Vec<PathBuf> {
            self.drain();
            std::mem::take(&mut self.imports)
        }

        fn served(&mut self) -> Vec<(ContentId, PathBuf)> {
            self.drain();
            std::mem::take(&mut self.served)
        }

        fn withdrawn(&mut self) -> Vec<ContentId> {
            self.drain();
            std::mem::take(&mut self.withdrawn)
        }

        fn announced(&mut self) -> (Vec<String>, Vec<ContentId>) {
            self.drain();
            (std::mem::take(&mut self.changed), std::mem::take(&mut self.removed))
        }
    }

    fn path(text: &str) -> PathBuf {
        text.into()
    }

    fn id(number: u8) -> ContentId {
        ContentId([number; 32])
    }

    fn stamp(version: u64) -> Stamp {
        Stamp { size_bytes: 1_000, mtime_ns: version as i64, place: (1, 1) }
    }

    fn seen(file: &str, version: u64) -> Seen {
        Seen { path: path(file), stamp: stamp(version), at_rest: true, known: None }
    }

    fn scanned(folder: &str, files: Result<Vec<Seen>, String>) -> Scanned {
        Scanned { folder: path(folder), files, notices: vec![], watched: true, took_ms: 1 }
    }

    fn ready(content: u8) -> ImportOutcome {
        ImportOutcome::Ready(Box::new(entry(content)))
    }

    fn entry(content: u8) -> FileEntry {
        FileEntry {
            content_id: id(content),
            name: "remembered.mp3".to_owned(),
            size_bytes: 1_000,
            kind: MediaKind::Audio,
            duration_ms: 1,
            bitrate_bps: 1,
            container: "mp3".to_owned(),
            codecs: vec![],
            width: 0,
            height: 0,
            title: String::new(),
            artist: String::new(),
            album: String::new(),
            has_cover: false,
        }
    }
}
