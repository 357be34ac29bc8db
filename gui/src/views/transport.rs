//! The transport: play, seek, volume and speed, as a bar under the pages and as controls over a film.
//!
//! Draws only; every button is the same command as its key.

use egui::{Align, Layout, Rect, Role, Sense, Ui, WidgetInfo, vec2};

use media::PlayerState;

use crate::{
    app::{
        command::{Command, Commands, PlayerCommand, Screen, WindowCommand},
        ui::Scene,
    },
    model::{format, player::NowPlaying, queue::Repeat},
    theme::{self, radius, size, space},
    widgets::{
        controls, cover,
        icons::Icon,
        seek_bar::{self, SeekBar},
        text,
    },
};

/// The speeds of the menu.
pub const SPEEDS: [f32; 7] = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0];

/// The bar at the bottom of every page while something plays.
pub fn bar_ui(ui: &mut Ui, scene: &Scene<'_>, playing: &NowPlaying, commands: &mut Commands) {
    let width = ui.available_width();
    let side = (width * 0.27).clamp(150.0, 300.0);
    let row = ui.max_rect();
    let left = row.with_max_x(row.left() + side);
    let right = row.with_min_x(row.right() - side);
    let middle = Rect::from_x_y_ranges(left.right() + space::M..=right.left() - space::M, row.y_range());
    ui.scope_builder(
        egui::UiBuilder::new().max_rect(left).layout(Layout::left_to_right(Align::Center)),
        |ui| {
            what(ui, scene, playing, commands);
        },
    );
    ui.scope_builder(egui::UiBuilder::new().max_rect(middle), |ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.allocate_ui_with_layout(
            vec2(ui.available_width(), 42.0),
            Layout::left_to_right(Align::Center),
            |ui| {
                let is_music = playing.kind == shared::MediaKind::Audio && ui.available_width() > 230.0;
                let controls = if is_music { 4.0 } else { 2.0 };
                let buttons = controls * (size::CONTROL + space::S) + 40.0;
                ui.add_space(((ui.available_width() - buttons) / 2.0).max(0.0));
                if is_music {
                    shuffle_button(ui, scene, commands);
                }
                play_buttons(ui, playing, 40.0, commands);
                if is_music {
                    repeat_button(ui, scene, commands);
                }
            },
        );
        seek_row(ui, playing, commands);
    });
    ui.scope_builder(
        egui::UiBuilder::new().max_rect(right).layout(Layout::right_to_left(Align::Center)),
        |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            let is_shown = scene.screen == Screen::Player && scene.settings.shows_network;
            if controls::icon_toggle(ui, Icon::Network, "Pieces and peers (P)", is_shown).clicked() {
                commands.push(Command::Window(WindowCommand::ToggleNetwork));
            }
            speed_menu(ui, playing, commands);
            volume(ui, playing, side > 230.0, commands);
        },
    );
}

fn shuffle_button(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let is_on = scene.settings.is_shuffled;
    let name = if is_on { "Shuffle off (S)" } else { "Shuffle (S)" };
    if controls::icon_toggle(ui, Icon::Shuffle, name, is_on).clicked() {
        commands.push(Command::Player(PlayerCommand::ToggleShuffle));
    }
}

fn repeat_button(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let repeat = scene.settings.repeat;
    let (icon, name) = match repeat {
        Repeat::Off => (Icon::Repeat, "Repeat: off (R)"),
        Repeat::All => (Icon::Repeat, "Repeat: the list (R)"),
        Repeat::One => (Icon::RepeatOne, "Repeat: this track (R)"),
    };
    if controls::icon_toggle(ui, icon, name, repeat != Repeat::Off).clicked() {
        commands.push(Command::Player(PlayerCommand::CycleRepeat));
    }
}

/// Previous, play, next.
pub fn play_buttons(ui: &mut Ui, playing: &NowPlaying, diameter: f32, commands: &mut Commands) {
    let previous = controls::icon_button_with(ui, Icon::Previous, "Previous (Shift N)", false, true);
    if previous.clicked() {
        commands.push(Command::Player(PlayerCommand::Previous));
    }
    let (icon, name) = match playing.playback.state {
        PlayerState::Ended => (Icon::Replay, "Play again (Space)"),
        PlayerState::Paused => (Icon::Play, "Play (Space)"),
        PlayerState::Failed => (Icon::Replay, "Try again"),
        PlayerState::Opening | PlayerState::Buffering | PlayerState::Playing | PlayerState::Seeking => {
            (Icon::Pause, "Pause (Space)")
        }
    };
    if controls::round_button(ui, icon, name, diameter).clicked() {
        let command = if playing.playback.state == PlayerState::Failed || playing.failure.is_some() {
            PlayerCommand::Retry
        } else {
            PlayerCommand::Toggle
        };
        commands.push(Command::Player(command));
    }
    let next = controls::icon_button_with(ui, Icon::Next, "Next (N)", false, playing.has_next);
    if next.clicked() {
        commands.push(Command::Player(PlayerCommand::Next));
    }
}

/// Position, seek bar, duration.
pub fn seek_row(ui: &mut Ui, playing: &NowPlaying, commands: &mut Commands) {
    let bar = SeekBar {
        position_ms: playing.playback.position_ms,
        duration_ms: playing.playback.duration_ms,
        buffered: &playing.buffered,
        waveform: &playing.waveform,
    };
    if let Some(ms) = seek_bar::with_times(ui, bar) {
        commands.push(Command::Player(PlayerCommand::SeekMs(ms)));
    }
}

/// Mute and, where there is room, the volume slider. In a right-to-left layout the slider comes first.
pub fn volume(ui: &mut Ui, playing: &NowPlaying, has_room: bool, commands: &mut Commands) {
    let play = &playing.playback;
    let icon = match (play.muted, play.volume) {
        (true, _) => Icon::VolumeOff,
        (false, volume) if volume < 0.01 => Icon::VolumeOff,
        (false, volume) if volume < 0.5 => Icon::VolumeLow,
        (false, _) => Icon::VolumeHigh,
    };
    let name = if play.muted { "Sound on (M)" } else { "Sound off (M)" };
    let is_reversed = ui.layout().prefer_right_to_left();
    let shown = if play.muted { 0.0 } else { play.volume };
    let mut is_toggled = false;
    if !has_room || !is_reversed {
        is_toggled |= controls::icon_button(ui, icon, name).clicked();
    }
    if has_room {
        let (response, chosen) = controls::thin_slider(ui, "Volume", shown, 88.0);
        response.on_hover_text(format!("{:.0} %", shown * 100.0));
        if let Some(volume) = chosen {
            commands.push(Command::Player(PlayerCommand::Volume(volume)));
        }
        if is_reversed {
            is_toggled |= controls::icon_button(ui, icon, name).clicked();
        }
    }
    if is_toggled {
        commands.push(Command::Player(PlayerCommand::ToggleMute));
    }
}

/// The speed, with a menu of speeds.
pub fn speed_menu(ui: &mut Ui, playing: &NowPlaying, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let speed = playing.playback.speed;
    let label = format::speed(speed);
    let (rect, response) = ui.allocate_exact_size(vec2(46.0, size::CONTROL), Sense::click());
    let name = format!("Speed {label}");
    response.widget_info(move || WidgetInfo::labeled(Role::Button, true, name.clone()));
    if response.hovered() {
        ui.painter().rect_filled(rect, radius::M, tokens.hover);
    }
    controls::focus_ring(ui, &response, rect);
    let is_natural = (speed - 1.0).abs() < 0.01;
    let color = match (is_natural, response.hovered()) {
        (false, _) => tokens.accent,
        (true, true) => tokens.text,
        (true, false) => tokens.text_muted,
    };
    text::paint(ui, rect.center(), egui::Align2::CENTER_CENTER, &label, theme::body_strong(), color, 46.0);
    let response = response.on_hover_text("Speed ([ and ])");
    egui::Popup::menu(&response).show(|ui| {
        controls::menu(ui, 110.0, |ui| {
            for choice in SPEEDS {
                let is_chosen = (choice - speed).abs() < 0.01;
                if controls::menu_item(ui, None, &format::speed(choice), is_chosen).clicked() {
                    commands.push(Command::Player(PlayerCommand::Speed(choice)));
                    ui.close();
                }
            }
        });
    });
}

fn what(ui: &mut Ui, scene: &Scene<'_>, playing: &NowPlaying, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let rect = ui.available_rect_before_wrap();
    let (rect, response) = ui.allocate_exact_size(rect.size(), Sense::click());
    let name = format!("Show {}", playing.title);
    response.widget_info(move || WidgetInfo::labeled(Role::Button, true, name.clone()));
    let picture = match playing.kind {
        shared::MediaKind::Audio => vec2(52.0, 52.0),
        shared::MediaKind::Video => vec2(84.0, 48.0),
    };
    let cover_rect = Rect::from_min_size(egui::pos2(rect.left(), rect.center().y - picture.y / 2.0), picture);
    let texture = match playing.kind {
        shared::MediaKind::Video => scene.video.or_else(|| scene.covers.get(&playing.content_id)),
        shared::MediaKind::Audio => scene.covers.get(&playing.content_id),
    };
    cover::paint(ui, cover_rect, radius::S, texture, &playing.content_id, playing.kind);
    controls::focus_ring(ui, &response, rect);
    let left = cover_rect.right() + space::M;
    let width = rect.right() - left;
    let ink = if response.hovered() { tokens.accent } else { tokens.text };
    let middle = rect.center().y;
    let line = playing.status_line(scene.now);
    let below = line.as_ref().map_or(playing.subtitle.as_str(), |line| line.headline.as_str());
    let above = if below.is_empty() { middle } else { middle - 9.0 };
    text::paint(
        ui,
        egui::pos2(left, above),
        egui::Align2::LEFT_CENTER,
        &playing.title,
        theme::body_strong(),
        ink,
        width,
    );
    let muted =
        if line.as_ref().is_some_and(|line| line.is_failure) { tokens.danger } else { tokens.text_muted };
    let at = egui::pos2(left, middle + 9.0);
    text::paint(ui, at, egui::Align2::LEFT_CENTER, below, theme::caption(), muted, width);
    if response.on_hover_text("Open the player").clicked() {
        commands.push(Command::Navigate(Screen::Player));
    }
}
