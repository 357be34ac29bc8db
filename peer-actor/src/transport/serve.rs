//! An HTTP server whose connections are read lazily once they are links ([`super::lazy`]).
//!
//! `actix_web::HttpServer` reads sockets as they come; this is the same server put together from its parts.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_http::{HttpService, Protocol, error::DispatchError};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{
    App,
    dev::{AppConfig, Extensions, Server},
    rt::net::TcpStream,
    web::ServiceConfig,
};
use socket2::SockRef;

use super::{lazy::LazyStream, server::keep_socket};

/// How long the other end may take to close as well.
const DISCONNECT: Duration = Duration::from_secs(1);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Serves what `configure` mounts at `address`, on a thread of its own and for at most so many `connections`; its port.
///
/// # Errors
///
/// The address cannot be bound.
pub(crate) fn serve(
    address: SocketAddr,
    connections: usize,
    configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> io::Result<u16> {
    let listener = TcpListener::bind(address)?;
    SockRef::from(&listener).listen(BACKLOG)?;
    let port = listener.local_addr()?.port();
    let pipeline = move || {
        let app = App::new().configure(configure.clone());
        let lazily = fn_service(|socket: TcpStream| async {
            let remote = socket.peer_addr().ok();
            Ok::<_, DispatchError>((LazyStream::new(socket)?, Protocol::Http1, remote))
        });
        let http = HttpService::build()
            .client_disconnect_timeout(DISCONNECT)
            .on_connect_ext(|stream: &LazyStream, extensions: &mut Extensions| {
                keep_socket(stream, extensions)
            })
            .finish(map_config(app, |()| AppConfig::default()));
        lazily.and_then(http)
    };
    let server = Server::build().workers(1).max_concurrent_connections(connections).disable_signals();
    let server = server.listen("peers", listener, pipeline)?;
    actix_rt::spawn(server.run());
    Ok(port)
}
