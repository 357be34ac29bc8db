//! The files of one kind: who has what, and what a subscriber has not been told yet. Pure.
//!
//! Every listed file and every recent removal stands in one change list, once, under the version that touched it last. A subscriber is
//! a cursor into that list, so a slow one costs no memory and is told the latest state of a file, not its history.
//!
//! Invariant: following the deltas of any cursor from none to the current version yields exactly the listed files.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use shared::{
    ContentId, MediaKind, NodeId,
    limits::{MAX_DELTA_FILES, MAX_FILES_PER_CLIENT, MAX_SEEDS},
    wire::{CatalogueDelta, CatalogueEntry, FileEntry, Role, Seed},
};

/// Removals remembered, of which the older half is forgotten when there are more; a subscriber further behind is told everything anew.
/// Nobody is because of one client that left, however much it shared.
pub const MAX_TOMBSTONES: usize = 200_000;

const _: () = assert!(MAX_TOMBSTONES / 2 >= MAX_FILES_PER_CLIENT);

#[derive(Debug)]
struct Record {
    file: FileEntry,
    /// Those that are here now.
    holders: BTreeMap<NodeId, Holder>,
    /// Those of them the entry names. A seed stays one while it is here, so that others who come and go change nothing.
    seeds: Vec<NodeId>,
    /// Those that were here a moment ago and may come back.
    absent: BTreeSet<NodeId>,
    changed_at: u64,
}

/// One who has a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Whether it is the tracker's own origin.
    pub is_origin: bool,
    /// Where anybody may dial it.
    pub address: Option<SocketAddr>,
}

impl Holder {
    const fn can_be_dialled(&self) -> bool {
        self.is_origin || self.address.is_some()
    }
}

/// The files of one kind.
#[derive(Debug)]
pub struct Catalogue {
    kind: MediaKind,
    version: u64,
    records: BTreeMap<ContentId, Record>,
    listed: usize,
    changes: BTreeMap<u64, ContentId>,
    tombstones: BTreeMap<ContentId, u64>,
    /// Removals up to this version are no longer all known.
    forgotten_to: u64,
}

impl Record {
    /// Whether the holder is new.
    fn enter(&mut self, node: NodeId, holder: Holder) -> bool {
        let is_new = self.holders.insert(node, holder).is_none();
        if holder.can_be_dialled() && self.seeds.len() < MAX_SEEDS && !self.seeds.contains(&node) {
            self.seeds.push(node);
        }
        is_new
    }

    /// Whether the holder was here. Another takes its place as a seed.
    fn leave(&mut self, node: &NodeId) -> bool {
        let was_here = self.holders.remove(node).is_some();
        if let Some(at) = self.seeds.iter().position(|seed| seed == node) {
            self.seeds.remove(at);
            let mut others = self.holders.iter();
            let next = others.find(|(other, holder)| holder.can_be_dialled() && !self.seeds.contains(other));
            let next = next.map(|(other, _)| *other);
            self.seeds.extend(next);
        }
        was_here
    }

    fn named_seeds(&self) -> Vec<Seed> {
        let seed = |node: &NodeId| {
            let holder = self.holders.get(node)?;
            let role = if holder.is_origin { Role::Origin } else { Role::Peer };
            Some(Seed { node: *node, role, address: holder.address })
        };
        self.seeds.iter().filter_map(seed).collect()
    }
}

/// How far a subscriber has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Every change up to this version has been told.
    told_to: u64,
    /// The version at which the subscriber was last told to forget everything: removals before it do not concern it.
    reset_at: u64,
}

/// How a file stands after a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Listing {
    /// Listed, as described.
    Listed(Arc<CatalogueEntry>),
    /// Nobody present has it.
    Unlisted,
}

impl Catalogue {
    /// An empty catalogue of files of `kind`.
    pub const fn new(kind: MediaKind) -> Self {
        Self {
            kind,
            version: 0,
            records: BTreeMap::new(),
            listed: 0,
            changes: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            forgotten_to: 0,
        }
    }

    /// `node` has the file. The description of the first who said so stands; none if nothing changed.
    pub fn add(&mut self, node: NodeId, holder: Holder, file: FileEntry) -> Option<Listing> {
        debug_assert_eq!(file.kind, self.kind, "the caller sorts by kind");
        let content_id = file.content_id;
        let record = self.records.entry(content_id).or_insert_with(|| Record {
            file: file.clone(),
            holders: BTreeMap::new(),
            seeds: Vec::new(),
            absent: BTreeSet::new(),
            changed_at: 0,
        });
        record.absent.remove(&node);
        let is_new = record.enter(node, holder);
        // The origin's word stands over a stranger's, and a lone sharer may describe its file anew.
        let may_describe = holder.is_origin || record.holders.len() == 1;
        let is_described_anew = may_describe && record.file != file;
        if is_described_anew {
            record.file = file;
        }
        if is_new && record.holders.len() == 1 {
            self.listed += 1;
        }
        (is_new || is_described_anew).then(|| self.touch(content_id))
    }

    /// `node` no longer has the file, or is away; an absent one is remembered, so that it need not tell its list again.
    pub fn remove(&mut self, node: NodeId, content_id: ContentId, is_away: bool) -> Option<Listing> {
        let record = self.records.get_mut(&content_id)?;
        let was_here = record.leave(&node);
        if is_away && was_here {
            record.absent.insert(node);
        } else if !is_away {
            record.absent.remove(&node);
        }
        let is_unlisted = was_here && record.holders.is_empty();
        if record.holders.is_empty() && record.absent.is_empty() {
            let changed_at = record.changed_at;
            self.records.remove(&content_id);
            if is_unlisted {
                self.changes.remove(&changed_at);
            }
        }
        self.listed -= usize::from(is_unlisted);
        was_here.then(|| self.touch(content_id))
    }

    /// An absent holder is back.
    pub fn restore(&mut self, node: NodeId, holder: Holder, content_id: ContentId) -> Option<Listing> {
        let record = self.records.get_mut(&content_id)?;
        if !record.absent.remove(&node) {
            return None;
        }
        record.enter(node, holder);
        self.listed += usize::from(record.holders.len() == 1);
        Some(self.touch(content_id))
    }

    /// A holder is to be dialled elsewhere from now on; none where the entry does not name it.
    pub fn moved(&mut self, node: NodeId, holder: Holder, content_id: ContentId) -> Option<Listing> {
        let record = self.records.get_mut(&content_id).filter(|record| record.holders.contains_key(&node))?;
        let was_seed = record.seeds.contains(&node);
        record.leave(&node);
        record.enter(node, holder);
        let is_seed = record.seeds.contains(&node);
        (was_seed || is_seed).then(|| self.touch(content_id))
    }

    /// The next delta for a subscriber that has been told everything up to `cursor` (none: nothing yet), and the cursor after it.
    pub fn page_after(&self, cursor: Option<Cursor>) -> Option<(CatalogueDelta, Cursor)> {
        let known = cursor.filter(|cursor| cursor.told_to.max(cursor.reset_at) >= self.forgotten_to);
        if known.is_some_and(|cursor| cursor.told_to == self.version) {
            return None;
        }
        let reset = known.is_none();
        let mut cursor = known.unwrap_or(Cursor { told_to: 0, reset_at: self.version });
        let (mut changed, mut removed) = (Vec::new(), Vec::new());
        let mut pending = self.changes.range(cursor.told_to + 1..).peekable();
        while let Some((at, content_id)) =
            pending.next_if(|_| changed.len().max(removed.len()) < MAX_DELTA_FILES)
        {
            cursor.told_to = *at;
            match self.entry(content_id) {
                Some(entry) => changed.push(entry),
                None if *at > cursor.reset_at => removed.push(*content_id),
                None => {}
            }
        }
        if pending.peek().is_none() {
            cursor.told_to = self.version;
        }
        Some((CatalogueDelta { version: cursor.told_to, reset, changed, removed }, cursor))
    }

    /// The file as subscribers see it, if anybody present has it.
    pub fn entry(&self, content_id: &ContentId) -> Option<CatalogueEntry> {
        let record = self.records.get(content_id).filter(|record| !record.holders.is_empty())?;
        Some(CatalogueEntry {
            file: record.file.clone(),
            sources: u32::try_from(record.holders.len()).unwrap_or(u32::MAX),
            at_origin: record.holders.values().any(|holder| holder.is_origin),
            seeds: record.named_seeds(),
        })
    }

    /// Whether `node` is here and has the file.
    pub fn is_holder(&self, node: NodeId, content_id: &ContentId) -> bool {
        self.records.get(content_id).is_some_and(|record| record.holders.contains_key(&node))
    }

    /// Whether anybody, present or away for a moment, has the file.
    pub fn is_known(&self, content_id: &ContentId) -> bool {
        self.records.contains_key(content_id)
    }

    /// How many files are listed.
    pub const fn len(&self) -> usize {
        self.listed
    }

    /// Whether no file is listed.
    pub const fn is_empty(&self) -> bool {
        self.listed == 0
    }

    /// Grows by one a change.
    pub const fn version(&self) -> u64 {
        self.version
    }

    fn touch(&mut self, content_id: ContentId) -> Listing {
        self.version += 1;
        if let Some(at) = self.tombstones.remove(&content_id) {
            self.changes.remove(&at);
        }
        let entry = self.entry(&content_id);
        if let Some(record) = self.records.get_mut(&content_id) {
            self.changes.remove(&record.changed_at);
            record.changed_at = self.version;
        }
        self.changes.insert(self.version, content_id);
        match entry {
            Some(entry) => Listing::Listed(Arc::new(entry)),
            None => {
                self.tombstones.insert(content_id, self.version);
                self.bury_oldest();
                Listing::Unlisted
            }
        }
    }

    fn bury_oldest(&mut self) {
        if self.tombstones.len() <= MAX_TOMBSTONES {
            return;
        }
        // Half at once, so that the walk over the list is paid once in many removals.
        let mut ages: Vec<(u64, ContentId)> = self.tombstones.iter().map(|(id, at)| (*at, *id)).collect();
        ages.sort_unstable();
        for (at, content_id) in ages.into_iter().take(MAX_TOMBSTONES / 2) {
            self.tombstones.remove(&content_id);
            self.changes.remove(&at);
            self.forgotten_to = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORIGIN: Holder = Holder { is_origin: true, address: None };
    const PEER: Holder = Holder { is_origin: false, address: None };

    #[test]
    fn an_entry_names_two_that_can_be_dialled_and_keeps_to_them_while_they_are_here() {
        let mut catalogue = Catalogue::new(MediaKind::Video);
        catalogue.add(node(9), PEER, file(1));
        for (n, is_origin) in [(5, false), (1, true), (3, false), (7, false)] {
            catalogue.add(node(n), holder(n, is_origin), file(1));
        }
        assert_eq!(seeds(&catalogue), [(node(5), Role::Peer, port(5)), (node(1), Role::Origin, None)]);
        catalogue.remove(node(7), id(1), true);
        assert_eq!(seeds(&catalogue).len(), 2);
        catalogue.remove(node(5), id(1), true);
        assert_eq!(seeds(&catalogue), [(node(1), Role::Origin, None), (node(3), Role::Peer, port(3))]);
        catalogue.restore(node(5), holder(5, false), id(1));
        assert_eq!(seeds(&catalogue).len(), 2);
        assert!(catalogue.moved(node(3), holder(4, false), id(1)).is_some());
        assert!(seeds(&catalogue).iter().any(|(_, _, address)| *address != port(3)));
        assert_eq!(catalogue.moved(node(9), PEER, id(1)), None, "who is not named moves unheard");
    }

    #[test]
    fn sources_count_everyone_present_and_the_origin_is_named() {
        let mut catalogue = Catalogue::new(MediaKind::Video);
        catalogue.add(node(1), PEER, file(1));
        let Some(Listing::Listed(entry)) = catalogue.add(node(2), ORIGIN, file(1)) else { panic!("listed") };
        assert_eq!((entry.sources, entry.at_origin), (2, true));
        let Some(Listing::Listed(entry)) = catalogue.remove(node(2), id(1), false) else { panic!("listed") };
        assert_eq!((entry.sources, entry.at_origin), (1, false));
        assert_eq!(catalogue.remove(node(1), id(1), false), Some(Listing::Unlisted));
        assert!(catalogue.is_empty());
    }

    #[test]
    fn telling_the_same_twice_is_no_change() {
        let mut catalogue = Catalogue::new(MediaKind::Video);
        catalogue.add(node(1), PEER, file(1));
        assert_eq!(catalogue.add(node(1), PEER, file(1)), None);
        assert_eq!(catalogue.remove(node(7), id(1), false), None);
        assert_eq!(catalogue.version(), 1);
    }

    #[test]
    fn a_later_sharer_does_not_rename_the_file_and_the_origin_does() {
        let mut catalogue = Catalogue::new(MediaKind::Video);
        catalogue.add(node(1), PEER, file(1));
        catalogue.add(node(2), PEER, FileEntry { name: "other.mp4".to_owned(), ..file(1) });
        assert_eq!(catalogue.entry(&id(1)).expect("listed").file.name, "1.mp4");
        catalogue.add(node(3), ORIGIN, FileEntry { name: "true.mp4".to_owned(), ..file(1) });
        assert_eq!(catalogue.entry(&id(1)).expect("listed").file.name, "true.mp4");
    }

    #[test]
    fn an_absent_holder_is_not_listed_and_comes_back_as_it_was() {
        let mut catalogue = Catalogue::new(MediaKind::Video);
        catalogue.add(node(1), PEER, file(1));
        assert_eq!(catalogue.remove(node(1), id(1), true), Some(Listing::Unlisted));
        assert_eq!(catalogue.len(), 0);
        assert!(matches!(catalogue.restore(node(1), PEER, id(1)), Some(Listing::Listed(_))));
        assert_eq!(catalogue.restore(node(1), PEER, id(1)), None);
        assert_eq!(catalogue.len(), 1);
    }

    #[test]
    fn a_new_subscriber_of_an_empty_catalogue_is_told_so() {
        let catalogue = Catalogue::new(MediaKind::Audio);
        let (delta, cursor) = catalogue.page_after(None).expect("a first delta");
        assert!(delta.reset && delta.changed.is_empty());
        assert_eq!(catalogue.page_after(Some(cursor)), None);
    }

    #[test]
    fn a_long_catalogue_is_told_in_pages_of_which_the_first_resets() {
        let mut catalogue = Catalogue::new(MediaKind::Video);
        for n in 0..200 {
            catalogue.add(node(1), PEER, file(n));
        }
        let (mut cursor, mut pages) = (None, Vec::new());
        while let Some((delta, next)) = catalogue.page_after(cursor) {
            cursor = Some(next);
            pages.push((delta.reset, delta.changed.len()));
        }
        assert_eq!(pages, [(true, 64), (false, 64), (false, 64), (false, 8)]);
    }

    #[test]
    fn one_who_takes_many_files_away_makes_nobody_begin_anew() {
        const MANY: u32 = 12_000;
        let mut catalogue = Catalogue::new(MediaKind::Video);
        (0..=MANY).for_each(|n| _ = catalogue.add(node(1), PEER, file(n)));
        let mut view = View::default();
        while view.follow_once(&catalogue) {}
        (0..MANY).for_each(|n| _ = catalogue.remove(node(1), id(n), false));
        let mut removed = 0;
        while let Some((delta, cursor)) = catalogue.page_after(view.cursor) {
            assert!(!delta.reset);
            removed += delta.removed.len() as u32;
            view.cursor = Some(cursor);
        }
        assert_eq!(removed, MANY);
    }

    #[test]
    fn a_subscriber_behind_the_remembered_removals_is_told_everything_anew() {
        let mut catalogue = Catalogue::new(MediaKind::Video);
        catalogue.add(node(1), PEER, file(0));
        let (_, behind) = catalogue.page_after(None).expect("a delta");
        bury(&mut catalogue);
        let (delta, _) = catalogue.page_after(Some(behind)).expect("a delta");
        assert!(delta.reset);
        assert_eq!(delta.changed.len(), 1);
        assert!(catalogue.changes.len() <= MAX_TOMBSTONES + 1);
    }

    #[test]
    fn a_reset_told_in_pages_comes_to_its_end_when_old_removals_are_forgotten() {
        let mut catalogue = Catalogue::new(MediaKind::Video);
        for n in 1_000_000..1_000_200 {
            catalogue.add(node(1), PEER, file(n));
        }
        bury(&mut catalogue);
        let mut view = View::default();
        let pages = (0..1_000).take_while(|_| view.follow_once(&catalogue)).count();
        assert!(pages < 1_000);
        assert_eq!(view.files.len(), 200);
    }

    proptest! {
        /// The reference is a plain map of who has what; three subscribers follow at their own pace.
        #[test]
        fn following_the_deltas_yields_exactly_the_listed_files(steps in prop::collection::vec((0..6u8, 0..4u8, 0..9u32), 1..300)) {
            let mut catalogue = Catalogue::new(MediaKind::Video);
            let mut reference: BTreeMap<ContentId, BTreeSet<NodeId>> = BTreeMap::new();
            let mut views = [View::default(), View::default(), View::default()];
            for (verb, who, which) in steps {
                match verb {
                    0 | 1 => {
                        catalogue.add(node(who), PEER, file(which));
                        reference.entry(id(which)).or_default().insert(node(who));
                    }
                    2 => {
                        catalogue.remove(node(who), id(which), which % 2 == 0);
                        reference.entry(id(which)).or_default().remove(&node(who));
                    }
                    3 => {
                        if catalogue.restore(node(who), PEER, id(which)).is_some() {
                            reference.entry(id(which)).or_default().insert(node(who));
                        }
                    }
                    _ => {
                        views[usize::from(who) % 3].follow_once(&catalogue);
                    }
                }
            }
            reference.retain(|_, holders| !holders.is_empty());
            prop_assert_eq!(catalogue.len(), reference.len());
            for view in &mut views {
                while view.follow_once(&catalogue) {}
                let seen: Vec<(ContentId, u32)> = view.files.iter().map(|(id, entry)| (*id, entry.sources)).collect();
                let expected: Vec<(ContentId, u32)> = reference.iter().map(|(id, holders)| (*id, holders.len() as u32)).collect();
                prop_assert_eq!(seen, expected);
            }
        }
    }

    fn bury(catalogue: &mut Catalogue) {
        for n in 1..=MAX_TOMBSTONES as u32 + 1 {
            catalogue.add(node(1), PEER, file(n));
            catalogue.remove(node(1), id(n), false);
        }
    }

    #[derive(Default)]
    struct View {
        cursor: Option<Cursor>,
        files: BTreeMap<ContentId, CatalogueEntry>,
    }

    impl View {
        fn follow_once(&mut self, catalogue: &Catalogue) -> bool {
            let Some((delta, cursor)) = catalogue.page_after(self.cursor) else { return false };
            if delta.reset {
                self.files.clear();
            }
            for entry in delta.changed {
                self.files.insert(entry.file.content_id, entry);
            }
            for content_id in delta.removed {
                self.files.remove(&content_id);
            }
            self.cursor = Some(cursor);
            true
        }
    }

    fn holder(n: u8, is_origin: bool) -> Holder {
        Holder { is_origin, address: port(n).filter(|_| !is_origin) }
    }

    fn port(n: u8) -> Option<SocketAddr> {
        Some(SocketAddr::from(([192, 0, 2, 1], n.into())))
    }

    fn seeds(catalogue: &Catalogue) -> Vec<(NodeId, Role, Option<SocketAddr>)> {
        let entry = catalogue.entry(&id(1)).expect("listed");
        entry.seeds.iter().map(|seed| (seed.node, seed.role, seed.address)).collect()
    }

    fn id(n: u32) -> ContentId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        ContentId(id)
    }

    fn node(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    fn file(n: u32) -> FileEntry {
        FileEntry {
            content_id: id(n),
            name: format!("{n}.mp4"),
            size_bytes: 1_000,
            kind: MediaKind::Video,
            duration_ms: 1_000,
            bitrate_bps: 8_000,
            container: "mp4".to_owned(),
            codecs: vec!["h264".to_owned()],
            width: 1,
            height: 1,
            title: String::new(),
            artist: String::new(),
            album: String::new(),
            has_cover: false,
        }
    }
}
