//! One node's way out: frames queue per connection, kernels take some of them, one wire carries all.
//!
//! Invariant: the wire carries one thing at a time at the uplink's rate; frames of one connection leave in order.

use std::collections::{BTreeMap, VecDeque};

use shared::{LeafRange, wire::RequestId};

/// Packet headers and framing, on top of each payload.
const OVERHEAD: f64 = 1.045;
/// What one connection sends before the next has its turn, where kernels hold several.
const TURN_BYTES: u64 = 3_000;

/// A chunk on its way out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing {
    pub(super) to: u32,
    pub(super) id: RequestId,
    pub(super) leaves: LeafRange,
    pub(super) bytes: u64,
}

/// What has happened at the end of a turn of the wire.
#[derive(Debug)]
pub(super) struct TurnEnd {
    /// The frame that is complete now.
    pub(super) sent: Option<Outgoing>,
    /// The connections whose kernel took frames, so that their queues are shorter.
    pub(super) drained: Vec<u32>,
}

#[derive(Debug, Default)]
struct Connection {
    /// Handed over, not yet in the kernel.
    queue: VecDeque<Outgoing>,
    kernel: VecDeque<Outgoing>,
    kernel_bytes: u64,
    /// Of the first frame in the kernel.
    sent_bytes: u64,
    is_in_turn: bool,
    is_blocked: bool,
}

/// The way out.
#[derive(Debug)]
pub(super) struct Uplink {
    bytes_per_us: f64,
    kernel_limit: u64,
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
    pub(super) fn new(bps: u64, kernel_limit: u64) -> Self {
        Self {
            bytes_per_us: bps as f64 / 8_000_000.0,
            kernel_limit,
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
            return now_us + takes_us;
        }
        self.control_free_us = self.control_free_us.max(now_us) + takes_us;
        self.control_free_us
    }

    /// A chunk is handed to a connection. Whether its kernel took it at once.
    pub(super) fn push(&mut self, frame: Outgoing) -> bool {
        let connection = self.connections.entry(frame.to).or_default();
        connection.queue.push_back(frame);
        if connection.is_blocked {
            return false;
        }
        if self.kernel_limit == 0 {
            self.turns.push_back(frame.to);
            return false;
        }
        self.fill_kernel(frame.to)
    }

    /// Payload of a connection that its kernel has not taken.
    pub(super) fn queued_bytes(&self, to: u32) -> u64 {
        let Some(connection) = self.connections.get(&to) else { return 0 };
        let on_wire = if self.kernel_limit == 0 { connection.kernel_bytes } else { 0 };
        connection.queue.iter().map(|frame| frame.bytes).sum::<u64>() + on_wire
    }

    /// The next turn of the wire, if it is free and something waits; when that turn ends.
    pub(super) fn start_turn(&mut self, now_us: u64) -> Option<u64> {
        if self.wire.is_some() {
            return None;
        }
        let to = self.next_turn()?;
        let connection = self.connections.get_mut(&to)?;
        let frame = connection.kernel.front()?;
        let left_bytes = frame.bytes - connection.sent_bytes;
        let bytes = if self.turns.is_empty() || self.kernel_limit == 0 {
            left_bytes
        } else {
            left_bytes.min(TURN_BYTES)
        };
        self.wire = Some((to, bytes));
        let wire_bytes = bytes as f64 * OVERHEAD + std::mem::take(&mut self.debt_bytes) as f64;
        let start_us = now_us.max(self.control_free_us);
        let takes_us = (wire_bytes / self.bytes_per_us).ceil() as u64;
        self.busy_us += takes_us;
        Some(start_us + takes_us)
    }

    /// The turn of the wire is over.
    pub(super) fn end_turn(&mut self) -> TurnEnd {
        let mut end = TurnEnd { sent: None, drained: Vec::new() };
        let Some((to, bytes)) = self.wire.take() else { return end };
        let Some(connection) = self.connections.get_mut(&to) else { return end };
        self.payload_bytes += bytes;
        connection.sent_bytes += bytes;
        connection.kernel_bytes -= bytes;
        connection.is_in_turn = false;
        if let Some(frame) = connection.kernel.pop_front_if(|frame| frame.bytes == connection.sent_bytes) {
            connection.sent_bytes = 0;
            end.sent = Some(frame);
        }
        if self.kernel_limit > 0 && self.fill_kernel(to) || self.kernel_limit == 0 {
            end.drained.push(to);
        }
        self.take_turn(to);
        end
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

    /// Whose turn it is. Where the sender sees the wire itself, frames go one after the other as they were handed over.
    fn next_turn(&mut self) -> Option<u32> {
        let to = self.turns.pop_front()?;
        if self.kernel_limit > 0 {
            return Some(to);
        }
        let connection = self.connections.get_mut(&to)?;
        let frame = connection.queue.pop_front()?;
        connection.kernel_bytes = frame.bytes;
        connection.kernel.push_back(frame);
        Some(to)
    }

    fn take_turn(&mut self, to: u32) {
        if self.kernel_limit == 0 {
            return;
        }
        let Some(connection) = self.connections.get_mut(&to) else { return };
        if !connection.kernel.is_empty() && !connection.is_in_turn && !connection.is_blocked {
            connection.is_in_turn = true;
            self.turns.push_back(to);
        }
    }

    /// Moves frames into the kernel while it takes any. Whether it took one.
    fn fill_kernel(&mut self, to: u32) -> bool {
        let Some(connection) = self.connections.get_mut(&to) else { return false };
        let mut has_taken = false;
        while connection.kernel_bytes < self.kernel_limit {
            let Some(frame) = connection.queue.pop_front() else { break };
            connection.kernel_bytes += frame.bytes;
            connection.kernel.push_back(frame);
            has_taken = true;
        }
        self.take_turn(to);
        has_taken
    }
}
