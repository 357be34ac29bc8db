//! The order of a viewer's sources, and when a new order is worth telling. Pure.
//!
//! A source is *clearly better* than another when its path is wider by [`RATE_MARGIN_PERCENT`], or as wide and closer by
//! [`DELAY_MARGIN_PERCENT`]. Newcomers are sorted by width, then delay; those that were in the plan before keep their order unless one
//! is clearly better than the one above it. So measurements that wobble by a fifth move nothing, and a lasting change moves at once.

use std::cmp::Reverse;

use shared::wire::Role;

use super::{nodes::Handle, paths::Path};

/// How much wider a path must be to count as wider.
pub const RATE_MARGIN_PERCENT: u64 = 30;
/// How much closer a source must be to count as closer.
pub const DELAY_MARGIN_PERCENT: u64 = 20;
/// Round trips that differ by less are the same.
pub const DELAY_MARGIN_US: u32 = 5_000;

/// A source that could be in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub node: Handle,
    /// Peer or origin.
    pub role: Role,
    /// Whether it has the whole file.
    pub complete: bool,
    /// Whether it is known to upload.
    pub uploads: bool,
    /// The viewer has tried it, and nothing came of it yet.
    pub is_unreached: bool,
    /// The best way to it.
    pub path: Path,
}

/// Whether `a` should be above `b` even if it was below before.
pub fn is_clearly_better(a: &Candidate, b: &Candidate) -> bool {
    if a.uploads != b.uploads {
        return a.uploads;
    }
    let (wide_a, wide_b) = (a.path.expected_bps, b.path.expected_bps);
    if exceeds(wide_a, wide_b, RATE_MARGIN_PERCENT) {
        return true;
    }
    if exceeds(wide_b, wide_a, RATE_MARGIN_PERCENT) {
        return false;
    }
    let (far_a, far_b) = (known_or_far(a.path.rtt_us), known_or_far(b.path.rtt_us));
    far_b - far_a.min(far_b) > DELAY_MARGIN_US
        && exceeds(u64::from(far_b), u64::from(far_a), DELAY_MARGIN_PERCENT)
}

/// Orders `candidates`, best first: those of `previous` in their order as far as it still holds, newcomers where they belong.
///
/// What is equal in everything is ordered differently for every `viewer`, so that a crowd does not fall upon one source.
pub fn order(viewer: Handle, previous: &[Handle], mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by_cached_key(|candidate| {
        let position = previous.iter().position(|node| *node == candidate.node);
        (position.unwrap_or(usize::MAX), rank(viewer, candidate))
    });
    // An insertion sort by "clearly better": it ends whatever that relation is, and leaves alone what is not clear.
    for at in 1..candidates.len() {
        let mut place = at;
        while place > 0 && is_clearly_better(&candidates[place], &candidates[place - 1]) {
            candidates.swap(place, place - 1);
            place -= 1;
        }
    }
    candidates
}

/// The place of a newcomer among newcomers: wide before narrow in steps of the margin, then near before far.
fn rank(viewer: Handle, candidate: &Candidate) -> impl Ord + use<> {
    let path = candidate.path;
    let distance = viewer.ring ^ candidate.node.ring;
    (
        !candidate.uploads,
        Reverse(width_step(path.expected_bps)),
        known_or_far(path.rtt_us),
        !candidate.complete,
        distance,
    )
}

/// The logarithm of a rate to the base of the margin.
pub(super) fn width_step(rate_bps: u64) -> u32 {
    let base = 1.0 + RATE_MARGIN_PERCENT as f64 / 100.0;
    if rate_bps == 0 { 0 } else { 1 + (rate_bps as f64).log(base) as u32 }
}

pub(super) const fn known_or_far(rtt_us: u32) -> u32 {
    if rtt_us == 0 { u32::MAX } else { rtt_us }
}

const fn exceeds(a: u64, b: u64, margin_percent: u64) -> bool {
    a as u128 * 100 > b as u128 * (100 + margin_percent) as u128
}

/// The rate every viewer of a swarm can be fed at together: `min(u_s, (u_s + sum u_i) / N)`, or 0 when the uplinks are unknown.
pub fn sustainable_bps(origin_bps: u64, peers_bps: u64, viewers: usize) -> u64 {
    match viewers as u64 {
        0 => 0,
        _ if origin_bps == 0 => 0,
        viewers => origin_bps.min(origin_bps.saturating_add(peers_bps) / viewers),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::wire::PathKind;

    use super::*;
    use crate::path_planner::nodes::Slot;

    #[test]
    fn the_widest_comes_first_then_the_nearest() {
        let candidates =
            vec![source(1, 1_000_000, 10_000), source(2, 9_000_000, 90_000), source(3, 9_000_000, 20_000)];
        assert_eq!(nodes(&order(id(0), &[], candidates)), [3, 2, 1]);
    }

    #[test]
    fn a_source_that_does_not_upload_is_last() {
        let idle = Candidate { uploads: false, ..source(1, 90_000_000, 1) };
        assert_eq!(nodes(&order(id(0), &[id(1)], vec![idle, source(2, 1_000, 90_000)])), [2, 1]);
    }

    #[test]
    fn an_unknown_delay_is_behind_every_known_one() {
        assert_eq!(
            nodes(&order(id(0), &[], vec![source(1, 1_000_000, 0), source(2, 1_000_000, 400_000)])),
            [2, 1]
        );
    }

    #[test]
    fn a_fifth_of_wobble_moves_nothing() {
        let previous = [id(1), id(2), id(3)];
        for (a, b, c) in [(8, 10, 10), (10, 12, 10), (9, 10, 11), (10, 10, 12)] {
            let wobbling = vec![
                source(1, a * 1_000_000, 20_000),
                source(2, b * 1_000_000, 20_000),
                source(3, c * 1_000_000, 20_000),
            ];
            assert_eq!(nodes(&order(id(0), &previous, wobbling)), [1, 2, 3]);
        }
        let nearer = vec![source(1, 10, 24_000), source(2, 10, 20_000), source(3, 10, 21_000)];
        assert_eq!(nodes(&order(id(0), &previous, nearer)), [1, 2, 3]);
    }

    #[test]
    fn a_clear_change_moves_at_once() {
        let previous = [id(1), id(2), id(3)];
        let changed =
            vec![source(1, 1_000_000, 1_000), source(2, 9_000_000, 1_000), source(3, 20_000_000, 1_000)];
        assert_eq!(nodes(&order(id(0), &previous, changed)), [3, 2, 1]);
    }

    #[test]
    fn a_newcomer_clearly_better_than_all_goes_to_the_top() {
        let previous = [id(1), id(2)];
        let candidates =
            vec![source(1, 5_000_000, 1_000), source(2, 4_000_000, 1_000), source(3, 50_000_000, 1_000)];
        assert_eq!(nodes(&order(id(0), &previous, candidates)), [3, 1, 2]);
    }

    #[test]
    fn the_sustainable_rate_is_bounded_by_the_origin_and_by_all_together() {
        assert_eq!(sustainable_bps(10, 1_000, 4), 10);
        assert_eq!(sustainable_bps(100, 100, 4), 50);
        assert_eq!(sustainable_bps(0, 100, 4), 0);
        assert_eq!(sustainable_bps(100, 100, 0), 0);
    }

    proptest! {
        #[test]
        fn an_order_keeps_everyone_and_is_stable_when_nothing_changes(rates in prop::collection::vec((1u64..50_000_000, 0u32..300_000), 0..30)) {
            let candidates: Vec<Candidate> =
                rates.iter().enumerate().map(|(n, (rate, rtt))| source(n as u8, *rate, *rtt)).collect();
            let first = order(id(0), &[], candidates.clone());
            let mut all = nodes(&first);
            all.sort_unstable();
            prop_assert_eq!(all, (0..rates.len() as u8).collect::<Vec<_>>());
            prop_assert!(first.windows(2).all(|pair| !is_clearly_better(&pair[1], &pair[0])));
            let previous: Vec<Handle> = first.iter().map(|candidate| candidate.node).collect();
            prop_assert_eq!(order(id(0), &previous, candidates), first);
        }
    }

    fn source(n: u8, expected_bps: u64, rtt_us: u32) -> Candidate {
        let path = Path { kind: PathKind::Direct, measured_bps: expected_bps, expected_bps, rtt_us };
        Candidate { node: id(n), role: Role::Peer, complete: true, uploads: true, is_unreached: false, path }
    }

    fn nodes(candidates: &[Candidate]) -> Vec<u8> {
        candidates.iter().map(|candidate| (candidate.node.ring >> 56) as u8).collect()
    }

    fn id(n: u8) -> Handle {
        Handle { ring: u64::from(n) << 56, slot: Slot::default() }
    }
}
