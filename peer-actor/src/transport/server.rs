//! The accepting side: a thin actix-web-actors shell, frames in, frames out, no logic.
//!
//! The WebSocket actor is polled as an HTTP response body: while the other end does not read, it is not polled at all, timers
//! included. So it has no timers, the session lives elsewhere, and the session's [`LinkHandle::cut`] works on the socket itself.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix::{Actor, ActorContext as _, AsyncContext as _, StreamHandler};
use actix_web::{HttpRequest, HttpResponse, dev::Extensions, error::PayloadError, rt::net::TcpStream, web};
use actix_web_actors::ws;
use bytes::Bytes;
use futures_util::Stream;
use shared::{limits::MAX_FRAME_BYTES, wire::SUB_PROTOCOL};
use socket2::SockRef;
use tokio::sync::mpsc;

use super::{
    gate::Gate,
    guard::FrameGuard,
    link::{CloseCause, LinkCore, LinkEvents, LinkHandle, link},
    socket,
};

/// A second handle to the connection's socket, kept beside the connection so that it can be cut.
#[derive(Debug)]
pub struct PeerSocket {
    socket: Option<socket2::Socket>,
    remote: Option<SocketAddr>,
}

/// For `HttpServer::on_connect`: tunes the socket and keeps a handle for [`accept`].
pub fn keep_socket(connection: &dyn std::any::Any, extensions: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>() {
        socket::tune(SockRef::from(stream));
        let socket = SockRef::from(stream).try_clone().ok();
        extensions.insert(PeerSocket { socket, remote: stream.peer_addr().ok() });
    }
}

/// Upgrades an HTTP request to a link. The server must have been built with `on_connect(keep_socket)`.
pub fn accept(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(HttpResponse, LinkHandle, LinkEvents), actix_web::Error> {
    let kept = request.conn_data::<PeerSocket>();
    let cut_socket = kept.and_then(|kept| kept.socket.as_ref()?.try_clone().ok());
    let remote = kept.and_then(|kept| kept.remote).or_else(|| request.peer_addr());
    let (core, outbound, events) = link(remote, cut_socket);
    let handle = core.handle.clone();
    let guarded = GuardedPayload { payload, guard: FrameGuard::default(), gate: core.gate.clone() };
    let response =
        ws::WsResponseBuilder::new(SocketActor { core, outbound: Some(outbound) }, request, guarded)
            .protocols(&[SUB_PROTOCOL])
            .frame_size(MAX_FRAME_BYTES)
            .start()?;
    Ok((response, handle, events))
}

struct SocketActor {
    core: LinkCore,
    outbound: Option<mpsc::Receiver<Bytes>>,
}

impl Actor for SocketActor {
    type Context = ws::WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(queue) = self.outbound.take() {
            ctx.add_stream(Outbound { queue, has_yielded: false });
        }
    }
}

/// A frame on its way out; a type of its own because actix tells streams apart by item.
struct OutboundFrame(Bytes);

impl StreamHandler<OutboundFrame> for SocketActor {
    fn handle(&mut self, OutboundFrame(message): OutboundFrame, ctx: &mut Self::Context) {
        let message_bytes = message.len();
        ctx.binary(message);
        self.core.message_sent(message_bytes);
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for SocketActor {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        let goes_on = match message {
            Ok(ws::Message::Binary(bytes)) => self.core.message_arrived(bytes),
            Ok(ws::Message::Ping(text)) => {
                ctx.pong(&text);
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

/// Outbound frames one a poll: the body is polled again only when the socket has taken the last, which is the backpressure.
struct Outbound {
    queue: mpsc::Receiver<Bytes>,
    has_yielded: bool,
}

impl Stream for Outbound {
    type Item = OutboundFrame;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<OutboundFrame>> {
        if std::mem::take(&mut self.has_yielded) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let message = ready!(self.queue.poll_recv(cx));
        self.has_yielded = true;
        Poll::Ready(message.map(OutboundFrame))
    }
}

/// The request's payload behind the gate and the size guard.
struct GuardedPayload {
    payload: web::Payload,
    guard: FrameGuard,
    gate: Arc<Gate>,
}

impl Stream for GuardedPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(self.gate.poll_open(cx));
        let chunk = ready!(Pin::new(&mut self.payload).poll_next(cx));
        Poll::Ready(match chunk {
            Some(Ok(bytes)) => match self.guard.follow(&bytes) {
                Ok(()) => Some(Ok(bytes)),
                Err(_) => Some(Err(PayloadError::Overflow)),
            },
            other => other,
        })
    }
}
