//! The store on a real disk: taking a chunk in (verify, write, claim), reading one out again (read, verify, prove), and starting with a
//! content of a million leaves.

use std::{hint::black_box, ops::ControlFlow, time::Instant};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use peer_actor::store::{Store, StoreConfig, map::HEADER_BYTES};
use shared::{
    ContentId, LeafRange,
    content::{geometry::chunk_at, outboard::build},
    units::leaf_count,
    wire::ProofPair,
};
use tempfile::TempDir;

const SIZE_BYTES: u64 = 64 << 20;
/// 2^20 leaves.
const MILLION_BYTES: u64 = 16 << 30;

/// A shared file in a store, and an empty store that fetches it.
struct Stores {
    folder: TempDir,
    content_id: ContentId,
    source: Store,
}

impl Stores {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let content: Vec<u8> = (0..SIZE_BYTES).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 7) as u8).collect();
        let path = folder.path().join("film.mkv");
        std::fs::write(&path, &content).expect("a file");
        let (content_id, pairs) = build(&content[..], SIZE_BYTES, |_| ControlFlow::Continue(()))
            .expect("a content in memory can be hashed");
        let source = open(&folder, "source");
        source.add_complete(content_id, path, SIZE_BYTES, pairs).expect("a shared file");
        Self { folder, content_id, source }
    }

    fn chunks(&self, chunk_leaves: u32) -> Vec<(LeafRange, Vec<ProofPair>, Bytes)> {
        let content = self.source.get(&self.content_id).expect("the shared file");
        let firsts = (0..leaf_count(SIZE_BYTES)).step_by(chunk_leaves as usize);
        firsts
            .map(|first| {
                let leaves = chunk_at(first, chunk_leaves, SIZE_BYTES);
                let (proof, payload) = content.read_chunk(leaves, 0).expect("a chunk");
                (leaves, proof, payload)
            })
            .collect()
    }
}

fn reading(criterion: &mut Criterion) {
    let stores = Stores::new();
    let content = stores.source.get(&stores.content_id).expect("the shared file");
    let mut group = criterion.benchmark_group("read a chunk");
    for chunk_leaves in [1, 16, 64] {
        let bytes = chunk_at(0, chunk_leaves, SIZE_BYTES).len_bytes(SIZE_BYTES);
        group.throughput(Throughput::Bytes(bytes));
        let mut next = 0;
        group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
            bencher.iter(|| {
                next = (next + chunk_leaves) % leaf_count(SIZE_BYTES);
                content.read_chunk(black_box(chunk_at(next, chunk_leaves, SIZE_BYTES)), 0)
            });
        });
    }
    group.finish();
}

fn ingesting(criterion: &mut Criterion) {
    let stores = Stores::new();
    let target = open(&stores.folder, "target");
    let mut group = criterion.benchmark_group("ingest 64 MiB");
    group.sample_size(10).throughput(Throughput::Bytes(SIZE_BYTES));
    for chunk_leaves in [4, 64] {
        let chunks = stores.chunks(chunk_leaves);
        group.bench_function(BenchmarkId::new("chunks of leaves", chunk_leaves), |bencher| {
            bencher.iter_batched(
                || {
                    target.remove_partial(&stores.content_id);
                    target.open_partial(stores.content_id, SIZE_BYTES, "film.mkv").expect("an empty content")
                },
                |content| {
                    for (leaves, proof, payload) in &chunks {
                        let skip = usize::from(content.proof_skip(*leaves));
                        content.ingest(*leaves, &proof[skip..], payload).expect("a good chunk");
                    }
                    assert!(content.is_complete());
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// A start with a content of a million leaves in the cache, until it is known which of them are there: whole, every other leaf (the most
/// runs a map can have), and none. The files are sparse; a start reads the map alone.
fn starting(criterion: &mut Criterion) {
    let content_id = ContentId([7; 32]);
    let mut group = criterion.benchmark_group("start with a million leaves");
    group.sample_size(20);
    for (shape, bits) in [("all", 0xff), ("every other", 0x55), ("none", 0)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        drop(open(&folder, "cache").open_partial(content_id, MILLION_BYTES, "film.mkv").expect("a content"));
        let map = folder.path().join("cache").join(content_id.to_string()).join("map");
        let mut bytes = std::fs::read(&map).expect("a map");
        bytes[HEADER_BYTES as usize..].fill(bits);
        std::fs::write(&map, bytes).expect("a map");
        let expected = leaf_count(MILLION_BYTES) / 8 * u8::count_ones(bits);
        group.bench_function(BenchmarkId::from_parameter(shape), |bencher| {
            bencher.iter_custom(|times| {
                let once = || {
                    let begun = Instant::now();
                    let store = open(&folder, "cache");
                    let held = store.get(&content_id).expect("the content").verified();
                    assert_eq!(held.count(), expected);
                    begun.elapsed()
                };
                (0..times).map(|_| once()).sum()
            });
        });
    }
    group.finish();
}

fn open(folder: &TempDir, name: &str) -> Store {
    let cache_dir = folder.path().join(name);
    Store::open(StoreConfig { cache_dir, quota_bytes: 1 << 40 }).expect("a store")
}

criterion_group!(chunk_store, reading, ingesting, starting);
criterion_main!(chunk_store);
