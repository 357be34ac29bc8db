//! The drawing of the swarm: places, what holds it up, and the words for both.

use proptest::prelude::*;
use shared::{snapshot::PlanSnapshot, wire::Role};

use super::*;
use crate::model::samples;

proptest! {
    #[test]
    fn everybody_stands_somewhere_of_their_own_or_is_counted(peers in 0..60usize, per_row in 1..12usize, has_origin: bool) {
        let mut peers: Vec<PeerSnapshot> = (0..peers).map(|number| peer(number as u8)).collect();
        if let (true, Some(first)) = (has_origin, peers.first_mut()) {
            first.role = Role::Origin;
        }
        let layout = layout(&peers, per_row);
        prop_assert_eq!(layout.places.len() + layout.hidden, peers.len());
        for (index, place) in layout.places.iter().enumerate() {
            prop_assert!((0.0..1.0).contains(&place.x) && place.row < layout.rows && layout.rows <= 2);
            for other in &layout.places[index + 1..] {
                prop_assert!(place.peer != other.peer);
                // Rows are shifted by half a place, so that a line from behind passes between those in front.
                let apart = if place.row == other.row { 0.99 } else { 0.49 };
                prop_assert!((place.x - other.x).abs() >= apart / layout.in_front as f32);
            }
        }
        // The library is always seen, in the middle of the nearest row.
        let library = layout.places.iter().find(|place| peers[place.peer].role == Role::Origin);
        prop_assert_eq!(library.is_some(), has_origin && !peers.is_empty());
        prop_assert!(library.is_none_or(|place| place.row == 0));
    }
}

#[test]
fn rates_move_nobody() {
    let mut peers: Vec<PeerSnapshot> = (0..9).map(peer).collect();
    let before = layout(&peers, 5);
    for (index, peer) in peers.iter_mut().enumerate() {
        peer.rate_bps = index as u64 * 1_000;
    }
    assert_eq!(layout(&peers, 5), before);
}

#[test]
fn nothing_holds_up_what_is_far_ahead_or_fast_enough() {
    let fast = StreamSnapshot { download_bps: 5_000_000, ..stream() };
    assert_eq!(bottleneck(&fast), Bottleneck::Nothing);
    let ahead = StreamSnapshot { download_bps: 0, buffered_ahead_ms: EASY_MS, ..stream() };
    assert_eq!(bottleneck(&ahead), Bottleneck::Nothing);
    assert_eq!(bottleneck(&StreamSnapshot { complete: true, ..stream() }), Bottleneck::Nothing);
}

#[test]
fn a_swarm_below_its_need_names_the_uplink_that_is_short() {
    let plan = |sustainable_bps, origin_reserve_bps| StreamSnapshot {
        plan: Some(PlanSnapshot { sustainable_bps, origin_reserve_bps, ..plan() }),
        ..stream()
    };
    assert_eq!(bottleneck(&plan(3_000_000, 3_000_000)), Bottleneck::Origin);
    assert_eq!(bottleneck(&plan(3_000_000, 9_000_000)), Bottleneck::Swarm);
    assert_eq!(sigma(&plan(3_000_000, 0)), Some(0.75));
}

#[test]
fn the_source_whose_bytes_take_longest_is_named_and_said() {
    let mut stream = stream();
    stream.peers[1].in_flight = 3;
    stream.peers[1].in_flight_bytes = 500_000;
    stream.peers[1].rate_bps = 1_000_000;
    assert_eq!(bottleneck(&stream), Bottleneck::Source(1));
    let line = bottleneck_line(&stream, Bottleneck::Source(1));
    assert!(line.ends_with("the 500 kB asked of it take 4.0 s"), "{line}");
    stream.peers[0].in_flight = 1;
    stream.peers[0].in_flight_bytes = 16_384;
    stream.peers[0].silent = true;
    stream.peers[0].rate_bps = 0;
    assert_eq!(bottleneck(&stream), Bottleneck::Source(0));
    assert!(bottleneck_line(&stream, Bottleneck::Source(0)).ends_with("is silent"));
}

#[test]
fn without_sources_or_slow_ones_it_says_so() {
    let mut stream = stream();
    assert_eq!(bottleneck(&stream), Bottleneck::Sources);
    for peer in &mut stream.peers {
        peer.connected = false;
    }
    assert_eq!(bottleneck(&stream), Bottleneck::Nobody);
}

#[test]
fn a_plan_is_explained_by_what_it_knows() {
    let mut peer = peer(1);
    peer.planned = Some(PlannedPath {
        place: 2,
        path: PathKind::Direct,
        rate_bps: 4_100_000,
        rtt_us: 1_900,
        complete: true,
        uploads: true,
        share_bps: 0,
    });
    assert_eq!(
        why_source(&peer, 5),
        "Choice 2 of 5: its path carried 4.1 Mbit/s, 1.9 ms away, it has the whole file"
    );
    if let Some(planned) = &mut peer.planned {
        planned.share_bps = 1_200_000;
    }
    assert!(why_source(&peer, 5).ends_with("it is in demand, the share is 1.2 Mbit/s"));
    peer.path = PathKind::Relayed;
    assert!(why_path(&peer).ends_with("planned was a direct path"), "{}", why_path(&peer));
    peer.banned = true;
    peer.planned = None;
    assert!(why_source(&peer, 5).contains("do not verify"));
}

fn plan() -> PlanSnapshot {
    PlanSnapshot { epoch: 1, sources: 2, sustainable_bps: 0, origin_reserve_bps: 0, predicted_bps: 0 }
}

fn stream() -> StreamSnapshot {
    StreamSnapshot {
        size: 1_000_000,
        duration_ms: 2_000,
        bitrate: 4_000_000,
        epoch: 1,
        buffered_ahead_ms: 1_000,
        peers: vec![peer(1), peer(2)],
        download_bps: 2_000_000,
        ..samples::stream()
    }
}

fn peer(id: u8) -> PeerSnapshot {
    PeerSnapshot { rate_bps: 1_000_000, ..samples::peer(id) }
}
