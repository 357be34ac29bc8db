//! `probe_file` on real clips of every container, and on files that are none.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod clips;

use std::{fs, path::Path};

use media::{MediaInfo, MediaKind, ProbeError, probe_file};

#[test]
fn every_video_container_is_described() {
    for (name, container, codecs) in [
        ("a.mp4", "mp4", ["h264", "aac"]),
        ("faststart.mp4", "mp4", ["h264", "aac"]),
        ("frag.mp4", "mp4", ["h264", "aac"]),
        ("a.mov", "mov", ["h264", "aac"]),
        ("a.mkv", "mkv", ["h264", "flac"]),
        ("vp8.webm", "webm", ["vp8", "vorbis"]),
        ("vp9.webm", "webm", ["vp9", "opus"]),
        ("a.ts", "ts", ["h264", "aac"]),
        ("a.avi", "avi", ["mpeg4", "mp3"]),
    ] {
        let info = probe(&clips::clip(name, 4));
        assert_eq!(info.kind, MediaKind::Video, "{name}");
        assert_eq!(info.container, container, "{name}");
        assert_eq!(info.codecs, codecs, "{name}");
        assert_eq!((info.width, info.height), (320, 180), "{name}");
        assert_eq!(info.channels, 1, "{name}");
        assert_duration(&info, 4000, name);
        assert_hints(&info, &clips::clip(name, 4), name);
        let cover = info.cover_jpeg.unwrap_or_else(|| panic!("{name} has no poster"));
        assert!(cover.starts_with(&[0xff, 0xd8]) && cover.len() <= 24 << 10, "{name}");
    }
}

#[test]
fn every_audio_container_is_described() {
    for (name, container, codec) in [
        ("a.mp3", "mp3", "mp3"),
        ("a.flac", "flac", "flac"),
        ("a.ogg", "ogg", "vorbis"),
        ("a.opus", "opus", "opus"),
        ("a.m4a", "m4a", "aac"),
        ("a.wav", "wav", "pcm_s16le"),
        ("a.aac", "aac", "aac"),
    ] {
        let info = probe(&clips::clip(name, 7));
        assert_eq!(info.kind, MediaKind::Audio, "{name}");
        assert_eq!(info.container, container, "{name}");
        assert_eq!(info.codecs, [codec], "{name}");
        assert_eq!((info.width, info.height), (0, 0), "{name}");
        assert_eq!(info.sample_rate_hz, 48_000, "{name}");
        assert_duration(&info, 7000, name);
        assert_hints(&info, &clips::clip(name, 7), name);
        assert_eq!(info.cover_jpeg, None, "{name}");
    }
}

#[test]
fn a_song_with_a_cover_is_audio_with_its_tags_and_picture() {
    for name in ["a.mp3", "a.flac", "a.m4a"] {
        let info = probe(&clips::covered_song(name));
        assert_eq!(info.kind, MediaKind::Audio, "{name}");
        assert_eq!(info.title.as_deref(), Some("Käse"), "{name}");
        assert_eq!(info.artist.as_deref(), Some("Die Band"), "{name}");
        assert_eq!(info.album.as_deref(), Some("Alles"), "{name}");
        assert_eq!(info.codecs.len(), 1, "{name}");
        let cover = info.cover_jpeg.unwrap_or_else(|| panic!("{name} has no cover"));
        assert!(cover.starts_with(&[0xff, 0xd8]), "{name}");
    }
}

#[test]
fn a_waveform_is_loud_where_the_sound_is() {
    for name in ["a.mp3", "a.flac", "a.ogg", "a.opus", "a.m4a", "a.wav"] {
        let path = clips::half_silent(name);
        let bars = media::waveform(&path, probe(&path).duration_ms, || false);
        assert_eq!(bars.len(), media::WAVEFORM_BARS, "{name}");
        assert_eq!(bars.iter().max(), Some(&255), "{name}");
        let mean = |bars: &[u8]| bars.iter().map(|bar| f64::from(*bar)).sum::<f64>() / bars.len() as f64;
        let (quiet, loud) = bars.split_at(media::WAVEFORM_BARS / 2);
        assert!(mean(&quiet[..quiet.len() - 10]) < 3.0, "{name}: {quiet:?}");
        assert!(mean(&loud[10..loud.len() - 10]) > 150.0, "{name}: {loud:?}");
    }
}

#[test]
fn a_waveform_of_what_is_no_sound_or_of_nobodys_interest_is_empty() {
    let path = clips::half_silent("a.mp3");
    assert!(media::waveform(&path, 20_000, || true).is_empty());
    assert!(media::waveform(Path::new("/nowhere.mp3"), 1_000, || false).is_empty());
}

#[test]
fn files_that_are_no_media_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    assert!(matches!(probe_file(&dir.path().join("missing.mp4")), Err(ProbeError::Io(_))));
    assert!(matches!(probe_file(&write("empty.mp4", b"")), Err(ProbeError::Empty)));
    let playlist = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n",
        clips::clip("a.ts", 4).display()
    );
    let script = format!("ffconcat version 1.0\nfile '{}'\n", clips::clip("a.ts", 4).display());
    for (name, bytes) in [
        ("list.m3u8", playlist.as_bytes()),
        ("list.mp4", playlist.as_bytes()),
        ("script.mkv", script.as_bytes()),
        ("text.txt", b"hello, world"),
        ("zeros.mp4", &[0; 100_000]),
        ("noise.mkv", &noise(100_000)),
        ("one.ts", &[0x47]),
    ] {
        assert!(probe_file(&write(name, bytes)).is_err(), "{name}");
    }
    // The index of this file is at its end: half of it is nothing.
    let whole = fs::read(clips::clip("a.mp4", 4)).unwrap();
    assert!(probe_file(&write("half.mp4", &whole[..whole.len() / 2])).is_err());
}

#[test]
fn damaged_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.mp4", "a.mkv", "a.ts", "a.avi", "vp9.webm", "a.mp3", "a.flac", "a.ogg"] {
        let seconds =
            if name.contains("mp3") || name.contains("flac") || name.contains("ogg") { 7 } else { 4 };
        let whole = fs::read(clips::clip(name, seconds)).unwrap();
        for round in 0..6_usize {
            let mut bytes = whole.clone();
            bytes.truncate(whole.len() * (round + 1) / 6);
            for (at, value) in noise(64).into_iter().enumerate() {
                let place = (at * 7919 + round * 104_729 + usize::from(value) * 31) % bytes.len();
                bytes[place] ^= value;
            }
            let path = dir.path().join(format!("{round}-{name}"));
            fs::write(&path, &bytes).unwrap();
            if let Ok(info) = probe_file(&path) {
                assert!(!info.codecs.is_empty());
            }
        }
    }
}

fn probe(path: &Path) -> MediaInfo {
    probe_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn assert_duration(info: &MediaInfo, expected_ms: u64, name: &str) {
    assert!(info.duration_ms.abs_diff(expected_ms) <= 100, "{name}: {} ms", info.duration_ms);
}

fn assert_hints(info: &MediaInfo, path: &Path, name: &str) {
    let size = fs::metadata(path).unwrap().len();
    assert!(info.bitrate_bps.abs_diff(size * 8000 / info.duration_ms) <= info.bitrate_bps / 10, "{name}");
    assert!(!info.startup_ranges.is_empty(), "{name}");
    assert!(info.startup_ranges.iter().all(|(start, end)| start < end && *end <= size), "{name}");
    assert!(info.startup_ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{name}");
    assert!(info.time_index.len() >= 2, "{name}: {:?}", info.time_index);
    assert!(info.time_index.iter().all(|(_, byte)| *byte < size), "{name}");
}

fn noise(count: usize) -> Vec<u8> {
    let mut state = 12_345_u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}
