//! Transfers: what this client fetches right now, and what it gives and takes altogether.
//!
//! Draws only.

use egui::{Align2, Rect, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};
use shared::snapshot::StreamSnapshot;

use super::file_menu;
use crate::{
    app::{
        command::{Command, Commands, LibraryCommand, Screen},
        ui::Scene,
    },
    model::{
        format,
        transfers::{self, Transfer},
    },
    theme::{self, radius, space},
    widgets::{controls, cover, icons::Icon, text},
};

const ROW: f32 = 84.0;

/// Draws the page.
pub fn transfers_ui(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let tokens = theme::of(ui);
    text::label(ui, "Transfers", theme::heading(), tokens.text);
    let intro = "What is played is fetched from several sources at once, verified, kept, and passed on.";
    text::paragraph(ui, intro, theme::body(), tokens.text_muted);
    ui.add_space(space::M);
    totals(ui, scene);
    ui.add_space(space::L);
    let streams = &scene.node.streams;
    if streams.is_empty() {
        let detail =
            "Whatever you play, or another player reads through this client, shows here while it arrives.";
        controls::empty_state(ui, Icon::Transfers, "Nothing is being fetched", detail, |ui| {
            if controls::primary_button(ui, Icon::Library, "Open the library").clicked() {
                commands.push(Command::Navigate(Screen::Library));
            }
        });
        return;
    }
    ui.spacing_mut().item_spacing.y = space::S;
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, ROW, streams.len(), |ui, visible| {
        for stream in visible.filter_map(|index| streams.get(index)) {
            row(ui, scene, stream, commands);
        }
    });
}

fn totals(ui: &mut Ui, scene: &Scene<'_>) {
    let node = scene.node;
    let facts = [
        ("Receiving", format::rate(node.download_bps), format::bytes(node.downloaded_bytes)),
        ("Sending", format::rate(node.upload_bps), format::bytes(node.uploaded_bytes)),
    ];
    let width = ((ui.available_width() - 2.0 * space::M) / 2.0).clamp(140.0, 260.0);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::M;
        for (name, rate, total) in facts {
            let tokens = theme::of(ui);
            let (rect, response) = ui.allocate_exact_size(vec2(width, 76.0), Sense::hover());
            let spoken = format!("{name} {rate}, {total} since the start");
            response.widget_info(move || WidgetInfo::labeled(Role::Label, true, spoken.clone()));
            let stroke = egui::Stroke::new(1.0, tokens.border);
            ui.painter().rect(rect, radius::L, tokens.surface, stroke, egui::StrokeKind::Inside);
            let left = rect.left() + space::L;
            let room = width - 2.0 * space::L;
            let at = |y: f32| pos2(left, rect.top() + y);
            text::paint(ui, at(18.0), Align2::LEFT_CENTER, name, theme::caption(), tokens.text_muted, room);
            text::paint(ui, at(38.0), Align2::LEFT_CENTER, &rate, theme::title(), tokens.text, room);
            let since = format!("{total} since the start");
            text::paint(ui, at(58.0), Align2::LEFT_CENTER, &since, theme::caption(), tokens.text_faint, room);
        }
    });
}

fn row(ui: &mut Ui, scene: &Scene<'_>, stream: &StreamSnapshot, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let file = scene.node.files.iter().find(|file| file.content_id == stream.content_id);
    let transfer = transfers::transfer(stream, file);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width() - space::M, ROW), Sense::click());
    let spoken = format!("Play {}: {}, {}", transfer.title, transfer.summary, transfer.pace);
    response.widget_info(move || WidgetInfo::labeled(Role::Button, true, spoken.clone()));
    let fill = if response.hovered() { tokens.hover } else { tokens.surface };
    let stroke = egui::Stroke::new(1.0, tokens.border);
    ui.painter().rect(rect, radius::L, fill, stroke, egui::StrokeKind::Inside);
    controls::focus_ring(ui, &response, rect);
    let picture = match scene.kind {
        shared::MediaKind::Audio => vec2(52.0, 52.0),
        shared::MediaKind::Video => vec2(92.0, 52.0),
    };
    let middle = rect.center().y;
    let picture = Rect::from_min_size(pos2(rect.left() + space::L, middle - picture.y / 2.0), picture);
    let texture = scene.covers.get(&transfer.content_id);
    cover::paint(ui, picture, radius::S, texture, &transfer.content_id, scene.kind);
    words(ui, rect, picture.right() + space::L, &transfer);
    if response.clicked() {
        commands.push(Command::Library(LibraryCommand::Play(transfer.content_id)));
    }
    file_menu::attach(&response, transfer.content_id, commands);
}

fn words(ui: &Ui, rect: Rect, left: f32, transfer: &Transfer) {
    let tokens = theme::of(ui);
    let right = rect.right() - space::L;
    let pace_width = 170.0_f32.min((right - left) * 0.5);
    let room = right - left - pace_width - space::S;
    let top = rect.top() + 24.0;
    let at = pos2(left, top);
    text::paint(ui, at, Align2::LEFT_CENTER, &transfer.title, theme::body_strong(), tokens.text, room);
    let ink = if transfer.is_complete { tokens.positive } else { tokens.text };
    let at = pos2(right, top);
    text::paint(ui, at, Align2::RIGHT_CENTER, &transfer.pace, theme::caption(), ink, pace_width);
    let bar = Rect::from_x_y_ranges(left..=right, rect.top() + 39.0..=rect.top() + 43.0);
    ui.painter().rect_filled(bar, 2, tokens.track);
    let fill = if transfer.is_complete { tokens.positive } else { tokens.accent };
    for &(from, to) in &transfer.ranges {
        let x = |fraction: f32| bar.left() + bar.width() * fraction;
        let part = Rect::from_x_y_ranges(x(from)..=x(to).max(x(from) + 1.0), bar.y_range());
        ui.painter().rect_filled(part, 2, fill);
    }
    let at = pos2(left, rect.bottom() - 22.0);
    let summary = &transfer.summary;
    text::paint(ui, at, Align2::LEFT_CENTER, summary, theme::caption(), tokens.text_muted, right - left);
}
