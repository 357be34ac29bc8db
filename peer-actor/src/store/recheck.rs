//! Finding out what a partial content really has: after the machine died with it open, or before it becomes a file of its own.
//!
//! Invariant: afterwards every claimed leaf verifies by the stored tree, from the content id down.

use std::io;

use shared::{
    LeafRange, LeafSet,
    content::{chunk_at, path_to},
    limits::MAX_CHUNK_LEAVES,
};

use super::content::Content;

impl Content {
    /// Reads and verifies every claimed leaf; gives up those that fail. Returns how many were given up.
    pub(super) fn recheck(&self) -> io::Result<u32> {
        self.recheck_runs(&self.verified())
    }

    /// The same for what was there when the content was loaded.
    pub(super) fn recheck_found(&self) -> io::Result<u32> {
        self.recheck_runs(&self.found)
    }

    fn recheck_runs(&self, claimed: &LeafSet) -> io::Result<u32> {
        let mut lost = 0;
        for run in claimed.runs() {
            let mut leaf = run.first;
            while leaf < run.end() {
                let chunk = self.largest_chunk(leaf, run);
                lost += self.recheck_chunk(chunk)?;
                leaf = chunk.end();
            }
        }
        Ok(lost)
    }

    fn recheck_chunk(&self, chunk: LeafRange) -> io::Result<u32> {
        if let Ok((_, _, Ok(pairs))) = self.read_verified(chunk) {
            // The bytes are right, so the pairs computed from them are; what is stored may still be holes.
            self.files.write_pairs(pairs.first_inner, &pairs.inner)?;
            return Ok(0);
        }
        if chunk.count == 1 {
            return Ok(self.disclaim(chunk));
        }
        let left = path_to(LeafRange::new(chunk.first, 1), self.size_bytes())
            .and_then(|path| path.nodes.into_iter().rfind(|node| node.leaves == chunk))
            .map_or(1, |node| 1 << (node.leaves.count - 1).ilog2());
        let halves =
            [LeafRange::new(chunk.first, left), LeafRange::new(chunk.first + left, chunk.count - left)];
        Ok(self.recheck_chunk(halves[0])? + self.recheck_chunk(halves[1])?)
    }

    /// The largest chunk that begins at `leaf` and lies within `run`.
    fn largest_chunk(&self, leaf: u32, run: LeafRange) -> LeafRange {
        let sizes =
            std::iter::successors(Some(MAX_CHUNK_LEAVES), |size| Some(size / 2)).take_while(|size| *size > 0);
        sizes
            .map(|size| chunk_at(leaf, size, self.size_bytes()))
            .find(|chunk| chunk.first == leaf && chunk.end() <= run.end())
            .unwrap_or_else(|| LeafRange::new(leaf, 1))
    }
}
