//! From bytes to trust: hashing a file into its tree, and verifying one chunk against the content id.

use std::{hint::black_box, ops::ControlFlow};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shared::{
    ContentId,
    content::{
        geometry::{PAIR_BYTES, chunk_at},
        outboard::build,
        proof::{prove, verify},
    },
    wire::ProofPair,
};

const SIZE_BYTES: u64 = 64 << 20;

fn hashing(criterion: &mut Criterion) {
    let content = content();
    let mut group = criterion.benchmark_group("hash a file");
    group.sample_size(10).throughput(Throughput::Bytes(SIZE_BYTES));
    group.bench_function("64 MiB", |bencher| {
        bencher.iter(|| build(black_box(&content[..]), SIZE_BYTES, |_| ControlFlow::Continue(())));
    });
    group.finish();
}

fn chunks(criterion: &mut Criterion) {
    let content = content();
    let (content_id, pairs) = tree(&content);
    let mut group = criterion.benchmark_group("verify a chunk");
    for chunk_leaves in [1, 4, 16, 64] {
        let leaves = chunk_at(1_000, chunk_leaves, SIZE_BYTES);
        let range = leaves.bytes(SIZE_BYTES);
        let payload = &content[range.start as usize..range.end as usize];
        let proof = prove(leaves, SIZE_BYTES, 0, |index| Ok::<_, ()>(pair(&pairs, index)))
            .ok()
            .flatten()
            .unwrap_or_default();
        group.throughput(Throughput::Bytes(payload.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(payload.len()), |bencher| {
            bencher.iter(|| {
                let verified = verify(content_id, SIZE_BYTES, leaves, &proof, black_box(payload), |_| None);
                assert!(verified.is_ok());
            });
        });
    }
    group.finish();
}

fn content() -> Vec<u8> {
    (0..SIZE_BYTES).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 7) as u8).collect()
}

fn tree(content: &[u8]) -> (ContentId, Vec<u8>) {
    build(content, SIZE_BYTES, |_| ControlFlow::Continue(())).expect("a content in memory can be hashed")
}

fn pair(pairs: &[u8], index: u64) -> ProofPair {
    let at = (index * PAIR_BYTES) as usize;
    let half = |at: usize| std::array::from_fn(|byte| pairs[at + byte]);
    [half(at), half(at + 32)]
}

criterion_group!(verification, hashing, chunks);
criterion_main!(verification);
