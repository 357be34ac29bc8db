//! What happens between frames: snapshots are taken, commands are applied, the next repaint is planned.
//!
//! Invariant: runs even while the window is hidden; draws nothing; never waits.

use std::{path::PathBuf, sync::Arc, time::Duration};

use egui::{Context, ThemePreference, ViewportCommand};
use media::PlayerState;
use shared::{ContentId, MediaKind};

use super::{
    App,
    command::{Command, LibraryCommand, PlayerCommand, Screen, SharesCommand, WindowCommand},
    input,
    session::Session,
};
use crate::{
    backend::{Answer, Request, dialog},
    model::{library, settings::ThemeChoice, shares},
    views::transport::SPEEDS,
};

/// Going back within this of the start goes to the item before; later it starts over.
const RESTART_MS: u64 = 3_000;
/// How often the position is redrawn while only sound plays.
const POSITION_EVERY: Duration = Duration::from_millis(200);
/// How often the position is remembered.
const REMEMBER_EVERY_MS: u64 = 5_000;

/// egui's word for a theme.
pub(super) fn theme_preference(theme: ThemeChoice) -> ThemePreference {
    match theme {
        ThemeChoice::Dark => ThemePreference::Dark,
        ThemeChoice::Light => ThemePreference::Light,
        ThemeChoice::System => ThemePreference::System,
    }
}

impl App {
    /// Takes what the node and the player have said since the last frame.
    pub(super) fn update(&mut self, ctx: &Context) {
        let now = ctx.input(|input| input.time);
        self.take_node(now);
        for answer in self.backend.updates().take_answers() {
            self.take_answer(ctx, now, answer);
        }
        self.update_session(ctx, now);
        self.play_wanted(ctx);
        self.toasts.handle_timeout(now);
    }

    /// Does what a view or a key asked for.
    pub(super) fn apply(&mut self, ctx: &Context, command: Command) {
        match command {
            Command::Navigate(screen) => self.navigate(ctx, screen),
            Command::Library(command) => self.apply_library(ctx, command),
            Command::Player(command) => self.apply_player(ctx, command),
            Command::Shares(command) => self.apply_shares(ctx, command),
            Command::Window(command) => self.apply_window(ctx, command),
        }
    }

    /// Plans the next repaint for what changes by itself; everything else wakes the window.
    pub(super) fn schedule_repaint(&mut self, ctx: &Context) {
        let now = ctx.input(|input| input.time);
        let mut waits: Vec<f64> = Vec::new();
        waits.extend(self.toasts.poll_timeout().map(|at| at - now));
        waits.extend(self.storage.handle_timeout(now));
        waits.extend(self.capture.as_mut().map(|capture| capture.handle_timeout(ctx, now)));
        if let Some(session) = &self.session {
            waits.extend(session.now_playing.mentions_in(now));
            if self.kind == MediaKind::Video && self.screen == Screen::Player {
                waits.extend(self.chrome.hides_in(now, input::is_chrome_held(self, ctx)));
            }
            match session.now_playing.playback.state {
                PlayerState::Playing
                | PlayerState::Opening
                | PlayerState::Buffering
                | PlayerState::Seeking => {
                    waits.push(POSITION_EVERY.as_secs_f64());
                }
                PlayerState::Paused | PlayerState::Ended | PlayerState::Failed => {}
            }
        }
        if let Some(wait) = waits.into_iter().min_by(f64::total_cmp) {
            ctx.request_repaint_after(Duration::from_secs_f64(wait.clamp(0.01, 3_600.0)));
        }
    }

    /// Stops playing and remembers where.
    pub(super) fn stop(&mut self) {
        self.remember_position();
        if let Some(session) = self.session.take() {
            self.request(Request::Close);
            session.close();
        }
    }

    fn take_node(&mut self, now: f64) {
        let Some(node) = self.backend.updates().node() else { return };
        if self.node.as_ref().is_some_and(|last| Arc::ptr_eq(last, &node)) {
            return;
        }
        let is_same_list = self.node.as_ref().is_some_and(|last| Arc::ptr_eq(&last.files, &node.files));
        self.toasts.handle_notices(now, &node.notices);
        self.node = Some(node);
        if !is_same_list {
            self.arrange();
        }
    }

    fn arrange(&mut self) {
        self.order = library::arrange(&self.node().files, &self.query);
        self.refresh_neighbours();
    }

    fn refresh_neighbours(&mut self) {
        let Some(current) = self.session.as_ref().map(|session| session.file.content_id) else { return };
        let has = |step| library::neighbour(&self.node().files, &self.order, &current, step).is_some();
        let (has_previous, has_next) = (has(-1), has(1));
        if let Some(session) = &mut self.session {
            session.now_playing.has_previous = has_previous;
            session.now_playing.has_next = has_next;
        }
    }

    fn take_answer(&mut self, ctx: &Context, now: f64, answer: Answer) {
        match answer {
            Answer::Opened { ticket, source } => {
                let Some(session) = self.session.as_mut().filter(|session| session.ticket == ticket) else {
                    return;
                };
                match source {
                    Ok(source) => {
                        let log = self.frame_log.clone();
                        session.handle_source(source, &self.storage.settings, &self.waker, log);
                        if let Some(position_ms) = session.take_resume() {
                            let text = format!("Goes on at {}", crate::model::format::clock(position_ms));
                            self.toasts.push(now, false, text);
                        }
                    }
                    Err(reason) => session.now_playing.failure = Some(reason),
                }
            }
            Answer::Cover(content_id, image) => self.covers.handle_cover(ctx, content_id, image),
            Answer::Notice { is_error, text } => self.toasts.push(now, is_error, text),
            Answer::FolderChosen(folder) => self.share(folder),
            Answer::Failed(reason) => {
                self.failure = Some(reason);
                self.screen = Screen::Library;
            }
        }
    }

    fn update_session(&mut self, ctx: &Context, now: f64) {
        let Some(session) = &mut self.session else { return };
        let stream = self.backend.updates().stream(session.ticket);
        let just_ended = session.update(ctx, now, stream);
        let position = session.now_playing.playback.position_ms;
        let known = self.storage.settings.position(&session.file.content_id).unwrap_or(0);
        if position.abs_diff(known) > REMEMBER_EVERY_MS && self.kind == MediaKind::Video {
            self.remember_position();
        }
        // Music goes on by itself; a film that is over stays on its last picture.
        if just_ended && self.kind == MediaKind::Audio {
            self.step(ctx, 1);
        }
    }

    fn remember_position(&mut self) {
        let Some(session) = &self.session else { return };
        if self.kind == MediaKind::Video && session.player().is_some() {
            let play = &session.now_playing.playback;
            self.storage.settings.remember_position(
                session.file.content_id,
                play.position_ms,
                play.duration_ms,
            );
        }
    }

    fn play_wanted(&mut self, ctx: &Context) {
        let Some(wanted) = &self.wanted else { return };
        let found = library::find(&self.node().files, &self.order, wanted).map(|file| file.content_id);
        if let Some(content_id) = found {
            self.wanted = None;
            self.play(ctx, content_id);
        }
    }

    fn play(&mut self, ctx: &Context, content_id: ContentId) {
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
        // The next track of a queue does not pull anybody out of the library.
        if self.kind == MediaKind::Video || !is_current && self.screen != Screen::Library {
            self.navigate(ctx, Screen::Player);
        }
    }

    fn step(&mut self, ctx: &Context, step: isize) {
        let Some(current) = self.session.as_ref().map(|session| session.file.content_id) else { return };
        let next =
            library::neighbour(&self.node().files, &self.order, &current, step).map(|file| file.content_id);
        if let Some(content_id) = next {
            self.play(ctx, content_id);
        }
    }

    fn navigate(&mut self, ctx: &Context, screen: Screen) {
        if self.screen == Screen::Player && screen != Screen::Player && input::is_fullscreen(ctx) {
            ctx.send_viewport_cmd(ViewportCommand::Fullscreen(false));
        }
        self.screen = screen;
        self.chrome.handle_activity(ctx.input(|input| input.time));
    }

    fn apply_library(&mut self, ctx: &Context, command: LibraryCommand) {
        match command {
            LibraryCommand::Search(words) => {
                self.query.search = words;
                self.arrange();
            }
            LibraryCommand::Sort(key) => {
                self.query.sort = key;
                self.storage.settings.sort = key;
                self.arrange();
            }
            LibraryCommand::Reverse => {
                self.query.is_descending = !self.query.is_descending;
                self.storage.settings.is_descending = self.query.is_descending;
                self.arrange();
            }
            LibraryCommand::Layout(layout) => self.storage.settings.layout = layout,
            LibraryCommand::Play(content_id) => self.play(ctx, content_id),
            LibraryCommand::WantCover(content_id) => {
                // When there is no room for the request, the view asks again in the next frame.
                if !self.covers.is_known(&content_id) && self.request(Request::Cover(content_id)) {
                    self.covers.handle_wanted(content_id);
                }
            }
            LibraryCommand::FocusSearch => {
                self.navigate(ctx, Screen::Library);
                self.focus_search = true;
            }
        }
    }

    fn apply_player(&mut self, ctx: &Context, command: PlayerCommand) {
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

    fn apply_shares(&mut self, ctx: &Context, command: SharesCommand) {
        match command {
            SharesCommand::ChooseFolder => {
                self.navigate(ctx, Screen::Shares);
                dialog::choose_folder(self.backend.updates());
            }
            SharesCommand::EditPath(path) => self.share_path = path,
            SharesCommand::AddTyped => {
                let home = directories::BaseDirs::new().map(|folders| folders.home_dir().to_path_buf());
                if let Some(path) = shares::parse_path(&self.share_path, home.as_deref()) {
                    self.share(path);
                    self.share_path.clear();
                }
            }
            SharesCommand::Add(path) => {
                self.share(path);
                self.navigate(ctx, Screen::Shares);
            }
            SharesCommand::Remove(path) => {
                self.request(Request::Unshare(PathBuf::from(path)));
            }
        }
    }

    fn share(&mut self, path: PathBuf) {
        self.request(Request::Share(path));
    }

    fn apply_window(&mut self, ctx: &Context, command: WindowCommand) {
        match command {
            WindowCommand::Theme(theme) => {
                self.storage.settings.theme = theme;
                ctx.set_theme(theme_preference(theme));
            }
            WindowCommand::ToggleFullscreen => {
                ctx.send_viewport_cmd(ViewportCommand::Fullscreen(!input::is_fullscreen(ctx)));
            }
            WindowCommand::ToggleNetwork => {
                self.storage.settings.shows_network = !self.storage.settings.shows_network;
            }
            WindowCommand::ToggleStatistics => self.shows_statistics = !self.shows_statistics,
            WindowCommand::ToggleHelp => self.shows_help = !self.shows_help,
            WindowCommand::Dismiss(toast) => self.toasts.dismiss(toast),
            WindowCommand::Leave => self.leave(ctx),
        }
    }

    /// Out of the innermost thing.
    fn leave(&mut self, ctx: &Context) {
        if self.shows_help {
            self.shows_help = false;
        } else if input::is_fullscreen(ctx) {
            ctx.send_viewport_cmd(ViewportCommand::Fullscreen(false));
        } else if let Some(focused) = ctx.memory(|memory| memory.focused()) {
            ctx.memory_mut(|memory| memory.surrender_focus(focused));
        } else if self.screen != Screen::Library {
            self.navigate(ctx, Screen::Library);
        } else if !self.query.search.is_empty() {
            self.query.search.clear();
            self.arrange();
        }
    }

    fn request(&self, request: Request) -> bool {
        let is_sent = self.backend.send(request);
        if !is_sent {
            tracing::warn!("the node takes no request right now");
        }
        is_sent
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
