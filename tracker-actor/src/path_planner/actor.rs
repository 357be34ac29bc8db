//! The path planner's shell: tells clients, dials back, mints relay tokens.

use std::{sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, WrapFuture as _};
use peer_actor::{
    clock,
    identity::{Identity, random_bytes},
    relay::Relays,
    timer::Timer,
};
use shared::{
    NodeId,
    wire::{PathKind, PathOffer, PathRefused, PathRole, TrackerMessage},
};
use tokio::sync::Semaphore;

use super::{
    PathPlannerState, PlannerSnapshot,
    messages::{
        ClientSays, DialBack, HoldersChanged, NodeJoined, NodeLeft, Observe, ObserveSwarm, ProbeFinished,
    },
    probe::{PATIENCE, ProbeQueue, REPROBES_AT_ONCE, SHORT_PATIENCE, is_reachable},
    state::Output,
};
use crate::{
    counters::ActorStats,
    registry::{Registry, SessionId},
};

/// How often members are compared with the sessions that are really there.
const SWEEP: Duration = Duration::from_secs(15);
/// Swarms in a snapshot.
const SNAPSHOT_SWARMS: usize = 100;

/// The path planner.
#[derive(Debug)]
pub struct PathPlannerActor {
    state: PathPlannerState,
    registry: Arc<Registry>,
    stats: Arc<ActorStats>,
    relays: Arc<Relays>,
    identity: Arc<Identity>,
    probes: ProbeQueue,
    reprobes: Arc<Semaphore>,
    timer: Timer,
}

impl PathPlannerActor {
    /// A planner that knows nobody; epochs grow from `first_epoch`.
    pub fn new(
        first_epoch: u64,
        registry: Arc<Registry>,
        stats: Arc<ActorStats>,
        relays: Arc<Relays>,
        identity: Arc<Identity>,
    ) -> Self {
        Self {
            state: PathPlannerState::new(first_epoch),
            registry,
            stats,
            relays,
            identity,
            probes: ProbeQueue::default(),
            reprobes: Arc::new(Semaphore::new(REPROBES_AT_ONCE)),
            timer: Timer::default(),
        }
    }

    fn drive<T>(
        &mut self,
        ctx: &mut Context<Self>,
        input: impl FnOnce(&mut PathPlannerState, u64) -> T,
    ) -> T {
        let began_us = clock::now_us();
        let now_ms = began_us / 1_000;
        self.state.handle_relays(self.relays.in_use(), self.relays.most(), self.relays.limit_bps());
        for _ in 0..self.state.tokens_wanted() {
            if let Ok(token) = random_bytes() {
                self.state.handle_token(token);
            }
        }
        if self.state.poll_timeout().is_some_and(|due| due.at_us <= began_us) {
            self.state.handle_timeout(now_ms);
        }
        let answer = input(&mut self.state, now_ms);
        // What the input made due at once, a plan without the node that just left, follows in the same turn.
        if self.state.poll_timeout().is_some_and(|due| due.at_us <= began_us) {
            self.state.handle_timeout(now_ms);
        }
        while let Some(output) = self.state.poll_output() {
            self.apply(ctx, output);
        }
        self.dial_back(ctx);
        if let Some(due) = self.state.poll_timeout() {
            self.timer.arm_us(ctx, due.at_us, Self::wake);
        }
        self.stats.count(clock::now_us() - began_us);
        answer
    }

    fn apply(&mut self, ctx: &mut Context<Self>, output: Output) {
        match output {
            Output::Tell(node, session, message) => self.tell(node, session, message),
            Output::OfferRelay { viewer, source } => self.offer_relay(viewer, source),
            Output::Probe(dial) => self.probes.ask(dial),
            Output::ProbeAgain(dial) => {
                let Ok(turn) = self.reprobes.clone().try_acquire_owned() else { return };
                let probing = is_reachable(self.identity.clone(), dial, SHORT_PATIENCE);
                let probing = probing.into_actor(self).map(move |is_open, planner, ctx| {
                    drop(turn);
                    planner.probed(ctx, dial, is_open);
                });
                ctx.spawn(probing);
            }
        }
    }

    /// Dials those whose turn it is. What waits for a turn is no future: each of those is looked at whenever anything happens here.
    fn dial_back(&mut self, ctx: &mut Context<Self>) {
        let registry = self.registry.clone();
        while let Some(dial) = self.probes.begin(|dial| registry.is_current(dial.node, dial.session)) {
            let probing = is_reachable(self.identity.clone(), dial, PATIENCE);
            let probing = probing.into_actor(self).map(move |is_open, planner, ctx| {
                planner.probes.end();
                planner.probed(ctx, dial, is_open);
            });
            ctx.spawn(probing);
        }
    }

    fn probed(&mut self, ctx: &mut Context<Self>, dial: DialBack, is_open: bool) {
        let finished = ProbeFinished { node: dial.node, session: dial.session, is_open };
        self.drive(ctx, |state, now_ms| state.handle_probe(now_ms, finished));
    }

    fn tell(&self, node: NodeId, session: SessionId, message: TrackerMessage) {
        self.registry.tell_or_cut(node, session, shared::wire::Message::Tracker(message).into());
    }

    fn offer_relay(&self, viewer: (NodeId, SessionId), source: (NodeId, SessionId)) {
        let Some(token) = self.relays.mint(clock::now_ms(), [viewer.0, source.0]) else {
            let refused = PathRefused { node: source.0, kind: PathKind::Relayed };
            return self.tell(viewer.0, viewer.1, TrackerMessage::PathRefused(refused));
        };
        let offer = |node, role| {
            let token = Some(token);
            TrackerMessage::PathOffer(PathOffer {
                node,
                kind: PathKind::Relayed,
                role,
                addresses: Vec::new(),
                token,
            })
        };
        self.tell(source.0, source.1, offer(viewer.0, PathRole::Accept));
        self.tell(viewer.0, viewer.1, offer(source.0, PathRole::Dial));
    }

    fn wake(&mut self, ctx: &mut Context<Self>) {
        self.drive(ctx, |_, _| ());
    }

    /// Whoever is planned for without a session has lost it unheard.
    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let present = self.state.present().into_iter();
        let lost: Vec<(NodeId, SessionId)> =
            present.filter(|(node, session)| !self.registry.is_current(*node, *session)).collect();
        self.drive(ctx, |state, now_ms| {
            for (node, session) in lost {
                state.handle_left(now_ms, NodeLeft { node, session });
            }
        });
        self.probes.forget_unless(|dial| self.registry.is_current(dial.node, dial.session));
    }
}

impl Actor for PathPlannerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // One message a session at most: the capacity only keeps senders from being parked.
        ctx.set_mailbox_capacity(1_024);
        ctx.run_interval(SWEEP, Self::sweep);
    }
}

impl Handler<NodeJoined> for PathPlannerActor {
    type Result = ();

    fn handle(&mut self, joined: NodeJoined, ctx: &mut Self::Context) {
        self.drive(ctx, |state, now_ms| state.handle_joined(now_ms, joined));
    }
}

impl Handler<NodeLeft> for PathPlannerActor {
    type Result = ();

    fn handle(&mut self, left: NodeLeft, ctx: &mut Self::Context) {
        self.drive(ctx, |state, now_ms| state.handle_left(now_ms, left));
    }
}

impl Handler<ClientSays> for PathPlannerActor {
    type Result = ();

    fn handle(&mut self, says: ClientSays, ctx: &mut Self::Context) {
        self.drive(ctx, |state, now_ms| state.handle_says(now_ms, says));
    }
}

impl Handler<HoldersChanged> for PathPlannerActor {
    type Result = ();

    fn handle(&mut self, HoldersChanged(changes): HoldersChanged, ctx: &mut Self::Context) {
        self.drive(ctx, |state, now_ms| state.handle_holders(now_ms, changes));
    }
}

impl Handler<Observe> for PathPlannerActor {
    type Result = actix::MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let snapshot: PlannerSnapshot = self.state.snapshot(SNAPSHOT_SWARMS);
        actix::MessageResult(snapshot)
    }
}

impl Handler<ObserveSwarm> for PathPlannerActor {
    type Result = actix::MessageResult<ObserveSwarm>;

    fn handle(&mut self, ObserveSwarm(key): ObserveSwarm, _: &mut Self::Context) -> Self::Result {
        actix::MessageResult(self.state.view(clock::now_ms(), key))
    }
}
