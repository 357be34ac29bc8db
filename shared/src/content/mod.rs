//! The trust chain: a [`ContentId`](crate::ContentId) is the BLAKE3 root, the root covers hash pairs, a pair covers two subtrees,
//! and a subtree of one leaf covers 16 KiB. Whoever knows the id can verify any leaf from any stranger.
//!
//! | module | holds |
//! | --- | --- |
//! | [`branch`] | many chunks proven ahead: all pairs of a larger subtree at once |
//! | [`geometry`] | which ranges are chunks, the path from the root to a chunk, where its pairs are stored |
//! | [`outboard`] | the tree beside the bytes, built while a file is read once |
//! | [`proof`] | proving a chunk, and verifying one from a stranger |
//!
//! **The tree.** BLAKE3's own, cut off at leaves of 16 KiB: of `n > 1` leaves the left child takes the largest power of two below `n`,
//! the right child the rest. An inner node is a *pair* of child hashes, 64 bytes. A content of `n` leaves has `n - 1` pairs, stored
//! pre-order: a node, then its left subtree, then its right one. So the pairs of one chunk lie side by side.
//!
//! **The size is not part of the id.** Leaves near the start verify under several sizes. Only a verified last leaf proves the size:
//! no other size puts that leaf at the end.

pub mod branch;
pub mod geometry;
pub mod outboard;
pub mod proof;

pub use branch::{branch_at, prove_branch, verify_branch};
pub use geometry::{PathNode, chunk_at, is_chunk, outboard_bytes, path_to, piece_leaves};
pub use outboard::{OutboardError, build};
pub use proof::{ProofError, VerifiedPairs, prove, verify, verify_path};
