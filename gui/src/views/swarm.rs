//! The network panel: rate, ways, pieces and sources of the content being played.
//!
//! Draws only; a click on a piece seeks there.

use std::sync::Arc;

use egui::{Align, Layout, Response, ScrollArea, Ui};
use shared::snapshot::StreamSnapshot;

use crate::{
    app::command::{Command, Commands, PlayerCommand, WindowCommand},
    model::{
        format,
        player::NowPlaying,
        swarm::{self, RateHistory},
        swarm_graph::{self, Bottleneck},
    },
    theme::{self, size, space},
    widgets::{
        controls,
        gauge::{self, Mark},
        icons::Icon,
        peer_table, piece_map, sparkline, swarm_graph as graph, text,
    },
};

/// Draws the panel's inside.
pub fn swarm_ui(ui: &mut Ui, playing: &NowPlaying, can_close: bool, commands: &mut Commands) {
    let tokens = theme::of(ui);
    if can_close {
        controls::row(ui, size::CONTROL, |ui| {
            text::label(ui, "Network", theme::title(), tokens.text);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if controls::icon_button(ui, Icon::Close, "Close the network panel (P)").clicked() {
                    commands.push(Command::Window(WindowCommand::ToggleNetwork));
                }
            });
        });
        ui.add_space(space::S);
    }
    let Some(stream) = playing.stream.clone() else {
        text::paragraph(ui, "Asking the tracker who has it…", theme::body(), tokens.text_muted);
        return;
    };
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.set_max_width(ui.available_width() - space::M);
        rate_section(ui, playing, &stream);
        ui.add_space(space::L);
        swarm_section(ui, &stream);
        ui.add_space(space::L);
        piece_section(ui, playing, &stream, commands);
        ui.add_space(space::L);
        section(ui, "Sources", &swarm::headline(&stream));
        if stream.peers.is_empty() && !stream.complete {
            let hint = "Sources appear here as soon as the tracker has planned the paths to them.";
            text::paragraph(ui, hint, theme::caption(), tokens.text_muted);
        }
        peer_table::show(ui, &stream.peers);
        ui.add_space(space::L);
    });
}

/// A section's title; the response is that of the note at its end.
fn section(ui: &mut Ui, title: &str, note: &str) -> Response {
    let tokens = theme::of(ui);
    let row = ui.horizontal(|ui| {
        text::label(ui, title, theme::body_strong(), tokens.text);
        let note = |ui: &mut Ui| text::label(ui, note, theme::caption(), tokens.text_muted);
        ui.with_layout(Layout::right_to_left(Align::Center), note).inner
    });
    ui.add_space(space::XS);
    row.inner
}

fn rate_section(ui: &mut Ui, playing: &NowPlaying, stream: &Arc<StreamSnapshot>) {
    let tokens = theme::of(ui);
    ui.horizontal(|ui| {
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            let headline = if stream.complete {
                "Complete".to_owned()
            } else if swarm::is_resting(stream) {
                "Well ahead".to_owned()
            } else {
                format::rate(stream.download_bps)
            };
            text::label(ui, &headline, theme::heading(), tokens.text);
            let so_far = format!(
                "{} of {} here · needs {}",
                format::percent(stream.verified_bytes, stream.size),
                format::bytes(stream.size),
                format::rate(stream.bitrate)
            );
            text::label(ui, &so_far, theme::caption(), tokens.text_muted);
        });
    });
    ui.add_space(space::XS);
    if playing.rate_history.iter().any(|rate| *rate > 0) {
        sparkline::show(ui, "Download", &playing.rate_history, RateHistory::SAMPLES, 44.0);
    }
    let received = swarm::received_by_way(stream);
    if received.iter().any(|bytes| *bytes > 0) {
        ui.add_space(space::XS);
        peer_table::ways_bar(ui, received);
    }
}

/// The swarm as a drawing, and how the tracker's plan for it compares with what comes.
fn swarm_section(ui: &mut Ui, stream: &StreamSnapshot) {
    let tokens = theme::of(ui);
    let note = match (&stream.plan, swarm_graph::sigma(stream)) {
        (Some(plan), Some(sigma)) => format!("plan {} · σ {sigma:.2}", plan.epoch),
        (Some(plan), None) => format!("plan {}", plan.epoch),
        (None, _) => "no plan yet".to_owned(),
    };
    section(ui, "Swarm", &note).on_hover_text(
        "The plan is the tracker's. σ is the rate at which the swarm can feed every viewer, over the rate this needs: below 1 \
         somebody has to wait.",
    );
    let predicted_bps = stream.plan.as_ref().map_or(0, |plan| plan.predicted_bps);
    if !stream.complete && !swarm::is_resting(stream) {
        let is_easy = swarm_graph::bottleneck(stream) == Bottleneck::Nothing;
        let color = if is_easy { tokens.positive } else { tokens.warning };
        let planned = Mark { name: "planned", bps: predicted_bps };
        let needed = Mark { name: "needed", bps: stream.bitrate };
        gauge::show(ui, stream.download_bps, color, planned, needed);
        ui.add_space(space::XS);
    }
    graph::show(ui, stream);
}

fn piece_section(ui: &mut Ui, playing: &NowPlaying, stream: &Arc<StreamSnapshot>, commands: &mut Commands) {
    let ahead = stream.buffered_ahead_ms.max(playing.playback.buffered_ahead_ms);
    let note =
        if stream.complete { "all here".to_owned() } else { format!("{} ahead", format::clock(ahead)) };
    section(ui, "Pieces", &note);
    let head = playing.timeline.byte_of(playing.playback.position_ms) as f64 / stream.size.max(1) as f64;
    let (_, clicked) = piece_map::show(ui, &stream.piece_map, head as f32);
    if let Some(fraction) = clicked {
        commands.push(Command::Player(PlayerCommand::SeekFileFraction(fraction)));
    }
    ui.add_space(space::XS);
    piece_map::legend(ui, &stream.piece_map);
}
