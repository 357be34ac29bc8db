//! What is fetched right now, as rows: how much is here, how fast it comes, how long it takes.
//!
//! Pure; a row is a snapshot put into words.

use shared::{
    ContentId,
    snapshot::{NetworkFile, StreamSnapshot},
};

use super::{format, library, swarm};

/// One content that is streamed or fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// Which content.
    pub content_id: ContentId,
    /// What to call it.
    pub title: String,
    /// Verified of the whole, 0 to 1.
    pub fraction: f32,
    /// What is here, as fractions of the file, in order.
    pub ranges: Vec<(f32, f32)>,
    /// How much is here and from whom.
    pub summary: String,
    /// How fast it comes, or that it is all here.
    pub pace: String,
    /// Whether everything is here.
    pub is_complete: bool,
}

/// Puts a stream into words; `file` is its entry of the library, if it is still there.
pub fn transfer(stream: &StreamSnapshot, file: Option<&NetworkFile>) -> Transfer {
    let size = stream.size.max(1) as f64;
    let part = |byte: u64| (byte as f64 / size).min(1.0) as f32;
    let sources = swarm::senders(stream);
    let here = format!(
        "{} of {}",
        if stream.complete { "all".to_owned() } else { format::percent(stream.verified_bytes, stream.size) },
        format::bytes(stream.size)
    );
    let summary = match (stream.complete, sources.connected) {
        (true, _) => format!("{here} · passed on to whoever wants it"),
        (false, 0) => format!("{here} · no source connected"),
        (false, connected) => format!("{here} · from {}", format::count(connected, "source", "sources")),
    };
    Transfer {
        content_id: stream.content_id,
        title: file.map_or_else(|| stream.name.clone(), |file| library::title(file).to_owned()),
        fraction: part(stream.verified_bytes),
        ranges: stream.verified_ranges.iter().map(|&(start, end)| (part(start), part(end))).collect(),
        summary,
        pace: pace(stream),
        is_complete: stream.complete,
    }
}

fn pace(stream: &StreamSnapshot) -> String {
    if stream.complete {
        return "Complete".to_owned();
    }
    if stream.download_bps == 0 {
        let words = match (&stream.waiting, swarm::is_resting(stream)) {
            (Some(_), _) => "Waiting for a source",
            (None, true) => "Well ahead of the playhead",
            (None, false) => "Idle",
        };
        return words.to_owned();
    }
    let left = stream.size.saturating_sub(stream.verified_bytes);
    let left_ms = u128::from(left) * 8_000 / u128::from(stream.download_bps);
    format!("{} · {} left", format::rate(stream.download_bps), format::about(left_ms as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;

    #[test]
    fn a_transfer_tells_how_long_it_takes() {
        let row = transfer(&stream(250, 800), None);
        assert_eq!(row.title, "x.mp4");
        assert_eq!(row.fraction, 0.25);
        assert_eq!(row.summary, "25 % of 1.0 kB · no source connected");
        assert_eq!(row.pace, "800 bit/s · 8 s left");
    }

    #[test]
    fn a_complete_one_is_never_ninety_nine_percent() {
        let mut done = stream(1_000, 0);
        done.complete = true;
        let row = transfer(&done, None);
        assert!(row.is_complete && row.summary.starts_with("all of 1.0 kB"));
        assert_eq!(row.pace, "Complete");
    }

    #[test]
    fn nothing_arriving_is_idle_and_promises_nothing() {
        assert_eq!(transfer(&stream(0, 0), None).pace, "Idle");
        let ahead = StreamSnapshot { buffered_ahead_ms: 20_000, ..stream(500, 0) };
        assert_eq!(transfer(&ahead, None).pace, "Well ahead of the playhead");
        let dry = StreamSnapshot { waiting: Some("no source".to_owned()), ..ahead };
        assert_eq!(transfer(&dry, None).pace, "Waiting for a source");
    }

    fn stream(verified_bytes: u64, download_bps: u64) -> StreamSnapshot {
        StreamSnapshot {
            name: "x.mp4".to_owned(),
            verified_bytes,
            verified_ranges: vec![(0, verified_bytes)],
            download_bps,
            received_bytes: verified_bytes,
            ..samples::stream()
        }
    }
}
