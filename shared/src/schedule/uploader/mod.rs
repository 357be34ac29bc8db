//! The upload core: which queued request to serve next, over all links of a node together.
//!
//! One uplink serves many viewers. What counts for a swarm is how soon a chunk can be *forwarded*, so chunks are sent one after the other
//! rather than all at once, and no more is on its way than the uplink carries in a twentieth of a second and two round trips: on a slow
//! uplink that is one or two small chunks, on a fast one megabytes (`pace`). What is on its way is what viewers have not said to have
//! received: a socket that has taken something says nothing, because kernels and shapers hold more than a slow link carries in a second.
//! Among the links with the least service the earliest deadline goes first; who gives nothing counts as if it needed everything later.
//!
//! Who has a content from the start is a *seed* of it, and what it sends first matters more: `origin` has its order, and answers tokens.
//!
//! Drive it: inputs, then drain [`Uploader::poll_output`], then call [`Uploader::handle_timeout`] no later than
//! [`Uploader::poll_timeout`]. For each [`UploaderOutput::Serve`] the owner reads the chunk and asks [`Uploader::read_done`] whether it is
//! still wanted; if so it sends it, says with [`Uploader::drained`] how much its link still has to send, and with
//! [`Uploader::received`] what has arrived.
//!
//! Invariants: no payload beyond a link's credit; nothing void (cancelled, flushed, closed) leaves; a link that receives nothing costs the
//! others nothing; a queue never exceeds [`MAX_QUEUED_REQUESTS`].

mod choice;
mod copies;
mod holders;
mod link;
mod origin;
mod output;
mod pace;
mod turns;

use std::collections::{BTreeMap, VecDeque};

use self::{
    holders::Holders,
    link::{Link, Queued},
    origin::Origin,
    pace::{Pace, UNHEARD_BYTES, UploadLimit},
};
pub use self::{output::UploaderOutput, pace::Pacing};
use super::{Deadline, numbered::Numbered};
use crate::{
    ids::ContentId,
    limits::{MAX_OPEN_CONTENTS, MAX_PAYLOAD_BYTES, MAX_QUEUED_REQUESTS},
    units::{LeafIndex, LeafRange, leaf_count},
    wire::{RefuseReason, RequestId, Token, WantedChunk},
};

/// Names a link within one uploader: a number its owner gives each session, never given twice.
pub type LinkId = u64;

/// A viewer that answers late on purpose gains no larger window than this.
const LONGEST_RTT_MS: u64 = 500;

/// All uploads of a node.
#[derive(Debug)]
pub struct Uploader {
    links: Numbered<LinkId, Link>,
    /// The links that are not idle, and perhaps some that have become so, in order: whoever serves thousands looks at these alone.
    in_use: Vec<LinkId>,
    outputs: VecDeque<UploaderOutput>,
    pace: Pace,
    limit: UploadLimit,
    origin: Origin,
    /// Who has what of the contents that are not all here.
    holders: BTreeMap<ContentId, Holders>,
    /// The service of whoever was served last (start-time fair queueing, Goyal, Vin and Cheng 1996): a link that becomes active starts
    /// there, so that what others got while it wanted nothing is not held against them.
    fair_bytes: u64,
}

impl Uploader {
    /// An uploader without links. A limit of 0 is none.
    pub fn new(upload_limit_bps: u64) -> Self {
        Self {
            links: Numbered::default(),
            in_use: Vec::new(),
            outputs: VecDeque::new(),
            pace: Pace::default(),
            limit: UploadLimit::new(upload_limit_bps),
            origin: Origin::default(),
            holders: BTreeMap::new(),
            fair_bytes: 0,
        }
    }

    /// A content this node is a seed of, its size and its mean rate (0 when unknown). What of it was not served lately is served before
    /// anything else: a viewer passes a first copy on, so it is worth many second ones; those get what is left. Tokens for other contents
    /// are answered with NoFresh.
    pub fn seeds(&mut self, content_id: ContentId, size_bytes: u64, bitrate_bps: u64) {
        self.origin.content(content_id, size_bytes, bitrate_bps);
        if let Some(holders) = self.holders.remove(&content_id) {
            self.origin.learns(&content_id, holders);
        }
    }

    /// A content is not here any more, or not all of it.
    pub fn seeds_no_more(&mut self, content_id: &ContentId) {
        self.origin.forget(content_id);
        self.holders.remove(content_id);
    }

    /// Whether it is a seed of the content.
    pub fn is_seed_of(&self, content_id: &ContentId) -> bool {
        self.origin.is_seed_of(content_id)
    }

    /// A neighbour announces what it holds of a content of `size_bytes` that is here in any part, and passes on. Those that do not upload, or are
    /// known not to, are not to be announced.
    pub fn have(
        &mut self,
        link: LinkId,
        (content_id, size_bytes): (&ContentId, u64),
        reset: bool,
        complete: bool,
        ranges: &[LeafRange],
    ) {
        if !self.links.contains_key(&link) {
            return;
        }
        if self.is_seed_of(content_id) {
            return self.origin.have(link, content_id, reset, complete, ranges);
        }
        if self.holders.len() >= MAX_OPEN_CONTENTS && !self.holders.contains_key(content_id) {
            return;
        }
        let holders = self.holders.entry(*content_id).or_insert_with(|| Holders::new(leaf_count(size_bytes)));
        if reset {
            holders.forget(link);
        }
        holders.have(link, complete, ranges);
    }

    /// How many neighbours have a leaf, by what they announced.
    fn held_by(&self, content_id: &ContentId, leaf: LeafIndex) -> usize {
        let holders = self.origin.holders(content_id).or_else(|| self.holders.get(content_id));
        holders.map_or(0, |holders| holders.of(leaf))
    }

    /// A viewer asks for a chunk of the seed's choice.
    pub fn token(&mut self, now_ms: u64, link: LinkId, wanted: Token) {
        self.is_asked(link, &wanted.content_id);
        let Some(state) = self.links.get(&link) else { return };
        let is_void = wanted.epoch < state.oldest_epoch(&wanted.content_id) || state.has_request(wanted.id);
        let refused = UploaderOutput::NoFresh { link, id: wanted.id };
        let answer = if is_void { Some(refused) } else { self.origin.token(now_ms, link, wanted) };
        self.outputs.extend(answer);
        self.pump(now_ms);
    }

    /// So many bytes that are no uploads left over the same uplink, such as what is relayed for others: they count against the upload limit.
    pub fn left_beside(&mut self, bytes: u64) {
        self.limit.charge(bytes);
    }

    /// What the uplink carries was found out before it carried anything: what is measured then is averaged with that.
    pub fn probed(&mut self, bps: u64) {
        self.pace.probed(bps);
    }

    /// A link is up.
    pub fn link_joined(&mut self, link: LinkId) {
        if !self.links.contains_key(&link) {
            self.links.insert(link, Link::new(self.fair_bytes));
        }
    }

    /// A link is gone, with everything it asked for.
    pub fn link_left(&mut self, now_ms: u64, link: LinkId) {
        self.links.remove(&link);
        self.origin.left(link);
        let known: Vec<ContentId> = self.holders.keys().copied().collect();
        known.iter().for_each(|content_id| self.forget_holder(link, content_id));
        self.pump(now_ms);
    }

    /// Which links are idlers: neighbours that do not serve what they announce. The others are none, or none any more.
    pub fn idlers(&mut self, is_idler: impl Fn(LinkId) -> bool) {
        for (id, link) in self.links.iter_mut() {
            link.is_idler = is_idler(*id);
        }
    }

    /// A viewer grants more; a grant below an earlier one changes nothing.
    pub fn credit(&mut self, now_ms: u64, link: LinkId, granted_bytes: u64) {
        if let Some(link) = self.links.get_mut(&link) {
            link.granted_bytes = link.granted_bytes.max(granted_bytes);
        }
        self.pump(now_ms);
    }

    /// A viewer says how much payload it has received since the link is up, and when by its clock; more than was sent is taken for all of it.
    pub fn received(&mut self, now_ms: u64, link: LinkId, received_bytes: u64, at_ms: u32) {
        let arrival = self.links.get_mut(&link).and_then(|link| link.received(now_ms, received_bytes, at_ms));
        if let Some(arrival) = arrival {
            let left_bytes = self.links_in_use().map(|(_, link)| link.unheard_bytes()).sum();
            self.pace.arrived(arrival, left_bytes);
        }
        self.pump(now_ms);
    }

    /// The round trip of a link was measured.
    pub fn measured(&mut self, now_ms: u64, link: LinkId, rtt_us: u32) {
        if let Some(link) = self.links.get_mut(&link) {
            link.rtt_ms = u64::from(rtt_us / 1_000).min(LONGEST_RTT_MS);
        }
        self.pump(now_ms);
    }

    /// A viewer asks for chunks of a content of `size_bytes` that the owner can serve; `starting` says that it starts, seeks or stalls.
    #[expect(clippy::too_many_arguments, reason = "a request as it comes off the wire")]
    pub fn request(
        &mut self,
        now_ms: u64,
        link: LinkId,
        content_id: ContentId,
        size_bytes: u64,
        epoch: u32,
        starting: bool,
        chunks: &[WantedChunk],
    ) {
        self.is_asked(link, &content_id);
        let fair_bytes = self.fair_bytes;
        let busy_ms = self.backlog_ms().clamp(50, 5_000);
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.is_idle() {
            state.served_bytes = state.served_bytes.max(fair_bytes);
        }
        for chunk in chunks {
            let bytes = chunk.leaves.len_bytes(size_bytes);
            if state.queue().len() >= MAX_QUEUED_REQUESTS || bytes > MAX_PAYLOAD_BYTES as u64 || bytes == 0 {
                let reason = if bytes == 0 { RefuseReason::NotAChunk } else { RefuseReason::Busy(busy_ms) };
                self.outputs.push_back(UploaderOutput::Refuse { link, content_id, id: chunk.id, reason });
                continue;
            }
            if epoch < state.oldest_epoch(&content_id) || state.has_request(chunk.id) {
                continue;
            }
            self.origin.wants(link, &content_id, chunk.leaves);
            state.enqueue(Queued {
                id: chunk.id,
                content_id,
                epoch,
                leaves: chunk.leaves,
                bytes,
                deadline_ms: now_ms.saturating_add_signed(i64::from(chunk.deadline_ms)),
                proof_skip: chunk.proof_skip,
                branch: chunk.branch,
                starting,
            });
        }
        self.begin_use(link);
        self.pump(now_ms);
    }

    /// A viewer takes requests back. With `confirm` it is told which will not be served.
    pub fn cancel(&mut self, now_ms: u64, link: LinkId, ids: &[RequestId], confirm: bool) {
        let link_id = link;
        if let Some(link) = self.links.get_mut(&link_id) {
            let dropped = link.void(|id, _, _| ids.contains(&id)).into_iter().filter(|_| confirm);
            self.outputs.extend(dropped.map(|(id, content_id)| {
                let reason = RefuseReason::Withdrawn;
                UploaderOutput::Refuse { link: link_id, content_id, id, reason }
            }));
        }
        self.origin.void(link_id, |wanted| ids.contains(&wanted.id));
        self.pump(now_ms);
    }

    /// A viewer voids everything it asked of a content before `epoch`, also what is still to come.
    pub fn flush(&mut self, now_ms: u64, link: LinkId, content_id: ContentId, epoch: u32) {
        let link_id = link;
        if let Some(link) = self.links.get_mut(&link_id) {
            link.set_oldest_epoch(content_id, epoch);
            link.void(|_, of, asked| *of == content_id && asked < epoch);
        }
        self.origin.void(link_id, |wanted| wanted.content_id == content_id && wanted.epoch < epoch);
        self.pump(now_ms);
    }

    /// A viewer no longer wants a content.
    pub fn closed(&mut self, now_ms: u64, link: LinkId, content_id: ContentId) {
        let link_id = link;
        if let Some(link) = self.links.get_mut(&link_id) {
            link.forget_epoch(&content_id);
            link.void(|_, of, _| *of == content_id);
        }
        self.origin.closed(link_id, &content_id);
        self.forget_holder(link_id, &content_id);
        self.pump(now_ms);
    }

    /// What a link announced of a content counts no more.
    fn forget_holder(&mut self, link: LinkId, content_id: &ContentId) {
        let Some(holders) = self.holders.get_mut(content_id) else { return };
        holders.forget(link);
        if holders.is_empty() {
            self.holders.remove(content_id);
        }
    }

    /// Whether the chunk of a Serve is still to be sent; if so the owner may hand it to its link before it calls [`Self::read_done`].
    pub fn is_wanted(&self, link: LinkId, id: RequestId) -> bool {
        let reading = self.links.get(&link).and_then(|link| link.reading(id));
        reading.is_some_and(|reading| !reading.is_void)
    }

    /// The chunk of a Serve was read, or could not be, or its link did not take it. Returns whether it is to be sent, or is on its way: then it
    /// counts as being in the link's queue.
    pub fn read_done(
        &mut self,
        now_ms: u64,
        link: LinkId,
        id: RequestId,
        failed: Option<RefuseReason>,
    ) -> bool {
        let Some(state) = self.links.get_mut(&link) else { return false };
        let Some(reading) = state.has_read(id) else { return false };
        let is_sent = !reading.is_void && failed.is_none();
        if is_sent {
            self.pace.handed(now_ms, reading.bytes);
            state.handed(now_ms, reading.bytes);
        } else {
            state.sent_bytes -= reading.bytes;
            state.served_bytes = state.served_bytes.saturating_sub(reading.charged_bytes);
            self.limit.give_back(reading.bytes);
            self.origin.unsent(link, &reading.content_id, reading.leaves);
            if let (Some(reason), false) = (failed, reading.is_void) {
                let content_id = reading.content_id;
                self.outputs.push_back(UploaderOutput::Refuse { link, content_id, id, reason });
            }
        }
        self.pump(now_ms);
        is_sent
    }

    /// The link's outbound queue holds `queued_bytes` now.
    pub fn drained(&mut self, now_ms: u64, link: LinkId, queued_bytes: u64) {
        if let Some(state) = self.links.get_mut(&link) {
            state.queued_out_bytes = queued_bytes.min(state.queued_out_bytes);
        }
        self.pump(now_ms);
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        self.pump(now_ms);
    }

    /// When [`Self::handle_timeout`] is due: the upload limit frees bytes, a link turns out to be stuck, the uplink
    /// or a viewer's is about to idle.
    pub fn poll_timeout(&self, now_ms: u64) -> Option<Deadline> {
        if !self.has_waiting() && !self.origin.has_tokens() {
            return None;
        }
        let patience_ms = self.patience_ms();
        let stuck = self.links_in_use().filter(|(_, link)| link.unheard_bytes() > 0);
        let stuck = stuck.map(|(_, link)| link.stuck_ms(patience_ms)).filter(|at_ms| *at_ms > now_ms);
        let stuck = stuck.map(|at_ms| Deadline { at_ms, reason: "a link may be stuck" });
        let limit = self.limit.free_at(now_ms).map(|at_ms| Deadline { at_ms, reason: "upload limit" });
        let ahead = self.pace.about_to_idle_at_ms().filter(|at_ms| *at_ms > now_ms);
        let ahead = ahead.map(|at_ms| Deadline { at_ms, reason: "the uplink is about to idle" });
        let token = self.origin.token_due_ms(now_ms);
        let token = token.map(|at_ms| Deadline { at_ms, reason: "a token is due" });
        stuck.chain(limit).chain(ahead).chain(token).min_by_key(|deadline| deadline.at_ms)
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<UploaderOutput> {
        self.outputs.pop_front()
    }

    /// What a new request would wait: queued bytes over the measured uplink.
    pub fn backlog_ms(&self) -> u32 {
        let queued_bytes: u64 =
            self.links_in_use().map(|(_, link)| link.queued_bytes() + link.under_way_bytes()).sum();
        self.pace.time_for_ms(queued_bytes).max(self.limit.time_for_ms(queued_bytes))
    }

    /// When a chunk of `bytes` that is handed over now should leave, and how fast.
    pub fn pacing(&self, now_ms: u64, bytes: u64) -> Option<Pacing> {
        self.pace.pacing(now_ms, bytes)
    }

    /// What the uplink carried while it was busy, or is thought to carry, or 0 when unknown; never more than the upload limit.
    pub fn uplink_bps(&self) -> u64 {
        self.limited_bps(self.pace.bytes_per_ms())
    }

    /// What it carried, or 0 when it has carried nothing.
    pub fn carried_bps(&self) -> u64 {
        self.limited_bps(self.pace.carried_bytes_per_ms())
    }

    fn limited_bps(&self, bytes_per_ms: Option<f64>) -> u64 {
        self.limit.at_most(bytes_per_ms.map_or(0, |rate| (rate * 8_000.0) as u64))
    }

    /// The links that have something queued or under way, in the order of their numbers.
    fn links_in_use(&self) -> impl Iterator<Item = (&LinkId, &Link)> {
        let mut walk = self.links.walk();
        self.in_use.iter().filter_map(move |id| Some((id, walk.on_to(id)?)))
    }

    /// A link asks for something of a content: what was here from the start goes out as a seed's.
    fn is_asked(&mut self, link: LinkId, content_id: &ContentId) {
        if let Some(link) = self.links.get_mut(&link).filter(|_| self.origin.is_seed_of(content_id)) {
            self.pace.seeds();
            link.pace.seeds();
        }
    }

    /// A link is not idle any more.
    fn begin_use(&mut self, link: LinkId) {
        if let Err(at) = self.in_use.binary_search(&link) {
            self.in_use.insert(at, link);
        }
    }

    fn patience_ms(&self) -> u64 {
        self.pace.patience_ms(self.longest_rtt_ms())
    }

    /// Of the links in use.
    fn longest_rtt_ms(&self) -> u64 {
        let in_use = self.links_in_use().filter(|(_, link)| !link.is_idle());
        in_use.map(|(_, link)| link.rtt_ms).max().unwrap_or(0)
    }

    /// Serves while the send window, the upload limit and somebody's credit allow.
    fn pump(&mut self, now_ms: u64) {
        let (mut links, mut rtt_ms) = (self.links.walk(), 0);
        self.in_use.retain(|id| {
            let link = links.on_to(id).filter(|link| !link.is_idle());
            rtt_ms = link.map_or(rtt_ms, |link| rtt_ms.max(link.rtt_ms));
            link.is_some()
        });
        self.origin.advance(now_ms, self.uplink_bps());
        let (patience_ms, window_bytes) = (self.pace.patience_ms(rtt_ms), self.pace.window_bytes(rtt_ms));
        let (mut under_way, mut reading) = (0, 0);
        for (_, link) in self.links_in_use() {
            under_way += if link.is_stuck(now_ms, patience_ms) { 0 } else { link.under_way_bytes() };
            reading += link.reading_bytes();
        }
        loop {
            let is_open = under_way < window_bytes
                || under_way < window_bytes + UNHEARD_BYTES && self.pace.is_about_to_idle(now_ms, reading);
            // The limit first: asking fills its bucket, and when that is full is the next time to look.
            if !self.limit.is_open(now_ms) || !is_open {
                return;
            }
            let Some((link_id, queued)) = self.next(now_ms, patience_ms) else { break };
            under_way += queued.bytes;
            reading += queued.bytes;
            self.limit.take(now_ms, queued.bytes);
            self.origin.sent(now_ms, link_id, &queued.content_id, queued.leaves);
            self.outputs.push_back(UploaderOutput::Serve {
                link: link_id,
                content_id: queued.content_id,
                id: queued.id,
                leaves: queued.leaves,
                proof_skip: queued.proof_skip,
                branch: queued.branch,
            });
        }
        if !self.has_waiting() {
            self.pace.had_room();
        }
    }

    /// Whether a request waits.
    fn has_waiting(&self) -> bool {
        self.links_in_use().any(|(_, link)| !link.queue().is_empty())
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod token_tests;
