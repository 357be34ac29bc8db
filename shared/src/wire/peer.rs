//! Between neighbours: who holds which leaves, what a viewer wants by when, and the data.
//!
//! A *chunk* is an aligned subtree of the content's hash tree: `count` is a power of two, `first` a multiple of it, and only the
//! content's end may cut it short. So one hash covers it, and one path of hash pairs proves it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    BodyError,
    catalogue::{Validate, bounded, list},
};
use crate::{
    ids::ContentId,
    limits::{
        MAX_BRANCH_PAIRS, MAX_CHUNK_LEAVES, MAX_CONTENT_BYTES, MAX_HAVE_RANGES, MAX_PROOF_NODES,
        MAX_REQUEST_BATCH,
    },
    units::{LeafRange, leaf_count},
};

/// Names a request on its link; chosen by the viewer, never reused while the link lives.
pub type RequestId = u32;

/// The two child hashes of an inner node of the hash tree.
pub type ProofPair = [[u8; 32]; 2];

/// Which *branch* of the hash tree, the pairs of 128 leaves at once, is to come along with a chunk ([`crate::content::branch`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum WantedBranch {
    /// None.
    #[default]
    None,
    /// The one that the chunk is in.
    Own,
    /// The one after that.
    Next,
}

/// Asks a source what it holds of a content, now and whenever it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Which content.
    pub content_id: ContentId,
}

/// The viewer no longer wants the content from this source; voids its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// Which content.
    pub content_id: ContentId,
}

/// What the sender holds: verified leaves that are new since its last Have, coalesced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Which content.
    pub content_id: ContentId,
    /// The content's size as the sender knows it. A size is no part of the id: sources that disagree on it are kept apart until one verifies.
    pub size_bytes: u64,
    /// Forget what was announced before (first Have of a link, or after an eviction).
    pub reset: bool,
    /// The whole content is held; `ranges` is empty.
    pub complete: bool,
    /// Leaves that are new.
    #[serde(deserialize_with = "list::<_, _, MAX_HAVE_RANGES>")]
    pub ranges: Vec<LeafRange>,
    /// Queued upload bytes over the measured uplink: what a new request would wait.
    pub backlog_ms: u32,
}

/// A chunk a viewer wants and by when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedChunk {
    /// Names the answer.
    pub id: RequestId,
    /// An aligned subtree of leaves.
    pub leaves: LeafRange,
    /// When it must be there, relative to now; negative when it is late.
    pub deadline_ms: i32,
    /// Levels of the path from the root that the viewer already has; their pairs are left out of the proof.
    pub proof_skip: u8,
    /// What is to prove chunks that will be asked for later.
    pub branch: WantedBranch,
}

impl WantedChunk {
    /// One that is wanted with its whole proof.
    pub const fn new(id: RequestId, leaves: LeafRange, deadline_ms: i32) -> Self {
        Self { id, leaves, deadline_ms, proof_skip: 0, branch: WantedBranch::None }
    }
}

/// Asks for chunks, earliest deadline first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Which content.
    pub content_id: ContentId,
    /// The viewer's seek epoch.
    pub epoch: u32,
    /// The viewer is starting, seeking or stalled.
    pub starting: bool,
    /// What is wanted.
    #[serde(deserialize_with = "list::<_, _, MAX_REQUEST_BATCH>")]
    pub chunks: Vec<WantedChunk>,
}

/// Takes back requests that have not begun to be served. Data that has left comes nevertheless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Which.
    #[serde(deserialize_with = "list::<_, _, MAX_REQUEST_BATCH>")]
    pub ids: Vec<RequestId>,
    /// Whether each one that will now not be served is to be answered with [`RefuseReason::Withdrawn`]: whoever wants to ask elsewhere, and
    /// not get it twice, waits for that.
    pub confirm: bool,
}

/// Voids every request for the content with an epoch below this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flush {
    /// Which content.
    pub content_id: ContentId,
    /// The oldest epoch still wanted.
    pub epoch: u32,
}

/// Head of a data frame; the chunk's bytes are the frame's payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// The request it answers.
    pub id: RequestId,
    /// The leaves it carries.
    pub leaves: LeafRange,
    /// Hash pairs on the path from below the skipped levels to the chunk, top down.
    #[serde(deserialize_with = "list::<_, _, MAX_PROOF_NODES>")]
    pub proof: Vec<ProofPair>,
    /// The branch that was asked for: the pairs above its node, top down, then the node's, in pre-order. Empty if none was asked for or
    /// the sender has not all of it.
    #[serde(deserialize_with = "list::<_, _, MAX_BRANCH_PAIRS>")]
    pub branch: Vec<ProofPair>,
}

/// A request will not be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// The request, or 0 to answer an [`Open`].
    pub id: RequestId,
    /// Which content.
    pub content_id: ContentId,
    /// Why, so that the viewer can act.
    pub reason: RefuseReason,
}

/// Why a request will not be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Error)]
pub enum RefuseReason {
    /// The content, or that part of it, is not here.
    #[error("not here")]
    NotHere,
    /// Too much is queued; try again after so many milliseconds.
    #[error("busy for {0} ms")]
    Busy(u32),
    /// Not an aligned chunk within the content.
    #[error("not a chunk of this content")]
    NotAChunk,
    /// The bytes could not be read here.
    #[error("could not be read at the source")]
    Unreadable,
    /// It was taken back before it had begun to be served.
    #[error("taken back")]
    Withdrawn,
}

/// Asks the origin for one chunk of its own choice that nobody has yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Which content.
    pub content_id: ContentId,
    /// Names the answer.
    pub id: RequestId,
    /// The viewer's seek epoch.
    pub epoch: u32,
    /// Nothing before this leaf is of use to the viewer.
    pub from_leaf: u32,
    /// A chunk the viewer needs now and nobody has, as its first leaf.
    pub forced_leaf: Option<u32>,
    /// How many leaves the chunk should have; a power of two.
    pub chunk_leaves: u8,
    /// When the viewer's own uplink will have nothing to do: whose idles first is served first.
    pub idle_in_ms: u16,
    /// How long that uplink takes for a leaf: who can pass on more is given more.
    pub leaf_ms: u16,
    /// The first leaf from `from_leaf` on whose path the viewer has not; a chunk before it comes without a proof.
    pub proven_to: u32,
    /// What is to prove chunks that will be asked for later.
    pub branch: WantedBranch,
}

/// Tells at once which chunk a [`Token`] will bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// The token.
    pub id: RequestId,
    /// The chunk on its way.
    pub leaves: LeafRange,
}

/// Nothing fresh is left for a [`Token`] now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoFresh {
    /// The token.
    pub id: RequestId,
}

fn chunk_shape(leaves: LeafRange, field: &'static str) -> Result<(), BodyError> {
    bounded((1..=MAX_CHUNK_LEAVES).contains(&leaves.count) && leaves.first < u32::MAX >> 1, field)
}

impl Validate for Have {
    fn validate(&self) -> Result<(), BodyError> {
        bounded((1..=MAX_CONTENT_BYTES).contains(&self.size_bytes), "size_bytes")?;
        bounded(self.ranges.len() <= MAX_HAVE_RANGES, "ranges")?;
        bounded(!self.complete || self.ranges.is_empty(), "ranges")?;
        let leaves = leaf_count(self.size_bytes);
        let inside = |range: &LeafRange| {
            range.count > 0 && range.first.checked_add(range.count).is_some_and(|end| end <= leaves)
        };
        bounded(self.ranges.iter().all(inside), "ranges")
    }
}

impl Validate for Request {
    fn validate(&self) -> Result<(), BodyError> {
        bounded((1..=MAX_REQUEST_BATCH).contains(&self.chunks.len()), "chunks")?;
        self.chunks.iter().try_for_each(|chunk| chunk_shape(chunk.leaves, "chunks"))
    }
}

impl Validate for Cancel {
    fn validate(&self) -> Result<(), BodyError> {
        bounded((1..=MAX_REQUEST_BATCH).contains(&self.ids.len()), "ids")
    }
}

impl Validate for Data {
    fn validate(&self) -> Result<(), BodyError> {
        chunk_shape(self.leaves, "leaves")?;
        bounded(self.proof.len() <= MAX_PROOF_NODES, "proof")?;
        bounded(self.branch.len() <= MAX_BRANCH_PAIRS, "branch")
    }
}

impl Validate for Token {
    fn validate(&self) -> Result<(), BodyError> {
        let leaves = u32::from(self.chunk_leaves);
        bounded(leaves.is_power_of_two() && leaves <= MAX_CHUNK_LEAVES, "chunk_leaves")
    }
}

impl Validate for Assigned {
    fn validate(&self) -> Result<(), BodyError> {
        chunk_shape(self.leaves, "leaves")
    }
}

impl Validate for Open {}
impl Validate for Close {}
impl Validate for Flush {}
impl Validate for Refuse {}
impl Validate for NoFresh {}
