//! One client's conversation: handshake, registration, order of frames, liveness, rate. Pure.
//!
//! Invariant: nothing a client says reaches an actor before the client has proven its key and registered. What frames *mean* is not
//! decided here; registered clients' requests go out as [`Output::Index`], [`Output::Planner`] and [`Output::HintsWanted`].

use std::{collections::VecDeque, sync::Arc};

use shared::{
    ContentId, MediaKind, NodeId,
    limits::{HANDSHAKE_TIMEOUT_MS, PING_INTERVAL_MS, SILENCE_TIMEOUT_MS},
    wire::{
        Capabilities, Confirm, Frame, Goodbye, GoodbyeReason, HandshakeMessage, Hello, LinkMessage, Message,
        Nonce, PROTOCOL_VERSION, Ping, Pong, Probe, Probed, Register, Reject, RejectReason, Role,
        TrackerMessage, Welcome, handshake_transcript,
    },
};
use thiserror::Error;

use super::rate::FrameBudget;
use crate::{deadline::Deadline, file_index::IndexRequest, path_planner::PlannerRequest};
use peer_actor::{
    identity::{Identity, is_signed_by},
    session::RoundTrip,
};

/// What this program calls itself in handshakes.
pub const AGENT: &str = concat!("rusteze-tracker/", env!("CARGO_PKG_VERSION"));

/// What a session needs to know of the tracker.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// The tracker's key.
    pub identity: Arc<Identity>,
    /// The one node that may register as an origin: the tracker's own.
    pub origin: Option<NodeId>,
}

/// Who the client has proven to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its key.
    pub node: NodeId,
    /// Peer, or the tracker's own origin.
    pub role: Role,
    /// The kind of media it wants; none for the origin.
    pub kind: Option<MediaKind>,
    /// Program and version.
    pub agent: String,
}

/// What a session asks its shell to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Hand this to the link.
    Send(Frame),
    /// The client proved its key: take its place in the registry, replacing an older session of the same node.
    Greeted(ClientInfo),
    /// The client registered, for the first time or anew.
    Registered(Register),
    /// A request for the file index.
    Index(IndexRequest),
    /// A request for the path planner.
    Planner(PlannerRequest),
    /// Answer with the hints of this content, if they are of the client's kind.
    HintsWanted(ContentId),
    /// A round trip to the client was measured.
    RttMeasured(u32),
    /// End the session; always the last output.
    Close(CloseReason),
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// The client said so.
    #[error("the client left")]
    Left,
    /// The connection is gone.
    #[error("the connection closed")]
    Disconnected,
    /// No valid handshake and registration in time.
    #[error("no registration in time")]
    HandshakeTimeout,
    /// Nothing was heard for too long.
    #[error("the client fell silent")]
    Silent,
    /// The client does not read what it is sent.
    #[error("the client does not read what it is sent")]
    NotReading,
    /// A newer session of the same node took over.
    #[error("replaced by a newer session")]
    Replaced,
    /// The tracker stops.
    #[error("the tracker stops")]
    Stopping,
    /// The handshake was refused.
    #[error("refused: {0}")]
    Rejected(RejectReason),
    /// The client broke the protocol.
    #[error("protocol violation: {0}")]
    Violation(Violation),
}

/// How a client broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Violation {
    /// A frame that has no place in this phase, or in this direction.
    #[error("unexpected frame {0}")]
    Unexpected(&'static str),
    /// The bytes were no frame.
    #[error("undecodable frame")]
    Undecodable,
    /// An answer to a ping that was never sent.
    #[error("answer to no ping")]
    StrayPong,
}

#[derive(Debug)]
enum Phase {
    AwaitingHello,
    AwaitingConfirm(Hello),
    AwaitingRegister,
    Open,
    Closed,
}

/// The state of one session.
#[derive(Debug)]
pub struct SessionState {
    config: SessionConfig,
    nonce: Nonce,
    phase: Phase,
    opened_us: u64,
    heard_us: u64,
    pinged_us: u64,
    ping: Option<Ping>,
    /// Since when pings go unanswered; a client that talks and does not read is found out by this.
    unanswered_since_us: Option<u64>,
    pings: u64,
    round_trip: RoundTrip,
    budget: FrameBudget,
    outputs: VecDeque<Output>,
}

impl SessionState {
    /// A connection that has said nothing yet. `nonce` is this end's fresh randomness.
    pub fn new(now_us: u64, config: SessionConfig, nonce: Nonce) -> Self {
        Self {
            config,
            nonce,
            phase: Phase::AwaitingHello,
            opened_us: now_us,
            heard_us: now_us,
            pinged_us: now_us,
            ping: None,
            unanswered_since_us: None,
            pings: 0,
            round_trip: RoundTrip::default(),
            budget: FrameBudget::new(now_us),
            outputs: VecDeque::new(),
        }
    }

    /// Takes out the answer to the Hello that was just handled, so that it can be said with the answer to the WebSocket's upgrade. It is not
    /// said again.
    pub fn take_greeting(&mut self) -> Option<HandshakeMessage> {
        let first = self.outputs.pop_front_if(|output| {
            matches!(output, Output::Send(Frame { message: Message::Handshake(_), .. }))
        })?;
        let Output::Send(Frame { message: Message::Handshake(greeting), .. }) = first else { return None };
        Some(greeting)
    }

    /// Takes a decoded frame. The answer is how long the shell must rest before it reads the next one.
    pub fn handle_frame(&mut self, now_us: u64, frame: Frame) -> u64 {
        if matches!(self.phase, Phase::Closed) {
            return 0;
        }
        self.heard_us = now_us;
        match frame.message {
            Message::Handshake(message) => self.on_handshake(message),
            Message::Link(message) => self.on_link(now_us, message),
            Message::Tracker(message) => self.on_tracker(message),
            Message::Peer(message) => self.violate(Violation::Unexpected(message.name())),
        }
        self.budget.take(now_us)
    }

    /// The shell noticed an end of its own: a closed socket, undecodable bytes, a full link, a replacement, a stop.
    pub fn handle_end(&mut self, reason: CloseReason) {
        match reason {
            CloseReason::Violation(violation) => self.violate(violation),
            CloseReason::Replaced => self.leave(GoodbyeReason::Replaced, reason),
            CloseReason::Stopping => self.leave(GoodbyeReason::Leaving, reason),
            CloseReason::Rejected(refusal) => self.reject(refusal),
            CloseReason::Left
            | CloseReason::Disconnected
            | CloseReason::HandshakeTimeout
            | CloseReason::Silent
            | CloseReason::NotReading => self.close(reason),
        }
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now_us: u64) {
        match self.phase {
            Phase::Closed => {}
            Phase::Open if now_us >= self.heard_us + SILENCE_TIMEOUT_MS * 1_000 => {
                self.close(CloseReason::Silent)
            }
            Phase::Open
                if self
                    .unanswered_since_us
                    .is_some_and(|since_us| now_us >= since_us + SILENCE_TIMEOUT_MS * 1_000) =>
            {
                self.close(CloseReason::NotReading);
            }
            Phase::Open if now_us >= self.pinged_us + PING_INTERVAL_MS * 1_000 => self.send_ping(now_us),
            Phase::Open => {}
            Phase::AwaitingHello | Phase::AwaitingConfirm(_) | Phase::AwaitingRegister => {
                if now_us >= self.opened_us + HANDSHAKE_TIMEOUT_MS * 1_000 {
                    self.close(CloseReason::HandshakeTimeout);
                }
            }
        }
    }

    /// The next thing to do; drain to none after each `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        match self.phase {
            Phase::Closed => None,
            Phase::Open => Some(
                Deadline::new(self.pinged_us + PING_INTERVAL_MS * 1_000, "ping")
                    .min(Deadline::new(self.heard_us + SILENCE_TIMEOUT_MS * 1_000, "silence")),
            ),
            Phase::AwaitingHello | Phase::AwaitingConfirm(_) | Phase::AwaitingRegister => {
                Some(Deadline::new(self.opened_us + HANDSHAKE_TIMEOUT_MS * 1_000, "handshake"))
            }
        }
    }

    fn on_handshake(&mut self, message: HandshakeMessage) {
        let name = message.name();
        match (std::mem::replace(&mut self.phase, Phase::AwaitingRegister), message) {
            (Phase::AwaitingHello, HandshakeMessage::Hello(hello)) => self.on_hello(hello),
            (Phase::AwaitingConfirm(hello), HandshakeMessage::Confirm(confirm)) => {
                self.on_confirm(hello, confirm)
            }
            (phase, _) => {
                self.phase = phase;
                self.violate(Violation::Unexpected(name));
            }
        }
    }

    fn on_hello(&mut self, hello: Hello) {
        self.phase = Phase::AwaitingHello;
        let me = self.config.identity.node_id();
        if hello.version != PROTOCOL_VERSION {
            return self.reject(RejectReason::Version(PROTOCOL_VERSION));
        }
        if hello.node == me {
            return self.reject(RejectReason::Duplicate);
        }
        let is_served = match hello.role {
            Role::Peer => hello.kind.is_some(),
            Role::Origin => self.config.origin == Some(hello.node),
            Role::Tracker => false,
        };
        if !is_served {
            return self.reject(RejectReason::NotServed);
        }
        let transcript = handshake_transcript(false, (hello.node, hello.nonce), (me, self.nonce));
        let welcome = Welcome {
            node: me,
            role: Role::Tracker,
            kind: None,
            capabilities: Capabilities::default(),
            nonce: self.nonce,
            signature: self.config.identity.sign(&transcript),
            agent: AGENT.to_owned(),
        };
        self.outputs.push_back(Output::Send(welcome.into()));
        self.phase = Phase::AwaitingConfirm(hello);
    }

    fn on_confirm(&mut self, hello: Hello, confirm: Confirm) {
        let transcript = handshake_transcript(
            true,
            (hello.node, hello.nonce),
            (self.config.identity.node_id(), self.nonce),
        );
        if !is_signed_by(&hello.node, &transcript, &confirm.signature) {
            return self.reject(RejectReason::Proof);
        }
        let kind = if hello.role == Role::Peer { hello.kind } else { None };
        let info = ClientInfo { node: hello.node, role: hello.role, kind, agent: hello.agent };
        self.outputs.push_back(Output::Greeted(info));
        self.phase = Phase::AwaitingRegister;
    }

    fn on_link(&mut self, now_us: u64, message: LinkMessage) {
        match message {
            LinkMessage::Ping(Ping { nonce }) => self.outputs.push_back(Output::Send(Pong { nonce }.into())),
            LinkMessage::Pong(pong) => self.on_pong(now_us, pong),
            // No payload ever crosses this link, so there is nothing a grant could allow.
            LinkMessage::Credit(_) => {}
            LinkMessage::Probe(Probe { number, .. }) => {
                self.outputs.push_back(Output::Send(Probed { number }.into()));
            }
            LinkMessage::Probed(_) => self.violate(Violation::Unexpected("Probed")),
            LinkMessage::Goodbye(_) => self.close(CloseReason::Left),
        }
    }

    fn on_pong(&mut self, now_us: u64, pong: Pong) {
        if pong.nonce == 0 || pong.nonce > self.pings {
            return self.violate(Violation::StrayPong);
        }
        self.unanswered_since_us = None;
        if self.ping.take_if(|ping| ping.nonce == pong.nonce).is_some() {
            let rtt_us = self.round_trip.sampled(now_us - self.pinged_us);
            self.outputs.push_back(Output::RttMeasured(rtt_us));
        }
    }

    fn on_tracker(&mut self, message: TrackerMessage) {
        let name = message.name();
        match (&self.phase, message) {
            (Phase::AwaitingRegister | Phase::Open, TrackerMessage::Register(register)) => {
                self.phase = Phase::Open;
                self.outputs.push_back(Output::Registered(register));
            }
            (Phase::Open, TrackerMessage::FilesDelta(delta)) => self.index(IndexRequest::Files(delta)),
            (Phase::Open, TrackerMessage::PutHints(hints)) => self.index(IndexRequest::Hints(hints)),
            (Phase::Open, TrackerMessage::GetHints(wanted)) => {
                self.outputs.push_back(Output::HintsWanted(wanted.content_id));
            }
            (Phase::Open, TrackerMessage::FindPeers(find)) => self.plan(PlannerRequest::Find(find)),
            (Phase::Open, TrackerMessage::ForgetPeers(forget)) => self.plan(PlannerRequest::Forget(forget)),
            (Phase::Open, TrackerMessage::LinkReport(report)) => self.plan(PlannerRequest::Links(report)),
            (Phase::Open, TrackerMessage::Holdings(holdings)) => {
                self.plan(PlannerRequest::Holdings(holdings))
            }
            (Phase::Open, TrackerMessage::RequestPath(request)) => self.plan(PlannerRequest::Path(request)),
            (Phase::Open, TrackerMessage::RelayAnswer(answer)) => {
                self.plan(PlannerRequest::RelayAnswer(answer));
            }
            (Phase::Open, TrackerMessage::RelayUse(relay_use)) => {
                self.plan(PlannerRequest::RelayUse(relay_use));
            }
            _ => self.violate(Violation::Unexpected(name)),
        }
    }

    fn index(&mut self, request: IndexRequest) {
        self.outputs.push_back(Output::Index(request));
    }

    fn plan(&mut self, request: PlannerRequest) {
        self.outputs.push_back(Output::Planner(request));
    }

    fn send_ping(&mut self, now_us: u64) {
        self.pings += 1;
        self.pinged_us = now_us;
        let ping = Ping { nonce: self.pings };
        self.ping = Some(ping);
        self.unanswered_since_us.get_or_insert(now_us);
        self.outputs.push_back(Output::Send(ping.into()));
    }

    fn reject(&mut self, reason: RejectReason) {
        self.outputs.push_back(Output::Send(Reject { reason }.into()));
        self.close(CloseReason::Rejected(reason));
    }

    fn violate(&mut self, violation: Violation) {
        self.leave(GoodbyeReason::Violation, CloseReason::Violation(violation));
    }

    fn leave(&mut self, goodbye: GoodbyeReason, reason: CloseReason) {
        if !matches!(self.phase, Phase::Closed) {
            self.outputs.push_back(Output::Send(Goodbye { reason: goodbye }.into()));
        }
        self.close(reason);
    }

    fn close(&mut self, reason: CloseReason) {
        if !matches!(self.phase, Phase::Closed) {
            self.phase = Phase::Closed;
            self.outputs.push_back(Output::Close(reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::wire::{Credit, FindPeers, Have, Registered};

    use super::*;

    const SECOND_US: u64 = 1_000_000;

    #[test]
    fn a_client_that_proves_its_key_and_registers_is_open() {
        let mut pair = Pair::new();
        pair.greet();
        let outputs = pair.say(0, register());
        assert_eq!(outputs, [Output::Registered(register())]);
        assert_eq!(pair.say(0, find()), [Output::Planner(PlannerRequest::Find(find()))]);
    }

    #[test]
    fn a_hello_that_came_with_the_upgrade_is_answered_with_it_and_proved_behind_it() {
        let mut pair = Pair::new();
        let hello = pair.hello_frame();
        pair.state.handle_frame(0, hello.into());
        let Some(HandshakeMessage::Welcome(welcome)) = pair.state.take_greeting() else {
            panic!("a welcome")
        };
        assert_eq!(pair.state.poll_output(), None, "it is not said again");
        let transcript =
            handshake_transcript(true, (pair.client.node_id(), [7; 32]), (welcome.node, welcome.nonce));
        let outputs = pair.say(0, Confirm { signature: pair.client.sign(&transcript) });
        assert!(matches!(outputs[..], [Output::Greeted(_)]));
    }

    #[test]
    fn the_welcome_proves_the_trackers_key() {
        let mut pair = Pair::new();
        let welcome = pair.hello();
        let transcript =
            handshake_transcript(false, (pair.client.node_id(), [7; 32]), (welcome.node, welcome.nonce));
        assert!(is_signed_by(&welcome.node, &transcript, &welcome.signature));
        assert_eq!(welcome.role, Role::Tracker);
    }

    #[test]
    fn a_wrong_proof_is_rejected_as_such() {
        let mut pair = Pair::new();
        pair.hello();
        let confirm = Confirm { signature: pair.client.sign(b"something else") };
        assert_eq!(pair.say(0, confirm), rejected(RejectReason::Proof));
    }

    #[test]
    fn another_version_is_told_the_one_spoken_here() {
        let mut pair = Pair::new();
        let hello = Hello { version: PROTOCOL_VERSION + 1, ..pair.hello_frame() };
        assert_eq!(pair.say(0, hello), rejected(RejectReason::Version(PROTOCOL_VERSION)));
    }

    #[test]
    fn only_the_trackers_own_origin_may_call_itself_one() {
        let mut pair = Pair::new();
        let hello = Hello { role: Role::Origin, kind: None, ..pair.hello_frame() };
        assert_eq!(pair.say(0, hello), rejected(RejectReason::NotServed));

        let mut pair = Pair::new();
        pair.state.config.origin = Some(pair.client.node_id());
        let hello = Hello { role: Role::Origin, kind: None, ..pair.hello_frame() };
        assert!(matches!(pair.say(0, hello)[..], [Output::Send(_)]));
    }

    #[test]
    fn another_tracker_is_not_served() {
        let mut pair = Pair::new();
        let hello = Hello { role: Role::Tracker, kind: None, ..pair.hello_frame() };
        assert_eq!(pair.say(0, hello), rejected(RejectReason::NotServed));
    }

    #[test]
    fn the_trackers_own_key_is_not_let_in() {
        let mut pair = Pair::new();
        let hello = Hello { node: pair.state.config.identity.node_id(), ..pair.hello_frame() };
        assert_eq!(pair.say(0, hello), rejected(RejectReason::Duplicate));
    }

    #[test]
    fn nothing_is_asked_before_registration() {
        let mut pair = Pair::new();
        assert_eq!(pair.say(0, find()), violated("FindPeers"));

        let mut pair = Pair::new();
        pair.greet();
        assert_eq!(pair.say(0, find()), violated("FindPeers"));
    }

    #[test]
    fn a_second_hello_is_a_violation() {
        let mut pair = Pair::new();
        pair.greet();
        let hello = pair.hello_frame();
        assert_eq!(pair.say(0, hello), violated("Hello"));
    }

    #[test]
    fn frames_of_other_conversations_and_directions_are_violations() {
        let mut pair = Pair::open();
        let have = Have {
            content_id: ContentId([1; 32]),
            size_bytes: 1,
            reset: true,
            complete: true,
            ranges: Vec::new(),
            backlog_ms: 0,
        };
        assert_eq!(pair.say(0, have), violated("Have"));

        let mut pair = Pair::open();
        let registered = Registered { observed: "1.2.3.4:5".parse().expect("an address"), files_version: 0 };
        assert_eq!(pair.say(0, registered), violated("Registered"));
    }

    #[test]
    fn requests_of_an_open_session_reach_their_actor() {
        let mut pair = Pair::open();
        assert_eq!(pair.say(0, find()), [Output::Planner(PlannerRequest::Find(find()))]);
        assert_eq!(pair.say(0, Credit { granted_bytes: 9, received_bytes: 0, at_ms: 0 }), []);
    }

    #[test]
    fn each_probe_of_a_train_is_answered_at_once_and_nobody_answers_a_tracker() {
        let mut pair = Pair::open();
        for number in 0..7 {
            let probe = Probe { number, padding: vec![0; 1_400] };
            assert_eq!(pair.say(0, probe), [Output::Send(Probed { number }.into())]);
        }
        assert_eq!(pair.say(0, Probed { number: 0 }), violated("Probed"));
    }

    #[test]
    fn a_silent_client_is_given_up_within_15_seconds() {
        let mut pair = Pair::open();
        let mut now_us = 0;
        let closed = loop {
            now_us = pair.state.poll_timeout().expect("a deadline").at_us.max(now_us);
            pair.state.handle_timeout(now_us);
            if pair.drain().contains(&Output::Close(CloseReason::Silent)) {
                break now_us;
            }
        };
        assert!(closed < 15 * SECOND_US, "{closed}");
        assert!(pair.state.poll_timeout().is_none());
    }

    #[test]
    fn an_answering_client_stays_and_its_round_trip_is_measured() {
        let mut pair = Pair::open();
        for round in 1..=20 {
            let now_us = round * PING_INTERVAL_MS * 1_000;
            pair.state.handle_timeout(now_us);
            assert_eq!(pair.drain(), [Output::Send(Ping { nonce: round }.into())]);
            assert_eq!(pair.say(now_us + 1_500, Pong { nonce: round }), [Output::RttMeasured(1_500)]);
        }
    }

    #[test]
    fn a_queue_before_a_client_is_not_taken_for_its_path() {
        let mut pair = Pair::open();
        let measured = [1_500, 300_000].map(|took_us| {
            let nonce = pair.state.pings + 1;
            let now_us = nonce * PING_INTERVAL_MS * 1_000;
            pair.state.handle_timeout(now_us);
            pair.drain();
            pair.say(now_us + took_us, Pong { nonce })
        });
        assert_eq!(measured, [[Output::RttMeasured(1_500)], [Output::RttMeasured(1_500)]]);
    }

    #[test]
    fn a_client_that_talks_and_never_answers_does_not_read() {
        let mut pair = Pair::open();
        let ended = (1..60).find(|second| {
            pair.say(second * SECOND_US, Ping { nonce: *second });
            pair.state.handle_timeout(second * SECOND_US);
            pair.drain().contains(&Output::Close(CloseReason::NotReading))
        });
        assert_eq!(ended, Some((PING_INTERVAL_MS + SILENCE_TIMEOUT_MS) / 1_000));
    }

    #[test]
    fn a_late_answer_is_an_answer() {
        let mut pair = Pair::open();
        for second in 1..60 {
            pair.state.handle_timeout(second * SECOND_US);
            for output in pair.drain() {
                assert!(matches!(output, Output::Send(_)), "{output:?}");
            }
            if second % 8 == 0 {
                pair.say(second * SECOND_US, Pong { nonce: second / 8 });
            }
        }
    }

    #[test]
    fn an_answer_to_no_ping_is_a_violation_and_a_late_one_is_not() {
        let mut pair = Pair::open();
        assert_eq!(
            pair.say(1, Pong { nonce: 1 })[1..],
            [Output::Close(CloseReason::Violation(Violation::StrayPong))]
        );

        let mut pair = Pair::open();
        pair.state.handle_timeout(4 * SECOND_US);
        pair.state.handle_timeout(8 * SECOND_US);
        pair.drain();
        assert_eq!(pair.say(8 * SECOND_US + 1, Pong { nonce: 1 }), []);
    }

    #[test]
    fn a_handshake_that_takes_too_long_ends() {
        let mut pair = Pair::new();
        pair.hello();
        pair.state.handle_timeout(HANDSHAKE_TIMEOUT_MS * 1_000 - 1);
        assert_eq!(pair.drain(), []);
        pair.state.handle_timeout(HANDSHAKE_TIMEOUT_MS * 1_000);
        assert_eq!(pair.drain(), [Output::Close(CloseReason::HandshakeTimeout)]);
    }

    #[test]
    fn a_replaced_session_says_goodbye_once_and_ends() {
        let mut pair = Pair::open();
        pair.state.handle_end(CloseReason::Replaced);
        pair.state.handle_end(CloseReason::Disconnected);
        let goodbye = Goodbye { reason: GoodbyeReason::Replaced };
        assert_eq!(pair.drain(), [Output::Send(goodbye.into()), Output::Close(CloseReason::Replaced)]);
        assert_eq!(pair.say(0, find()), []);
    }

    #[test]
    fn a_flood_is_told_to_rest() {
        let mut pair = Pair::open();
        let rests: Vec<u64> = (0..5_000).map(|_| pair.state.handle_frame(0, find().into())).collect();
        assert_eq!(rests[0], 0);
        assert!(rests[4_999] > SECOND_US);
    }

    #[test]
    fn a_goodbye_ends_the_session_as_left() {
        let mut pair = Pair::open();
        let goodbye = Goodbye { reason: GoodbyeReason::Leaving };
        assert_eq!(pair.say(0, goodbye), [Output::Close(CloseReason::Left)]);
    }

    struct Pair {
        client: Identity,
        state: SessionState,
    }

    impl Pair {
        fn new() -> Self {
            let identity = Arc::new(Identity::generate().expect("a key"));
            let config = SessionConfig { identity, origin: None };
            Self {
                client: Identity::generate().expect("a key"),
                state: SessionState::new(0, config, [9; 32]),
            }
        }

        fn open() -> Self {
            let mut pair = Self::new();
            pair.greet();
            pair.say(0, register());
            pair
        }

        fn hello_frame(&self) -> Hello {
            Hello {
                version: PROTOCOL_VERSION,
                node: self.client.node_id(),
                role: Role::Peer,
                kind: Some(MediaKind::Audio),
                capabilities: Capabilities::default(),
                nonce: [7; 32],
                agent: "test/1".to_owned(),
            }
        }

        fn hello(&mut self) -> Welcome {
            let hello = self.hello_frame();
            let outputs = self.say(0, hello);
            let [
                Output::Send(Frame {
                    message: Message::Handshake(HandshakeMessage::Welcome(welcome)), ..
                }),
            ] = &outputs[..]
            else {
                panic!("expected a welcome: {outputs:?}");
            };
            welcome.clone()
        }

        fn greet(&mut self) {
            let welcome = self.hello();
            let transcript =
                handshake_transcript(true, (self.client.node_id(), [7; 32]), (welcome.node, welcome.nonce));
            let confirm = Confirm { signature: self.client.sign(&transcript) };
            let outputs = self.say(0, confirm);
            assert!(matches!(&outputs[..], [Output::Greeted(info)] if info.node == self.client.node_id()));
        }

        fn say(&mut self, now_us: u64, frame: impl Into<Frame>) -> Vec<Output> {
            self.state.handle_frame(now_us, frame.into());
            self.drain()
        }

        fn drain(&mut self) -> Vec<Output> {
            std::iter::from_fn(|| self.state.poll_output()).collect()
        }
    }

    fn register() -> Register {
        Register { listen_port: Some(7701), addresses: Vec::new(), upload_limit_bps: 0, relay_limit_bps: 0 }
    }

    fn find() -> FindPeers {
        FindPeers { content_id: ContentId([3; 32]), playhead_leaf: 0 }
    }

    fn rejected(reason: RejectReason) -> Vec<Output> {
        vec![Output::Send(Reject { reason }.into()), Output::Close(CloseReason::Rejected(reason))]
    }

    fn violated(name: &'static str) -> Vec<Output> {
        vec![
            Output::Send(Goodbye { reason: GoodbyeReason::Violation }.into()),
            Output::Close(CloseReason::Violation(Violation::Unexpected(name))),
        ]
    }
}
