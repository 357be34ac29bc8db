//! When a content's map may be believed after the machine died: it says dirty on the disk before the first bit is written, and clean only
//! once everything is synced.
//!
//! Invariant: whoever writes holds the mark read-locked, and dirty; whoever changes it, or takes bytes away, holds it write-locked.

use std::{
    io,
    sync::{RwLockReadGuard, atomic::Ordering},
};

use super::{
    content::Content,
    map::Header,
    sync::{read, write},
};

impl Content {
    /// Makes sure that the map says dirty on the disk, and stays so while the guard lives.
    pub(super) fn begin_writing(&self) -> io::Result<RwLockReadGuard<'_, bool>> {
        loop {
            let guard = read(&self.is_dirty);
            if *guard {
                return Ok(guard);
            }
            drop(guard);
            self.mark_dirty(&mut write(&self.is_dirty))?;
        }
    }

    pub(super) fn mark_dirty(&self, is_dirty: &mut bool) -> io::Result<()> {
        if !*is_dirty {
            self.files.write_header(&self.header(true))?;
            *is_dirty = true;
        }
        Ok(())
    }

    /// Forces what was written to the disk. With `close`, also marks the map clean; writers wait meanwhile.
    pub(super) fn flush(&self, close: bool) -> io::Result<()> {
        if self.is_shared() || self.is_gone() {
            return Ok(());
        }
        if !close {
            self.unsynced_bytes.store(0, Ordering::Relaxed);
            return self.files.sync();
        }
        let mut is_dirty = write(&self.is_dirty);
        if *is_dirty {
            self.files.sync()?;
            self.files.write_header(&self.header(false))?;
            self.unsynced_bytes.store(0, Ordering::Relaxed);
            *is_dirty = false;
        }
        Ok(())
    }

    /// Whether bytes were written since the last sync.
    pub(super) fn has_unsynced(&self) -> bool {
        self.unsynced_bytes.load(Ordering::Relaxed) > 0
    }

    fn header(&self, dirty: bool) -> Header {
        Header { dirty, size_bytes: self.size_bytes(), content_id: self.content_id(), boot: self.boot }
    }
}
