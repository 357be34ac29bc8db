//! Frames to bytes and back: the data path (one chunk a frame) and the frames that come most often beside it.
//!
//! A payload is copied once on the way out and not at all on the way in.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shared::{
    ContentId, LeafRange,
    limits::LEAF_BYTES,
    wire::{Data, Frame, Have, Request, WantedChunk, decode, encode, encode_into},
};

const CONTENT: ContentId = ContentId([7; 32]);

fn data(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("data frame");
    for leaves in [1, 4, 64] {
        let payload_bytes = u64::from(leaves) * LEAF_BYTES;
        let head = Data {
            id: 9,
            leaves: LeafRange::new(0, leaves),
            proof: vec![[[1; 32]; 2]; 10],
            branch: Vec::new(),
        };
        let frame = Frame::data(head, Bytes::from(vec![5; payload_bytes as usize]));
        let bytes = encode(&frame);
        group.throughput(Throughput::Bytes(payload_bytes));
        group.bench_function(BenchmarkId::new("encode", payload_bytes), |bencher| {
            let mut out = BytesMut::new();
            bencher.iter(|| {
                out.clear();
                encode_into(black_box(&frame), &mut out);
            });
        });
        group.bench_function(BenchmarkId::new("decode", payload_bytes), |bencher| {
            bencher.iter(|| decode(black_box(&bytes)));
        });
    }
    group.finish();
}

fn control(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("control frame");
    let chunk = |n: u32| WantedChunk { proof_skip: 8, ..WantedChunk::new(n, LeafRange::new(n * 4, 4), 500) };
    let request =
        Request { content_id: CONTENT, epoch: 3, starting: false, chunks: (0..16).map(chunk).collect() };
    let have = Have {
        content_id: CONTENT,
        size_bytes: 1 << 32,
        reset: false,
        complete: false,
        ranges: (0..20).map(|n| LeafRange::new(n * 100, 7)).collect(),
        backlog_ms: 40,
    };
    for frame in [Frame::from(request), Frame::from(have)] {
        let bytes = encode(&frame);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("encode", frame.message.name()), |bencher| {
            bencher.iter(|| encode(black_box(&frame)));
        });
        group.bench_function(BenchmarkId::new("decode", frame.message.name()), |bencher| {
            bencher.iter(|| decode(black_box(&bytes)));
        });
    }
    group.finish();
}

criterion_group!(wire_codec, data, control);
criterion_main!(wire_codec);
