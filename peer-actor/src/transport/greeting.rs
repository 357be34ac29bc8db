//! What two ends say with the WebSocket's upgrade: a frame of the handshake as a header of the request, and of its answer.
//!
//! The wire's own module says how; here is where in HTTP. A header that is there and cannot be understood is an error on either side: only
//! an end that knows nothing of it sends none.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
};
use shared::wire::{self, GREETING_HEADER, GreetingError, HandshakeMessage};
use thiserror::Error;

/// An upgrade whose greeting cannot be understood; answered with status 400 and this text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the {GREETING_HEADER} header: {0}")]
pub struct BadGreeting(#[from] GreetingError);

impl ResponseError for BadGreeting {
    fn status_code(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

/// What the dialler says with its upgrade; none where it will say Hello in its first frame.
pub fn greeting(request: &HttpRequest) -> Result<Option<HandshakeMessage>, BadGreeting> {
    match read_greeting(request.headers())? {
        None => Ok(None),
        Some(hello @ HandshakeMessage::Hello(_)) => Ok(Some(hello)),
        Some(
            other @ (HandshakeMessage::Welcome(_)
            | HandshakeMessage::Confirm(_)
            | HandshakeMessage::Reject(_)),
        ) => Err(GreetingError::Conversation(other.name()).into()),
    }
}

/// Says `answer` with the answer to an upgrade.
pub fn answer_greeting(response: &mut HttpResponse, answer: &HandshakeMessage) {
    // Base64 is a header value whatever it encodes.
    if let Ok(value) = HeaderValue::from_str(&wire::encode_greeting(answer)) {
        response.headers_mut().insert(HeaderName::from_static(GREETING_HEADER), value);
    }
}

/// The greeting among these headers, if there is one.
pub(super) fn read_greeting(headers: &HeaderMap) -> Result<Option<HandshakeMessage>, BadGreeting> {
    let value = headers.get(GREETING_HEADER);
    Ok(value.map(|value| wire::decode_greeting(value.as_bytes())).transpose()?)
}
