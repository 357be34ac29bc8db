//! # Path planner: which neighbour over which path
//!
//! ```text
//!  planned source --> direct race --failed--> reversed --refused, 3 s--> relayed --refused, 5 s--> back-off --+
//!        ^               |                       |                          |                                |
//!        |               +--------- Opened ------+----------- up -----------+                                |
//!        +--------------------------------- due, while a plan names it -------------------------------------+
//! ```
//!
//! The tracker's plans say whom this node wants as a source and how each is best reached; the planner opens those links, keeps one per
//! node, replaces it when a better path succeeds, and tells everyone who uses links. It also owns the sessions others open here.
//!
//! Invariants: users of links see per node an alternation of `Up`+ and `Down`, and one link at a time; whatever the tracker does, a live
//! link stays; both ends of a duplicate connection close the same one; links and tries are bounded.
//!
//! It does not decide what is asked of whom (chunk scheduler, uploader), and judges nobody: bans are told to it.

mod actor;
mod endpoint;
mod messages;
mod neighbour;
mod output;
mod pursuit;
mod report;
mod score;
mod state;
mod wants;

pub use actor::PathPlannerActor;
pub use endpoint::accept_peer;
pub use messages::{
    ContentUnwanted, GoodputMeasured, IncomingLink, LinkChanged, NodeBanned, PathPlannerConfig,
    PathPlannerRoutes, Stop, UplinkMeasured,
};
pub use neighbour::TryId;
pub use output::PlannerOutput;
pub use state::PathPlannerState;
