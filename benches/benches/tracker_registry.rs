//! The tracker's file index: many clients announce many files, and everybody is told what is new.

use std::cell::RefCell;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shared::{
    ContentId, MediaKind, NodeId,
    limits::MAX_DELTA_FILES,
    wire::{FileEntry, FilesDelta},
};
use tracker_actor::{
    file_index::{FileIndexState, FilesOutcome, NodeJoined},
    registry::SessionId,
};

/// The list of the client that announces is emptied off the clock after so many deltas: it may not grow for ever, nor should what is
/// measured depend on how long that takes.
const EMPTIED_EVERY: u64 = 256;

fn announcing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("announce 64 files");
    group.throughput(Throughput::Elements(MAX_DELTA_FILES as u64));
    for clients in [10u32, 1_000] {
        group.bench_function(BenchmarkId::new("clients", clients), |bencher| {
            let mut index = FileIndexState::default();
            (0..clients).for_each(|n| join(&mut index, n));
            drain(&mut index);
            let index = RefCell::new(index);
            let mut version = 0;
            let take = |delta: FilesDelta| {
                let mut index = index.borrow_mut();
                let outcome = index.handle_files(delta.version, id(0), SessionId(1), delta);
                assert_eq!(outcome, FilesOutcome::Taken { refused: 0 });
                drain(&mut index)
            };
            bencher.iter_batched(
                || {
                    version += 1;
                    if version % EMPTIED_EVERY == 0 {
                        let nothing = FilesDelta { changed: Vec::new(), reset: true, ..delta(version) };
                        take(nothing);
                        version += 1;
                    }
                    delta(version)
                },
                take,
                // Each set-up right before its measurement, since some change the index.
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn telling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tell a newcomer the catalogue");
    group.sample_size(20);
    for files in [640u64, 6_400] {
        group.throughput(Throughput::Elements(files));
        let mut index = FileIndexState::default();
        join(&mut index, 0);
        for version in 1..=files / MAX_DELTA_FILES as u64 {
            assert_eq!(
                index.handle_files(0, id(0), SessionId(1), delta(version)),
                FilesOutcome::Taken { refused: 0 }
            );
        }
        drain(&mut index);
        let mut newcomer = 0;
        group.bench_function(BenchmarkId::new("files", files), |bencher| {
            bencher.iter(|| {
                newcomer += 1;
                join(&mut index, newcomer);
                for now_ms in (0..100_000).step_by(250) {
                    index.handle_timeout(now_ms);
                    drain(&mut index);
                    if index.poll_timeout().is_none() {
                        break;
                    }
                }
            });
        });
    }
    group.finish();
}

fn join(index: &mut FileIndexState, n: u32) {
    let kind = Some(MediaKind::Video);
    index.handle_joined(
        0,
        NodeJoined { node: id(n), session: SessionId(1), kind, is_origin: false, address: None },
    );
}

fn drain(index: &mut FileIndexState) -> usize {
    let told = std::iter::from_fn(|| index.poll_output()).count();
    told + index.poll_holders(usize::MAX).len()
}

fn delta(version: u64) -> FilesDelta {
    let first = version * MAX_DELTA_FILES as u64;
    let changed = (first..first + MAX_DELTA_FILES as u64).map(file).collect();
    FilesDelta { version, reset: false, changed, removed: Vec::new() }
}

fn file(n: u64) -> FileEntry {
    let mut content_id = [0; 32];
    content_id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    FileEntry {
        content_id: ContentId(content_id),
        name: format!("film {n}.mkv"),
        size_bytes: 1 << 30,
        kind: MediaKind::Video,
        duration_ms: 5_400_000,
        bitrate_bps: 1_600_000,
        container: "matroska,webm".to_owned(),
        codecs: vec!["h264".to_owned(), "aac".to_owned()],
        width: 1_920,
        height: 1_080,
        title: format!("Film {n}"),
        artist: String::new(),
        album: String::new(),
        has_cover: true,
    }
}

fn id(n: u32) -> NodeId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    NodeId(id)
}

criterion_group!(tracker_registry, announcing, telling);
criterion_main!(tracker_registry);
