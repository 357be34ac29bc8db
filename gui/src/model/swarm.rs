//! Peers and paths: who sends what, over which way.
//!
//! Invariant: every received byte of a stream is counted for exactly one way. Rates are remembered for the small chart only.

use std::collections::VecDeque;

use shared::{
    snapshot::{PeerSnapshot, StreamSnapshot},
    wire::{PathKind, Role},
};

/// With this much ahead a stream that stands still rests rather than waits.
const WELL_AHEAD_MS: u64 = 5_000;

/// How bytes got here, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From a peer we dialled.
    Direct,
    /// From a peer that dialled us because we could not dial it.
    Reversed,
    /// From a peer, over a third node.
    Relayed,
    /// From the tracker's own library.
    Origin,
}

impl Way {
    /// All ways, in drawing order.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Reversed, Self::Relayed, Self::Origin];

    /// The way of one source.
    pub fn of(peer: &PeerSnapshot) -> Self {
        match (peer.role, peer.path) {
            (Role::Origin | Role::Tracker, _) => Self::Origin,
            (Role::Peer, PathKind::Direct) => Self::Direct,
            (Role::Peer, PathKind::Reversed) => Self::Reversed,
            (Role::Peer, PathKind::Relayed) => Self::Relayed,
        }
    }

    /// What people call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Direct => "Direct",
            Self::Reversed => "Reversed",
            Self::Relayed => "Relayed",
            Self::Origin => "Tracker",
        }
    }

    /// One sentence about it.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Direct => "Connected straight to the peer",
            Self::Reversed => "The peer cannot be dialled, so it dialled us",
            Self::Relayed => "Neither side can be dialled, so a third node passes the bytes on",
            Self::Origin => "From the library of the tracker itself",
        }
    }
}

/// Bytes received by way, in the order of [`Way::ALL`].
pub fn received_by_way(stream: &StreamSnapshot) -> [u64; 4] {
    Way::ALL.map(|way| {
        stream.peers.iter().filter(|peer| Way::of(peer) == way).map(|peer| peer.received_bytes).sum()
    })
}

/// Indices of the peers, in row order: connected first, the banned last. Rates do not move rows, which would dance.
pub fn rows(peers: &[PeerSnapshot]) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..peers.len()).collect();
    rows.sort_by_key(|&index| {
        let peer = &peers[index];
        (peer.banned, !peer.connected, Way::of(peer) == Way::Origin, peer.node)
    });
    rows
}

/// How many sources are known, connected and sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Senders {
    /// Known and not banned.
    pub known: u64,
    /// Of those, connected.
    pub connected: u64,
    /// Of those, sending now.
    pub sending: u64,
}

/// Counts the sources of a stream.
pub fn senders(stream: &StreamSnapshot) -> Senders {
    let mut senders = Senders::default();
    for peer in stream.peers.iter().filter(|peer| !peer.banned) {
        senders.known += 1;
        senders.connected += u64::from(peer.connected);
        senders.sending += u64::from(peer.connected && peer.rate_bps > 0);
    }
    senders
}

/// Whether nothing arrives because nothing is needed yet.
pub fn is_resting(stream: &StreamSnapshot) -> bool {
    !stream.complete
        && stream.download_bps == 0
        && stream.waiting.is_none()
        && stream.buffered_ahead_ms >= WELL_AHEAD_MS
}

/// How many are connected, as a sentence.
pub fn headline(stream: &StreamSnapshot) -> String {
    let sources = senders(stream);
    match (stream.complete, sources.connected) {
        (true, 0) => "All of it is on this computer".to_owned(),
        (_, 0) => "Nobody connected yet".to_owned(),
        (false, connected) if sources.sending < connected && !is_resting(stream) => {
            format!("{} of {connected} sending", sources.sending)
        }
        (_, 1) => "1 source connected".to_owned(),
        (_, many) => format!("{many} sources connected"),
    }
}

/// The last rates, one a half second, for the chart.
#[derive(Debug, Clone, Default)]
pub struct RateHistory {
    samples: VecDeque<u64>,
    last: Option<f64>,
}

impl RateHistory {
    /// Samples kept: a minute.
    pub const SAMPLES: usize = 120;
    const EVERY_SECONDS: f64 = 0.5;

    /// Notes the rate, at most once per interval. Returns whether it was noted.
    pub fn handle_rate(&mut self, now: f64, bps: u64) -> bool {
        if self.last.is_some_and(|last| now - last < Self::EVERY_SECONDS) {
            return false;
        }
        self.last = Some(now);
        if self.samples.len() == Self::SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(bps);
        true
    }

    /// Oldest first.
    pub fn samples(&self) -> Vec<u64> {
        self.samples.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::peer;

    #[test]
    fn rows_do_not_dance_with_the_rates() {
        let mut peers = [peer(1), peer(2), peer(3), peer(4)];
        peers[0].connected = false;
        peers[1].banned = true;
        peers[2].role = Role::Origin;
        assert_eq!(rows(&peers), [3, 2, 0, 1]);
        peers[2].rate_bps = 1_000_000;
        assert_eq!(rows(&peers), [3, 2, 0, 1]);
    }

    #[test]
    fn the_tracker_is_one_way_whatever_its_path() {
        let mut origin = peer(1);
        origin.role = Role::Origin;
        origin.path = PathKind::Relayed;
        assert_eq!(Way::of(&origin), Way::Origin);
    }

    #[test]
    fn rates_are_remembered_for_a_minute_at_a_steady_pace() {
        let mut history = RateHistory::default();
        for tick in 0..1_000 {
            history.handle_rate(f64::from(tick) * 0.25, tick as u64);
        }
        let samples = history.samples();
        assert_eq!(samples.len(), RateHistory::SAMPLES);
        assert_eq!(samples.last(), Some(&998));
        assert!(samples.windows(2).all(|pair| pair[1] - pair[0] == 2));
    }
}
