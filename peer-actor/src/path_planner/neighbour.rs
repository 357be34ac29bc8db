//! One node as the planner knows it: where it may be, how it is linked, how it is being tried. Pure data with its timers.

use std::{collections::VecDeque, net::SocketAddr};

use shared::wire::PathKind;

use super::score::Contender;
use crate::session::SessionId;

/// How long a link that is not used is kept: one this node opened a content for and needs no more, or any one while places are short.
pub(super) const IDLE_MS: u64 = 60_000;
/// How long a link is kept that only the other end has a use for: a viewer that is paused moves nothing, and goes on at once when it is
/// not paused any more.
const GUEST_IDLE_MS: u64 = 15 * 60_000;

/// Numbers a dial within this planner; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TryId(pub u64);

/// See the file's header.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) planned: PathKind,
    pub(super) rate_hint_bps: u64,
    /// Measured, or what the plan says, or 0.
    pub(super) rtt_us: u32,
    pub(super) live: Option<Live>,
    /// A second connection the other end has opened, and when it takes over unless one of them is closed.
    pub(super) spare: Option<(Live, u64)>,
    pub(super) pursuit: Option<Pursuit>,
    pub(super) failures: u32,
    pub(super) next_try_ms: u64,
    pub(super) next_upgrade_ms: u64,
    /// The other end said that another connection replaces the lost one: until then the users of links are told nothing.
    pub(super) pending_down_ms: Option<u64>,
    pub(super) banned_ms: Option<u64>,
    /// Whether a plan ever named it; else it is here for its own sake.
    pub(super) was_wanted: bool,
}

/// An open session in use.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) session: SessionId,
    pub(super) contender: Contender,
    pub(super) address: String,
    pub(super) moved_bytes: u64,
    pub(super) used_ms: u64,
}

/// How a node is being tried: the present step and those that follow when it fails.
#[derive(Debug)]
pub(super) struct Pursuit {
    pub(super) step: Step,
    pub(super) next: VecDeque<PathKind>,
    /// The tracker asked for it on the other end's behalf; it goes on whether or not a plan names the node.
    pub(super) is_invited: bool,
    /// The other end answered that it does not want this node.
    pub(super) is_refused: bool,
    /// Relays that came to nothing.
    pub(super) relays_tried: u8,
}

#[derive(Debug)]
pub(super) enum Step {
    /// Dials address after address, each a little after the last; the first to open wins.
    Racing { path: PathKind, left: VecDeque<SocketAddr>, next_ms: u64 },
    /// The tracker was asked, or the other end is about to dial.
    Awaiting { path: PathKind, until_ms: u64 },
    /// Both ends dial the relay.
    Relaying { relay_try: TryId },
}

impl Step {
    pub(super) const fn path(&self) -> PathKind {
        match self {
            Self::Racing { path, .. } | Self::Awaiting { path, .. } => *path,
            Self::Relaying { .. } => PathKind::Relayed,
        }
    }
}

impl Neighbour {
    pub(super) const fn new(now_ms: u64) -> Self {
        Self {
            addresses: Vec::new(),
            planned: PathKind::Direct,
            rate_hint_bps: 0,
            rtt_us: 0,
            live: None,
            spare: None,
            pursuit: None,
            failures: 0,
            next_try_ms: now_ms,
            next_upgrade_ms: now_ms,
            pending_down_ms: None,
            banned_ms: None,
            was_wanted: false,
        }
    }

    /// When its link has been without use for too long.
    pub(super) fn idle_at_ms(&self) -> Option<u64> {
        let patience_ms = if self.was_wanted { IDLE_MS } else { GUEST_IDLE_MS };
        self.live.as_ref().map(|live| live.used_ms + patience_ms)
    }

    pub(super) const fn is_banned(&self) -> bool {
        self.banned_ms.is_some()
    }

    /// Whether nothing but a plan would keep the record.
    pub(super) const fn is_forgettable(&self) -> bool {
        self.live.is_none() && self.pursuit.is_none() && self.pending_down_ms.is_none() && !self.is_banned()
    }

    /// When something about this node is due, other than a new try.
    pub(super) fn due_ms(&self, is_wanted: bool) -> Option<(u64, &'static str)> {
        let step = self.pursuit.as_ref().and_then(|pursuit| match &pursuit.step {
            Step::Racing { left, .. } if left.is_empty() => None,
            Step::Racing { next_ms, .. } => Some((*next_ms, "next address")),
            Step::Awaiting { until_ms, .. } => Some((*until_ms, "unanswered path")),
            Step::Relaying { .. } => None,
        });
        let spare = self.spare.as_ref().map(|(_, due_ms)| (*due_ms, "spare link"));
        let down = self.pending_down_ms.map(|due_ms| (due_ms, "link not replaced"));
        let idle = self.idle_at_ms().filter(|_| !is_wanted).map(|due_ms| (due_ms, "idle link"));
        [step, spare, down, idle].into_iter().flatten().min_by_key(|(due_ms, _)| *due_ms)
    }
}
