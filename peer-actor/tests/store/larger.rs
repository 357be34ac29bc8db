//! Contents larger than the cache: what was read makes room for what is to come.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use peer_actor::store::{IngestError, ReadChunkError};
use shared::{LeafRange, limits::LEAF_BYTES, schedule::viewer::Needs};

use crate::{MIB, open, sample::Sample, store};

#[test]
fn a_stream_larger_than_the_cache_gives_up_what_it_has_read() {
    let (store, dir) = store(2 * MIB);
    let sample = Sample::of(8 * MIB, 5);
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    let mut at = 0;
    for chunk in sample.chunks(16) {
        let needed = LeafRange::new(chunk.first.saturating_sub(16), 32);
        content.set_needs(Needs { leaves: vec![LeafRange::new(0, 1), needed], playhead: chunk.first });
        sample.ingest(&content, chunk);
        let mut read = vec![0; chunk.len_bytes(sample.size()) as usize];
        assert_eq!(content.try_read(at, &mut read).unwrap(), Some(read.len()));
        assert_eq!(read, sample.payload(chunk));
        at += read.len() as u64;
    }
    assert!(store.cache_bytes() <= 2 * MIB && content.verified_bytes() <= 2 * MIB);
    assert!(content.has(LeafRange::new(0, 1)), "what is needed stays");
    assert!(content.losses() > 0 && !content.is_complete());
    assert_eq!(content.try_read(64 * LEAF_BYTES, &mut [0; 10]).unwrap(), None);
    let on_disk = fs::metadata(dir.path().join(sample.id.to_string()).join("bytes")).unwrap();
    assert!(on_disk.blocks() * 512 < 3 * MIB, "the disk has {} bytes of it", on_disk.blocks() * 512);
    let last = *sample.chunks(16).last().unwrap();
    assert!(content.read_chunk(last, 0).is_ok(), "what is left is served as before");
    assert!(matches!(content.read_chunk(LeafRange::new(64, 16), 0), Err(ReadChunkError::NotHeld)));
    drop((content, store));
    let store = open(&dir, 2 * MIB);
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    assert!(content.has(last) && !content.has(LeafRange::new(64, 1)), "a new process finds it so");
    content.set_needs(Needs { leaves: vec![LeafRange::new(64, 16)], playhead: 64 });
    sample.ingest(&content, LeafRange::new(64, 16));
}

#[test]
fn a_read_beside_an_eviction_never_sees_the_hole() {
    let (store, _dir) = store(MIB);
    let sample = Arc::new(Sample::of(4 * MIB, 6));
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (content, sample, stop) = (content.clone(), sample.clone(), stop.clone());
        thread::Builder::new().name("reader".to_owned()).spawn(move || {
            let mut seen = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                for at in (0..sample.size()).step_by(64 << 10) {
                    let mut read = vec![0; 64 << 10];
                    if let Some(count) = content.try_read(at, &mut read).unwrap() {
                        assert_eq!(read[..count], sample.bytes[at as usize..at as usize + count]);
                        seen += count as u64;
                    }
                }
            }
            seen
        })
    }
    .unwrap();
    for _ in 0..20 {
        for chunk in sample.chunks(4) {
            content.set_needs(Needs { leaves: vec![chunk], playhead: chunk.first });
            match content.ingest(chunk, &sample.proof(chunk, 0), sample.payload(chunk)) {
                Ok(_) | Err(IngestError::AlreadyHeld) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > MIB);
}
