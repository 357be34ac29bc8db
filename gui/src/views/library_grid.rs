//! The library as a grid of covers.
//!
//! Invariant: only the rows in sight are laid out, so ten thousand files cost as much as twenty.

use egui::{Align2, Color32, Rect, ScrollArea, Sense, Ui, pos2, vec2};
use shared::{MediaKind, snapshot::NetworkFile};

use super::library::interact_with_file;
use crate::{
    app::{command::Commands, ui::Scene},
    model::{format, library},
    theme::{self, radius, space},
    widgets::{
        controls, cover,
        icons::{self, Icon},
        text,
    },
};

/// Draws the grid into the rest of the page.
pub fn grid_ui(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let (ideal, ratio) = match scene.kind {
        MediaKind::Audio => (172.0, 1.0),
        MediaKind::Video => (236.0, 9.0 / 16.0),
    };
    let width = ui.available_width() - space::M;
    let columns = ((width + space::L) / (ideal + space::L)).round().max(1.0);
    let card = (width - (columns - 1.0) * space::L) / columns;
    let height = card * ratio + 54.0;
    let columns = columns as usize;
    let rows = scene.order.len().div_ceil(columns);
    ui.spacing_mut().item_spacing = vec2(space::L, space::L);
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, height, rows, |ui, visible| {
        for row in visible {
            ui.horizontal(|ui| {
                for index in scene.order.iter().skip(row * columns).take(columns) {
                    if let Some(file) = scene.node.files.get(*index) {
                        grid_card(ui, scene, file, vec2(card, height), card * ratio, commands);
                    }
                }
            });
        }
        ui.add_space(space::L);
    });
}

fn grid_card(
    ui: &mut Ui,
    scene: &Scene<'_>,
    file: &NetworkFile,
    card: egui::Vec2,
    picture_height: f32,
    commands: &mut Commands,
) {
    let tokens = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(card, Sense::click());
    let picture = rect.with_max_y(rect.top() + picture_height);
    let is_current = scene.playing.is_some_and(|playing| playing.content_id == file.content_id);
    interact_with_file(ui, scene, file, &response, commands);
    cover::paint(ui, picture, radius::M, scene.covers.get(&file.content_id), &file.content_id, file.kind);
    tag(ui, picture.right_bottom() - vec2(space::S, space::S), &format::clock(file.duration_ms));
    resume_mark(ui, picture, scene, file);
    let hotness = ui.ctx().animate_bool(response.id.with("hot"), response.hovered() || response.has_focus());
    if hotness > 0.0 {
        ui.painter().rect_filled(picture, radius::M, Color32::from_black_alpha((140.0 * hotness) as u8));
        let side = 46.0;
        ui.painter().circle_filled(picture.center(), side / 2.0, tokens.accent.gamma_multiply(hotness));
        let icon = Rect::from_center_size(picture.center(), vec2(22.0, 22.0));
        icons::paint(ui.painter(), icon, Icon::Play, tokens.on_accent.gamma_multiply(hotness));
    }
    controls::focus_ring(ui, &response, picture);
    let ink = if is_current { tokens.accent } else { tokens.text };
    let width = rect.width();
    let first = pos2(rect.left(), picture.bottom() + space::M + 4.0);
    text::paint(ui, first, Align2::LEFT_CENTER, library::title(file), theme::body_strong(), ink, width);
    let below = first + vec2(0.0, 19.0);
    let (words, color) = match (file.is_local, file.sources) {
        (true, _) => ("here".to_owned(), tokens.positive),
        (false, 0) => ("no source".to_owned(), tokens.warning),
        // The artist of a track needs the room; the list and the hover text say how many have it.
        (false, _) if file.kind == MediaKind::Audio => (String::new(), tokens.text_faint),
        (false, sources) => (format::count(u64::from(sources), "source", "sources"), tokens.text_faint),
    };
    let galley = text::one_line(ui, &words, theme::caption(), color, width * 0.6);
    let room = width - galley.size().x - space::S;
    ui.painter().galley(pos2(rect.right() - galley.size().x, below.y - galley.size().y / 2.0), galley, color);
    let subtitle = library::subtitle(file);
    text::paint(ui, below, Align2::LEFT_CENTER, &subtitle, theme::caption(), tokens.text_muted, room);
}

/// How far a film was seen, along the lower edge of its picture.
fn resume_mark(ui: &Ui, picture: Rect, scene: &Scene<'_>, file: &NetworkFile) {
    let Some(position_ms) = scene.settings.position(&file.content_id) else { return };
    if file.duration_ms == 0 {
        return;
    }
    let fraction = (position_ms as f64 / file.duration_ms as f64).clamp(0.0, 1.0) as f32;
    let bar = Rect::from_min_max(
        pos2(picture.left() + space::S, picture.bottom() - 5.0),
        pos2(picture.right() - space::S, picture.bottom() - 2.0),
    );
    ui.painter().rect_filled(bar, 2, Color32::from_white_alpha(90));
    let seen = bar.with_max_x(bar.left() + bar.width() * fraction);
    ui.painter().rect_filled(seen, 2, theme::of(ui).accent);
}

/// A dark label in the corner of a picture.
fn tag(ui: &Ui, right_bottom: egui::Pos2, words: &str) {
    let galley = text::one_line(ui, words, theme::caption(), Color32::WHITE, 90.0);
    let rect = Align2::RIGHT_BOTTOM.anchor_size(right_bottom, galley.size() + vec2(space::S + 2.0, 4.0));
    ui.painter().rect_filled(rect, radius::S, Color32::from_black_alpha(170));
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley, Color32::WHITE);
}
