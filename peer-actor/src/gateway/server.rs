//! Binds the gateway, guards its door, counts what passes, stops it.
//!
//! Invariant: it listens on loopback unless it is told otherwise, and says so loudly when it is. Requests under foreign names
//! are refused before any handler sees them. No handler knows more of the server than [`Traffic`].

use std::{
    any::Any,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    body::MessageBody,
    dev::{Extensions, Server, ServerHandle, ServiceRequest, ServiceResponse},
    http::header,
    middleware::{Next, from_fn},
    rt, web,
};
use shared::limits::BLOCKING_THREADS;
use thiserror::Error;

use super::{GatewayError, guard, routes, source::Library};

/// A running gateway. Dropping it leaves it running; [`Gateway::stop`] ends it.
#[derive(Clone)]
pub struct Gateway {
    handle: ServerHandle,
    addr: SocketAddr,
}

/// The gateway cannot listen.
#[derive(Debug, Error)]
#[error("the gateway cannot listen on {addr}: {source}; choose another port with --gateway, or 0 for any")]
pub struct BindError {
    addr: SocketAddr,
    source: io::Error,
}

/// Starts to serve `library` at `addr`, where port 0 takes any free port. Must be called inside an actix system.
pub fn serve<L: Library>(addr: SocketAddr, library: L) -> Result<Gateway, BindError> {
    let refused = |source| BindError { addr, source };
    let listener = std::net::TcpListener::bind(addr).map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    if !bound.ip().is_loopback() {
        tracing::warn!(%bound, "the gateway is open to other machines: everybody there can read this network's files through it");
    }
    let server = build(listener, bound, library).map_err(refused)?;
    let handle = server.handle();
    rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the gateway ended");
        }
    });
    tracing::info!(url = %format_args!("http://{bound}/api/files"), "gateway ready");
    Ok(Gateway { handle, addr: bound })
}

fn build<L: Library>(listener: std::net::TcpListener, bound: SocketAddr, library: L) -> io::Result<Server> {
    let traffic = Traffic::default();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(library.clone()))
            .app_data(web::Data::new(traffic.clone()))
            .wrap(from_fn(move |request, next| admit(bound, request, next)))
            .configure(routes::mount::<L>)
    })
    .on_connect(keep_little)
    .workers(1)
    .worker_max_blocking_threads(BLOCKING_THREADS)
    .max_connections(MAX_CONNECTIONS)
    .client_request_timeout(HEAD_TIMEOUT)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

/// What the kernel keeps for a client counts as read by it, so it may keep little: the playhead is where the client is.
fn keep_little(connection: &dyn Any, _: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<rt::net::TcpStream>() else {
        return;
    };
    if let Err(error) = socket2::SockRef::from(stream).set_send_buffer_size(SEND_BUFFER_BYTES) {
        tracing::debug!(%error, "cannot bound what the kernel keeps for a client");
    }
}

async fn admit<B: MessageBody + 'static>(
    bound: SocketAddr,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let text = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    let provenance = guard::Provenance {
        host: text(header::HOST.as_str()),
        origin: text(header::ORIGIN.as_str()),
        fetch_site: text("sec-fetch-site"),
        fetch_mode: text("sec-fetch-mode"),
    };
    if !guard::is_welcome(bound, provenance) {
        tracing::debug!(?provenance, "request refused");
        return Err(GatewayError::Foreign.into());
    }
    next.call(request).await
}

impl Gateway {
    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops listening and cuts what is open.
    pub async fn stop(&self) {
        self.handle.stop(false).await;
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// What passed through the gateway since it started.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    bodies: AtomicU64,
    open_bodies: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Traffic {
    pub(super) fn body_opened(&self) -> OpenBody {
        self.0.bodies.fetch_add(1, Ordering::Relaxed);
        self.0.open_bodies.fetch_add(1, Ordering::Relaxed);
        OpenBody(self.clone())
    }

    /// Bodies begun, bodies open now, media bytes handed to clients.
    pub(super) fn totals(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.0.bodies), read(&self.0.open_bodies), read(&self.0.sent_bytes))
    }
}

/// Counts one body while it lives.
#[derive(Debug)]
pub(super) struct OpenBody(Traffic);

impl OpenBody {
    pub(super) fn sent(&self, bytes: u64) {
        self.0.0.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for OpenBody {
    fn drop(&mut self) {
        self.0.0.open_bodies.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A player opens a handful of connections, a browser six.
const MAX_CONNECTIONS: usize = 256;
/// How long a client may take to send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A quarter of a second of a film of 4 Mbit/s; the kernel doubles it for its own needs.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
