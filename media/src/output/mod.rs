//! Where sound goes, and what time it is.
//!
//! One kira `Sound` of our own ([`sound`]) is fed from a lock-free ring and says, chunk by chunk, which moment of the
//! media is heard when ([`clock`]). It is driven by one of our own kira backends: a device ([`device`]), a paced
//! silent clock or a capture to WAV ([`paced`]), or a renderer stepped by hand in virtual time.
//!
//! Invariant: there is always an output. A missing device is a silent clock, never an error for the player.

pub(crate) mod clock;
mod device;
mod paced;
pub(crate) mod sound;
mod wav;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kira::{
    AudioManager, AudioManagerSettings, Capacities, Decibels, Tween, backend::Backend, backend::Renderer,
};

use self::{
    clock::TimeSource,
    device::{DeviceBackend, DeviceSettings},
    paced::{PacedBackend, PacedSettings, SlotBackend},
    sound::{PcmCore, PcmData, SoundShared},
    wav::WavWriter,
};

/// Sample rate of outputs that have no device to ask.
pub(crate) const VIRTUAL_RATE_HZ: u32 = 48_000;
/// Not every host says that its device is gone; one that has not called back for so long is.
const DEVICE_PATIENCE_US: i64 = 2_000_000;
/// Frames per step in virtual time: 5 ms.
const STEP_FRAMES: usize = 240;

/// Where the player's sound goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OutputChoice {
    /// The sound device, or a paced silent clock where there is none.
    #[default]
    Auto,
    /// Paced and silent.
    Null,
    /// Paced, and written to a WAV file whose first sample is the moment the player was opened.
    Capture(PathBuf),
    /// Like `Capture`, but as fast as decoding allows: time itself waits for every frame, so nothing is ever late.
    CaptureUnpaced(PathBuf),
}

/// A running output.
pub(crate) struct Output {
    manager: Manager,
    rate_hz: u32,
    opened_at_us: i64,
    lost: Arc<AtomicBool>,
}

enum Manager {
    Device(AudioManager<DeviceBackend>),
    Paced(AudioManager<PacedBackend>),
    Stepped(AudioManager<SlotBackend>, Stepper),
    None,
}

/// Virtual time's engine: renders one step of sound each time it is told to.
struct Stepper {
    slot: Arc<Mutex<Option<Renderer>>>,
    wav: Option<WavWriter>,
    buffer: Vec<f32>,
}

impl Output {
    /// Opens what is asked for, or the silent clock in its place.
    pub(crate) fn open(
        choice: &OutputChoice,
        audible: bool,
        core: &Arc<Mutex<PcmCore>>,
        shared: &Arc<SoundShared>,
        time: &TimeSource,
    ) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        if *choice == OutputChoice::Auto && audible {
            let settings =
                DeviceSettings { shared: Arc::clone(shared), time: time.clone(), lost: Arc::clone(&lost) };
            match manager::<DeviceBackend>(settings, core, shared) {
                Ok(manager) => {
                    let rate_hz = shared.rate_hz();
                    tracing::info!(rate_hz, "playing through the sound device");
                    let opened_at_us = time.now_us();
                    return Self { manager: Manager::Device(manager), rate_hz, opened_at_us, lost };
                }
                Err(error) => tracing::warn!(error, "no sound output: playing silently"),
            }
        }
        shared.set_rate_hz(VIRTUAL_RATE_HZ);
        let manager = match choice {
            OutputChoice::CaptureUnpaced(path) => {
                let slot = Arc::new(Mutex::new(None));
                let wav = open_wav(path);
                let buffer = vec![0.0; STEP_FRAMES * 2];
                let stepper = Stepper { slot: Arc::clone(&slot), wav, buffer };
                manager::<SlotBackend>(slot, core, shared).map(|manager| Manager::Stepped(manager, stepper))
            }
            OutputChoice::Auto | OutputChoice::Null | OutputChoice::Capture(_) => {
                let wav = if let OutputChoice::Capture(path) = choice { open_wav(path) } else { None };
                manager::<PacedBackend>(
                    PacedSettings { shared: Arc::clone(shared), wav, time: time.clone() },
                    core,
                    shared,
                )
                .map(Manager::Paced)
            }
        };
        // Neither virtual backend can fail: a failure here is a full kira arena in a brand-new manager.
        let manager = manager.unwrap_or_else(|error| {
            tracing::error!(error, "the silent clock does not start");
            Manager::None
        });
        Self { manager, rate_hz: VIRTUAL_RATE_HZ, opened_at_us: time.now_us(), lost }
    }

    pub(crate) fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// What the user is told.
    pub(crate) fn name(&self) -> &'static str {
        match &self.manager {
            Manager::Device(_) => "device",
            Manager::Paced(_) => "silent clock",
            Manager::Stepped(..) => "virtual time",
            Manager::None => "none",
        }
    }

    /// The device has gone away, or says nothing any more; open another output.
    pub(crate) fn is_lost(&self, shared: &SoundShared, now_us: i64) -> bool {
        let is_device = matches!(self.manager, Manager::Device(_));
        let silent_since_us = shared.last_callback_us().max(self.opened_at_us);
        is_device && (self.lost.load(Ordering::SeqCst) || now_us - silent_since_us > DEVICE_PATIENCE_US)
    }

    /// Moves to a new loudness over a few milliseconds, so that nothing clicks.
    pub(crate) fn set_volume(&mut self, volume: f32, muted: bool) {
        let decibels = loudness(if muted { 0.0 } else { volume });
        let tween = Tween { duration: Duration::from_millis(15), ..Tween::default() };
        match &mut self.manager {
            Manager::Device(manager) => manager.main_track().set_volume(decibels, tween),
            Manager::Paced(manager) => manager.main_track().set_volume(decibels, tween),
            Manager::Stepped(manager, _) => manager.main_track().set_volume(decibels, tween),
            Manager::None => {}
        }
    }

    /// In virtual time, renders one step and moves time on by it if `advance`; elsewhere does nothing.
    pub(crate) fn step(&mut self, shared: &SoundShared, time: &TimeSource, advance: bool) {
        let Manager::Stepped(_, stepper) = &mut self.manager else { return };
        let mut slot = stepper.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(renderer) = slot.as_mut() else { return };
        shared.begin_callback(time.now_us(), 0);
        renderer.on_start_processing();
        renderer.process(&mut stepper.buffer, 2);
        if !advance {
            return;
        }
        if let Some(wav) = stepper.wav.as_mut() {
            wav.write(&stepper.buffer);
        }
        time.advance_us(STEP_FRAMES as i64 * 1_000_000 / i64::from(VIRTUAL_RATE_HZ));
    }
}

/// One sound on one track is all there ever is.
fn small_capacities() -> Capacities {
    Capacities {
        sub_track_capacity: 1,
        send_track_capacity: 1,
        clock_capacity: 1,
        modulator_capacity: 1,
        listener_capacity: 1,
    }
}

fn manager<B>(
    settings: B::Settings,
    core: &Arc<Mutex<PcmCore>>,
    shared: &Arc<SoundShared>,
) -> Result<AudioManager<B>, String>
where
    B: Backend,
    B::Error: std::fmt::Display,
{
    let mut manager = AudioManager::<B>::new(AudioManagerSettings {
        capacities: small_capacities(),
        main_track_builder: kira::track::MainTrackBuilder::default(),
        internal_buffer_size: 128,
        backend_settings: settings,
    })
    .map_err(|error| error.to_string())?;
    let data = PcmData { core: Arc::clone(core), shared: Arc::clone(shared) };
    manager.play(data).map_err(|error| error.to_string())?;
    Ok(manager)
}

fn open_wav(path: &std::path::Path) -> Option<WavWriter> {
    match WavWriter::create(path, VIRTUAL_RATE_HZ) {
        Ok(wav) => Some(wav),
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "the capture file cannot be written");
            None
        }
    }
}

/// Loudness as people hear it: half the slider is about half as loud.
fn loudness(volume: f32) -> Decibels {
    if volume <= 0.01 { Decibels::SILENCE } else { Decibels(40.0 * volume.min(1.3).log10()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_slider_runs_from_silence_over_unity_to_a_little_more() {
        assert_eq!(loudness(0.0), Decibels::SILENCE);
        assert!(loudness(1.0).0.abs() < 1e-4);
        assert!((loudness(0.5).0 + 12.04).abs() < 0.1);
        assert!(loudness(1.3).0 > 4.0 && loudness(9.0).0 < 5.0);
    }
}
