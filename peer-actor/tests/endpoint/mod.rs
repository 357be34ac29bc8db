//! A real WebSocket endpoint on loopback for tests: every link it accepts is handed over through a channel.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::{net::SocketAddr, time::Duration};

use actix_web::{App, HttpRequest, HttpServer, dev::ServerHandle, web};
use peer_actor::transport::{self, LinkEvents, LinkHandle};
use tokio::sync::mpsc;

/// A listening endpoint; links it accepts are taken from `accepted`.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) accepted: mpsc::Receiver<(LinkHandle, LinkEvents)>,
    pub(crate) server: ServerHandle,
}

impl Endpoint {
    pub(crate) fn start() -> Self {
        let (sender, accepted) = mpsc::channel(1024);
        let server = HttpServer::new(move || {
            let sender = sender.clone();
            let accept = move |request: HttpRequest, payload: web::Payload| {
                let sender = sender.clone();
                async move {
                    let (response, link, events) = transport::accept(&request, payload)?;
                    sender.send((link, events)).await.map_err(actix_web::error::ErrorInternalServerError)?;
                    Ok::<_, actix_web::Error>(response)
                }
            };
            App::new().route("/peer", web::get().to(accept))
        })
        .on_connect(transport::keep_socket)
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .expect("a free port");
        let address = server.addrs()[0];
        let running = server.run();
        let server = running.handle();
        actix_rt::spawn(running);
        Self { address, accepted, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/peer", self.address)
    }

    /// The next link somebody opened here.
    pub(crate) async fn next(&mut self) -> (LinkHandle, LinkEvents) {
        within(5, self.accepted.recv()).await.expect("an endpoint that runs")
    }
}

/// Fails the test when `future` takes more than `seconds`.
pub(crate) async fn within<F: std::future::Future>(seconds: u64, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}
