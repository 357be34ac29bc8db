//! Socket options every link wants.

use socket2::SockRef;

use shared::limits::SOCKET_UNSENT_BYTES;

/// No waiting for small frames, and little unsent data in the kernel, so that a flush is effective.
pub(crate) fn tune(socket: SockRef<'_>) {
    if let Err(error) = socket.set_tcp_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_notsent_lowat(SOCKET_UNSENT_BYTES) {
        tracing::debug!(%error, "cannot bound unsent data");
    }
}
