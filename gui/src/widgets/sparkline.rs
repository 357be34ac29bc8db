//! A small chart of a rate over the last minute: a line over a soft area, scaled to its own maximum.
//!
//! Draws only.

use egui::{Mesh, Pos2, Response, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};

use crate::{model::format, theme};

/// Draws `samples` (oldest first) as wide as there is room; `slots` is how many make it full.
pub fn show(ui: &mut Ui, name: &str, samples: &[u64], slots: usize, height: f32) -> Response {
    let tokens = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    let last = samples.last().copied().unwrap_or_default();
    let label = format!("{name}: {}", format::rate(last));
    response.widget_info(move || WidgetInfo::labeled(Role::Label, true, label.clone()));
    ui.painter().hline(rect.x_range(), rect.bottom(), Stroke::new(1.0, tokens.border));
    let peak = samples.iter().copied().max().unwrap_or_default();
    if peak == 0 || samples.len() < 2 {
        return response;
    }
    let step = rect.width() / (slots.max(2) - 1) as f32;
    let first_x = rect.right() - step * (samples.len() - 1) as f32;
    let points: Vec<Pos2> = samples
        .iter()
        .enumerate()
        .map(|(index, &sample)| {
            let y = rect.bottom() - (sample as f64 / peak as f64) as f32 * (rect.height() - 2.0);
            pos2(first_x + index as f32 * step, y)
        })
        .collect();
    let mut area = Mesh::default();
    for (index, point) in points.iter().enumerate() {
        area.colored_vertex(*point, tokens.accent.gamma_multiply(0.28));
        area.colored_vertex(pos2(point.x, rect.bottom()), tokens.accent.gamma_multiply(0.02));
        if index > 0 {
            let base = 2 * index as u32;
            area.add_triangle(base - 2, base - 1, base);
            area.add_triangle(base - 1, base, base + 1);
        }
    }
    ui.painter().add(area);
    ui.painter().add(Shape::line(points, Stroke::new(1.5, tokens.accent)));
    response
}
