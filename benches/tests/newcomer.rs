//! Somebody opens at a viewer what that watches, and has it too: the viewer asks for it, though no plan names the newcomer yet.
//!
//! The tracker never hears of the newcomer, so that no plan can.

use std::{net::Ipv4Addr, time::Duration};

use benches::harness::{
    Lab, PeerSpec, await_until,
    guest::{self, Guest},
    media, paced,
};
use shared::{
    ContentId, MediaKind,
    wire::{Have, Open, PeerMessage},
};

const SECONDS: u32 = 40;
const FILM_KBPS: u32 = 1600;
const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn who_opens_what_a_viewer_watches_and_has_it_is_asked_for_it() {
    let film = media::film(SECONDS, FILM_KBPS).unwrap();
    let lab = Lab::new().unwrap();
    let library = lab.library("library", &[&film]).unwrap();
    // Slow enough that much of the film is missing for long.
    let tracker = lab.tracker_at(Ipv4Addr::LOCALHOST, &[&library], &["--upload-limit", "2M"]).unwrap();
    let viewer = lab.peer("viewer", &tracker, &PeerSpec::viewer("video")).unwrap();
    let file = viewer.await_file(film.file_name().unwrap().to_str().unwrap(), 1).unwrap();
    let (id, size_bytes) = (file["content_id"].as_str().unwrap().to_owned(), file["size"].as_u64().unwrap());
    let content_id: ContentId = id.parse().unwrap();
    let rate_bps = size_bytes * 8 / u64::from(SECONDS);
    let viewing = paced::view(viewer.gateway, &id, rate_bps, Duration::from_secs(1)).unwrap();
    await_until("the film to begin", PATIENCE, || Ok(viewing.read_bytes() > 0)).unwrap();

    let mut newcomer = Guest::at_peer(viewer.listen, &guest::node(MediaKind::Video).unwrap(), None).unwrap();
    newcomer.send(Open { content_id }).unwrap();
    newcomer
        .await_word(
            PATIENCE,
            |message| matches!(message, PeerMessage::Open(open) if open.content_id == content_id),
        )
        .unwrap();
    let ranges = Vec::new();
    let everything = Have { content_id, size_bytes, reset: true, complete: true, ranges, backlog_ms: 0 };
    newcomer.send(everything).unwrap();
    newcomer
        .await_word(
            PATIENCE,
            |message| matches!(message, PeerMessage::Request(asked) if asked.content_id == content_id),
        )
        .unwrap();
}
