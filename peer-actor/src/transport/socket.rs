//! Socket options every link wants.

use std::io::{self, IoSlice};

use shared::limits::{MAX_SOCKET_UNSENT_BYTES, SOCKET_UNSENT_BYTES};
use socket2::SockRef;
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

/// Keeps what the kernel may hold of a slow message, sent but not acknowledged, at a few segments: however fast the uplink was guessed to be,
/// the message then leaves as fast as it arrives, and what a small queue of the way has no room for is not lost.
///
/// Only of slow ones: a receiver acknowledges every second segment, or after 40 ms, and a fast path must not wait for that.
#[derive(Debug, Default)]
pub(crate) struct UnackedBound {
    is_tight: bool,
}

/// What leaves no faster than this, 1 Mbit/s, is slow.
const SLOW_BYTES_PER_MS: u32 = 130;
/// Linux counts twice this, and nearly as much for a segment's upkeep as for what it carries: four segments.
#[cfg(target_os = "linux")]
const UNACKED_BYTES: usize = 4_800;
/// More than a system allows: as much as that.
#[cfg(target_os = "linux")]
const UNBOUND_BYTES: usize = 1 << 24;

impl UnackedBound {
    /// A message leaves so fast from now on.
    pub(crate) fn adjust(&mut self, bytes_per_ms: u32, socket: SockRef<'_>) {
        let is_slow = bytes_per_ms <= SLOW_BYTES_PER_MS;
        // The system's own bound grows with the path, and is left alone until it has to be less.
        if is_slow != std::mem::replace(&mut self.is_tight, is_slow) {
            bound_unacked(socket, is_slow);
        }
    }
}

/// Sets how much the kernel may hold until it is acknowledged.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "other systems count otherwise"))]
fn bound_unacked(socket: SockRef<'_>, is_tight: bool) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_send_buffer_size(if is_tight { UNACKED_BYTES } else { UNBOUND_BYTES }) {
        tracing::debug!(%error, "cannot bound unacknowledged data");
    }
}

/// Further handles to a socket, for pumps that run apart. Must be called where they run.
pub(crate) fn handles<const N: usize>(socket: SockRef<'_>) -> io::Result<[TcpStream; N]> {
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

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_holds_little_of_a_slow_message_and_of_a_fast_one_what_it_likes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let bound_bytes = |bytes_per_ms: &[u32]| {
            let sender = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut bound = UnackedBound::default();
            bytes_per_ms.iter().for_each(|rate| bound.adjust(*rate, SockRef::from(&sender)));
            SockRef::from(&sender).send_buffer_size().unwrap()
        };
        let untouched = bound_bytes(&[]);
        assert_eq!(bound_bytes(&[SLOW_BYTES_PER_MS + 1]), untouched);
        assert_eq!(bound_bytes(&[SLOW_BYTES_PER_MS]), 2 * UNACKED_BYTES);
        assert!(bound_bytes(&[SLOW_BYTES_PER_MS, SLOW_BYTES_PER_MS + 1]) > untouched);
    }
}
