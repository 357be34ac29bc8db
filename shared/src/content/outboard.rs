//! The hash tree beside the bytes, built in one pass over a file.
//!
//! Invariant: the id is the plain BLAKE3 hash of the bytes, so `b3sum` agrees. It reads from a `Read` and opens nothing itself.

use std::{
    io::{self, Read},
    ops::ControlFlow,
};

use bao_tree::{
    BaoTree, BlockSize, TreeNode,
    io::sync::{OutboardMut, outboard},
};
use thiserror::Error;

use super::geometry::{PAIR_BYTES, outboard_bytes};
use crate::{
    ids::ContentId,
    limits::{LEAF_CHUNK_LOG, MAX_CONTENT_BYTES},
};

/// How often progress is told.
const PROGRESS_BYTES: u64 = 4 * 1024 * 1024;

/// Why no tree was built.
#[derive(Debug, Error)]
pub enum OutboardError {
    /// An empty file has nothing to stream.
    #[error("the file is empty")]
    Empty,
    /// The protocol cannot name a content this large.
    #[error("the file is larger than {MAX_CONTENT_BYTES} bytes")]
    TooLarge,
    /// The file ended before, or went on after, the size that was given: it is being written.
    #[error("the file changed its size while it was read")]
    SizeChanged,
    /// The progress callback said stop.
    #[error("cancelled")]
    Cancelled,
    /// The file could not be read.
    #[error("could not be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads exactly `size_bytes` from `reader`, and checks that nothing follows. `progress` is told the bytes hashed so far every few
/// megabytes and at the end, and may stop the work. Returns the id and the pairs in pre-order.
///
/// Buffering is the reader's business: it is read in steps of a leaf.
pub fn build(
    reader: impl Read,
    size_bytes: u64,
    progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(ContentId, Vec<u8>), OutboardError> {
    if size_bytes == 0 {
        return Err(OutboardError::Empty);
    }
    let pairs_bytes = usize::try_from(outboard_bytes(size_bytes)).map_err(|_| OutboardError::TooLarge)?;
    if size_bytes > MAX_CONTENT_BYTES {
        return Err(OutboardError::TooLarge);
    }
    let tree = BaoTree::new(size_bytes, BlockSize::from_chunk_log(LEAF_CHUNK_LOG));
    let mut pairs = Pairs { tree, bytes: vec![0; pairs_bytes] };
    let mut counted = Counted { reader, read_bytes: 0, told_bytes: 0, progress, cancelled: false };
    let root = match outboard(&mut counted, tree, &mut pairs) {
        Ok(root) => root,
        Err(_) if counted.cancelled => return Err(OutboardError::Cancelled),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(OutboardError::SizeChanged),
        Err(error) => return Err(error.into()),
    };
    if counted.reader.read(&mut [0])? != 0 {
        return Err(OutboardError::SizeChanged);
    }
    if (counted.progress)(size_bytes).is_break() {
        return Err(OutboardError::Cancelled);
    }
    Ok((ContentId(*root.as_bytes()), pairs.bytes))
}

struct Pairs {
    tree: BaoTree,
    bytes: Vec<u8>,
}

impl OutboardMut for Pairs {
    fn save(
        &mut self,
        node: TreeNode,
        pair: &(bao_tree::blake3::Hash, bao_tree::blake3::Hash),
    ) -> io::Result<()> {
        let Some(index) = self.tree.pre_order_offset(node) else { return Ok(()) };
        let at = (index * PAIR_BYTES) as usize;
        let slot = self.bytes.get_mut(at..at + PAIR_BYTES as usize).ok_or(io::ErrorKind::InvalidInput)?;
        slot[..32].copy_from_slice(pair.0.as_bytes());
        slot[32..].copy_from_slice(pair.1.as_bytes());
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Counted<R, P> {
    reader: R,
    read_bytes: u64,
    told_bytes: u64,
    progress: P,
    cancelled: bool,
}

impl<R: Read, P: FnMut(u64) -> ControlFlow<()>> Read for Counted<R, P> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.read_bytes - self.told_bytes >= PROGRESS_BYTES {
            self.told_bytes = self.read_bytes;
            if (self.progress)(self.read_bytes).is_break() {
                self.cancelled = true;
                return Err(io::ErrorKind::Other.into());
            }
        }
        let count = self.reader.read(buf)?;
        self.read_bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LEAF_BYTES;

    #[test]
    fn the_id_is_the_plain_blake3_hash() {
        for size in [
            1,
            1023,
            LEAF_BYTES - 1,
            LEAF_BYTES,
            LEAF_BYTES + 1,
            2 * LEAF_BYTES,
            3 * LEAF_BYTES + 5,
            1_000_003,
        ] {
            let bytes: Vec<u8> = (0..size).map(|i| (i * 31 % 251) as u8).collect();
            let (id, pairs) = build(bytes.as_slice(), size, |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(id.0, *blake3::hash(&bytes).as_bytes(), "{size} bytes");
            assert_eq!(pairs.len() as u64, outboard_bytes(size));
        }
    }

    #[test]
    fn a_file_of_another_size_is_noticed() {
        let keep_on = |_| ControlFlow::Continue(());
        assert!(matches!(build([1_u8; 100].as_slice(), 101, keep_on), Err(OutboardError::SizeChanged)));
        assert!(matches!(build([1_u8; 100].as_slice(), 99, keep_on), Err(OutboardError::SizeChanged)));
        assert!(matches!(build([1_u8; 0].as_slice(), 0, keep_on), Err(OutboardError::Empty)));
        assert!(matches!(build([1_u8; 0].as_slice(), u64::MAX, keep_on), Err(OutboardError::TooLarge)));
    }

    #[test]
    fn progress_grows_to_the_size_and_can_stop_the_work() {
        let size = 3 * PROGRESS_BYTES + 1;
        let bytes = vec![7; size as usize];
        let mut told = Vec::new();
        build(bytes.as_slice(), size, |at| {
            told.push(at);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(told.len() >= 3 && told.is_sorted() && told.last() == Some(&size));
        assert!(matches!(
            build(bytes.as_slice(), size, |_| ControlFlow::Break(())),
            Err(OutboardError::Cancelled)
        ));
    }
}
