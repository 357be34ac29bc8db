//! Where bytes come from: the trait the player reads through, and a complete local file as one.
//!
//! Invariant: a source only ever hands out bytes that are final; whether they arrived a year or a millisecond ago is
//! its own business. It does not cache, decode or interpret.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

/// What the player reads from, supplied by the caller: a file, or a store that is still filling.
///
/// Calls come from the player's own threads and may overlap.
pub trait MediaSource: Send + Sync + 'static {
    /// The size of the whole, known from the start.
    fn len_bytes(&self) -> u64;

    /// Copies verified contiguous bytes at `pos` (`1..=buf.len()` of them).
    ///
    /// `Ok(None)` says they are not here yet; an error says they never will be.
    fn try_read(&self, pos: u64, buf: &mut [u8]) -> io::Result<Option<usize>>;

    /// The reader needs `range` next; `blocking` when a decoder waits for it right now.
    fn want(&self, range: Range<u64>, blocking: bool);

    /// A number that grows with every arrival.
    fn generation(&self) -> u64;

    /// Blocks until `generation() != seen` or the timeout has passed; returns the generation then.
    fn wait_change(&self, seen: u64, timeout: Duration) -> u64;
}

/// A complete local file as a [`MediaSource`].
#[derive(Debug)]
pub struct FileSource {
    file: Mutex<File>,
    len_bytes: u64,
}

impl FileSource {
    /// Opens a file whose content no longer changes.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len_bytes = file.metadata()?.len();
        Ok(Self { file: Mutex::new(file), len_bytes })
    }
}

impl MediaSource for FileSource {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn try_read(&self, pos: u64, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(pos))?;
        loop {
            match file.read(buf) {
                // The file shrank under us: what is missing will not come back.
                Ok(0) if !buf.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn want(&self, _range: Range<u64>, _blocking: bool) {}

    fn generation(&self) -> u64 {
        0
    }

    fn wait_change(&self, _seen: u64, timeout: Duration) -> u64 {
        // Never reached while the file is whole: `try_read` does not answer `None`.
        thread::sleep(timeout);
        0
    }
}
