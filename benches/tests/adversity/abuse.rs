//! Strangers that babble, announce the impossible, never finish and never read, while somebody watches a film.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use benches::harness::{
    Lab, PeerSpec, Program, await_until,
    guest::{self, Guest},
    http, media, paced,
    raw::{self, BINARY, Socket},
};
use shared::{
    ContentId, LeafRange, MediaKind,
    limits::{HANDSHAKE_TIMEOUT_MS, MAX_BODY_BYTES, SILENCE_TIMEOUT_MS},
    units::leaf_count,
    wire::{Credit, GetHints, Message, Open, PEER_PATH, PeerMessage, Request, TRACKER_PATH, WantedChunk},
};

const FILM_SECONDS: u32 = 40;
const FILM_KBPS: u32 = 1500;
const JUNK_CONNECTIONS: usize = 10_000;
const JUNK_AT_ONCE: usize = 500;
/// How much a program may grow under attack.
const GROWTH_BYTES: u64 = 150 << 20;
const LONGEST_GAP: Duration = Duration::from_secs(2);
/// On a busy machine a deadline is met a little late.
const LATE: Duration = Duration::from_secs(3);

#[test]
fn attacks_on_tracker_and_source_cost_an_honest_viewer_nothing() -> Result<()> {
    let lab = Lab::new()?;
    lab.explain(attack_and_watch(&lab))
}

fn attack_and_watch(lab: &Lab) -> Result<()> {
    let film = media::film(FILM_SECONDS, FILM_KBPS)?;
    let id = media::content_id(&film)?;
    let tracker = lab.tracker(&[])?;
    let shared = lab.library("shared", &[&film])?;
    // Slow enough that the film arrives all through the attack.
    let source = lab.peer("source", &tracker, &PeerSpec::sharer("video", &shared).limited("3M"))?;
    let viewer = lab.peer("viewer", &tracker, &PeerSpec::viewer("video"))?;
    let file = viewer.await_file(&format!("film-{FILM_SECONDS}s-{FILM_KBPS}k.ts"), 1)?;
    let size_bytes = file["size"].as_u64().context("a size")?;
    let targets =
        [Target { addr: tracker.addr, path: TRACKER_PATH }, Target { addr: source.listen, path: PEER_PATH }];
    let guards = [Guard::new("tracker", &tracker.program)?, Guard::new("source", &source.program)?];

    let rate_bps = size_bytes * 8 / u64::from(FILM_SECONDS);
    let viewing = paced::view(viewer.gateway, &id, rate_bps, Duration::from_secs(3))?;
    await_until("the film to begin", Duration::from_secs(10), || Ok(viewing.read_bytes() > 0))?;

    let content_id: ContentId = id.parse()?;
    let mut attacks: Vec<JoinHandle<Result<String>>> = Vec::new();
    for target in targets {
        attacks.push(attack("babble", move || babble(target))?);
        attacks.push(attack("endless", move || never_finish(target))?);
        attacks.push(attack("junk", move || junk(target, JUNK_CONNECTIONS / 2))?);
    }
    for _ in 0..4 {
        attacks
            .push(attack("deaf viewer", move || ask_and_never_read(source.listen, content_id, size_bytes))?);
        attacks.push(attack("deaf client", move || ping_and_never_read(tracker.addr, content_id))?);
    }
    for running in attacks {
        println!("{}", running.join().map_err(|_| anyhow!("an attack panicked"))??);
    }

    for guard in &guards {
        println!("{}", guard.check()?);
    }
    serves_strangers(targets)?;
    ensure!(!viewing.is_over(), "the film ended before the attacks; they proved nothing");
    let viewed = viewing.finish()?;
    println!("film: first byte after {} ms, gaps {:?}", viewed.first_byte.as_millis(), viewed.gaps);
    ensure!(blake3::hash(&viewed.bytes).to_hex().as_str() == id, "the bytes differ from the file's");
    ensure!(viewed.gaps.iter().all(|(_, gap)| *gap < LONGEST_GAP), "the film stood still: {:?}", viewed.gaps);
    for guard in &guards {
        println!("{}", guard.check()?);
    }
    Ok(())
}

/// An endpoint under attack.
#[derive(Debug, Clone, Copy)]
struct Target {
    addr: SocketAddr,
    path: &'static str,
}

impl Target {
    fn socket(self) -> Result<Socket> {
        Socket::upgrade(self.addr, self.path, None)
    }

    fn guest(self, receive_bytes: Option<usize>) -> Result<Guest> {
        let local = guest::node(MediaKind::Video)?;
        if self.path == TRACKER_PATH {
            Guest::at_tracker(self.addr, &local, receive_bytes)
        } else {
            Guest::at_peer(self.addr, &local, receive_bytes)
        }
    }
}

/// A program that must live, and stay small.
struct Guard<'a> {
    name: &'static str,
    program: &'a Program,
    before_bytes: u64,
}

impl<'a> Guard<'a> {
    fn new(name: &'static str, program: &'a Program) -> Result<Self> {
        Ok(Self { name, program, before_bytes: program.rss_bytes()? })
    }

    fn check(&self) -> Result<String> {
        self.program.check_alive().with_context(|| format!("the {} died", self.name))?;
        let (now, peak) = (self.program.rss_bytes()?, self.program.peak_rss_bytes()?);
        let before = self.before_bytes;
        ensure!(peak < before + GROWTH_BYTES, "the {} grew from {before} to {peak} bytes", self.name);
        let mib = |bytes: u64| bytes >> 20;
        Ok(format!(
            "{}: {} MiB before, {} MiB at most, {} MiB now",
            self.name,
            mib(before),
            mib(peak),
            mib(now)
        ))
    }
}

fn attack(
    name: &'static str,
    run: impl FnOnce() -> Result<String> + Send + 'static,
) -> Result<JoinHandle<Result<String>>> {
    let run = move || run().map(|told| format!("{name}: {told}")).context(name);
    Ok(std::thread::Builder::new().name(name.into()).spawn(run)?)
}

/// What is no WebSocket frame, or no frame of the protocol, ends the connection long before any timeout.
fn babble(target: Target) -> Result<String> {
    let promptly = Duration::from_millis(HANDSHAKE_TIMEOUT_MS) / 2;
    let header =
        |frame_type: u8, body_bytes: u32| [&[frame_type, 0, 0, 0][..], &body_bytes.to_le_bytes()].concat();
    let huge_list =
        [&header(0x22, 16)[..], &[1, 1, 253, 255, 255, 255, 255, 255, 255, 255, 127, 0, 0, 0, 0, 0]].concat();
    let wrong: [(&str, Vec<u8>); 13] = [
        ("a terabyte announced", raw::header(BINARY, 1 << 40)),
        ("the longest length there is", raw::header(BINARY, u64::MAX)),
        ("a terabyte announced as a fragment", raw::header(0x02, 1 << 40)),
        ("a ping of a megabyte", raw::frame(0x89, &vec![0; 1 << 20])),
        ("a reserved opcode", raw::frame(0x8b, b"what?")),
        ("text", raw::frame(0x81, b"hello")),
        ("no mask", vec![BINARY, 4, 1, 2, 3, 4]),
        ("an empty message", raw::frame(BINARY, b"")),
        ("an unknown type", raw::frame(BINARY, &header(0xee, 0))),
        ("a reserved byte that is set", raw::frame(BINARY, &[1, 0, 7, 0, 0, 0, 0, 0])),
        ("a body longer than the message", raw::frame(BINARY, &header(0x01, u32::MAX))),
        ("a list of more than there can be", raw::frame(BINARY, &huge_list)),
        ("noise", raw::frame(BINARY, blake3::hash(b"noise").as_bytes())),
    ];
    let mut slowest = (Duration::ZERO, "");
    for (name, bytes) in &wrong {
        let mut socket = target.socket()?;
        socket.send_raw(bytes).ok();
        let took =
            socket.end_within(promptly).with_context(|| format!("{name} did not end the connection"))?;
        slowest = slowest.max((took, name));
    }
    for (name, bytes) in wrong.iter().filter(|(name, _)| *name != "a ping of a megabyte") {
        let mut guest = target.guest(None)?;
        guest.socket.send_raw(bytes).ok();
        let took =
            guest.socket.end_within(promptly).with_context(|| format!("{name} did not end the session"))?;
        slowest = slowest.max((took, name));
    }
    Ok(format!(
        "{} ways, each ended; the slowest, {}, after {} ms",
        wrong.len(),
        slowest.1,
        slowest.0.as_millis()
    ))
}

/// Frames that go on and on: before the handshake, after it, and as ever more fragments.
fn never_finish(target: Target) -> Result<String> {
    let handshake = Duration::from_millis(HANDSHAKE_TIMEOUT_MS) + LATE;
    let silence = Duration::from_millis(SILENCE_TIMEOUT_MS) + LATE;
    let slow = raw::header(BINARY, 1 << 20);
    let stranger = drip(target.socket()?, &slow, &[7], handshake).context("before the handshake")?;
    let known = drip(target.guest(None)?.socket, &slow, &[7], silence).context("after the handshake")?;
    let fragment = raw::frame(0x00, &[7; 1000]);
    let fragments = drip(target.guest(None)?.socket, &raw::frame(0x02, &[7; 1000]), &fragment, silence)
        .context("fragment by fragment")?;
    let ms = |took: Duration| took.as_millis();
    Ok(format!(
        "ended after {} ms unknown, {} ms known, {} ms in fragments",
        ms(stranger),
        ms(known),
        ms(fragments)
    ))
}

/// Sends `first`, then `part` after `part`, until the other end has had enough; how long that took.
fn drip(mut socket: Socket, first: &[u8], part: &[u8], patience: Duration) -> Result<Duration> {
    let begun = Instant::now();
    let mut sent = socket.send_raw(first);
    while sent.is_ok() {
        ensure!(
            begun.elapsed() < patience,
            "still being listened to after {} ms",
            begun.elapsed().as_millis()
        );
        if socket.end_within(Duration::from_millis(100)).is_some() {
            break;
        }
        sent = socket.send_raw(part);
    }
    Ok(begun.elapsed())
}

/// Connections that say nothing, garbage, or ask for a WebSocket and then say nothing.
fn junk(target: Target, count: usize) -> Result<String> {
    let begun = Instant::now();
    let (mut made, mut refused) = (0, 0);
    let mut held: Vec<TcpStream> = Vec::new();
    while made + refused < count {
        let mut batch = Vec::new();
        for number in 0..JUNK_AT_ONCE {
            // A full backlog is an answer too.
            let Ok(mut stream) = raw::connect(target.addr, None) else {
                refused += 1;
                continue;
            };
            made += 1;
            match number % 3 {
                0 => {}
                1 => drop(stream.write_all(&[number as u8; 300])),
                _ => drop(stream.write_all(raw::upgrade_request(target.addr, target.path).as_bytes())),
            }
            batch.push(stream);
        }
        // The batch before goes only now, so that two are open at a time.
        held = batch;
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(held);
    Ok(format!("{made} connections and {refused} refused in {:.1} s", begun.elapsed().as_secs_f64()))
}

/// Asks a source for all of a film, grants it endless credit, says that all of it came, and reads nothing.
fn ask_and_never_read(source: SocketAddr, content_id: ContentId, size_bytes: u64) -> Result<String> {
    let local = guest::node(MediaKind::Video)?;
    let mut guest = Guest::at_peer(source, &local, Some(4096))?;
    guest.send(Open { content_id })?;
    let answered =
        guest.await_word(Duration::from_secs(5), |message| matches!(message, PeerMessage::Have(_)));
    answered.context("no answer to Open")?;
    let lie = Credit { granted_bytes: 1 << 40, received_bytes: 1 << 40, at_ms: 0 };
    guest.send(lie)?;
    let chunks: Vec<WantedChunk> = (0..leaf_count(size_bytes) / 4)
        .map(|n| WantedChunk::new(n + 1, LeafRange::new(n * 4, 4), 0))
        .collect();
    for chunks in chunks.chunks(100) {
        guest.send(Request { content_id, epoch: 0, starting: true, chunks: chunks.to_vec() })?;
    }
    let told = stay_deaf(&mut guest, lie.into());
    Ok(format!("{} chunks asked for, {told}", chunks.len()))
}

/// Asks a tracker without end, and reads nothing.
fn ping_and_never_read(tracker: SocketAddr, content_id: ContentId) -> Result<String> {
    let mut guest = Guest::at_tracker(tracker, &guest::node(MediaKind::Video)?, Some(4096))?;
    Ok(stay_deaf(&mut guest, GetHints { content_id }.into()))
}

/// Says the same again and again without listening, until the other end hangs up or 12 s have passed.
fn stay_deaf(guest: &mut Guest, message: Message) -> String {
    let begun = Instant::now();
    let mut said = 0;
    let encoded = shared::wire::encode(&message.into());
    while begun.elapsed() < Duration::from_secs(12) {
        if guest.socket.send(&encoded).is_err() {
            return format!("cut off or held back after {said} frames, {} ms", begun.elapsed().as_millis());
        }
        said += 1;
        if said % 100 == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    format!("still tolerated after {said} frames")
}

/// Both endpoints still welcome a stranger who knows how to behave.
fn serves_strangers(targets: [Target; 2]) -> Result<()> {
    let ready = http::get(targets[0].addr, "/ready", &[])?;
    ensure!(ready.status == 200, "the tracker is not ready: {}", ready.status);
    for target in targets {
        let mut last = anyhow!("not tried");
        await_until("a session for a newcomer", Duration::from_secs(10), || match target.guest(None) {
            Ok(_) => Ok(true),
            Err(error) => {
                last = error;
                Ok(false)
            }
        })
        .with_context(|| format!("{target:?}: {last:#}"))?;
    }
    Ok(())
}

const _: () = assert!(MAX_BODY_BYTES < 1 << 20);
