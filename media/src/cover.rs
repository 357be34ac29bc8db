//! The picture that stands for a file: embedded art of audio, a telling frame of video, as a small JPEG.
//!
//! Invariant: at most 24 KiB, or nothing at all; a file without a usable picture is not an error.

use std::io::{Read, Seek};

use ffmpeg_next::{Packet, media::Type};
use image::{ExtendedColorType, ImageEncoder as _, codecs::jpeg::JpegEncoder};

use crate::{
    decode::{Picture, Scaler, VideoDecoder},
    error::MediaError,
    ffi,
    frame::VideoFrame,
    geometry::Rotation,
    input::{Media, VideoTrack, is_attached_picture, open_video},
    probe::{MediaInfo, MediaKind},
};

const MAX_JPEG_BYTES: usize = 24 << 10;
const MAX_SIZE: (u32, u32) = (384, 384);
/// Where to look for a frame that shows something, in parts of a hundred.
const LOOK_AT_PERCENT: [i64; 4] = [10, 25, 50, 0];
/// Standard deviation of the luma below which a frame counts as blank.
const MIN_CONTRAST: f64 = 8.0;
const MAX_PACKETS_PER_LOOK: usize = 600;

/// The cover of a file that has been opened successfully before.
pub(crate) fn cover_jpeg<T>(make: impl Fn() -> T, name: &str, info: &MediaInfo) -> Option<Vec<u8>>
where
    T: Read + Seek + Send + 'static,
{
    let mut media = Media::open(make, name, || false).ok()?;
    let frame = match info.kind {
        MediaKind::Audio => embedded_art(&mut media)?,
        MediaKind::Video => telling_frame(&mut media, info.duration_ms)?,
    };
    encode(&frame)
}

fn embedded_art(media: &mut Media) -> Option<VideoFrame> {
    let track = media
        .input
        .streams()
        .filter(|stream| stream.parameters().medium() == Type::Video && is_attached_picture(stream))
        .find_map(|stream| open_video(&stream, 1))?;
    let index = track.index;
    ffi::keep_only_streams(&mut media.input, &[index]);
    // The picture was queued at opening, before any other packet, and is queued again by a seek.
    let packet = next_packet(media, index).or_else(|| {
        media.seek_us(0).ok()?;
        next_packet(media, index)
    })?;
    let mut decoder = VideoDecoder::new(track, media.time_line());
    decoder.send(Some(&packet)).and_then(|()| decoder.send(None)).ok()?;
    let picture = decoder.receive().ok()??;
    Scaler::new(Rotation::None, MAX_SIZE).convert(&picture).ok()
}

fn next_packet(media: &mut Media, index: usize) -> Option<Packet> {
    (0..MAX_PACKETS_PER_LOOK)
        .map_while(|_| match media.read_packet() {
            Ok(packet) => Some(Some(packet)),
            Err(MediaError::InvalidData) => Some(None),
            Err(_) => None,
        })
        .flatten()
        .find(|packet| packet.stream() == index && packet.size() > 0)
}

/// The first frame with some contrast among a few places; failing that, the best of them.
fn telling_frame(media: &mut Media, duration_ms: u64) -> Option<VideoFrame> {
    let track: VideoTrack = media.video.take()?;
    let (index, rotation) = (track.index, track.rotation);
    ffi::keep_only_streams(&mut media.input, &[index]);
    let mut decoder = VideoDecoder::new(track, media.time_line());
    let mut scaler = Scaler::new(rotation, MAX_SIZE);
    let mut best: Option<(f64, VideoFrame)> = None;
    for percent in LOOK_AT_PERCENT {
        let target_us = duration_ms as i64 * 10 * percent;
        if media.seek_us(target_us).is_err() {
            continue;
        }
        decoder.flush();
        let Some(picture) = decode_one(media, &mut decoder, index) else { continue };
        let Ok(frame) = scaler.convert(&picture) else { continue };
        let contrast = contrast(&frame);
        if best.as_ref().is_none_or(|(so_far, _)| contrast > *so_far) {
            best = Some((contrast, frame));
        }
        if contrast >= MIN_CONTRAST {
            break;
        }
    }
    best.map(|(_, frame)| frame)
}

fn decode_one(media: &mut Media, decoder: &mut VideoDecoder, index: usize) -> Option<Picture> {
    for _ in 0..MAX_PACKETS_PER_LOOK {
        let sent = match next_packet(media, index) {
            Some(packet) => decoder.send(Some(&packet)),
            None => {
                decoder.send(None).ok()?;
                return decoder.receive().ok()?;
            }
        };
        if let Ok(Some(picture)) = sent.and_then(|()| decoder.receive()) {
            return Some(picture);
        }
    }
    None
}

/// Standard deviation of the green channel, near enough to luma to tell a black frame.
fn contrast(frame: &VideoFrame) -> f64 {
    let count = (frame.rgba.len() / 4).max(1) as f64;
    let greens = || frame.rgba.chunks_exact(4).map(|pixel| f64::from(pixel[1]));
    let mean = greens().sum::<f64>() / count;
    (greens().map(|green| (green - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// Encodes at falling quality, then at half the size, until it fits.
fn encode(frame: &VideoFrame) -> Option<Vec<u8>> {
    let full = image::RgbaImage::from_raw(frame.width, frame.height, frame.rgba.clone())?;
    let mut rgb = image::DynamicImage::ImageRgba8(full).into_rgb8();
    for _ in 0..3 {
        for quality in [82, 70, 55, 40] {
            let mut jpeg = Vec::new();
            JpegEncoder::new_with_quality(&mut jpeg, quality)
                .write_image(rgb.as_raw(), rgb.width(), rgb.height(), ExtendedColorType::Rgb8)
                .ok()?;
            if jpeg.len() <= MAX_JPEG_BYTES {
                return Some(jpeg);
            }
        }
        let half = ((rgb.width() / 2).max(1), (rgb.height() / 2).max(1));
        rgb = image::imageops::thumbnail(&rgb, half.0, half.1);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noisiest_picture_still_fits() {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let rgba = (0..384 * 384 * 4).map(|_| noise()).collect();
        let jpeg = encode(&VideoFrame { id: 1, pts_ms: 0, width: 384, height: 384, rgba }).unwrap();
        assert!(jpeg.len() <= MAX_JPEG_BYTES);
        assert!(image::load_from_memory(&jpeg).is_ok());
    }

    #[test]
    fn a_blank_frame_has_no_contrast() {
        let blank = VideoFrame { id: 1, pts_ms: 0, width: 2, height: 2, rgba: vec![0; 16] };
        assert!(contrast(&blank) < MIN_CONTRAST);
    }
}
