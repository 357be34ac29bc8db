//! The tracker's own library as a source: an ordinary node with the role of an origin, inside the tracker.
//!
//! It is served by the same code as a peer's files. It registers over a WebSocket like any client, so its files and hints take the same
//! way into the catalogue, and its links are accepted at the tracker's own `/peer`. The tracker trusts it as an origin by its key alone.

use std::{net::SocketAddr, path::PathBuf};

use peer_actor::{
    identity::{Identity, IdentityError},
    node::{self, NodeConfig, NodeHandle},
};
use shared::{NodeId, wire::Role};

use crate::{config::TrackerConfig, counters::Counters, error::StartError};

/// Starts the origin of a tracker that listens at `address`. Folders are indexed in the background.
pub async fn start(config: &TrackerConfig, address: SocketAddr) -> Result<NodeHandle, StartError> {
    let node = NodeConfig {
        tracker_url: Some(format!("ws://{}", own_address(address))),
        shares: config.library.clone(),
        upload_limit_bps: config.upload_limit_bps,
        relay_limit_bps: 0,
        ..NodeConfig::new(Role::Origin, None, data_folder(config))
    };
    node::start(node).await.map_err(|error| {
        let advice = if error.is_about_folder() { "; name another data folder with --data DIR" } else { "" };
        StartError::Origin(format!("{error}{advice}"))
    })
}

/// The origin's key, made now if there is none: it is trusted before it first connects.
pub fn node_id(config: &TrackerConfig) -> Result<NodeId, IdentityError> {
    Ok(Identity::load_or_create(&data_folder(config).join("key"))?.node_id())
}

/// Brings the origin's gauges up to date.
pub fn sample(origin: &NodeHandle, counters: &Counters) {
    let snapshot = origin.snapshot();
    counters.origin_sent_bytes.set(i64::try_from(snapshot.uploaded_bytes).unwrap_or(i64::MAX));
    counters.origin_send_bps.set(i64::try_from(snapshot.upload_bps).unwrap_or(i64::MAX));
}

fn data_folder(config: &TrackerConfig) -> PathBuf {
    config.data.join("origin")
}

/// Where this host reaches what listens at `address`.
fn own_address(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_reached_over_loopback() {
        for (listens, reached) in [
            ("0.0.0.0:7700", "127.0.0.1:7700"),
            ("[::]:7700", "[::1]:7700"),
            ("10.0.0.1:7700", "10.0.0.1:7700"),
        ] {
            let address = own_address(listens.parse().expect("an address"));
            assert_eq!(address, reached.parse().expect("an address"));
        }
    }
}
