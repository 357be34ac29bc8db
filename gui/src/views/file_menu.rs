//! The menu of a file, under the secondary button of the pointer, wherever the file is shown.
//!
//! Draws only.

use egui::{Response, Ui};
use shared::ContentId;

use crate::{
    app::command::{Command, Commands, LibraryCommand},
    widgets::{controls, icons::Icon},
};

/// Attaches the menu of `content_id` to what `response` belongs to.
pub fn attach(response: &Response, content_id: ContentId, commands: &mut Commands) {
    response.context_menu(|ui| items(ui, content_id, true, commands));
}

/// Attaches the menu of what plays already.
pub fn attach_to_playing(response: &Response, content_id: ContentId, commands: &mut Commands) {
    response.context_menu(|ui| items(ui, content_id, false, commands));
}

fn items(ui: &mut Ui, content_id: ContentId, can_play: bool, commands: &mut Commands) {
    let entries = [
        (Icon::Play, "Play", LibraryCommand::Play(content_id)),
        (Icon::Link, "Copy the link", LibraryCommand::CopyLink(content_id)),
        (Icon::Network, "Copy the address for other players", LibraryCommand::CopyAddress(content_id)),
    ];
    controls::menu(ui, 270.0, |ui| {
        for (icon, label, command) in entries.into_iter().skip(usize::from(!can_play)) {
            if controls::menu_item(ui, Some(icon), label, false).clicked() {
                commands.push(Command::Library(command));
                ui.close();
            }
        }
    });
}
