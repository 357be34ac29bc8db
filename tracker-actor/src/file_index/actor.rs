//! The file index's shell: publishes to the registry, tells subscribers, hands holders to the planner one batch at a time.

use std::{sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Recipient, WrapFuture as _};
use peer_actor::{clock, timer::Timer};
use shared::limits::{LINK_OUTBOUND_BYTES, MAX_BODY_BYTES};

use super::{
    FileIndexState, IndexSnapshot,
    messages::{ClientSays, FilesOutcome, IndexRequest, NodeJoined, NodeLeft, Observe},
    state::Output,
};
use crate::{
    counters::ActorStats,
    path_planner::HoldersChanged,
    registry::{Registry, TellError},
    session::CloseReason,
};

/// Holder changes in one message to the planner.
const HOLDERS_PER_BATCH: usize = 512;
/// A subscriber whose link has more to send than this is told no more of the catalogue, which can wait. The rest of its queue is for
/// plans and answers: who has no room for those is taken not to read, and cut.
const CATALOGUE_QUEUE_BYTES: usize = 128 * 1024;
/// How often lists are compared with the sessions that are really there.
const SWEEP: Duration = Duration::from_secs(15);

const _: () = assert!(CATALOGUE_QUEUE_BYTES + MAX_BODY_BYTES <= LINK_OUTBOUND_BYTES / 4);

/// The file index.
#[derive(Debug)]
pub struct FileIndexActor {
    state: FileIndexState,
    registry: Arc<Registry>,
    stats: Arc<ActorStats>,
    planner: Recipient<HoldersChanged>,
    is_planner_busy: bool,
    timer: Timer,
}

impl FileIndexActor {
    /// An empty index that tells `planner` who holds what.
    pub fn new(registry: Arc<Registry>, stats: Arc<ActorStats>, planner: Recipient<HoldersChanged>) -> Self {
        Self {
            state: FileIndexState::default(),
            registry,
            stats,
            planner,
            is_planner_busy: false,
            timer: Timer::default(),
        }
    }

    fn drive<T>(&mut self, ctx: &mut Context<Self>, input: impl FnOnce(&mut FileIndexState, u64) -> T) -> T {
        let began_us = clock::now_us();
        let now_ms = began_us / 1_000;
        if self.state.poll_timeout().is_some_and(|due| due.at_us <= began_us) {
            self.state.handle_timeout(now_ms);
        }
        let answer = input(&mut self.state, now_ms);
        while let Some(output) = self.state.poll_output() {
            self.apply(now_ms, output);
        }
        self.feed_planner(ctx);
        if let Some(due) = self.state.poll_timeout() {
            self.timer.arm_us(ctx, due.at_us, Self::wake);
        }
        self.stats.count(clock::now_us() - began_us);
        answer
    }

    fn apply(&mut self, now_ms: u64, output: Output) {
        match output {
            Output::Publish(key, entry) => self.registry.publish(key, entry),
            Output::Retract(key) => self.registry.retract(key),
            Output::PublishHints(key, hints) => self.registry.publish_hints(key, hints),
            Output::RetractHints(key) => self.registry.retract_hints(key),
            Output::Tell(node, session, delta) => {
                let told = self.registry.tell_behind(node, session, CATALOGUE_QUEUE_BYTES, delta.into());
                if let Err(TellError::Full { taken_bytes }) = told {
                    self.state.handle_refused(now_ms, node, session, taken_bytes);
                }
            }
            Output::Cut(node, session) => self.registry.end(node, session, CloseReason::NotReading),
        }
    }

    fn feed_planner(&mut self, ctx: &mut Context<Self>) {
        if self.is_planner_busy {
            return;
        }
        let batch = self.state.poll_holders(HOLDERS_PER_BATCH);
        if batch.is_empty() {
            return;
        }
        self.is_planner_busy = true;
        let feeding = self.planner.send(HoldersChanged(batch)).into_actor(self).map(|heard, index, ctx| {
            if heard.is_err() {
                tracing::debug!("the path planner has stopped");
            }
            index.is_planner_busy = false;
            index.drive(ctx, |_, _| ());
        });
        ctx.spawn(feeding);
    }

    fn wake(&mut self, ctx: &mut Context<Self>) {
        self.drive(ctx, |_, _| ());
    }

    /// Whoever is listed without a session has lost it unheard.
    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let lost: Vec<NodeLeft> = self
            .state
            .present()
            .filter(|(node, session)| !self.registry.is_current(*node, *session))
            .map(|(node, session)| NodeLeft { node, session, for_good: false })
            .collect();
        self.drive(ctx, |state, now_ms| lost.into_iter().for_each(|left| state.handle_left(now_ms, left)));
    }
}

impl Actor for FileIndexActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // One message a session at most: the capacity only keeps senders from being parked.
        ctx.set_mailbox_capacity(1_024);
        ctx.run_interval(SWEEP, Self::sweep);
    }
}

impl Handler<NodeJoined> for FileIndexActor {
    type Result = u64;

    fn handle(&mut self, joined: NodeJoined, ctx: &mut Self::Context) -> u64 {
        self.drive(ctx, |state, now_ms| state.handle_joined(now_ms, joined))
    }
}

impl Handler<NodeLeft> for FileIndexActor {
    type Result = ();

    fn handle(&mut self, left: NodeLeft, ctx: &mut Self::Context) {
        self.drive(ctx, |state, now_ms| state.handle_left(now_ms, left));
    }
}

impl Handler<ClientSays> for FileIndexActor {
    type Result = actix::MessageResult<ClientSays>;

    fn handle(&mut self, says: ClientSays, ctx: &mut Self::Context) -> Self::Result {
        let ClientSays { node, session, request } = says;
        let outcome: FilesOutcome = self.drive(ctx, |state, now_ms| match request {
            IndexRequest::Files(delta) => state.handle_files(now_ms, node, session, delta),
            IndexRequest::Hints(put) => state.handle_hints(node, session, put),
        });
        actix::MessageResult(outcome)
    }
}

impl Handler<Observe> for FileIndexActor {
    type Result = actix::MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let snapshot: IndexSnapshot = self.state.snapshot();
        actix::MessageResult(snapshot)
    }
}
