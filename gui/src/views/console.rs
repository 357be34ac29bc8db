//! The console: the program's own log, live and filtered, and where the rest of the network's state can be looked at.
//!
//! Draws only. Only the lines in sight are laid out.

use egui::{Align, Layout, ScrollArea, Ui, text::LayoutJob, vec2};

use crate::{
    app::{
        command::{Command, Commands, ConsoleCommand},
        ui::Scene,
    },
    model::{
        console::tracker_pages,
        format,
        journal::{LogLine, Severity},
    },
    theme::{self, size, space},
    widgets::{controls, icons::Icon, text},
};

const LINE: f32 = 17.0;

/// Draws the page.
pub fn console_ui(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    let tokens = theme::of(ui);
    text::label(ui, "Console", theme::heading(), tokens.text);
    let count = scene.console.lines().len() as u64;
    let note = format!("{} of this client's log", format::count(count, "line", "lines"));
    text::label(ui, &note, theme::caption(), tokens.text_muted);
    ui.add_space(space::S);
    tools(ui, scene, commands);
    ui.add_space(space::S);
    let pages = tracker_pages(scene.tracker_url);
    let below = if pages.is_some() { size::FIELD + space::L } else { space::L };
    let height = (ui.available_height() - below).max(80.0);
    lines(ui, scene, height);
    if let Some([dashboard, console]) = pages {
        ui.add_space(space::XS);
        ui.horizontal(|ui| {
            text::label(ui, "At the tracker:", theme::caption(), tokens.text_muted);
            for (name, url) in [("dashboard", dashboard), ("debug console", console)] {
                let words = egui::RichText::new(name).font(theme::caption()).color(tokens.accent);
                ui.hyperlink_to(words, &url).on_hover_text(&url);
            }
        });
    }
}

fn tools(ui: &mut Ui, scene: &Scene<'_>, commands: &mut Commands) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(space::XS, space::XS);
        let width = (ui.available_width() * 0.4).clamp(140.0, 300.0);
        let words =
            controls::filter_field(ui, "console_words", "Filter the log", &scene.console.words, width);
        if let Some(words) = words {
            commands.push(Command::Console(ConsoleCommand::Words(words)));
        }
        ui.add_space(space::S);
        for severity in Severity::ALL {
            let is_chosen = scene.console.severity == severity;
            if controls::segment(ui, severity.label(), is_chosen).clicked() {
                commands.push(Command::Console(ConsoleCommand::Severity(severity)));
            }
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if controls::icon_button(ui, Icon::Copy, "Copy these lines").clicked() {
                commands.push(Command::Console(ConsoleCommand::Copy));
            }
        });
    });
}

fn lines(ui: &mut Ui, scene: &Scene<'_>, height: f32) {
    let tokens = theme::of(ui);
    let shown = scene.console.lines();
    egui::Frame::new().fill(tokens.surface).corner_radius(theme::radius::M).inner_margin(space::S).show(
        ui,
        |ui| {
            let inside = height - 2.0 * space::S;
            ui.set_min_size(vec2(ui.available_width(), inside));
            if shown.is_empty() {
                let hint = "No line of the log is like this. RUST_LOG=debug, set before the start, makes it say more.";
                text::paragraph(ui, hint, theme::caption(), tokens.text_muted);
                return;
            }
            ui.spacing_mut().item_spacing.y = 0.0;
            let area = ScrollArea::both().auto_shrink(false).max_height(inside).stick_to_bottom(true);
            area.show_rows(ui, LINE, shown.len(), |ui, visible| {
                for line in visible.filter_map(|index| shown.get(index)) {
                    line_ui(ui, line);
                }
            });
        },
    );
}

fn line_ui(ui: &mut Ui, line: &LogLine) {
    let tokens = theme::of(ui);
    let mut job = LayoutJob::default();
    let mut write = |words: &str, color| {
        job.append(words, 0.0, egui::TextFormat::simple(theme::code(), color));
    };
    let ink = match line.severity {
        Severity::Error => tokens.danger,
        Severity::Warning => tokens.warning,
        Severity::Info => tokens.text,
        Severity::Detail => tokens.text_muted,
    };
    write(&format!("{:>8.2}  ", line.at_seconds), tokens.text_faint);
    write(&format!("{:<28} ", short_origin(&line.origin)), tokens.text_muted);
    write(&line.text.replace('\n', " "), ink);
    job.wrap.max_width = f32::INFINITY;
    ui.add(egui::Label::new(job).extend().selectable(true));
}

/// The last two parts of a module's path.
fn short_origin(origin: &str) -> &str {
    let parts: Vec<usize> = origin.match_indices("::").map(|(at, _)| at).collect();
    match parts.len().checked_sub(2).and_then(|index| parts.get(index)) {
        Some(at) => &origin[at + 2..],
        None => origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_shortened_to_its_last_two_parts() {
        assert_eq!(short_origin("peer_actor::session::state"), "session::state");
        assert_eq!(short_origin("peer_actor::session"), "peer_actor::session");
        assert_eq!(short_origin("gui"), "gui");
    }
}
