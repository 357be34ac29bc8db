//! The library of the network: search, order, covers in a grid or rows in a list.
//!
//! Invariant: a card and a row of the same file have the same name, click, menu and cover.

use egui::{Align, Layout as Direction, Response, Role, Ui, WidgetInfo};
use shared::{
    MediaKind,
    snapshot::{NetworkFile, TrackerStatus},
};

use super::{file_menu, library_grid, library_list, rail};
use crate::{
    app::{
        command::{Command, Commands, LibraryCommand, Screen},
        ui::Scene,
    },
    model::{
        format,
        library::{self, Layout, SortKey},
    },
    theme::{self, space},
    widgets::{controls, icons::Icon, text},
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
        Layout::Grid => library_grid::grid_ui(ui, scene, commands),
        Layout::List => library_list::list_ui(ui, scene, commands),
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
    let width = ui.available_width().clamp(120.0, 280.0);
    let (response, changed) =
        controls::filter_field_with(ui, "search", "Search the library", &scene.query.search, width);
    if scene.focus_search {
        response.request_focus();
    }
    if let Some(words) = changed {
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
        controls::menu(ui, 150.0, |ui| {
            for key in SortKey::ALL {
                if controls::menu_item(ui, None, key.label(), key == query.sort).clicked() {
                    commands.push(Command::Library(LibraryCommand::Sort(key)));
                    ui.close();
                }
            }
        });
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

/// What is the same for a card and a row: its name, its click, its cover, its hover text.
pub(super) fn interact_with_file(
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
    file_menu::attach(response, file.content_id, commands);
    response.clone().on_hover_text(library::who_has(file));
    if file.has_cover
        && ui.is_rect_visible(response.rect)
        && !scene.covers.is_known(&file.content_id, scene.now)
    {
        commands.push(Command::Library(LibraryCommand::WantCover(file.content_id)));
    }
}
