//! The session's shell: one link, one timer, one state.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, Recipient, StreamHandler};
use shared::wire::{Frame, HandshakeMessage, LinkMessage, Message, PeerMessage};

use super::{
    messages::{
        AdmitSession, CloseReason, CloseSession, RefuseSession, SessionEvent, SessionFrame, SessionId,
    },
    state::{Audience, LocalNode, Remote, SessionOutput, SessionState, Side},
};
use crate::{
    clock,
    identity::random_bytes,
    mailbox,
    timer::Timer,
    transport::{CloseCause, LinkEvent, LinkEvents, LinkHandle, Permit},
};

/// Time for the last frame (a Reject, a Goodbye) to leave before the socket is cut.
const LINGER: Duration = Duration::from_millis(200);

/// Where a session's news go. A conversation without a listener is a violation.
#[derive(Debug, Clone)]
pub struct SessionRoutes {
    /// Opened, measured, closed.
    pub events: Recipient<SessionEvent>,
    /// Frames that answer this node as a viewer.
    pub to_viewer: Option<Recipient<SessionFrame>>,
    /// What the other end holds: of use to a viewer's side, or, at an origin, to the source's, which sends first what nobody has.
    pub haves: Option<Recipient<SessionFrame>>,
    /// Frames that ask this node as a source, its credit, and the link having drained.
    pub to_source: Option<Recipient<SessionFrame>>,
    /// Frames of the tracker's conversation, in both directions.
    pub to_tracker: Option<Recipient<SessionFrame>>,
}

/// One session.
#[derive(Debug)]
pub struct SessionActor {
    id: SessionId,
    state: SessionState,
    link: LinkHandle,
    events: Option<LinkEvents>,
    routes: SessionRoutes,
    remote: Option<Arc<Remote>>,
    timer: Timer,
    /// Frames that wait for [`AdmitSession`]; their permits bound them.
    held: Option<Vec<(Frame, Option<Permit>)>>,
}

/// A dialler's session before its link is there, and the Hello to dial with.
pub fn call(local: LocalNode, audience: Audience) -> (SessionState, Option<HandshakeMessage>) {
    let mut state = SessionState::new(clock::now_ms(), local, Side::Dialler, audience, fresh_nonce());
    let hello = state.take_greeting();
    (state, hello)
}

/// The session of a dialler whose link is there: the one that dialled, or, where the other end did not understand its Hello, one that says
/// it in its first frame.
pub fn called(state: SessionState, is_answered: bool) -> SessionState {
    if is_answered { state } else { state.anew(clock::now_ms(), fresh_nonce()) }
}

/// An acceptor's session, and what answers the Hello that came with the upgrade.
pub fn receive(
    local: LocalNode,
    audience: Audience,
    hello: Option<HandshakeMessage>,
) -> (SessionState, Option<HandshakeMessage>) {
    let mut state = SessionState::new(clock::now_ms(), local, Side::Acceptor, audience, fresh_nonce());
    let Some(hello) = hello else { return (state, None) };
    state.handle_frame(clock::now_ms(), clock::now_us(), Message::Handshake(hello).into(), fresh_nonce());
    let answer = state.take_greeting();
    (state, answer)
}

/// Starts a session on the current arbiter.
pub fn start(
    state: SessionState,
    link: LinkHandle,
    events: LinkEvents,
    routes: SessionRoutes,
) -> (SessionId, Addr<SessionActor>) {
    start_actor(state, (link, events), routes, None)
}

/// Like [`start`], but no frame is routed before [`AdmitSession`]: whoever judges the session speaks first to those who use it.
pub fn start_held(
    state: SessionState,
    link: LinkHandle,
    events: LinkEvents,
    routes: SessionRoutes,
) -> (SessionId, Addr<SessionActor>) {
    start_actor(state, (link, events), routes, Some(Vec::new()))
}

fn start_actor(
    state: SessionState,
    (link, events): (LinkHandle, LinkEvents),
    routes: SessionRoutes,
    held: Option<Vec<(Frame, Option<Permit>)>>,
) -> (SessionId, Addr<SessionActor>) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = SessionId(NEXT.fetch_add(1, Ordering::Relaxed));
    let events = Some(events);
    let actor = SessionActor { id, state, link, events, routes, remote: None, timer: Timer::default(), held };
    (id, actor.start())
}

/// A nonce from the system; without randomness no session may open, so a zero nonce is never signed twice in practice.
fn fresh_nonce() -> [u8; 32] {
    random_bytes().unwrap_or_else(|error| {
        tracing::error!(%error, "handshakes are not safe without randomness");
        [0; 32]
    })
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(events) = self.events.take() {
            ctx.add_stream(events);
        }
        self.drive(ctx, None);
    }

    fn stopping(&mut self, _: &mut Self::Context) -> actix::Running {
        self.link.cut();
        actix::Running::Stop
    }
}

impl SessionActor {
    fn drive(&mut self, ctx: &mut Context<Self>, mut permit: Option<Permit>) {
        let now_ms = clock::now_ms();
        if self.state.poll_timeout().is_some_and(|(due_ms, _)| due_ms <= now_ms) {
            self.state.handle_timeout(now_ms, clock::now_us());
            self.state.handle_backlog(now_ms, self.link.queued_bytes() as u64, self.link.taken_bytes());
        }
        while let Some(output) = self.state.poll_output() {
            match output {
                SessionOutput::Send(frame) => self.send(frame),
                SessionOutput::Opened(remote) => {
                    tracing::debug!(session = self.id.0, node = ?remote.node, role = ?remote.role, "session opened");
                    self.remote = Some(remote.clone());
                    let link = self.link.clone();
                    self.tell(SessionEvent::Opened { session: self.id, remote, link });
                }
                SessionOutput::Deliver(frame) => self.deliver(frame, permit.take()),
                SessionOutput::Measured(rtt_us) => {
                    if let Some(remote) = self.remote.clone() {
                        self.tell(SessionEvent::Measured { session: self.id, remote, rtt_us });
                    }
                }
                SessionOutput::Probed(bps) => self.tell(SessionEvent::UplinkProbed { bps }),
                SessionOutput::Closed(reason) => return self.close(ctx, reason),
            }
        }
        let due_ms = self.state.poll_timeout().map(|(due_ms, _)| due_ms);
        self.timer.arm_ms(ctx, due_ms, |session: &mut Self, ctx| session.drive(ctx, None));
    }

    fn send(&self, frame: Frame) {
        let is_credit = matches!(frame.message, Message::Link(LinkMessage::Credit(_)));
        let patience = if is_credit { self.state.credit_patience() } else { Duration::ZERO };
        // A full queue means the other end does not read; silence will end the session.
        if self.link.try_send_within(patience, frame).is_err() {
            tracing::debug!(session = self.id.0, "upkeep frame dropped: the link is full");
        }
    }

    fn tell(&self, event: SessionEvent) {
        mailbox::post(&self.routes.events, event);
    }

    fn deliver(&mut self, frame: Frame, permit: Option<Permit>) {
        if let Some(held) = &mut self.held {
            return held.push((frame, permit));
        }
        let Some(remote) = self.remote.clone() else { return };
        let route = match &frame.message {
            Message::Link(LinkMessage::Credit(_)) => &self.routes.to_source,
            Message::Peer(PeerMessage::Have(_)) => &self.routes.haves,
            Message::Peer(
                PeerMessage::Data(_)
                | PeerMessage::Refuse(_)
                | PeerMessage::Assigned(_)
                | PeerMessage::NoFresh(_),
            ) => &self.routes.to_viewer,
            Message::Peer(_) => &self.routes.to_source,
            Message::Tracker(_) => &self.routes.to_tracker,
            Message::Handshake(_) | Message::Link(_) => return,
        };
        tracing::trace!(session = self.id.0, frame = frame.message.name(), "frame");
        if let Some(route) = route {
            let frame = Some(frame);
            mailbox::post(
                route,
                SessionFrame { session: self.id, remote, link: self.link.clone(), frame, permit },
            );
        }
    }

    /// Nothing is told of a session that has ended, though its link lingers for its last word.
    fn drained(&self) {
        if self.held.is_some() {
            return;
        }
        if let (Some(route), Some(remote)) = (&self.routes.to_source, self.state.remote()) {
            let (remote, link) = (remote.clone(), self.link.clone());
            mailbox::post(route, SessionFrame { session: self.id, remote, link, frame: None, permit: None });
        }
    }

    fn close(&mut self, ctx: &mut Context<Self>, reason: CloseReason) {
        tracing::debug!(session = self.id.0, %reason, "session closed");
        let lingers = !matches!(reason, CloseReason::Link(_) | CloseReason::Silent | CloseReason::Deaf);
        self.tell(SessionEvent::Closed { session: self.id, remote: self.remote.clone(), reason });
        if lingers {
            ctx.run_later(LINGER, |_, ctx| ctx.stop());
        } else {
            ctx.stop();
        }
    }
}

impl StreamHandler<LinkEvent> for SessionActor {
    fn handle(&mut self, event: LinkEvent, ctx: &mut Context<Self>) {
        match event {
            LinkEvent::Frame(frame, permit) => {
                // Once the handshake is over nothing is signed any more.
                let nonce = if self.remote.is_none() { fresh_nonce() } else { Default::default() };
                self.state.handle_frame(clock::now_ms(), clock::now_us(), frame, nonce);
                self.drive(ctx, Some(permit));
            }
            LinkEvent::Drained => self.drained(),
            LinkEvent::Closed(cause) => {
                self.state.handle_link_closed(cause);
                self.drive(ctx, None);
            }
        }
    }

    fn finished(&mut self, ctx: &mut Context<Self>) {
        self.state.handle_link_closed(CloseCause::Remote);
        self.drive(ctx, None);
    }
}

impl Handler<CloseSession> for SessionActor {
    type Result = ();

    fn handle(&mut self, CloseSession(reason): CloseSession, ctx: &mut Context<Self>) {
        self.state.handle_close(reason);
        self.drive(ctx, None);
    }
}

impl Handler<RefuseSession> for SessionActor {
    type Result = ();

    fn handle(&mut self, RefuseSession(reason): RefuseSession, ctx: &mut Context<Self>) {
        self.state.handle_refuse(reason);
        self.drive(ctx, None);
    }
}

impl Handler<AdmitSession> for SessionActor {
    type Result = ();

    fn handle(&mut self, _: AdmitSession, ctx: &mut Context<Self>) {
        let held = self.held.take();
        if self.state.remote().is_none() {
            return;
        }
        for (frame, permit) in held.into_iter().flatten() {
            self.deliver(frame, permit);
        }
        self.drained();
        self.drive(ctx, None);
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        ContentId,
        wire::{self, GoodbyeReason, Role},
    };
    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        identity::Identity,
        transport::{LinkCore, link},
    };

    /// Hears everything a session tells; ends with it.
    struct Listener(mpsc::Sender<&'static str>);

    impl Actor for Listener {
        type Context = Context<Self>;
    }

    impl Handler<SessionEvent> for Listener {
        type Result = ();

        fn handle(&mut self, event: SessionEvent, _: &mut Context<Self>) {
            let told = match event {
                SessionEvent::Opened { .. } => "opened",
                SessionEvent::Measured { .. } | SessionEvent::UplinkProbed { .. } => return,
                SessionEvent::Closed { .. } => "closed",
            };
            self.0.try_send(told).unwrap();
        }
    }

    impl Handler<SessionFrame> for Listener {
        type Result = ();

        fn handle(&mut self, frame: SessionFrame, _: &mut Context<Self>) {
            self.0.try_send(frame.frame.map_or("drained", |_| "frame")).unwrap();
        }
    }

    fn local() -> LocalNode {
        let identity = Arc::new(Identity::generate().unwrap());
        LocalNode { identity, role: Role::Peer, kind: None, agent: "test".into() }
    }

    /// A session that was opened by the other end, which then asks for something and says goodbye.
    fn left(
        start: impl FnOnce(SessionState, LinkHandle, LinkEvents, SessionRoutes) -> (SessionId, Addr<SessionActor>),
    ) -> (LinkCore, Addr<SessionActor>, mpsc::Receiver<&'static str>) {
        let audience = Audience { node: None, kind: None, tracker: false };
        let (mut dialler, hello) = call(local(), audience);
        let (acceptor, answer) = receive(local(), audience, hello);
        dialler.handle_frame(0, 0, Message::Handshake(answer.unwrap()).into(), [0; 32]);
        let (mut core, _, events) = link(None, None);
        while let Some(output) = dialler.poll_output() {
            if let SessionOutput::Send(frame) = output {
                assert!(core.message_arrived(wire::encode(&frame)));
            }
        }
        assert!(core.message_arrived(wire::encode(&wire::Open { content_id: ContentId([7; 32]) }.into())));
        let goodbye = wire::Goodbye { reason: GoodbyeReason::Leaving };
        assert!(core.message_arrived(wire::encode(&goodbye.into())));
        let (sender, told) = mpsc::channel(64);
        let listener = Listener(sender).start();
        let routes = SessionRoutes {
            events: listener.clone().recipient(),
            to_viewer: Some(listener.clone().recipient()),
            haves: Some(listener.clone().recipient()),
            to_source: Some(listener.recipient()),
            to_tracker: None,
        };
        let (_, session) = start(acceptor, core.handle.clone(), events, routes);
        (core, session, told)
    }

    async fn all(mut told: mpsc::Receiver<&'static str>) -> Vec<&'static str> {
        let mut all = Vec::new();
        while let Some(one) = told.recv().await {
            all.push(one);
        }
        all
    }

    #[actix_rt::test]
    async fn nothing_is_told_of_a_session_after_its_end_while_its_link_lingers() {
        let (core, session, told) = left(super::start);
        core.sent_counter()(0);
        drop(session);
        assert_eq!(all(told).await, ["opened", "frame", "frame", "closed"]);
    }

    #[actix_rt::test]
    async fn a_session_that_ended_before_it_was_admitted_routes_nothing() {
        let (_core, session, mut told) = left(start_held);
        while let Some(one) = told.recv().await
            && one != "closed"
        {}
        // That it has stopped by now is as good.
        session.send(AdmitSession).await.unwrap_or_default();
        drop(session);
        assert!(all(told).await.is_empty());
    }
}
