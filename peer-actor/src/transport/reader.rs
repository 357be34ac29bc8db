//! WebSocket frames (RFC 6455 section 5.2) out of the bytes a dialled socket brings, each payload byte copied by nobody but the kernel.
//!
//! A frame's header announces how long it is, so the socket is read into memory of exactly that length, and a little beyond, where the
//! next header is. Small frames are taken out of that little.
//!
//! Invariant: a frame longer than [`MAX_FRAME_BYTES`](shared::limits::MAX_FRAME_BYTES) is refused at its header, before memory is taken
//! for it. No I/O here.

use std::io::IoSliceMut;

use bytes::Bytes;

use super::guard::{MAX_HEADER_BYTES, header_len, payload_len};
use crate::buffers::Buffer;

/// Where headers and small frames are read into.
const SCRATCH_BYTES: usize = 16 * 1024;
/// Longer frames get memory of their own.
const SMALL_BYTES: usize = 4 * 1024;

/// Takes bytes in, gives messages out.
#[derive(Debug)]
pub(crate) struct FrameReader {
    scratch: Box<[u8]>,
    start: usize,
    end: usize,
    large: Option<Large>,
}

/// A message whose header was seen.
#[derive(Debug)]
struct Large {
    buffer: Buffer,
    filled: usize,
}

/// What the other end said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A whole binary message.
    Message(Bytes),
    /// A ping or pong of the WebSocket itself.
    Upkeep,
    /// It says no more.
    Close,
}

/// What came is no WebSocket frame a server may send here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadFraming;

impl FrameReader {
    /// A reader of a stream that begins with `first`, which was read already.
    pub(crate) fn new(first: &[u8]) -> Self {
        let mut scratch = vec![0; SCRATCH_BYTES.max(first.len())].into_boxed_slice();
        scratch[..first.len()].copy_from_slice(first);
        Self { scratch, start: 0, end: first.len(), large: None }
    }

    /// Where the next bytes are to be put. Call [`Self::next`] to its end before.
    pub(crate) fn slots(&mut self) -> [IoSliceMut<'_>; 2] {
        if self.start > 0 {
            self.scratch.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let rest = match &mut self.large {
            Some(large) => &mut large.buffer[large.filled..],
            None => &mut [],
        };
        [IoSliceMut::new(rest), IoSliceMut::new(&mut self.scratch[self.end..])]
    }

    /// `count` bytes were put into the slots, in their order.
    pub(crate) fn filled(&mut self, count: usize) {
        let of_large = self.large.as_mut().map_or(0, |large| {
            let taken = count.min(large.buffer.len() - large.filled);
            large.filled += taken;
            taken
        });
        self.end += count - of_large;
    }

    /// How many bytes lack of a large message that has begun.
    pub(crate) fn lacks(&self) -> usize {
        self.large.as_ref().map_or(0, |large| large.buffer.len() - large.filled)
    }

    /// The next message that is there; none before more bytes are.
    pub(crate) fn next(&mut self) -> Result<Option<Incoming>, BadFraming> {
        if let Some(large) = self.large.take_if(|large| large.filled == large.buffer.len()) {
            return Ok(Some(Incoming::Message(large.buffer.freeze())));
        }
        let unread = &self.scratch[self.start..self.end];
        if self.large.is_some() || unread.len() < 2 {
            return Ok(None);
        }
        let opcode = opcode(unread)?;
        let header_bytes = header_len(&unread[..unread.len().min(MAX_HEADER_BYTES)]);
        if unread.len() < header_bytes {
            return Ok(None);
        }
        let message_bytes = payload_len(unread).ok_or(BadFraming)?;
        let there = &unread[header_bytes..];
        match opcode {
            Opcode::Binary if message_bytes > SMALL_BYTES => {
                let mut buffer = Buffer::of(message_bytes);
                let filled = there.len().min(message_bytes);
                buffer[..filled].copy_from_slice(&there[..filled]);
                self.start += header_bytes + filled;
                self.large = Some(Large { buffer, filled });
                self.next()
            }
            _ if message_bytes > SMALL_BYTES => Err(BadFraming),
            _ if there.len() < message_bytes => Ok(None),
            Opcode::Binary => {
                let message = Bytes::copy_from_slice(&there[..message_bytes]);
                self.start += header_bytes + message_bytes;
                Ok(Some(Incoming::Message(message)))
            }
            Opcode::Upkeep | Opcode::Close => {
                self.start += header_bytes + message_bytes;
                let is_close = matches!(opcode, Opcode::Close);
                Ok(Some(if is_close { Incoming::Close } else { Incoming::Upkeep }))
            }
        }
    }
}

enum Opcode {
    Binary,
    Close,
    Upkeep,
}

/// The opcode of a whole, unmasked frame; nothing else is said on a link.
fn opcode(header: &[u8]) -> Result<Opcode, BadFraming> {
    match (header[0], header[1] & 0x80) {
        (0x82, 0) => Ok(Opcode::Binary),
        (0x88, 0) => Ok(Opcode::Close),
        (0x89 | 0x8a, 0) => Ok(Opcode::Upkeep),
        _ => Err(BadFraming),
    }
}

#[cfg(test)]
mod tests {
    use actix_codec::Encoder as _;
    use actix_http::ws::{Codec, Message};
    use bytes::BytesMut;
    use shared::limits::MAX_FRAME_BYTES;

    use super::*;

    /// Gives `stream` to a reader, at most `step` bytes at a time; every message until an end.
    fn read(stream: &[u8], step: usize, first: usize) -> Result<Vec<Incoming>, BadFraming> {
        let mut reader = FrameReader::new(&stream[..first]);
        let mut rest = &stream[first..];
        let mut messages = Vec::new();
        loop {
            while let Some(message) = reader.next()? {
                messages.push(message);
            }
            if rest.is_empty() {
                return Ok(messages);
            }
            let mut budget = step;
            let mut put = 0;
            for slot in &mut reader.slots() {
                let count = slot.len().min(budget).min(rest.len());
                slot[..count].copy_from_slice(&rest[..count]);
                (rest, budget, put) = (&rest[count..], budget - count, put + count);
            }
            reader.filled(put);
        }
    }

    fn encoded(messages: impl IntoIterator<Item = Message>) -> Vec<u8> {
        let mut out = BytesMut::new();
        messages.into_iter().for_each(|message| Codec::new().encode(message, &mut out).unwrap());
        out.to_vec()
    }

    #[test]
    fn messages_of_every_length_come_out_however_the_stream_is_cut() {
        let sizes = [1, 125, 126, 4096, 4097, 65_535, 65_536, 300_000, 5, 16_384, 16_384, 0, 1 << 20, 7];
        let payload =
            |n: usize, size: usize| Bytes::from((0..size).map(|at| (at * 7 + n) as u8).collect::<Vec<_>>());
        let expected: Vec<Bytes> = sizes.iter().enumerate().map(|(n, size)| payload(n, *size)).collect();
        let stream = encoded(expected.iter().map(|bytes| Message::Binary(bytes.clone())));
        for step in [1, 2, 13, 4096, 100_000, stream.len()] {
            for first in [0, 1, 200, 40_000] {
                let got = read(&stream, step, first).unwrap();
                let got: Vec<Bytes> = got
                    .into_iter()
                    .map(|message| {
                        let Incoming::Message(bytes) = message else { panic!("{message:?}") };
                        bytes
                    })
                    .collect();
                assert!(got == expected, "step {step}, first {first}");
            }
        }
    }

    #[test]
    fn upkeep_passes_and_a_close_is_told() {
        let stream = encoded([
            Message::Ping(Bytes::from_static(b"a")),
            Message::Binary(Bytes::from_static(b"xyz")),
            Message::Pong(Bytes::new()),
            Message::Close(None),
        ]);
        let got = read(&stream, 3, 0).unwrap();
        let message = Incoming::Message(Bytes::from_static(b"xyz"));
        assert_eq!(got[..4], [Incoming::Upkeep, message, Incoming::Upkeep, Incoming::Close]);
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        let text = encoded([Message::Text("hello".into())]);
        assert_eq!(read(&text, 9, 0), Err(BadFraming));
        let mut masked = BytesMut::new();
        Codec::new().client_mode().encode(Message::Binary(Bytes::from_static(b"x")), &mut masked).unwrap();
        assert_eq!(read(&masked, 9, 0), Err(BadFraming));
        assert_eq!(read(&[0x02, 1, 9], 9, 0), Err(BadFraming), "a fragment");
        assert_eq!(read(&[0xc2, 1, 9], 9, 0), Err(BadFraming), "a reserved bit");
    }

    #[test]
    fn a_giant_length_is_refused_at_its_header() {
        for length in [MAX_FRAME_BYTES as u64 + 1, 1 << 40, u64::MAX] {
            let mut header = vec![0x82, 0x7f];
            header.extend_from_slice(&length.to_be_bytes());
            assert_eq!(read(&header, 100, 0), Err(BadFraming));
        }
    }
}
