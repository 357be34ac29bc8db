//! Socket options every link wants.

use std::io::{self, IoSlice};

use shared::limits::{MAX_SOCKET_UNSENT_BYTES, SOCKET_UNSENT_BYTES};
use socket2::{SockRef, Socket};
use tokio::{io::Interest, net::TcpStream};

/// No waiting for small frames, and little unsent data in the kernel, so that a flush is effective.
pub(crate) fn tune(socket: SockRef<'_>) {
    if let Err(error) = socket.set_tcp_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    bound_unsent(socket, SOCKET_UNSENT_BYTES);
}

/// Writes once without waiting. Where more follows in a moment, what is written is not marked as if it were all: who gets it would acknowledge
/// each piece.
pub(super) fn write(socket: &TcpStream, slices: &[IoSlice<'_>], more_follows: bool) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    if more_follows {
        use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        return socket.try_io(Interest::WRITABLE, || {
            Ok(sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags)?)
        });
    }
    socket.try_write_vectored(slices)
}

/// Sets how much the kernel may hold unsent.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "other systems have no such bound"))]
fn bound_unsent(socket: SockRef<'_>, bytes: u32) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_notsent_lowat(bytes) {
        tracing::debug!(%error, "cannot bound unsent data");
    }
}

/// Keeps what the kernel may hold unsent at [`UNSENT_MS`] of what the socket drains: little on a slow link, for the sake of a flush;
/// enough on a fast one that it is not refilled in crumbs.
#[derive(Debug)]
pub(crate) struct UnsentBound {
    bound_bytes: u32,
    since_us: u64,
    taken_bytes: u64,
}

/// How long a flush may have to wait for what the kernel holds.
const UNSENT_MS: u64 = 5;
/// Taken bytes are turned into a rate after this much time.
const SAMPLE_US: u64 = 20_000;

impl UnsentBound {
    /// Of a socket that was just tuned.
    pub(crate) const fn new(now_us: u64) -> Self {
        Self { bound_bytes: SOCKET_UNSENT_BYTES, since_us: now_us, taken_bytes: 0 }
    }

    /// The kernel took bytes.
    pub(crate) const fn taken(&mut self, bytes: usize) {
        self.taken_bytes += bytes as u64;
    }

    /// The kernel takes no more for now: the time to look at how fast it does.
    pub(crate) fn adjust(&mut self, now_us: u64, socket: SockRef<'_>) {
        let bound_bytes = self.sample(now_us);
        if let Some(bound_bytes) = bound_bytes.filter(|bytes| *bytes != self.bound_bytes) {
            self.bound_bytes = bound_bytes;
            bound_unsent(socket, bound_bytes);
        }
    }

    fn sample(&mut self, now_us: u64) -> Option<u32> {
        let took_us = now_us.saturating_sub(self.since_us);
        if took_us < SAMPLE_US {
            return None;
        }
        let worth_bytes = self.taken_bytes * UNSENT_MS * 1_000 / took_us;
        (self.since_us, self.taken_bytes) = (now_us, 0);
        // A power of two, so that it rests.
        let most = u64::from(MAX_SOCKET_UNSENT_BYTES);
        Some(worth_bytes.min(most).next_power_of_two().clamp(SOCKET_UNSENT_BYTES.into(), most) as u32)
    }
}

/// Further handles to a socket, for two pumps that run apart. Must be called where they run.
pub(crate) fn handles<const N: usize>(socket: &Socket) -> io::Result<[TcpStream; N]> {
    let handles =
        (0..N).map(|_| TcpStream::from_std(socket.try_clone()?.into())).collect::<io::Result<Vec<_>>>()?;
    handles.try_into().map_err(|_| io::ErrorKind::Other.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_unsent_on_a_slow_link_and_more_on_a_fast_one() {
        let after_a_second = |bytes_per_s: usize| {
            let mut bound = UnsentBound::new(0);
            bound.taken(bytes_per_s);
            bound.sample(1_000_000)
        };
        assert_eq!(after_a_second(100_000), Some(SOCKET_UNSENT_BYTES));
        assert_eq!(after_a_second(20_000_000), Some(128 * 1024));
        assert_eq!(after_a_second(2_000_000_000), Some(MAX_SOCKET_UNSENT_BYTES));
        assert_eq!(UnsentBound::new(0).sample(SAMPLE_US - 1), None);
    }
}
