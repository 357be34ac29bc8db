//! session
pub mod rate;
pub mod state;
