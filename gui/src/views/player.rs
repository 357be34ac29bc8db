//! The film: it fills the window; controls come with the pointer and go.
//!
//! Draws only. Everything over the picture uses the dark tokens, whatever the desktop is.

use egui::{
    Align, Align2, CentralPanel, Color32, CursorIcon, Frame, Layout, Margin, Panel, Rect, Role, Sense, Ui,
    UiBuilder, WidgetInfo, pos2, vec2,
};

use media::PlayerState;

use super::{file_menu, status::status_ui, swarm, transport};
use crate::{
    app::{
        command::{Command, Commands, PlayerCommand, Screen, WindowCommand},
        ui::Scene,
    },
    model::player::NowPlaying,
    theme::{self, radius, size, space},
    widgets::{
        controls, cover,
        icons::{self, Icon},
        text,
    },
};

/// Draws the film page.
pub fn player_ui(ui: &mut Ui, scene: &Scene<'_>, playing: &NowPlaying, commands: &mut Commands) {
    theme::force_dark(ui);
    let tokens = theme::of(ui);
    if scene.settings.shows_network {
        let width = size::SIDE_PANEL.min(ui.available_width() * 0.5);
        Panel::right("network")
            .exact_size(width)
            .resizable(false)
            .show_separator_line(false)
            .frame(Frame::new().fill(tokens.chrome).inner_margin(Margin::same(space::L as i8)))
            .show(ui, |ui| swarm::swarm_ui(ui, playing, true, commands));
    }
    CentralPanel::no_frame().frame(Frame::new().fill(Color32::BLACK)).show(ui, |ui| {
        let rect = ui.max_rect();
        picture(ui, scene, playing, rect, commands);
        if let Some(line) = playing.status_line(scene.now) {
            status_ui(ui, rect, &line, commands);
        }
        let shown = ui.ctx().animate_bool_with_time(egui::Id::unique("controls"), scene.shows_controls, 0.18);
        if shown > 0.0 {
            let mut over = ui.new_child(UiBuilder::new().max_rect(rect));
            over.set_opacity(shown);
            theme::force_cinema(&mut over);
            top_bar(&mut over, playing, rect, commands);
            bottom_bar(&mut over, scene, playing, rect, commands);
        } else {
            ui.ctx().set_cursor_icon(CursorIcon::None);
        }
        if scene.shows_statistics {
            statistics_ui(ui, playing, rect);
        }
    });
}

/// What the page says when nothing plays.
pub fn nothing_ui(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let what = match scene.kind {
        shared::MediaKind::Audio => {
            "Pick a track in the library; it starts at once, while the rest is still on its way."
        }
        shared::MediaKind::Video => {
            "Pick a film in the library; it starts at once, while the rest is still on its way."
        }
    };
    controls::empty_state(ui, Icon::Play, "Nothing is playing", what, |ui| {
        if controls::primary_button(ui, Icon::Library, "Open the library").clicked() {
            commands.push(Command::Navigate(Screen::Library));
        }
    });
}

fn picture(ui: &mut Ui, scene: &Scene<'_>, playing: &NowPlaying, rect: Rect, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let response = ui.interact(rect, ui.scope_id().with("picture"), Sense::click());
    let name = format!("Picture of {}, click to pause", playing.title);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, name.clone()));
    if response.clicked() {
        commands.push(Command::Player(PlayerCommand::Toggle));
    }
    if response.double_clicked() {
        commands.push(Command::Window(WindowCommand::ToggleFullscreen));
    }
    file_menu::attach_to_playing(&response, playing.content_id, commands);
    if response.hovered() {
        let wheel = ui.input(|input| input.smooth_scroll_delta().y);
        if wheel != 0.0 {
            commands.push(Command::Player(PlayerCommand::VolumeBy(wheel / 1000.0)));
        }
    }
    let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
    if let Some(video) = scene.video {
        ui.painter().image(video.id(), fit(video.size_vec2(), rect), uv, Color32::WHITE);
    } else if let Some(poster) = scene.covers.get(&playing.content_id) {
        // Until the first frame the poster stands in, dimmed so that nobody takes it for the film.
        let dim = Color32::from_gray(110);
        ui.painter().image(poster.id(), fit(poster.size_vec2(), rect), uv, dim);
    } else if !playing.playback.has_video && playing.playback.has_audio {
        let side = rect.height().min(rect.width()) * 0.4;
        let square = Rect::from_center_size(rect.center(), vec2(side, side));
        cover::paint(ui, square, radius::L, None, &playing.content_id, playing.kind);
    }
    let is_stopped = matches!(playing.playback.state, PlayerState::Paused | PlayerState::Ended);
    let shown = ui.ctx().animate_bool(egui::Id::unique("paused"), is_stopped && playing.failure.is_none());
    if shown > 0.0 {
        let ground = Color32::from_black_alpha((140.0 * shown) as u8);
        ui.painter().circle_filled(rect.center(), 38.0, ground);
        let icon = if playing.playback.state == PlayerState::Ended { Icon::Replay } else { Icon::Play };
        let ink = tokens.text.gamma_multiply(shown);
        icons::paint(ui.painter(), Rect::from_center_size(rect.center(), vec2(36.0, 36.0)), icon, ink);
    }
}

/// The largest rectangle of the picture's shape within `room`, centred.
fn fit(picture: egui::Vec2, room: Rect) -> Rect {
    if picture.x <= 0.0 || picture.y <= 0.0 {
        return room;
    }
    let scale = (room.width() / picture.x).min(room.height() / picture.y);
    Rect::from_center_size(room.center(), picture * scale)
}

fn top_bar(ui: &mut Ui, playing: &NowPlaying, rect: Rect, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let bar = rect.with_max_y(rect.top() + 84.0);
    theme::shade(ui.painter(), bar, Color32::from_black_alpha(170), Color32::TRANSPARENT);
    let row =
        Rect::from_min_size(bar.min + vec2(space::M, space::M), vec2(bar.width() - 2.0 * space::M, 40.0));
    ui.scope_builder(UiBuilder::new().max_rect(row).layout(Layout::left_to_right(Align::Center)), |ui| {
        if controls::icon_button(ui, Icon::Back, "Back to the library (Esc)").clicked() {
            commands.push(Command::Navigate(Screen::Library));
        }
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            let is_tall = !playing.subtitle.is_empty();
            ui.add_space(if is_tall { 0.0 } else { space::S });
            text::label(ui, &playing.title, theme::title(), tokens.text);
            if is_tall {
                text::label(ui, &playing.subtitle, theme::caption(), tokens.text_muted);
            }
        });
    });
}

fn bottom_bar(ui: &mut Ui, scene: &Scene<'_>, playing: &NowPlaying, rect: Rect, commands: &mut Commands) {
    let bar = rect.with_min_y(rect.bottom() - 150.0);
    // In two steps, so that it is dark where the words are and soft where it begins.
    let knee = bar.top() + 56.0;
    theme::shade(ui.painter(), bar.with_max_y(knee), Color32::TRANSPARENT, Color32::from_black_alpha(150));
    theme::shade(
        ui.painter(),
        bar.with_min_y(knee),
        Color32::from_black_alpha(150),
        Color32::from_black_alpha(225),
    );
    let inner = Rect::from_min_max(
        pos2(bar.left() + space::L, bar.bottom() - 84.0),
        pos2(bar.right() - space::L, bar.bottom() - space::M),
    );
    // The controls take clicks before the picture below them does.
    ui.interact(inner.expand(space::S), ui.scope_id().with("controls"), Sense::click());
    let is_narrow = inner.width() < 560.0;
    ui.scope_builder(UiBuilder::new().max_rect(inner), |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        transport::seek_row(ui, playing, commands);
        let row = vec2(ui.available_width(), 40.0);
        ui.allocate_ui_with_layout(row, Layout::left_to_right(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            transport::play_buttons(ui, playing, 40.0, commands);
            ui.add_space(space::S);
            transport::volume(ui, playing, !is_narrow, commands);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                window_buttons(ui, scene, is_narrow, commands);
                transport::speed_menu(ui, playing, commands);
            });
        });
    });
}

fn window_buttons(ui: &mut Ui, scene: &Scene<'_>, is_narrow: bool, commands: &mut Commands) {
    let (icon, name) = if scene.is_fullscreen {
        (Icon::FullscreenLeave, "Leave full screen (F)")
    } else {
        (Icon::FullscreenEnter, "Full screen (F)")
    };
    if controls::icon_button(ui, icon, name).clicked() {
        commands.push(Command::Window(WindowCommand::ToggleFullscreen));
    }
    if !is_narrow && controls::icon_button(ui, Icon::Keyboard, "Shortcuts (?)").clicked() {
        commands.push(Command::Window(WindowCommand::ToggleHelp));
    }
    if controls::icon_toggle(ui, Icon::Info, "Statistics (I)", scene.shows_statistics).clicked() {
        commands.push(Command::Window(WindowCommand::ToggleStatistics));
    }
    if controls::icon_toggle(ui, Icon::Network, "Pieces and peers (P)", scene.settings.shows_network)
        .clicked()
    {
        commands.push(Command::Window(WindowCommand::ToggleNetwork));
    }
}

/// The statistics, in the corner of `rect`.
pub fn statistics_ui(ui: &mut Ui, playing: &NowPlaying, rect: Rect) {
    let tokens = theme::of(ui);
    let lines = playing.statistics();
    let (row, label_width, value_width) = (19.0, 138.0, 190.0);
    let box_size =
        vec2(label_width + value_width + 2.0 * space::M, lines.len() as f32 * row + 2.0 * space::M);
    let panel = Align2::RIGHT_TOP.anchor_size(rect.right_top() + vec2(-space::L, 64.0), box_size);
    ui.painter().rect_filled(panel, radius::M, tokens.surface.gamma_multiply(0.92));
    for (index, (label, value)) in lines.iter().enumerate() {
        let y = panel.top() + space::M + (index as f32 + 0.5) * row;
        let left = pos2(panel.left() + space::M, y);
        text::paint(ui, left, Align2::LEFT_CENTER, label, theme::caption(), tokens.text_muted, label_width);
        let at = pos2(left.x + label_width, y);
        text::paint(ui, at, Align2::LEFT_CENTER, value, theme::caption(), tokens.text, value_width);
    }
}
