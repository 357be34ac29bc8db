//! The store on a real disk: taking a chunk in (verify, write, claim), reading one out again (read, verify, prove), and starting with a
//! million leaves, in one content and in a thousand.

use std::{
    fs,
    hint::black_box,
    ops::ControlFlow,
    path::PathBuf,
    time::{Duration, Instant},
};

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
/// Many of them make 2^20 leaves as well.
const MANY_BYTES: u64 = 16 << 20;
const MANY: u64 = MILLION_BYTES / MANY_BYTES;

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
        fs::write(&path, &content).expect("a file");
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

/// A start with a million leaves in the cache, until it is known which of them are there: whole, every other leaf (the most runs a map can
/// have), and none. The files are sparse; a start reads the maps alone.
fn starting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("start with a million leaves");
    group.sample_size(20);
    let shapes = [("all", 0xff), ("every other", 0x55), ("none", 0)];
    for (count, size_bytes) in [(1, MILLION_BYTES), (MANY, MANY_BYTES)] {
        for (shape, bits) in shapes {
            let cache = Cache::new(count, size_bytes, bits);
            group.bench_function(BenchmarkId::new(format!("contents {count}"), shape), |bencher| {
                bencher.iter_custom(|times| (0..times).map(|_| cache.start()).sum());
            });
        }
    }
    group.finish();
}

/// A cache folder as a node left it.
struct Cache {
    folder: TempDir,
    contents: Vec<ContentId>,
    expected_leaves: u32,
}

impl Cache {
    /// Has the store itself make empty contents, and then claims in their maps the leaves that `bits` names of every eight.
    fn new(count: u64, size_bytes: u64, bits: u8) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = open(&folder, "cache");
        let contents: Vec<ContentId> =
            (0..count).map(|number| ContentId(*blake3::hash(&number.to_le_bytes()).as_bytes())).collect();
        for content_id in &contents {
            store.open_partial(*content_id, size_bytes, "film.mkv").expect("a content");
        }
        drop(store);
        let expected_leaves = leaf_count(size_bytes) / 8 * u8::count_ones(bits) * contents.len() as u32;
        let cache = Self { folder, contents, expected_leaves };
        for content_id in &cache.contents {
            let mut map = fs::read(cache.map(content_id)).expect("a map");
            map[HEADER_BYTES as usize..].fill(bits);
            fs::write(cache.map(content_id), map).expect("a map");
        }
        cache
    }

    /// How long a start takes.
    fn start(&self) -> Duration {
        let begun = Instant::now();
        let store = open(&self.folder, "cache");
        let held = self.contents.iter().map(|content_id| {
            let content = store.get(content_id).expect("the content");
            content.verified().count()
        });
        assert_eq!(held.sum::<u32>(), self.expected_leaves);
        begun.elapsed()
    }

    fn map(&self, content_id: &ContentId) -> PathBuf {
        self.folder.path().join("cache").join(content_id.to_string()).join("map")
    }
}

fn open(folder: &TempDir, name: &str) -> Store {
    let cache_dir = folder.path().join(name);
    Store::open(StoreConfig { cache_dir, quota_bytes: 1 << 40 }).expect("a store")
}

criterion_group!(chunk_store, reading, ingesting, starting);
criterion_main!(chunk_store);
