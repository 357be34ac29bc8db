//! A source that serves wrong bytes.

use std::{
    net::SocketAddr,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use benches::harness::{
    Lab, PeerSpec, await_until,
    guest::Guest,
    http,
    liar::{Liar, entry_of},
    media,
};
use shared::{
    limits::INITIAL_CREDIT_BYTES,
    snapshot::{NetworkFile, StreamSnapshot},
};

/// Chunks the liar serves as they are, so that it is trusted when it begins to lie.
const HONEST_CHUNKS: u64 = 3;

#[test]
fn a_liar_is_banned_at_its_first_wrong_chunk_and_the_film_is_intact() -> Result<()> {
    let lab = Lab::new()?;
    lab.explain(lie(&lab))
}

fn lie(lab: &Lab) -> Result<()> {
    let film = media::film(10, 6000)?;
    let id = media::content_id(&film)?;
    let tracker = lab.tracker(&[])?;
    let shared = lab.library("shared", &[&film])?;
    // The honest source is slow, so that the liar is asked for much.
    let _honest = lab.peer("honest", &tracker, &PeerSpec::sharer("video", &shared).limited("12M"))?;
    let viewer = lab.peer("viewer", &tracker, &PeerSpec::viewer("video"))?;
    let file: NetworkFile = serde_json::from_value(viewer.await_file("film-10s-6000k.ts", 1)?)?;
    let liar = Liar::start(tracker.addr, &film, entry_of(&file), HONEST_CHUNKS)?;
    viewer.await_file(&file.name, 2)?;

    let begun = Instant::now();
    let mut body = http::open(viewer.gateway, &format!("/stream/{id}"), &[])?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut banned: Option<(Duration, StreamSnapshot)> = None;
    let mut last: Option<StreamSnapshot> = None;
    while body.left_bytes > 0 {
        let read = body.read(&mut buffer).with_context(|| format!("{last:#?}"))?;
        hasher.update(&buffer[..read]);
        // The first picture of a stream comes a little after its first bytes.
        let Ok(stream) = viewer.stream(&id) else { continue };
        let stream: StreamSnapshot = serde_json::from_value(stream)?;
        if banned.is_none() && stream.peers.iter().any(|peer| peer.banned) {
            banned = Some((begun.elapsed(), stream.clone()));
        }
        last = Some(stream);
    }
    ensure!(hasher.finalize().to_hex().as_str() == id, "the bytes differ from the file's");

    let deeds = &liar.deeds;
    let (honest, wrong) = (deeds.honest_chunks.load(Relaxed), deeds.wrong_chunks.load(Relaxed));
    ensure!(wrong > 0, "the liar was never asked beyond its honest chunks: {honest} of {HONEST_CHUNKS}");
    let last = last.context("the stream was looked at")?;
    let (banned_after, at_ban) = banned.with_context(|| format!("nobody was banned: {last:#?}"))?;
    let is_liar = |peer: &&shared::snapshot::PeerSnapshot| peer.node == liar.local.identity.node_id();
    ensure!(at_ban.peers.iter().filter(|peer| peer.banned).all(|peer| is_liar(&peer)), "{at_ban:#?}");
    // The first wrong chunk ends it; what was on its way behind it may be judged too, and credit bounds that: what was granted at first, and
    // as much again for what had come and was not judged yet.
    ensure!(
        (1..=2 * INITIAL_CREDIT_BYTES).contains(&last.corrupt_bytes),
        "{} corrupt bytes were counted, of {wrong} wrong chunks",
        last.corrupt_bytes
    );
    let from_others: u64 =
        last.peers.iter().filter(|peer| !is_liar(peer)).map(|peer| peer.received_bytes).sum();
    ensure!(from_others > 0, "nothing came from the honest source: {last:#?}");

    stays_out(&liar, viewer.listen)?;
    println!(
        "{honest} honest chunks, {wrong} wrong ones sent; banned after {} ms with {} corrupt bytes; {from_others} bytes from others",
        banned_after.as_millis(),
        last.corrupt_bytes
    );
    Ok(())
}

/// The liar is not dialled again, and is turned away where it dials.
fn stays_out(liar: &Liar, viewer: SocketAddr) -> Result<()> {
    let deeds = &liar.deeds;
    let settled = (deeds.sessions.load(Relaxed), deeds.requests.load(Relaxed));
    let quiet = Instant::now();
    await_until("a second without the liar", Duration::from_secs(10), || {
        let now = (deeds.sessions.load(Relaxed), deeds.requests.load(Relaxed));
        ensure!(now == settled, "the liar was asked again: {settled:?} became {now:?}");
        Ok(quiet.elapsed() > Duration::from_secs(1))
    })?;
    let refused = match Guest::at_peer(viewer, &liar.local, None) {
        Err(error) => error.to_string(),
        Ok(mut guest) => {
            // The handshake may end before the ban is looked up, but nothing comes of it.
            let frame = guest.next(Duration::from_secs(3))?;
            ensure!(frame.is_none() && guest.ended().is_some(), "a banned node was let in: {frame:?}");
            format!("{:?}", guest.ended())
        }
    };
    println!("the liar came back and heard: {refused}");
    Ok(())
}
