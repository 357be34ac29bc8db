//! What the file index is told and asked. Each message is one frame of one client at most, so the mailbox is bounded by the sessions.

use std::net::SocketAddr;

use actix::Message;
use shared::{
    MediaKind, NodeId,
    wire::{FilesDelta, PutHints},
};

use crate::registry::SessionId;

/// What a client says about its files.
#[derive(Debug, Clone, PartialEq)]
pub enum IndexRequest {
    /// A change of its list.
    Files(FilesDelta),
    /// Hints of one of its files.
    Hints(PutHints),
}

/// A client has registered. The answer is the version of its list that is still known, or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "u64")]
pub struct NodeJoined {
    /// Who.
    pub node: NodeId,
    /// Over which session.
    pub session: SessionId,
    /// The kind whose catalogue it is told; none for the origin, which is told nothing and may have both.
    pub kind: Option<MediaKind>,
    /// Whether it is the tracker's own origin.
    pub is_origin: bool,
    /// Where anybody may dial it; none for the origin, which is where the tracker is, and for who takes no connections.
    pub address: Option<SocketAddr>,
}

/// A client's session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct NodeLeft {
    /// Who.
    pub node: NodeId,
    /// Which of its sessions.
    pub session: SessionId,
    /// Whether it said it would stay away.
    pub for_good: bool,
}

/// A registered client says something.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "FilesOutcome")]
pub struct ClientSays {
    /// Who.
    pub node: NodeId,
    /// Over which session.
    pub session: SessionId,
    /// What.
    pub request: IndexRequest,
}

/// What came of a client's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesOutcome {
    /// Taken, apart from so many files that are over a limit or of the wrong kind.
    Taken {
        /// Files left out.
        refused: u32,
    },
    /// The hints are not wanted: others stand, the giver has used its share, or it does not have the file.
    HintsRefused,
    /// The delta does not follow what is known; the client is asked for its whole list.
    Gap,
}

/// Asks for the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "IndexSnapshot")]
pub struct Observe;

/// The counts of the index, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct IndexSnapshot {
    /// Listed audio files.
    pub audio_files: usize,
    /// Listed video files.
    pub video_files: usize,
    /// Bytes of hints kept.
    pub hints_bytes: usize,
    /// Clients whose list is known, present or not.
    pub lists: usize,
    /// Of those, clients that are away.
    pub absent: usize,
    /// Grows with every change of a listed file, from 0 at the start.
    pub version: u64,
}
