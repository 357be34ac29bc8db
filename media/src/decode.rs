//! Packets to pictures and samples.
//!
//! Invariants: times leave here in microseconds from the start of the file; sound leaves as interleaved stereo at the
//! output's rate; pictures leave at display size in RGBA. Decoding errors in one packet are reported and survivable.

use ffmpeg_next::{
    ChannelLayout, Discard, Error, Packet, Rational, color, decoder,
    ffi::EAGAIN,
    format::{Pixel, Sample, sample},
    frame,
    software::{resampling, scaling},
};

use crate::{
    error::MediaError,
    ffi,
    frame::VideoFrame,
    geometry::{Rotation, display_size, rotate_rgba},
    input::{AudioTrack, VideoTrack},
    time::{TimeLine, ticks_to_us, us_to_ms},
};

/// A decoded picture in the codec's own format, with its time.
pub(crate) struct Picture {
    pub(crate) pts_us: i64,
    pub(crate) duration_us: i64,
    frame: frame::Video,
}

/// Decodes one video track.
pub(crate) struct VideoDecoder {
    decoder: decoder::Video,
    time_base: Rational,
    line: TimeLine,
    frame_duration_us: i64,
    next_pts_us: Option<i64>,
    economy: bool,
}

impl VideoDecoder {
    pub(crate) fn new(track: VideoTrack, line: TimeLine) -> Self {
        Self {
            decoder: track.decoder,
            time_base: track.time_base,
            line,
            frame_duration_us: track.frame_duration_us,
            next_pts_us: None,
            economy: false,
        }
    }

    /// Feeds one packet, or the end of the stream.
    pub(crate) fn send(&mut self, packet: Option<&Packet>) -> Result<(), MediaError> {
        match packet {
            Some(packet) => Ok(self.decoder.send_packet(packet)?),
            None => Ok(self.decoder.send_eof()?),
        }
    }

    /// Forgets everything in flight: after a seek, and after an end of stream that is played again.
    pub(crate) fn flush(&mut self) {
        self.decoder.flush();
        self.next_pts_us = None;
    }

    /// While on, decodes only pictures that others refer to, and skips the finishing touches.
    pub(crate) fn set_economy(&mut self, on: bool) {
        if on != self.economy {
            self.economy = on;
            let discard = if on { Discard::NonReference } else { Discard::Default };
            self.decoder.skip_frame(discard);
            self.decoder.skip_loop_filter(discard);
            tracing::debug!(on, "decoding economy");
        }
    }

    /// The next finished picture; `None` when more packets are needed first.
    pub(crate) fn receive(&mut self) -> Result<Option<Picture>, MediaError> {
        let mut frame = frame::Video::empty();
        match self.decoder.receive_frame(&mut frame) {
            Ok(()) => {}
            Err(Error::Other { errno }) if errno == EAGAIN => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let stamped = frame.timestamp().and_then(|ticks| self.line.place(ticks, self.time_base));
        let pts_us = stamped.or(self.next_pts_us).unwrap_or(0);
        let ticks = frame.packet().duration;
        let own = if ticks > 0 { ticks_to_us(ticks, self.time_base) } else { 0 };
        let duration_us = if (1_000..10_000_000).contains(&own) { own } else { self.frame_duration_us };
        self.next_pts_us = Some(pts_us + duration_us);
        Ok(Some(Picture { pts_us, duration_us, frame }))
    }
}

/// Turns pictures into RGBA at display size. Not `Send`: it lives on the thread that uses it.
pub(crate) struct Scaler {
    context: Option<(Shape, scaling::Context)>,
    output: frame::Video,
    rotation: Rotation,
    cap: (u32, u32),
    target: Pixel,
}

/// What the scaler was built for; a change in the middle of a stream rebuilds it.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Shape {
    coded: (u32, u32),
    format: Pixel,
    scaled: (u32, u32),
    space: color::Space,
    range: color::Range,
}

impl Scaler {
    pub(crate) fn new(rotation: Rotation, cap: (u32, u32)) -> Self {
        Self { context: None, output: frame::Video::empty(), rotation, cap, target: Pixel::RGBA }
    }

    pub(crate) fn convert(&mut self, picture: &Picture) -> Result<VideoFrame, MediaError> {
        let source = &picture.frame;
        let sar = source.aspect_ratio();
        let coded = (source.width(), source.height());
        if coded.0 == 0 || coded.1 == 0 {
            return Err(MediaError::InvalidData);
        }
        let display = display_size(coded, (sar.numerator(), sar.denominator()), self.rotation, self.cap);
        let told = source.color_space();
        let is_hd = coded.1 >= 720;
        let space = if told == color::Space::Unspecified && is_hd { color::Space::BT709 } else { told };
        let shape = Shape {
            coded,
            format: source.format(),
            scaled: display.scaled,
            space,
            range: source.color_range(),
        };
        self.prepare(shape)?;
        let Some((_, context)) = self.context.as_mut() else { return Err(MediaError::InvalidData) };
        context.run(source, &mut self.output)?;
        let rgba = packed_rows(&self.output, display.scaled);
        Ok(VideoFrame {
            id: 0,
            pts_ms: us_to_ms(picture.pts_us) as i64,
            width: display.shown.0,
            height: display.shown.1,
            rgba: rotate_rgba(rgba, display.scaled, self.rotation),
        })
    }

    fn prepare(&mut self, shape: Shape) -> Result<(), MediaError> {
        if self.context.as_ref().is_some_and(|(current, _)| *current == shape) {
            return Ok(());
        }
        let flags =
            if shape.coded == shape.scaled { scaling::Flags::POINT } else { scaling::Flags::BILINEAR };
        let (coded, scaled) = (shape.coded, shape.scaled);
        let mut context =
            scaling::Context::get(shape.format, coded.0, coded.1, self.target, scaled.0, scaled.1, flags)?;
        ffi::set_source_colours(&mut context, shape.space, shape.range == color::Range::JPEG);
        self.output = frame::Video::empty();
        self.context = Some((shape, context));
        Ok(())
    }
}

/// Copies an RGBA frame's rows without the padding FFmpeg aligns them with.
fn packed_rows(frame: &frame::Video, size: (u32, u32)) -> Vec<u8> {
    let row_bytes = size.0 as usize * 4;
    let stride = frame.stride(0);
    let data = frame.data(0);
    if stride == row_bytes {
        return data.get(..row_bytes * size.1 as usize).unwrap_or(data).to_vec();
    }
    let mut rgba = Vec::with_capacity(row_bytes * size.1 as usize);
    for row in data.chunks(stride.max(1)).take(size.1 as usize) {
        rgba.extend_from_slice(row.get(..row_bytes).unwrap_or(row));
    }
    rgba
}

/// Decoded sound: interleaved stereo, `pts_us` where the container says.
pub(crate) struct Samples {
    pub(crate) pts_us: Option<i64>,
    pub(crate) frames: Vec<(f32, f32)>,
}

/// Decodes one audio track and resamples it to stereo at `rate_hz`.
pub(crate) struct AudioDecoder {
    decoder: decoder::Audio,
    time_base: Rational,
    line: TimeLine,
    rate_hz: u32,
    resampler: Option<(resampling::context::Definition, resampling::Context)>,
}

impl AudioDecoder {
    pub(crate) fn new(track: AudioTrack, line: TimeLine, rate_hz: u32) -> Self {
        Self { decoder: track.decoder, time_base: track.time_base, line, rate_hz, resampler: None }
    }

    /// Feeds one packet, or the end of the stream.
    pub(crate) fn send(&mut self, packet: Option<&Packet>) -> Result<(), MediaError> {
        match packet {
            Some(packet) => Ok(self.decoder.send_packet(packet)?),
            None => Ok(self.decoder.send_eof()?),
        }
    }

    pub(crate) fn flush(&mut self) {
        self.decoder.flush();
        self.resampler = None;
    }

    /// Another output may want another rate.
    pub(crate) fn set_output_rate(&mut self, rate_hz: u32) {
        if rate_hz != self.rate_hz {
            self.rate_hz = rate_hz;
            self.resampler = None;
        }
    }

    /// The next decoded stretch of sound; `None` when more packets are needed first.
    pub(crate) fn receive(&mut self) -> Result<Option<Samples>, MediaError> {
        let mut frame = frame::Audio::empty();
        match self.decoder.receive_frame(&mut frame) {
            Ok(()) => {}
            Err(Error::Other { errno }) if errno == EAGAIN => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let pts_us = frame.timestamp().and_then(|ticks| self.line.place(ticks, self.time_base));
        let frames = self.resample(&mut frame)?;
        Ok(Some(Samples { pts_us, frames }))
    }

    fn resample(&mut self, frame: &mut frame::Audio) -> Result<Vec<(f32, f32)>, MediaError> {
        if frame.samples() == 0 || frame.rate() == 0 {
            return Ok(Vec::new());
        }
        // WAV, AVI and raw streams often carry a channel count and no layout.
        if frame.channel_layout().is_empty() {
            frame.set_channel_layout(ChannelLayout::default(i32::from(frame.channels().max(1))));
        }
        let input = resampling::context::Definition {
            format: frame.format(),
            channel_layout: frame.channel_layout(),
            rate: frame.rate(),
        };
        let stereo = Sample::F32(sample::Type::Packed);
        if self.resampler.as_ref().is_none_or(|(built_for, _)| *built_for != input) {
            let context = resampling::Context::get(
                input.format,
                input.channel_layout,
                input.rate,
                stereo,
                ChannelLayout::STEREO,
                self.rate_hz,
            )?;
            self.resampler = Some((input, context));
        }
        let Some((_, resampler)) = self.resampler.as_mut() else { return Ok(Vec::new()) };
        let room = frame.samples() as u64 * u64::from(self.rate_hz) / u64::from(input.rate) + 256;
        let mut output = frame::Audio::new(stereo, room as usize, ChannelLayout::STEREO);
        resampler.run(frame, &mut output)?;
        if output.samples() == 0 {
            return Ok(Vec::new());
        }
        Ok(output.plane::<(f32, f32)>(0).to_vec())
    }
}
