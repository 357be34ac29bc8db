//! Open files, few of them, so that thousands of contents do not exhaust the process's descriptors.
//!
//! Invariant: at most `capacity` files are kept open here; one that falls out closes when its last user is done with it.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    sync::{Arc, Mutex},
};

use super::sync::lock;

/// Names an open file: which content (by a number unique in this process) and which of its files.
pub(super) type HandleKey = (u64, &'static str);

#[derive(Debug)]
pub(super) struct Handles {
    open: Mutex<Open>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Open {
    files: BTreeMap<HandleKey, (Arc<File>, u64)>,
    uses: u64,
}

impl Handles {
    pub(super) fn new(capacity: usize) -> Self {
        Self { open: Mutex::default(), capacity }
    }

    pub(super) fn get(
        &self,
        key: HandleKey,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        if let Some(file) = lock(&self.open).touch(key) {
            return Ok(file);
        }
        let file = Arc::new(open()?);
        let mut kept = lock(&self.open);
        while kept.files.len() >= self.capacity {
            let oldest = kept.files.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            oldest.map(|key| kept.files.remove(&key));
        }
        kept.uses += 1;
        let used = kept.uses;
        kept.files.insert(key, (Arc::clone(&file), used));
        Ok(file)
    }

    /// Forgets every file of one content.
    pub(super) fn forget(&self, content: u64) {
        lock(&self.open).files.retain(|(of, _), _| *of != content);
    }
}

impl Open {
    fn touch(&mut self, key: HandleKey) -> Option<Arc<File>> {
        self.uses += 1;
        let (file, used) = self.files.get_mut(&key)?;
        *used = self.uses;
        Some(Arc::clone(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_used_longest_ago_is_closed_first() {
        let handles = Handles::new(2);
        let null = || File::open("/dev/null");
        let refuse = || Err(io::Error::from(io::ErrorKind::Other));
        handles.get((1, "bytes"), null).unwrap();
        handles.get((2, "bytes"), null).unwrap();
        handles.get((1, "bytes"), refuse).unwrap();
        handles.get((3, "bytes"), null).unwrap();
        assert!(handles.get((1, "bytes"), refuse).is_ok());
        assert!(handles.get((2, "bytes"), refuse).is_err());
        handles.forget(1);
        assert!(handles.get((1, "bytes"), refuse).is_err());
    }
}
