//! The upload core against a small world of links that drain at given rates.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{pace::Arrived, *};
use crate::{limits::LEAF_BYTES, units::LeafIndex};

pub(super) const CONTENT: ContentId = ContentId([1; 32]);
pub(super) const SIZE_BYTES: u64 = 1 << 30;

pub(super) fn chunk(id: RequestId, deadline_ms: i32) -> WantedChunk {
    WantedChunk::new(id, LeafRange::new(id, 1), deadline_ms)
}

/// Serves at once whatever is to be served; returns the requests served, in order.
pub(super) fn serve_all(uploader: &mut Uploader, now_ms: u64) -> Vec<(LinkId, RequestId)> {
    let mut served = Vec::new();
    while let Some(output) = uploader.poll_output() {
        if let UploaderOutput::Serve { link, id, .. } = output
            && uploader.read_done(now_ms, link, id, None)
        {
            served.push((link, id));
        }
    }
    served
}

/// All that was handed over has arrived, but `left` bytes.
pub(super) fn arrived(uploader: &mut Uploader, now_ms: u64, link: LinkId, left: u64) {
    let handed_bytes = uploader.links.get(&link).map_or(0, |link| link.handed_bytes);
    uploader.drained(now_ms, link, left);
    uploader.received(now_ms, link, handed_bytes - left, now_ms as u32);
}

pub(super) fn joined(links: &[LinkId]) -> Uploader {
    let mut uploader = Uploader::new(0);
    for link in links {
        uploader.link_joined(*link);
        uploader.credit(0, *link, u64::MAX);
    }
    uploader
}

#[test]
fn the_earliest_deadline_goes_first() {
    let mut uploader = joined(&[1, 2, 3]);
    // Fills what may be on its way.
    uploader.request(0, 3, CONTENT, SIZE_BYTES, 0, false, &[900, 901].map(|id| chunk(id, 0)));
    serve_all(&mut uploader, 0);
    uploader.request(0, 1, CONTENT, SIZE_BYTES, 0, false, &[chunk(1, 900), chunk(2, 100)]);
    uploader.request(0, 2, CONTENT, SIZE_BYTES, 0, false, &[chunk(3, 500)]);
    assert_eq!(served_until(&mut uploader, 400), [2, 3, 1]);
}

/// What is served while all that is sent arrives at once.
fn served_until(uploader: &mut Uploader, end_ms: u64) -> Vec<RequestId> {
    let mut order = Vec::new();
    for now_ms in 1..end_ms {
        (1..=3).for_each(|link| arrived(uploader, now_ms, link, 0));
        order.extend(serve_all(uploader, now_ms).into_iter().map(|(_, id)| id));
    }
    order
}

/// Four links, to which nothing is granted yet, so that what they ask for waits.
fn four() -> Uploader {
    let mut uploader = Uploader::new(0);
    (1..=4).for_each(|link| uploader.link_joined(link));
    uploader
}

/// Everything that waits, in the order in which it would be served: the leaves and the request.
fn order(uploader: &mut Uploader) -> Vec<(LeafIndex, RequestId)> {
    uploader.links.iter_mut().for_each(|(_, link)| link.granted_bytes = u64::MAX);
    let mut next = || {
        let (link, at) = uploader.most_urgent(0, 1_000, |_| false)?;
        let queued = uploader.links.get_mut(&link)?.dequeue(at);
        Some((queued.leaves.first, queued.id))
    };
    std::iter::from_fn(&mut next).collect()
}

#[test]
fn what_few_have_goes_before_what_is_due_sooner_but_not_at_once() {
    let mut uploader = four();
    let have = |uploader: &mut Uploader, link, leaf| {
        uploader.have(link, (&CONTENT, SIZE_BYTES), false, false, &[LeafRange::new(leaf, 1)]);
    };
    (1..=4).for_each(|link| have(&mut uploader, link, 7));
    (1..=2).for_each(|link| have(&mut uploader, link, 101));
    have(&mut uploader, 3, 100);
    for link in 1..=4 {
        let common = WantedChunk { leaves: LeafRange::new(7, 1), ..chunk(link as RequestId, 5_000) };
        uploader.request(0, link, CONTENT, SIZE_BYTES, 0, false, &[common]);
    }
    let rare = [chunk(100, 9_000), chunk(101, 4_000), chunk(102, 500)];
    uploader.request(0, 4, CONTENT, SIZE_BYTES, 0, false, &rare);
    let order: Vec<RequestId> = order(&mut uploader).into_iter().map(|(_, id)| id).collect();
    assert_eq!(order[..3], [102, 100, 101], "what is needed at once is first: {order:?}");
    assert_eq!(order.len(), 7);
    (1..=4).for_each(|link| uploader.link_left(0, link));
    assert!(uploader.holders.is_empty());
}

#[test]
fn who_becomes_a_seed_knows_what_its_neighbours_have() {
    let mut uploader = joined(&[1, 2, 3]);
    uploader.have(1, (&CONTENT, SIZE_BYTES), true, false, &[LeafRange::new(0, 5)]);
    uploader.have(2, (&CONTENT, SIZE_BYTES), true, false, &[LeafRange::new(0, 1)]);
    uploader.closed(0, 2, CONTENT);
    assert_eq!(uploader.held_by(&CONTENT, 0), 1, "what it no longer follows it no longer tells");
    uploader.seeds(CONTENT, SIZE_BYTES, 1_000_000);
    assert_eq!(uploader.held_by(&CONTENT, 4), 1);
    uploader.token(0, 3, super::token_tests::token(30, 0));
    let fresh = std::iter::from_fn(|| uploader.poll_output()).find_map(|output| match output {
        UploaderOutput::Assigned { leaves, .. } => Some(leaves.first),
        UploaderOutput::Serve { .. } | UploaderOutput::Refuse { .. } | UploaderOutput::NoFresh { .. } => None,
    });
    assert_eq!(fresh, Some(5));
}

#[test]
fn an_upload_limit_is_not_waited_for_while_the_window_is_full() {
    let mut uploader = Uploader::new(10_000_000);
    uploader.link_joined(1);
    uploader.credit(0, 1, u64::MAX);
    uploader.request(0, 1, CONTENT, SIZE_BYTES, 0, false, &[0, 1, 2, 3].map(|id| chunk(id, 0)));
    for now_ms in 0..=40 {
        uploader.handle_timeout(now_ms);
        serve_all(&mut uploader, now_ms);
    }
    assert_eq!(uploader.links.get(&1).map(|link| link.queue().len()), Some(2), "two fill the window");
    assert!(uploader.poll_timeout(40).is_none_or(|due| due.at_ms > 41));
}

#[test]
fn who_start_together_are_given_different_chunks_first() {
    let starts = |uploader: &mut Uploader| {
        for link in 1..=4 {
            let wanted = [0, 1, 2].map(|leaf| WantedChunk {
                leaves: LeafRange::new(leaf, 1),
                ..chunk(10 * link as RequestId + leaf, 100 * leaf as i32)
            });
            uploader.request(0, link, CONTENT, SIZE_BYTES, 0, true, &wanted);
        }
    };
    let mut uploader = four();
    starts(&mut uploader);
    let leaves: Vec<LeafIndex> = order(&mut uploader).into_iter().map(|(leaf, _)| leaf).collect();
    assert_eq!(leaves[..6], [0, 1, 2, 0, 1, 2], "{leaves:?}");

    let mut uploader = four();
    starts(&mut uploader);
    uploader.request(0, 3, CONTENT, SIZE_BYTES, 0, false, &[chunk(500, 50)]);
    let leaves: Vec<LeafIndex> = order(&mut uploader).into_iter().map(|(leaf, _)| leaf).collect();
    let at = leaves.iter().position(|leaf| *leaf == 500);
    assert_eq!(at, Some(4), "where somebody plays, deadlines count: {leaves:?}");
}

#[test]
fn a_chunk_that_its_link_did_not_take_is_refused_and_counts_for_nothing() {
    let mut uploader = joined(&[1]);
    uploader.request(0, 1, CONTENT, SIZE_BYTES, 0, false, &[chunk(1, 0)]);
    assert!(matches!(uploader.poll_output(), Some(UploaderOutput::Serve { id: 1, .. })));
    assert!(uploader.is_wanted(1, 1) && !uploader.is_wanted(1, 2) && !uploader.is_wanted(2, 1));
    let busy = RefuseReason::Busy(500);
    assert!(!uploader.read_done(0, 1, 1, Some(busy)));
    assert!(
        matches!(uploader.poll_output(), Some(UploaderOutput::Refuse { id: 1, reason, .. }) if reason == busy)
    );
    assert_eq!(uploader.links.get(&1).map(Link::under_way_bytes), Some(0));
    // Long after it would have counted as stuck.
    uploader.request(60_000, 1, CONTENT, SIZE_BYTES, 0, false, &[chunk(2, 0)]);
    assert_eq!(serve_all(&mut uploader, 60_000), [(1, 2)]);
    uploader.request(60_000, 1, CONTENT, SIZE_BYTES, 0, false, &[chunk(3, 0)]);
    uploader.cancel(60_000, 1, &[3], false);
    assert!(!uploader.is_wanted(1, 3), "it was taken back");
}

#[test]
fn no_more_is_unsent_than_the_window() {
    let mut uploader = joined(&[1]);
    let chunks: Vec<_> = (1..=200).map(|id| chunk(id, 0)).collect();
    uploader.request(0, 1, CONTENT, SIZE_BYTES, 0, false, &chunks);
    let first = serve_all(&mut uploader, 0).len() as u64;
    assert!(first * LEAF_BYTES <= 8 * LEAF_BYTES, "{first} chunks at once before anything is known");
    // 150 bytes a millisecond: 1.2 Mbit/s, a leaf each 109 ms.
    let (mut queued, mut now_ms) = (first * LEAF_BYTES, 0);
    while now_ms < 10_000 {
        now_ms += 10;
        queued = queued.saturating_sub(1_500);
        // Viewers tell by the chunk.
        arrived(&mut uploader, now_ms, 1, queued.next_multiple_of(LEAF_BYTES));
        queued += serve_all(&mut uploader, now_ms).len() as u64 * LEAF_BYTES;
        if now_ms > 3_000 {
            assert!(queued <= 2 * LEAF_BYTES, "{queued} bytes unsent on a slow uplink");
        }
    }
}

#[test]
fn a_viewer_is_careful_with_its_first_chunks_and_a_seed_is_not() {
    for is_seed in [false, true] {
        let mut uploader = joined(&[1]);
        if is_seed {
            uploader.seeds(CONTENT, SIZE_BYTES, 1_000_000);
        }
        uploader.measured(0, 1, 150_000);
        let chunks: Vec<_> = (1..=9).map(|id| chunk(id, 0)).collect();
        uploader.request(0, 1, CONTENT, SIZE_BYTES, 0, false, &chunks);
        assert_eq!(uploader.pacing(0, LEAF_BYTES).is_none(), is_seed);
        let (first, pacing) = (serve_all(&mut uploader, 0).len(), uploader.pacing(0, LEAF_BYTES));
        if is_seed {
            assert_eq!((first, pacing), (9, None), "a long path is filled");
        } else {
            assert_eq!(first, 2);
            let pacing = pacing.unwrap();
            // Two leaves are taken to need 524 ms, and leave half as fast again.
            assert_eq!((pacing.start_ms, pacing.bytes_per_ms), (334, 94));
            let of_more = uploader.pacing(0, 4 * LEAF_BYTES).unwrap().bytes_per_ms;
            assert_eq!(of_more, 376, "wider media are taken to come over wider uplinks");
        }
    }
}

#[test]
fn a_fast_uplink_gets_a_large_window() {
    let mut uploader = joined(&[1]);
    let mut id = 0;
    let mut most = 0;
    for now_ms in 0..200 {
        let chunks: Vec<_> = (0..64)
            .map(|_| {
                id += 1;
                WantedChunk::new(id, LeafRange::new(64 * id, 64), 0)
            })
            .collect();
        uploader.request(now_ms, 1, CONTENT, SIZE_BYTES, 0, false, &chunks);
        for _ in 0..4 {
            most = most.max(serve_all(&mut uploader, now_ms).len());
            arrived(&mut uploader, now_ms, 1, 0);
        }
    }
    assert!(most >= 1, "served {most} MiB at once");
    assert!(uploader.uplink_bps() > 4_000_000_000, "{}", uploader.uplink_bps());
}

#[test]
fn a_link_that_does_not_drain_costs_the_others_nothing() {
    let mut uploader = joined(&[1, 2]);
    let chunks: Vec<_> = (1..=100).map(|id| chunk(id, -1_000)).collect();
    uploader.request(0, 1, CONTENT, SIZE_BYTES, 0, false, &chunks);
    serve_all(&mut uploader, 0);
    uploader.request(
        0,
        2,
        CONTENT,
        SIZE_BYTES,
        0,
        false,
        &(101..=300).map(|id| chunk(id, 1_000)).collect::<Vec<_>>(),
    );
    let mut served = 0;
    for now_ms in (0..5_000).step_by(10) {
        uploader.handle_timeout(now_ms);
        served += serve_all(&mut uploader, now_ms).iter().filter(|(link, _)| *link == 2).count();
        arrived(&mut uploader, now_ms, 2, 0);
    }
    assert_eq!(served, 200);
}

/// An uplink in order, and viewers whose words of what came take `late_ms`; the share of ten seconds in which it was busy, and the rate it
/// is taken to have.
fn busy_share(bytes_per_ms: u64, late_ms: impl Fn(u64) -> u64) -> (f64, f64) {
    let mut uploader = joined(&[1, 2]);
    let (mut ids, mut clear_ms, mut busy_ms) = (1, 0, 0);
    let mut received = BTreeMap::<LinkId, u64>::new();
    let mut words: Vec<(u64, LinkId, u64, u32)> = Vec::new();
    for now_ms in 0..10_000_u64 {
        words.retain(|(told_ms, link, bytes, at_ms)| {
            if *told_ms <= now_ms {
                uploader.received(now_ms, *link, *bytes, *at_ms);
            }
            *told_ms > now_ms
        });
        if uploader.poll_timeout(now_ms).is_some_and(|due| due.at_ms <= now_ms) {
            uploader.handle_timeout(now_ms);
        }
        for link in [1, 2] {
            uploader.request(now_ms, link, CONTENT, SIZE_BYTES, 0, false, &[chunk(ids, 1_000)]);
            ids += 1;
        }
        for (link, _) in serve_all(&mut uploader, now_ms) {
            uploader.drained(now_ms, link, 0);
            let took_ms = LEAF_BYTES / bytes_per_ms;
            clear_ms = now_ms.max(clear_ms) + took_ms;
            busy_ms += took_ms;
            let bytes = received.entry(link).or_default();
            *bytes += LEAF_BYTES;
            let said_ms = clear_ms + 1 + late_ms(clear_ms);
            words.push((said_ms, link, *bytes, clear_ms as u32));
        }
    }
    (busy_ms as f64 / 10_000.0, uploader.pace.bytes_per_ms().unwrap_or_default())
}

#[test]
fn an_uplink_does_not_idle_because_words_of_arrivals_are_late() {
    for late_ms in [0, 100, 200] {
        let (busy, rate) = busy_share(312, |at_ms| at_ms * 7919 % (late_ms + 1));
        assert!(busy > 0.95, "late by up to {late_ms} ms it was busy {busy:.2} of the time");
        assert!((rate - 312.0).abs() < 20.0, "late by up to {late_ms} ms its rate is {rate:.0}");
    }
}

#[test]
fn what_is_taken_back_is_answered_unless_it_has_begun() {
    let mut uploader = joined(&[1]);
    uploader.request(0, 1, CONTENT, SIZE_BYTES, 0, false, &[1, 2, 3, 4, 5].map(|id| chunk(id, id as i32)));
    let begun: Vec<RequestId> = serve_all(&mut uploader, 0).into_iter().map(|(_, id)| id).collect();
    assert!(begun.contains(&1) && !begun.contains(&4), "{begun:?}");
    uploader.cancel(1, 1, &[5], false);
    uploader.cancel(1, 1, &[1, 4, 99], true);
    let answers: Vec<UploaderOutput> = std::iter::from_fn(|| uploader.poll_output()).collect();
    let withdrawn =
        UploaderOutput::Refuse { link: 1, content_id: CONTENT, id: 4, reason: RefuseReason::Withdrawn };
    assert_eq!(answers, [withdrawn]);
}

#[test]
fn what_leaves_beside_counts_against_the_upload_limit() {
    let bytes = served_in_4_s(250_000);
    assert!(
        (2_700_000..=3_300_000).contains(&bytes),
        "{bytes} bytes in 4 s at 1 MB/s, of which 250 kB are others'"
    );
}

#[test]
fn the_upload_limit_holds() {
    let bytes = served_in_4_s(0);
    assert!((3_700_000..=4_300_000).contains(&bytes), "{bytes} bytes in 4 s at 1 MB/s");
}

/// What a busy uploader with a limit of 8 Mbit/s serves while `beside` bytes a second leave beside it.
fn served_in_4_s(beside: u64) -> u64 {
    let mut uploader = Uploader::new(8_000_000);
    uploader.link_joined(1);
    uploader.credit(0, 1, u64::MAX);
    uploader.request(
        0,
        1,
        CONTENT,
        SIZE_BYTES,
        0,
        false,
        &(1..=1000).map(|id| chunk(id, 0)).collect::<Vec<_>>(),
    );
    let (mut served, mut now_ms) = (0, 0);
    while now_ms < 4_000 {
        served += serve_all(&mut uploader, now_ms).len() as u64;
        arrived(&mut uploader, now_ms, 1, 0);
        served += serve_all(&mut uploader, now_ms).len() as u64;
        let next_ms = uploader.poll_timeout(now_ms).map_or(now_ms + 1, |due| due.at_ms.max(now_ms + 1));
        uploader.left_beside(beside * (next_ms - now_ms) / 1_000);
        now_ms = next_ms;
        uploader.handle_timeout(now_ms);
    }
    served * LEAF_BYTES
}

#[test]
fn what_is_flushed_while_it_is_read_is_not_sent() {
    let mut uploader = joined(&[1]);
    uploader.request(0, 1, CONTENT, SIZE_BYTES, 3, false, &[chunk(1, 0)]);
    assert!(matches!(uploader.poll_output(), Some(UploaderOutput::Serve { id: 1, .. })));
    uploader.flush(0, 1, CONTENT, 4);
    assert!(!uploader.read_done(0, 1, 1, None));
    uploader.request(0, 1, CONTENT, SIZE_BYTES, 3, false, &[chunk(2, 0)]);
    uploader.request(0, 1, CONTENT, SIZE_BYTES, 4, false, &[chunk(3, 0)]);
    assert_eq!(serve_all(&mut uploader, 0), [(1, 3)]);
}

#[test]
fn too_many_requests_are_refused_as_busy() {
    let mut uploader = Uploader::new(0);
    uploader.link_joined(1);
    for n in 0..5 {
        let chunks: Vec<_> = (0..256).map(|at| chunk(1 + n * 256 + at, 0)).collect();
        uploader.request(0, 1, CONTENT, SIZE_BYTES, 0, false, &chunks);
    }
    let refused = std::iter::from_fn(|| uploader.poll_output())
        .filter(|output| matches!(output, UploaderOutput::Refuse { reason: RefuseReason::Busy(_), .. }));
    assert_eq!(refused.count(), 256);
}

#[derive(Debug, Clone)]
enum Step {
    Request { link: LinkId, epoch: u32, deadlines: Vec<i32> },
    Cancel { link: LinkId, id: RequestId },
    Flush { link: LinkId, epoch: u32 },
    Credit { link: LinkId, more_bytes: u64 },
    Read { fails: bool },
    Drain { link: LinkId, share: u8 },
    Leave { link: LinkId },
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let link = 1..4u64;
    prop_oneof![
        4 => (link.clone(), 0..4u32, prop::collection::vec(-2_000..20_000, 1..8))
            .prop_map(|(link, epoch, deadlines)| Step::Request { link, epoch, deadlines }),
        1 => (link.clone(), 1..200u32).prop_map(|(link, id)| Step::Cancel { link, id }),
        1 => (link.clone(), 0..4u32).prop_map(|(link, epoch)| Step::Flush { link, epoch }),
        2 => (link.clone(), 0..200_000u64).prop_map(|(link, more_bytes)| Step::Credit { link, more_bytes }),
        6 => any::<bool>().prop_map(|fails| Step::Read { fails }),
        4 => (link.clone(), any::<u8>()).prop_map(|(link, share)| Step::Drain { link, share }),
        1 => link.prop_map(|link| Step::Leave { link }),
        2 => (1..700u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

proptest! {
    #[test]
    fn credit_is_respected_and_nothing_void_leaves(steps in prop::collection::vec(step(), 1..200)) {
        let mut uploader = Uploader::new(0);
        let (mut now_ms, mut next_id) = (0, 0);
        let mut granted = BTreeMap::<LinkId, u64>::new();
        let mut sent = BTreeMap::<LinkId, u64>::new();
        let mut queued = BTreeMap::<LinkId, u64>::new();
        let mut epoch_of = BTreeMap::<RequestId, (LinkId, u32)>::new();
        let mut oldest = BTreeMap::<LinkId, u32>::new();
        let mut cancelled = std::collections::BTreeSet::new();
        let mut to_read = VecDeque::new();
        for step in steps {
            match step {
                Step::Request { link, epoch, deadlines } => {
                    uploader.link_joined(link);
                    let chunks: Vec<_> = deadlines.iter().map(|deadline| {
                        next_id += 1;
                        epoch_of.insert(next_id, (link, epoch));
                        chunk(next_id, *deadline)
                    }).collect();
                    uploader.request(now_ms, link, CONTENT, SIZE_BYTES, epoch, false, &chunks);
                }
                Step::Cancel { link, id } => {
                    if epoch_of.get(&id).is_some_and(|(of, _)| *of == link) {
                        cancelled.insert(id);
                    }
                    uploader.cancel(now_ms, link, &[id], id % 2 == 0);
                }
                Step::Flush { link, epoch } => {
                    if uploader.links.contains_key(&link) {
                        let known = oldest.entry(link).or_default();
                        *known = epoch.max(*known);
                    }
                    uploader.flush(now_ms, link, CONTENT, epoch);
                }
                Step::Credit { link, more_bytes } => {
                    if uploader.links.contains_key(&link) {
                        *granted.entry(link).or_default() += more_bytes;
                        uploader.credit(now_ms, link, granted[&link]);
                    }
                }
                Step::Read { fails } => {
                    if let Some((link, id)) = to_read.pop_front() {
                        let failed = fails.then_some(RefuseReason::Unreadable);
                        if uploader.read_done(now_ms, link, id, failed) {
                            *sent.entry(link).or_default() += LEAF_BYTES;
                            *queued.entry(link).or_default() += LEAF_BYTES;
                            prop_assert!(sent[&link] <= granted.get(&link).copied().unwrap_or_default());
                            prop_assert!(!cancelled.contains(&id));
                            prop_assert!(epoch_of[&id].1 >= oldest.get(&link).copied().unwrap_or_default());
                        }
                    }
                }
                Step::Drain { link, share } => {
                    let left = queued.entry(link).or_default();
                    *left = *left * u64::from(share) / 255;
                    arrived(&mut uploader, now_ms, link, *left);
                }
                Step::Leave { link } => {
                    uploader.link_left(now_ms, link);
                    granted.remove(&link);
                    sent.remove(&link);
                    queued.remove(&link);
                    oldest.remove(&link);
                    to_read.retain(|(of, _)| *of != link);
                }
                Step::Wait { ms } => {
                    now_ms += ms;
                    uploader.handle_timeout(now_ms);
                }
            }
            while let Some(output) = uploader.poll_output() {
                if let UploaderOutput::Serve { link, id, .. } = output {
                    to_read.push_back((link, id));
                }
            }
        }
    }
}

#[test]
fn what_was_probed_outweighs_the_first_arrivals_and_not_the_later_ones() {
    // A leaf in 60 ms is 2.2 Mbit/s.
    let told_bps = |probed_bps, leaves: u64| {
        let mut pace = Pace::default();
        pace.probed(probed_bps);
        pace.handed(0, leaves * LEAF_BYTES);
        for nth in 1..=leaves {
            let arrived = Arrived { bytes: LEAF_BYTES, at_ms: 60 * nth, handed_ms: 0 };
            pace.arrived(arrived, (leaves - nth) * LEAF_BYTES);
        }
        pace.bytes_per_ms().unwrap_or_default() * 8_000.0
    };
    assert!(told_bps(0, 4) > 2_100_000.0);
    let first_bps = told_bps(1_000_000, 4);
    assert!((1_000_000.0..1_250_000.0).contains(&first_bps), "{first_bps}");
    let later_bps = told_bps(1_000_000, 80);
    assert!(later_bps > 2_000_000.0, "{later_bps}");
}
