//! What the console sends to a browser, as JSON.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use shared::{MediaKind, NodeId, snapshot::RelaySnapshot, wire::Role};

use super::tap::TraceLine;
use crate::{
    observe_swarm::Watched,
    path_planner::{SwarmSnapshot, relays::PeerRelays},
};

/// One update of a browser.
#[derive(Debug, Serialize)]
pub struct Update {
    /// The tracker's clock.
    pub now_ms: u64,
    /// The tables, when they are due.
    pub tables: Option<Tables>,
    /// New lines of the trace.
    pub lines: Vec<TraceLine>,
    /// Lines that came and went before they could be shown.
    pub lost_lines: u64,
}

/// Everything but the trace.
#[derive(Debug, Serialize)]
pub struct Tables {
    /// The actors and what they are busy with.
    pub actors: Vec<ActorRow>,
    /// The clients, in the order they came; the first few thousand.
    pub sessions: Vec<SessionRow>,
    /// Clients beyond those shown.
    pub more_sessions: usize,
    /// The largest swarms.
    pub swarms: Vec<SwarmRow>,
    /// The swarm whose plans are being explained.
    #[serde(serialize_with = "by_value")]
    pub explained: Option<Arc<Watched>>,
    /// Connections without a proven key.
    pub strangers: usize,
    /// What the tracker itself relays, and between whom.
    pub relays: Vec<RelaySnapshot>,
    /// What peers say they relay.
    pub peer_relays: PeerRelays,
}

/// One actor.
#[derive(Debug, Serialize)]
pub struct ActorRow {
    /// Its name.
    pub name: &'static str,
    /// How many of it there are.
    pub count: usize,
    /// Turns so far.
    pub turns: u64,
    /// Microseconds spent in turns.
    pub busy_us: u64,
    /// The slowest turn.
    pub slowest_us: u64,
    /// What it has in hand, in words.
    pub detail: String,
}

/// One client.
#[derive(Debug, Serialize)]
pub struct SessionRow {
    /// Its session's number.
    pub session: u64,
    /// Its key.
    pub node: NodeId,
    /// Peer or origin.
    pub role: Role,
    /// Its kind.
    pub kind: Option<MediaKind>,
    /// Program and version.
    pub agent: String,
    /// Where it comes from.
    pub address: String,
    /// How long it is here.
    pub age_ms: u64,
    /// The last round trip, or 0.
    pub rtt_us: u32,
    /// Frames from it.
    pub frames_in: u64,
    /// Frames to it.
    pub frames_out: u64,
    /// Bytes waiting to be sent to it.
    pub queued_bytes: usize,
}

/// One swarm and its file's name.
#[derive(Debug, Serialize)]
pub struct SwarmRow {
    /// The file's name, if anybody present has it.
    pub name: String,
    /// The swarm.
    #[serde(flatten)]
    pub swarm: SwarmSnapshot,
}

fn by_value<S: Serializer>(watched: &Option<Arc<Watched>>, serializer: S) -> Result<S::Ok, S::Error> {
    watched.as_deref().serialize(serializer)
}
