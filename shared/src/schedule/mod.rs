//! The pure cores of streaming: what a viewer requests from whom, and whom an uploader serves next.

/// When a core wants to be woken, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The time to call `handle_timeout` at the latest.
    pub at_ms: u64,
    /// What is due then, for logs.
    pub reason: &'static str,
}

pub mod uploader;
