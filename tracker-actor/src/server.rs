//! The composition root: one HTTP server, two actors, a session for every client; the only file that knows them all.
//!
//! Sessions live on the worker thread that accepted them; the file index and the path planner each have a thread of their own.

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, OnceLock, atomic::AtomicUsize},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix::{Actor as _, Addr, Arbiter};
use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    http::header,
    middleware::DefaultHeaders,
    web::{self, Data, Payload},
};
use peer_actor::{
    clock,
    identity::{Identity, random_bytes},
    node::NodeHandle,
    relay::{RelayLimits, RelayTally, Relays, accept_relay},
    transport::{accept, answer_greeting, greeting, keep_socket},
};
use shared::{
    NodeId,
    wire::{PEER_PATH, RELAY_PATH, TRACKER_PATH},
};

use crate::{
    config::TrackerConfig,
    console::{self, ConsoleActor, Place},
    counters::ActorStats,
    dashboard,
    error::StartError,
    file_index::FileIndexActor,
    gatekeeper,
    observe::{History, Observatory},
    origin,
    path_planner::PathPlannerActor,
    registry::Registry,
    session::{CloseReason, SessionActor, Wiring, state::SessionConfig},
};

/// Connections the kernel queues before they are accepted.
const BACKLOG: u32 = 4_096;
/// Relay tokens that may wait to be claimed.
const MAX_TOKENS: usize = 4_096;
/// How often the tracker looks at itself.
const SAMPLE: Duration = Duration::from_secs(1);
/// Time for goodbyes to leave before the sockets close.
const FAREWELL: Duration = Duration::from_millis(250);

/// A running tracker. Dropping it does not stop it; [`RunningTracker::stop`] does.
#[derive(Debug)]
pub struct RunningTracker {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its key.
    pub node: NodeId,
    observatory: Observatory,
    origin: Option<NodeHandle>,
    server: ServerHandle,
    arbiters: [Arbiter; 2],
    sampler: actix_rt::task::JoinHandle<()>,
}

/// What every HTTP worker holds.
#[derive(Debug, Clone)]
struct Shared {
    wiring: Wiring,
    session: SessionConfig,
    relays: Arc<Relays>,
    origin: Arc<OnceLock<NodeHandle>>,
    access: crate::config::ConsoleAccess,
    consoles: Arc<AtomicUsize>,
}

/// Starts a tracker. Must be called inside an actix system.
pub async fn start(config: TrackerConfig) -> Result<RunningTracker, StartError> {
    for folder in &config.library {
        check_library(folder)?;
    }
    fs::create_dir_all(&config.data)
        .map_err(|source| StartError::Data { path: config.data.clone(), source })?;
    let identity = Arc::new(Identity::load_or_create(&config.data.join("tracker.key"))?);
    let node = identity.node_id();
    let registry = Arc::new(Registry::default());
    let relays = Arc::new(Relays::new(relay_limits(&config), relay_tally(&registry)));
    let arbiters = [Arbiter::new(), Arbiter::new()];
    let (wiring, observatory) = start_actors(&config, &arbiters, identity.clone(), registry, relays.clone());
    // The origin's key is known before the first connection, so that nobody else's is ever taken for it.
    let origin_id = if config.library.is_empty() { None } else { Some(origin::node_id(&config)?) };
    let shared = Shared {
        wiring,
        session: SessionConfig { identity, origin: origin_id },
        relays,
        origin: Arc::default(),
        access: config.console,
        consoles: Arc::default(),
    };
    let origin_slot = shared.origin.clone();
    let (server, address) = listen(&config, shared, observatory.clone())?;
    let origin = if config.library.is_empty() {
        None
    } else {
        let origin = origin::start(&config, address).await?;
        Some(origin_slot.get_or_init(|| origin).clone())
    };
    let sampler = actix_rt::spawn(sample(observatory.clone(), origin.clone()));
    tracing::info!(%address, node = %node.short(), "tracker ready: open http://localhost:{}/", address.port());
    Ok(RunningTracker { address, node, observatory, origin, server, arbiters, sampler })
}

/// Starts the file index and the path planner, each on its own thread; what sessions and observers need of them.
fn start_actors(
    config: &TrackerConfig,
    [planner_arbiter, index_arbiter]: &[Arbiter; 2],
    identity: Arc<Identity>,
    registry: Arc<Registry>,
    relays: Arc<Relays>,
) -> (Wiring, Observatory) {
    let node = identity.node_id();
    let (index_stats, planner_stats) = (Arc::new(ActorStats::default()), Arc::new(ActorStats::default()));
    let planner: Addr<PathPlannerActor> = {
        let (registry, stats, relays) = (registry.clone(), planner_stats.clone(), relays.clone());
        PathPlannerActor::start_in_arbiter(&planner_arbiter.handle(), move |_| {
            PathPlannerActor::new(first_epoch(), registry, stats, relays, identity)
        })
    };
    let index: Addr<FileIndexActor> = {
        let (registry, stats, planner) = (registry.clone(), index_stats.clone(), planner.clone().recipient());
        FileIndexActor::start_in_arbiter(&index_arbiter.handle(), move |_| {
            FileIndexActor::new(registry, stats, planner)
        })
    };
    let observatory = Observatory {
        node,
        registry: registry.clone(),
        relays,
        index: index.clone().recipient(),
        index_stats,
        planner: planner.clone().recipient(),
        planner_swarm: planner.clone().recipient(),
        planner_stats,
        history: Arc::new(Mutex::new(History::default())),
        latest: Arc::default(),
        swarm_watch: Arc::default(),
    };
    let wiring = Wiring {
        registry,
        max_clients: config.max_clients,
        index_joined: index.clone().recipient(),
        index_left: index.clone().recipient(),
        index_says: index.recipient(),
        planner_joined: planner.clone().recipient(),
        planner_left: planner.clone().recipient(),
        planner_says: planner.recipient(),
    };
    (wiring, observatory)
}

impl RunningTracker {
    /// Says goodbye to every client and stops.
    pub async fn stop(self) {
        self.sampler.abort();
        if let Some(origin) = &self.origin {
            origin.stop().await;
        }
        for entry in self.observatory.registry.sessions() {
            entry.end_with(CloseReason::Stopping);
        }
        tokio::time::sleep(FAREWELL).await;
        self.server.stop(false).await;
        for arbiter in self.arbiters {
            arbiter.stop();
        }
    }

    /// Looks at the tracker from outside.
    pub const fn observatory(&self) -> &Observatory {
        &self.observatory
    }
}

fn listen(
    config: &TrackerConfig,
    shared: Shared,
    observatory: Observatory,
) -> Result<(ServerHandle, SocketAddr), StartError> {
    let connections = crate::limits::raise_open_files();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(shared.clone()))
            .app_data(Data::new(observatory.clone()))
            .wrap(DefaultHeaders::new().add((header::X_CONTENT_TYPE_OPTIONS, "nosniff")))
            .route(TRACKER_PATH, web::get().to(client))
            .route(&format!("{RELAY_PATH}/{{token}}"), web::get().to(relay))
            .route(PEER_PATH, web::get().to(neighbour))
            .route("/", web::get().to(|| async { page(dashboard::PAGE) }))
            .route("/console", web::get().to(console_page))
            .route("/console/ws", web::get().to(console_socket))
            .route("/metrics", web::get().to(metrics))
            .route("/ready", web::get().to(|| async { "ready\n" }))
            .configure(dashboard::api::routes)
    });
    let server = server
        .on_connect(keep_socket)
        .backlog(BACKLOG)
        .max_connections(connections)
        .client_request_timeout(Duration::from_secs(5))
        .client_disconnect_timeout(Duration::from_secs(1))
        .shutdown_timeout(1)
        .disable_signals();
    let server = server.bind(config.listen).map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            StartError::PortInUse(config.listen)
        } else {
            StartError::Listen { address: config.listen, source }
        }
    })?;
    let address = server.addrs().first().copied().unwrap_or(config.listen);
    let running = server.run();
    let handle = running.handle();
    actix_rt::spawn(async move {
        if let Err(error) = running.await {
            tracing::error!(%error, "the HTTP server stopped");
        }
    });
    Ok((handle, address))
}

async fn client(
    request: HttpRequest,
    payload: Payload,
    shared: Data<Shared>,
) -> actix_web::Result<HttpResponse> {
    let registry = &shared.wiring.registry;
    let Some(ungreeted) = registry.admit() else {
        registry.counters.strangers_refused.inc();
        return Ok(HttpResponse::ServiceUnavailable().insert_header((header::RETRY_AFTER, "5")).finish());
    };
    let Ok(nonce) = random_bytes() else { return Ok(HttpResponse::InternalServerError().finish()) };
    let hello = greeting(&request)?;
    let (mut response, link, events) = accept(&request, payload)?;
    let Some(observed) = link.remote() else { return Ok(HttpResponse::InternalServerError().finish()) };
    let answer = SessionActor::launch(
        shared.session.clone(),
        nonce,
        hello,
        shared.wiring.clone(),
        (link, events),
        observed,
        ungreeted,
    );
    if let Some(answer) = answer {
        answer_greeting(&mut response, &answer);
    }
    Ok(response)
}

/// A viewer of the tracker's own library.
async fn neighbour(
    request: HttpRequest,
    payload: Payload,
    shared: Data<Shared>,
) -> actix_web::Result<HttpResponse> {
    match shared.origin.get() {
        Some(origin) => origin.accept(&request, payload),
        None => Ok(HttpResponse::NotFound().body("this tracker has no library of its own\n")),
    }
}

async fn relay(
    request: HttpRequest,
    payload: Payload,
    path: web::Path<String>,
    shared: Data<Shared>,
) -> actix_web::Result<HttpResponse> {
    accept_relay(&request, payload, &path, &shared.relays)
}

fn page(text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, gatekeeper::PAGE_POLICY))
        .body(text)
}

async fn console_page(request: HttpRequest, shared: Data<Shared>) -> HttpResponse {
    match gatekeeper::may_open_console(shared.access, &request) {
        Ok(()) => page(console::PAGE),
        Err(refusal) => HttpResponse::Forbidden().body(refusal.to_string()),
    }
}

async fn console_socket(
    request: HttpRequest,
    payload: Payload,
    shared: Data<Shared>,
    observatory: Data<Observatory>,
) -> actix_web::Result<HttpResponse> {
    if let Err(refusal) = gatekeeper::may_open_console(shared.access, &request) {
        return Ok(HttpResponse::Forbidden().body(refusal.to_string()));
    }
    let Some(place) = Place::take(&shared.consoles) else {
        return Ok(HttpResponse::ServiceUnavailable().body("too many consoles are open"));
    };
    let console = ConsoleActor::new(observatory.get_ref().clone(), place);
    actix_web_actors::ws::start(console, &request, payload)
}

async fn metrics(observatory: Data<Observatory>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(observatory.registry.counters.exposition())
}

async fn sample(observatory: Observatory, origin: Option<NodeHandle>) {
    let mut every = tokio::time::interval(SAMPLE);
    loop {
        every.tick().await;
        if let Some(origin) = &origin {
            origin::sample(origin, &observatory.registry.counters);
        }
        observatory.sample().await;
        observatory.relays.expire(clock::now_ms());
    }
}

const fn relay_limits(config: &TrackerConfig) -> RelayLimits {
    RelayLimits { most: config.max_relays, bps: config.relay_limit_bps, tokens: MAX_TOKENS }
}

fn relay_tally(registry: &Registry) -> RelayTally {
    let counters = &registry.counters;
    RelayTally {
        opened: counters.relays_opened.clone(),
        carried_bytes: counters.relayed_bytes.clone(),
        in_use: counters.relays.clone(),
    }
}

fn check_library(folder: &Path) -> Result<(), StartError> {
    fs::read_dir(folder).map(drop).map_err(|source| StartError::Library { path: folder.to_owned(), source })
}

/// Plans of this run count from the wall clock, so that they are newer than those of every run before.
fn first_epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() << 20)
}
