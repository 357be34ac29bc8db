//! Starting a node: every actor is made here and nowhere else.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use actix::{Addr, AsyncContext as _, Context, Recipient, WeakRecipient};
use actix_web::{HttpRequest, HttpResponse, web};
use shared::{
    limits::MAX_LINKS,
    snapshot::NodeSnapshot,
    wire::{Holdings, PEER_PATH, RELAY_PATH},
};
use thiserror::Error;
use tokio::sync::watch;

use super::{
    config::NodeConfig,
    handle::{Inner, NodeHandle},
    observer::{ObserverActor, ObserverConfig, ObserverRoutes},
};
use crate::{
    chunk_scheduler::{ChunkSchedulerActor, LeavesLost, SchedulerRoutes},
    discovery::{DiscoveryActor, DiscoveryConfig, DiscoveryRoutes, ReportHoldings},
    file_index::{FileIndexActor, FileIndexConfig, FileIndexError},
    identity::{Identity, IdentityError, random_bytes},
    mailbox,
    path_planner::{IncomingLink, PathPlannerActor, PathPlannerConfig, PathPlannerRoutes, accept_peer},
    relay::{PEER_RELAYS, RelayLimits, RelayTally, Relays, accept_relay},
    session::LocalNode,
    store::{Store, StoreConfig, StoreError},
    traffic::Traffic,
    transport,
    uploader::{UploaderActor, UploaderRoutes},
};

/// Why a node cannot start.
#[derive(Debug, Error)]
pub enum NodeError {
    /// Its data directory cannot be used.
    #[error("cannot use {path} for this node's files: {source}")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Its key cannot be had.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its index cannot be opened.
    #[error(transparent)]
    Index(#[from] FileIndexError),
    /// Its address cannot be listened at.
    #[error("cannot listen at {address}: {source}; choose another address with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl NodeError {
    /// Whether another folder for the node's files would help; which option names it, the program knows.
    pub const fn is_about_folder(&self) -> bool {
        match self {
            Self::DataDir { .. } | Self::Index(FileIndexError::Persistence(_)) => true,
            Self::Store(error) => {
                matches!(error, StoreError::InUse(_) | StoreError::Folder { .. } | StoreError::Full)
            }
            Self::Identity(_) | Self::Index(FileIndexError::Thread(_)) | Self::Listen { .. } => false,
        }
    }
}

/// Everybody's address, while the node is being put together. Actors are given recipients, never these.
struct Wires {
    scheduler: Addr<ChunkSchedulerActor>,
    uploader: Addr<UploaderActor>,
    planner: Addr<PathPlannerActor>,
    discovery: Option<Addr<DiscoveryActor>>,
    index: Addr<FileIndexActor>,
    observer: Addr<ObserverActor>,
}

/// Everybody's mailbox before its actor runs, so that actors can be given each other's recipients.
struct Mailboxes {
    scheduler: Context<ChunkSchedulerActor>,
    uploader: Context<UploaderActor>,
    planner: Context<PathPlannerActor>,
    discovery: Option<Context<DiscoveryActor>>,
    observer: Context<ObserverActor>,
}

/// What several actors share.
struct Common {
    config: NodeConfig,
    local: LocalNode,
    store: Store,
    traffic: Traffic,
    relays: Arc<Relays>,
    seed: u64,
    listen_port: Option<u16>,
}

/// Starts a node on the current actix system. Shared folders are indexed in the background.
pub async fn start(config: NodeConfig) -> Result<NodeHandle, NodeError> {
    let (identity, store) = open_data(&config).await?;
    let local = LocalNode {
        identity: Arc::new(identity),
        role: config.role,
        kind: config.kind,
        agent: NodeConfig::agent(),
    };
    let mailboxes = Mailboxes::new(config.tracker_url.is_some());
    let wires = mailboxes.wires(&config, &store)?;
    let relays = Arc::new(Relays::new(relay_limits(&config), RelayTally::default()));
    let listen_port = match config.listen {
        Some(address) => {
            Some(listen(address, local.clone(), wires.planner.clone().recipient(), relays.clone())?)
        }
        None => None,
    };
    let seed = u64::from_le_bytes(random_bytes()?);
    let common = Common { config, local, store, traffic: Traffic::default(), relays, seed, listen_port };
    let snapshots = mailboxes.run(&wires, &common);
    Ok(wires.handle(&common, snapshots))
}

impl Mailboxes {
    fn new(has_tracker: bool) -> Self {
        Self {
            scheduler: Context::new(),
            uploader: Context::new(),
            planner: Context::new(),
            discovery: has_tracker.then(Context::new),
            observer: Context::new(),
        }
    }

    /// Starts the file index, which makes its own mailbox, and gathers everybody's address.
    fn wires(&self, config: &NodeConfig, store: &Store) -> Result<Wires, NodeError> {
        let observer = self.observer.address();
        self.follow_deletions(store);
        let index = FileIndexActor::start(FileIndexConfig {
            data_dir: config.data_dir.clone(),
            kind: config.kind,
            shares: config.shares.clone(),
            probe: config.probe,
            store: store.clone(),
            files_changed: observer.clone().recipient(),
            notices: Some(observer.clone().recipient()),
        })?;
        Ok(Wires {
            scheduler: self.scheduler.address(),
            uploader: self.uploader.address(),
            planner: self.planner.address(),
            discovery: self.discovery.as_ref().map(actix::AsyncContext::address),
            index,
            observer,
        })
    }

    /// Has followers and the tracker told of what is here no longer: once for each content that was opened or shared. Weakly, for actors hold
    /// the store.
    fn follow_deletions(&self, store: &Store) {
        let uploader = self.uploader.address().downgrade().recipient::<LeavesLost>();
        let discovery = self.discovery.as_ref();
        let discovery =
            discovery.map(|discovery| discovery.address().downgrade().recipient::<ReportHoldings>());
        store.on_gone(move |content| {
            let holdings = Holdings { content_id: content.content_id(), leaves: content.verified().count() };
            if let Some(discovery) = discovery.as_ref().and_then(WeakRecipient::upgrade) {
                mailbox::post(&discovery, ReportHoldings(holdings));
            }
            if let Some(uploader) = uploader.upgrade() {
                mailbox::post(&uploader, LeavesLost { content });
            }
        });
    }

    /// Runs every actor; what observers follow.
    fn run(self, wires: &Wires, common: &Common) -> watch::Receiver<Arc<NodeSnapshot>> {
        let (config, traffic) = (&common.config, &common.traffic);
        let scheduler = ChunkSchedulerActor::new(wires.scheduler_routes(), traffic.clone(), common.seed);
        self.scheduler.run(scheduler);

        let uploader_routes = UploaderRoutes {
            uplink: wires.planner.clone().recipient(),
            viewers: wires.scheduler.clone().recipient(),
            opened: wires.scheduler.clone().recipient(),
        };
        let uploader = UploaderActor::new(
            common.store.clone(),
            traffic.clone(),
            config.upload_limit_bps,
            common.relays.clone(),
            uploader_routes,
        );
        self.uploader.run(uploader);

        let planner_config = PathPlannerConfig {
            local: common.local.clone(),
            can_accept: common.listen_port.is_some(),
            seed: common.seed,
        };
        self.planner.run(PathPlannerActor::new(planner_config, wires.planner_routes()));

        if let (Some(mailbox), Some(tracker_url)) = (self.discovery, &config.tracker_url) {
            let discovery_config = DiscoveryConfig {
                tracker_url: tracker_url.clone(),
                local: common.local.clone(),
                listen_port: common.listen_port,
                addresses: config.addresses.clone(),
                upload_limit_bps: config.upload_limit_bps,
                relay_limit_bps: config.relay_limit_bps,
                seed: common.seed,
            };
            mailbox.run(DiscoveryActor::new(discovery_config, wires.discovery_routes(common.relays.clone())));
        }

        let (snapshots_in, snapshots) = watch::channel(Arc::<NodeSnapshot>::default());
        let observer_config = ObserverConfig {
            node: common.local.identity.node_id(),
            listen_port: common.listen_port,
            cache_limit_bytes: config.cache_limit_bytes,
        };
        let routes = wires.observer_routes();
        self.observer.run(ObserverActor::new(
            observer_config,
            routes,
            common.store.clone(),
            traffic.clone(),
            common.relays.clone(),
            snapshots_in,
        ));
        snapshots
    }
}

impl Wires {
    fn scheduler_routes(&self) -> SchedulerRoutes {
        SchedulerRoutes {
            watch: self.discovery.clone().map(Addr::recipient),
            hints: self.discovery.clone().map(Addr::recipient),
            forget: self.discovery.clone().map(Addr::recipient),
            holdings: self.discovery.clone().map(Addr::recipient),
            unwanted: self.planner.clone().recipient(),
            banned: self.planner.clone().recipient(),
            goodput: self.planner.clone().recipient(),
            gained: self.uploader.clone().recipient(),
            lost: self.uploader.clone().recipient(),
            idlers: self.uploader.clone().recipient(),
            uploader: self.uploader.clone().recipient(),
        }
    }

    fn planner_routes(&self) -> PathPlannerRoutes {
        PathPlannerRoutes {
            ask_path: self.discovery.clone().map(Addr::recipient),
            report: self.discovery.clone().map(Addr::recipient),
            links: vec![self.scheduler.clone().recipient(), self.uploader.clone().recipient()],
            to_viewer: self.scheduler.clone().recipient(),
            to_source: self.uploader.clone().recipient(),
        }
    }

    fn discovery_routes(&self, relays: Arc<Relays>) -> DiscoveryRoutes {
        DiscoveryRoutes {
            plans: vec![self.planner.clone().recipient(), self.scheduler.clone().recipient()],
            paths: self.planner.clone().recipient(),
            gone: self.planner.clone().recipient(),
            network: self.observer.clone().recipient(),
            uplink: self.uploader.clone().recipient(),
            relays,
            own_hints: Some(self.index.clone().recipient()),
        }
    }

    fn observer_routes(&self) -> ObserverRoutes {
        let discovery = self.discovery.clone().map(Addr::recipient);
        ObserverRoutes {
            streams: self.scheduler.clone().recipient(),
            shares: self.index.clone().recipient(),
            own_files: discovery.into_iter().chain([self.uploader.clone().recipient()]).collect(),
        }
    }

    fn handle(self, common: &Common, snapshots: watch::Receiver<Arc<NodeSnapshot>>) -> NodeHandle {
        let inner = Inner {
            local: common.local.clone(),
            listen_port: common.listen_port,
            store: common.store.clone(),
            snapshots,
            open: self.scheduler.clone().recipient(),
            subscribe: self.scheduler.recipient(),
            share: self.index.clone().recipient(),
            unshare: self.index.clone().recipient(),
            local_hints: self.index.recipient(),
            hints: self.discovery.clone().map(Addr::recipient),
            incoming: self.planner.clone().recipient(),
            notify: self.observer.clone().recipient(),
            gateway_up: self.observer.recipient(),
            stop_planner: self.planner.recipient(),
            stop_discovery: self.discovery.map(Addr::recipient),
        };
        NodeHandle { inner: Arc::new(inner) }
    }
}

async fn open_data(config: &NodeConfig) -> Result<(Identity, Store), NodeError> {
    let data_dir = config.data_dir.clone();
    let quota_bytes = config.cache_limit_bytes;
    let opened = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&data_dir)
            .map_err(|source| NodeError::DataDir { path: data_dir.clone(), source })?;
        let identity = Identity::load_or_create(&data_dir.join("key"))?;
        let store = Store::open(StoreConfig { cache_dir: data_dir.join("cache"), quota_bytes })?;
        Ok((identity, store))
    });
    opened.await.unwrap_or_else(|error| {
        Err(NodeError::DataDir { path: config.data_dir.clone(), source: std::io::Error::other(error) })
    })
}

/// What the node is willing to relay for others.
const fn relay_limits(config: &NodeConfig) -> RelayLimits {
    match config.relay_limit_bps {
        0 => RelayLimits::NONE,
        bps => RelayLimits { most: PEER_RELAYS, bps, tokens: 8 * PEER_RELAYS },
    }
}

/// Mounts the peer endpoint, and the relay's, in a server of its own; its port.
fn listen(
    address: SocketAddr,
    local: LocalNode,
    planner: Recipient<IncomingLink>,
    relays: Arc<Relays>,
) -> Result<u16, NodeError> {
    let failed = |source| NodeError::Listen { address, source };
    let endpoint = web::Data::new((local, planner));
    let relays = web::Data::new(relays);
    let connections = 2 * MAX_LINKS + shared::limits::MAX_UNGREETED + 2 * PEER_RELAYS;
    transport::serve(address, connections, move |routes| {
        routes
            .app_data(endpoint.clone())
            .app_data(relays.clone())
            .route(PEER_PATH, web::get().to(neighbour))
            .route(&format!("{RELAY_PATH}/{{token}}"), web::get().to(relay));
    })
    .map_err(failed)
}

async fn neighbour(
    request: HttpRequest,
    payload: web::Payload,
    endpoint: web::Data<(LocalNode, Recipient<IncomingLink>)>,
) -> Result<HttpResponse, actix_web::Error> {
    let (local, planner) = endpoint.get_ref();
    accept_peer(&request, payload, local, planner)
}

async fn relay(
    request: HttpRequest,
    payload: web::Payload,
    token: web::Path<String>,
    relays: web::Data<Arc<Relays>>,
) -> Result<HttpResponse, actix_web::Error> {
    accept_relay(&request, payload, &token, relays.get_ref())
}
