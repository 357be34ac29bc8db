//! What lies over every page: messages, the drop target, the table of shortcuts.
//!
//! Draws only.

use egui::{
    Align, Align2, Area, Frame, Layout, Margin, Order, Rect, ScrollArea, Sense, Stroke, StrokeKind, Ui, vec2,
};

use crate::{
    app::{
        command::{Command, Commands, PlayerCommand, WindowCommand},
        keys,
        ui::Scene,
    },
    model::toasts::{Toast, ToastAction},
    theme::{self, radius, size, space},
    widgets::{
        controls,
        icons::{self, Icon},
        text,
    },
};

/// Draws the messages in the lower right corner, above the transport.
pub fn toasts_ui(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let toasts: Vec<&Toast> = scene.toasts.iter().collect();
    if toasts.is_empty() {
        return;
    }
    let lift = if scene.playing.is_some() { size::PLAYER_BAR + space::L } else { space::L };
    let window = ui.max_rect();
    let width = (window.width() - 2.0 * space::L).min(380.0);
    Area::new(egui::Id::unique("toasts"))
        .order(Order::Foreground)
        .anchor(Align2::RIGHT_BOTTOM, vec2(-space::L, -lift))
        .show(ui.ctx(), |ui| {
            ui.set_width(width);
            if scene.is_cinema() {
                theme::force_dark(ui);
            }
            for toast in toasts {
                toast_ui(ui, toast, commands);
            }
        });
}

fn toast_ui(ui: &mut Ui, toast: &Toast, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let (icon, ink) =
        if toast.is_error { (Icon::Warning, tokens.danger) } else { (Icon::Info, tokens.accent) };
    let shadow = egui::Shadow { offset: [0, 6], blur: 20, spread: 0, color: tokens.shadow };
    Frame::new()
        .fill(tokens.surface)
        .stroke(Stroke::new(1.0, tokens.border))
        .corner_radius(radius::M)
        .shadow(shadow)
        .inner_margin(Margin::symmetric(space::M as i8, space::S as i8))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            ui.horizontal(|ui| {
                let (mark, _) = ui.allocate_exact_size(vec2(20.0, size::CONTROL), Sense::hover());
                icons::paint(
                    ui.painter(),
                    Rect::from_center_size(mark.center(), vec2(18.0, 18.0)),
                    icon,
                    ink,
                );
                let action = toast.action.map_or(0.0, |_| 104.0 + space::S);
                let room = ui.available_width() - size::CONTROL - space::S - action;
                ui.allocate_ui_with_layout(
                    vec2(room, size::CONTROL),
                    Layout::left_to_right(Align::Center),
                    |ui| {
                        ui.set_min_width(room);
                        text::paragraph(ui, &toast.text, theme::body(), tokens.text);
                    },
                );
                if let Some(action) = toast.action
                    && controls::secondary_button(ui, None, action.label()).clicked()
                {
                    let ToastAction::StartOver = action;
                    commands.push(Command::Player(PlayerCommand::SeekMs(0)));
                    commands.push(Command::Window(WindowCommand::Dismiss(toast.id)));
                }
                if controls::icon_button(ui, Icon::Close, "Dismiss").clicked() {
                    commands.push(Command::Window(WindowCommand::Dismiss(toast.id)));
                }
            });
        });
}

/// Says that what is held over the window may be dropped.
pub fn drop_ui(ui: &mut Ui) {
    let tokens = theme::of(ui);
    let rect = ui.ctx().content_rect();
    let painter = ui.ctx().layer_painter(egui::LayerId::new(Order::Tooltip, egui::Id::unique("drop")));
    painter.rect_filled(rect, 0, tokens.background.gamma_multiply(0.96));
    painter.rect_stroke(
        rect.shrink(space::L),
        radius::L,
        Stroke::new(2.0, tokens.accent),
        StrokeKind::Inside,
    );
    let center = rect.center();
    icons::paint(
        &painter,
        Rect::from_center_size(center - vec2(0.0, 48.0), vec2(56.0, 56.0)),
        Icon::Shares,
        tokens.accent,
    );
    painter.text(center, Align2::CENTER_TOP, "Drop to share", theme::heading(), tokens.text);
    let detail = "Folders are shared whole; of a file its folder is shared.";
    painter.text(center + vec2(0.0, 36.0), Align2::CENTER_TOP, detail, theme::body(), tokens.text_muted);
}

/// Draws the table of shortcuts over everything.
pub fn help_ui(ui: &mut Ui, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let window = ui.ctx().content_rect();
    let modal = egui::Modal::new(egui::Id::unique("help")).frame(
        Frame::new()
            .fill(tokens.surface)
            .stroke(Stroke::new(1.0, tokens.border))
            .corner_radius(radius::L)
            .inner_margin(Margin::same(space::XL as i8)),
    );
    let response = modal.show(ui.ctx(), |ui| {
        ui.set_width((window.width() - 120.0).clamp(280.0, 720.0));
        controls::row(ui, size::CONTROL, |ui| {
            text::label(ui, "Keyboard", theme::heading(), tokens.text);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if controls::icon_button(ui, Icon::Close, "Close (Esc)").clicked() {
                    commands.push(Command::Window(WindowCommand::ToggleHelp));
                }
            });
        });
        ui.add_space(space::M);
        let height = (window.height() - 200.0).max(160.0);
        ScrollArea::vertical().max_height(height).min_scrolled_height(height).show(ui, shortcut_columns);
    });
    if response.backdrop_response.clicked() {
        commands.push(Command::Window(WindowCommand::ToggleHelp));
    }
}

fn shortcut_columns(ui: &mut Ui) {
    let columns = if ui.available_width() > 560.0 { 2 } else { 1 };
    let (playback, rest): (Vec<_>, Vec<_>) =
        keys::BINDINGS.iter().partition(|binding| binding.section == "Playback");
    ui.columns(columns, |columns| {
        let last = columns.len() - 1;
        shortcuts(&mut columns[0], &playback);
        shortcuts(&mut columns[last], &rest);
    });
}

fn shortcuts(ui: &mut Ui, bindings: &[&keys::Binding]) {
    let tokens = theme::of(ui);
    let mut section = "";
    for binding in bindings {
        if binding.section != section {
            if !section.is_empty() {
                ui.add_space(space::S);
            }
            section = binding.section;
            text::label(ui, section, theme::body_strong(), tokens.accent);
        }
        ui.horizontal(|ui| {
            let keys_width = 124.0;
            ui.allocate_ui_with_layout(vec2(keys_width, 24.0), Layout::left_to_right(Align::Center), |ui| {
                ui.set_min_width(keys_width);
                ui.spacing_mut().item_spacing.x = space::XS;
                for cap in binding.caps {
                    controls::key_cap(ui, cap);
                }
            });
            text::label(ui, binding.what, theme::body(), tokens.text_muted);
        });
    }
}
