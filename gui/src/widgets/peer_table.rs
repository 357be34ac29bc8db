//! The sources of a stream: who, over which way, how fast, how far away, how much so far.
//!
//! Draws only; the order is the model's.

use egui::{Align2, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use shared::snapshot::PeerSnapshot;

use super::text;
use crate::{
    model::{format, swarm, swarm::Way, swarm_graph},
    theme::{self, Tokens, radius, space},
};

const ROW: f32 = 46.0;

/// Draws one row a source.
pub fn show(ui: &mut Ui, peers: &[PeerSnapshot]) {
    ui.spacing_mut().item_spacing.y = space::XS;
    for index in swarm::rows(peers) {
        row(ui, &peers[index]);
    }
}

/// The colour of a way, the same in every chart.
pub fn way_color(tokens: &Tokens, way: Way) -> egui::Color32 {
    match way {
        Way::Direct => tokens.positive,
        Way::Reversed => tokens.piece_requested,
        Way::Relayed => tokens.warning,
        Way::Origin => tokens.accent,
    }
}

fn row(ui: &mut Ui, peer: &PeerSnapshot) {
    let tokens = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    let way = Way::of(peer);
    let name = swarm_graph::name(peer);
    let spoken = format!("{name}, {}, {}", way.label(), format::rate(peer.rate_bps));
    response.widget_info(move || WidgetInfo::labeled(Role::Label, true, spoken.clone()));
    if response.hovered() {
        ui.painter().rect_filled(rect.expand2(vec2(space::S, 0.0)), radius::S, tokens.hover);
    }
    let ink = if peer.connected { tokens.text } else { tokens.text_faint };
    let dot = if peer.banned {
        tokens.danger
    } else if peer.connected {
        tokens.positive
    } else {
        tokens.text_faint
    };
    let (top, bottom) = (rect.top() + 15.0, rect.bottom() - 13.0);
    ui.painter().circle_filled(pos2(rect.left() + 4.0, top), 3.5, dot);
    let left = rect.left() + space::L;
    let right_width = 88.0;
    let left_width = (rect.width() - space::L - right_width - space::S).max(60.0);
    let badge_width = badge(ui, pos2(left, bottom), way);
    text::paint(ui, pos2(left, top), Align2::LEFT_CENTER, &name, theme::body_strong(), ink, left_width);
    let state = match (peer.banned, peer.connected) {
        (true, _) => "sent wrong bytes, banned".to_owned(),
        (false, true) => peer.address.clone(),
        (false, false) => "connecting…".to_owned(),
    };
    text::paint(
        ui,
        pos2(left + badge_width + space::S, bottom),
        Align2::LEFT_CENTER,
        &state,
        theme::caption(),
        tokens.text_faint,
        (left_width - badge_width - space::S).max(20.0),
    );
    if !peer.connected && peer.received_bytes == 0 {
        response.on_hover_text(way.explanation());
        return;
    }
    let rate = if peer.banned { String::new() } else { format::rate(peer.rate_bps) };
    text::paint(ui, pos2(rect.right(), top), Align2::RIGHT_CENTER, &rate, theme::body(), ink, right_width);
    let so_far = format!("{} · {}", format::bytes(peer.received_bytes), format::round_trip(peer.rtt_us));
    text::paint(
        ui,
        pos2(rect.right(), bottom),
        Align2::RIGHT_CENTER,
        &so_far,
        theme::caption(),
        tokens.text_faint,
        right_width + space::L,
    );
    response.on_hover_text(way.explanation());
}

/// A tinted word; returns its width.
fn badge(ui: &Ui, left_center: egui::Pos2, way: Way) -> f32 {
    let tokens = theme::of(ui);
    let color = way_color(tokens, way);
    let galley = text::one_line(ui, way.label(), theme::caption(), color, 80.0);
    let size = galley.size() + vec2(space::S + 2.0, 2.0);
    let rect = Align2::LEFT_CENTER.anchor_size(left_center, size);
    ui.painter().rect_filled(rect, 4, color.gamma_multiply(0.14));
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley, color);
    size.x
}

/// How much came over which way, as one stacked bar with a legend.
pub fn ways_bar(ui: &mut Ui, received: [u64; 4]) {
    let tokens = theme::of(ui);
    let total: u64 = received.iter().sum();
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 6.0), Sense::hover());
    let spoken = format!("{} received", format::bytes(total));
    response.widget_info(move || WidgetInfo::labeled(Role::Label, true, spoken.clone()));
    ui.painter().rect_filled(rect, 3, tokens.track);
    let mut x = rect.left();
    for (way, bytes) in Way::ALL.into_iter().zip(received) {
        if bytes == 0 || total == 0 {
            continue;
        }
        let width = rect.width() * (bytes as f64 / total as f64) as f32;
        let part = Rect::from_x_y_ranges(x..=x + width, rect.y_range());
        ui.painter().rect_filled(part, 3, way_color(tokens, way));
        x += width;
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(space::M, 0.0);
        for (way, bytes) in Way::ALL.into_iter().zip(received) {
            if bytes > 0 {
                let text = format!("{} {}", way.label(), format::percent(bytes, total));
                let color = way_color(tokens, way);
                super::controls::chip(ui, color, &text, 160.0).on_hover_text(format::bytes(bytes));
            }
        }
    });
}
