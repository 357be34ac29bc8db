//! The planner's shell: dials, held sessions, one timer, one state.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message,
    SpawnHandle, WrapFuture as _,
};
use shared::wire::Role;

use super::{
    endpoint::audience,
    messages::{
        ContentUnwanted, GoodputMeasured, IncomingLink, LinkChanged, NodeBanned, PathPlannerConfig,
        PathPlannerRoutes, Stop, UplinkMeasured,
    },
    neighbour::TryId,
    output::PlannerOutput,
    state::PathPlannerState,
};
use crate::{
    clock,
    discovery::{AskPath, NodeGone, PathAnswer, PlanArrived, ReportLinks},
    mailbox::post,
    session::{
        self, AdmitSession, CloseSession, RefuseSession, Remote, SessionActor, SessionEvent, SessionId,
        SessionRoutes, SessionState, Side,
    },
    timer::Timer,
    transport::{self, Dialled, LinkEvents, LinkHandle},
};

/// How often it is looked whether links are used.
const TRAFFIC_INTERVAL: Duration = Duration::from_secs(10);

/// Owns every session with other nodes.
#[derive(Debug)]
pub struct PathPlannerActor {
    config: PathPlannerConfig,
    routes: PathPlannerRoutes,
    state: PathPlannerState,
    dials: BTreeMap<TryId, SpawnHandle>,
    sessions: HashMap<SessionId, OwnedSession>,
    timer: Timer,
}

#[derive(Debug)]
struct OwnedSession {
    addr: Addr<SessionActor>,
    link: LinkHandle,
    remote: Option<Arc<Remote>>,
}

impl PathPlannerActor {
    /// An actor without links; plans and incoming connections make some.
    pub fn new(config: PathPlannerConfig, routes: PathPlannerRoutes) -> Self {
        let own = config.local.identity.node_id();
        let state = PathPlannerState::new(own, config.can_accept, routes.ask_path.is_some(), config.seed);
        let (dials, sessions) = (BTreeMap::new(), HashMap::new());
        Self { config, routes, state, dials, sessions, timer: Timer::default() }
    }

    fn drive(&mut self, ctx: &mut Context<Self>) {
        let now_ms = clock::now_ms();
        if self.state.poll_timeout().is_some_and(|(due_ms, _)| due_ms <= now_ms) {
            self.state.handle_timeout(now_ms);
        }
        while let Some(output) = self.state.poll_output() {
            self.perform(ctx, output);
        }
        let due_ms = self.state.poll_timeout().map(|(due_ms, _)| due_ms);
        self.timer.arm_ms(ctx, due_ms, Self::drive);
    }

    fn perform(&mut self, ctx: &mut Context<Self>, output: PlannerOutput) {
        match output {
            PlannerOutput::Dial { try_id, node, url, side } => {
                tracing::debug!(?node, url, "dialling");
                let (local, audience) = (self.config.local.clone(), audience(&self.config.local, Some(node)));
                let (state, hello) = match side {
                    Side::Dialler => session::call(local, audience),
                    Side::Acceptor => session::receive(local, audience, None),
                };
                let dialling = async move { (transport::dial(&url, hello.as_ref()).await, state) };
                let dial = dialling.into_actor(self).map(move |(dialled, state), actor, ctx| {
                    actor.dials.remove(&try_id);
                    match dialled {
                        Ok(Dialled { link, events, is_answered }) => {
                            let state = match side {
                                Side::Dialler => session::called(state, is_answered),
                                Side::Acceptor => state,
                            };
                            let session = actor.start(ctx, state, link, events);
                            actor.state.handle_dialled(try_id, session);
                        }
                        Err(error) => {
                            tracing::debug!(?node, %error, "not reached");
                            actor.state.handle_dial_failed(clock::now_ms(), try_id);
                        }
                    }
                    actor.drive(ctx);
                });
                self.dials.insert(try_id, ctx.spawn(dial));
            }
            PlannerOutput::Abandon(try_id) => {
                if let Some(dial) = self.dials.remove(&try_id) {
                    ctx.cancel_future(dial);
                }
            }
            PlannerOutput::Admit(session) => self.tell_session(session, AdmitSession),
            PlannerOutput::Close(session, reason) => self.tell_session(session, CloseSession(reason)),
            PlannerOutput::Refuse(session, reason) => self.tell_session(session, RefuseSession(reason)),
            PlannerOutput::Ask(node, kind) => {
                if let Some(ask_path) = &self.routes.ask_path {
                    post(ask_path, AskPath { node, kind });
                }
            }
            PlannerOutput::Up { node, session, path, address, rate_hint_bps, rtt_us } => {
                let owned = self.sessions.get(&session);
                let Some((link, remote)) =
                    owned.and_then(|owned| Some((owned.link.clone(), owned.remote.clone()?)))
                else {
                    return;
                };
                tracing::info!(?node, role = ?remote.role, ?path, address, "linked");
                self.tell(&LinkChanged::Up { node, remote, link, path, address, rate_hint_bps, rtt_us });
            }
            PlannerOutput::Measured(node, rtt_us) => self.tell(&LinkChanged::Measured { node, rtt_us }),
            PlannerOutput::Down(node) => {
                tracing::info!(?node, "link lost");
                self.tell(&LinkChanged::Down { node });
            }
            PlannerOutput::Planned { content_id, nodes, complete } => {
                self.tell(&LinkChanged::SourcesPlanned { content_id, nodes, complete });
            }
            PlannerOutput::Report(report) => {
                if let Some(to) = &self.routes.report {
                    post(to, ReportLinks(report));
                }
            }
        }
    }

    fn tell(&self, change: &LinkChanged) {
        for user in &self.routes.links {
            post(user, change.clone());
        }
    }

    fn tell_session<M>(&self, session: SessionId, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        SessionActor: Handler<M>,
    {
        if let Some(owned) = self.sessions.get(&session) {
            post(&owned.addr.clone().recipient(), message);
        }
    }

    fn start(
        &mut self,
        ctx: &Context<Self>,
        state: SessionState,
        link: LinkHandle,
        events: LinkEvents,
    ) -> SessionId {
        let (to_viewer, to_source) = (&self.routes.to_viewer, &self.routes.to_source);
        let is_origin = self.config.local.role == Role::Origin;
        let routes = SessionRoutes {
            events: ctx.address().recipient(),
            to_viewer: Some(to_viewer.clone()),
            haves: Some(if is_origin { to_source.clone() } else { to_viewer.clone() }),
            to_source: Some(to_source.clone()),
            to_tracker: None,
        };
        let (session, addr) = session::start_held(state, link.clone(), events, routes);
        self.sessions.insert(session, OwnedSession { addr, link, remote: None });
        session
    }
}

impl Actor for PathPlannerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TRAFFIC_INTERVAL, |actor, ctx| {
            let now_ms = clock::now_ms();
            let moved: BTreeMap<SessionId, u64> =
                actor.sessions.iter().map(|(id, owned)| (*id, owned.link.moved_bytes())).collect();
            for (session, moved_bytes) in moved {
                actor.state.handle_traffic(now_ms, session, moved_bytes);
            }
            actor.drive(ctx);
        });
        self.drive(ctx);
    }
}

impl Handler<IncomingLink> for PathPlannerActor {
    type Result = ();

    fn handle(&mut self, IncomingLink { link, events, state }: IncomingLink, ctx: &mut Context<Self>) {
        if !self.state.admits_incoming() {
            tracing::warn!(remote = ?link.remote(), "too many connections without a greeting: cut");
            return link.cut();
        }
        let address = link.remote();
        let session = self.start(ctx, *state, link, events);
        self.state.handle_incoming(session, address);
        self.drive(ctx);
    }
}

impl Handler<SessionEvent> for PathPlannerActor {
    type Result = ();

    fn handle(&mut self, event: SessionEvent, ctx: &mut Context<Self>) {
        let now_ms = clock::now_ms();
        match event {
            SessionEvent::Opened { session, remote, .. } => {
                if let Some(owned) = self.sessions.get_mut(&session) {
                    owned.remote = Some(remote.clone());
                }
                self.state.handle_opened(now_ms, session, remote.node, remote.side);
            }
            SessionEvent::Measured { session, rtt_us, .. } => self.state.handle_measured(session, rtt_us),
            SessionEvent::UplinkProbed { .. } => {}
            SessionEvent::Closed { session, reason, .. } => {
                self.sessions.remove(&session);
                self.state.handle_closed(now_ms, session, &reason);
            }
        }
        self.drive(ctx);
    }
}

macro_rules! commands {
    ($($command:ty => |$state:ident, $now_ms:ident, $message:pat_param| $body:expr),+ $(,)?) => {
        $(impl Handler<$command> for PathPlannerActor {
            type Result = ();

            fn handle(&mut self, $message: $command, ctx: &mut Context<Self>) {
                let ($state, $now_ms) = (&mut self.state, clock::now_ms());
                $body;
                self.drive(ctx);
            }
        })+
    };
}

commands! {
    PlanArrived => |state, now_ms, PlanArrived(plan)| state.handle_plan(now_ms, plan),
    PathAnswer => |state, now_ms, answer| state.handle_answer(now_ms, answer),
    NodeGone => |state, now_ms, NodeGone(node)| state.handle_gone(now_ms, node),
    ContentUnwanted => |state, now_ms, ContentUnwanted { content_id }| state.handle_unwanted(now_ms, &content_id),
    NodeBanned => |state, now_ms, NodeBanned { node, reason }| {
        tracing::warn!(?node, reason, "banned");
        state.handle_ban(now_ms, node)
    },
    GoodputMeasured => |state, _now_ms, GoodputMeasured { node, bps }| state.handle_goodput(node, bps),
    UplinkMeasured => |state, _now_ms, UplinkMeasured { bps }| state.handle_uplink(bps),
}

impl Handler<Stop> for PathPlannerActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        self.state.handle_stop();
        self.drive(ctx);
        ctx.stop();
    }
}
