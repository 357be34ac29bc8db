//! What many threads read at once: who is there, which files there are, their hints; and the counters of everything.
//!
//! **The locking rule.** No guard of a map ever leaves a method of this file, no method holds two, and every value is an `Arc` that is
//! cloned out. So nobody waits for a map across an `.await`, inside another map, or while a frame is being sent.
//!
//! Every map has one kind of writer: sessions enter and leave by their own actor; files and hints are written by the file index alone.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use actix::Recipient;
use dashmap::{DashMap, Entry};
use peer_actor::{mailbox, transport::LinkHandle};
use shared::{
    MediaKind, NodeId,
    limits::MAX_UNGREETED,
    wire::{CatalogueEntry, Frame, Hints},
};

use crate::{
    console::tap::{Direction, Tap},
    counters::Counters,
    file_index::FileKey,
    session::{CloseReason, EndSession, state::ClientInfo},
};

/// Names one session of one run of the tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct SessionId(pub u64);

/// A client that has proven its key.
#[derive(Debug)]
pub struct SessionEntry {
    /// Which session.
    pub session: SessionId,
    /// Who.
    pub info: ClientInfo,
    /// Where it comes from.
    pub observed: SocketAddr,
    /// When it came, on the tracker's clock.
    pub since_ms: u64,
    /// The way to send.
    pub link: LinkHandle,
    /// The way to end its session.
    pub end: Recipient<EndSession>,
    /// The last measured round trip, or 0.
    pub rtt_us: AtomicU32,
    /// Frames it sent.
    pub frames_in: AtomicU64,
    /// Frames it was sent.
    pub frames_out: AtomicU64,
}

/// Sending failed for good or for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TellError {
    /// That session is no longer the node's.
    Gone,
    /// Its link has no room.
    Full {
        /// What its socket has taken since the link opened; tells a slow reader from one that does not read.
        taken_bytes: u64,
    },
}

/// As many clients are here as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPlace;

/// The shared state.
#[derive(Debug, Default)]
pub struct Registry {
    sessions: DashMap<NodeId, Arc<SessionEntry>>,
    files: DashMap<FileKey, Arc<CatalogueEntry>>,
    hints: DashMap<FileKey, Arc<Hints>>,
    last_session: AtomicU64,
    clients: AtomicUsize,
    ungreeted: Arc<AtomicUsize>,
    /// What the console watches.
    pub tap: Tap,
    /// What is counted.
    pub counters: Counters,
}

/// A place among the connections that have not proven a key yet; given back on drop.
#[derive(Debug)]
pub struct Ungreeted(Arc<AtomicUsize>);

impl Registry {
    /// A number no session of this run has had.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.last_session.fetch_add(1, Relaxed) + 1)
    }

    /// A place for a new connection, if there is one.
    pub fn admit(&self) -> Option<Ungreeted> {
        let place = Ungreeted(self.ungreeted.clone());
        (self.ungreeted.fetch_add(1, Relaxed) < MAX_UNGREETED).then_some(place)
    }

    /// How many connections have not proven a key yet.
    pub fn ungreeted(&self) -> usize {
        self.ungreeted.load(Relaxed)
    }

    /// A client takes one of `most` places, or that of its node's older session, which is the answer then. The tracker's own origin
    /// needs none.
    pub fn enter(&self, entry: Arc<SessionEntry>, most: usize) -> Result<Option<Arc<SessionEntry>>, NoPlace> {
        match self.sessions.entry(entry.info.node) {
            Entry::Occupied(mut held) if held.get().is_client() == entry.is_client() => {
                Ok(Some(held.insert(entry)))
            }
            Entry::Occupied(mut held) => {
                self.take_place(&entry, most)?;
                let replaced = held.insert(entry);
                self.give_place_back(&replaced);
                Ok(Some(replaced))
            }
            Entry::Vacant(free) => {
                self.take_place(&entry, most)?;
                free.insert(entry);
                Ok(None)
            }
        }
    }

    fn take_place(&self, entry: &SessionEntry, most: usize) -> Result<(), NoPlace> {
        if !entry.is_client() {
            return Ok(());
        }
        let one_more = |clients| (clients < most).then_some(clients + 1);
        self.clients.fetch_update(Relaxed, Relaxed, one_more).map(drop).map_err(|_| NoPlace)
    }

    fn give_place_back(&self, entry: &SessionEntry) {
        if entry.is_client() {
            self.clients.fetch_sub(1, Relaxed);
        }
    }

    /// A session ended. Its node's place is kept if a newer session has taken it.
    pub fn leave(&self, node: NodeId, session: SessionId) {
        if let Some((_, left)) = self.sessions.remove_if(&node, |_, entry| entry.session == session) {
            self.give_place_back(&left);
        }
    }

    /// Whether `session` is the one `node` is reached over.
    pub fn is_current(&self, node: NodeId, session: SessionId) -> bool {
        self.sessions.get(&node).is_some_and(|entry| entry.session == session)
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// How many of them are clients, without the tracker's own origin.
    pub fn client_count(&self) -> usize {
        self.clients.load(Relaxed)
    }

    /// Everyone who is here, in the order they came.
    pub fn sessions(&self) -> Vec<Arc<SessionEntry>> {
        let mut sessions: Vec<Arc<SessionEntry>> =
            self.sessions.iter().map(|entry| entry.value().clone()).collect();
        sessions.sort_by_key(|entry| entry.session);
        sessions
    }

    /// Hands a frame to a client's link.
    pub fn tell(&self, node: NodeId, session: SessionId, frame: Frame) -> Result<(), TellError> {
        let entry = self.entry(node, session)?;
        self.hand_over(&entry, frame)
    }

    /// The same for what can wait: refused while more than `most_bytes` wait in the link, so that there is room for everything else.
    pub fn tell_behind(
        &self,
        node: NodeId,
        session: SessionId,
        most_bytes: usize,
        frame: Frame,
    ) -> Result<(), TellError> {
        let entry = self.entry(node, session)?;
        if entry.link.queued_bytes() > most_bytes {
            return Err(TellError::Full { taken_bytes: entry.link.taken_bytes() });
        }
        self.hand_over(&entry, frame)
    }

    fn hand_over(&self, entry: &SessionEntry, frame: Frame) -> Result<(), TellError> {
        self.tap.record(Some(&entry.info), entry.session, Direction::Out, &frame);
        entry.frames_out.fetch_add(1, Relaxed);
        self.counters.frames_out.inc();
        entry.link.try_send(frame).map_err(|_| TellError::Full { taken_bytes: entry.link.taken_bytes() })
    }

    /// The same for what a client must not miss: one whose link is full is cut, because it does not read.
    pub fn tell_or_cut(&self, node: NodeId, session: SessionId, frame: Frame) {
        if let Err(TellError::Full { .. }) = self.tell(node, session, frame) {
            self.end(node, session, CloseReason::NotReading);
        }
    }

    /// Ends a session from outside, whatever its actor and its socket are doing.
    pub fn end(&self, node: NodeId, session: SessionId, reason: CloseReason) {
        if let Ok(entry) = self.entry(node, session) {
            entry.end_with(reason);
        }
    }

    fn entry(&self, node: NodeId, session: SessionId) -> Result<Arc<SessionEntry>, TellError> {
        let entry = self.sessions.get(&node).map(|entry| entry.value().clone());
        entry.filter(|entry| entry.session == session).ok_or(TellError::Gone)
    }

    /// Shows a file.
    pub fn publish(&self, key: FileKey, entry: Arc<CatalogueEntry>) {
        self.files.insert(key, entry);
    }

    /// Hides a file.
    pub fn retract(&self, key: FileKey) {
        self.files.remove(&key);
    }

    /// Shows the hints of a file.
    pub fn publish_hints(&self, key: FileKey, hints: Arc<Hints>) {
        self.hints.insert(key, hints);
    }

    /// Hides them.
    pub fn retract_hints(&self, key: FileKey) {
        self.hints.remove(&key);
    }

    /// The hints of a file.
    pub fn hints(&self, key: FileKey) -> Option<Arc<Hints>> {
        self.hints.get(&key).map(|hints| hints.value().clone())
    }

    /// A file, if anybody has it.
    pub fn file(&self, key: FileKey) -> Option<Arc<CatalogueEntry>> {
        self.files.get(&key).map(|entry| entry.value().clone())
    }

    /// All files, by kind and name.
    pub fn files(&self) -> Vec<Arc<CatalogueEntry>> {
        let mut files: Vec<Arc<CatalogueEntry>> =
            self.files.iter().map(|entry| entry.value().clone()).collect();
        files.sort_by(|a, b| (a.file.kind, &a.file.name).cmp(&(b.file.kind, &b.file.name)));
        files
    }

    /// How many files of a kind there are, and their bytes.
    pub fn library(&self, kind: MediaKind) -> (usize, u64) {
        let sizes = self
            .files
            .iter()
            .filter(|entry| entry.key().0 == kind)
            .map(|entry| entry.value().file.size_bytes);
        sizes.fold((0, 0), |(files, bytes), size_bytes| (files + 1, bytes + size_bytes))
    }
}

impl SessionEntry {
    /// Whether it is a client; else it is the tracker's own origin.
    pub fn is_client(&self) -> bool {
        self.info.kind.is_some()
    }

    /// Tells the session to end. One that does not read is cut at once: nothing more will reach it anyway.
    pub fn end_with(&self, reason: CloseReason) {
        mailbox::post(&self.end, EndSession(reason));
        if reason == CloseReason::NotReading {
            self.link.cut();
        }
    }
}

impl Drop for Ungreeted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_for_strangers_are_bounded_and_given_back() {
        let registry = Registry::default();
        let places: Vec<Ungreeted> = std::iter::from_fn(|| registry.admit()).collect();
        assert_eq!(places.len(), MAX_UNGREETED);
        assert_eq!(registry.ungreeted(), MAX_UNGREETED);
        drop(places);
        assert_eq!(registry.ungreeted(), 0);
        assert!(registry.admit().is_some());
    }

    #[test]
    fn session_numbers_never_repeat() {
        let registry = Registry::default();
        assert!(registry.next_session() < registry.next_session());
    }

    #[test]
    fn telling_somebody_who_is_not_here_says_so() {
        let registry = Registry::default();
        let ping = shared::wire::Ping { nonce: 1 };
        assert_eq!(registry.tell(NodeId([1; 32]), SessionId(1), ping.into()), Err(TellError::Gone));
    }
}
