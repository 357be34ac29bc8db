//! Tries whether a client can be dialled: the tracker dials it back, says Hello, and looks who answers.
//!
//! A node that answers as the client's key, or refuses politely, is there; anything else is not. The tracker wants nothing of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use peer_actor::{
    identity::{Identity, is_signed_by, random_bytes},
    transport::{Dialled, LinkEvent, dial},
};
use shared::{
    NodeId,
    wire::{
        Capabilities, Goodbye, GoodbyeReason, HandshakeMessage, Hello, Message, Nonce, PEER_PATH,
        PROTOCOL_VERSION, Role, handshake_transcript,
    },
};

use crate::session::state::AGENT;

/// Longer than any dial a viewer would wait for.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// For a client that is tried again and again: whoever answers later answers the next dial.
pub(super) const SHORT_PATIENCE: Duration = Duration::from_secs(1);
/// Dials back at once; the rest wait their turn.
pub(super) const PROBES_AT_ONCE: usize = 32;

/// Whether `node` answers at `address` in time.
pub(super) async fn is_reachable(
    identity: Arc<Identity>,
    node: NodeId,
    address: SocketAddr,
    patience: Duration,
) -> bool {
    let answered = tokio::time::timeout(patience, answers(&identity, node, address)).await;
    let is_open = answered.unwrap_or(false);
    tracing::debug!(node = %node.short(), %address, is_open, "dialled back");
    is_open
}

async fn answers(identity: &Identity, node: NodeId, address: SocketAddr) -> bool {
    let Ok(nonce) = random_bytes() else { return false };
    let Ok(Dialled { link, mut events, .. }) = dial(&format!("ws://{address}{PEER_PATH}"), None).await else {
        return false;
    };
    let hello = Hello {
        version: PROTOCOL_VERSION,
        node: identity.node_id(),
        role: Role::Tracker,
        kind: None,
        capabilities: Capabilities::default(),
        nonce,
        agent: AGENT.to_owned(),
    };
    let mut is_there = false;
    if link.try_send(hello).is_ok() {
        while let Some(event) = events.next().await {
            match event {
                LinkEvent::Drained => {}
                LinkEvent::Frame(frame, _) => {
                    is_there = proves(identity, nonce, node, &frame.message);
                    break;
                }
                LinkEvent::Closed(_) => return false,
            }
        }
    }
    if link.try_send(Goodbye { reason: GoodbyeReason::Leaving }).is_err() {
        tracing::trace!("the node hung up first");
    }
    // One moment for the goodbye to leave, so that the other end need not wonder.
    tokio::time::sleep(Duration::from_millis(20)).await;
    link.cut();
    is_there
}

fn proves(identity: &Identity, nonce: Nonce, node: NodeId, answer: &Message) -> bool {
    match answer {
        Message::Handshake(HandshakeMessage::Welcome(welcome)) => {
            let transcript =
                handshake_transcript(false, (identity.node_id(), nonce), (welcome.node, welcome.nonce));
            welcome.node == node && is_signed_by(&node, &transcript, &welcome.signature)
        }
        // It speaks the protocol and does not serve trackers.
        Message::Handshake(HandshakeMessage::Reject(_)) => true,
        Message::Handshake(_) | Message::Link(_) | Message::Tracker(_) | Message::Peer(_) => false,
    }
}
