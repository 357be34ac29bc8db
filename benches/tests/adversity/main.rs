//! What the network does about nodes nobody can dial, nodes that lie, nodes that die and nodes that attack.
//!
//! Every test runs the real programs. Those that need a network of their own are skipped, with a word, where that is not allowed.

#![allow(clippy::print_stdout, reason = "a scenario prints its figures")]

mod abuse;
mod cache_full;
mod crashes;
mod echo;
mod relays;
mod stalled;
mod unreachable;
mod wrong_bytes;
