//! Three sources serve one viewer at once; one is killed, then the tracker, and neither is seen on the screen.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::{
    net::Ipv4Addr,
    path::Path,
    time::{Duration, Instant},
};

use benches::harness::{Lab, Peer, PeerSpec, Tracker, await_until, media, paced};

const SECONDS: u32 = 40;
const FILM_KBPS: u32 = 1600;

#[test]
fn a_film_plays_on_without_a_gap_when_a_source_and_the_tracker_are_killed() {
    let film = media::film(SECONDS, FILM_KBPS).unwrap();
    let lab = Lab::new().unwrap();
    let (mut tracker, mut peers, viewer) = three_sources(&lab, &film);
    let name = film.file_name().unwrap().to_str().unwrap();
    let file = viewer.await_file(name, 3).unwrap();
    let content_id = file["content_id"].as_str().unwrap().to_owned();
    let rate_bps = file["size"].as_u64().unwrap() * 8 / u64::from(SECONDS);

    let begun = Instant::now();
    let viewing = paced::view(viewer.gateway, &content_id, rate_bps, Duration::from_secs(1)).unwrap();
    let at = |second: u64| {
        std::thread::sleep(Duration::from_secs(second).saturating_sub(begun.elapsed()));
        let held = viewer.stream(&content_id).unwrap()["verified_bytes"].as_u64().unwrap();
        println!(
            "{second:3} s: watched {} kB, {} kB here of {}",
            viewing.read_bytes() / 1000,
            held / 1000,
            file["size"]
        );
        held
    };
    at(6);
    let sources = viewer.sources(&content_id).unwrap();
    println!("sources after 6 s: {sources:?}");
    assert_eq!(
        sources.iter().filter(|source| source.2 > 0).count(),
        3,
        "three sources gave bytes: {sources:?}"
    );
    assert_eq!(sources.iter().filter(|source| source.0 == "origin").count(), 1);

    let held = at(8);
    assert!(held < file["size"].as_u64().unwrap() * 2 / 3, "the film is still arriving when the source dies");
    peers[0].program.kill_hard().unwrap();
    println!("killed a source");
    at(14);
    tracker.program.kill_hard().unwrap();
    println!("killed the tracker");
    at(20);
    assert!(!viewer.files().unwrap().is_empty(), "the catalogue outlives the tracker at the viewer");
    let restarted = Instant::now();
    tracker.restart().unwrap();
    await_until("the catalogue to come back", Duration::from_secs(10), || {
        let status = viewer.get_json("/api/status")?;
        let files = status["files"].as_array().map_or(0, Vec::len);
        let sources = status["files"][0]["sources"].as_u64().unwrap_or(0);
        Ok(status["tracker"]["state"] == "connected" && files == 1 && sources >= 2)
    })
    .unwrap();
    println!("the catalogue is back {} ms after the tracker was started", restarted.elapsed().as_millis());

    at(34);
    println!("sources after 34 s: {:?}", viewer.sources(&content_id).unwrap());
    let viewed = viewing.finish().unwrap();
    println!(
        "viewed {} kB in {:.1} s, first byte after {} ms, gaps {:?}",
        viewed.bytes.len() / 1000,
        viewed.took.as_secs_f64(),
        viewed.first_byte.as_millis(),
        viewed.gaps
    );
    assert!(viewed.gaps.is_empty(), "playback stopped: {:?}", viewed.gaps);
    assert!(viewed.bytes == std::fs::read(&film).unwrap(), "the bytes are the film's");
    assert!(viewed.took >= Duration::from_secs(u64::from(SECONDS) - 3), "it was played, not copied");
}

/// The tracker's library, two sharing peers and a viewer; two sources together are faster than the film, one alone is not.
fn three_sources(lab: &Lab, film: &Path) -> (Tracker, [Peer; 2], Peer) {
    let library = lab.library("library", &[film]).unwrap();
    let tracker = lab.tracker_at(Ipv4Addr::LOCALHOST, &[&library], &["--upload-limit", "1200k"]).unwrap();
    let peers = ["first", "second"].map(|name| {
        let folder = lab.library(&format!("{name}-share"), &[film]).unwrap();
        lab.peer(name, &tracker, &PeerSpec::sharer("video", &folder).limited("1200k")).unwrap()
    });
    let viewer = lab.peer("viewer", &tracker, &PeerSpec::viewer("video")).unwrap();
    (tracker, peers, viewer)
}
