//! How many bytes of other nodes' files are kept, and how many may be.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Ledger {
    used_bytes: AtomicU64,
    quota_bytes: AtomicU64,
}

impl Ledger {
    pub(super) const fn new(quota_bytes: u64) -> Self {
        Self { used_bytes: AtomicU64::new(0), quota_bytes: AtomicU64::new(quota_bytes) }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn quota_bytes(&self) -> u64 {
        self.quota_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_quota_bytes(&self, bytes: u64) {
        self.quota_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` as used if the quota allows it.
    pub(super) fn try_reserve(&self, bytes: u64) -> bool {
        let quota = self.quota_bytes();
        let grown = |used: u64| used.checked_add(bytes).filter(|used| *used <= quota);
        self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }

    /// Counts bytes that are there already, whatever the quota says.
    pub(super) fn add(&self, bytes: u64) {
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes as gone that were reserved or added before.
    pub(super) fn release(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes that must go before `bytes` more fit.
    pub(super) fn excess_with(&self, bytes: u64) -> u64 {
        self.used_bytes().saturating_add(bytes).saturating_sub(self.quota_bytes())
    }
}
