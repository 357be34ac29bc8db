//! Files larger than the cache may grow.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use benches::harness::{Lab, Peer, PeerSpec, http, media};

const CACHE_LIMIT: &str = "16M";
const CACHE_LIMIT_BYTES: u64 = 16_000_000;

#[test]
fn a_film_larger_than_the_cache_plays_to_its_end_and_again() -> Result<()> {
    let lab = Lab::new()?;
    lab.explain(play(&lab))
}

fn play(lab: &Lab) -> Result<()> {
    let film = media::film(60, 6000)?;
    let (id, bytes) = (media::content_id(&film)?, fs::read(&film)?);
    ensure!(bytes.len() as u64 > 2 * CACHE_LIMIT_BYTES, "the film is too small to prove anything");
    let tracker = lab.tracker(&[])?;
    let shared = lab.library("shared", &[&film])?;
    let source = lab.peer("source", &tracker, &PeerSpec::sharer("video", &shared))?;
    let name = "film-60s-6000k.ts";
    source.await_file(name, 1)?;
    let small = PeerSpec { cache_limit: Some(CACHE_LIMIT), ..PeerSpec::viewer("video") };
    let viewer = lab.peer("viewer", &tracker, &small)?;
    viewer.await_file(name, 1)?;

    for round in 0..2 {
        let answer = http::get(viewer.gateway, &format!("/stream/{id}"), &[])?.expect(200)?;
        ensure!(answer.body == bytes, "what was read in round {round} is not the film");
        holds_no_more_than_it_may(&viewer, lab)?;
    }
    // A step back to what was given up, by a player that reads ranges.
    let range = http::get(viewer.gateway, &format!("/stream/{id}"), &[("Range", "bytes=5000000-5999999")])?;
    ensure!(range.expect(206)?.body == bytes[5_000_000..6_000_000], "the range differs");
    let stream = viewer.stream(&id)?;
    ensure!(stream["waiting"].is_null(), "it waits for {}", stream["waiting"]);
    let count = |name: &str| stream[name].as_u64().with_context(|| format!("no {name}"));
    let (received, wasted) = (count("received_bytes")?, count("wasted_bytes")?);
    println!("received {received}, wasted {wasted} of a film of {} bytes read twice", bytes.len());
    ensure!(received < 5 * bytes.len() as u64 / 2, "it fetched {received} bytes to read the film twice");
    ensure!(wasted < received / 20, "{wasted} of {received} bytes came in vain");
    fetched_whole(lab, &tracker, &id, &small)
}

fn holds_no_more_than_it_may(viewer: &Peer, lab: &Lab) -> Result<()> {
    let held = viewer.get_json("/api/status")?["cache_bytes"].as_u64().context("cache_bytes")?;
    ensure!(held <= CACHE_LIMIT_BYTES, "{held} bytes are held");
    let on_disk = blocks_below(&lab.folder("viewer-data")?.join("cache"))?;
    ensure!(on_disk < CACHE_LIMIT_BYTES * 5 / 4, "{on_disk} bytes are taken on the disk");
    Ok(())
}

/// What is fetched to be kept is moved out of the cache, and may be larger.
fn fetched_whole(lab: &Lab, tracker: &benches::harness::Tracker, id: &str, small: &PeerSpec) -> Result<()> {
    let out = lab.folder("out")?.join("film.ts");
    let mut get = lab.get("keeper", tracker, small, id, &out)?;
    let status = get.wait(Duration::from_secs(60))?;
    ensure!(status.success(), "get failed:\n{}", get.log());
    ensure!(media::content_id(&out)? == id, "the file differs");
    Ok(())
}

/// What the disk has of all files beneath a folder.
fn blocks_below(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { blocks_below(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}
