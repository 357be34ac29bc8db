//! Why the tracker does not start; each message says what to do, each kind has its exit code.

use std::{io, net::SocketAddr, path::PathBuf};

use peer_actor::identity::IdentityError;
use thiserror::Error;

use crate::config::ConfigError;

/// Why the tracker does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Somebody else listens there.
    #[error(
        "{0} is already in use; stop the other program (is a tracker running?) or choose another port with --listen ADDR:PORT"
    )]
    PortInUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address with --listen ADDR:PORT")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A library folder cannot be used.
    #[error(
        "the library folder {path} cannot be read: {source}; create it, or name another with --library DIR"
    )]
    Library {
        /// Which folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error("the data folder {path} cannot be used: {source}; name another with --data DIR")]
    Data {
        /// Which folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no key to prove.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The tracker's own library cannot be served.
    #[error("the library cannot be served: {0}")]
    Origin(String),
    /// The actor system has stopped.
    #[error("the tracker stopped while it was starting")]
    Stopped,
}

impl StartError {
    /// The program's exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::PortInUse(_) | Self::Listen { .. } => 3,
            Self::Library { .. } => 4,
            Self::Data { .. } | Self::Identity(_) => 5,
            Self::Origin(_) | Self::Stopped => 1,
        }
    }
}
