//! A viewer in a small virtual world: a clock, sources with rates, delays and manners, and an oracle that checks every step.
//!
//! Time passes from event to event. Everything is seeded; a failing case repeats.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    LeafRange, LeafSet,
    content::geometry::is_chunk,
    limits::{LEAF_BYTES, MAX_REQUEST_BATCH},
    schedule::{
        RequestIds,
        viewer::{Arrival, SourceId, SourceTraits, Viewer, ViewerConfig, ViewerOutput},
    },
    units::{LeafIndex, leaf_count},
    wire::{PathKind, RefuseReason, RequestId},
};

/// How a source behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Serves what it announced.
    Honest,
    /// Every so manieth chunk does not verify.
    Liar(u32),
    /// Never answers.
    Silent,
    /// Every other request is refused as busy for so long.
    Busy(u32),
    /// Says it has what it has not.
    Boaster,
    /// Is gone at this time.
    DiesAt(u64),
    /// Sends everything, but the first chunk that holds this leaf is lost on its way.
    LosesOnce(LeafIndex),
}

/// One source of the world.
#[derive(Debug, Clone)]
pub(crate) struct WorldSource {
    pub(crate) bytes_per_ms: u64,
    pub(crate) rtt_ms: u64,
    pub(crate) have: LeafSet,
    pub(crate) manners: Manners,
    pub(crate) is_origin: bool,
    pub(crate) joins_ms: u64,
    pub(crate) hints: bool,
}

impl WorldSource {
    /// An honest source of everything.
    pub(crate) fn complete(size_bytes: u64, bytes_per_ms: u64, rtt_ms: u64) -> Self {
        let have = LeafSet::full(leaf_count(size_bytes));
        Self {
            bytes_per_ms,
            rtt_ms,
            have,
            manners: Manners::Honest,
            is_origin: false,
            joins_ms: 0,
            hints: false,
        }
    }
}

/// How a playback went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Played {
    /// From opening to the first picture.
    pub(crate) start_ms: Option<u64>,
    /// Waiting after that.
    pub(crate) stalled_ms: u64,
}

impl Played {
    /// Whether it started within this time and never waited again.
    pub(crate) fn is_smooth(self, start_ms: u64) -> bool {
        self.stalled_ms == 0 && self.start_ms.is_some_and(|took_ms| took_ms <= start_ms)
    }
}

#[derive(Debug)]
struct Queued {
    id: RequestId,
    epoch: u32,
    leaves: LeafRange,
    deadline_ms: i64,
}

#[derive(Debug)]
enum Event {
    Join,
    Die,
    Asked { epoch: u32, id: RequestId, leaves: LeafRange, deadline_ms: i64 },
    Cancelled { ids: Vec<RequestId>, confirm: bool },
    Flushed(u32),
    Sent,
    Arrived { id: RequestId, leaves: LeafRange, is_good: bool },
    Refused { id: RequestId, reason: RefuseReason },
}

#[derive(Debug)]
struct Served {
    source: WorldSource,
    queue: Vec<Queued>,
    sending: Option<Queued>,
    answered: u32,
    has_lost: bool,
    is_up: bool,
}

/// The world and its oracle.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) viewer: Viewer,
    pub(crate) now_ms: u64,
    pub(crate) size_bytes: u64,
    pub(crate) received: BTreeMap<SourceId, u64>,
    pub(crate) requests: u64,
    pub(crate) flushes: u64,
    pub(crate) banned: BTreeSet<SourceId>,
    sources: BTreeMap<SourceId, Served>,
    events: BTreeMap<(u64, u64), (SourceId, Event)>,
    next_event: u64,
    /// Live requests as the oracle knows them: source, leaves, epoch.
    live: BTreeMap<RequestId, (SourceId, LeafRange, u32)>,
    used_ids: BTreeSet<RequestId>,
    initial_bytes: u64,
}

impl World {
    /// A world of a content with known rate; `held` is there from the start.
    pub(crate) fn new(config: ViewerConfig, held: LeafSet, sources: Vec<WorldSource>) -> Self {
        let size_bytes = config.size_bytes;
        let initial_bytes = held.runs().map(|run| run.len_bytes(size_bytes)).sum();
        let mut world = Self {
            viewer: Viewer::new(config, held),
            now_ms: 0,
            size_bytes,
            received: BTreeMap::new(),
            requests: 0,
            flushes: 0,
            banned: BTreeSet::new(),
            sources: BTreeMap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            live: BTreeMap::new(),
            used_ids: BTreeSet::new(),
            initial_bytes,
        };
        for (id, source) in sources.into_iter().enumerate() {
            let id = id as SourceId;
            world.schedule(source.joins_ms, id, Event::Join);
            if let Manners::DiesAt(at_ms) = source.manners {
                world.schedule(at_ms, id, Event::Die);
            }
            let served = Served {
                source,
                queue: Vec::new(),
                sending: None,
                answered: 0,
                has_lost: false,
                is_up: false,
            };
            world.sources.insert(id, served);
        }
        world
    }

    /// A viewer configuration for tests.
    pub(crate) fn config(size_bytes: u64, bitrate_bps: u64, seed: u64) -> ViewerConfig {
        ViewerConfig { bitrate_bps, ..ViewerConfig::new(size_bytes, seed, RequestIds::default()) }
    }

    /// Lets time pass until `end_ms`, or until `done`; whether it was done.
    pub(crate) fn run(&mut self, end_ms: u64, done: impl Fn(&Viewer) -> bool) -> bool {
        loop {
            self.settle();
            if done(&self.viewer) {
                return true;
            }
            let next_event = self.events.keys().next().map(|key| key.0);
            let timeout = self.viewer.poll_timeout().map(|deadline| deadline.at_ms);
            let Some(next_ms) = next_event.into_iter().chain(timeout).min() else { return false };
            if next_ms > end_ms {
                self.now_ms = end_ms;
                return false;
            }
            self.now_ms = self.now_ms.max(next_ms);
            if next_event.is_some_and(|at_ms| at_ms <= self.now_ms) {
                let (_, (source, event)) = self.events.pop_first().expect("an event");
                self.happen(source, event);
            } else {
                self.viewer.handle_timeout(self.now_ms);
            }
        }
    }

    /// A player from `from_ms` of the media until `until_ms` of the clock: it reads a second ahead, starts with a second buffered, and
    /// after a stall with half a second.
    pub(crate) fn play(&mut self, reader: u32, from_ms: u64, bitrate_bps: u64, until_ms: u64) -> Played {
        let byte_at = |ms: u64| ms * bitrate_bps / 8_000;
        let (mut media_ms, mut needs_ms, began_ms) = (from_ms, 1_000, self.now_ms);
        let mut played = Played { start_ms: None, stalled_ms: 0 };
        while self.now_ms < until_ms && byte_at(media_ms) < self.size_bytes {
            let frontier = self.viewer.held().first_missing(shared::units::leaf_of(byte_at(media_ms)));
            let frontier = frontier.map_or(self.size_bytes, |leaf| u64::from(leaf) * LEAF_BYTES);
            let reads = byte_at(media_ms + 1_000).min(self.size_bytes);
            self.viewer.reader_moved(self.now_ms, reader, reads.min(frontier), frontier < reads);
            if frontier <= byte_at(media_ms) {
                needs_ms = if played.start_ms.is_some() { 500 } else { 1_000 };
            }
            if frontier >= byte_at(media_ms + needs_ms).min(self.size_bytes) {
                needs_ms = 0;
                played.start_ms.get_or_insert(self.now_ms - began_ms);
                media_ms += 10;
            } else if played.start_ms.is_some() {
                played.stalled_ms += 10;
            }
            let next_ms = self.now_ms + 10;
            self.run(next_ms, |_| false);
            self.now_ms = next_ms;
        }
        played
    }

    /// Drains the viewer's outputs and checks the invariants.
    pub(crate) fn settle(&mut self) {
        while let Some(output) = self.viewer.poll_output() {
            self.check_and_send(output);
        }
        self.check_state();
    }

    fn happen(&mut self, id: SourceId, event: Event) {
        let Some(served) = self.sources.get_mut(&id) else { return };
        if !served.is_up && !matches!(event, Event::Join) {
            return;
        }
        match event {
            Event::Join => self.join(id),
            Event::Die => {
                served.is_up = false;
                self.live.retain(|_, (source, ..)| *source != id);
                self.viewer.source_left(self.now_ms, id);
            }
            Event::Asked { epoch, id: request, leaves, deadline_ms } => {
                served.answered += 1;
                let lacks = !served.source.have.contains(leaves);
                let reason = match served.source.manners {
                    Manners::Silent => return,
                    Manners::Busy(ms) if served.answered % 2 == 0 => Some(RefuseReason::Busy(ms)),
                    Manners::Honest
                    | Manners::Liar(_)
                    | Manners::Busy(_)
                    | Manners::Boaster
                    | Manners::DiesAt(_)
                    | Manners::LosesOnce(_) => lacks.then_some(RefuseReason::NotHere),
                };
                match reason {
                    Some(reason) => self.after_half_trip(id, Event::Refused { id: request, reason }),
                    None => {
                        served.queue.push(Queued { id: request, epoch, leaves, deadline_ms });
                        self.start_sending(id);
                    }
                }
            }
            Event::Cancelled { ids, confirm } => {
                let dropped: Vec<RequestId> = served
                    .queue
                    .extract_if(.., |queued| ids.contains(&queued.id))
                    .map(|queued| queued.id)
                    .collect();
                for request in dropped.into_iter().filter(|_| confirm) {
                    self.after_half_trip(id, Event::Refused { id: request, reason: RefuseReason::Withdrawn });
                }
            }
            Event::Flushed(epoch) => served.queue.retain(|queued| queued.epoch >= epoch),
            Event::Sent => {
                let Some(sent) = served.sending.take() else { return };
                served.answered += 1;
                let is_good =
                    !matches!(served.source.manners, Manners::Liar(every) if served.answered % every == 0);
                let is_lost = !served.has_lost
                    && matches!(served.source.manners, Manners::LosesOnce(leaf) if sent.leaves.contains(leaf));
                served.has_lost |= is_lost;
                if !is_lost {
                    self.after_half_trip(id, Event::Arrived { id: sent.id, leaves: sent.leaves, is_good });
                }
                self.start_sending(id);
            }
            Event::Arrived { id: request, leaves, is_good } => self.arrive(id, request, leaves, is_good),
            Event::Refused { id: request, reason } => {
                self.live.remove(&request);
                self.viewer.refused(self.now_ms, id, request, reason);
            }
        }
    }

    fn join(&mut self, id: SourceId) {
        let Some(served) = self.sources.get_mut(&id) else { return };
        served.is_up = true;
        let source = &served.source;
        let traits = SourceTraits {
            is_origin: source.is_origin,
            path: PathKind::Direct,
            rate_hint_bps: if source.hints { source.bytes_per_ms * 8_000 } else { 0 },
            rtt_hint_us: if source.hints { source.rtt_ms as u32 * 1_000 } else { 0 },
        };
        self.viewer.source_joined(self.now_ms, id, traits);
        let boasts = source.manners == Manners::Boaster;
        let complete = boasts || source.have.is_full();
        let ranges: Vec<LeafRange> = if complete { Vec::new() } else { source.have.runs().collect() };
        self.viewer.have(self.now_ms, id, true, complete, &ranges, 0);
    }

    fn start_sending(&mut self, id: SourceId) {
        let Some(served) = self.sources.get_mut(&id) else { return };
        if served.sending.is_some() {
            return;
        }
        let next =
            served.queue.iter().enumerate().min_by_key(|(_, queued)| queued.deadline_ms).map(|(at, _)| at);
        let Some(queued) = next.map(|at| served.queue.remove(at)) else { return };
        let bytes = queued.leaves.len_bytes(self.size_bytes);
        let takes_ms = bytes.div_ceil(served.source.bytes_per_ms);
        served.sending = Some(queued);
        self.schedule(self.now_ms + takes_ms, id, Event::Sent);
    }

    fn arrive(&mut self, id: SourceId, request: RequestId, leaves: LeafRange, is_good: bool) {
        let bytes = leaves.len_bytes(self.size_bytes);
        let was_live = self.live.remove(&request).is_some();
        if self.banned.contains(&id) {
            return;
        }
        *self.received.entry(id).or_default() += bytes;
        let arrival = self.viewer.data_arrived(self.now_ms, id, request, leaves, bytes);
        assert!(arrival != Arrival::Unknown, "an answer to a request was not recognised");
        assert!(arrival != Arrival::Wanted || was_live);
        if arrival.is_useful() && is_good {
            self.viewer.verified(self.now_ms, id, leaves);
            self.live.retain(|_, (_, other, _)| {
                !self.viewer.held().contains(*other) || other.end() > leaves.end()
            });
        } else if arrival.is_useful() {
            self.live.retain(|_, (source, ..)| *source != id);
            self.viewer.corrupt(self.now_ms, id, leaves);
        }
    }

    fn check_and_send(&mut self, output: ViewerOutput) {
        let source = output.source();
        assert!(!self.banned.contains(&source), "{output:?} to a banned source");
        match output {
            ViewerOutput::Request { epoch, chunks, .. } => {
                assert_eq!(epoch, self.viewer.epoch());
                assert!((1..=MAX_REQUEST_BATCH).contains(&chunks.len()));
                assert!(chunks.is_sorted_by_key(|chunk| chunk.deadline_ms));
                for chunk in chunks {
                    self.requests += 1;
                    self.check_request(source, chunk.id, chunk.leaves);
                    self.live.insert(chunk.id, (source, chunk.leaves, epoch));
                    let deadline_ms = self.now_ms as i64 + i64::from(chunk.deadline_ms);
                    let asked = Event::Asked { epoch, id: chunk.id, leaves: chunk.leaves, deadline_ms };
                    self.after_half_trip(source, asked);
                }
            }
            ViewerOutput::Cancel { ids, confirm, .. } => {
                assert!((1..=MAX_REQUEST_BATCH).contains(&ids.len()));
                for id in &ids {
                    assert!(self.used_ids.contains(id), "a cancel of what was never asked");
                    // With a word awaited it is out until that comes.
                    if !confirm {
                        self.live.remove(id);
                    }
                }
                self.after_half_trip(source, Event::Cancelled { ids, confirm });
            }
            ViewerOutput::Flush { epoch, .. } => {
                self.flushes += 1;
                self.live.retain(|_, (asked, _, old)| *asked != source || *old >= epoch);
                self.after_half_trip(source, Event::Flushed(epoch));
            }
            ViewerOutput::Ban { .. } => {
                self.banned.insert(source);
            }
            ViewerOutput::Token { .. } => panic!("tokens are off"),
        }
    }

    fn check_request(&mut self, source: SourceId, id: RequestId, leaves: LeafRange) {
        assert!(self.used_ids.insert(id), "an id was used twice");
        assert!(is_chunk(leaves, self.size_bytes), "{leaves:?} is no chunk");
        let served = &self.sources[&source];
        assert!(served.is_up, "asked a source that is not there");
        let announced = served.source.manners == Manners::Boaster || served.source.have.contains(leaves);
        assert!(announced, "asked for what the source lacks");
        let held = self.viewer.held();
        assert!(leaves.leaves().all(|leaf| !held.has(leaf)), "asked for what is held");
        let others = self
            .live
            .values()
            .filter(|(_, other, _)| other.first < leaves.end() && leaves.first < other.end());
        let others: Vec<SourceId> = others.map(|(other, ..)| *other).collect();
        assert!(others.len() <= 1, "{leaves:?} asked {} times at once", others.len() + 1);
        assert!(!others.contains(&source), "asked the same source twice for {leaves:?}");
    }

    fn check_state(&self) {
        let in_flight: BTreeMap<RequestId, (SourceId, LeafRange)> =
            self.viewer.in_flight().map(|(id, source, leaves)| (id, (source, leaves))).collect();
        for (id, (source, leaves)) in &in_flight {
            let known = self.live.get(id).expect("in flight but never sent, or taken back");
            assert_eq!((known.0, known.1), (*source, *leaves));
            assert_eq!(known.2, self.viewer.epoch(), "a request of an old epoch is in flight");
            assert!(self.sources[source].is_up && !self.banned.contains(source));
        }
        assert!(self.live.keys().all(|id| in_flight.contains_key(id)), "a live request was forgotten");
        let view = self.viewer.snapshot(self.now_ms);
        let received: u64 = self.received.values().sum();
        assert_eq!(view.received_bytes, received);
        let gained = view.verified_bytes - self.initial_bytes;
        assert_eq!(gained + view.wasted_bytes + view.corrupt_bytes, received, "bytes are not conserved");
        assert!(view.hedged_bytes <= received / 64 + (128 << 10), "hedged {}", view.hedged_bytes);
    }

    fn after_half_trip(&mut self, id: SourceId, event: Event) {
        let delay_ms = self.sources[&id].source.rtt_ms / 2;
        self.schedule(self.now_ms + delay_ms, id, event);
    }

    fn schedule(&mut self, at_ms: u64, id: SourceId, event: Event) {
        self.next_event += 1;
        self.events.insert((at_ms, self.next_event), (id, event));
    }
}
