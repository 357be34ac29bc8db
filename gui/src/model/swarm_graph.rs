//! The swarm as a drawing: who stands where, how wide each line is, what holds it up, and why each source was chosen.
//!
//! Pure: places are in a square of side one, widths are parts of the widest. Invariant: places depend on who is there, never on
//! the rates, so that nothing jumps while numbers change.

use shared::{
    snapshot::{PeerSnapshot, PlannedPath, StreamSnapshot},
    wire::PathKind,
};

use super::{
    format,
    swarm::{self, Way},
};

/// With so much ahead nothing is held up, whatever the rate.
const EASY_MS: u64 = 10_000;

/// What a source does for this computer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Bytes come.
    Sending,
    /// Connected, and not asked for anything now.
    Idle,
    /// Asked, and does not answer.
    Silent,
    /// Not reached yet, or not any more.
    Away,
    /// Sent wrong bytes.
    Banned,
}

/// What keeps the rate from being higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bottleneck {
    /// Nothing: it comes faster than it is played, or nothing is needed.
    Nothing,
    /// Nobody is connected.
    Nobody,
    /// The uplink of the tracker's library, where every first copy comes from.
    Origin,
    /// The uplinks of all viewers together.
    Swarm,
    /// What was asked of this source, by its index, is on its way for longest.
    Source(usize),
    /// All sources send, and it is not enough.
    Sources,
}

/// A source in the drawing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Which of the stream's peers.
    pub peer: usize,
    /// 0 is the row nearest to this computer.
    pub row: usize,
    /// From left to right, 0 to 1.
    pub x: f32,
}

/// Where the sources stand.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    /// Those that are drawn.
    pub places: Vec<Place>,
    /// Sources in the row nearest to this computer.
    pub in_front: usize,
    /// Rows in use: two at most, or the lines of one would run through another.
    pub rows: usize,
    /// Sources there is no room for.
    pub hidden: usize,
}

/// How many sources two rows of `per_row` places take.
pub const fn room(per_row: usize) -> usize {
    2 * per_row - 1
}

/// Places the sources in a row of `per_row`, the tracker's library in its middle, and the rest behind the gaps of that row.
pub fn layout(peers: &[PeerSnapshot], per_row: usize) -> Layout {
    let per_row = per_row.max(1);
    let mut order = swarm::rows(peers);
    let hidden = order.len().saturating_sub(room(per_row));
    let origin = order.iter().position(|&peer| Way::of(&peers[peer]) == Way::Origin);
    if let Some(at) = origin {
        let library = order.remove(at);
        order.insert(0, library);
    }
    order.truncate(room(per_row));
    let is_one_row = order.len() <= per_row;
    let in_front = if is_one_row { order.len() } else { order.len() / 2 + 1 };
    let (front, back) = order.split_at(in_front);
    let front = centre_first(front).into_iter().enumerate().map(|(slot, peer)| Place {
        peer,
        row: 0,
        x: (slot as f32 + 0.5) / in_front as f32,
    });
    let back = centre_first(back).into_iter().enumerate().map(|(slot, peer)| Place {
        peer,
        row: 1,
        x: (slot as f32 + 1.0) / in_front as f32,
    });
    let rows = usize::from(in_front > 0) + usize::from(!is_one_row);
    Layout { places: front.chain(back).collect(), in_front, rows, hidden }
}

/// The first in the middle, the others left and right of it in turn.
fn centre_first(order: &[usize]) -> Vec<usize> {
    let mut slots = std::collections::VecDeque::with_capacity(order.len());
    for (index, &peer) in order.iter().enumerate() {
        if index % 2 == 0 {
            slots.push_back(peer);
        } else {
            slots.push_front(peer);
        }
    }
    slots.into()
}

/// What a source does now.
pub fn activity(peer: &PeerSnapshot) -> Activity {
    match (peer.banned, peer.connected) {
        (true, _) => Activity::Banned,
        (false, false) => Activity::Away,
        (false, true) if peer.rate_bps > 0 => Activity::Sending,
        (false, true) if peer.silent => Activity::Silent,
        (false, true) => Activity::Idle,
    }
}

/// What a source can carry: as measured here, else as the plan says, and at least what it carries now.
pub fn capacity_bps(peer: &PeerSnapshot) -> u64 {
    let planned_bps = peer.planned.map_or(0, |planned| planned.rate_bps);
    let known_bps = if peer.goodput_bps > 0 { peer.goodput_bps } else { planned_bps };
    known_bps.max(peer.rate_bps)
}

/// The rate the swarm can carry over the rate this content needs; none while either is unknown.
pub fn sigma(stream: &StreamSnapshot) -> Option<f64> {
    let sustainable_bps = stream.plan.as_ref()?.sustainable_bps;
    (sustainable_bps > 0 && stream.bitrate > 0).then(|| sustainable_bps as f64 / stream.bitrate as f64)
}

/// What keeps the rate from being higher.
pub fn bottleneck(stream: &StreamSnapshot) -> Bottleneck {
    let is_short = stream.download_bps < stream.bitrate || stream.waiting.is_some();
    if stream.complete || !is_short || (stream.waiting.is_none() && stream.buffered_ahead_ms >= EASY_MS) {
        return Bottleneck::Nothing;
    }
    if swarm::senders(stream).connected == 0 {
        return Bottleneck::Nobody;
    }
    if let Some(plan) = stream.plan.as_ref().filter(|_| sigma(stream).is_some_and(|sigma| sigma < 1.0)) {
        // Others that have everything would have raised it above the origin's share.
        let is_origin = plan.origin_reserve_bps == plan.sustainable_bps;
        return if is_origin { Bottleneck::Origin } else { Bottleneck::Swarm };
    }
    let asked = stream.peers.iter().enumerate().filter(|(_, peer)| peer.connected && peer.in_flight > 0);
    let slowest = asked.map(|(index, peer)| (index, wait_ms(peer))).max_by_key(|(_, wait_ms)| *wait_ms);
    match slowest {
        Some((index, wait_ms)) if wait_ms > SLOW_MS => Bottleneck::Source(index),
        _ => Bottleneck::Sources,
    }
}

/// A source that needs so long for what was asked of it is named as what holds it up.
const SLOW_MS: u64 = 400;

/// How long what was asked of a source takes at its rate.
pub fn wait_ms(peer: &PeerSnapshot) -> u64 {
    match peer.rate_bps.max(if peer.silent { 0 } else { peer.goodput_bps }) {
        0 if peer.in_flight_bytes > 0 => u64::MAX,
        0 => 0,
        rate_bps => peer.in_flight_bytes.saturating_mul(8_000) / rate_bps,
    }
}

/// What holds it up, as a sentence.
pub fn bottleneck_line(stream: &StreamSnapshot, bottleneck: Bottleneck) -> String {
    match bottleneck {
        Bottleneck::Nothing if stream.complete => "All of it is here".to_owned(),
        Bottleneck::Nothing if stream.download_bps < stream.bitrate => {
            "Far enough ahead: nothing is held up".to_owned()
        }
        Bottleneck::Nothing => "It comes faster than it is played".to_owned(),
        Bottleneck::Nobody => "Nobody is connected yet".to_owned(),
        Bottleneck::Origin => "Held up by the tracker's uplink, where every first copy comes from".to_owned(),
        Bottleneck::Swarm => "Held up by the uplinks of all viewers together".to_owned(),
        Bottleneck::Source(index) => stream.peers.get(index).map_or_else(String::new, |peer| {
            let asked = format::bytes(peer.in_flight_bytes);
            match wait_ms(peer) {
                u64::MAX => format!("Held up by {}: it was asked for {asked} and is silent", name(peer)),
                wait_ms => format!(
                    "Held up by {}: the {asked} asked of it take {:.1} s",
                    name(peer),
                    wait_ms as f64 / 1_000.0
                ),
            }
        }),
        Bottleneck::Sources => "All sources together send less than it needs".to_owned(),
    }
}

/// What people call a source.
pub fn name(peer: &PeerSnapshot) -> String {
    match Way::of(peer) {
        Way::Origin => "Tracker's library".to_owned(),
        Way::Direct | Way::Reversed | Way::Relayed => format!("Peer {}", peer.node.short()),
    }
}

/// Why the tracker named this source, as a sentence.
pub fn why_source(peer: &PeerSnapshot, planned_sources: u32) -> String {
    let Some(planned) = peer.planned else {
        return match (peer.banned, peer.connected) {
            (true, _) => "It sent bytes that do not verify, so nothing is taken from it again".to_owned(),
            (false, true) => "No plan names it any more; it is used while its link holds".to_owned(),
            (false, false) => "No plan names it any more, and it has left".to_owned(),
        };
    };
    let mut reasons = Vec::new();
    if planned.rate_bps > 0 {
        reasons.push(format!("its path carried {}", format::rate(planned.rate_bps)));
    }
    if planned.rtt_us > 0 {
        reasons.push(format!("{} away", format::round_trip(u64::from(planned.rtt_us))));
    }
    reasons.push(if planned.complete { "it has the whole file" } else { "it has a part of it" }.to_owned());
    if !planned.uploads {
        reasons.push("it is known not to upload".to_owned());
    }
    match planned.share_bps {
        0 => {}
        1 => reasons.push("it is left to those who have no other".to_owned()),
        share_bps => reasons.push(format!("it is in demand, the share is {}", format::rate(share_bps))),
    }
    format!("Choice {} of {planned_sources}: {}", planned.place, reasons.join(", "))
}

/// Why it is reached the way it is, as a sentence.
pub fn why_path(peer: &PeerSnapshot) -> String {
    let way = Way::of(peer);
    let explanation = match way {
        Way::Origin => "The library is reached over the tracker's own address",
        Way::Direct => "It can be dialled, and the straight way is the widest",
        Way::Reversed => "It cannot be dialled, so it dialled this computer",
        Way::Relayed => "Neither side can be dialled, so a third node passes the bytes on",
    };
    match peer.planned {
        Some(PlannedPath { path, .. }) if peer.connected && way != Way::Origin && path != peer.path => {
            format!("{explanation}; planned was {}", path_word(path))
        }
        _ => explanation.to_owned(),
    }
}

const fn path_word(path: PathKind) -> &'static str {
    match path {
        PathKind::Direct => "a direct path",
        PathKind::Reversed => "a reversed path",
        PathKind::Relayed => "a relayed path",
    }
}

#[cfg(test)]
#[path = "swarm_graph_tests.rs"]
mod tests;
