//! The sound device, through kira on cpal.
//!
//! Unlike kira's own backend this one passes on when a callback's sound will be heard, which keeps lips in step, and
//! treats a device that goes away as an event, not a panic. It does not reopen anything itself: the player does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kira::backend::{
    Backend, Renderer,
    cpal::cpal::{
        self, BufferSize, Device, ErrorKind, FromSample, OutputCallbackInfo, SampleFormat, SizedSample,
        Stream, StreamConfig, SupportedBufferSize,
        traits::{DeviceTrait, HostTrait, StreamTrait},
    },
};

use super::{clock::TimeSource, sound::SoundShared};

/// Small enough to react, large enough not to run dry on a busy machine.
const PREFERRED_BUFFER_FRAMES: u32 = 2048;
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct DeviceSettings {
    pub(crate) shared: Arc<SoundShared>,
    pub(crate) time: TimeSource,
    /// Set when the device goes away.
    pub(crate) lost: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error("no default output device")]
    NoDevice,
    #[error("the device wants samples of an unusual kind: {0:?}")]
    Format(SampleFormat),
    #[error("{0}")]
    Cpal(#[from] cpal::Error),
}

pub(crate) struct DeviceBackend {
    settings: DeviceSettings,
    device: Device,
    config: StreamConfig,
    format: SampleFormat,
    // Holding it is what keeps the sound on.
    stream: Option<Stream>,
}

impl Backend for DeviceBackend {
    type Settings = DeviceSettings;
    type Error = DeviceError;

    fn setup(settings: DeviceSettings, _internal_buffer_size: usize) -> Result<(Self, u32), DeviceError> {
        let device = cpal::default_host().default_output_device().ok_or(DeviceError::NoDevice)?;
        let supported = device.default_output_config()?;
        let mut config = supported.config();
        if let SupportedBufferSize::Range { min, max } = *supported.buffer_size()
            && min <= max
        {
            config.buffer_size = BufferSize::Fixed(PREFERRED_BUFFER_FRAMES.clamp(min, max));
        }
        let rate_hz = config.sample_rate;
        settings.shared.set_rate_hz(rate_hz);
        let format = supported.sample_format();
        Ok((Self { settings, device, config, format, stream: None }, rate_hz))
    }

    fn start(&mut self, renderer: Renderer) -> Result<(), DeviceError> {
        let stream = if self.format == SampleFormat::F32 {
            self.build::<f32>(renderer)
        } else if self.format == SampleFormat::I16 {
            self.build::<i16>(renderer)
        } else if self.format == SampleFormat::I32 {
            self.build::<i32>(renderer)
        } else if self.format == SampleFormat::U16 {
            self.build::<u16>(renderer)
        } else if self.format == SampleFormat::U8 {
            self.build::<u8>(renderer)
        } else {
            return Err(DeviceError::Format(self.format));
        }?;
        stream.play()?;
        self.stream = Some(stream);
        Ok(())
    }
}

impl DeviceBackend {
    fn build<T>(&self, mut renderer: Renderer) -> Result<Stream, DeviceError>
    where
        T: SizedSample + FromSample<f32>,
    {
        let channels = self.config.channels;
        let rate_hz = self.config.sample_rate.max(1);
        let (shared, time) = (Arc::clone(&self.settings.shared), self.settings.time.clone());
        let lost = Arc::clone(&self.settings.lost);
        let mut mixed: Vec<f32> = Vec::new();
        let callback = move |out: &mut [T], info: &OutputCallbackInfo| {
            let stamp = info.timestamp();
            let told_us = stamp.playback.saturating_duration_since(stamp.callback).as_micros() as i64;
            let frames = out.len() as i64 / i64::from(channels.max(1));
            // A host that tells nothing has at least the previous buffer still to play.
            let latency_us = if told_us > 0 { told_us } else { frames * 1_000_000 / i64::from(rate_hz) };
            shared.begin_callback(time.now_us(), latency_us);
            // Grows on the first callback only.
            mixed.resize(out.len(), 0.0);
            renderer.on_start_processing();
            renderer.process(&mut mixed, channels);
            for (slot, sample) in out.iter_mut().zip(&mixed) {
                *slot = T::from_sample(*sample);
            }
        };
        let on_error = move |error: cpal::Error| {
            let gone =
                [ErrorKind::DeviceNotAvailable, ErrorKind::StreamInvalidated, ErrorKind::HostUnavailable];
            if gone.contains(&error.kind()) {
                tracing::warn!(%error, "the sound device went away");
                lost.store(true, Ordering::SeqCst);
            } else {
                tracing::debug!(%error, "sound device");
            }
        };
        Ok(self.device.build_output_stream(self.config, callback, on_error, Some(OPEN_TIMEOUT))?)
    }
}
