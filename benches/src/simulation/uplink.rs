//! One node's way out: kernels take whatever connections are given, one wire carries all in turns.
//!
//! Invariant: the wire carries one thing at a time at the uplink's rate; frames of one connection leave in order.

use std::collections::{BTreeMap, VecDeque};

use shared::{LeafRange, wire::RequestId};

/// Packet headers and framing, on top of each payload.
pub(super) const OVERHEAD: f64 = 1.045;
/// What one connection sends before the next has its turn.
const TURN_BYTES: u64 = 3_000;
/// A chunk on its way out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing {
    pub(super) to: u32,
    pub(super) id: RequestId,
    pub(super) leaves: LeafRange,
    pub(super) bytes: u64,
}

#[derive(Debug, Default)]
struct Connection {
    kernel: VecDeque<Outgoing>,
    /// Of the first frame in the kernel.
    sent_bytes: u64,
    is_in_turn: bool,
    is_blocked: bool,
}

/// The way out.
#[derive(Debug)]
pub(super) struct Uplink {
    bytes_per_us: f64,
    connections: BTreeMap<u32, Connection>,
    turns: VecDeque<u32>,
    /// The connection the wire serves now, and how much of it.
    wire: Option<(u32, u64)>,
    /// Control bytes sent while the wire was busy: they delay what follows.
    debt_bytes: u64,
    /// When control traffic sent on an idle wire is through.
    control_free_us: u64,
    pub(super) payload_bytes: u64,
    pub(super) control_bytes: u64,
    pub(super) busy_us: u64,
}

impl Uplink {
    pub(super) fn new(bps: u64) -> Self {
        Self {
            bytes_per_us: bps as f64 / 8_000_000.0,
            connections: BTreeMap::new(),
            turns: VecDeque::new(),
            wire: None,
            debt_bytes: 0,
            control_free_us: 0,
            payload_bytes: 0,
            control_bytes: 0,
            busy_us: 0,
        }
    }

    /// A small frame goes out; when it is on its way.
    pub(super) fn control(&mut self, now_us: u64, bytes: u64) -> u64 {
        self.control_bytes += bytes;
        let takes_us = (bytes as f64 / self.bytes_per_us.max(1e-6)) as u64;
        if self.wire.is_some() {
            self.debt_bytes += bytes;
            // Data is paced, so that little more than a turn waits in the queue before it.
            return now_us + takes_us + (TURN_BYTES as f64 / self.bytes_per_us.max(1e-6)) as u64;
        }
        self.control_free_us = self.control_free_us.max(now_us) + takes_us;
        self.control_free_us
    }

    /// A chunk is handed to a connection.
    pub(super) fn push(&mut self, frame: Outgoing) {
        self.connections.entry(frame.to).or_default().kernel.push_back(frame);
        self.take_turn(frame.to);
    }

    /// The next turn of the wire, if it is free and something waits; when that turn ends.
    pub(super) fn start_turn(&mut self, now_us: u64) -> Option<u64> {
        if self.wire.is_some() {
            return None;
        }
        let to = self.turns.pop_front()?;
        let connection = self.connections.get_mut(&to)?;
        let frame = connection.kernel.front()?;
        let left_bytes = frame.bytes - connection.sent_bytes;
        let bytes = if self.turns.is_empty() { left_bytes } else { left_bytes.min(TURN_BYTES) };
        self.wire = Some((to, bytes));
        let wire_bytes = bytes as f64 * OVERHEAD + std::mem::take(&mut self.debt_bytes) as f64;
        let start_us = now_us.max(self.control_free_us);
        let takes_us = (wire_bytes / self.bytes_per_us).ceil() as u64;
        self.busy_us += takes_us;
        Some(start_us + takes_us)
    }

    /// The turn of the wire is over; the frame that is complete now.
    pub(super) fn end_turn(&mut self) -> Option<Outgoing> {
        let (to, bytes) = self.wire.take()?;
        let connection = self.connections.get_mut(&to)?;
        self.payload_bytes += bytes;
        connection.sent_bytes += bytes;
        connection.is_in_turn = false;
        let sent = connection.kernel.pop_front_if(|frame| frame.bytes == connection.sent_bytes);
        if sent.is_some() {
            connection.sent_bytes = 0;
        }
        self.take_turn(to);
        sent
    }

    /// The other end of a connection has vanished: nothing more is taken from it.
    pub(super) fn block(&mut self, to: u32) {
        self.connections.entry(to).or_default().is_blocked = true;
        self.turns.retain(|other| *other != to);
    }

    /// A connection has ended; what it still had to send is lost.
    pub(super) fn cut(&mut self, to: u32) {
        self.connections.remove(&to);
        self.turns.retain(|other| *other != to);
        // What is on the wire ends its turn without a frame.
    }

    fn take_turn(&mut self, to: u32) {
        let Some(connection) = self.connections.get_mut(&to) else { return };
        if !connection.kernel.is_empty() && !connection.is_in_turn && !connection.is_blocked {
            connection.is_in_turn = true;
            self.turns.push_back(to);
        }
    }
}
