//! The upload core: which queued request to serve next, over all links of a node together.
//!
//! One uplink serves many viewers. What counts for a swarm is how soon a chunk can be *forwarded*, so chunks are sent one after the other
//! rather than all at once, and no more is unsent than the uplink takes in a tenth of a second: on a slow uplink that is one or two small
//! chunks, on a fast one megabytes (`send_window`). Among the links with the least service the earliest deadline goes first.
//!
//! An *origin* has everything from the start, so what it sends first matters more: `origin` has its order, and answers tokens.
//!
//! Drive it: inputs, then drain [`Uploader::poll_output`], then call [`Uploader::handle_timeout`] no later than
//! [`Uploader::poll_timeout`]. For each [`UploaderOutput::Serve`] the owner reads the chunk and asks [`Uploader::read_done`] whether it is
//! still wanted; if so it sends it, and says with [`Uploader::drained`] how much its link still has to send.
//!
//! Invariants: no payload beyond a link's credit; nothing void (cancelled, flushed, closed) leaves; a link that does not drain costs the
//! others nothing; a queue never exceeds [`MAX_QUEUED_REQUESTS`].

mod copies;
mod link;
mod origin;
mod pace;

use std::collections::{BTreeMap, VecDeque};

pub use self::origin::FreshWanted;
use self::{
    link::{Link, Queued},
    origin::{Origin, Rank},
    pace::{SendWindow, UploadLimit},
};
use super::Deadline;
use crate::{
    ids::ContentId,
    limits::{LEAF_BYTES, MAX_PAYLOAD_BYTES, MAX_QUEUED_REQUESTS},
    units::LeafRange,
    wire::{RefuseReason, RequestId, WantedChunk},
};

/// Names a link within one uploader: a number its owner gives each session, never given twice.
pub type LinkId = u64;

/// A link may be ahead of the least served one by this much and still compete by deadline.
const FAIR_SLACK_BYTES: u64 = 256 * 1024;

/// What the owner of an uploader has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploaderOutput {
    /// Read the chunk, then ask [`Uploader::read_done`].
    Serve {
        /// For whom.
        link: LinkId,
        /// Of which content.
        content_id: ContentId,
        /// Which request.
        id: RequestId,
        /// Which chunk.
        leaves: LeafRange,
        /// Levels of the proof to leave out.
        proof_skip: u8,
    },
    /// Send a Refuse.
    Refuse {
        /// To whom.
        link: LinkId,
        /// Of which content.
        content_id: ContentId,
        /// Which request.
        id: RequestId,
        /// Why.
        reason: RefuseReason,
    },
    /// Send an Assigned at once; the Serve that brings the chunk follows. A token says nothing of proofs the viewer has.
    Assigned {
        /// To whom.
        link: LinkId,
        /// The token.
        id: RequestId,
        /// The chunk.
        leaves: LeafRange,
    },
    /// Send a NoFresh.
    NoFresh {
        /// To whom.
        link: LinkId,
        /// The token.
        id: RequestId,
    },
}

/// All uploads of a node.
#[derive(Debug)]
pub struct Uploader {
    links: BTreeMap<LinkId, Link>,
    outputs: VecDeque<UploaderOutput>,
    window: SendWindow,
    limit: UploadLimit,
    origin: Option<Origin>,
    /// The service of whoever was served last (start-time fair queueing, Goyal, Vin and Cheng 1996): a link that becomes active starts
    /// there, so that what others got while it wanted nothing is not held against them.
    fair_bytes: u64,
}

impl Uploader {
    /// An uploader without links. A limit of 0 is none.
    pub fn new(upload_limit_bps: u64) -> Self {
        Self {
            links: BTreeMap::new(),
            outputs: VecDeque::new(),
            window: SendWindow::default(),
            limit: UploadLimit::new(upload_limit_bps),
            origin: None,
            fair_bytes: 0,
        }
    }

    /// Serves what it has not served lately before anything else: an origin's order. A viewer passes a first copy on, so it is worth many
    /// second ones; those get what is left.
    pub fn with_first_copies_first(mut self) -> Self {
        self.origin = Some(Origin::default());
        self
    }

    /// A content that can be served, its size and its mean rate (0 when unknown). Tokens for others are answered with NoFresh.
    pub fn content(&mut self, content_id: ContentId, size_bytes: u64, bitrate_bps: u64) {
        if let Some(origin) = &mut self.origin {
            origin.content(content_id, size_bytes, bitrate_bps);
        }
    }

    /// A viewer announces what it holds of a content and passes on. Of use to an origin alone; viewers that do not upload, or are known
    /// not to, are not to be announced.
    pub fn have(
        &mut self,
        link: LinkId,
        content_id: &ContentId,
        reset: bool,
        complete: bool,
        ranges: &[LeafRange],
    ) {
        let is_known = self.links.contains_key(&link);
        if let Some(origin) = self.origin.as_mut().filter(|_| is_known) {
            origin.have(link, content_id, reset, complete, ranges);
        }
    }

    /// A viewer asks for a chunk of the origin's choice.
    pub fn token(&mut self, now_ms: u64, link: LinkId, wanted: FreshWanted) {
        let Some(state) = self.links.get(&link) else { return };
        let is_void = wanted.epoch < state.oldest_epoch(&wanted.content_id) || state.has_request(wanted.id);
        let refused = UploaderOutput::NoFresh { link, id: wanted.id };
        let answer = match &mut self.origin {
            Some(origin) if !is_void => origin.token(now_ms, link, wanted),
            Some(_) | None => Some(refused),
        };
        self.outputs.extend(answer);
        self.pump(now_ms);
    }

    /// A link is up.
    pub fn link_joined(&mut self, link: LinkId) {
        let fair_bytes = self.fair_bytes;
        self.links.entry(link).or_insert_with(|| Link::new(fair_bytes));
    }

    /// A link is gone, with everything it asked for.
    pub fn link_left(&mut self, now_ms: u64, link: LinkId) {
        self.links.remove(&link);
        if let Some(origin) = &mut self.origin {
            origin.left(link);
        }
        self.pump(now_ms);
    }

    /// Whether the link is known.
    pub fn knows(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// A viewer grants more; a grant below an earlier one changes nothing.
    pub fn credit(&mut self, now_ms: u64, link: LinkId, granted_bytes: u64) {
        if let Some(link) = self.links.get_mut(&link) {
            link.granted_bytes = link.granted_bytes.max(granted_bytes);
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
        self.content(content_id, size_bytes, 0);
        let fair_bytes = self.fair_bytes;
        let busy_ms = self.backlog_ms().clamp(50, 5_000);
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.is_idle() {
            state.served_bytes = state.served_bytes.max(fair_bytes);
        }
        for chunk in chunks {
            let bytes = chunk.leaves.len_bytes(size_bytes);
            if state.queue.len() >= MAX_QUEUED_REQUESTS || bytes > MAX_PAYLOAD_BYTES as u64 || bytes == 0 {
                let reason = if bytes == 0 { RefuseReason::NotAChunk } else { RefuseReason::Busy(busy_ms) };
                self.outputs.push_back(UploaderOutput::Refuse { link, content_id, id: chunk.id, reason });
                continue;
            }
            if epoch < state.oldest_epoch(&content_id) || state.has_request(chunk.id) {
                continue;
            }
            state.queue.push(Queued {
                id: chunk.id,
                content_id,
                epoch,
                leaves: chunk.leaves,
                bytes,
                deadline_ms: now_ms.saturating_add_signed(i64::from(chunk.deadline_ms)),
                proof_skip: chunk.proof_skip,
                starting,
            });
        }
        self.pump(now_ms);
    }

    /// A viewer takes requests back.
    pub fn cancel(&mut self, now_ms: u64, link: LinkId, ids: &[RequestId]) {
        let link_id = link;
        if let Some(link) = self.links.get_mut(&link_id) {
            link.void(|queued| ids.contains(&queued.id));
        }
        if let Some(origin) = &mut self.origin {
            origin.void(link_id, |wanted| ids.contains(&wanted.id));
        }
        self.pump(now_ms);
    }

    /// A viewer voids everything it asked of a content before `epoch`, also what is still to come.
    pub fn flush(&mut self, now_ms: u64, link: LinkId, content_id: ContentId, epoch: u32) {
        let link_id = link;
        if let Some(link) = self.links.get_mut(&link_id) {
            link.set_oldest_epoch(content_id, epoch);
            link.void(|queued| queued.content_id == content_id && queued.epoch < epoch);
        }
        if let Some(origin) = &mut self.origin {
            origin.void(link_id, |wanted| wanted.content_id == content_id && wanted.epoch < epoch);
        }
        self.pump(now_ms);
    }

    /// A viewer no longer wants a content.
    pub fn closed(&mut self, now_ms: u64, link: LinkId, content_id: ContentId) {
        let link_id = link;
        if let Some(link) = self.links.get_mut(&link_id) {
            link.forget_epoch(&content_id);
            link.void(|queued| queued.content_id == content_id);
        }
        if let Some(origin) = &mut self.origin {
            origin.closed(link_id, &content_id);
        }
        self.pump(now_ms);
    }

    /// The chunk of a Serve was read, or could not be. Returns whether it is to be sent: then it is in the link's queue.
    pub fn read_done(
        &mut self,
        now_ms: u64,
        link: LinkId,
        id: RequestId,
        failed: Option<RefuseReason>,
    ) -> bool {
        let patience_ms = self.window.patience_ms();
        let was_idle =
            self.links.values().all(|link| link.handed_bytes == 0 || link.is_stuck(now_ms, patience_ms));
        let Some(state) = self.links.get_mut(&link) else { return false };
        let Some(reading) = state.reading.remove(&id) else { return false };
        let is_sent = !reading.is_void && failed.is_none();
        if is_sent {
            if was_idle {
                self.window.busy(now_ms);
            }
            state.handed_bytes += reading.bytes;
            state.drained_ms = if state.handed_bytes == reading.bytes { now_ms } else { state.drained_ms };
        } else {
            state.sent_bytes -= reading.bytes;
            state.served_bytes = state.served_bytes.saturating_sub(reading.bytes);
            self.limit.give_back(reading.bytes);
            if let Some(origin) = &mut self.origin {
                origin.unsent(link, &reading.content_id, reading.leaves);
            }
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
        if let Some(state) = self.links.get_mut(&link)
            && queued_bytes < state.handed_bytes
        {
            let drained_bytes = state.handed_bytes - queued_bytes;
            state.handed_bytes = queued_bytes;
            state.drained_ms = now_ms;
            self.window.drained(now_ms, drained_bytes);
        }
        self.pump(now_ms);
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        self.pump(now_ms);
    }

    /// When [`Self::handle_timeout`] is due: the upload limit frees bytes, or a link turns out to be stuck.
    pub fn poll_timeout(&self, now_ms: u64) -> Option<Deadline> {
        if self.links.values().all(|link| link.queue.is_empty()) {
            return None;
        }
        let patience_ms = self.window.patience_ms();
        let stuck =
            self.links.values().filter(|link| link.handed_bytes > 0 && !link.is_stuck(now_ms, patience_ms));
        let stuck = stuck
            .map(|link| Deadline { at_ms: link.drained_ms + patience_ms, reason: "a link may be stuck" });
        let limit = self.limit.free_at(now_ms).map(|at_ms| Deadline { at_ms, reason: "upload limit" });
        stuck.chain(limit).min_by_key(|deadline| deadline.at_ms)
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<UploaderOutput> {
        self.outputs.pop_front()
    }

    /// What a new request would wait: queued bytes over the measured uplink.
    pub fn backlog_ms(&self) -> u32 {
        let queued_bytes: u64 =
            self.links.values().map(|link| link.queued_bytes() + link.unsent_bytes()).sum();
        self.window.time_for_ms(queued_bytes)
    }

    /// What the uplink carried while it was busy, or 0 when unknown.
    pub fn uplink_bps(&self) -> u64 {
        self.window.uplink_bps()
    }

    /// Serves while the send window, the upload limit and somebody's credit allow.
    fn pump(&mut self, now_ms: u64) {
        let uplink_bps = self.uplink_bps();
        if let Some(origin) = &mut self.origin {
            origin.advance(now_ms, uplink_bps);
        }
        loop {
            let has_tokens = self.origin.as_ref().is_some_and(Origin::has_tokens);
            if !has_tokens && self.links.values().all(|link| link.queue.is_empty()) {
                return;
            }
            let patience_ms = self.window.patience_ms();
            let unsent: u64 = self
                .links
                .values()
                .filter(|link| !link.is_stuck(now_ms, patience_ms))
                .map(Link::unsent_bytes)
                .sum();
            let room = if unsent == 0 { u64::MAX } else { self.window.bytes().saturating_sub(unsent) };
            if room < LEAF_BYTES || !self.limit.is_open(now_ms) {
                return;
            }
            let Some((link_id, queued)) = self.next(now_ms, room) else { return };
            self.limit.take(now_ms, queued.bytes);
            if let Some(origin) = &mut self.origin {
                origin.sent(now_ms, link_id, &queued.content_id, queued.leaves);
            }
            self.outputs.push_back(UploaderOutput::Serve {
                link: link_id,
                content_id: queued.content_id,
                id: queued.id,
                leaves: queued.leaves,
                proof_skip: queued.proof_skip,
            });
        }
    }

    /// What is served next, charged to its link. Nothing if it does not fit into `room`: it is waited for.
    fn next(&mut self, now_ms: u64, room: u64) -> Option<(LinkId, Queued)> {
        let best = match &self.origin {
            Some(origin) => self.most_urgent_of_origin(now_ms, origin),
            None => self.most_urgent(now_ms, |_| false).map(|(link, at)| (Rank::Rest, link, at)),
        };
        if best.is_none_or(|(rank, ..)| rank > Rank::Fresh)
            && let Some(fresh) = self.next_fresh(now_ms, room)
        {
            return Some(fresh);
        }
        let (rank, link_id, at) = best?;
        let link = self.links.get_mut(&link_id)?;
        if link.queue[at].bytes > room {
            return None;
        }
        self.fair_bytes = self.fair_bytes.max(link.served_bytes);
        let queued = link.start(at);
        if let (Some(origin), Rank::Boost) = (&mut self.origin, rank) {
            origin.boosted(queued.bytes);
        }
        Some((link_id, queued))
    }

    /// Answers a token with a fresh chunk.
    fn next_fresh(&mut self, now_ms: u64, room: u64) -> Option<(LinkId, Queued)> {
        let origin = self.origin.as_mut()?;
        let (links, window) = (&self.links, &self.window);
        let can_take = |link: LinkId, bytes: u64| {
            bytes <= room && links.get(&link).is_some_and(|link| link.can_take(now_ms, bytes, window))
        };
        let (link_id, wanted, leaves, bytes) = origin.pop_token(can_take, &mut self.outputs)?;
        let queued = Queued {
            id: wanted.id,
            content_id: wanted.content_id,
            epoch: wanted.epoch,
            leaves,
            bytes,
            deadline_ms: now_ms,
            proof_skip: 0,
            starting: false,
        };
        self.links.get_mut(&link_id)?.begin(&queued);
        self.outputs.push_back(UploaderOutput::Assigned { link: link_id, id: wanted.id, leaves });
        Some((link_id, queued))
    }

    /// The request an origin serves next: by rank, then by deadline; of the rest, first copies before second ones, in fair shares.
    fn most_urgent_of_origin(&self, now_ms: u64, origin: &Origin) -> Option<(Rank, LinkId, usize)> {
        let mut best = None;
        for (id, link) in &self.links {
            for (at, queued) in link.queue.iter().enumerate() {
                if !link.can_take(now_ms, queued.bytes, &self.window) {
                    continue;
                }
                let rank = origin.rank(now_ms, queued);
                let key = (rank, queued.deadline_ms, *id);
                if rank < Rank::Rest && best.is_none_or(|(least, _)| key < least) {
                    best = Some((key, at));
                }
            }
        }
        if let Some(((rank, _, link), at)) = best {
            return Some((rank, link, at));
        }
        let (link, at) = self.most_urgent(now_ms, |queued| !origin.is_fresh(queued))?;
        Some((Rank::Rest, link, at))
    }

    /// The earliest deadline among the links with the least service that can take it, of what is no repeat before what is one.
    fn most_urgent(&self, now_ms: u64, is_repeat: impl Fn(&Queued) -> bool) -> Option<(LinkId, usize)> {
        let candidates = || {
            self.links.iter().filter_map(|(id, link)| {
                let (at, queued) = link.most_urgent(&is_repeat)?;
                link.can_take(now_ms, queued.bytes, &self.window).then_some((*id, link, at, queued))
            })
        };
        let least = candidates().map(|(_, link, ..)| link.served_bytes).min()?;
        candidates()
            .filter(|(_, link, ..)| link.served_bytes <= least + FAIR_SLACK_BYTES)
            .min_by_key(|(id, _, _, queued)| (is_repeat(queued), queued.deadline_ms, *id))
            .map(|(id, _, at, _)| (id, at))
    }
}

#[cfg(test)]
mod tests;
