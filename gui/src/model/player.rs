//! What is being played, put into words: titles, the buffering line, the statistics.
//!
//! Invariant: the line that explains waiting names a cause the snapshots show; it appears only after a grace, so that a short
//! wait does not flash. Time is an argument in seconds.

use std::sync::Arc;

use shared::{
    ContentId, MediaKind,
    snapshot::{NetworkFile, StreamSnapshot},
    wire::Role,
};

use super::{format, library, playback, timeline::Timeline};
use media::{PlayerSnapshot, PlayerState};

/// How long a wait may last before it is mentioned.
pub const GRACE_SECONDS: f64 = 0.4;

/// The content being played, as the views see it.
#[derive(Debug, Clone)]
pub struct NowPlaying {
    /// Which content.
    pub content_id: ContentId,
    /// Audio or video.
    pub kind: MediaKind,
    /// What to call it.
    pub title: String,
    /// Who made it, or what it is.
    pub subtitle: String,
    /// The player's last word.
    pub playback: PlayerSnapshot,
    /// The swarm's last word.
    pub stream: Option<Arc<StreamSnapshot>>,
    /// Bytes as time.
    pub timeline: Timeline,
    /// What is here, as fractions of the duration.
    pub buffered: Vec<(f32, f32)>,
    /// Why it cannot be played at all, if so.
    pub failure: Option<String>,
    /// Whether there is something before it in the list.
    pub has_previous: bool,
    /// Whether there is something after it in the list.
    pub has_next: bool,
    /// Download rates, oldest first, in bits per second.
    pub rate_history: Vec<u64>,
    waiting_since: Option<f64>,
}

/// A sentence over the picture, with its explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusLine {
    /// What is happening.
    pub headline: String,
    /// Why, and what is being done about it.
    pub detail: String,
    /// Whether it is over for good.
    pub is_failure: bool,
}

impl NowPlaying {
    /// Before anything is known but the catalogue entry.
    pub fn new(file: &NetworkFile) -> Self {
        Self {
            content_id: file.content_id,
            kind: file.kind,
            title: library::title(file).to_owned(),
            subtitle: library::subtitle(file),
            playback: playback::before_opening(file.duration_ms),
            stream: None,
            timeline: Timeline::new(file.duration_ms, file.size, &[]),
            buffered: Vec::new(),
            failure: None,
            has_previous: false,
            has_next: false,
            rate_history: Vec::new(),
            waiting_since: None,
        }
    }

    /// Takes the player's newest snapshot.
    pub fn handle_playback(&mut self, now: f64, mut playback: PlayerSnapshot) {
        if playback.duration_ms == 0 {
            playback.duration_ms = self.playback.duration_ms;
        }
        if self.timeline.duration_ms() != playback.duration_ms {
            self.playback.duration_ms = playback.duration_ms;
            self.redraw_timeline();
        }
        let is_waiting = match playback.state {
            PlayerState::Opening | PlayerState::Buffering | PlayerState::Seeking => true,
            PlayerState::Playing | PlayerState::Paused | PlayerState::Ended | PlayerState::Failed => false,
        };
        self.waiting_since = is_waiting.then(|| self.waiting_since.unwrap_or(now));
        self.playback = playback;
    }

    /// Takes the swarm's newest snapshot.
    pub fn handle_stream(&mut self, stream: Arc<StreamSnapshot>) {
        self.stream = Some(stream);
        self.redraw_timeline();
    }

    /// Whether it cannot be played, as things are.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some() || self.playback.state == PlayerState::Failed
    }

    /// Where the playhead is, as a fraction of the duration.
    pub fn fraction(&self) -> f32 {
        match self.playback.duration_ms {
            0 => 0.0,
            duration => (self.playback.position_ms as f64 / duration as f64).min(1.0) as f32,
        }
    }

    /// What to say over the picture, once there has been something to say for long enough.
    pub fn status_line(&self, now: f64) -> Option<StatusLine> {
        if let Some(failure) = self.failure.clone().or_else(|| self.playback.error.clone()) {
            return Some(StatusLine {
                headline: "This cannot be played".to_owned(),
                detail: failure,
                is_failure: true,
            });
        }
        let since = self.waiting_since?;
        if now - since < GRACE_SECONDS {
            return None;
        }
        let headline = match self.playback.state {
            PlayerState::Opening => "Opening…",
            PlayerState::Seeking => "Seeking…",
            PlayerState::Buffering
            | PlayerState::Playing
            | PlayerState::Paused
            | PlayerState::Ended
            | PlayerState::Failed => "Buffering…",
        };
        Some(StatusLine { headline: headline.to_owned(), detail: self.waiting_reason(), is_failure: false })
    }

    /// Seconds until a wait that has begun will be mentioned.
    pub fn mentions_in(&self, now: f64) -> Option<f64> {
        self.waiting_since.map(|since| since + GRACE_SECONDS - now).filter(|left| *left > 0.0)
    }

    /// Label and value of each line of the statistics overlay.
    pub fn statistics(&self) -> Vec<(&'static str, String)> {
        let play = &self.playback;
        let mut lines = vec![
            ("Picture", picture_text(play)),
            ("Frames", format!("{} shown, {} dropped", play.frames_shown, play.frames_dropped)),
            ("Sound", sound_text(play)),
            ("Sound before picture", format!("{:+} ms", play.av_offset_ms)),
            ("Stalls", format!("{} ({})", play.stalls, format::clock(play.stalled_ms))),
        ];
        if let Some(stream) = &self.stream {
            lines.push(("Ahead", format::clock(stream.buffered_ahead_ms.max(play.buffered_ahead_ms))));
            lines.push(("Rate of the file", format::rate(stream.bitrate)));
            lines.push(("Download", format::rate(stream.download_bps)));
            lines.push((
                "Received",
                format!(
                    "{} ({} twice)",
                    format::bytes(stream.received_bytes),
                    format::bytes(stream.wasted_bytes)
                ),
            ));
            if stream.corrupt_bytes > 0 {
                lines.push(("Refused as corrupt", format::bytes(stream.corrupt_bytes)));
            }
            lines.push(("Content", stream.content_id.short()));
        }
        lines
    }

    fn redraw_timeline(&mut self) {
        if let Some(stream) = &self.stream {
            self.timeline = Timeline::of_stream(stream, self.playback.duration_ms);
            self.buffered = self.timeline.fractions(&stream.verified_ranges);
        }
    }

    fn waiting_reason(&self) -> String {
        let Some(stream) = &self.stream else {
            return "Asking the tracker who has it".to_owned();
        };
        if let Some(reason) = &stream.waiting {
            return reason.clone();
        }
        let connected = stream.peers.iter().filter(|peer| peer.connected && !peer.banned);
        let peers = connected.clone().filter(|peer| peer.role == Role::Peer).count() as u64;
        let has_origin = connected.clone().any(|peer| peer.role == Role::Origin);
        let sources = match (peers, has_origin) {
            (0, false) => return "Connecting to the nodes that have it".to_owned(),
            (0, true) => "the tracker's library".to_owned(),
            (peers, false) => format::count(peers, "peer", "peers"),
            (peers, true) => format!("{} and the tracker's library", format::count(peers, "peer", "peers")),
        };
        if stream.download_bps > 0 && stream.download_bps < stream.bitrate {
            let (have, need) = (format::rate(stream.download_bps), format::rate(stream.bitrate));
            return format!("{sources} send {have}; this file needs {need}");
        }
        format!("Waiting for bytes from {sources}")
    }
}

fn picture_text(play: &PlayerSnapshot) -> String {
    if play.has_video { format!("{} × {}", play.width, play.height) } else { "none".to_owned() }
}

fn sound_text(play: &PlayerSnapshot) -> String {
    if play.has_audio {
        format!("{}, {}", play.output, format::count(play.audio_underruns, "gap", "gaps"))
    } else {
        "none".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_wait_is_not_mentioned() {
        let mut now_playing = NowPlaying::new(&file());
        now_playing.handle_playback(10.0, snapshot(PlayerState::Buffering));
        assert_eq!(now_playing.status_line(10.3), None);
        assert!(now_playing.status_line(10.5).is_some());
        now_playing.handle_playback(10.6, snapshot(PlayerState::Playing));
        assert_eq!(now_playing.status_line(99.0), None);
    }

    #[test]
    fn the_grace_runs_from_the_start_of_the_wait_not_from_the_last_snapshot() {
        let mut now_playing = NowPlaying::new(&file());
        for tick in 0..10 {
            now_playing.handle_playback(f64::from(tick) * 0.1, snapshot(PlayerState::Buffering));
        }
        assert!(now_playing.status_line(0.9).is_some());
    }

    #[test]
    fn a_wait_is_explained_by_what_the_swarm_shows() {
        let mut now_playing = NowPlaying::new(&file());
        now_playing.handle_playback(0.0, snapshot(PlayerState::Buffering));
        let detail = |now_playing: &NowPlaying| {
            now_playing.status_line(9.0).map(|line| line.detail).unwrap_or_default()
        };
        assert_eq!(detail(&now_playing), "Asking the tracker who has it");
        now_playing.handle_stream(Arc::new(stream()));
        assert_eq!(detail(&now_playing), "Connecting to the nodes that have it");
        let mut waiting = stream();
        waiting.waiting = Some("no peer has this part".to_owned());
        now_playing.handle_stream(Arc::new(waiting));
        assert_eq!(detail(&now_playing), "no peer has this part");
    }

    #[test]
    fn a_failure_is_told_at_once() {
        let mut now_playing = NowPlaying::new(&file());
        now_playing.failure = Some("nobody has it".to_owned());
        assert!(
            now_playing
                .status_line(0.0)
                .is_some_and(|line| line.is_failure && line.detail == "nobody has it")
        );
    }

    #[test]
    fn an_unknown_player_duration_keeps_the_catalogues() {
        let mut now_playing = NowPlaying::new(&file());
        now_playing.handle_stream(Arc::new(stream()));
        now_playing.handle_playback(0.0, snapshot(PlayerState::Opening));
        assert_eq!(now_playing.playback.duration_ms, 10_000);
        assert_eq!(now_playing.buffered, [(0.0, 0.5)]);
    }

    fn snapshot(state: PlayerState) -> PlayerSnapshot {
        PlayerSnapshot { state, ..playback::before_opening(0) }
    }

    fn file() -> NetworkFile {
        NetworkFile {
            content_id: ContentId([1; 32]),
            name: "x.mp4".to_owned(),
            size: 1_000,
            kind: MediaKind::Video,
            duration_ms: 10_000,
            bitrate: 800,
            codecs: vec![],
            container: String::new(),
            width: 1,
            height: 1,
            title: String::new(),
            artist: String::new(),
            album: String::new(),
            sources: 1,
            at_origin: false,
            has_cover: false,
            is_local: false,
        }
    }

    fn stream() -> StreamSnapshot {
        StreamSnapshot {
            content_id: ContentId([1; 32]),
            name: String::new(),
            size: 1_000,
            duration_ms: 10_000,
            bitrate: 800,
            epoch: 0,
            playhead_byte: 0,
            playhead_ms: 0,
            buffered_ahead_ms: 0,
            verified_bytes: 500,
            piece_leaves: 1,
            piece_map: vec![],
            verified_ranges: vec![(0, 500)],
            time_index: vec![],
            peers: vec![],
            download_bps: 0,
            received_bytes: 500,
            wasted_bytes: 0,
            corrupt_bytes: 0,
            stalls: 0,
            waiting: None,
            complete: false,
        }
    }
}
