//! Buttons, chips, sliders and cards in the program's own look.
//!
//! Invariant: a control of icons alone has an accessible name and says it in a tooltip.

use egui::{
    Align2, Color32, CornerRadius, Frame, Margin, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui,
    WidgetInfo, pos2, vec2,
};

use super::{
    icons::{self, Icon},
    stepping::{self, Scale},
    text,
};
use crate::theme::{self, radius, size, space};

/// What an arrow key moves a slider by.
const SLIDER_STEP: f64 = 0.05;

/// A square button of an icon; `name` is its tooltip and its accessible name.
pub fn icon_button(ui: &mut Ui, icon: Icon, name: &str) -> Response {
    icon_button_with(ui, icon, name, false, true)
}

/// A square button that is on or off.
pub fn icon_toggle(ui: &mut Ui, icon: Icon, name: &str, is_on: bool) -> Response {
    icon_button_with(ui, icon, name, is_on, true)
}

/// A square button of an icon that may be disabled.
pub fn icon_button_with(ui: &mut Ui, icon: Icon, name: &str, is_on: bool, is_enabled: bool) -> Response {
    let tokens = theme::of(ui);
    let sense = if is_enabled { Sense::click() } else { Sense::hover() };
    let (rect, response) = ui.allocate_exact_size(vec2(size::CONTROL, size::CONTROL), sense);
    let label = name.to_owned();
    response.widget_info(move || WidgetInfo::selected(Role::Button, is_enabled, is_on, label.clone()));
    let is_hot = is_enabled && (response.hovered() || response.has_focus());
    if is_hot || is_on {
        let fill = if response.is_pointer_button_down_on() { tokens.selected } else { tokens.hover };
        ui.painter().rect_filled(rect, radius::M, fill);
    }
    focus_ring(ui, &response, rect);
    let color = match (is_enabled, is_on, is_hot) {
        (false, ..) => tokens.text_faint.gamma_multiply(0.5),
        (true, true, _) => tokens.accent,
        (true, false, true) => tokens.text,
        (true, false, false) => tokens.text_muted,
    };
    icons::paint(
        ui.painter(),
        Rect::from_center_size(rect.center(), vec2(size::ICON, size::ICON)),
        icon,
        color,
    );
    response.on_hover_text(name)
}

/// The round accent button of a transport.
pub fn round_button(ui: &mut Ui, icon: Icon, name: &str, diameter: f32) -> Response {
    let tokens = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(diameter, diameter), Sense::click());
    let label = name.to_owned();
    response.widget_info(move || WidgetInfo::labeled(Role::Button, true, label.clone()));
    let fill = if response.hovered() { tokens.accent_hover } else { tokens.accent };
    let grow = if response.is_pointer_button_down_on() { -1.0 } else { 0.0 };
    ui.painter().circle_filled(rect.center(), diameter / 2.0 + grow, fill);
    if response.has_focus() {
        ui.painter().circle_stroke(rect.center(), diameter / 2.0 + 2.0, Stroke::new(1.5, tokens.accent));
    }
    let side = diameter * 0.5;
    icons::paint(
        ui.painter(),
        Rect::from_center_size(rect.center(), vec2(side, side)),
        icon,
        tokens.on_accent,
    );
    response.on_hover_text(name)
}

/// The one important action of a page.
pub fn primary_button(ui: &mut Ui, icon: Icon, label: &str) -> Response {
    let tokens = theme::of(ui);
    text_button(ui, Some(icon), label, tokens.on_accent, [tokens.accent, tokens.accent_hover])
}

/// Any other action with a word.
pub fn secondary_button(ui: &mut Ui, icon: Option<Icon>, label: &str) -> Response {
    let tokens = theme::of(ui);
    text_button(ui, icon, label, tokens.text, [tokens.raised, tokens.hover])
}

fn text_button(
    ui: &mut Ui,
    icon: Option<Icon>,
    label: &str,
    color: Color32,
    fills: [Color32; 2],
) -> Response {
    let galley = text::one_line(ui, label, theme::body_strong(), color, f32::INFINITY);
    let icon_width = if icon.is_some() { size::ICON + space::S } else { 0.0 };
    let width = galley.size().x + icon_width + 2.0 * space::L;
    let (rect, response) = ui.allocate_exact_size(vec2(width, size::FIELD), Sense::click());
    let name = label.to_owned();
    response.widget_info(move || WidgetInfo::labeled(Role::Button, true, name.clone()));
    let fill = if response.hovered() { fills[1] } else { fills[0] };
    ui.painter().rect_filled(rect, radius::M, fill);
    focus_ring(ui, &response, rect);
    let mut x = rect.left() + space::L;
    if let Some(icon) = icon {
        let center = pos2(x + size::ICON / 2.0, rect.center().y);
        icons::paint(ui.painter(), Rect::from_center_size(center, vec2(size::ICON, size::ICON)), icon, color);
        x += icon_width;
    }
    ui.painter().galley(pos2(x, rect.center().y - galley.size().y / 2.0), galley, color);
    response
}

/// One of a row of exclusive choices.
pub fn segment(ui: &mut Ui, label: &str, is_selected: bool) -> Response {
    let tokens = theme::of(ui);
    let color = if is_selected { tokens.text } else { tokens.text_muted };
    let galley = text::one_line(ui, label, theme::body_strong(), color, f32::INFINITY);
    let width = galley.size().x + 2.0 * space::M;
    let (rect, response) = ui.allocate_exact_size(vec2(width, size::FIELD - space::XS), Sense::click());
    let name = label.to_owned();
    response.widget_info(move || WidgetInfo::selected(Role::RadioButton, true, is_selected, name.clone()));
    if is_selected || response.hovered() {
        let fill = if is_selected { tokens.selected } else { tokens.hover };
        ui.painter().rect_filled(rect, radius::S, fill);
    }
    focus_ring(ui, &response, rect);
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley, color);
    response
}

/// The inside of a popup menu, all items as wide as `width`.
pub fn menu<R>(ui: &mut Ui, width: f32, add_items: impl FnOnce(&mut Ui) -> R) -> R {
    ui.set_width(width);
    ui.spacing_mut().item_spacing.y = 2.0;
    add_items(ui)
}

/// One line of a popup menu, as wide as the menu.
pub fn menu_item(ui: &mut Ui, icon: Option<Icon>, label: &str, is_selected: bool) -> Response {
    let tokens = theme::of(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), size::FIELD - 2.0), Sense::click());
    let name = label.to_owned();
    response.widget_info(move || WidgetInfo::selected(Role::MenuItem, true, is_selected, name.clone()));
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, radius::S, tokens.hover);
    }
    focus_ring(ui, &response, rect);
    let color = if is_selected { tokens.accent } else { tokens.text };
    let mut left = rect.left() + space::S;
    if let Some(icon) = icon {
        let center = pos2(left + size::ICON / 2.0, rect.center().y);
        let ink = if is_selected { color } else { tokens.text_muted };
        icons::paint(ui.painter(), Rect::from_center_size(center, vec2(size::ICON, size::ICON)), icon, ink);
        left += size::ICON + space::S;
    }
    let mut room = rect.right() - left - space::S;
    if is_selected {
        let center = pos2(rect.right() - space::S - 8.0, rect.center().y);
        icons::paint(ui.painter(), Rect::from_center_size(center, vec2(16.0, 16.0)), Icon::Check, color);
        room -= 20.0;
    }
    let at = pos2(left, rect.center().y);
    text::paint(ui, at, Align2::LEFT_CENTER, label, theme::body(), color, room);
    response
}

/// A field for words to look for, with a glass and, when it is filled, a cross. Returns the new words when they change.
pub fn filter_field(ui: &mut Ui, salt: &str, name: &str, words: &str, width: f32) -> Option<String> {
    filter_field_with(ui, salt, name, words, width).1
}

/// [`filter_field`] with the field's response, for moving the keyboard to it.
pub fn filter_field_with(
    ui: &mut Ui,
    salt: &str,
    name: &str,
    words: &str,
    width: f32,
) -> (Response, Option<String>) {
    let tokens = theme::of(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(width, size::FIELD), Sense::hover());
    let mut edited = words.to_owned();
    let field = egui::TextEdit::singleline(&mut edited)
        .id(egui::Id::unique(salt))
        .hint_text(name)
        .margin(egui::Margin { left: 34, right: 34, top: 8, bottom: 8 })
        .desired_width(width);
    let response = ui.put(rect, field).accessible_name(name);
    let glass = Rect::from_center_size(pos2(rect.left() + 18.0, rect.center().y), vec2(16.0, 16.0));
    let ink = if response.has_focus() { tokens.text_muted } else { tokens.text_faint };
    icons::paint(ui.painter(), glass, Icon::Search, ink);
    let mut changed = response.changed().then_some(edited);
    if !words.is_empty() {
        let cross = Rect::from_center_size(pos2(rect.right() - 17.0, rect.center().y), vec2(24.0, 24.0));
        if small_button(ui, cross, Icon::Close, "Clear").clicked() {
            changed = Some(String::new());
            response.request_focus();
        }
    }
    (response, changed)
}

/// A small button of an icon at a place, within another control.
fn small_button(ui: &Ui, rect: Rect, icon: Icon, name: &str) -> Response {
    let tokens = theme::of(ui);
    let response = ui.interact(rect, ui.scope_id().with(("small", name)), Sense::click());
    let label = name.to_owned();
    response.widget_info(move || WidgetInfo::labeled(Role::Button, true, label.clone()));
    if response.hovered() {
        ui.painter().circle_filled(rect.center(), rect.width() / 2.0, tokens.selected);
    }
    focus_ring(ui, &response, rect);
    icons::paint(ui.painter(), rect.shrink(5.0), icon, tokens.text_muted);
    response.on_hover_text(name)
}

/// A coloured dot with a word: a state.
pub fn chip(ui: &mut Ui, color: Color32, label: &str, width: f32) -> Response {
    let tokens = theme::of(ui);
    let galley = text::one_line(ui, label, theme::caption(), tokens.text_muted, width - 2.0 * space::M);
    let (rect, response) =
        ui.allocate_exact_size(vec2(galley.size().x + space::L, galley.size().y + space::XS), Sense::hover());
    ui.painter().circle_filled(pos2(rect.left() + space::XS, rect.center().y), 3.5, color);
    ui.painter().galley(
        pos2(rect.left() + space::L, rect.center().y - galley.size().y / 2.0),
        galley,
        tokens.text_muted,
    );
    let name = label.to_owned();
    response.widget_info(move || WidgetInfo::labeled(Role::Label, true, name.clone()));
    response
}

/// A thin horizontal slider from 0 to 1. Returns the new value while it is dragged, clicked or stepped by keys.
pub fn thin_slider(ui: &mut Ui, name: &str, value: f32, width: f32) -> (Response, Option<f32>) {
    let tokens = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(width, size::CONTROL), Sense::click_and_drag());
    let label = name.to_owned();
    response.widget_info(move || WidgetInfo::slider(true, f64::from(value), label.clone()));
    let track = Rect::from_center_size(rect.center(), vec2(width - 2.0 * space::XS, 4.0));
    let spoken = format!("{:.0} %", value * 100.0);
    let scale = Scale { value: f64::from(value), range: 0.0..=1.0, step: SLIDER_STEP, spoken };
    let mut chosen = stepping::requested(ui, &response, &scale).map(|value| value as f32);
    if let Some(pos) = response.interact_pointer_pos()
        && (response.dragged() || response.clicked())
    {
        chosen = Some(((pos.x - track.left()) / track.width()).clamp(0.0, 1.0));
    }
    let shown = chosen.unwrap_or(value).clamp(0.0, 1.0);
    let is_hot = response.hovered() || response.dragged() || response.has_focus();
    ui.painter().rect_filled(track, 2, tokens.track);
    let x = track.left() + track.width() * shown;
    let fill = if is_hot { tokens.accent } else { tokens.text_muted };
    ui.painter().rect_filled(track.with_max_x(x), 2, fill);
    if is_hot {
        ui.painter().circle_filled(pos2(x, track.center().y), 6.0, tokens.text);
    }
    focus_ring(ui, &response, rect);
    (response, chosen)
}

/// A bar that fills from the left.
pub fn progress_bar(ui: &mut Ui, name: &str, fraction: f32) -> Response {
    let tokens = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 4.0), Sense::hover());
    let label = name.to_owned();
    response.widget_info(move || {
        let mut info = WidgetInfo::labeled(Role::ProgressIndicator, true, label.clone());
        info.value = Some(f64::from(fraction));
        info
    });
    ui.painter().rect_filled(rect, 2, tokens.track);
    let filled = rect.with_max_x(rect.left() + rect.width() * fraction.clamp(0.0, 1.0));
    ui.painter().rect_filled(filled, 2, tokens.accent);
    response
}

/// A row of a fixed height, everything in it centred.
pub fn row<R>(ui: &mut Ui, height: f32, add_contents: impl FnOnce(&mut Ui) -> R) -> R {
    let size = vec2(ui.available_width(), height);
    ui.allocate_ui_with_layout(size, egui::Layout::left_to_right(egui::Align::Center), add_contents).inner
}

/// A card: a surface with a hair line and room inside.
pub fn card<R>(ui: &mut Ui, add_contents: impl FnOnce(&mut Ui) -> R) -> R {
    let tokens = theme::of(ui);
    Frame::new()
        .fill(tokens.surface)
        .stroke(Stroke::new(1.0, tokens.border))
        .corner_radius(CornerRadius::same(radius::L))
        .inner_margin(Margin::same(space::L as i8))
        .show(ui, add_contents)
        .inner
}

/// What a page says when it has nothing to show: an icon, a line and what to do.
pub fn empty_state(ui: &mut Ui, icon: Icon, headline: &str, detail: &str, add_actions: impl FnOnce(&mut Ui)) {
    let tokens = theme::of(ui);
    let height = ui.available_height();
    ui.vertical_centered(|ui| {
        ui.add_space((height * 0.5 - 120.0).max(space::XL));
        let (rect, _) = ui.allocate_exact_size(vec2(72.0, 72.0), Sense::hover());
        ui.painter().circle_filled(rect.center(), 36.0, tokens.raised);
        icons::paint(ui.painter(), rect.shrink(22.0), icon, tokens.text_muted);
        ui.add_space(space::L);
        text::paragraph(ui, headline, theme::heading(), tokens.text);
        ui.add_space(space::XS);
        ui.scope(|ui| {
            ui.set_max_width(460.0);
            text::paragraph(ui, detail, theme::body(), tokens.text_muted);
        });
        ui.add_space(space::L);
        add_actions(ui);
    });
}

/// A small key cap, as in a table of shortcuts.
pub fn key_cap(ui: &mut Ui, label: &str) {
    let tokens = theme::of(ui);
    let galley = text::one_line(ui, label, theme::caption(), tokens.text, f32::INFINITY);
    let width = (galley.size().x + 2.0 * space::S).max(24.0);
    let (rect, response) = ui.allocate_exact_size(vec2(width, 22.0), Sense::hover());
    let name = label.to_owned();
    response.widget_info(move || WidgetInfo::labeled(Role::Label, true, name.clone()));
    ui.painter().rect(rect, radius::S, tokens.raised, Stroke::new(1.0, tokens.border), StrokeKind::Inside);
    let at = Align2::CENTER_CENTER.anchor_size(rect.center(), galley.size());
    ui.painter().galley(at.min, galley, tokens.text);
}

/// Shows keyboard focus.
pub fn focus_ring(ui: &Ui, response: &Response, rect: Rect) {
    if response.has_focus() {
        let stroke = Stroke::new(1.5, theme::of(ui).accent);
        ui.painter().rect_stroke(rect.expand(1.0), radius::M, stroke, StrokeKind::Outside);
    }
}
