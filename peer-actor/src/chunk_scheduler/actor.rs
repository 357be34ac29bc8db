//! The chunk scheduler's shell: routes inputs to streams, runs their outputs, keeps one timer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Recipient};
use shared::{
    ContentId, NodeId,
    limits::{MAX_OPEN_CONTENTS, MAX_READERS},
    schedule::{RequestIds, viewer::SourceId},
    snapshot::StreamSnapshot,
    units::leaf_of,
    wire::{self, Message, PeerMessage},
};
use tokio::sync::watch;

use super::{
    messages::{
        Idlers, LeavesGained, LeavesLost, OpenStream, ReaderId, ReaderNews, TooManyStreams, UplinkState,
    },
    outputs::{idlers, report_stream, run_outputs, watch_playhead},
    reader::{ContentReader, ReaderCell, ReaderWish},
    storing::{Arrived, Stored, store},
    stream::{Neighbour, Stream},
};
use crate::{
    clock,
    discovery::{FetchHints, ForgetContent, PlanArrived, ReportHoldings, WatchContent},
    mailbox,
    path_planner::{ContentUnwanted, GoodputMeasured, LinkChanged, NodeBanned},
    session::SessionFrame,
    store::IngestError,
    timer::Timer,
    traffic::Traffic,
    transport::Permit,
};

/// How often watchers are given news, links are judged and holdings told.
const TICK: Duration = Duration::from_millis(100);
/// Holdings and goodput are told every so many ticks.
const REPORT_TICKS: u64 = 20;
/// How long a swarm is kept after its last reader left: a player that opens again finds it warm.
const LINGER_MS: u64 = 8_000;

/// Whom the scheduler tells what.
#[derive(Debug, Clone)]
pub struct SchedulerRoutes {
    /// Asks the tracker for sources; none without a tracker.
    pub watch: Option<Recipient<WatchContent>>,
    /// Asks for what lets a content start quickly; none without a tracker.
    pub hints: Option<Recipient<FetchHints>>,
    /// Leaves a swarm; none without a tracker.
    pub forget: Option<Recipient<ForgetContent>>,
    /// Tells the tracker what is held; none without a tracker.
    pub holdings: Option<Recipient<ReportHoldings>>,
    /// Links are not needed for a content any more.
    pub unwanted: Recipient<ContentUnwanted>,
    /// A node lied.
    pub banned: Recipient<NodeBanned>,
    /// What a link carries.
    pub goodput: Recipient<GoodputMeasured>,
    /// Verified leaves, to be announced and served.
    pub gained: Recipient<LeavesGained>,
    /// Leaves that are here no longer.
    pub lost: Recipient<LeavesLost>,
    /// Neighbours that give nothing, to be served after those who do.
    pub idlers: Recipient<Idlers>,
    /// What neighbours hold, for whoever serves them.
    pub uploader: Recipient<SessionFrame>,
}

/// All streams of a node.
#[derive(Debug)]
pub struct ChunkSchedulerActor {
    routes: SchedulerRoutes,
    pub(super) traffic: Traffic,
    seed: u64,
    request_ids: RequestIds,
    next_reader: u32,
    pub(super) streams: BTreeMap<ContentId, Stream>,
    pub(super) links: BTreeMap<NodeId, Neighbour>,
    pub(super) watchers: BTreeMap<ContentId, watch::Sender<Option<Arc<StreamSnapshot>>>>,
    told_idlers: Idlers,
    /// As last told, for streams that open later.
    uplink: UplinkState,
    timer: Timer,
    ticks: u64,
}

impl ChunkSchedulerActor {
    /// A scheduler without streams; `seed` breaks ties.
    pub fn new(routes: SchedulerRoutes, traffic: Traffic, seed: u64) -> Self {
        Self {
            routes,
            traffic,
            seed,
            request_ids: RequestIds::default(),
            next_reader: 1,
            streams: BTreeMap::new(),
            links: BTreeMap::new(),
            watchers: BTreeMap::new(),
            told_idlers: Idlers::default(),
            uplink: UplinkState::default(),
            timer: Timer::default(),
            ticks: 0,
        }
    }

    /// Runs what is due, does what the cores say, arms the timer.
    fn drive(&mut self, ctx: &mut Context<Self>) {
        let now_ms = clock::now_ms();
        for stream in self.streams.values_mut() {
            if stream.viewer.poll_timeout().is_some_and(|deadline| deadline.at_ms <= now_ms) {
                stream.viewer.handle_timeout(now_ms);
            }
            if stream.notice_losses(now_ms) {
                mailbox::post(&self.routes.lost, LeavesLost { content: stream.content.clone() });
                // While it was complete it needed nobody.
                stream.join_planned(now_ms, &self.links);
                if !stream.is_watched {
                    watch_playhead(stream, stream.viewer.needs().playhead, &self.routes);
                }
            }
            run_outputs(stream, now_ms, &self.links, &self.routes);
        }
        let due_ms = self.streams.values().filter_map(|stream| stream.viewer.poll_timeout());
        self.timer.arm_ms(ctx, due_ms.map(|due| due.at_ms).min(), Self::drive);
    }

    fn handle_data(
        &mut self,
        ctx: &mut Context<Self>,
        node: NodeId,
        head: wire::Data,
        payload: bytes::Bytes,
        permit: Option<Permit>,
    ) {
        let now_ms = clock::now_ms();
        self.traffic.received(payload.len() as u64);
        for (stream, source) in self.streams_from(node) {
            let (arrival, branch) = stream.handle_data(now_ms, source, &head, payload.len() as u64);
            if arrival.is_useful() {
                let content = stream.content.clone();
                let arrived = Arrived { content, source, head, branch, payload };
                let wrapped = actix::fut::wrap_future::<_, Self>(store(arrived, permit));
                ctx.spawn(wrapped.map(|stored, actor, ctx| actor.stored(ctx, stored)));
                return;
            }
        }
        tracing::trace!(?node, id = head.id, "data that nobody waits for");
    }

    fn stored(&mut self, ctx: &mut Context<Self>, stored: Stored) {
        let now_ms = clock::now_ms();
        let Some(stream) = self.streams.get_mut(&stored.content.content_id()) else { return };
        stream.settle_branch(stored.id);
        match stored.result {
            // Given up before it could be told that it was there.
            Ok(_) if !stored.content.has(stored.leaves) => {
                stream.viewer.unstored(now_ms, stored.source, stored.leaves, None);
            }
            Ok(ranges) => {
                stream.viewer.verified(now_ms, stored.source, stored.leaves);
                for leaves in ranges {
                    let (known, idle) = (stream.viewers_with(leaves), stream.idle_seeds());
                    let (content, soon_ms) = (stored.content.clone(), stream.viewer.announces_within_ms());
                    mailbox::post(
                        &self.routes.gained,
                        LeavesGained { content, leaves, known, idle, soon_ms },
                    );
                }
            }
            Err(IngestError::AlreadyHeld) => stream.viewer.verified(now_ms, stored.source, stored.leaves),
            Err(IngestError::Proof(error)) => {
                tracing::warn!(node = ?stream.node(stored.source), %error, "a source served wrong bytes");
                stream.corrupt(now_ms, stored.source, stored.leaves, &self.links, &self.traffic);
            }
            Err(error) => {
                tracing::error!(content = ?stored.content.content_id(), %error, "a chunk could not be kept");
                let is_passing = matches!(error, IngestError::Damaged { .. });
                let why = (!is_passing).then(|| error.to_string());
                stream.viewer.unstored(now_ms, stored.source, stored.leaves, why);
            }
        }
        self.drive(ctx);
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.ticks += 1;
        let now_ms = clock::now_ms();
        let report = self.ticks.is_multiple_of(REPORT_TICKS);
        for stream in self.streams.values_mut() {
            if stream.watchers.receiver_count() > 0 {
                let snapshot = stream.snapshot(now_ms, &self.links, &self.traffic);
                stream.watchers.send_replace(Some(Arc::new(snapshot)));
            }
            if report {
                report_stream(stream, now_ms, &self.routes);
            }
        }
        let idlers = idlers(self.streams.values());
        if self.told_idlers != idlers {
            self.told_idlers = idlers.clone();
            mailbox::post(&self.routes.idlers, idlers);
        }
        let idle: Vec<ContentId> = self
            .streams
            .values()
            .filter(|stream| stream.idle_since_ms.is_some_and(|since_ms| now_ms >= since_ms + LINGER_MS))
            .map(Stream::content_id)
            .collect();
        for content_id in idle {
            self.close_stream(content_id);
        }
        // A stream publishes on the channel it began with, so that stays the one to follow while the stream lives.
        let streams = &self.streams;
        self.watchers
            .retain(|content_id, watchers| streams.contains_key(content_id) || watchers.receiver_count() > 0);
        self.drive(ctx);
    }

    fn close_stream(&mut self, content_id: ContentId) {
        let Some(stream) = self.streams.remove(&content_id) else { return };
        stream.watchers.send_replace(None);
        for (node, neighbour) in &self.links {
            if stream.source(node).is_some() && neighbour.link.try_send(wire::Close { content_id }).is_err() {
                tracing::debug!(?node, "cannot tell a full link that a content is closed");
            }
        }
        if let Some(forget) = &self.routes.forget {
            mailbox::post(forget, ForgetContent { content_id });
        }
        mailbox::post(&self.routes.unwanted, ContentUnwanted { content_id });
    }

    /// The streams `node` is a source of, and as which.
    fn streams_from(&mut self, node: NodeId) -> impl Iterator<Item = (&mut Stream, SourceId)> {
        self.streams.values_mut().filter_map(move |stream| {
            let source = stream.source(&node)?;
            Some((stream, source))
        })
    }

    /// What lets a content start quickly is asked for beside its sources, and made use of when it comes.
    fn ask_hints(&self, ctx: &mut Context<Self>, content_id: ContentId) {
        let is_missing = self.streams.get(&content_id).is_some_and(|stream| !stream.content.is_complete());
        let Some(hints) = self.routes.hints.as_ref().filter(|_| is_missing) else { return };
        let asked = actix::fut::wrap_future::<_, Self>(hints.send(FetchHints { content_id }));
        ctx.spawn(asked.map(move |answer, actor, ctx| {
            let (Ok(Some(hints)), Some(stream)) = (answer, actor.streams.get_mut(&content_id)) else {
                return;
            };
            stream.viewer.hints(clock::now_ms(), hints.startup_ranges, hints.time_index);
            stream.claim_needs();
            actor.drive(ctx);
        }));
    }

    fn open(
        &mut self,
        request: OpenStream,
        scheduler: Recipient<ReaderNews>,
    ) -> Result<ContentReader, TooManyStreams> {
        let content_id = request.content.content_id();
        if !self.streams.contains_key(&content_id) {
            if self.streams.len() >= MAX_OPEN_CONTENTS {
                return Err(TooManyStreams);
            }
            let watchers =
                self.watchers.entry(content_id).or_insert_with(|| watch::Sender::new(None)).clone();
            let seed = self.seed ^ u64::from_le_bytes(*content_id.0.first_chunk().unwrap_or(&[0; 8]));
            let (file, content, ids) =
                (request.file.clone(), request.content.clone(), self.request_ids.clone());
            let mut stream = Stream::new(file, content, ids, seed, watchers);
            stream.viewer.uplink(clock::now_ms(), self.uplink.bps, self.uplink.backlog_ms);
            watch_playhead(&mut stream, 0, &self.routes);
            stream.claim_needs();
            self.streams.insert(content_id, stream);
        }
        let stream = self.streams.get_mut(&content_id).ok_or(TooManyStreams)?;
        if stream.readers.len() >= MAX_READERS {
            return Err(TooManyStreams);
        }
        let id = ReaderId(self.next_reader);
        self.next_reader = self.next_reader.wrapping_add(1);
        let cell = Arc::<ReaderCell>::default();
        stream.readers.insert(id, cell.clone());
        stream.idle_since_ms = None;
        // The core hears of the reader when it says where it is: what is asked for a place where nobody reads is in the way.
        Ok(ContentReader::new(id, stream.content.clone(), stream.file.clone(), cell, scheduler))
    }
}

impl Actor for ChunkSchedulerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, Self::tick);
    }
}

impl Handler<OpenStream> for ChunkSchedulerActor {
    type Result = Result<ContentReader, TooManyStreams>;

    fn handle(&mut self, request: OpenStream, ctx: &mut Self::Context) -> Self::Result {
        let content_id = request.content.content_id();
        // Its file was renamed, or it was deleted: nothing can be read of that any more, and what is here now takes its place.
        if self.streams.get(&content_id).is_some_and(|stream| stream.content.is_gone()) {
            self.close_stream(content_id);
        }
        let is_new = !self.streams.contains_key(&content_id);
        let reader = self.open(request, ctx.address().recipient());
        if is_new {
            self.ask_hints(ctx, content_id);
        }
        self.drive(ctx);
        reader
    }
}

impl Handler<ReaderNews> for ChunkSchedulerActor {
    type Result = ();

    fn handle(&mut self, news: ReaderNews, ctx: &mut Self::Context) {
        let now_ms = clock::now_ms();
        let Some(stream) = self.streams.get_mut(&news.content_id) else { return };
        if news.is_gone {
            stream.readers.remove(&news.reader);
            stream.viewer.reader_closed(now_ms, news.reader.0);
            if stream.readers.is_empty() {
                stream.idle_since_ms = Some(now_ms);
                stream.viewer.keep_whole(now_ms, false);
            }
            stream.claim_needs();
        } else if let Some(cell) = stream.readers.get(&news.reader) {
            let ReaderWish { position_byte, end_byte, is_blocked, keeps_whole } = cell.take();
            let old_epoch = stream.viewer.epoch();
            stream.viewer.reader_moved(now_ms, news.reader.0, position_byte, is_blocked);
            if let Some(end_byte) = end_byte {
                stream.limit_reader(now_ms, news.reader, position_byte, end_byte);
            }
            if keeps_whole {
                stream.viewer.keep_whole(now_ms, true);
            }
            stream.claim_needs();
            if stream.viewer.epoch() != old_epoch {
                watch_playhead(stream, leaf_of(position_byte), &self.routes);
            }
        }
        self.drive(ctx);
    }
}

impl Handler<SessionFrame> for ChunkSchedulerActor {
    type Result = ();

    fn handle(&mut self, frame: SessionFrame, ctx: &mut Self::Context) {
        let now_ms = clock::now_ms();
        let node = frame.remote.node;
        if let Some(Message::Peer(PeerMessage::Have(have))) = frame.frame.as_ref().map(|frame| &frame.message)
        {
            if let Some(stream) = self.streams.get_mut(&have.content_id)
                && let Some(source) = stream.source(&node)
            {
                stream.handle_have(now_ms, source, have);
                self.drive(ctx);
            }
            // Whoever serves others wants to know too what they have.
            return mailbox::post(&self.routes.uploader, frame);
        }
        let Some(wire::Frame { message: Message::Peer(message), payload }) = frame.frame else { return };
        match message {
            PeerMessage::Data(head) => self.handle_data(ctx, node, head, payload, frame.permit),
            PeerMessage::Refuse(refuse) => {
                if let Some(stream) = self.streams.get_mut(&refuse.content_id)
                    && let Some(source) = stream.source(&node)
                {
                    stream.viewer.refused(now_ms, source, refuse.id, refuse.reason);
                }
            }
            // Ids are this node's own: of all streams one at the most knows the token.
            PeerMessage::Assigned(assigned) => {
                for (stream, source) in self.streams_from(node) {
                    stream.viewer.token_assigned(now_ms, source, assigned.id, assigned.leaves);
                }
            }
            PeerMessage::NoFresh(answer) => {
                for (stream, source) in self.streams_from(node) {
                    stream.viewer.no_fresh(now_ms, source, answer.id);
                }
            }
            // Neighbours' were seen above.
            PeerMessage::Have(_) => {}
            // The tracker names everybody anew once a second at the most; a newcomer's uplink is not to idle until then.
            PeerMessage::Open(open) => {
                let stream = self.streams.get_mut(&open.content_id);
                if let (Some(stream), Some(neighbour)) = (stream, self.links.get(&node)) {
                    stream.join(now_ms, neighbour);
                }
            }
            PeerMessage::Close(_)
            | PeerMessage::Request(_)
            | PeerMessage::Cancel(_)
            | PeerMessage::Flush(_)
            | PeerMessage::Token(_) => tracing::debug!(?node, "a viewer's frame sent to the viewer side"),
        }
        self.drive(ctx);
    }
}

impl Handler<UplinkState> for ChunkSchedulerActor {
    type Result = ();

    fn handle(&mut self, uplink: UplinkState, ctx: &mut Self::Context) {
        let now_ms = clock::now_ms();
        self.uplink = uplink;
        for stream in self.streams.values_mut() {
            stream.viewer.uplink(now_ms, uplink.bps, uplink.backlog_ms);
        }
        self.drive(ctx);
    }
}

impl Handler<LinkChanged> for ChunkSchedulerActor {
    type Result = ();

    fn handle(&mut self, change: LinkChanged, ctx: &mut Self::Context) {
        let now_ms = clock::now_ms();
        match change {
            LinkChanged::Up { node, remote, link, path, address, rate_hint_bps, rtt_us } => {
                let neighbour = Neighbour { remote, link, path, address, rate_hint_bps, rtt_us };
                for stream in self.streams.values_mut() {
                    stream.leave(now_ms, &node, &self.links, &self.traffic);
                    if stream.planned.contains(&node) {
                        stream.join(now_ms, &neighbour);
                    }
                }
                self.links.insert(node, neighbour);
            }
            LinkChanged::Measured { node, rtt_us } => {
                if let Some(neighbour) = self.links.get_mut(&node) {
                    neighbour.rtt_us = rtt_us;
                    for stream in self.streams.values_mut() {
                        if let Some(source) = stream.source(&node) {
                            stream.viewer.source_measured(now_ms, source, neighbour.rate_hint_bps, rtt_us);
                        }
                    }
                }
            }
            LinkChanged::Down { node } => {
                for stream in self.streams.values_mut() {
                    stream.leave(now_ms, &node, &self.links, &self.traffic);
                }
                self.links.remove(&node);
            }
            LinkChanged::SourcesPlanned { content_id, nodes, complete, .. } => {
                if let Some(stream) = self.streams.get_mut(&content_id) {
                    stream.complete = complete;
                    stream.planned = nodes;
                    stream.join_planned(now_ms, &self.links);
                }
            }
        }
        self.drive(ctx);
    }
}

impl Handler<PlanArrived> for ChunkSchedulerActor {
    type Result = ();

    fn handle(&mut self, PlanArrived(plan): PlanArrived, ctx: &mut Context<Self>) {
        if let Some(stream) = self.streams.get_mut(&plan.content_id) {
            stream.handle_plan(clock::now_ms(), plan);
            self.drive(ctx);
        }
    }
}
