//! The observer: gathers what may be seen of the node into one snapshot, and passes the node's own files on to whom they concern.
//!
//! Invariant: a snapshot replaces the last one; nobody who watches slowly can make anything grow.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, Recipient, WrapFuture as _};
use shared::{
    ContentId, NodeId,
    schedule::rate::Meter,
    snapshot::{NetworkFile, NodeSnapshot, Notice, ShareStatus, StreamSnapshot, TrackerStatus},
    wire::{CatalogueEntry, FileEntry},
};
use tokio::sync::watch;

use crate::{
    chunk_scheduler::ObserveStreams,
    clock,
    discovery::{NetworkChanged, OwnFiles},
    file_index::{FilesChanged, IndexNotice, ListShares},
    mailbox,
    relay::Relays,
    store::Store,
    traffic::Traffic,
};

/// How often the snapshot is made anew.
const TICK: Duration = Duration::from_millis(250);
/// Notices that are kept.
const MAX_NOTICES: usize = 32;

/// Whom the observer asks and tells.
#[derive(Debug, Clone)]
pub(crate) struct ObserverRoutes {
    pub(crate) streams: Recipient<ObserveStreams>,
    pub(crate) shares: Recipient<ListShares>,
    pub(crate) own_files: Vec<Recipient<OwnFiles>>,
}

/// What does not change while the node runs.
#[derive(Debug, Clone)]
pub(crate) struct ObserverConfig {
    pub(crate) node: NodeId,
    pub(crate) listen_port: Option<u16>,
    pub(crate) cache_limit_bytes: u64,
}

/// A message to the person at the node.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct Notify {
    pub(crate) is_error: bool,
    pub(crate) text: String,
}

/// The gateway listens.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct GatewayUp(pub(crate) String);

/// The answers of one round.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Gathered {
    streams: Vec<Arc<StreamSnapshot>>,
    shares: Vec<ShareStatus>,
    cache_bytes: u64,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct ObserverActor {
    config: ObserverConfig,
    routes: ObserverRoutes,
    store: Store,
    traffic: Traffic,
    relays: Arc<Relays>,
    snapshots: watch::Sender<Arc<NodeSnapshot>>,
    network: Arc<Vec<CatalogueEntry>>,
    status: TrackerStatus,
    local: BTreeMap<ContentId, FileEntry>,
    files: Arc<Vec<NetworkFile>>,
    files_are_stale: bool,
    notices: VecDeque<Notice>,
    notice_count: u64,
    gateway_url: Option<String>,
    upload: Meter,
    download: Meter,
    counted: (u64, u64),
    is_gathering: bool,
}

impl ObserverActor {
    pub(crate) fn new(
        config: ObserverConfig,
        routes: ObserverRoutes,
        store: Store,
        traffic: Traffic,
        relays: Arc<Relays>,
        snapshots: watch::Sender<Arc<NodeSnapshot>>,
    ) -> Self {
        Self {
            config,
            routes,
            store,
            traffic,
            relays,
            snapshots,
            network: Arc::default(),
            status: TrackerStatus::default(),
            local: BTreeMap::new(),
            files: Arc::default(),
            files_are_stale: true,
            notices: VecDeque::new(),
            notice_count: 0,
            gateway_url: None,
            upload: Meter::default(),
            download: Meter::default(),
            counted: (0, 0),
            is_gathering: false,
        }
    }

    /// Asks everybody once; a round that is still under way is not overtaken.
    fn gather(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.is_gathering, true) {
            return;
        }
        let (routes, store, observer) = (self.routes.clone(), self.store.clone(), ctx.address());
        let round = async move {
            let streams = routes.streams.send(ObserveStreams).await.unwrap_or_default();
            let shares = routes.shares.send(ListShares).await.unwrap_or_default();
            let cache_bytes = store.cache_bytes();
            if observer.try_send(Gathered { streams, shares, cache_bytes }).is_err() {
                tracing::debug!("the observer has stopped");
            }
        };
        ctx.spawn(round.into_actor(self));
    }

    fn refresh_files(&mut self) {
        if !std::mem::take(&mut self.files_are_stale) {
            return;
        }
        let of_network = self.network.iter().map(|entry| {
            network_file(
                &entry.file,
                entry.sources,
                entry.at_origin,
                self.local.contains_key(&entry.file.content_id),
            )
        });
        let known: std::collections::BTreeSet<ContentId> =
            self.network.iter().map(|entry| entry.file.content_id).collect();
        let own = self.local.values().filter(|file| !known.contains(&file.content_id));
        let mut files: Vec<NetworkFile> =
            of_network.chain(own.map(|file| network_file(file, 1, false, true))).collect();
        files.sort_by(|a, b| a.name.cmp(&b.name).then(a.content_id.cmp(&b.content_id)));
        self.files = Arc::new(files);
    }

    fn note(&mut self, is_error: bool, text: String) {
        self.notice_count += 1;
        if self.notices.len() >= MAX_NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(Notice { number: self.notice_count, is_error, text });
    }

    fn publish(&mut self, gathered: Gathered) {
        self.refresh_files();
        let now_ms = clock::now_ms();
        let (uploaded_bytes, downloaded_bytes) = self.traffic.totals();
        self.upload.count(now_ms, uploaded_bytes - self.counted.0);
        self.download.count(now_ms, downloaded_bytes - self.counted.1);
        self.counted = (uploaded_bytes, downloaded_bytes);
        let snapshot = NodeSnapshot {
            node: Some(self.config.node),
            tracker: self.status.clone(),
            listen_port: self.config.listen_port,
            gateway_url: self.gateway_url.clone(),
            files: self.files.clone(),
            shares: gathered.shares,
            streams: gathered.streams,
            upload_bps: self.upload.bps(now_ms),
            download_bps: self.download.bps(now_ms),
            uploaded_bytes,
            downloaded_bytes,
            cache_bytes: gathered.cache_bytes,
            cache_limit_bytes: self.config.cache_limit_bytes,
            relaying: self.relays.snapshot(),
            notices: self.notices.iter().cloned().collect(),
        };
        self.snapshots.send_if_modified(|last| {
            let is_new = **last != snapshot;
            if is_new {
                *last = Arc::new(snapshot);
            }
            is_new
        });
    }
}

fn network_file(file: &FileEntry, sources: u32, at_origin: bool, is_local: bool) -> NetworkFile {
    NetworkFile {
        content_id: file.content_id,
        name: file.name.clone(),
        size: file.size_bytes,
        kind: file.kind,
        duration_ms: file.duration_ms,
        bitrate: file.bitrate_bps,
        codecs: file.codecs.clone(),
        container: file.container.clone(),
        width: file.width,
        height: file.height,
        title: file.title.clone(),
        artist: file.artist.clone(),
        album: file.album.clone(),
        sources,
        at_origin,
        has_cover: file.has_cover,
        is_local,
    }
}

impl Actor for ObserverActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, Self::gather);
    }
}

impl Handler<Gathered> for ObserverActor {
    type Result = ();

    fn handle(&mut self, gathered: Gathered, _: &mut Self::Context) {
        self.is_gathering = false;
        self.publish(gathered);
    }
}

impl Handler<NetworkChanged> for ObserverActor {
    type Result = ();

    fn handle(&mut self, network: NetworkChanged, ctx: &mut Self::Context) {
        self.files_are_stale |= !Arc::ptr_eq(&self.network, &network.files);
        self.network = network.files;
        self.status = network.status;
        self.gather(ctx);
    }
}

impl Handler<FilesChanged> for ObserverActor {
    type Result = ();

    fn handle(&mut self, files: FilesChanged, _: &mut Self::Context) {
        for content_id in &files.removed {
            self.local.remove(content_id);
        }
        for file in &files.changed {
            self.local.insert(file.content_id, file.clone());
        }
        self.files_are_stale = true;
        for listener in &self.routes.own_files {
            mailbox::post(
                listener,
                OwnFiles { changed: files.changed.clone(), removed: files.removed.clone() },
            );
        }
    }
}

impl Handler<IndexNotice> for ObserverActor {
    type Result = ();

    fn handle(&mut self, notice: IndexNotice, _: &mut Self::Context) {
        self.note(true, notice.text);
    }
}

impl Handler<Notify> for ObserverActor {
    type Result = ();

    fn handle(&mut self, notice: Notify, _: &mut Self::Context) {
        self.note(notice.is_error, notice.text);
    }
}

impl Handler<GatewayUp> for ObserverActor {
    type Result = ();

    fn handle(&mut self, GatewayUp(url): GatewayUp, _: &mut Self::Context) {
        self.gateway_url = Some(url);
    }
}
