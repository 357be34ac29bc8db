//! The trust chain: a [`ContentId`](crate::ContentId) is the BLAKE3 root, the root covers hash pairs, a pair covers two subtrees,
//! and a subtree of one leaf covers 16 KiB. Whoever knows the id can verify any leaf from any stranger.
