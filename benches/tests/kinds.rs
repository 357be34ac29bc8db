//! Two kinds of client on one network: neither is sent, shown or served the other's files.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use benches::harness::{
    Lab, Peer, PeerSpec, Tracker, await_until,
    guest::{self, Guest},
    http, media,
};
use shared::{
    ContentId, MediaKind,
    wire::{CatalogueEntry, FindPeers, GetHints, Message, Open, PeerMessage, Register, TrackerMessage},
};

#[test]
fn neither_kind_is_shown_or_served_the_other() -> Result<()> {
    let (_lab, tracker, peers) = mixed_network()?;
    for (kind, own, other) in [("video", &peers[0], &peers[1]), ("audio", &peers[1], &peers[0])] {
        let files = own.files()?;
        println!("the {kind} client is shown {} files", files.len());
        ensure!(files.len() == 2 && files.iter().all(|file| file["kind"] == kind), "{kind}: {files:?}");
        for file in other.files()? {
            let path = format!("/stream/{}", file["content_id"].as_str().context("an id")?);
            let refused = http::get(own.gateway, &path, &[])?;
            ensure!(refused.status == 404, "{path} was answered {}", refused.status);
        }
        let page = http::get(tracker.addr, "/ready", &[])?;
        ensure!(page.status == 200);
    }
    Ok(())
}

#[test]
fn no_frame_about_the_other_kind_reaches_a_client() -> Result<()> {
    let (_lab, tracker, peers) = mixed_network()?;
    for (kind, own, other) in
        [(MediaKind::Video, &peers[0], &peers[1]), (MediaKind::Audio, &peers[1], &peers[0])]
    {
        let mut guest = registered(&tracker, kind)?;
        let told = catalogue(&mut guest, 2)?;
        println!("a {kind} client is told of {} files", told.len());
        ensure!(told.len() == 2 && told.iter().all(|entry| entry.file.kind == kind), "{told:?}");
        for foreign in ids(other)? {
            refuses_to_help(&mut guest, foreign)?;
            does_not_serve(own, kind, foreign)?;
        }
    }
    Ok(())
}

#[test]
fn a_peer_of_one_kind_refuses_a_session_with_the_other() -> Result<()> {
    let (_lab, _tracker, peers) = mixed_network()?;
    let stranger = guest::node(MediaKind::Audio)?;
    let refused = Guest::at_peer(peers[0].listen, &stranger, None);
    ensure!(refused.is_err(), "the video peer opened a session with an audio client");
    Guest::at_peer(peers[1].listen, &stranger, None)?;
    Ok(())
}

/// A tracker and two peers that each have folders with a film and a track; the peers are of one kind each.
fn mixed_network() -> Result<(Lab, Tracker, [Peer; 2])> {
    let lab = Lab::new()?;
    let at_tracker: Vec<PathBuf> =
        ["clip.mkv", "clip.flac"].map(media::clip).into_iter().collect::<Result<_>>()?;
    let at_peers: Vec<PathBuf> =
        ["clip.webm", "clip.mp3"].map(media::clip).into_iter().collect::<Result<_>>()?;
    let library = lab.library("library", &at_tracker.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    let folder = lab.library("shared", &at_peers.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    let tracker = lab.tracker(&[&library])?;
    let video = lab.peer("video-peer", &tracker, &PeerSpec::sharer("video", &folder))?;
    let audio = lab.peer("audio-peer", &tracker, &PeerSpec::sharer("audio", &folder))?;
    for peer in [&video, &audio] {
        await_until("both files of its kind", Duration::from_secs(20), || Ok(peer.files()?.len() >= 2))?;
    }
    Ok((lab, tracker, [video, audio]))
}

fn registered(tracker: &Tracker, kind: MediaKind) -> Result<Guest> {
    let mut guest = Guest::at_tracker(tracker.addr, &guest::node(kind)?, None)?;
    guest.send(Register {
        listen_port: None,
        addresses: Vec::new(),
        upload_limit_bps: 0,
        relay_limit_bps: 0,
    })?;
    Ok(guest)
}

/// Every entry the tracker pushes until nothing came for a second, and at least `least`.
fn catalogue(guest: &mut Guest, least: usize) -> Result<Vec<CatalogueEntry>> {
    let mut told = Vec::new();
    while let Some(frame) = guest.next(Duration::from_secs(if told.len() < least { 10 } else { 1 }))? {
        if let Message::Tracker(TrackerMessage::CatalogueDelta(delta)) = frame.message {
            told.extend(delta.changed);
        }
    }
    Ok(told)
}

/// The tracker names no source and gives no hints for a content of the other kind.
fn refuses_to_help(guest: &mut Guest, foreign: ContentId) -> Result<()> {
    guest.send(FindPeers { content_id: foreign, playhead_leaf: 0 })?;
    guest.send(GetHints { content_id: foreign })?;
    while let Some(frame) = guest.next(Duration::from_secs(1))? {
        match frame.message {
            Message::Tracker(TrackerMessage::Plan(plan)) => ensure!(plan.sources.is_empty(), "{plan:?}"),
            Message::Tracker(TrackerMessage::HintsReply(reply)) => {
                ensure!(reply.hints.is_none(), "hints were given")
            }
            Message::Handshake(_) | Message::Link(_) | Message::Tracker(_) | Message::Peer(_) => {}
        }
    }
    ensure!(guest.ended().is_none(), "asking ended the session: {:?}", guest.ended());
    Ok(())
}

/// A peer of the same kind does not claim, or admit to, a content of the other.
fn does_not_serve(peer: &Peer, kind: MediaKind, foreign: ContentId) -> Result<()> {
    let mut guest = Guest::at_peer(peer.listen, &guest::node(kind)?, None)?;
    guest.send(Open { content_id: foreign })?;
    while let Some(frame) = guest.next(Duration::from_millis(500))? {
        ensure!(!matches!(frame.message, Message::Peer(PeerMessage::Have(_))), "it says it has {foreign}");
    }
    Ok(())
}

fn ids(peer: &Peer) -> Result<Vec<ContentId>> {
    peer.files()?.iter().map(|file| Ok(file["content_id"].as_str().context("an id")?.parse()?)).collect()
}
