//! What is needed soon, and how soon: of each reader what it plays or reads next, and what lets a player begin.
//!
//! In a crowd all that a viewer needs to begin is due at once: nobody begins with a part of it.

use std::ops::Range;

use super::{Viewer, crowd::Start, plan::NEAR_MS, reader::Reader};
use crate::{
    limits::LEAF_BYTES,
    units::{LeafIndex, LeafRange, leaf_of},
};

/// Media that may be outstanding near, over all sources together, in a crowd: there uploaders have more to do than to wait for requests,
/// and choose by deadline among what is queued.
pub(super) const NEAR_MEDIA_MS: u64 = 2_000;
/// Between start-up ranges, in order of urgency.
const STARTUP_STEP_MS: i64 = 50;
/// The tail of a content without hints may be needed, or not.
const GUESSED_SLACK_MS: i64 = 2_000;
/// What is fetched ahead of a reader at the least, however slow the media.
const MIN_WINDOW_BYTES: u64 = 1 << 20;

/// A stretch of the near zone.
pub(super) struct Region {
    pub(super) next: LeafIndex,
    pub(super) end: LeafIndex,
    /// The reader's media time, or how urgent a start-up range is.
    origin: RegionOrigin,
}

enum RegionOrigin {
    Reader { playhead_ms: u64, start: Option<Start> },
    Startup { slack_ms: i64 },
}

impl Viewer {
    pub(super) fn near_regions(&self) -> Vec<Region> {
        let (mut regions, mut starts_in_ms) = (Vec::new(), None);
        for reader in self.readers.values() {
            let window = self.window(reader);
            let near = leaf_of(self.timeline.byte_at(self.near_until_ms(reader)));
            let near = near.max(window.start + 1).min(window.end);
            let (playhead_ms, start) = (reader.playhead_ms(), self.start_of(reader));
            starts_in_ms = starts_in_ms.into_iter().chain(start.map(|start| start.slack_ms)).min();
            let origin = RegionOrigin::Reader { playhead_ms, start };
            regions.push(Region { next: window.start, end: near, origin });
        }
        for (order, leaves) in self.startup.iter().enumerate() {
            let is_guess = self.config.startup_ranges.is_empty() && order > 0;
            let slack_ms = if is_guess { GUESSED_SLACK_MS } else { order as i64 * STARTUP_STEP_MS };
            let origin = RegionOrigin::Startup { slack_ms: slack_ms.max(starts_in_ms.unwrap_or_default()) };
            regions.push(Region { next: leaves.first, end: leaves.end(), origin });
        }
        regions
    }

    /// The end of a reader's near zone as media time: what is played soon, and what is read next.
    pub(super) fn near_until_ms(&self, reader: &Reader) -> u64 {
        (reader.playhead_ms() + NEAR_MS).max(self.timeline.ms_at(reader.position) + NEAR_MEDIA_MS)
    }

    /// The leaves that are fetched for a reader.
    pub(super) fn window(&self, reader: &Reader) -> Range<LeafIndex> {
        let size = self.config.size_bytes.min(reader.ends_at);
        if reader.position >= size {
            return self.leaf_count..self.leaf_count;
        }
        let by_time =
            self.timeline.byte_at(self.timeline.ms_at(reader.position).saturating_add(self.config.window_ms));
        let least = reader.position.saturating_add(MIN_WINDOW_BYTES);
        let most = reader.position.saturating_add(self.config.window_bytes.max(MIN_WINDOW_BYTES));
        let end = by_time.clamp(least, most).min(size);
        let leaves = LeafRange::covering(&(reader.position..end));
        leaves.leaves()
    }

    /// How long until `leaf` is needed; negative for what a reader has been waiting for.
    pub(super) fn slack_in(&self, region: &Region, leaf: LeafIndex) -> i64 {
        let leaf_ms = self.timeline.ms_at(u64::from(leaf) * LEAF_BYTES);
        let (playhead_ms, start) = match region.origin {
            RegionOrigin::Startup { slack_ms } => return slack_ms,
            RegionOrigin::Reader { playhead_ms, start } => (playhead_ms, start),
        };
        if let Some(slack_ms) = start.and_then(|start| start.slack_at(leaf_ms)) {
            return slack_ms;
        }
        let needed_ms = leaf_ms.saturating_sub(playhead_ms) as i64;
        let waited_ms = self
            .readers
            .values()
            .filter(|reader| leaf_of(reader.position) == leaf)
            .filter_map(|reader| reader.dry_since_ms)
            .map(|since| self.now_ms.saturating_sub(since) as i64)
            .max();
        needed_ms - waited_ms.unwrap_or(0)
    }
}
