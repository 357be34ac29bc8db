//! The table of contents: opening the cache, adding shared files, removing, making room, syncing.
//!
//! Invariant: of one content there is at most one shared and one partial [`Content`] alive here, and only the table hands them out; so
//! one that only the table holds has no user, and may be evicted.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, RwLock, Weak, mpsc},
    thread,
    time::Duration,
};

use shared::{ContentId, LeafSet, content::outboard_bytes, limits::MAX_CONTENT_BYTES};
use tracing::{debug, info, warn};

use super::{
    content::{Content, Parts},
    error::StoreError,
    files::{Doomed, Files, Outboard, boot_id},
    handles::Handles,
    ledger::Ledger,
    map::BootId,
    sync::{lock, read, write},
};

/// How often contents that are being written are synced to the disk.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(10);
/// Files kept open at once.
const MAX_HANDLES: usize = 192;
/// How often and how long to wait for another store to let go of the folder.
const LOCK_TRIES: u32 = 20;
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// At a time so much of the quota is given up, or so many bytes: often enough is as good as always, and costs less.
const QUOTA_STEPS: u64 = 128;
const MAX_STEP_BYTES: u64 = 16 << 20;

/// Where the cache is and how large it may grow.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The cache folder; made if it is not there. One process at a time may use it.
    pub cache_dir: PathBuf,
    /// The most verified bytes of other nodes' files.
    pub quota_bytes: u64,
}

/// The verified bytes of this node. Cheap to clone, thread-safe, blocking.
#[derive(Debug, Clone)]
pub struct Store(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) cache_dir: PathBuf,
    pub(super) table: RwLock<Table>,
    /// Held while contents from another boot are verified, and by whoever needs one of them.
    rechecking: Mutex<()>,
    /// Held while room is made.
    evicting: Mutex<()>,
    /// Held while folders of partial contents are made, moved or taken out of the table; locked before the table, which is not kept
    /// waiting for the disk.
    pub(super) folders: Mutex<()>,
    on_altered: RwLock<Option<AlteredHook>>,
    on_gone: RwLock<Option<GoneHook>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) handles: Arc<Handles>,
    pub(super) boot: BootId,
    this: Weak<Self>,
    /// Dropped with the store, which ends the sync thread.
    _stop_sync: mpsc::SyncSender<()>,
    /// Locked for as long as the store lives.
    _lock: File,
}

type AlteredHook = Box<dyn Fn(ContentId) + Send + Sync>;
type GoneHook = Box<dyn Fn(Arc<Content>) + Send + Sync>;

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) shared: BTreeMap<ContentId, Arc<Content>>,
    pub(super) partial: BTreeMap<ContentId, Arc<Content>>,
    /// Partial contents that are not believed until they are verified.
    pub(super) suspects: BTreeMap<ContentId, Arc<Content>>,
}

impl Store {
    /// Opens the cache: loads every map and sets aside what is malformed. What was left over is deleted, and what the machine died with is
    /// verified, in the background.
    pub fn open(config: StoreConfig) -> Result<Self, StoreError> {
        let StoreConfig { cache_dir, quota_bytes } = config;
        let folder_error = |error| StoreError::Folder { path: cache_dir.clone(), error };
        fs::create_dir_all(&cache_dir).map_err(folder_error)?;
        let lock = lock_folder(&cache_dir)?;
        let (stop_sync, stopped) = mpsc::sync_channel(1);
        let inner = Arc::new_cyclic(|this| Inner {
            cache_dir: cache_dir.clone(),
            table: RwLock::default(),
            rechecking: Mutex::new(()),
            evicting: Mutex::new(()),
            folders: Mutex::new(()),
            on_altered: RwLock::new(None),
            on_gone: RwLock::new(None),
            ledger: Arc::new(Ledger::new(quota_bytes)),
            handles: Arc::new(Handles::new(MAX_HANDLES)),
            boot: boot_id(),
            this: this.clone(),
            _stop_sync: stop_sync,
            _lock: lock,
        });
        let left_over = inner.load_all().map_err(folder_error)?;
        let weak = Arc::downgrade(&inner);
        let keeper = thread::Builder::new().name("store-keeper".to_owned());
        keeper.spawn(move || keep(&weak, left_over, &stopped)).map_err(StoreError::Io)?;
        Ok(Self(inner))
    }

    /// Adds a shared file, served where it lies. `outboard` is its hash tree: bytes, or a path to them.
    pub fn add_complete(
        &self,
        content_id: ContentId,
        path: PathBuf,
        size_bytes: u64,
        outboard: impl Into<Outboard>,
    ) -> Result<Arc<Content>, StoreError> {
        check_size(size_bytes)?;
        let outboard = outboard.into();
        let (expected, got) = (outboard_bytes(size_bytes), outboard.len_bytes()?);
        if expected != got {
            return Err(StoreError::BadOutboard { expected, got });
        }
        self.add_indexed(content_id, path, size_bytes, outboard)
    }

    /// The same without a look at the disk, for whoever has checked the hash tree. Where that is wrong after all, the content is withdrawn as
    /// soon as somebody wants something of it.
    pub fn add_indexed(
        &self,
        content_id: ContentId,
        path: PathBuf,
        size_bytes: u64,
        outboard: Outboard,
    ) -> Result<Arc<Content>, StoreError> {
        check_size(size_bytes)?;
        let files = Files::shared(path, outboard, Arc::clone(&self.0.handles));
        let content = Arc::new(self.0.content(content_id, size_bytes, files, None, false, 0));
        let replaced = write(&self.0.table).shared.insert(content_id, Arc::clone(&content));
        if let Some(old) = replaced {
            old.retire();
        }
        Ok(content)
    }

    /// Stops serving a shared file. Whoever has it open finds it gone.
    pub fn remove_complete(&self, content_id: &ContentId) {
        let removed = write(&self.0.table).shared.remove(content_id);
        if let Some(content) = removed {
            content.retire();
            self.0.tell_gone(&content);
        }
    }

    /// Deletes a partial content, finished or not. Whoever has it open finds it gone.
    pub fn remove_partial(&self, content_id: &ContentId) {
        self.0.settle(content_id);
        let folders = lock(&self.0.folders);
        let removed = write(&self.0.table).partial.remove(content_id);
        let doomed = removed.and_then(|content| self.0.doom(&content));
        drop(folders);
        delete_all(doomed);
    }

    /// A content that is shared, or of which something was fetched; a shared one first.
    pub fn get(&self, content_id: &ContentId) -> Option<Arc<Content>> {
        self.0.get(content_id)
    }

    /// Verified bytes of other nodes' files kept here.
    pub fn cache_bytes(&self) -> u64 {
        self.0.ledger.used_bytes()
    }

    /// The most of them.
    pub fn quota_bytes(&self) -> u64 {
        self.0.ledger.quota_bytes()
    }

    /// Changes the limit and makes room at once, as far as contents are not open.
    pub fn set_quota_bytes(&self, bytes: u64) {
        self.0.ledger.set_quota_bytes(bytes);
        self.0.make_room(0);
    }

    /// Has `hook` called, on whatever thread is reading, when a shared file turns out to have changed and was withdrawn.
    pub fn on_altered(&self, hook: impl Fn(ContentId) + Send + Sync + 'static) {
        *write(&self.0.on_altered) = Some(Box::new(hook));
    }

    /// Has `hook` called, on whatever thread it happens, when a content was deleted or is shared no longer: with what is left of it here,
    /// which is mostly the content itself, gone. The hook must not open or remove contents.
    pub fn on_gone(&self, hook: impl Fn(Arc<Content>) + Send + Sync + 'static) {
        *write(&self.0.on_gone) = Some(Box::new(hook));
    }

    /// Forces everything to the disk and marks what nobody has open as clean. For an orderly end.
    pub fn flush(&self) {
        self.0.flush(true);
    }
}

impl Inner {
    pub(super) fn content(
        &self,
        content_id: ContentId,
        size_bytes: u64,
        files: Files,
        held: Option<LeafSet>,
        is_dirty: bool,
        used_at_s: u64,
    ) -> Content {
        let (ledger, store, boot) = (Arc::clone(&self.ledger), self.this.clone(), self.boot);
        Content::new(Parts { content_id, size_bytes, files, held, is_dirty, used_at_s, ledger, store, boot })
    }

    fn get(&self, content_id: &ContentId) -> Option<Arc<Content>> {
        let table = read(&self.table);
        table.shared.get(content_id).or_else(|| table.partial.get(content_id)).cloned()
    }

    /// Verifies a content from another boot, or waits until that is done, so that it can be used.
    pub(super) fn settle(&self, content_id: &ContentId) {
        if !read(&self.table).suspects.contains_key(content_id) {
            return;
        }
        let _rechecking = lock(&self.rechecking);
        let Some(content) = read(&self.table).suspects.get(content_id).cloned() else { return };
        let rechecked = content.recheck().and_then(|lost| content.flush(true).map(|()| lost));
        let mut table = write(&self.table);
        table.suspects.remove(content_id);
        match rechecked {
            Ok(lost) => {
                info!(content = %content_id.short(), lost, bytes = content.verified_bytes(), "cached content verified after a crash");
                table.partial.insert(*content_id, content);
            }
            Err(error) => {
                warn!(content = %content_id.short(), %error, "cached content cannot be verified after a crash; left alone");
                self.ledger.release(content.retire());
            }
        }
    }

    fn settle_all(&self) {
        let suspects: Vec<ContentId> = read(&self.table).suspects.keys().copied().collect();
        suspects.iter().for_each(|content_id| self.settle(content_id));
    }

    /// Sees to it that `bytes` fit, as far as anything can be given up for them: whether they may. One thread does so at a time, or they would
    /// choose the same.
    pub(super) fn make_room(&self, bytes: u64) -> bool {
        let _evicting = lock(&self.evicting);
        let excess = self.ledger.excess_with(bytes);
        excess == 0 || self.free(excess) > 0
    }

    /// Gives up about `bytes`, whether or not the quota asks for it; whether that freed anything.
    pub(super) fn evict(&self, bytes: u64) -> bool {
        let _evicting = lock(&self.evicting);
        self.free(bytes) > 0
    }

    /// Frees `bytes`, and some more at once where there is much: deletes contents nobody has open, least recently used first, then gives up
    /// what is not needed of open ones. Returns how many were freed.
    fn free(&self, bytes: u64) -> u64 {
        let bytes = bytes.max((self.ledger.quota_bytes() / QUOTA_STEPS).min(MAX_STEP_BYTES));
        let mut freed = self.evict_idle(bytes);
        let mut open: Vec<_> = read(&self.table).partial.values().map(Arc::clone).collect();
        open.sort_by_key(|content| content.used_at_s());
        for content in open {
            if freed >= bytes {
                break;
            }
            freed += content.give_up_spare(bytes - freed);
        }
        freed
    }

    fn evict_idle(&self, bytes: u64) -> u64 {
        let folders = lock(&self.folders);
        let idle = self.take_idle(bytes);
        let freed = idle.iter().map(|content| content.verified_bytes()).sum();
        let doomed: Vec<Doomed> = idle.iter().filter_map(|content| self.doom(content)).collect();
        drop(folders);
        delete_all(doomed);
        freed
    }

    /// Takes contents that nobody has open out of the table, about `bytes` of them, the least recently used.
    fn take_idle(&self, bytes: u64) -> Vec<Arc<Content>> {
        let mut table = write(&self.table);
        let is_idle = |content: &&Arc<Content>| Arc::strong_count(content) == 1;
        let idle = table.partial.values().filter(is_idle);
        let mut idle: Vec<_> = idle
            .map(|content| (content.used_at_s(), content.content_id(), content.verified_bytes()))
            .collect();
        idle.sort_unstable();
        let (mut taken, mut left) = (Vec::new(), bytes);
        for (_, content_id, held_bytes) in idle {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(held_bytes);
            taken.extend(table.partial.remove(&content_id));
        }
        taken
    }

    /// Ends a content that was just taken out of the table, while no folder is made, so that its place is free.
    pub(super) fn doom(&self, content: &Arc<Content>) -> Option<Doomed> {
        let freed = content.retire();
        self.ledger.release(freed);
        self.tell_gone(content);
        debug!(content = %content.content_id().short(), freed, "cached content deleted");
        let failed = |error: &io::Error| warn!(content = %content.content_id().short(), %error, "cached content could not be deleted");
        content.files.doom().inspect_err(failed).ok()
    }

    /// A shared file has changed: forgets it and tells whoever indexes it.
    pub(super) fn withdraw(&self, content: &Content) {
        let content_id = content.content_id();
        let mut table = write(&self.table);
        let is_current =
            table.shared.get(&content_id).is_some_and(|current| std::ptr::eq(&raw const **current, content));
        let withdrawn = if is_current { table.shared.remove(&content_id) } else { None };
        drop(table);
        let Some(withdrawn) = withdrawn else { return };
        withdrawn.retire();
        self.tell_gone(&withdrawn);
        if let Some(hook) = &*read(&self.on_altered) {
            hook(content_id);
        }
    }

    /// Tells what is left of a content that was taken out of the table and retired.
    fn tell_gone(&self, content: &Arc<Content>) {
        if let Some(hook) = &*read(&self.on_gone) {
            hook(self.get(&content.content_id()).unwrap_or_else(|| Arc::clone(content)));
        }
    }

    /// Syncs what was written; with `all`, also contents that are open.
    fn flush(&self, all: bool) {
        let partial: Vec<_> = read(&self.table).partial.values().map(Arc::downgrade).collect();
        for content in partial {
            // One reference is the table's, one is taken here: then nobody else is writing.
            let Some(content) = content.upgrade() else { continue };
            let is_idle = Arc::strong_count(&content) <= 2;
            if (all || is_idle || content.has_unsynced())
                && let Err(error) = content.flush(is_idle || all)
            {
                warn!(content = %content.content_id().short(), %error, "cached content could not be synced");
            }
        }
    }

    pub(super) fn dir(&self, content_id: &ContentId) -> PathBuf {
        self.cache_dir.join(content_id.to_string())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.flush(true);
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("cache_dir", &self.cache_dir)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

/// The store's own thread: deletes what was left over, verifies suspects, then syncs now and then, until the store is dropped.
fn keep(store: &Weak<Inner>, left_over: Option<Doomed>, stopped: &mpsc::Receiver<()>) {
    delete_all(left_over);
    if let Some(store) = store.upgrade() {
        store.settle_all();
    }
    while stopped.recv_timeout(SYNC_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
        let Some(store) = store.upgrade() else { return };
        store.flush(false);
    }
}

fn lock_folder(cache_dir: &Path) -> Result<File, StoreError> {
    let folder_error = |error| StoreError::Folder { path: cache_dir.to_owned(), error };
    let file = File::create(cache_dir.join("lock")).map_err(folder_error)?;
    // A store that is being closed, here or by a process that was just replaced, is given a moment to let go.
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY),
            Err(TryLockError::Error(error)) => return Err(folder_error(error)),
        }
    }
    Err(StoreError::InUse(cache_dir.to_owned()))
}

pub(super) fn delete_all(doomed: impl IntoIterator<Item = Doomed>) {
    for folder in doomed {
        if let Err(error) = folder.delete() {
            warn!(%error, "deleted content left files behind; they go at the next start");
        }
    }
}

pub(super) const fn check_size(size_bytes: u64) -> Result<(), StoreError> {
    if size_bytes == 0 || size_bytes > MAX_CONTENT_BYTES {
        Err(StoreError::BadSize(size_bytes))
    } else {
        Ok(())
    }
}
