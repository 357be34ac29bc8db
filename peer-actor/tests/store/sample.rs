//! A content made of noise, with its tree, and an honest source of its chunks.

use std::{fs::OpenOptions, ops::ControlFlow, os::unix::fs::FileExt as _, sync::Arc};

use peer_actor::store::{Content, IngestError, Store};
use shared::{
    ContentId, LeafRange,
    content::{build, chunk_at, prove},
    units::leaf_count,
    wire::ProofPair,
};
use tempfile::TempDir;

pub(crate) struct Sample {
    pub(crate) id: ContentId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) pairs: Vec<u8>,
}

impl Sample {
    pub(crate) fn of(size: u64, seed: u8) -> Self {
        let mut bytes = vec![0; size as usize];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
        let (id, pairs) = build(bytes.as_slice(), size, |_| ControlFlow::Continue(())).unwrap();
        Self { id, bytes, pairs }
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(crate) fn chunks(&self, chunk_leaves: u32) -> Vec<LeafRange> {
        let firsts = (0..leaf_count(self.size())).step_by(chunk_leaves as usize);
        firsts.map(|leaf| chunk_at(leaf, chunk_leaves, self.size())).collect()
    }

    pub(crate) fn payload(&self, leaves: LeafRange) -> &[u8] {
        let bytes = leaves.bytes(self.size());
        &self.bytes[bytes.start as usize..bytes.end as usize]
    }

    pub(crate) fn proof(&self, leaves: LeafRange, skip: u8) -> Vec<ProofPair> {
        let pair = |index: u64| {
            let mut pair = [[0; 32]; 2];
            pair.as_flattened_mut().copy_from_slice(&self.pairs[index as usize * 64..][..64]);
            Ok::<_, ()>(pair)
        };
        prove(leaves, self.size(), skip, pair).unwrap().unwrap()
    }

    /// Brings one chunk, which may be held already.
    pub(crate) fn ingest(&self, content: &Content, leaves: LeafRange) {
        match content.ingest(leaves, &self.proof(leaves, content.proof_skip(leaves)), self.payload(leaves)) {
            Ok(_) | Err(IngestError::AlreadyHeld) => {}
            Err(error) => panic!("{leaves:?}: {error}"),
        }
    }

    /// Brings every chunk.
    pub(crate) fn fetch_into(&self, store: &Store) -> Arc<Content> {
        let content = store.open_partial(self.id, self.size(), "sample").unwrap();
        for chunk in self.chunks(16) {
            self.ingest(&content, chunk);
        }
        content
    }
}

pub(crate) fn read_all(content: &Content) -> Vec<u8> {
    let mut bytes = vec![0; content.size_bytes() as usize];
    let mut at = 0;
    while at < bytes.len() {
        at += content.try_read(at as u64, &mut bytes[at..]).unwrap().expect("a gap");
    }
    bytes
}

/// Turns a bit of a file of a partial content.
pub(crate) fn damage(dir: &TempDir, sample: &Sample, file: &str, at: u64) {
    let path = dir.path().join(sample.id.to_string()).join(file);
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
}
