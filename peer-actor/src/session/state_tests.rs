//! Two sessions under a virtual clock, wired back to back.

use super::*;
use bytes::Bytes;
use shared::{ContentId, LeafRange, limits::INITIAL_CREDIT_BYTES};

struct Pair {
    dialler: SessionState,
    acceptor: SessionState,
    now_ms: u64,
    delivered: Vec<(&'static str, Frame)>,
    opened: Vec<(&'static str, Arc<Remote>)>,
    closed: Vec<(&'static str, CloseReason)>,
}

fn node(kind: Option<MediaKind>, role: Role) -> LocalNode {
    LocalNode { identity: Arc::new(Identity::generate().unwrap()), role, kind, agent: "test".into() }
}

const fn anyone(kind: Option<MediaKind>) -> Audience {
    Audience { node: None, kind, tracker: false }
}

impl Pair {
    fn new(dialler_audience: Audience, acceptor_kind: MediaKind) -> Self {
        let dialling = node(Some(MediaKind::Video), Role::Peer);
        let accepting = node(Some(acceptor_kind), Role::Peer);
        let accepting_audience = anyone(Some(acceptor_kind));
        Self {
            dialler: SessionState::new(0, dialling, Side::Dialler, dialler_audience, [1; 32]),
            acceptor: SessionState::new(0, accepting, Side::Acceptor, accepting_audience, [2; 32]),
            now_ms: 0,
            delivered: Vec::new(),
            opened: Vec::new(),
            closed: Vec::new(),
        }
    }

    fn run(&mut self) {
        loop {
            let (name, output) = match (self.dialler.poll_output(), self.acceptor.poll_output()) {
                (Some(output), other) => {
                    if let Some(other) = other {
                        self.acceptor.outputs.push_front(other);
                    }
                    ("dialler", output)
                }
                (None, Some(output)) => ("acceptor", output),
                (None, None) => return,
            };
            match output {
                SessionOutput::Send(frame) => {
                    let to = if name == "dialler" { &mut self.acceptor } else { &mut self.dialler };
                    let frame = wire::decode(&wire::encode(&frame)).unwrap();
                    to.handle_frame(self.now_ms, self.now_ms * 1000, frame, [9; 32]);
                }
                SessionOutput::Opened(remote) => self.opened.push((name, remote)),
                SessionOutput::Deliver(frame) => self.delivered.push((name, frame)),
                SessionOutput::Measured(_) | SessionOutput::Probed(_) => {}
                SessionOutput::Closed(reason) => self.closed.push((name, reason)),
            }
        }
    }
}

#[test]
fn both_ends_learn_and_prove_each_other() {
    let mut pair = Pair::new(anyone(Some(MediaKind::Video)), MediaKind::Video);
    pair.run();
    assert_eq!(pair.opened.len(), 2);
    assert_eq!(pair.dialler.remote().unwrap().node, pair.acceptor.local.identity.node_id());
    assert_eq!(pair.acceptor.remote().unwrap().node, pair.dialler.local.identity.node_id());
    assert!(pair.closed.is_empty());
}

#[test]
fn a_greeting_with_the_upgrade_opens_the_dialler_at_once_and_the_acceptor_only_after_its_proof() {
    let mut pair = Pair::new(anyone(Some(MediaKind::Video)), MediaKind::Video);
    let hello = pair.dialler.take_greeting().unwrap();
    assert!(pair.dialler.poll_output().is_none(), "it is not said again");
    pair.acceptor.handle_frame(0, 0, Message::Handshake(hello).into(), [9; 32]);
    let welcome = pair.acceptor.take_greeting().unwrap();
    assert!(pair.acceptor.poll_output().is_none() && pair.acceptor.remote().is_none());
    pair.dialler.handle_frame(0, 0, Message::Handshake(welcome).into(), [9; 32]);
    assert!(pair.dialler.remote().is_some());
    // Before the proof nothing is routed, however early it comes.
    let open = wire::Open { content_id: ContentId([0; 32]) };
    let confirm = pair.dialler.poll_output();
    assert!(matches!(confirm, Some(SessionOutput::Send(_))), "the proof leaves first");
    let mut hasty = pair.acceptor;
    hasty.handle_frame(0, 0, open.into(), [9; 32]);
    assert!(hasty.remote().is_none() && hasty.poll_timeout().is_none());
}

#[test]
fn a_turned_away_greeting_is_answered_with_the_reason() {
    let mut pair = Pair::new(anyone(None), MediaKind::Audio);
    let hello = pair.dialler.take_greeting().unwrap();
    pair.acceptor.handle_frame(0, 0, Message::Handshake(hello).into(), [9; 32]);
    let answer = pair.acceptor.take_greeting();
    let reject = wire::Reject { reason: RejectReason::NotServed };
    assert_eq!(answer, Some(HandshakeMessage::Reject(reject)));
    pair.run();
    assert_eq!(pair.closed, [("acceptor", CloseReason::TurnedAway(RejectReason::NotServed))]);
}

#[test]
fn the_other_kind_is_turned_away() {
    let mut pair = Pair::new(anyone(Some(MediaKind::Video)), MediaKind::Audio);
    pair.run();
    assert!(pair.opened.is_empty());
    assert!(pair.closed.contains(&("dialler", CloseReason::Rejected(RejectReason::NotServed))));
}

#[test]
fn one_who_turns_out_not_to_be_wanted_when_the_session_is_open_hears_why() {
    let mut pair = Pair::new(anyone(None), MediaKind::Video);
    pair.run();
    pair.acceptor.handle_refuse(RejectReason::Banned);
    pair.acceptor.handle_refuse(RejectReason::Banned);
    pair.run();
    let (refused, turned_away) =
        (CloseReason::Rejected(RejectReason::Banned), CloseReason::TurnedAway(RejectReason::Banned));
    assert_eq!(pair.closed.len(), 2, "each end is told once");
    assert!(pair.closed.contains(&("dialler", refused)) && pair.closed.contains(&("acceptor", turned_away)));
}

#[test]
fn another_node_than_the_one_dialled_is_turned_away() {
    let audience = Audience { node: Some(NodeId([3; 32])), ..anyone(None) };
    let mut pair = Pair::new(audience, MediaKind::Video);
    pair.run();
    assert!(pair.opened.is_empty());
    assert!(pair.closed.contains(&("dialler", CloseReason::TurnedAway(RejectReason::Proof))));
}

#[test]
fn a_forged_confirm_does_not_open() {
    let mut pair = Pair::new(anyone(None), MediaKind::Video);
    let Some(SessionOutput::Send(hello)) = pair.dialler.poll_output() else { panic!("a dialler greets") };
    pair.acceptor.handle_frame(0, 0, hello, [9; 32]);
    let forged = wire::Confirm { signature: wire::Signature([[7; 32]; 2]) };
    pair.acceptor.handle_frame(0, 0, forged.into(), [9; 32]);
    assert!(pair.acceptor.remote().is_none());
    assert_eq!(pair.acceptor.poll_timeout(), None);
}

#[test]
fn media_before_the_handshake_is_a_violation() {
    let mut pair = Pair::new(anyone(None), MediaKind::Video);
    let open = wire::Open { content_id: ContentId([0; 32]) };
    pair.acceptor.handle_frame(0, 0, open.into(), [9; 32]);
    pair.run();
    assert!(pair.delivered.is_empty());
    assert!(matches!(pair.closed[..], [("acceptor", CloseReason::Violation(_)), ..]));
}

#[test]
fn silence_ends_a_session_and_a_pong_keeps_it() {
    let mut pair = Pair::new(anyone(None), MediaKind::Video);
    pair.run();
    for _ in 0..20 {
        pair.now_ms += PING_INTERVAL_MS;
        pair.dialler.handle_timeout(pair.now_ms, pair.now_ms * 1000);
        pair.run();
    }
    assert!(pair.closed.is_empty());
    let silent_from_ms = pair.now_ms;
    while pair.dialler.remote().is_some() {
        let (due_ms, _) = pair.dialler.poll_timeout().unwrap();
        pair.now_ms = due_ms;
        pair.dialler.handle_timeout(due_ms, due_ms * 1000);
    }
    assert!(pair.now_ms - silent_from_ms < 15_000);
}

#[test]
fn one_who_pings_and_never_reads_is_cut_and_a_slow_reader_is_not() {
    let mut pair = Pair::new(anyone(None), MediaKind::Video);
    pair.run();
    let mut taken_bytes = 0;
    for step in 0..40 {
        pair.now_ms += PING_INTERVAL_MS;
        pair.dialler.handle_timeout(pair.now_ms, pair.now_ms * 1000);
        taken_bytes += step % 2;
        pair.dialler.handle_backlog(pair.now_ms, 1 << 20, taken_bytes);
        pair.run();
    }
    assert!(pair.closed.is_empty());
    let deaf_from_ms = pair.now_ms;
    while pair.dialler.remote().is_some() {
        pair.now_ms += PING_INTERVAL_MS;
        pair.acceptor.handle_timeout(pair.now_ms, pair.now_ms * 1000);
        pair.dialler.handle_timeout(pair.now_ms, pair.now_ms * 1000);
        pair.dialler.handle_backlog(pair.now_ms, 1 << 20, taken_bytes);
        pair.run();
    }
    assert!(pair.closed.contains(&("dialler", CloseReason::Deaf)));
    assert!(pair.now_ms - deaf_from_ms <= SILENCE_TIMEOUT_MS + 2 * PING_INTERVAL_MS);
}

#[test]
fn a_handshake_that_stalls_is_given_up() {
    let mut pair = Pair::new(anyone(None), MediaKind::Video);
    let (due_ms, reason) = pair.acceptor.poll_timeout().unwrap();
    assert_eq!(reason, "handshake");
    pair.acceptor.handle_timeout(due_ms, 0);
    pair.run();
    assert!(pair.closed.contains(&("acceptor", CloseReason::HandshakeTimeout)));
}

#[test]
fn credit_follows_data_and_data_beyond_it_is_a_violation() {
    let mut pair = Pair::new(anyone(None), MediaKind::Video);
    pair.run();
    pair.delivered.clear();
    let data = |bytes: u64| {
        let head = wire::Data { id: 1, leaves: LeafRange::new(0, 64), proof: Vec::new(), branch: Vec::new() };
        Frame::data(head, Bytes::from(vec![0; bytes as usize]))
    };
    let step_bytes = INITIAL_CREDIT_BYTES / 2;
    pair.dialler.handle_frame(0, 0, data(step_bytes), [9; 32]);
    pair.run();
    let granted = pair.delivered.iter().find_map(|(name, frame)| {
        let Message::Link(LinkMessage::Credit(credit)) = &frame.message else { return None };
        (*name == "acceptor").then_some(credit.granted_bytes)
    });
    assert_eq!(granted, Some(step_bytes + INITIAL_CREDIT_BYTES));
    pair.delivered.clear();
    pair.dialler.handle_frame(0, 0, data(2 * INITIAL_CREDIT_BYTES), [9; 32]);
    pair.run();
    assert!(matches!(pair.closed[..], [("dialler", CloseReason::Violation(_)), ..]));
    assert!(pair.delivered.is_empty(), "nothing follows the end: {:?}", pair.delivered);
}

#[test]
fn a_train_leaves_if_it_is_wanted_and_its_answers_tell_the_uplink() {
    let mut pair = Pair::new(anyone(Some(MediaKind::Video)), MediaKind::Video);
    pair.dialler.probe_uplink();
    pair.run();
    let (mut probes, mut probed_bps) = (Vec::new(), None);
    for now_ms in 0..1_000 {
        pair.now_ms = now_ms;
        pair.acceptor.handle_timeout(now_ms, now_ms * 1_000);
        pair.dialler.handle_timeout(now_ms, now_ms * 1_000);
        while let Some(output) = pair.dialler.poll_output() {
            if let SessionOutput::Probed(bps) = output {
                probed_bps = Some(bps);
            } else if let SessionOutput::Send(frame) = output
                && let Message::Link(LinkMessage::Probe(probe)) = frame.message
            {
                // The first two arrive in one burst, then one each 11 ms.
                probes.push((now_ms + 50 + 11 * u64::from(probe.number.saturating_sub(1)), probe.number));
            }
        }
        for (_, number) in probes.extract_if(.., |(at_ms, _)| *at_ms <= now_ms) {
            pair.dialler.handle_frame(now_ms, now_ms * 1_000, wire::Probed { number }.into(), [9; 32]);
        }
        while let Some(output) = pair.acceptor.poll_output() {
            let is_probe = |message: &Message| matches!(message, Message::Link(LinkMessage::Probe(_)));
            assert!(!matches!(output, SessionOutput::Send(frame) if is_probe(&frame.message)));
        }
    }
    assert_eq!((probes.len(), probed_bps), (0, Some(1_018_181)));
}

#[test]
fn a_probe_of_a_peer_is_a_violation() {
    let mut pair = Pair::new(anyone(Some(MediaKind::Video)), MediaKind::Video);
    pair.run();
    pair.acceptor.handle_frame(0, 0, wire::Probe { number: 0, padding: Vec::new() }.into(), [9; 32]);
    pair.run();
    let is_violated = |(name, reason): &_| *name == "acceptor" && matches!(reason, CloseReason::Violation(_));
    assert!(pair.closed.iter().any(is_violated), "{:?}", pair.closed);
}
