//! The registered nodes, and the handles by which the planner names them. Pure.
//!
//! A node id is 32 bytes, and a plan looks at dozens of nodes several times each: what is kept of a swarm names them by [`Handle`], which is
//! half as long, compares as two numbers and finds its node without hashing.
//!
//! Invariant: a handle is given once. That of a node which has gone finds nothing, whoever comes after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use foldhash::HashMap;
use shared::{MediaKind, NodeId, wire::Role};
use slotmap::{SlotMap, new_key_type};

use super::{
    links::Links,
    paths::{End, Reach},
    relays::{Offer, Relaying},
    sharing::Uplink,
};
use crate::{file_index::FileKey, registry::SessionId};

new_key_type! {
    /// Where a node stands among those that are registered.
    pub struct Slot;
}

/// A registered node. Handles are in the order of their node's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    /// The first eight bytes of its id, which is a key: a place on a ring that nobody else is likely to have.
    pub ring: u64,
    /// Where it stands.
    pub slot: Slot,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) session: SessionId,
    pub(super) role: Role,
    pub(super) kind: Option<MediaKind>,
    pub(super) observed: SocketAddr,
    pub(super) addresses: Vec<SocketAddr>,
    /// Grows as its addresses change.
    pub(super) registered: u64,
    pub(super) reach: Reach,
    /// Where the tracker tries to dial it.
    pub(super) probed: Option<SocketAddr>,
    pub(super) reprobe_ms: Option<u64>,
    pub(super) relaying: Relaying,
    /// Over whom it was brought together with its sources.
    pub(super) offers: BTreeMap<NodeId, Offer>,
    pub(super) upload_limit_bps: u64,
    pub(super) uplink_bps: u64,
    pub(super) tracker_rtt_us: u32,
    pub(super) links: Links,
    pub(super) views: BTreeSet<FileKey>,
    pub(super) holds: BTreeSet<FileKey>,
    pub(super) parts: BTreeSet<FileKey>,
    /// How many plans name it.
    pub(super) named: usize,
}

/// Every registered node.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    handles: HashMap<NodeId, Handle>,
    known: SlotMap<Slot, Node>,
}

impl Nodes {
    pub(super) fn handle(&self, id: &NodeId) -> Option<Handle> {
        self.handles.get(id).copied()
    }

    pub(super) fn get(&self, id: &NodeId) -> Option<&Node> {
        self.at(self.handle(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Node> {
        self.at_mut(self.handle(id)?)
    }

    pub(super) fn at(&self, handle: Handle) -> Option<&Node> {
        self.known.get(handle.slot)
    }

    pub(super) fn at_mut(&mut self, handle: Handle) -> Option<&mut Node> {
        self.known.get_mut(handle.slot)
    }

    /// A node by its id, if that is its session.
    pub(super) fn of_session(&mut self, id: &NodeId, session: SessionId) -> Option<(Handle, &mut Node)> {
        let handle = self.handle(id)?;
        let known = self.at_mut(handle).filter(|known| known.session == session)?;
        Some((handle, known))
    }

    /// The node; if it is not registered, it is now, as `new` says.
    pub(super) fn enter(&mut self, id: NodeId, new: impl FnOnce() -> Node) -> (Handle, &mut Node) {
        let ring = ring(&id);
        let handle =
            *self.handles.entry(id).or_insert_with(|| Handle { ring, slot: self.known.insert(new()) });
        (handle, &mut self.known[handle.slot])
    }

    /// Takes the node out. Its handle finds nothing any more.
    pub(super) fn remove(&mut self, id: &NodeId) -> Option<(Handle, Node)> {
        let handle = self.handles.remove(id)?;
        Some((handle, self.known.remove(handle.slot)?))
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.known.values()
    }

    #[cfg(test)]
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.known.values_mut()
    }
}

impl Node {
    pub(super) fn new(
        id: NodeId,
        session: SessionId,
        role: Role,
        kind: Option<MediaKind>,
        observed: SocketAddr,
    ) -> Self {
        Self {
            id,
            session,
            role,
            kind,
            observed,
            addresses: Vec::new(),
            registered: 1,
            reach: Reach::Closed,
            probed: None,
            reprobe_ms: None,
            relaying: Relaying::default(),
            offers: BTreeMap::new(),
            upload_limit_bps: 0,
            uplink_bps: 0,
            tracker_rtt_us: 0,
            links: Links::default(),
            views: BTreeSet::new(),
            holds: BTreeSet::new(),
            parts: BTreeSet::new(),
            named: 0,
        }
    }

    /// What it can send, if anything is known of it.
    pub(super) fn uplink(&self) -> Option<u64> {
        let known = [self.uplink_bps, self.upload_limit_bps];
        known.into_iter().filter(|rate_bps| *rate_bps > 0).min()
    }

    pub(super) fn as_supply(&self) -> Uplink {
        Uplink { bps: self.uplink(), is_origin: self.role == Role::Origin }
    }

    pub(super) fn end(&self) -> End {
        End { reach: self.reach, uplink_bps: self.uplink().unwrap_or(0), tracker_rtt_us: self.tracker_rtt_us }
    }
}

fn ring(id: &NodeId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = id.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
