//! The body of a stream answer: parts of a content, pulled by the client.
//!
//! Invariant: nothing is read ahead of the client. The next bytes are asked for only when the last were taken, and the reader's
//! position is set to exactly where the client is, which makes it the swarm's playhead. The server drops the body of a client
//! that left, also while it waits for bytes; dropping it drops the reader, and so the wish.

use std::{collections::VecDeque, time::Duration};

use actix_web::web::Bytes;
use futures_util::{Stream, stream};
use shared::{ByteRange, ContentId};
use tokio::time::timeout;

use super::{
    server::{OpenBody, Traffic},
    source::{Library, ReadRefusal, Reader},
};

/// One piece of a body, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Text between parts.
    Text(Bytes),
    /// Bytes of the content.
    Media(ByteRange),
}

impl Segment {
    const fn len_bytes(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Media(range) => range.end - range.start,
        }
    }
}

/// How long the body of these segments is.
pub(super) fn len_bytes(segments: &[Segment]) -> u64 {
    segments.iter().map(Segment::len_bytes).sum()
}

/// The segments of a `multipart/byteranges` body.
pub(super) fn multipart(
    ranges: &[ByteRange],
    size_bytes: u64,
    content_type: &str,
    boundary: &str,
) -> Vec<Segment> {
    let mut segments = Vec::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {}\r\n\r\n",
            content_range(range, size_bytes)
        );
        segments.push(Segment::Text(head.into()));
        segments.push(Segment::Media(range.clone()));
    }
    segments.push(Segment::Text(format!("\r\n--{boundary}--\r\n").into()));
    segments
}

/// The value of `Content-Range` for one part.
pub(super) fn content_range(range: &ByteRange, size_bytes: u64) -> String {
    format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1)
}

/// The bytes of `segments`, as fast as the client takes them and the network brings them.
pub(super) fn stream<L: Library>(
    library: L,
    reader: L::Reader,
    segments: Vec<Segment>,
    traffic: Traffic,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let body = Body { library, reader, left: segments.into(), open: traffic.body_opened() };
    stream::unfold(body, |mut body| async move {
        let item = body.next().await?;
        Some((item, body))
    })
}

struct Body<L: Library> {
    library: L,
    reader: L::Reader,
    left: VecDeque<Segment>,
    open: OpenBody,
}

impl<L: Library> Body<L> {
    async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        match self.left.pop_front()? {
            Segment::Text(text) => Some(Ok(text)),
            Segment::Media(range) => match self.read(range.clone()).await {
                Ok(bytes) => {
                    let taken = bytes.len() as u64;
                    self.open.sent(taken);
                    if range.start + taken < range.end {
                        self.left.push_front(Segment::Media(range.start + taken..range.end));
                    }
                    Some(Ok(bytes))
                }
                Err(ending) => {
                    // A short body is the only way left to tell the client: its head is long gone.
                    self.left.clear();
                    tracing::debug!(content = %self.content().short(), byte = range.start, %ending, "stream ended early");
                    Some(Err(std::io::Error::other(ending)))
                }
            },
        }
    }

    async fn read(&self, range: ByteRange) -> Result<Bytes, Ending> {
        let wanted = (range.end - range.start).min(READ_BYTES) as usize;
        self.reader.set_end(range.end);
        self.reader.set_position(range.start);
        let mut read = std::pin::pin!(self.reader.read_at(range.start, wanted));
        let mut step = FIRST_REPORT;
        let mut waited = Duration::ZERO;
        loop {
            if let Ok(answer) = timeout(step, &mut read).await {
                let bytes = answer?;
                return if bytes.is_empty() { Err(Ending::Short) } else { Ok(bytes) };
            }
            waited += step;
            step = waited;
            self.report_waiting(range.start, waited).await;
        }
    }

    async fn report_waiting(&self, byte: u64, waited: Duration) {
        let stream = self.library.stream(self.content()).await;
        let reason = stream.as_ref().and_then(|stream| stream.waiting.clone());
        let peers = stream.map_or(0, |stream| stream.peers.iter().filter(|peer| peer.connected).count());
        tracing::info!(
            content = %self.content().short(),
            name = %self.reader.file().name,
            byte,
            waited_ms = waited.as_millis() as u64,
            peers,
            reason = reason.as_deref().unwrap_or("nobody who is connected has these bytes yet"),
            "a client waits for bytes"
        );
    }

    fn content(&self) -> ContentId {
        self.reader.file().content_id
    }
}

/// Why a body ends before its last byte.
#[derive(Debug, thiserror::Error)]
enum Ending {
    #[error("the content ended before its size")]
    Short,
    #[error(transparent)]
    Refused(#[from] ReadRefusal),
}

/// Read at a time: few enough that the position is where the client is, many enough that calls cost nothing.
const READ_BYTES: u64 = 256 * 1024;
/// How long a client waits before the log says so; the next reports come after twice as long each.
const FIRST_REPORT: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multipart_body_is_as_long_as_it_says() {
        let segments = multipart(&[0..1, 9..10], 10, "video/mp4", "B");
        let text: u64 = segments
            .iter()
            .map(|segment| match segment {
                Segment::Text(text) => text.len() as u64,
                Segment::Media(_) => 1,
            })
            .sum();
        assert_eq!(len_bytes(&segments), text);
        assert!(matches!(&segments[0], Segment::Text(text)
            if text == "\r\n--B\r\nContent-Type: video/mp4\r\nContent-Range: bytes 0-0/10\r\n\r\n".as_bytes()));
        assert!(matches!(segments.last(), Some(Segment::Text(text)) if text == "\r\n--B--\r\n".as_bytes()));
    }
}
