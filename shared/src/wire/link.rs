//! Upkeep of any link: liveness, flow control, the polite end.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::catalogue::{Validate, list};
use crate::limits::MAX_PADDING_BYTES;

/// Asks for a [`Pong`]; sent on a quiet link and to measure the round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Returned in the answer.
    pub nonce: u64,
}

/// Answers a [`Ping`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The ping's nonce.
    pub nonce: u64,
}

/// One of a train of frames that are sent one behind the other. How far apart the answers come tells what the sender's uplink carries.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Its place in the train, from 0.
    pub number: u8,
    /// Nothing of interest.
    #[serde(deserialize_with = "list::<_, _, MAX_PADDING_BYTES>")]
    pub padding: Vec<u8>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe {{ number: {}, padding: {} bytes }}", self.number, self.padding.len())
    }
}

/// Answers a [`Probe`] at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// The probe's place.
    pub number: u8,
}

/// Flow control: the sums of payload bytes that the receiver is ready to take and that it has received, since the link opened.
///
/// Cumulative, so a repeated or reordered frame can do no harm; neither shrinks. What has been received tells the sender what is still on
/// its way, in kernels and shapers, where it cannot look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// Payload bytes granted since the link opened.
    pub granted_bytes: u64,
    /// Payload bytes received since the link opened.
    pub received_bytes: u64,
    /// When the last of them came, by the receiver's clock in milliseconds, of which the low 32 bits. Words are late where the receiver sends
    /// as much as its uplink carries, by how much differs each time, and rates would be taken for lower than they are.
    pub at_ms: u32,
}

/// The last frame of a link that ends on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why, so that the other end knows whether to come back.
    pub reason: GoodbyeReason,
}

/// Why a link ends on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GoodbyeReason {
    /// The node stops.
    Leaving,
    /// Nothing is exchanged on this link any more.
    Idle,
    /// A better path to the same node took over.
    Replaced,
    /// The other end broke the protocol.
    Violation,
}

impl Validate for Ping {}
impl Validate for Pong {}
impl Validate for Credit {}
impl Validate for Goodbye {}
impl Validate for Probe {}
impl Validate for Probed {}
