//! How many connections the system lets the tracker have. The protocol's own bounds are in [`shared::limits`].

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files the tracker opens beside connections: its keys, its index, the library, and clients it dials back, five files each.
const RESERVED_FILES: u64 = 1_024;
/// As many as are asked for where there is no limit.
const ENOUGH_FILES: u64 = 65_536;

/// Raises the soft limit of open files as far as allowed. The answer is how many connections each HTTP worker may hold, so that a flood
/// leaves files for the clients that are here.
pub fn raise_open_files() -> usize {
    let before = getrlimit(Resource::Nofile);
    let wanted = before.maximum.unwrap_or(ENOUGH_FILES).min(ENOUGH_FILES);
    let raised = Rlimit { current: Some(wanted), maximum: before.maximum };
    if before.current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH_FILES);
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let reserved = RESERVED_FILES.min(files / 4);
    // Every connection is three files: the socket, the handle kept beside it, and the one its link cuts it with.
    let connections = (files.saturating_sub(reserved) / 3 / workers).max(16);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_connections_and_the_limit_is_not_lowered() {
        let before = getrlimit(Resource::Nofile).current;
        assert!(raise_open_files() >= 16);
        assert!(getrlimit(Resource::Nofile).current >= before);
    }
}
