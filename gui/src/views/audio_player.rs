//! The music page: the cover and its track, with the queue or the network beside it.
//!
//! Draws only; the transport is the bar below.

use egui::{
    Align2, CentralPanel, Frame, Layout, Margin, Panel, Rect, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2,
    vec2,
};

use super::{file_menu, player, status, swarm};
use crate::{
    app::{
        command::{Command, Commands, LibraryCommand, WindowCommand},
        ui::Scene,
    },
    model::{format, library, player::NowPlaying},
    theme::{self, radius, size, space},
    widgets::{
        controls, cover,
        icons::{self, Icon},
        text,
    },
};

/// Draws the page.
pub fn audio_player_ui(ui: &mut Ui, scene: &Scene<'_>, playing: &NowPlaying, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let width = size::SIDE_PANEL.min(ui.available_width() * 0.5);
    Panel::right("beside")
        .exact_size(width)
        .resizable(false)
        .show_separator_line(false)
        .frame(Frame::new().fill(tokens.surface).inner_margin(Margin::same(space::L as i8)))
        .show(ui, |ui| beside(ui, scene, playing, commands));
    let margin = Margin::same(space::XL as i8);
    CentralPanel::no_frame().frame(Frame::new().fill(tokens.background).inner_margin(margin)).show(
        ui,
        |ui| {
            glow(ui, scene, playing);
            track(ui, scene, playing, commands);
        },
    );
}

/// The colour of the cover behind it, going over into the page.
fn glow(ui: &Ui, scene: &Scene<'_>, playing: &NowPlaying) {
    let tokens = theme::of(ui);
    let tint = scene.covers.tint(&playing.content_id);
    let tint = tint.unwrap_or_else(|| theme::placeholder(&playing.content_id, tokens.is_dark)[0]);
    let page = ui.max_rect().expand(space::XL);
    let top = theme::ground_of(tint, tokens.is_dark);
    theme::shade(ui.painter(), page, top, tokens.background);
}

fn track(ui: &mut Ui, scene: &Scene<'_>, playing: &NowPlaying, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let room = ui.max_rect();
    let words_height = 96.0;
    let side = room.width().min(room.height() - words_height).clamp(120.0, 400.0);
    let top = room.center().y - (side + words_height) / 2.0;
    let picture = Rect::from_min_size(pos2(room.center().x - side / 2.0, top), vec2(side, side));
    let texture = scene.covers.get(&playing.content_id);
    let shadow = egui::Shadow { offset: [0, 12], blur: 40, spread: 0, color: tokens.shadow };
    ui.painter().add(shadow.as_shape(picture, radius::L));
    cover::paint(ui, picture, radius::L, texture, &playing.content_id, playing.kind);
    let title = text::few_lines(ui, &playing.title, theme::heading(), tokens.text, room.width(), 2);
    let title_at = pos2(room.center().x - title.size().x / 2.0, picture.bottom() + space::L);
    let below = title_at.y + title.size().y + space::S;
    ui.painter().galley(title_at, title, tokens.text);
    let at = pos2(room.center().x, below);
    text::paint(
        ui,
        at,
        Align2::CENTER_TOP,
        &playing.subtitle,
        theme::body(),
        tokens.text_muted,
        room.width(),
    );
    if let Some(line) = playing.status_line(scene.now) {
        status::status_ui(ui, picture, &line, commands);
    }
    if scene.shows_statistics {
        player::statistics_ui(ui, playing, room);
    }
}

fn beside(ui: &mut Ui, scene: &Scene<'_>, playing: &NowPlaying, commands: &mut Commands) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        let shows_network = scene.settings.shows_network;
        let queue = controls::segment(ui, "Up next", !shows_network);
        let network = controls::segment(ui, "Network", shows_network);
        if (queue.clicked() && shows_network) || (network.clicked() && !shows_network) {
            commands.push(Command::Window(WindowCommand::ToggleNetwork));
        }
    });
    ui.add_space(space::S);
    if scene.settings.shows_network {
        swarm::swarm_ui(ui, playing, false, commands);
    } else {
        queue_ui(ui, scene, playing, commands);
    }
}

/// The list in its order, around the current track.
fn queue_ui(ui: &mut Ui, scene: &Scene<'_>, playing: &NowPlaying, commands: &mut Commands) {
    let row = 52.0;
    ui.spacing_mut().item_spacing.y = 0.0;
    ui.with_layout(Layout::top_down(egui::Align::Min), |ui| {
        let mut area = ScrollArea::vertical().auto_shrink(false);
        let items = scene.queue.items();
        let current = items.iter().position(|id| *id == playing.content_id);
        // The current track comes into view when it changes, and stays where the person scrolls after that.
        let shown = egui::Id::unique("queue_shown");
        let before = ui.data(|data| data.get_temp::<shared::ContentId>(shown));
        if let (Some(current), true) = (current, before != Some(playing.content_id)) {
            area = area.vertical_scroll_offset((current as f32 - 1.0).max(0.0) * row);
            ui.data_mut(|data| data.insert_temp(shown, playing.content_id));
        }
        area.show_rows(ui, row, items.len(), |ui, visible| {
            for id in visible.filter_map(|position| items.get(position)) {
                match scene.node.files.iter().find(|file| file.content_id == *id) {
                    Some(file) => queue_row(ui, scene, file, *id == playing.content_id, row, commands),
                    None => gone_row(ui, row),
                }
            }
        });
    });
}

/// The place of a file that has left the network since the list began.
fn gone_row(ui: &mut Ui, height: f32) {
    let tokens = theme::of(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width() - space::S, height), Sense::hover());
    let at = pos2(rect.left() + 36.0 + space::S + space::M, rect.center().y);
    let width = rect.right() - at.x;
    let words = "No longer on the network";
    text::paint(ui, at, Align2::LEFT_CENTER, words, theme::caption(), tokens.text_faint, width);
}

fn queue_row(
    ui: &mut Ui,
    scene: &Scene<'_>,
    file: &shared::snapshot::NetworkFile,
    is_current: bool,
    height: f32,
    commands: &mut Commands,
) {
    let tokens = theme::of(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width() - space::S, height), Sense::click());
    let name = format!("Play {}", library::title(file));
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_current, name.clone()));
    if file.has_cover && ui.is_rect_visible(rect) && !scene.covers.is_known(&file.content_id, scene.now) {
        commands.push(Command::Library(LibraryCommand::WantCover(file.content_id)));
    }
    if response.hovered() || is_current {
        let fill = if response.hovered() { tokens.hover } else { tokens.raised };
        ui.painter().rect_filled(rect, radius::S, fill);
    }
    controls::focus_ring(ui, &response, rect);
    let middle = rect.center().y;
    let picture = Rect::from_min_size(pos2(rect.left() + space::S, middle - 18.0), vec2(36.0, 36.0));
    cover::paint(ui, picture, radius::S, scene.covers.get(&file.content_id), &file.content_id, file.kind);
    if is_current {
        ui.painter().rect_filled(picture, radius::S, tokens.scrim);
        icons::paint(ui.painter(), picture.shrink(9.0), Icon::VolumeHigh, egui::Color32::WHITE);
    }
    let ink = if is_current { tokens.accent } else { tokens.text };
    let duration = format::clock(file.duration_ms);
    let right = pos2(rect.right() - space::S, middle);
    text::paint(ui, right, Align2::RIGHT_CENTER, &duration, theme::caption(), tokens.text_faint, 60.0);
    let left = picture.right() + space::M;
    let width = right.x - 48.0 - left;
    let subtitle = library::subtitle(file);
    let above = if subtitle.is_empty() { middle } else { middle - 8.5 };
    text::paint(
        ui,
        pos2(left, above),
        Align2::LEFT_CENTER,
        library::title(file),
        theme::body_strong(),
        ink,
        width,
    );
    let below = pos2(left, middle + 8.5);
    text::paint(ui, below, Align2::LEFT_CENTER, &subtitle, theme::caption(), tokens.text_muted, width);
    if response.clicked() {
        commands.push(Command::Library(LibraryCommand::Play(file.content_id)));
    }
    file_menu::attach(&response, file.content_id, commands);
}
