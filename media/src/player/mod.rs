//! The player: a handle whose calls never block, over threads that do.
//!
//! ```text
//!  MediaSource -> demux --packets--> video --frames--> conductor --> Player::frame
//!                    \----packets--> audio --blocks--> kira sound --> output
//!                                                         \--clock--> conductor
//! ```
//!
//! Every seek starts a new *epoch*; whatever belongs to an older one is dropped wherever it is. Sound is the master
//! clock; without sound a silent output keeps the time.
//!
//! Deliberately absent: playlists (one `Player` plays one file) and subtitles.

mod audio;
mod buffering;
mod conductor;
mod continuity;
mod demux;
mod log;
mod queue;
mod schedule;
mod shared;
mod stretch;
mod video;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use rtrb::RingBuffer;

use self::{
    buffering::Phase,
    conductor::{Conductor, Parts},
    log::FrameLog,
    shared::{Control, Shared},
};
pub use crate::output::OutputChoice;
use crate::{
    frame::VideoFrame,
    output::{
        clock::TimeSource,
        sound::{PcmCore, RING_BLOCKS},
    },
    source::MediaSource,
    time::us_to_ms,
};

/// Louder than the file itself, by request.
const MAX_VOLUME: f32 = 1.3;
/// A reader that has waited this long is worth telling about.
const TELL_WAITING_AFTER_US: u128 = 50_000;

/// What is called with a frame that is shown.
pub type FrameTap = Arc<dyn Fn(&VideoFrame) + Send + Sync>;

/// How to play.
#[derive(Clone)]
pub struct PlayerOptions {
    /// Where the sound goes.
    pub output: OutputChoice,
    /// Show the first frame and wait for [`Player::play`].
    pub start_paused: bool,
    /// `0.0..=1.3`; `1.0` is as recorded.
    pub volume: f32,
    /// Called when there is a new frame to draw.
    pub on_frame: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Called with every frame shown, in order, before `on_frame`. It must be quick.
    pub frame_tap: Option<FrameTap>,
    /// Where to write a JSON line per shown frame (`pts_ms`, `wall_ms` since opening, `clock_ms`); for tests.
    pub frame_log: Option<PathBuf>,
    /// Larger pictures are scaled down to fit.
    pub max_size: (u32, u32),
}

impl Default for PlayerOptions {
    fn default() -> Self {
        Self {
            output: OutputChoice::Auto,
            start_paused: false,
            volume: 1.0,
            on_frame: None,
            frame_tap: None,
            frame_log: None,
            max_size: (1280, 720),
        }
    }
}

impl std::fmt::Debug for PlayerOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlayerOptions")
            .field("output", &self.output)
            .field("start_paused", &self.start_paused)
            .field("volume", &self.volume)
            .finish_non_exhaustive()
    }
}

/// What the player is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlayerState {
    /// Reading enough of the file to know what it is.
    Opening,
    /// Waiting for media to arrive.
    Buffering,
    /// Playing.
    Playing,
    /// Standing still by request.
    Paused,
    /// On the way to another place.
    Seeking,
    /// At the end; [`Player::play`] starts over.
    Ended,
    /// It cannot go on; see [`PlayerSnapshot::error`].
    Failed,
}

/// Everything about a player at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct PlayerSnapshot {
    /// What it is doing.
    pub state: PlayerState,
    /// Where it is.
    pub position_ms: u64,
    /// How long the file is; `0` while unknown.
    pub duration_ms: u64,
    /// Media demuxed beyond the position.
    pub buffered_ahead_ms: u64,
    /// The byte the reader is waiting for.
    pub waiting_at_byte: Option<u64>,
    /// There is a picture.
    pub has_video: bool,
    /// There is sound.
    pub has_audio: bool,
    /// Width of the picture as shown.
    pub width: u32,
    /// Height of the picture as shown.
    pub height: u32,
    /// `0.0..=1.3`.
    pub volume: f32,
    /// Silent by request.
    pub muted: bool,
    /// Media time per real time.
    pub speed: f32,
    /// `device`, `silent clock`, `virtual time`, or `none` before it is open.
    pub output: String,
    /// Frames shown so far.
    pub frames_shown: u64,
    /// Frames that came too late to be shown.
    pub frames_dropped: u64,
    /// Times the sound ran dry.
    pub audio_underruns: u64,
    /// How late pictures are shown against the sound, on average; negative is early.
    pub av_offset_ms: i32,
    /// Times playing had to stop and wait for media.
    pub stalls: u64,
    /// Time spent in such waits.
    pub stalled_ms: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// Plays one source. Dropping it stops everything within a fraction of a second.
pub struct Player {
    shared: Arc<Shared>,
    current: Arc<Mutex<Option<Arc<VideoFrame>>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Player {
    /// Starts opening `source`; `name` is the file's name, whose extension helps to recognise it.
    pub fn open(source: Arc<dyn MediaSource>, name: &str, options: PlayerOptions) -> Self {
        let stepped = matches!(options.output, OutputChoice::CaptureUnpaced(_));
        let time = if stepped { TimeSource::stepped() } else { TimeSource::real() };
        let control = Control {
            playing: !options.start_paused,
            volume: options.volume.clamp(0.0, MAX_VOLUME),
            muted: false,
            speed: 1.0,
            pending_seek_us: None,
            epoch: 0,
            target_us: 0,
            opened: false,
        };
        let shared = Arc::new(Shared::new(time, control));
        let current = Arc::new(Mutex::new(None));
        let (ring, blocks) = RingBuffer::new(RING_BLOCKS);
        let parts = Parts {
            shared: Arc::clone(&shared),
            core: Arc::new(Mutex::new(PcmCore::new(blocks))),
            current: Arc::clone(&current),
            output: options.output,
            on_frame: options.on_frame,
            frame_tap: options.frame_tap,
            log: FrameLog::open(options.frame_log.as_deref()),
        };
        let mut player = Self { shared: Arc::clone(&shared), current, threads: Vec::new() };
        let name = name.to_owned();
        player.spawn("media-demux", move || demux::run(&shared, &source, &name, options.max_size, ring));
        player.spawn("media-conductor", move || Conductor::new(parts).run());
        player
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) {
        match thread::Builder::new().name(name.to_owned()).spawn(work) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => self.shared.fail(format!("no thread for {name}: {error}")),
        }
    }

    /// Plays on; at the end, from the start.
    pub fn play(&self) {
        self.shared.control().playing = true;
        let ended = self.shared.facts().ended;
        if ended {
            self.shared.request_seek(0);
        }
        self.shared.wake_all();
    }

    /// Stands still.
    pub fn pause(&self) {
        self.shared.control().playing = false;
        self.shared.wake_all();
    }

    /// Plays if it stands, stands if it plays.
    pub fn toggle(&self) {
        let playing = self.shared.control().playing;
        let ended = self.shared.facts().ended;
        if playing && !ended { self.pause() } else { self.play() }
    }

    /// Goes to the frame on screen at `target_ms`, exactly. Of several requests the last one counts.
    pub fn seek_ms(&self, target_ms: u64) {
        let duration_us = self.shared.facts().duration_us;
        let target_us = i64::try_from(target_ms).unwrap_or(i64::MAX).saturating_mul(1000);
        self.shared.request_seek(if duration_us > 0 { target_us.min(duration_us) } else { target_us });
    }

    /// `0.0..=1.3`; `1.0` is as recorded.
    pub fn set_volume(&self, volume: f32) {
        let volume = if volume.is_finite() { volume.clamp(0.0, MAX_VOLUME) } else { 1.0 };
        self.shared.control().volume = volume;
        self.shared.wake_all();
    }

    /// Silences the sound without forgetting the volume.
    pub fn set_muted(&self, muted: bool) {
        self.shared.control().muted = muted;
        self.shared.wake_all();
    }

    /// `0.5..=2.0`, at the same pitch.
    pub fn set_speed(&self, speed: f32) {
        let speed = if speed.is_finite() { speed.clamp(0.5, 2.0) } else { 1.0 };
        self.shared.control().speed = speed;
        self.shared.sound.set_speed(speed);
        self.shared.wake_all();
    }

    /// Everything about the player now.
    pub fn snapshot(&self) -> PlayerSnapshot {
        let shared = &*self.shared;
        let facts = shared.facts().clone();
        let (playing, epoch, target_us, volume, muted, speed) = {
            let control = shared.control();
            (
                control.playing,
                control.epoch,
                control.pending_seek_us,
                control.volume,
                control.muted,
                control.speed,
            )
        };
        let clock_us = shared.sound.clock.position_us(shared.time.now_us());
        let position_us = match target_us {
            Some(target_us) => target_us,
            None if facts.ended => facts.duration_us.max(clock_us),
            None if facts.duration_us > 0 => clock_us.clamp(0, facts.duration_us),
            None => clock_us,
        };
        let levels = shared.levels(position_us);
        let ahead_us =
            [levels.video, levels.audio].into_iter().flatten().map(|lane| lane.ahead_us).min().unwrap_or(0);
        let state = match () {
            () if facts.failed.is_some() => PlayerState::Failed,
            () if epoch == 0 => PlayerState::Opening,
            () if target_us.is_some() || (epoch > 1 && !facts.landed) => PlayerState::Seeking,
            () if facts.ended => PlayerState::Ended,
            () if !playing => PlayerState::Paused,
            () if facts.phase == Phase::Filling => PlayerState::Buffering,
            () => PlayerState::Playing,
        };
        let waiting = shared.gate.blocked().filter(|(_, waited)| waited.as_micros() > TELL_WAITING_AFTER_US);
        PlayerSnapshot {
            state,
            position_ms: us_to_ms(position_us),
            duration_ms: us_to_ms(facts.duration_us),
            buffered_ahead_ms: us_to_ms(ahead_us),
            waiting_at_byte: waiting.map(|(at, _)| at),
            has_video: facts.has_video,
            has_audio: facts.has_audio,
            width: facts.width,
            height: facts.height,
            volume,
            muted,
            speed,
            output: facts.output.to_owned(),
            frames_shown: facts.frames_shown,
            frames_dropped: facts.frames_dropped,
            audio_underruns: shared.sound.underruns(),
            av_offset_ms: i32::try_from(facts.av_offset_us / 1000).unwrap_or(i32::MAX),
            stalls: facts.stalls,
            stalled_ms: us_to_ms(facts.stalled_us),
            error: facts.failed,
        }
    }

    /// The frame due now, or `None` when it is still the one with `last_id`.
    pub fn frame(&self, last_id: u64) -> Option<Arc<VideoFrame>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|frame| frame.id != last_id).map(Arc::clone)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.shared.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a player thread panicked");
            }
        }
    }
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Player").field(&self.snapshot()).finish()
    }
}
