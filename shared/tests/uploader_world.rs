//! The uploader core against simple links that share one uplink, and an oracle that is told only what went in.
//!
//! The core's own tests cover single rules; these cover rates, fairness over time and random inputs.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use shared::{
    ContentId, LeafRange,
    limits::{LEAF_BYTES, MAX_QUEUED_REQUESTS},
    schedule::uploader::{LinkId, Uploader, UploaderOutput},
    units::leaf_count,
    wire::{RefuseReason, RequestId, WantedChunk},
};

const CONTENT: ContentId = ContentId([7; 32]);
const OTHER: ContentId = ContentId([8; 32]);
const SIZE: u64 = 1 << 30;
const FAIR_SLACK_BYTES: u64 = 256 << 10;

#[test]
fn a_request_is_served_once_there_is_credit_and_not_before() {
    let mut uploader = uploader(0);
    ask(&mut uploader, 1, 10, 0, 1, 100);
    assert_eq!(uploader.poll_output(), None);
    uploader.credit(0, 1, LEAF_BYTES - 1);
    assert_eq!(uploader.poll_output(), None);
    uploader.credit(0, 1, LEAF_BYTES);
    assert_eq!(served(&mut uploader), [(1, 10)]);
}

#[test]
fn a_slow_uplink_sends_one_small_chunk_at_a_time() {
    let mut world = World::new(uploader(0), 150);
    world.uploader.credit(0, 1, u64::MAX);
    world.uploader.credit(0, 2, u64::MAX);
    (0..100).for_each(|n| ask(&mut world.uploader, 1 + u64::from(n % 2), n, n, 1, 1_000));
    world.run_until(8_000);
    world.most_committed = 0;
    world.run_until(10_000);
    assert!(world.most_committed <= 2 * LEAF_BYTES, "{} bytes at once", world.most_committed);
    assert!(world.sent_bytes() > 80 * LEAF_BYTES, "{}", world.sent_bytes());
}

#[test]
fn a_fast_uplink_is_kept_full() {
    let mut world = World::new(uploader(0), 100_000);
    world.uploader.credit(0, 1, u64::MAX);
    for n in 0..400 {
        ask(&mut world.uploader, 1, n, n * 64, 64, 1_000);
    }
    world.run_until(2_000);
    assert!(world.sent_bytes() > 180 << 20, "{}", world.sent_bytes());
    assert!(world.most_committed <= (8 << 20));
}

#[test]
fn the_earliest_deadline_goes_first_over_all_links() {
    let mut uploader = uploader(0);
    for link in 1..=3 {
        uploader.credit(0, link, u64::MAX);
    }
    // Fills what may be unsent, so that the others queue.
    uploader.credit(0, 4, u64::MAX);
    ask(&mut uploader, 4, 41, 0, 64, 0);
    assert_eq!(served(&mut uploader), [(4, 41)]);
    ask(&mut uploader, 1, 11, 0, 1, 900);
    ask(&mut uploader, 1, 12, 1, 1, 300);
    ask(&mut uploader, 2, 21, 2, 1, 600);
    ask(&mut uploader, 3, 31, 3, 1, 1_500);
    assert_eq!(served(&mut uploader), []);
    assert!(uploader.read_done(0, 4, 41, None));
    uploader.drained(200, 4, 0);
    assert_eq!(served(&mut uploader), [], "the kernel took it, which says nothing");
    uploader.received(200, 4, 64 * LEAF_BYTES, 200);
    assert_eq!(served(&mut uploader), [(1, 12), (2, 21), (1, 11), (3, 31)]);
}

#[test]
fn two_greedy_links_share_alike_whatever_deadlines_they_claim() {
    let mut world = World::new(uploader(0), 1_000);
    for link in [1, 2] {
        world.uploader.credit(0, link, u64::MAX);
        for n in 0..1_000 {
            let deadline_ms = if link == 1 { i32::MIN } else { 60_000 };
            ask(&mut world.uploader, link, link as u32 * 10_000 + n, n * 2, 2, deadline_ms);
        }
    }
    world.run_until(20_000);
    let (one, two) = (world.sent[&1], world.sent[&2]);
    assert!(one.abs_diff(two) <= 2 * FAIR_SLACK_BYTES, "{one} against {two}");
    assert!(one + two > 19_000_000);
}

#[test]
fn what_gives_nothing_is_served_as_if_it_were_needed_four_seconds_later() {
    for (is_idler, expected) in [(false, [31, 11, 12, 21]), (true, [11, 12, 31, 21])] {
        let mut uploader = uploader(0);
        uploader.idlers(|link| is_idler && link == 3);
        // Nothing is granted yet, so all of it waits.
        ask(&mut uploader, 1, 11, 0, 1, 900);
        ask(&mut uploader, 1, 12, 1, 1, 3_900);
        ask(&mut uploader, 2, 21, 2, 1, 4_200);
        ask(&mut uploader, 3, 31, 3, 1, 0);
        uploader.credit(0, 4, u64::MAX);
        ask(&mut uploader, 4, 41, 0, 64, 0);
        assert_eq!(served(&mut uploader), [(4, 41)]);
        (1..=3).for_each(|link| uploader.credit(0, link, u64::MAX));
        assert!(uploader.read_done(0, 4, 41, None));
        uploader.received(200, 4, 64 * LEAF_BYTES, 200);
        assert_eq!(served(&mut uploader).into_iter().map(|(_, id)| id).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_gives_nothing_is_left_a_quarter_of_a_share() {
    let mut world = World::new(uploader(0), 1_000);
    world.uploader.idlers(|link| link == 3);
    for link in 1..=3 {
        world.uploader.credit(0, link, u64::MAX);
        for n in 0..1_000 {
            // Even where it claims that all of it is late.
            let deadline_ms = if link == 3 { i32::MIN } else { 60_000 };
            ask(&mut world.uploader, link, link as u32 * 10_000 + n, n * 2, 2, deadline_ms);
        }
    }
    world.run_until(20_000);
    let share = world.sent[&3] as f64 / world.sent_bytes() as f64;
    assert!((0.08..0.14).contains(&share), "{share:.3} of an uplink that two who give want whole");
    // Once they want no more, it has all there is.
    world.uploader.closed(20_000, 1, CONTENT);
    world.uploader.closed(20_000, 2, CONTENT);
    let before = world.sent[&3];
    world.run_until(25_000);
    assert!(world.sent[&3] - before > 4_500_000, "{}", world.sent[&3] - before);
}

#[test]
fn a_link_that_receives_nothing_costs_the_others_nothing() {
    let mut world = World::new(uploader(0), 10_000);
    world.jammed.insert(1);
    for link in [1, 2] {
        world.uploader.credit(0, link, u64::MAX);
        (0..900).for_each(|n| ask(&mut world.uploader, link, link as u32 * 10_000 + n, n * 8, 8, 0));
    }
    world.run_until(5_000);
    assert!(world.sent[&2] > 40_000_000, "{}", world.sent[&2]);
    assert!(!world.sent.contains_key(&1));
}

#[test]
fn nothing_flushed_cancelled_or_closed_is_served() {
    let mut uploader = uploader(0);
    ask(&mut uploader, 1, 1, 0, 1, 0);
    ask(&mut uploader, 1, 2, 1, 1, 0);
    ask_content(&mut uploader, 1, OTHER, 5, (3, 0, 1, 0));
    ask_content(&mut uploader, 2, OTHER, 5, (4, 0, 1, 0));
    uploader.cancel(0, 1, &[2, 99], true);
    uploader.flush(0, 1, CONTENT, 1);
    uploader.closed(0, 2, OTHER);
    // A request that crosses its own flush is void too.
    ask(&mut uploader, 1, 5, 4, 1, 0);
    ask_content(&mut uploader, 1, CONTENT, 1, (6, 6, 1, 0));
    uploader.credit(0, 1, u64::MAX);
    uploader.credit(0, 2, u64::MAX);
    assert_eq!(served(&mut uploader), [(1, 3), (1, 6)]);
}

#[test]
fn what_became_void_while_it_was_read_is_not_sent_and_its_credit_comes_back() {
    let mut uploader = uploader(0);
    uploader.credit(0, 1, LEAF_BYTES);
    ask(&mut uploader, 1, 1, 0, 1, 0);
    assert_eq!(served(&mut uploader), [(1, 1)]);
    uploader.flush(0, 1, CONTENT, 1);
    assert!(!uploader.read_done(0, 1, 1, None));
    ask_content(&mut uploader, 1, CONTENT, 1, (2, 1, 1, 0));
    assert_eq!(served(&mut uploader), [(1, 2)]);
    assert!(uploader.read_done(0, 1, 2, None));
    assert!(!uploader.read_done(0, 1, 2, None), "handed over twice");
}

#[test]
fn a_queue_is_bounded_and_what_is_no_chunk_is_refused() {
    let mut uploader = uploader(0);
    for n in 0..MAX_QUEUED_REQUESTS as u32 + 1 {
        ask(&mut uploader, 1, n, n, 1, 0);
    }
    ask(&mut uploader, 2, 8, u32::MAX >> 1, 1, 0);
    let refused: Vec<(LinkId, RequestId, RefuseReason)> = std::iter::from_fn(|| uploader.poll_output())
        .filter_map(|output| match output {
            UploaderOutput::Refuse { link, id, reason, .. } => Some((link, id, reason)),
            UploaderOutput::Serve { .. }
            | UploaderOutput::Assigned { .. }
            | UploaderOutput::NoFresh { .. } => None,
        })
        .collect();
    assert!(matches!(refused[0], (1, id, RefuseReason::Busy(_)) if id == MAX_QUEUED_REQUESTS as u32));
    assert_eq!(refused[1..], [(2, 8, RefuseReason::NotAChunk)]);
}

#[test]
fn the_upload_limit_is_kept_and_the_wait_for_it_is_announced() {
    let mut world = World::new(uploader(8_000_000), 100_000);
    world.uploader.credit(0, 1, u64::MAX);
    (0..900).for_each(|n| ask(&mut world.uploader, 1, n, n * 4, 4, 0));
    world.run_until(10_000);
    assert!((9_500_000..10_500_000).contains(&world.sent_bytes()), "{}", world.sent_bytes());
    assert!(world.uploader.poll_timeout(world.now_ms).is_some());
}

proptest! {
    #[test]
    fn any_inputs_keep_the_invariants(steps in prop::collection::vec(any_step(), 1..300), limited: bool) {
        let mut uploader = uploader(if limited { 1_000_000 } else { 0 });
        let mut oracle = Oracle::default();
        let mut now_ms = 0;
        for step in steps {
            now_ms += 7;
            oracle.apply(&mut uploader, now_ms, step);
            while let Some(output) = uploader.poll_output() {
                oracle.check(output)?;
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn every_live_request_is_served_in_the_end(
        requests in prop::collection::vec((1u64..5, 0u32..1_000, 0u32..4, any::<i32>()), 1..200),
        bytes_per_ms in 20u64..50_000,
        idlers in prop::collection::btree_set(1u64..5, 0..5),
    ) {
        let mut world = World::new(uploader(0), bytes_per_ms);
        world.uploader.idlers(|link| idlers.contains(&link));
        let mut expected = 0;
        for (id, (link, at, log, deadline_ms)) in requests.into_iter().enumerate() {
            world.uploader.credit(0, link, u64::MAX);
            ask(&mut world.uploader, link, id as u32, at << log, 1 << log, deadline_ms);
            expected += LEAF_BYTES << log;
        }
        world.run_until(expected / bytes_per_ms + 20_000);
        prop_assert_eq!(world.sent_bytes(), expected);
    }
}

/// One uplink shared by all links, which take what they are given at its rate.
struct World {
    uploader: Uploader,
    bytes_per_ms: u64,
    now_ms: u64,
    /// What of each chunk is still to be sent, and how much it is: viewers tell by the chunk.
    pipe: Vec<(LinkId, u64, u64)>,
    told: BTreeMap<LinkId, u64>,
    sent: BTreeMap<LinkId, u64>,
    jammed: BTreeSet<LinkId>,
    most_committed: u64,
}

impl World {
    fn new(uploader: Uploader, bytes_per_ms: u64) -> Self {
        let (pipe, told, sent, jammed) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { uploader, bytes_per_ms, now_ms: 0, pipe, told, sent, jammed, most_committed: 0 }
    }

    fn run_until(&mut self, end_ms: u64) {
        while self.now_ms < end_ms {
            while let Some(output) = self.uploader.poll_output() {
                let UploaderOutput::Serve { link, id, leaves, .. } = output else { continue };
                assert!(self.uploader.read_done(self.now_ms, link, id, None));
                if !self.jammed.contains(&link) {
                    let bytes = leaves.len_bytes(SIZE);
                    self.pipe.push((link, bytes, bytes));
                }
            }
            self.most_committed = self.most_committed.max(self.pipe.iter().map(|(_, left, _)| left).sum());
            self.now_ms += 1;
            self.drain();
            self.uploader.handle_timeout(self.now_ms);
        }
    }

    fn drain(&mut self) {
        let mut can = self.bytes_per_ms;
        while can > 0 && !self.pipe.is_empty() {
            let (link, left, bytes) = &mut self.pipe[0];
            let (link, taken) = (*link, can.min(*left));
            *left -= taken;
            let told = self.told.entry(link).or_default();
            *told += if *left == 0 { *bytes } else { 0 };
            let told = *told;
            can -= taken;
            *self.sent.entry(link).or_default() += taken;
            self.pipe.retain(|(_, left, _)| *left > 0);
            let left = self.pipe.iter().filter(|(other, ..)| *other == link).map(|(_, left, _)| left).sum();
            self.uploader.drained(self.now_ms, link, left);
            self.uploader.received(self.now_ms, link, told, self.now_ms as u32);
        }
    }

    fn sent_bytes(&self) -> u64 {
        self.sent.values().sum()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Ask { link: LinkId, other: bool, epoch: u32, id: u32, at: u32, log: u32, deadline_ms: i32 },
    Cancel { link: LinkId, id: u32 },
    Flush { link: LinkId, epoch: u32 },
    Credit { link: LinkId, more: u64 },
    HandOver { link: LinkId, id: u32 },
    Failed { link: LinkId, id: u32 },
    Drained { link: LinkId, left: u64 },
    Received { link: LinkId, more: u64 },
    Closed { link: LinkId },
}

fn any_step() -> impl Strategy<Value = Step> {
    let link = 1u64..4;
    let id = 0u32..40;
    prop_oneof![
        4 => (link.clone(), any::<bool>(), 0u32..4, id.clone(), 0u32..70_000, 0u32..8, any::<i32>()).prop_map(
            |(link, other, epoch, id, at, log, deadline_ms)| Step::Ask { link, other, epoch, id, at: at << log, log, deadline_ms }
        ),
        1 => (link.clone(), id.clone()).prop_map(|(link, id)| Step::Cancel { link, id }),
        1 => (link.clone(), 0u32..4).prop_map(|(link, epoch)| Step::Flush { link, epoch }),
        3 => (link.clone(), 0u64..500_000).prop_map(|(link, more)| Step::Credit { link, more }),
        4 => (link.clone(), id.clone()).prop_map(|(link, id)| Step::HandOver { link, id }),
        1 => (link.clone(), id).prop_map(|(link, id)| Step::Failed { link, id }),
        3 => (link.clone(), 0u64..200_000).prop_map(|(link, left)| Step::Drained { link, left }),
        3 => (link.clone(), 0u64..200_000).prop_map(|(link, more)| Step::Received { link, more }),
        1 => link.prop_map(|link| Step::Closed { link }),
    ]
}

/// What may be served, told only by what went in.
#[derive(Default)]
struct Oracle {
    links: BTreeMap<LinkId, OracleLink>,
}

#[derive(Default)]
struct OracleLink {
    granted: u64,
    handed: u64,
    received: u64,
    floor: u32,
    live: BTreeMap<RequestId, (ContentId, u32, u64)>,
    reading: BTreeMap<RequestId, (u64, bool, ContentId, u32)>,
}

impl Oracle {
    fn apply(&mut self, uploader: &mut Uploader, now_ms: u64, step: Step) {
        match step {
            Step::Ask { link, other, epoch, id, at, log, deadline_ms } => {
                let content_id = if other { OTHER } else { CONTENT };
                let leaves = LeafRange::new(at, 1 << log);
                let chunk = WantedChunk::new(id, leaves, deadline_ms);
                let known = self.links.entry(link).or_default();
                let is_new = !known.live.contains_key(&id) && !known.reading.contains_key(&id);
                if is_new
                    && leaves.end() <= leaf_count(SIZE)
                    && leaves.count <= 64
                    && (other || epoch >= known.floor)
                {
                    known.live.insert(id, (content_id, epoch, leaves.len_bytes(SIZE)));
                }
                uploader.request(now_ms, link, content_id, SIZE, epoch, false, &[chunk]);
            }
            Step::Cancel { link, id } => {
                let known = self.links.entry(link).or_default();
                known.live.remove(&id);
                known.reading.entry(id).and_modify(|reading| reading.1 = true);
                uploader.cancel(now_ms, link, &[id], id % 2 == 0);
            }
            Step::Flush { link, epoch } => {
                let known = self.links.entry(link).or_default();
                known.floor = known.floor.max(epoch);
                let floor = known.floor;
                known.live.retain(|_, (content, epoch, _)| *content != CONTENT || *epoch >= floor);
                known
                    .reading
                    .values_mut()
                    .for_each(|reading| reading.1 |= reading.2 == CONTENT && reading.3 < floor);
                uploader.flush(now_ms, link, CONTENT, epoch);
            }
            Step::Credit { link, more } => {
                let known = self.links.entry(link).or_default();
                known.granted += more;
                uploader.credit(now_ms, link, known.granted);
            }
            Step::HandOver { link, id } => {
                let known = self.links.entry(link).or_default();
                let expected = known.reading.remove(&id);
                let handed = uploader.read_done(now_ms, link, id, None);
                assert_eq!(handed, expected.is_some_and(|(_, void, ..)| !void));
                known.handed += expected.filter(|_| handed).map_or(0, |(bytes, ..)| bytes);
                assert!(known.handed <= known.granted);
            }
            Step::Failed { link, id } => {
                self.links.entry(link).or_default().reading.remove(&id);
                assert!(!uploader.read_done(now_ms, link, id, Some(RefuseReason::Unreadable)));
            }
            Step::Drained { link, left } => uploader.drained(now_ms, link, left),
            Step::Received { link, more } => {
                let known = self.links.entry(link).or_default();
                known.received += more;
                uploader.received(now_ms, link, known.received, now_ms as u32);
            }
            Step::Closed { link } => {
                self.links.remove(&link);
                uploader.link_left(now_ms, link);
                uploader.link_joined(link);
            }
        }
    }

    fn check(&mut self, output: UploaderOutput) -> Result<(), TestCaseError> {
        let UploaderOutput::Serve { link, id, content_id, leaves, .. } = output else { return Ok(()) };
        let known = self.links.entry(link).or_default();
        let live = known.live.remove(&id);
        prop_assert!(live.is_some(), "request {} was not live", id);
        let (content, epoch, bytes) = live.unwrap_or((content_id, 0, 0));
        prop_assert_eq!((content, bytes), (content_id, leaves.len_bytes(SIZE)));
        known.reading.insert(id, (bytes, false, content, epoch));
        let committed: u64 = known.reading.values().map(|reading| reading.0).sum();
        prop_assert!(known.handed + committed <= known.granted, "beyond the credit");
        Ok(())
    }
}

fn ask(uploader: &mut Uploader, link: LinkId, id: u32, first: u32, count: u32, deadline_ms: i32) {
    ask_content(uploader, link, CONTENT, 0, (id, first, count, deadline_ms));
}

fn ask_content(
    uploader: &mut Uploader,
    link: LinkId,
    content_id: ContentId,
    epoch: u32,
    (id, first, count, deadline_ms): (u32, u32, u32, i32),
) {
    let chunk = WantedChunk::new(id, LeafRange::new(first, count), deadline_ms);
    uploader.request(0, link, content_id, SIZE, epoch, false, &[chunk]);
}

fn served(uploader: &mut Uploader) -> Vec<(LinkId, RequestId)> {
    std::iter::from_fn(|| uploader.poll_output())
        .filter_map(|output| match output {
            UploaderOutput::Serve { link, id, .. } => Some((link, id)),
            UploaderOutput::Refuse { .. }
            | UploaderOutput::Assigned { .. }
            | UploaderOutput::NoFresh { .. } => None,
        })
        .collect()
}

fn uploader(limit_bps: u64) -> Uploader {
    let mut uploader = Uploader::new(limit_bps);
    (1..=4).for_each(|link| uploader.link_joined(link));
    uploader
}
