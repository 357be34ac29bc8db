//! The library as a list, with columns that order it.
//!
//! Invariant: only the rows in sight are laid out; header and rows take their columns from the same place.

use egui::{Align2, Rect, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};
use shared::{MediaKind, snapshot::NetworkFile};

use super::library::interact_with_file;
use crate::{
    app::{
        command::{Command, Commands, LibraryCommand},
        ui::Scene,
    },
    model::{
        format,
        library::{self, SortKey},
    },
    theme::{self, radius, size, space},
    widgets::{
        controls, cover,
        icons::{self, Icon},
        text,
    },
};

/// Below this width the list has no column of sources.
const WITH_SOURCES: f32 = 620.0;
const HEADER: f32 = 30.0;

/// Where the columns of a list of one width are.
struct Columns {
    number: f32,
    picture: Rect,
    name: (f32, f32),
    /// Key, right edge and width of each column of numbers, from right to left.
    numbers: Vec<(SortKey, f32, f32)>,
}

impl Columns {
    fn new(rect: Rect, kind: MediaKind) -> Self {
        let picture = match kind {
            MediaKind::Audio => vec2(44.0, 44.0),
            MediaKind::Video => vec2(76.0, 43.0),
        };
        let at = pos2(rect.left() + 44.0, rect.center().y - picture.y / 2.0);
        let picture = Rect::from_min_size(at, picture);
        let mut numbers = Vec::new();
        let mut right = rect.right() - space::L;
        let sources = (rect.width() > WITH_SOURCES).then_some((SortKey::Sources, 150.0));
        for (key, width) in [(SortKey::Duration, 76.0), (SortKey::Size, 84.0)].into_iter().chain(sources) {
            numbers.push((key, right, width));
            right -= width;
        }
        Self {
            number: rect.left() + 22.0,
            picture,
            name: (picture.right() + space::M, right - space::M),
            numbers,
        }
    }
}

/// Draws the list into the rest of the page.
pub fn list_ui(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    ui.spacing_mut().item_spacing.y = 0.0;
    header(ui, scene, commands);
    let rows = scene.order.len();
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, size::ROW, rows, |ui, visible| {
        for row in visible {
            if let Some(file) = scene.order.get(row).and_then(|index| scene.node.files.get(*index)) {
                list_row(ui, scene, file, row + 1, commands);
            }
        }
    });
}

/// The names of the columns; a click orders by one, another click turns the order around.
fn header(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width() - space::M, HEADER), Sense::hover());
    let columns = Columns::new(rect, scene.kind);
    let (left, right) = columns.name;
    let name = Rect::from_x_y_ranges(left..=right, rect.y_range());
    heading(ui, scene, SortKey::Name, name, Align2::LEFT_CENTER, commands);
    for (key, right, width) in columns.numbers {
        let cell = Rect::from_x_y_ranges(right - width..=right, rect.y_range());
        heading(ui, scene, key, cell, Align2::RIGHT_CENTER, commands);
    }
    let line = egui::Stroke::new(1.0, tokens.border);
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, line);
}

fn heading(ui: &Ui, scene: &Scene<'_>, key: SortKey, cell: Rect, align: Align2, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let is_chosen = scene.query.sort == key;
    let response = ui.interact(cell, ui.scope_id().with(("heading", key.label())), Sense::click());
    let spoken = format!("Order by {}", key.label().to_lowercase());
    response.widget_info(move || WidgetInfo::selected(Role::Button, true, is_chosen, spoken.clone()));
    let ink = match (is_chosen, response.hovered()) {
        (true, _) => tokens.text,
        (false, true) => tokens.text_muted,
        (false, false) => tokens.text_faint,
    };
    let galley = text::one_line(ui, key.label(), theme::caption(), ink, cell.width() - 16.0);
    let words = align.anchor_size(align.pos_in_rect(&cell), galley.size());
    let width = galley.size().x;
    ui.painter().galley(words.min, galley, ink);
    if is_chosen {
        let x = if align == Align2::LEFT_CENTER { words.left() + width + 9.0 } else { words.left() - 9.0 };
        let icon = if scene.query.is_descending { Icon::SortDown } else { Icon::SortUp };
        let at = Rect::from_center_size(pos2(x, cell.center().y), vec2(11.0, 11.0));
        icons::paint(ui.painter(), at, icon, tokens.accent);
    }
    controls::focus_ring(ui, &response, cell.shrink2(vec2(0.0, 3.0)));
    if response.clicked() {
        let command = if is_chosen { LibraryCommand::Reverse } else { LibraryCommand::Sort(key) };
        commands.push(Command::Library(command));
    }
}

fn list_row(ui: &mut Ui, scene: &Scene<'_>, file: &NetworkFile, number: usize, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width() - space::M, size::ROW), Sense::click());
    interact_with_file(ui, scene, file, &response, commands);
    let is_current = scene.playing.is_some_and(|playing| playing.content_id == file.content_id);
    if response.hovered() || is_current {
        let fill = if response.hovered() { tokens.hover } else { tokens.raised.gamma_multiply(0.7) };
        ui.painter().rect_filled(rect, radius::M, fill);
    }
    controls::focus_ring(ui, &response, rect.shrink(1.0));
    let columns = Columns::new(rect, file.kind);
    let middle = rect.center().y;
    let lead = Rect::from_center_size(pos2(columns.number, middle), vec2(16.0, 16.0));
    let ink = if is_current { tokens.accent } else { tokens.text };
    if response.hovered() || is_current {
        icons::paint(ui.painter(), lead, Icon::Play, ink);
    } else {
        let (number, faint) = (number.to_string(), tokens.text_faint);
        text::paint(ui, lead.center(), Align2::CENTER_CENTER, &number, theme::caption(), faint, 36.0);
    }
    let cover = scene.covers.get(&file.content_id);
    cover::paint(ui, columns.picture, radius::S, cover, &file.content_id, file.kind);
    for (key, right, width) in columns.numbers {
        let (words, font, color) = match key {
            SortKey::Duration => (format::clock(file.duration_ms), theme::body(), tokens.text_muted),
            SortKey::Size => (format::bytes(file.size), theme::body(), tokens.text_muted),
            SortKey::Sources | SortKey::Name => {
                (library::availability(file), theme::caption(), availability_ink(tokens, file))
            }
        };
        let at = pos2(right, middle);
        text::paint(ui, at, Align2::RIGHT_CENTER, &words, font, color, width - space::S);
    }
    let (left, right) = columns.name;
    let subtitle = library::subtitle(file);
    let title_at = pos2(left, if subtitle.is_empty() { middle } else { middle - 9.0 });
    let title = library::title(file);
    text::paint(ui, title_at, Align2::LEFT_CENTER, title, theme::body_strong(), ink, right - left);
    let (below, muted) = (pos2(left, middle + 9.0), tokens.text_muted);
    text::paint(ui, below, Align2::LEFT_CENTER, &subtitle, theme::caption(), muted, right - left);
}

fn availability_ink(tokens: &theme::Tokens, file: &NetworkFile) -> egui::Color32 {
    match (file.is_local, file.sources) {
        (true, _) => tokens.positive,
        (false, 0) => tokens.warning,
        (false, _) => tokens.text_faint,
    }
}
