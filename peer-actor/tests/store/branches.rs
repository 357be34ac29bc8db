//! Branches: pairs that come ahead of the chunks they prove.

use std::sync::Arc;

use peer_actor::store::{Content, ReadChunkError, Store};
use shared::{
    LeafRange,
    content::{ProofError, branch_at},
    limits::{BRANCH_LEAVES, LEAF_BYTES},
    wire::WantedBranch,
};
use tempfile::TempDir;

use super::{
    MIB,
    sample::{Sample, damage},
    store,
};

const FIRST: LeafRange = LeafRange::new(0, 1);

/// A source that has everything, and a content of which nothing is here yet.
struct Ends {
    sample: Sample,
    source: Arc<Content>,
    content: Arc<Content>,
    /// Where the content is.
    dir: TempDir,
    _there: TempDir,
    _stores: [Store; 2],
}

impl Ends {
    fn of(size: u64, seed: u8) -> Self {
        let ((here, dir), (there, _there)) = (store(100 * MIB), store(100 * MIB));
        let sample = Sample::of(size, seed);
        let source = sample.fetch_into(&there);
        let content = here.open_partial(sample.id, sample.size(), "a").unwrap();
        Self { sample, source, content, dir, _there, _stores: [here, there] }
    }
}

/// Takes along with the chunk of `leaves` what a source that has everything sends.
fn take_branch(content: &Content, source: &Content, leaves: LeafRange) -> WantedBranch {
    let wanted = content.wanted_branch(leaves);
    if let Some(branch) = wanted.of(leaves, content.size_bytes()) {
        content.ingest_branch(branch, &source.read_branch(leaves, wanted)).unwrap();
    }
    wanted
}

#[test]
fn with_a_branch_ahead_no_chunk_beneath_needs_a_proof() {
    let ends = Ends::of(5 * MIB + 3, 4);
    let Ends { sample, source, content, .. } = &ends;
    assert_eq!(content.proven_to(0), 0);
    for wanted in [WantedBranch::Own, WantedBranch::Next, WantedBranch::None] {
        assert_eq!(take_branch(content, source, FIRST), wanted);
    }
    assert_eq!(content.verified_bytes(), 0, "a branch is no leaf");
    assert_eq!(content.proven_to(0), 2 * BRANCH_LEAVES);
    for chunk in sample.chunks(1).into_iter().rev().filter(|chunk| chunk.end() <= 2 * BRANCH_LEAVES) {
        assert!(sample.proof(chunk, content.proof_skip(chunk)).is_empty(), "{chunk:?}");
        content.ingest(chunk, &[], sample.payload(chunk)).unwrap();
    }
    assert_eq!(content.verified_bytes(), 2 * u64::from(BRANCH_LEAVES) * LEAF_BYTES);
    let beyond = LeafRange::new(2 * BRANCH_LEAVES + 5, 1);
    assert!(!sample.proof(beyond, content.proof_skip(beyond)).is_empty());
}

#[test]
fn a_branch_is_passed_on_before_its_leaves_are_there_and_not_in_part() {
    let ends = Ends::of(4 * MIB, 5);
    let Ends { sample, source, content, .. } = &ends;
    sample.ingest(content, LeafRange::new(0, 64));
    assert!(content.read_branch(FIRST, WantedBranch::Own).is_empty(), "half of it is here");
    assert_eq!(take_branch(content, source, FIRST), WantedBranch::Own);
    assert_eq!(content.read_branch(FIRST, WantedBranch::Own), source.read_branch(FIRST, WantedBranch::Own));
    assert!(content.read_branch(FIRST, WantedBranch::Next).is_empty());
    assert!(content.read_branch(LeafRange::new(200, 1), WantedBranch::Next).is_empty(), "there is none");
    sample.ingest(content, LeafRange::new(64, 64));
    let second = LeafRange::new(BRANCH_LEAVES, 64);
    for chunk in [second, LeafRange::new(second.end(), 64)] {
        sample.ingest(content, chunk);
    }
    assert_eq!(content.read_branch(second, WantedBranch::Own), source.read_branch(second, WantedBranch::Own));
    assert_eq!(content.wanted_branch(FIRST), WantedBranch::None, "nothing is left to prove");
}

#[test]
fn a_forged_branch_is_refused_and_leaves_nothing_behind() {
    let ends = Ends::of(4 * MIB, 6);
    let Ends { sample, source, content, .. } = &ends;
    let mut forged = source.read_branch(FIRST, WantedBranch::Own);
    forged[100][1][3] ^= 1;
    let branch = branch_at(0, sample.size());
    assert!(matches!(content.ingest_branch(branch, &forged), Err(ProofError::WrongPair { .. })));
    assert!(matches!(content.ingest_branch(branch, &forged[1..]), Err(ProofError::WrongCount { .. })));
    assert_eq!((content.proven_to(0), content.proof_skip(FIRST)), (0, 0));
}

#[test]
fn a_branch_that_rots_is_neither_passed_on_nor_relied_on() {
    let ends = Ends::of(4 * MIB, 7);
    let Ends { sample, source, content, dir, .. } = &ends;
    assert_eq!(take_branch(content, source, FIRST), WantedBranch::Own);
    damage(dir, sample, "tree", 64 * 5 + 40);
    assert!(content.read_branch(FIRST, WantedBranch::Own).is_empty());
    assert_eq!((content.proven_to(0), content.wanted_branch(FIRST)), (0, WantedBranch::Own));
    for chunk in sample.chunks(1) {
        sample.ingest(content, chunk);
        assert!(!matches!(content.read_chunk(chunk, 0), Err(ReadChunkError::Rotten { .. })), "{chunk:?}");
    }
    assert!(content.is_complete());
}
