//! Many light viewers of one peer in one process, and how long its control messages take meanwhile.
//!
//! ```text
//! rusteze-load ADDR:PORT audio|video CONTENT_ID SIZE_BYTES VIEWERS RATE_BPS SECONDS
//! ```
//!
//! Each viewer is a session of its own that asks for 64 KiB at a time at a place of its own, at the rate of the media. Beside them a few
//! sessions ask every 20 ms what the peer holds, which goes through all its actors, and time the answer. Prints one JSON object.
//! A hundred real peers would be a test of the machine: here the source is what works.

use std::{
    env,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use benches::harness::guest::{self, Guest};
use shared::{
    ContentId, LeafRange, MediaKind,
    limits::LEAF_BYTES,
    wire::{Message, Open, PeerMessage, Request, WantedChunk},
};

/// Leaves a viewer asks for at once.
const CHUNK_LEAVES: u32 = 4;
const CHUNK_BYTES: u64 = CHUNK_LEAVES as u64 * LEAF_BYTES;
const ASKERS: u32 = 4;
const ASK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

/// What is viewed, and how.
#[derive(Debug, Clone, Copy)]
struct Task {
    addr: SocketAddr,
    kind: MediaKind,
    content_id: ContentId,
    size_bytes: u64,
    viewers: u32,
    rate_bps: u64,
    lasts: Duration,
}

/// What all threads share.
#[derive(Debug, Default)]
struct Shared {
    served_bytes: AtomicU64,
    late_chunks: AtomicU64,
    is_over: AtomicBool,
}

#[expect(clippy::print_stdout, reason = "the result of the program")]
fn main() -> Result<()> {
    let task = Task::from_args()?;
    let shared = Arc::new(Shared::default());
    let viewers: Vec<JoinHandle<Result<()>>> = (0..task.viewers)
        .map(|number| spawn(&shared, move |shared| view(task, number, shared)))
        .collect::<Result<_>>()?;
    let askers: Vec<JoinHandle<Result<Vec<u64>>>> =
        (0..ASKERS).map(|_| spawn(&shared, move |shared| ask(task, shared))).collect::<Result<_>>()?;
    let begun = Instant::now();
    thread::sleep(task.lasts);
    shared.is_over.store(true, Ordering::Relaxed);
    let seconds = begun.elapsed().as_secs_f64();
    let served_bytes = shared.served_bytes.load(Ordering::Relaxed);
    for viewer in viewers {
        join(viewer)?;
    }
    let mut took_us = Vec::new();
    for asker in askers {
        took_us.extend(join(asker)?);
    }
    took_us.sort_unstable();
    ensure!(!took_us.is_empty(), "nothing was answered");
    let at = |share: usize| took_us[(took_us.len() - 1) * share / 100];
    let late = shared.late_chunks.load(Ordering::Relaxed);
    println!(
        "{{\"samples\": {}, \"median_us\": {}, \"p99_us\": {}, \"worst_us\": {}, \"served_bytes_per_s\": {:.0}, \"late_chunks\": {late}}}",
        took_us.len(),
        at(50),
        at(99),
        at(100),
        served_bytes as f64 / seconds,
    );
    Ok(())
}

impl Task {
    fn from_args() -> Result<Self> {
        let words: Vec<String> = env::args().skip(1).collect();
        let [addr, kind, content_id, size_bytes, viewers, rate_bps, seconds] = words.as_slice() else {
            return Err(anyhow!("seven arguments are needed: see the head of benches/compare/load.rs"));
        };
        let kind = if kind == "audio" { MediaKind::Audio } else { MediaKind::Video };
        Ok(Self {
            addr: addr.parse()?,
            kind,
            content_id: content_id.parse().map_err(|_| anyhow!("{content_id} is no content id"))?,
            size_bytes: size_bytes.parse()?,
            viewers: viewers.parse()?,
            rate_bps: rate_bps.parse()?,
            lasts: Duration::from_secs(seconds.parse()?),
        })
    }
}

/// One viewer in real time, at its own place of the content.
fn view(task: Task, number: u32, shared: &Shared) -> Result<()> {
    let mut guest = Guest::at_peer(task.addr, &guest::node(task.kind)?, None)?;
    guest.send(Open { content_id: task.content_id })?;
    let chunks = u32::try_from(task.size_bytes / CHUNK_BYTES)?;
    let first = u32::try_from(u64::from(chunks) * u64::from(number) / u64::from(task.viewers))?;
    let period = Duration::from_secs_f64(CHUNK_BYTES as f64 * 8.0 / task.rate_bps as f64);
    // Viewers do not all ask in the same moment.
    let mut due = Instant::now() + period.mul_f64(f64::from(number) / f64::from(task.viewers));
    for id in 0.. {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if shared.is_over.load(Ordering::Relaxed) {
            break;
        }
        let leaves = LeafRange::new((first + id) % chunks * CHUNK_LEAVES, CHUNK_LEAVES);
        let deadline_ms = i32::try_from(period.as_millis())?;
        guest.send(Request {
            content_id: task.content_id,
            epoch: 0,
            starting: false,
            chunks: vec![WantedChunk::new(id, leaves, deadline_ms)],
        })?;
        await_message(&mut guest, |message| {
            matches!(message, PeerMessage::Data(data) if data.id == id).then_some(())
        })?;
        shared.served_bytes.fetch_add(CHUNK_BYTES, Ordering::Relaxed);
        due += period;
        if Instant::now() > due {
            shared.late_chunks.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// How long the peer took each time to say what it holds, in microseconds.
fn ask(task: Task, shared: &Shared) -> Result<Vec<u64>> {
    let mut guest = Guest::at_peer(task.addr, &guest::node(task.kind)?, None)?;
    let mut took_us = Vec::new();
    while !shared.is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        guest.send(Open { content_id: task.content_id })?;
        await_message(&mut guest, |message| matches!(message, PeerMessage::Have(_)).then_some(()))?;
        took_us.push(u64::try_from(begun.elapsed().as_micros())?);
        thread::sleep(ASK_EVERY.saturating_sub(begun.elapsed()));
    }
    Ok(took_us)
}

/// Waits for a message that `pick` takes; others are passed over.
fn await_message<T>(guest: &mut Guest, pick: impl Fn(&PeerMessage) -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let frame = guest.next(deadline.saturating_duration_since(Instant::now()))?;
        let frame = frame.with_context(|| format!("no answer; the session: {:?}", guest.ended()))?;
        if let Message::Peer(message) = &frame.message
            && let Some(picked) = pick(message)
        {
            return Ok(picked);
        }
    }
}

fn spawn<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
) -> Result<JoinHandle<Result<T>>> {
    let shared = shared.clone();
    Ok(thread::Builder::new().name("guest".into()).stack_size(512 << 10).spawn(move || work(&shared))?)
}

fn join<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a guest panicked"))?
}
