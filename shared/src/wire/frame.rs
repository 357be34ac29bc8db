//! The frame-type registry: one number, one message, one conversation. Numbers are never reused.

use bytes::Bytes;

use super::{BodyError, catalogue::Validate, codec, handshake as h, link as l, peer as p, tracker as t};
use crate::limits::LEAF_BYTES;

macro_rules! conversation {
    ($(#[$doc:meta])* $name:ident { $($variant:ident($body:ty) = $number:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name {
            $(#[doc = concat!("Frame type `", stringify!($number), "`.")] $variant($body)),+
        }

        impl $name {
            /// Every frame type of this conversation.
            pub const TYPES: &'static [u8] = &[$($number),+];

            /// The frame's number in the registry.
            pub const fn frame_type(&self) -> u8 {
                match self { $(Self::$variant(_) => $number),+ }
            }

            /// The frame's name in the registry.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($variant)),+ }
            }

            pub(crate) fn encode_body(&self, out: &mut impl std::io::Write) {
                match self { $(Self::$variant(body) => codec::encode_body(body, out)),+ }
            }

            pub(crate) fn decode_body(frame_type: u8, bytes: &[u8]) -> Option<Result<Self, BodyError>> {
                match frame_type {
                    $($number => Some(codec::decode_body::<$body>(bytes).and_then(|body| {
                        body.validate()?;
                        Ok(Self::$variant(body))
                    })),)+
                    _ => None,
                }
            }
        }

        $(impl From<$body> for Message {
            fn from(body: $body) -> Self {
                $name::$variant(body).into()
            }
        }

        impl From<$body> for Frame {
            fn from(body: $body) -> Self {
                Message::from(body).into()
            }
        })+
    };
}

conversation! {
    /// Who is there.
    HandshakeMessage {
        Hello(h::Hello) = 0x01,
        Welcome(h::Welcome) = 0x02,
        Confirm(h::Confirm) = 0x03,
        Reject(h::Reject) = 0x04,
    }
}

conversation! {
    /// Upkeep of any link.
    LinkMessage {
        Ping(l::Ping) = 0x10,
        Pong(l::Pong) = 0x11,
        Credit(l::Credit) = 0x12,
        Goodbye(l::Goodbye) = 0x13,
        Probe(l::Probe) = 0x14,
        Probed(l::Probed) = 0x15,
    }
}

conversation! {
    /// Between a client and its tracker.
    TrackerMessage {
        Register(t::Register) = 0x20,
        Registered(t::Registered) = 0x21,
        FilesDelta(t::FilesDelta) = 0x22,
        CatalogueDelta(t::CatalogueDelta) = 0x23,
        PutHints(t::PutHints) = 0x24,
        GetHints(t::GetHints) = 0x25,
        HintsReply(t::HintsReply) = 0x26,
        FindPeers(t::FindPeers) = 0x27,
        Plan(t::Plan) = 0x28,
        ForgetPeers(t::ForgetPeers) = 0x29,
        LinkReport(t::LinkReport) = 0x2a,
        Holdings(t::Holdings) = 0x2b,
        PeerGone(t::PeerGone) = 0x2c,
        RequestPath(t::RequestPath) = 0x2d,
        PathOffer(t::PathOffer) = 0x2e,
        PathRefused(t::PathRefused) = 0x2f,
        RelayGrant(t::RelayGrant) = 0x30,
        RelayAnswer(t::RelayAnswer) = 0x31,
        RelayUse(t::RelayUse) = 0x32,
    }
}

conversation! {
    /// Between neighbours.
    PeerMessage {
        Open(p::Open) = 0x40,
        Close(p::Close) = 0x41,
        Have(p::Have) = 0x42,
        Request(p::Request) = 0x43,
        Cancel(p::Cancel) = 0x44,
        Flush(p::Flush) = 0x45,
        Data(p::Data) = 0x46,
        Refuse(p::Refuse) = 0x47,
        Token(p::Token) = 0x48,
        Assigned(p::Assigned) = 0x49,
        NoFresh(p::NoFresh) = 0x4a,
    }
}

impl PeerMessage {
    /// The types whose bodies begin with a content id.
    pub const OF_A_CONTENT: &'static [u8] = &[0x40, 0x41, 0x42, 0x43, 0x45, 0x48];
}

/// A message of any conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Who is there.
    Handshake(HandshakeMessage),
    /// Upkeep of any link.
    Link(LinkMessage),
    /// Between a client and its tracker.
    Tracker(TrackerMessage),
    /// Between neighbours.
    Peer(PeerMessage),
}

macro_rules! each_conversation {
    ($self:ident, $message:ident => $body:expr) => {
        match $self {
            Message::Handshake($message) => $body,
            Message::Link($message) => $body,
            Message::Tracker($message) => $body,
            Message::Peer($message) => $body,
        }
    };
}

impl Message {
    /// The frame's number in the registry.
    pub const fn frame_type(&self) -> u8 {
        each_conversation!(self, message => message.frame_type())
    }

    /// The frame's name in the registry.
    pub const fn name(&self) -> &'static str {
        each_conversation!(self, message => message.name())
    }

    pub(crate) fn encode_body(&self, out: &mut impl std::io::Write) {
        each_conversation!(self, message => message.encode_body(out))
    }

    pub(crate) fn decode_body(frame_type: u8, bytes: &[u8]) -> Option<Result<Self, BodyError>> {
        None.or_else(|| HandshakeMessage::decode_body(frame_type, bytes).map(|m| m.map(Self::Handshake)))
            .or_else(|| LinkMessage::decode_body(frame_type, bytes).map(|m| m.map(Self::Link)))
            .or_else(|| TrackerMessage::decode_body(frame_type, bytes).map(|m| m.map(Self::Tracker)))
            .or_else(|| PeerMessage::decode_body(frame_type, bytes).map(|m| m.map(Self::Peer)))
    }
}

macro_rules! into_message {
    ($($name:ident => $variant:ident),+) => {
        $(impl From<$name> for Message {
            fn from(message: $name) -> Self {
                Self::$variant(message)
            }
        })+
    };
}
into_message!(HandshakeMessage => Handshake, LinkMessage => Link, TrackerMessage => Tracker, PeerMessage => Peer);

/// One WebSocket message: a typed message and, for [`Data`](super::Data) alone, the raw bytes behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// What it says.
    pub message: Message,
    /// The raw tail; empty for everything but `Data`.
    pub payload: Bytes,
}

impl From<Message> for Frame {
    fn from(message: Message) -> Self {
        Self { message, payload: Bytes::new() }
    }
}

impl Frame {
    /// A `Data` frame with its bytes.
    pub fn data(head: p::Data, payload: Bytes) -> Self {
        Self { message: head.into(), payload }
    }

    /// Whether the payload is what the message says: for `Data` the bytes of its leaves, of which only the last may be short; nothing
    /// for all others.
    pub(crate) fn payload_fits(&self) -> bool {
        let Message::Peer(PeerMessage::Data(data)) = &self.message else {
            return self.payload.is_empty();
        };
        (self.payload.len() as u64).div_ceil(LEAF_BYTES) == u64::from(data.leaves.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::LeafRange;

    #[test]
    fn every_number_belongs_to_one_message() {
        let mut numbers: Vec<u8> =
            [HandshakeMessage::TYPES, LinkMessage::TYPES, TrackerMessage::TYPES, PeerMessage::TYPES].concat();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }

    #[test]
    fn only_data_carries_a_payload_and_it_is_as_long_as_its_leaves() {
        let data = |leaves, bytes| {
            let head =
                p::Data { id: 1, leaves: LeafRange::new(0, leaves), proof: Vec::new(), branch: Vec::new() };
            Frame::data(head, Bytes::from(vec![0; bytes]))
        };
        let leaf = LEAF_BYTES as usize;
        assert!(
            data(1, 1).payload_fits() && data(2, leaf + 1).payload_fits() && data(2, 2 * leaf).payload_fits()
        );
        assert!(
            !data(1, 0).payload_fits() && !data(2, leaf).payload_fits() && !data(1, leaf + 1).payload_fits()
        );
        let mut ping = Frame::from(l::Ping { nonce: 1 });
        assert!(ping.payload_fits());
        ping.payload = Bytes::from_static(b"x");
        assert!(!ping.payload_fits());
    }
}
