//! Reusable parts: each takes data, draws itself with the theme's tokens and returns what the person did.
//!
//! Invariant: everything that can be clicked or dragged has an accessible name. No widget knows the node or the player.

pub mod controls;
pub mod cover;
pub mod gauge;
pub mod icons;
pub mod peer_table;
pub mod piece_map;
pub mod seek_bar;
pub mod sparkline;
pub mod stepping;
pub mod swarm_graph;
pub mod text;
