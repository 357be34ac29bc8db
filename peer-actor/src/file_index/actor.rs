//! The index's shell: one timer, worker threads, and the store.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, MessageResult, Recipient,
    ResponseActFuture, ResponseFuture, WeakAddr, WrapFuture as _,
};
use actix_rt::task::JoinHandle;
use shared::{MediaKind, snapshot::ShareStatus, wire::Hints};
use thiserror::Error;
use tracing::{info, warn};

use super::{
    messages::{
        ContentAltered, FilesChanged, GetLocalHints, IndexNotice, ListShares, ShareError, ShareFolder,
        UnshareFolder, WorkerReport,
    },
    persistence::{Persistence, PersistenceError},
    state::{FileIndexState, Output},
    worker::Workers,
};
use crate::{
    clock, mailbox,
    probe::Probe,
    store::{Outboard, Store},
};

/// What the index needs.
#[derive(Debug, Clone)]
pub struct FileIndexConfig {
    /// Where the index and the hash trees are kept.
    pub data_dir: PathBuf,
    /// The kind of files that are shared; none shares both.
    pub kind: Option<MediaKind>,
    /// Folders to share as long as this process lives, beside those shared by [`ShareFolder`], which are remembered.
    pub shares: Vec<PathBuf>,
    /// Looks into files.
    pub probe: Probe,
    /// Serves the files.
    pub store: Store,
    /// Told what is offered.
    pub files_changed: Recipient<FilesChanged>,
    /// Told what a person should know.
    pub notices: Option<Recipient<IndexNotice>>,
}

/// Why the index cannot start.
#[derive(Debug, Error)]
pub enum FileIndexError {
    /// The data folder or the database.
    #[error(transparent)]
    Persistence(#[from] PersistenceError),
    /// A thread could not be started.
    #[error("a worker thread could not be started: {0}")]
    Thread(#[from] io::Error),
}

/// The file index.
#[derive(Debug)]
pub struct FileIndexActor {
    state: FileIndexState,
    persistence: Arc<Persistence>,
    workers: Workers,
    store: Store,
    files_changed: Recipient<FilesChanged>,
    notices: Option<Recipient<IndexNotice>>,
    timer: Option<(u64, JoinHandle<()>)>,
}

impl FileIndexActor {
    /// Starts the index on the current arbiter. What is remembered is offered after the first scan of each folder.
    pub fn start(config: FileIndexConfig) -> Result<Addr<Self>, FileIndexError> {
        let FileIndexConfig { data_dir, kind, shares, probe, store, files_changed, notices } = config;
        let persistence = Arc::new(Persistence::open(&data_dir)?);
        if let (Some(damaged), Some(notices)) = (persistence.damaged(), &notices) {
            mailbox::post(notices, IndexNotice { text: begun_anew(damaged) });
        }
        let remembered = persistence.shares()?;
        let ctx = Context::new();
        let workers = Workers::start(kind, probe, &persistence, &ctx.address().downgrade().recipient())?;
        let mut state = FileIndexState::default();
        for folder in shares.into_iter().chain(remembered) {
            let folder = real_path(folder);
            if state.handle_share(clock::now_ms(), folder.clone()).is_ok() {
                info!(folder = %folder.display(), "folder shared");
            }
        }
        let altered = ctx.address().downgrade();
        store.on_altered(move |content_id| {
            if let Some(index) = altered.upgrade() {
                mailbox::post(&index.recipient(), ContentAltered(content_id));
            }
        });
        Ok(ctx.run(Self { state, persistence, workers, store, files_changed, notices, timer: None }))
    }

    fn drive(&mut self, ctx: &mut Context<Self>) {
        let now_ms = clock::now_ms();
        if self.state.poll_timeout().is_some_and(|(at_ms, _)| at_ms <= now_ms) {
            self.state.handle_timeout(now_ms);
        }
        while let Some(output) = self.state.poll_output() {
            self.perform(output);
        }
        let due = self.state.poll_timeout().map(|(at_ms, _)| at_ms);
        if self.timer.as_ref().map(|(at_ms, _)| *at_ms) != due {
            self.stop_timer();
            self.timer = due.map(|at_ms| (at_ms, wake(at_ms, ctx.address().downgrade())));
        }
    }

    /// A folder is shared or no longer shared from now on, if the state agrees; what follows is that it is written down.
    fn decided(
        &mut self,
        ctx: &mut Context<Self>,
        folder: Result<PathBuf, ShareError>,
        is_shared: bool,
    ) -> impl Future<Output = Result<(), ShareError>> + use<> {
        let now_ms = clock::now_ms();
        let saving = folder.and_then(|folder| {
            match is_shared {
                true => self.state.handle_share(now_ms, folder.clone())?,
                false => self.state.handle_unshare(now_ms, &folder)?,
            }
            let what = if is_shared { "folder shared" } else { "folder no longer shared" };
            info!(folder = %folder.display(), "{what}");
            Ok(self.workers.save_share(folder, is_shared))
        });
        self.drive(ctx);
        async move {
            let saved = saving?.await.unwrap_or_else(|_| Err("the index has ended".to_owned()));
            saved.map_err(ShareError::NotSaved)
        }
    }

    fn stop_timer(&mut self) {
        if let Some((_, timer)) = self.timer.take() {
            timer.abort();
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Scan(folder) => self.workers.scan(folder),
            Output::Import(path, stamp) => self.workers.import(path, stamp),
            Output::Release(folder) => self.workers.release(folder),
            Output::Serve(content_id, path, size_bytes) => {
                let outboard = Outboard::File(self.persistence.outboard_path(content_id));
                if let Err(error) = self.store.add_indexed(content_id, path, size_bytes, outboard) {
                    warn!(content = %content_id.short(), %error, "a shared file cannot be served; hashed again");
                    self.state.handle_altered(clock::now_ms(), content_id);
                }
            }
            Output::Withdraw(content_id) => self.store.remove_complete(&content_id),
            Output::Forget(stamp) => self.workers.forget(stamp),
            Output::Announce(news) => mailbox::post(&self.files_changed, news),
            Output::Notice(text) => {
                warn!("{text}");
                if let Some(notices) = &self.notices {
                    mailbox::post(notices, IndexNotice { text });
                }
            }
        }
    }
}

impl Drop for FileIndexActor {
    fn drop(&mut self) {
        self.stop_timer();
    }
}

/// Asks the disk about a folder, off the actor's thread: it may be slow, or on a host that does not answer.
async fn look(
    path: PathBuf,
    looking: impl FnOnce() -> Result<PathBuf, ShareError> + Send + 'static,
) -> Result<PathBuf, ShareError> {
    let looked = actix_rt::task::spawn_blocking(looking).await;
    looked.unwrap_or_else(|error| Err(ShareError::Unreadable { path, reason: error.to_string() }))
}

/// The folder a person means, if it is one.
fn look_at(path: PathBuf) -> Result<PathBuf, ShareError> {
    let folder = path.canonicalize().map_err(|error| match error.kind() == io::ErrorKind::NotFound {
        true => ShareError::Missing(path.clone()),
        false => ShareError::Unreadable { path: path.clone(), reason: error.to_string() },
    })?;
    if folder.is_dir() { Ok(folder) } else { Err(ShareError::NotAFolder(path)) }
}

/// A folder by its one name, as far as it can be found out.
fn real_path(path: PathBuf) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(&path)).unwrap_or(path)
}

fn begun_anew(damaged: &Path) -> String {
    format!(
        "the file index was damaged and is begun anew (the old one is kept as {}): every file is hashed again, and folders that were shared while the program ran must be shared again",
        damaged.display()
    )
}

/// A timer outside the actor's context: one inside would keep the actor alive after its last address is gone.
fn wake(at_ms: u64, index: WeakAddr<FileIndexActor>) -> JoinHandle<()> {
    actix_rt::spawn(async move {
        actix_rt::time::sleep(clock::until_ms(at_ms)).await;
        if let Some(index) = index.upgrade() {
            mailbox::post(&index.recipient(), WorkerReport::Due);
        }
    })
}

impl Actor for FileIndexActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.drive(ctx);
    }
}

impl Handler<ShareFolder> for FileIndexActor {
    type Result = ResponseActFuture<Self, Result<(), ShareError>>;

    fn handle(&mut self, ShareFolder { path }: ShareFolder, _: &mut Self::Context) -> Self::Result {
        let looked = look(path.clone(), move || look_at(path)).into_actor(self);
        Box::pin(looked.then(|folder, actor, ctx| actor.decided(ctx, folder, true).into_actor(actor)))
    }
}

impl Handler<UnshareFolder> for FileIndexActor {
    type Result = ResponseActFuture<Self, Result<(), ShareError>>;

    fn handle(&mut self, UnshareFolder { path }: UnshareFolder, _: &mut Self::Context) -> Self::Result {
        let looked = look(path.clone(), move || Ok(real_path(path))).into_actor(self);
        Box::pin(looked.then(|folder, actor, ctx| actor.decided(ctx, folder, false).into_actor(actor)))
    }
}

impl Handler<ListShares> for FileIndexActor {
    type Result = MessageResult<ListShares>;

    fn handle(&mut self, _: ListShares, _: &mut Self::Context) -> Self::Result {
        let shares: Vec<ShareStatus> = self.state.shares(|path| self.workers.hashed_bytes(path));
        MessageResult(shares)
    }
}

impl Handler<GetLocalHints> for FileIndexActor {
    type Result = ResponseFuture<Option<Hints>>;

    fn handle(&mut self, GetLocalHints { content_id }: GetLocalHints, _: &mut Self::Context) -> Self::Result {
        let persistence = Arc::clone(&self.persistence);
        let is_offered = self.state.is_offered(content_id);
        Box::pin(async move {
            if !is_offered {
                return None;
            }
            let read = actix_rt::task::spawn_blocking(move || persistence.hints(content_id)).await;
            match read {
                Ok(Ok(hints)) => hints,
                Ok(Err(error)) => {
                    warn!(content = %content_id.short(), %error, "hints cannot be read");
                    None
                }
                Err(_) => None,
            }
        })
    }
}

impl Handler<ContentAltered> for FileIndexActor {
    type Result = ();

    fn handle(&mut self, ContentAltered(content_id): ContentAltered, ctx: &mut Self::Context) {
        self.state.handle_altered(clock::now_ms(), content_id);
        self.drive(ctx);
    }
}

impl Handler<WorkerReport> for FileIndexActor {
    type Result = ();

    fn handle(&mut self, report: WorkerReport, ctx: &mut Self::Context) {
        let now_ms = clock::now_ms();
        match report {
            WorkerReport::Scanned(scanned) => self.state.handle_scanned(now_ms, scanned),
            WorkerReport::Imported(imported) => {
                self.workers.finished(&imported.path);
                self.state.handle_imported(now_ms, imported);
            }
            WorkerReport::Due => self.timer = None,
            WorkerReport::Touched => self.state.handle_touched(now_ms, &self.workers.take_touched()),
        }
        self.drive(ctx);
    }
}
