//! # The simulator: the real cores in a deterministic world
//!
//! One heap of events, one seed, no thread and no clock. Every node runs the viewer and uploader cores of `shared::schedule`, the tracker its
//! path planner (`tracker`); what is modelled is what lies between them:
//!
//! - an uplink that carries one thing at a time (`uplink`), frames with 4.5 % of headers, control frames charged to it;
//! - a one-way delay with jitter, order kept on each link, and a downlink that is first come, first served;
//! - kernels that take whatever a connection is given and say nothing of it, all connections taking turns;
//! - players that start with two seconds, resume with one, and read thirty ahead (`player`);
//! - nodes that come, meet whom the tracker plans for them, and vanish without a word (`membership`).
//!
//! Not modelled: hashing and disks, packet loss and its recovery, other traffic, a variable bitrate.
//!
//! An oracle that shares nothing with the cores keeps its own books (`ledger`) and checks each event. Scenarios are data
//! (`scenario`, `library`, `riders`); a run gives a [`Report`].

mod cast;
mod events;
mod inbox;
mod ledger;
mod library;
mod membership;
mod node;
mod player;
mod report;
mod riders;
pub mod scenario;
mod tracker;
mod uplink;
mod world;

pub use report::Report;
pub use scenario::Scenario;

/// Runs a scenario.
pub fn simulate(scenario: &Scenario, seed: u64) -> Report {
    let mut world = world::World::new(*scenario, seed);
    world.run();
    Report::new(&world, seed)
}
