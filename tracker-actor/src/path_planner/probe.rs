//! Tries whether a client can be dialled: the tracker dials it back, says Hello, and looks who answers.
//!
//! Only a Welcome that the client's key has signed says that the client is there: whoever else listens at the address, a neighbour behind
//! the same router or somebody with a name to steal, cannot give it, and a refusal proves nothing. A peer welcomes nobody but peers of its
//! own kind, so the tracker says Hello as one. It wants nothing of the client: it says goodbye instead of proving its own key, and to the
//! client that is a connection nobody came of.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt as _;
use peer_actor::{
    clock,
    identity::{Identity, random_bytes},
    session::{self, Audience, LocalNode, SessionOutput, SessionState},
    transport::{Dialled, LinkEvent, LinkEvents, LinkHandle, dial},
};
use shared::{
    NodeId,
    wire::{Frame, Goodbye, GoodbyeReason, HandshakeMessage, Message, PEER_PATH, Role},
};

use super::messages::DialBack;
use crate::session::state::AGENT;

/// Longer than any dial a viewer would wait for.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// For a client that is tried again and again: whoever answers later answers the next dial.
pub(super) const SHORT_PATIENCE: Duration = Duration::from_secs(1);
/// First dials back at once; the rest wait their turn. Where nobody answers that is 40 a second.
pub(super) const PROBES_AT_ONCE: usize = 128;
/// Dials at once of clients that are tried again.
pub(super) const REPROBES_AT_ONCE: usize = 32;

/// The first dials back that wait for their turn, and how many have it.
#[derive(Debug, Default)]
pub(super) struct ProbeQueue {
    waiting: HashMap<NodeId, (u64, DialBack)>,
    order: BTreeMap<u64, NodeId>,
    asked: u64,
    running: usize,
}

impl ProbeQueue {
    /// `dial` is to be dialled. What its node asked before and has not been tried is forgotten; its place stays.
    pub(super) fn ask(&mut self, dial: DialBack) {
        self.asked += 1;
        let (place, latest) = self.waiting.entry(dial.node).or_insert((self.asked, dial));
        *latest = dial;
        self.order.insert(*place, dial.node);
    }

    /// The next that has its turn, if there is one; [`Self::end`] says that it is over. Who is no longer current is passed over.
    pub(super) fn begin(&mut self, is_current: impl Fn(&DialBack) -> bool) -> Option<DialBack> {
        while self.running < PROBES_AT_ONCE {
            let (_, node) = self.order.pop_first()?;
            if let Some((_, dial)) = self.waiting.remove(&node).filter(|(_, dial)| is_current(dial)) {
                self.running += 1;
                return Some(dial);
            }
        }
        None
    }

    /// One that had its turn has been tried.
    pub(super) const fn end(&mut self) {
        self.running -= 1;
    }

    /// Forgets those that are no longer current, so that what waits is bounded by those that are here.
    pub(super) fn forget_unless(&mut self, is_current: impl Fn(&DialBack) -> bool) {
        self.waiting.retain(|_, (_, dial)| is_current(dial));
        self.order.retain(|_, node| self.waiting.contains_key(node));
    }
}

/// Whether the client answers in time, and proves its key.
pub(super) async fn is_reachable(identity: Arc<Identity>, client: DialBack, patience: Duration) -> bool {
    let answered = tokio::time::timeout(patience, answers(identity, client)).await;
    let is_open = answered.unwrap_or(false);
    tracing::debug!(node = %client.node.short(), address = %client.address, is_open, "dialled back");
    is_open
}

async fn answers(identity: Arc<Identity>, client: DialBack) -> bool {
    let DialBack { node, kind, address, .. } = client;
    let local = LocalNode { identity, role: Role::Peer, kind, agent: AGENT.to_owned() };
    let audience = Audience { node: Some(node), kind, tracker: false };
    let (state, hello) = session::call(local, audience);
    let dialled = dial(&format!("ws://{address}{PEER_PATH}"), hello.as_ref()).await;
    let Ok(Dialled { link, events, is_answered }) = dialled else { return false };
    let link = CutOnDrop(link);
    let is_there = is_proved(session::called(state, is_answered), &link.0, events).await;
    if link.0.try_send(Goodbye { reason: GoodbyeReason::Leaving }).is_err() {
        tracing::trace!("the node hung up first");
    }
    // One moment for the goodbye to leave, so that the other end need not wonder.
    tokio::time::sleep(Duration::from_millis(20)).await;
    is_there
}

/// Whether the other end proves that it is whom `state` calls.
async fn is_proved(mut state: SessionState, link: &LinkHandle, mut events: LinkEvents) -> bool {
    loop {
        while let Some(output) = state.poll_output() {
            match output {
                SessionOutput::Send(hello) if is_hello(&hello) => {
                    if link.try_send(hello).is_err() {
                        return false;
                    }
                }
                SessionOutput::Opened(_) => return true,
                SessionOutput::Closed(_) => return false,
                // Above all this end's own proof: with that it would be a neighbour.
                SessionOutput::Send(_)
                | SessionOutput::Deliver(_)
                | SessionOutput::Measured(_)
                | SessionOutput::Probed(_) => {}
            }
        }
        match events.next().await {
            Some(LinkEvent::Frame(frame, _)) => {
                let Ok(nonce) = random_bytes() else { return false };
                state.handle_frame(clock::now_ms(), clock::now_us(), frame, nonce);
            }
            Some(LinkEvent::Drained) => {}
            Some(LinkEvent::Closed(_)) | None => return false,
        }
    }
}

const fn is_hello(frame: &Frame) -> bool {
    matches!(frame.message, Message::Handshake(HandshakeMessage::Hello(_)))
}

/// A link that ends with the dial it is of, also when that is given up.
struct CutOnDrop(LinkHandle);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}

#[cfg(test)]
mod tests {
    use shared::MediaKind;

    use super::*;
    use crate::registry::SessionId;

    #[test]
    fn no_more_than_so_many_are_dialled_at_once_and_all_in_the_end() {
        let mut queue = ProbeQueue::default();
        (0..200).for_each(|n| queue.ask(client(n, 1)));
        let first: Vec<DialBack> = std::iter::from_fn(|| queue.begin(|_| true)).collect();
        assert_eq!(first.len(), PROBES_AT_ONCE);
        assert_eq!(first[0], client(0, 1));
        (0..PROBES_AT_ONCE).for_each(|_| queue.end());
        assert_eq!(std::iter::from_fn(|| queue.begin(|_| true)).count(), 200 - PROBES_AT_ONCE);
    }

    #[test]
    fn the_latest_of_a_node_takes_the_place_of_what_it_asked_before() {
        let mut queue = ProbeQueue::default();
        [client(1, 1), client(2, 1), client(1, 2)].into_iter().for_each(|dial| queue.ask(dial));
        let dialled: Vec<DialBack> = std::iter::from_fn(|| queue.begin(|_| true)).collect();
        assert_eq!(dialled, [client(1, 2), client(2, 1)]);
    }

    #[test]
    fn who_has_gone_is_not_dialled_and_takes_no_room() {
        let mut queue = ProbeQueue::default();
        (1..4).for_each(|n| queue.ask(client(n, 1)));
        assert_eq!(queue.begin(|dial| dial.node != client(1, 1).node), Some(client(2, 1)));
        queue.ask(client(4, 1));
        queue.forget_unless(|dial| dial.node == client(4, 1).node);
        assert_eq!((queue.waiting.len(), queue.order.len()), (1, 1));
        assert_eq!(queue.begin(|_| true), Some(client(4, 1)));
    }

    fn client(n: u8, session: u64) -> DialBack {
        DialBack {
            node: NodeId([n; 32]),
            session: SessionId(session),
            kind: Some(MediaKind::Video),
            address: ([10, 0, 0, n], 7_701).into(),
        }
    }
}
