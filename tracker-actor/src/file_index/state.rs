//! The catalogue of both kinds, the file lists of clients, and who must be told what next. Pure.
//!
//! Invariant: a client of one kind only ever touches, and is only ever told, the catalogue of that kind; the two never meet. A file
//! counts as a source for every registered client that has it, and for nobody else.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use shared::{
    MediaKind, NodeId,
    limits::MAX_FILES_PER_CLIENT,
    wire::{CatalogueDelta, CatalogueEntry, FileEntry, FilesDelta, Hints, PutHints},
};

use super::{
    catalogue::{Catalogue, Cursor, Holder, Listing},
    hints::{FileKey, HintsAccounts, Verdict},
    messages::{FilesOutcome, IndexSnapshot, NodeJoined, NodeLeft},
};
use crate::{deadline::Deadline, registry::SessionId};

/// Changes are collected for so long before they are told, so that a crowd that arrives costs each subscriber one delta.
pub const COALESCE_MS: u64 = 100;
/// When a subscriber whose link has no room is tried again.
pub const RETRY_MS: u64 = 100;
/// A subscriber whose link has no room and takes nothing for so long does not read.
pub const NOT_READING_MS: u64 = 10_000;
/// The most deltas told in one turn; the rest follow in the next, so that a crowd of subscribers holds up nobody who has news.
pub const DELTAS_PER_TURN: usize = 32;
/// How long the list of a client that went away is remembered.
pub const ABSENCE_MS: u64 = 60_000;
/// Files of absent clients remembered in all.
pub const MAX_ABSENT_FILES: usize = 200_000;

/// A holder was gained or lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderChange {
    /// Which file.
    pub key: FileKey,
    /// Who.
    pub node: NodeId,
    /// Over which session it said so.
    pub session: SessionId,
    /// The file's size and rate if `node` has it, none if it does no longer.
    pub gained: Option<HeldFile>,
}

/// What the planner needs to know of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldFile {
    /// Bytes.
    pub size_bytes: u64,
    /// Mean bits per second.
    pub bitrate_bps: u64,
}

/// What the index asks its shell to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Show the file to concurrent readers.
    Publish(FileKey, Arc<CatalogueEntry>),
    /// Hide it from them.
    Retract(FileKey),
    /// Show its hints to concurrent readers.
    PublishHints(FileKey, Arc<Hints>),
    /// Hide them.
    RetractHints(FileKey),
    /// Tell a subscriber; a link without room is answered with [`FileIndexState::handle_refused`] before the next poll.
    Tell(NodeId, SessionId, CatalogueDelta),
    /// Cut a subscriber that does not read.
    Cut(NodeId, SessionId),
}

#[derive(Debug)]
struct Node {
    session: SessionId,
    kind: Option<MediaKind>,
    is_origin: bool,
    address: Option<SocketAddr>,
    absent_since_ms: Option<u64>,
    version: u64,
    files: BTreeSet<FileKey>,
    cursor: Option<Cursor>,
    cursor_before: Option<Cursor>,
    /// A delta was handed to its link and has not been refused.
    is_told: bool,
    refused: Option<Refused>,
}

/// Since when a subscriber's link has had no room and taken nothing.
#[derive(Debug, Clone, Copy)]
struct Refused {
    since_ms: u64,
    taken_bytes: u64,
}

/// The state of the file index.
#[derive(Debug)]
pub struct FileIndexState {
    audio: Catalogue,
    video: Catalogue,
    hints: HintsAccounts,
    nodes: BTreeMap<NodeId, Node>,
    /// Those of them that are away, by when they went.
    absent: BTreeSet<(u64, NodeId)>,
    absent_files: usize,
    outputs: VecDeque<Output>,
    /// Holder changes not yet handed to the planner; the latest of a file and node replaces the one before.
    holders: BTreeMap<(FileKey, NodeId), HolderChange>,
    /// Subscribers that may have something to be told, while a telling is under way.
    telling: BTreeSet<NodeId>,
    /// How many deltas this turn may still tell, and when it began.
    turn: (usize, u64),
    tell_at_ms: Option<u64>,
}

impl Default for FileIndexState {
    fn default() -> Self {
        Self {
            audio: Catalogue::new(MediaKind::Audio),
            video: Catalogue::new(MediaKind::Video),
            hints: HintsAccounts::default(),
            nodes: BTreeMap::new(),
            absent: BTreeSet::new(),
            absent_files: 0,
            outputs: VecDeque::new(),
            holders: BTreeMap::new(),
            telling: BTreeSet::new(),
            turn: (0, 0),
            tell_at_ms: None,
        }
    }
}

impl FileIndexState {
    /// A client registered. The answer is the version of its list that is known.
    pub fn handle_joined(&mut self, now_ms: u64, joined: NodeJoined) -> u64 {
        let NodeJoined { node, session, kind, is_origin, address } = joined;
        if self.nodes.get(&node).is_some_and(|known| known.kind != kind || known.is_origin != is_origin) {
            self.forget(now_ms, node);
        }
        let known = self.nodes.entry(node).or_insert_with(|| Node::new(session, kind, is_origin));
        let has_moved = std::mem::replace(&mut known.address, address) != address;
        if known.session == session && known.absent_since_ms.is_none() {
            // Registered anew over the same session: what it has been told stands.
            if has_moved {
                self.moved(node);
            }
            self.tell_soon(now_ms);
            return self.nodes.get(&node).map_or(0, |known| known.version);
        }
        known.session = session;
        known.cursor = None;
        known.cursor_before = None;
        known.refused = None;
        let version = known.version;
        let absent_since_ms = known.absent_since_ms.take();
        let was_absent = absent_since_ms.is_some();
        let holder = known.holder();
        let files: Vec<FileKey> = known.files.iter().copied().collect();
        if let Some(since_ms) = absent_since_ms {
            self.absent.remove(&(since_ms, node));
            self.absent_files -= files.len();
        } else if has_moved {
            self.moved(node);
        }
        for key in files {
            if was_absent {
                let listing = self.catalogue_mut(key.0).restore(node, holder, key.1);
                self.publish(key, listing);
            }
            // The planner forgot the node with its old session.
            self.gained(key, node, session);
        }
        self.tell_soon(now_ms);
        version
    }

    /// A client's file list changed.
    pub fn handle_files(
        &mut self,
        now_ms: u64,
        node: NodeId,
        session: SessionId,
        delta: FilesDelta,
    ) -> FilesOutcome {
        let Some(known) = self.nodes.get_mut(&node).filter(|known| known.session == session) else {
            return FilesOutcome::Gap;
        };
        if !delta.reset && delta.version != known.version + 1 {
            known.version = 0;
            return FilesOutcome::Gap;
        }
        known.version = delta.version;
        let kind = known.kind;
        let mut removed: Vec<FileKey> = if delta.reset {
            let stays: BTreeSet<FileKey> =
                delta.changed.iter().map(|file| (file.kind, file.content_id)).collect();
            known.files.difference(&stays).copied().collect()
        } else {
            Vec::new()
        };
        removed.extend(delta.removed.iter().flat_map(|id| kinds_of(kind).map(|kind| (kind, *id))));
        for key in removed {
            self.remove_file(node, key);
        }
        let mut refused = 0;
        for file in delta.changed {
            let is_taken = kind.is_none_or(|kind| kind == file.kind) && self.add_file(node, session, file);
            refused += u32::from(!is_taken);
        }
        self.tell_soon(now_ms);
        FilesOutcome::Taken { refused }
    }

    /// A client gives hints of a file it has.
    pub fn handle_hints(&mut self, node: NodeId, session: SessionId, put: PutHints) -> FilesOutcome {
        let Some(known) = self.nodes.get(&node).filter(|known| known.session == session) else {
            return FilesOutcome::HintsRefused;
        };
        let held =
            kinds_of(known.kind).map(|kind| (kind, put.content_id)).find(|key| known.files.contains(key));
        let Some(key) = held else { return FilesOutcome::HintsRefused };
        let is_origin = known.is_origin;
        if self.hints.giver(key).is_some_and(|giver| !self.catalogue(key.0).is_holder(giver, &key.1)) {
            self.hints.release(key);
        }
        match self.hints.offer(key, node, is_origin, &put.hints) {
            Verdict::Refuse => FilesOutcome::HintsRefused,
            Verdict::Keep(evicted) => {
                self.outputs.extend(evicted.into_iter().map(Output::RetractHints));
                self.outputs.push_back(Output::PublishHints(key, Arc::new(put.hints)));
                FilesOutcome::Taken { refused: 0 }
            }
        }
    }

    /// A client's session ended. One that may come back is remembered for a while, but counts for nothing.
    pub fn handle_left(&mut self, now_ms: u64, left: NodeLeft) {
        let NodeLeft { node, session, for_good } = left;
        let Some(known) = self.nodes.get_mut(&node).filter(|known| known.session == session) else { return };
        if for_good || self.absent_files + known.files.len() > MAX_ABSENT_FILES || known.files.is_empty() {
            return self.forget(now_ms, node);
        }
        if known.absent_since_ms.is_some() {
            return;
        }
        known.absent_since_ms = Some(now_ms);
        self.absent.insert((now_ms, node));
        self.telling.remove(&node);
        let files: Vec<FileKey> = known.files.iter().copied().collect();
        self.absent_files += files.len();
        for key in files {
            let listing = self.catalogue_mut(key.0).remove(node, key.1, true);
            self.publish(key, listing);
            self.lost(key, node, session);
        }
        self.tell_soon(now_ms);
    }

    /// The last [`Output::Tell`] met a link without room, whose socket has taken `taken_bytes` in all: it is tried again later, and the
    /// subscriber cut if it takes nothing until then and for long.
    pub fn handle_refused(&mut self, now_ms: u64, node: NodeId, session: SessionId, taken_bytes: u64) {
        let Some(known) = self.nodes.get_mut(&node).filter(|known| known.session == session) else { return };
        known.cursor = known.cursor_before;
        known.is_told = false;
        self.telling.remove(&node);
        let anew = Refused { since_ms: now_ms, taken_bytes };
        let before = known.refused.filter(|before| before.taken_bytes == taken_bytes);
        let is_deaf = before.is_some_and(|before| now_ms >= before.since_ms + NOT_READING_MS);
        known.refused = before.filter(|_| !is_deaf).or(Some(anew));
        if is_deaf {
            self.outputs.push_back(Output::Cut(node, session));
        }
        self.tell_at_ms = Some(self.tell_at_ms.unwrap_or(u64::MAX).min(now_ms + RETRY_MS));
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        self.turn = (DELTAS_PER_TURN, now_ms);
        // A round comes to its end before the next begins, else those at its end would never be told.
        if self.telling.is_empty() && self.tell_at_ms.is_some_and(|at_ms| now_ms >= at_ms) {
            self.tell_at_ms = None;
            let present = self.nodes.iter().filter(|(_, known)| known.absent_since_ms.is_none());
            self.telling = present.filter(|(_, known)| known.kind.is_some()).map(|(node, _)| *node).collect();
        }
        while let Some((since_ms, node)) = self.absent.first().copied()
            && now_ms >= since_ms + ABSENCE_MS
        {
            self.absent.pop_first();
            self.forget(now_ms, node);
        }
    }

    /// The next thing to do; drain to none after each `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front().or_else(|| self.next_telling())
    }

    /// Up to `most` holder changes for the planner.
    pub fn poll_holders(&mut self, most: usize) -> Vec<HolderChange> {
        std::iter::from_fn(|| self.holders.pop_first().map(|(_, change)| change)).take(most).collect()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let tell = if self.telling.is_empty() {
            self.tell_at_ms.map(|at_ms| Deadline::at_ms(at_ms, "tell subscribers"))
        } else {
            Some(Deadline::at_ms(self.turn.1, "tell the other subscribers"))
        };
        let expiry = self
            .absent
            .first()
            .map(|(since_ms, _)| Deadline::at_ms(since_ms + ABSENCE_MS, "forget an absent client"));
        tell.into_iter().chain(expiry).min()
    }

    /// Every client that is here, as far as was heard.
    pub fn present(&self) -> impl Iterator<Item = (NodeId, SessionId)> + '_ {
        let present = self.nodes.iter().filter(|(_, known)| known.absent_since_ms.is_none());
        present.map(|(node, known)| (*node, known.session))
    }

    /// The counts.
    pub fn snapshot(&self) -> IndexSnapshot {
        IndexSnapshot {
            audio_files: self.audio.len(),
            video_files: self.video.len(),
            hints_bytes: self.hints.bytes(),
            lists: self.nodes.len(),
            absent: self.absent.len(),
            version: self.audio.version() + self.video.version(),
        }
    }

    fn next_telling(&mut self) -> Option<Output> {
        if self.turn.0 == 0 {
            return None;
        }
        while let Some(node) = self.telling.pop_first() {
            let Some(known) = self.nodes.get_mut(&node) else { continue };
            let catalogue = match known.kind {
                Some(MediaKind::Audio) => &self.audio,
                Some(MediaKind::Video) => &self.video,
                None => continue,
            };
            if std::mem::take(&mut known.is_told) {
                known.refused = None;
            }
            if let Some((delta, cursor)) = catalogue.page_after(known.cursor) {
                known.cursor_before = known.cursor.replace(cursor);
                known.is_told = true;
                self.telling.insert(node);
                self.turn.0 -= 1;
                return Some(Output::Tell(node, known.session, delta));
            }
        }
        None
    }

    fn add_file(&mut self, node: NodeId, session: SessionId, file: FileEntry) -> bool {
        let key = (file.kind, file.content_id);
        let Some(known) = self.nodes.get_mut(&node) else { return false };
        if known.files.len() >= MAX_FILES_PER_CLIENT && !known.files.contains(&key) {
            return false;
        }
        let (is_new, holder) = (known.files.insert(key), known.holder());
        let listing = self.catalogue_mut(key.0).add(node, holder, file);
        self.publish(key, listing);
        if is_new {
            self.gained(key, node, session);
        }
        true
    }

    /// A node that is here is reached elsewhere from now on.
    fn moved(&mut self, node: NodeId) {
        let Some(known) = self.nodes.get(&node) else { return };
        let (holder, files) = (known.holder(), known.files.iter().copied().collect::<Vec<_>>());
        for key in files {
            let listing = self.catalogue_mut(key.0).moved(node, holder, key.1);
            self.publish(key, listing);
        }
    }

    fn remove_file(&mut self, node: NodeId, key: FileKey) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        let session = known.session;
        if known.files.remove(&key) {
            self.drop_holder(node, key);
            self.lost(key, node, session);
        }
    }

    fn drop_holder(&mut self, node: NodeId, key: FileKey) {
        let catalogue = self.catalogue_mut(key.0);
        let listing = catalogue.remove(node, key.1, false);
        let is_known = catalogue.is_known(&key.1);
        self.publish(key, listing);
        if !is_known && self.hints.forget(key) {
            self.outputs.push_back(Output::RetractHints(key));
        }
    }

    fn forget(&mut self, now_ms: u64, node: NodeId) {
        let Some(known) = self.nodes.remove(&node) else { return };
        if let Some(since_ms) = known.absent_since_ms {
            self.absent.remove(&(since_ms, node));
            self.absent_files -= known.files.len();
        }
        for key in known.files {
            self.drop_holder(node, key);
            self.lost(key, node, known.session);
        }
        self.tell_soon(now_ms);
    }

    fn gained(&mut self, key: FileKey, node: NodeId, session: SessionId) {
        let Some(entry) = self.catalogue_mut(key.0).entry(&key.1) else { return };
        let held = HeldFile { size_bytes: entry.file.size_bytes, bitrate_bps: entry.file.bitrate_bps };
        self.holders.insert((key, node), HolderChange { key, node, session, gained: Some(held) });
    }

    fn lost(&mut self, key: FileKey, node: NodeId, session: SessionId) {
        self.holders.insert((key, node), HolderChange { key, node, session, gained: None });
    }

    fn publish(&mut self, key: FileKey, listing: Option<Listing>) {
        match listing {
            Some(Listing::Listed(entry)) => self.outputs.push_back(Output::Publish(key, entry)),
            Some(Listing::Unlisted) => self.outputs.push_back(Output::Retract(key)),
            None => {}
        }
    }

    fn tell_soon(&mut self, now_ms: u64) {
        self.tell_at_ms = Some(self.tell_at_ms.unwrap_or(u64::MAX).min(now_ms + COALESCE_MS));
    }

    const fn catalogue(&self, kind: MediaKind) -> &Catalogue {
        match kind {
            MediaKind::Audio => &self.audio,
            MediaKind::Video => &self.video,
        }
    }

    const fn catalogue_mut(&mut self, kind: MediaKind) -> &mut Catalogue {
        match kind {
            MediaKind::Audio => &mut self.audio,
            MediaKind::Video => &mut self.video,
        }
    }
}

impl Node {
    const fn new(session: SessionId, kind: Option<MediaKind>, is_origin: bool) -> Self {
        Self {
            session,
            kind,
            is_origin,
            address: None,
            absent_since_ms: None,
            version: 0,
            files: BTreeSet::new(),
            cursor: None,
            cursor_before: None,
            is_told: false,
            refused: None,
        }
    }

    const fn holder(&self) -> Holder {
        Holder { is_origin: self.is_origin, address: self.address }
    }
}

/// The kinds a node may have files of.
fn kinds_of(kind: Option<MediaKind>) -> impl Iterator<Item = MediaKind> {
    [MediaKind::Audio, MediaKind::Video].into_iter().filter(move |each| kind.is_none_or(|kind| kind == *each))
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one output among many")]
mod tests {
    use shared::ContentId;

    use super::*;

    #[test]
    fn a_subscriber_is_told_files_of_its_kind_alone() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Audio));
        join(&mut index, 2, 1, Some(MediaKind::Video));
        join(&mut index, 9, 1, None);
        tell(&mut index, 9, 1, files(1, &[file(1, MediaKind::Audio), file(2, MediaKind::Video)]));
        let told = run(&mut index, COALESCE_MS);
        assert_eq!(names(&told, 1), ["1"]);
        assert_eq!(names(&told, 2), ["2"]);
        assert!(told.iter().all(|(node, _)| *node != node_id(9)));
    }

    #[test]
    fn a_file_of_the_other_kind_is_refused() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Audio));
        join(&mut index, 2, 1, Some(MediaKind::Video));
        let outcome = tell(&mut index, 1, 1, files(1, &[file(7, MediaKind::Video)]));
        assert_eq!(outcome, FilesOutcome::Taken { refused: 1 });
        assert!(names(&run(&mut index, COALESCE_MS), 2).is_empty());
    }

    #[test]
    fn an_id_claimed_under_both_kinds_stands_in_both_apart() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Audio));
        join(&mut index, 2, 1, Some(MediaKind::Video));
        tell(&mut index, 1, 1, files(1, &[file(7, MediaKind::Audio)]));
        tell(&mut index, 2, 1, files(1, &[file(7, MediaKind::Video)]));
        let told = run(&mut index, COALESCE_MS);
        let kinds = |who| -> Vec<MediaKind> {
            told.iter()
                .filter(|(node, _)| *node == node_id(who))
                .flat_map(|(_, delta)| &delta.changed)
                .map(|entry| entry.file.kind)
                .collect()
        };
        assert_eq!(kinds(1), [MediaKind::Audio]);
        assert_eq!(kinds(2), [MediaKind::Video]);
    }

    #[test]
    fn many_changes_within_a_moment_are_told_as_one_delta() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        join(&mut index, 2, 1, Some(MediaKind::Video));
        run(&mut index, COALESCE_MS);
        for version in 1..=40 {
            tell(&mut index, 2, 1, files(version, &[file(version as u8, MediaKind::Video)]));
        }
        let told = run(&mut index, 2 * COALESCE_MS);
        assert_eq!(told.iter().filter(|(node, _)| *node == node_id(1)).count(), 1);
        assert_eq!(names(&told, 1).len(), 40);
    }

    #[test]
    fn a_delta_out_of_order_is_a_gap_and_a_full_list_heals_it() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        tell(&mut index, 1, 1, files(1, &[file(1, MediaKind::Video)]));
        assert_eq!(tell(&mut index, 1, 1, files(3, &[file(3, MediaKind::Video)])), FilesOutcome::Gap);
        let full = FilesDelta { reset: true, ..files(9, &[file(3, MediaKind::Video)]) };
        assert_eq!(tell(&mut index, 1, 1, full), FilesOutcome::Taken { refused: 0 });
        assert_eq!(index.snapshot().video_files, 1);
        assert_eq!(tell(&mut index, 1, 1, files(10, &[])), FilesOutcome::Taken { refused: 0 });
    }

    #[test]
    fn a_full_list_that_repeats_a_file_does_not_make_it_vanish() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        tell(&mut index, 1, 1, files(1, &[file(1, MediaKind::Video), file(2, MediaKind::Video)]));
        run(&mut index, COALESCE_MS);
        tell(&mut index, 1, 1, FilesDelta { reset: true, ..files(1, &[file(1, MediaKind::Video)]) });
        let outputs = drain(&mut index);
        assert_eq!(outputs, [Output::Retract((MediaKind::Video, id(2)))]);
    }

    #[test]
    fn a_client_that_left_for_good_is_forgotten_with_its_files() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        tell(&mut index, 1, 1, files(1, &[file(1, MediaKind::Video)]));
        leave(&mut index, 0, 1, 1, true);
        assert_eq!(counts(&index), IndexSnapshot::default());
        assert_eq!(join(&mut index, 1, 2, Some(MediaKind::Video)), 0);
    }

    #[test]
    fn a_client_that_comes_back_need_not_tell_its_list_again() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        tell(&mut index, 1, 1, files(1, &[file(1, MediaKind::Video)]));
        leave(&mut index, 0, 1, 1, false);
        assert_eq!((index.snapshot().video_files, index.snapshot().absent), (0, 1));
        assert_eq!(join(&mut index, 1, 2, Some(MediaKind::Video)), 1);
        assert_eq!(index.snapshot().video_files, 1);
        let regained = index.poll_holders(9).pop().expect("a change");
        assert!(regained.gained.is_some() && regained.session == SessionId(2));
    }

    #[test]
    fn an_absence_that_lasts_is_forgotten() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        tell(&mut index, 1, 1, files(1, &[file(1, MediaKind::Video)]));
        run(&mut index, COALESCE_MS);
        leave(&mut index, 1_000, 1, 1, false);
        run(&mut index, 1_000 + COALESCE_MS);
        assert_eq!(index.poll_timeout().map(|due| due.at_us), Some((1_000 + ABSENCE_MS) * 1_000));
        run(&mut index, 1_000 + ABSENCE_MS);
        assert_eq!(counts(&index), IndexSnapshot::default());
    }

    #[test]
    fn the_end_of_a_replaced_session_takes_nothing_away() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        tell(&mut index, 1, 1, files(1, &[file(1, MediaKind::Video)]));
        join(&mut index, 1, 2, Some(MediaKind::Video));
        leave(&mut index, 0, 1, 1, true);
        assert_eq!(index.snapshot().video_files, 1);
        assert_eq!(tell(&mut index, 1, 1, files(2, &[])), FilesOutcome::Gap);
    }

    #[test]
    fn a_client_that_changes_its_kind_starts_from_nothing() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        tell(&mut index, 1, 1, files(1, &[file(1, MediaKind::Video)]));
        assert_eq!(join(&mut index, 1, 2, Some(MediaKind::Audio)), 0);
        assert_eq!(index.snapshot().video_files, 0);
    }

    #[test]
    fn a_full_link_is_tried_again_with_the_same_news_and_cut_in_the_end() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        let (mut now_ms, mut tries) = (0, 0);
        let cut_ms = loop {
            now_ms += RETRY_MS;
            assert!(now_ms < 60_000, "never cut");
            index.handle_timeout(now_ms);
            match index.poll_output() {
                Some(Output::Tell(node, session, delta)) => {
                    assert!(delta.reset);
                    tries += 1;
                    index.handle_refused(now_ms, node, session, 0);
                }
                other => panic!("expected a telling: {other:?}"),
            }
            if drain(&mut index).contains(&Output::Cut(node_id(1), SessionId(1))) {
                break now_ms;
            }
        };
        assert!(cut_ms <= NOT_READING_MS + 2 * RETRY_MS && tries > 10);
    }

    #[test]
    fn a_link_that_takes_something_between_two_refusals_is_slow_and_not_cut() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        for round in 1..=5 * NOT_READING_MS / RETRY_MS {
            let now_ms = round * RETRY_MS;
            index.handle_timeout(now_ms);
            let Some(Output::Tell(node, session, _)) = index.poll_output() else { panic!("a telling") };
            index.handle_refused(now_ms, node, session, now_ms / (NOT_READING_MS / 2));
            assert_eq!(index.poll_output(), None);
        }
    }

    #[test]
    fn a_crowd_is_told_in_turns_and_everybody_in_the_end() {
        let mut index = FileIndexState::default();
        (1..=100).for_each(|who| _ = join(&mut index, who, 1, Some(MediaKind::Video)));
        let mut told = Vec::new();
        let mut now_ms = COALESCE_MS;
        while let Some(due) = index.poll_timeout() {
            now_ms = now_ms.max(due.at_us / 1_000);
            let turn = run(&mut index, now_ms);
            assert!(turn.len() <= DELTAS_PER_TURN, "{}", turn.len());
            told.extend(turn.into_iter().map(|(node, _)| node));
            // News in the middle of a round do not begin it anew.
            if told.len() < 60 {
                tell(&mut index, 1, 1, files(1, &[]));
                now_ms += COALESCE_MS;
            }
        }
        assert!((1..=100).all(|who| told.contains(&node_id(who))));
        assert!(now_ms < 10 * COALESCE_MS, "{now_ms}");
    }

    #[test]
    fn who_leaves_before_its_turn_is_told_nothing() {
        let mut index = FileIndexState::default();
        (1..=100).for_each(|who| _ = join(&mut index, who, 1, Some(MediaKind::Video)));
        tell(&mut index, 100, 1, files(1, &[file(1, MediaKind::Video)]));
        let mut told = run(&mut index, COALESCE_MS);
        assert_eq!(told.len(), DELTAS_PER_TURN);
        leave(&mut index, COALESCE_MS, 100, 1, false);
        (1..20).for_each(|turn| told.extend(run(&mut index, COALESCE_MS + turn)));
        assert!((1..100).all(|who| told.iter().any(|(node, _)| *node == node_id(who))));
        assert!(told.iter().all(|(node, _)| *node != node_id(100)));
    }

    #[test]
    fn a_full_link_does_not_hold_up_the_others() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        join(&mut index, 2, 1, Some(MediaKind::Video));
        index.handle_timeout(COALESCE_MS);
        let Some(Output::Tell(first, session, _)) = index.poll_output() else { panic!("a telling") };
        index.handle_refused(COALESCE_MS, first, session, 0);
        let Some(Output::Tell(second, _, _)) = index.poll_output() else { panic!("another telling") };
        assert_ne!(first, second);
    }

    #[test]
    fn hints_are_taken_from_holders_alone_and_go_with_the_file() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        join(&mut index, 2, 1, Some(MediaKind::Video));
        tell(&mut index, 1, 1, files(1, &[file(1, MediaKind::Video)]));
        let put = PutHints { content_id: id(1), hints: Hints::default() };
        assert_eq!(index.handle_hints(node_id(2), SessionId(1), put.clone()), FilesOutcome::HintsRefused);
        assert_eq!(index.handle_hints(node_id(1), SessionId(1), put), FilesOutcome::Taken { refused: 0 });
        leave(&mut index, 0, 1, 1, true);
        assert!(drain(&mut index).contains(&Output::RetractHints((MediaKind::Video, id(1)))));
        assert_eq!(index.snapshot().hints_bytes, 0);
    }

    #[test]
    fn hints_of_one_who_has_gone_make_room_for_those_of_one_who_is_here() {
        let mut index = FileIndexState::default();
        for who in 1..=3 {
            join(&mut index, who, 1, Some(MediaKind::Video));
            tell(&mut index, who, 1, files(1, &[file(1, MediaKind::Video)]));
        }
        let put = PutHints { content_id: id(1), hints: Hints::default() };
        index.handle_hints(node_id(1), SessionId(1), put.clone());
        assert_eq!(index.handle_hints(node_id(2), SessionId(1), put.clone()), FilesOutcome::HintsRefused);
        leave(&mut index, 0, 1, 1, true);
        let taken = FilesOutcome::Taken { refused: 0 };
        assert_eq!(index.handle_hints(node_id(2), SessionId(1), put.clone()), taken);
        assert_eq!(index.handle_hints(node_id(3), SessionId(1), put), FilesOutcome::HintsRefused);
    }

    #[test]
    fn hints_outlast_a_short_absence() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        tell(&mut index, 1, 1, files(1, &[file(1, MediaKind::Video)]));
        index.handle_hints(node_id(1), SessionId(1), PutHints { content_id: id(1), hints: Hints::default() });
        leave(&mut index, 0, 1, 1, false);
        join(&mut index, 1, 2, Some(MediaKind::Video));
        assert!(!drain(&mut index).contains(&Output::RetractHints((MediaKind::Video, id(1)))));
    }

    #[test]
    fn the_planner_is_told_the_latest_of_each_holder_once() {
        let mut index = FileIndexState::default();
        join(&mut index, 1, 1, Some(MediaKind::Video));
        tell(&mut index, 1, 1, files(1, &[file(1, MediaKind::Video)]));
        tell(&mut index, 1, 1, FilesDelta { removed: vec![id(1)], ..files(2, &[]) });
        let changes = index.poll_holders(9);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].gained, None);
        assert!(index.poll_holders(9).is_empty());
    }

    fn counts(index: &FileIndexState) -> IndexSnapshot {
        IndexSnapshot { version: 0, ..index.snapshot() }
    }

    fn join(index: &mut FileIndexState, who: u8, session: u64, kind: Option<MediaKind>) -> u64 {
        let joined = NodeJoined {
            node: node_id(who),
            session: SessionId(session),
            kind,
            is_origin: kind.is_none(),
            address: None,
        };
        index.handle_joined(0, joined)
    }

    fn leave(index: &mut FileIndexState, now_ms: u64, who: u8, session: u64, for_good: bool) {
        index.handle_left(now_ms, NodeLeft { node: node_id(who), session: SessionId(session), for_good });
    }

    fn tell(index: &mut FileIndexState, who: u8, session: u64, delta: FilesDelta) -> FilesOutcome {
        index.handle_files(0, node_id(who), SessionId(session), delta)
    }

    fn run(index: &mut FileIndexState, now_ms: u64) -> Vec<(NodeId, CatalogueDelta)> {
        index.handle_timeout(now_ms);
        let tellings = drain(index).into_iter().filter_map(|output| match output {
            Output::Tell(node, _, delta) => Some((node, delta)),
            _ => None,
        });
        tellings.collect()
    }

    fn drain(index: &mut FileIndexState) -> Vec<Output> {
        std::iter::from_fn(|| index.poll_output()).collect()
    }

    fn names(told: &[(NodeId, CatalogueDelta)], who: u8) -> Vec<String> {
        let mine = told.iter().filter(|(node, _)| *node == node_id(who));
        mine.flat_map(|(_, delta)| &delta.changed).map(|entry| entry.file.name.clone()).collect()
    }

    fn files(version: u64, changed: &[FileEntry]) -> FilesDelta {
        FilesDelta { version, reset: false, changed: changed.to_vec(), removed: Vec::new() }
    }

    fn file(n: u8, kind: MediaKind) -> FileEntry {
        FileEntry {
            content_id: id(n),
            name: n.to_string(),
            size_bytes: 1_000,
            kind,
            duration_ms: 1_000,
            bitrate_bps: 8_000,
            container: "mp4".to_owned(),
            codecs: Vec::new(),
            width: 0,
            height: 0,
            title: String::new(),
            artist: String::new(),
            album: String::new(),
            has_cover: false,
        }
    }

    fn id(n: u8) -> ContentId {
        ContentId([n; 32])
    }

    fn node_id(n: u8) -> NodeId {
        NodeId([n; 32])
    }
}
