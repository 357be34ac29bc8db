//! What the tracker is to be told, as state rather than as a queue: a lost link loses nothing, and a slow one makes nothing grow.
//!
//! Invariant: [`Outbox::poll`] names everything that differs between this node and what the present link has said, oldest duty first:
//! registration, asks for plans, single requests, own files, holdings, metrics, what is relayed for others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shared::{
    ContentId, NodeId,
    limits::{MAX_DELTA_FILES, MAX_FILES_PER_CLIENT, MAX_LINK_METRICS},
    wire::{
        FileEntry, FilesDelta, FindPeers, ForgetPeers, Holdings, LinkMetric, LinkReport, PathKind, Register,
        RelayUse, TrackerMessage,
    },
};

/// Single requests that may wait for a slow link; more are refused.
const MAX_REQUESTS: usize = 512;
/// Holdings remembered; a node that holds more contents names these.
const MAX_HOLDINGS: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Silent,
    Greeted,
    Registered,
}

/// See the file's header.
#[derive(Debug)]
pub(super) struct Outbox {
    phase: Phase,
    register: Register,
    says_register: bool,
    watched: BTreeMap<ContentId, u32>,
    asks: BTreeSet<ContentId>,
    forgotten: BTreeSet<ContentId>,
    requests: VecDeque<TrackerMessage>,
    files: BTreeMap<ContentId, FileEntry>,
    dirty_files: BTreeSet<ContentId>,
    files_version: u64,
    resets_files: bool,
    untold_hints: BTreeSet<ContentId>,
    holdings: BTreeMap<ContentId, u32>,
    dirty_holdings: BTreeSet<ContentId>,
    metrics: BTreeMap<(NodeId, PathKind), LinkMetric>,
    dirty_metrics: BTreeSet<(NodeId, PathKind)>,
    uplink_bps: u64,
    tells_uplink: bool,
    /// Relayed connections, and all bytes they ever carried.
    relay_use: (u32, u64),
    /// What of it was told; on a fresh link a node is taken to relay nothing.
    told_relay_use: (u32, u64),
}

impl Outbox {
    pub(super) const fn new(register: Register) -> Self {
        Self {
            phase: Phase::Silent,
            register,
            says_register: false,
            watched: BTreeMap::new(),
            asks: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            requests: VecDeque::new(),
            files: BTreeMap::new(),
            dirty_files: BTreeSet::new(),
            files_version: 0,
            resets_files: false,
            untold_hints: BTreeSet::new(),
            holdings: BTreeMap::new(),
            dirty_holdings: BTreeSet::new(),
            metrics: BTreeMap::new(),
            dirty_metrics: BTreeSet::new(),
            uplink_bps: 0,
            tells_uplink: false,
            relay_use: (0, 0),
            told_relay_use: (0, 0),
        }
    }

    /// A fresh link: all but the files must be said again.
    pub(super) fn opened(&mut self) {
        self.phase = Phase::Greeted;
        self.says_register = true;
        self.asks = self.watched.keys().copied().collect();
        self.forgotten.clear();
        self.requests.clear();
        self.dirty_holdings = self.holdings.keys().copied().collect();
        self.dirty_metrics = self.metrics.keys().copied().collect();
        self.tells_uplink = self.uplink_bps > 0;
        self.told_relay_use.0 = 0;
    }

    /// The tracker holds `files_version` of the list; anything but the present version asks for all of it.
    pub(super) fn registered(&mut self, files_version: u64) {
        self.phase = Phase::Registered;
        if files_version == 0 || files_version != self.files_version {
            self.resets_files = true;
            self.dirty_files = self.files.keys().copied().collect();
            self.untold_hints = self.dirty_files.clone();
        }
    }

    /// The link is gone.
    pub(super) fn closed(&mut self) {
        self.phase = Phase::Silent;
        self.requests.clear();
    }

    pub(super) fn watch(&mut self, content_id: ContentId, playhead_leaf: u32) {
        self.watched.insert(content_id, playhead_leaf);
        self.forgotten.remove(&content_id);
        self.asks.insert(content_id);
    }

    /// Whether it was watched.
    pub(super) fn forget(&mut self, content_id: ContentId) -> bool {
        self.asks.remove(&content_id);
        let was_watched = self.watched.remove(&content_id).is_some();
        if was_watched {
            self.forgotten.insert(content_id);
        }
        was_watched
    }

    pub(super) fn is_watched(&self, content_id: &ContentId) -> bool {
        self.watched.contains_key(content_id)
    }

    /// Whether the request was taken.
    pub(super) fn request(&mut self, request: impl Into<TrackerMessage>) -> bool {
        let has_room = self.phase != Phase::Silent && self.requests.len() < MAX_REQUESTS;
        if has_room {
            self.requests.push_back(request.into());
        }
        has_room
    }

    pub(super) fn change_files(&mut self, changed: Vec<FileEntry>, removed: Vec<ContentId>) {
        for content_id in removed {
            if self.files.remove(&content_id).is_some() {
                self.dirty_files.insert(content_id);
                self.untold_hints.remove(&content_id);
            }
        }
        for file in changed {
            let has_room =
                self.files.len() < MAX_FILES_PER_CLIENT || self.files.contains_key(&file.content_id);
            if !has_room || !file.is_valid() {
                tracing::warn!(name = %file.name, "a file cannot be described to the tracker");
                continue;
            }
            self.dirty_files.insert(file.content_id);
            self.untold_hints.insert(file.content_id);
            self.files.insert(file.content_id, file);
        }
    }

    pub(super) fn hold(&mut self, holdings: Holdings) {
        let is_known = self.holdings.contains_key(&holdings.content_id);
        // That nothing is held of a content needs no telling where nothing else was told.
        let has_room = is_known || holdings.leaves > 0 && self.holdings.len() < MAX_HOLDINGS;
        if has_room && self.holdings.insert(holdings.content_id, holdings.leaves) != Some(holdings.leaves) {
            self.dirty_holdings.insert(holdings.content_id);
        }
    }

    /// A way that is up is the only one up to its node; ways that failed are told beside it.
    pub(super) fn report(&mut self, report: LinkReport) {
        for metric in report.links {
            let key = (metric.node, metric.path);
            if metric.connected {
                self.replace_other_ways(key);
            }
            let untold_failures = self.metrics.get(&key).map_or(0, |old| old.failures);
            let failures = untold_failures.saturating_add(metric.failures);
            if self.metrics.len() < 4 * MAX_LINK_METRICS || self.metrics.contains_key(&key) {
                self.metrics.insert(key, LinkMetric { failures, ..metric });
                self.dirty_metrics.insert(key);
            }
        }
        if report.uplink_bps != 0 {
            self.uplink_bps = report.uplink_bps;
            self.tells_uplink = true;
        }
    }

    /// Of ways that were up and are not any more only their failures are left to tell: that another is up says the rest.
    fn replace_other_ways(&mut self, (node, up): (NodeId, PathKind)) {
        for path in [PathKind::Direct, PathKind::Reversed, PathKind::Relayed] {
            let other = (node, path);
            let Some(old) = self.metrics.get_mut(&other).filter(|_| path != up) else { continue };
            old.connected = false;
            if old.failures == 0 {
                self.metrics.remove(&other);
                self.dirty_metrics.remove(&other);
            }
        }
    }

    /// What is relayed for others now.
    pub(super) const fn relays(&mut self, in_use: u32, carried_bytes: u64) {
        self.relay_use = (in_use, carried_bytes);
    }

    /// An own file whose hints the tracker does not have yet; named once.
    pub(super) fn poll_untold_hints(&mut self) -> Option<ContentId> {
        let is_due = self.has_untold_hints();
        if is_due { self.untold_hints.pop_first() } else { None }
    }

    /// Hints follow the list they belong to.
    pub(super) fn has_untold_hints(&self) -> bool {
        let list_is_told = !self.resets_files && self.dirty_files.is_empty();
        self.phase == Phase::Registered && list_is_told && !self.untold_hints.is_empty()
    }

    pub(super) fn has_file(&self, content_id: &ContentId) -> bool {
        self.files.contains_key(content_id)
    }

    /// The next thing to say; it counts as said.
    pub(super) fn poll(&mut self) -> Option<TrackerMessage> {
        if self.phase == Phase::Silent {
            return None;
        }
        if std::mem::take(&mut self.says_register) {
            return Some(TrackerMessage::Register(self.register.clone()));
        }
        if let Some(content_id) = self.forgotten.pop_first() {
            return Some(TrackerMessage::ForgetPeers(ForgetPeers { content_id }));
        }
        if let Some(content_id) = self.asks.pop_first() {
            let playhead_leaf = self.watched.get(&content_id).copied().unwrap_or(0);
            return Some(TrackerMessage::FindPeers(FindPeers { content_id, playhead_leaf }));
        }
        if let Some(request) = self.requests.pop_front() {
            return Some(request);
        }
        if self.phase == Phase::Greeted {
            return None;
        }
        self.poll_files()
            .or_else(|| self.poll_holdings())
            .or_else(|| self.poll_metrics())
            .or_else(|| self.poll_relay_use())
    }

    fn poll_files(&mut self) -> Option<TrackerMessage> {
        let reset = std::mem::take(&mut self.resets_files);
        if !reset && self.dirty_files.is_empty() {
            return None;
        }
        self.files_version += 1;
        let mut delta =
            FilesDelta { version: self.files_version, reset, changed: Vec::new(), removed: Vec::new() };
        while delta.changed.len().max(delta.removed.len()) < MAX_DELTA_FILES
            && let Some(content_id) = self.dirty_files.pop_first()
        {
            match self.files.get(&content_id) {
                Some(file) => delta.changed.push(file.clone()),
                None => delta.removed.push(content_id),
            }
        }
        Some(TrackerMessage::FilesDelta(delta))
    }

    fn poll_holdings(&mut self) -> Option<TrackerMessage> {
        let content_id = self.dirty_holdings.pop_first()?;
        let leaves = self.holdings.get(&content_id).copied().unwrap_or(0);
        if leaves == 0 {
            self.holdings.remove(&content_id);
        }
        Some(TrackerMessage::Holdings(Holdings { content_id, leaves }))
    }

    fn poll_relay_use(&mut self) -> Option<TrackerMessage> {
        let (in_use, carried_bytes) = self.relay_use;
        let told = std::mem::replace(&mut self.told_relay_use, self.relay_use);
        let carried_bytes = carried_bytes.saturating_sub(told.1);
        (told != self.relay_use).then_some(TrackerMessage::RelayUse(RelayUse { in_use, carried_bytes }))
    }

    fn poll_metrics(&mut self) -> Option<TrackerMessage> {
        if self.dirty_metrics.is_empty() && !self.tells_uplink {
            return None;
        }
        let mut links = Vec::new();
        while links.len() < MAX_LINK_METRICS
            && let Some(key) = self.dirty_metrics.pop_first()
        {
            let Some(metric) = self.metrics.get_mut(&key) else { continue };
            links.push(*metric);
            metric.failures = 0;
            if !metric.connected {
                self.metrics.remove(&key);
            }
        }
        // The way that is up is heard last, so that it stands.
        links.sort_by_key(|metric| metric.connected);
        self.tells_uplink = false;
        Some(TrackerMessage::LinkReport(LinkReport { links, uplink_bps: self.uplink_bps }))
    }
}
