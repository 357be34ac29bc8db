//! One file's description on the wire, from what the probe found out.
//!
//! Invariant: what leaves here passes `is_valid`; whatever a file's tags or name say is cut to the wire's bounds. Pure.

use std::path::Path;

use media::MediaInfo;
use shared::{
    ContentId, MediaKind,
    limits::{
        MAX_CODECS, MAX_COVER_BYTES, MAX_NAME_BYTES, MAX_STARTUP_RANGES, MAX_TEXT_BYTES, MAX_TIME_INDEX,
        MAX_WAVEFORM,
    },
    wire::{FileEntry, Hints},
};

/// Describes a file; `None` if even the clamped description would be refused on the wire.
pub fn describe(
    content_id: ContentId,
    path: &Path,
    size_bytes: u64,
    info: MediaInfo,
    mut waveform: Vec<u8>,
) -> Option<(FileEntry, Hints)> {
    let cover_jpeg = info.cover_jpeg.filter(|cover| cover.len() <= MAX_COVER_BYTES).unwrap_or_default();
    waveform.truncate(MAX_WAVEFORM);
    let entry = FileEntry {
        content_id,
        name: clean_name(path),
        size_bytes,
        kind: kind_of(info.kind),
        duration_ms: info.duration_ms,
        bitrate_bps: info.bitrate_bps,
        container: clean_text(&info.container),
        codecs: info.codecs.iter().take(MAX_CODECS).map(|codec| clean_text(codec)).collect(),
        width: info.width,
        height: info.height,
        title: clean_text(&info.title.unwrap_or_default()),
        artist: clean_text(&info.artist.unwrap_or_default()),
        album: clean_text(&info.album.unwrap_or_default()),
        has_cover: !cover_jpeg.is_empty(),
    };
    let hints = Hints {
        startup_ranges: startup_ranges(info.startup_ranges, size_bytes),
        time_index: time_index(info.time_index, size_bytes),
        cover_jpeg,
        waveform,
    };
    (entry.is_valid() && hints.is_valid()).then_some((entry, hints))
}

/// The kind of client a file is for.
pub const fn kind_of(kind: media::MediaKind) -> MediaKind {
    match kind {
        media::MediaKind::Audio => MediaKind::Audio,
        media::MediaKind::Video => MediaKind::Video,
    }
}

/// The file name as it may be shown and sent anywhere: text, one line, no folders, not too long, its extension kept.
pub fn clean_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name: String =
        name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).collect();
    let extension = Path::new(&name).extension().map(|end| format!(".{}", end.to_string_lossy()));
    let extension = extension.filter(|end| end.len() <= 16).unwrap_or_default();
    if name.len() <= MAX_NAME_BYTES {
        return if name.is_empty() { "unnamed".to_owned() } else { name };
    }
    let stem = cut(&name, MAX_NAME_BYTES - extension.len());
    format!("{stem}{extension}")
}

fn clean_text(text: &str) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(one_line.trim(), MAX_TEXT_BYTES).trim_end().to_owned()
}

fn cut(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

/// `(start, end)` within the file to `(offset, length)`; beyond the limit the shortest go.
fn startup_ranges(ranges: Vec<(u64, u64)>, size_bytes: u64) -> Vec<(u64, u64)> {
    let mut kept: Vec<(u64, u64)> = ranges
        .into_iter()
        .map(|(start, end)| (start, end.min(size_bytes).saturating_sub(start)))
        .filter(|(_, length)| *length > 0)
        .collect();
    kept.sort_unstable_by_key(|(_, length)| std::cmp::Reverse(*length));
    kept.truncate(MAX_STARTUP_RANGES);
    kept.sort_unstable();
    kept
}

fn time_index(points: Vec<(u32, u64)>, size_bytes: u64) -> Vec<(u32, u64)> {
    let mut kept: Vec<(u32, u64)> = Vec::with_capacity(points.len().min(MAX_TIME_INDEX));
    for (ms, byte) in points {
        let grows = kept.last().is_none_or(|last| last.0 < ms && last.1 <= byte);
        if grows && byte < size_bytes && kept.len() < MAX_TIME_INDEX {
            kept.push((ms, byte));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = clean_name(Path::new(&format!("/x/{}.flac", "ä".repeat(200))));
        assert!(name.len() <= MAX_NAME_BYTES && name.ends_with("ä.flac"));
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_no_text_or_forges_lines_is_made_harmless() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
        assert_eq!(
            clean_name(Path::new(OsStr::from_bytes(b"/x/b\xffd\nname\x1b.mp3"))),
            "b\u{fffd}d_name_.mp3"
        );
        assert_eq!(clean_name(Path::new("/x/a\\b.mp3")), "a_b.mp3");
    }

    #[test]
    fn ranges_become_offset_and_length_within_the_file() {
        assert_eq!(startup_ranges(vec![(0, 100), (900, 2000), (5000, 6000)], 1000), [(0, 100), (900, 100)]);
    }

    proptest! {
        #[test]
        fn whatever_a_file_claims_fits_the_wire(
            name in "\\PC{1,400}", title in any::<Option<String>>(), codecs in prop::collection::vec(".{0,300}", 0..20),
            ranges in prop::collection::vec((any::<u64>(), any::<u64>()), 0..100),
            points in prop::collection::vec((any::<u32>(), any::<u64>()), 0..100),
            cover in prop::collection::vec(any::<u8>(), 0..100), bars in prop::collection::vec(any::<u8>(), 0..900), size in 1..u64::from(u32::MAX),
        ) {
            let info = MediaInfo {
                kind: media::MediaKind::Audio, container: codecs.concat(), duration_ms: 1, bitrate_bps: 1, codecs, width: 0,
                height: 0, sample_rate_hz: 0, channels: 0, title: title.clone(), artist: title.clone(), album: title,
                cover_jpeg: Some(cover), time_index: points, startup_ranges: ranges,
            };
            prop_assert!(describe(ContentId([1; 32]), &Path::new("/x").join(name.replace('/', "")), size, info, bars).is_some());
        }
    }
}
