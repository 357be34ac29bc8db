//! The cache beneath a viewer: what must stay in it, and what to do while nothing more can be stored.
//!
//! Invariant: all that is fetched for readers lies in what [`Viewer::needs`] names, so what a cache gives up besides is not fetched again
//! at once. While storing fails, one chunk at a time is asked for, less and less often: each comes in vain, over somebody's uplink.

use super::{Needs, Viewer};
use crate::units::{LeafRange, leaf_of};

/// How long nothing is asked for after a chunk could not be stored, first and at most.
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 30_000;
/// What may have come and not be stored yet.
const MAX_UNSTORED_BYTES: u64 = 6 << 20;
/// The part of its window that stays behind a reader, for one that goes back a little.
const BEHIND: u64 = 4;

/// Why nothing can be stored, and until when nothing is asked for.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) why: String,
    pub(super) until_ms: u64,
    pause_ms: u64,
}

impl Viewer {
    /// What readers are about to need, and some of what they have just read. The rest may be given up.
    pub fn needs(&self) -> Needs {
        let playhead = self.readers.values().map(|reader| leaf_of(reader.position)).min().unwrap_or(0);
        if self.keep_whole {
            return Needs { leaves: vec![LeafRange::new(0, self.leaf_count)], playhead };
        }
        let behind_bytes = self.config.window_bytes / BEHIND;
        let windows = self.readers.values().map(|reader| {
            let first = leaf_of(reader.position.saturating_sub(behind_bytes)).min(self.leaf_count);
            LeafRange::new(first, self.window(reader).end.max(first) - first)
        });
        Needs { leaves: windows.chain(self.startup.iter().copied()).collect(), playhead }
    }

    /// Something could not be stored: what is on its way would come in vain.
    pub(super) fn hold_back(&mut self, why: String) {
        let last_ms = self.trouble.as_ref().map(|trouble| trouble.pause_ms);
        let pause_ms = last_ms.map_or(FIRST_PAUSE_MS, |last_ms| (2 * last_ms).min(LONGEST_PAUSE_MS));
        // Several chunks that fail at once are one failure.
        if self.trouble.as_ref().is_none_or(|trouble| trouble.until_ms <= self.now_ms) {
            self.trouble = Some(Trouble { why, until_ms: self.now_ms + pause_ms, pause_ms });
        }
        self.cancel(self.flights.iter().map(|(id, _)| id).collect());
    }

    /// Whether more has come than is stored as yet: then the store is what is slow, and more would only wait in memory.
    pub(super) fn is_store_behind(&self) -> bool {
        let bytes: u64 =
            self.verifying.iter().map(|(_, leaves)| leaves.len_bytes(self.config.size_bytes)).sum();
        bytes >= MAX_UNSTORED_BYTES
    }

    /// How many chunks may be asked for now, where storing fails; none where it does not.
    pub(super) fn tries_in_trouble(&self) -> Option<u32> {
        let trouble = self.trouble.as_ref()?;
        let is_idle = self.flights.is_empty() && self.verifying.is_empty();
        Some(u32::from(is_idle && self.now_ms >= trouble.until_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ViewerConfig, ViewerOutput};
    use super::*;
    use crate::{
        leaf_set::LeafSet,
        schedule::{RequestIds, viewer::SourceTraits},
        wire::PathKind,
    };

    const SIZE: u64 = 256 << 20;

    fn viewer() -> Viewer {
        let mut config = ViewerConfig::new(SIZE, 1, RequestIds::default());
        config.bitrate_bps = 8_000_000;
        let mut viewer = Viewer::new(config, LeafSet::new(crate::units::leaf_count(SIZE)));
        let traits =
            SourceTraits { is_origin: false, path: PathKind::Direct, rate_hint_bps: 0, rtt_hint_us: 1_000 };
        viewer.source_joined(0, 1, traits);
        viewer.have(0, 1, true, true, &[], 0);
        viewer
    }

    fn requested(viewer: &mut Viewer) -> Vec<(crate::wire::RequestId, LeafRange)> {
        let mut all = Vec::new();
        while let Some(output) = viewer.poll_output() {
            if let ViewerOutput::Request { chunks, .. } = output {
                all.extend(chunks.iter().map(|chunk| (chunk.id, chunk.leaves)));
            }
        }
        all
    }

    #[test]
    fn all_that_is_asked_for_is_needed() {
        let mut viewer = viewer();
        viewer.reader_moved(0, 1, 100 << 20, true);
        let needs = viewer.needs();
        for now_ms in (0..5_000_u64).step_by(100) {
            viewer.handle_timeout(now_ms);
            for (id, leaves) in requested(&mut viewer) {
                let is_needed = needs
                    .leaves
                    .iter()
                    .any(|range| range.first <= leaves.first && leaves.end() <= range.end());
                assert!(is_needed, "{leaves:?} is none of {needs:?}");
                let bytes = leaves.len_bytes(SIZE);
                assert!(viewer.data_arrived(now_ms, 1, id, leaves, bytes).is_useful());
                viewer.verified(now_ms, 1, leaves);
            }
        }
        assert!(viewer.held().count() > 100);
        assert!(needs.leaves.iter().any(|range| range.contains(leaf_of(99 << 20))), "a step back stays");
        viewer.keep_whole(6_000, true);
        assert_eq!(viewer.needs().leaves, vec![LeafRange::new(0, leaf_of(SIZE))]);
    }

    #[test]
    fn what_cannot_be_stored_is_asked_for_one_by_one_and_ever_less_often() {
        let mut viewer = viewer();
        viewer.reader_moved(0, 1, 0, true);
        let mut asked = Vec::new();
        for now_ms in (0..60_000_u64).step_by(50) {
            viewer.handle_timeout(now_ms);
            for (id, leaves) in requested(&mut viewer) {
                asked.push(now_ms);
                let bytes = leaves.len_bytes(SIZE);
                if viewer.data_arrived(now_ms, 1, id, leaves, bytes).is_useful() {
                    viewer.unstored(now_ms, 1, leaves, Some("the disk is full".to_owned()));
                }
            }
        }
        let later = asked.iter().filter(|at_ms| **at_ms > 0).count();
        assert_eq!(later, 5, "after 1, 2, 4, 8, 16 s: {asked:?}");
        assert_eq!(viewer.snapshot(60_000).waiting.as_deref(), Some("the disk is full"));
        let (id, leaves) = (61_000_u64..)
            .step_by(50)
            .find_map(|now_ms| {
                viewer.handle_timeout(now_ms);
                requested(&mut viewer).pop()
            })
            .unwrap();
        viewer.data_arrived(100_000, 1, id, leaves, leaves.len_bytes(SIZE));
        viewer.verified(100_000, 1, leaves);
        assert!(requested(&mut viewer).len() > 1, "with room again it goes on as before");
    }
}
