//! The dialling side: awc opens the WebSocket, then two pumps of our own move frames over its socket, and a cut ends both.

use std::{cell::Cell, future::poll_fn, io, net::SocketAddr, rc::Rc, time::Duration};

use actix_service::{Service, fn_service};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use actix_web::http::Uri;
use awc::error::WsClientError;
use shared::{
    limits::{HANDSHAKE_TIMEOUT_MS, MAX_FRAME_BYTES},
    wire::{self, GREETING_HEADER, HandshakeMessage, SUB_PROTOCOL},
};
use socket2::SockRef;
use thiserror::Error;
use tokio::net::TcpStream;

use super::{
    greeting::{BadGreeting, read_greeting},
    lazy::Laziness,
    link::{CloseCause, LinkCore, LinkEvents, LinkHandle, link},
    reader::{BadFraming, FrameReader, Incoming},
    socket,
    writer::{Masks, write_out},
};

/// Why a node could not be dialled.
#[derive(Debug, Error)]
pub enum DialError {
    /// No connection, or no WebSocket at the other end.
    #[error("{0}")]
    Connect(String),
    /// The other end did not answer in time.
    #[error("no answer within {HANDSHAKE_TIMEOUT_MS} ms")]
    Timeout,
    /// The other end answered the greeting with something that is none.
    #[error("the answer cannot be understood: {0}")]
    Greeting(#[from] BadGreeting),
}

/// A link that was dialled.
#[derive(Debug)]
pub struct Dialled {
    /// The way out.
    pub link: LinkHandle,
    /// What comes in, the answer to the greeting first.
    pub events: LinkEvents,
    /// Whether the greeting was answered; else the other end knows nothing of it.
    pub is_answered: bool,
}

/// Opens a link to a `ws://` URL, saying `greeting` with the upgrade. Must run inside an actix system; the pumps live on the calling
/// arbiter.
pub async fn dial(url: &str, greeting: Option<&HandshakeMessage>) -> Result<Dialled, DialError> {
    let limit = Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
    let kept = Kept::default();
    let connector = awc::Connector::new().timeout(limit).connector(fn_service({
        let kept = kept.clone();
        move |request| connect_tuned(request, kept.clone())
    }));
    let client = awc::Client::builder().connector(connector).disable_timeout().finish();
    let mut upgrade = client.ws(url).protocols([SUB_PROTOCOL]).max_frame_size(MAX_FRAME_BYTES);
    if let Some(greeting) = greeting {
        upgrade = upgrade.header(GREETING_HEADER, wire::encode_greeting(greeting));
    }
    let (response, framed) = tokio::time::timeout(limit, upgrade.connect())
        .await
        .map_err(|_| DialError::Timeout)?
        .map_err(|error: WsClientError| DialError::Connect(error.to_string()))?;
    let answer = if greeting.is_some() { read_greeting(response.headers())? } else { None };
    let lost = |error: io::Error| DialError::Connect(error.to_string());
    let (kept_socket, remote) = kept.take().ok_or_else(|| lost(io::ErrorKind::NotConnected.into()))?;
    let handles = socket::handles(SockRef::from(&kept_socket)).map_err(lost)?;
    let (mut core, outbound, events) = link(Some(remote), Some(kept_socket));
    let handle = core.handle.clone();
    let [reading, watching, writing] = handles;
    actix_rt::spawn(write_out(writing, outbound, Some(Masks::new()), handle.clone(), core.sent_counter()));
    let is_answered = answer.is_some();
    if let Some(answer) = answer {
        core.greeted(answer);
    }
    // What came right behind the answer to the upgrade was read with it.
    let reader = FrameReader::new(&framed.into_parts().read_buf);
    actix_rt::spawn(pump_in(reading, reader, Laziness::new(watching), core));
    Ok(Dialled { link: handle, events, is_answered })
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

async fn pump_in(socket: TcpStream, mut reader: FrameReader, mut laziness: Laziness, mut core: LinkCore) {
    let handle = core.handle.clone();
    loop {
        match take_messages(&mut reader, &mut core) {
            Ok(true) => {}
            Ok(false) => break,
            Err(BadFraming) => {
                core.end(CloseCause::Framing);
                break;
            }
        }
        let gate = core.gate.clone();
        let more = async {
            poll_fn(|cx| gate.poll_open(cx)).await;
            read_some(&socket, &mut reader, &mut laziness).await
        };
        let read = tokio::select! {
            read = more => read,
            () = handle.wait_cut() => return core.end(CloseCause::Cut),
        };
        match read {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "the socket ended without a goodbye");
                break;
            }
        }
    }
    core.end(CloseCause::Remote);
    handle.cut();
}

/// Hands on what is there; false when the link must end.
fn take_messages(reader: &mut FrameReader, core: &mut LinkCore) -> Result<bool, BadFraming> {
    while let Some(incoming) = reader.next()? {
        let goes_on = match incoming {
            Incoming::Message(message) => core.message_arrived(message),
            Incoming::Upkeep => true,
            Incoming::Close => false,
        };
        if !goes_on {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn read_some(
    socket: &TcpStream,
    reader: &mut FrameReader,
    laziness: &mut Laziness,
) -> io::Result<usize> {
    loop {
        poll_fn(|cx| laziness.poll_worth(reader.lacks(), cx)).await?;
        match socket.try_read_vectored(&mut reader.slots()) {
            Ok(count) => {
                reader.filled(count);
                laziness.took(count);
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                laziness.took(0);
                socket.readable().await?;
            }
            Err(error) => return Err(error),
        }
    }
}
