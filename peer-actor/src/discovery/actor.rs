//! Discovery's shell: one dial or one session at a time, one timer, one state.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, ResponseFuture,
    WrapFuture as _,
};
use shared::{
    ContentId,
    limits::LINK_OUTBOUND_BYTES,
    wire::{Frame, Hints, Message, RelayGrant},
};
use tokio::sync::oneshot;

use super::{
    messages::{
        AskPath, DiscoveryConfig, DiscoveryRoutes, FetchHints, ForgetContent, NetworkChanged, NodeGone,
        OwnFiles, PlanArrived, ReadOwnHints, ReportHoldings, ReportLinks, Stop, UplinkProbed, WatchContent,
    },
    state::{DiscoveryOutput, DiscoveryState},
};
use crate::{
    clock,
    mailbox::post,
    session::{
        self, Audience, CloseSession, SessionActor, SessionEvent, SessionFrame, SessionId, SessionRoutes,
        SessionState,
    },
    timer::Timer,
    transport::{self, DialError, Dialled, LinkHandle},
};

/// The link is given more to send while less than this waits.
const SEND_BELOW_BYTES: usize = LINK_OUTBOUND_BYTES / 4;
/// How long the file index may take to read hints.
const READ_HINTS_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is looked at what is relayed for others.
const RELAY_USE_INTERVAL: Duration = Duration::from_secs(2);

type HintsWaiters = Vec<oneshot::Sender<Option<Arc<Hints>>>>;

/// Owns the tracker link.
#[derive(Debug)]
pub struct DiscoveryActor {
    config: DiscoveryConfig,
    routes: DiscoveryRoutes,
    state: DiscoveryState,
    session: Option<(SessionId, Addr<SessionActor>)>,
    link: Option<LinkHandle>,
    /// What was polled and did not fit.
    unsent: Option<Frame>,
    waiters: BTreeMap<ContentId, HintsWaiters>,
    /// Once is enough: a tracker that comes back is not sent the trains of all its clients.
    has_probed: bool,
    timer: Timer,
}

impl DiscoveryActor {
    /// An actor that dials the tracker as soon as it starts.
    pub fn new(config: DiscoveryConfig, routes: DiscoveryRoutes) -> Self {
        let state = DiscoveryState::new(clock::now_ms(), &config, routes.own_hints.is_some());
        Self {
            config,
            routes,
            state,
            session: None,
            link: None,
            unsent: None,
            waiters: BTreeMap::new(),
            has_probed: false,
            timer: Timer::default(),
        }
    }

    fn drive(&mut self, ctx: &mut Context<Self>) {
        let now_ms = clock::now_ms();
        if self.state.poll_timeout().is_some_and(|(due_ms, _)| due_ms <= now_ms) {
            self.state.handle_timeout(now_ms);
        }
        while let Some(output) = self.state.poll_output() {
            self.perform(ctx, output);
        }
        self.send();
        let due_ms = self.state.poll_timeout().map(|(due_ms, _)| due_ms);
        self.timer.arm_ms(ctx, due_ms, Self::drive);
    }

    fn perform(&mut self, ctx: &mut Context<Self>, output: DiscoveryOutput) {
        match output {
            DiscoveryOutput::Dial(url) => {
                tracing::debug!(url, "dialling the tracker");
                let audience = Audience { node: None, kind: None, tracker: true };
                let (state, hello) = session::call(self.config.local.clone(), audience);
                let dialling = async move { (transport::dial(&url, hello.as_ref()).await, state) };
                ctx.spawn(dialling.into_actor(self).map(|(dialled, state), actor, ctx| {
                    actor.dialled(ctx, dialled, state);
                }));
            }
            DiscoveryOutput::Close(id, reason) => {
                if let Some((session, addr)) = &self.session
                    && *session == id
                {
                    post(&addr.clone().recipient(), CloseSession(reason));
                }
            }
            DiscoveryOutput::Plan(plan) => {
                for route in &self.routes.plans {
                    post(route, PlanArrived(plan.clone()));
                }
            }
            DiscoveryOutput::Path(answer) => post(&self.routes.paths, answer),
            DiscoveryOutput::Gone(node) => post(&self.routes.gone, NodeGone(node)),
            DiscoveryOutput::Grant(RelayGrant { token, ends, .. }) => {
                let granted = self.routes.relays.grant(clock::now_ms(), token, ends);
                tracing::debug!(granted, one = %ends[0].short(), two = %ends[1].short(), "asked to relay");
                self.state.handle_granted(token, granted);
            }
            DiscoveryOutput::Network(files, status) => {
                tracing::debug!(files = files.len(), ?status, "network");
                post(&self.routes.network, NetworkChanged { files, status });
            }
            DiscoveryOutput::Hints(content_id, hints) => {
                for waiter in self.waiters.remove(&content_id).into_iter().flatten() {
                    if waiter.send(hints.clone()).is_err() {
                        tracing::trace!("whoever asked for hints has gone");
                    }
                }
            }
            DiscoveryOutput::ReadHints(content_id) => self.read_hints(ctx, content_id),
        }
    }

    fn dialled(&mut self, ctx: &mut Context<Self>, dialled: Result<Dialled, DialError>, state: SessionState) {
        match dialled {
            Ok(Dialled { link, events, is_answered }) => {
                let routes = SessionRoutes {
                    events: ctx.address().recipient(),
                    to_viewer: None,
                    haves: None,
                    // Told when the link has drained.
                    to_source: Some(ctx.address().recipient()),
                    to_tracker: Some(ctx.address().recipient()),
                };
                let mut state = session::called(state, is_answered);
                if !self.has_probed {
                    state.probe_uplink();
                }
                let (id, addr) = session::start(state, link, events, routes);
                self.session = Some((id, addr));
                self.state.handle_dialled(id);
            }
            Err(error) => self.state.handle_dial_failed(clock::now_ms(), &error.to_string()),
        }
        self.drive(ctx);
    }

    fn read_hints(&self, ctx: &mut Context<Self>, content_id: ContentId) {
        let Some(reader) = self.routes.own_hints.clone() else { return };
        let reading = async move {
            let read = reader.send(ReadOwnHints { content_id });
            tokio::time::timeout(READ_HINTS_TIMEOUT, read).await.ok().and_then(Result::ok).flatten()
        };
        ctx.spawn(reading.into_actor(self).map(move |hints, actor, ctx| {
            actor.state.handle_own_hints(clock::now_ms(), content_id, hints);
            actor.drive(ctx);
        }));
    }

    /// Gives the link what it has room for; it says when there is room again.
    fn send(&mut self) {
        let Some(link) = &self.link else { return };
        while !link.is_closed() && link.drained_bytes() < SEND_BELOW_BYTES {
            let unsent = self
                .unsent
                .take()
                .or_else(|| self.state.poll_send().map(|message| Frame::from(Message::from(message))));
            let Some(frame) = unsent else { return };
            if link.try_send(frame.clone()).is_err() {
                self.unsent = Some(frame);
                return;
            }
        }
    }

    fn drop_link(&mut self, session: SessionId) {
        if self.session.as_ref().is_some_and(|(current, _)| *current == session) {
            self.session = None;
            self.link = None;
            self.unsent = None;
        }
    }
}

impl Actor for DiscoveryActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(RELAY_USE_INTERVAL, |actor, ctx| {
            let relays = &actor.routes.relays;
            relays.expire(clock::now_ms());
            actor.state.handle_relay_use(relays.in_use() as u32, relays.carried_bytes());
            actor.drive(ctx);
        });
        self.drive(ctx);
    }
}

impl Handler<SessionEvent> for DiscoveryActor {
    type Result = ();

    fn handle(&mut self, event: SessionEvent, ctx: &mut Context<Self>) {
        match event {
            SessionEvent::Opened { session, link, .. } => {
                let tracker = link.remote();
                if self.session.as_ref().is_some_and(|(current, _)| *current == session) {
                    self.link = Some(link);
                    self.unsent = None;
                    self.has_probed = true;
                }
                self.state.handle_opened(clock::now_ms(), session, tracker);
            }
            SessionEvent::Measured { .. } => {}
            SessionEvent::UplinkProbed { bps } => post(&self.routes.uplink, UplinkProbed { bps }),
            SessionEvent::Closed { session, reason, .. } => {
                self.drop_link(session);
                self.state.handle_closed(clock::now_ms(), session, &reason);
            }
        }
        self.drive(ctx);
    }
}

impl Handler<SessionFrame> for DiscoveryActor {
    type Result = ();

    fn handle(&mut self, arrived: SessionFrame, ctx: &mut Context<Self>) {
        if let Some(Frame { message: Message::Tracker(message), .. }) = arrived.frame {
            self.state.handle_message(clock::now_ms(), arrived.session, message);
        }
        self.drive(ctx);
    }
}

macro_rules! commands {
    ($($command:ident => |$state:ident, $message:pat_param| $body:expr),+ $(,)?) => {
        $(impl Handler<$command> for DiscoveryActor {
            type Result = ();

            fn handle(&mut self, $message: $command, ctx: &mut Context<Self>) {
                let $state = &mut self.state;
                $body;
                self.drive(ctx);
            }
        })+
    };
}

commands! {
    WatchContent => |state, WatchContent { content_id, playhead_leaf }| state.handle_watch(content_id, playhead_leaf),
    ForgetContent => |state, ForgetContent { content_id }| state.handle_forget(content_id),
    OwnFiles => |state, OwnFiles { changed, removed }| state.handle_own_files(changed, removed),
    ReportLinks => |state, ReportLinks(report)| state.handle_report(report),
    ReportHoldings => |state, ReportHoldings(holdings)| state.handle_holdings(holdings),
    AskPath => |state, AskPath { node, kind }| state.handle_ask_path(node, kind),
}

impl Handler<FetchHints> for DiscoveryActor {
    type Result = ResponseFuture<Option<Hints>>;

    fn handle(&mut self, FetchHints { content_id }: FetchHints, ctx: &mut Context<Self>) -> Self::Result {
        let (waiter, answer) = oneshot::channel();
        self.waiters.entry(content_id).or_default().push(waiter);
        self.state.handle_fetch_hints(clock::now_ms(), content_id);
        self.drive(ctx);
        Box::pin(async move { answer.await.ok().flatten().map(Arc::unwrap_or_clone) })
    }
}

impl Handler<Stop> for DiscoveryActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        self.state.handle_stop();
        self.drive(ctx);
        ctx.stop();
    }
}
