//! Bytes to frame and back; the only file that indexes raw buffers.
//!
//! Decoding never panics, never allocates more than twice [`MAX_BODY_BYTES`] whatever lengths are claimed, and accepts what encoding
//! produces. (An integer in a longer form than needed is accepted too; nothing is signed or hashed in encoded form.)

use bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use super::{BodyError, DecodeError, Frame, Message};
use crate::limits::{HEADER_BYTES, MAX_BODY_BYTES, MAX_FRAME_BYTES};

type BodyConfig = Configuration<LittleEndian, Varint, Limit<MAX_BODY_BYTES>>;

const BODY_CONFIG: BodyConfig = config::standard().with_limit::<MAX_BODY_BYTES>();

/// Encodes a frame into one WebSocket message.
pub fn encode(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    encode_into(frame, &mut out);
    out.freeze()
}

/// Appends a frame to `out`; one copy of the payload.
pub fn encode_into(frame: &Frame, out: &mut BytesMut) {
    encode_head(&frame.message, out);
    out.extend_from_slice(&frame.payload);
}

/// Appends what a frame has before its payload: a sender that can write two pieces at once copies no payload.
pub fn encode_head(message: &Message, out: &mut BytesMut) {
    let start = out.len();
    out.extend_from_slice(&[message.frame_type(), 0, 0, 0, 0, 0, 0, 0]);
    message.encode_body(&mut out.writer());
    let body_bytes = out.len() - start - HEADER_BYTES;
    debug_assert!(body_bytes <= MAX_BODY_BYTES, "{} is too long", message.name());
    out[start + 4..start + HEADER_BYTES].copy_from_slice(&(body_bytes as u32).to_le_bytes());
}

/// Decodes one WebSocket message; the payload is a slice of `bytes`, not a copy.
pub fn decode(bytes: &Bytes) -> Result<Frame, DecodeError> {
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(DecodeError::TooLong(bytes.len()));
    }
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(DecodeError::Truncated)?;
    let [frame_type, reserved @ .., l0, l1, l2, l3] = *header;
    if reserved != [0; 3] {
        return Err(DecodeError::Reserved);
    }
    let body_bytes = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let body = rest.get(..body_bytes).ok_or(DecodeError::Truncated)?;
    let message = Message::decode_body(frame_type, body)
        .ok_or(DecodeError::UnknownType(frame_type))?
        .map_err(|source| DecodeError::Body { frame_type, source })?;
    let payload = bytes.slice(HEADER_BYTES + body_bytes..);
    let frame = Frame { message, payload };
    if frame.payload_fits() { Ok(frame) } else { Err(DecodeError::Payload(frame_type)) }
}

/// The frame type a message claims, without decoding it.
pub fn peek_type(bytes: &[u8]) -> Option<u8> {
    bytes.first().copied()
}

pub(crate) fn encode_body<T: Serialize>(body: &T, out: &mut impl std::io::Write) {
    // Encoding into memory fails only for types serde cannot describe, which the golden tests would show for every frame.
    let encoded = bincode::serde::encode_into_std_write(body, out, BODY_CONFIG);
    debug_assert!(encoded.is_ok(), "a wire body must be encodable");
}

pub(crate) fn decode_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    if bytes.len() > MAX_BODY_BYTES {
        return Err(BodyError::Encoding);
    }
    let (body, consumed) =
        bincode::serde::decode_from_slice(bytes, BODY_CONFIG).map_err(|_| BodyError::Encoding)?;
    match bytes.len() - consumed {
        0 => Ok(body),
        left_over => Err(BodyError::Trailing(left_over)),
    }
}
