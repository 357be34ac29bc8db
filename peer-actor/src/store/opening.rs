//! Opening a content that is to be read, or fetched: what is here already, or an empty one.
//!
//! Invariant: nobody waits for the disk to look a content up: a folder is made while only other makers wait, and the content is in the table
//! once its folder is whole.

use std::{sync::Arc, time::SystemTime};

use shared::{ContentId, LeafSet, units::leaf_count};

use super::{
    content::{Content, unix_s},
    error::StoreError,
    files::{Files, set_aside},
    sync::{lock, write},
    table::{Inner, Store, check_size, delete_all},
};

/// What the table has of a content that is to be opened.
enum Found {
    Usable(Arc<Content>),
    /// Nothing any more; maybe what must be deleted first.
    Nothing(Option<Arc<Content>>),
}

impl Store {
    /// Opens a content to be read that others say has this size. What is here stays if its size is proven or is the same; another size
    /// may have been a mistake that somebody has corrected.
    pub fn open_content(
        &self,
        content_id: ContentId,
        size_bytes: u64,
        name: &str,
    ) -> Result<Arc<Content>, StoreError> {
        let is_right = |content: &Arc<Content>| {
            content.is_shared() || content.size_bytes() == size_bytes || content.is_size_proven()
        };
        match self.get(&content_id).filter(is_right) {
            Some(content) => Ok(content),
            None => self.open_partial(content_id, size_bytes, name),
        }
    }

    /// Opens a content to be fetched, or to go on being fetched; a shared or complete one is returned as it is.
    pub fn open_partial(
        &self,
        content_id: ContentId,
        size_bytes: u64,
        name: &str,
    ) -> Result<Arc<Content>, StoreError> {
        check_size(size_bytes)?;
        self.0.settle(&content_id);
        let folders = lock(&self.0.folders);
        let unproven = match self.0.find_or_clear(content_id, size_bytes)? {
            Found::Usable(content) => return Ok(content),
            Found::Nothing(unproven) => unproven,
        };
        let doomed = unproven.and_then(|content| self.0.doom(&content));
        let dir = self.0.dir(&content_id);
        if dir.exists() {
            set_aside(&dir)?;
        }
        Files::create(&dir, content_id, size_bytes, name)?;
        let files = Files::partial(dir, Arc::clone(&self.0.handles));
        let held = Some(LeafSet::new(leaf_count(size_bytes)));
        let now = unix_s(SystemTime::now());
        let content = Arc::new(self.0.content(content_id, size_bytes, files, held, false, now));
        write(&self.0.table).partial.insert(content_id, Arc::clone(&content));
        drop(folders);
        delete_all(doomed);
        Ok(content)
    }
}

impl Inner {
    /// What is here of a content of this size; of another size, an unproven one that nobody has open is taken out of the table.
    fn find_or_clear(&self, content_id: ContentId, size_bytes: u64) -> Result<Found, StoreError> {
        let mut table = write(&self.table);
        let shared = table.shared.get(&content_id).filter(|content| content.size_bytes() == size_bytes);
        if let Some(content) = shared {
            return Ok(Found::Usable(Arc::clone(content)));
        }
        let Some(content) = table.partial.get(&content_id) else { return Ok(Found::Nothing(None)) };
        let open = content.size_bytes();
        if open == size_bytes {
            return Ok(Found::Usable(Arc::clone(content)));
        }
        if content.is_size_proven() {
            return Err(StoreError::SizeDisproven { proven: open, claimed: size_bytes });
        }
        if Arc::strong_count(content) > 1 {
            return Err(StoreError::SizeDiffers { open, claimed: size_bytes });
        }
        Ok(Found::Nothing(table.partial.remove(&content_id)))
    }
}
