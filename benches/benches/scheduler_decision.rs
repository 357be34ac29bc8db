//! One turn of the cores per chunk: what a viewer asks next when a chunk has come, whom an uploader serves next when one has left.
//!
//! At 1 Gbit/s and 1 MiB a chunk there are some 120 turns a second; at 16 KiB a chunk, 7,600.

use std::collections::VecDeque;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shared::{
    ContentId, LeafRange, LeafSet,
    limits::LEAF_BYTES,
    schedule::{
        RequestIds,
        uploader::{Uploader, UploaderOutput},
        viewer::{SourceId, SourceTraits, Viewer, ViewerConfig, ViewerOutput},
    },
    units::leaf_count,
    wire::{PathKind, RequestId, WantedChunk},
};

/// Four gibibytes: enough that a run does not come to its end.
const SIZE_BYTES: u64 = 4 << 30;
const RATE_BPS: u64 = 8_000_000;

fn viewer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("viewer turn");
    group.throughput(Throughput::Elements(1));
    for sources in [1, 8, 40] {
        for partial in [false, true] {
            let name = if partial { "partial sources" } else { "complete sources" };
            group.bench_function(BenchmarkId::new(name, sources), |bencher| {
                let mut swarm = Swarm::new(sources, partial);
                bencher.iter(|| swarm.turn());
            });
        }
    }
    group.finish();
}

fn uploader(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("uploader turn");
    group.throughput(Throughput::Elements(1));
    for links in [1, 8, 64] {
        group.bench_function(BenchmarkId::from_parameter(links), |bencher| {
            let mut node = Node::new(links);
            bencher.iter(|| node.turn());
        });
    }
    group.finish();
}

/// A viewer that keeps a whole file, among sources that answer in turn.
struct Swarm {
    sources: u32,
    partial: bool,
    viewer: Viewer,
    asked: VecDeque<(SourceId, RequestId, LeafRange)>,
    now_ms: u64,
}

impl Swarm {
    fn new(sources: u32, partial: bool) -> Self {
        let config =
            ViewerConfig { bitrate_bps: RATE_BPS, ..ViewerConfig::new(SIZE_BYTES, 1, RequestIds::default()) };
        let leaves = leaf_count(SIZE_BYTES);
        let mut viewer = Viewer::new(config, LeafSet::new(leaves));
        viewer.reader_moved(0, 1, 0, true);
        viewer.keep_whole(0, true);
        for source in 0..sources {
            let traits = SourceTraits {
                is_origin: false,
                path: PathKind::Direct,
                rate_hint_bps: 20_000_000,
                rtt_hint_us: 20_000,
            };
            viewer.source_joined(0, source, traits);
            // Every partial source lacks another hundredth.
            let hole = leaves / 100 * (source % 100);
            let ranges = [LeafRange::new(0, hole), LeafRange::new(hole + leaves / 100, leaves)];
            viewer.have(0, source, true, !partial, &ranges, 0);
        }
        Self { sources, partial, viewer, asked: VecDeque::new(), now_ms: 0 }
    }

    /// A chunk comes and is verified; what is asked next is decided.
    fn turn(&mut self) {
        if self.asked.is_empty() && self.now_ms > 0 {
            *self = Self::new(self.sources, self.partial);
        }
        self.now_ms += 1;
        if let Some((source, id, leaves)) = self.asked.pop_front() {
            let arrival =
                self.viewer.data_arrived(self.now_ms, source, id, leaves, leaves.len_bytes(SIZE_BYTES));
            if arrival.is_useful() {
                self.viewer.verified(self.now_ms, source, leaves);
            }
        }
        while let Some(output) = self.viewer.poll_output() {
            match output {
                ViewerOutput::Request { source, chunks, .. } => {
                    self.asked.extend(chunks.into_iter().map(|chunk| (source, chunk.id, chunk.leaves)));
                }
                ViewerOutput::Cancel { ids, .. } => self.asked.retain(|(_, id, _)| !ids.contains(id)),
                ViewerOutput::Flush { .. } | ViewerOutput::Token { .. } | ViewerOutput::Ban { .. } => {}
            }
        }
    }
}

/// An uploader whose links always have requests queued.
struct Node {
    uploader: Uploader,
    links: u64,
    next: u32,
    now_ms: u64,
    served: VecDeque<(u64, RequestId)>,
}

impl Node {
    fn new(links: u64) -> Self {
        let mut uploader = Uploader::new(0);
        for link in 0..links {
            uploader.link_joined(link);
            uploader.credit(0, link, u64::MAX / 2);
        }
        let mut node = Self { uploader, links, next: 0, now_ms: 0, served: VecDeque::new() };
        (0..links * 30).for_each(|n| node.ask(n % links));
        node
    }

    /// A chunk leaves, a request comes; who is served next is decided.
    fn turn(&mut self) {
        self.now_ms += 1;
        if let Some((link, id)) = self.served.pop_front() {
            assert!(self.uploader.read_done(self.now_ms, link, id, None));
            self.uploader.drained(self.now_ms, link, 0);
            self.uploader.received(self.now_ms, link, u64::MAX, self.now_ms as u32);
            self.ask(link);
        }
        self.uploader.handle_timeout(self.now_ms);
        while let Some(output) = self.uploader.poll_output() {
            if let UploaderOutput::Serve { link, id, .. } = output {
                self.served.push_back((link, id));
            }
        }
    }

    fn ask(&mut self, link: u64) {
        self.next = self.next.wrapping_add(1);
        let leaves = LeafRange::new(self.next % 1_000 * 4, 4);
        let deadline_ms = (self.next * 37 % 4_000) as i32;
        let chunk = WantedChunk::new(self.next, leaves, deadline_ms);
        assert!(link < self.links && leaves.len_bytes(SIZE_BYTES) == 4 * LEAF_BYTES);
        self.uploader.request(self.now_ms, link, ContentId([1; 32]), SIZE_BYTES, 0, false, &[chunk]);
    }
}

criterion_group!(scheduler_decision, viewer, uploader);
criterion_main!(scheduler_decision);
