//! How loud a file is where: a small row of bars that a seek bar can draw.
//!
//! Invariant: [`WAVEFORM_BARS`] bars or none at all; the loudest bar is 255. Every packet is read and few are decoded: a bar is a taste of
//! its stretch, so that an hour costs a second or two. Never fails: what cannot be decoded is silence.

use std::path::Path;

use crate::{
    decode::{AudioDecoder, Samples},
    error::MediaError,
    input::Media,
    probe::{LoggingFile, ReadLog},
    time::ticks_to_us,
};

/// Bars of a waveform.
pub const WAVEFORM_BARS: usize = 300;
/// Sound that is decoded for each bar.
const TASTE_US: i64 = 150_000;

/// The loudness of `WAVEFORM_BARS` stretches of a complete local file, the loudest 255; empty without sound, without a known length, or
/// once `cancelled` says so, which is asked at every read.
pub fn waveform(
    path: &Path,
    duration_ms: u64,
    cancelled: impl Fn() -> bool + Clone + Send + 'static,
) -> Vec<u8> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let make = || LoggingFile::open(path, ReadLog::default());
    let Ok(mut media) = Media::open(make, &name, cancelled.clone()) else { return Vec::new() };
    let mut bars = Bars::new(duration_ms);
    listen(&mut media, &mut bars);
    if cancelled() { Vec::new() } else { bars.finish() }
}

fn listen(media: &mut Media, bars: &mut Bars) {
    let Some(track) = media.audio.take() else { return };
    let index = track.index;
    let rate_hz = track.decoder.rate().max(8_000);
    let Some(time_base) = media.input.stream(index).map(|stream| stream.time_base()) else { return };
    crate::ffi::keep_only_streams(&mut media.input, &[index]);
    let base_us = media.base_us;
    let mut decoder = AudioDecoder::new(track, media.time_line(), rate_hz);
    let mut at_us = 0;
    loop {
        let packet = match media.read_packet() {
            Ok(packet) if packet.stream() == index => packet,
            Ok(_) | Err(MediaError::InvalidData) => continue,
            Err(_) => return,
        };
        if let Some(ticks) = packet.pts().or_else(|| packet.dts()) {
            at_us = ticks_to_us(ticks, time_base) - base_us;
        }
        if !bars.wants(at_us) {
            continue;
        }
        // A packet after a gap may not decode; the next one will.
        if decoder.send(Some(&packet)).is_ok() {
            while let Ok(Some(samples)) = decoder.receive() {
                bars.add(at_us, rate_hz, &samples);
            }
        }
    }
}

/// The sound of each stretch so far.
struct Bars {
    duration_us: i64,
    /// Sum of squares, and how many.
    bars: Vec<(f64, u64)>,
    heard_us: Vec<i64>,
}

impl Bars {
    fn new(duration_ms: u64) -> Self {
        let duration_us = i64::try_from(duration_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Self { duration_us, bars: vec![(0.0, 0); WAVEFORM_BARS], heard_us: vec![0; WAVEFORM_BARS] }
    }

    fn bar(&self, at_us: i64) -> Option<usize> {
        let at_us = u128::try_from(at_us).ok()?;
        let whole_us = u128::try_from(self.duration_us).ok().filter(|whole| *whole > 0)?;
        usize::try_from(at_us * WAVEFORM_BARS as u128 / whole_us).ok().filter(|bar| *bar < WAVEFORM_BARS)
    }

    /// Whether what begins at `at_us` is worth decoding.
    fn wants(&self, at_us: i64) -> bool {
        self.bar(at_us).is_some_and(|bar| self.heard_us[bar] < TASTE_US)
    }

    fn add(&mut self, packet_us: i64, rate_hz: u32, samples: &Samples) {
        let start_us = samples.pts_us.unwrap_or(packet_us);
        let us_of = |sample: usize| sample as i64 * 1_000_000 / i64::from(rate_hz.max(1));
        for (number, (left, right)) in samples.frames.iter().enumerate() {
            let Some(bar) = self.bar(start_us.saturating_add(us_of(number))) else { continue };
            let power = f64::from(left * left + right * right) / 2.0;
            if power.is_finite() {
                self.bars[bar].0 += power;
                self.bars[bar].1 += 1;
            }
        }
        if let Some(bar) = self.bar(start_us) {
            self.heard_us[bar] += us_of(samples.frames.len());
        }
    }

    fn finish(self) -> Vec<u8> {
        let loudness = |(sum, count): &(f64, u64)| (sum / (*count).max(1) as f64).sqrt();
        let loudest = self.bars.iter().map(loudness).fold(0.0, f64::max);
        // Below the last bit of sixteen there is nothing to draw.
        if loudest < 1.0 / 32_768.0 {
            return Vec::new();
        }
        self.bars.iter().map(|bar| (loudness(bar) / loudest * 255.0).round() as u8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_unknown_length_or_without_sound_has_none() {
        let mut unknown = Bars::new(0);
        unknown.add(0, 8_000, &sound(0.5, 8_000));
        assert_eq!(unknown.finish(), Vec::<u8>::new());
        let mut silent = Bars::new(3_000);
        silent.add(0, 8_000, &sound(0.0, 8_000));
        assert_eq!(silent.finish(), Vec::<u8>::new());
    }

    #[test]
    fn a_stretch_is_tasted_and_then_skipped() {
        let mut bars = Bars::new(300_000);
        assert!(bars.wants(0) && bars.wants(299_999_999));
        assert!(!bars.wants(-1) && !bars.wants(300_000_000));
        bars.add(0, 8_000, &sound(0.5, 1_600));
        assert!(!bars.wants(500_000) && bars.wants(1_000_000));
    }

    #[test]
    fn what_is_no_number_is_not_counted() {
        let mut bars = Bars::new(300);
        bars.add(0, 1_000, &sound(f32::NAN, 300));
        bars.add(0, 1_000, &sound(f32::INFINITY, 300));
        assert_eq!(bars.finish(), Vec::<u8>::new());
    }

    fn sound(level: f32, count: usize) -> Samples {
        Samples { pts_us: Some(0), frames: vec![(level, level); count] }
    }
}
