//! One content being played: the player, its picture as a texture, and the models the views read.
//!
//! Invariant: the texture is updated in place while the picture keeps its size. A player is never joined on the egui thread
//! while the window lives.

use std::{path::PathBuf, sync::Arc};

use egui::{ColorImage, Context, TextureHandle, TextureOptions};
use media::{MediaSource, Player, PlayerOptions, PlayerState};
use shared::snapshot::{NetworkFile, StreamSnapshot};

use crate::{
    backend::{Ticket, updates::Waker},
    model::{playback, player::NowPlaying, settings::Settings, swarm::RateHistory},
};

/// Larger pictures than this are scaled down before they reach the window.
const MAX_PICTURE: (u32, u32) = (1920, 1080);

/// What is being played.
pub(super) struct Session {
    pub(super) ticket: Ticket,
    pub(super) file: NetworkFile,
    pub(super) now_playing: NowPlaying,
    player: Option<Player>,
    video: Option<TextureHandle>,
    last_frame: u64,
    rates: RateHistory,
    resume_ms: Option<u64>,
    /// Speed chosen before the player was there, or kept from the one before.
    speed: f32,
    has_ended: bool,
}

impl Session {
    pub(super) fn new(ticket: Ticket, file: &NetworkFile, settings: &Settings, speed: f32) -> Self {
        let mut now_playing = NowPlaying::new(file);
        now_playing.playback.volume = settings.volume;
        now_playing.playback.muted = settings.muted;
        now_playing.playback.speed = speed;
        Self {
            ticket,
            file: file.clone(),
            now_playing,
            player: None,
            video: None,
            last_frame: 0,
            rates: RateHistory::default(),
            resume_ms: settings.position(&file.content_id),
            speed,
            has_ended: false,
        }
    }

    pub(super) fn player(&self) -> Option<&Player> {
        self.player.as_ref()
    }

    pub(super) fn video(&self) -> Option<&TextureHandle> {
        self.video.as_ref()
    }

    /// Where the film was left last time, once.
    pub(super) fn take_resume(&mut self) -> Option<u64> {
        self.resume_ms.take()
    }

    /// Starts to play from `source`.
    pub(super) fn handle_source(
        &mut self,
        source: Arc<dyn MediaSource>,
        settings: &Settings,
        waker: &Waker,
        frame_log: Option<PathBuf>,
    ) {
        let options = PlayerOptions {
            volume: settings.volume,
            on_frame: Some(Arc::clone(waker)),
            frame_log,
            max_size: MAX_PICTURE,
            ..PlayerOptions::default()
        };
        let player = Player::open(source, &self.file.name, options);
        player.set_muted(settings.muted);
        player.set_speed(self.speed);
        if let Some(position_ms) = self.resume_ms {
            player.seek_ms(position_ms);
        }
        self.player = Some(player);
    }

    /// Takes the newest words of the player and the swarm, and the newest picture. Returns whether the end was just reached.
    pub(super) fn update(&mut self, ctx: &Context, now: f64, stream: Option<Arc<StreamSnapshot>>) -> bool {
        if let Some(stream) = stream {
            if self.rates.handle_rate(now, stream.download_bps) {
                self.now_playing.rate_history = self.rates.samples();
            }
            let is_new = self.now_playing.stream.as_ref().is_none_or(|last| !Arc::ptr_eq(last, &stream));
            if is_new {
                self.now_playing.handle_stream(stream);
            }
        }
        let snapshot = match &self.player {
            Some(player) => player.snapshot(),
            None => {
                let before = &self.now_playing.playback;
                let (volume, muted, speed) = (before.volume, before.muted, before.speed);
                let waiting = playback::before_opening(self.file.duration_ms);
                media::PlayerSnapshot { volume, muted, speed, ..waiting }
            }
        };
        let has_ended = snapshot.state == PlayerState::Ended;
        self.now_playing.handle_playback(now, snapshot);
        self.take_frame(ctx);
        if self.now_playing.waits_for_smooth && self.now_playing.is_smooth() {
            self.wait_until_smooth(false);
        }
        let just_ended = has_ended && !self.has_ended;
        self.has_ended = has_ended;
        just_ended
    }

    /// Stands still until the rest plays without a stop, or goes on.
    pub(super) fn wait_until_smooth(&mut self, waits: bool) {
        let Some(player) = &self.player else { return };
        self.now_playing.waits_for_smooth = waits;
        if waits { player.pause() } else { player.play() }
    }

    /// Ends the player on a thread of its own, since joining its threads takes a moment.
    pub(super) fn close(self) {
        let Some(player) = self.player else { return };
        let work = move || drop(player);
        if let Err(error) = std::thread::Builder::new().name("player-end".to_owned()).spawn(work) {
            tracing::debug!(%error, "the player ended on the window's thread");
        }
    }

    fn take_frame(&mut self, ctx: &Context) {
        let Some(frame) = self.player.as_ref().and_then(|player| player.frame(self.last_frame)) else {
            return;
        };
        self.last_frame = frame.id;
        let size = [frame.width as usize, frame.height as usize];
        // Film pixels are opaque, so "premultiplied" is what they are already.
        let image = ColorImage::from_rgba_premultiplied(size, &frame.rgba);
        match &mut self.video {
            Some(texture) if texture.size() == size => {
                texture.set_partial([0, 0], image, TextureOptions::LINEAR)
            }
            Some(texture) => texture.set(image, TextureOptions::LINEAR),
            None => self.video = Some(ctx.load_texture("film", image, TextureOptions::LINEAR)),
        }
    }
}
