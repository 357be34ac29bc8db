//! A reader position: how a player, a gateway body or a download reads a content that is still arriving.
//!
//! The position travels to the scheduler as a latest value: however fast a reader moves, at most one message waits in the mailbox.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use actix::Recipient;
use bytes::Bytes;
use shared::{ContentId, limits::LEAF_BYTES, snapshot::NetworkFile};
use thiserror::Error;

use super::messages::{ReaderId, ReaderNews};
use crate::{buffers::Buffer, mailbox, store::Content};

/// A reader that moves less than this within held bytes is not worth a message.
const STEP_BYTES: u64 = 4 * LEAF_BYTES;

/// Why bytes cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The node stops.
    #[error("the stream has ended")]
    Ended,
    /// The bytes are there and cannot be read, or the content was taken away.
    #[error("cannot read the stored bytes: {0}")]
    Io(#[from] io::Error),
}

/// The position of one reader as the scheduler last has to know it.
#[derive(Debug, Default)]
pub(crate) struct ReaderCell {
    position_byte: AtomicU64,
    /// Where it stops reading; 0 where it has not said.
    end_byte: AtomicU64,
    is_blocked: AtomicBool,
    is_told: AtomicBool,
    keeps_whole: AtomicBool,
    /// Whether the reader has said where it is.
    is_placed: AtomicBool,
}

/// What a reader last said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReaderWish {
    pub(crate) position_byte: u64,
    /// Where it stops reading, as far as it said.
    pub(crate) end_byte: Option<u64>,
    pub(crate) is_blocked: bool,
    pub(crate) keeps_whole: bool,
}

impl ReaderCell {
    /// What the reader last said; allows the next message.
    pub(crate) fn take(&self) -> ReaderWish {
        self.is_told.store(false, Ordering::Release);
        let end_byte = self.end_byte.load(Ordering::Acquire);
        ReaderWish {
            position_byte: self.position_byte.load(Ordering::Acquire),
            end_byte: (end_byte > 0).then_some(end_byte),
            is_blocked: self.is_blocked.load(Ordering::Acquire),
            keeps_whole: self.keeps_whole.load(Ordering::Acquire),
        }
    }
}

/// One reader position on one content. Dropping it leaves; some seconds after the last reader left, the swarm is left too.
pub struct ContentReader {
    id: ReaderId,
    content: Arc<Content>,
    file: Arc<NetworkFile>,
    cell: Arc<ReaderCell>,
    scheduler: Recipient<ReaderNews>,
}

impl ContentReader {
    pub(crate) fn new(
        id: ReaderId,
        content: Arc<Content>,
        file: Arc<NetworkFile>,
        cell: Arc<ReaderCell>,
        scheduler: Recipient<ReaderNews>,
    ) -> Self {
        Self { id, content, file, cell, scheduler }
    }

    /// The stored content, for reads that do not wait.
    pub fn content(&self) -> &Arc<Content> {
        &self.content
    }

    /// What the network says of the file.
    pub fn file(&self) -> &NetworkFile {
        &self.file
    }

    /// Bytes of the content.
    pub fn size_bytes(&self) -> u64 {
        self.content.size_bytes()
    }

    /// Says where this reader is, and whether it waits there. A jump is a seek.
    pub fn set_position(&self, byte: u64, is_blocked: bool) {
        let old_byte = self.cell.position_byte.swap(byte, Ordering::AcqRel);
        let was_blocked = self.cell.is_blocked.swap(is_blocked, Ordering::AcqRel);
        let was_placed = self.cell.is_placed.swap(true, Ordering::AcqRel);
        let moved_bytes = byte.abs_diff(old_byte);
        if !was_placed
            || is_blocked != was_blocked
            || moved_bytes >= STEP_BYTES
            || byte / STEP_BYTES != old_byte / STEP_BYTES
        {
            self.tell();
        }
    }

    /// Says that nothing is read from `byte` on, so that nothing beyond is fetched for it. To be said before the position it is meant for.
    pub fn set_end(&self, byte: u64) {
        self.cell.end_byte.store(byte, Ordering::Release);
    }

    /// Asks for everything, in the background beyond what readers need.
    pub fn keep_whole(&self) {
        self.cell.keeps_whole.store(true, Ordering::Release);
        self.tell();
    }

    /// Reads up to `max_bytes` at `position_byte`, waiting until at least one verified byte is there. Empty at the end.
    pub async fn read_at(&self, position_byte: u64, max_bytes: usize) -> Result<Bytes, ReadError> {
        if position_byte >= self.size_bytes() || max_bytes == 0 {
            return Ok(Bytes::new());
        }
        let mut changes = self.content.changed();
        loop {
            changes.mark_unchanged();
            let content = self.content.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut buffer = Buffer::of(max_bytes);
                let read_bytes = content.try_read(position_byte, &mut buffer)?;
                Ok::<_, io::Error>(read_bytes.map(|read_bytes| {
                    buffer.truncate(read_bytes);
                    buffer.freeze()
                }))
            });
            match read.await.map_err(|_| ReadError::Ended)?? {
                Some(bytes) => {
                    self.set_position(position_byte + bytes.len() as u64, false);
                    return Ok(bytes);
                }
                None => self.set_position(position_byte, true),
            }
            changes.changed().await.map_err(|_| ReadError::Ended)?;
        }
    }

    fn tell(&self) {
        if !self.cell.is_told.swap(true, Ordering::AcqRel) {
            let content_id = self.content.content_id();
            mailbox::post(&self.scheduler, ReaderNews { content_id, reader: self.id, is_gone: false });
        }
    }
}

impl Drop for ContentReader {
    fn drop(&mut self) {
        let content_id: ContentId = self.content.content_id();
        mailbox::post(&self.scheduler, ReaderNews { content_id, reader: self.id, is_gone: true });
    }
}

impl fmt::Debug for ContentReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentReader")
            .field("id", &self.id)
            .field("file", &self.file.name)
            .finish_non_exhaustive()
    }
}
