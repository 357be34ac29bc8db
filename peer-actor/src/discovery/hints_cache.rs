//! Hints of other nodes' files: asked for once, kept while there is room, given up after a time.
//!
//! Invariant: every ask is answered exactly once. A content's hints never change their meaning, so nothing kept grows stale.

use std::{collections::BTreeMap, sync::Arc};

use shared::{ContentId, wire::Hints};

/// How long an answer may take.
pub(super) const ANSWER_MS: u64 = 5_000;
/// Hints kept: 128 times 73 KB at most.
const MAX_KEPT: usize = 128;
/// Asks that may wait at once.
const MAX_PENDING: usize = 256;

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct HintsCache {
    kept: BTreeMap<ContentId, (u64, Arc<Hints>)>,
    pending: BTreeMap<ContentId, u64>,
    uses: u64,
}

/// What an ask comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Known already, or not to be had.
    Answered(Option<Arc<Hints>>),
    /// The tracker must be asked.
    Ask,
    /// The tracker was asked already.
    Waits,
}

impl HintsCache {
    pub(super) fn ask(&mut self, now_ms: u64, content_id: ContentId) -> Asked {
        self.uses += 1;
        if let Some((used, hints)) = self.kept.get_mut(&content_id) {
            *used = self.uses;
            return Asked::Answered(Some(hints.clone()));
        }
        if self.pending.contains_key(&content_id) {
            return Asked::Waits;
        }
        if self.pending.len() >= MAX_PENDING {
            return Asked::Answered(None);
        }
        self.pending.insert(content_id, now_ms + ANSWER_MS);
        Asked::Ask
    }

    /// The answer to pass on; none when nobody waits.
    pub(super) fn arrived(
        &mut self,
        content_id: ContentId,
        hints: Option<Hints>,
    ) -> Option<Option<Arc<Hints>>> {
        self.pending.remove(&content_id)?;
        let hints = hints.map(Arc::new);
        if let Some(hints) = &hints {
            self.keep(content_id, hints.clone());
        }
        Some(hints)
    }

    /// One ask that has waited too long.
    pub(super) fn expire(&mut self, now_ms: u64) -> Option<ContentId> {
        let (content_id, _) = self.pending.iter().find(|(_, due_ms)| **due_ms <= now_ms)?;
        let content_id = *content_id;
        self.pending.remove(&content_id);
        Some(content_id)
    }

    pub(super) fn due_ms(&self) -> Option<u64> {
        self.pending.values().min().copied()
    }

    pub(super) fn pending(&self) -> Vec<ContentId> {
        self.pending.keys().copied().collect()
    }

    fn keep(&mut self, content_id: ContentId, hints: Arc<Hints>) {
        if self.kept.len() >= MAX_KEPT
            && let Some(oldest) = self.kept.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id)
        {
            self.kept.remove(&oldest);
        }
        self.kept.insert(content_id, (self.uses, hints));
    }
}
