//! A real WebSocket endpoint on loopback for tests: every link it accepts is handed over through a channel.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::{net::SocketAddr, time::Duration};

use actix::Recipient;
use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    http::header::{HeaderName, HeaderValue},
    web,
};
use peer_actor::{
    path_planner::{IncomingLink, accept_peer},
    session::LocalNode,
    transport::{self, LinkEvents, LinkHandle},
};
use shared::wire::{GREETING_HEADER, HandshakeMessage, Reject, RejectReason};
use tokio::sync::mpsc;

/// A listening endpoint; links it accepts are taken from `accepted`.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) accepted: mpsc::Receiver<(LinkHandle, LinkEvents)>,
    pub(crate) server: ServerHandle,
}

type Links = web::Data<mpsc::Sender<(LinkHandle, LinkEvents)>>;

impl Endpoint {
    pub(crate) fn start() -> Self {
        let (sender, accepted) = mpsc::channel(1024);
        let links = Links::new(sender);
        let (address, server) = serve(move |app| {
            app.app_data(links.clone())
                .route("/peer", web::get().to(accept))
                .route("/greeting", web::get().to(greet))
                .route("/garbled", web::get().to(garble));
        });
        Self { address, accepted, server }
    }

    /// The endpoint of a node: what it accepts is its planner's.
    pub(crate) fn of_peer(local: LocalNode, planner: Recipient<IncomingLink>) -> Self {
        let (_, accepted) = mpsc::channel(1);
        let peer = web::Data::new((local, planner));
        let (address, server) = serve(move |app| {
            app.app_data(peer.clone()).route("/peer", web::get().to(neighbour));
        });
        Self { address, accepted, server }
    }

    /// Where greetings are not understood.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/peer", self.address)
    }

    /// Where every greeting is answered with a Reject, and the link goes on all the same.
    pub(crate) fn greeting_url(&self) -> String {
        format!("ws://{}/greeting", self.address)
    }

    /// The next link somebody opened here.
    pub(crate) async fn next(&mut self) -> (LinkHandle, LinkEvents) {
        within(5, self.accepted.recv()).await.expect("an endpoint that runs")
    }
}

/// A server on loopback whose links can be cut.
pub(crate) fn serve(
    routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> (SocketAddr, ServerHandle) {
    let server = HttpServer::new(move || App::new().configure(&routes))
        .on_connect(transport::keep_socket)
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .expect("a free port");
    let address = server.addrs()[0];
    let running = server.run();
    let handle = running.handle();
    actix_rt::spawn(running);
    (address, handle)
}

async fn neighbour(
    request: HttpRequest,
    payload: web::Payload,
    peer: web::Data<(LocalNode, Recipient<IncomingLink>)>,
) -> actix_web::Result<HttpResponse> {
    let (local, planner) = peer.get_ref();
    accept_peer(&request, payload, local, planner)
}

async fn accept(
    request: HttpRequest,
    payload: web::Payload,
    links: Links,
) -> actix_web::Result<HttpResponse> {
    let (response, link, events) = transport::accept(&request, payload)?;
    links.send((link, events)).await.map_err(actix_web::error::ErrorInternalServerError)?;
    Ok(response)
}

async fn greet(request: HttpRequest, payload: web::Payload, links: Links) -> actix_web::Result<HttpResponse> {
    let hello = transport::greeting(&request)?;
    let mut response = accept(request, payload, links).await?;
    if hello.is_some() {
        let full = HandshakeMessage::Reject(Reject { reason: RejectReason::Full });
        transport::answer_greeting(&mut response, &full);
    }
    Ok(response)
}

async fn garble(
    request: HttpRequest,
    payload: web::Payload,
    links: Links,
) -> actix_web::Result<HttpResponse> {
    let mut response = accept(request, payload, links).await?;
    let nonsense = HeaderValue::from_static("nonsense!");
    response.headers_mut().insert(HeaderName::from_static(GREETING_HEADER), nonsense);
    Ok(response)
}

/// Fails the test when `future` takes more than `seconds`.
pub(crate) async fn within<F: std::future::Future>(seconds: u64, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}
