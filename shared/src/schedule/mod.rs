//! The pure cores of streaming: what a viewer requests from whom, and whom an uploader serves next.
//!
//! Every core is driven the same way: inputs are methods that take `now_ms` (monotonic milliseconds, any origin, never going back),
//! outputs are drained with `poll_output` until there is none, `poll_timeout` says when to call `handle_timeout` at the latest.
//! Nothing here performs I/O or reads a clock; randomness is seeded.
//!
//! | module | decides |
//! | --- | --- |
//! | [`viewer`] | one per streamed content: what to request from whom, when to move, repeat or void a request |
//! | [`uploader`] | one per node: which queued request to serve next, over all links together |
//! | [`rate`] | how fast a link is while it is busy |

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::wire::RequestId;

pub mod announcer;
mod numbered;
pub mod rate;
pub mod uploader;
pub mod viewer;

/// An uplink with less to do than this is about to idle. A viewer asks for fresh chunks then, and a seed answers it before others.
pub(crate) const IDLE_SOON_MS: u64 = 900;
/// A swarm of more viewers than these is a large one.
pub const LARGE_SWARM: usize = 24;

/// When a core wants to be woken, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The time to call `handle_timeout` at the latest.
    pub at_ms: u64,
    /// What is due then, for logs.
    pub reason: &'static str,
}

/// Hands out request ids, unique over all contents and links of a node.
///
/// A link carries several contents and a Cancel names ids alone, so every viewer of a node draws from one of these. Clones share.
#[derive(Debug, Clone, Default)]
pub struct RequestIds(Arc<AtomicU32>);

impl RequestIds {
    /// The next id; never 0, which on the wire answers an Open.
    pub fn next(&self) -> RequestId {
        loop {
            let id = self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if id != 0 {
                return id;
            }
        }
    }
}
