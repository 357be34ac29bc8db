//! What is being waited for, or what went wrong, in the middle of the picture.
//!
//! Draws only. The card is as high as its words; a failure offers what can be done about it.

use std::sync::Arc;

use egui::{Galley, Rect, Role, Stroke, Ui, UiBuilder, WidgetInfo, pos2, vec2};

use crate::{
    app::command::{Command, Commands, PlayerCommand},
    model::player::StatusLine,
    theme::{self, radius, size, space},
    widgets::{
        controls,
        icons::{self, Icon},
        text,
    },
};

/// The side of the mark at the left.
const MARK: f32 = 26.0;

/// Draws the card into the middle of `rect`.
pub fn status_ui(ui: &mut Ui, rect: Rect, line: &StatusLine, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let most = (rect.width() - 2.0 * space::L).clamp(160.0, 460.0);
    let words = most - 2.0 * space::L - MARK - space::M;
    let headline = text::few_lines(ui, &line.headline, theme::title(), tokens.text, words, 1);
    let detail = text::few_lines(ui, &line.detail, theme::body(), tokens.text_muted, words, 4);
    let outlook = text::few_lines(ui, &line.outlook, theme::caption(), tokens.text_faint, words, 2);
    let lines: Vec<Arc<Galley>> =
        [headline, detail, outlook].into_iter().filter(|galley| !galley.is_empty()).collect();
    let text_height = lines.iter().map(|galley| galley.size().y + space::XS).sum::<f32>() - space::XS;
    let text_width = lines.iter().map(|galley| galley.size().x).fold(0.0, f32::max);
    let buttons = if line.is_failure { size::FIELD + space::M } else { 0.0 };
    let least = if line.is_failure { 320.0_f32.min(most) } else { 220.0_f32.min(most) };
    let width = (text_width + 2.0 * space::L + MARK + space::M).clamp(least, most);
    let card =
        Rect::from_center_size(rect.center(), vec2(width, text_height.max(MARK) + buttons + 2.0 * space::L));
    ui.painter().rect_filled(card, radius::L, tokens.surface.gamma_multiply(0.94));
    let spoken = [&line.headline, &line.detail, &line.outlook].map(String::as_str).join(". ");
    let response = ui.interact(card, ui.scope_id().with("status"), egui::Sense::hover());
    response.widget_info(move || WidgetInfo::labeled(Role::Status, true, spoken.clone()));
    let inner = card.shrink(space::L);
    let mark = Rect::from_min_size(inner.min, vec2(MARK, text_height.max(MARK)));
    if line.is_failure {
        let at = Rect::from_center_size(pos2(mark.center().x, inner.top() + MARK / 2.0), vec2(MARK, MARK));
        icons::paint(ui.painter(), at, Icon::Warning, tokens.danger);
    } else {
        spinner(ui, mark.center(), 11.0);
    }
    let left = mark.right() + space::M;
    let mut top = inner.top() + (text_height.max(MARK) - text_height) / 2.0;
    for galley in lines {
        let height = galley.size().y;
        ui.painter().galley(pos2(left, top), galley, tokens.text);
        top += height + space::XS;
    }
    if line.is_failure {
        let row = Rect::from_min_max(pos2(left, inner.bottom() - size::FIELD), inner.max);
        let layout = egui::Layout::left_to_right(egui::Align::Center);
        ui.scope_builder(UiBuilder::new().max_rect(row).layout(layout), |ui| {
            if controls::primary_button(ui, Icon::Replay, "Try again").clicked() {
                commands.push(Command::Player(PlayerCommand::Retry));
            }
            if controls::secondary_button(ui, None, "Close").clicked() {
                commands.push(Command::Player(PlayerCommand::Stop));
            }
        });
    }
}

/// An arc that goes round, repainting itself.
fn spinner(ui: &Ui, center: egui::Pos2, radius: f32) {
    let tokens = theme::of(ui);
    ui.painter().circle_stroke(center, radius, Stroke::new(2.5, tokens.track));
    let turn = (ui.input(|input| input.time) * 1.1).fract() as f32 * std::f32::consts::TAU;
    let points = (0..=16)
        .map(|step| {
            let angle = turn + step as f32 / 16.0 * 1.6;
            center + vec2(angle.cos(), angle.sin()) * radius
        })
        .collect();
    ui.painter().add(egui::Shape::line(points, Stroke::new(2.5, tokens.accent)));
    ui.ctx().request_repaint_after(std::time::Duration::from_millis(33));
}
