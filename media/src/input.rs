//! Opening a container and choosing what to play from it.
//!
//! Invariants: only the demuxers we mean to play are allowed (playlists and concatenation scripts, which make FFmpeg
//! open other addresses, are refused); attached pictures are never taken for video.

use std::{
    io::{Read, Seek},
    sync::Once,
    thread,
};

use ffmpeg_next::{
    Dictionary, Packet, Rational, codec, decoder,
    ffi::AV_NOPTS_VALUE,
    format::{self, context::Input, context::StreamIo, stream::Disposition},
    media::Type,
    packet::side_data,
};

use crate::{
    error::MediaError,
    ffi,
    geometry::Rotation,
    time::{TimeLine, ticks_to_us},
};

/// Every demuxer that may see a file. Anything else, `hls` and `concat` first, is refused by libavformat itself.
const ALLOWED_FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mp3,flac,ogg,wav,w64,aac";
const IO_BUFFER_BYTES: usize = 32 << 10;
const MICROSECOND: Rational = Rational(1, 1_000_000);

/// A video track with its decoder.
pub(crate) struct VideoTrack {
    pub(crate) index: usize,
    pub(crate) time_base: Rational,
    pub(crate) decoder: decoder::Video,
    pub(crate) rotation: Rotation,
    pub(crate) frame_duration_us: i64,
    pub(crate) codec: String,
}

/// An audio track with its decoder.
pub(crate) struct AudioTrack {
    pub(crate) index: usize,
    pub(crate) time_base: Rational,
    pub(crate) decoder: decoder::Audio,
    pub(crate) codec: String,
}

/// An opened container and the tracks chosen from it.
pub(crate) struct Media {
    pub(crate) input: Input,
    pub(crate) video: Option<VideoTrack>,
    pub(crate) audio: Option<AudioTrack>,
    /// What the file calls time zero.
    pub(crate) base_us: i64,
    pub(crate) duration_us: Option<i64>,
}

impl Media {
    /// Opens `make()`'s bytes. `cancelled` is polled during every read, now and later.
    pub(crate) fn open<T, C>(make: impl Fn() -> T, name: &str, cancelled: C) -> Result<Self, MediaError>
    where
        T: Read + Seek + Send + 'static,
        C: Fn() -> bool + Clone + Send + 'static,
    {
        init_ffmpeg();
        let quick = Self::open_with(
            make(),
            name,
            cancelled.clone(),
            &[("probesize", "1048576"), ("analyzeduration", "1000000")],
        );
        match quick {
            Ok(media) if media.is_complete() => Ok(media),
            Err(MediaError::Cancelled) => Err(MediaError::Cancelled),
            // A stream whose parameters come late: look further, at the price of more bytes.
            Ok(_) | Err(MediaError::NoTracks) => Self::open_with(make(), name, cancelled, &[]),
            Err(error) => Err(error),
        }
    }

    fn open_with<T, C>(
        stream: T,
        name: &str,
        cancelled: C,
        extra: &[(&str, &str)],
    ) -> Result<Self, MediaError>
    where
        T: Read + Seek + Send + 'static,
        C: Fn() -> bool + Send + 'static,
    {
        let io = StreamIo::from_read_seek_with_capacity(stream, IO_BUFFER_BYTES)?;
        let mut options = Dictionary::new();
        options.set("format_whitelist", ALLOWED_FORMATS);
        // Without it an MP3 seek reads everything in between; for the others it changes nothing.
        options.set("fflags", "fastseek");
        for (key, value) in extra {
            options.set(key, value);
        }
        let hint: String = name.chars().filter(|c| *c != '\0').collect();
        let input = format::input_from_stream_with_interrupt(io, Some(&hint), Some(options), cancelled)?;
        Self::choose(input)
    }

    fn choose(mut input: Input) -> Result<Self, MediaError> {
        let video = best_video(&input);
        let audio = best_audio(&input);
        let keep: Vec<usize> = video.iter().map(|v| v.index).chain(audio.iter().map(|a| a.index)).collect();
        if keep.is_empty() {
            return Err(MediaError::NoTracks);
        }
        ffi::keep_only_streams(&mut input, &keep);
        let start_of = |index: usize| {
            let stream = input.stream(index)?;
            (stream.start_time() != AV_NOPTS_VALUE)
                .then(|| ticks_to_us(stream.start_time(), stream.time_base()))
        };
        let video_start = video.as_ref().and_then(|v| start_of(v.index));
        let audio_start = audio.as_ref().and_then(|a| start_of(a.index));
        let base_us = time_zero(video_start, audio_start);
        let duration = input.duration();
        let duration_us = (duration != AV_NOPTS_VALUE && duration > 0).then_some(duration);
        Ok(Self { input, video, audio, base_us, duration_us })
    }

    fn is_complete(&self) -> bool {
        let expects = |kind: Type| {
            self.input.streams().any(|s| s.parameters().medium() == kind && !is_attached_picture(&s))
        };
        let video_ok = self.video.as_ref().map_or_else(|| !expects(Type::Video), |v| v.decoder.width() > 0);
        let audio_ok = self.audio.as_ref().map_or_else(|| !expects(Type::Audio), |a| a.decoder.rate() > 0);
        video_ok && audio_ok
    }

    /// The time its tracks share.
    pub(crate) fn time_line(&self) -> TimeLine {
        TimeLine::new(self.base_us, self.duration_us)
    }

    /// The demuxer's name, such as `matroska,webm`.
    pub(crate) fn format_name(&self) -> String {
        self.input.format().name().to_owned()
    }

    /// Whether this container's clock may jump in the middle of a file.
    pub(crate) fn has_broadcast_clock(&self) -> bool {
        self.format_name() == "mpegts"
    }

    /// Reads the next packet of a kept stream.
    pub(crate) fn read_packet(&mut self) -> Result<Packet, MediaError> {
        let mut packet = Packet::empty();
        packet.read(&mut self.input)?;
        Ok(packet)
    }

    /// Moves to the last key frame at or before `target_us`, or wherever the container lets us.
    pub(crate) fn seek_us(&mut self, target_us: i64) -> Result<(), MediaError> {
        let ts = target_us.saturating_add(self.base_us);
        match self.input.seek(ts, ..ts.saturating_add(1)) {
            Ok(()) => Ok(()),
            Err(ffmpeg_next::Error::Exit) => Err(MediaError::Cancelled),
            Err(_) => Ok(self.input.seek(ts, ..)?),
        }
    }
}

impl Media {
    /// Moves to the very first byte of media. Some containers find their first key frame only when asked for a time
    /// well before it.
    pub(crate) fn rewind(&mut self) -> Result<(), MediaError> {
        Ok(self.input.seek(self.base_us.saturating_sub(10_000_000), ..)?)
    }
}

/// FFmpeg's own messages would go to standard error unasked; errors reach the caller as values.
fn init_ffmpeg() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Err(error) = ffmpeg_next::init() {
            tracing::error!(%error, "FFmpeg does not initialise");
        }
        ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Fatal);
    });
}

/// Zero is where the picture starts; sound that runs ahead of it is encoder priming. A picture that starts much later
/// than the sound is a real gap, and then the sound starts the file.
fn time_zero(video_start_us: Option<i64>, audio_start_us: Option<i64>) -> i64 {
    match (video_start_us, audio_start_us) {
        (Some(video), Some(audio)) if video - audio > 500_000 => audio,
        (Some(video), _) => video,
        (None, Some(audio)) => audio,
        (None, None) => 0,
    }
}

pub(crate) fn is_attached_picture(stream: &format::stream::Stream<'_>) -> bool {
    stream.disposition().contains(Disposition::ATTACHED_PIC)
}

fn best_video(input: &Input) -> Option<VideoTrack> {
    let candidates =
        input.streams().filter(|s| s.parameters().medium() == Type::Video && !is_attached_picture(s));
    candidates
        .filter_map(|stream| {
            let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
            let track = open_video(&stream, threads)?;
            let default = stream.disposition().contains(Disposition::DEFAULT);
            let pixels = u64::from(track.decoder.width()) * u64::from(track.decoder.height());
            Some(((default, pixels, std::cmp::Reverse(stream.index())), track))
        })
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, track)| track)
}

/// Opens a decoder for one video stream, attached pictures included.
pub(crate) fn open_video(stream: &format::stream::Stream<'_>, threads: usize) -> Option<VideoTrack> {
    let mut context = codec::Context::from_parameters(stream.parameters()).ok()?;
    if threads > 1 {
        context.set_threading(codec::threading::Config {
            count: threads,
            ..codec::threading::Config::kind(codec::threading::Type::Frame)
        });
    }
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(stream.time_base());
    let decoder = decoder.video().ok()?;
    let rotation = stream
        .side_data()
        .find(|data| data.kind() == side_data::Type::DisplayMatrix)
        .map_or(Rotation::None, |data| Rotation::from_display_matrix(data.data()));
    let rate = if stream.avg_frame_rate().numerator() > 0 { stream.avg_frame_rate() } else { stream.rate() };
    let frame_duration_us = if rate.numerator() > 0 && rate.denominator() > 0 {
        ticks_to_us(1, Rational(rate.denominator(), rate.numerator())).clamp(1_000, 10_000_000)
    } else {
        40_000
    };
    let codec = decoder.id().name().to_owned();
    Some(VideoTrack {
        index: stream.index(),
        time_base: sane(stream.time_base()),
        decoder,
        rotation,
        frame_duration_us,
        codec,
    })
}

fn best_audio(input: &Input) -> Option<AudioTrack> {
    let candidates = input.streams().filter(|s| s.parameters().medium() == Type::Audio);
    candidates
        .filter_map(|stream| {
            let context = codec::Context::from_parameters(stream.parameters()).ok()?;
            let mut decoder = context.decoder();
            // Gapless trimming of encoder priming needs to know the packets' clock.
            decoder.set_packet_time_base(stream.time_base());
            let decoder = decoder.audio().ok()?;
            let default = stream.disposition().contains(Disposition::DEFAULT);
            let rank = (default, decoder.channels(), std::cmp::Reverse(stream.index()));
            let codec = decoder.id().name().to_owned();
            Some((
                rank,
                AudioTrack { index: stream.index(), time_base: sane(stream.time_base()), decoder, codec },
            ))
        })
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, track)| track)
}

fn sane(time_base: Rational) -> Rational {
    if time_base.numerator() > 0 && time_base.denominator() > 0 { time_base } else { MICROSECOND }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_sets_time_zero_unless_the_sound_starts_long_before() {
        assert_eq!(time_zero(Some(1_400_000), Some(1_393_000)), 1_400_000);
        assert_eq!(time_zero(Some(5_000_000), Some(0)), 0);
        assert_eq!(time_zero(Some(0), Some(2_000_000)), 0);
        assert_eq!(time_zero(None, Some(-7_000)), -7_000);
        assert_eq!(time_zero(None, None), 0);
    }

    #[test]
    fn bytes_of_no_container_are_an_error() {
        for bytes in [
            &b""[..],
            b"hello",
            &[0; 5000],
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
        ] {
            let opened = Media::open(|| std::io::Cursor::new(bytes.to_vec()), "list.m3u8", || false);
            assert!(opened.is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn opening_can_be_cancelled() {
        let opened = Media::open(|| std::io::Cursor::new(vec![1; 100_000]), "a.mp4", || true);
        assert!(opened.is_err());
    }
}
