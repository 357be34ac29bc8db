//! # Relay: connections of two nodes that cannot dial each other, passed on by a third
//!
//! The tracker relays, and so does every peer that has not opted out; both with the code here. The tracker picks the relay of a pair and
//! names the connection by a token from its system's randomness; a relay carries what its tracker granted and nothing else. Both ends dial
//! `/relay/{token}`, each once within [`TOKEN_MS`], and the relay passes well-formed frames between them.
//!
//! - [`table`]: the tokens that may still be claimed;
//! - [`budget`]: whose frame leaves next, and when: one limit for all, the same share for each relay;
//! - [`accounts`]: who is carried since when, and how much;
//! - `pacer.rs`, `splice.rs`: the same with time and sockets; `endpoint.rs`: the HTTP path.
//!
//! Invariants: nothing is dropped and nothing is reordered, a frame that may not leave yet keeps its socket unread; all relays together
//! keep to the limit; a relay neither alters nor forges, because both ends prove their keys to each other through it and every byte of
//! media is verified where it arrives.
//!
//! Frames are not encrypted, so a relay could read them: what is watched, and the bytes. The tracker therefore picks relays of the pair's
//! own kind, which may ask for all of that anyway; an audio client never carries video.

pub mod accounts;
pub mod budget;
mod endpoint;
mod pacer;
mod relays;
mod splice;
pub mod table;

pub use accounts::RelayTally;
pub use endpoint::accept_relay;
pub use relays::{RelayLimits, Relays};
pub use table::{TOKEN_MS, Token};

/// The most connections a peer relays at once: each may hold a few frames in memory.
pub const PEER_RELAYS: usize = 8;
/// What a peer without an upload limit relays in all: a good film, and little beside what it has to be able to send.
const UNLIMITED_SHARE_BPS: u64 = 8_000_000;

/// The part of an uplink that is spared for others, as a divisor: small enough that a peer's own uploads do not suffer.
const SPARED: u64 = 8;

/// What a peer relays in all: an eighth of its upload limit, which its own uploads and what it relays share.
pub const fn peer_share_bps(upload_limit_bps: u64) -> u64 {
    if upload_limit_bps == 0 { UNLIMITED_SHARE_BPS } else { upload_limit_bps / SPARED }
}

/// What a peer that offers `limit_bps` should be asked for, when its uplink is known to carry `uplink_bps`; 0 when it is not known.
pub fn spare_bps(limit_bps: u64, uplink_bps: u64) -> u64 {
    if uplink_bps == 0 { limit_bps } else { limit_bps.min(uplink_bps / SPARED) }
}
