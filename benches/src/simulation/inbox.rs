//! What a node does with a frame: it is given to the core it is for, and the ledger notes it.

use std::rc::Rc;

use shared::{
    LeafRange,
    schedule::{
        announcer::{Notice, TICK_MS},
        uploader::LinkId,
        viewer::{Arrival, ChunkRequest, Viewer},
    },
    wire::{RefuseReason, WantedChunk},
};

use super::{
    events::Event,
    node::Message,
    scenario::Role,
    world::{CONTENT, World, content_of},
};

/// For this part of the time that announcements gather at their senders they gather at their receivers, before these plan anew.
const GATHER_SHARE: u64 = 6;

impl World {
    pub(super) fn arrive(&mut self, n: u32, from: u32, message: Message) {
        let now_ms = self.now_ms();
        let node = &mut self.nodes[n as usize];
        if !node.links.contains_key(&from) {
            return;
        }
        let link = u64::from(from);
        let content_id = content_of(&self.scenario, from);
        match message {
            Message::Request { epoch, starting, chunks } => {
                let wanted = self.wanted(n, from, epoch, &chunks);
                let node = &mut self.nodes[n as usize];
                let size = self.content.size_bytes;
                node.uploader.request(now_ms, link, content_id, size, epoch, starting, &wanted);
                if starting && !node.uploader.is_seed_of(&content_id) {
                    node.announcer.starts(now_ms, link, &CONTENT);
                }
                self.announce_soon(n);
                self.serve(n);
            }
            Message::Cancel { ids, confirm } => {
                node.ledger.cancelled(from, &ids);
                node.uploader.cancel(now_ms, link, &ids, confirm);
                self.serve(n);
            }
            Message::Flush(epoch) => {
                node.ledger.flushed(from, epoch);
                node.uploader.flush(now_ms, link, content_id, epoch);
                self.serve(n);
            }
            Message::Credit { granted_bytes, received_bytes, at_ms } => {
                node.ledger.granted(from, granted_bytes);
                node.uploader.credit(now_ms, link, granted_bytes);
                node.uploader.received(now_ms, link, received_bytes, at_ms);
                self.serve(n);
            }
            Message::Have { reset, complete, ranges, backlog_ms } => {
                let content = (&content_id, self.content.size_bytes);
                node.uploader.have(link, content, reset, complete, &ranges);
                if let Some(viewer) = &mut node.viewer {
                    viewer.have(now_ms, from, reset, complete, &ranges, backlog_ms);
                    let gather_us = viewer.announces_within_ms() * 1_000 / GATHER_SHARE;
                    self.wake_at(n, self.now_us / gather_us * gather_us + gather_us);
                }
            }
            Message::Refuse { id, reason } => {
                node.ledger.land(id);
                if let Some(viewer) = &mut node.viewer {
                    viewer.refused(now_ms, from, id, reason);
                }
                self.settle(n);
            }
            Message::Token(wanted) => {
                node.uploader.token(now_ms, link, wanted);
                self.serve(n);
            }
            Message::Assigned { id, leaves } => self.assigned(n, from, id, leaves),
            Message::NoFresh(id) => {
                if let Some(viewer) = &mut node.viewer {
                    viewer.no_fresh(now_ms, from, id);
                }
                self.settle(n);
            }
            Message::Data { id, leaves } => self.data(n, from, id, leaves),
        }
    }

    fn assigned(&mut self, n: u32, from: u32, id: u32, leaves: LeafRange) {
        let now_ms = self.now_ms();
        let node = &mut self.nodes[n as usize];
        let Some(viewer) = &mut node.viewer else { return };
        viewer.token_assigned(now_ms, from, id, leaves);
        let is_flight = viewer.in_flight().any(|(flight, ..)| flight == id);
        let verdict = if is_flight { node.ledger.fly(from, id, leaves) } else { Ok(()) };
        if let Err(what) = verdict {
            self.violation(n, &what);
        }
        self.settle(n);
    }

    /// What of a request can be served; what is not held is refused.
    fn wanted(&mut self, n: u32, from: u32, epoch: u32, chunks: &[ChunkRequest]) -> Vec<WantedChunk> {
        let mut wanted = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let node = &mut self.nodes[n as usize];
            if !node.spec.uploads() {
                if node.spec.role == Some(Role::Forger { refuses: true }) {
                    self.send(n, from, Message::Refuse { id: chunk.id, reason: RefuseReason::NotHere });
                }
                continue;
            }
            if node.held().is_none_or(|held| held.contains(chunk.leaves)) {
                node.ledger.asked(from, chunk.id, epoch, chunk.leaves);
                wanted.push(WantedChunk::new(chunk.id, chunk.leaves, chunk.deadline_ms));
            } else {
                self.violation(
                    n,
                    &format!("is asked by {from} for {:?}, which it never announced", chunk.leaves),
                );
            }
        }
        wanted
    }

    fn data(&mut self, n: u32, from: u32, id: u32, leaves: LeafRange) {
        let now_ms = self.now_ms();
        let bytes = leaves.len_bytes(self.content.size_bytes);
        let node = &mut self.nodes[n as usize];
        node.ledger.land(id);
        node.ledger.received_bytes += bytes;
        let news = node.links.get_mut(&from).map(|peer| peer.received(now_ms, bytes));
        let Some(viewer) = &mut node.viewer else { return };
        let arrival = viewer.data_arrived(now_ms, from, id, leaves, bytes);
        let is_known = arrival != Arrival::Unknown;
        if arrival.is_useful() {
            node.waits_since_us = None;
            viewer.verified(now_ms, from, leaves);
            // Who has it needs not be told, unless that everything is here.
            let is_told_all = viewer.is_complete();
            let known: Vec<LinkId> =
                viewer.viewers_with(leaves).filter(|_| !is_told_all).map(LinkId::from).collect();
            let idle: Vec<LinkId> = viewer.idle_seeds().map(LinkId::from).collect();
            let soon_ms = viewer.announces_within_ms();
            let notice = |link| Notice::of(&link, &known, &idle);
            node.announcer.gained(now_ms, &CONTENT, leaves, soon_ms, notice);
        }
        let is_whole = viewer.is_complete();
        if !is_known {
            self.violation(n, &format!("does not know what {from} sent as request {id}"));
        }
        if let Some(news) = news {
            self.send(n, from, news);
        }
        self.announce_soon(n);
        if self.nodes[n as usize].player.is_none() && is_whole {
            self.finish();
        }
        self.look(n);
        self.settle(n);
    }

    fn announce_soon(&mut self, n: u32) {
        let now_ms = self.now_ms();
        let node = &mut self.nodes[n as usize];
        if !node.announces && node.announcer.has_news(now_ms) {
            node.announces = true;
            self.plan(self.now_us + TICK_MS * 1_000, n, Event::Announce);
        }
    }

    /// Tells the neighbours what was gained.
    pub(super) fn announce(&mut self, n: u32) {
        let now_ms = self.now_ms();
        let node = &mut self.nodes[n as usize];
        node.announces = false;
        let is_whole = node.viewer.as_ref().is_some_and(Viewer::is_complete);
        let backlog_ms = node.uploader.backlog_ms();
        for (to, _, ranges) in node.announcer.take(now_ms, backlog_ms) {
            let ranges = if is_whole { Rc::from([]) } else { Rc::from(ranges) };
            self.send(n, to as u32, Message::Have { reset: false, complete: is_whole, ranges, backlog_ms });
        }
        self.announce_soon(n);
    }
}
