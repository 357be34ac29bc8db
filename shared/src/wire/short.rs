//! Small frames as a link carries them: a header of two bytes instead of eight, and a content that was named before by a number.
//!
//! Near a crowd's limit nearly all that is said is a few dozen bytes about one and the same content, whose id alone is 32; it is spelled out once
//! a link and direction. So do the dynamic tables of HPACK (RFC 7541) with header fields.
//!
//! ```text
//! | type, highest bit set | name | body, without a content id that is named |
//! ```
//!
//! `name` is 0 where an id is spelled out or there is none, else the number of an id in the order in which they were first spelled out in
//! short frames, from 1 on; after [`MAX_NAMED`] of them none gets a number any more.
//!
//! Invariant: both ends number alike, since both see the same short frames in the same order; what is lengthened is what was shortened.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{DecodeError, HandshakeMessage, PeerMessage};
use crate::limits::HEADER_BYTES;

/// The most ids that get a number.
pub const MAX_NAMED: usize = 255;
/// Frames above this go as they are: what is saved is nothing beside it.
const MAX_SHORT_BYTES: usize = 1 << 10;
const SHORT: u8 = 0x80;
/// In a short frame's place for a name.
const SPELLED: u8 = 0;
const ID_BYTES: usize = 32;

/// The content ids that one end of a link has spelled out.
#[derive(Debug, Default)]
pub struct Names {
    spelled: Vec<[u8; ID_BYTES]>,
}

impl Names {
    /// An encoded frame that has no payload, as it goes over the link; none if it goes as it is. Call for every such frame, in the order in which
    /// they leave.
    pub fn shorten(&mut self, frame: &[u8]) -> Option<Bytes> {
        let (header, body) = frame.split_first_chunk::<HEADER_BYTES>()?;
        let frame_type = header[0];
        if frame.len() > MAX_SHORT_BYTES || HandshakeMessage::TYPES.contains(&frame_type) {
            return None;
        }
        let mut short = BytesMut::with_capacity(frame.len());
        short.put_u8(frame_type | SHORT);
        let name = content_of(frame_type, body).map_or(SPELLED, |id| self.name(id));
        short.put_u8(name);
        short.put_slice(if name == SPELLED { body } else { &body[ID_BYTES..] });
        Some(short.freeze())
    }

    /// What [`super::decode`] takes, of a message as it came over the link. Call for every message, in the order in which they come.
    ///
    /// # Errors
    ///
    /// A message that is cut short, or names what was not spelled out.
    pub fn lengthen(&mut self, message: &Bytes) -> Result<Bytes, DecodeError> {
        let frame_type = match message.first() {
            Some(first) if first & SHORT != 0 => first & !SHORT,
            _ => return Ok(message.clone()),
        };
        let (name, body) = message[1..].split_first().ok_or(DecodeError::Truncated)?;
        let id = match *name {
            SPELLED => {
                if let Some(id) = content_of(frame_type, body) {
                    self.name(id);
                }
                None
            }
            name => Some(self.named(frame_type, name).ok_or(DecodeError::UnknownName(name))?),
        };
        let id = id.as_ref().map_or(&[][..], |id| id);
        let mut frame = BytesMut::with_capacity(HEADER_BYTES + id.len() + body.len());
        frame.put_slice(&[frame_type, 0, 0, 0]);
        frame.put_u32_le((id.len() + body.len()) as u32);
        frame.put_slice(id);
        frame.put_slice(body);
        Ok(frame.freeze())
    }

    /// The number of an id that was spelled out before; one that was not is now, and gets a number for the next time.
    fn name(&mut self, id: &[u8; ID_BYTES]) -> u8 {
        if let Some(at) = self.spelled.iter().position(|spelled| spelled == id) {
            return (at + 1) as u8;
        }
        if self.spelled.len() < MAX_NAMED {
            self.spelled.push(*id);
        }
        SPELLED
    }

    fn named(&self, frame_type: u8, name: u8) -> Option<[u8; ID_BYTES]> {
        let is_usual = is_of_a_content(frame_type);
        self.spelled.get(usize::from(name).checked_sub(1)?).filter(|_| is_usual).copied()
    }
}

/// The content id with which a body begins.
fn content_of(frame_type: u8, body: &[u8]) -> Option<&[u8; ID_BYTES]> {
    body.first_chunk().filter(|_| is_of_a_content(frame_type))
}

/// Whether bodies of this type begin with a content id.
fn is_of_a_content(frame_type: u8) -> bool {
    PeerMessage::OF_A_CONTENT.contains(&frame_type)
}
