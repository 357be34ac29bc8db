//! Arithmetic of the hash tree: chunks, pieces, and the path from the root down to a chunk.
//!
//! Invariant: every pair index that leaves this module is below `leaf_count - 1`, and agrees with bao-tree's pre-order offsets
//! (a test compares them). It never touches bytes or hashes.

use crate::{
    limits::{LEAF_BYTES, MAX_CHUNK_LEAVES},
    units::{LeafIndex, LeafRange, leaf_count},
};

/// Bytes of one stored pair.
pub const PAIR_BYTES: u64 = 64;
/// The smallest piece: 128 KiB.
pub const MIN_PIECE_LEAVES: u32 = 8;
/// The largest piece: 1 MiB.
pub const MAX_PIECE_LEAVES: u32 = 64;

/// Bytes of all pairs of a content of `size_bytes`.
pub const fn outboard_bytes(size_bytes: u64) -> u64 {
    (leaf_count(size_bytes) as u64).saturating_sub(1) * PAIR_BYTES
}

/// Whether `leaves` is one subtree of a content of `size_bytes`, small enough to travel in one frame.
pub fn is_chunk(leaves: LeafRange, size_bytes: u64) -> bool {
    leaves.count <= MAX_CHUNK_LEAVES && is_subtree(leaves, leaf_count(size_bytes))
}

/// The chunk of nominally `chunk_leaves` (rounded down to a power of two a frame can carry) that holds `leaf`. The content's end may
/// cut it short; it has no leaf at all if `leaf` is beyond the end.
pub fn chunk_at(leaf: LeafIndex, chunk_leaves: u32, size_bytes: u64) -> LeafRange {
    aligned_at(leaf, 1 << chunk_leaves.clamp(1, MAX_CHUNK_LEAVES).ilog2(), size_bytes)
}

/// The subtree of nominally `nominal` leaves, a power of two, that holds `leaf`, or as much of it as there is.
pub(super) fn aligned_at(leaf: LeafIndex, nominal: u32, size_bytes: u64) -> LeafRange {
    let first = leaf - leaf % nominal;
    LeafRange::new(first, leaf_count(size_bytes).saturating_sub(first).min(nominal))
}

/// Leaves of a piece: the power of two nearest half a second of media at `bitrate_bps`, within 128 KiB and 1 MiB. A content smaller
/// than a piece has one piece.
pub fn piece_leaves(size_bytes: u64, bitrate_bps: u64) -> u32 {
    let half_second_leaves = bitrate_bps / 16 / LEAF_BYTES;
    let clamped = half_second_leaves.clamp(MIN_PIECE_LEAVES.into(), MAX_PIECE_LEAVES.into()) as u32;
    let below = 1 << clamped.ilog2();
    let nearest = if clamped - below > 2 * below - clamped { 2 * below } else { below };
    nearest.min(leaf_count(size_bytes).next_power_of_two().max(MIN_PIECE_LEAVES))
}

/// An inner node of the tree on the way from the root to a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathNode {
    /// Where its pair is stored: pair `i` lies at byte `64 * i`.
    pub pair: u64,
    /// The leaves beneath.
    pub leaves: LeafRange,
    /// Whether the way goes on to the right child.
    pub goes_right: bool,
}

/// The inner nodes above the chunk `leaves`, root first; empty if the chunk is the whole content. `None` if `leaves` is no subtree.
pub fn path_to(leaves: LeafRange, size_bytes: u64) -> Option<Path> {
    let total = leaf_count(size_bytes);
    if !is_subtree(leaves, total) {
        return None;
    }
    let (mut nodes, mut node, mut pair) = (Vec::new(), LeafRange::new(0, total), 0);
    while node != leaves {
        let left = left_leaves(node.count);
        let goes_right = leaves.first >= node.first + left;
        nodes.push(PathNode { pair, leaves: node, goes_right });
        if goes_right {
            node = LeafRange::new(node.first + left, node.count - left);
            pair += u64::from(left);
        } else {
            node = LeafRange::new(node.first, left);
            pair += 1;
        }
    }
    Some(Path { nodes, first_pair: pair })
}

/// The way from the root to a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The inner nodes above the chunk, root first.
    pub nodes: Vec<PathNode>,
    /// Where the chunk's own pairs begin; it has one fewer than leaves.
    pub first_pair: u64,
}

/// The leaves of the left child of a node of `count` leaves, `count > 1`: the largest power of two below `count`.
pub(super) const fn left_leaves(count: u32) -> u32 {
    1 << (count - 1).ilog2()
}

/// Aligned, a power of two, and only the content's end may cut it short: exactly the subtrees of the tree.
fn is_subtree(leaves: LeafRange, total: u32) -> bool {
    let LeafRange { first, count } = leaves;
    let Some(end) = first.checked_add(count) else { return false };
    let Some(nominal) = count.checked_next_power_of_two() else { return false };
    count > 0 && end <= total && first.is_multiple_of(nominal) && (count == nominal || end == total)
}

#[cfg(test)]
mod tests {
    use bao_tree::{BaoTree, BlockSize};
    use proptest::prelude::*;

    use super::*;
    use crate::limits::{LEAF_CHUNK_LOG, MAX_CONTENT_BYTES};

    #[test]
    fn a_chunk_is_aligned_and_only_the_end_cuts_it_short() {
        let size = 13 * LEAF_BYTES - 1;
        for (first, count) in [(0, 1), (12, 1), (0, 8), (8, 5), (8, 4), (0, 13), (10, 2), (6, 2)] {
            assert!(is_chunk(LeafRange::new(first, count), size), "{first}+{count}");
        }
        for (first, count) in
            [(0, 0), (13, 1), (1, 2), (0, 3), (0, 5), (4, 9), (8, 8), (9, 4), (u32::MAX, 1), (0, u32::MAX)]
        {
            assert!(!is_chunk(LeafRange::new(first, count), size), "{first}+{count}");
        }
    }

    #[test]
    fn a_chunk_larger_than_a_frame_is_none() {
        assert!(is_chunk(LeafRange::new(64, 64), 1000 * LEAF_BYTES));
        assert!(!is_chunk(LeafRange::new(128, 128), 1000 * LEAF_BYTES));
    }

    #[test]
    fn a_piece_is_near_half_a_second_and_within_its_bounds() {
        let large = 1 << 32;
        assert_eq!(piece_leaves(large, 0), 8);
        assert_eq!(piece_leaves(large, 128_000), 8);
        assert_eq!(piece_leaves(large, 6_000_000), 16);
        assert_eq!(piece_leaves(large, 8_000_000), 32);
        assert_eq!(piece_leaves(large, u64::MAX), 64);
        assert_eq!(piece_leaves(1, u64::MAX), 8);
    }

    #[test]
    fn a_content_of_one_leaf_has_no_pair_and_an_empty_path() {
        assert_eq!(outboard_bytes(LEAF_BYTES), 0);
        assert_eq!(outboard_bytes(0), 0);
        assert!(path_to(LeafRange::new(0, 1), LEAF_BYTES).is_some_and(|path| path.nodes.is_empty()));
        assert!(path_to(LeafRange::new(0, 1), 0).is_none());
    }

    #[test]
    fn pair_indices_are_bao_trees_pre_order_offsets() {
        for leaves in 1..200_u32 {
            let size = u64::from(leaves) * LEAF_BYTES - 7;
            let tree = BaoTree::new(size, BlockSize::from_chunk_log(LEAF_CHUNK_LOG));
            assert_eq!(tree.outboard_size(), outboard_bytes(size));
            let mut expected: Vec<_> = tree
                .pre_order_nodes_iter()
                .filter_map(|node| Some((tree.pre_order_offset(node)?, node.mid().0 / 16)))
                .collect();
            expected.sort_unstable();
            let mut ours: Vec<_> = (0..leaves)
                .flat_map(|leaf| path_to(LeafRange::new(leaf, 1), size).unwrap().nodes)
                .map(|node| (node.pair, u64::from(node.leaves.first + left_leaves(node.leaves.count))))
                .collect();
            ours.sort_unstable();
            ours.dedup();
            assert_eq!(ours, expected, "{leaves} leaves");
        }
    }

    proptest! {
        #[test]
        fn chunk_at_gives_a_chunk_that_holds_the_leaf(size in 1..MAX_CONTENT_BYTES, at: u64, chunk_leaves: u32) {
            let leaf = (at % u64::from(leaf_count(size))) as u32;
            let chunk = chunk_at(leaf, chunk_leaves, size);
            prop_assert!(chunk.contains(leaf));
            prop_assert!(is_chunk(chunk, size));
            let path = path_to(chunk, size).unwrap();
            prop_assert!(path.nodes.len() <= crate::limits::MAX_PROOF_NODES);
            prop_assert!(path.nodes.iter().all(|node| node.pair < u64::from(leaf_count(size)) - 1));
        }

        #[test]
        fn any_numbers_are_answered_without_a_panic(first: u32, count: u32, size: u64) {
            let leaves = LeafRange::new(first, count);
            let size = size % (MAX_CONTENT_BYTES + 1);
            prop_assert!(!is_chunk(leaves, size) || path_to(leaves, size).is_some());
            let chunk = chunk_at(first, count, size);
            prop_assert!(chunk.count == 0 || is_chunk(chunk, size));
            prop_assert!(piece_leaves(size, u64::from(count) << 32 | u64::from(first)).is_power_of_two());
        }
    }
}
