//! Text in the theme's sizes: one line, cut with an ellipsis, painted at a place or laid out in a row.
//!
//! Draws only; knows no model.

use std::sync::Arc;

use egui::{Align2, Color32, FontId, Galley, Pos2, Response, RichText, Sense, Ui, text::LayoutJob, vec2};

/// Lays `text` out on one line of at most `width`, cut with an ellipsis.
pub fn one_line(ui: &Ui, text: &str, font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::simple_singleline(text.to_owned(), font, color);
    job.wrap.max_width = width.max(1.0);
    job.wrap.max_rows = 1;
    job.wrap.break_anywhere = true;
    ui.painter().layout_job(job)
}

/// Lays `text` out over at most `rows` lines of `width`, cut with an ellipsis.
pub fn few_lines(ui: &Ui, text: &str, font: FontId, color: Color32, width: f32, rows: usize) -> Arc<Galley> {
    let mut job = LayoutJob::simple(text.to_owned(), font, color, width.max(1.0));
    job.wrap.max_rows = rows;
    ui.painter().layout_job(job)
}

/// Paints one line of at most `width` so that `align` of it is at `pos`.
pub fn paint(ui: &Ui, pos: Pos2, align: Align2, text: &str, font: FontId, color: Color32, width: f32) {
    let galley = one_line(ui, text, font, color, width);
    let rect = align.anchor_size(pos, galley.size());
    ui.painter().galley(rect.min, galley, color);
}

/// A label in a token font and colour, cut to the width that is left.
pub fn label(ui: &mut Ui, text: &str, font: FontId, color: Color32) -> Response {
    ui.add(egui::Label::new(RichText::new(text).font(font).color(color)).truncate().selectable(false))
}

/// A label that may wrap.
pub fn paragraph(ui: &mut Ui, text: &str, font: FontId, color: Color32) -> Response {
    ui.add(egui::Label::new(RichText::new(text).font(font).color(color)).wrap().selectable(false))
}

/// A label of a fixed width, for columns; numbers align to the right.
pub fn cell(
    ui: &mut Ui,
    text: &str,
    font: FontId,
    color: Color32,
    width: f32,
    align: egui::Align,
) -> Response {
    let galley = one_line(ui, text, font, color, width);
    let (rect, response) = ui.allocate_exact_size(vec2(width, galley.size().y), Sense::hover());
    let x = match align {
        egui::Align::Min => rect.left(),
        egui::Align::Center => rect.center().x - galley.size().x / 2.0,
        egui::Align::Max => rect.right() - galley.size().x,
    };
    ui.painter().galley(egui::pos2(x, rect.top()), galley, color);
    let text = text.to_owned();
    response.widget_info(move || egui::WidgetInfo::labeled(egui::Role::Label, true, text.clone()));
    response
}
