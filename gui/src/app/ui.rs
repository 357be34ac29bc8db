//! The layout of the window: rail, page, transport, overlays. Draws a [`Scene`] and changes nothing.

use std::path::Path;

use egui::{CentralPanel, Frame, Margin, Panel, TextureHandle, Ui};
use shared::{MediaKind, snapshot::NodeSnapshot};

use super::{
    command::{Commands, Screen},
    covers::Covers,
};
use crate::{
    model::{
        console::Console, library::Query, player::NowPlaying, queue::Queue, settings::Settings,
        toasts::Toasts,
    },
    theme::{self, size, space},
    views,
};

/// Everything a frame shows.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// Audio or video client.
    pub kind: MediaKind,
    /// Seconds, egui's clock.
    pub now: f64,
    /// The page.
    pub screen: Screen,
    /// The node's last word.
    pub node: &'a NodeSnapshot,
    /// Why this client cannot run at all, if so.
    pub failure: Option<&'a str>,
    /// The person's wishes about the list.
    pub query: &'a Query,
    /// Indices of the files shown, in order.
    pub order: &'a [usize],
    /// What plays after what.
    pub queue: &'a Queue,
    /// Covers that are here.
    pub covers: &'a Covers,
    /// What is played.
    pub playing: Option<&'a NowPlaying>,
    /// Its picture.
    pub video: Option<&'a TextureHandle>,
    /// What is remembered.
    pub settings: &'a Settings,
    /// Messages.
    pub toasts: &'a Toasts,
    /// The path being typed on the shares page.
    pub share_path: &'a str,
    /// The log as it is shown.
    pub console: &'a Console,
    /// Whether the controls over a film are visible.
    pub shows_controls: bool,
    /// Whether the statistics are.
    pub shows_statistics: bool,
    /// Whether the table of shortcuts is.
    pub shows_help: bool,
    /// Whether the window fills the screen.
    pub is_fullscreen: bool,
    /// Whether the search field gets the keyboard in this frame.
    pub focus_search: bool,
    /// Whether files are being dragged over the window.
    pub is_dropping: bool,
    /// The tracker's address.
    pub tracker_url: &'a str,
    /// Where this client keeps its data.
    pub data_dir: &'a Path,
    /// Bits per second this client may send, or 0 for no limit.
    pub upload_limit_bps: u64,
    /// Bits per second it passes on for others, or 0 for nothing.
    pub relay_limit_bps: u64,
}

impl std::fmt::Debug for Scene<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scene({:?} {:?})", self.kind, self.screen)
    }
}

impl Scene<'_> {
    /// Whether a film fills the window, without rail and bars.
    pub fn is_cinema(&self) -> bool {
        self.screen == Screen::Player && self.kind == MediaKind::Video && self.playing.is_some()
    }
}

/// Draws the whole window.
pub fn draw(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    match scene.playing {
        Some(playing) if scene.is_cinema() => views::player::player_ui(ui, scene, playing, commands),
        _ => pages(ui, scene, commands),
    }
    views::overlays::toasts_ui(ui, scene, commands);
    if scene.is_dropping {
        views::overlays::drop_ui(ui);
    }
    if scene.shows_help {
        views::overlays::help_ui(ui, commands);
    }
}

fn pages(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let tokens = theme::of(ui);
    if let Some(playing) = scene.playing {
        Panel::bottom("transport")
            .exact_size(size::PLAYER_BAR)
            .resizable(false)
            .show_separator_line(false)
            .frame(
                Frame::new()
                    .fill(tokens.chrome)
                    .inner_margin(Margin::symmetric(space::L as i8, space::S as i8)),
            )
            .show(ui, |ui| views::transport::bar_ui(ui, scene, playing, commands));
    }
    let is_narrow = ui.available_width() < size::NARROW;
    let rail = if is_narrow { size::RAIL_NARROW } else { size::RAIL };
    Panel::left("rail")
        .exact_size(rail)
        .resizable(false)
        .show_separator_line(false)
        .frame(
            Frame::new().fill(tokens.chrome).inner_margin(Margin::symmetric(space::M as i8, space::L as i8)),
        )
        .show(ui, |ui| views::rail::rail_ui(ui, scene, is_narrow, commands));
    if let (Screen::Player, Some(playing)) = (scene.screen, scene.playing) {
        views::audio_player::audio_player_ui(ui, scene, playing, commands);
        return;
    }
    let margin = Margin { left: space::XL as i8, right: space::L as i8, top: space::XL as i8, bottom: 0 };
    CentralPanel::no_frame().frame(Frame::new().fill(tokens.background).inner_margin(margin)).show(
        ui,
        |ui| match scene.screen {
            Screen::Library => views::library::library_ui(ui, scene, commands),
            Screen::Player => views::player::nothing_ui(ui, scene, commands),
            Screen::Transfers => views::transfers::transfers_ui(ui, scene, commands),
            Screen::Shares => views::shares::shares_ui(ui, scene, commands),
            Screen::Settings => views::settings::settings_ui(ui, scene, commands),
            Screen::Console => views::console::console_ui(ui, scene, commands),
        },
    );
}
