//! The network's catalogue as the tracker told it last: bounded, of one kind, published sorted.
//!
//! Invariant: what is published changes at most every [`PUBLISH_MS`], later for long lists, so that a burst of deltas costs one sort.

use std::{collections::BTreeMap, sync::Arc};

use shared::{
    ContentId, MediaKind,
    limits::MAX_CATALOGUE_FILES,
    wire::{CatalogueDelta, CatalogueEntry, PathKind, Plan, PlannedSource, Role, Seed},
};

/// The least time between two publications.
pub(super) const PUBLISH_MS: u64 = 200;
/// Files that delay the next publication by one more millisecond.
const FILES_PER_MS: usize = 50;

/// See the file's header.
#[derive(Debug)]
pub(super) struct Catalogue {
    kind: Option<MediaKind>,
    entries: BTreeMap<ContentId, CatalogueEntry>,
    published: Arc<Vec<CatalogueEntry>>,
    has_changed: bool,
    next_publish_ms: u64,
}

impl Catalogue {
    pub(super) fn new(kind: Option<MediaKind>) -> Self {
        Self {
            kind,
            entries: BTreeMap::new(),
            published: Arc::default(),
            has_changed: false,
            next_publish_ms: 0,
        }
    }

    pub(super) fn apply(&mut self, delta: CatalogueDelta) {
        if delta.reset {
            self.entries.clear();
        }
        for content_id in delta.removed {
            self.entries.remove(&content_id);
        }
        for entry in delta.changed {
            let has_room =
                self.entries.len() < MAX_CATALOGUE_FILES || self.entries.contains_key(&entry.file.content_id);
            if has_room && self.kind.is_none_or(|kind| kind == entry.file.kind) {
                self.entries.insert(entry.file.content_id, entry);
            }
        }
        self.has_changed = true;
    }

    /// The plan that needs no question: whom the catalogue names as having all of a content. None where it names nobody.
    pub(super) fn plan_of_seeds(&self, content_id: &ContentId) -> Option<Plan> {
        let sources: Vec<PlannedSource> =
            self.entries.get(content_id)?.seeds.iter().filter_map(as_source).collect();
        let plan = Plan::of_sources(*content_id, 0, sources);
        (!plan.sources.is_empty()).then_some(plan)
    }

    /// When a change may be published.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.has_changed.then_some(self.next_publish_ms)
    }

    /// Sorts what has changed; the answer is [`Self::published`] then.
    pub(super) fn publish(&mut self, now_ms: u64) {
        self.has_changed = false;
        self.next_publish_ms = now_ms + PUBLISH_MS + (self.entries.len() / FILES_PER_MS) as u64;
        let mut files: Vec<CatalogueEntry> = self.entries.values().cloned().collect();
        files.sort_by(|a, b| a.file.name.cmp(&b.file.name).then(a.file.content_id.cmp(&b.file.content_id)));
        self.published = Arc::new(files);
    }

    pub(super) fn published(&self) -> Arc<Vec<CatalogueEntry>> {
        self.published.clone()
    }
}

/// What is known of a seed before anybody is asked: where it is, and that it has everything. The catalogue is told to everybody alike, and
/// what is loopback to another is a different host here: that is no address.
fn as_source(seed: &Seed) -> Option<PlannedSource> {
    let address = seed.address.filter(|address| !address.ip().to_canonical().is_loopback());
    let is_reachable = address.is_some() || seed.role == Role::Origin;
    is_reachable.then(|| PlannedSource {
        node: seed.node,
        role: seed.role,
        addresses: address.into_iter().collect(),
        path: PathKind::Direct,
        rate_bps: 0,
        rtt_us: 0,
        complete: true,
        uploads: true,
        share_bps: 0,
    })
}
