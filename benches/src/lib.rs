//! Proof that the system does what it says: the harness that starts the real programs and looks at them from outside, and the
//! simulator that runs the cores of thousands of nodes in one.
//!
//! The scenarios are in `tests/`, one file a behaviour; the criterion benchmarks in `benches/`; the rules of the house in
//! `tests/tidy.rs`. Nothing here is linked into the programs.

pub mod harness;
pub mod simulation;
