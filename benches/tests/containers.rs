//! Every container, through the gateway, while it is still arriving: the bytes are the file's, and players read and seek.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]
#![expect(clippy::print_stdout, reason = "what was measured is part of the result")]

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use benches::harness::{Lab, Peer, PeerSpec, http, media};

#[test]
fn films_are_read_and_sought_while_they_arrive() {
    every_container_of("video");
}

#[test]
fn tracks_are_read_and_sought_while_they_arrive() {
    every_container_of("audio");
}

fn every_container_of(kind: &'static str) {
    let names: Vec<&str> =
        media::CONTAINERS.iter().filter(|clip| clip.1 == kind).map(|clip| clip.0).collect();
    let clips: Vec<PathBuf> = names.iter().map(|name| media::clip(name).unwrap()).collect();
    let lab = Lab::new().unwrap();
    let tracker = lab.tracker(&[]).unwrap();
    let folder = lab.library("shared", &clips.iter().map(PathBuf::as_path).collect::<Vec<_>>()).unwrap();
    // Slow enough that a clip takes a second or more, so that a player meets bytes that are not there yet.
    let _source = lab.peer("source", &tracker, &PeerSpec::sharer(kind, &folder).limited("6M")).unwrap();
    let viewer = lab.peer("viewer", &tracker, &PeerSpec::viewer(kind)).unwrap();
    for (name, clip) in names.iter().zip(&clips) {
        let file = viewer.await_file(name, 1).unwrap();
        let content_id = file["content_id"].as_str().unwrap();
        assert_eq!(content_id, media::content_id(clip).unwrap(), "{name} is named by its BLAKE3 hash");
        read_while_arriving(&viewer, name, content_id, kind);
        play_while_arriving(&viewer, name, content_id);
        let body = http::get(viewer.gateway, &format!("/stream/{content_id}"), &[])
            .unwrap()
            .expect(200)
            .unwrap()
            .body;
        assert_eq!(blake3::hash(&body).to_hex().as_str(), content_id, "{name} came through unchanged");
        assert!(body == std::fs::read(clip).unwrap());
    }
}

/// ffprobe reads it, ffmpeg seeks to the middle and near the end; both meet the network, not a file.
fn read_while_arriving(viewer: &Peer, name: &str, content_id: &str, kind: &str) {
    let url = viewer.url(content_id);
    let begun = Instant::now();
    let probed = output(
        "ffprobe",
        &["-v", "error", "-show_entries", "format=duration:stream=codec_type", "-of", "csv=p=0", &url],
    );
    let held_bytes = viewer.stream(content_id).unwrap()["verified_bytes"].as_u64().unwrap();
    let size_bytes =
        viewer.files().unwrap().iter().find(|file| file["name"] == name).unwrap()["size"].as_u64().unwrap();
    println!(
        "{name}: probed after {} ms with {} of {} kB here: {}",
        begun.elapsed().as_millis(),
        held_bytes / 1000,
        size_bytes / 1000,
        probed.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    assert!(probed.contains(kind), "{name}: {probed}");
    let duration = probed.lines().filter_map(|line| line.parse::<f64>().ok()).next().unwrap();
    assert!((9.5..10.8).contains(&duration), "{name} lasts {duration}");

    for position in ["7.5", "4"] {
        let stream = if kind == "video" { "0:v:0" } else { "0:a:0" };
        let begun = Instant::now();
        let frames = output(
            "ffmpeg",
            &[
                "-v",
                "error",
                "-nostdin",
                "-ss",
                position,
                "-i",
                &url,
                "-map",
                stream,
                "-frames",
                "8",
                "-f",
                "framehash",
                "-",
            ],
        );
        let decoded = frames.lines().filter(|line| !line.starts_with('#')).count();
        println!("{name}: {decoded} frames from {position} s after {} ms", begun.elapsed().as_millis());
        assert!(decoded >= 4, "{name} at {position}: {frames}");
    }
}

/// A player with a window and sound, both of which lead nowhere, plays from the third second and seeks by itself to get there.
fn play_while_arriving(viewer: &Peer, name: &str, content_id: &str) {
    let begun = Instant::now();
    let played = Command::new("ffplay")
        .args(["-v", "error", "-nostats", "-autoexit", "-ss", "3", "-t", "1", &viewer.url(content_id)])
        .envs([("SDL_VIDEODRIVER", "dummy"), ("SDL_AUDIODRIVER", "dummy")])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&played.stderr);
    println!("{name}: ffplay played a second from 3 s in {} ms", begun.elapsed().as_millis());
    assert!(played.status.success(), "{name}: {errors}");
    assert!(begun.elapsed() >= Duration::from_millis(900), "{name}: it ended before it had played: {errors}");
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
