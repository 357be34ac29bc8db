//! The first two frames of a handshake as values of an HTTP header, so that they travel with the WebSocket's own upgrade.
//!
//! A value is the base64 (RFC 4648 section 4, with padding) of the whole frame: what a signature covers and what a decoder refuses is
//! the same in either form. Nothing longer than [`MAX_GREETING_CHARS`] is looked at.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use thiserror::Error;

use super::{DecodeError, Frame, HandshakeMessage, Message, codec};
use crate::limits::MAX_GREETING_CHARS;

/// The header of the upgrade request that carries [`Hello`](super::Hello), and of its answer that carries [`Welcome`](super::Welcome) or
/// [`Reject`](super::Reject).
pub const GREETING_HEADER: &str = "rusteze-greeting";

/// A header value that is no greeting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GreetingError {
    /// Longer than any greeting.
    #[error("{0} characters are more than the {MAX_GREETING_CHARS} a greeting may have")]
    TooLong(usize),
    /// Not base64.
    #[error("not base64")]
    Encoding,
    /// Not a frame.
    #[error("not a frame: {0}")]
    Frame(#[from] DecodeError),
    /// A frame nobody greets with here.
    #[error("{0} is no greeting")]
    Conversation(&'static str),
}

/// A frame of the handshake as a header value.
pub fn encode_greeting(greeting: &HandshakeMessage) -> String {
    STANDARD.encode(codec::encode(&Message::Handshake(greeting.clone()).into()))
}

/// The frame of the handshake a header value carries.
pub fn decode_greeting(value: &[u8]) -> Result<HandshakeMessage, GreetingError> {
    if value.len() > MAX_GREETING_CHARS {
        return Err(GreetingError::TooLong(value.len()));
    }
    let bytes = STANDARD.decode(value).map_err(|_| GreetingError::Encoding)?;
    let Frame { message, .. } = codec::decode(&Bytes::from(bytes))?;
    match message {
        Message::Handshake(greeting) => Ok(greeting),
        other @ (Message::Link(_) | Message::Tracker(_) | Message::Peer(_)) => {
            Err(GreetingError::Conversation(other.name()))
        }
    }
}
