//! The frame-size guard: reads WebSocket frame headers (RFC 6455 section 5.2) as bytes pass by and stops at the first that announces
//! more than is allowed.
//!
//! The WebSocket codec of the accepting side checks a frame's length only after the whole frame is buffered, so its limit does not bound
//! memory; this one does. It does not decode anything else: masks, opcodes and fragments are the codec's business.

use shared::limits::MAX_FRAME_BYTES;

/// The longest header: two bytes, an eight-byte length, a mask.
pub(crate) const MAX_HEADER_BYTES: usize = 14;

/// Follows a byte stream from frame header to frame header.
#[derive(Debug, Default)]
pub(crate) struct FrameGuard {
    header: [u8; MAX_HEADER_BYTES],
    header_filled: usize,
    payload_left: usize,
}

/// A frame announced more bytes than any frame may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Oversize;

impl FrameGuard {
    /// What of a frame has not come.
    pub(crate) const fn lacks(&self) -> usize {
        self.payload_left
    }

    /// Follows the next bytes of the stream, split anywhere.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Oversize> {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let passed = self.payload_left.min(bytes.len());
                self.payload_left -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            self.header[self.header_filled] = bytes[0];
            self.header_filled += 1;
            bytes = &bytes[1..];
            if self.header_filled == header_len(&self.header[..self.header_filled]) {
                self.payload_left = payload_len(&self.header[..self.header_filled]).ok_or(Oversize)?;
                self.header_filled = 0;
            }
        }
        Ok(())
    }
}

/// How long the header is, as far as its first two bytes tell.
pub(crate) const fn header_len(header: &[u8]) -> usize {
    if header.len() < 2 {
        return MAX_HEADER_BYTES;
    }
    let extended_bytes = match header[1] & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended_bytes + if header[1] & 0x80 == 0 { 0 } else { 4 }
}

/// The announced payload length; none when it is beyond the limit.
pub(crate) fn payload_len(header: &[u8]) -> Option<usize> {
    let announced = match header[1] & 0x7f {
        126 => u64::from(u16::from_be_bytes([header[2], header[3]])),
        127 => u64::from_be_bytes(*header[2..].first_chunk()?),
        short => u64::from(short),
    };
    usize::try_from(announced).ok().filter(|length| *length <= MAX_FRAME_BYTES)
}

#[cfg(test)]
mod tests {
    use actix_codec::Encoder as _;
    use actix_http::ws::{Codec, Message};
    use bytes::BytesMut;

    use super::*;

    fn frame(payload_bytes: usize) -> Vec<u8> {
        let mut out = BytesMut::new();
        Codec::new().client_mode().encode(Message::Binary(vec![7; payload_bytes].into()), &mut out).unwrap();
        out.to_vec()
    }

    #[test]
    fn frames_of_every_length_class_pass_however_they_are_split() {
        let stream: Vec<u8> = [0, 1, 125, 126, 65_535, 65_536, 300_000].into_iter().flat_map(frame).collect();
        for step in [1, 2, 3, 7, 4096, stream.len()] {
            let mut guard = FrameGuard::default();
            for part in stream.chunks(step) {
                assert_eq!(guard.follow(part), Ok(()));
            }
            assert_eq!((guard.header_filled, guard.payload_left), (0, 0));
        }
    }

    #[test]
    fn a_giant_length_is_refused_at_its_header() {
        let mut header = vec![0x82, 0xff];
        header.extend_from_slice(&(1u64 << 40).to_be_bytes());
        header.extend_from_slice(&[0; 4]);
        assert_eq!(FrameGuard::default().follow(&header), Err(Oversize));
    }
}
