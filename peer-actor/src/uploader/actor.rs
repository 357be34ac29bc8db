//! The uploader's shell: requests in, verified chunks out, one timer for deadlines and one for announcements.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Recipient};
use bytes::Bytes;
use shared::{
    ContentId, LeafRange, MediaKind,
    content::geometry::is_chunk,
    schedule::{
        announcer::{Announcer, Notice, Subscription, TICK_MS},
        uploader::{LinkId, Uploader, UploaderOutput},
    },
    wire::{
        self, Frame, LinkMessage, Message, PeerMessage, RefuseReason, RequestId, WantedBranch, WantedChunk,
    },
};

use super::{
    announce::{first_haves, news},
    answer::{refusal, send},
    links::{Admission, Links},
    order::ReadOrder,
};
use crate::{
    chunk_scheduler::{Idlers, LeavesGained, LeavesLost, UplinkState},
    clock,
    discovery::{OwnFiles, UplinkProbed},
    mailbox,
    path_planner::{LinkChanged, UplinkMeasured},
    relay::Relays,
    session::{Remote, SessionFrame, SessionId},
    store::{Content, Store},
    timer::Timer,
    traffic::Traffic,
    transport::LinkHandle,
};

/// Gained leaves are announced together.
const ANNOUNCE: Duration = Duration::from_millis(TICK_MS);
/// The uplink is told this often.
const REPORT: Duration = Duration::from_secs(2);
/// A viewer whose link is full asks again after this at the least.
const BUSY_MS: u32 = 500;

/// Whom the uploader tells what.
#[derive(Debug, Clone)]
pub struct UploaderRoutes {
    /// What the uplink carried while busy.
    pub uplink: Recipient<UplinkMeasured>,
    /// The same with what waits for it, for the viewers of this node, which fetch for it what others will ask for.
    pub viewers: Recipient<UplinkState>,
    /// Who opens a content here, for the same.
    pub opened: Recipient<SessionFrame>,
}

/// All uploads of a node.
#[derive(Debug)]
pub struct UploaderActor {
    core: Uploader,
    announcer: Announcer,
    reads: ReadOrder<ChunkRead>,
    store: Store,
    traffic: Traffic,
    routes: UploaderRoutes,
    links: Links,
    kinds: BTreeMap<ContentId, MediaKind>,
    told_uplink: Option<UplinkState>,
    relays: Arc<Relays>,
    /// Relayed bytes that were counted against the upload limit.
    relayed_bytes: u64,
    timer: Timer,
}

/// A chunk read for a request.
#[derive(Debug)]
struct ChunkRead {
    session: SessionId,
    id: RequestId,
    result: Result<(wire::Data, Bytes), RefuseReason>,
}

impl UploaderActor {
    /// An uploader of what `store` holds. A limit of 0 is none; what the node relays counts against it.
    pub fn new(
        store: Store,
        traffic: Traffic,
        upload_limit_bps: u64,
        relays: Arc<Relays>,
        routes: UploaderRoutes,
    ) -> Self {
        Self {
            core: Uploader::new(upload_limit_bps),
            announcer: Announcer::default(),
            reads: ReadOrder::default(),
            store,
            traffic,
            routes,
            links: Links::default(),
            kinds: BTreeMap::new(),
            told_uplink: None,
            relays,
            relayed_bytes: 0,
            timer: Timer::default(),
        }
    }

    fn handle_message(
        &mut self,
        session: SessionId,
        remote: &Remote,
        link: &LinkHandle,
        message: PeerMessage,
    ) {
        let now_ms = clock::now_ms();
        match message {
            PeerMessage::Close(wire::Close { content_id }) => {
                if self.announcer.unsubscribe(session.0, &content_id) {
                    self.answer_in_kind(link, &content_id, wire::Close { content_id });
                }
                self.core.closed(now_ms, session.0, content_id);
            }
            PeerMessage::Request(request) => self.request(session, remote, link, &request),
            PeerMessage::Cancel(cancel) => {
                self.core.cancel(now_ms, session.0, &cancel.ids, cancel.confirm);
            }
            PeerMessage::Flush(flush) => self.core.flush(now_ms, session.0, flush.content_id, flush.epoch),
            PeerMessage::Token(token) => self.token(session, remote, link, &token),
            PeerMessage::Have(have) => self.have(session, remote, &have),
            // Was seen above.
            PeerMessage::Open(_) => {}
            PeerMessage::Data(_)
            | PeerMessage::Refuse(_)
            | PeerMessage::Assigned(_)
            | PeerMessage::NoFresh(_) => {
                tracing::debug!(session = session.0, "a source's frame sent to the source side")
            }
        }
    }

    /// A neighbour announces what it holds.
    fn have(&mut self, session: SessionId, remote: &Remote, have: &wire::Have) {
        let content = self.content_for(remote, &have.content_id);
        let size_bytes = content.map(|content| content.size_bytes()).filter(|size| *size == have.size_bytes);
        if let Some(size_bytes) = size_bytes {
            let content = (&have.content_id, size_bytes);
            self.core.have(session.0, content, have.reset, have.complete, &have.ranges);
        }
    }

    /// Whether the content is of the remote's kind. To anyone else it does not exist.
    fn is_for(&self, remote: &Remote, content_id: &ContentId) -> bool {
        self.kinds.get(content_id).is_none_or(|kind| remote.kind.is_none_or(|wanted| *kind == wanted))
    }

    /// The content, if it is held and is of the remote's kind.
    fn content_for(&self, remote: &Remote, content_id: &ContentId) -> Option<Arc<Content>> {
        self.is_for(remote, content_id).then(|| self.store.get(content_id)).flatten()
    }

    fn open(&mut self, session: SessionId, remote: &Remote, link: &LinkHandle, content_id: ContentId) {
        let (now_ms, backlog_ms) = (clock::now_ms(), self.core.backlog_ms());
        let subscription = self.announcer.subscribe(now_ms, session.0, content_id, backlog_ms);
        if subscription == Subscription::Refused {
            return send(link, wire::Refuse { id: 0, content_id, reason: RefuseReason::Busy(1_000) });
        }
        match self.content_for(remote, &content_id) {
            Some(content) => {
                if content.is_complete() && !self.core.is_seed_of(&content_id) {
                    self.core.seeds(content_id, content.size_bytes(), 0);
                }
                if subscription == Subscription::New {
                    self.answer_in_kind(link, &content_id, wire::Open { content_id });
                }
                for have in first_haves(content_id, content.size_bytes(), &content.verified(), backlog_ms) {
                    send(link, have);
                }
            }
            // The viewer hears of the content as soon as something of it is here.
            None => send(link, wire::Refuse { id: 0, content_id, reason: RefuseReason::NotHere }),
        }
    }

    /// A seed follows what its viewers hold: what they open at it, it opens at them, and closes with them. Only once, for a viewer that has
    /// everything by now is a seed as well.
    fn answer_in_kind(&self, link: &LinkHandle, content_id: &ContentId, frame: impl Into<Frame>) {
        if self.core.is_seed_of(content_id) {
            send(link, frame);
        }
    }

    fn token(&mut self, session: SessionId, remote: &Remote, link: &LinkHandle, token: &wire::Token) {
        if self.content_for(remote, &token.content_id).is_none() {
            return send(link, wire::NoFresh { id: token.id });
        }
        self.core.token(clock::now_ms(), session.0, *token);
    }

    fn request(&mut self, session: SessionId, remote: &Remote, link: &LinkHandle, request: &wire::Request) {
        let content_id = request.content_id;
        let refuse = |id, reason| send(link, wire::Refuse { id, content_id, reason });
        let Some(content) = self.content_for(remote, &content_id) else {
            return request.chunks.iter().for_each(|chunk| refuse(chunk.id, RefuseReason::NotHere));
        };
        let size_bytes = content.size_bytes();
        let (served, refused): (Vec<WantedChunk>, Vec<WantedChunk>) = request
            .chunks
            .iter()
            .partition(|chunk| is_chunk(chunk.leaves, size_bytes) && content.has(chunk.leaves));
        for chunk in refused {
            let is_shaped = is_chunk(chunk.leaves, size_bytes);
            refuse(chunk.id, if is_shaped { RefuseReason::NotHere } else { RefuseReason::NotAChunk });
        }
        let (now_ms, epoch, starting) = (clock::now_ms(), request.epoch, request.starting);
        self.core.request(now_ms, session.0, content_id, size_bytes, epoch, starting, &served);
        if starting && !self.core.is_seed_of(&content_id) {
            self.announcer.starts(now_ms, session.0, &content_id);
        }
    }

    fn drive(&mut self, ctx: &mut Context<Self>) {
        let now_ms = clock::now_ms();
        if self.core.poll_timeout(now_ms).is_some_and(|due| due.at_ms <= now_ms) {
            self.core.handle_timeout(now_ms);
        }
        while let Some(output) = self.core.poll_output() {
            match output {
                UploaderOutput::Serve { link, content_id, id, leaves, proof_skip, branch } => {
                    self.read(ctx, SessionId(link), content_id, id, leaves, (proof_skip, branch));
                }
                UploaderOutput::Refuse { link, content_id, id, reason } => {
                    self.send_to(link, wire::Refuse { id, content_id, reason });
                }
                UploaderOutput::Assigned { link, id, leaves } => {
                    self.send_to(link, wire::Assigned { id, leaves });
                }
                UploaderOutput::NoFresh { link, id } => self.send_to(link, wire::NoFresh { id }),
            }
        }
        let due_ms = self.core.poll_timeout(clock::now_ms()).map(|due| due.at_ms);
        self.timer.arm_ms(ctx, due_ms, Self::drive);
    }

    fn send_to(&self, link: LinkId, frame: impl Into<Frame>) {
        if let Some((link, _)) = self.links.get(SessionId(link)) {
            send(link, frame);
        }
    }

    /// Reads and verifies a chunk off the actor thread.
    fn read(
        &mut self,
        ctx: &mut Context<Self>,
        session: SessionId,
        content_id: ContentId,
        id: RequestId,
        leaves: LeafRange,
        (proof_skip, branch): (u8, WantedBranch),
    ) {
        self.reads.begun(session, id);
        let store = self.store.clone();
        let job = tokio::task::spawn_blocking(move || {
            let content = store.get(&content_id).ok_or(RefuseReason::NotHere)?;
            let (proof, payload) =
                content.read_chunk(leaves, proof_skip).map_err(|error| refusal(content_id, &error))?;
            Ok((wire::Data { id, leaves, proof, branch: content.read_branch(leaves, branch) }, payload))
        });
        let done = async move {
            let result = job.await.unwrap_or(Err(RefuseReason::Unreadable));
            ChunkRead { session, id, result }
        };
        ctx.spawn(actix::fut::wrap_future::<_, Self>(done).map(|read, actor, ctx| {
            for read in actor.reads.ended(read.session, read.id, read) {
                actor.chunk_read(read);
            }
            actor.drive(ctx);
        }));
    }

    fn chunk_read(&mut self, read: ChunkRead) {
        let failed = match read.result {
            Ok(chunk) if self.core.is_wanted(read.session.0, read.id) => {
                self.send_chunk(read.session, chunk).err()
            }
            Ok(_) => None,
            Err(reason) => Some(reason),
        };
        self.core.read_done(clock::now_ms(), read.session.0, read.id, failed);
    }

    /// Hands a chunk to its link. One that the link does not take is refused: what counts as on its way and never arrives would keep the
    /// link from being served.
    fn send_chunk(
        &self,
        session: SessionId,
        (head, payload): (wire::Data, Bytes),
    ) -> Result<(), RefuseReason> {
        let busy = || RefuseReason::Busy(self.core.backlog_ms().max(BUSY_MS));
        let (link, remote) = self.links.get(session).ok_or_else(busy)?;
        let payload_bytes = payload.len() as u64;
        let pacing = self.core.pacing(clock::now_ms(), payload_bytes);
        if link.try_send_paced(pacing, Frame::data(head, payload)).is_err() {
            tracing::warn!(node = ?remote.node, "a chunk was not sent: the link is full");
            return Err(busy());
        }
        self.traffic.sent(remote.node, payload_bytes);
        Ok(())
    }

    fn announce(&mut self, _: &mut Context<Self>) {
        let backlog_ms = self.core.backlog_ms();
        let uplink = UplinkState { bps: self.core.uplink_bps(), backlog_ms };
        if self.told_uplink != Some(uplink) {
            self.told_uplink = Some(uplink);
            mailbox::post(&self.routes.viewers, uplink);
        }
        for (session, content_id, ranges) in self.announcer.take(clock::now_ms(), backlog_ms) {
            let Some((link, remote)) = self.links.get(SessionId(session)) else { continue };
            let Some(content) = self.content_for(remote, &content_id) else { continue };
            for have in news(content_id, &content, &ranges, backlog_ms) {
                send(link, have);
            }
        }
    }

    /// Tells everybody who follows a content what is held of it, from scratch, also if that is nothing any more.
    fn tell_all(&self, content: &Content) {
        let (content_id, backlog_ms) = (content.content_id(), self.core.backlog_ms());
        let subscribers = self.announcer.subscribers(&content_id);
        if subscribers.is_empty() {
            return;
        }
        let haves = first_haves(content_id, content.size_bytes(), &content.verified(), backlog_ms);
        for session in subscribers {
            let Some((link, remote)) = self.links.get(SessionId(session)) else { continue };
            if self.is_for(remote, &content_id) {
                haves.iter().for_each(|have| send(link, have.clone()));
            }
        }
    }

    /// What is relayed for others leaves over the same uplink.
    fn count_relayed(&mut self, _: &mut Context<Self>) {
        let relayed_bytes = self.relays.carried_bytes();
        self.core.left_beside(relayed_bytes - std::mem::replace(&mut self.relayed_bytes, relayed_bytes));
    }

    fn report(&mut self, _: &mut Context<Self>) {
        let bps = self.core.carried_bps();
        if bps > 0 {
            mailbox::post(&self.routes.uplink, UplinkMeasured { bps });
        }
    }
}

impl Actor for UploaderActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(ANNOUNCE, Self::announce);
        ctx.run_interval(ANNOUNCE, Self::count_relayed);
        ctx.run_interval(REPORT, Self::report);
    }
}

impl Handler<SessionFrame> for UploaderActor {
    type Result = ();

    fn handle(&mut self, frame: SessionFrame, ctx: &mut Self::Context) {
        let session = frame.session;
        match self.links.admit(session, &frame.link, &frame.remote) {
            Admission::New => self.core.link_joined(session.0),
            Admission::Known => {}
            Admission::Refused => return,
        }
        if let Some(Message::Peer(PeerMessage::Open(open))) = frame.frame.as_ref().map(|frame| &frame.message)
        {
            self.open(session, &frame.remote, &frame.link, open.content_id);
            // Who watches what is watched here too has something to give before the tracker says so.
            mailbox::post(&self.routes.opened, frame);
            return self.drive(ctx);
        }
        match frame.frame.map(|frame| frame.message) {
            None => self.core.drained(clock::now_ms(), session.0, frame.link.drained_bytes() as u64),
            Some(Message::Link(LinkMessage::Credit(credit))) => {
                let now_ms = clock::now_ms();
                self.core.credit(now_ms, session.0, credit.granted_bytes);
                self.core.received(now_ms, session.0, credit.received_bytes, credit.at_ms);
            }
            Some(Message::Peer(message)) => self.handle_message(session, &frame.remote, &frame.link, message),
            Some(Message::Handshake(_) | Message::Link(_) | Message::Tracker(_)) => {}
        }
        self.drive(ctx);
    }
}

impl Handler<LinkChanged> for UploaderActor {
    type Result = ();

    fn handle(&mut self, change: LinkChanged, ctx: &mut Self::Context) {
        let now_ms = clock::now_ms();
        let gone = match change {
            LinkChanged::Up { node, link, .. } => self.links.up(node, link),
            LinkChanged::Down { node } => self.links.down(&node),
            LinkChanged::Measured { node, rtt_us } => {
                if let Some(session) = self.links.of(&node) {
                    self.core.measured(now_ms, session.0, rtt_us);
                }
                return self.drive(ctx);
            }
            LinkChanged::SourcesPlanned { .. } => return,
        };
        if let Some(session) = gone {
            self.announcer.forget(session.0);
            self.reads.forget(session);
            self.core.link_left(now_ms, session.0);
        }
        self.drive(ctx);
    }
}

impl Handler<Idlers> for UploaderActor {
    type Result = ();

    fn handle(&mut self, Idlers(nodes): Idlers, _: &mut Self::Context) {
        let links = &self.links;
        let is_idler =
            |link| links.get(SessionId(link)).is_some_and(|(_, remote)| nodes.contains(&remote.node));
        self.core.idlers(is_idler);
    }
}

impl Handler<LeavesGained> for UploaderActor {
    type Result = ();

    fn handle(&mut self, gained: LeavesGained, _: &mut Self::Context) {
        // Who has it needs not be told, unless that everything is here.
        let known = if gained.content.is_complete() { &[][..] } else { &gained.known };
        let notice = |session| {
            let (_, remote) = self.links.get(SessionId(session))?;
            Notice::of(&remote.node, known, &gained.idle)
        };
        let (content_id, soon_ms) = (gained.content.content_id(), gained.soon_ms);
        self.announcer.gained(clock::now_ms(), &content_id, gained.leaves, soon_ms, notice);
    }
}

impl Handler<LeavesLost> for UploaderActor {
    type Result = ();

    fn handle(&mut self, LeavesLost { content }: LeavesLost, _: &mut Self::Context) {
        if !content.is_complete() {
            self.core.seeds_no_more(&content.content_id());
        }
        self.tell_all(&content);
    }
}

impl Handler<UplinkProbed> for UploaderActor {
    type Result = ();

    fn handle(&mut self, probed: UplinkProbed, _: &mut Self::Context) {
        self.core.probed(probed.bps);
    }
}

impl Handler<OwnFiles> for UploaderActor {
    type Result = ();

    fn handle(&mut self, files: OwnFiles, ctx: &mut Self::Context) {
        for content_id in &files.removed {
            self.kinds.remove(content_id);
            self.core.seeds_no_more(content_id);
        }
        for file in &files.changed {
            self.kinds.insert(file.content_id, file.kind);
            self.core.seeds(file.content_id, file.size_bytes, file.bitrate_bps);
            if let Some(content) = self.store.get(&file.content_id) {
                self.tell_all(&content);
            }
        }
        self.drive(ctx);
    }
}

#[cfg(test)]
mod tests {
    use actix::{Addr, MessageResult};
    use shared::{
        NodeId,
        wire::{Capabilities, PathKind, Role},
    };

    use super::*;
    use crate::{
        relay::{RelayLimits, RelayTally},
        session::Side,
        store::StoreConfig,
        transport::link,
    };

    const VIEWER: NodeId = NodeId([1; 32]);

    /// Nobody listens here.
    struct Deaf;

    impl Actor for Deaf {
        type Context = Context<Self>;
    }

    macro_rules! deaf {
        ($($message:ty),+) => {
            $(impl Handler<$message> for Deaf {
                type Result = ();

                fn handle(&mut self, _: $message, _: &mut Context<Self>) {}
            })+
        };
    }

    deaf!(UplinkMeasured, UplinkState, SessionFrame);

    /// Asks which of these sessions are served.
    #[derive(actix::Message)]
    #[rtype(result = "Vec<u64>")]
    struct Served(std::ops::Range<u64>);

    impl Handler<Served> for UploaderActor {
        type Result = MessageResult<Served>;

        fn handle(&mut self, Served(sessions): Served, _: &mut Context<Self>) -> Self::Result {
            MessageResult(sessions.filter(|session| self.links.get(SessionId(*session)).is_some()).collect())
        }
    }

    struct World {
        uploader: Addr<UploaderActor>,
        _cache: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let cache = tempfile::tempdir().unwrap();
            let config = StoreConfig { cache_dir: cache.path().to_owned(), quota_bytes: 1 << 20 };
            let store = Store::open(config).unwrap();
            let deaf = Deaf.start();
            let routes = UploaderRoutes {
                uplink: deaf.clone().recipient(),
                viewers: deaf.clone().recipient(),
                opened: deaf.recipient(),
            };
            let relays = Arc::new(Relays::new(RelayLimits::NONE, RelayTally::default()));
            let uploader = UploaderActor::new(store, Traffic::default(), 0, relays, routes).start();
            Self { uploader, _cache: cache }
        }

        /// The sessions served after a change of links.
        async fn changes(&self, change: LinkChanged) -> Vec<u64> {
            self.uploader.send(change).await.unwrap();
            self.served().await
        }

        /// The sessions served after a session's link has drained, which is the first that is heard of it.
        async fn drains(&self, session: u64, link: &LinkHandle) -> Vec<u64> {
            let session = SessionId(session);
            let frame =
                SessionFrame { session, remote: viewer(), link: link.clone(), frame: None, permit: None };
            self.uploader.send(frame).await.unwrap();
            self.served().await
        }

        async fn served(&self) -> Vec<u64> {
            self.uploader.send(Served(0..10)).await.unwrap()
        }
    }

    fn viewer() -> Arc<Remote> {
        Arc::new(Remote {
            node: VIEWER,
            role: Role::Peer,
            kind: None,
            capabilities: Capabilities::default(),
            agent: String::new(),
            side: Side::Acceptor,
        })
    }

    fn up(link: &LinkHandle) -> LinkChanged {
        LinkChanged::Up {
            node: VIEWER,
            remote: viewer(),
            link: link.clone(),
            path: PathKind::Direct,
            address: String::new(),
            rate_hint_bps: 0,
            rtt_us: 0,
        }
    }

    #[actix_rt::test]
    async fn a_link_that_went_down_politely_is_served_no_more_whatever_comes_while_it_lingers() {
        let world = World::new();
        let (core, _outbound, _events) = link(None, None);
        let link = &core.handle;
        assert!(world.drains(1, link).await.is_empty(), "nobody is served before its link is up");
        world.changes(up(link)).await;
        assert_eq!(world.drains(1, link).await, [1]);
        let down = LinkChanged::Down { node: VIEWER };
        assert!(world.changes(down).await.is_empty() && !link.is_closed());
        assert!(world.drains(1, link).await.is_empty());
    }

    #[actix_rt::test]
    async fn a_link_that_is_replaced_is_served_no_more_and_the_other_is() {
        let world = World::new();
        let (old, _outbound, _events) = link(None, None);
        let (new, _new_outbound, _new_events) = link(None, None);
        world.changes(up(&old.handle)).await;
        assert_eq!(world.drains(1, &old.handle).await, [1]);
        assert_eq!(world.changes(up(&old.handle)).await, [1], "it is the same link");
        assert!(world.changes(up(&new.handle)).await.is_empty());
        assert!(world.drains(1, &old.handle).await.is_empty());
        assert_eq!(world.drains(2, &new.handle).await, [2]);
    }
}
