//! A peer that shares a file and, after some honest chunks, serves wrong bytes for it: right proofs, one bit turned.
//!
//! It is a good citizen otherwise: registers, can be dialled, keeps to credit, answers what it is asked. It exists for tests alone.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use peer_actor::{
    clock,
    identity::random_bytes,
    session::{Audience, LocalNode, SessionOutput, SessionState, Side},
    store::{Content, Store, StoreConfig},
    transport::{LinkEvent, LinkEvents, LinkHandle, accept, keep_socket},
};
use shared::{
    ContentId, content,
    wire::{
        Data, FileEntry, FilesDelta, Frame, Have, LinkMessage, Message, PEER_PATH, PeerMessage, Refuse,
        RefuseReason, Register, WantedChunk,
    },
};
use tempfile::TempDir;

use super::guest::{self, Guest};

/// A running liar. Dropping it ends it.
#[derive(Debug)]
pub struct Liar {
    /// Who it is; whoever has its key can say so again.
    pub local: LocalNode,
    /// What it did.
    pub deeds: Arc<Deeds>,
    stop: mpsc::SyncSender<()>,
    threads: Vec<JoinHandle<()>>,
    server: actix_web::dev::ServerHandle,
    _folder: TempDir,
}

/// What a liar did so far.
#[derive(Debug, Default)]
pub struct Deeds {
    /// Sessions viewers opened with it.
    pub sessions: AtomicU64,
    /// Chunks it was asked for.
    pub requests: AtomicU64,
    /// Chunks served as they are.
    pub honest_chunks: AtomicU64,
    /// Chunks served wrong.
    pub wrong_chunks: AtomicU64,
}

/// What every session of the liar holds.
struct Ruse {
    local: LocalNode,
    content: Arc<Content>,
    honest_chunks: u64,
    deeds: Arc<Deeds>,
    last_error: Mutex<Option<String>>,
}

impl Liar {
    /// Shares `file`, described by `entry`, at the tracker, and serves its first `honest_chunks` chunks honestly.
    pub fn start(tracker: SocketAddr, file: &Path, entry: FileEntry, honest_chunks: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let content = share(&folder, file)?;
        ensure!(content.content_id() == entry.content_id, "the entry describes another file");
        let local = guest::node(entry.kind)?;
        let deeds = Arc::new(Deeds::default());
        let ruse = web::Data::new(Ruse {
            local: local.clone(),
            content,
            honest_chunks,
            deeds: deeds.clone(),
            last_error: Mutex::default(),
        });
        let (ready, served) = mpsc::sync_channel(1);
        let serving = std::thread::Builder::new().name("liar".into()).spawn(move || serve(&ruse, &ready))?;
        let (server, port) = served.recv().context("the liar could not listen")?;
        let (stop, stopped) = mpsc::sync_channel(1);
        let guest = register(tracker, &local, port, entry)?;
        let presence =
            std::thread::Builder::new().name("liar-presence".into()).spawn(move || stay(guest, &stopped))?;
        Ok(Self { local, deeds, stop, threads: vec![presence, serving], server, _folder: folder })
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stop.try_send(()).ok();
        drop(self.server.stop(false));
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn share(folder: &TempDir, file: &Path) -> Result<Arc<Content>> {
    let bytes = std::fs::read(file)?;
    let size_bytes = bytes.len() as u64;
    let (id, pairs): (ContentId, Vec<u8>) =
        content::build(bytes.as_slice(), size_bytes, |_| ControlFlow::Continue(()))
            .map_err(|error| anyhow!("cannot hash: {error:?}"))?;
    let store = Store::open(StoreConfig { cache_dir: folder.path().join("cache"), quota_bytes: 1 << 30 })?;
    Ok(store.add_complete(id, file.into(), size_bytes, pairs)?)
}

fn register(tracker: SocketAddr, local: &LocalNode, port: u16, entry: FileEntry) -> Result<Guest> {
    let mut guest = Guest::at_tracker(tracker, local, None)?;
    guest.send(Register {
        listen_port: Some(port),
        addresses: Vec::new(),
        upload_limit_bps: 0,
        relay_limit_bps: 0,
    })?;
    ensure!(guest.next(Duration::from_secs(5))?.is_some(), "the tracker did not answer a registration");
    guest.send(FilesDelta { version: 1, reset: true, changed: vec![entry], removed: Vec::new() })?;
    Ok(guest)
}

/// Keeps the liar's session with the tracker.
fn stay(mut guest: Guest, stopped: &mpsc::Receiver<()>) {
    while stopped.try_recv() == Err(mpsc::TryRecvError::Empty)
        && guest.ended().is_none()
        && guest.next(Duration::from_millis(200)).is_ok()
    {}
}

type Ready = mpsc::SyncSender<(actix_web::dev::ServerHandle, u16)>;

fn serve(ruse: &web::Data<Ruse>, ready: &Ready) {
    let served = actix_web::rt::System::new().block_on(async {
        let ruse = ruse.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(ruse.clone()).route(PEER_PATH, web::get().to(accept_viewer))
        })
        .workers(1)
        .on_connect(keep_socket)
        .disable_signals()
        .bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = server.addrs()[0].port();
        let running = server.run();
        if ready.send((running.handle(), port)).is_ok() {
            running.await?;
        }
        std::io::Result::Ok(())
    });
    if let Err(error) = served {
        let mut last_error = ruse.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        *last_error = Some(error.to_string());
    }
}

async fn accept_viewer(
    request: HttpRequest,
    payload: web::Payload,
    ruse: web::Data<Ruse>,
) -> Result<HttpResponse, actix_web::Error> {
    let (response, link, events) = accept(&request, payload)?;
    actix_web::rt::spawn(async move {
        if let Ok(conversation) = Conversation::new(ruse, link) {
            conversation.run(events).await;
        }
    });
    Ok(response)
}

/// One viewer.
struct Conversation {
    ruse: web::Data<Ruse>,
    link: LinkHandle,
    state: SessionState,
    queue: VecDeque<(ContentId, WantedChunk)>,
    granted_bytes: u64,
    sent_bytes: u64,
}

impl Conversation {
    fn new(ruse: web::Data<Ruse>, link: LinkHandle) -> Result<Self> {
        let audience = Audience { node: None, kind: ruse.local.kind, tracker: false };
        let local = ruse.local.clone();
        let state = SessionState::new(clock::now_ms(), local, Side::Acceptor, audience, random_bytes()?);
        Ok(Self { ruse, link, state, queue: VecDeque::new(), granted_bytes: 0, sent_bytes: 0 })
    }

    async fn run(mut self, mut events: LinkEvents) {
        while self.drive() {
            let event = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
            match event {
                Ok(Some(LinkEvent::Frame(frame, _permit))) => {
                    let Ok(nonce) = random_bytes() else { break };
                    self.state.handle_frame(clock::now_ms(), clock::now_us(), frame, nonce);
                }
                Ok(Some(LinkEvent::Drained)) => drop(self.link.drained_bytes()),
                Ok(Some(LinkEvent::Closed(_)) | None) => break,
                Err(_) => self.state.handle_timeout(clock::now_ms(), clock::now_us()),
            }
        }
        // A refusal takes a moment to leave.
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.link.cut();
    }

    /// False once the session has ended.
    fn drive(&mut self) -> bool {
        while let Some(output) = self.state.poll_output() {
            match output {
                SessionOutput::Send(frame) => drop(self.link.try_send(frame).ok()),
                SessionOutput::Opened(_) => drop(self.ruse.deeds.sessions.fetch_add(1, Relaxed)),
                SessionOutput::Deliver(frame) => self.answer(frame),
                SessionOutput::Measured(_) | SessionOutput::Probed(_) => {}
                SessionOutput::Closed(_) => return false,
            }
        }
        self.serve_queue();
        true
    }

    fn answer(&mut self, frame: Frame) {
        let content = &self.ruse.content;
        match frame.message {
            Message::Link(LinkMessage::Credit(credit)) => self.granted_bytes = credit.granted_bytes,
            Message::Peer(PeerMessage::Open(open)) if open.content_id == content.content_id() => {
                let have = Have {
                    content_id: open.content_id,
                    size_bytes: content.size_bytes(),
                    reset: true,
                    complete: true,
                    ranges: Vec::new(),
                    backlog_ms: 0,
                };
                self.link.try_send(have).ok();
            }
            Message::Peer(PeerMessage::Request(request)) => {
                self.ruse.deeds.requests.fetch_add(request.chunks.len() as u64, Relaxed);
                self.queue.extend(request.chunks.iter().map(|chunk| (request.content_id, *chunk)));
            }
            Message::Peer(PeerMessage::Cancel(cancel)) => {
                self.queue.retain(|(_, chunk)| !cancel.ids.contains(&chunk.id));
            }
            Message::Peer(PeerMessage::Flush(_) | PeerMessage::Close(_)) => self.queue.clear(),
            Message::Peer(_) | Message::Link(_) | Message::Tracker(_) | Message::Handshake(_) => {}
        }
    }

    fn serve_queue(&mut self) {
        while let Some((content_id, chunk)) = self.queue.front().copied() {
            let Some((proof, payload)) = self.bytes_of(&content_id, &chunk) else {
                let reason = RefuseReason::NotHere;
                self.link.try_send(Refuse { id: chunk.id, content_id, reason }).ok();
                self.queue.pop_front();
                continue;
            };
            let payload_bytes = payload.len() as u64;
            if self.sent_bytes + payload_bytes > self.granted_bytes {
                return;
            }
            let deeds = self.ruse.deeds.clone();
            let is_honest = deeds.honest_chunks.load(Relaxed) < self.ruse.honest_chunks;
            let payload = if is_honest { payload } else { turn_a_bit(&payload) };
            let branch = self.ruse.content.read_branch(chunk.leaves, chunk.branch);
            let data = Data { id: chunk.id, leaves: chunk.leaves, proof, branch };
            if self.link.try_send(Frame::data(data, payload)).is_err() {
                return;
            }
            self.queue.pop_front();
            self.sent_bytes += payload_bytes;
            if is_honest {
                deeds.honest_chunks.fetch_add(1, Relaxed);
            } else {
                deeds.wrong_chunks.fetch_add(1, Relaxed);
            }
        }
    }

    fn bytes_of(&self, content_id: &ContentId, chunk: &WantedChunk) -> Option<(Vec<[[u8; 32]; 2]>, Bytes)> {
        let content = &self.ruse.content;
        let is_ours = *content_id == content.content_id();
        is_ours.then(|| content.read_chunk(chunk.leaves, chunk.proof_skip).ok()).flatten()
    }
}

fn turn_a_bit(payload: &[u8]) -> Bytes {
    let mut wrong = BytesMut::from(payload);
    let middle = wrong.len() / 2;
    wrong[middle] ^= 0x10;
    wrong.freeze()
}

/// The catalogue's description of a file as the file's sharer would give it.
pub fn entry_of(file: &shared::snapshot::NetworkFile) -> FileEntry {
    FileEntry {
        content_id: file.content_id,
        name: file.name.clone(),
        size_bytes: file.size,
        kind: file.kind,
        duration_ms: file.duration_ms,
        bitrate_bps: file.bitrate,
        container: file.container.clone(),
        codecs: file.codecs.clone(),
        width: file.width,
        height: file.height,
        title: file.title.clone(),
        artist: file.artist.clone(),
        album: file.album.clone(),
        has_cover: false,
    }
}
