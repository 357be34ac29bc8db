//! # Discovery: the one link to the tracker
//!
//! ```text
//!  waiting --due--> dialling --WebSocket--> greeting --Opened--> registering --Registered--> connected
//!     ^                |                       |                      |                          |
//!     +----------------+----- failed, refused, lost, silent ----------+--------------------------+
//! ```
//!
//! Discovery keeps a session with the tracker, however often it is lost, and holds everything that must be said again on a new one:
//! own files, watched contents, holdings, link metrics. What it learned (the catalogue) stays while the tracker is away.
//!
//! Invariants: everything to be sent is either state that is re-derived (dirty sets, bounded by what they name) or a bounded queue, and
//! is encoded only when the link has room; epochs of plans grow over reconnects; the first retry comes within half a second and no
//! later one waits longer than four, so that a restarted tracker is found again within ten.
//!
//! The first plan of a content is made here of the seeds its catalogue entry names, so that whoever opens it dials while the tracker is
//! asked; the tracker's own plan replaces it.
//!
//! It does not dial peers, judge plans, or read files.

mod actor;
mod catalogue;
mod hints_cache;
mod messages;
mod outbox;
mod state;

pub use actor::DiscoveryActor;
pub use messages::{
    AskPath, DiscoveryConfig, DiscoveryRoutes, FetchHints, ForgetContent, NetworkChanged, NodeGone, OwnFiles,
    PathAnswer, PlanArrived, ReadOwnHints, ReportHoldings, ReportLinks, Stop, UplinkProbed, WatchContent,
};
pub use state::{DiscoveryOutput, DiscoveryState};
