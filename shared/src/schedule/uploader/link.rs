//! One link as the uploader sees it: what is queued, being read, handed over, granted.

use std::collections::{BTreeMap, VecDeque};

use super::pace::{Arrived, Pace, Words};
use crate::{
    ids::ContentId,
    limits::{MAX_OPEN_CONTENTS, MAX_PAYLOAD_BYTES},
    units::LeafRange,
    wire::{RequestId, WantedBranch},
};

/// What a neighbour that gives nothing needs is served as if it were needed so much later, and counts so many times in fair shares: others
/// go first where not all can be in time, and it has this part of one's share even then.
const IDLER_WAITS_MS: u64 = 4_000;
const IDLER_CHARGE: u64 = 4;

/// A request that waits.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) id: RequestId,
    pub(super) content_id: ContentId,
    pub(super) epoch: u32,
    pub(super) leaves: LeafRange,
    pub(super) bytes: u64,
    pub(super) deadline_ms: u64,
    pub(super) proof_skip: u8,
    pub(super) branch: WantedBranch,
    /// The viewer starts, seeks or stalls.
    pub(super) starting: bool,
}

/// A request whose chunk is being read.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) content_id: ContentId,
    pub(super) epoch: u32,
    pub(super) leaves: LeafRange,
    pub(super) bytes: u64,
    /// What it counts for in fair shares.
    pub(super) charged_bytes: u64,
    pub(super) is_void: bool,
}

/// One link.
#[derive(Debug)]
pub(super) struct Link {
    /// What waits, and the bytes of all that.
    queue: Vec<Queued>,
    queued_bytes: u64,
    /// What is being read, and the bytes of all that.
    reading: BTreeMap<RequestId, Reading>,
    reading_bytes: u64,
    /// Payload given to the link and not yet taken by its socket.
    pub(super) queued_out_bytes: u64,
    /// Payload given to the link since it is up, and what of that the viewer says has arrived.
    pub(super) handed_bytes: u64,
    pub(super) received_bytes: u64,
    /// When some last arrived, or the first was given.
    pub(super) heard_ms: u64,
    /// Smoothed round trip; 0 while unknown.
    pub(super) rtt_ms: u64,
    pub(super) pace: Pace,
    /// When what has not arrived was handed over: the sum of bytes after each chunk.
    handed: VecDeque<(u64, u64)>,
    words: Words,
    /// Payload granted by the viewer since the link opened.
    pub(super) granted_bytes: u64,
    /// Payload charged against the grant.
    pub(super) sent_bytes: u64,
    /// Service for fairness: never below the least served link when it becomes active.
    pub(super) served_bytes: u64,
    /// It takes and gives nothing.
    pub(super) is_idler: bool,
    epochs: BTreeMap<ContentId, u32>,
}

impl Link {
    pub(super) fn new(served_bytes: u64) -> Self {
        Self {
            queue: Vec::new(),
            queued_bytes: 0,
            reading: BTreeMap::new(),
            reading_bytes: 0,
            queued_out_bytes: 0,
            handed_bytes: 0,
            received_bytes: 0,
            heard_ms: 0,
            rtt_ms: 0,
            pace: Pace::default(),
            handed: VecDeque::new(),
            words: Words::default(),
            granted_bytes: 0,
            sent_bytes: 0,
            served_bytes,
            is_idler: false,
            epochs: BTreeMap::new(),
        }
    }

    /// What waits.
    pub(super) fn queue(&self) -> &[Queued] {
        &self.queue
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.under_way_bytes() == 0
    }

    /// Payload handed over that has not arrived, as far as is known.
    pub(super) const fn unheard_bytes(&self) -> u64 {
        self.handed_bytes - self.received_bytes
    }

    /// The same with what is being read for it.
    pub(super) const fn under_way_bytes(&self) -> u64 {
        self.unheard_bytes() + self.reading_bytes
    }

    pub(super) const fn reading_bytes(&self) -> u64 {
        self.reading_bytes
    }

    pub(super) const fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    /// Whether nothing has arrived for `patience_ms` and a round trip.
    pub(super) const fn is_stuck(&self, now_ms: u64, patience_ms: u64) -> bool {
        self.unheard_bytes() > 0 && now_ms >= self.stuck_ms(patience_ms)
    }

    /// When it counts as stuck if nothing arrives.
    pub(super) const fn stuck_ms(&self, patience_ms: u64) -> u64 {
        self.heard_ms + patience_ms + self.rtt_ms
    }

    /// Whether another chunk may be on its way to it: no more than the path is worth, and no more before its socket than two of the largest
    /// chunks, those that are still being read among them: its queue takes no more. So a slow viewer never has all of a window.
    fn has_room(&self) -> bool {
        let under_way = self.under_way_bytes();
        under_way == 0
            || self.queued_out_bytes + self.reading_bytes < 2 * MAX_PAYLOAD_BYTES as u64
                && under_way < self.pace.window_bytes(self.rtt_ms)
    }

    /// The request that goes before all others of the link, by `key`, and where it stands in the queue.
    pub(super) fn first_by<K: Ord>(&self, key: impl Fn(&Self, &Queued) -> K) -> Option<(usize, &Queued)> {
        self.queue.iter().enumerate().min_by_key(|(at, queued)| (key(self, queued), *at))
    }

    /// Whether a request of that id is waiting or being read; a viewer never gives one twice.
    pub(super) fn has_request(&self, id: RequestId) -> bool {
        self.reading.contains_key(&id) || self.queue.iter().any(|queued| queued.id == id)
    }

    /// Whether a chunk of `bytes` may be handed to it now.
    pub(super) fn can_take(&self, now_ms: u64, bytes: u64, patience_ms: u64) -> bool {
        self.sent_bytes + bytes <= self.granted_bytes && self.is_open(now_ms, patience_ms)
    }

    /// Whether anything may be handed to it now that its credit covers.
    pub(super) fn is_open(&self, now_ms: u64, patience_ms: u64) -> bool {
        !self.is_stuck(now_ms, patience_ms) && self.has_room()
    }

    /// A chunk is given to its socket.
    pub(super) fn handed(&mut self, now_ms: u64, bytes: u64) {
        if self.unheard_bytes() == 0 {
            self.heard_ms = now_ms;
        }
        self.pace.handed(now_ms, bytes);
        self.handed_bytes += bytes;
        self.handed.push_back((self.handed_bytes, now_ms));
        self.queued_out_bytes += bytes;
    }

    /// The viewer says how much it has received in all, and when by its clock; what of that is news.
    pub(super) fn received(&mut self, now_ms: u64, received_bytes: u64, at_ms: u32) -> Option<Arrived> {
        let news_bytes = received_bytes.min(self.handed_bytes).saturating_sub(self.received_bytes);
        if news_bytes == 0 {
            return None;
        }
        let late_ms = self.words.late_ms(now_ms, at_ms);
        self.received_bytes += news_bytes;
        self.heard_ms = now_ms;
        let mut handed_ms = self.handed.front().map_or(now_ms, |(_, at_ms)| *at_ms);
        while let Some((_, at_ms)) = self.handed.pop_front_if(|(bytes, _)| *bytes <= self.received_bytes) {
            handed_ms = at_ms;
        }
        let arrived = Arrived { bytes: news_bytes, at_ms: now_ms.saturating_sub(late_ms), handed_ms };
        self.pace.arrived(arrived, self.unheard_bytes());
        if self.queue.is_empty() {
            self.pace.had_room();
        }
        Some(arrived)
    }

    /// When a request of it is due, as far as the order of service goes: what gives nothing is served as if it were needed later.
    pub(super) const fn due_ms(&self, queued: &Queued) -> u64 {
        queued.deadline_ms + if self.is_idler { IDLER_WAITS_MS } else { 0 }
    }

    /// A request waits from now on.
    pub(super) fn enqueue(&mut self, queued: Queued) {
        self.queued_bytes += queued.bytes;
        self.queue.push(queued);
    }

    /// Takes a request out of the queue.
    pub(super) fn dequeue(&mut self, at: usize) -> Queued {
        let queued = self.queue.remove(at);
        self.queued_bytes -= queued.bytes;
        queued
    }

    /// Takes a request out of the queue and charges it.
    pub(super) fn start(&mut self, at: usize) -> Queued {
        let queued = self.dequeue(at);
        self.begin(&queued);
        queued
    }

    /// Charges what is about to be read.
    pub(super) fn begin(&mut self, queued: &Queued) {
        self.sent_bytes += queued.bytes;
        let charged_bytes = if self.is_idler { IDLER_CHARGE * queued.bytes } else { queued.bytes };
        self.served_bytes += charged_bytes;
        let reading = Reading {
            charged_bytes,
            content_id: queued.content_id,
            epoch: queued.epoch,
            leaves: queued.leaves,
            bytes: queued.bytes,
            is_void: false,
        };
        self.reading_bytes += queued.bytes;
        let replaced = self.reading.insert(queued.id, reading);
        self.reading_bytes -= replaced.map_or(0, |replaced| replaced.bytes);
    }

    /// What is being read under an id.
    pub(super) fn reading(&self, id: RequestId) -> Option<&Reading> {
        self.reading.get(&id)
    }

    /// It is being read no longer.
    pub(super) fn has_read(&mut self, id: RequestId) -> Option<Reading> {
        let reading = self.reading.remove(&id)?;
        self.reading_bytes -= reading.bytes;
        Some(reading)
    }

    /// Drops what the viewer no longer wants, and names it; what is being read is dropped when it has been read.
    pub(super) fn void(
        &mut self,
        is_void: impl Fn(RequestId, &ContentId, u32) -> bool,
    ) -> Vec<(RequestId, ContentId)> {
        let mut dropped = Vec::new();
        self.queue.retain(|queued| {
            let is_dropped = is_void(queued.id, &queued.content_id, queued.epoch);
            dropped.extend(is_dropped.then_some((queued.id, queued.content_id)));
            self.queued_bytes -= if is_dropped { queued.bytes } else { 0 };
            !is_dropped
        });
        for (id, reading) in &mut self.reading {
            if !reading.is_void && is_void(*id, &reading.content_id, reading.epoch) {
                reading.is_void = true;
                dropped.push((*id, reading.content_id));
            }
        }
        dropped
    }

    pub(super) fn oldest_epoch(&self, content_id: &ContentId) -> u32 {
        self.epochs.get(content_id).copied().unwrap_or_default()
    }

    pub(super) fn set_oldest_epoch(&mut self, content_id: ContentId, epoch: u32) {
        if self.epochs.len() >= 4 * MAX_OPEN_CONTENTS && !self.epochs.contains_key(&content_id) {
            self.epochs.pop_first();
        }
        let oldest = self.epochs.entry(content_id).or_default();
        *oldest = (*oldest).max(epoch);
    }

    pub(super) fn forget_epoch(&mut self, content_id: &ContentId) {
        self.epochs.remove(content_id);
    }
}
