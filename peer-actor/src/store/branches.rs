//! Which pairs of the hash tree are here: those above held leaves, and whole branches that came ahead of their chunks.
//!
//! Invariant: a branch counts as here only after all of its pairs were verified and written, and only in the process that did so; so the
//! files need not say it.

use shared::{
    LeafRange,
    content::{PathNode, ProofError, branch_at, path_to, prove_branch, verify_branch},
    limits::BRANCH_LEAVES,
    wire::{ProofPair, WantedBranch},
};
use tracing::{debug, warn};

use super::{
    content::{Content, Held},
    sync::{read, write},
};

impl Content {
    /// How many levels of the path to this chunk are held, from the root on: what a request may leave out of the proof.
    pub fn proof_skip(&self, leaves: LeafRange) -> u8 {
        let Some(path) = path_to(leaves, self.size_bytes()) else { return 0 };
        let levels = match &*read(&self.held) {
            Held::All => path.nodes.len(),
            Held::Gone => 0,
            Held::Some(held) => {
                let before = held.last_held(leaves.first);
                let after = held.first_held(leaves.first);
                let is_held = |node: &&PathNode| {
                    [before, after].iter().flatten().any(|leaf| node.leaves.contains(*leaf))
                        || self.has_branch_in(node.leaves)
                };
                path.nodes.iter().take_while(is_held).count()
            }
        };
        levels as u8
    }

    /// The first leaf from `from` on whose path is not held.
    pub fn proven_to(&self, from: u32) -> u32 {
        let total = self.leaf_count();
        let guard = read(&self.held);
        let Held::Some(held) = &*guard else { return total };
        let mut leaf = from;
        while leaf < total {
            let branch = branch_at(leaf, self.size_bytes());
            let next = if self.has_branch_in(branch) {
                branch.end()
            } else {
                held.first_missing(leaf).unwrap_or(total)
            };
            if next == leaf {
                break;
            }
            leaf = next;
        }
        leaf.min(total)
    }

    /// Which branch is worth asking for along with a chunk: its own, or the next once that is here. One of which half the leaves have come
    /// with proofs of their own is not.
    pub fn wanted_branch(&self, leaves: LeafRange) -> WantedBranch {
        let guard = read(&self.held);
        let Held::Some(held) = &*guard else { return WantedBranch::None };
        let is_worth_it = |branch: &LeafRange| {
            !self.has_branch_in(*branch) && 2 * held.count_in(*branch) <= branch.count && branch.count > 1
        };
        let is_worth_asking = |wanted: &WantedBranch| {
            wanted.of(leaves, self.size_bytes()).is_some_and(|branch| is_worth_it(&branch))
        };
        [WantedBranch::Own, WantedBranch::Next].into_iter().find(is_worth_asking).unwrap_or_default()
    }

    /// Reads the branch that is asked for along with a chunk, verified; nothing if not all of it is here.
    pub fn read_branch(&self, leaves: LeafRange, wanted: WantedBranch) -> Vec<ProofPair> {
        let asked = wanted.of(leaves, self.size_bytes());
        let Some(branch) = asked.filter(|branch| self.has_all_of(*branch)) else { return Vec::new() };
        let pairs =
            prove_branch(branch, self.size_bytes(), |first, count| self.files.read_pairs(first, count));
        let Ok(Some(pairs)) = pairs else { return Vec::new() };
        if let Err(error) = verify_branch(self.content_id(), self.size_bytes(), branch, &pairs) {
            // A path that is asked for will find out what is wrong, and give up what lies beneath.
            warn!(content = %self.content_id().short(), first = branch.first, %error, "a damaged branch is not passed on");
            self.forget_branches(branch);
            return Vec::new();
        }
        pairs
    }

    /// Takes in a branch. Fails only if it does not verify: one that cannot be written is done without.
    pub fn ingest_branch(&self, branch: LeafRange, pairs: &[ProofPair]) -> Result<(), ProofError> {
        let verified = verify_branch(self.content_id(), self.size_bytes(), branch, pairs)?;
        match self.files.write_verified(&verified) {
            Ok(()) => _ = write(&self.branches).insert(branch.first / BRANCH_LEAVES),
            Err(error) => {
                debug!(content = %self.content_id().short(), %error, "a branch could not be written");
            }
        }
        Ok(())
    }

    /// Does not count on the branches that have any of `leaves` from now on.
    pub(super) fn forget_branches(&self, leaves: LeafRange) {
        let numbers = numbers(leaves);
        write(&self.branches).retain(|number| !numbers.contains(number));
    }

    /// Whether the pair on a node of these leaves is held.
    pub(super) fn holds_pair_above(&self, leaves: LeafRange) -> bool {
        match &*read(&self.held) {
            Held::All => true,
            Held::Some(held) => held.intersects(leaves) || self.has_branch_in(leaves),
            Held::Gone => false,
        }
    }

    fn has_all_of(&self, branch: LeafRange) -> bool {
        match &*read(&self.held) {
            Held::All => true,
            Held::Some(held) => self.has_branch_in(branch) || held.contains(branch),
            Held::Gone => false,
        }
    }

    /// Whether a branch is here that has any of `leaves`, a subtree: then the pair on their node is, too.
    fn has_branch_in(&self, leaves: LeafRange) -> bool {
        read(&self.branches).range(numbers(leaves)).next().is_some()
    }
}

/// The numbers of the branches that have any of `leaves`.
fn numbers(leaves: LeafRange) -> std::ops::Range<u32> {
    leaves.first / BRANCH_LEAVES..leaves.end().div_ceil(BRANCH_LEAVES)
}
