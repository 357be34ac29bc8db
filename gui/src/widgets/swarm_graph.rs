//! The swarm as a drawing: the sources above, this computer below, and between them what flows, as wide as it is fast.
//!
//! Draws what the model says; a click on a source shows what is known of it, and why it was chosen, until another click.

use egui::{
    Align2, Color32, Id, Pos2, Rect, Role, Sense, Shape, Stroke, StrokeKind, Tooltip, Ui, WidgetInfo,
    epaint::CubicBezierShape, pos2, vec2,
};
use shared::{
    NodeId,
    snapshot::{PeerSnapshot, StreamSnapshot},
};

use super::{peer_table, text};
use crate::{
    model::{
        format,
        swarm::{self, Way},
        swarm_graph::{self, Activity, Bottleneck, Layout, Place},
    },
    theme::{self, Tokens, radius, space},
};

/// How much room a source takes.
#[derive(Debug, Clone, Copy)]
struct Density {
    /// Width of a place in a row.
    slot: f32,
    /// Height of a row.
    row: f32,
    /// The plate of a source; the tracker's is as wide as its name.
    plate: egui::Vec2,
    /// Whether there is room for names and rates.
    has_words: bool,
}

/// A few sources: each with its name and its rate.
const PLATES: Density = Density { slot: 56.0, row: 56.0, plate: vec2(40.0, 22.0), has_words: true };
/// A crowd: dots, whose lines say how fast they are.
const DOTS: Density = Density { slot: 24.0, row: 30.0, plate: vec2(14.0, 14.0), has_words: false };
/// Width of the tracker's plate, where there are words.
const TRACKER_PLATE: f32 = 52.0;
/// Height of the lines between the nearest row and this computer.
const TRUNK: f32 = 62.0;
/// This computer's plate.
const HOME: egui::Vec2 = vec2(148.0, 42.0);
/// Width of the line that carries all there is.
const FULL_LINE: f32 = 26.0;
/// Length of a line in the legend.
const SAMPLE: f32 = 18.0;
/// Points of a line that is not drawn through.
const SAMPLES: usize = 40;

/// Draws the swarm of `stream` as wide as there is room.
pub fn show(ui: &mut Ui, stream: &StreamSnapshot) {
    let width = ui.available_width();
    let per_row = |density: Density| ((width / density.slot) as usize).max(1);
    let is_few = stream.peers.len() <= swarm_graph::room(per_row(PLATES));
    let density = if is_few { PLATES } else { DOTS };
    let layout = swarm_graph::layout(&stream.peers, per_row(density));
    let height = layout.rows as f32 * density.row + TRUNK + HOME.y;
    let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
    let held_up = swarm_graph::bottleneck(stream);
    let line = swarm_graph::bottleneck_line(stream, held_up);
    let spoken = format!("Drawing of the swarm: {} sources. {line}", layout.places.len() + layout.hidden);
    response.widget_info(move || WidgetInfo::labeled(Role::Image, true, spoken.clone()));
    let home = Rect::from_center_size(pos2(rect.center().x, rect.bottom() - HOME.y / 2.0), HOME);
    let plates: Vec<(usize, Rect)> = layout
        .places
        .iter()
        .map(|place| (place.peer, plate_of(rect, density, &layout, place, &stream.peers[place.peer])))
        .collect();
    paint_lines(ui, stream, &plates, home);
    paint_home(ui, stream, home, held_up);
    if layout.hidden > 0 {
        let more = format!("+{} more", layout.hidden);
        let muted = theme::of(ui).text_faint;
        text::paint(ui, rect.right_top(), Align2::RIGHT_TOP, &more, theme::caption(), muted, 90.0);
    }
    let pinned = ui.scope_id().with("pinned source");
    for (index, plate) in plates {
        let peer = &stream.peers[index];
        let is_held_up = held_up == Bottleneck::Source(index)
            || (held_up == Bottleneck::Origin && Way::of(peer) == Way::Origin);
        paint_source(ui, peer, plate, density, is_held_up);
        source(ui, stream, peer, plate, pinned);
    }
    ui.add_space(space::XS);
    verdict(ui, held_up, &line);
    legend(ui, stream, &layout);
    let shown = ui.data(|data| data.get_temp::<NodeId>(pinned));
    if let Some(peer) = shown.and_then(|node| stream.peers.iter().find(|peer| peer.node == node)) {
        card(ui, stream, peer);
    }
}

/// Where a source's plate is. The row behind stands over the gaps of the one in front, so that its lines pass between the plates.
fn plate_of(rect: Rect, density: Density, layout: &Layout, place: &Place, peer: &PeerSnapshot) -> Rect {
    // A short row stands together in the middle instead of in the corners.
    let span = rect.width().min(layout.in_front as f32 * density.slot * 1.7);
    let x = rect.center().x + (place.x - 0.5) * span;
    let from_top = (layout.rows - place.row) as f32 * density.row - density.plate.y / 2.0;
    let is_tracker = density.has_words && Way::of(peer) == Way::Origin;
    let width = if is_tracker { TRACKER_PLATE } else { density.plate.x };
    Rect::from_center_size(pos2(x, rect.top() + from_top), vec2(width, density.plate.y))
}

fn paint_lines(ui: &Ui, stream: &StreamSnapshot, plates: &[(usize, Rect)], home: Rect) {
    let tokens = theme::of(ui);
    let sum_bps: u64 = stream.peers.iter().map(|peer| peer.rate_bps).sum();
    let full_bps = sum_bps.max(stream.bitrate).max(1) as f32;
    let width_of = |bps: u64| (bps as f32 / full_bps * FULL_LINE).clamp(1.5, FULL_LINE);
    let mut ends: Vec<(Rect, &PeerSnapshot)> =
        plates.iter().map(|(index, plate)| (*plate, &stream.peers[*index])).collect();
    ends.retain(|(_, peer)| !peer.banned);
    ends.sort_by(|a, b| a.0.center().x.total_cmp(&b.0.center().x));
    // Lines arrive side by side, so that together they are as wide as what comes.
    let wide: f32 = ends.iter().map(|(_, peer)| width_of(peer.rate_bps) + 2.0).sum();
    let spread = (HOME.x - 24.0).min(wide.max(ends.len() as f32 * 5.0)) / wide.max(1.0);
    let mut x = home.center().x - wide * spread / 2.0;
    for (plate, peer) in ends {
        let width = width_of(peer.rate_bps);
        let to = pos2(x + (width + 2.0) * spread / 2.0, home.top() + 1.0);
        x += (width + 2.0) * spread;
        let from = plate.center_bottom();
        let bend = (to.y - from.y) * 0.55;
        let curve = [from, from + vec2(0.0, bend), to - vec2(0.0, bend), to];
        let room = width_of(swarm_graph::capacity_bps(peer)).min(FULL_LINE * 0.7);
        paint_line(ui, tokens, peer, curve, width, room);
    }
}

fn paint_line(ui: &Ui, tokens: &Tokens, peer: &PeerSnapshot, curve: [Pos2; 4], width: f32, room: f32) {
    let way = Way::of(peer);
    let color = match swarm_graph::activity(peer) {
        Activity::Sending => peer_table::way_color(tokens, way),
        Activity::Idle => peer_table::way_color(tokens, way).gamma_multiply(0.55),
        Activity::Silent => tokens.warning,
        Activity::Away | Activity::Banned => tokens.text_faint.gamma_multiply(0.6),
    };
    let bezier = |stroke| CubicBezierShape::from_points_stroke(curve, false, Color32::TRANSPARENT, stroke);
    if room > width + 1.0 && peer.connected {
        // What the path could carry, as a pale bed for what it does carry.
        ui.painter().add(bezier(Stroke::new(room, color.gamma_multiply(0.16))));
    }
    let stroke = Stroke::new(width, color);
    let sampled = || {
        let shape = bezier(Stroke::NONE);
        (0..=SAMPLES).map(|at| shape.sample(at as f32 / SAMPLES as f32)).collect::<Vec<_>>()
    };
    let dash = width.max(3.0);
    match (swarm_graph::activity(peer), way) {
        (Activity::Away, _) => {
            ui.painter().extend(Shape::dotted_line(&sampled(), color, 5.0, 1.0));
        }
        (_, Way::Direct | Way::Origin) => {
            ui.painter().add(bezier(stroke));
        }
        (_, Way::Reversed) => {
            ui.painter().extend(Shape::dashed_line(&sampled(), stroke, dash * 1.6, dash * 0.7 + 1.0));
        }
        (_, Way::Relayed) => {
            ui.painter().add(bezier(stroke));
            let relay = bezier(Stroke::NONE).sample(0.42);
            let size = width / 2.0 + 4.0;
            ui.painter().circle(relay, size, tokens.surface, Stroke::new(2.0, color));
            ui.painter().circle_filled(relay, 2.0, color);
        }
    }
}

fn paint_home(ui: &Ui, stream: &StreamSnapshot, home: Rect, held_up: Bottleneck) {
    let tokens = theme::of(ui);
    let edge = if held_up == Bottleneck::Swarm { tokens.warning } else { tokens.accent };
    ui.painter().rect(home, radius::M, tokens.raised, Stroke::new(1.5, edge), StrokeKind::Inside);
    let at = home.center();
    let rate = if stream.complete {
        "has all of it".to_owned()
    } else if swarm::is_resting(stream) {
        "needs nothing now".to_owned()
    } else {
        format::rate(stream.download_bps)
    };
    text::paint(
        ui,
        at - vec2(0.0, 8.0),
        Align2::CENTER_CENTER,
        "This computer",
        theme::body_strong(),
        tokens.text,
        HOME.x,
    );
    text::paint(
        ui,
        at + vec2(0.0, 8.5),
        Align2::CENTER_CENTER,
        &rate,
        theme::caption(),
        tokens.text_muted,
        HOME.x,
    );
}

/// What of a source can be pointed at, reached by Tab, and pinned.
fn source(ui: &mut Ui, stream: &StreamSnapshot, peer: &PeerSnapshot, plate: Rect, pinned: Id) {
    let tokens = theme::of(ui);
    let response = ui.interact(plate.expand(2.0), pinned.with(peer.node), Sense::click());
    let spoken = format!("{}, {}", swarm_graph::name(peer), state_words(peer));
    let is_pinned = ui.data(|data| data.get_temp::<NodeId>(pinned)) == Some(peer.node);
    response.widget_info(move || WidgetInfo::selected(Role::Button, true, is_pinned, spoken.clone()));
    if response.hovered() || is_pinned {
        let ring = Stroke::new(1.5, tokens.text);
        ui.painter().rect_stroke(plate.expand(1.0), radius::S, ring, StrokeKind::Outside);
    }
    super::controls::focus_ring(ui, &response, plate);
    if response.clicked() {
        ui.data_mut(|data| {
            if is_pinned {
                data.remove::<NodeId>(pinned);
            } else {
                data.insert_temp(pinned, peer.node);
            }
        });
    }
    let response = response.on_hover_ui(|ui| facts(ui, stream, peer));
    if response.has_focus() && !response.hovered() && !is_pinned {
        // The keyboard shows what the pointer would.
        Tooltip::for_widget(&response).show(|ui| facts(ui, stream, peer));
    }
}

fn paint_source(ui: &Ui, peer: &PeerSnapshot, plate: Rect, density: Density, is_held_up: bool) {
    let tokens = theme::of(ui);
    let way = Way::of(peer);
    let activity = swarm_graph::activity(peer);
    let color = match activity {
        Activity::Sending | Activity::Idle => peer_table::way_color(tokens, way),
        Activity::Silent => tokens.warning,
        Activity::Away => tokens.text_faint,
        Activity::Banned => tokens.danger,
    };
    let edge = Stroke::new(1.2, color);
    ui.painter().rect_filled(plate, radius::S, tokens.surface);
    ui.painter().rect(plate, radius::S, color.gamma_multiply(0.13), edge, StrokeKind::Inside);
    if is_held_up {
        let ring = Stroke::new(2.0, tokens.danger);
        ui.painter().rect_stroke(plate.expand(2.5), radius::S + 2, ring, StrokeKind::Outside);
    }
    if !density.has_words {
        return;
    }
    let short = peer.node.short();
    let label = if way == Way::Origin { "Tracker" } else { short.get(..4).unwrap_or(&short) };
    let is_there = matches!(activity, Activity::Sending | Activity::Idle | Activity::Silent);
    let ink = if is_there { tokens.text } else { tokens.text_faint };
    text::paint(ui, plate.center(), Align2::CENTER_CENTER, label, theme::caption(), ink, plate.width());
    let words = match activity {
        Activity::Sending => format::rate_in_short(peer.rate_bps),
        Activity::Idle => "idle".to_owned(),
        Activity::Silent => "silent".to_owned(),
        Activity::Away => "away".to_owned(),
        Activity::Banned => "banned".to_owned(),
    };
    let above = plate.center_top() - vec2(0.0, 3.0);
    let ink = if is_held_up { tokens.danger } else { tokens.text_muted };
    text::paint(ui, above, Align2::CENTER_BOTTOM, &words, theme::caption(), ink, density.slot);
}

fn state_words(peer: &PeerSnapshot) -> String {
    match swarm_graph::activity(peer) {
        Activity::Sending => format!("{}, {}", Way::of(peer).label(), format::rate(peer.rate_bps)),
        Activity::Idle => format!("{}, idle", Way::of(peer).label()),
        Activity::Silent => format!("{}, silent", Way::of(peer).label()),
        Activity::Away => "away".to_owned(),
        Activity::Banned => "banned".to_owned(),
    }
}

/// Everything that is known of a source, a line a fact.
fn facts(ui: &mut Ui, stream: &StreamSnapshot, peer: &PeerSnapshot) {
    let tokens = theme::of(ui);
    ui.spacing_mut().item_spacing.y = space::XS;
    text::paragraph(ui, &swarm_graph::name(peer), theme::body_strong(), tokens.text);
    let mut lines = vec![state_words(peer)];
    if !peer.address.is_empty() && Way::of(peer) != Way::Origin {
        lines.push(format!("At {}", peer.address));
    }
    let capacity_bps = swarm_graph::capacity_bps(peer);
    if capacity_bps > 0 {
        lines.push(format!("Its path carries {}", format::rate(capacity_bps)));
    }
    if peer.in_flight > 0 {
        let asked = format::bytes(peer.in_flight_bytes);
        lines.push(format!(
            "{asked} on their way in {}",
            format::count(peer.in_flight.into(), "request", "requests")
        ));
    }
    if peer.rtt_us > 0 {
        lines.push(format!("Round trip {}", format::round_trip(peer.rtt_us)));
    }
    let (received, sent) = (format::bytes(peer.received_bytes), format::bytes(peer.sent_bytes));
    lines.push(format!("{received} received, {sent} sent to it"));
    for line in lines {
        text::paragraph(ui, &line, theme::caption(), tokens.text_muted);
    }
    let planned_sources = stream.plan.as_ref().map_or(0, |plan| plan.sources);
    text::paragraph(ui, &swarm_graph::why_source(peer, planned_sources), theme::caption(), tokens.text);
    text::paragraph(ui, &swarm_graph::why_path(peer), theme::caption(), tokens.text);
}

fn card(ui: &mut Ui, stream: &StreamSnapshot, peer: &PeerSnapshot) {
    let tokens = theme::of(ui);
    ui.add_space(space::XS);
    egui::Frame::new()
        .fill(tokens.raised)
        .corner_radius(radius::S)
        .inner_margin(egui::Margin::same(space::S as i8))
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            facts(ui, stream, peer);
        });
}

/// What holds it up, in words beside a mark.
fn verdict(ui: &mut Ui, held_up: Bottleneck, line: &str) {
    let tokens = theme::of(ui);
    let color = match held_up {
        Bottleneck::Nothing => tokens.positive,
        Bottleneck::Nobody => tokens.text_faint,
        Bottleneck::Origin | Bottleneck::Swarm | Bottleneck::Source(_) | Bottleneck::Sources => tokens.danger,
    };
    ui.horizontal_top(|ui| {
        let (dot, _) = ui.allocate_exact_size(vec2(space::S, 16.0), Sense::hover());
        ui.painter().circle_filled(dot.center(), 3.5, color);
        text::paragraph(ui, line, theme::caption(), tokens.text);
    });
}

/// How each way that is in the drawing is drawn.
fn legend(ui: &mut Ui, stream: &StreamSnapshot, layout: &Layout) {
    let tokens = theme::of(ui);
    let seen = |way: Way| {
        let mut peers = layout.places.iter().map(|place| &stream.peers[place.peer]);
        peers.any(|peer| Way::of(peer) == way && !peer.banned)
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(space::S, space::XS);
        for way in Way::ALL.into_iter().filter(|way| seen(*way)) {
            let color = peer_table::way_color(tokens, way);
            let galley = text::one_line(ui, way.label(), theme::caption(), tokens.text_muted, 120.0);
            let size = vec2(SAMPLE + space::XS + galley.size().x, galley.size().y);
            let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
            let from = pos2(rect.left(), rect.center().y);
            let to = from + vec2(SAMPLE, 0.0);
            let stroke = Stroke::new(3.0, color);
            match way {
                Way::Reversed => ui.painter().extend(Shape::dashed_line(&[from, to], stroke, 4.5, 2.5)),
                Way::Direct | Way::Origin | Way::Relayed => {
                    ui.painter().line_segment([from, to], stroke);
                }
            }
            if way == Way::Relayed {
                ui.painter().circle(from.lerp(to, 0.5), 4.0, tokens.surface, Stroke::new(1.5, color));
            }
            ui.painter().galley(pos2(to.x + space::XS, rect.top()), galley, tokens.text_muted);
            let name = format!("Drawn like this: {}", way.label());
            response.widget_info(move || WidgetInfo::labeled(Role::Label, true, name.clone()));
            response.on_hover_text(way.explanation());
        }
    });
}
