//! A viewer that takes bytes as a player would: some ahead, then at the media's own rate; it notices every gap.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

use super::http;

/// A viewing in progress, on a thread of its own.
#[derive(Debug)]
pub struct Viewing {
    read_bytes: Arc<AtomicU64>,
    thread: JoinHandle<Result<Viewed>>,
}

/// What a viewing was like.
#[derive(Debug)]
pub struct Viewed {
    /// Every byte, in order.
    pub bytes: Vec<u8>,
    /// From asking to the first byte.
    pub first_byte: Duration,
    /// Times the player ran dry, with how far in and how long.
    pub gaps: Vec<(Duration, Duration)>,
    /// How long the viewing took.
    pub took: Duration,
}

/// Begins to view a content at `rate_bps`, with `ahead` of media taken before the picture starts.
pub fn view(gateway: SocketAddr, content_id: &str, rate_bps: u64, ahead: Duration) -> Result<Viewing> {
    let read_bytes = Arc::new(AtomicU64::new(0));
    let counter = read_bytes.clone();
    let path = format!("/stream/{content_id}");
    let thread = std::thread::Builder::new()
        .name("viewing".into())
        .spawn(move || play(gateway, &path, rate_bps, ahead, &counter))?;
    Ok(Viewing { read_bytes, thread })
}

impl Viewing {
    /// Bytes taken so far.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// Whether it has ended, well or not.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end.
    pub fn finish(self) -> Result<Viewed> {
        self.thread.join().map_err(|_| anyhow!("the viewing panicked"))?
    }
}

fn play(
    gateway: SocketAddr,
    path: &str,
    rate_bps: u64,
    ahead: Duration,
    counter: &AtomicU64,
) -> Result<Viewed> {
    let begun = Instant::now();
    let mut body = http::open(gateway, path, &[])?;
    body.head = body.head.expect(200)?;
    let mut viewed =
        Viewed { bytes: Vec::new(), first_byte: Duration::ZERO, gaps: Vec::new(), took: Duration::ZERO };
    let mut buffer = vec![0; 32 * 1024];
    let media_time = |bytes: usize| Duration::from_micros(bytes as u64 * 8_000_000 / rate_bps.max(1));
    // When the picture with media time 0 was shown; later after every gap.
    let mut shown_from: Option<Instant> = None;
    loop {
        let read = body.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        if viewed.bytes.is_empty() {
            viewed.first_byte = begun.elapsed();
        }
        let held_before = media_time(viewed.bytes.len());
        viewed.bytes.extend_from_slice(&buffer[..read]);
        counter.store(viewed.bytes.len() as u64, Ordering::Relaxed);
        match shown_from {
            None if media_time(viewed.bytes.len()) >= ahead => shown_from = Some(Instant::now()),
            None => {}
            Some(from) => {
                let playhead = from.elapsed();
                if playhead > held_before {
                    viewed.gaps.push((held_before, playhead - held_before));
                    shown_from = Some(from + (playhead - held_before));
                }
                let surplus = media_time(viewed.bytes.len()).saturating_sub(from.elapsed());
                std::thread::sleep(surplus.saturating_sub(ahead));
            }
        }
    }
    viewed.took = begun.elapsed();
    Ok(viewed)
}
