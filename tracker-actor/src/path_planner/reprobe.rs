//! Looking again whether a client can be dialled, while it is linked over a relay for want of that. Pure.
//!
//! A relay is used only while nothing better exists, and what makes something better exist is mostly a firewall that opens: no message
//! tells of it. So the tracker tries such clients every second, which is one packet each to an address it has tried before; the answer
//! makes new plans at once, and the pair moves over without a pause.

use std::collections::BTreeSet;

use super::{
    messages::DialBack,
    nodes::{Handle, Node},
    paths::Reach,
    state::{Output, PathPlannerState},
};

/// How often one client is tried.
pub const REPROBE_MS: u64 = 1_000;
/// The most clients tried a second; beyond this each is tried less often.
pub const REPROBES_PER_S: usize = 32;

/// The clients that are tried again, and when.
#[derive(Debug, Default)]
pub(super) struct Reprobes {
    due: BTreeSet<(u64, Handle)>,
}

impl PathPlannerState {
    /// `node` has told what it is linked to.
    pub(super) fn watch_reach(&mut self, now_ms: u64, node: Handle) {
        let Some(known) = self.nodes.at_mut(node) else { return };
        if known.reprobe_ms.is_none() && known.is_worth_another_try() {
            let due_ms = now_ms + REPROBE_MS;
            known.reprobe_ms = Some(due_ms);
            self.reprobes.due.insert((due_ms, node));
        }
    }

    /// `node` is gone.
    pub(super) fn forget_reprobe(&mut self, node: Handle, due_ms: Option<u64>) {
        if let Some(due_ms) = due_ms {
            self.reprobes.due.remove(&(due_ms, node));
        }
    }

    /// When the next client is tried.
    pub(super) fn next_reprobe_ms(&self) -> Option<u64> {
        self.reprobes.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Tries those that are due.
    pub(super) fn reprobe(&mut self, now_ms: u64) {
        let every_ms = REPROBE_MS * self.reprobes.due.len().div_ceil(REPROBES_PER_S).max(1) as u64;
        while let Some((due_ms, node)) =
            self.reprobes.due.first().copied().filter(|(at_ms, _)| *at_ms <= now_ms)
        {
            self.reprobes.due.remove(&(due_ms, node));
            let Some(known) = self.nodes.at_mut(node) else { continue };
            known.reprobe_ms = None;
            if let Some(address) = known.probed.filter(|_| known.is_worth_another_try()) {
                let dial = DialBack { node: known.id, session: known.session, kind: known.kind, address };
                self.outputs.push_back(Output::ProbeAgain(dial));
                known.reprobe_ms = Some(now_ms + every_ms);
                self.reprobes.due.insert((now_ms + every_ms, node));
            }
        }
    }

    /// `node` can be dialled where it could not be: what failed before says nothing any more.
    pub(super) fn became_open(&mut self, node: Handle) {
        let Some(known) = self.nodes.at_mut(node) else { return };
        known.links.forgive_reversed();
        let id = known.id;
        let keys: BTreeSet<_> = known.holds.iter().chain(&known.parts).chain(&known.views).copied().collect();
        let naming: BTreeSet<Handle> =
            keys.iter().filter_map(|key| self.swarms.get(key)).flat_map(|swarm| swarm.naming(node)).collect();
        for viewer in naming {
            if let Some(known) = self.nodes.at_mut(viewer) {
                known.links.forgive_direct(&id);
            }
        }
    }
}

impl Node {
    /// Whether it says that it listens, cannot be dialled, and is relayed.
    fn is_worth_another_try(&self) -> bool {
        self.reach == Reach::Closed && self.probed.is_some() && self.links.is_any_relayed()
    }
}
