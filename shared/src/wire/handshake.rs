//! Hello, Welcome, Confirm, Reject: version agreement and proof of the keys both ends claim.
//!
//! Signatures are made and checked by the session; this file says which bytes are signed.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    BodyError,
    catalogue::{Validate, bounded, bounded_text},
};
use crate::{
    ids::{MediaKind, NodeId},
    limits::MAX_TEXT_BYTES,
};

/// Fresh randomness of one end of one connection.
pub type Nonce = [u8; 32];

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Registers clients, plans paths.
    Tracker,
    /// The tracker's own library, served like a peer's.
    Origin,
    /// A client.
    Peer,
}

/// What an end can do beyond the minimum; unknown bits are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capabilities(pub u64);

/// The dialler's first frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`super::PROTOCOL_VERSION`] of the sender.
    pub version: u16,
    /// The sender's public key.
    pub node: NodeId,
    /// What the sender is.
    pub role: Role,
    /// The kind of media a client wants; none for trackers and origins.
    pub kind: Option<MediaKind>,
    /// What the sender can do.
    pub capabilities: Capabilities,
    /// Fresh randomness the acceptor signs.
    pub nonce: Nonce,
    /// Program and version, for logs.
    pub agent: String,
}

/// An Ed25519 signature in two halves, because serde describes arrays up to 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature(pub [[u8; 32]; 2]);

/// The acceptor's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The acceptor's public key.
    pub node: NodeId,
    /// What the acceptor is.
    pub role: Role,
    /// The kind of media of a client; none for trackers and origins.
    pub kind: Option<MediaKind>,
    /// What the acceptor can do.
    pub capabilities: Capabilities,
    /// Fresh randomness the dialler signs.
    pub nonce: Nonce,
    /// The acceptor's signature of [`handshake_transcript`].
    pub signature: Signature,
    /// Program and version, for logs.
    pub agent: String,
}

/// The dialler's proof of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// The dialler's signature of [`handshake_transcript`].
    pub signature: Signature,
}

/// The last frame of a connection that is not wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Why, so that the other end can act.
    pub reason: RejectReason,
}

/// Why a connection is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum RejectReason {
    /// Another protocol version; carries the one spoken here.
    #[error("protocol version {0} is spoken here")]
    Version(u16),
    /// The signature does not match the key.
    #[error("the signature does not match the key")]
    Proof,
    /// No more connections now.
    #[error("no more connections now")]
    Full,
    /// This node was found lying.
    #[error("banned for serving wrong bytes")]
    Banned,
    /// The other kind of media, or a role this endpoint does not serve.
    #[error("not served at this endpoint")]
    NotServed,
    /// Both ends are the same node, or a second connection of the same pair lost the tie.
    #[error("already connected")]
    Duplicate,
}

/// The bytes an end signs: its part in the conversation, both keys and both nonces.
pub fn handshake_transcript(
    signer_is_dialler: bool,
    dialler: (NodeId, Nonce),
    acceptor: (NodeId, Nonce),
) -> Vec<u8> {
    let part: &[u8] = if signer_is_dialler { b"rusteze.v1 dialler" } else { b"rusteze.v1 acceptor" };
    [part, &dialler.0.0, &dialler.1, &acceptor.0.0, &acceptor.1].concat()
}

impl Validate for Hello {
    fn validate(&self) -> Result<(), BodyError> {
        bounded_text(&self.agent, MAX_TEXT_BYTES, "agent")?;
        bounded(self.kind.is_some() || self.role != Role::Peer, "kind")
    }
}

impl Validate for Welcome {
    fn validate(&self) -> Result<(), BodyError> {
        bounded_text(&self.agent, MAX_TEXT_BYTES, "agent")
    }
}

impl Validate for Confirm {}
impl Validate for Reject {}
