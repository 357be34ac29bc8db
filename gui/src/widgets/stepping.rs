//! What a slider understands besides the pointer: arrow keys while it has the keyboard, and assistive technology at any time.
//!
//! Invariant: whatever can be dragged can be stepped, and a screen reader hears the value in words.

use std::ops::RangeInclusive;

use egui::{EventFilter, Key, Response, Ui, accesskit};

/// How a slider counts.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Where it is.
    pub value: f64,
    /// From its left end to its right end.
    pub range: RangeInclusive<f64>,
    /// What one key press is worth.
    pub step: f64,
    /// The value in words.
    pub spoken: String,
}

/// Describes the slider behind `response` to assistive technology, and returns the value that keys or it ask for.
pub fn requested(ui: &Ui, response: &Response, scale: &Scale) -> Option<f64> {
    describe(ui, response, scale);
    let steps = by_keys(ui, response) + by_assistance(ui, response);
    let stepped = (steps != 0).then(|| scale.value + f64::from(steps) * scale.step);
    let wanted = set_outright(ui, response).or(stepped)?;
    Some(wanted.clamp(*scale.range.start(), *scale.range.end()))
}

fn describe(ui: &Ui, response: &Response, scale: &Scale) {
    ui.ctx().accesskit_node_builder(response.id, |node| {
        node.set_min_numeric_value(*scale.range.start());
        node.set_max_numeric_value(*scale.range.end());
        node.set_numeric_value_step(scale.step);
        node.set_value(scale.spoken.clone());
        node.add_action(accesskit::Action::SetValue);
        node.add_action(accesskit::Action::Increment);
        node.add_action(accesskit::Action::Decrement);
    });
}

fn by_keys(ui: &Ui, response: &Response) -> i32 {
    if !response.has_focus() {
        return 0;
    }
    // Otherwise the arrows would carry the keyboard to the next control.
    let arrows = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
    ui.input(|input| {
        let presses = |key| input.num_presses(key) as i32;
        presses(Key::ArrowRight) + presses(Key::ArrowUp) - presses(Key::ArrowLeft) - presses(Key::ArrowDown)
    })
}

fn by_assistance(ui: &Ui, response: &Response) -> i32 {
    ui.input(|input| {
        let asked = |action| input.num_accesskit_action_requests(response.id, action) as i32;
        asked(accesskit::Action::Increment) - asked(accesskit::Action::Decrement)
    })
}

fn set_outright(ui: &Ui, response: &Response) -> Option<f64> {
    ui.input(|input| {
        let requests = input.accesskit_action_requests(response.id, accesskit::Action::SetValue);
        let values = requests.filter_map(|request| match request.data {
            Some(accesskit::ActionData::NumericValue(value)) if value.is_finite() => Some(value),
            _ => None,
        });
        values.last()
    })
}
