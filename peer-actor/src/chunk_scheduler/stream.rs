//! One streamed content: its viewer core, its readers, and which node is which source.
//!
//! Pure but for the store's memory of what is verified. A source number is given once a link and never again, so a late frame of a
//! link that has gone cannot be taken for one of its successor's.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use shared::{
    ContentId, LeafRange, NodeId,
    limits::{LEAF_BYTES, MAX_READERS},
    schedule::{
        RequestIds,
        viewer::{Arrival, SourceId, SourceTraits, Swarm, Viewer, ViewerConfig, ViewerOutput},
    },
    snapshot::{NetworkFile, PeerSnapshot, StreamSnapshot},
    wire::{self, Frame, PathKind, Plan, RequestId, Role, WantedBranch, WantedChunk},
};
use tokio::sync::watch;

use super::{messages::ReaderId, reader::ReaderCell};
use crate::{session::Remote, store::Content, traffic::Traffic, transport::LinkHandle};

/// So many windows fit into the cache.
const WINDOWS: u64 = 4;
/// Sources that left and are remembered.
const MAX_PAST: usize = 64;

/// Chunks of more leaves bring few pairs each.
const MAX_BRANCHED_LEAVES: u32 = 2;
/// So long a branch is waited for before another source is asked.
const BRANCH_PATIENCE_MS: u64 = 4_000;

/// A link to a neighbour as the planner announced it.
#[derive(Debug, Clone)]
pub(crate) struct Neighbour {
    pub(crate) remote: Arc<Remote>,
    pub(crate) link: LinkHandle,
    pub(crate) path: PathKind,
    pub(crate) address: String,
    pub(crate) rate_hint_bps: u64,
    pub(crate) rtt_us: u32,
}

/// One streamed content.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) content: Arc<Content>,
    pub(crate) file: Arc<NetworkFile>,
    pub(crate) viewer: Viewer,
    pub(crate) readers: BTreeMap<ReaderId, Arc<ReaderCell>>,
    pub(crate) planned: Vec<NodeId>,
    /// Whether the tracker was asked for sources; it goes on naming them.
    pub(crate) is_watched: bool,
    /// Those of the planned sources that hold everything, as the tracker knows.
    pub(crate) complete: Vec<NodeId>,
    pub(crate) idle_since_ms: Option<u64>,
    pub(crate) watchers: watch::Sender<Option<Arc<StreamSnapshot>>>,
    /// The tracker's last plan, for its shares and for observers; on its paths the path planner acts.
    pub(super) plan: Option<Plan>,
    sources: BTreeMap<NodeId, SourceId>,
    nodes: BTreeMap<SourceId, NodeId>,
    next_source: SourceId,
    pub(super) past: BTreeMap<NodeId, PeerSnapshot>,
    /// Where the last readers stopped that said so, and who they were.
    ends: VecDeque<(ReaderId, u64)>,
    pub(super) liars: BTreeSet<NodeId>,
    /// Those of whom wrong bytes came over a relay, once.
    doubted: BTreeSet<NodeId>,
    /// The branch that was asked for, along with which request, and until when it is waited for.
    asked_branch: Option<AskedBranch>,
    /// Of how many losses of the store the viewer core knows.
    seen_losses: u64,
}

impl Stream {
    pub(crate) fn new(
        file: Arc<NetworkFile>,
        content: Arc<Content>,
        request_ids: RequestIds,
        seed: u64,
        watchers: watch::Sender<Option<Arc<StreamSnapshot>>>,
    ) -> Self {
        let mut config = ViewerConfig::new(content.size_bytes(), seed, request_ids);
        config.bitrate_bps = file.bitrate;
        config.duration_ms = file.duration_ms;
        config.tokens = true;
        config.window_bytes = config.window_bytes.min(content.cache_limit_bytes() / WINDOWS);
        let seen_losses = content.losses();
        let viewer = Viewer::new(config, content.verified());
        Self {
            content,
            file,
            viewer,
            readers: BTreeMap::new(),
            planned: Vec::new(),
            is_watched: false,
            complete: Vec::new(),
            idle_since_ms: None,
            watchers,
            plan: None,
            sources: BTreeMap::new(),
            nodes: BTreeMap::new(),
            next_source: 1,
            past: BTreeMap::new(),
            ends: VecDeque::new(),
            liars: BTreeSet::new(),
            doubted: BTreeSet::new(),
            asked_branch: None,
            seen_losses,
        }
    }

    pub(crate) fn content_id(&self) -> ContentId {
        self.content.content_id()
    }

    /// A reader says that it stops at `end_byte`. Nothing is fetched for it beyond, unless it goes on where another stopped: who reads a
    /// content in pieces will want the next.
    pub(crate) fn limit_reader(&mut self, now_ms: u64, reader: ReaderId, position_byte: u64, end_byte: u64) {
        if self.ends.iter().any(|(who, end)| *who == reader && *end == end_byte) {
            return;
        }
        let goes_on = self.ends.iter().any(|(_, end)| end.abs_diff(position_byte) <= LEAF_BYTES);
        self.ends.push_back((reader, end_byte));
        if self.ends.len() > MAX_READERS {
            self.ends.pop_front();
        }
        let end_byte = if goes_on { u64::MAX } else { end_byte };
        self.viewer.reader_ends(now_ms, reader.0, end_byte);
    }

    /// Takes a neighbour as a source, asking it what it holds. Where the plan says that it holds everything, its answer is not waited
    /// for: it comes before the data in any case.
    pub(crate) fn join(&mut self, now_ms: u64, neighbour: &Neighbour) {
        let node = neighbour.remote.node;
        if self.sources.contains_key(&node) || self.content.is_complete() {
            return;
        }
        let source = self.next_source;
        self.next_source += 1;
        self.sources.insert(node, source);
        self.nodes.insert(source, node);
        let traits = SourceTraits {
            is_origin: neighbour.remote.role == Role::Origin,
            path: neighbour.path,
            rate_hint_bps: neighbour.rate_hint_bps,
            rtt_hint_us: neighbour.rtt_us,
        };
        self.viewer.source_joined(now_ms, source, traits);
        self.viewer.source_share(now_ms, source, share_bps(self.plan.as_ref(), &node));
        if neighbour.link.try_send(wire::Open { content_id: self.content_id() }).is_err() {
            tracing::debug!(?node, "cannot ask a full link what it holds");
        } else if self.complete.contains(&node) {
            // As of a seed: else its first moments went to what others could give.
            self.viewer.have(now_ms, source, true, true, &[], 0);
        }
    }

    /// Takes those of the planned sources there are links to, while anything is missing.
    pub(crate) fn join_planned(&mut self, now_ms: u64, links: &BTreeMap<NodeId, Neighbour>) {
        let nodes = std::mem::take(&mut self.planned);
        for neighbour in nodes.iter().filter_map(|node| links.get(node)) {
            self.join(now_ms, neighbour);
        }
        self.planned = nodes;
    }

    /// The tracker planned anew: what may be taken of whom.
    pub(crate) fn handle_plan(&mut self, now_ms: u64, plan: Plan) {
        for (node, source) in &self.sources {
            self.viewer.source_share(now_ms, *source, share_bps(Some(&plan), node));
        }
        let swarm = Swarm { viewers: plan.viewers, sustainable_bps: plan.sustainable_bps };
        self.viewer.told_of_swarm(now_ms, swarm);
        self.plan = Some(plan);
    }

    /// Tells the store what must stay of the content.
    pub(crate) fn claim_needs(&self) {
        self.content.set_needs(self.viewer.needs());
    }

    /// Takes note of what the store has lost or given up; whether that was anything.
    pub(crate) fn notice_losses(&mut self, now_ms: u64) -> bool {
        let losses = self.content.losses();
        if losses == std::mem::replace(&mut self.seen_losses, losses) {
            return false;
        }
        let here = self.content.verified();
        let lost: Vec<LeafRange> =
            self.viewer.held().runs().flat_map(|run| here.missing_runs_in(run).collect::<Vec<_>>()).collect();
        self.viewer.evicted(now_ms, &lost);
        true
    }

    /// Viewers that are known to have all of `leaves`.
    pub(crate) fn viewers_with(&self, leaves: LeafRange) -> Vec<NodeId> {
        self.viewer.viewers_with(leaves).filter_map(|source| self.node(source)).collect()
    }

    /// Seeds that have nobody else to serve, as far as is known.
    pub(crate) fn idle_seeds(&self) -> Vec<NodeId> {
        self.viewer.idle_seeds().filter_map(|source| self.node(source)).collect()
    }

    /// The link to a node has ended. What it gave is remembered.
    pub(crate) fn leave(
        &mut self,
        now_ms: u64,
        node: &NodeId,
        links: &BTreeMap<NodeId, Neighbour>,
        traffic: &Traffic,
    ) {
        self.remember(now_ms, node, links, traffic);
        if let Some(source) = self.sources.remove(node) {
            self.nodes.remove(&source);
            self.viewer.source_left(now_ms, source);
        }
    }

    /// What a source gave does not verify. The viewer core forgets it at once, observers do not.
    pub(crate) fn corrupt(
        &mut self,
        now_ms: u64,
        source: SourceId,
        leaves: LeafRange,
        links: &BTreeMap<NodeId, Neighbour>,
        traffic: &Traffic,
    ) {
        if let Some(node) = self.node(source) {
            self.remember(now_ms, &node, links, traffic);
        }
        self.viewer.corrupt(now_ms, source, leaves);
    }

    /// Keeps what a source gave for observers, as of one that is gone.
    fn remember(
        &mut self,
        now_ms: u64,
        node: &NodeId,
        links: &BTreeMap<NodeId, Neighbour>,
        traffic: &Traffic,
    ) {
        let has_room = self.past.len() < MAX_PAST || self.past.contains_key(node);
        if !has_room || !self.sources.contains_key(node) {
            return;
        }
        if let Some(last) = self.peers(now_ms, links, traffic).into_iter().find(|peer| peer.node == *node) {
            self.past.insert(
                *node,
                PeerSnapshot { connected: false, rate_bps: 0, in_flight: 0, in_flight_bytes: 0, ..last },
            );
        }
    }

    /// The viewer core wants a source banned: who that is. What came over a relay may be the relay's doing, the first time.
    pub(crate) fn convict(
        &mut self,
        source: SourceId,
        links: &BTreeMap<NodeId, Neighbour>,
    ) -> Option<NodeId> {
        let node = self.node(source)?;
        let is_relayed = links.get(&node).is_some_and(|neighbour| neighbour.path == PathKind::Relayed);
        if !is_relayed || !self.doubted.insert(node) {
            self.liars.insert(node);
        }
        Some(node)
    }

    pub(crate) fn source(&self, node: &NodeId) -> Option<SourceId> {
        self.sources.get(node).copied()
    }

    pub(crate) fn node(&self, source: SourceId) -> Option<NodeId> {
        self.nodes.get(&source).copied()
    }

    /// What a source says it holds. One that disagrees on the size is no source, and nothing it was asked for is looked at: either it or
    /// the catalogue is wrong, and bytes that verify under one size cannot verify under another.
    pub(crate) fn handle_have(&mut self, now_ms: u64, source: SourceId, have: &wire::Have) {
        if have.size_bytes != self.content.size_bytes() {
            tracing::warn!(content = ?self.content_id(), node = ?self.node(source), "a source disagrees on the size of a content");
            return self.viewer.source_left(now_ms, source);
        }
        self.viewer.have(now_ms, source, have.reset, have.complete, &have.ranges, have.backlog_ms);
    }

    /// What the frame of a data message is to this stream, and which branch was to come along.
    pub(crate) fn handle_data(
        &mut self,
        now_ms: u64,
        source: SourceId,
        head: &wire::Data,
        payload_bytes: u64,
    ) -> (Arrival, Option<LeafRange>) {
        let arrival = self.viewer.data_arrived(now_ms, source, head.id, head.leaves, payload_bytes);
        if !arrival.is_useful() {
            self.settle_branch(head.id);
        }
        let asked = self.asked_branch.filter(|asked| asked.id == head.id);
        (arrival, asked.and_then(|asked| asked.wanted.of(head.leaves, self.content.size_bytes())))
    }

    /// Whether a branch came along with the answer to a request, and was kept, is known now.
    pub(crate) fn settle_branch(&mut self, id: RequestId) {
        self.asked_branch.take_if(|asked| asked.id == id);
    }

    /// Which branch to ask for along with a request for a chunk; one at a time. Large chunks need few proofs.
    fn ask_branch(&mut self, now_ms: u64, id: RequestId, leaves: LeafRange) -> WantedBranch {
        self.asked_branch.take_if(|asked| now_ms >= asked.until_ms);
        if self.asked_branch.is_some() || leaves.count > MAX_BRANCHED_LEAVES || self.viewer.is_starting() {
            return WantedBranch::None;
        }
        let wanted = self.content.wanted_branch(leaves);
        if wanted != WantedBranch::None {
            self.asked_branch = Some(AskedBranch { id, wanted, until_ms: now_ms + BRANCH_PATIENCE_MS });
        }
        wanted
    }

    /// A frame for an output that is one; the node it goes to.
    pub(crate) fn frame_for(&mut self, now_ms: u64, output: &ViewerOutput) -> Option<(NodeId, Frame)> {
        let content_id = self.content_id();
        let (source, frame) = match output {
            ViewerOutput::Request { source, epoch, starting, chunks } => {
                let chunks = chunks
                    .iter()
                    .map(|chunk| WantedChunk {
                        id: chunk.id,
                        leaves: chunk.leaves,
                        deadline_ms: chunk.deadline_ms,
                        proof_skip: self.content.proof_skip(chunk.leaves),
                        branch: self.ask_branch(now_ms, chunk.id, chunk.leaves),
                    })
                    .collect();
                (source, wire::Request { content_id, epoch: *epoch, starting: *starting, chunks }.into())
            }
            ViewerOutput::Cancel { source, ids, confirm } => {
                ids.iter().for_each(|id| self.settle_branch(*id));
                (source, wire::Cancel { ids: ids.clone(), confirm: *confirm }.into())
            }
            ViewerOutput::Flush { source, epoch } => {
                (source, wire::Flush { content_id, epoch: *epoch }.into())
            }
            ViewerOutput::Token { source, request } => {
                let proven_to = self.content.proven_to(request.from_leaf);
                // What nobody has is mostly what comes next.
                let next = LeafRange::new(proven_to, request.chunk_leaves.into());
                let branch = match request.forced_leaf {
                    None => self.ask_branch(now_ms, request.id, next),
                    Some(_) => WantedBranch::None,
                };
                (source, request.token(content_id, proven_to, branch).into())
            }
            ViewerOutput::Ban { .. } => return None,
        };
        Some((self.node(*source)?, frame))
    }
}

/// A branch that was asked for.
#[derive(Debug, Clone, Copy)]
struct AskedBranch {
    id: RequestId,
    wanted: WantedBranch,
    until_ms: u64,
}

/// What may be taken of a node by the tracker's plan, or 0 where it says nothing.
fn share_bps(plan: Option<&Plan>, node: &NodeId) -> u64 {
    let mut planned = plan.into_iter().flat_map(|plan| &plan.sources);
    planned.find(|source| source.node == *node).map_or(0, |source| source.share_bps)
}
