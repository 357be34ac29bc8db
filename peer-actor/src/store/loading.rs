//! Starting with a cache: what was left over is put out of the way, and every map is read.
//!
//! Invariant: a content is in the table only once its map and the lengths of its files were checked. Nothing is hashed or deleted here, so
//! a start takes as long as reading the maps does, however many bytes are held; several threads read them, because a cold disk answers
//! many questions at once sooner than one after the other.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use shared::ContentId;
use tracing::{debug, warn};

use super::{
    files::{Doomed, Files, Loaded, doom_left_overs, is_left_over, set_aside},
    sync::write,
    table::Inner,
};

/// Threads that read maps, and how many contents are worth one more.
const MAX_LOADERS: usize = 8;
const CONTENTS_PER_LOADER: usize = 32;

impl Inner {
    /// Loads every content of the cache; returns what was left over, for deletion.
    pub(super) fn load_all(&self) -> io::Result<Option<Doomed>> {
        let mut contents = Vec::new();
        let mut left_over = Vec::new();
        for entry in fs::read_dir(&self.cache_dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(content_id) = name.and_then(|name| name.parse::<ContentId>().ok()) {
                contents.push((path, content_id));
            } else if is_left_over(&path) {
                left_over.push(path);
            }
        }
        let doomed = doom_left_overs(&self.cache_dir, &left_over);
        self.load_in_threads(&contents);
        debug!(contents = contents.len(), bytes = self.ledger.used_bytes(), "cache loaded");
        Ok(doomed)
    }

    fn load_in_threads(&self, contents: &[(PathBuf, ContentId)]) {
        let next = AtomicUsize::new(0);
        let load_on = || {
            while let Some((dir, content_id)) = contents.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.load_or_set_aside(dir, *content_id);
            }
        };
        let helpers = (contents.len() / CONTENTS_PER_LOADER).min(MAX_LOADERS - 1);
        thread::scope(|scope| {
            for _ in 0..helpers {
                let loader = thread::Builder::new().name("store-loader".to_owned());
                if let Err(error) = loader.spawn_scoped(scope, load_on) {
                    debug!(%error, "fewer threads than usual load the cache");
                    break;
                }
            }
            load_on();
        });
    }

    fn load_or_set_aside(&self, dir: &Path, content_id: ContentId) {
        let Err(error) = self.load(dir, content_id) else { return };
        warn!(content = %content_id.short(), %error, "cached content makes no sense; set aside");
        if let Err(error) = set_aside(dir) {
            warn!(content = %content_id.short(), %error, "and could not be moved away");
        }
    }

    fn load(&self, dir: &Path, content_id: ContentId) -> io::Result<()> {
        let Loaded { header, held, used_at_s } = Files::load(dir)?;
        let is_suspect = header.dirty && (header.boot != self.boot || self.boot == [0; 16]);
        let files = Files::partial(dir.to_owned(), Arc::clone(&self.handles));
        let content = self.content(content_id, header.size_bytes, files, Some(held), header.dirty, used_at_s);
        self.ledger.add(content.verified_bytes());
        let mut table = write(&self.table);
        let part = if is_suspect { &mut table.suspects } else { &mut table.partial };
        part.insert(content_id, Arc::new(content));
        Ok(())
    }
}
