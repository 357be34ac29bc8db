//! Passes frames both ways between two links. A slow end, and the budget, hold a fast one back: nothing is read from one link until what
//! came before has been handed to the other.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use shared::{
    limits::{HEADER_BYTES, SILENCE_TIMEOUT_MS},
    wire::{HandshakeMessage, Message, encode_head},
};
use tokio::{sync::Notify, time::Instant};

use super::{
    accounts::{Account, RelayTally},
    budget::Flow,
    pacer::Pacer,
};
use crate::transport::{LinkEvent, LinkEvents, LinkHandle};

/// A held frame is offered again at least so often: where both ends are full, neither hears that the other has room.
const OFFER_AGAIN: Duration = Duration::from_millis(10);

/// What a relay is carried by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carrier<'a> {
    pub(super) relay: u64,
    pub(super) account: &'a Account,
    pub(super) tally: &'a RelayTally,
    pub(super) pacer: &'a Pacer,
}

/// Passes frames both ways until an end is gone or both are silent, then cuts both.
pub(super) async fn splice(
    near: (LinkHandle, LinkEvents),
    far: (LinkHandle, LinkEvents),
    carrier: Carrier<'_>,
) {
    let (near_side, far_side) = (Side::new(near.0, false), Side::new(far.0, true));
    tokio::select! {
        () = pass(near.1, &near_side, &far_side, carrier) => {}
        () = pass(far.1, &far_side, &near_side, carrier) => {}
    }
    near_side.link.cut();
    far_side.link.cut();
}

/// One end's way out, and the news that it has room again.
struct Side {
    link: LinkHandle,
    is_far: bool,
    has_room: Notify,
}

impl Side {
    fn new(link: LinkHandle, is_far: bool) -> Self {
        Self { link, is_far, has_room: Notify::new() }
    }
}

/// Passes what `events` of `from` brings to `to`. A frame that may not leave yet, or that `to` has no room for, is held with its permit;
/// meanwhile nothing more is taken from `from`, which is what slows its sender down.
async fn pass(mut events: LinkEvents, from: &Side, to: &Side, carrier: Carrier<'_>) {
    let silence = Duration::from_millis(SILENCE_TIMEOUT_MS);
    let mut until = Instant::now() + silence;
    while !to.link.is_closed() {
        let Ok(event) = tokio::time::timeout_at(until, events.next()).await else {
            return tracing::debug!("a relay fell silent");
        };
        match event {
            Some(LinkEvent::Frame(frame, _permit)) => {
                let head = head_of(&frame.message);
                let bytes = (head.len() + frame.payload.len()) as u64;
                carrier.pacer.turn(Flow { relay: carrier.relay, is_back: from.is_far }, bytes).await;
                if tokio::time::timeout(silence, hand_over(&head, &frame.payload, to)).await.is_err() {
                    return tracing::debug!("an end of a relay takes nothing");
                }
                if matches!(frame.message, Message::Handshake(HandshakeMessage::Hello(_))) {
                    carrier.account.said_hello(from.is_far);
                }
                carrier.account.carried(from.is_far, bytes);
                carrier.tally.carried_bytes.inc_by(bytes);
                until = Instant::now() + silence;
            }
            Some(LinkEvent::Drained) => {
                from.link.drained_bytes();
                from.has_room.notify_one();
            }
            Some(LinkEvent::Closed(cause)) => return tracing::debug!(%cause, "an end of a relay has gone"),
            None => return,
        }
    }
}

/// Gives a frame to a link as soon as it has room. Its payload is shared, not copied.
async fn hand_over(head: &Bytes, payload: &Bytes, to: &Side) {
    while !to.link.is_closed() && to.link.try_send_encoded(head.clone(), payload.clone()).is_err() {
        tokio::select! {
            () = to.has_room.notified() => {}
            () = tokio::time::sleep(OFFER_AGAIN) => {}
        }
    }
}

fn head_of(message: &Message) -> Bytes {
    let mut head = BytesMut::with_capacity(8 * HEADER_BYTES);
    encode_head(message, &mut head);
    head.freeze()
}
