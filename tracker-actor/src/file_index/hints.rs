//! Whose hints of which content are kept, bounded in bytes. Pure bookkeeping: the hints themselves lie in the registry.
//!
//! Invariant: the bytes of what is kept never exceed [`HINTS_BYTES`], nor one giver's share of it a quarter. The first giver of a
//! content wins until it no longer has that: its hints stay until somebody who has gives others. The tracker's own origin always wins.

use std::collections::BTreeMap;

use shared::{
    ContentId, MediaKind, NodeId,
    limits::{MAX_COVER_BYTES, MAX_STARTUP_RANGES, MAX_TIME_INDEX, MAX_WAVEFORM},
    wire::Hints,
};

/// All hints together: those of more than 2,000 files at some 30 KiB each (a cover and a time index), of 700 at their largest.
pub const HINTS_BYTES: usize = 64 * 1024 * 1024;
/// The hints of one giver that is not the origin.
pub const GIVER_BYTES: usize = HINTS_BYTES / 4;

/// The largest hints of one file.
const LARGEST_BYTES: usize =
    size_of::<Hints>() + MAX_COVER_BYTES + MAX_WAVEFORM + PAIR_BYTES * (MAX_STARTUP_RANGES + MAX_TIME_INDEX);
/// An entry of a time index, or a range.
const PAIR_BYTES: usize = 16;

const _: () = assert!(HINTS_BYTES / LARGEST_BYTES >= 700);

/// What names a file in the tracker: contents of different kinds never meet, even under one id.
pub type FileKey = (MediaKind, ContentId);

#[derive(Debug, Clone, Copy)]
struct Kept {
    giver: NodeId,
    is_origin: bool,
    /// Whoever has the file may give others.
    is_released: bool,
    bytes: usize,
    number: u64,
}

/// The accounts of the hints.
#[derive(Debug, Default)]
pub struct HintsAccounts {
    kept: BTreeMap<FileKey, Kept>,
    by_age: BTreeMap<u64, FileKey>,
    by_giver: BTreeMap<NodeId, usize>,
    bytes: usize,
    numbers: u64,
}

/// What to do with offered hints.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Keep them, and drop those of these files to make room.
    Keep(Vec<FileKey>),
    /// Others are kept already, or the giver has used its share.
    Refuse,
}

impl HintsAccounts {
    /// Decides about hints a holder of `key` gives.
    pub fn offer(&mut self, key: FileKey, giver: NodeId, is_origin: bool, hints: &Hints) -> Verdict {
        let bytes = hints_bytes(hints);
        let held = self.kept.get(&key).copied();
        let stands = |held: Kept| held.giver != giver && !held.is_released && (held.is_origin || !is_origin);
        if held.is_some_and(stands) {
            return Verdict::Refuse;
        }
        let replaced_bytes = held.filter(|held| held.giver == giver).map_or(0, |held| held.bytes);
        let given_bytes = self.by_giver.get(&giver).copied().unwrap_or(0) - replaced_bytes + bytes;
        if bytes > GIVER_BYTES || (given_bytes > GIVER_BYTES && !is_origin) {
            return Verdict::Refuse;
        }
        self.forget(key);
        let mut evicted = Vec::new();
        while self.bytes + bytes > HINTS_BYTES {
            let Some(oldest) = self.by_age.first_key_value().map(|(_, key)| *key) else { break };
            self.forget(oldest);
            evicted.push(oldest);
        }
        self.numbers += 1;
        self.kept.insert(key, Kept { giver, is_origin, is_released: false, bytes, number: self.numbers });
        self.by_age.insert(self.numbers, key);
        *self.by_giver.entry(giver).or_default() += bytes;
        self.bytes += bytes;
        Verdict::Keep(evicted)
    }

    /// Who gave the hints that are kept of `key`.
    pub fn giver(&self, key: FileKey) -> Option<NodeId> {
        self.kept.get(&key).map(|kept| kept.giver)
    }

    /// That one no longer has the file: its hints stay until somebody who has gives others.
    pub fn release(&mut self, key: FileKey) {
        if let Some(kept) = self.kept.get_mut(&key) {
            kept.is_released = true;
        }
    }

    /// The file is gone. Whether hints of it were kept.
    pub fn forget(&mut self, key: FileKey) -> bool {
        let Some(kept) = self.kept.remove(&key) else { return false };
        self.by_age.remove(&kept.number);
        self.bytes -= kept.bytes;
        if let Some(given) = self.by_giver.get_mut(&kept.giver) {
            *given -= kept.bytes;
            if *given == 0 {
                self.by_giver.remove(&kept.giver);
            }
        }
        true
    }

    /// All kept bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

fn hints_bytes(hints: &Hints) -> usize {
    size_of::<Hints>()
        + hints.cover_jpeg.len()
        + hints.waveform.len()
        + PAIR_BYTES * (hints.startup_ranges.len() + hints.time_index.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_giver_wins_and_may_correct_itself() {
        let mut accounts = HintsAccounts::default();
        assert_eq!(accounts.offer(key(1), node(1), false, &cover(10)), Verdict::Keep(Vec::new()));
        assert_eq!(accounts.offer(key(1), node(2), false, &cover(10)), Verdict::Refuse);
        assert_eq!(accounts.offer(key(1), node(1), false, &cover(20)), Verdict::Keep(Vec::new()));
        assert_eq!(accounts.bytes(), hints_bytes(&cover(20)));
    }

    #[test]
    fn who_has_the_file_no_longer_makes_room_for_one_who_has() {
        let mut accounts = HintsAccounts::default();
        accounts.offer(key(1), node(1), true, &cover(10));
        accounts.release(key(1));
        assert_eq!(accounts.giver(key(1)), Some(node(1)), "nobody has given others yet");
        assert_eq!(accounts.offer(key(1), node(2), false, &cover(20)), Verdict::Keep(Vec::new()));
        assert_eq!(accounts.offer(key(1), node(3), false, &cover(10)), Verdict::Refuse);
        assert_eq!(accounts.bytes(), hints_bytes(&cover(20)));
    }

    #[test]
    fn the_origin_knows_better() {
        let mut accounts = HintsAccounts::default();
        accounts.offer(key(1), node(1), false, &cover(10));
        assert_eq!(accounts.offer(key(1), node(9), true, &cover(10)), Verdict::Keep(Vec::new()));
        assert_eq!(accounts.offer(key(1), node(1), false, &cover(10)), Verdict::Refuse);
    }

    #[test]
    fn one_giver_cannot_take_more_than_its_share() {
        let mut accounts = HintsAccounts::default();
        let kept = (0..10_000u16)
            .filter(|n| accounts.offer(key(*n), node(1), false, &cover(24_000)) == Verdict::Keep(Vec::new()));
        assert!(kept.count() < 1_000);
        assert!(accounts.bytes() <= GIVER_BYTES);
        assert_eq!(accounts.offer(key(60_000), node(2), false, &cover(24_000)), Verdict::Keep(Vec::new()));
    }

    #[test]
    fn the_oldest_go_first_when_all_is_full() {
        let mut accounts = HintsAccounts::default();
        let mut evicted = Vec::new();
        for n in 0..6_000u16 {
            if let Verdict::Keep(gone) = accounts.offer(key(n), node(n), false, &cover(24_000)) {
                evicted.extend(gone);
            }
            assert!(accounts.bytes() <= HINTS_BYTES);
        }
        assert_eq!(evicted[0], key(0));
        assert!(evicted.is_sorted());
    }

    #[test]
    fn forgetting_leaves_nothing_behind() {
        let mut accounts = HintsAccounts::default();
        accounts.offer(key(1), node(1), false, &cover(10));
        assert!(accounts.forget(key(1)));
        assert!(!accounts.forget(key(1)));
        assert_eq!(accounts.bytes(), 0);
        assert!(accounts.by_giver.is_empty() && accounts.by_age.is_empty());
    }

    fn key(n: u16) -> FileKey {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        (MediaKind::Video, ContentId(id))
    }

    fn node(n: u16) -> NodeId {
        NodeId(key(n).1.0)
    }

    fn cover(bytes: usize) -> Hints {
        Hints { cover_jpeg: vec![0; bytes], ..Hints::default() }
    }
}
