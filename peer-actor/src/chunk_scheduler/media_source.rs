//! The seam between swarm and player: verified bytes of a content, for the player's blocking reader.
//!
//! Invariant: only bytes the store has verified are handed out; where the player reads is what the scheduler hears as the
//! reader's position. Decides nothing. Dropping it leaves the swarm.

use std::{io, ops::Range, time::Duration};

use media::MediaSource;

use super::ContentReader;

/// A content that may still be arriving.
pub struct StreamSource {
    reader: ContentReader,
}

impl std::fmt::Debug for StreamSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamSource({})", self.reader.content().content_id().short())
    }
}

impl StreamSource {
    /// Reads through `reader`.
    pub fn new(reader: ContentReader) -> Self {
        Self { reader }
    }
}

impl MediaSource for StreamSource {
    fn len_bytes(&self) -> u64 {
        self.reader.size_bytes()
    }

    fn try_read(&self, pos: u64, buf: &mut [u8]) -> io::Result<Option<usize>> {
        self.reader.content().try_read(pos, buf)
    }

    fn want(&self, range: Range<u64>, blocking: bool) {
        self.reader.set_position(range.start, blocking);
    }

    fn generation(&self) -> u64 {
        self.reader.content().generation()
    }

    fn wait_change(&self, seen: u64, timeout: Duration) -> u64 {
        self.reader.content().wait_change(seen, timeout)
    }
}
