//! One content: what of it is verified, taking chunks in, giving chunks and bytes out.
//!
//! Invariant: a leaf counts as held only after its bytes, the pairs above it, and its bit were written, in this order; and a pair is
//! held exactly if some leaf beneath it is, or a branch that has it. It never believes a file: what is served is verified while it is read.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, Mutex, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use shared::{
    ContentId, LeafRange, LeafSet,
    content::{ProofError, VerifiedPairs, is_chunk, path_to, verify},
    limits::LEAF_BYTES,
    schedule::viewer::Needs,
    units::{leaf_count, leaf_of},
    wire::ProofPair,
};
use tokio::sync::watch;

use super::{
    changes::Changes,
    error::{IngestError, ReadChunkError},
    files::Files,
    ledger::Ledger,
    map::BootId,
    sync::{read, write},
    table::Inner,
};
use crate::buffers::Buffer;

/// A content of the store. Shared as `Arc<Content>`; whoever holds one keeps it from being evicted.
#[derive(Debug)]
pub struct Content {
    content_id: ContentId,
    size_bytes: u64,
    is_shared: bool,
    pub(super) files: Files,
    pub(super) held: RwLock<Held>,
    /// The numbers of branches that are here although not all of their leaves are; locked after `held`.
    pub(super) branches: RwLock<BTreeSet<u32>>,
    pub(super) changes: Changes,
    /// Read-locked while a chunk is written; write-locked to change between clean and dirty.
    pub(super) is_dirty: RwLock<bool>,
    pub(super) unsynced_bytes: AtomicU64,
    /// What the map claimed when it was loaded: nobody in this process has verified it.
    pub(super) found: LeafSet,
    used_at_s: AtomicU64,
    /// What must stay while it is open; everything as long as nobody said.
    pub(super) needs: Mutex<Option<Needs>>,
    pub(super) losses: AtomicU64,
    pub(super) ledger: Arc<Ledger>,
    pub(super) store: Weak<Inner>,
    pub(super) boot: BootId,
}

/// Which leaves are verified. A shared content needs no bitmap.
#[derive(Debug)]
pub(super) enum Held {
    All,
    Some(LeafSet),
    Gone,
}

/// What a chunk brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingested {
    /// Leaves that were not held before, as maximal ranges.
    pub new_leaves: Vec<LeafRange>,
    /// Their bytes.
    pub new_bytes: u64,
}

/// What a content is made from.
pub(super) struct Parts {
    pub(super) content_id: ContentId,
    pub(super) size_bytes: u64,
    pub(super) files: Files,
    /// `None`: a shared file, all of it.
    pub(super) held: Option<LeafSet>,
    pub(super) is_dirty: bool,
    pub(super) used_at_s: u64,
    pub(super) ledger: Arc<Ledger>,
    pub(super) store: Weak<Inner>,
    pub(super) boot: BootId,
}

impl Content {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            content_id: parts.content_id,
            size_bytes: parts.size_bytes,
            is_shared: parts.held.is_none(),
            found: parts.held.clone().unwrap_or_else(|| LeafSet::new(0)),
            files: parts.files,
            held: RwLock::new(parts.held.map_or(Held::All, Held::Some)),
            branches: RwLock::default(),
            changes: Changes::new(),
            is_dirty: RwLock::new(parts.is_dirty),
            unsynced_bytes: AtomicU64::new(0),
            used_at_s: AtomicU64::new(parts.used_at_s),
            needs: Mutex::new(None),
            losses: AtomicU64::new(0),
            ledger: parts.ledger,
            store: parts.store,
            boot: parts.boot,
        }
    }

    /// Takes a chunk in: verifies it, writes it, and claims its leaves. Levels that the proof leaves out must be held
    /// ([`Self::proof_skip`] says how many are). When this returns `Ok`, the leaves survive the death of the process.
    pub fn ingest(
        &self,
        leaves: LeafRange,
        proof: &[ProofPair],
        payload: &[u8],
    ) -> Result<Ingested, IngestError> {
        match &*read(&self.held) {
            Held::All => return Err(IngestError::AlreadyHeld),
            Held::Some(held) if leaves.count > 0 && held.contains(leaves) => {
                return Err(IngestError::AlreadyHeld);
            }
            Held::Some(_) => {}
            Held::Gone => return Err(IngestError::Gone),
        }
        let pairs = self.verify(leaves, proof, payload)?;
        let reserved_bytes = self.missing_bytes(leaves);
        self.make_room(reserved_bytes)?;
        let mut claimed = self.write_and_claim(leaves, &pairs, payload);
        let is_full = matches!(claimed, Err(IngestError::Full(_)));
        if is_full && self.store.upgrade().is_some_and(|store| store.evict(DISK_FULL_BYTES)) {
            claimed = self.write_and_claim(leaves, &pairs, payload);
        }
        let new_bytes = claimed.as_ref().map_or(0, |ingested| ingested.new_bytes);
        self.ledger.release(reserved_bytes.saturating_sub(new_bytes));
        claimed
    }

    /// Reads a chunk and its proof below `proof_skip` levels. What is returned verifies against the content id.
    pub fn read_chunk(
        &self,
        leaves: LeafRange,
        proof_skip: u8,
    ) -> Result<(Vec<ProofPair>, Bytes), ReadChunkError> {
        if !is_chunk(leaves, self.size_bytes) {
            return Err(ReadChunkError::NotAChunk);
        }
        if !self.has(leaves) {
            return Err(ReadChunkError::NotHeld);
        }
        self.touch();
        let losses = self.losses();
        let (mut pairs, payload, verified) =
            self.read_verified(leaves).map_err(|error| self.unreadable(error))?;
        if verified.is_err() {
            let was_given_up = self.losses() != losses && !self.has(leaves);
            return Err(if was_given_up { ReadChunkError::NotHeld } else { self.give_up(leaves, &pairs) });
        }
        pairs.drain(..pairs.len().min(proof_skip.into()));
        Ok((pairs, payload.freeze()))
    }

    /// Reads verified bytes at `pos` into `buf`, as many as are there without a gap. `Ok(None)`: the byte at `pos` is not there yet.
    /// `Ok(Some(0))`: `pos` is at or beyond the end, or `buf` is empty.
    pub fn try_read(&self, pos: u64, buf: &mut [u8]) -> io::Result<Option<usize>> {
        if pos >= self.size_bytes || buf.is_empty() {
            return Ok(Some(0));
        }
        loop {
            let losses = self.losses();
            let there = match &*read(&self.held) {
                Held::Gone => return Err(io::ErrorKind::NotFound.into()),
                Held::All => self.size_bytes - pos,
                Held::Some(held) => {
                    let gap = held
                        .first_missing(leaf_of(pos))
                        .map_or(self.size_bytes, |leaf| u64::from(leaf) * LEAF_BYTES);
                    gap.saturating_sub(pos)
                }
            };
            let count = buf.len().min(usize::try_from(there).unwrap_or(usize::MAX));
            if count == 0 {
                return Ok(None);
            }
            self.touch();
            self.files.read_bytes_at(&mut buf[..count], pos)?;
            // What was given up meanwhile may have been read as the hole it left.
            if self.losses() == losses {
                return Ok(Some(count));
            }
        }
    }

    /// Which content.
    pub const fn content_id(&self) -> ContentId {
        self.content_id
    }

    /// Its length, as its opener said; proven once the last leaf is verified.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// How many leaves it has.
    pub const fn leaf_count(&self) -> u32 {
        leaf_count(self.size_bytes)
    }

    /// The file name, for people.
    pub fn name(&self) -> String {
        self.files.name()
    }

    /// Whether it is a shared file, served in place.
    pub const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether everything is verified.
    pub fn is_complete(&self) -> bool {
        match &*read(&self.held) {
            Held::All => true,
            Held::Some(held) => held.is_full(),
            Held::Gone => false,
        }
    }

    /// Whether it was removed from the store; nothing can be read or taken in any more.
    pub fn is_gone(&self) -> bool {
        matches!(&*read(&self.held), Held::Gone)
    }

    /// Whether the last leaf is verified, so that no other size can be the right one.
    pub fn is_size_proven(&self) -> bool {
        self.has(LeafRange::new(self.leaf_count() - 1, 1))
    }

    /// Whether all of `leaves` are verified.
    pub fn has(&self, leaves: LeafRange) -> bool {
        match &*read(&self.held) {
            Held::All => leaves.first.checked_add(leaves.count).is_some_and(|end| end <= self.leaf_count()),
            Held::Some(held) => held.contains(leaves),
            Held::Gone => false,
        }
    }

    /// The most verified bytes of other nodes' files that are kept, of all contents.
    pub fn cache_limit_bytes(&self) -> u64 {
        self.ledger.quota_bytes()
    }

    /// The verified leaves.
    pub fn verified(&self) -> LeafSet {
        match &*read(&self.held) {
            Held::All => LeafSet::full(self.leaf_count()),
            Held::Some(held) => held.clone(),
            Held::Gone => LeafSet::new(self.leaf_count()),
        }
    }

    /// The verified leaves as maximal ranges in order.
    pub fn verified_ranges(&self) -> Vec<LeafRange> {
        match &*read(&self.held) {
            Held::All => vec![LeafRange::new(0, self.leaf_count())],
            Held::Some(held) => held.runs().collect(),
            Held::Gone => Vec::new(),
        }
    }

    /// How many bytes are verified.
    pub fn verified_bytes(&self) -> u64 {
        match &*read(&self.held) {
            Held::All => self.size_bytes,
            Held::Some(held) => self.bytes_of(held),
            Held::Gone => 0,
        }
    }

    /// Grows whenever the verified leaves change.
    pub fn generation(&self) -> u64 {
        self.changes.generation()
    }

    /// Blocks until the generation is no longer `seen`, or `timeout` has passed; returns the generation.
    pub fn wait_change(&self, seen: u64, timeout: Duration) -> u64 {
        self.changes.wait(seen, timeout)
    }

    /// The generation, for tasks.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn verify(
        &self,
        leaves: LeafRange,
        proof: &[ProofPair],
        payload: &[u8],
    ) -> Result<VerifiedPairs, IngestError> {
        let mut unreadable = None;
        let verified = verify(self.content_id, self.size_bytes, leaves, proof, payload, |index| {
            let skipped =
                path_to(leaves, self.size_bytes)?.nodes.into_iter().find(|node| node.pair == index)?;
            if !self.holds_pair_above(skipped.leaves) {
                return None;
            }
            self.files.read_pair(index).map_err(|error| unreadable = Some(error)).ok()
        });
        if let Some(error) = unreadable {
            return Err(error.into());
        }
        match verified {
            Err(ProofError::WrongPair { .. } | ProofError::WrongBytes) => {
                self.check_own_path(leaves, proof)?;
                Ok(verified?)
            }
            _ => Ok(verified?),
        }
    }

    fn make_room(&self, bytes: u64) -> Result<(), IngestError> {
        while !self.ledger.try_reserve(bytes) {
            let Some(store) = self.store.upgrade() else { return Err(IngestError::Gone) };
            if !store.make_room(bytes) {
                return Err(IngestError::Full(
                    "the cache limit is reached by what is in use; raise it with --cache-limit, or stop a stream",
                ));
            }
        }
        Ok(())
    }

    /// Bytes, then pairs, then bits.
    fn write_and_claim(
        &self,
        leaves: LeafRange,
        pairs: &VerifiedPairs,
        payload: &[u8],
    ) -> Result<Ingested, IngestError> {
        let _writing = self.begin_writing()?;
        self.files.write_bytes_at(payload, leaves.bytes(self.size_bytes).start)?;
        self.files.write_verified(pairs)?;
        let ingested = {
            let mut guard = write(&self.held);
            let Held::Some(held) = &mut *guard else { return Err(IngestError::Gone) };
            let new_leaves: Vec<LeafRange> = held.missing_runs_in(leaves).collect();
            let before = self.bytes_of(held);
            held.insert(leaves);
            if let Err(error) = self.write_bits(held, leaves) {
                for range in new_leaves {
                    held.remove(range);
                }
                return Err(error.into());
            }
            let new_bytes = self.bytes_of(held) - before;
            Ingested { new_bytes, new_leaves }
        };
        self.unsynced_bytes.fetch_add(ingested.new_bytes, Ordering::Relaxed);
        self.touch();
        self.changes.bump();
        Ok(ingested)
    }

    /// The pairs on the path, the bytes, and whether they verify.
    pub(super) fn read_verified(&self, leaves: LeafRange) -> io::Result<ReadAndVerified> {
        let nodes = path_to(leaves, self.size_bytes).map(|path| path.nodes).unwrap_or_default();
        let pairs =
            nodes.iter().map(|node| self.files.read_pair(node.pair)).collect::<io::Result<Vec<_>>>()?;
        let bytes = leaves.bytes(self.size_bytes);
        let mut payload = Buffer::of((bytes.end - bytes.start) as usize);
        self.files.read_bytes_at(&mut payload, bytes.start)?;
        let verified = verify(self.content_id, self.size_bytes, leaves, &pairs, &payload, |_| None);
        Ok((pairs, payload, verified))
    }

    /// Nothing of it can be used from now on. Returns how many fetched bytes that gives up.
    pub(super) fn retire(&self) -> u64 {
        let before = std::mem::replace(&mut *write(&self.held), Held::Gone);
        self.files.close();
        self.changes.bump();
        match before {
            Held::Some(held) => self.bytes_of(&held),
            Held::All | Held::Gone => 0,
        }
    }

    /// When it was last read or written, in seconds since 1970.
    pub(super) fn used_at_s(&self) -> u64 {
        self.used_at_s.load(Ordering::Relaxed)
    }

    fn touch(&self) {
        self.used_at_s.fetch_max(unix_s(SystemTime::now()), Ordering::Relaxed);
    }

    pub(super) fn write_bits(&self, held: &LeafSet, leaves: LeafRange) -> io::Result<()> {
        let (at, bits) = held.packed_around(leaves);
        self.files.write_map_bits(at, &bits)
    }

    fn missing_bytes(&self, leaves: LeafRange) -> u64 {
        match &*read(&self.held) {
            Held::Some(held) => {
                held.missing_runs_in(leaves).map(|range| range.len_bytes(self.size_bytes)).sum()
            }
            Held::All | Held::Gone => 0,
        }
    }

    pub(super) fn bytes_of(&self, held: &LeafSet) -> u64 {
        let last = LeafRange::new(self.leaf_count() - 1, 1);
        let missing_at_end =
            if held.contains(last) { LEAF_BYTES - last.len_bytes(self.size_bytes) } else { 0 };
        u64::from(held.count()) * LEAF_BYTES - missing_at_end
    }
}

/// How much of the cache is given up at once when the disk is full although the cache limit is not reached.
const DISK_FULL_BYTES: u64 = 64 << 20;

type ReadAndVerified = (Vec<ProofPair>, Buffer, Result<VerifiedPairs, ProofError>);

pub(super) fn unix_s(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
