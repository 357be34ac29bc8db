//! Playing: from the click on a file to the player, and what its buttons and keys do to it.
//!
//! Invariant: volume, mute and speed outlive the player they were chosen for; nothing here waits.

use egui::Context;
use shared::{ContentId, MediaKind, snapshot::TrackerStatus};

use super::{
    App,
    command::{LibraryCommand, PlayerCommand, Screen},
    session::Session,
};
use crate::{
    backend::Request,
    model::{library, queue::Repeat},
    views::transport::SPEEDS,
};

/// Going back within this of the start goes to the item before; later it starts over.
const RESTART_MS: u64 = 3_000;

impl App {
    pub(super) fn play_wanted(&mut self, ctx: &Context) {
        let Some(wanted) = &self.wanted else { return };
        let found = library::find(&self.node().files, &self.order, wanted.name()).map(|file| file.content_id);
        if let Some(content_id) = found {
            self.play(ctx, content_id);
            self.navigate(ctx, Screen::Player);
            return;
        }
        let now = ctx.input(|input| input.time);
        let is_connected = self.node().tracker == TrackerStatus::Connected;
        let told = self.wanted.as_mut().and_then(|wanted| wanted.handle_missing(now, is_connected));
        if let Some(text) = told {
            self.toasts.push(now, false, text);
        }
    }

    pub(super) fn play(&mut self, ctx: &Context, content_id: ContentId) {
        // What was wanted at the start must not interrupt what is played now.
        self.wanted = None;
        let is_current = self.session.as_ref().is_some_and(|session| session.file.content_id == content_id);
        let has_failed = self.session.as_ref().is_some_and(|session| session.now_playing.has_failed());
        if is_current && !has_failed {
            self.navigate(ctx, Screen::Player);
            return;
        }
        let Some(file) = self.node().files.iter().find(|file| file.content_id == content_id).cloned() else {
            return;
        };
        let speed = self.session.as_ref().map_or(1.0, |session| session.now_playing.playback.speed);
        self.remember_position();
        if let Some(last) = self.session.take() {
            last.close();
        }
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let mut session = Session::new(ticket, &file, &self.storage.settings, speed);
        if !self.request(Request::Open { ticket, content_id }) {
            session.now_playing.failure = Some("This client is too busy; try again in a moment.".to_owned());
        }
        // Without it the bar stays plain, so a refusal needs no word.
        if self.kind == MediaKind::Audio && !self.request(Request::Waveform(content_id)) {
            tracing::debug!("the node is too busy for a waveform");
        }
        if file.has_cover && !self.covers.is_known(&content_id, ctx.input(|input| input.time)) {
            self.apply_library(ctx, LibraryCommand::WantCover(content_id));
        }
        self.session = Some(session);
        if !self.queue.items().contains(&content_id) {
            self.fill_queue(ctx, content_id);
        }
        self.refresh_neighbours();
        // Music plays on beside whatever page somebody is at; a film wants to be seen.
        if self.kind == MediaKind::Video {
            self.navigate(ctx, Screen::Player);
        }
    }

    /// Makes the library's list, as it is shown, what plays around `content_id`.
    pub(super) fn fill_queue(&mut self, ctx: &Context, content_id: ContentId) {
        let files = &self.node().files;
        let list = self.order.iter().filter_map(|index| files.get(*index)).map(|file| file.content_id);
        let list = list.collect();
        let seed = self.shuffle_seed(ctx);
        self.queue.fill(list, content_id, seed);
        self.refresh_neighbours();
    }

    /// What plays after (1) or before (-1) what plays now.
    pub(super) fn neighbour(&self, step: isize) -> Option<ContentId> {
        let current = self.session.as_ref()?.file.content_id;
        let wraps = self.storage.settings.repeat != Repeat::Off;
        let files = &self.node().files;
        self.queue.neighbour(&current, step, wraps, |id| files.iter().any(|file| file.content_id == *id))
    }

    /// At the end of a file: again, the next, or nothing.
    pub(super) fn go_on(&mut self, ctx: &Context) {
        let is_music = self.kind == MediaKind::Audio;
        match self.storage.settings.repeat {
            Repeat::One => self.start_over(),
            // Music goes on by itself; a film that is over stays on its last picture.
            Repeat::Off | Repeat::All if is_music => self.step(ctx, 1),
            Repeat::All if self.neighbour(1).is_none() => self.start_over(),
            Repeat::Off | Repeat::All => {}
        }
    }

    fn step(&mut self, ctx: &Context, step: isize) {
        match self.neighbour(step) {
            Some(content_id) => self.play(ctx, content_id),
            // The only file of a list that repeats.
            None if self.storage.settings.repeat == Repeat::All => self.start_over(),
            None => {}
        }
    }

    fn start_over(&self) {
        if let Some(player) = self.session.as_ref().and_then(Session::player) {
            player.play();
            player.seek_ms(0);
        }
    }

    fn shuffle_seed(&self, ctx: &Context) -> Option<u64> {
        // When somebody presses a button is chance enough for an order of tracks.
        let seed = ctx.input(|input| input.time).to_bits();
        self.storage.settings.is_shuffled.then_some(seed)
    }

    pub(super) fn apply_player(&mut self, ctx: &Context, command: PlayerCommand) {
        let Some(session) = &mut self.session else { return };
        // Whoever starts or stops it by hand has taken the wait into their own hands.
        session.now_playing.waits_for_smooth &= command != PlayerCommand::Toggle;
        let session = &*session;
        let play = session.now_playing.playback.clone();
        let seek = |ms: u64| {
            if let Some(player) = session.player() {
                player.seek_ms(ms);
            }
        };
        match command {
            PlayerCommand::Toggle => {
                if let Some(player) = session.player() {
                    player.toggle();
                }
            }
            PlayerCommand::WaitUntilSmooth(waits) => {
                if let Some(session) = &mut self.session {
                    session.wait_until_smooth(waits);
                }
            }
            PlayerCommand::SeekMs(ms) => seek(ms),
            PlayerCommand::SeekByMs(step) => {
                let wanted = play.position_ms.saturating_add_signed(step);
                seek(if play.duration_ms > 0 { wanted.min(play.duration_ms) } else { wanted });
            }
            PlayerCommand::SeekFraction(fraction) => {
                seek((play.duration_ms as f64 * f64::from(fraction)) as u64)
            }
            PlayerCommand::SeekFileFraction(fraction) => {
                let byte = (session.file.size as f64 * f64::from(fraction)) as u64;
                seek(session.now_playing.timeline.ms_of(byte));
            }
            PlayerCommand::Volume(volume) => self.set_volume(volume),
            PlayerCommand::VolumeBy(step) => self.set_volume(play.volume + step),
            PlayerCommand::ToggleMute => self.set_muted(!play.muted),
            PlayerCommand::Speed(speed) => self.set_speed(speed),
            PlayerCommand::SpeedStep(step) => self.set_speed(next_speed(play.speed, step)),
            PlayerCommand::Next => self.step(ctx, 1),
            PlayerCommand::Previous if play.position_ms > RESTART_MS || !session.now_playing.has_previous => {
                seek(0)
            }
            PlayerCommand::Previous => self.step(ctx, -1),
            PlayerCommand::Stop => {
                self.stop();
                self.navigate(ctx, Screen::Library);
            }
            PlayerCommand::ToggleShuffle => {
                let current = session.file.content_id;
                self.storage.settings.is_shuffled = !self.storage.settings.is_shuffled;
                let seed = self.shuffle_seed(ctx);
                self.queue.shuffle(Some(&current), seed);
                self.refresh_neighbours();
            }
            PlayerCommand::CycleRepeat => {
                self.storage.settings.repeat = self.storage.settings.repeat.next();
                self.refresh_neighbours();
            }
            PlayerCommand::CopyLink => {
                let content_id = session.file.content_id;
                self.apply_library(ctx, LibraryCommand::CopyLink(content_id));
            }
            PlayerCommand::Retry => {
                let content_id = session.file.content_id;
                if let Some(failed) = &mut self.session {
                    failed.now_playing.failure.get_or_insert_default();
                }
                self.play(ctx, content_id);
            }
        }
    }

    fn set_volume(&mut self, volume: f32) {
        let volume = volume.clamp(0.0, 1.0);
        let is_louder = volume > self.storage.settings.volume;
        self.storage.settings.volume = volume;
        if let Some(session) = &mut self.session {
            session.now_playing.playback.volume = volume;
            if let Some(player) = session.player() {
                player.set_volume(volume);
            }
        }
        // Turning it up is asking to hear it.
        if self.storage.settings.muted && is_louder {
            self.set_muted(false);
        }
    }

    fn set_muted(&mut self, muted: bool) {
        self.storage.settings.muted = muted;
        if let Some(session) = &mut self.session {
            session.now_playing.playback.muted = muted;
            if let Some(player) = session.player() {
                player.set_muted(muted);
            }
        }
    }

    fn set_speed(&mut self, speed: f32) {
        if let Some(session) = &mut self.session {
            session.now_playing.playback.speed = speed;
            if let Some(player) = session.player() {
                player.set_speed(speed);
            }
        }
    }
}

/// The next speed of the menu in a direction.
fn next_speed(speed: f32, step: i32) -> f32 {
    let current = SPEEDS.iter().position(|choice| *choice >= speed - 0.01).unwrap_or(SPEEDS.len() - 1);
    let next = current.saturating_add_signed(step as isize).min(SPEEDS.len() - 1);
    SPEEDS.get(next).copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_step_through_the_menu_and_stop_at_its_ends() {
        assert_eq!(next_speed(1.0, 1), 1.25);
        assert_eq!(next_speed(1.0, -1), 0.75);
        assert_eq!(next_speed(2.0, 1), 2.0);
        assert_eq!(next_speed(0.5, -1), 0.5);
    }
}
