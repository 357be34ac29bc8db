//! What is being played, put into words: titles, the buffering line, the statistics.
//!
//! Invariant: the line that explains waiting names a cause the snapshots show; it appears only after a grace, so that a short
//! wait does not flash. Time is an argument in seconds.

use std::sync::Arc;

use shared::{
    ContentId, MediaKind,
    snapshot::{NetworkFile, StreamSnapshot},
};

use super::{
    forecast::{Forecast, Outlook},
    format, library, playback, swarm,
    timeline::Timeline,
};
use media::{PlayerSnapshot, PlayerState};

/// How long a wait may last before it is mentioned.
pub const GRACE_SECONDS: f64 = 0.4;
/// The part of the rate that a promise relies on.
const SURE: f64 = 0.9;
/// A wait shorter than this is over before anybody has chosen.
const WORTH_WAITING_MS: u64 = 3_000;
/// Rates a forecast is made from: the last five seconds.
const RATE_SAMPLES: usize = 10;

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
    /// How loud it is where, as its sharer says; empty when unknown.
    pub waveform: Vec<u8>,
    /// Why it cannot be played at all, if so.
    pub failure: Option<String>,
    /// Whether there is something before it in the list.
    pub has_previous: bool,
    /// Whether there is something after it in the list.
    pub has_next: bool,
    /// Download rates, oldest first, in bits per second.
    pub rate_history: Vec<u64>,
    /// Whether it stands still by request until the rest plays without a stop.
    pub waits_for_smooth: bool,
    waiting_since: Option<f64>,
    /// Whether this wait is or was long enough to be offered; so that the offer does not come and go with the rates.
    offers_wait: bool,
}

/// A sentence over the picture, with its explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusLine {
    /// What is happening.
    pub headline: String,
    /// Why, and what is being done about it.
    pub detail: String,
    /// What the sources send and what to expect of it; empty when there is nothing to say.
    pub outlook: String,
    /// Whether it is over for good.
    pub is_failure: bool,
    /// What the person may choose about the wait.
    pub choice: Option<WaitChoice>,
}

/// What can be chosen about a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitChoice {
    /// Stand still until the rest plays without a stop.
    WaitUntilSmooth,
    /// Play at once, with what is here.
    PlayNow,
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
            waveform: Vec::new(),
            failure: None,
            has_previous: false,
            has_next: false,
            rate_history: Vec::new(),
            waits_for_smooth: false,
            waiting_since: None,
            offers_wait: false,
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
        self.offers_wait = is_waiting && (self.offers_wait || self.is_worth_waiting());
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
                outlook: String::new(),
                is_failure: true,
                choice: None,
            });
        }
        if self.waits_for_smooth {
            return Some(StatusLine {
                headline: "Filling up".to_owned(),
                detail: self.smooth_words(),
                outlook: self.outlook(),
                is_failure: false,
                choice: Some(WaitChoice::PlayNow),
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
        Some(StatusLine {
            headline: headline.to_owned(),
            detail: self.waiting_reason(),
            outlook: self.outlook(),
            is_failure: false,
            choice: self.offers_wait.then_some(WaitChoice::WaitUntilSmooth),
        })
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
        let sources = swarm::senders(stream);
        match (sources.connected, sources.known) {
            (0, 0) if stream.complete => "Reading it from this computer".to_owned(),
            (0, 0) => "Looking for somebody who has it".to_owned(),
            (0, known) => format!("Connecting to {}", format::count(known, "source", "sources")),
            (connected, _) => match (&stream.waiting, sources.sending) {
                (Some(reason), _) => sentence(reason),
                (None, 0) => {
                    format!("Waiting for {} to answer", format::count(connected, "source", "sources"))
                }
                (None, sending) if sending < connected => {
                    let waited_for = connected - sending;
                    format!("Waiting for {waited_for} of {}", format::count(connected, "source", "sources"))
                }
                (None, _) => "The next part is on its way".to_owned(),
            },
        }
    }

    /// What the sources send against what the file needs, and when that is enough.
    fn outlook(&self) -> String {
        let Some(stream) = self.stream.as_ref().filter(|stream| !stream.complete) else {
            return String::new();
        };
        let sources = swarm::senders(stream);
        let rate_bps = self.recent_rate_bps();
        if rate_bps == 0 || sources.sending == 0 {
            return String::new();
        }
        let who = match (sources.sending, sources.connected) {
            (1, 1) => "The source sends".to_owned(),
            (1, connected) => format!("1 of {connected} sources sends"),
            (sending, connected) if sending == connected => format!("{connected} sources send"),
            (sending, connected) => format!("{sending} of {connected} sources send"),
        };
        let sent = format!("{who} {}, it needs {}", format::rate(rate_bps), format::rate(stream.bitrate));
        match self.forecast() {
            Forecast::Wait { ms } if !self.waits_for_smooth => {
                format!("{sent} · plays to the end without a stop in {}", format::about(ms))
            }
            Forecast::Wait { .. } | Forecast::Complete | Forecast::Smooth | Forecast::Unknown => sent,
        }
    }

    /// Whether a wait for the rest has reached its end: it comes fast enough, or no more of it comes before it is played.
    pub fn is_smooth(&self) -> bool {
        let is_resting =
            self.stream.as_ref().is_some_and(|stream| stream.complete || swarm::is_resting(stream));
        is_resting || matches!(self.forecast_at(SURE), Forecast::Complete | Forecast::Smooth)
    }

    /// What to expect of the rest at the rate of the last seconds.
    pub fn forecast(&self) -> Forecast {
        self.forecast_at(1.0)
    }

    fn is_worth_waiting(&self) -> bool {
        matches!(self.forecast(), Forecast::Wait { ms: WORTH_WAITING_MS.. })
    }

    fn smooth_words(&self) -> String {
        match self.forecast_at(SURE) {
            Forecast::Wait { ms } => format!("Plays to the end without a stop in {}", format::about(ms)),
            Forecast::Complete | Forecast::Smooth => "Going on".to_owned(),
            Forecast::Unknown => "Nothing arrives right now".to_owned(),
        }
    }

    /// [`forecast`](Self::forecast) at a part of the rate.
    fn forecast_at(&self, part: f64) -> Forecast {
        let Some(stream) = &self.stream else { return Forecast::Unknown };
        Outlook {
            timeline: &self.timeline,
            verified: &stream.verified_ranges,
            position_ms: self.playback.position_ms,
            rate_bps: (self.recent_rate_bps() as f64 * part) as u64,
            speed: self.playback.speed,
        }
        .forecast()
    }

    /// The mean rate of the last seconds, which jumps less than the present one.
    fn recent_rate_bps(&self) -> u64 {
        let lately = &self.rate_history[self.rate_history.len().saturating_sub(RATE_SAMPLES)..];
        let mean = lately.iter().sum::<u64>().checked_div(lately.len() as u64);
        mean.unwrap_or_else(|| self.stream.as_ref().map_or(0, |stream| stream.download_bps))
    }
}

/// `reason` as a sentence of its own.
fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
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
    use shared::snapshot::PeerSnapshot;

    use super::*;
    use crate::model::samples;

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
        assert_eq!(detail(&now_playing), "Looking for somebody who has it");
        let mut waiting = stream();
        waiting.peers = vec![peer(0), peer(300), peer(100)];
        now_playing.handle_stream(Arc::new(waiting.clone()));
        assert_eq!(detail(&now_playing), "Waiting for 1 of 3 sources");
        waiting.waiting = Some("no peer has this part".to_owned());
        now_playing.handle_stream(Arc::new(waiting.clone()));
        assert_eq!(detail(&now_playing), "No peer has this part");
        for peer in &mut waiting.peers {
            peer.connected = false;
        }
        now_playing.handle_stream(Arc::new(waiting));
        assert_eq!(detail(&now_playing), "Connecting to 3 sources");
    }

    #[test]
    fn a_wait_says_what_is_sent_and_when_that_is_enough() {
        let mut now_playing = NowPlaying::new(&file());
        now_playing.handle_playback(0.0, snapshot(PlayerState::Buffering));
        let mut slow = stream();
        slow.verified_ranges = vec![(0, 300)];
        slow.peers = vec![peer(0), peer(300), peer(100)];
        slow.download_bps = 400;
        now_playing.handle_stream(Arc::new(slow));
        let outlook = now_playing.status_line(9.0).map(|line| line.outlook);
        let words =
            "2 of 3 sources send 400 bit/s, it needs 800 bit/s · plays to the end without a stop in 4 s";
        assert_eq!(outlook.as_deref(), Some(words));
    }

    #[test]
    fn who_waits_by_choice_goes_on_when_the_rest_comes_fast_enough() {
        let mut now_playing = NowPlaying::new(&file());
        now_playing.handle_playback(0.0, snapshot(PlayerState::Buffering));
        let slow = StreamSnapshot {
            verified_ranges: vec![(0, 300)],
            peers: vec![peer(400)],
            plan: None,
            download_bps: 400,
            ..stream()
        };
        now_playing.handle_stream(Arc::new(slow.clone()));
        now_playing.handle_playback(0.1, snapshot(PlayerState::Buffering));
        let choice = |now_playing: &NowPlaying| now_playing.status_line(9.0).and_then(|line| line.choice);
        assert_eq!(choice(&now_playing), Some(WaitChoice::WaitUntilSmooth));
        now_playing.waits_for_smooth = true;
        now_playing.handle_playback(1.0, snapshot(PlayerState::Paused));
        assert_eq!(choice(&now_playing), Some(WaitChoice::PlayNow));
        assert!(!now_playing.is_smooth());
        let more = StreamSnapshot { verified_ranges: vec![(0, 600)], ..slow };
        now_playing.handle_stream(Arc::new(more));
        assert!(now_playing.is_smooth());
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

    fn peer(rate_bps: u64) -> PeerSnapshot {
        PeerSnapshot { rate_bps, ..samples::peer(rate_bps as u8) }
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
            verified_bytes: 500,
            verified_ranges: vec![(0, 500)],
            received_bytes: 500,
            ..samples::stream()
        }
    }
}
