//! The library of the network: search, order, covers in a grid or rows in a list.
//!
//! Invariant: only the rows in sight are laid out, so ten thousand files cost as much as twenty.

use egui::{
    Align, Align2, Color32, Layout as Direction, Rect, Response, Role, ScrollArea, Sense, Ui, WidgetInfo,
    pos2, vec2,
};
use shared::{
    MediaKind,
    snapshot::{NetworkFile, TrackerStatus},
};

use super::rail;
use crate::{
    app::{
        command::{Command, Commands, LibraryCommand, Screen},
        ui::Scene,
    },
    model::{
        format,
        library::{self, Layout, SortKey},
    },
    theme::{self, radius, size, space},
    widgets::{
        controls, cover,
        icons::{self, Icon},
        text,
    },
};

/// Draws the page.
pub fn library_ui(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    header(ui, scene, commands);
    ui.add_space(space::M);
    if scene.order.is_empty() {
        nothing(ui, scene, commands);
        return;
    }
    match scene.settings.layout {
        Layout::Grid => grid(ui, scene, commands),
        Layout::List => list(ui, scene, commands),
    }
}

fn header(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let tokens = theme::of(ui);
    ui.horizontal(|ui| {
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            text::label(ui, "Library", theme::heading(), tokens.text);
            text::label(ui, &count_line(scene), theme::caption(), tokens.text_muted);
        });
        ui.with_layout(Direction::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            let layout = scene.settings.layout;
            for (choice, icon, name) in
                [(Layout::List, Icon::List, "Show as list"), (Layout::Grid, Icon::Grid, "Show as grid")]
            {
                if controls::icon_toggle(ui, icon, name, layout == choice).clicked() {
                    commands.push(Command::Library(LibraryCommand::Layout(choice)));
                }
            }
            sort_menu(ui, scene, commands);
            ui.add_space(space::S);
            search_field(ui, scene, commands);
        });
    });
}

fn count_line(scene: &Scene<'_>) -> String {
    let all = scene.node.files.len() as u64;
    let (one, many) = match scene.kind {
        MediaKind::Audio => ("track", "tracks"),
        MediaKind::Video => ("film", "films"),
    };
    let bytes: u64 =
        scene.order.iter().filter_map(|index| scene.node.files.get(*index)).map(|file| file.size).sum();
    if scene.query.search.trim().is_empty() {
        format!("{} · {}", format::count(all, one, many), format::bytes(bytes))
    } else {
        format!("{} of {}", scene.order.len(), format::count(all, one, many))
    }
}

fn search_field(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let width = ui.available_width().clamp(120.0, 280.0);
    let mut words = scene.query.search.clone();
    let (rect, _) = ui.allocate_exact_size(vec2(width, size::FIELD), Sense::hover());
    let field = egui::TextEdit::singleline(&mut words)
        .id(egui::Id::unique("search"))
        .hint_text("Search")
        .margin(egui::Margin { left: 34, right: 10, top: 8, bottom: 8 })
        .desired_width(width);
    let response = ui.put(rect, field).accessible_name("Search the library");
    let glass = Rect::from_center_size(pos2(rect.left() + 18.0, rect.center().y), vec2(16.0, 16.0));
    icons::paint(ui.painter(), glass, Icon::Search, tokens.text_faint);
    if scene.focus_search {
        response.request_focus();
    }
    if response.changed() {
        commands.push(Command::Library(LibraryCommand::Search(words)));
    }
}

fn sort_menu(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let query = scene.query;
    let (icon, name) =
        if query.is_descending { (Icon::SortDown, "Descending") } else { (Icon::SortUp, "Ascending") };
    if controls::icon_button(ui, icon, name).clicked() {
        commands.push(Command::Library(LibraryCommand::Reverse));
    }
    let response = controls::secondary_button(ui, None, query.sort.label()).on_hover_text("Order by");
    egui::Popup::menu(&response).show(|ui| {
        ui.set_min_width(110.0);
        for key in SortKey::ALL {
            if controls::segment(ui, key.label(), key == query.sort).clicked() {
                commands.push(Command::Library(LibraryCommand::Sort(key)));
                ui.close();
            }
        }
    });
}

fn nothing(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let tokens = theme::of(ui);
    if let Some(failure) = scene.failure {
        controls::empty_state(ui, Icon::Warning, "This client cannot start", failure, |_| {});
        return;
    }
    if !scene.query.search.trim().is_empty() && !scene.node.files.is_empty() {
        let detail =
            format!("No title, artist or album has all the words of “{}”.", scene.query.search.trim());
        controls::empty_state(ui, Icon::Search, "Nothing found", &detail, |ui| {
            if controls::secondary_button(ui, Some(Icon::Close), "Clear the search").clicked() {
                commands.push(Command::Library(LibraryCommand::Search(String::new())));
            }
        });
        return;
    }
    match &scene.node.tracker {
        TrackerStatus::Connected => {
            let (headline, detail) = match scene.kind {
                MediaKind::Audio => (
                    "No music yet",
                    "Nobody on this network shares music. Be the first: share a folder, or drop one onto this window.",
                ),
                MediaKind::Video => (
                    "No films yet",
                    "Nobody on this network shares films. Be the first: share a folder, or drop one onto this window.",
                ),
            };
            controls::empty_state(ui, Icon::Library, headline, detail, |ui| {
                if controls::primary_button(ui, Icon::Shares, "Share a folder").clicked() {
                    commands.push(Command::Navigate(Screen::Shares));
                }
            });
        }
        status @ (TrackerStatus::Connecting
        | TrackerStatus::Waiting { .. }
        | TrackerStatus::Refused { .. }) => {
            let (_, words, reason) = rail::tracker_words(tokens, status);
            let detail = format!(
                "{reason}.\nThe tracker at {} knows what the network has; the library appears as soon as it answers.",
                scene.tracker_url
            );
            let headline = match status {
                TrackerStatus::Refused { .. } => "The tracker refuses this client".to_owned(),
                TrackerStatus::Waiting { .. } => {
                    format!("The tracker does not answer · {}", words.to_lowercase())
                }
                TrackerStatus::Connecting | TrackerStatus::Connected => {
                    "Connecting to the tracker…".to_owned()
                }
            };
            controls::empty_state(ui, Icon::Network, &headline, &detail, |_| {});
        }
    }
}

fn grid(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let (ideal, ratio) = match scene.kind {
        MediaKind::Audio => (172.0, 1.0),
        MediaKind::Video => (236.0, 9.0 / 16.0),
    };
    let width = ui.available_width() - space::M;
    let columns = ((width + space::L) / (ideal + space::L)).round().max(1.0);
    let card = (width - (columns - 1.0) * space::L) / columns;
    let height = card * ratio + 54.0;
    let columns = columns as usize;
    let rows = scene.order.len().div_ceil(columns);
    ui.spacing_mut().item_spacing = vec2(space::L, space::L);
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, height, rows, |ui, visible| {
        for row in visible {
            ui.horizontal(|ui| {
                for index in scene.order.iter().skip(row * columns).take(columns) {
                    if let Some(file) = scene.node.files.get(*index) {
                        grid_card(ui, scene, file, vec2(card, height), card * ratio, commands);
                    }
                }
            });
        }
        ui.add_space(space::L);
    });
}

fn grid_card(
    ui: &mut Ui,
    scene: &Scene<'_>,
    file: &NetworkFile,
    card: egui::Vec2,
    picture_height: f32,
    commands: &mut Commands,
) {
    let tokens = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(card, Sense::click());
    let picture = rect.with_max_y(rect.top() + picture_height);
    let is_current = scene.playing.is_some_and(|playing| playing.content_id == file.content_id);
    interact_with_file(ui, scene, file, &response, commands);
    cover::paint(ui, picture, radius::M, scene.covers.get(&file.content_id), &file.content_id, file.kind);
    tag(ui, picture.right_bottom() - vec2(space::S, space::S), &format::clock(file.duration_ms));
    let hotness = ui.ctx().animate_bool(response.id.with("hot"), response.hovered() || response.has_focus());
    if hotness > 0.0 {
        ui.painter().rect_filled(picture, radius::M, Color32::from_black_alpha((140.0 * hotness) as u8));
        let side = 46.0;
        ui.painter().circle_filled(picture.center(), side / 2.0, tokens.accent.gamma_multiply(hotness));
        let icon = Rect::from_center_size(picture.center(), vec2(22.0, 22.0));
        icons::paint(ui.painter(), icon, Icon::Play, tokens.on_accent.gamma_multiply(hotness));
    }
    controls::focus_ring(ui, &response, picture);
    let ink = if is_current { tokens.accent } else { tokens.text };
    let width = rect.width();
    let first = pos2(rect.left(), picture.bottom() + space::M + 4.0);
    text::paint(ui, first, Align2::LEFT_CENTER, library::title(file), theme::body_strong(), ink, width);
    let below = first + vec2(0.0, 19.0);
    let (words, color) = match (file.is_local, file.sources) {
        (true, _) => ("here".to_owned(), tokens.positive),
        (false, 0) => ("no source".to_owned(), tokens.warning),
        (false, sources) => (format::count(u64::from(sources), "source", "sources"), tokens.text_faint),
    };
    let galley = text::one_line(ui, &words, theme::caption(), color, width * 0.6);
    let room = width - galley.size().x - space::S;
    ui.painter().galley(pos2(rect.right() - galley.size().x, below.y - galley.size().y / 2.0), galley, color);
    let subtitle = library::subtitle(file);
    text::paint(ui, below, Align2::LEFT_CENTER, &subtitle, theme::caption(), tokens.text_muted, room);
}

/// A dark label in the corner of a picture.
fn tag(ui: &Ui, right_bottom: egui::Pos2, words: &str) {
    let galley = text::one_line(ui, words, theme::caption(), Color32::WHITE, 90.0);
    let rect = Align2::RIGHT_BOTTOM.anchor_size(right_bottom, galley.size() + vec2(space::S + 2.0, 4.0));
    ui.painter().rect_filled(rect, radius::S, Color32::from_black_alpha(170));
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley, Color32::WHITE);
}

fn list(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    ui.spacing_mut().item_spacing.y = 0.0;
    let rows = scene.order.len();
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, size::ROW, rows, |ui, visible| {
        for row in visible {
            if let Some(file) = scene.order.get(row).and_then(|index| scene.node.files.get(*index)) {
                list_row(ui, scene, file, row + 1, commands);
            }
        }
    });
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
    controls::focus_ring(ui, &response, rect);
    let middle = rect.center().y;
    let lead = Rect::from_center_size(pos2(rect.left() + 22.0, middle), vec2(16.0, 16.0));
    let ink = if is_current { tokens.accent } else { tokens.text };
    if response.hovered() || is_current {
        icons::paint(ui.painter(), lead, Icon::Play, ink);
    } else {
        let number = number.to_string();
        text::paint(
            ui,
            lead.center(),
            Align2::CENTER_CENTER,
            &number,
            theme::caption(),
            tokens.text_faint,
            36.0,
        );
    }
    let picture = match file.kind {
        MediaKind::Audio => vec2(44.0, 44.0),
        MediaKind::Video => vec2(76.0, 43.0),
    };
    let picture = Rect::from_min_size(pos2(rect.left() + 44.0, middle - picture.y / 2.0), picture);
    cover::paint(ui, picture, radius::S, scene.covers.get(&file.content_id), &file.content_id, file.kind);
    let columns = [(format::clock(file.duration_ms), 64.0), (format::bytes(file.size), 76.0)];
    let mut right = rect.right() - space::L;
    for (words, width) in columns {
        let at = pos2(right, middle);
        text::paint(ui, at, Align2::RIGHT_CENTER, &words, theme::body(), tokens.text_muted, width);
        right -= width;
    }
    if rect.width() > 620.0 {
        let words = library::availability(file);
        let at = pos2(right - space::S, middle);
        text::paint(ui, at, Align2::RIGHT_CENTER, &words, theme::caption(), tokens.text_faint, 130.0);
        right -= 140.0;
    }
    let left = picture.right() + space::M;
    let width = right - left - space::M;
    let subtitle = library::subtitle(file);
    let title_at = pos2(left, if subtitle.is_empty() { middle } else { middle - 9.0 });
    text::paint(ui, title_at, Align2::LEFT_CENTER, library::title(file), theme::body_strong(), ink, width);
    let below = pos2(left, middle + 9.0);
    text::paint(ui, below, Align2::LEFT_CENTER, &subtitle, theme::caption(), tokens.text_muted, width);
}

/// What is the same for a card and a row: its name, its click, its cover, its hover text.
fn interact_with_file(
    ui: &Ui,
    scene: &Scene<'_>,
    file: &NetworkFile,
    response: &Response,
    commands: &mut Commands,
) {
    let name = format!("Play {}", library::title(file));
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, name.clone()));
    if response.clicked() {
        commands.push(Command::Library(LibraryCommand::Play(file.content_id)));
    }
    if file.has_cover && ui.is_rect_visible(response.rect) && !scene.covers.is_known(&file.content_id) {
        commands.push(Command::Library(LibraryCommand::WantCover(file.content_id)));
    }
}
