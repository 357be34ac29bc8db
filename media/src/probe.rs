//! What a file is: kind, duration, codecs, names, cover, and the hints that let a viewer start quickly.
//!
//! Invariants: never panics, whatever the bytes; reads a bounded part of the file except for containers without an
//! index of their own, which are read through once up to a limit; never opens anything but the file it is given.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use ffmpeg_next::DictionaryRef;
use serde::{Deserialize, Serialize};

use crate::{
    cover,
    decode::{AudioDecoder, VideoDecoder},
    error::{MediaError, ProbeError},
    ffi,
    hints::{merge_ranges, thin_index},
    input::Media,
    reader::seek_target,
    time::{ticks_to_us, us_to_ms},
};

/// Files larger than this are not read through for a time index.
const MAX_SCAN_BYTES: u64 = 256 << 20;
/// Places looked at in a file that is too large to read through.
const INDEX_SAMPLES: u64 = 128;
/// Packets without one frame after which a file counts as truncated.
const MAX_PACKETS_TO_FIRST_FRAME: usize = 2000;
const VIDEO_NAMES: [&str; 7] = ["mp4", "mov", "mkv", "webm", "ts", "avi", "m4v"];
const AUDIO_NAMES: [&str; 8] = ["mp3", "flac", "ogg", "opus", "m4a", "wav", "aac", "oga"];

/// Which of the two kinds of client a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MediaKind {
    /// Sound, perhaps with a cover picture.
    Audio,
    /// Moving pictures, with or without sound.
    Video,
}

/// What [`probe_file`] finds out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Video if there is a moving picture.
    pub kind: MediaKind,
    /// Short container name, such as `mp4` or `mkv`.
    pub container: String,
    /// Playing time.
    pub duration_ms: u64,
    /// Bits per second over the whole file.
    pub bitrate_bps: u64,
    /// Codec names, video first.
    pub codecs: Vec<String>,
    /// Picture width in pixels as coded, `0` for audio.
    pub width: u32,
    /// Picture height in pixels as coded, `0` for audio.
    pub height: u32,
    /// Samples per second, `0` without sound.
    pub sample_rate_hz: u32,
    /// Audio channels, `0` without sound.
    pub channels: u16,
    /// The title tag.
    pub title: Option<String>,
    /// The artist tag.
    pub artist: Option<String>,
    /// The album tag.
    pub album: Option<String>,
    /// A JPEG of at most 24 KiB: embedded art of audio, a representative frame of video.
    pub cover_jpeg: Option<Vec<u8>>,
    /// `(ms, byte offset)`, at most one entry per two seconds and 4096 in all, both columns rising.
    pub time_index: Vec<(u32, u64)>,
    /// Byte ranges `(start, end)` touched by opening the file and decoding its first frame, merged.
    pub startup_ranges: Vec<(u64, u64)>,
}

/// Whether the extension of `name` is one of those we play.
pub fn is_media_name(name: &str) -> bool {
    let extension = extension_of(name);
    VIDEO_NAMES.contains(&extension.as_str()) || AUDIO_NAMES.contains(&extension.as_str())
}

/// Looks into a complete local file.
pub fn probe_file(path: &Path) -> Result<MediaInfo, ProbeError> {
    let size_bytes = std::fs::metadata(path)?.len();
    if size_bytes == 0 {
        return Err(ProbeError::Empty);
    }
    // Opened once here so that a missing right to read is told as such.
    drop(File::open(path)?);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let log = ReadLog::default();
    let make = || LoggingFile::open(path, log.clone());
    let mut media = Media::open(make, &name, || false).map_err(|error| {
        let no_tracks = matches!(error, MediaError::NoTracks);
        if no_tracks { ProbeError::NoTracks } else { ProbeError::NotMedia(error.to_string()) }
    })?;
    let mut info = describe(&media, &name, size_bytes);
    let tracks = media.video.take().map(Track::Video).or_else(|| media.audio.take().map(Track::Audio));
    let decoded_until_us =
        tracks.and_then(|track| first_frame(&mut media, track)).ok_or(ProbeError::Truncated)?;
    info.startup_ranges = merge_ranges(log.take());
    info.duration_ms = info.duration_ms.max(us_to_ms(decoded_until_us));
    fill_index(&mut media, &mut info, size_bytes);
    drop(media);
    if info.bitrate_bps == 0 && info.duration_ms > 0 {
        info.bitrate_bps = size_bytes.saturating_mul(8000) / info.duration_ms;
    }
    info.cover_jpeg = cover::cover_jpeg(|| LoggingFile::open(path, ReadLog::default()), &name, &info);
    Ok(info)
}

/// What can be said without decoding.
fn describe(media: &Media, name: &str, size_bytes: u64) -> MediaInfo {
    let video = media.video.as_ref();
    let audio = media.audio.as_ref();
    let tags = media.input.metadata();
    let codecs: Vec<String> =
        video.map(|v| v.codec.clone()).into_iter().chain(audio.map(|a| a.codec.clone())).collect();
    let duration_ms = media.duration_us.map_or(0, us_to_ms);
    // Ogg keeps its tags on the stream.
    let stream_tag = |key: &str| {
        let index = audio.map(|a| a.index)?;
        media.input.stream(index).and_then(|stream| tag(&stream.metadata(), key))
    };
    MediaInfo {
        kind: if video.is_some() { MediaKind::Video } else { MediaKind::Audio },
        container: container_name(&media.format_name(), tag(&tags, "major_brand"), name, &codecs),
        duration_ms,
        bitrate_bps: size_bytes.saturating_mul(8000).checked_div(duration_ms).unwrap_or(0),
        width: video.map_or(0, |v| v.decoder.width()),
        height: video.map_or(0, |v| v.decoder.height()),
        sample_rate_hz: audio.map_or(0, |a| a.decoder.rate()),
        channels: audio.map_or(0, |a| a.decoder.channels()),
        title: tag(&tags, "title").or_else(|| stream_tag("title")),
        artist: tag(&tags, "artist").or_else(|| stream_tag("artist")),
        album: tag(&tags, "album").or_else(|| stream_tag("album")),
        codecs,
        cover_jpeg: None,
        time_index: Vec::new(),
        startup_ranges: Vec::new(),
    }
}

/// The track whose first frame proves that the file can be played.
enum Track {
    Video(crate::input::VideoTrack),
    Audio(crate::input::AudioTrack),
}

/// Decodes until one frame comes out; its end time, or `None` when none does.
fn first_frame(media: &mut Media, track: Track) -> Option<i64> {
    let mut decoder = match track {
        Track::Video(track) => (track.index, Ok(VideoDecoder::new(track, media.time_line()))),
        Track::Audio(track) => {
            let rate_hz = track.decoder.rate().max(8000);
            (track.index, Err(AudioDecoder::new(track, media.time_line(), rate_hz)))
        }
    };
    let mut at_end = false;
    for _ in 0..MAX_PACKETS_TO_FIRST_FRAME {
        let packet = match media.read_packet() {
            Ok(packet) if packet.stream() == decoder.0 => Some(packet),
            Ok(_) | Err(MediaError::InvalidData) => continue,
            Err(_) => None,
        };
        at_end |= packet.is_none();
        // One bad packet is not the end; the next may decode.
        let decoded = match &mut decoder.1 {
            Ok(video) => video
                .send(packet.as_ref())
                .and_then(|()| video.receive())
                .map(|p| p.map(|p| p.pts_us + p.duration_us)),
            Err(audio) => audio
                .send(packet.as_ref())
                .and_then(|()| audio.receive())
                .map(|s| s.map(|s| s.pts_us.unwrap_or(0))),
        };
        if let Ok(Some(end_us)) = decoded {
            return Some(end_us);
        }
        if at_end {
            return None;
        }
    }
    None
}

/// Fills the time index: from the container's own index where it has one, by reading through where that is cheap.
fn fill_index(media: &mut Media, info: &mut MediaInfo, size_bytes: u64) {
    // Some containers load their index at the first seek only. A refusal just leaves it empty.
    if media.seek_us(info.duration_ms as i64 * 500).is_err() {
        tracing::debug!("not seekable");
    }
    let base_us = media.base_us;
    let index = primary_stream(media);
    let Some(time_base) = media.input.stream(index).map(|stream| stream.time_base()) else { return };
    let mut points: Vec<(u32, u64)> = ffi::index_entries(&mut media.input, index)
        .into_iter()
        .filter(|entry| entry.keyframe)
        .map(|entry| (ms_of(ticks_to_us(entry.ticks, time_base) - base_us), entry.byte))
        .collect();
    let covered = points.iter().map(|(ms, _)| u64::from(*ms)).max().unwrap_or(0);
    let has_own_index = points.len() > 1 && covered * 2 >= info.duration_ms;
    if !has_own_index && size_bytes <= MAX_SCAN_BYTES {
        let (scanned, end_ms) = scan_packets(media, index);
        points = scanned;
        if info.duration_ms == 0 {
            info.duration_ms = end_ms;
        }
    }
    if !has_own_index && size_bytes > MAX_SCAN_BYTES {
        points = sample_by_seeking(media, index, info.duration_ms);
    }
    points.push((0, points.iter().map(|(_, byte)| *byte).min().unwrap_or(0)));
    info.time_index = thin_index(points, info.duration_ms);
}

/// Looks where the demuxer lands at evenly spaced moments, for files too large to read through.
fn sample_by_seeking(media: &mut Media, index: usize, duration_ms: u64) -> Vec<(u32, u64)> {
    let Some(time_base) = media.input.stream(index).map(|stream| stream.time_base()) else {
        return Vec::new();
    };
    let mut points = Vec::new();
    for step in 1..INDEX_SAMPLES {
        if media.seek_us((duration_ms * 1000 / INDEX_SAMPLES * step) as i64).is_err() {
            continue;
        }
        for _ in 0..MAX_PACKETS_TO_FIRST_FRAME {
            let Ok(packet) = media.read_packet() else { break };
            let ticks = packet.pts().or_else(|| packet.dts());
            if let (true, Some(ticks), Ok(byte)) =
                (packet.stream() == index, ticks, u64::try_from(packet.position()))
            {
                points.push((ms_of(ticks_to_us(ticks, time_base) - media.base_us), byte));
                break;
            }
        }
    }
    points
}

/// Reads every packet of one stream; where they lie, and when the last one ends.
fn scan_packets(media: &mut Media, index: usize) -> (Vec<(u32, u64)>, u64) {
    let mut points = Vec::new();
    let mut end_ms = 0;
    if media.seek_us(0).is_err() {
        return (points, end_ms);
    }
    let Some(time_base) = media.input.stream(index).map(|stream| stream.time_base()) else {
        return (points, end_ms);
    };
    loop {
        match media.read_packet() {
            Ok(packet) if packet.stream() == index => {
                let Some(ticks) = packet.pts().or_else(|| packet.dts()) else { continue };
                let start_us = ticks_to_us(ticks, time_base) - media.base_us;
                end_ms = end_ms.max(us_to_ms(start_us + ticks_to_us(packet.duration(), time_base)));
                if let (true, Ok(byte)) = (packet.is_key(), u64::try_from(packet.position())) {
                    points.push((ms_of(start_us), byte));
                }
            }
            Ok(_) | Err(MediaError::InvalidData) => {}
            Err(_) => return (points, end_ms),
        }
    }
}

/// The stream whose key frames name the moments: the picture's, else the sound's.
fn primary_stream(media: &Media) -> usize {
    use ffmpeg_next::media::Type;
    let of = |kind: Type| {
        let mut streams = media.input.streams();
        streams
            .find(|s| s.parameters().medium() == kind && !crate::input::is_attached_picture(s))
            .map(|s| s.index())
    };
    of(Type::Video).or_else(|| of(Type::Audio)).unwrap_or(0)
}

fn ms_of(us: i64) -> u32 {
    u32::try_from(us_to_ms(us)).unwrap_or(u32::MAX)
}

fn tag(tags: &DictionaryRef<'_>, key: &str) -> Option<String> {
    // FFmpeg does not promise UTF-8, its wrapper assumes it: look at bytes only.
    let text =
        String::from_utf8_lossy(tags.get(key)?.as_bytes()).trim().chars().take(200).collect::<String>();
    (!text.is_empty()).then_some(text)
}

/// The name people use for a container, from the demuxer's family name and what distinguishes its members.
fn container_name(format: &str, brand: Option<String>, name: &str, codecs: &[String]) -> String {
    let extension = extension_of(name);
    let web = |codec: &String| ["vp8", "vp9", "av1", "opus", "vorbis"].contains(&codec.as_str());
    let short = match format {
        "mov,mp4,m4a,3gp,3g2,mj2" => match brand.as_deref() {
            Some(brand) if brand.starts_with("qt") => "mov",
            Some(brand) if brand.starts_with("M4A") => "m4a",
            _ if extension == "m4a" => "m4a",
            _ => "mp4",
        },
        "matroska,webm" if extension != "mkv" && codecs.iter().all(web) => "webm",
        "matroska,webm" => "mkv",
        "mpegts" => "ts",
        "ogg" if extension == "opus" => "opus",
        other => other.split(',').next().unwrap_or(other),
    };
    short.to_owned()
}

fn extension_of(name: &str) -> String {
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
}

/// The ranges a reader has touched.
#[derive(Clone, Default)]
pub(crate) struct ReadLog(Arc<Mutex<Vec<(u64, u64)>>>);

impl ReadLog {
    fn add(&self, start: u64, count: u64) {
        let mut ranges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match ranges.last_mut() {
            Some(last) if last.1 == start => last.1 += count,
            _ => ranges.push((start, start + count)),
        }
    }

    fn take(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A file that writes down what is read of it.
pub(crate) struct LoggingFile {
    file: io::Result<File>,
    pos: u64,
    len: u64,
    log: ReadLog,
}

impl LoggingFile {
    pub(crate) fn open(path: &Path, log: ReadLog) -> Self {
        let file = File::open(path);
        let len = file.as_ref().ok().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len());
        Self { file, pos: 0, len, log }
    }
}

impl Read for LoggingFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let file = self.file.as_mut().map_err(|error| io::Error::from(error.kind()))?;
        file.seek(SeekFrom::Start(self.pos))?;
        let count = file.read(buf)?;
        self.log.add(self.pos, count as u64);
        self.pos += count as u64;
        Ok(count)
    }
}

impl Seek for LoggingFile {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.pos = seek_target(target, self.pos, self.len)?;
        Ok(self.pos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_names_are_told_by_their_extension() {
        for name in ["a.mp4", "A.MKV", "x.y.opus", "film.ts", "song.flac", "b.oga"] {
            assert!(is_media_name(name), "{name}");
        }
        for name in ["mp4", "a.txt", "a.mp4.part", "", ".", "a.m3u8"] {
            assert!(!is_media_name(name), "{name}");
        }
    }

    #[test]
    fn containers_are_called_what_people_call_them() {
        let mp4 = "mov,mp4,m4a,3gp,3g2,mj2";
        let h264 = ["h264".to_owned(), "aac".to_owned()];
        let vp9 = ["vp9".to_owned(), "opus".to_owned()];
        assert_eq!(container_name(mp4, Some("isom".into()), "a.mp4", &h264), "mp4");
        assert_eq!(container_name(mp4, Some("qt  ".into()), "a.mov", &h264), "mov");
        assert_eq!(container_name(mp4, Some("M4A ".into()), "a.m4a", &h264), "m4a");
        assert_eq!(container_name("matroska,webm", None, "a.webm", &vp9), "webm");
        assert_eq!(container_name("matroska,webm", None, "a.webm", &h264), "mkv");
        assert_eq!(container_name("mpegts", None, "a.ts", &h264), "ts");
        assert_eq!(container_name("ogg", None, "a.opus", &[]), "opus");
    }
}
