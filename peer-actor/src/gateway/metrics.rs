//! The node's counters in the Prometheus text format, made from one snapshot at the moment of the scrape.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use shared::snapshot::{NodeSnapshot, TrackerStatus};

/// The text a scrape gets; `traffic` is bodies begun, bodies open, media bytes sent.
pub(super) fn render(node: &NodeSnapshot, traffic: (u64, u64, u64)) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("rusteze");
    counter(&mut registry, "uploaded", "Payload bytes sent to other nodes", Unit::Bytes, node.uploaded_bytes);
    counter(
        &mut registry,
        "downloaded",
        "Payload bytes received from other nodes",
        Unit::Bytes,
        node.downloaded_bytes,
    );
    counter(&mut registry, "gateway_sent", "Media bytes handed to local clients", Unit::Bytes, traffic.2);
    counter(
        &mut registry,
        "gateway_bodies",
        "Streams begun by local clients",
        Unit::Other("streams".into()),
        traffic.0,
    );
    gauge(&mut registry, "gateway_open_bodies", "Streams open to local clients", traffic.1);
    gauge(&mut registry, "upload_bps", "Upload rate in bits per second", node.upload_bps);
    gauge(&mut registry, "download_bps", "Download rate in bits per second", node.download_bps);
    gauge(&mut registry, "cache_bytes", "Bytes of other nodes' files kept", node.cache_bytes);
    gauge(
        &mut registry,
        "cache_limit_bytes",
        "Most bytes of other nodes' files kept",
        node.cache_limit_bytes,
    );
    gauge(&mut registry, "network_files", "Files of the network of this kind", node.files.len() as u64);
    gauge(&mut registry, "shares", "Shared folders", node.shares.len() as u64);
    gauge(
        &mut registry,
        "tracker_connected",
        "1 while the tracker is connected",
        u64::from(node.tracker == TrackerStatus::Connected),
    );
    let relaying = &node.relaying;
    counter(&mut registry, "relayed", "Bytes passed on between others", Unit::Bytes, relaying.carried_bytes);
    counter(
        &mut registry,
        "relays_opened",
        "Relayed connections of others",
        Unit::Other("connections".into()),
        relaying.opened,
    );
    gauge(&mut registry, "relays", "Relayed connections of others now", relaying.relays.len() as u64);
    streams(&mut registry, node);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

type Labels = [(&'static str, String); 1];

fn streams(registry: &mut Registry, node: &NodeSnapshot) {
    let received = Family::<Labels, Counter>::default();
    let wasted = Family::<Labels, Counter>::default();
    let corrupt = Family::<Labels, Counter>::default();
    let stalls = Family::<Labels, Counter>::default();
    let verified = Family::<Labels, Gauge<u64, AtomicU64>>::default();
    let peers = Family::<Labels, Gauge<u64, AtomicU64>>::default();
    for stream in &node.streams {
        let labels = [("content_id", stream.content_id.to_string())];
        received.get_or_create(&labels).inc_by(stream.received_bytes);
        wasted.get_or_create(&labels).inc_by(stream.wasted_bytes);
        corrupt.get_or_create(&labels).inc_by(stream.corrupt_bytes);
        stalls.get_or_create(&labels).inc_by(u64::from(stream.stalls));
        verified.get_or_create(&labels).set(stream.verified_bytes);
        peers.get_or_create(&labels).set(stream.peers.iter().filter(|peer| peer.connected).count() as u64);
    }
    registry.register_with_unit("stream_received", "Payload bytes received", Unit::Bytes, received);
    registry.register_with_unit(
        "stream_wasted",
        "Payload bytes received twice or unasked",
        Unit::Bytes,
        wasted,
    );
    registry.register_with_unit("stream_corrupt", "Payload bytes that did not verify", Unit::Bytes, corrupt);
    registry.register("stream_stalls", "Times a reader waited too long", stalls);
    registry.register("stream_verified_bytes", "Verified bytes held", verified);
    registry.register("stream_peers", "Connected sources", peers);
}

fn counter(registry: &mut Registry, name: &str, help: &str, unit: Unit, value: u64) {
    let metric = Counter::<u64>::default();
    metric.inc_by(value);
    registry.register_with_unit(name, help, unit, metric);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let metric = Gauge::<u64, AtomicU64>::default();
    metric.set(value);
    registry.register(name, help, metric);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_carries_the_counters() {
        let node =
            NodeSnapshot { uploaded_bytes: 42, tracker: TrackerStatus::Connected, ..NodeSnapshot::default() };
        let text = render(&node, (3, 1, 99)).unwrap();
        for line in [
            "rusteze_uploaded_bytes_total 42",
            "rusteze_gateway_sent_bytes_total 99",
            "rusteze_tracker_connected 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
