//! The world: nodes that run the real cores, and the network between them.
//!
//! Time is in microseconds; cores are told milliseconds. Events of one time happen in the order they were planned in, so a seed repeats
//! to the byte. Nothing here decides what to fetch or to serve.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use shared::{
    ContentId, LeafRange,
    schedule::{uploader::UploaderOutput, viewer::ViewerOutput},
    units::leaf_of,
    wire::WantedBranch,
};

use super::{
    cast::Cast,
    events::{Event, Events},
    node::{Content, HEADER_BYTES, Message, Node, SEGMENT_BYTES},
    scenario::{Scenario, Stays},
    tracker::Tracker,
    uplink::{OVERHEAD, Outgoing},
};

pub(super) const CONTENT: ContentId = ContentId([7; 32]);
/// What a viewer plays: everybody the same, or each its own.
pub(super) fn content_of(scenario: &Scenario, viewer: u32) -> ContentId {
    let mut content_id = CONTENT;
    if scenario.apart {
        content_id.0[..4].copy_from_slice(&viewer.to_be_bytes());
    }
    content_id
}

/// The one reader of every player.
const READER: u32 = 1;

/// One run.
#[derive(Debug)]
pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) content: Content,
    pub(super) max_bps: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) now_us: u64,
    pub(super) rng: StdRng,
    pub(super) violations: Vec<String>,
    pub(super) events_done: u64,
    pub(super) unfinished: usize,
    pub(super) tracker: Tracker,
    events: Events,
}

impl World {
    pub(super) fn new(scenario: Scenario, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let cast = Cast::new(&scenario, &mut rng);
        let mut world = Self {
            content: cast.content,
            max_bps: cast.max_bps,
            unfinished: cast.nodes.iter().filter(|node| node.is_viewer()).count(),
            nodes: cast.nodes.into_iter().map(Node::new).collect(),
            scenario,
            now_us: 0,
            rng,
            violations: Vec::new(),
            events_done: 0,
            tracker: Tracker::new(),
            events: Events::default(),
        };
        for n in 0..world.nodes.len() as u32 {
            let joins_us = world.nodes[n as usize].spec.joins_ms * 1_000;
            world.plan(joins_us, n, Event::Join);
        }
        world.plan_happenings();
        world
    }

    /// Lets everything happen until all viewers have what they came for, or the limit is reached.
    pub(super) fn run(&mut self) {
        while self.unfinished > 0
            && let Some((at_us, node, event)) = self.events.pop()
        {
            if at_us > self.scenario.limit_ms * 1_000 {
                self.now_us = self.scenario.limit_ms * 1_000;
                break;
            }
            self.now_us = at_us;
            self.events_done += 1;
            self.happen(node, event);
        }
        for n in 0..self.nodes.len() as u32 {
            self.audit(n);
            if let Some(player) = &mut self.nodes[n as usize].player {
                player.close(self.now_us);
            }
        }
    }

    pub(super) const fn now_ms(&self) -> u64 {
        self.now_us / 1_000
    }

    pub(super) fn plan(&mut self, at_us: u64, node: u32, event: Event) {
        self.events.push(at_us, node, event);
    }

    pub(super) fn violation(&mut self, n: u32, what: &str) {
        if self.violations.len() < 20 {
            self.violations.push(format!("{:.3} s, node {n}: {what}", self.now_us as f64 / 1e6));
        }
    }

    fn happen(&mut self, n: u32, event: Event) {
        match event {
            Event::Join => return self.join(n),
            Event::Happen(number) => return self.befall(number),
            Event::Leave => return self.leave(n),
            Event::PlansDue => return self.plans_due(),
            Event::Missed => return self.missed(n),
            Event::Meet(..)
            | Event::Gone(_)
            | Event::Arrive(..)
            | Event::Wake
            | Event::TurnEnd
            | Event::Announce
            | Event::Report
            | Event::Look
            | Event::Seek(_)
            | Event::Audit => {}
        }
        if !self.nodes[n as usize].is_up {
            return;
        }
        match event {
            Event::Meet(swarm, plan) => self.follow(n, swarm, &plan),
            Event::Gone(other) => self.part(n, other),
            Event::Arrive(from, message) => self.arrive(n, from, message),
            Event::Wake => self.wake(n),
            Event::TurnEnd => self.turn_end(n),
            Event::Announce => self.announce(n),
            Event::Report => self.report(n),
            Event::Look => {
                if self.nodes[n as usize].look_us == Some(self.now_us) {
                    self.nodes[n as usize].look_us = None;
                    self.look(n);
                    self.settle(n);
                }
            }
            Event::Seek(to_us) => {
                let now_us = self.now_us;
                if let Some(player) = &mut self.nodes[n as usize].player {
                    player.seek(now_us, to_us);
                }
                self.find(n);
                self.hear_tracker();
                self.look(n);
                self.settle(n);
            }
            Event::Audit => {
                self.audit(n);
                self.plan(self.now_us + 5_000_000, n, Event::Audit);
            }
            Event::Join | Event::Happen(_) | Event::Leave | Event::PlansDue | Event::Missed => {}
        }
    }

    fn wake(&mut self, n: u32) {
        let now_ms = self.now_ms();
        let node = &mut self.nodes[n as usize];
        if node.wake_us != Some(self.now_us) {
            return;
        }
        node.wake_us = None;
        if let Some(viewer) = &mut node.viewer
            && viewer.poll_timeout().is_some_and(|due| due.at_ms <= now_ms)
        {
            viewer.handle_timeout(now_ms);
        }
        node.tell_idlers(now_ms);
        if node.uploader_due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            node.uploader_touched = true;
            node.uploader.handle_timeout(now_ms);
        }
        self.settle(n);
    }

    /// Drains the outputs of a node's cores and sees to it that they are woken in time.
    pub(super) fn settle(&mut self, n: u32) {
        let now_ms = self.now_ms();
        let node = &mut self.nodes[n as usize];
        if node.uploader_touched
            && self.scenario.tokens
            && let Some(viewer) = &mut node.viewer
        {
            viewer.uplink(now_ms, node.uploader.uplink_bps(), node.uploader.backlog_ms());
        }
        while let Some(output) =
            self.nodes[n as usize].viewer.as_mut().and_then(|viewer| viewer.poll_output())
        {
            self.fetch(n, output);
        }
        self.hand_over(n);
        let node = &mut self.nodes[n as usize];
        if std::mem::take(&mut node.uploader_touched) {
            node.uploader_due_ms = node.uploader.poll_timeout(now_ms).map(|due| due.at_ms);
        }
        let viewer = node.viewer.as_ref().and_then(|viewer| viewer.poll_timeout());
        let due = viewer.map(|due| due.at_ms).into_iter().chain(node.uploader_due_ms).min();
        if let Some(due_ms) = due {
            self.wake_at(n, (due_ms * 1_000).max(self.now_us + 1_000));
        }
    }

    pub(super) fn wake_at(&mut self, n: u32, at_us: u64) {
        let node = &mut self.nodes[n as usize];
        if node.wake_us.is_none_or(|before_us| before_us > at_us) {
            node.wake_us = Some(at_us);
            self.plan(at_us, n, Event::Wake);
        }
    }

    fn fetch(&mut self, n: u32, output: ViewerOutput) {
        let to = output.source();
        let node = &mut self.nodes[n as usize];
        let ledger = &mut node.ledger;
        let (message, verdict) = match output {
            ViewerOutput::Request { epoch, starting, chunks, .. } => {
                let held = node.viewer.as_ref().map(|viewer| viewer.held());
                let verdict = held.map_or(Ok(()), |held| ledger.ask(to, &chunks, held));
                (Message::Request { epoch, starting, chunks }, verdict)
            }
            ViewerOutput::Cancel { ids, confirm, .. } => {
                if !confirm {
                    ids.iter().for_each(|id| ledger.land(*id));
                }
                (Message::Cancel { ids, confirm }, Ok(()))
            }
            ViewerOutput::Flush { epoch, .. } => {
                ledger.land_all(to);
                (Message::Flush(epoch), Ok(()))
            }
            ViewerOutput::Token { request, .. } => {
                let token = request.token(content_of(&self.scenario, n), 0, WantedBranch::None);
                (Message::Token(token), Ok(()))
            }
            ViewerOutput::Ban { .. } => return self.violation(n, "bans an honest node"),
        };
        if let Err(what) = verdict {
            self.violation(n, &what);
        }
        self.send(n, to, message);
    }

    /// The uploader was told something: what it serves is handed to the wire.
    pub(super) fn serve(&mut self, n: u32) {
        self.nodes[n as usize].uploader_touched = true;
        self.hand_over(n);
    }

    fn hand_over(&mut self, n: u32) {
        let now_ms = self.now_ms();
        while let Some(output) = self.nodes[n as usize].uploader.poll_output() {
            let node = &mut self.nodes[n as usize];
            node.uploader_touched = true;
            match output {
                UploaderOutput::Serve { link, id, leaves, .. } => {
                    let bytes = leaves.len_bytes(self.content.size_bytes);
                    if !node.uploader.read_done(now_ms, link, id, None) {
                        continue;
                    }
                    let to = link as u32;
                    let verdict = node.ledger.serve(to, id, leaves, bytes);
                    node.uplink.push(Outgoing { to, id, leaves, bytes });
                    // What kernels take says nothing.
                    node.uploader.drained(now_ms, link, 0);
                    if let Err(what) = verdict {
                        self.violation(n, &what);
                    }
                }
                UploaderOutput::Refuse { link, id, reason, .. } => {
                    node.ledger.cancelled(link as u32, &[id]);
                    self.send(n, link as u32, Message::Refuse { id, reason });
                }
                UploaderOutput::Assigned { link, id, leaves } => {
                    let epoch = u32::MAX;
                    node.ledger.asked(link as u32, id, epoch, leaves);
                    self.send(n, link as u32, Message::Assigned { id, leaves });
                }
                UploaderOutput::NoFresh { link, id } => self.send(n, link as u32, Message::NoFresh(id)),
            }
        }
        self.start_turn(n);
    }

    pub(super) fn start_turn(&mut self, n: u32) {
        if let Some(end_us) = self.nodes[n as usize].uplink.start_turn(self.now_us) {
            self.plan(end_us, n, Event::TurnEnd);
        }
    }

    fn turn_end(&mut self, n: u32) {
        let now_ms = self.now_ms();
        let node = &mut self.nodes[n as usize];
        if let Some(Outgoing { to, id, leaves, .. }) = node.uplink.end_turn() {
            let ack_bytes = HEADER_BYTES * leaves.len_bytes(self.content.size_bytes) / SEGMENT_BYTES / 2;
            self.carry(n, to, self.now_us, ack_bytes, Message::Data { id, leaves });
        }
        self.serve(n);
        let node = &mut self.nodes[n as usize];
        node.uploader_due_ms = node.uploader.poll_timeout(now_ms).map(|due| due.at_ms);
        if let Some(due_ms) = node.uploader_due_ms {
            self.wake_at(n, (due_ms * 1_000).max(self.now_us + 1_000));
        }
    }

    /// A small frame goes out at once; its bytes delay the data behind it. It is a packet of its own, which is acknowledged, unless another
    /// leaves for the same neighbour at this moment: a request mostly leaves with the word of what came.
    pub(super) fn send(&mut self, from: u32, to: u32, message: Message) {
        let node = &mut self.nodes[from as usize];
        let said_us = node.links.get_mut(&to).and_then(|peer| peer.said_us.replace(self.now_us));
        let header_bytes = if said_us == Some(self.now_us) { 0 } else { HEADER_BYTES };
        let sent_us = node.uplink.control(self.now_us, message.message_bytes() + header_bytes);
        self.carry(from, to, sent_us, header_bytes, message);
    }

    /// A frame that has left crosses the network and the receiver's downlink. The receiver sends `ack_bytes` back on TCP's behalf: an
    /// acknowledgement for every second segment of data, and for every packet of small frames, as measured on real links.
    fn carry(&mut self, from: u32, to: u32, sent_us: u64, ack_bytes: u64, message: Message) {
        let jitter_us = self.scenario.jitter_ms * 1_000;
        let jitter_us = if jitter_us > 0 { self.rng.random_range(0..jitter_us) } else { 0 };
        let node = &mut self.nodes[to as usize];
        let Some(peer) = node.links.get_mut(&from).filter(|_| node.is_up) else { return };
        node.uplink.control(self.now_us, ack_bytes);
        let here_us = sent_us + self.scenario.rtt_ms * 500 + jitter_us;
        let here_us = if let Message::Data { leaves, .. } = &message {
            let bytes = leaves.len_bytes(self.content.size_bytes) as f64 * OVERHEAD;
            node.down_free_us = node.down_free_us.max(here_us) + (bytes / node.down_bytes_per_us) as u64;
            node.down_free_us
        } else {
            here_us
        };
        let here_us = here_us.max(peer.last_arrival_us);
        peer.last_arrival_us = here_us;
        self.plan(here_us, to, Event::Arrive(from, message));
    }

    /// The player looks, and the viewer is told where it reads.
    pub(super) fn look(&mut self, n: u32) {
        let (now_us, now_ms) = (self.now_us, self.now_ms());
        let node = &mut self.nodes[n as usize];
        let (Some(player), Some(viewer)) = (&mut node.player, &mut node.viewer) else { return };
        let was_finished = player.played.is_finished;
        let first = viewer.held().first_missing(leaf_of(player.byte(now_us)));
        let size = self.content.size_bytes;
        let frontier = first.map_or(size, |leaf| LeafRange::new(leaf, 1).bytes(size).start);
        let reading = player.look(now_us, frontier);
        viewer.reader_moved(now_ms, READER, reading.position, reading.is_blocked);
        let is_finished = player.played.is_finished;
        node.waits_since_us = player.waits().then(|| node.waits_since_us.unwrap_or(now_us));
        if let Some(again_us) = reading.again_us.filter(|_| !is_finished) {
            let again_us = again_us.max(now_us + 1_000);
            if node.look_us.is_none_or(|before_us| before_us > again_us || before_us <= now_us) {
                node.look_us = Some(again_us);
                self.plan(again_us, n, Event::Look);
            }
        }
        if is_finished && !was_finished {
            self.finish();
            if self.scenario.stays == Stays::ToTheEnd {
                self.plan(now_us, n, Event::Leave);
            }
        }
    }

    /// Time that all viewers together have been there.
    pub(super) fn viewer_us(&self) -> u64 {
        let viewers = self.nodes.iter().filter(|node| node.viewer.is_some());
        viewers.map(|node| self.now_us.saturating_sub(node.spec.joins_ms * 1_000)).sum()
    }

    pub(super) fn finish(&mut self) {
        self.unfinished = self.unfinished.saturating_sub(1);
    }

    /// Whether somebody `n` is linked to holds what it needs next, and sends what it holds.
    fn could_be_given(&self, n: u32) -> bool {
        let node = &self.nodes[n as usize];
        let (Some(player), Some(held)) = (&node.player, node.held()) else { return false };
        let Some(needed) = held.first_missing(leaf_of(player.byte(self.now_us))) else { return false };
        node.links.keys().map(|other| &self.nodes[*other as usize]).any(|other| {
            other.is_up && other.spec.uploads() && other.held().is_none_or(|held| held.has(needed))
        })
    }

    /// Compares the books of a node, and sees whether it starves.
    fn audit(&mut self, n: u32) {
        if let Some(since_us) = self.nodes[n as usize].waits_since_us.filter(|_| self.could_be_given(n)) {
            let node = &mut self.nodes[n as usize];
            node.longest_wait_us = node.longest_wait_us.max(self.now_us.saturating_sub(since_us));
        }
        let node = &self.nodes[n as usize];
        let Some(viewer) = node.viewer.as_ref().filter(|_| node.is_up) else { return };
        let view = viewer.snapshot(self.now_us / 1_000);
        let balance = node.ledger.balance(
            view.verified_bytes,
            view.received_bytes,
            view.wasted_bytes,
            view.corrupt_bytes,
        );
        let verdict = balance.and_then(|()| node.ledger.agrees(viewer.in_flight()));
        if let Err(what) = verdict {
            self.violation(n, &what);
        }
    }
}
