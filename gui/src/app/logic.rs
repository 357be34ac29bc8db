//! What happens between frames: snapshots are taken, commands are applied, the next repaint is planned.
//!
//! Invariant: runs even while the window is hidden; draws nothing; never waits.

use std::{path::PathBuf, sync::Arc, time::Duration};

use egui::{Context, ThemePreference, ViewportCommand};
use media::PlayerState;
use shared::{ContentId, MediaKind};

use super::{
    App,
    command::{Command, ConsoleCommand, LibraryCommand, Screen, SharesCommand, WindowCommand},
    input,
};
use crate::{
    backend::{Answer, Request, dialog},
    model::{library, settings::ThemeChoice, shares, toasts::ToastAction, wanted::Wanted},
};

/// How often the position is redrawn while only sound plays.
const POSITION_EVERY: Duration = Duration::from_millis(200);
/// How often the log is looked at while it is shown.
const CONSOLE_EVERY: Duration = Duration::from_millis(500);
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
        self.remember_window(ctx);
        self.name_window(ctx);
        if self.screen == Screen::Console {
            self.console.refresh(&self.journal.lock());
        }
    }

    /// Does what a view or a key asked for.
    pub(super) fn apply(&mut self, ctx: &Context, command: Command) {
        match command {
            Command::Navigate(screen) => self.navigate(ctx, screen),
            Command::Library(command) => self.apply_library(ctx, command),
            Command::Player(command) => self.apply_player(ctx, command),
            Command::Shares(command) => self.apply_shares(ctx, command),
            Command::Console(command) => self.apply_console(ctx, command),
            Command::Window(command) => self.apply_window(ctx, command),
        }
    }

    /// Plans the next repaint for what changes by itself; everything else wakes the window.
    pub(super) fn schedule_repaint(&mut self, ctx: &Context) {
        let now = ctx.input(|input| input.time);
        let mut waits: Vec<f64> = Vec::new();
        waits.extend(self.toasts.poll_timeout().map(|at| at - now));
        waits.extend(self.wanted.as_ref().and_then(Wanted::poll_timeout).map(|at| at - now));
        waits.extend(self.storage.handle_timeout(now));
        waits.extend(self.capture.as_mut().map(|capture| capture.handle_timeout(ctx, now)));
        if self.screen == Screen::Console {
            waits.push(CONSOLE_EVERY.as_secs_f64());
        }
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

    pub(super) fn refresh_neighbours(&mut self) {
        let (has_previous, has_next) = (self.neighbour(-1).is_some(), self.neighbour(1).is_some());
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
                            self.toasts.offer(now, text, ToastAction::StartOver);
                        }
                    }
                    Err(reason) => session.now_playing.failure = Some(reason),
                }
            }
            Answer::Waveform(content_id, bars) => {
                let playing = self.session.as_mut().filter(|session| session.file.content_id == content_id);
                if let Some(session) = playing {
                    session.now_playing.waveform = bars;
                }
            }
            Answer::Cover(content_id, image) => self.covers.handle_cover(ctx, now, content_id, image),
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
        if just_ended {
            self.go_on(ctx);
        }
    }

    pub(super) fn remember_position(&mut self) {
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

    pub(super) fn navigate(&mut self, ctx: &Context, screen: Screen) {
        if self.screen == Screen::Player && screen != Screen::Player && input::is_fullscreen(ctx) {
            ctx.send_viewport_cmd(ViewportCommand::Fullscreen(false));
        }
        self.screen = screen;
        self.chrome.handle_activity(ctx.input(|input| input.time));
    }

    pub(super) fn apply_library(&mut self, ctx: &Context, command: LibraryCommand) {
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
            LibraryCommand::Play(content_id) => {
                // Pressed in the library, it is the library's list that plays; pressed elsewhere, the list stays.
                if self.screen == Screen::Library {
                    self.fill_queue(ctx, content_id);
                }
                self.play(ctx, content_id);
            }
            LibraryCommand::WantCover(content_id) => {
                // When there is no room for the request, the view asks again in the next frame.
                let is_known = self.covers.is_known(&content_id, now(ctx));
                if !is_known && self.request(Request::Cover(content_id)) {
                    self.covers.handle_wanted(content_id);
                }
            }
            LibraryCommand::CopyLink(content_id) => {
                ctx.copy_text(library::link(&content_id));
                let text =
                    "Link copied. Any client of this network finds the file by it: paste it into the search.";
                self.toasts.push(now(ctx), false, text);
            }
            LibraryCommand::CopyAddress(content_id) => self.copy_address(ctx, &content_id),
            LibraryCommand::FocusSearch => {
                self.navigate(ctx, Screen::Library);
                self.focus_search = true;
            }
        }
    }

    /// The gateway's address of a content, for players outside this window.
    fn copy_address(&mut self, ctx: &Context, content_id: &ContentId) {
        let Some(gateway) = &self.node().gateway_url else {
            let text = "This client runs without a gateway for other players.";
            self.toasts.push(now(ctx), true, text);
            return;
        };
        ctx.copy_text(format!("{}/stream/{content_id}", gateway.trim_end_matches('/')));
        let text = "Address copied. VLC, mpv and browsers on this computer play it while it arrives.";
        self.toasts.push(now(ctx), false, text);
    }

    fn apply_console(&mut self, ctx: &Context, command: ConsoleCommand) {
        match command {
            ConsoleCommand::Words(words) => self.console.words = words,
            ConsoleCommand::Severity(severity) => self.console.severity = severity,
            ConsoleCommand::Copy => {
                ctx.copy_text(self.console.to_text());
                let count = self.console.lines().len() as u64;
                let text = format!("{} copied", crate::model::format::count(count, "line", "lines"));
                self.toasts.push(now(ctx), false, text);
            }
        }
        self.console.refresh(&self.journal.lock());
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
                let is_seen = self.screen == Screen::Player && self.storage.settings.shows_network;
                self.storage.settings.shows_network = !is_seen;
                // The panel is part of the player: asking for it from another page is asking for both.
                if self.session.is_some() {
                    self.navigate(ctx, Screen::Player);
                }
            }
            WindowCommand::ToggleStatistics => self.shows_statistics = !self.shows_statistics,
            WindowCommand::Zoom(step) => {
                self.storage.settings.zoom = self.storage.settings.zoom_step(step);
                ctx.set_zoom_factor(self.storage.settings.zoom);
            }
            WindowCommand::ToggleHelp => self.shows_help = !self.shows_help,
            WindowCommand::Dismiss(toast) => self.toasts.dismiss(toast),
            WindowCommand::Leave => self.leave(ctx),
        }
    }

    /// Notes how large the window is, so that it opens like that again.
    fn remember_window(&mut self, ctx: &Context) {
        let zoom = ctx.zoom_factor();
        let settings = &mut self.storage.settings;
        ctx.input(|input| {
            let viewport = input.viewport();
            if viewport.fullscreen.unwrap_or(false) || viewport.minimized.unwrap_or(false) {
                return;
            }
            settings.is_maximized = viewport.maximized.unwrap_or(false);
            if let Some(inside) = viewport.inner_rect.filter(|_| !settings.is_maximized) {
                settings.window_size =
                    Some(((inside.width() * zoom).round(), (inside.height() * zoom).round()));
            }
        });
    }

    /// Puts what plays into the window's title, where the desktop's task list shows it.
    fn name_window(&mut self, ctx: &Context) {
        let playing = self.session.as_ref().map(|session| session.now_playing.title.as_str());
        let title = super::window_title(self.kind, playing);
        if title != self.title {
            ctx.send_viewport_cmd(ViewportCommand::Title(title.clone()));
            self.title = title;
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

    pub(super) fn request(&self, request: Request) -> bool {
        let is_sent = self.backend.send(request);
        if !is_sent {
            tracing::warn!("the node takes no request right now");
        }
        is_sent
    }
}

fn now(ctx: &Context) -> f64 {
    ctx.input(|input| input.time)
}
