//! A blocking, cancellable `Read + Seek` over a [`MediaSource`], the shape FFmpeg wants.
//!
//! Invariants: `seek` is arithmetic only, so looking at a file's size moves no prefetch window; a cancelled read
//! answers `Interrupted` while [`Gate::is_cancelled`] stays true, and nothing here ever answers `WouldBlock` or
//! `TimedOut`, which would poison the FFmpeg context; nothing here panics, since it is called through C.

use std::{
    io::{self, Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::source::MediaSource;

/// How long one wait for bytes lasts before the cancel flag is looked at again.
const WAIT_SLICE: Duration = Duration::from_millis(15);
/// The look-ahead announced to the source, at least this much.
const MIN_WINDOW_BYTES: u64 = 16 << 20;
/// The window is announced anew when the reader has moved this far.
const ANNOUNCE_STEP_BYTES: u64 = 256 << 10;
const NOT_BLOCKED: u64 = u64::MAX;

/// The switch that releases a blocked reader, and the window onto what it is waiting for.
#[derive(Debug)]
pub(crate) struct Gate {
    cancelled: AtomicBool,
    blocked_at: AtomicU64,
    blocked_since_us: AtomicU64,
    origin: Instant,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            cancelled: AtomicBool::new(false),
            blocked_at: AtomicU64::new(NOT_BLOCKED),
            blocked_since_us: AtomicU64::new(0),
            origin: Instant::now(),
        }
    }

    /// Releases the reader, now and for every later read, until [`Self::rearm`].
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Reads block again.
    pub(crate) fn rearm(&self) {
        self.cancelled.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// The byte the reader waits for and for how long it has, or `None` when it does not wait.
    pub(crate) fn blocked(&self) -> Option<(u64, Duration)> {
        let at = self.blocked_at.load(Ordering::SeqCst);
        let since_us = self.blocked_since_us.load(Ordering::SeqCst);
        (at != NOT_BLOCKED)
            .then(|| (at, self.origin.elapsed().saturating_sub(Duration::from_micros(since_us))))
    }

    fn enter(&self, pos: u64) {
        let now_us = self.origin.elapsed().as_micros() as u64;
        self.blocked_since_us.store(now_us, Ordering::SeqCst);
        self.blocked_at.store(pos, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.blocked_at.store(NOT_BLOCKED, Ordering::SeqCst);
    }
}

/// The reader itself; one per opened input.
pub(crate) struct SourceReader {
    source: Arc<dyn MediaSource>,
    gate: Arc<Gate>,
    pos: u64,
    len: u64,
    announced_at: Option<u64>,
}

impl SourceReader {
    pub(crate) fn new(source: Arc<dyn MediaSource>, gate: Arc<Gate>) -> Self {
        let len = source.len_bytes();
        Self { source, gate, pos: 0, len, announced_at: None }
    }

    fn read_blocking(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut waiting = false;
        let result = loop {
            if self.gate.is_cancelled() {
                break Err(io::ErrorKind::Interrupted.into());
            }
            // Before `try_read`, so that an arrival in between is not slept through.
            let seen = self.source.generation();
            match self.source.try_read(self.pos, buf) {
                Ok(Some(count)) if (1..=buf.len()).contains(&count) => break Ok(count),
                Ok(Some(_)) => break Err(io::Error::other("the source answered an impossible count")),
                Ok(None) => {}
                Err(error) => break Err(io::Error::other(error)),
            }
            if !waiting {
                waiting = true;
                self.gate.enter(self.pos);
                // After a seek to where nothing is yet, the source must learn of the whole window, not of one read.
                self.announce();
                self.source.want(self.pos..(self.pos + buf.len() as u64).min(self.len), true);
            }
            self.source.wait_change(seen, WAIT_SLICE);
        };
        if waiting {
            self.gate.leave();
        }
        result
    }

    /// Tells the source what comes next, without repeating itself at every small read.
    fn announce(&mut self) {
        let moved = self.announced_at.is_none_or(|at| self.pos.abs_diff(at) >= ANNOUNCE_STEP_BYTES);
        if moved && self.pos < self.len {
            self.announced_at = Some(self.pos);
            self.source.want(self.pos..self.pos.saturating_add(MIN_WINDOW_BYTES).min(self.len), false);
        }
    }
}

impl Read for SourceReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.pos >= self.len {
            return Ok(0);
        }
        // The caller's source is foreign code under a C frame: a panic in it must not cross.
        let read = catch_unwind(AssertUnwindSafe(|| {
            let count = self.read_blocking(buf)?;
            self.pos = self.pos.saturating_add(count as u64);
            self.announce();
            Ok(count)
        }));
        read.unwrap_or_else(|_| Err(io::Error::other("the media source panicked")))
    }
}

impl Seek for SourceReader {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.pos = seek_target(target, self.pos, self.len)?;
        Ok(self.pos)
    }
}

/// Where a seek leads; shared by every reader handed to FFmpeg.
pub(crate) fn seek_target(target: SeekFrom, pos: u64, len: u64) -> io::Result<u64> {
    let to = match target {
        SeekFrom::Start(to) => Some(to),
        SeekFrom::End(by) => len.checked_add_signed(by),
        SeekFrom::Current(by) => pos.checked_add_signed(by),
    };
    to.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use std::{
        ops::Range,
        sync::{Condvar, Mutex},
        thread,
    };

    use super::*;

    #[test]
    fn a_blocked_read_is_released_by_cancel_within_50_ms() {
        let source = Arc::new(Slow::new(1000, 0));
        let gate = Arc::new(Gate::new());
        let mut reader = SourceReader::new(source, Arc::clone(&gate));
        let worker = thread::Builder::new().spawn(move || {
            let result = reader.read(&mut [0; 64]);
            (result, Instant::now())
        });
        while gate.blocked().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(20));
        assert_eq!(gate.blocked().map(|(at, _)| at), Some(0));
        let cancelled = Instant::now();
        gate.cancel();
        let (result, returned) = worker.unwrap().join().unwrap();
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert!(returned - cancelled < Duration::from_millis(50), "took {:?}", returned - cancelled);
        assert!(gate.blocked().is_none());
    }

    #[test]
    fn partial_reads_are_handed_on_and_the_end_is_the_end() {
        let source = Arc::new(Slow::new(100, 10));
        let mut reader = SourceReader::new(source, Arc::new(Gate::new()));
        assert_eq!(reader.read(&mut [0; 64]).unwrap(), 10);
        reader.seek(SeekFrom::End(0)).unwrap();
        assert_eq!(reader.read(&mut [0; 64]).unwrap(), 0);
    }

    #[test]
    fn seeking_asks_the_source_for_nothing() {
        let source = Arc::new(Slow::new(1 << 30, 1 << 30));
        let mut reader = SourceReader::new(Arc::<Slow>::clone(&source), Arc::new(Gate::new()));
        for _ in 0..10 {
            reader.seek(SeekFrom::End(-100)).unwrap();
            reader.seek(SeekFrom::Start(5)).unwrap();
        }
        assert!(source.wants.lock().unwrap().is_empty());
        reader.read_exact(&mut [0; 16]).unwrap();
        assert_eq!(source.wants.lock().unwrap().len(), 1);
    }

    #[test]
    fn every_byte_arrives_in_order_while_the_source_fills() {
        let source = Arc::new(Slow::new(50_000, 0));
        let mut reader = SourceReader::new(Arc::<Slow>::clone(&source), Arc::new(Gate::new()));
        let filler = thread::Builder::new().spawn(move || {
            for have in (0..=50_000).step_by(500) {
                source.fill_to(have);
            }
        });
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        filler.unwrap().join().unwrap();
        assert_eq!(all.len(), 50_000);
        assert!(all.iter().enumerate().all(|(at, byte)| *byte == at as u8));
    }

    #[test]
    fn a_reader_blocked_after_a_seek_announces_its_new_window() {
        let source = Arc::new(Slow::new(1 << 30, 100));
        let gate = Arc::new(Gate::new());
        let mut reader = SourceReader::new(Arc::<Slow>::clone(&source), Arc::clone(&gate));
        reader.seek(SeekFrom::Start(500 << 20)).unwrap();
        let worker = thread::Builder::new().spawn(move || reader.read(&mut [0; 64]).is_err()).unwrap();
        while gate.blocked().is_none() || source.wants.lock().unwrap().len() < 2 {
            thread::sleep(Duration::from_millis(1));
        }
        gate.cancel();
        assert!(worker.join().unwrap());
        let wants = source.wants.lock().unwrap().clone();
        assert_eq!(wants, [(500 << 20..516 << 20, false), (500 << 20..(500 << 20) + 64, true)]);
    }

    #[test]
    fn a_panicking_source_is_an_error_not_an_abort() {
        let mut reader = SourceReader::new(Arc::new(Panics), Arc::new(Gate::new()));
        assert!(reader.read(&mut [0; 8]).is_err());
    }

    #[test]
    fn a_negative_seek_is_refused() {
        assert!(seek_target(SeekFrom::Current(-1), 0, 10).is_err());
        assert_eq!(seek_target(SeekFrom::End(-1), 0, 10).unwrap(), 9);
    }

    /// A source whose first `have` bytes are here; byte `n` is `n as u8`.
    struct Slow {
        len: u64,
        have: Mutex<u64>,
        changed: Condvar,
        wants: Mutex<Vec<(Range<u64>, bool)>>,
    }

    impl Slow {
        fn new(len: u64, have: u64) -> Self {
            Self { len, have: Mutex::new(have), changed: Condvar::new(), wants: Mutex::default() }
        }

        fn fill_to(&self, have: u64) {
            *self.have.lock().unwrap() = have;
            self.changed.notify_all();
        }
    }

    impl MediaSource for Slow {
        fn len_bytes(&self) -> u64 {
            self.len
        }

        fn try_read(&self, pos: u64, buf: &mut [u8]) -> io::Result<Option<usize>> {
            let have = *self.have.lock().unwrap();
            let count = have.saturating_sub(pos).min(buf.len() as u64) as usize;
            for (at, byte) in buf.iter_mut().take(count).enumerate() {
                *byte = (pos as usize + at) as u8;
            }
            Ok((count > 0).then_some(count))
        }

        fn want(&self, range: Range<u64>, blocking: bool) {
            self.wants.lock().unwrap().push((range, blocking));
        }

        fn generation(&self) -> u64 {
            *self.have.lock().unwrap()
        }

        fn wait_change(&self, seen: u64, timeout: Duration) -> u64 {
            let have = self.have.lock().unwrap();
            *self.changed.wait_timeout_while(have, timeout, |have| *have == seen).unwrap().0
        }
    }

    struct Panics;

    impl MediaSource for Panics {
        fn len_bytes(&self) -> u64 {
            10
        }

        fn try_read(&self, _pos: u64, _buf: &mut [u8]) -> io::Result<Option<usize>> {
            panic!("as a test may")
        }

        fn want(&self, _range: Range<u64>, _blocking: bool) {}

        fn generation(&self) -> u64 {
            0
        }

        fn wait_change(&self, seen: u64, _timeout: Duration) -> u64 {
            seen
        }
    }
}
