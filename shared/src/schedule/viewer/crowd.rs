//! A crowd near its limit: who is asked where the origin could not feed everybody.
//!
//! What peers hold is asked of peers, of whoever has it soonest, with so much media out at once and no more. The origin is asked by name
//! for little: what is needed at once and nobody has, and, while there is time, what peers would be slow to bring.

use super::{
    SourceId, Viewer,
    plan::{MAX_REQUESTS_OUT, NEAR_MS, PEER_WAIT_MS, Round},
    reader::Reader,
    source::Source,
};
use crate::{
    limits::{LEAF_BYTES, MAX_CHUNK_LEAVES},
    schedule::{LARGE_SWARM, announcer::TICK_MS},
    units::{LeafIndex, LeafRange},
};

/// An origin that delivers this many times the media's rate has supply to spare.
const SPARE_FACTOR: f64 = 4.0;
/// In a crowd, what a viewer needs to begin is due so long after it opened or jumped, all of it at once, for nobody begins with a part of
/// it. The more viewers share what uplinks there are, and the more hands a chunk passes through, the later: each adds something, and beyond a few
/// more, or the first of two dozen, of whom most are yet to come, take what the others need to go on.
const START_DUE_MS: u64 = 1_000;
const START_DUE_EACH_MS: u64 = 70;
const START_FEW: u64 = 8;
const START_DUE_EACH_MORE_MS: u64 = 120;
const START_DUE_LONGEST_MS: u64 = 4_000;
/// After this many times that, an origin is asked by name for what no peer has.
const OVERDUE_FACTOR: u64 = 2;
/// In a swarm that is to carry most of what it can, later still: with four seconds, 1,000 viewers at 0.8 of their limit stalled 5 %, with twelve
/// 1 %. Of what the tracker thinks it can carry, from this part on, and from that part on as late as this.
const START_LOADS: (f64, f64) = (0.7, 0.9);
const LOADED_START_DUE_MS: u64 = 12_000;
/// When it is asked for it is not due sooner than this share of that: who is about to run dry goes first, since a start that takes longer is a
/// lesser evil than a stall.
const START_LEAST: (u64, u64) = (3, 5);
/// Neighbours are told within this of what none of them has; later where each has many, who ask somebody else meanwhile.
const ANNOUNCE_MS: u64 = TICK_MS;
const LARGE_ANNOUNCE_MS: u64 = 150;
/// Media in one chunk.
const CHUNK_MS: u64 = 100;
/// Requests that may be out at a peer that has delivered nothing yet: whoever is linked first would be asked for all that a start needs,
/// though others are linked a moment later.
const MAX_UNPROVEN_OUT: usize = 6;
/// A peer of a crowd that at its quickest is so many times slower than the media is slow.
const SLOW_PEER_FACTOR: f64 = 2.0;
/// Requests by name that may be out at an origin that is to be spared: ordinarily, and while a viewer starts.
pub(super) const DIRECT: usize = 2;
const DIRECT_STARTING: usize = 4;
/// What no peer has is asked of such an origin when it is needed within this; within that if those that have it do not serve.
const DIRECT_SLACK_MS: i64 = 700;
const DIRECT_HELD_SLACK_MS: i64 = 2_000;
/// What it has left over is for whoever plays and needs something within this, of peers that would take more than this part of the time there
/// is. Asked earlier it repeats what peers would have brought as well.
const LEFT_OVER_SLACK_MS: i64 = 5_000;
const LATE_PART: f64 = 0.4;
/// Whose uplink carries this part of the media's rate gives nearly as much as it takes.
const GIVEN_PART: f64 = 0.95;

/// There is a crowd near its limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scarcity {
    /// The seed that is to be spared, an origin if there is one.
    pub(super) spared: Option<SourceId>,
}

impl Scarcity {
    /// Whether `source` is the seed that is to be spared.
    pub(super) fn spares(&self, source: SourceId) -> bool {
        self.spared == Some(source)
    }
}

/// What a reader needs to begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// Everything before this media time.
    pub(super) until_ms: u64,
    /// Within so long.
    pub(super) slack_ms: i64,
}

impl Start {
    /// How long until media at `media_ms` is needed, if that is a part of it: nobody begins without any.
    pub(super) fn slack_at(self, media_ms: u64) -> Option<i64> {
        (media_ms < self.until_ms).then_some(self.slack_ms)
    }
}

impl Viewer {
    /// Whether other viewers are about, who would ask the origin for the same.
    pub(super) fn is_crowd(&self) -> bool {
        self.sources.values().any(|source| !source.traits.is_origin && !source.have.is_full())
    }

    /// Whether there is a crowd, and seeds have not shown that they could feed everybody. Of several peers that share the file each viewer
    /// spares its own; the others are peers to it that happen to have everything. In a large swarm most viewers know no seed.
    pub(super) fn scarcity(&self) -> Option<Scarcity> {
        if !self.config.tokens || !self.is_crowd() {
            return None;
        }
        let media = self.timeline.bytes_in(1_000) as f64 / 1_000.0;
        let seeds = || {
            let seeds = self.overview.seeds().filter_map(|id| Some((id, self.sources.get(&id)?)));
            seeds.filter(|(_, source)| !source.is_idler())
        };
        let seeded: f64 = seeds().filter_map(|(_, source)| source.measured_bytes_per_ms()).sum();
        if seeded >= SPARE_FACTOR * media {
            return None;
        }
        let spared = seeds().min_by_key(|(id, source)| (!source.traits.is_origin, self.hash(*id)));
        let spared = spared.map(|(id, _)| id);
        (spared.is_some() || self.is_large_swarm()).then_some(Scarcity { spared })
    }

    /// The seed that is to be spared, if supply is scarce and one is known.
    pub(super) fn scarce_origin(&self) -> Option<SourceId> {
        self.scarcity()?.spared
    }

    /// Whether the swarm is too large for an origin to send each of it second copies, and for everybody to be a neighbour of everybody.
    pub(super) fn is_large_swarm(&self) -> bool {
        self.swarm_size() > LARGE_SWARM
    }

    fn swarm_size(&self) -> usize {
        self.sources.len().max(self.swarm.viewers as usize)
    }

    fn longest_start_due_ms(&self) -> u64 {
        let rate_bps = self.timeline.bytes_in(1_000) as f64 * 8.0;
        let load = rate_bps / self.swarm.sustainable_bps as f64;
        if !load.is_finite() {
            return START_DUE_LONGEST_MS;
        }
        let (least, most) = START_LOADS;
        let part = ((load - least) / (most - least)).clamp(0.0, 1.0);
        START_DUE_LONGEST_MS + (part * (LOADED_START_DUE_MS - START_DUE_LONGEST_MS) as f64) as u64
    }

    fn start_due_ms(&self) -> u64 {
        let viewers = self.swarm_size() as u64;
        let few = viewers.min(START_FEW);
        let due_ms = START_DUE_MS + START_DUE_EACH_MS * few + START_DUE_EACH_MORE_MS * (viewers - few);
        due_ms.min(self.longest_start_due_ms())
    }

    /// Whether a reader should have begun long ago: what others were to give is not coming.
    fn is_start_overdue(&self) -> bool {
        let mut starting = self.readers.values().filter(|reader| self.has_yet_to_begin(reader));
        starting.any(|reader| self.now_ms >= reader.began_at_ms() + OVERDUE_FACTOR * self.start_due_ms())
    }

    /// What a reader in a crowd needs to begin, if it has yet to: all before that media time, within so long.
    pub(super) fn start_of(&self, reader: &Reader) -> Option<Start> {
        if !self.has_yet_to_begin(reader) || !self.is_crowd() {
            return None;
        }
        let due_ms = self.start_due_ms();
        let left_ms = due_ms.saturating_sub(self.now_ms.saturating_sub(reader.began_at_ms()));
        let least_ms = due_ms * START_LEAST.0 / START_LEAST.1;
        Some(Start { until_ms: reader.begins_by_ms(), slack_ms: left_ms.max(least_ms) as i64 })
    }

    /// Whether a source is neither the seed that is to be spared nor another origin.
    pub(super) fn is_peer(&self, spared: Option<SourceId>, id: SourceId, source: &Source) -> bool {
        spared != Some(id) && !source.traits.is_origin
    }

    /// How long a peer of a crowd takes to deliver one more chunk: what it says it has queued, and what it was asked since. Rates measured
    /// per link say little where every uplink is shared by all; near the limit it carries about the media's rate, unless the plan knows better
    /// or it was slow even at its quickest.
    pub(super) fn crowd_wait_ms(&self, source: &Source) -> f64 {
        let usual = self.timeline.bytes_in(1_000) as f64 / 1_000.0;
        let chunk_bytes = u64::from(self.crowd_leaves()) * LEAF_BYTES;
        // What is a little slower may have been kept waiting each time.
        let quickest =
            source.quickest_bytes_per_ms(chunk_bytes).filter(|rate| SLOW_PEER_FACTOR * rate < usual);
        let rate = quickest.or_else(|| source.hint_bytes_per_ms()).unwrap_or(usual).max(1.0);
        let asked_bytes = source.outstanding_bytes + chunk_bytes;
        let queue_ms = source.aged_backlog_ms(self.now_ms) as f64 + asked_bytes as f64 / rate;
        source.rtt_ms() + queue_ms + source.suspicious_ms(self.now_ms) as f64
    }

    /// Requests out at an origin that were asked by name.
    pub(super) fn direct_requests(&self, origin: SourceId) -> usize {
        let outstanding = self.sources.get(&origin).map_or(0, Source::outstanding);
        outstanding.saturating_sub(self.tokens.coming())
    }

    /// Where the origin is to be spared: of peers whoever has it soonest; of the origin what is needed at once, and little of it.
    pub(super) fn choose_sparing(
        &self,
        scarcity: Scarcity,
        leaf: LeafIndex,
        slack_ms: i64,
        round: &Round,
    ) -> Option<(f64, SourceId)> {
        let deadline_ms = self.now_ms.saturating_add_signed(slack_ms);
        let arrival = |source: &Source| {
            source.arrival_ms(self.now_ms, LEAF_BYTES, deadline_ms, round.known.usual(self))
        };
        let most_out = |source: &Source| if source.is_proven() { MAX_REQUESTS_OUT } else { MAX_UNPROVEN_OUT };
        let may_give = |source: &Source| source.have.has(leaf) && source.outstanding() < most_out(source);
        let soonest = || round.known.soonest(self, scarcity).find(|(.., source)| may_give(source));
        let may_be_had = self.overview.may_be_had(leaf, scarcity.spared);
        let best = if may_be_had { soonest().map(|(ms, id, _)| (ms, id)) } else { None };
        let starting = self.is_starting();
        let (direct, few) = (round.direct, if starting { DIRECT_STARTING } else { DIRECT });
        let by_origin = |most: usize| {
            let origin = scarcity.spared?;
            let source = self.sources.get(&origin).filter(|source| source.is_usable(self.now_ms))?;
            (direct < most).then(|| (arrival(source), origin))
        };
        // What an origin sends twice is what it has left over: it is asked while there is time to think again. Where viewers give nearly as much as
        // they take that is much, and they ask it also for what peers would bring too late.
        let is_slow = |ms: f64| {
            let (within_ms, part) =
                if starting { (NEAR_MS as i64, 0.0) } else { (LEFT_OVER_SLACK_MS, LATE_PART) };
            slack_ms < within_ms && ms > PEER_WAIT_MS.max(part * slack_ms as f64)
        };
        let gives = self.uplink_exceeds(GIVEN_PART * self.timeline.bytes_in(1_000) as f64 / 1_000.0);
        let has_time = |ms: f64| starting || gives || slack_ms as f64 > ms + PEER_WAIT_MS;
        // In a large swarm it has nothing left over, and whoever waited for that would wait for ever.
        let has_left_over = !self.is_large_swarm();
        match best {
            Some((ms, _)) if has_left_over && is_slow(ms) && has_time(ms) && direct < few => by_origin(few),
            Some(best) => (round.room_bytes > 0).then_some(best),
            None if slack_ms < DIRECT_SLACK_MS || self.is_start_overdue() => by_origin(DIRECT + 2),
            None if has_left_over
                && slack_ms < DIRECT_HELD_SLACK_MS
                && self.sources.iter().any(|(id, source)| !scarcity.spares(*id) && source.have.has(leaf)) =>
            {
                by_origin(DIRECT + 2)
            }
            None => None,
        }
    }

    /// Sources that hold all of `leaves` and are viewers themselves.
    pub fn viewers_with(&self, leaves: LeafRange) -> impl Iterator<Item = SourceId> {
        let viewers = self.sources.iter().filter(|(_, source)| !source.is_seed);
        viewers.filter(move |(_, source)| source.have.contains(leaves)).map(|(id, _)| *id)
    }

    /// Seeds, where this node is known to be the only viewer: what it gains is of no use to anybody yet.
    pub fn idle_seeds(&self) -> impl Iterator<Item = SourceId> {
        let seeds = self.sources.iter().filter(|(_, source)| self.swarm.viewers == 1 && source.is_seed);
        seeds.map(|(id, _)| *id)
    }

    /// How long what was gained may gather before neighbours are told.
    pub fn announces_within_ms(&self) -> u64 {
        if self.is_large_swarm() { LARGE_ANNOUNCE_MS } else { ANNOUNCE_MS }
    }

    pub(super) fn bytes_at_peers(&self, spared: Option<SourceId>) -> u64 {
        let peers = self.sources.iter().filter(|(id, source)| self.is_peer(spared, **id, source));
        peers.map(|(_, source)| source.outstanding_bytes).sum()
    }

    /// How many leaves a chunk has that passes through a crowd: the same for all its viewers, so that what one got another can ask for,
    /// and small, so that it is passed on soon. Near the limit an uplink carries about the media's rate.
    pub(super) fn crowd_leaves(&self) -> u32 {
        let leaves = (self.timeline.bytes_in(CHUNK_MS) / LEAF_BYTES) as u32;
        1 << leaves.clamp(1, MAX_CHUNK_LEAVES).ilog2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        LeafSet,
        schedule::{
            RequestIds,
            viewer::{ChunkRequest, SourceTraits, Swarm, ViewerConfig, ViewerOutput},
        },
        units::leaf_count,
        wire::PathKind,
    };

    const SIZE_BYTES: u64 = 20 << 20;

    #[test]
    fn a_crowd_without_a_seed_is_scarce_where_it_is_large() {
        let mut viewer = crowd(LARGE_SWARM);
        assert!(viewer.scarcity().is_none());
        join(&mut viewer, 100, false);
        assert!(viewer.scarcity().is_some_and(|scarcity| scarcity.spared.is_none()));
        join(&mut viewer, 101, true);
        assert!(viewer.scarcity().is_some_and(|scarcity| scarcity.spares(101)));
    }

    #[test]
    fn who_turns_out_to_lack_something_is_no_seed() {
        let mut viewer = crowd(2);
        // The plan says so before the link is up.
        join(&mut viewer, 100, true);
        assert_eq!(viewer.overview.seeds().collect::<Vec<_>>(), [100]);
        viewer.have(0, 100, true, false, &[LeafRange::new(0, 4)], 0);
        assert_eq!(viewer.overview.seeds().count(), 0);
        assert!(viewer.overview.may_be_had(3, None) && !viewer.overview.may_be_had(4, None));
    }

    #[test]
    fn a_swarm_is_large_by_its_viewers_or_by_what_is_seen_of_them() {
        let mut viewer = crowd(2);
        assert!(!viewer.is_large_swarm());
        viewer.told_of_swarm(0, Swarm { viewers: LARGE_SWARM as u32 + 1, ..Swarm::default() });
        assert!(viewer.is_large_swarm());
        viewer.told_of_swarm(0, Swarm::default());
        assert!(!viewer.is_large_swarm() && crowd(LARGE_SWARM + 1).is_large_swarm());
    }

    #[test]
    fn in_a_large_swarm_what_peers_have_is_asked_of_peers_however_busy_they_are() {
        let mut viewer = crowd(LARGE_SWARM);
        join(&mut viewer, 101, true);
        let busy_ms = 5_000;
        for peer in 0..LARGE_SWARM as SourceId {
            viewer.have(0, peer, true, false, &[LeafRange::new(0, 16)], busy_ms);
        }
        viewer.reader_moved(0, 1, 0, true);
        viewer.handle_timeout(0);
        let asked = asked(&mut viewer);
        assert!(asked.iter().any(|(_, chunk)| chunk.leaves.first == 0), "{asked:?}");
        assert!(asked.iter().all(|(source, chunk)| *source != 101 || chunk.leaves.first >= 16), "{asked:?}");
    }

    #[test]
    fn an_origin_is_asked_by_name_for_a_start_only_once_that_is_overdue() {
        let mut viewer = crowd(2);
        join(&mut viewer, 101, true);
        viewer.stored(0, LeafRange::new(0, 4));
        viewer.reader_moved(0, 1, 4 * LEAF_BYTES, true);
        let due_ms = OVERDUE_FACTOR * viewer.start_due_ms();
        let first_ms = (0..2 * due_ms).step_by(50).find(|now_ms| {
            viewer.handle_timeout(*now_ms);
            asked(&mut viewer).into_iter().any(|(source, _)| source == 101)
        });
        assert_eq!(first_ms, Some(due_ms.next_multiple_of(50)));
    }

    #[test]
    fn in_a_large_swarm_an_origin_is_left_for_a_peer_however_busy_and_in_a_small_one_for_a_quick_one() {
        assert_eq!(left_for_a_busy_peer(LARGE_SWARM), [true, true]);
        assert_eq!(left_for_a_busy_peer(2), [false, true]);
    }

    /// Whether what was asked of the origin by name is taken back once a busy peer has it, and once a peer has it that is not busy.
    fn left_for_a_busy_peer(neighbours: usize) -> [bool; 2] {
        [5_000, 0].map(|busy_ms| {
            let mut viewer = crowd(neighbours);
            join(&mut viewer, 101, true);
            viewer.stored(0, LeafRange::new(0, 4));
            viewer.reader_moved(0, 1, 4 * LEAF_BYTES, true);
            let asked = (0..100).find_map(|tenth| {
                viewer.handle_timeout(100 * tenth);
                while viewer.poll_output().is_some() {}
                let mut out = viewer.in_flight();
                out.find(|(_, source, _)| *source == 101).map(|(.., leaves)| (100 * tenth, leaves))
            });
            let (now_ms, leaves) = asked.unwrap();
            viewer.have(now_ms, 0, false, false, &[leaves], busy_ms);
            (1..10).any(|tenth| leaves_the_origin(&mut viewer, now_ms + 100 * tenth))
        })
    }

    #[test]
    fn an_origin_repeats_what_is_needed_soon_and_peers_would_take_much_of_the_time_for() {
        for (played_leaves, busy_ms, expected) in [(32, 1_200, 0), (32, 1_700, 101), (44, 3_000, 0)] {
            let mut viewer = playing(played_leaves, busy_ms);
            assert_eq!(asked(&mut viewer).first().map(|(source, _)| *source), Some(expected), "{busy_ms} ms");
        }
    }

    #[test]
    fn what_peers_would_bring_too_late_is_asked_of_an_origin_by_who_gives_as_much_as_it_takes() {
        for (uplink_bps, expected) in [(0, 0), (900_000, 0), (990_000, 101)] {
            let mut viewer = crowd(2);
            viewer.uplink(0, uplink_bps, 0);
            let viewer = &mut played(viewer, 32, 9_000);
            assert_eq!(
                asked(viewer).first().map(|(source, _)| *source),
                Some(expected),
                "{uplink_bps} bit/s"
            );
        }
    }

    #[test]
    fn what_waits_at_an_origin_goes_to_a_peer_that_takes_little_of_the_time() {
        for (busy_ms, expected) in [(400, true), (1_050, false)] {
            let mut viewer = playing(32, 1_700);
            assert!(asked(&mut viewer).iter().any(|(source, _)| *source == 101));
            let is_left = (4..9).any(|tenth| {
                viewer.have(100 * tenth, 1, false, false, &[LeafRange::new(32, 1)], busy_ms);
                leaves_the_origin(&mut viewer, 100 * tenth)
            });
            assert_eq!(is_left, expected, "{busy_ms} ms");
        }
    }

    #[test]
    fn what_still_waits_at_an_origin_when_it_is_nearly_due_goes_to_a_peer_however_busy() {
        let mut viewer = playing(20, 1_300);
        assert!(asked(&mut viewer).iter().any(|(source, _)| *source == 101));
        let due_ms = 300 + viewer.timeline.ms_at(20 * LEAF_BYTES);
        let left_ms = (4..).map(|tenth| 100 * tenth).find(|now_ms| {
            viewer.have(*now_ms, 0, false, false, &[LeafRange::new(20, 1)], 5_000);
            leaves_the_origin(&mut viewer, *now_ms) || *now_ms > due_ms
        });
        assert!((due_ms - 800..due_ms - 600).contains(&left_ms.unwrap()), "{left_ms:?} of {due_ms}");
    }

    /// Whether it asks the origin now to give something up.
    fn leaves_the_origin(viewer: &mut Viewer, now_ms: u64) -> bool {
        viewer.handle_timeout(now_ms);
        let mut outputs = std::iter::from_fn(|| viewer.poll_output());
        outputs.any(|output| matches!(output, ViewerOutput::Cancel { source: 101, confirm: true, .. }))
    }

    /// A viewer that has read so many leaves and begins to play them, and a peer that has the next and is so busy.
    fn playing(leaves: u32, busy_ms: u32) -> Viewer {
        played(crowd(2), leaves, busy_ms)
    }

    fn played(mut viewer: Viewer, leaves: u32, busy_ms: u32) -> Viewer {
        viewer.hints(0, vec![(0, 1)], Vec::new());
        join(&mut viewer, 101, true);
        viewer.stored(0, LeafRange::new(0, leaves));
        viewer.have(300, 0, false, false, &[LeafRange::new(leaves, 1)], busy_ms);
        for leaf in 0..=leaves {
            viewer.reader_moved(300, 1, u64::from(leaf) * LEAF_BYTES, leaf == leaves);
        }
        viewer.handle_timeout(300);
        viewer
    }

    #[test]
    fn a_peer_that_was_slow_at_its_quickest_is_taken_to_be_so_again() {
        let mut viewer = crowd(2);
        let chunk_bytes = u64::from(viewer.crowd_leaves()) * LEAF_BYTES;
        let mut waits_ms = Vec::new();
        for _ in 0..7 {
            waits_ms.push([0, 1].map(|id| viewer.crowd_wait_ms(viewer.sources.get(&id).unwrap())));
            for (id, took_ms) in [(0, 601), (1, 201)] {
                let source = viewer.sources.get_mut(&id).unwrap();
                source.answered_after(took_ms);
                source.received_bytes += chunk_bytes;
            }
        }
        // A chunk of this media takes 131 ms of a link that carries it.
        assert!(waits_ms[..6].iter().flatten().all(|ms| (130.0..140.0).contains(ms)), "{waits_ms:?}");
        assert!((600.0..602.0).contains(&waits_ms[6][0]) && waits_ms[6][1] == waits_ms[0][1], "{waits_ms:?}");
    }

    #[test]
    fn a_peer_that_has_delivered_nothing_is_not_asked_for_everything() {
        let mut viewer = crowd(1);
        join(&mut viewer, 101, true);
        viewer.have(0, 0, false, false, &[LeafRange::new(0, 14)], 0);
        viewer.reader_moved(0, 1, 0, true);
        let asked_of_it = |viewer: &mut Viewer| {
            asked(viewer).into_iter().filter(|(source, _)| *source == 0).map(|(_, chunk)| chunk).collect()
        };
        let first: Vec<ChunkRequest> = asked_of_it(&mut viewer);
        assert_eq!(first.len(), MAX_UNPROVEN_OUT);
        viewer.data_arrived(100, 0, first[0].id, first[0].leaves, LEAF_BYTES);
        viewer.verified(100, 0, first[0].leaves);
        viewer.handle_timeout(100);
        assert!(asked_of_it(&mut viewer).len() > 1);
    }

    /// What is asked now, of whom.
    fn asked(viewer: &mut Viewer) -> Vec<(SourceId, ChunkRequest)> {
        let mut asked = Vec::new();
        while let Some(output) = viewer.poll_output() {
            if let ViewerOutput::Request { source, chunks, .. } = output {
                asked.extend(chunks.into_iter().map(|chunk| (source, chunk)));
            }
        }
        asked
    }

    /// A viewer of 1 Mbit/s of media with so many neighbours, each of which has a little of it.
    fn crowd(neighbours: usize) -> Viewer {
        let mut config = ViewerConfig::new(SIZE_BYTES, 1, RequestIds::default());
        (config.bitrate_bps, config.tokens) = (1_000_000, true);
        let mut viewer = Viewer::new(config, LeafSet::new(leaf_count(SIZE_BYTES)));
        (0..neighbours as SourceId).for_each(|peer| join(&mut viewer, peer, false));
        viewer
    }

    fn join(viewer: &mut Viewer, source: SourceId, is_origin: bool) {
        let traits = SourceTraits { is_origin, path: PathKind::Direct, rate_hint_bps: 0, rtt_hint_us: 1_000 };
        viewer.source_joined(0, source, traits);
        viewer.have(0, source, true, is_origin, &[LeafRange::new(0, 4)], 0);
    }
}
