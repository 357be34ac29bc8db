//! The viewer core against a virtual world: what a person at the player would notice, and invariants under random circumstances.

mod world;

use proptest::prelude::*;
use shared::{
    LeafRange, LeafSet,
    limits::LEAF_BYTES,
    schedule::{
        RequestIds,
        viewer::{SourceTraits, Viewer, ViewerConfig},
    },
    units::leaf_count,
    wire::{PathKind, RefuseReason},
};
use world::{Manners, World, WorldSource};

const MIB: u64 = 1 << 20;
/// 4 Mbit/s.
const RATE_BPS: u64 = 4_000_000;

#[test]
fn a_lone_local_source_is_not_held_up_by_the_pipeline() {
    let size = 256 * MIB;
    // 400 MB/s with half a millisecond each way.
    let mut world = streaming(size, vec![WorldSource::complete(size, 400_000, 1)]);
    world.viewer.keep_whole(0, true);
    assert!(world.run(60_000, Viewer::is_complete));
    let bytes_per_second = size * 1_000 / world.now_ms;
    assert!(bytes_per_second > 200 * MIB, "{} MiB/s", bytes_per_second / MIB);
}

#[test]
fn a_long_fat_link_is_filled() {
    for rtt_ms in [50, 250] {
        let size = 200 * MIB;
        let mut world = streaming(size, vec![WorldSource::complete(size, 12_500, rtt_ms)]);
        world.viewer.keep_whole(0, true);
        assert!(world.run(60_000, Viewer::is_complete));
        let share = size as f64 / (world.now_ms as f64 * 12_500.0);
        assert!(share > 0.85, "{share:.2} of the link with a round trip of {rtt_ms} ms");
    }
}

#[test]
fn a_reader_that_is_ahead_of_what_the_viewer_was_told_is_no_seek() {
    let size = 64 * MIB;
    let mut viewer = Viewer::new(World::config(size, RATE_BPS, 1), LeafSet::new(leaf_count(size)));
    let traits = SourceTraits {
        is_origin: false,
        path: PathKind::Direct,
        rate_hint_bps: 800_000_000,
        rtt_hint_us: 500,
    };
    viewer.source_joined(0, 1, traits);
    viewer.have(0, 1, true, true, &[], 0);
    viewer.reader_moved(0, 1, 0, true);
    let mut end_byte = 0;
    for now_ms in 1..200 {
        while viewer.poll_output().is_some() {}
        let flights: Vec<_> = viewer.in_flight().collect();
        for (id, source, leaves) in flights {
            let is_next = leaves.bytes(size).start == end_byte;
            if is_next && viewer.data_arrived(now_ms, source, id, leaves, 1).is_useful() {
                end_byte = leaves.bytes(size).end;
            }
        }
        // Stored, read, and said so, before the viewer hears that any of it verified.
        viewer.reader_moved(now_ms, 1, end_byte, true);
    }
    assert!(end_byte > MIB, "only {end_byte} bytes were asked for");
    assert_eq!(viewer.epoch(), 0);
}

#[test]
fn several_sources_are_all_used_when_one_is_not_enough() {
    let size = 64 * MIB;
    let sources = vec![WorldSource::complete(size, 1_000, 20); 4];
    let mut world = streaming(size, sources);
    world.viewer.keep_whole(0, true);
    assert!(world.run(60_000, Viewer::is_complete));
    let least = world.received.values().min().copied().unwrap_or(0);
    assert_eq!(world.received.len(), 4);
    assert!(least > size / 6, "{:?}", world.received);
    let share = size as f64 / (world.now_ms as f64 * 4_000.0);
    assert!(share > 0.85, "{share:.2} of all links");
}

#[test]
fn playback_starts_at_once_and_never_waits_again_when_the_network_carries_it() {
    let size = 30 * MIB;
    let sources = vec![WorldSource::complete(size, 400, 40), WorldSource::complete(size, 400, 40)];
    let mut world = streaming(size, sources);
    let played = world.play(1, 0, RATE_BPS, 50_000);
    assert!(played.is_smooth(800), "{played:?}");
}

#[test]
fn the_window_ahead_of_a_reader_is_bounded() {
    let size = 512 * MIB;
    let mut world = streaming(size, vec![WorldSource::complete(size, 100_000, 2)]);
    world.play(1, 0, RATE_BPS, 3_000);
    let held = u64::from(world.viewer.held().count()) * LEAF_BYTES;
    // Thirty seconds of 4 Mbit/s ahead of a reader that is a second ahead of three that were played, and the tail.
    assert!((14 * MIB..18 * MIB).contains(&held), "{held}");
}

#[test]
fn the_last_chunk_is_asked_for_again_of_a_lone_source_that_lost_it() {
    for (size, bytes_per_ms, rtt_ms) in
        [(5 * MIB, 40, 100), (24 * MIB, 2_500, 2), (24 * MIB, 2_500, 200), (96 * MIB, 50_000, 5)]
    {
        let last = leaf_count(size) - 1;
        let whole = WorldSource::complete(size, bytes_per_ms, rtt_ms);
        let source = WorldSource { manners: Manners::LosesOnce(last), ..whole.clone() };
        let took_ms = |source: WorldSource| {
            let mut world = streaming(size, vec![source]);
            // Without start-up ranges at its end the last chunk is the last that is asked for.
            world.viewer.hints(0, vec![(0, 16)], Vec::new());
            world.viewer.keep_whole(0, true);
            assert!(world.run(300_000, Viewer::is_complete));
            (world.now_ms, world.received.values().sum::<u64>())
        };
        let (usual_ms, usual_bytes) = took_ms(whole);
        let (lost_ms, received_bytes) = took_ms(source);
        assert!(lost_ms < usual_ms + 2_500, "{usual_ms} ms, {lost_ms} ms with the last chunk lost");
        assert_eq!(received_bytes, usual_bytes, "something came twice");
    }
}

#[test]
fn nothing_is_fetched_beyond_where_a_reader_stops_and_more_once_it_goes_on() {
    let size = 64 * MIB;
    let end_byte = 256 << 10;
    let mut world = streaming(size, vec![WorldSource::complete(size, 2_500, 2)]);
    world.viewer.hints(0, vec![(0, 16)], Vec::new());
    world.viewer.reader_moved(0, 1, 0, true);
    world.viewer.reader_ends(0, 1, end_byte);
    world.run(2_000, |_| false);
    assert_eq!(u64::from(world.viewer.held().count()) * LEAF_BYTES, end_byte);
    world.viewer.reader_moved(2_000, 1, end_byte, true);
    world.viewer.reader_ends(2_000, 1, 2 * end_byte);
    world.run(4_000, |_| false);
    assert_eq!(u64::from(world.viewer.held().count()) * LEAF_BYTES, 2 * end_byte);
}

#[test]
fn a_seek_voids_what_was_asked_and_is_answered_in_about_a_round_trip() {
    let size = 256 * MIB;
    let mut world = streaming(size, vec![WorldSource::complete(size, 1_000, 40)]);
    world.play(1, 0, RATE_BPS, 1_000);
    let epoch = world.viewer.epoch();
    let target = 200 * MIB + 12_345;
    world.viewer.reader_moved(world.now_ms, 1, target, true);
    assert_eq!(world.viewer.epoch(), epoch + 1);
    let sought_ms = world.now_ms;
    let leaf = (target / LEAF_BYTES) as u32;
    assert!(world.run(10_000, |viewer| viewer.held().has(leaf)));
    let took_ms = world.now_ms - sought_ms;
    // A round trip, the rest of the chunk that was being sent, and one small chunk.
    assert!(took_ms <= 40 + 140 + 20, "{took_ms} ms");
    assert_eq!(world.flushes, 1);
}

#[test]
fn a_move_within_what_is_held_is_no_seek() {
    let size = 64 * MIB;
    let mut world = streaming(size, vec![WorldSource::complete(size, 10_000, 4)]);
    world.play(1, 0, RATE_BPS, 3_000);
    let epoch = world.viewer.epoch();
    world.viewer.reader_moved(world.now_ms, 1, 0, false);
    world.viewer.reader_moved(world.now_ms, 1, 4 * MIB, false);
    assert_eq!(world.viewer.epoch(), epoch);
}

#[test]
fn a_dead_source_is_replaced_at_once() {
    let size = 30 * MIB;
    let dying = WorldSource { manners: Manners::DiesAt(5_000), ..WorldSource::complete(size, 2_000, 20) };
    let mut world = streaming(size, vec![dying, WorldSource::complete(size, 700, 20)]);
    let played = world.play(1, 0, RATE_BPS, 30_000);
    assert!(played.is_smooth(1000), "{played:?}");
}

#[test]
fn a_silent_source_costs_little() {
    let size = 30 * MIB;
    let silent = WorldSource { manners: Manners::Silent, ..WorldSource::complete(size, 10_000, 20) };
    let mut world = streaming(size, vec![silent, WorldSource::complete(size, 1_000, 20)]);
    let played = world.play(1, 0, RATE_BPS, 40_000);
    assert!(played.is_smooth(1200), "{played:?}");
}

#[test]
fn whoever_has_nothing_of_what_it_announces_is_found_out_and_asked_now_and_then_only() {
    let size = 30 * MIB;
    let forger = WorldSource {
        manners: Manners::Boaster,
        have: LeafSet::new(leaf_count(size)),
        ..WorldSource::complete(size, 10_000, 20)
    };
    let honest = || WorldSource::complete(size, 600, 20);
    let mut world = streaming(size, vec![forger, honest(), honest()]);
    let played = world.play(1, 0, RATE_BPS, 40_000);
    assert!(played.is_smooth(2_000), "{played:?}");
    assert_eq!(world.viewer.idlers().collect::<Vec<_>>(), [0]);
}

#[test]
fn whoever_serves_again_is_believed_again() {
    let size = 30 * MIB;
    let mut viewer = Viewer::new(World::config(size, RATE_BPS, 1), LeafSet::new(leaf_count(size)));
    let traits =
        SourceTraits { is_origin: false, path: PathKind::Direct, rate_hint_bps: 0, rtt_hint_us: 20_000 };
    viewer.source_joined(0, 1, traits);
    viewer.reader_moved(0, 1, 0, true);
    let mut has_served = false;
    for now_ms in (0..30_000).step_by(100) {
        viewer.have(now_ms, 1, false, false, &[LeafRange::new(0, 64)], 0);
        viewer.handle_timeout(now_ms);
        while viewer.poll_output().is_some() {}
        let Some((id, _, asked)) = viewer.in_flight().next() else { continue };
        if viewer.idlers().count() == 0 {
            viewer.refused(now_ms, 1, id, RefuseReason::NotHere);
        } else {
            viewer.data_arrived(now_ms, 1, id, asked, asked.len_bytes(size));
            has_served = true;
            break;
        }
    }
    assert!(has_served, "it was not found out");
    assert_eq!(viewer.idlers().count(), 0);
}

#[test]
fn a_liar_is_banned_after_one_chunk_and_nothing_is_lost() {
    let size = 20 * MIB;
    let liar = WorldSource { manners: Manners::Liar(3), ..WorldSource::complete(size, 5_000, 10) };
    let mut world = streaming(size, vec![liar, WorldSource::complete(size, 2_000, 10)]);
    world.viewer.keep_whole(0, true);
    assert!(world.run(60_000, Viewer::is_complete));
    assert_eq!(world.banned.iter().copied().collect::<Vec<_>>(), [0]);
    assert!(world.viewer.snapshot(world.now_ms).corrupt_bytes <= MIB);
}

#[test]
fn waste_stays_small_with_unequal_sources() {
    let size = 60 * MIB;
    let rates = [50, 100, 300, 700];
    let sources = rates.iter().map(|rate| WorldSource::complete(size, *rate, 40)).collect();
    let mut world = streaming(size, sources);
    let played = world.play(1, 0, RATE_BPS, 100_000);
    let view = world.viewer.snapshot(world.now_ms);
    assert!(played.is_smooth(1800), "{played:?}");
    assert!(
        view.wasted_bytes * 20 <= view.received_bytes,
        "{} of {}",
        view.wasted_bytes,
        view.received_bytes
    );
}

#[test]
fn hardly_anything_comes_twice_where_supply_is_just_enough() {
    let size = 24 * MIB;
    // Together 1.15 times the media's rate; the slowest needs a second for a chunk.
    let sources = (1..=8).map(|n| WorldSource::complete(size, 16 * n, 4)).collect();
    let mut world = streaming(size, sources);
    let played = world.play(1, 0, RATE_BPS, 45_000);
    let view = world.viewer.snapshot(world.now_ms);
    assert_eq!(played.stalled_ms, 0, "{played:?}");
    assert!(
        view.wasted_bytes * 150 <= view.received_bytes,
        "{} of {}",
        view.wasted_bytes,
        view.received_bytes
    );
}

#[test]
fn the_origin_is_spared_where_peers_are_as_good() {
    let size = 40 * MIB;
    let origin = WorldSource { is_origin: true, ..WorldSource::complete(size, 5_000, 20) };
    let peers = vec![WorldSource::complete(size, 700, 20); 2];
    let mut world = streaming(size, [vec![origin], peers].concat());
    let played = world.play(1, 0, RATE_BPS, 60_000);
    assert!(played.is_smooth(900), "{played:?}");
    let total: u64 = world.received.values().sum();
    assert!(world.received[&0] * 5 < total, "{:?}", world.received);
}

#[test]
fn rare_pieces_beyond_the_near_zone_come_first() {
    let size = 64 * MIB;
    let leaves = leaf_count(size);
    // Two sources have all, one more has the second half of the window: the rest is rarer.
    let common = LeafRange::new(leaves / 8, leaves);
    let partial =
        WorldSource { have: LeafSet::from_ranges(leaves, [common]), ..WorldSource::complete(size, 300, 20) };
    let mut world = streaming(size, vec![WorldSource::complete(size, 900, 20), partial]);
    world.play(1, 0, RATE_BPS, 20_000);
    assert!(world.viewer.snapshot(world.now_ms).buffered_ahead_ms > 10_000);
}

#[test]
fn without_readers_only_the_startup_ranges_are_fetched() {
    let size = 64 * MIB;
    let config = ViewerConfig {
        startup_ranges: vec![(0, 70_000), (size - 10, 10)],
        ..World::config(size, RATE_BPS, 1)
    };
    let mut world =
        World::new(config, LeafSet::new(leaf_count(size)), vec![WorldSource::complete(size, 1_000, 10)]);
    world.run(5_000, |_| false);
    assert_eq!(world.viewer.held().count(), 6);
    assert!(world.viewer.poll_timeout().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    /// As long as some live source has a wanted leaf and answers, everything wanted arrives.
    #[test]
    fn everything_arrives_whatever_the_others_do(
        leaves in 1u32..600,
        short_by in 0u64..LEAF_BYTES,
        seed: u64,
        good in any_source(600),
        others in prop::collection::vec((any_source(600), any_manners()), 0..5),
    ) {
        let size = u64::from(leaves) * LEAF_BYTES - short_by;
        let good = WorldSource { have: LeafSet::full(leaves), ..good };
        let others = others.into_iter().map(|(source, manners)| {
            let ranges: Vec<LeafRange> = source.have.runs().collect();
            WorldSource { have: LeafSet::from_ranges(leaves, ranges), manners, ..source }
        });
        let sources = others.chain([good]).collect();
        let mut world = World::new(World::config(size, RATE_BPS, seed), LeafSet::new(leaves), sources);
        world.viewer.keep_whole(0, true);
        world.viewer.reader_moved(0, 1, 0, true);
        prop_assert!(world.run(600_000, Viewer::is_complete), "{:?}", world.viewer.snapshot(world.now_ms));
    }

    /// Readers come, jump and go; what they wait for arrives.
    #[test]
    fn a_reader_gets_what_it_waits_for_after_any_jumps(
        leaves in 100u32..3_000,
        seed: u64,
        jumps in prop::collection::vec((0u32..4, any::<prop::sample::Index>(), 0u64..400, any::<bool>()), 1..12),
        sources in prop::collection::vec(any_source(3_000), 0..3),
        good in any_source(3_000),
    ) {
        let size = u64::from(leaves) * LEAF_BYTES;
        let partial = sources.into_iter().map(|source| {
            let ranges: Vec<LeafRange> = source.have.runs().collect();
            WorldSource { have: LeafSet::from_ranges(leaves, ranges), ..source }
        });
        let good = WorldSource { have: LeafSet::full(leaves), joins_ms: 0, ..good };
        let mut world =
            World::new(World::config(size, RATE_BPS, seed), LeafSet::new(leaves), partial.chain([good]).collect());
        let mut last = (0, 0);
        for (reader, to, for_ms, closes) in jumps {
            let leaf = to.index(leaves as usize) as u32;
            world.viewer.reader_moved(world.now_ms, reader, u64::from(leaf) * LEAF_BYTES, true);
            let end_ms = world.now_ms + for_ms;
            world.run(end_ms, |_| false);
            world.now_ms = end_ms;
            if closes {
                world.viewer.reader_closed(world.now_ms, reader);
            }
            last = (reader, leaf);
        }
        world.viewer.reader_moved(world.now_ms, last.0, u64::from(last.1) * LEAF_BYTES, true);
        let end_ms = world.now_ms + 120_000;
        prop_assert!(world.run(end_ms, |viewer| viewer.held().has(last.1)));
    }

    /// No input, however senseless, makes it panic or ask twice.
    #[test]
    fn any_inputs_are_borne(steps in prop::collection::vec(any_step(), 1..200), size in 0u64..5_000_000) {
        let mut viewer = Viewer::new(World::config(size, 1_000_000, 7), LeafSet::new(leaf_count(size)));
        let mut now_ms = 0;
        for step in steps {
            now_ms += 13;
            apply(&mut viewer, now_ms, step);
            while let Some(output) = viewer.poll_output() {
                prop_assert!(output.source() < 5);
            }
            let flights: Vec<LeafRange> = viewer.in_flight().map(|(_, _, leaves)| leaves).collect();
            for leaves in &flights {
                prop_assert!(flights.iter().filter(|other| *other == leaves).count() <= 2);
                prop_assert!(!viewer.held().contains(*leaves));
            }
            let view = viewer.snapshot(now_ms);
            prop_assert!(view.wasted_bytes <= view.received_bytes);
        }
    }
}

fn streaming(size: u64, sources: Vec<WorldSource>) -> World {
    let mut world = World::new(World::config(size, RATE_BPS, 1), LeafSet::new(leaf_count(size)), sources);
    world.viewer.reader_moved(0, 1, 0, true);
    world
}

fn any_source(leaves: u32) -> impl Strategy<Value = WorldSource> {
    let ranges = prop::collection::vec((0..leaves, 0..leaves), 0..4);
    (20u64..20_000, 0u64..150, ranges, any::<bool>(), 0u64..3_000, any::<bool>()).prop_map(
        move |(bytes_per_ms, rtt_ms, ranges, is_origin, joins_ms, hints)| WorldSource {
            bytes_per_ms,
            rtt_ms,
            have: LeafSet::from_ranges(
                leaves,
                ranges.into_iter().map(|(first, count)| LeafRange::new(first, count)),
            ),
            manners: Manners::Honest,
            is_origin,
            joins_ms,
            hints,
        },
    )
}

fn any_manners() -> impl Strategy<Value = Manners> {
    prop_oneof![
        Just(Manners::Honest),
        (1u32..20).prop_map(Manners::Liar),
        Just(Manners::Silent),
        (0u32..3_000).prop_map(Manners::Busy),
        Just(Manners::Boaster),
        (0u64..10_000).prop_map(Manners::DiesAt),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Joined(u32, bool),
    Left(u32),
    Have(u32, bool, bool, u32, u32, u32),
    Moved(u32, u64, bool),
    Closed(u32),
    Arrived(u32, u32, u32, u32),
    AnswerFlight(prop::sample::Index, u8),
    Refused(u32, u32, u8),
    Evicted(u32, u32),
    Hints(Vec<(u64, u64)>, Vec<(u32, u64)>),
    KeepWhole(bool),
    Wait(u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    let pairs = prop::collection::vec(any::<(u64, u64)>(), 0..4);
    let index = prop::collection::vec(any::<(u32, u64)>(), 0..4);
    prop_oneof![
        (0u32..5, any::<bool>()).prop_map(|(source, origin)| Step::Joined(source, origin)),
        (0u32..5).prop_map(Step::Left),
        (0u32..5, any::<bool>(), any::<bool>(), 0u32..400, any::<u32>(), any::<u32>()).prop_map(
            |(source, reset, complete, first, count, backlog)| Step::Have(
                source, reset, complete, first, count, backlog
            )
        ),
        (0u32..4, 0u64..6_000_000, any::<bool>())
            .prop_map(|(reader, at, blocked)| Step::Moved(reader, at, blocked)),
        (0u32..4).prop_map(Step::Closed),
        (0u32..5, 0u32..400, 0u32..400, 0u32..70)
            .prop_map(|(source, id, first, count)| Step::Arrived(source, id, first, count)),
        (any::<prop::sample::Index>(), 0u8..5).prop_map(|(at, fate)| Step::AnswerFlight(at, fate)),
        (0u32..5, 0u32..400, 0u8..5).prop_map(|(source, id, reason)| Step::Refused(source, id, reason)),
        (0u32..400, 0u32..400).prop_map(|(first, count)| Step::Evicted(first, count)),
        (pairs, index).prop_map(|(ranges, index)| Step::Hints(ranges, index)),
        any::<bool>().prop_map(Step::KeepWhole),
        (0u32..20_000).prop_map(Step::Wait),
    ]
}

fn apply(viewer: &mut Viewer, now_ms: u64, step: Step) {
    match step {
        Step::Joined(source, is_origin) => {
            let traits =
                SourceTraits { is_origin, path: PathKind::Relayed, rate_hint_bps: 0, rtt_hint_us: 5 };
            viewer.source_joined(now_ms, source, traits);
        }
        Step::Left(source) => viewer.source_left(now_ms, source),
        Step::Have(source, reset, complete, first, count, backlog_ms) => {
            viewer.have(now_ms, source, reset, complete, &[LeafRange::new(first, count)], backlog_ms);
        }
        Step::Moved(reader, position, is_blocked) => {
            viewer.reader_moved(now_ms, reader, position, is_blocked)
        }
        Step::Closed(reader) => viewer.reader_closed(now_ms, reader),
        Step::Arrived(source, id, first, count) => {
            let leaves = LeafRange::new(first, count);
            if viewer.data_arrived(now_ms, source, id, leaves, 1).is_useful() {
                viewer.verified(now_ms, source, leaves);
            }
        }
        Step::AnswerFlight(at, fate) => answer(viewer, now_ms, at, fate),
        Step::Refused(source, id, reason) => viewer.refused(now_ms, source, id, reason_of(reason)),
        Step::Evicted(first, count) => viewer.evicted(now_ms, &[LeafRange::new(first, count)]),
        Step::Hints(ranges, index) => viewer.hints(now_ms, ranges, index),
        Step::KeepWhole(keep) => viewer.keep_whole(now_ms, keep),
        Step::Wait(ms) => viewer.handle_timeout(now_ms + u64::from(ms)),
    }
}

fn answer(viewer: &mut Viewer, now_ms: u64, at: prop::sample::Index, fate: u8) {
    let flights: Vec<_> = viewer.in_flight().collect();
    if flights.is_empty() {
        return;
    }
    let (id, source, leaves) = flights[at.index(flights.len())];
    let arrival = viewer.data_arrived(now_ms, source, id, leaves, 100);
    match fate {
        0 if arrival.is_useful() => viewer.corrupt(now_ms, source, leaves),
        1 if arrival.is_useful() => viewer.unstored(now_ms, source, leaves, None),
        2 if arrival.is_useful() => viewer.unstored(now_ms, source, leaves, Some("no room".to_owned())),
        _ if arrival.is_useful() => viewer.verified(now_ms, source, leaves),
        _ => {}
    }
}

fn reason_of(number: u8) -> RefuseReason {
    match number {
        0 => RefuseReason::NotHere,
        1 => RefuseReason::Busy(100),
        2 => RefuseReason::NotAChunk,
        3 => RefuseReason::Withdrawn,
        _ => RefuseReason::Unreadable,
    }
}

#[test]
fn request_ids_are_never_zero_and_never_repeat() {
    let ids = RequestIds::default();
    let other = ids.clone();
    assert_eq!([ids.next(), other.next(), ids.next()], [1, 2, 3]);
}
