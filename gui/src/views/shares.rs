//! Sharing: which folders this computer gives, how far they are read, and three ways to add one.
//!
//! Draws only; dialogs and disks are the backend's.

use egui::{Align, Layout, ScrollArea, Ui, vec2};
use shared::{MediaKind, snapshot::ShareStatus};

use crate::{
    app::{
        command::{Command, Commands, SharesCommand},
        ui::Scene,
    },
    model::{format, shares},
    theme::{self, size, space},
    widgets::{
        controls,
        icons::{self, Icon},
        text,
    },
};

/// Draws the page.
pub fn shares_ui(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let tokens = theme::of(ui);
    let what = match scene.kind {
        MediaKind::Audio => "music",
        MediaKind::Video => "films",
    };
    text::label(ui, "Sharing", theme::heading(), tokens.text);
    let intro = format!(
        "Everyone on this tracker can play the {what} in these folders, straight from your computer. Files stay where they are."
    );
    text::paragraph(ui, &intro, theme::body(), tokens.text_muted);
    ui.add_space(space::M);
    add_row(ui, scene, commands);
    ui.add_space(space::L);
    if scene.node.shares.is_empty() {
        let detail = format!(
            "Drop a folder of {what} onto this window, or choose one. Whoever plays from you passes it on, so your connection is not left alone with it."
        );
        controls::empty_state(ui, Icon::Shares, "You share nothing yet", &detail, |ui| {
            if controls::primary_button(ui, Icon::Folder, "Choose a folder").clicked() {
                commands.push(Command::Shares(SharesCommand::ChooseFolder));
            }
        });
        return;
    }
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.set_max_width(ui.available_width() - space::M);
        for share in &scene.node.shares {
            folder_card(ui, share, commands);
            ui.add_space(space::XS);
        }
        ui.add_space(space::S);
        let given = format!(
            "Sent {} since the start, now {}",
            format::bytes(scene.node.uploaded_bytes),
            format::rate(scene.node.upload_bps)
        );
        text::paragraph(ui, &given, theme::caption(), tokens.text_faint);
        if let Some(relayed) = shares::relayed(&scene.node.relaying) {
            text::paragraph(ui, &relayed, theme::caption(), tokens.text_faint);
        }
        ui.add_space(space::L);
    });
}

fn add_row(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let mut path = scene.share_path.to_owned();
    ui.horizontal(|ui| {
        let buttons = 270.0;
        let width = (ui.available_width() - buttons).clamp(140.0, 460.0);
        let field = egui::TextEdit::singleline(&mut path)
            .id(egui::Id::unique("share_path"))
            .hint_text("Path of a folder, such as ~/Videos")
            .margin(egui::Margin { left: 12, right: 12, top: 8, bottom: 8 })
            .min_size(vec2(width, size::FIELD))
            .desired_width(width);
        let response =
            ui.add_sized(vec2(width, size::FIELD), field).accessible_name("Path of a folder to share");
        if response.changed() {
            commands.push(Command::Shares(SharesCommand::EditPath(path.clone())));
        }
        let is_entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let is_added = controls::secondary_button(ui, Some(Icon::Add), "Add").clicked();
        if (is_entered || is_added) && !path.trim().is_empty() {
            commands.push(Command::Shares(SharesCommand::AddTyped));
        }
        if controls::primary_button(ui, Icon::Folder, "Choose folder…").clicked() {
            commands.push(Command::Shares(SharesCommand::ChooseFolder));
        }
    });
}

fn folder_card(ui: &mut Ui, share: &ShareStatus, commands: &mut Commands) {
    let tokens = theme::of(ui);
    controls::card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(40.0, 40.0), egui::Sense::hover());
            ui.painter().rect_filled(rect, theme::radius::M, tokens.raised);
            let (icon, ink) = if share.error.is_some() {
                (Icon::Warning, tokens.danger)
            } else {
                (Icon::Folder, tokens.accent)
            };
            icons::paint(ui.painter(), rect.shrink(10.0), icon, ink);
            ui.add_space(space::XS);
            let room = ui.available_width() - size::CONTROL - space::S;
            ui.allocate_ui_with_layout(vec2(room, 40.0), Layout::top_down(Align::Min), |ui| {
                ui.set_min_width(room);
                ui.spacing_mut().item_spacing.y = 2.0;
                text::label(ui, shares::folder_name(&share.path), theme::body_strong(), tokens.text)
                    .on_hover_text(&share.path);
                let ink = if share.error.is_some() { tokens.danger } else { tokens.text_muted };
                text::label(ui, &shares::summary(share), theme::caption(), ink);
            });
            let name = format!("Stop sharing {}", share.path);
            if controls::icon_button(ui, Icon::Trash, &name).clicked() {
                commands.push(Command::Shares(SharesCommand::Remove(share.path.clone())));
            }
        });
        text::label(ui, &share.path, theme::caption(), tokens.text_faint);
        if let Some(progress) = shares::progress(share) {
            controls::progress_bar(ui, &format!("Reading {}", share.path), progress);
        }
    });
}
