//! A seed opens and closes at its viewers what they open and close at it. Of two that both have everything each does so once, or they would
//! answer each other for ever, as fast as their uplinks carry it.

use std::time::Duration;

use anyhow::Result;
use benches::harness::{
    Lab, PeerSpec,
    guest::{self, Guest},
    media,
};
use shared::{
    ContentId, MediaKind,
    wire::{Close, Message, Open, PeerMessage},
};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_seed_opens_and_closes_in_kind_once() {
    let film = media::film(4, 800).unwrap();
    let lab = Lab::new().unwrap();
    let tracker = lab.tracker(&[]).unwrap();
    let library = lab.library("library", &[&film]).unwrap();
    let seed = lab.peer("seed", &tracker, &PeerSpec::sharer("video", &library)).unwrap();
    let file = seed.await_file(film.file_name().unwrap().to_str().unwrap(), 1).unwrap();
    let content_id: ContentId = file["content_id"].as_str().unwrap().parse().unwrap();

    let mut other = Guest::at_peer(seed.listen, &guest::node(MediaKind::Video).unwrap(), None).unwrap();
    for _ in 0..2 {
        other.send(Open { content_id }).unwrap();
        other.send(Open { content_id }).unwrap();
        assert_eq!(told(&mut other, 3).unwrap(), ["open", "have", "have"]);
        other.send(Close { content_id }).unwrap();
        other.send(Close { content_id }).unwrap();
        assert_eq!(told(&mut other, 1).unwrap(), ["close"]);
    }
    other.send(Open { content_id }).unwrap();
    assert_eq!(told(&mut other, 2).unwrap(), ["open", "have"]);
}

/// The next so many things that are said.
fn told(guest: &mut Guest, count: usize) -> Result<Vec<&'static str>> {
    let said = |message| match message {
        Some(Message::Peer(PeerMessage::Open(_))) => "open",
        Some(Message::Peer(PeerMessage::Close(_))) => "close",
        Some(Message::Peer(PeerMessage::Have(_))) => "have",
        Some(_) => "something else",
        None => "nothing",
    };
    (0..count).map(|_| Ok(said(guest.next(PATIENCE)?.map(|frame| frame.message)))).collect()
}
