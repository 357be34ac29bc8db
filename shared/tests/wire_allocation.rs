//! Shows with a counting allocator that no input makes the decoder take more memory than the protocol promises.
//!
//! One test alone in its process: the count is global. What a decoded frame keeps is part of the bound.

mod samples;

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use shared::{
    limits::{MAX_BODY_BYTES, MAX_FRAME_BYTES},
    wire::{decode, encode},
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

#[test]
fn decoding_takes_no_more_than_twice_the_largest_body() {
    assert!(taken(|| vec![0u8; MAX_BODY_BYTES]) >= MAX_BODY_BYTES, "the count must see what is allocated");
    let lying_lists = (0..=u8::MAX).flat_map(|frame_type| {
        [0usize, 8, 16, 32, 33, 34, 41, 48].into_iter().map(move |zeros| lying_length(frame_type, zeros))
    });
    for input in lying_lists.chain([vec![0; MAX_FRAME_BYTES + 1], full_body()]) {
        check(&Bytes::from(input));
    }
    let samples: Vec<Bytes> = samples::frames().iter().map(encode).collect();
    let mutated = (
        prop::sample::select(samples),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    );
    TestRunner::new(Config::with_cases(2_000))
        .run(&mutated, |(sample, changes)| {
            let mut bytes = sample.to_vec();
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            check(&Bytes::from(bytes));
            Ok(())
        })
        .unwrap();
}

fn check(input: &Bytes) {
    let taken = taken(|| decode(input));
    assert!(
        taken <= 2 * MAX_BODY_BYTES,
        "{taken} bytes for {} bytes of type {:?}",
        input.len(),
        input.first()
    );
}

/// The most memory that was in use during `work`, beyond what was in use before.
fn taken<T>(work: impl FnOnce() -> T) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    let taken = MEMORY.peak_usage().saturating_sub(before);
    drop(result);
    taken
}

/// A body of some zeros and then the claim of 2^63 elements or bytes.
fn lying_length(frame_type: u8, zeros: usize) -> Vec<u8> {
    let mut body = vec![0; zeros];
    body.push(253);
    body.extend_from_slice(&(1u64 << 63).to_le_bytes());
    let mut frame = vec![frame_type, 0, 0, 0];
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&body);
    frame
}

/// A file-list delta whose 64 entries name as many codecs as 128 KiB hold.
fn full_body() -> Vec<u8> {
    let mut body = vec![1, 0, 64];
    body.resize(MAX_BODY_BYTES, 1);
    let mut frame = vec![0x22, 0, 0, 0];
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&body);
    frame
}
