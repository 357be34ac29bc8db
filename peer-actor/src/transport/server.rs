//! The accepting side: a thin actix-web-actors shell that greets and reads; no logic.
//!
//! The WebSocket actor is polled as an HTTP response body, and its frames would be copied twice on their way through that body; while the
//! other end does not read, it would not be polled at all. So it writes nothing after the upgrade: what goes out is written by
//! [`write_out`] through a second handle to the socket. The two never meet, because an acceptor says nothing before it has heard a Hello,
//! which no dialler sends before it has the whole answer to its upgrade.

use std::{
    any::Any,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix::{Actor, ActorContext as _, StreamHandler};
use actix_web::{
    HttpRequest, HttpResponse,
    dev::Extensions,
    error::{ErrorInternalServerError, PayloadError},
    rt::net::TcpStream,
    web,
};
use actix_web_actors::ws;
use bytes::Bytes;
use futures_util::Stream;
use shared::{limits::MAX_FRAME_BYTES, wire::SUB_PROTOCOL};
use socket2::SockRef;

use super::{
    gate::Gate,
    guard::FrameGuard,
    lazy::{Lacks, LazyStream},
    link::{CloseCause, LinkCore, LinkEvents, LinkHandle, link},
    socket,
    writer::{Outgoing, write_out},
};

/// A second handle to the connection's socket, kept beside the connection so that it can be cut.
#[derive(Debug)]
struct PeerSocket {
    socket: socket2::Socket,
    lacks: Lacks,
}

/// For `on_connect` of an HTTP server: tunes the socket and keeps a handle for [`accept`].
pub fn keep_socket(connection: &dyn Any, extensions: &mut Extensions) {
    let lazy = connection.downcast_ref::<LazyStream>().map(|stream| (stream.socket(), stream.lacks()));
    let kept = lazy.or_else(|| Some((connection.downcast_ref::<TcpStream>()?, Lacks::default())));
    let Some((stream, lacks)) = kept else { return };
    socket::tune(SockRef::from(stream));
    match SockRef::from(stream).try_clone() {
        Ok(socket) => {
            extensions.insert(PeerSocket { socket, lacks });
        }
        Err(error) => tracing::debug!(%error, "the connection cannot become a link"),
    }
}

/// Upgrades an HTTP request to a link. The server must have been built with `on_connect(keep_socket)`.
pub fn accept(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(HttpResponse, LinkHandle, LinkEvents), actix_web::Error> {
    let kept = request.conn_data::<PeerSocket>();
    let kept = kept.ok_or_else(|| ErrorInternalServerError("the connection's socket was not kept"))?;
    let socket = kept.socket.try_clone().map_err(ErrorInternalServerError)?;
    let [writing] = socket::handles(SockRef::from(&socket)).map_err(ErrorInternalServerError)?;
    let (core, outbound, events) = link(request.peer_addr(), Some(socket));
    let (handle, is_sent) = (core.handle.clone(), core.sent_counter());
    let guarded = GuardedPayload {
        payload,
        guard: FrameGuard::default(),
        gate: core.gate.clone(),
        lacks: kept.lacks.clone(),
    };
    let response = ws::WsResponseBuilder::new(SocketActor { core }, request, guarded)
        .protocols(&[SUB_PROTOCOL])
        .frame_size(MAX_FRAME_BYTES)
        .start()?;
    actix_web::rt::spawn(write_out(writing, outbound, None, handle.clone(), is_sent));
    Ok((response, handle, events))
}

struct SocketActor {
    core: LinkCore,
}

impl Actor for SocketActor {
    type Context = ws::WebsocketContext<Self>;
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for SocketActor {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        let goes_on = match message {
            Ok(ws::Message::Binary(bytes)) => self.core.message_arrived(bytes),
            Ok(ws::Message::Ping(text)) => {
                if self.core.handle.queue(Outgoing::pong(text)).is_err() {
                    tracing::debug!("a ping is not answered: the link is full");
                }
                true
            }
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => true,
            Ok(ws::Message::Close(_)) => false,
            Ok(ws::Message::Text(_) | ws::Message::Continuation(_)) | Err(ws::ProtocolError::Overflow) => {
                self.core.end(CloseCause::Framing);
                false
            }
            Err(error) => {
                tracing::debug!(%error, "the socket ended without a goodbye");
                false
            }
        };
        if !goes_on {
            ctx.stop();
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.core.end(CloseCause::Remote);
        ctx.stop();
    }
}

impl Drop for SocketActor {
    fn drop(&mut self) {
        self.core.end(CloseCause::Remote);
        self.core.handle.cut();
    }
}

/// The request's payload behind the gate and the size guard.
struct GuardedPayload {
    payload: web::Payload,
    guard: FrameGuard,
    gate: Arc<Gate>,
    lacks: Lacks,
}

impl Stream for GuardedPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(self.gate.poll_open(cx));
        let chunk = ready!(Pin::new(&mut self.payload).poll_next(cx));
        Poll::Ready(match chunk {
            Some(Ok(bytes)) => match self.guard.follow(&bytes) {
                Ok(()) => {
                    self.lacks.set(self.guard.lacks());
                    Some(Ok(bytes))
                }
                Err(_) => Some(Err(PayloadError::Overflow)),
            },
            other => other,
        })
    }
}
