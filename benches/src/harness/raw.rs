//! A WebSocket by hand, over a plain socket: what a library refuses to send can be sent, and what it would read can be left.
//!
//! It speaks as a client (masked, with the mask zero) and understands unfragmented messages alone, which is all our servers send.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use shared::wire::SUB_PROTOCOL;
use socket2::{Domain, Protocol, Type};

/// First byte of a whole binary message.
pub const BINARY: u8 = 0x82;

/// A client's end of a WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// How a wait for a message ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A binary message.
    Message(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// The other end closed, politely or not.
    End,
}

/// A connection that has said nothing yet. A small `receive_bytes` makes the other end feel early that nobody reads.
pub fn connect(addr: SocketAddr, receive_bytes: Option<usize>) -> Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect_timeout(&addr.into(), Duration::from_secs(5))?;
    let stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// The header of a frame with a zero mask; `first` is the FIN bit, the reserved bits and the opcode.
pub fn header(first: u8, payload_bytes: u64) -> Vec<u8> {
    let mut header = vec![first];
    match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
        (Ok(short @ 0..=125), _) => header.push(0x80 | short),
        (_, Ok(middle)) => {
            header.push(0x80 | 126);
            header.extend(middle.to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend(payload_bytes.to_be_bytes());
        }
    }
    header.extend([0; 4]);
    header
}

/// A whole frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [header(first, payload.len() as u64), payload.to_vec()].concat()
}

impl Socket {
    /// Asks for a WebSocket and waits until it is granted.
    pub fn upgrade(addr: SocketAddr, path: &str, receive_bytes: Option<usize>) -> Result<Self> {
        let mut stream = connect(addr, receive_bytes)?;
        stream.write_all(upgrade_request(addr, path).as_bytes())?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            ensure!(stream.read(&mut byte)? == 1, "the server hung up instead of answering");
            head.push(byte[0]);
        }
        let status = String::from_utf8_lossy(&head);
        ensure!(status.starts_with("HTTP/1.1 101"), "no WebSocket: {status}");
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Sends a binary message.
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        self.send_raw(&frame(BINARY, message)).context("cannot send a message")
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next binary message, if it comes in time.
    pub fn hear(&mut self, patience: Duration) -> Result<Heard> {
        let deadline = Instant::now() + patience;
        loop {
            match self.parse()? {
                Some((0x2, message)) => return Ok(Heard::Message(message)),
                Some((0x8, _)) => return Ok(Heard::End),
                Some(_) => continue,
                None => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Heard::Nothing);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 64 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Heard::End),
                Ok(read) => self.unread.extend_from_slice(&buffer[..read]),
                Err(error) if is_timeout(error.kind()) => return Ok(Heard::Nothing),
                Err(_) => return Ok(Heard::End),
            }
        }
    }

    /// How long the other end took to close, reading and forgetting all it says; none when it did not within `patience`.
    pub fn end_within(&mut self, patience: Duration) -> Option<Duration> {
        end_within(&mut self.stream, patience)
    }

    /// One frame of what has been read: its opcode and payload.
    fn parse(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        let bytes = &self.unread;
        let [first, second, ..] = bytes[..] else { return Ok(None) };
        ensure!(first & 0x80 != 0 && second & 0x80 == 0, "the server sent a fragment or a mask");
        let (start, length) = match second {
            126 if bytes.len() >= 4 => (4, u64::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
            127 if bytes.len() >= 10 => (10, u64::from_be_bytes(bytes[2..10].try_into()?)),
            126 | 127 => return Ok(None),
            short => (2, u64::from(short)),
        };
        let end = start + usize::try_from(length)?;
        if bytes.len() < end {
            return Ok(None);
        }
        let payload = bytes[start..end].to_vec();
        self.unread.drain(..end);
        Ok(Some((first & 0x0f, payload)))
    }
}

/// How long the other end of `stream` took to close; none when it did not within `patience`.
pub fn end_within(stream: &mut TcpStream, patience: Duration) -> Option<Duration> {
    let begun = Instant::now();
    let mut buffer = [0; 64 * 1024];
    loop {
        let left = patience.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())?;
        if stream.set_read_timeout(Some(left)).is_err() {
            return Some(begun.elapsed());
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Some(begun.elapsed()),
            Ok(_) => {}
            Err(error) if is_timeout(error.kind()) => return None,
            Err(_) => return Some(begun.elapsed()),
        }
    }
}

/// The HTTP request that asks for a WebSocket.
pub fn upgrade_request(addr: SocketAddr, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {SUB_PROTOCOL}\r\n\r\n"
    )
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The message a wait must have brought.
pub fn message(heard: Heard) -> Result<Vec<u8>> {
    match heard {
        Heard::Message(message) => Ok(message),
        Heard::Nothing => bail!("nothing was heard in time"),
        Heard::End => bail!("the other end closed"),
    }
}
