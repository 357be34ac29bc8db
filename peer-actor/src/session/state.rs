//! The session as a pure state machine: handshake, keepalive, round trip, credit.
//!
//! Drive it: `handle_*`, then drain [`SessionState::poll_output`], then arm a timer for [`SessionState::poll_timeout`].

use std::{collections::VecDeque, sync::Arc, time::Duration};

use shared::{
    MediaKind, NodeId,
    limits::{HANDSHAKE_TIMEOUT_MS, PING_INTERVAL_MS, SILENCE_TIMEOUT_MS},
    wire::{
        self, Capabilities, Frame, GoodbyeReason, HandshakeMessage, LinkMessage, Message, Nonce,
        PROTOCOL_VERSION, RejectReason, Role,
    },
};

use super::{
    credit::{Credit, Overdrawn},
    messages::CloseReason,
    round_trip::RoundTrip,
    train::Train,
};
use crate::{
    identity::{Identity, is_signed_by},
    transport::CloseCause,
};

/// Doubled after each of the first pings.
const FIRST_PING_PAUSE_MS: u64 = 250;
/// How often the round trip of a link is measured that is in use.
const MEASURE_INTERVAL_MS: u64 = 16_000;

/// Who this node is, in every handshake.
#[derive(Debug, Clone)]
pub struct LocalNode {
    /// The key.
    pub identity: Arc<Identity>,
    /// What this endpoint is.
    pub role: Role,
    /// The kind of media a client wants.
    pub kind: Option<MediaKind>,
    /// Program and version.
    pub agent: String,
}

/// Which end of the handshake this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Says Hello.
    Dialler,
    /// Awaits Hello.
    Acceptor,
}

/// Whom a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    /// The node that must be at the other end, when it is known.
    pub node: Option<NodeId>,
    /// The kind of media the other end must be of; an end without a kind suits all.
    pub kind: Option<MediaKind>,
    /// Whether a tracker is expected (else a peer or origin).
    pub tracker: bool,
}

/// Who is at the other end, proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its public key.
    pub node: NodeId,
    /// What it is.
    pub role: Role,
    /// The kind of media it wants.
    pub kind: Option<MediaKind>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Its program, for logs.
    pub agent: String,
    /// Which end said Hello here.
    pub side: Side,
}

/// What the shell does next.
#[derive(Debug)]
pub enum SessionOutput {
    /// Send this.
    Send(Frame),
    /// Both keys are proved.
    Opened(Arc<Remote>),
    /// Route the frame just handled to its conversation.
    Deliver(Frame),
    /// The round trip of the path was measured again.
    Measured(u32),
    /// This node's uplink carries so many bits per second, to the other end at least.
    Probed(u64),
    /// Nothing follows; cut the link.
    Closed(CloseReason),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    AwaitWelcome { own_nonce: Nonce },
    AwaitHello,
    AwaitConfirm { remote: Arc<Remote>, transcript: Vec<u8> },
    Open { remote: Arc<Remote> },
    Closed,
}

/// One session.
#[derive(Debug)]
pub struct SessionState {
    local: LocalNode,
    audience: Audience,
    phase: Phase,
    outputs: VecDeque<SessionOutput>,
    started_ms: u64,
    heard_ms: u64,
    pinged_ms: u64,
    ping: Option<(u64, u64)>,
    ping_count: u64,
    round_trip: RoundTrip,
    train: Train,
    credit: Credit,
    /// What the socket had taken when it was last looked at, and since when it has not taken more although more waits.
    taken_bytes: u64,
    deaf_since_ms: Option<u64>,
}

impl SessionState {
    /// A session at `now_ms`; `nonce` is fresh randomness, which a dialler sends at once.
    pub fn new(now_ms: u64, local: LocalNode, side: Side, audience: Audience, nonce: Nonce) -> Self {
        let mut state = Self {
            local,
            audience,
            phase: Phase::AwaitHello,
            outputs: VecDeque::new(),
            started_ms: now_ms,
            heard_ms: now_ms,
            pinged_ms: now_ms,
            ping: None,
            ping_count: 0,
            round_trip: RoundTrip::default(),
            train: Train::default(),
            credit: Credit::new(),
            taken_bytes: 0,
            deaf_since_ms: None,
        };
        if side == Side::Dialler {
            state.phase = Phase::AwaitWelcome { own_nonce: nonce };
            let hello = wire::Hello {
                version: PROTOCOL_VERSION,
                node: state.local.identity.node_id(),
                role: state.local.role,
                kind: state.local.kind,
                capabilities: Capabilities::default(),
                nonce,
                agent: state.local.agent.clone(),
            };
            state.send(hello);
        }
        state
    }

    /// The same dialler with another Hello still to be said, for an other end that did not take the first.
    pub(super) fn anew(self, now_ms: u64, nonce: Nonce) -> Self {
        Self::new(now_ms, self.local, Side::Dialler, self.audience, nonce)
    }

    /// Probes what this node's uplink carries, once the session is open.
    pub const fn probe_uplink(&mut self) {
        self.train.want();
    }

    /// Takes out what this end says first, so that it can be said with the WebSocket's upgrade: a dialler's Hello, or an acceptor's answer
    /// to one. It is not said again.
    pub fn take_greeting(&mut self) -> Option<HandshakeMessage> {
        let first = self.outputs.pop_front_if(|output| {
            matches!(output, SessionOutput::Send(Frame { message: Message::Handshake(_), .. }))
        })?;
        let SessionOutput::Send(Frame { message: Message::Handshake(greeting), .. }) = first else {
            return None;
        };
        Some(greeting)
    }

    /// A frame came in. `fresh_nonce` is used when it is a Hello.
    pub fn handle_frame(&mut self, now_ms: u64, now_us: u64, frame: Frame, fresh_nonce: Nonce) {
        if self.phase == Phase::Closed {
            return;
        }
        self.heard_ms = now_ms;
        match frame.message {
            Message::Handshake(message) => self.handle_handshake(now_ms, message, fresh_nonce),
            Message::Link(message) => self.handle_link(now_us, message),
            Message::Tracker(_) | Message::Peer(_) if !self.is_open() => {
                self.violate("media before the handshake")
            }
            Message::Tracker(_) if !self.audience.tracker && self.local.role != Role::Tracker => {
                self.violate("a tracker's frame on a peer's link");
            }
            Message::Peer(_) if self.audience.tracker || self.local.role == Role::Tracker => {
                self.violate("a peer's frame on a tracker's link");
            }
            Message::Tracker(_) | Message::Peer(_) => {
                self.account_data(now_us, &frame);
                if self.is_open() {
                    self.outputs.push_back(SessionOutput::Deliver(frame));
                }
            }
        }
    }

    /// The link ended.
    pub fn handle_link_closed(&mut self, cause: CloseCause) {
        self.close(CloseReason::Link(cause));
    }

    /// End politely.
    pub fn handle_close(&mut self, reason: GoodbyeReason) {
        if self.is_open() {
            self.send(wire::Goodbye { reason });
        }
        self.close(CloseReason::Ended(reason));
    }

    /// End because the other end is not wanted, and say so.
    pub fn handle_refuse(&mut self, reason: RejectReason) {
        if self.phase != Phase::Closed {
            self.turn_away(reason);
        }
    }

    /// What waits to be taken by the socket, and what it has taken in all. Whoever takes nothing for as long as it may be silent is deaf,
    /// however much it has to say.
    pub fn handle_backlog(&mut self, now_ms: u64, waiting_bytes: u64, taken_bytes: u64) {
        if waiting_bytes == 0 || self.taken_bytes != taken_bytes {
            self.deaf_since_ms = None;
        }
        self.taken_bytes = taken_bytes;
        if waiting_bytes == 0 || !self.is_open() {
            return;
        }
        let since_ms = *self.deaf_since_ms.get_or_insert(now_ms);
        if now_ms >= since_ms + SILENCE_TIMEOUT_MS {
            self.close(CloseReason::Deaf);
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now_ms: u64, now_us: u64) {
        match self.phase {
            Phase::Closed => {}
            Phase::Open { .. } => {
                self.tell_credit(now_us);
                self.train.leaves(now_ms).for_each(|probe| self.send(probe));
                if now_ms >= self.heard_ms + SILENCE_TIMEOUT_MS {
                    self.close(CloseReason::Silent);
                } else if now_ms >= self.ping_due_ms() {
                    self.ping_count += 1;
                    self.pinged_ms = now_ms;
                    self.ping = Some((self.ping_count, now_us));
                    self.send(wire::Ping { nonce: self.ping_count });
                }
            }
            Phase::AwaitWelcome { .. } | Phase::AwaitHello | Phase::AwaitConfirm { .. } => {
                if now_ms >= self.started_ms + HANDSHAKE_TIMEOUT_MS {
                    self.close(CloseReason::HandshakeTimeout);
                }
            }
        }
    }

    /// When [`Self::handle_timeout`] is due, and why.
    pub fn poll_timeout(&self) -> Option<(u64, &'static str)> {
        match self.phase {
            Phase::Closed => None,
            Phase::Open { .. } => {
                let silence = (self.heard_ms + SILENCE_TIMEOUT_MS, "silence");
                let news = self.credit.news_at_us().map(|at_us| (at_us.div_ceil(1_000), "credit"));
                let train = self.train.due_ms().map(|at_ms| (at_ms, "train"));
                [silence, (self.ping_due_ms(), "ping")].into_iter().chain(news).chain(train).min()
            }
            Phase::AwaitWelcome { .. } | Phase::AwaitHello | Phase::AwaitConfirm { .. } => {
                Some((self.started_ms + HANDSHAKE_TIMEOUT_MS, "handshake"))
            }
        }
    }

    /// The next thing to do; drain after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<SessionOutput> {
        self.outputs.pop_front()
    }

    /// Who is at the other end, once proved and while open.
    pub fn remote(&self) -> Option<&Arc<Remote>> {
        match &self.phase {
            Phase::Open { remote } => Some(remote),
            Phase::AwaitWelcome { .. } | Phase::AwaitHello | Phase::AwaitConfirm { .. } | Phase::Closed => {
                None
            }
        }
    }

    /// How long a [`Credit`](wire::Credit) may wait for another frame to leave with.
    pub fn credit_patience(&self) -> Duration {
        self.credit.patience()
    }

    const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    fn handle_handshake(&mut self, now_ms: u64, message: HandshakeMessage, fresh_nonce: Nonce) {
        match (message, std::mem::replace(&mut self.phase, Phase::Closed)) {
            (HandshakeMessage::Hello(hello), Phase::AwaitHello) => self.greet(hello, fresh_nonce),
            (HandshakeMessage::Welcome(welcome), Phase::AwaitWelcome { own_nonce }) => {
                self.prove(now_ms, welcome, own_nonce);
            }
            (HandshakeMessage::Confirm(confirm), Phase::AwaitConfirm { remote, transcript }) => {
                if is_signed_by(&remote.node, &transcript, &confirm.signature) {
                    self.open(now_ms, remote);
                } else {
                    self.turn_away(RejectReason::Proof);
                }
            }
            (HandshakeMessage::Reject(reject), phase) => {
                self.phase = phase;
                self.close(CloseReason::Rejected(reject.reason));
            }
            (_, phase) => {
                self.phase = phase;
                self.violate("a handshake out of turn");
            }
        }
    }

    fn greet(&mut self, hello: wire::Hello, own_nonce: Nonce) {
        if let Err(reason) = self.check(hello.version, hello.node, hello.role, hello.kind) {
            return self.turn_away(reason);
        }
        let dialler = (hello.node, hello.nonce);
        let acceptor = (self.local.identity.node_id(), own_nonce);
        let transcript = wire::handshake_transcript(false, dialler, acceptor);
        self.send(wire::Welcome {
            node: acceptor.0,
            role: self.local.role,
            kind: self.local.kind,
            capabilities: Capabilities::default(),
            nonce: own_nonce,
            signature: self.local.identity.sign(&transcript),
            agent: self.local.agent.clone(),
        });
        let remote = Remote {
            node: hello.node,
            role: hello.role,
            kind: hello.kind,
            capabilities: hello.capabilities,
            agent: hello.agent,
            side: Side::Acceptor,
        };
        self.phase = Phase::AwaitConfirm {
            remote: Arc::new(remote),
            transcript: wire::handshake_transcript(true, dialler, acceptor),
        };
    }

    fn prove(&mut self, now_ms: u64, welcome: wire::Welcome, own_nonce: Nonce) {
        if let Err(reason) = self.check(PROTOCOL_VERSION, welcome.node, welcome.role, welcome.kind) {
            return self.turn_away(reason);
        }
        let dialler = (self.local.identity.node_id(), own_nonce);
        let acceptor = (welcome.node, welcome.nonce);
        let theirs = wire::handshake_transcript(false, dialler, acceptor);
        if !is_signed_by(&welcome.node, &theirs, &welcome.signature) {
            return self.turn_away(RejectReason::Proof);
        }
        let ours = wire::handshake_transcript(true, dialler, acceptor);
        self.send(wire::Confirm { signature: self.local.identity.sign(&ours) });
        let remote = Remote {
            node: welcome.node,
            role: welcome.role,
            kind: welcome.kind,
            capabilities: welcome.capabilities,
            agent: welcome.agent,
            side: Side::Dialler,
        };
        self.open(now_ms, Arc::new(remote));
    }

    /// Whether the other end is one this session is for.
    fn check(
        &self,
        version: u16,
        node: NodeId,
        role: Role,
        kind: Option<MediaKind>,
    ) -> Result<(), RejectReason> {
        if version != PROTOCOL_VERSION {
            return Err(RejectReason::Version(PROTOCOL_VERSION));
        }
        if node == self.local.identity.node_id() {
            return Err(RejectReason::Duplicate);
        }
        if self.audience.node.is_some_and(|expected| expected != node) {
            return Err(RejectReason::Proof);
        }
        let role_fits = (role == Role::Tracker) == self.audience.tracker;
        let kind_fits = match (self.audience.kind, kind) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, _) | (_, None) => true,
        };
        if role_fits && kind_fits { Ok(()) } else { Err(RejectReason::NotServed) }
    }

    fn open(&mut self, now_ms: u64, remote: Arc<Remote>) {
        self.phase = Phase::Open { remote: remote.clone() };
        self.pinged_ms = now_ms;
        self.train.opened(now_ms);
        self.outputs.push_back(SessionOutput::Opened(remote));
        self.send(self.credit.first());
    }

    fn handle_link(&mut self, now_us: u64, message: LinkMessage) {
        match message {
            LinkMessage::Goodbye(goodbye) => self.close(CloseReason::Goodbye(goodbye.reason)),
            _ if !self.is_open() => self.violate("upkeep before the handshake"),
            LinkMessage::Ping(ping) => self.send(wire::Pong { nonce: ping.nonce }),
            LinkMessage::Pong(pong) => {
                if let Some((nonce, sent_us)) = self.ping
                    && nonce == pong.nonce
                {
                    self.ping = None;
                    let rtt_us = self.round_trip.sampled(now_us.saturating_sub(sent_us));
                    self.outputs.push_back(SessionOutput::Measured(rtt_us));
                }
            }
            // Peers see what they carry.
            LinkMessage::Probe(_) => self.violate("a probe of a node that is no tracker"),
            LinkMessage::Probed(probed) => {
                let bps = self.train.answered(now_us, probed.number);
                self.outputs.extend(bps.map(SessionOutput::Probed));
            }
            LinkMessage::Credit(credit) => self.outputs.push_back(SessionOutput::Deliver(credit.into())),
        }
    }

    /// A link that says nothing is asked whether it is there. One that talks is, and only its path is measured now and then: in a swarm each
    /// word takes room from data. At first nothing is known of the path, and its queues are still empty, so that comes sooner.
    fn ping_due_ms(&self) -> u64 {
        let pause_ms = match self.ping_count {
            0 => 0,
            count => (FIRST_PING_PAUSE_MS << (count - 1).min(8)).min(MEASURE_INTERVAL_MS),
        };
        let quiet_ms = self.heard_ms.max(self.pinged_ms) + PING_INTERVAL_MS;
        (self.pinged_ms + pause_ms).min(quiet_ms)
    }

    /// Tells what came in, and grants more.
    fn account_data(&mut self, now_us: u64, frame: &Frame) {
        if frame.payload.is_empty() {
            return;
        }
        match self.credit.received(now_us, frame.payload.len() as u64, self.round_trip.least_us()) {
            Ok(()) => self.tell_credit(now_us),
            Err(Overdrawn) => self.violate("data beyond the credit"),
        }
    }

    fn tell_credit(&mut self, now_us: u64) {
        if let Some(news) = self.credit.poll_news(now_us) {
            self.send(news);
        }
    }

    fn send(&mut self, frame: impl Into<Frame>) {
        self.outputs.push_back(SessionOutput::Send(frame.into()));
    }

    fn turn_away(&mut self, reason: RejectReason) {
        self.send(wire::Reject { reason });
        self.phase = Phase::Closed;
        self.outputs.push_back(SessionOutput::Closed(CloseReason::TurnedAway(reason)));
    }

    fn violate(&mut self, rule: &'static str) {
        if self.is_open() {
            self.send(wire::Goodbye { reason: GoodbyeReason::Violation });
        }
        self.close(CloseReason::Violation(rule));
    }

    fn close(&mut self, reason: CloseReason) {
        if std::mem::replace(&mut self.phase, Phase::Closed) != Phase::Closed {
            self.outputs.push_back(SessionOutput::Closed(reason));
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
