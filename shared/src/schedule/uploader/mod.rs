//! The upload core: which queued request to serve next, over all links of a node together.
//!
//! One uplink serves many viewers. What counts for a swarm is how soon a chunk can be *forwarded*, so chunks are sent one after the other
//! rather than all at once, and no more is unsent than the uplink takes in a tenth of a second: on a slow uplink that is one or two small
//! chunks, on a fast one megabytes (`send_window`). Among the links with the least service the earliest deadline goes first.
//!
//! Drive it: inputs, then drain [`Uploader::poll_output`], then call [`Uploader::handle_timeout`] no later than
//! [`Uploader::poll_timeout`]. For each [`UploaderOutput::Serve`] the owner reads the chunk and asks [`Uploader::read_done`] whether it is
//! still wanted; if so it sends it, and says with [`Uploader::drained`] how much its link still has to send.
//!
//! Invariants: no payload beyond a link's credit; nothing void (cancelled, flushed, closed) leaves; a link that does not drain costs the
//! others nothing; a queue never exceeds [`MAX_QUEUED_REQUESTS`].

mod first_copies;
mod link;
mod pace;

use std::collections::{BTreeMap, VecDeque};

use self::{
    first_copies::FirstCopies,
    link::{Link, Queued},
    pace::{SendWindow, UploadLimit},
};
use super::Deadline;
use crate::{
    ids::ContentId,
    limits::{MAX_PAYLOAD_BYTES, MAX_QUEUED_REQUESTS},
    units::LeafRange,
    wire::{RefuseReason, RequestId, WantedChunk},
};

/// Names a link within one uploader: a number its owner gives each session, never given twice.
pub type LinkId = u64;

/// A link may be ahead of the least served one by this much and still compete by deadline.
const FAIR_SLACK_BYTES: u64 = 256 * 1024;
/// An origin spares a little for second copies of what is needed within this: viewers that start.
const URGENT_MS: u64 = 2_000;
/// A link that has drained nothing for this long is passed over and no longer counted against the send window.
const STUCK_MS: u64 = 500;

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
}

/// All uploads of a node.
#[derive(Debug)]
pub struct Uploader {
    links: BTreeMap<LinkId, Link>,
    outputs: VecDeque<UploaderOutput>,
    window: SendWindow,
    limit: UploadLimit,
    first_copies: Option<FirstCopies>,
}

impl Uploader {
    /// An uploader without links. A limit of 0 is none.
    pub fn new(upload_limit_bps: u64) -> Self {
        Self {
            links: BTreeMap::new(),
            outputs: VecDeque::new(),
            window: SendWindow::default(),
            limit: UploadLimit::new(upload_limit_bps),
            first_copies: None,
        }
    }

    /// Serves what it has not served lately before anything else: an origin's order. A viewer passes a first copy on, so it is worth many
    /// second ones; those get what is left.
    pub fn with_first_copies_first(mut self) -> Self {
        self.first_copies = Some(FirstCopies::default());
        self
    }

    /// A link is up.
    pub fn link_joined(&mut self, link: LinkId) {
        let least = self.least_served();
        self.links.entry(link).or_insert_with(|| Link::new(least));
    }

    /// A link is gone, with everything it asked for.
    pub fn link_left(&mut self, now_ms: u64, link: LinkId) {
        self.links.remove(&link);
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

    /// A viewer asks for chunks of a content of `size_bytes` that the owner can serve.
    pub fn request(
        &mut self,
        now_ms: u64,
        link: LinkId,
        content_id: ContentId,
        size_bytes: u64,
        epoch: u32,
        chunks: &[WantedChunk],
    ) {
        let least = self.least_served();
        let busy_ms = self.backlog_ms().clamp(50, 5_000);
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.is_idle() {
            state.served_bytes = state.served_bytes.max(least);
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
            });
        }
        self.pump(now_ms);
    }

    /// A viewer takes requests back.
    pub fn cancel(&mut self, now_ms: u64, link: LinkId, ids: &[RequestId]) {
        if let Some(link) = self.links.get_mut(&link) {
            link.void(|queued| ids.contains(&queued.id));
        }
        self.pump(now_ms);
    }

    /// A viewer voids everything it asked of a content before `epoch`, also what is still to come.
    pub fn flush(&mut self, now_ms: u64, link: LinkId, content_id: ContentId, epoch: u32) {
        if let Some(link) = self.links.get_mut(&link) {
            link.set_oldest_epoch(content_id, epoch);
            link.void(|queued| queued.content_id == content_id && queued.epoch < epoch);
        }
        self.pump(now_ms);
    }

    /// A viewer no longer wants a content.
    pub fn closed(&mut self, now_ms: u64, link: LinkId, content_id: ContentId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.forget_epoch(&content_id);
            link.void(|queued| queued.content_id == content_id);
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
        let Some(state) = self.links.get_mut(&link) else { return false };
        let Some(reading) = state.reading.remove(&id) else { return false };
        let is_sent = !reading.is_void && failed.is_none();
        if is_sent {
            state.handed_bytes += reading.bytes;
            state.drained_ms = if state.handed_bytes == reading.bytes { now_ms } else { state.drained_ms };
        } else {
            state.sent_bytes -= reading.bytes;
            state.served_bytes = state.served_bytes.saturating_sub(reading.bytes);
            self.limit.give_back(reading.bytes);
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
        let stuck = self.links.values().filter(|link| link.handed_bytes > 0 && !link.is_stuck(now_ms));
        let stuck =
            stuck.map(|link| Deadline { at_ms: link.drained_ms + STUCK_MS, reason: "a link may be stuck" });
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

    fn least_served(&self) -> u64 {
        let active = self.links.values().filter(|link| !link.is_idle());
        active.map(|link| link.served_bytes).min().unwrap_or_default()
    }

    /// Serves while the send window, the upload limit and somebody's credit allow.
    fn pump(&mut self, now_ms: u64) {
        loop {
            let unsent: u64 =
                self.links.values().filter(|link| !link.is_stuck(now_ms)).map(Link::unsent_bytes).sum();
            let Some((link_id, at)) = self.next(now_ms) else { return };
            let Some(link) = self.links.get_mut(&link_id) else { return };
            let bytes = link.queue[at].bytes;
            if unsent > 0 && unsent + bytes > self.window.bytes() || !self.limit.take(now_ms, bytes) {
                return;
            }
            let queued = link.start(at);
            if let Some(first_copies) = &mut self.first_copies {
                first_copies.sent(now_ms, queued.content_id, queued.leaves);
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

    /// The earliest deadline among the links with the least service that can take it; of first copies, if there are any and they count.
    fn next(&self, now_ms: u64) -> Option<(LinkId, usize)> {
        let is_repeat = |queued: &Queued| {
            self.first_copies.as_ref().is_some_and(|copies| {
                let is_excused = copies.may_repeat() && queued.deadline_ms < now_ms + URGENT_MS;
                !is_excused && copies.has_left(now_ms, queued.content_id, queued.leaves)
            })
        };
        let candidates = || {
            self.links.iter().filter_map(|(id, link)| {
                let (at, queued) = link.most_urgent(is_repeat)?;
                let fits = link.sent_bytes + queued.bytes <= link.granted_bytes;
                (fits && !link.is_stuck(now_ms) && link.has_room(self.window.bytes()))
                    .then_some((*id, link, at, queued))
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
