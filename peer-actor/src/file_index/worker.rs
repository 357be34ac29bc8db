//! The threads behind the index: one scans and watches, one writes down small things, [`MAX_IMPORTS`](super::state::MAX_IMPORTS) import.
//!
//! Invariant: the state hands out at most one scan and `MAX_IMPORTS` imports at a time, so the queues never fill; each job is answered by
//! exactly one report, even if it panics. Small things are written in the order in which they were decided. The threads end when the
//! [`Workers`] are dropped, imports at their next megabytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering, mpsc},
    thread,
};

use actix::WeakRecipient;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use shared::MediaKind;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use super::{
    import::{ImportProgress, import},
    messages::WorkerReport,
    persistence::Persistence,
    scan::scan,
    state::{ImportOutcome, Imported, MAX_IMPORTS, Scanned, Stamp},
};
use crate::{mailbox, probe::Probe};

/// Jobs that may wait: one scan, and a release per share that a person removes meanwhile.
const SCAN_QUEUE: usize = 64;
/// Small things that may wait to be written: folders a person shares meanwhile, and versions of files that turned out to be others.
const NOTE_QUEUE: usize = 256;

#[derive(Debug)]
pub(super) struct Workers {
    scans: mpsc::SyncSender<ScanJob>,
    imports: mpsc::SyncSender<ImportJob>,
    notes: mpsc::SyncSender<Note>,
    running: BTreeMap<PathBuf, Arc<ImportProgress>>,
    touched: Arc<Mutex<Touched>>,
}

#[derive(Debug)]
enum ScanJob {
    Scan(PathBuf),
    Release(PathBuf),
}

#[derive(Debug)]
struct ImportJob {
    path: PathBuf,
    stamp: Stamp,
    progress: Arc<ImportProgress>,
}

/// Something small to be written down.
#[derive(Debug)]
enum Note {
    /// A version of a file is not what is remembered of it.
    Forget(Stamp),
    /// A folder is shared, or is not; whether that was written.
    Share { folder: PathBuf, is_shared: bool, saved: oneshot::Sender<Result<(), String>> },
}

/// Folders that are watched, and those of them in which something changed since the index was told.
#[derive(Debug, Default)]
struct Touched {
    watched: BTreeSet<PathBuf>,
    pending: BTreeSet<PathBuf>,
}

impl Workers {
    pub(super) fn start(
        kind: Option<MediaKind>,
        probe: Probe,
        persistence: &Arc<Persistence>,
        reports: &WeakRecipient<WorkerReport>,
    ) -> std::io::Result<Self> {
        let touched = Arc::new(Mutex::new(Touched::default()));
        let (scans, scan_jobs) = mpsc::sync_channel(SCAN_QUEUE);
        let scanner = Scanner {
            persistence: Arc::clone(persistence),
            reports: reports.clone(),
            watcher: watcher(Arc::clone(&touched), reports.clone()),
            touched: Arc::clone(&touched),
        };
        thread::Builder::new().name("index-scan".to_owned()).spawn(move || scanner.run(&scan_jobs))?;
        let (imports, import_jobs) = mpsc::sync_channel(MAX_IMPORTS);
        let import_jobs = Arc::new(Mutex::new(import_jobs));
        for _ in 0..MAX_IMPORTS {
            let (jobs, persistence, reports) =
                (Arc::clone(&import_jobs), Arc::clone(persistence), reports.clone());
            let importer = thread::Builder::new().name("index-import".to_owned());
            importer.spawn(move || run_imports(&jobs, (kind, probe), &persistence, &reports))?;
        }
        let (notes, waiting) = mpsc::sync_channel(NOTE_QUEUE);
        let persistence = Arc::clone(persistence);
        let writer = thread::Builder::new().name("index-notes".to_owned());
        writer.spawn(move || write_notes(&waiting, &persistence))?;
        Ok(Self { scans, imports, notes, running: BTreeMap::new(), touched })
    }

    /// Has a version of a file forgotten. What an import finds out about it meanwhile may be forgotten with it: then the file is hashed once
    /// more after the next start.
    pub(super) fn forget(&self, stamp: Stamp) {
        if let Err(error) = self.notes.try_send(Note::Forget(stamp)) {
            warn!(%error, "file index could not forget a file");
        }
    }

    /// Has it written down that a folder is shared or not; tells whether it was, and nothing if the threads have ended.
    pub(super) fn save_share(
        &self,
        folder: PathBuf,
        is_shared: bool,
    ) -> oneshot::Receiver<Result<(), String>> {
        let (saved, answer) = oneshot::channel();
        if let Err(error) = self.notes.try_send(Note::Share { folder, is_shared, saved }) {
            warn!(%error, "the list of shared folders is not written down");
        }
        answer
    }

    pub(super) fn scan(&self, folder: PathBuf) {
        self.queue_scan(ScanJob::Scan(folder));
    }

    /// Stops watching a folder and calls off imports below it.
    pub(super) fn release(&self, folder: PathBuf) {
        for (path, progress) in &self.running {
            if path.starts_with(&folder) {
                progress.cancelled.store(true, Ordering::Relaxed);
            }
        }
        self.queue_scan(ScanJob::Release(folder));
    }

    pub(super) fn import(&mut self, path: PathBuf, stamp: Stamp) {
        let progress = Arc::new(ImportProgress::default());
        self.running.insert(path.clone(), Arc::clone(&progress));
        if self.imports.try_send(ImportJob { path, stamp, progress }).is_err() {
            warn!("import threads are gone");
        }
    }

    /// An import was reported.
    pub(super) fn finished(&mut self, path: &Path) {
        self.running.remove(path);
    }

    /// How far the import of a file is.
    pub(super) fn hashed_bytes(&self, path: &Path) -> u64 {
        self.running.get(path).map_or(0, |progress| progress.hashed_bytes.load(Ordering::Relaxed))
    }

    /// The folders in which something changed; the next change is told again.
    pub(super) fn take_touched(&self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut lock(&self.touched).pending)
    }

    fn queue_scan(&self, job: ScanJob) {
        if let Err(error) = self.scans.try_send(job) {
            warn!(%error, "the folder scanner does not keep up");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.running.values().for_each(|progress| progress.cancelled.store(true, Ordering::Relaxed));
    }
}

struct Scanner {
    persistence: Arc<Persistence>,
    reports: WeakRecipient<WorkerReport>,
    watcher: Option<RecommendedWatcher>,
    touched: Arc<Mutex<Touched>>,
}

impl Scanner {
    fn run(mut self, jobs: &mpsc::Receiver<ScanJob>) {
        if let Err(error) = self.persistence.collect_garbage() {
            warn!(%error, "old entries of the file index could not be removed");
        }
        for job in jobs {
            match job {
                ScanJob::Scan(folder) => {
                    let watched = self.watch(&folder);
                    let scanned =
                        catch_unwind(AssertUnwindSafe(|| scan(folder.clone(), watched, &self.persistence)));
                    let scanned = scanned.unwrap_or_else(|_| Scanned {
                        folder,
                        files: Err("the folder cannot be looked through".to_owned()),
                        notices: Vec::new(),
                        watched,
                        took_ms: 0,
                    });
                    report(&self.reports, WorkerReport::Scanned(scanned));
                }
                ScanJob::Release(folder) => {
                    if lock(&self.touched).watched.remove(&folder) {
                        self.unwatch(&folder);
                    }
                }
            }
        }
    }

    /// Watches a folder from before it is scanned, so that no change falls between.
    fn watch(&mut self, folder: &Path) -> bool {
        if !folder.is_dir() {
            // It has vanished, and the system forgets its watch; it is watched again when it returns.
            lock(&self.touched).watched.remove(folder);
            return false;
        }
        let Some(watcher) = &mut self.watcher else { return false };
        if lock(&self.touched).watched.contains(folder) {
            return true;
        }
        match watcher.watch(folder, RecursiveMode::Recursive) {
            Ok(()) => lock(&self.touched).watched.insert(folder.to_owned()),
            Err(error) => {
                debug!(folder = %folder.display(), %error, "folder is not watched; it is scanned often instead");
                false
            }
        }
    }

    fn unwatch(&mut self, folder: &Path) {
        if let Some(watcher) = &mut self.watcher
            && let Err(error) = watcher.unwatch(folder)
        {
            debug!(folder = %folder.display(), %error, "folder was not watched any more");
        }
    }
}

fn watcher(touched: Arc<Mutex<Touched>>, reports: WeakRecipient<WorkerReport>) -> Option<RecommendedWatcher> {
    let on_event = move |event: notify::Result<notify::Event>| {
        let mut touched = lock(&touched);
        let folders: Vec<PathBuf> = match &event {
            Ok(event) if event.kind.is_access() => return,
            Ok(event) if !event.need_rescan() => {
                let is_above = |folder: &&PathBuf| event.paths.iter().any(|path| path.starts_with(folder));
                touched.watched.iter().filter(is_above).cloned().collect()
            }
            Ok(_) | Err(_) => touched.watched.iter().cloned().collect(),
        };
        let was_told = !touched.pending.is_empty();
        touched.pending.extend(folders);
        if !was_told && !touched.pending.is_empty() {
            report(&reports, WorkerReport::Touched);
        }
    };
    notify::recommended_watcher(on_event)
        .inspect_err(
            |error| warn!(%error, "the system does not watch folders; they are scanned often instead"),
        )
        .ok()
}

fn run_imports(
    jobs: &Mutex<mpsc::Receiver<ImportJob>>,
    how: (Option<MediaKind>, Probe),
    persistence: &Persistence,
    reports: &WeakRecipient<WorkerReport>,
) {
    loop {
        let job = lock(jobs).recv();
        let Ok(ImportJob { path, stamp, progress }) = job else { return };
        let outcome = catch_unwind(AssertUnwindSafe(|| import(&path, stamp, how, &progress, persistence)));
        let outcome = outcome.unwrap_or_else(|_| ImportOutcome::Skipped {
            notice: Some(format!("{} is not shared: it cannot be understood", path.display())),
        });
        report(reports, WorkerReport::Imported(Imported { path, stamp, outcome }));
    }
}

fn write_notes(notes: &mpsc::Receiver<Note>, persistence: &Persistence) {
    for note in notes {
        match note {
            Note::Forget(stamp) => {
                if let Err(error) = persistence.forget(&stamp) {
                    warn!(%error, "file index could not forget a file");
                }
            }
            Note::Share { folder, is_shared, saved } => {
                let written = persistence.set_shared(&folder, is_shared).map_err(|error| error.to_string());
                if saved.send(written).is_err() {
                    debug!(folder = %folder.display(), "nobody waits to hear that a folder was written down");
                }
            }
        }
    }
}

/// Weakly, so that the threads end with the actor and do not keep it alive.
fn report(to: &WeakRecipient<WorkerReport>, report: WorkerReport) {
    if let Some(to) = to.upgrade() {
        mailbox::post(&to, report);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
