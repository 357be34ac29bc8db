//! Giving up part of a content: what nobody who has it open is about to need, so that a stream may be larger than the cache.
//!
//! Invariant: leaves are struck from memory and map before their bytes go, and nobody writes meanwhile; so what is claimed is there, at any
//! instant, and a read that began before finds out ([`Content::losses`]).

use std::{io, sync::atomic::Ordering};

use shared::{LeafRange, LeafSet, schedule::viewer::Needs};
use tracing::{debug, warn};

use super::{
    content::{Content, Held},
    sync::{lock, read, write},
};

impl Content {
    /// Says what must stay while the content is open; of a content for which that was never said, everything must.
    pub fn set_needs(&self, needs: Needs) {
        *lock(&self.needs) = Some(needs);
    }

    /// Grows whenever leaves that were verified are so no longer.
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// Gives up about `bytes` of what nobody needs; returns how many were.
    pub(super) fn give_up_spare(&self, bytes: u64) -> u64 {
        let spare = match (&*lock(&self.needs), &*read(&self.held)) {
            (Some(needs), Held::Some(held)) => spare(held, needs, bytes),
            _ => return 0,
        };
        if spare.is_empty() {
            return 0;
        }
        match self.punch_out(&spare) {
            Ok(freed) => {
                debug!(content = %self.content_id().short(), freed, "what nobody needs was given up");
                freed
            }
            Err(error) => {
                warn!(content = %self.content_id().short(), %error, "no part of a content can be given up");
                0
            }
        }
    }

    fn punch_out(&self, ranges: &[LeafRange]) -> io::Result<u64> {
        let mut is_dirty = write(&self.is_dirty);
        // A clean map would be believed after the machine died, also where its bits were lost and the hole was not.
        self.mark_dirty(&mut is_dirty)?;
        let Struck { freed_bytes, written, .. } = self.strike(ranges);
        if let Err(error) = written {
            // The map still claims them, and is believed after a kill: their bytes stay.
            warn!(content = %self.content_id().short(), %error, "what was given up could not be struck from the map; the disk keeps it");
            return Ok(freed_bytes);
        }
        for range in ranges {
            let bytes = range.bytes(self.size_bytes());
            if let Err(error) = self.files.punch_hole(bytes.start, bytes.end - bytes.start) {
                warn!(content = %self.content_id().short(), %error, "the disk keeps what was given up until the content is deleted");
                break;
            }
        }
        Ok(freed_bytes)
    }

    /// Strikes leaves from memory, and from the map if it can be written. What was not held changes nothing.
    pub(super) fn strike(&self, ranges: &[LeafRange]) -> Struck {
        let nothing = Struck { lost_leaves: 0, freed_bytes: 0, written: Ok(()) };
        let mut guard = write(&self.held);
        let Held::Some(held) = &mut *guard else { return nothing };
        let before = self.bytes_of(held);
        let lost_leaves = ranges.iter().map(|range| held.remove(*range)).sum();
        if lost_leaves == 0 {
            return nothing;
        }
        let freed_bytes = before - self.bytes_of(held);
        self.losses.fetch_add(1, Ordering::AcqRel);
        let written = ranges.iter().try_for_each(|range| self.write_bits(held, *range));
        drop(guard);
        self.ledger.release(freed_bytes);
        self.changes.bump();
        Struck { lost_leaves, freed_bytes, written }
    }
}

/// What became of leaves that were to be struck.
#[derive(Debug)]
pub(super) struct Struck {
    /// How many of them were held, and are so no longer.
    pub(super) lost_leaves: u32,
    /// Their bytes; the cache counts them no longer.
    pub(super) freed_bytes: u64,
    /// Whether the map says so too.
    pub(super) written: io::Result<()>,
}

/// About `bytes` of what is held and not needed: first what was read, the longest passed first; then what lies ahead, the farthest first.
fn spare(held: &LeafSet, needs: &Needs, bytes: u64) -> Vec<LeafRange> {
    let mut unneeded = held.clone();
    for needed in &needs.leaves {
        unneeded.remove(*needed);
    }
    let (behind, mut ahead): (Vec<LeafRange>, Vec<LeafRange>) =
        unneeded.runs().partition(|run| run.first < needs.playhead);
    ahead.reverse();
    let mut left = bytes.div_ceil(shared::limits::LEAF_BYTES) as u32;
    let mut chosen = Vec::new();
    for (run, is_ahead) in behind.iter().map(|run| (run, false)).chain(ahead.iter().map(|run| (run, true))) {
        let count = run.count.min(left);
        if count == 0 {
            break;
        }
        left -= count;
        chosen.push(LeafRange::new(if is_ahead { run.end() - count } else { run.first }, count));
    }
    chosen
}

#[cfg(test)]
pub(super) mod tests {
    use std::{fs, sync::Arc};

    use shared::ContentId;
    use tempfile::TempDir;

    use super::{
        super::{Store, StoreConfig},
        *,
    };

    #[test]
    fn what_was_read_goes_first_then_what_is_farthest_ahead() {
        let mut held = LeafSet::full(100);
        held.remove(LeafRange::new(2, 3));
        let needs = Needs { leaves: vec![LeafRange::new(0, 1), LeafRange::new(40, 20)], playhead: 44 };
        let leaf = shared::limits::LEAF_BYTES;
        assert_eq!(spare(&held, &needs, 3 * leaf), [LeafRange::new(1, 1), LeafRange::new(5, 2)]);
        let all = spare(&held, &needs, 1_000 * leaf);
        assert_eq!(all, [LeafRange::new(1, 1), LeafRange::new(5, 35), LeafRange::new(60, 40)]);
        let some = spare(&held, &needs, 40 * leaf);
        assert_eq!(some.last(), Some(&LeafRange::new(96, 4)));
        let everything = Needs { leaves: vec![LeafRange::new(0, 100)], playhead: 0 };
        assert!(spare(&held, &everything, leaf).is_empty());
    }
    #[test]
    fn what_the_map_cannot_be_told_is_given_up_and_counted_but_not_punched_out() {
        let dir = tempfile::tempdir().unwrap();
        let held = LeafRange::new(0, 8);
        let (store, content) = partial(&dir, 10, held);
        content.files.write_bytes_at(&[7; 100], 0).unwrap();
        *write(&content.is_dirty) = true;
        content.set_needs(Needs { leaves: vec![LeafRange::new(6, 2)], playhead: 6 });
        make_map_unwritable(&content);
        let freed = content.give_up_spare(3 * shared::limits::LEAF_BYTES);
        assert_eq!(freed, 3 * shared::limits::LEAF_BYTES);
        assert_eq!(store.cache_bytes(), 5 * shared::limits::LEAF_BYTES);
        let mut bytes = [0; 100];
        content.files.read_bytes_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, [7; 100], "the map still claims these");
    }

    /// A content of so many leaves, of which it has some, as far as memory says.
    pub(crate) fn partial(dir: &TempDir, leaves: u64, held: LeafRange) -> (Store, Arc<Content>) {
        let config = StoreConfig { cache_dir: dir.path().to_owned(), quota_bytes: 1 << 30 };
        let store = Store::open(config).unwrap();
        let size_bytes = leaves * shared::limits::LEAF_BYTES;
        let content = store.open_partial(ContentId([7; 32]), size_bytes, "film.mkv").unwrap();
        *write(&content.held) = Held::Some(LeafSet::from_ranges(leaves as u32, [held]));
        content.ledger.add(content.verified_bytes());
        (store, content)
    }

    pub(crate) fn make_map_unwritable(content: &Content) {
        let map = content.files.bytes_path().with_file_name("map");
        content.files.close();
        fs::remove_file(&map).unwrap();
        fs::create_dir(&map).unwrap();
    }
}
