//! Settings: appearance, and the facts a person may want to know about this client.
//!
//! Draws only.

use egui::{ScrollArea, Ui, vec2};

use super::rail;
use crate::{
    app::{
        command::{Command, Commands, WindowCommand},
        ui::Scene,
    },
    model::{format, settings::ThemeChoice},
    theme::{self, size, space},
    widgets::{controls, icons::Icon, text},
};

/// Draws the page.
pub fn settings_ui(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let tokens = theme::of(ui);
    text::label(ui, "Settings", theme::heading(), tokens.text);
    ui.add_space(space::M);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.set_max_width((ui.available_width() - space::M).min(720.0));
        appearance(ui, scene, commands);
        network(ui, scene);
        storage(ui, scene);
        about(ui, scene);
        ui.add_space(space::L);
    });
}

fn appearance(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    group(ui, "Appearance", |ui| {
        row(ui, "Theme", |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            for (choice, label) in
                [(ThemeChoice::Dark, "Dark"), (ThemeChoice::Light, "Light"), (ThemeChoice::System, "System")]
            {
                if controls::segment(ui, label, scene.settings.theme == choice).clicked() {
                    commands.push(Command::Window(WindowCommand::Theme(choice)));
                }
            }
        });
        row(ui, "Size", |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            let zoom = scene.settings.zoom;
            for (icon, name, step) in
                [(Icon::Remove, "Smaller (Ctrl −)", -1), (Icon::Add, "Larger (Ctrl +)", 1)]
            {
                let can = (scene.settings.zoom_step(step) - zoom).abs() > 0.01;
                if controls::icon_button_with(ui, icon, name, false, can).clicked() {
                    commands.push(Command::Window(WindowCommand::Zoom(step)));
                }
            }
            let words = format!("{:.0} %", zoom * 100.0);
            text::cell(ui, &words, theme::body_strong(), theme::of(ui).text, 60.0, egui::Align::Min);
        });
    });
}

fn network(ui: &mut Ui, scene: &Scene<'_>) {
    let node = scene.node;
    let (_, words, detail) = rail::tracker_words(theme::of(ui), &node.tracker);
    let limit = match scene.upload_limit_bps {
        0 => "none (start with --upload-limit to set one)".to_owned(),
        limit => format::rate(limit),
    };
    let relay = match scene.relay_limit_bps {
        0 => "nothing".to_owned(),
        limit => format!("at most {} (start with --no-relay to pass on nothing)", format::rate(limit)),
    };
    let port = node.listen_port.map_or_else(
        || "does not listen; peers are reached by dialling out".to_owned(),
        |port| format!("port {port}"),
    );
    group(ui, "Network", |ui| {
        fact(ui, "Tracker", scene.tracker_url);
        fact(ui, "State", &format!("{words} · {detail}"));
        fact(ui, "Listening", &port);
        fact(ui, "Upload limit", &limit);
        fact(ui, "Relayed", &relay);
        fact(
            ui,
            "Sent",
            &format!("{}, now {}", format::bytes(node.uploaded_bytes), format::rate(node.upload_bps)),
        );
        let received =
            format!("{}, now {}", format::bytes(node.downloaded_bytes), format::rate(node.download_bps));
        fact(ui, "Received", &received);
        if let Some(gateway) = &node.gateway_url {
            fact(ui, "Gateway", gateway);
        }
    });
}

fn storage(ui: &mut Ui, scene: &Scene<'_>) {
    let node = scene.node;
    group(ui, "Storage", |ui| {
        fact(ui, "Data folder", &scene.data_dir.display().to_string());
        let used = match node.cache_limit_bytes {
            0 => format::bytes(node.cache_bytes),
            limit => format!("{} of {}", format::bytes(node.cache_bytes), format::bytes(limit)),
        };
        fact(ui, "Cache", &used);
        if node.cache_limit_bytes > 0 {
            let fraction = node.cache_bytes as f64 / node.cache_limit_bytes as f64;
            controls::progress_bar(ui, "Cache in use", fraction as f32);
        }
        let tokens = theme::of(ui);
        let note = "What you played stays here until room is needed, and is passed on to others meanwhile.";
        text::paragraph(ui, note, theme::caption(), tokens.text_faint);
    });
}

fn about(ui: &mut Ui, scene: &Scene<'_>) {
    group(ui, "About", |ui| {
        fact(ui, "Version", concat!("Rusteze ", env!("CARGO_PKG_VERSION")));
        if let Some(node) = scene.node.node {
            fact(ui, "This node", &node.to_string());
        }
    });
}

fn group(ui: &mut Ui, title: &str, add_rows: impl FnOnce(&mut Ui)) {
    let tokens = theme::of(ui);
    text::label(ui, title, theme::body_strong(), tokens.text_muted);
    controls::card(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = space::M;
        add_rows(ui);
    });
    ui.add_space(space::M);
}

fn row(ui: &mut Ui, label: &str, add_control: impl FnOnce(&mut Ui)) {
    let tokens = theme::of(ui);
    controls::row(ui, size::FIELD, |ui| {
        text::cell(ui, label, theme::body(), tokens.text_muted, 120.0, egui::Align::Min);
        add_control(ui);
    });
}

fn fact(ui: &mut Ui, label: &str, value: &str) {
    let tokens = theme::of(ui);
    ui.horizontal_top(|ui| {
        text::cell(ui, label, theme::body(), tokens.text_muted, 120.0, egui::Align::Min);
        let room = ui.available_width();
        ui.allocate_ui(vec2(room, 0.0), |ui| {
            let words = egui::RichText::new(value).font(theme::body()).color(tokens.text);
            ui.add(egui::Label::new(words).wrap().selectable(true));
        });
    });
}
