//! The navigation rail: where one is, where one can go, how the network stands.
//!
//! Draws only.

use egui::{Align, Layout, Rect, Response, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};
use shared::{MediaKind, snapshot::TrackerStatus};

use crate::{
    app::{
        command::{Command, Commands, Screen, WindowCommand},
        ui::Scene,
    },
    model::format,
    theme::{self, Tokens, radius, size, space},
    widgets::{
        controls,
        icons::{self, Icon},
        text,
    },
};

/// Height of a page's entry.
const ITEM: f32 = 40.0;

/// Draws the rail; `is_narrow` leaves the words away.
pub fn rail_ui(ui: &mut Ui, scene: &Scene<'_>, is_narrow: bool, commands: &mut Commands) {
    brand(ui, scene, is_narrow);
    ui.add_space(space::L);
    ui.spacing_mut().item_spacing.y = space::XS;
    let mut items = vec![(Screen::Library, Icon::Library, "Library")];
    if scene.playing.is_some() {
        let icon = match scene.kind {
            MediaKind::Audio => Icon::Disc,
            MediaKind::Video => Icon::Film,
        };
        items.push((Screen::Player, icon, "Now playing"));
    }
    items.push((Screen::Transfers, Icon::Transfers, "Transfers"));
    items.push((Screen::Shares, Icon::Shares, "Sharing"));
    items.push((Screen::Settings, Icon::Settings, "Settings"));
    items.push((Screen::Console, Icon::Terminal, "Console"));
    for (screen, icon, label) in items {
        if item(ui, icon, label, scene.screen == screen, is_narrow).clicked() {
            commands.push(Command::Navigate(screen));
        }
    }
    ui.with_layout(Layout::bottom_up(Align::Min), |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        tracker_chip(ui, scene, is_narrow);
        if !is_narrow && ui.available_height() >= 2.0 * 16.0 + 2.0 * space::XS {
            rates(ui, scene);
        }
        // In a low window the pages come first; the key for the table works all the same.
        let has_room = ui.available_height() >= ITEM + space::XS;
        if has_room && item(ui, Icon::Keyboard, "Shortcuts", false, is_narrow).clicked() {
            commands.push(Command::Window(WindowCommand::ToggleHelp));
        }
    });
}

/// The tracker's state in one line, and its colour.
pub fn tracker_words(tokens: &Tokens, status: &TrackerStatus) -> (egui::Color32, String, String) {
    match status {
        TrackerStatus::Connecting => {
            (tokens.warning, "Connecting…".to_owned(), "Dialling the tracker".to_owned())
        }
        TrackerStatus::Connected => {
            (tokens.positive, "Connected".to_owned(), "The library is live".to_owned())
        }
        TrackerStatus::Waiting { retry_ms, reason } => {
            let seconds = retry_ms.div_ceil(1000).max(1);
            (tokens.warning, format!("Retry in {seconds} s"), reason.clone())
        }
        TrackerStatus::Refused { reason } => (tokens.danger, "Refused".to_owned(), reason.clone()),
    }
}

fn brand(ui: &mut Ui, scene: &Scene<'_>, is_narrow: bool) {
    let tokens = theme::of(ui);
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(36.0, 36.0), Sense::hover());
        mark(ui, rect);
        if !is_narrow {
            ui.add_space(space::XS);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                text::label(ui, "Rusteze", theme::title(), tokens.text);
                let what = match scene.kind {
                    MediaKind::Audio => "Music",
                    MediaKind::Video => "Films",
                };
                text::label(ui, what, theme::caption(), tokens.text_faint);
            });
        }
    });
}

/// The program's mark: a play triangle whose corners are peers.
fn mark(ui: &Ui, rect: Rect) {
    let tokens = theme::of(ui);
    ui.painter().rect_filled(rect, radius::M, tokens.accent);
    let at = |x: f32, y: f32| pos2(rect.left() + rect.width() * x, rect.top() + rect.height() * y);
    let corners = [at(0.34, 0.26), at(0.74, 0.5), at(0.34, 0.74)];
    let stroke = Stroke::new(2.2, tokens.on_accent);
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        ui.painter().line_segment([corners[from], corners[to]], stroke);
    }
    for corner in corners {
        ui.painter().circle_filled(corner, 4.0, tokens.on_accent);
    }
}

fn item(ui: &mut Ui, icon: Icon, label: &str, is_selected: bool, is_narrow: bool) -> Response {
    let tokens = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ITEM), Sense::click());
    let name = label.to_owned();
    response.widget_info(move || WidgetInfo::selected(Role::Button, true, is_selected, name.clone()));
    if is_selected || response.hovered() {
        let fill = if is_selected { tokens.hover } else { tokens.hover.gamma_multiply(0.6) };
        ui.painter().rect_filled(rect, radius::M, fill);
    }
    controls::focus_ring(ui, &response, rect);
    let color = if is_selected || response.hovered() { tokens.text } else { tokens.text_muted };
    let icon_color = if is_selected { tokens.accent } else { color };
    let center = if is_narrow { rect.center() } else { pos2(rect.left() + 20.0, rect.center().y) };
    icons::paint(ui.painter(), Rect::from_center_size(center, vec2(20.0, 20.0)), icon, icon_color);
    if is_narrow {
        return response.on_hover_text(label);
    }
    let left = pos2(rect.left() + 42.0, rect.center().y);
    let width = rect.width() - 46.0;
    text::paint(ui, left, egui::Align2::LEFT_CENTER, label, theme::body_strong(), color, width);
    response
}

fn tracker_chip(ui: &mut Ui, scene: &Scene<'_>, is_narrow: bool) {
    let tokens = theme::of(ui);
    let (color, words, detail) = tracker_words(tokens, &scene.node.tracker);
    let hover = format!("{words}: {detail}\n{}", scene.tracker_url);
    if is_narrow {
        let (rect, response) =
            ui.allocate_exact_size(vec2(ui.available_width(), size::CONTROL), Sense::hover());
        ui.painter().circle_filled(rect.center(), 5.0, color);
        let name = format!("Tracker: {words}");
        response.widget_info(move || WidgetInfo::labeled(Role::Label, true, name.clone()));
        response.on_hover_text(hover);
        return;
    }
    ui.horizontal(|ui| {
        ui.add_space(space::S);
        controls::chip(ui, color, &format!("Tracker · {words}"), ui.available_width()).on_hover_text(hover);
    });
}

fn rates(ui: &mut Ui, scene: &Scene<'_>) {
    let tokens = theme::of(ui);
    let rows = [
        (Icon::SortUp, "Sending", scene.node.upload_bps, scene.node.uploaded_bytes),
        (Icon::SortDown, "Receiving", scene.node.download_bps, scene.node.downloaded_bytes),
    ];
    for (icon, name, rate, total) in rows {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            ui.add_space(space::S - 2.0);
            let (rect, response) = ui.allocate_exact_size(vec2(12.0, 16.0), Sense::hover());
            let ink = if rate > 0 { tokens.accent } else { tokens.text_faint };
            icons::paint(ui.painter(), rect, icon, ink);
            response.on_hover_text(format!("{name}: {} since the start", format::bytes(total)));
            text::label(ui, &format::rate(rate), theme::caption(), tokens.text_muted)
                .on_hover_text(format!("{name}: {} since the start", format::bytes(total)));
        });
    }
}
