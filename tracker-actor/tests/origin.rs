//! The tracker's own library, streamed by a real peer from the real server.

mod support;

use std::{fs, path::Path, time::Duration};

use peer_actor::node::{self, NodeConfig};
use shared::{MediaKind, wire::Role};
use support::{Client, Tracker};

#[actix_rt::test]
async fn a_peer_plays_the_trackers_own_library_and_gets_every_byte() {
    let library = tempfile::tempdir().expect("a folder");
    let original = write_tone(&library.path().join("tone.wav"), 20);
    let tracker = Tracker::start_with(|config| config.library = vec![library.path().to_owned()]).await;

    let cache = tempfile::tempdir().expect("a folder");
    let config = NodeConfig {
        tracker_url: Some(format!("ws://localhost:{}", tracker.address().port())),
        ..NodeConfig::new(Role::Peer, Some(MediaKind::Audio), cache.path().to_owned())
    };
    let peer = node::start(config).await.expect("a peer");
    let mut snapshots = peer.watch();
    let appeared = async {
        loop {
            if let Some(file) = snapshots.borrow_and_update().files.first().cloned() {
                return file;
            }
            snapshots.changed().await.expect("a running peer");
        }
    };
    let file = tokio::time::timeout(Duration::from_secs(20), appeared).await.expect("the library appears");
    assert!(file.at_origin);
    assert_eq!((file.name.as_str(), file.size), ("tone.wav", original.len() as u64));

    let reader = peer.open(file.content_id).await.expect("opened");
    let mut received = Vec::new();
    while received.len() < original.len() {
        let reading = reader.read_at(received.len() as u64, 1 << 20);
        let bytes =
            tokio::time::timeout(Duration::from_secs(20), reading).await.expect("in time").expect("read");
        received.extend_from_slice(&bytes);
    }
    assert!(received == original, "the bytes differ");
    peer.stop().await;
}

#[actix_rt::test]
async fn a_client_of_the_other_kind_is_told_nothing_of_the_library() {
    let library = tempfile::tempdir().expect("a folder");
    write_tone(&library.path().join("tone.wav"), 1);
    let tracker = Tracker::start_with(|config| config.library = vec![library.path().to_owned()]).await;
    let mut listener = Client::register(&tracker, MediaKind::Audio).await;
    while listener.catalogue().await.changed.is_empty() {}
    let mut viewer = Client::register(&tracker, MediaKind::Video).await;
    let first = viewer.catalogue().await;
    assert!(first.reset && first.changed.is_empty());
}

#[actix_rt::test]
async fn the_library_takes_no_clients_place() {
    let library = tempfile::tempdir().expect("a folder");
    write_tone(&library.path().join("tone.wav"), 1);
    let tracker = Tracker::start_with(|config| {
        config.library = vec![library.path().to_owned()];
        config.max_clients = 1;
    })
    .await;
    let registry = &tracker.running.observatory().registry;
    let registered = async {
        while registry.session_count() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), registered).await.expect("the library registers");
    let mut listener = Client::register(&tracker, MediaKind::Audio).await;
    while listener.catalogue().await.changed.is_empty() {}
    assert_eq!((registry.session_count(), registry.client_count()), (2, 1));
}

#[actix_rt::test]
async fn without_a_library_there_is_no_peer_endpoint() {
    let tracker = Tracker::start().await;
    assert_eq!(tracker.get("/peer").await.0, 404);
}

/// Sixteen-bit mono PCM: a rising sawtooth, different in every leaf.
fn write_tone(path: &Path, seconds: u32) -> Vec<u8> {
    const RATE: u32 = 44_100;
    let samples = RATE * seconds;
    let data: Vec<u8> =
        (0..samples).flat_map(|n| ((n.wrapping_mul(n / 977 + 3)) as i16 / 4).to_le_bytes()).collect();
    let mut wav = Vec::with_capacity(data.len() + 44);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + data.len() as u32).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend_from_slice(&RATE.to_le_bytes());
    wav.extend_from_slice(&(RATE * 2).to_le_bytes());
    wav.extend_from_slice(b"\x02\0\x10\0data");
    wav.extend_from_slice(&(data.len() as u32).to_le_bytes());
    wav.extend_from_slice(&data);
    fs::write(path, &wav).expect("written");
    wav
}
