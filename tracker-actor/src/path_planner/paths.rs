//! How bytes best get from one source to one viewer: which way, how much, how long. Pure arithmetic over what is believed.
//!
//! A way is *direct* (the viewer dials), *reversed* (the source dials) or *relayed* (both dial a third node). Direct and reversed ways
//! use the same wires, so they differ in who can be dialled, not in rate. Of the ways that are open the one with the widest bottleneck
//! is best, then the one with the least delay; a relay spends a third node's line and is therefore taken only when nothing else is
//! open. A way that is up is kept, because it is proven; but a relayed one is left as soon as a better one is proven too.

use shared::wire::PathKind;

/// Whether a node can be dialled from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// It listens nowhere, or the tracker could not dial it.
    Closed,
    /// It says that it listens, and has not been tried yet.
    Untried,
    /// The tracker dialled it and it proved its key.
    Open,
}

impl Reach {
    /// Whether dialling it is worth a try.
    pub const fn may_be_dialled(self) -> bool {
        !matches!(self, Self::Closed)
    }
}

/// What is known of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Whether it can be dialled.
    pub reach: Reach,
    /// What it can send, or 0 when unknown.
    pub uplink_bps: u64,
    /// Its round trip to the tracker, or 0 when unknown.
    pub tracker_rtt_us: u32,
}

/// What is known between both ends, as the viewer measured it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Between {
    /// What the link carried, or 0 when unknown.
    pub rate_bps: u64,
    /// The round trip, or 0 when unknown.
    pub rtt_us: u32,
    /// The way it is connected now.
    pub connected: Option<PathKind>,
    /// Whether a direct dial failed lately.
    pub direct_blocked: bool,
    /// Whether a reversed dial failed lately.
    pub reversed_blocked: bool,
    /// Whether a relayed connection failed lately.
    pub relayed_blocked: bool,
}

/// The way found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// Which way.
    pub kind: PathKind,
    /// What was measured on it, or 0 when nothing was.
    pub measured_bps: u64,
    /// What it is expected to carry: measured, or what the ends allow.
    pub expected_bps: u64,
    /// Its round trip, measured or estimated through the tracker, or 0 when unknown.
    pub rtt_us: u32,
}

/// What a source of unknown uplink is expected to spare one viewer: more than a good film needs, so that it gets tried.
pub const UNKNOWN_RATE_BPS: u64 = 10_000_000;

/// The best way from `source` to `viewer`; `named` is how many plans name the source already, `relay_bps` what the tracker spares a
/// relayed connection.
pub fn best_path(viewer: End, source: End, between: Between, named: usize, relay_bps: u64) -> Path {
    let kind = best_way(viewer.reach, source.reach, between);
    let share_bps = match source.uplink_bps {
        0 => UNKNOWN_RATE_BPS,
        uplink_bps => uplink_bps / (named as u64).max(1),
    };
    let measured_bps = if between.connected.is_none_or(|way| way == kind) { between.rate_bps } else { 0 };
    let expected_bps = match (measured_bps, kind) {
        (0, PathKind::Relayed) => share_bps.min(relay_bps),
        (0, PathKind::Direct | PathKind::Reversed) => share_bps,
        (measured, _) => measured,
    };
    Path { kind, measured_bps, expected_bps, rtt_us: delay_us(viewer, source, between) }
}

fn best_way(viewer: Reach, source: Reach, between: Between) -> PathKind {
    // Whoever is linked already waits for proof; whoever is not tries what may work.
    let is_linked = between.connected.is_some();
    let can_be_dialled = |end: Reach| if is_linked { end == Reach::Open } else { end.may_be_dialled() };
    let direct = can_be_dialled(source) && !between.direct_blocked;
    let reversed = can_be_dialled(viewer) && !between.reversed_blocked;
    match between.connected {
        Some(PathKind::Relayed) if direct => return PathKind::Direct,
        Some(PathKind::Relayed) if reversed => return PathKind::Reversed,
        Some(way) => return way,
        None => {}
    }
    if direct {
        PathKind::Direct
    } else if reversed {
        PathKind::Reversed
    } else if between.relayed_blocked && source.may_be_dialled() {
        // Everything failed lately: begin again with the cheapest that can ever work.
        PathKind::Direct
    } else {
        PathKind::Relayed
    }
}

fn delay_us(viewer: End, source: End, between: Between) -> u32 {
    if between.rtt_us > 0 {
        return between.rtt_us;
    }
    // Through the tracker is a way too, so the sum bounds the true round trip wherever the triangle inequality holds.
    match (viewer.tracker_rtt_us, source.tracker_rtt_us) {
        (0, _) | (_, 0) => 0,
        (there, back) => there.saturating_add(back),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_source_is_dialled_if_it_can_be() {
        assert_eq!(way(Reach::Closed, Reach::Open, Between::default()), PathKind::Direct);
        assert_eq!(way(Reach::Open, Reach::Untried, Between::default()), PathKind::Direct);
    }

    #[test]
    fn a_source_that_cannot_be_dialled_dials_the_viewer() {
        assert_eq!(way(Reach::Open, Reach::Closed, Between::default()), PathKind::Reversed);
    }

    #[test]
    fn two_that_cannot_be_dialled_meet_at_the_tracker() {
        assert_eq!(way(Reach::Closed, Reach::Closed, Between::default()), PathKind::Relayed);
    }

    #[test]
    fn failures_of_a_pair_move_it_on_to_the_next_way() {
        let direct_blocked = Between { direct_blocked: true, ..Between::default() };
        assert_eq!(way(Reach::Open, Reach::Open, direct_blocked), PathKind::Reversed);
        let both_blocked = Between { reversed_blocked: true, ..direct_blocked };
        assert_eq!(way(Reach::Open, Reach::Open, both_blocked), PathKind::Relayed);
        let all_blocked = Between { relayed_blocked: true, ..both_blocked };
        assert_eq!(way(Reach::Open, Reach::Open, all_blocked), PathKind::Direct);
    }

    #[test]
    fn a_way_that_is_up_is_kept() {
        for connected in [PathKind::Direct, PathKind::Reversed] {
            let up = Between { connected: Some(connected), ..Between::default() };
            assert_eq!(way(Reach::Open, Reach::Open, up), connected);
        }
    }

    #[test]
    fn a_relayed_way_is_left_for_a_better_one_that_is_proven_and_for_no_other() {
        let relayed = Between { connected: Some(PathKind::Relayed), ..Between::default() };
        assert_eq!(way(Reach::Closed, Reach::Open, relayed), PathKind::Direct);
        assert_eq!(way(Reach::Open, Reach::Closed, relayed), PathKind::Reversed);
        assert_eq!(way(Reach::Untried, Reach::Untried, relayed), PathKind::Relayed);
        assert_eq!(way(Reach::Closed, Reach::Closed, relayed), PathKind::Relayed);
        let tried = Between { direct_blocked: true, ..relayed };
        assert_eq!(way(Reach::Closed, Reach::Open, tried), PathKind::Relayed);
        assert_eq!(way(Reach::Open, Reach::Open, tried), PathKind::Reversed);
    }

    #[test]
    fn a_measured_rate_stands_over_every_expectation() {
        let between = Between { rate_bps: 5_000, connected: Some(PathKind::Direct), ..Between::default() };
        let path = best_path(end(Reach::Open), end(Reach::Open), between, 3, 1_000);
        assert_eq!((path.measured_bps, path.expected_bps), (5_000, 5_000));
    }

    #[test]
    fn an_unmeasured_relay_is_no_wider_than_the_trackers_share() {
        let path = best_path(end(Reach::Closed), end(Reach::Closed), Between::default(), 0, 1_000_000);
        assert_eq!((path.measured_bps, path.expected_bps), (0, 1_000_000));
    }

    #[test]
    fn a_source_many_plans_name_is_expected_to_spare_less() {
        let source = End { uplink_bps: 8_000_000, ..end(Reach::Open) };
        let expected = |named| best_path(end(Reach::Open), source, Between::default(), named, 0).expected_bps;
        assert_eq!(expected(1), 8_000_000);
        assert_eq!(expected(8), 1_000_000);
    }

    #[test]
    fn an_unmeasured_delay_is_bounded_by_the_way_over_the_tracker() {
        let near = End { tracker_rtt_us: 3_000, ..end(Reach::Open) };
        let far = End { tracker_rtt_us: 40_000, ..end(Reach::Open) };
        assert_eq!(best_path(near, far, Between::default(), 0, 0).rtt_us, 43_000);
        assert_eq!(best_path(near, end(Reach::Open), Between::default(), 0, 0).rtt_us, 0);
    }

    proptest! {
        /// The reference tries every way and keeps the cheapest that is open.
        #[test]
        fn the_way_is_the_cheapest_open_one(viewer in reach(), source in reach(), d: bool, r: bool, x: bool) {
            let between = Between { direct_blocked: d, reversed_blocked: r, relayed_blocked: x, ..Between::default() };
            let open = [
                (PathKind::Direct, source != Reach::Closed && !d),
                (PathKind::Reversed, viewer != Reach::Closed && !r),
                (PathKind::Relayed, !x),
            ];
            let found = way(viewer, source, between);
            if let Some((best, _)) = open.iter().find(|(_, is_open)| *is_open) {
                prop_assert_eq!(found, *best);
            } else {
                prop_assert!(found != PathKind::Direct || source != Reach::Closed);
            }
        }
    }

    fn reach() -> impl Strategy<Value = Reach> {
        prop_oneof![Just(Reach::Closed), Just(Reach::Untried), Just(Reach::Open)]
    }

    fn way(viewer: Reach, source: Reach, between: Between) -> PathKind {
        best_path(end(viewer), end(source), between, 0, 0).kind
    }

    fn end(reach: Reach) -> End {
        End { reach, uplink_bps: 0, tracker_rtt_us: 0 }
    }
}
