//! Shares of uplinks that are short: what is not urgent is left to sources of which this viewer has not had its share.
//!
//! A viewer that has a choice would else take of a source what another has nowhere else: an uploader serves its viewers alike, and does not
//! know who could go elsewhere. The tracker does, and tells shares. They bind nobody who would be late for it; and in a crowd, where
//! chunks are had from whoever got them, there are none.

use super::{
    Viewer,
    plan::{Round, Zone},
    source::{Source, is_in_time},
};
use crate::{limits::LEAF_BYTES, units::LeafIndex};

/// With more slack than this a viewer whose shares are all used up waits until one is not.
const AMPLE_SLACK_MS: i64 = 5_000;

impl Viewer {
    /// Whether the tracker has told shares that count.
    pub(super) fn has_shares(&self, is_crowd: bool) -> bool {
        !is_crowd && self.sources.values().any(|source| source.share_bps > 0)
    }

    /// Whether sources whose share is used up are left alone for `leaf`: there is time, or another delivers in time.
    pub(super) fn keeps_to_shares(&self, leaf: LeafIndex, slack_ms: i64, round: &Round) -> bool {
        if !round.has_shares || slack_ms >= AMPLE_SLACK_MS {
            return round.has_shares;
        }
        let deadline_ms = self.now_ms.saturating_add_signed(slack_ms);
        let left = self.sources.values().filter(|source| source.have.has(leaf) && self.is_left(source));
        let usual = round.known.usual(self);
        let arrivals = left.map(|source| source.arrival_ms(self.now_ms, LEAF_BYTES, deadline_ms, usual));
        arrivals.min_by(f64::total_cmp).is_some_and(|ms| is_in_time(ms, slack_ms))
    }

    /// Whether nobody is asked for `leaf` now, nor for what is needed later: those of which something is left have enough to do.
    pub(super) fn waits_for_shares(&self, leaf: LeafIndex, slack_ms: i64, zone: Zone, round: &Round) -> bool {
        self.keeps_to_shares(leaf, slack_ms, round)
            && !self.sources.values().any(|source| self.is_left(source) && self.has_room(source, zone, round))
    }

    fn is_left(&self, source: &Source) -> bool {
        source.is_usable(self.now_ms) && !source.is_used_up(self.now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        LeafSet,
        schedule::{
            RequestIds,
            viewer::{SourceId, SourceTraits, ViewerConfig},
        },
        units::{LeafRange, leaf_count},
        wire::PathKind,
    };

    const SIZE_BYTES: u64 = 20 << 20;
    /// Two sources, 1 Mbit/s of media, 16 Mbit/s each.
    const NARROW: SourceId = 1;
    const WIDE: SourceId = 2;

    #[test]
    fn what_is_not_urgent_is_left_to_the_source_that_has_a_share() {
        let taken = taken([1, 4_000_000]);
        // The first seconds of media are needed at once, whoever has them.
        assert!(taken[0] < taken[1] / 8, "{taken:?}");
    }

    #[test]
    fn without_shares_both_are_asked() {
        let taken = taken([0, 0]);
        assert!(taken[0] > taken[1] / 2, "{taken:?}");
    }

    #[test]
    fn shares_that_are_all_used_up_leave_nobody_without() {
        let [narrow, wide] = taken([1, 1]);
        // Five seconds of media, and what is played in two.
        assert!(narrow + wide >= 5 * 125_000, "{narrow} {wide}");
        assert!(narrow + wide < 12 * 125_000, "{narrow} {wide}");
    }

    #[test]
    fn shares_count_for_nothing_in_a_crowd() {
        let mut viewer = viewer([1, 4_000_000]);
        viewer.source_joined(0, 3, traits());
        viewer.have(0, 3, true, false, &[LeafRange::new(0, 4)], 0);
        assert!(!viewer.has_shares(viewer.is_crowd()));
    }

    /// Bytes taken of each source within two seconds by a viewer that plays from the start; each delivers 16 Mbit/s.
    fn taken(shares_bps: [u64; 2]) -> [u64; 2] {
        let mut viewer = viewer(shares_bps);
        let mut taken = [0; 2];
        for now_ms in (0..2_000u64).step_by(10) {
            viewer.reader_moved(now_ms, 1, now_ms * 125, false);
            viewer.handle_timeout(now_ms);
            while viewer.poll_output().is_some() {}
            let mut room_bytes = [20_000u64; 2];
            let asked: Vec<_> = viewer.in_flight().collect();
            for (id, source, leaves) in asked {
                let (at, bytes) = (source as usize - 1, leaves.len_bytes(SIZE_BYTES));
                if room_bytes[at] > 0 {
                    room_bytes[at] = room_bytes[at].saturating_sub(bytes);
                    taken[at] += bytes;
                    viewer.data_arrived(now_ms, source, id, leaves, bytes);
                    viewer.verified(now_ms, source, leaves);
                }
            }
        }
        taken
    }

    fn viewer(shares_bps: [u64; 2]) -> Viewer {
        let mut config = ViewerConfig::new(SIZE_BYTES, 7, RequestIds::default());
        config.bitrate_bps = 1_000_000;
        config.startup_ranges = vec![(0, LEAF_BYTES)];
        let mut viewer = Viewer::new(config, LeafSet::new(leaf_count(SIZE_BYTES)));
        for (source, share_bps) in [NARROW, WIDE].into_iter().zip(shares_bps) {
            viewer.source_joined(0, source, traits());
            viewer.have(0, source, true, true, &[], 0);
            viewer.source_share(0, source, share_bps);
        }
        viewer
    }

    fn traits() -> SourceTraits {
        SourceTraits {
            is_origin: false,
            path: PathKind::Direct,
            rate_hint_bps: 16_000_000,
            rtt_hint_us: 10_000,
        }
    }
}
