//! The dialling side: awc opens the WebSocket, two pumps move frames, and a cut ends both.

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use actix_codec::Framed;
use actix_http::ws::{Frame as WsFrame, Message, ProtocolError};
use actix_service::{Service, fn_service};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use actix_web::http::Uri;
use awc::{BoxedSocket, error::WsClientError};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream::SplitSink, stream::SplitStream};
use shared::{
    limits::{HANDSHAKE_TIMEOUT_MS, MAX_FRAME_BYTES},
    wire::SUB_PROTOCOL,
};
use socket2::SockRef;
use thiserror::Error;
use tokio::{net::TcpStream, sync::mpsc};

use super::{
    guard::GuardedCodec,
    link::{CloseCause, LinkCore, LinkEvents, LinkHandle, link},
    socket,
};

/// Small frames are gathered up to this many bytes before they are flushed.
const COALESCE_BYTES: usize = 64 * 1024;

/// How long what the other end sent before it stopped reading may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(500);

type GuardedSocket = Framed<BoxedSocket, GuardedCodec>;

/// Why a node could not be dialled.
#[derive(Debug, Error)]
pub enum DialError {
    /// No connection, or no WebSocket at the other end.
    #[error("{0}")]
    Connect(String),
    /// The other end did not answer in time.
    #[error("no answer within {HANDSHAKE_TIMEOUT_MS} ms")]
    Timeout,
}

/// Opens a link to a `ws://` URL. Must run inside an actix system; the pumps live on the calling arbiter.
pub async fn dial(url: &str) -> Result<(LinkHandle, LinkEvents), DialError> {
    let limit = Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
    let kept = Kept::default();
    let connector = awc::Connector::new().timeout(limit).connector(fn_service({
        let kept = kept.clone();
        move |request| connect_tuned(request, kept.clone())
    }));
    let client = awc::Client::builder().connector(connector).disable_timeout().finish();
    let connecting = client.ws(url).protocols([SUB_PROTOCOL]).max_frame_size(MAX_FRAME_BYTES).connect();
    let (_, framed) = tokio::time::timeout(limit, connecting)
        .await
        .map_err(|_| DialError::Timeout)?
        .map_err(|error: WsClientError| DialError::Connect(error.to_string()))?;
    let (socket, remote) = kept.take().unzip();
    let (core, outbound, events) = link(remote, socket);
    let handle = core.handle.clone();
    let (sink, stream) = framed.into_map_codec(GuardedCodec).split();
    let is_sent = core.sent_counter();
    let writer = handle.clone();
    actix_rt::spawn(async move {
        tokio::select! {
            () = pump_out(sink, outbound, is_sent) => {}
            () = writer.wait_cut() => return,
        }
        // The socket takes no more, but the other end's last words may still be unread.
        let last_words = tokio::time::timeout(LAST_WORDS, writer.wait_cut());
        if last_words.await.is_err() {
            writer.cut();
        }
    });
    actix_rt::spawn(pump_in(stream, core));
    Ok((handle, events))
}

/// A second handle to the socket, so that it can be cut, and the address at its other end.
type Kept = Rc<Cell<Option<(socket2::Socket, SocketAddr)>>>;

async fn connect_tuned(
    request: ConnectInfo<Uri>,
    kept: Kept,
) -> Result<Connection<Uri, TcpStream>, ConnectError> {
    let connection = actix_tls::connect::Connector::default().service().call(request).await?;
    let socket = SockRef::from(connection.io_ref());
    kept.set(socket.try_clone().ok().zip(connection.io_ref().peer_addr().ok()));
    socket::tune(socket);
    Ok(connection)
}

async fn pump_in(mut stream: SplitStream<GuardedSocket>, mut core: LinkCore) {
    let handle = core.handle.clone();
    loop {
        let gate = core.gate.clone();
        let next = async {
            std::future::poll_fn(|cx| gate.poll_open(cx)).await;
            stream.next().await
        };
        let message = tokio::select! {
            message = next => message,
            () = handle.wait_cut() => return core.end(CloseCause::Cut),
        };
        if !handle_message(message, &mut core) {
            break;
        }
    }
    core.end(CloseCause::Remote);
    handle.cut();
}

fn handle_message(message: Option<Result<WsFrame, ProtocolError>>, core: &mut LinkCore) -> bool {
    match message {
        Some(Ok(WsFrame::Binary(bytes))) => core.message_arrived(bytes),
        Some(Ok(WsFrame::Ping(_) | WsFrame::Pong(_))) => true,
        Some(Ok(WsFrame::Text(_) | WsFrame::Continuation(_)) | Err(ProtocolError::Overflow)) => {
            core.end(CloseCause::Framing);
            false
        }
        Some(Err(error)) => {
            tracing::debug!(%error, "the socket ended without a goodbye");
            false
        }
        Some(Ok(WsFrame::Close(_))) | None => false,
    }
}

async fn pump_out(
    mut sink: SplitSink<GuardedSocket, Message>,
    mut outbound: mpsc::Receiver<Bytes>,
    is_sent: impl Fn(usize),
) {
    while let Some(first) = outbound.recv().await {
        let mut gathered_bytes = 0;
        let mut next = Some(first);
        while let Some(message) = next {
            gathered_bytes += message.len();
            if sink.feed(Message::Binary(message)).await.is_err() {
                return;
            }
            next = if gathered_bytes < COALESCE_BYTES { outbound.try_recv().ok() } else { None };
        }
        if sink.flush().await.is_err() {
            return;
        }
        is_sent(gathered_bytes);
    }
}
