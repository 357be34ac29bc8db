//! The store, through its public face: what is verified gets in, what is claimed is there, and nothing else is lost or believed.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

mod branches;
mod crash;
mod larger;
mod sample;

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use peer_actor::store::{IngestError, Outboard, ReadChunkError, Store, StoreConfig, StoreError};
use sample::{Sample, damage};
use shared::{ContentId, LeafRange, content::ProofError, limits::LEAF_BYTES};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

#[test]
fn chunks_of_every_size_build_the_content_whatever_their_order() {
    for (seed, chunk_leaves) in [(1, 1), (2, 2), (3, 8), (4, 64)] {
        let (store, _dir) = store(100 * MIB);
        let sample = Sample::of(3 * MIB + 77, seed);
        let content = store.open_partial(sample.id, sample.size(), "film.mkv").unwrap();
        let mut chunks = sample.chunks(chunk_leaves);
        chunks.reverse();
        let count = chunks.len();
        for (at, chunk) in chunks.into_iter().enumerate() {
            let skip = content.proof_skip(chunk);
            let ingested = content.ingest(chunk, &sample.proof(chunk, skip), sample.payload(chunk)).unwrap();
            assert_eq!(ingested.new_leaves, [chunk]);
            assert_eq!(content.is_complete(), at + 1 == count);
            assert!(content.has(chunk));
        }
        assert!(content.is_complete());
        assert_eq!(content.verified_bytes(), sample.size());
        assert_eq!(store.cache_bytes(), sample.size());
        assert_eq!(sample::read_all(&content), sample.bytes);
    }
}

#[test]
fn a_source_of_a_part_serves_what_it_has_to_the_next() {
    let (first, _dir) = store(100 * MIB);
    let (second, _other) = store(100 * MIB);
    let sample = Sample::of(5 * MIB + 1, 9);
    let source = first.open_partial(sample.id, sample.size(), "a").unwrap();
    let viewer = second.open_partial(sample.id, sample.size(), "a").unwrap();
    for chunk in sample.chunks(16).into_iter().step_by(3) {
        sample.ingest(&source, chunk);
    }
    for chunk in sample.chunks(4) {
        let skip = viewer.proof_skip(chunk);
        match source.read_chunk(chunk, skip) {
            Ok((proof, payload)) => {
                assert_eq!(payload, sample.payload(chunk));
                viewer.ingest(chunk, &proof, &payload).unwrap();
            }
            Err(error) => assert!(matches!(error, ReadChunkError::NotHeld), "{error}"),
        }
    }
    assert_eq!(viewer.verified(), source.verified());
}

#[test]
fn each_pair_of_the_tree_crosses_a_link_about_once() {
    let (store, _dir) = store(100 * MIB);
    let sample = Sample::of(4 * MIB, 2);
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    let sent: usize = sample
        .chunks(1)
        .into_iter()
        .map(|chunk| {
            let proof = sample.proof(chunk, content.proof_skip(chunk));
            content.ingest(chunk, &proof, sample.payload(chunk)).unwrap();
            proof.len()
        })
        .sum();
    assert_eq!(sent, 255, "a tree of 256 leaves has 255 pairs");
}

#[test]
fn a_lie_is_refused_and_leaves_nothing_behind() {
    let (store, _dir) = store(100 * MIB);
    let (sample, other) = (Sample::of(MIB, 1), Sample::of(MIB, 2));
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    let chunk = LeafRange::new(8, 4);
    let mut forged = sample.payload(chunk).to_vec();
    forged[17] ^= 1;
    let refused = |error: IngestError| matches!(error, IngestError::Proof(_));
    assert!(content.ingest(chunk, &sample.proof(chunk, 0), &forged).is_err_and(refused));
    assert!(content.ingest(chunk, &other.proof(chunk, 0), other.payload(chunk)).is_err_and(refused));
    assert!(content.ingest(LeafRange::new(3, 2), &[], &forged).is_err_and(refused));
    let skips = content.ingest(chunk, &sample.proof(chunk, 1), sample.payload(chunk));
    assert!(matches!(skips, Err(IngestError::Proof(ProofError::SkipsTooMuch { .. }))));
    assert_eq!((content.verified_bytes(), store.cache_bytes(), content.generation()), (0, 0, 0));
    sample.ingest(&content, chunk);
    let again = content.ingest(chunk, &sample.proof(chunk, 0), sample.payload(chunk));
    assert!(matches!(again, Err(IngestError::AlreadyHeld)));
}

#[test]
fn reading_stops_at_the_first_gap_and_at_the_end() {
    let (store, _dir) = store(100 * MIB);
    let sample = Sample::of(4 * LEAF_BYTES + 10, 1);
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    let mut buf = vec![0; 10 * LEAF_BYTES as usize];
    assert_eq!(content.try_read(0, &mut buf).unwrap(), None);
    sample.ingest(&content, LeafRange::new(0, 2));
    sample.ingest(&content, LeafRange::new(4, 1));
    let start = 5;
    assert_eq!(content.try_read(start, &mut buf).unwrap(), Some(2 * LEAF_BYTES as usize - 5));
    assert_eq!(buf[..100], sample.bytes[5..105]);
    assert_eq!(content.try_read(2 * LEAF_BYTES, &mut buf).unwrap(), None);
    assert_eq!(content.try_read(sample.size() - 3, &mut buf).unwrap(), Some(3));
    assert_eq!(content.try_read(sample.size(), &mut buf).unwrap(), Some(0));
    assert_eq!(content.try_read(u64::MAX, &mut buf).unwrap(), Some(0));
    assert!(content.is_size_proven());
}

#[test]
fn a_waiting_reader_wakes_when_a_chunk_arrives() {
    let (store, _dir) = store(100 * MIB);
    let sample = Sample::of(MIB, 1);
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    let seen = content.generation();
    assert_eq!(content.wait_change(seen, Duration::from_millis(1)), seen);
    let watched = content.changed();
    let reader = {
        let content = Arc::clone(&content);
        spawn("reader", move || content.wait_change(seen, Duration::from_secs(20)))
    };
    sample.ingest(&content, LeafRange::new(0, 1));
    assert!(reader.join().unwrap() > seen);
    assert!(watched.has_changed().unwrap());
}

#[test]
fn what_was_fetched_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let sample = Sample::of(2 * MIB + 3, 4);
    let store = open(&dir, 100 * MIB);
    let content = store.open_partial(sample.id, sample.size(), "film.mkv").unwrap();
    for chunk in sample.chunks(8).into_iter().step_by(2) {
        sample.ingest(&content, chunk);
    }
    let before = content.verified();
    drop((content, store));
    let store = open(&dir, 100 * MIB);
    let content = store.get(&sample.id).unwrap();
    assert_eq!(content.verified(), before);
    assert_eq!(content.name(), "film.mkv");
    assert_eq!(store.cache_bytes(), content.verified_bytes());
    for chunk in sample.chunks(8) {
        sample.ingest(&content, chunk);
    }
    assert_eq!(sample::read_all(&content), sample.bytes);
}

#[test]
fn an_edited_shared_file_is_withdrawn_and_its_index_told() {
    let (store, dir) = store(100 * MIB);
    let sample = Sample::of(MIB, 5);
    let path = dir.path().join("song.flac");
    fs::write(&path, &sample.bytes).unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    store.on_altered(move |_| _ = count.fetch_add(1, Ordering::Relaxed));
    let content = store.add_complete(sample.id, path.clone(), sample.size(), sample.pairs.clone()).unwrap();
    let (chunk, proof) = (LeafRange::new(32, 16), sample.proof(LeafRange::new(32, 16), 2));
    assert_eq!(content.read_chunk(chunk, 2).unwrap(), (proof, sample.payload(chunk).to_vec().into()));
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"!", 40 * LEAF_BYTES).unwrap();
    assert!(content.read_chunk(LeafRange::new(0, 16), 0).is_ok(), "an untouched chunk is still true");
    assert!(matches!(content.read_chunk(chunk, 0), Err(ReadChunkError::Altered)));
    assert!(content.is_gone() && !content.has(chunk));
    assert!(store.get(&sample.id).is_none());
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

#[test]
fn a_shared_file_that_vanishes_or_shrinks_is_withdrawn() {
    let (store, dir) = store(100 * MIB);
    let sample = Sample::of(MIB, 5);
    let outboard = dir.path().join("outboard");
    fs::write(&outboard, &sample.pairs).unwrap();
    let path = dir.path().join("song.flac");
    let remove = |path: &Path| fs::remove_file(path);
    let shorten = |path: &Path| OpenOptions::new().write(true).open(path)?.set_len(9);
    for harm in [remove as fn(&Path) -> io::Result<()>, shorten] {
        fs::write(&path, &sample.bytes).unwrap();
        let content = store.add_complete(sample.id, path.clone(), sample.size(), outboard.clone()).unwrap();
        harm(&path).unwrap();
        assert!(matches!(content.read_chunk(LeafRange::new(32, 16), 0), Err(ReadChunkError::Altered)));
        assert!(store.get(&sample.id).is_none());
    }
}

#[test]
fn a_shared_file_whose_tree_is_not_there_is_withdrawn_when_it_is_wanted() {
    let (store, dir) = store(100 * MIB);
    let sample = Sample::of(MIB, 5);
    let path = dir.path().join("song.flac");
    fs::write(&path, &sample.bytes).unwrap();
    let (told, tree) = (Arc::new(AtomicUsize::new(0)), dir.path().join("tree"));
    let count = Arc::clone(&told);
    store.on_altered(move |_| _ = count.fetch_add(1, Ordering::Relaxed));
    assert!(store.add_complete(sample.id, path.clone(), sample.size(), tree.clone()).is_err());
    let content = store.add_indexed(sample.id, path, sample.size(), Outboard::File(tree)).unwrap();
    assert!(matches!(content.read_chunk(LeafRange::new(0, 16), 0), Err(ReadChunkError::Altered)));
    assert!(store.get(&sample.id).is_none());
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

#[test]
fn rotten_bytes_are_never_served_and_can_be_fetched_again() {
    let (store, dir) = store(100 * MIB);
    let sample = Sample::of(2 * MIB, 6);
    let content = sample.fetch_into(&store);
    damage(&dir, &sample, "bytes", 20 * LEAF_BYTES + 5);
    assert!(matches!(
        content.read_chunk(LeafRange::new(16, 8), 0),
        Err(ReadChunkError::Rotten { lost_leaves: 8 })
    ));
    assert!(!content.has(LeafRange::new(16, 8)) && content.has(LeafRange::new(24, 8)));
    assert_eq!(store.cache_bytes(), sample.size() - 8 * LEAF_BYTES);
    let chunk = LeafRange::new(16, 8);
    content.ingest(chunk, &sample.proof(chunk, content.proof_skip(chunk)), sample.payload(chunk)).unwrap();
    assert_eq!(sample::read_all(&content), sample.bytes);
}

#[test]
fn a_rotten_tree_does_not_get_an_honest_source_blamed() {
    let (store, dir) = store(100 * MIB);
    let sample = Sample::of(2 * MIB, 7);
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    sample.ingest(&content, LeafRange::new(0, 8));
    damage(&dir, &sample, "tree", 64 + 40);
    let chunk = LeafRange::new(32, 8);
    let proof = sample.proof(chunk, content.proof_skip(chunk));
    assert!(matches!(
        content.ingest(chunk, &proof, sample.payload(chunk)),
        Err(IngestError::Damaged { lost_leaves: 8 })
    ));
    assert_eq!(content.proof_skip(chunk), 0);
    for chunk in sample.chunks(8) {
        sample.ingest(&content, chunk);
    }
    assert!(sample.chunks(64).into_iter().all(|chunk| content.read_chunk(chunk, 0).is_ok()));
}

#[test]
fn the_least_recently_used_idle_content_makes_room() {
    let dir = TempDir::new().unwrap();
    let samples = [1, 2, 3].map(|seed| Sample::of(MIB, seed));
    let store = open(&dir, 2 * MIB);
    drop(samples[0].fetch_into(&store));
    thread::sleep(Duration::from_millis(1100));
    drop(samples[1].fetch_into(&store));
    let third = samples[2].fetch_into(&store);
    assert!(store.get(&samples[0].id).is_none());
    assert!(store.get(&samples[1].id).is_some());
    assert_eq!(store.cache_bytes(), 2 * MIB);
    assert!(!dir.path().join(samples[0].id.to_string()).exists());
    drop(third);
    store.set_quota_bytes(MIB);
    assert_eq!(store.cache_bytes(), MIB);
}

#[test]
fn whatever_takes_a_content_away_is_told_with_what_is_left() {
    let (store, dir) = store(100 * MIB);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    store.on_gone(move |content| tell.lock().unwrap().push((content.content_id(), content.verified_bytes())));
    let told = || std::mem::take(&mut *told.lock().unwrap());
    let [evicted, removed, shared] = [1, 2, 3].map(|seed| Sample::of(MIB, seed));
    drop(evicted.fetch_into(&store));
    let open = removed.fetch_into(&store);
    store.set_quota_bytes(MIB);
    assert_eq!(told(), [(evicted.id, 0)]);
    store.remove_partial(&removed.id);
    assert_eq!(told(), [(removed.id, 0)]);
    store.remove_partial(&removed.id);
    assert_eq!(told(), [] as [(ContentId, u64); 0], "there was nothing any more");
    drop(open);
    let path = dir.path().join("song.flac");
    fs::write(&path, &shared.bytes).unwrap();
    let share = || store.add_complete(shared.id, path.clone(), shared.size(), shared.pairs.clone()).unwrap();
    share();
    store.remove_complete(&shared.id);
    assert_eq!(told(), [(shared.id, 0)]);
    let content = store.open_partial(shared.id, shared.size(), "song.flac").unwrap();
    shared.ingest(&content, LeafRange::new(0, 1));
    let content = share();
    fs::remove_file(&path).unwrap();
    assert!(matches!(content.read_chunk(LeafRange::new(0, 1), 0), Err(ReadChunkError::Altered)));
    assert_eq!(told(), [(shared.id, LEAF_BYTES)], "what was fetched of it is left");
}

#[test]
fn contents_that_are_open_are_not_evicted_and_the_refusal_says_why() {
    let (store, _dir) = store(2 * MIB);
    let (open, wanted) = (Sample::of(3 * MIB / 2, 1), Sample::of(MIB, 2));
    let held = open.fetch_into(&store);
    let content = store.open_partial(wanted.id, wanted.size(), "b").unwrap();
    let refused = wanted
        .chunks(64)
        .into_iter()
        .find_map(|chunk| content.ingest(chunk, &wanted.proof(chunk, 0), wanted.payload(chunk)).err());
    let Some(IngestError::Full(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("cache limit"), "{why}");
    assert!(held.is_complete());
    assert!(store.cache_bytes() <= 2 * MIB);
    drop(held);
    for chunk in wanted.chunks(64) {
        wanted.ingest(&content, chunk);
    }
    assert!(content.is_complete());
}

#[test]
fn a_malformed_content_is_set_aside_and_the_others_stay() {
    let dir = TempDir::new().unwrap();
    let samples: Vec<Sample> = (0..7).map(|seed| Sample::of(MIB, seed)).collect();
    {
        let store = open(&dir, 100 * MIB);
        for sample in &samples {
            sample.fetch_into(&store);
        }
    }
    let part = |sample: &Sample, name: &str| dir.path().join(sample.id.to_string()).join(name);
    fs::write(part(&samples[0], "map"), b"nonsense").unwrap();
    OpenOptions::new().write(true).open(part(&samples[1], "bytes")).unwrap().set_len(5).unwrap();
    fs::remove_file(part(&samples[2], "tree")).unwrap();
    fs::copy(part(&samples[4], "map"), part(&samples[3], "map")).unwrap();
    let map = OpenOptions::new().write(true).open(part(&samples[5], "map")).unwrap();
    map.set_len(80 + 7).unwrap();
    fs::write(dir.path().join("unrelated"), b"not ours").unwrap();
    fs::write(dir.path().join("ab".repeat(32)), b"a file where a folder should be").unwrap();
    let store = open(&dir, 100 * MIB);
    let is_kept = |number: &usize| store.get(&samples[*number].id).is_some();
    assert_eq!((0..samples.len()).filter(is_kept).collect::<Vec<_>>(), [4, 6]);
    for sample in &samples {
        assert_eq!(sample::read_all(&sample.fetch_into(&store)), sample.bytes);
    }
}

#[test]
fn what_was_left_over_is_out_of_the_way_at_once_and_deleted_soon() {
    let dir = TempDir::new().unwrap();
    let sample = Sample::of(MIB, 3);
    let ends = ["new", "0.old", "damaged"].map(|end| format!("{}.{end}", sample.id));
    // An earlier start may have died while it deleted.
    let left_over = ends.into_iter().chain(["left-0.old".to_owned()]);
    let left_over: Vec<_> = left_over.map(|name| dir.path().join(name)).collect();
    for folder in &left_over {
        fs::create_dir_all(folder.join("inside")).unwrap();
    }
    let store = open(&dir, 100 * MIB);
    assert!(left_over.iter().all(|folder| !folder.exists()), "in the way");
    let content = sample.fetch_into(&store);
    assert_eq!(sample::read_all(&content), sample.bytes);
    let began = Instant::now();
    // The content and the lock.
    while fs::read_dir(dir.path()).unwrap().count() > 2 {
        assert!(began.elapsed() < Duration::from_secs(10), "left over for good");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_dirty_map_from_another_boot_is_not_believed() {
    let dir = TempDir::new().unwrap();
    let sample = Sample::of(3 * MIB + 5, 8);
    drop(sample.fetch_into(&open(&dir, 100 * MIB)));
    damage(&dir, &sample, "bytes", 100 * LEAF_BYTES + 1);
    damage(&dir, &sample, "bytes", 3 * MIB + 1);
    damage(&dir, &sample, "tree", 64 * 20);
    let map_path = dir.path().join(sample.id.to_string()).join("map");
    let mut map = fs::read(&map_path).unwrap();
    let header = peer_actor::store::map::Header::decode(&map).unwrap();
    assert!(!header.dirty, "an orderly end leaves it clean");
    map[..80]
        .copy_from_slice(&peer_actor::store::map::Header { dirty: true, boot: [1; 16], ..header }.encode());
    fs::write(&map_path, map).unwrap();
    let store = open(&dir, 100 * MIB);
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    assert!(!content.has(LeafRange::new(100, 1)) && !content.has(LeafRange::new(192, 1)));
    assert!(content.verified().count() > 150, "{:?}", content.verified_ranges());
    for leaf in content.verified().runs().flat_map(LeafRange::leaves) {
        assert_eq!(
            content.read_chunk(LeafRange::new(leaf, 1), 0).unwrap().1,
            sample.payload(LeafRange::new(leaf, 1))
        );
    }
    assert_eq!(store.cache_bytes(), content.verified_bytes());
}

#[test]
fn a_size_is_kept_once_it_is_proven_and_given_up_if_it_is_not() {
    let (store, _dir) = store(100 * MIB);
    let sample = Sample::of(MIB, 1);
    let wrong = store.open_partial(sample.id, 2 * MIB, "a").unwrap();
    assert!(matches!(
        store.open_partial(sample.id, MIB, "a"),
        Err(StoreError::SizeDiffers { open, claimed: MIB }) if open == 2 * MIB
    ));
    drop(wrong);
    let content = sample.fetch_into(&store);
    let disproven = store.open_partial(sample.id, 2 * MIB, "a");
    assert!(matches!(disproven, Err(StoreError::SizeDisproven { proven: MIB, .. })));
    assert!(content.is_complete());
    assert!(matches!(store.open_partial(sample.id, 0, "a"), Err(StoreError::BadSize(0))));
    assert!(matches!(store.open_partial(sample.id, u64::MAX, "a"), Err(StoreError::BadSize(_))));
}

#[test]
fn a_wrong_size_that_was_corrected_is_opened_anew_and_a_proven_one_stays() {
    let dir = TempDir::new().unwrap();
    let sample = Sample::of(MIB, 1);
    let store = open(&dir, 100 * MIB);
    drop(store.open_content(sample.id, 2 * MIB, "a").unwrap());
    drop(store);
    let store = open(&dir, 100 * MIB);
    let content = store.open_content(sample.id, MIB, "a").unwrap();
    assert_eq!(content.size_bytes(), MIB);
    assert!(matches!(store.open_content(sample.id, 2 * MIB, "a"), Err(StoreError::SizeDiffers { .. })));
    for chunk in sample.chunks(16) {
        sample.ingest(&content, chunk);
    }
    assert!(Arc::ptr_eq(&store.open_content(sample.id, 2 * MIB, "a").unwrap(), &content));
}

#[test]
fn a_second_process_is_kept_out_of_the_folder() {
    let (store, dir) = store(MIB);
    let config = StoreConfig { cache_dir: dir.path().to_owned(), quota_bytes: MIB };
    assert!(matches!(Store::open(config), Err(StoreError::InUse(_))));
    drop(store);
    open(&dir, MIB);
}

#[test]
fn an_exported_file_is_whole_and_verified_or_not_there() {
    let (store, dir) = store(100 * MIB);
    let sample = Sample::of(MIB + 1, 3);
    let to = dir.path().join("out.mkv");
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    assert!(content.export(&to).is_err());
    sample.fetch_into(&store);
    content.export(&to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), sample.bytes);
    fs::remove_file(&to).unwrap();
    damage(&dir, &sample, "bytes", 99);
    assert!(content.export(&to).is_err());
    assert!(!to.exists());
}

#[test]
fn a_content_handed_over_becomes_the_file_and_leaves_the_cache() {
    let (store, dir) = store(100 * MIB);
    let sample = Sample::of(MIB + 1, 3);
    let to = dir.path().join("out.mkv");
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    assert!(store.hand_over(&content, &to).is_err(), "it is not complete");
    sample.fetch_into(&store);
    store.hand_over(&content, &to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), sample.bytes);
    assert!(content.is_gone() && store.get(&sample.id).is_none());
    assert_eq!(store.cache_bytes(), 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().filter(|entry| is_part(entry.as_ref().unwrap())).count(), 0);
}

#[test]
fn what_an_earlier_run_fetched_is_verified_before_it_is_handed_over() {
    let (first, dir) = store(100 * MIB);
    let sample = Sample::of(MIB + 1, 3);
    let to = dir.path().join("out.mkv");
    sample.fetch_into(&first);
    drop(first);
    damage(&dir, &sample, "bytes", 99);
    let store = open(&dir, 100 * MIB);
    let content = store.get(&sample.id).unwrap();
    assert!(store.hand_over(&content, &to).is_err());
    assert!(!to.exists());
    assert!(!content.is_complete(), "the damaged leaf is to be fetched again");
    sample.fetch_into(&store);
    store.hand_over(&content, &to).unwrap();
    assert_eq!(fs::read(&to).unwrap(), sample.bytes);
}

fn is_part(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().ends_with(".part")
}

#[test]
fn many_contents_need_few_descriptors() {
    let (store, _dir) = store(100 * MIB);
    let samples: Vec<Sample> = (0..250).map(|seed| Sample::of(2 * LEAF_BYTES, seed as u8)).collect();
    let contents: Vec<_> = samples.iter().map(|sample| sample.fetch_into(&store)).collect();
    let open_files = fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open_files < 400, "{open_files} descriptors for {} contents", contents.len());
    for (sample, content) in samples.iter().zip(&contents) {
        assert_eq!(sample::read_all(content), sample.bytes);
    }
}

#[test]
fn threads_that_bring_the_same_chunks_at_once_count_each_once() {
    let (store, _dir) = store(100 * MIB);
    let sample = Arc::new(Sample::of(4 * MIB, 3));
    let content = store.open_partial(sample.id, sample.size(), "a").unwrap();
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (sample, content) = (Arc::clone(&sample), Arc::clone(&content));
            spawn("ingest", move || {
                let mut chunks = sample.chunks(4);
                let count = chunks.len();
                chunks.rotate_left(number % 2 * count / 2);
                let taken = chunks.into_iter().filter_map(|chunk| {
                    content.ingest(chunk, &sample.proof(chunk, 0), sample.payload(chunk)).ok()
                });
                taken.map(|ingested| ingested.new_bytes).sum::<u64>()
            })
        })
        .collect();
    let new_bytes: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!((new_bytes, store.cache_bytes()), (sample.size(), sample.size()));
    assert_eq!(sample::read_all(&content), sample.bytes);
}

fn store(quota_bytes: u64) -> (Store, TempDir) {
    let dir = TempDir::new().unwrap();
    (open(&dir, quota_bytes), dir)
}

fn open(dir: &TempDir, quota_bytes: u64) -> Store {
    Store::open(StoreConfig { cache_dir: dir.path().to_owned(), quota_bytes }).unwrap()
}

fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().name(name.to_owned()).spawn(work).unwrap()
}
