//! # The Rusteze wire protocol, version 1
//!
//! **Participants.** *Clients* (audio or video) each keep one WebSocket to a *tracker* and one to each *neighbour* they exchange
//! media with. The tracker's own library is served by an ordinary peer endpoint inside the tracker, the *origin*.
//!
//! **Goals.** Every byte of media is verified against its [`ContentId`](crate::ContentId) before anyone sees it. A viewer states
//! deadlines; an uploader serves by them. A seek makes everything older void. Nothing a stranger sends can make a node allocate
//! beyond [`limits`](crate::limits), store a wrong byte or panic.
//!
//! **Non-goals.** Secrecy: frames are not encrypted by this protocol (run it behind TLS where that matters). Compatibility with
//! BitTorrent.
//!
//! ## Frames
//!
//! One binary WebSocket message is one frame, sub-protocol `rusteze.v1`. All integers of the header are little-endian.
//!
//! ```text
//!  0        1        2        3        4        5        6        7        8
//! +--------+--------+--------+--------+--------+--------+--------+--------+----------------+-----------------+
//! | type   | 0      | 0      | 0      | body length (u32)                 | body (bincode) | payload (raw)   |
//! +--------+--------+--------+--------+--------+--------+--------+--------+----------------+-----------------+
//! ```
//!
//! The body is bincode 2 (`config::standard()`: little-endian, variable-length integers) and must be consumed exactly. The payload is
//! what remains of the message; only `Data` may have one. It is never inside the body, so it is sliced without a copy.
//!
//! On a link, a small frame other than those of the handshake goes in a short form ([`Names`]): two bytes of header, and a content that the
//! sender has spelled out before by a number. Whoever writes may always use the form above instead.
//!
//! ## Frame registry
//!
//! Numbers are never reused; a retired one stays in the table.
//!
//! | type | frame | direction | answered by |
//! | --- | --- | --- | --- |
//! | `0x01` | [`Hello`] | dialler to acceptor, first | `Welcome` or `Reject` |
//! | `0x02` | [`Welcome`] | acceptor to dialler | `Confirm` |
//! | `0x03` | [`Confirm`] | dialler to acceptor | - |
//! | `0x04` | [`Reject`] | either, last | - |
//! | `0x10` | [`Ping`] | either | `Pong` |
//! | `0x11` | [`Pong`] | either | - |
//! | `0x12` | [`Credit`] | receiver of data to its sender | - |
//! | `0x13` | [`Goodbye`] | either, last | - |
//! | `0x14` | [`Probe`] | client to tracker | `Probed` |
//! | `0x15` | [`Probed`] | tracker to client | - |
//! | `0x20` | [`Register`] | client to tracker | `Registered` |
//! | `0x21` | [`Registered`] | tracker to client | - |
//! | `0x22` | [`FilesDelta`] | client to tracker | - |
//! | `0x23` | [`CatalogueDelta`] | tracker to client, pushed | - |
//! | `0x24` | [`PutHints`] | client to tracker | - |
//! | `0x25` | [`GetHints`] | client to tracker | `HintsReply` |
//! | `0x26` | [`HintsReply`] | tracker to client | - |
//! | `0x27` | [`FindPeers`] | client to tracker | `Plan` |
//! | `0x28` | [`Plan`] | tracker to client, also pushed | - |
//! | `0x29` | [`ForgetPeers`] | client to tracker | - |
//! | `0x2a` | [`LinkReport`] | client to tracker | - |
//! | `0x2b` | [`Holdings`] | client to tracker | - |
//! | `0x2c` | [`PeerGone`] | tracker to client, pushed | - |
//! | `0x2d` | [`RequestPath`] | client to tracker | `PathOffer` or `PathRefused` |
//! | `0x2e` | [`PathOffer`] | tracker to both ends | - |
//! | `0x2f` | [`PathRefused`] | tracker to client | - |
//! | `0x30` | [`RelayGrant`] | tracker to relay | `RelayAnswer` |
//! | `0x31` | [`RelayAnswer`] | relay to tracker | - |
//! | `0x32` | [`RelayUse`] | relay to tracker | - |
//! | `0x40` | [`Open`] | viewer to source | `Have` or `Refuse` |
//! | `0x41` | [`Close`] | viewer to source | - |
//! | `0x42` | [`Have`] | either | - |
//! | `0x43` | [`Request`] | viewer to source | `Data` or `Refuse` |
//! | `0x44` | [`Cancel`] | viewer to source | - |
//! | `0x45` | [`Flush`] | viewer to source | - |
//! | `0x46` | [`Data`] | source to viewer, with payload | - |
//! | `0x47` | [`Refuse`] | source to viewer | - |
//! | `0x48` | [`Token`] | viewer to origin | `Assigned` or `NoFresh` |
//! | `0x49` | [`Assigned`] | origin to viewer | `Data` follows |
//! | `0x4a` | [`NoFresh`] | origin to viewer | - |
//!
//! ## Flow
//!
//! Handshake: the dialler says [`Hello`] with a fresh nonce; the acceptor answers [`Welcome`] with its own nonce and a signature over
//! both; the dialler proves its key with [`Confirm`] and may send its first request in the same flight. Each proves the key it claims,
//! for this connection only. A relayed connection carries the same handshake end to end: a relay can cut it, not join it. Who relays
//! admits only tokens that its tracker has granted; it reads who the ends say they are, to account for them, and nothing else.
//!
//! The first two frames may travel with the upgrade itself, and then cost no round trip: [`Hello`] as the header `rusteze-greeting` of the
//! request, [`Welcome`] or [`Reject`] as that of the answer, each the base64 of the whole frame, of at most
//! [`MAX_GREETING_CHARS`](crate::limits::MAX_GREETING_CHARS). What is signed is the same, and so is what follows: an acceptor routes nothing
//! before [`Confirm`]. A request whose header is no `Hello` is answered with status 400. An end that ignores the header answers without
//! one, as relays do; then the dialler says `Hello` as its first frame.
//!
//! Data flows against [`Credit`]: a cumulative count of payload bytes the receiver is ready to take on this link. A source sends no
//! payload beyond it. [`Request`]s carry the viewer's seek epoch and a deadline in milliseconds from now; [`Flush`] voids every
//! request of an older epoch, and nothing void is answered. Requests name aligned chunks ([`crate::content::geometry`]) and say how many
//! levels of the hash tree the viewer already has. Chunks that are on their way together cannot leave out what another of them brings, so
//! a viewer asks ahead for whole *branches* ([`crate::content::branch`]), which come along with some chunk: then each pair reaches it about
//! once. A source that has not all of a branch leaves it out.
//!
//! ## Versioning
//!
//! [`PROTOCOL_VERSION`] is compared in the handshake; another version is rejected with [`RejectReason::Version`]. Golden vectors in
//! `tests/golden` pin the bytes of every frame, long and short.

mod catalogue;
mod codec;
mod error;
mod frame;
mod greeting;
mod handshake;
mod link;
mod peer;
mod short;
mod tracker;

pub use catalogue::{CatalogueEntry, FileEntry, Hints, Seed};
pub use codec::{decode, encode, encode_head, encode_into, peek_type};
pub use error::{BodyError, DecodeError};
pub use frame::{Frame, HandshakeMessage, LinkMessage, Message, PeerMessage, TrackerMessage};
pub use greeting::{GREETING_HEADER, GreetingError, decode_greeting, encode_greeting};
pub use handshake::{
    Capabilities, Confirm, Hello, Nonce, Reject, RejectReason, Role, Signature, Welcome, handshake_transcript,
};
pub use link::{Credit, Goodbye, GoodbyeReason, Ping, Pong, Probe, Probed};
pub use peer::{
    Assigned, Cancel, Close, Data, Flush, Have, NoFresh, Open, ProofPair, Refuse, RefuseReason, Request,
    RequestId, Token, WantedBranch, WantedChunk,
};
pub use short::{MAX_NAMED, Names};
pub use tracker::{
    CatalogueDelta, FilesDelta, FindPeers, ForgetPeers, GetHints, HintsReply, Holdings, LinkMetric,
    LinkReport, PathKind, PathOffer, PathRefused, PathRole, PeerGone, Plan, PlannedSource, PutHints,
    Register, Registered, RelayAnswer, RelayGrant, RelayUse, RequestPath,
};

/// Compared in the handshake; raised whenever bytes on the wire change meaning.
pub const PROTOCOL_VERSION: u16 = 8;
/// The WebSocket sub-protocol both ends name.
pub const SUB_PROTOCOL: &str = "rusteze.v1";
/// The HTTP path of a tracker's client endpoint.
pub const TRACKER_PATH: &str = "/tracker";
/// The HTTP path of a peer's (and the origin's) endpoint.
pub const PEER_PATH: &str = "/peer";
/// The HTTP path under which a tracker, or a client that relays, splices relayed connections: `/relay/{token}`.
pub const RELAY_PATH: &str = "/relay";
