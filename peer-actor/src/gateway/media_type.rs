//! The media type a player should be told for a file. Pure; a wrong claim by a sharer costs a label, never a byte.

use shared::{MediaKind, snapshot::NetworkFile};

/// The `Content-Type` of a file, by its container and kind, and by its name where a container has several.
pub fn content_type(file: &NetworkFile) -> &'static str {
    let extension = file.name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    let container = file.container.split(',').next().unwrap_or_default();
    let is_video = file.kind == MediaKind::Video;
    match (container, extension.as_str()) {
        ("matroska" | "webm", "webm") | ("webm", _) => choose(is_video, "video/webm", "audio/webm"),
        ("matroska" | "mkv", _) => choose(is_video, "video/x-matroska", "audio/x-matroska"),
        ("mov" | "mp4" | "m4a" | "3gp", "mov") => "video/quicktime",
        ("mov" | "mp4" | "m4a" | "3gp", _) => choose(is_video, "video/mp4", "audio/mp4"),
        ("mpegts", _) => "video/mp2t",
        ("avi", _) => "video/x-msvideo",
        ("flv", _) => "video/x-flv",
        ("mp3", _) => "audio/mpeg",
        ("flac", _) => "audio/flac",
        ("ogg" | "opus", _) => choose(is_video, "video/ogg", "audio/ogg"),
        ("wav", _) => "audio/wav",
        ("aac", _) => "audio/aac",
        _ => "application/octet-stream",
    }
}

const fn choose(is_video: bool, video: &'static str, audio: &'static str) -> &'static str {
    if is_video { video } else { audio }
}

/// A `Content-Disposition` that offers the file's name, in the extended form so that every script survives.
pub fn content_disposition(name: &str) -> String {
    let encoded: String = name
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("inline; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
pub(crate) mod tests {
    use shared::ContentId;

    use super::*;

    #[test]
    fn a_container_with_two_kinds_is_told_by_kind_and_name() {
        assert_eq!(content_type(&file("a.mp4", "mov,mp4,m4a,3gp,3g2,mj2", MediaKind::Video)), "video/mp4");
        assert_eq!(content_type(&file("a.m4a", "mov,mp4,m4a,3gp,3g2,mj2", MediaKind::Audio)), "audio/mp4");
        assert_eq!(
            content_type(&file("a.mov", "mov,mp4,m4a,3gp,3g2,mj2", MediaKind::Video)),
            "video/quicktime"
        );
        assert_eq!(content_type(&file("a.webm", "matroska,webm", MediaKind::Video)), "video/webm");
        assert_eq!(content_type(&file("a.mkv", "matroska,webm", MediaKind::Video)), "video/x-matroska");
        assert_eq!(content_type(&file("a.opus", "ogg", MediaKind::Audio)), "audio/ogg");
        assert_eq!(
            content_type(&file("noextension", "strange", MediaKind::Audio)),
            "application/octet-stream"
        );
    }

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            content_disposition("a \"é\"\r\n.mp4"),
            "inline; filename*=UTF-8''a%20%22%C3%A9%22%0D%0A.mp4"
        );
    }

    pub(crate) fn file(name: &str, container: &str, kind: MediaKind) -> NetworkFile {
        NetworkFile {
            content_id: ContentId([7; 32]),
            name: name.into(),
            size: 1,
            kind,
            duration_ms: 0,
            bitrate: 0,
            codecs: Vec::new(),
            container: container.into(),
            width: 0,
            height: 0,
            title: String::new(),
            artist: String::new(),
            album: String::new(),
            sources: 1,
            at_origin: false,
            has_cover: false,
            is_local: false,
        }
    }
}
