//! A process that ingests is killed at random moments; what it claimed is there, verifies, and only grows.

use std::{
    env,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use peer_actor::store::{Store, StoreConfig};
use shared::{LeafRange, LeafSet};
use tempfile::TempDir;

use super::sample::Sample;

const DIR: &str = "RUSTEZE_CRASH_TEST_DIR";
const SIZE: u64 = 24 * 1024 * 1024 + 4321;
const KILLS: u64 = 25;

#[test]
fn a_killed_process_has_claimed_nothing_but_the_truth() {
    let dir = TempDir::new().unwrap();
    let sample = Sample::of(SIZE, 77);
    let mut before = LeafSet::new(0);
    let mut kills_while_ingesting = 0;
    for kill in 0..KILLS {
        let mut child = spawn_child(&dir);
        let started = Instant::now();
        let enough = before.count() + 3 + (kill * 7 % 50) as u32;
        while claimed(&dir, &sample) < enough.min(sample.chunks(1).len() as u32) {
            assert!(started.elapsed() < Duration::from_secs(30), "the child makes no progress");
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            thread::sleep(Duration::from_micros(300 + kill * 37));
        }
        thread::sleep(Duration::from_micros(kill * 211 % 3000));
        kills_while_ingesting += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        before = check(&dir, &sample, &before);
    }
    assert!(kills_while_ingesting >= 20, "only {kills_while_ingesting} kills hit a running child");
    assert!(before.count() > 100, "{} leaves after {KILLS} kills", before.count());
}

#[test]
#[ignore = "the child process of the crash test"]
fn ingest_until_killed() {
    let Some(dir) = env::var_os(DIR) else { return };
    let store = Store::open(StoreConfig { cache_dir: PathBuf::from(dir), quota_bytes: 1 << 30 }).unwrap();
    let sample = Sample::of(SIZE, 77);
    let content = store.open_partial(sample.id, SIZE, "crash").unwrap();
    // Single leaves, scattered, slow enough that a kill falls between and within the writes of many of them.
    let mut leaf = content.verified().count();
    let leaves = sample.chunks(1).len() as u32;
    loop {
        let chunk = LeafRange::new(leaf.wrapping_mul(389) % leaves, 1);
        sample.ingest(&content, chunk);
        leaf += 1;
        if content.is_complete() {
            thread::sleep(Duration::from_secs(60));
        }
        thread::sleep(Duration::from_micros(u64::from(leaf % 5) * 100));
    }
}

fn spawn_child(dir: &TempDir) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::ingest_until_killed", "--ignored", "--nocapture"])
        .env(DIR, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Leaves the map on disk claims now, read from outside the process that writes it.
fn claimed(dir: &TempDir, sample: &Sample) -> u32 {
    let map = std::fs::read(dir.path().join(sample.id.to_string()).join("map")).unwrap_or_default();
    map.get(80..).unwrap_or_default().iter().map(|byte| byte.count_ones()).sum()
}

fn check(dir: &TempDir, sample: &Sample, before: &LeafSet) -> LeafSet {
    let store = Store::open(StoreConfig { cache_dir: dir.path().to_owned(), quota_bytes: 1 << 30 }).unwrap();
    let content = store.get(&sample.id).expect("the content is loaded again");
    let held = content.verified();
    for range in before.runs() {
        assert!(held.contains(range), "progress was lost at {range:?}");
    }
    for leaf in held.runs().flat_map(LeafRange::leaves) {
        let leaf = LeafRange::new(leaf, 1);
        let (proof, payload) = content.read_chunk(leaf, 0).unwrap();
        assert_eq!(payload, sample.payload(leaf));
        assert_eq!(proof, sample.proof(leaf, 0));
    }
    assert_eq!(store.cache_bytes(), content.verified_bytes());
    held
}
