//! Outputs without a device: one paced by the wall clock, one stepped by hand.
//!
//! Invariants: a paced output renders a little ahead, as a device does, so that a late thread is not heard; after a
//! long pause of the whole machine it continues instead of racing to catch up.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use kira::backend::{Backend, Renderer};

use super::{VIRTUAL_RATE_HZ, sound::SoundShared, wav::WavWriter};

/// Frames per callback: 10 ms.
const CALLBACK_FRAMES: usize = 480;
/// How far ahead of being heard sound is rendered.
const AHEAD: Duration = Duration::from_millis(40);
const PERIOD: Duration = Duration::from_millis(10);
/// A gap longer than this is skipped, not made up for.
const MAX_CATCH_UP: Duration = Duration::from_millis(500);

pub(crate) struct PacedSettings {
    pub(crate) shared: Arc<SoundShared>,
    pub(crate) wav: Option<WavWriter>,
    pub(crate) time: super::clock::TimeSource,
}

/// Consumes sound at the pace of the wall clock.
pub(crate) struct PacedBackend {
    settings: Option<PacedSettings>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Backend for PacedBackend {
    type Settings = PacedSettings;
    type Error = Infallible;

    fn setup(settings: PacedSettings, _internal_buffer_size: usize) -> Result<(Self, u32), Infallible> {
        let stop = Arc::new(AtomicBool::new(false));
        Ok((Self { settings: Some(settings), stop, thread: None }, VIRTUAL_RATE_HZ))
    }

    fn start(&mut self, renderer: Renderer) -> Result<(), Infallible> {
        let Some(settings) = self.settings.take() else { return Ok(()) };
        let stop = Arc::clone(&self.stop);
        let spawned = thread::Builder::new()
            .name("media-silent-clock".to_owned())
            .spawn(move || run(renderer, settings, &stop));
        match spawned {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => tracing::error!(%error, "the silent clock has no thread"),
        }
        Ok(())
    }
}

impl Drop for PacedBackend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the silent clock panicked");
        }
    }
}

fn run(mut renderer: Renderer, settings: PacedSettings, stop: &AtomicBool) {
    let PacedSettings { shared, mut wav, time } = settings;
    let mut buffer = vec![0.0; CALLBACK_FRAMES * 2];
    let started_us = time.now_us();
    if let Some(wav) = wav.as_mut() {
        // So that a sample's place in the file is its time since the player was opened.
        let lead_frames = started_us.max(0) * i64::from(VIRTUAL_RATE_HZ) / 1_000_000;
        wav.write(&vec![0.0; lead_frames as usize * 2]);
    }
    let mut origin = Instant::now();
    let mut origin_us = started_us;
    let mut rendered = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        let heard = Duration::from_micros(rendered * 1_000_000 / u64::from(VIRTUAL_RATE_HZ));
        let elapsed = origin.elapsed();
        if elapsed > heard + MAX_CATCH_UP {
            let gap = elapsed - heard;
            origin += gap;
            origin_us += gap.as_micros() as i64;
        } else if heard < elapsed + AHEAD {
            let heard_at_us = origin_us + heard.as_micros() as i64;
            let now_us = time.now_us();
            shared.begin_callback(now_us, heard_at_us - now_us);
            renderer.on_start_processing();
            renderer.process(&mut buffer, 2);
            if let Some(wav) = wav.as_mut() {
                wav.write(&buffer);
            }
            rendered += CALLBACK_FRAMES as u64;
        } else {
            thread::sleep(PERIOD);
        }
    }
}

/// Keeps the renderer where its owner can step it.
pub(crate) struct SlotBackend {
    slot: Arc<Mutex<Option<Renderer>>>,
}

impl Backend for SlotBackend {
    type Settings = Arc<Mutex<Option<Renderer>>>;
    type Error = Infallible;

    fn setup(slot: Self::Settings, _internal_buffer_size: usize) -> Result<(Self, u32), Infallible> {
        Ok((Self { slot }, VIRTUAL_RATE_HZ))
    }

    fn start(&mut self, renderer: Renderer) -> Result<(), Infallible> {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(renderer);
        Ok(())
    }
}
