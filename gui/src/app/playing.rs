//! Playing: from the click on a file to the player, and what its buttons and keys do to it.
//!
//! Invariant: volume, mute and speed outlive the player they were chosen for; nothing here waits.

use egui::Context;
use shared::{ContentId, MediaKind};

use super::{
    App,
    command::{LibraryCommand, PlayerCommand, Screen},
    session::Session,
};
use crate::{backend::Request, model::library, views::transport::SPEEDS};

/// Going back within this of the start goes to the item before; later it starts over.
const RESTART_MS: u64 = 3_000;

impl App {
    pub(super) fn play_wanted(&mut self, ctx: &Context) {
        let Some(wanted) = &self.wanted else { return };
        let found = library::find(&self.node().files, &self.order, wanted).map(|file| file.content_id);
        if let Some(content_id) = found {
            self.wanted = None;
            self.play(ctx, content_id);
            self.navigate(ctx, Screen::Player);
        }
    }

    pub(super) fn play(&mut self, ctx: &Context, content_id: ContentId) {
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
        if file.has_cover && !self.covers.is_known(&content_id) {
            self.apply_library(ctx, LibraryCommand::WantCover(content_id));
        }
        self.session = Some(session);
        self.refresh_neighbours();
        // Music plays on beside whatever page somebody is at; a film wants to be seen.
        if self.kind == MediaKind::Video {
            self.navigate(ctx, Screen::Player);
        }
    }

    pub(super) fn step(&mut self, ctx: &Context, step: isize) {
        let Some(current) = self.session.as_ref().map(|session| session.file.content_id) else { return };
        let next =
            library::neighbour(&self.node().files, &self.order, &current, step).map(|file| file.content_id);
        if let Some(content_id) = next {
            self.play(ctx, content_id);
        }
    }

    pub(super) fn apply_player(&mut self, ctx: &Context, command: PlayerCommand) {
        let Some(session) = &self.session else { return };
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
        self.storage.settings.volume = volume;
        if let Some(session) = &mut self.session {
            session.now_playing.playback.volume = volume;
            if let Some(player) = session.player() {
                player.set_volume(volume);
            }
        }
        // Turning it up is asking to hear it.
        if self.storage.settings.muted && volume > 0.0 {
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
