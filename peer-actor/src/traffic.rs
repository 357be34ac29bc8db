//! How many payload bytes went to and came from each node: written by the actors that move them, read by anyone.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dashmap::DashMap;
use shared::NodeId;

/// The nodes remembered; beyond this the totals still count and single nodes do not.
const MAX_NODES: usize = 4096;

/// Shared counters. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sent_to: DashMap<NodeId, u64>,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

impl Traffic {
    /// Counts payload sent.
    pub fn sent(&self, node: NodeId, payload_bytes: u64) {
        self.inner.sent_bytes.fetch_add(payload_bytes, Ordering::Relaxed);
        if let Some(mut sent) = self.inner.sent_to.get_mut(&node) {
            *sent += payload_bytes;
        } else if self.inner.sent_to.len() < MAX_NODES {
            *self.inner.sent_to.entry(node).or_default() += payload_bytes;
        }
    }

    /// Counts payload received.
    pub fn received(&self, payload_bytes: u64) {
        self.inner.received_bytes.fetch_add(payload_bytes, Ordering::Relaxed);
    }

    /// Payload sent to one node.
    pub fn sent_to(&self, node: &NodeId) -> u64 {
        self.inner.sent_to.get(node).map_or(0, |sent| *sent)
    }

    /// Payload `(sent, received)` in all.
    pub fn totals(&self) -> (u64, u64) {
        (self.inner.sent_bytes.load(Ordering::Relaxed), self.inner.received_bytes.load(Ordering::Relaxed))
    }
}
