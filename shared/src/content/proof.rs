//! Proving a chunk to a viewer, and verifying one from a stranger.
//!
//! A proof is the pairs on the path from the root to the chunk, top down, without the first levels that the viewer already has. The
//! pairs inside the chunk never travel: the receiver recomputes them from the bytes.
//!
//! Invariant: [`verify`] returns pairs only if the content id covers them and the payload. Whatever it is given, it allocates no more
//! than the chunk's own pairs and never panics. It performs no I/O: held pairs come through a closure.

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use thiserror::Error;

use super::geometry::{Path, PathNode, is_chunk, left_leaves, path_to};
use crate::{ids::ContentId, limits::LEAF_BYTES, units::LeafRange, wire::ProofPair};

/// Why a chunk is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The range is not an aligned subtree of this content.
    #[error("not a chunk of this content")]
    NotAChunk,
    /// The payload is not as long as the chunk.
    #[error("the payload is {got} bytes where the chunk has {expected}")]
    WrongLength {
        /// What the geometry says.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// The range is not a branch of this content.
    #[error("not a branch of this content")]
    NotABranch,
    /// A branch comes whole or not at all.
    #[error("the branch has {got} pairs where {expected} are on and beneath its path")]
    WrongCount {
        /// What the geometry says.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// The proof has more pairs than the path has levels.
    #[error("the proof has {got} pairs where the path has {levels} levels")]
    TooLong {
        /// Levels between root and chunk.
        levels: usize,
        /// What came.
        got: usize,
    },
    /// The proof leaves out levels that are not held here.
    #[error("the proof leaves out {skipped} levels, and the last of them is not held here")]
    SkipsTooMuch {
        /// How many levels were left out.
        skipped: usize,
    },
    /// A pair of the proof does not hash to what covers it.
    #[error("the pair at level {level} is forged or for another content")]
    WrongPair {
        /// Counted from the root, 0.
        level: usize,
    },
    /// The bytes do not hash to what covers them.
    #[error("the bytes are not those of the content")]
    WrongBytes,
}

/// Pairs that a verified chunk or branch brought: `(index, pair)`, to be stored at byte `64 * index`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifiedPairs {
    /// Those above it that it carried, top down.
    pub path: Vec<(u64, ProofPair)>,
    /// Index of the first pair inside.
    pub first_inner: u64,
    /// Those inside, in pre-order from `first_inner` on.
    pub inner: Vec<ProofPair>,
}

/// Collects the proof of a chunk below `skip` levels. `pair` reads one stored pair. `Ok(None)` if `leaves` is no chunk.
pub fn prove<E>(
    leaves: LeafRange,
    size_bytes: u64,
    skip: u8,
    pair: impl FnMut(u64) -> Result<ProofPair, E>,
) -> Result<Option<Vec<ProofPair>>, E> {
    match path_to(leaves, size_bytes) {
        Some(path) if is_chunk(leaves, size_bytes) => path
            .nodes
            .iter()
            .skip(skip.into())
            .map(|node| node.pair)
            .map(pair)
            .collect::<Result<_, E>>()
            .map(Some),
        _ => Ok(None),
    }
}

/// Verifies a chunk. The levels the proof leaves out are taken to be held: `held` gives a pair that was verified before, by its index.
pub fn verify(
    content_id: ContentId,
    size_bytes: u64,
    leaves: LeafRange,
    proof: &[ProofPair],
    payload: &[u8],
    held: impl FnOnce(u64) -> Option<ProofPair>,
) -> Result<VerifiedPairs, ProofError> {
    if !is_chunk(leaves, size_bytes) {
        return Err(ProofError::NotAChunk);
    }
    let Path { nodes, first_pair } = path_to(leaves, size_bytes).ok_or(ProofError::NotAChunk)?;
    let (expected, got) = (leaves.len_bytes(size_bytes), payload.len() as u64);
    if expected != got {
        return Err(ProofError::WrongLength { expected, got });
    }
    let Some(skipped) = nodes.len().checked_sub(proof.len()) else {
        return Err(ProofError::TooLong { levels: nodes.len(), got: proof.len() });
    };
    let mut cover = *content_id.as_bytes();
    if let Some(last) = skipped.checked_sub(1) {
        let pair = held(nodes[last].pair).ok_or(ProofError::SkipsTooMuch { skipped })?;
        cover = child(nodes[last].goes_right, &pair);
    }
    let carried = nodes.iter().enumerate().skip(skipped).zip(proof);
    let cover = descend(cover, carried).map_err(|level| ProofError::WrongPair { level })?;
    let path = nodes[skipped..].iter().map(|node| node.pair).zip(proof.iter().copied()).collect();
    let mut inner = Vec::with_capacity(leaves.count as usize - 1);
    if hash_into(leaves, payload, nodes.is_empty(), &mut inner) != cover {
        return Err(ProofError::WrongBytes);
    }
    Ok(VerifiedPairs { path, first_inner: first_pair, inner })
}

/// Verifies stored pairs on the way to a chunk against the id, without its bytes; for finding out whose fault a failure is. `pairs`
/// are those of the first levels, top down. Returns the hash that covers what is beneath the last, or the level that is wrong.
pub fn verify_path(
    content_id: ContentId,
    nodes: &[PathNode],
    pairs: &[ProofPair],
) -> Result<[u8; 32], usize> {
    descend(*content_id.as_bytes(), nodes.iter().enumerate().zip(pairs))
}

/// What covers what is beneath the last of these nodes, whose pairs are verified from `cover` down; or the level that is wrong.
fn descend<'a>(
    mut cover: [u8; 32],
    levels: impl Iterator<Item = ((usize, &'a PathNode), &'a ProofPair)>,
) -> Result<[u8; 32], usize> {
    for ((level, node), pair) in levels {
        if merge(pair, level == 0) != cover {
            return Err(level);
        }
        cover = child(node.goes_right, pair);
    }
    Ok(cover)
}

pub(super) const fn child(goes_right: bool, pair: &ProofPair) -> [u8; 32] {
    if goes_right { pair[1] } else { pair[0] }
}

pub(super) fn merge([left, right]: &ProofPair, is_root: bool) -> ChainingValue {
    if is_root {
        *merge_subtrees_root(left, right, Mode::Hash).as_bytes()
    } else {
        merge_subtrees_non_root(left, right, Mode::Hash)
    }
}

/// Hashes the subtree `leaves`; appends its pairs in pre-order. `bytes` are as long as the leaves, and not empty.
fn hash_into(leaves: LeafRange, bytes: &[u8], is_root: bool, pairs: &mut Vec<ProofPair>) -> ChainingValue {
    if leaves.count == 1 {
        return if is_root {
            *blake3::hash(bytes).as_bytes()
        } else {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(u64::from(leaves.first) * LEAF_BYTES).update(bytes).finalize_non_root()
        };
    }
    let slot = pairs.len();
    pairs.push([[0; 32]; 2]);
    let left = left_leaves(leaves.count);
    let (left_bytes, right_bytes) = bytes.split_at((u64::from(left) * LEAF_BYTES) as usize);
    let pair = [
        hash_into(LeafRange::new(leaves.first, left), left_bytes, false, pairs),
        hash_into(LeafRange::new(leaves.first + left, leaves.count - left), right_bytes, false, pairs),
    ];
    pairs[slot] = pair;
    merge(&pair, is_root)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use proptest::{prelude::*, sample::Index};

    use super::*;
    use crate::{
        content::{
            geometry::{chunk_at, outboard_bytes},
            outboard::build,
        },
        units::leaf_count,
    };

    #[test]
    fn every_chunk_of_every_shape_is_proven() {
        for size in [1, LEAF_BYTES - 1, LEAF_BYTES, LEAF_BYTES + 1, 5 * LEAF_BYTES, 70 * LEAF_BYTES + 3] {
            let content = Content::of(size, 3);
            for chunk_leaves in [1, 2, 8, 64] {
                for leaf in 0..leaf_count(size) {
                    let chunk = chunk_at(leaf, chunk_leaves, size);
                    let pairs =
                        content.verify(chunk, &content.proof(chunk, 0), content.payload(chunk), 0).unwrap();
                    content.assert_pairs_are_true(&pairs);
                }
            }
        }
    }

    #[test]
    fn a_wrong_size_cannot_prove_its_last_leaf() {
        for leaves in 1..=17_u64 {
            let size = leaves * LEAF_BYTES - 100;
            let content = Content::of(size, 9);
            for claimed in (1..=20 * LEAF_BYTES)
                .step_by(LEAF_BYTES as usize / 4)
                .chain([size - 1, size + 1])
                .filter(|s| *s != size)
            {
                let liar = Content { size, ..Content::of(claimed, 9) };
                let last = LeafRange::new(leaf_count(claimed) - 1, 1);
                let proof = Content { size: claimed, ..liar.clone() }.proof(last, 0);
                let padded = content.bytes.iter().copied().chain(std::iter::repeat(0));
                let bytes = last.bytes(claimed);
                let payload: Vec<u8> =
                    padded.skip(bytes.start as usize).take((bytes.end - bytes.start) as usize).collect();
                assert!(
                    verify(content.id, claimed, last, &proof, &payload, |_| None).is_err(),
                    "{size} taken for {claimed}"
                );
                let honest: Vec<_> =
                    content.pairs.iter().copied().chain(std::iter::repeat([[0; 32]; 2])).take(40).collect();
                let path = path_to(last, claimed).unwrap();
                let proof: Vec<_> = path.nodes.iter().map(|node| honest[node.pair as usize]).collect();
                assert!(
                    verify(content.id, claimed, last, &proof, &payload, |_| None).is_err(),
                    "{size} taken for {claimed}"
                );
            }
        }
    }

    #[test]
    fn a_skip_of_levels_that_are_not_held_is_refused() {
        let content = Content::of(9 * LEAF_BYTES, 1);
        let chunk = LeafRange::new(2, 1);
        let proof = content.proof(chunk, 2);
        assert_eq!(
            verify(content.id, content.size, chunk, &proof, content.payload(chunk), |_| None),
            Err(ProofError::SkipsTooMuch { skipped: 2 })
        );
    }

    #[test]
    fn another_contents_chunk_is_refused() {
        let (ours, theirs) = (Content::of(9 * LEAF_BYTES, 1), Content::of(9 * LEAF_BYTES, 2));
        let chunk = LeafRange::new(4, 4);
        let proof = theirs.proof(chunk, 0);
        let got = verify(ours.id, ours.size, chunk, &proof, theirs.payload(chunk), |_| None);
        assert_eq!(got, Err(ProofError::WrongPair { level: 0 }));
    }

    #[test]
    fn a_path_with_a_rotten_pair_names_its_level() {
        let content = Content::of(100 * LEAF_BYTES, 1);
        let path = path_to(LeafRange::new(40, 4), content.size).unwrap();
        let mut pairs = content.proof(LeafRange::new(40, 4), 0);
        assert!(verify_path(content.id, &path.nodes, &pairs).is_ok());
        pairs[2][0][5] ^= 1;
        assert_eq!(verify_path(content.id, &path.nodes, &pairs), Err(2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_skip_the_verifier_really_has_works(size in 1..3_000_000_u64, at: Index, chunk_log in 0..7_u32, skip: Index) {
            let content = Content::of(size, 5);
            let chunk = chunk_at(at.index(leaf_count(size) as usize) as u32, 1 << chunk_log, size);
            let levels = path_to(chunk, size).unwrap().nodes.len();
            let skip = skip.index(levels + 1);
            let pairs = content.verify(chunk, &content.proof(chunk, skip as u8), content.payload(chunk), skip);
            prop_assert!(pairs.is_ok());
            content.assert_pairs_are_true(&pairs.unwrap());
        }

        #[test]
        fn any_flipped_bit_is_found(size in 1..2_000_000_u64, at: Index, chunk_log in 0..7_u32, bit: Index, skip: Index) {
            let content = Content::of(size, 6);
            let chunk = chunk_at(at.index(leaf_count(size) as usize) as u32, 1 << chunk_log, size);
            let skip = skip.index(path_to(chunk, size).unwrap().nodes.len() + 1);
            let (mut proof, mut payload) = (content.proof(chunk, skip as u8), content.payload(chunk).to_vec());
            let bit = bit.index((payload.len() + proof.len() * 64) * 8);
            let (byte, flip) = (bit / 8, 1 << (bit % 8));
            match byte.checked_sub(payload.len()) {
                None => payload[byte] ^= flip,
                Some(byte) => proof[byte / 64][byte / 32 % 2][byte % 32] ^= flip,
            }
            prop_assert!(content.verify(chunk, &proof, &payload, skip).is_err());
        }

        #[test]
        fn arbitrary_input_is_refused_without_a_panic(
            id: [u8; 32], size in 0..=crate::limits::MAX_CONTENT_BYTES, small in 0..2_000_000_u64, use_small: bool,
            first: u32, count in 0..200_u32, aligned: bool,
            proof in prop::collection::vec(any::<[[u8; 32]; 2]>(), 0..40),
            payload_bytes in prop_oneof![0..40_000_usize, Just(16_384)],
        ) {
            let size = if use_small { small } else { size };
            let leaves = if aligned { chunk_at(first % leaf_count(size).max(1), count, size) } else { LeafRange::new(first, count) };
            let payload = vec![3; payload_bytes];
            prop_assert!(verify(ContentId(id), size, leaves, &proof, &payload, |_| Some([[9; 32]; 2])).is_err());
            prop_assert!(matches!(prove::<()>(leaves, size, first as u8, |_| Err(())), Ok(_) | Err(())));
        }
    }

    #[derive(Clone)]
    struct Content {
        id: ContentId,
        size: u64,
        bytes: Vec<u8>,
        pairs: Vec<ProofPair>,
    }

    impl Content {
        fn of(size: u64, seed: u8) -> Self {
            let mut bytes = vec![0; size as usize];
            blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
            let (id, outboard) = build(bytes.as_slice(), size, |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(outboard.len() as u64, outboard_bytes(size));
            let half = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap();
            let pairs = outboard.chunks(64).map(|pair| [half(&pair[..32]), half(&pair[32..])]).collect();
            Self { id, size, bytes, pairs }
        }

        fn payload(&self, leaves: LeafRange) -> &[u8] {
            let bytes = leaves.bytes(self.size);
            &self.bytes[bytes.start as usize..bytes.end as usize]
        }

        fn proof(&self, leaves: LeafRange, skip: u8) -> Vec<ProofPair> {
            prove::<()>(leaves, self.size, skip, |index| Ok(self.pairs[index as usize])).unwrap().unwrap()
        }

        /// A verifier that holds the first `levels` pairs of the path and nothing else.
        fn verify(
            &self,
            leaves: LeafRange,
            proof: &[ProofPair],
            payload: &[u8],
            levels: usize,
        ) -> Result<VerifiedPairs, ProofError> {
            let nodes = path_to(leaves, self.size).unwrap().nodes;
            verify(self.id, self.size, leaves, proof, payload, |index| {
                nodes[..levels].iter().any(|node| node.pair == index).then(|| self.pairs[index as usize])
            })
        }

        fn assert_pairs_are_true(&self, pairs: &VerifiedPairs) {
            for (index, pair) in &pairs.path {
                assert_eq!(self.pairs[*index as usize], *pair);
            }
            let first = pairs.first_inner as usize;
            assert_eq!(self.pairs[first..first + pairs.inner.len()], pairs.inner);
        }
    }
}
