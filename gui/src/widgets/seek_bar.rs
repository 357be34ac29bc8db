//! The seek bar: time from left to right, what is here, the playhead, and the time under the pointer. Sound whose waveform is known
//! is drawn as that.
//!
//! Invariant: every position on it is a time; bytes never appear. Dragging previews and seeks once, on release; a click or a
//! step by keys seeks at once.

use egui::{Align2, Rect, Response, Sense, Ui, WidgetInfo, pos2, vec2};

use super::{
    stepping::{self, Scale},
    text,
};
use crate::{
    model::{format, waveform},
    theme::{self, radius, size, space},
};

/// What an arrow key moves the playhead by while the bar has the keyboard.
const KEY_STEP_SECONDS: f64 = 5.0;

/// Height of the bar, and of one that is a waveform.
const HEIGHTS: [f32; 2] = [20.0, 28.0];
/// Width of a bar of the waveform, and of the gap beside it.
const BAR: f32 = 2.0;
const GAP: f32 = 1.0;

/// What the bar shows.
#[derive(Debug, Clone, Copy)]
pub struct SeekBar<'a> {
    /// Where the playhead is.
    pub position_ms: u64,
    /// Length; a bar of unknown length cannot be used.
    pub duration_ms: u64,
    /// What is here, as fractions of the duration.
    pub buffered: &'a [(f32, f32)],
    /// How loud it is where; empty draws a plain bar.
    pub waveform: &'a [u8],
}

impl SeekBar<'_> {
    /// Draws the bar as wide as there is room and returns where the person wants to go.
    pub fn show(self, ui: &mut Ui) -> (Response, Option<u64>) {
        let sense = if self.duration_ms > 0 { Sense::click_and_drag() } else { Sense::hover() };
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), self.height()), sense);
        let position = self.position_ms as f64 / 1000.0;
        response.widget_info(move || WidgetInfo::slider(true, position, "Position in seconds"));
        let fraction = if self.duration_ms == 0 {
            0.0
        } else {
            (self.position_ms as f64 / self.duration_ms as f64).min(1.0) as f32
        };
        let pointer = response.interact_pointer_pos().or_else(|| response.hover_pos());
        let under_pointer = pointer.map(|pos| ((pos.x - rect.left()) / rect.width()).clamp(0.0, 1.0));
        let is_hot = response.hovered() || response.dragged() || response.has_focus();
        let growth = ui.ctx().animate_bool(response.id, is_hot);
        let shown = match (response.dragged(), under_pointer) {
            (true, Some(wanted)) => wanted,
            _ => fraction,
        };
        if self.waveform.is_empty() {
            self.paint_plain(ui, rect, shown, growth);
        } else {
            let pointed = under_pointer.filter(|_| response.hovered() && !response.dragged());
            self.paint_waveform(ui, rect, shown, pointed, growth);
        }
        if let (true, Some(wanted), true) = (is_hot, under_pointer, self.duration_ms > 0) {
            self.hover_time(ui, rect, wanted);
        }
        super::controls::focus_ring(ui, &response, rect);
        let is_chosen = response.clicked() || response.drag_stopped();
        let chosen = under_pointer.filter(|_| is_chosen).map(|wanted| self.ms_at(wanted));
        let chosen = chosen.or_else(|| self.stepped(ui, &response));
        (response, chosen)
    }

    fn height(self) -> f32 {
        HEIGHTS[usize::from(!self.waveform.is_empty())]
    }

    fn paint_plain(self, ui: &Ui, rect: Rect, shown: f32, growth: f32) {
        let tokens = theme::of(ui);
        let bar = Rect::from_center_size(rect.center(), vec2(rect.width(), 4.0 + 3.0 * growth));
        let corner = (bar.height() / 2.0) as u8;
        let span = |from: f32, to: f32| {
            Rect::from_x_y_ranges(
                bar.left() + bar.width() * from..=bar.left() + bar.width() * to.max(from),
                bar.y_range(),
            )
        };
        ui.painter().rect_filled(bar, corner, tokens.track);
        for &(from, to) in self.buffered {
            // A range thinner than a pixel is still a range.
            let to = to.max(from + 1.0 / bar.width().max(1.0));
            ui.painter().rect_filled(span(from, to.min(1.0)), corner, tokens.buffered);
        }
        ui.painter().rect_filled(span(0.0, shown), corner, tokens.accent);
        let handle = pos2(bar.left() + bar.width() * shown, bar.center().y);
        ui.painter().circle_filled(handle, 4.0 + 3.0 * growth, tokens.accent);
    }

    /// Bars as loud as they are high: played ones in the accent, what is here brighter than what is not, and, between playhead and
    /// pointer, what a click would skip or repeat.
    fn paint_waveform(self, ui: &Ui, rect: Rect, shown: f32, pointed: Option<f32>, growth: f32) {
        let tokens = theme::of(ui);
        let count = ((rect.width() + GAP) / (BAR + GAP)) as usize;
        let is_here = |at: f32| self.buffered.iter().any(|&(from, to)| from <= at && at < to);
        for (number, height) in waveform::fit(self.waveform, count).into_iter().enumerate() {
            let at = (number as f32 + 0.5) / count as f32;
            let between = pointed.is_some_and(|wanted| (at < shown) != (at < wanted));
            let color = match (at < shown, is_here(at)) {
                (true, _) => tokens.accent,
                (false, true) => tokens.buffered,
                (false, false) => tokens.track,
            };
            let color = if between { color.lerp_to_gamma(tokens.accent_hover, 0.5) } else { color };
            let x = rect.left() + number as f32 * (BAR + GAP);
            // A quiet passage is thin, and still a part of the bar.
            let tall = (height * rect.height()).max(2.0);
            let bar = Rect::from_center_size(pos2(x + BAR / 2.0, rect.center().y), vec2(BAR, tall));
            ui.painter().rect_filled(bar, 1, color);
        }
        let playhead = rect.left() + rect.width() * shown;
        let line = Rect::from_center_size(pos2(playhead, rect.center().y), vec2(2.0, rect.height() + 2.0));
        ui.painter().rect_filled(line, 1, tokens.text.gamma_multiply(0.35 + 0.65 * growth));
    }

    fn stepped(self, ui: &Ui, response: &Response) -> Option<u64> {
        let seconds = |ms: u64| ms as f64 / 1000.0;
        let scale = Scale {
            value: seconds(self.position_ms),
            range: 0.0..=seconds(self.duration_ms),
            step: KEY_STEP_SECONDS,
            spoken: format!("{} of {}", format::clock(self.position_ms), format::clock(self.duration_ms)),
        };
        stepping::requested(ui, response, &scale).map(|seconds| (seconds * 1000.0).round() as u64)
    }

    fn ms_at(self, fraction: f32) -> u64 {
        (f64::from(fraction) * self.duration_ms as f64) as u64
    }

    fn hover_time(self, ui: &Ui, rect: Rect, fraction: f32) {
        let tokens = theme::of(ui);
        let is_here = self.buffered.iter().any(|&(from, to)| from <= fraction && fraction < to);
        let time = format::clock(self.ms_at(fraction));
        let note = if is_here { time } else { format!("{time} · not here yet") };
        let galley = text::one_line(ui, &note, theme::caption(), tokens.text, 200.0);
        let box_size = galley.size() + vec2(2.0 * space::S, space::S);
        let x = (rect.left() + rect.width() * fraction).clamp(
            rect.left() + box_size.x / 2.0,
            (rect.right() - box_size.x / 2.0).max(rect.left() + box_size.x / 2.0),
        );
        let bubble = Align2::CENTER_BOTTOM.anchor_size(pos2(x, rect.top() - space::XS), box_size);
        let painter =
            ui.ctx().layer_painter(egui::LayerId::new(egui::Order::Tooltip, ui.scope_id().with("seek_time")));
        painter.rect_filled(bubble, radius::S, tokens.surface);
        painter.galley(bubble.center() - galley.size() / 2.0, galley, tokens.text);
    }
}

/// The seek bar between the time and the duration, as every transport has it.
pub fn with_times(ui: &mut Ui, bar: SeekBar<'_>) -> Option<u64> {
    let tokens = theme::of(ui);
    let width = if bar.duration_ms >= 3_600_000 { 54.0 } else { 40.0 };
    let row = vec2(ui.available_width(), bar.height());
    // The height is known beforehand, so that the times stand beside the middle of the bar.
    ui.allocate_ui_with_layout(row, egui::Layout::left_to_right(egui::Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        text::cell(
            ui,
            &format::clock(bar.position_ms),
            theme::caption(),
            tokens.text_muted,
            width,
            egui::Align::Max,
        );
        let room = (ui.available_width() - width - space::S).max(size::CONTROL);
        let chosen = ui
            .allocate_ui(vec2(room, bar.height()), |ui| {
                ui.set_min_width(room);
                bar.show(ui).1
            })
            .inner;
        let end = if bar.duration_ms == 0 { "–".to_owned() } else { format::clock(bar.duration_ms) };
        text::cell(ui, &end, theme::caption(), tokens.text_muted, width, egui::Align::Min);
        chosen
    })
    .inner
}
