//! The session's shell: one link, one timer, one state; asks downward, never holds an actor that holds it.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler, Recipient,
    ResponseActFuture, WrapFuture as _,
};
use futures_util::StreamExt as _;
use peer_actor::{
    clock,
    timer::Timer,
    transport::{CloseCause, LinkEvent, LinkEvents, LinkHandle},
};
use shared::{
    ContentId,
    wire::{Frame, HandshakeMessage, HintsReply, Message, Nonce, Register, Registered, RejectReason},
};

use super::{
    messages::{EndSession, LinkArrived},
    state::{ClientInfo, CloseReason, Output, SessionConfig, SessionState, Violation},
};
use crate::{
    console::tap::Direction,
    file_index::{self, FilesOutcome, IndexRequest},
    path_planner::{self, PlannerRequest},
    registry::{Registry, SessionEntry, SessionId, Ungreeted},
};

/// Time for a last word to leave before the socket is cut.
const LINGER: Duration = Duration::from_millis(200);

/// Whom a session may speak to.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// The shared state.
    pub registry: Arc<Registry>,
    /// The most clients at once.
    pub max_clients: usize,
    /// The file index, told of arrivals.
    pub index_joined: Recipient<file_index::NodeJoined>,
    /// The file index, told of departures.
    pub index_left: Recipient<file_index::NodeLeft>,
    /// The file index, told what clients say.
    pub index_says: Recipient<file_index::ClientSays>,
    /// The path planner, told of arrivals.
    pub planner_joined: Recipient<path_planner::NodeJoined>,
    /// The path planner, told of departures.
    pub planner_left: Recipient<path_planner::NodeLeft>,
    /// The path planner, told what clients say.
    pub planner_says: Recipient<path_planner::ClientSays>,
}

/// One client's session.
#[derive(Debug)]
pub struct SessionActor {
    session: SessionId,
    state: SessionState,
    wiring: Wiring,
    link: LinkHandle,
    events: Option<LinkEvents>,
    observed: SocketAddr,
    entry: Option<Arc<SessionEntry>>,
    ungreeted: Option<Ungreeted>,
    timer: Timer,
    is_closing: bool,
}

/// What must be asked of others, in order, before the next event is read.
#[derive(Debug)]
enum Ask {
    Register(Register),
    Index(IndexRequest),
    Planner(PlannerRequest),
}

impl SessionActor {
    /// Starts the session of a freshly accepted link on the current arbiter. What answers the Hello that came with the upgrade is to be said
    /// with its answer.
    pub fn launch(
        config: SessionConfig,
        nonce: Nonce,
        hello: Option<HandshakeMessage>,
        wiring: Wiring,
        (link, events): (LinkHandle, LinkEvents),
        observed: SocketAddr,
        ungreeted: Ungreeted,
    ) -> Option<HandshakeMessage> {
        let session = wiring.registry.next_session();
        let mut state = SessionState::new(clock::now_us(), config, nonce);
        let answer = hello.and_then(|hello| {
            let hello = Frame::from(Message::Handshake(hello));
            wiring.registry.counters.frames_in.inc();
            wiring.registry.tap.record(None, session, Direction::In, &hello);
            state.handle_frame(clock::now_us(), hello);
            state.take_greeting()
        });
        if let Some(answer) = &answer {
            let answer = Frame::from(Message::Handshake(answer.clone()));
            wiring.registry.counters.frames_out.inc();
            wiring.registry.tap.record(None, session, Direction::Out, &answer);
        }
        let actor = Self {
            session,
            state,
            wiring,
            link,
            events: Some(events),
            observed,
            entry: None,
            ungreeted: Some(ungreeted),
            timer: Timer::default(),
            is_closing: false,
        };
        actor.start();
        answer
    }

    /// Runs what is due and everything the state asks for that needs no answer; what does is returned.
    fn drive(&mut self, ctx: &mut Context<Self>) -> Vec<Ask> {
        let now_us = clock::now_us();
        if self.state.poll_timeout().is_some_and(|due| due.at_us <= now_us) {
            self.state.handle_timeout(now_us);
        }
        let mut asks = Vec::new();
        while let Some(output) = self.state.poll_output() {
            match output {
                Output::Send(frame) => self.send(frame),
                Output::Greeted(info) => self.greeted(ctx, info),
                Output::Registered(register) => asks.push(Ask::Register(register)),
                Output::Index(request) => asks.push(Ask::Index(request)),
                Output::Planner(request) => asks.push(Ask::Planner(request)),
                Output::HintsWanted(content_id) => self.send_hints(content_id),
                Output::RttMeasured(rtt_us) => {
                    if let Some(entry) = &self.entry {
                        entry.rtt_us.store(rtt_us, Relaxed);
                    }
                    asks.push(Ask::Planner(PlannerRequest::TrackerRtt(rtt_us)));
                }
                Output::Close(reason) => {
                    self.close(ctx, reason);
                    return Vec::new();
                }
            }
        }
        if let Some(due) = self.state.poll_timeout() {
            self.timer.arm_us(ctx, due.at_us, Self::drive_alone);
        }
        asks
    }

    fn greeted(&mut self, ctx: &mut Context<Self>, info: ClientInfo) {
        let entry = Arc::new(SessionEntry {
            session: self.session,
            info,
            observed: self.observed,
            since_ms: clock::now_ms(),
            link: self.link.clone(),
            end: ctx.address().recipient(),
            rtt_us: 0.into(),
            frames_in: 2.into(),
            frames_out: 1.into(),
        });
        let Ok(replaced) = self.wiring.registry.enter(entry.clone(), self.wiring.max_clients) else {
            return self.state.handle_end(CloseReason::Rejected(RejectReason::Full));
        };
        let info = &entry.info;
        tracing::info!(node = %info.node.short(), role = ?info.role, kind = ?info.kind, agent = info.agent, from = %self.observed, "client connected");
        self.ungreeted = None;
        self.entry = Some(entry);
        self.wiring.registry.counters.sessions_opened.inc();
        if let Some(replaced) = replaced {
            replaced.end_with(CloseReason::Replaced);
        }
    }

    /// A reply the client asked for. One whose link is full has asked without reading.
    fn send(&mut self, frame: Frame) {
        let registry = &self.wiring.registry;
        registry.tap.record(
            self.entry.as_ref().map(|entry| &entry.info),
            self.session,
            Direction::Out,
            &frame,
        );
        registry.counters.frames_out.inc();
        if let Some(entry) = &self.entry {
            entry.frames_out.fetch_add(1, Relaxed);
        }
        if self.link.try_send(frame).is_err() {
            self.state.handle_end(CloseReason::NotReading);
        }
    }

    fn send_hints(&mut self, content_id: ContentId) {
        let kind = self.entry.as_ref().and_then(|entry| entry.info.kind);
        let hints = kind.and_then(|kind| self.wiring.registry.hints((kind, content_id)));
        self.send(HintsReply { content_id, hints: hints.map(|hints| (*hints).clone()) }.into());
    }

    /// Asks in order; each is awaited, so that a client's words are heard in the order it said them.
    fn ask(&self, asks: Vec<Ask>) -> impl Future<Output = Vec<Frame>> + use<> {
        let (wiring, session, observed) = (self.wiring.clone(), self.session, self.observed);
        let info = self.entry.as_ref().map(|entry| entry.info.clone());
        async move {
            let mut replies = Vec::new();
            let Some(info) = info else { return replies };
            for ask in asks {
                replies.extend(wiring.ask_one(&info, session, observed, ask).await);
            }
            replies
        }
    }

    /// Drives without an event of the link behind it; what is to be asked is asked beside.
    fn drive_alone(&mut self, ctx: &mut Context<Self>) {
        let asks = self.drive(ctx);
        if !asks.is_empty() {
            let asking =
                self.ask(asks).into_actor(self).map(|replies, session, ctx| session.answer(ctx, replies));
            ctx.spawn(asking);
        }
    }

    fn answer(&mut self, ctx: &mut Context<Self>, replies: Vec<Frame>) {
        for reply in replies {
            self.send(reply);
        }
        if !self.is_closing {
            self.drive_alone(ctx);
        }
    }

    fn close(&mut self, ctx: &mut Context<Self>, reason: CloseReason) {
        if std::mem::replace(&mut self.is_closing, true) {
            return;
        }
        let counters = &self.wiring.registry.counters;
        match reason {
            CloseReason::Violation(_) => drop(counters.violations.inc()),
            CloseReason::Silent | CloseReason::NotReading => drop(counters.lost.inc()),
            CloseReason::Left
            | CloseReason::Disconnected
            | CloseReason::HandshakeTimeout
            | CloseReason::Replaced
            | CloseReason::Stopping
            | CloseReason::Rejected(_) => {}
        }
        if let Some(entry) = &self.entry {
            counters.sessions_closed.inc();
            let node = entry.info.node;
            tracing::info!(node = %node.short(), %reason, "client gone");
            self.wiring.registry.leave(node, self.session);
            actix_rt::spawn(self.wiring.clone().tell_left(node, self.session, reason == CloseReason::Left));
        } else {
            tracing::debug!(from = %self.observed, %reason, "connection ended before registration");
        }
        match reason {
            CloseReason::Rejected(_)
            | CloseReason::Violation(_)
            | CloseReason::Replaced
            | CloseReason::Stopping => {
                ctx.run_later(LINGER, |_, ctx| ctx.stop());
            }
            CloseReason::Left
            | CloseReason::Disconnected
            | CloseReason::HandshakeTimeout
            | CloseReason::Silent
            | CloseReason::NotReading => ctx.stop(),
        }
    }
}

impl Wiring {
    async fn ask_one(
        &self,
        info: &ClientInfo,
        session: SessionId,
        observed: SocketAddr,
        ask: Ask,
    ) -> Option<Frame> {
        let node = info.node;
        match ask {
            Ask::Register(register) => {
                let (role, kind) = (info.role, info.kind);
                let is_origin = role == shared::wire::Role::Origin;
                let address = path_planner::seed_address(observed, &register).filter(|_| !is_origin);
                let joined = path_planner::NodeJoined { node, session, role, kind, observed, register };
                self.planner_joined.send(joined).await.ok()?;
                let joined = file_index::NodeJoined { node, session, kind, is_origin, address };
                let files_version = self.index_joined.send(joined).await.ok()?;
                Some(Registered { observed, files_version }.into())
            }
            Ask::Index(request) => {
                let says = file_index::ClientSays { node, session, request };
                match self.index_says.send(says).await.ok()? {
                    FilesOutcome::Taken { refused: 0 } => None,
                    FilesOutcome::Taken { refused } => {
                        self.registry.counters.files_refused.inc_by(u64::from(refused));
                        tracing::warn!(node = %node.short(), refused, "files over a limit or of the wrong kind left out");
                        None
                    }
                    FilesOutcome::HintsRefused => {
                        tracing::debug!(node = %node.short(), "hints that are not wanted");
                        None
                    }
                    FilesOutcome::Gap => Some(Registered { observed, files_version: 0 }.into()),
                }
            }
            Ask::Planner(request) => {
                self.planner_says.send(path_planner::ClientSays { node, session, request }).await.ok()?;
                None
            }
        }
    }

    /// The planner first: it tells those whose streams hang on the node.
    async fn tell_left(self, node: shared::NodeId, session: SessionId, for_good: bool) {
        let planner = self.planner_left.send(path_planner::NodeLeft { node, session }).await;
        let index = self.index_left.send(file_index::NodeLeft { node, session, for_good }).await;
        if planner.is_err() || index.is_err() {
            tracing::debug!("the tracker stops while a session ends");
        }
    }
}

/// Hands the session one event at a time, and rests when it says so.
async fn pump(mut events: LinkEvents, session: Recipient<LinkArrived>) {
    while let Some(event) = events.next().await {
        match session.send(LinkArrived(event)).await {
            Ok(0) => {}
            Ok(rest_us) => tokio::time::sleep(Duration::from_micros(rest_us)).await,
            Err(_) => return,
        }
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(events) = self.events.take() {
            actix_rt::spawn(pump(events, ctx.address().recipient()));
        }
        self.drive_alone(ctx);
    }

    fn stopping(&mut self, _: &mut Self::Context) -> actix::Running {
        self.link.cut();
        actix::Running::Stop
    }
}

impl Handler<LinkArrived> for SessionActor {
    type Result = ResponseActFuture<Self, u64>;

    fn handle(&mut self, LinkArrived(event): LinkArrived, ctx: &mut Self::Context) -> Self::Result {
        let mut rest_us = 0;
        match event {
            LinkEvent::Frame(frame, _permit) => {
                let registry = &self.wiring.registry;
                registry.counters.frames_in.inc();
                let info = self.entry.as_ref().map(|entry| &entry.info);
                registry.tap.record(info, self.session, Direction::In, &frame);
                if let Some(entry) = &self.entry {
                    entry.frames_in.fetch_add(1, Relaxed);
                }
                rest_us = self.state.handle_frame(clock::now_us(), frame);
            }
            LinkEvent::Drained => {}
            LinkEvent::Closed(CloseCause::Framing | CloseCause::Decode(_) | CloseCause::Flood) => {
                self.state.handle_end(CloseReason::Violation(Violation::Undecodable));
            }
            LinkEvent::Closed(CloseCause::Remote | CloseCause::Cut) => {
                self.state.handle_end(CloseReason::Disconnected)
            }
        }
        let asks = self.drive(ctx);
        Box::pin(self.ask(asks).into_actor(self).map(move |replies, session, ctx| {
            session.answer(ctx, replies);
            rest_us
        }))
    }
}

impl Handler<EndSession> for SessionActor {
    type Result = ();

    fn handle(&mut self, EndSession(reason): EndSession, ctx: &mut Self::Context) {
        self.state.handle_end(reason);
        self.drive_alone(ctx);
    }
}
