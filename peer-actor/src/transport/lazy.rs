//! Reading a slow socket seldom: what a chunk brings is taken several segments at a time.
//!
//! A kernel acknowledges what is read, and each second segment at the latest where that is read at once. Near the limit of a crowd a segment
//! comes every ten milliseconds, and its acknowledgements go over an uplink that others wait for; read in stretches of four they are half as
//! many (RFC 3449, section 4.1, on paths whose way back is narrow). The sender is not held up: what ends a message is read when it is there.
//!
//! Invariant: only the middle of a large message waits, on links that bring little at a time, and no longer than [`PATIENCE`].

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::socket::handles;

/// So many bytes are worth a read: three segments of an Ethernet and some of a fourth.
const WORTH_BYTES: usize = 5_000;
/// Where as much as this was read at once, more is there without waiting.
const PLENTY_BYTES: usize = 4 * WORTH_BYTES;
/// How long what has come may wait for more: a kernel acknowledges unasked after 40 ms.
const PATIENCE: Duration = Duration::from_millis(35);

/// When a socket is worth reading.
#[derive(Debug)]
pub(super) struct Laziness {
    /// A handle of its own to the socket: that it forgets what has come, to hear of more, must not keep the reader from taking it.
    watch: TcpStream,
    /// Ends what has come its waiting.
    timer: Option<Pin<Box<Sleep>>>,
    patience: Duration,
    took_bytes: usize,
}

impl Laziness {
    pub(super) const fn new(watch: TcpStream) -> Self {
        Self { watch, timer: None, patience: PATIENCE, took_bytes: 0 }
    }

    /// Ready when reading is worth it: all that `lacks` of a message is there, or much of it, or it has waited for long. Nothing is waited for
    /// where nothing lacks.
    pub(super) fn poll_worth(&mut self, lacks: usize, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.took_bytes >= PLENTY_BYTES {
            return Poll::Ready(Ok(()));
        }
        let mut bytes = held_bytes(&self.watch);
        loop {
            if bytes > 0 {
                if bytes >= lacks.min(WORTH_BYTES) || self.is_overdue(cx) {
                    self.timer = None;
                    return Poll::Ready(Ok(()));
                }
                acknowledge_slowly(&self.watch);
            }
            forget_what_came(&self.watch)?;
            ready!(self.watch.poll_read_ready(cx))?;
            bytes = held_bytes(&self.watch);
            if bytes == 0 {
                // The end of the stream: that is not forgotten.
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// So much was read.
    pub(super) const fn took(&mut self, bytes: usize) {
        self.took_bytes = bytes;
    }

    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        timer.as_mut().poll(cx).is_ready()
    }
}

/// The socket counts as readable again when something new has come.
fn forget_what_came(socket: &TcpStream) -> io::Result<()> {
    match socket.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into())) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

/// What the kernel holds; very much where it does not say.
#[cfg_attr(
    not(target_os = "linux"),
    expect(unused_variables, reason = "other systems acknowledge otherwise")
)]
fn held_bytes(socket: &TcpStream) -> usize {
    #[cfg(target_os = "linux")]
    if let Ok(bytes) = rustix::io::ioctl_fionread(socket) {
        return usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    usize::MAX
}

/// Linux acknowledges each segment for a while after a link was idle, unless it is told that answers will carry that. It forgets that.
#[cfg_attr(
    not(target_os = "linux"),
    expect(unused_variables, reason = "other systems acknowledge otherwise")
)]
fn acknowledge_slowly(socket: &TcpStream) {
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(socket).set_tcp_quickack(false) {
        tracing::debug!(%error, "each segment is acknowledged");
    }
}

/// How much lacks of the message that is coming over a connection, told by who takes it apart to who reads the socket.
#[derive(Debug, Clone, Default)]
pub(super) struct Lacks(Arc<AtomicUsize>);

impl Lacks {
    pub(super) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// An accepted socket as a stream that is read lazily.
#[derive(Debug)]
pub(super) struct LazyStream {
    socket: TcpStream,
    lacks: Lacks,
    laziness: Laziness,
}

impl LazyStream {
    pub(super) fn new(socket: TcpStream) -> io::Result<Self> {
        let [watch] = handles(SockRef::from(&socket))?;
        Ok(Self { socket, lacks: Lacks::default(), laziness: Laziness::new(watch) })
    }

    pub(super) const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Where it is to be told what lacks.
    pub(super) fn lacks(&self) -> Lacks {
        self.lacks.clone()
    }
}

impl AsyncRead for LazyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { socket, lacks, laziness } = &mut *self;
        ready!(laziness.poll_worth(lacks.bytes(), cx))?;
        let before = buffer.filled().len();
        let read = Pin::new(socket).poll_read(cx, buffer);
        laziness.took(buffer.filled().len() - before);
        read
    }
}

impl AsyncWrite for LazyStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::{future::poll_fn, time::Instant};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Long enough that a busy machine is not taken for one that waits.
    const TEST_PATIENCE: Duration = Duration::from_secs(1);

    async fn pair() -> (TcpStream, LazyStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut stream = LazyStream::new(listener.accept().await.unwrap().0).unwrap();
        stream.laziness.patience = TEST_PATIENCE;
        (sender, stream)
    }

    /// What a read brings that begins now, and whether it waited for as long as it may.
    async fn read(stream: &mut LazyStream) -> (usize, bool) {
        let since = Instant::now();
        let bytes = stream.read(&mut [0; 1 << 16]).await.unwrap();
        (bytes, since.elapsed() >= TEST_PATIENCE)
    }

    #[actix_rt::test]
    async fn nothing_waits_but_the_middle_of_a_message() {
        let (mut sender, mut stream) = pair().await;
        sender.write_all(&[1; 700]).await.unwrap();
        assert_eq!(read(&mut stream).await, (700, false), "between two messages");
        stream.lacks().set(16_000);
        sender.write_all(&[1; 700]).await.unwrap();
        assert_eq!(read(&mut stream).await, (700, true), "nothing more came");
        stream.lacks().set(700);
        sender.write_all(&[1; 700]).await.unwrap();
        assert_eq!(read(&mut stream).await, (700, false), "that was all of it");
        stream.lacks().set(16_000);
        drop(sender);
        assert_eq!(read(&mut stream).await, (0, false), "the end of the stream");
    }

    #[actix_rt::test]
    async fn what_is_read_in_part_is_not_forgotten() {
        let (mut sender, mut stream) = pair().await;
        stream.laziness.patience = PATIENCE;
        stream.lacks().set(16_000);
        sender.write_all(&[1; 700]).await.unwrap();
        let mut some = [0; 300];
        for _ in 0..2 {
            assert_eq!(stream.read(&mut some).await.unwrap(), 300);
        }
        assert_eq!(stream.read(&mut some).await.unwrap(), 100);
    }

    #[actix_rt::test]
    async fn what_comes_bit_by_bit_is_read_once_it_is_worth_it() {
        let (mut sender, mut stream) = pair().await;
        stream.lacks().set(16_000);
        sender.write_all(&[1; 100]).await.unwrap();
        let mut arrives = std::pin::pin!(read(&mut stream));
        let mut is_there = poll_fn(|cx| Poll::Ready(arrives.as_mut().poll(cx).is_ready())).await;
        assert!(!is_there);
        sender.write_all(&[1; WORTH_BYTES - 101]).await.unwrap();
        actix_rt::task::yield_now().await;
        is_there = poll_fn(|cx| Poll::Ready(arrives.as_mut().poll(cx).is_ready())).await;
        assert!(!is_there, "a byte less than it takes");
        sender.write_all(&[1]).await.unwrap();
        let (bytes, waited) = arrives.await;
        assert_eq!(bytes, WORTH_BYTES);
        assert!(!waited);
    }

    #[actix_rt::test]
    async fn where_much_comes_at_once_nothing_waits_until_nothing_is_there() {
        let (mut sender, mut stream) = pair().await;
        stream.lacks().set(1 << 20);
        sender.write_all(&[1; PLENTY_BYTES + 100]).await.unwrap();
        let mut most = [0; PLENTY_BYTES];
        stream.read_exact(&mut most).await.unwrap();
        assert_eq!(read(&mut stream).await, (100, false));
        sender.write_all(&[1; 100]).await.unwrap();
        assert_eq!(read(&mut stream).await, (100, true), "a link may become slow");
    }
}
