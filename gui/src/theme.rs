//! Design tokens: every colour, distance and type size of the window, dark and light.
//!
//! Invariant: no other file names a colour value or a font size. Pictures over video always use the dark tokens, because a
//! film is dark whatever the desktop is.

use std::sync::Arc;

use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Mesh, Painter,
    Rect, Shadow, Stroke, Style, TextStyle, Ui, Visuals, epaint::text::VariationCoords, style::WidgetVisuals,
};

/// Distances between and within things, one scale.
pub mod space {
    /// Hair: between a label and its value.
    pub const XS: f32 = 4.0;
    /// Within a control, between controls of one group.
    pub const S: f32 = 8.0;
    /// Between rows of a card.
    pub const M: f32 = 12.0;
    /// Padding of cards, between groups.
    pub const L: f32 = 16.0;
    /// Between sections, page margins.
    pub const XL: f32 = 24.0;
    /// Around empty states.
    pub const XXL: f32 = 40.0;
}

/// Corner radii.
pub mod radius {
    /// Chips, bars, thumbnails in rows.
    pub const S: u8 = 6;
    /// Buttons, cards.
    pub const M: u8 = 10;
    /// Dialogs, large covers.
    pub const L: u8 = 14;
}

/// Sizes of recurring parts.
pub mod size {
    /// The side of an ordinary icon button.
    pub const CONTROL: f32 = 34.0;
    /// The side of the round play button.
    pub const CONTROL_LARGE: f32 = 44.0;
    /// The side of an icon within a control.
    pub const ICON: f32 = 18.0;
    /// Height of a text button or field.
    pub const FIELD: f32 = 34.0;
    /// Height of a row in a list of files.
    pub const ROW: f32 = 60.0;
    /// Width of the navigation rail with words.
    pub const RAIL: f32 = 208.0;
    /// Width of the navigation rail with icons alone.
    pub const RAIL_NARROW: f32 = 64.0;
    /// Width of the network panel beside a player.
    pub const SIDE_PANEL: f32 = 340.0;
    /// Window width below which the rail loses its words.
    pub const NARROW: f32 = 900.0;
    /// Height of the bar that stays at the bottom while something plays.
    pub const PLAYER_BAR: f32 = 92.0;
}

/// Type sizes.
pub mod type_size {
    /// Small print: units, hints, legends.
    pub const CAPTION: f32 = 11.5;
    /// Ordinary text.
    pub const BODY: f32 = 13.5;
    /// Names of things.
    pub const TITLE: f32 = 15.5;
    /// Names of pages.
    pub const HEADING: f32 = 22.0;
    /// The one big line of a page.
    pub const DISPLAY: f32 = 30.0;
}

/// The colours of one appearance.
#[derive(Debug)]
pub struct Tokens {
    /// Whether this is the dark appearance.
    pub is_dark: bool,
    /// The window.
    pub background: Color32,
    /// The navigation rail and bars.
    pub chrome: Color32,
    /// Cards and panels.
    pub surface: Color32,
    /// Buttons and fields on a surface.
    pub raised: Color32,
    /// What the pointer is over.
    pub hover: Color32,
    /// What is pressed or selected.
    pub selected: Color32,
    /// Hair lines.
    pub border: Color32,
    /// Names and numbers.
    pub text: Color32,
    /// What explains them.
    pub text_muted: Color32,
    /// What may be overlooked; still readable.
    pub text_faint: Color32,
    /// The one accent.
    pub accent: Color32,
    /// The accent under the pointer.
    pub accent_hover: Color32,
    /// Text on the accent.
    pub on_accent: Color32,
    /// All is well.
    pub positive: Color32,
    /// Something waits.
    pub warning: Color32,
    /// Something failed.
    pub danger: Color32,
    /// The unfilled part of bars.
    pub track: Color32,
    /// The part of a seek bar that is here already.
    pub buffered: Color32,
    /// A piece all of whose bytes are verified.
    pub piece_verified: Color32,
    /// A piece some of whose bytes are verified.
    pub piece_partial: Color32,
    /// A piece that was asked for.
    pub piece_requested: Color32,
    /// A piece somebody has.
    pub piece_available: Color32,
    /// A piece nobody connected has.
    pub piece_missing: Color32,
    /// Behind dialogs and over video, for reading.
    pub scrim: Color32,
    /// Shadows of floating things.
    pub shadow: Color32,
}

/// The dark appearance.
pub static DARK: Tokens = Tokens {
    is_dark: true,
    background: Color32::from_rgb(0x10, 0x11, 0x14),
    chrome: Color32::from_rgb(0x0b, 0x0c, 0x0e),
    surface: Color32::from_rgb(0x18, 0x1a, 0x1f),
    raised: Color32::from_rgb(0x22, 0x25, 0x2b),
    hover: Color32::from_rgb(0x2a, 0x2e, 0x36),
    selected: Color32::from_rgb(0x33, 0x37, 0x40),
    border: Color32::from_rgb(0x2b, 0x2e, 0x36),
    text: Color32::from_rgb(0xf0, 0xf0, 0xf2),
    text_muted: Color32::from_rgb(0xa9, 0xad, 0xb7),
    text_faint: Color32::from_rgb(0x7d, 0x82, 0x8e),
    accent: Color32::from_rgb(0xff, 0x7d, 0x4d),
    accent_hover: Color32::from_rgb(0xff, 0x95, 0x6c),
    on_accent: Color32::from_rgb(0x1d, 0x0d, 0x06),
    positive: Color32::from_rgb(0x4c, 0xc3, 0x8a),
    warning: Color32::from_rgb(0xf0, 0xb9, 0x4a),
    danger: Color32::from_rgb(0xf4, 0x6d, 0x75),
    track: Color32::from_rgb(0x33, 0x37, 0x40),
    buffered: Color32::from_rgb(0x6a, 0x70, 0x7d),
    piece_verified: Color32::from_rgb(0xff, 0x7d, 0x4d),
    piece_partial: Color32::from_rgb(0xf7, 0xd0, 0x6b),
    piece_requested: Color32::from_rgb(0x57, 0xa6, 0xff),
    piece_available: Color32::from_rgb(0x4d, 0x54, 0x62),
    piece_missing: Color32::from_rgb(0x25, 0x28, 0x2f),
    scrim: Color32::from_black_alpha(150),
    shadow: Color32::from_black_alpha(110),
};

/// The dark appearance over a picture, whatever is in the picture.
pub static CINEMA: Tokens = Tokens {
    hover: Color32::from_rgba_unmultiplied_const(0xff, 0xff, 0xff, 0x24),
    selected: Color32::from_rgba_unmultiplied_const(0xff, 0xff, 0xff, 0x38),
    text: Color32::WHITE,
    text_muted: Color32::from_rgb(0xe2, 0xe4, 0xe9),
    text_faint: Color32::from_rgb(0xc4, 0xc8, 0xd0),
    track: Color32::from_rgba_unmultiplied_const(0xff, 0xff, 0xff, 0x40),
    buffered: Color32::from_rgba_unmultiplied_const(0xff, 0xff, 0xff, 0x78),
    ..DARK
};

/// The light appearance.
pub static LIGHT: Tokens = Tokens {
    is_dark: false,
    background: Color32::from_rgb(0xfa, 0xf9, 0xf7),
    chrome: Color32::from_rgb(0xf1, 0xef, 0xeb),
    surface: Color32::from_rgb(0xff, 0xff, 0xff),
    raised: Color32::from_rgb(0xef, 0xed, 0xe9),
    hover: Color32::from_rgb(0xe7, 0xe4, 0xdf),
    selected: Color32::from_rgb(0xde, 0xda, 0xd3),
    border: Color32::from_rgb(0xe3, 0xdf, 0xd8),
    text: Color32::from_rgb(0x1d, 0x1c, 0x1f),
    text_muted: Color32::from_rgb(0x56, 0x57, 0x5f),
    text_faint: Color32::from_rgb(0x75, 0x76, 0x7e),
    accent: Color32::from_rgb(0xc9, 0x4a, 0x17),
    accent_hover: Color32::from_rgb(0xb2, 0x3f, 0x11),
    on_accent: Color32::WHITE,
    positive: Color32::from_rgb(0x1c, 0x80, 0x51),
    warning: Color32::from_rgb(0x96, 0x64, 0x00),
    danger: Color32::from_rgb(0xc1, 0x2f, 0x3c),
    track: Color32::from_rgb(0xdd, 0xd9, 0xd2),
    buffered: Color32::from_rgb(0xa8, 0xa4, 0x9c),
    piece_verified: Color32::from_rgb(0xd8, 0x58, 0x22),
    piece_partial: Color32::from_rgb(0xe0, 0xae, 0x2c),
    piece_requested: Color32::from_rgb(0x2d, 0x7d, 0xd8),
    piece_available: Color32::from_rgb(0xb4, 0xb2, 0xae),
    piece_missing: Color32::from_rgb(0xe6, 0xe3, 0xdd),
    scrim: Color32::from_black_alpha(90),
    shadow: Color32::from_black_alpha(38),
};

/// The tokens of the appearance `ui` is drawn in.
pub fn of(ui: &Ui) -> &'static Tokens {
    of_visuals(ui.visuals())
}

/// The tokens that belong to `visuals`.
pub fn of_visuals(visuals: &Visuals) -> &'static Tokens {
    let text = visuals.override_text_color;
    let of_text = [&DARK, &LIGHT, &CINEMA].into_iter().find(|tokens| text == Some(tokens.text));
    of_text.unwrap_or(if visuals.dark_mode { &DARK } else { &LIGHT })
}

/// Makes everything drawn in `ui` from here on use the dark tokens, for controls beside video.
pub fn force_dark(ui: &mut Ui) {
    *ui.visuals_mut() = visuals(&DARK);
}

/// Makes everything drawn in `ui` from here on readable on any picture: the dark tokens, brighter and see-through.
pub fn force_cinema(ui: &mut Ui) {
    *ui.visuals_mut() = visuals(&CINEMA);
}

/// Installs fonts and both appearances.
pub fn install(ctx: &Context) {
    ctx.set_fonts(fonts());
    ctx.set_style_of(egui::Theme::Dark, style(&DARK));
    ctx.set_style_of(egui::Theme::Light, style(&LIGHT));
}

/// Small print.
pub fn caption() -> FontId {
    FontId::new(type_size::CAPTION, FontFamily::Proportional)
}

/// What a program writes, in columns.
pub fn code() -> FontId {
    FontId::monospace(type_size::CAPTION)
}

/// Ordinary text.
pub fn body() -> FontId {
    FontId::new(type_size::BODY, FontFamily::Proportional)
}

/// Ordinary text that carries a name.
pub fn body_strong() -> FontId {
    FontId::new(type_size::BODY, medium())
}

/// Names of things.
pub fn title() -> FontId {
    FontId::new(type_size::TITLE, semibold())
}

/// Names of pages.
pub fn heading() -> FontId {
    FontId::new(type_size::HEADING, semibold())
}

/// The one big line of a page.
pub fn display() -> FontId {
    FontId::new(type_size::DISPLAY, semibold())
}

/// Two colours for a file without a cover, always the same for the same id: a calm gradient.
pub fn placeholder(id: &shared::ContentId, is_dark: bool) -> [Color32; 2] {
    let bytes = id.as_bytes();
    let hue = f32::from(bytes[0]) / 255.0;
    let other = (hue + 0.06 + f32::from(bytes[1]) / 255.0 * 0.10).fract();
    let (saturation, top, bottom) = if is_dark { (0.52, 0.50, 0.26) } else { (0.26, 0.92, 0.78) };
    [(hue, top), (other, bottom)]
        .map(|(h, v)| Color32::from(egui::ecolor::HsvaGamma { h, s: saturation, v, a: 1.0 }))
}

/// The colour of a cover as a ground to read on: dim in the dark, pale in the light.
pub fn ground_of(tint: Color32, is_dark: bool) -> Color32 {
    let color = egui::ecolor::HsvaGamma::from(tint);
    let (s, v) = if is_dark { (color.s.min(0.6), color.v.min(0.24)) } else { (color.s.min(0.18), 0.95) };
    Color32::from(egui::ecolor::HsvaGamma { h: color.h, s, v, a: 1.0 })
}

/// Paints a vertical gradient.
pub fn shade(painter: &Painter, rect: Rect, top: Color32, bottom: Color32) {
    let mut mesh = Mesh::default();
    mesh.colored_vertex(rect.left_top(), top);
    mesh.colored_vertex(rect.right_top(), top);
    mesh.colored_vertex(rect.left_bottom(), bottom);
    mesh.colored_vertex(rect.right_bottom(), bottom);
    mesh.add_triangle(0, 1, 2);
    mesh.add_triangle(1, 2, 3);
    painter.add(mesh);
}

fn medium() -> FontFamily {
    FontFamily::Name("medium".into())
}

fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// Inter in three weights of one variable file; egui's own fonts stay behind it for what it lacks.
fn fonts() -> FontDefinitions {
    static INTER: &[u8] = include_bytes!("../assets/Inter-subset.ttf");
    let mut fonts = FontDefinitions::default();
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let weights = [(FontFamily::Proportional, 420.0), (medium(), 540.0), (semibold(), 640.0)];
    for (family, weight) in weights {
        let name = format!("inter-{weight}");
        let mut data = FontData::from_static(INTER);
        data.tweak.coords = VariationCoords::new([(b"wght", weight)]);
        fonts.font_data.insert(name.clone(), Arc::new(data));
        let mut chain = vec![name];
        chain.extend(fallback.iter().cloned());
        fonts.families.insert(family, chain);
    }
    fonts
}

fn style(tokens: &Tokens) -> Style {
    let mut style = Style { visuals: visuals(tokens), ..Style::default() };
    style.text_styles = [
        (TextStyle::Small, caption()),
        (TextStyle::Body, body()),
        (TextStyle::Button, body_strong()),
        (TextStyle::Heading, heading()),
        (TextStyle::Monospace, code()),
    ]
    .into();
    style.spacing.item_spacing = egui::vec2(space::S, space::S);
    style.spacing.button_padding = egui::vec2(space::M, space::S);
    // Rows of text are as high as their text; controls bring their own height.
    style.spacing.interact_size.y = 18.0;
    style.spacing.menu_margin = Margin::same(space::S as i8);
    style.spacing.tooltip_width = 320.0;
    style.spacing.scroll.bar_width = 8.0;
    style.spacing.scroll.floating = true;
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.4;
    style.animation_time = 0.12;
    style
}

fn visuals(tokens: &Tokens) -> Visuals {
    let mut visuals = if tokens.is_dark { Visuals::dark() } else { Visuals::light() };
    visuals.override_text_color = Some(tokens.text);
    visuals.weak_text_color = Some(tokens.text_muted);
    visuals.hyperlink_color = tokens.accent;
    visuals.panel_fill = tokens.background;
    visuals.window_fill = tokens.surface;
    visuals.window_stroke = Stroke::new(1.0, tokens.border);
    visuals.window_corner_radius = CornerRadius::same(radius::L);
    visuals.menu_corner_radius = CornerRadius::same(radius::M);
    visuals.extreme_bg_color = tokens.raised;
    visuals.text_edit_bg_color = Some(tokens.raised);
    visuals.faint_bg_color = tokens.surface;
    visuals.code_bg_color = tokens.raised;
    visuals.warn_fg_color = tokens.warning;
    visuals.error_fg_color = tokens.danger;
    visuals.selection.bg_fill = tokens.accent.gamma_multiply(0.35);
    visuals.selection.stroke = Stroke::new(1.5, tokens.accent);
    let shadow = Shadow { offset: [0, 8], blur: 28, spread: 0, color: tokens.shadow };
    visuals.popup_shadow = shadow;
    visuals.window_shadow = shadow;
    visuals.slider_trailing_fill = true;
    visuals.interact_cursor = None;
    let widget = |fill: Color32, stroke: Color32, text: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::new(1.0, stroke),
        corner_radius: CornerRadius::same(radius::M),
        fg_stroke: Stroke::new(1.0, text),
        expansion: 0.0,
    };
    let widgets = &mut visuals.widgets;
    widgets.noninteractive = widget(tokens.surface, tokens.border, tokens.text);
    widgets.inactive = widget(tokens.raised, Color32::TRANSPARENT, tokens.text);
    widgets.hovered = widget(tokens.hover, tokens.border, tokens.text);
    widgets.active = widget(tokens.selected, tokens.accent, tokens.text);
    widgets.open = widget(tokens.hover, tokens.border, tokens.text);
    visuals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_readable_on_every_ground_of_both_appearances() {
        for tokens in [&DARK, &LIGHT] {
            for ground in [tokens.background, tokens.chrome, tokens.surface, tokens.raised] {
                assert!(contrast(tokens.text, ground) > 7.0);
                assert!(contrast(tokens.text_muted, ground) > 4.5);
                assert!(contrast(tokens.text_faint, ground) > 3.0);
                assert!(contrast(tokens.danger, ground) > 3.0);
                assert!(contrast(tokens.accent, ground) > 3.0);
            }
            assert!(contrast(tokens.on_accent, tokens.accent) > 4.5);
        }
    }

    #[test]
    fn names_are_readable_on_the_colour_of_any_cover() {
        for tokens in [&DARK, &LIGHT] {
            for hue in 0..36 {
                for (s, v) in [(1.0, 1.0), (0.0, 1.0), (1.0, 0.4), (0.5, 0.8)] {
                    let tint = egui::ecolor::HsvaGamma { h: hue as f32 / 36.0, s, v, a: 1.0 };
                    let ground = ground_of(Color32::from(tint), tokens.is_dark);
                    assert!(contrast(tokens.text, ground) > 7.0, "{tint:?}");
                    assert!(contrast(tokens.text_muted, ground) > 4.0, "{tint:?}");
                }
            }
        }
    }

    #[test]
    fn each_appearance_is_recognised_by_its_visuals() {
        for tokens in [&DARK, &LIGHT, &CINEMA] {
            assert!(std::ptr::eq(of_visuals(&visuals(tokens)), tokens));
        }
    }

    #[test]
    fn piece_states_differ_from_their_neighbours_in_brightness_or_hue() {
        for t in [&DARK, &LIGHT] {
            let states =
                [t.piece_missing, t.piece_available, t.piece_requested, t.piece_partial, t.piece_verified];
            for (i, a) in states.iter().enumerate() {
                for b in &states[i + 1..] {
                    let distance: i32 = (0..3).map(|c| (i32::from(a[c]) - i32::from(b[c])).abs()).sum();
                    assert!(distance > 60, "{a:?} and {b:?}");
                }
            }
        }
    }

    /// The WCAG 2 contrast ratio.
    fn contrast(a: Color32, b: Color32) -> f32 {
        let luminance = |color: Color32| {
            let linear = egui::Rgba::from(color);
            0.2126 * linear.r() + 0.7152 * linear.g() + 0.0722 * linear.b()
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }
}
