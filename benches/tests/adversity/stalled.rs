//! Viewers that ask for a whole film and never read it, while others want the same film.
//!
//! They are real sessions: keys proved, credit without end granted, pinging, so that nothing but their not reading gives them away.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use benches::harness::{
    Lab, Peer, PeerSpec, Tracker,
    guest::{self, Guest},
    media,
};
use shared::{
    ContentId, LeafRange, MediaKind,
    limits::{
        IDLE_BUFFER_BYTES, LINK_INBOUND_BYTES, LINK_OUTBOUND_BYTES, MAX_FRAME_BYTES, MAX_REQUEST_BATCH,
        SILENCE_TIMEOUT_MS,
    },
    units::leaf_count,
    wire::{Credit, Open, PeerMessage, Ping, Request, WantedChunk},
};

const FILM: (u32, u32) = (40, 12_000);
const STALLED: usize = 12;
/// The largest chunk: each of them may wait in memory.
const CHUNK_LEAVES: u32 = 64;
/// How often they say that they live.
const PING: Duration = Duration::from_secs(2);
/// What a program may take beyond what its links do: pools, threads, whoever else is served.
const SLACK_BYTES: u64 = 48 << 20;
/// What one more transfer may take of a busy machine's time, beside what it took alone.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn viewers_that_never_read_cost_their_source_bounded_memory_and_nobody_else_anything() -> Result<()> {
    let lab = Lab::new()?;
    lab.explain(stall(&lab))
}

fn stall(lab: &Lab) -> Result<()> {
    let film = media::film(FILM.0, FILM.1)?;
    let size_bytes = film.metadata()?.len();
    let id = media::content_id(&film)?;
    let content_id: ContentId = id.parse()?;
    let tracker = lab.tracker(&[])?;
    let shared = lab.library("shared", &[&film])?;
    let source = lab.peer("source", &tracker, &PeerSpec::sharer("video", &shared))?;
    source.await_file(&format!("film-{}s-{}k.ts", FILM.0, FILM.1), 1)?;
    // What serving takes by itself is there before: threads, pools, open files.
    let alone = fetch(lab, "first", &tracker, &id)?;
    let before_bytes = source.program.rss_bytes()?;

    // Every other one lies about what it received, so that the source believes its link to be empty.
    let mut stalled = (0..STALLED as u64)
        .map(|number| ask_for_all(&source, content_id, size_bytes, (number % 2) << 40))
        .collect::<Result<Vec<Guest>>>()?;
    let begun = Instant::now();
    let beside = fetch(lab, "second", &tracker, &id)?;
    let answer = ask_once(&source, content_id)?;
    let lived = outlive(&mut stalled, begun)?;

    let grown_bytes = source.program.peak_rss_bytes()?.saturating_sub(before_bytes);
    let link_bytes = LINK_OUTBOUND_BYTES + LINK_INBOUND_BYTES + MAX_FRAME_BYTES;
    let bound_bytes = (STALLED * link_bytes + IDLE_BUFFER_BYTES) as u64 + SLACK_BYTES;
    println!(
        "{STALLED} viewers asked for {} MiB each and never read: the source grew by {} MiB (bound {}); a transfer took {beside:.1?} \
         beside them and {alone:.1?} alone, an answer {answer:.1?}; they were cut after {lived:.1?} at the most",
        size_bytes >> 20,
        grown_bytes >> 20,
        bound_bytes >> 20
    );
    ensure!(bound_bytes < STALLED as u64 * size_bytes / 4, "the bound says nothing about a film this short");
    ensure!(grown_bytes < bound_bytes, "the source grew by {grown_bytes} bytes");
    source.program.check_alive()
}

/// A whole film by `rusteze-peer get`, and how long that took.
fn fetch(lab: &Lab, name: &str, tracker: &Tracker, id: &str) -> Result<Duration> {
    let out = lab.folder("fetched")?.join(name);
    let begun = Instant::now();
    let status = lab.get(name, tracker, &PeerSpec::viewer("video"), id, &out)?.wait(PATIENCE)?;
    ensure!(status.success(), "{name}: {status}");
    ensure!(media::content_id(&out)? == id, "the bytes differ from the film's");
    Ok(begun.elapsed())
}

/// Asks for as much as may be asked for at once, grants credit without end, says to have received so much, and reads
/// nothing from then on.
fn ask_for_all(source: &Peer, content_id: ContentId, size_bytes: u64, received_bytes: u64) -> Result<Guest> {
    let mut guest = Guest::at_peer(source.listen, &guest::node(MediaKind::Video)?, Some(4096))?;
    guest.send(Open { content_id })?;
    guest.send(Credit { granted_bytes: 1 << 40, received_bytes, at_ms: 0 })?;
    let chunks: Vec<WantedChunk> = (0..leaf_count(size_bytes) / CHUNK_LEAVES)
        .map(|n| LeafRange::new(n * CHUNK_LEAVES, CHUNK_LEAVES))
        .zip(1..=MAX_REQUEST_BATCH as u32)
        .map(|(leaves, id)| WantedChunk::new(id, leaves, 0))
        .collect();
    guest.send(Request { content_id, epoch: 0, starting: true, chunks })?;
    Ok(guest)
}

/// How long a newcomer waits for a word from the source.
fn ask_once(source: &Peer, content_id: ContentId) -> Result<Duration> {
    let mut guest = Guest::at_peer(source.listen, &guest::node(MediaKind::Video)?, None)?;
    let begun = Instant::now();
    guest.send(Open { content_id })?;
    let answered = guest.await_word(PATIENCE, |message| matches!(message, PeerMessage::Have(_)));
    answered.context("no answer to Open")?;
    Ok(begun.elapsed())
}

/// Pings until every one of them is cut; how long the last one was borne.
fn outlive(stalled: &mut Vec<Guest>, begun: Instant) -> Result<Duration> {
    // Deaf is who takes nothing for the time of a silence; it is looked at with each ping of the source's own.
    let patience = Duration::from_millis(2 * SILENCE_TIMEOUT_MS) + PATIENCE;
    let mut nonce = 0;
    while !stalled.is_empty() {
        ensure!(begun.elapsed() < patience, "{} of them are still borne", stalled.len());
        nonce += 1;
        stalled.retain_mut(|guest| guest.send(Ping { nonce }).is_ok());
        std::thread::sleep(PING);
    }
    Ok(begun.elapsed())
}
