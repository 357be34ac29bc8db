//! A rate against what is needed and what was predicted: one bar, two marks, and words.
//!
//! Draws only. All three share one scale, so that lengths can be compared.

use egui::{Align2, Color32, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::text;
use crate::{
    model::format,
    theme::{self, space},
};

/// A mark on the bar.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    /// What it stands for.
    pub name: &'a str,
    /// Bits per second; 0 is not drawn.
    pub bps: u64,
}

const BAR: f32 = 8.0;
const HEIGHT: f32 = 40.0;

/// Draws `achieved_bps` as a bar, `above` and `below` as marks with their names on their side of it.
pub fn show(ui: &mut Ui, achieved_bps: u64, color: Color32, above: Mark<'_>, below: Mark<'_>) {
    let tokens = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::hover());
    let words = |mark: Mark<'_>| format!("{} {}", mark.name, format::rate(mark.bps));
    let known = [above, below].into_iter().filter(|mark| mark.bps > 0).map(words);
    let spoken = format!("{} achieved, {}", format::rate(achieved_bps), known.collect::<Vec<_>>().join(", "));
    response.widget_info(move || WidgetInfo::labeled(Role::Label, true, spoken.clone()));
    let full_bps = achieved_bps.max(above.bps).max(below.bps).max(1) as f32 * 1.08;
    let bar = Rect::from_center_size(rect.center(), vec2(rect.width(), BAR));
    ui.painter().rect_filled(bar, BAR / 2.0, tokens.track);
    let reached = bar.left() + bar.width() * (achieved_bps as f32 / full_bps);
    ui.painter().rect_filled(bar.with_max_x(reached.max(bar.left() + 2.0)), BAR / 2.0, color);
    for (mark, is_above) in [(above, true), (below, false)] {
        if mark.bps == 0 {
            continue;
        }
        let x = bar.left() + bar.width() * (mark.bps as f32 / full_bps);
        let (from, to) =
            if is_above { (bar.top() - 4.0, bar.bottom()) } else { (bar.top(), bar.bottom() + 4.0) };
        let tick = Rect::from_x_y_ranges(x - 1.0..=x + 1.0, from..=to);
        ui.painter().rect_filled(tick, 1, tokens.text);
        let galley = text::one_line(ui, &words(mark), theme::caption(), tokens.text_muted, rect.width());
        let half = galley.size().x / 2.0;
        let middle = x.clamp(rect.left() + half, (rect.right() - half).max(rect.left() + half));
        let (y, align) = if is_above {
            (from - space::XS / 4.0, Align2::CENTER_BOTTOM)
        } else {
            (to + space::XS / 4.0, Align2::CENTER_TOP)
        };
        let at = align.anchor_size(pos2(middle, y), galley.size());
        ui.painter().galley(at.min, galley, tokens.text_muted);
    }
}
