//! # The path planner: who gets what from whom, over which way
//!
//! Restated as a problem: given who holds a content (all or part), who wants it and from where on, what links carried lately and who can
//! be dialled, give every viewer a short list of sources, best first, each with a way that works; keep it still while nothing changes
//! and mend it at once when something breaks.
//!
//! - [`links`]: what one client measured, smoothed and aged;
//! - [`paths`]: the best way between two ends: direct, reversed or relayed;
//! - [`plan`]: the order of sources, with hysteresis;
//! - [`shares`]: how much each is to take from whom, where the supply is there already; [`sharing`]: of whose plan, and what of it is told;
//! - [`swarm`]: who is in a swarm, and whom of them to look at, at a cost that does not grow with the swarm;
//! - [`rates`]: what a swarm can carry;
//! - [`addresses`]: which addresses may be told to whom;
//! - [`relays`]: over whom a pair that cannot dial each other is brought together;
//! - `nodes`: the registered nodes, and by what handles everything else names them;
//! - `own_relays`: the tracker's own relays, which move over to peers that appear;
//! - [`reprobe`]: looking again whether a relayed client can be dialled;
//! - [`planning`]: candidates, choice, news;
//! - [`state`]: the network, its events, and the plans that are due;
//! - [`view`]: one swarm, its plans and their reasons, for people.
//!
//! A plan is advice. Rates come from the receivers of data, never from the senders, and a client finds out for itself what a source is
//! worth; a wrong plan costs time, not correctness.

mod actor;
pub mod addresses;
pub mod links;
mod messages;
mod nodes;
mod own_relays;
pub mod paths;
pub mod plan;
pub mod planning;
mod probe;
pub mod rates;
pub mod relays;
pub mod reprobe;
pub mod shares;
pub mod sharing;
pub mod state;
pub mod swarm;
#[cfg(test)]
mod tests;
pub mod view;

use serde::Serialize;
use shared::{ContentId, MediaKind};

pub use actor::PathPlannerActor;
pub use addresses::seed_address;
pub use messages::{
    ClientSays, HoldersChanged, NodeJoined, NodeLeft, Observe, ObserveSwarm, PlannerRequest, ProbeFinished,
};
pub use state::PathPlannerState;

/// What the planner sees, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PlannerSnapshot {
    /// Registered nodes.
    pub nodes: usize,
    /// Contents somebody wants.
    pub watched: usize,
    /// Wants of all contents together.
    pub viewers: usize,
    /// Plans to be looked at again.
    pub plans_due: usize,
    /// Plans told since start.
    pub plans_told: u64,
    /// What peers relay.
    pub relays: relays::PeerRelays,
    /// The largest swarms.
    pub swarms: Vec<SwarmSnapshot>,
}

/// One swarm, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SwarmSnapshot {
    /// Audio or video.
    pub kind: MediaKind,
    /// Which content.
    pub content_id: ContentId,
    /// Those that want it.
    pub viewers: usize,
    /// Those that have all of it.
    pub holders: usize,
    /// Those that have some of it.
    pub partial: usize,
    /// Whether the tracker's own library has it.
    pub at_origin: bool,
    /// The rate it can carry, or 0 when unknown.
    pub sustainable_bps: u64,
}
