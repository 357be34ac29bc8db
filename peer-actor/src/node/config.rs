//! What a node needs to know before it starts.

use std::{net::SocketAddr, path::PathBuf};

use shared::{MediaKind, wire::Role};

use crate::{probe::Probe, relay::peer_share_bps};

/// A node's configuration; programs make it from their options.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The kind of media a client wants and shares; none for an origin, which has both.
    pub kind: Option<MediaKind>,
    /// Peer or origin.
    pub role: Role,
    /// The tracker, as `ws://HOST:PORT`; none for an origin.
    pub tracker_url: Option<String>,
    /// Where neighbours may dial; none accepts no connections here (an origin is mounted in its tracker's server).
    pub listen: Option<SocketAddr>,
    /// Further addresses neighbours may dial.
    pub addresses: Vec<SocketAddr>,
    /// Folders shared from the start.
    pub shares: Vec<PathBuf>,
    /// Where key, index and cache are kept.
    pub data_dir: PathBuf,
    /// The most bytes of other nodes' files kept here.
    pub cache_limit_bytes: u64,
    /// Upload limit in bits per second, or 0 for none.
    pub upload_limit_bps: u64,
    /// What this node relays for others in all, in bits per second, or 0 when it relays nothing.
    pub relay_limit_bps: u64,
    /// Looks into the files of shared folders.
    pub probe: Probe,
}

impl NodeConfig {
    /// A node without tracker, listener or shares.
    pub fn new(role: Role, kind: Option<MediaKind>, data_dir: PathBuf) -> Self {
        Self {
            kind,
            role,
            tracker_url: None,
            listen: None,
            addresses: Vec::new(),
            shares: Vec::new(),
            data_dir,
            cache_limit_bytes: 20 << 30,
            upload_limit_bps: 0,
            relay_limit_bps: peer_share_bps(0),
            probe: Probe::IN_CHILD,
        }
    }

    /// Program and version, as told in handshakes.
    pub fn agent() -> String {
        concat!("rusteze/", env!("CARGO_PKG_VERSION")).to_owned()
    }
}
