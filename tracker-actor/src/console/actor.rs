//! The console's shell: one WebSocket of one browser, on actix-web-actors; an update leaves only when the browser has asked for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Running, StreamHandler, WrapFuture as _,
};
use actix_web_actors::ws;
use peer_actor::clock;

use super::{
    messages::{Tables, Update},
    state::{ConsoleState, Due, LINES_PER_UPDATE},
};
use crate::observe::Observatory;

/// How often an update may leave.
const TICK: Duration = Duration::from_millis(100);
/// Browsers at once.
pub(super) const MAX_CONSOLES: usize = 16;

/// One browser watching.
#[derive(Debug)]
pub struct ConsoleActor {
    state: ConsoleState,
    observatory: Observatory,
    is_watching: bool,
    is_observing: bool,
    _place: Place,
}

/// A place among the browsers; given back on drop.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Place {
    /// A place, if there is one.
    pub fn take(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(taken.clone());
        (taken.fetch_add(1, Relaxed) < MAX_CONSOLES).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl ConsoleActor {
    /// A console that looks through `observatory`.
    pub fn new(observatory: Observatory, place: Place) -> Self {
        Self {
            state: ConsoleState::default(),
            observatory,
            is_watching: false,
            is_observing: false,
            _place: place,
        }
    }

    fn tick(&mut self, ctx: &mut ws::WebsocketContext<Self>) {
        let last_number = self.observatory.registry.tap.last_number();
        let Some(due) = self.state.poll_due(clock::now_ms(), last_number) else { return };
        if self.is_observing {
            return;
        }
        if due.tables {
            self.is_observing = true;
            let observatory = self.observatory.clone();
            let explained = self.state.explained();
            let observing = async move { observatory.tables(explained).await };
            ctx.spawn(observing.into_actor(self).map(move |tables, console, ctx| {
                console.is_observing = false;
                console.send(ctx, due, Some(tables));
            }));
        } else {
            self.send(ctx, due, None);
        }
    }

    fn send(&mut self, ctx: &mut ws::WebsocketContext<Self>, due: Due, tables: Option<Tables>) {
        let tap = &self.observatory.registry.tap;
        let (lines, read_to, lost_lines) = match due.lines_after {
            Some(after) => tap.read(after, LINES_PER_UPDATE, |line| self.state.lets_through(line)),
            None => (Vec::new(), 0, 0),
        };
        let now_ms = clock::now_ms();
        match serde_json::to_string(&Update { now_ms, tables, lines, lost_lines }) {
            Ok(text) => ctx.text(text),
            Err(error) => tracing::error!(%error, "a console update could not be written"),
        }
        self.state.handle_sent(now_ms, due, read_to);
    }

    fn follow_tracing(&mut self) {
        let tap = &self.observatory.registry.tap;
        match (self.state.is_tracing(), self.is_watching) {
            (true, false) => tap.watch(),
            (false, true) => tap.unwatch(),
            _ => return,
        }
        self.is_watching = self.state.is_tracing();
    }
}

impl Actor for ConsoleActor {
    type Context = ws::WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, Self::tick);
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        if std::mem::take(&mut self.is_watching) {
            self.observatory.registry.tap.unwatch();
        }
        Running::Stop
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for ConsoleActor {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        match message {
            Ok(ws::Message::Text(text)) => {
                let last_number = self.observatory.registry.tap.last_number();
                if let Err(error) = self.state.handle_text(&text, last_number) {
                    let description = Some(error.to_string());
                    ctx.close(Some(ws::CloseReason { code: ws::CloseCode::Unsupported, description }));
                    ctx.stop();
                }
                self.follow_tracing();
            }
            Ok(ws::Message::Ping(bytes)) => ctx.pong(&bytes),
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => {}
            Ok(ws::Message::Binary(_) | ws::Message::Continuation(_) | ws::Message::Close(_)) | Err(_) => {
                ctx.stop()
            }
        }
    }
}
