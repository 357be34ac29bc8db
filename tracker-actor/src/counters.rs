//! What the tracker counts, and its Prometheus text. Counting is one atomic addition; nothing here is read on the way of a frame.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry as Exposition,
};

/// The counters and gauges of one tracker.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames received from clients.
    pub frames_in: Counter,
    /// Frames sent to clients.
    pub frames_out: Counter,
    /// Sessions that proved their key.
    pub sessions_opened: Counter,
    /// Sessions that ended, for whatever reason.
    pub sessions_closed: Counter,
    /// Connections turned away because too many strangers were waiting.
    pub strangers_refused: Counter,
    /// Sessions ended for breaking the protocol.
    pub violations: Counter,
    /// Sessions ended because the client fell silent or did not read.
    pub lost: Counter,
    /// Files left out because they were over a limit or of the wrong kind.
    pub files_refused: Counter,
    /// Relayed connections spliced since start.
    pub relays_opened: Counter,
    /// Payload and frames carried by relays.
    pub relayed_bytes: Counter,
    /// Relayed connections carried now.
    pub relays: Gauge,
    /// Relayed connections that peers say they carry now.
    pub peer_relays: Gauge,
    /// Bytes that peers say they have relayed.
    pub peer_relayed_bytes: Gauge,
    /// Registered clients now.
    pub clients: Gauge,
    /// Listed files now.
    pub files: Gauge,
    /// Contents somebody wants now.
    pub swarms: Gauge,
    /// Plans told since start.
    pub plans: Gauge,
    /// Bytes of hints kept now.
    pub hints_bytes: Gauge,
    /// Payload the tracker's own library has sent.
    pub origin_sent_bytes: Gauge,
    /// The same per second.
    pub origin_send_bps: Gauge,
}

impl Counters {
    /// The Prometheus text exposition.
    pub fn exposition(&self) -> String {
        let mut all = Exposition::with_prefix("rusteze_tracker");
        let counters: [(&str, &str, &Counter); 10] = [
            ("frames_in", "Frames received from clients", &self.frames_in),
            ("frames_out", "Frames sent to clients", &self.frames_out),
            ("sessions_opened", "Sessions that proved their key", &self.sessions_opened),
            ("sessions_closed", "Sessions that ended", &self.sessions_closed),
            ("strangers_refused", "Connections turned away before a handshake", &self.strangers_refused),
            ("violations", "Sessions ended for breaking the protocol", &self.violations),
            ("lost", "Sessions ended because the client fell silent or did not read", &self.lost),
            ("files_refused", "Files over a limit or of the wrong kind", &self.files_refused),
            ("relays_opened", "Connections relayed by the tracker", &self.relays_opened),
            ("relayed_bytes", "Bytes relayed by the tracker", &self.relayed_bytes),
        ];
        for (name, help, counter) in counters {
            all.register(name, help, counter.clone());
        }
        let gauges: [(&str, &str, &Gauge); 10] = [
            ("relays", "Connections the tracker relays now", &self.relays),
            ("peer_relays", "Connections peers say they relay now", &self.peer_relays),
            ("peer_relayed_bytes", "Bytes peers say they have relayed", &self.peer_relayed_bytes),
            ("clients", "Registered clients now", &self.clients),
            ("files", "Listed files now", &self.files),
            ("swarms", "Contents somebody wants now", &self.swarms),
            ("plans", "Plans told since start", &self.plans),
            ("hints_bytes", "Bytes of hints kept now", &self.hints_bytes),
            (
                "origin_sent_bytes",
                "Payload bytes the tracker's own library has sent",
                &self.origin_sent_bytes,
            ),
            ("origin_send_bps", "Bits per second the tracker's own library sends now", &self.origin_send_bps),
        ];
        for (name, help, gauge) in gauges {
            all.register(name, help, gauge.clone());
        }
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &all) {
            tracing::error!(%error, "metrics could not be written");
        }
        text
    }
}

/// What one actor has done; for the console.
#[derive(Debug, Default)]
pub struct ActorStats {
    handled: AtomicU64,
    busy_us: AtomicU64,
    slowest_us: AtomicU64,
}

impl ActorStats {
    /// Counts a turn that took `took_us`.
    pub fn count(&self, took_us: u64) {
        self.handled.fetch_add(1, Relaxed);
        self.busy_us.fetch_add(took_us, Relaxed);
        self.slowest_us.fetch_max(took_us, Relaxed);
    }

    /// Turns, microseconds spent in all, and in the slowest.
    pub fn read(&self) -> (u64, u64, u64) {
        (self.handled.load(Relaxed), self.busy_us.load(Relaxed), self.slowest_us.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_names_every_metric_with_its_value() {
        let counters = Counters::default();
        counters.frames_in.inc_by(3);
        counters.clients.set(7);
        let text = counters.exposition();
        assert!(text.contains("rusteze_tracker_frames_in_total 3"), "{text}");
        assert!(text.contains("rusteze_tracker_clients 7"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_slowest_turn_is_kept() {
        let stats = ActorStats::default();
        for took_us in [5, 90, 7] {
            stats.count(took_us);
        }
        assert_eq!(stats.read(), (3, 102, 90));
    }
}
