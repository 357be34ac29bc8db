//! View models: what the window says, computed from snapshots, without egui.
//!
//! Everything here is plain data and pure functions of `(snapshot, local view state, now)`; nothing is edited that the node
//! owns, nothing draws, nothing reads a clock.

pub mod chrome;
pub mod console;
pub mod forecast;
pub mod format;
pub mod journal;
pub mod library;
pub mod piece_map;
pub mod playback;
pub mod player;
pub mod queue;
#[cfg(test)]
mod samples;
pub mod settings;
pub mod shares;
pub mod swarm;
pub mod swarm_graph;
pub mod timeline;
pub mod toasts;
pub mod transfers;
pub mod wanted;
pub mod waveform;
