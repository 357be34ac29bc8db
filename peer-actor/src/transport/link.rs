//! The link as both sides see it: a bounded way out, a bounded way in, and a switch that always works.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use shared::{
    limits::{LINK_OUTBOUND_BYTES, LINK_OUTBOUND_FRAMES},
    schedule::uploader::Pacing,
    wire::{self, DecodeError, Frame, HandshakeMessage, Message, Names},
};
use thiserror::Error;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    gate::{Gate, Permit},
    writer::Outgoing,
};

/// Room for the head of a frame that is not a list.
const HEAD_BYTES: usize = 64;

/// Events waiting for the session. The gate closes long before this many; a peer that still fills it is flooding.
const EVENT_QUEUE: usize = 16 * 1024;

/// What happens on a link, in order.
#[derive(Debug)]
pub enum LinkEvent {
    /// A frame came in; reading continues as permits are dropped.
    Frame(Frame, Permit),
    /// The socket has taken something from the outbound queue since the last [`LinkHandle::drained_bytes`].
    Drained,
    /// Nothing follows.
    Closed(CloseCause),
}

/// The session's end of the pipe; ends after [`LinkEvent::Closed`], or without it when the process stops.
pub type LinkEvents = ReceiverStream<LinkEvent>;

/// Why a link ended, as far as the transport knows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloseCause {
    /// The other end closed the socket, or vanished.
    #[error("closed by the other end")]
    Remote,
    /// [`LinkHandle::cut`].
    #[error("closed here")]
    Cut,
    /// The other end broke WebSocket framing or a size limit.
    #[error("broken WebSocket framing")]
    Framing,
    /// A message that is no frame.
    #[error("not a frame: {0}")]
    Decode(DecodeError),
    /// More frames than this node could handle.
    #[error("flooded")]
    Flood,
}

/// The outbound queue is full: the other end reads too slowly, or has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the link's outbound queue is full")]
pub struct LinkFull;

/// The sending end of a link. Cheap to clone; sending never blocks.
#[derive(Clone)]
pub struct LinkHandle {
    shared: Arc<Shared>,
}

struct Shared {
    outbound: mpsc::Sender<Outgoing>,
    queued_bytes: AtomicUsize,
    is_drain_told: AtomicBool,
    moved_bytes: AtomicU64,
    taken_bytes: AtomicU64,
    is_closed: AtomicBool,
    cut: Notify,
    cut_socket: Option<socket2::Socket>,
    remote: Option<SocketAddr>,
}

impl LinkHandle {
    /// Queues a frame. Its payload is shared, not copied.
    pub fn try_send(&self, frame: impl Into<Frame>) -> Result<(), LinkFull> {
        self.queue(outgoing(frame))
    }

    /// The same for one that leaves with the next, or when it has waited for `patience`.
    pub fn try_send_within(&self, patience: Duration, frame: impl Into<Frame>) -> Result<(), LinkFull> {
        self.queue(outgoing(frame).patient(patience))
    }

    /// The same for one that is to leave at a pace. What is sent after it, and has none, overtakes it while it waits for its time.
    pub fn try_send_paced(&self, pacing: Option<Pacing>, frame: impl Into<Frame>) -> Result<(), LinkFull> {
        self.queue(outgoing(frame).paced(pacing))
    }

    /// Queues a frame whose head is encoded already.
    pub fn try_send_encoded(&self, head: Bytes, payload: Bytes) -> Result<(), LinkFull> {
        self.queue(Outgoing::message(head, payload))
    }

    pub(crate) fn queue(&self, message: Outgoing) -> Result<(), LinkFull> {
        let message_bytes = message.len();
        if self.shared.queued_bytes.fetch_add(message_bytes, Ordering::AcqRel) > LINK_OUTBOUND_BYTES {
            self.shared.queued_bytes.fetch_sub(message_bytes, Ordering::AcqRel);
            return Err(LinkFull);
        }
        self.shared.outbound.try_send(message).map_err(|_| {
            self.shared.queued_bytes.fetch_sub(message_bytes, Ordering::AcqRel);
            LinkFull
        })?;
        self.shared.moved_bytes.fetch_add(message_bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes queued and not yet taken by the socket.
    pub fn queued_bytes(&self) -> usize {
        self.shared.queued_bytes.load(Ordering::Acquire)
    }

    /// The same, after which the next drained byte is told again by [`LinkEvent::Drained`].
    pub fn drained_bytes(&self) -> usize {
        // Sequentially consistent on both sides: a byte drained between the two is either counted here or told.
        self.shared.is_drain_told.swap(false, Ordering::SeqCst);
        self.shared.queued_bytes.load(Ordering::SeqCst)
    }

    /// Bytes of frames queued and received since the link opened; tells a used link from one that is only kept alive.
    pub fn moved_bytes(&self) -> u64 {
        self.shared.moved_bytes.load(Ordering::Relaxed)
    }

    /// Bytes the socket has taken since the link opened; tells a slow reader from one that does not read.
    pub fn taken_bytes(&self) -> u64 {
        self.shared.taken_bytes.load(Ordering::Relaxed)
    }

    /// The address at the other end of the socket.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.shared.remote
    }

    /// Whether the link has ended.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::Acquire)
    }

    /// Whether both are ends of the same link on this side.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Closes the socket at once. Does not wait for what is queued, nor for anything stuck.
    pub fn cut(&self) {
        self.shared.is_closed.store(true, Ordering::Release);
        self.shared.cut.notify_waiters();
        self.shared.cut.notify_one();
        if let Some(socket) = &self.shared.cut_socket
            && let Err(error) = socket.shutdown(std::net::Shutdown::Both)
        {
            tracing::trace!(%error, "the socket was gone before it was cut");
        }
    }

    pub(crate) async fn wait_cut(&self) {
        let notified = self.shared.cut.notified();
        if !self.is_closed() {
            notified.await;
        }
    }
}

fn outgoing(frame: impl Into<Frame>) -> Outgoing {
    let Frame { message, payload } = frame.into();
    let mut head = BytesMut::with_capacity(HEAD_BYTES);
    wire::encode_head(&message, &mut head);
    Outgoing::message(head.freeze(), payload)
}

impl fmt::Debug for LinkHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkHandle")
            .field("remote", &self.shared.remote)
            .field("queued_bytes", &self.queued_bytes())
            .finish_non_exhaustive()
    }
}

/// The socket's end of the pipe: what both transports share.
#[derive(Debug)]
pub(crate) struct LinkCore {
    pub(crate) handle: LinkHandle,
    pub(crate) gate: Arc<Gate>,
    events: mpsc::Sender<LinkEvent>,
    /// What the other end has named.
    names: Names,
    ended: bool,
}

/// Makes the two ends of a link.
pub(crate) fn link(
    remote: Option<SocketAddr>,
    cut_socket: Option<socket2::Socket>,
) -> (LinkCore, mpsc::Receiver<Outgoing>, LinkEvents) {
    let (outbound, outbound_queue) = mpsc::channel(LINK_OUTBOUND_FRAMES);
    let (events, event_queue) = mpsc::channel(EVENT_QUEUE);
    let shared = Shared {
        outbound,
        queued_bytes: AtomicUsize::new(0),
        is_drain_told: AtomicBool::new(false),
        moved_bytes: AtomicU64::new(0),
        taken_bytes: AtomicU64::new(0),
        is_closed: AtomicBool::new(false),
        cut: Notify::new(),
        cut_socket,
        remote,
    };
    let handle = LinkHandle { shared: Arc::new(shared) };
    let core = LinkCore { handle, gate: Arc::default(), events, names: Names::default(), ended: false };
    (core, outbound_queue, ReceiverStream::new(event_queue))
}

impl LinkCore {
    /// Hands a WebSocket message to the session; false when the link must end.
    pub(crate) fn message_arrived(&mut self, message: Bytes) -> bool {
        let permit = self.gate.admit(message.len());
        self.handle.shared.moved_bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
        match self.names.lengthen(&message).and_then(|frame| wire::decode(&frame)) {
            Ok(frame) => self.emit(LinkEvent::Frame(frame, permit)),
            Err(error) => {
                self.end(CloseCause::Decode(error));
                false
            }
        }
    }

    /// Hands the frame that came with the answer to the upgrade to the session, as the first.
    pub(crate) fn greeted(&mut self, greeting: HandshakeMessage) {
        let permit = self.gate.admit(0);
        self.emit(LinkEvent::Frame(Message::Handshake(greeting).into(), permit));
    }

    /// What the writing half, which runs apart from the reading half, says when the socket has taken bytes.
    pub(crate) fn sent_counter(&self) -> impl Fn(usize) + use<> {
        let (handle, events) = (self.handle.clone(), self.events.clone());
        move |taken_bytes| bytes_sent(&handle, &events, taken_bytes)
    }

    fn emit(&mut self, event: LinkEvent) -> bool {
        match self.events.try_send(event) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.end(CloseCause::Flood);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    /// Tells the session, once, that nothing follows.
    pub(crate) fn end(&mut self, cause: CloseCause) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let cause = if self.handle.is_closed() { CloseCause::Cut } else { cause };
        self.handle.shared.is_closed.store(true, Ordering::Release);
        if self.events.try_send(LinkEvent::Closed(cause)).is_err() {
            tracing::debug!("the session ended before its link");
        }
    }
}

fn bytes_sent(handle: &LinkHandle, events: &mpsc::Sender<LinkEvent>, taken_bytes: usize) {
    handle.shared.queued_bytes.fetch_sub(taken_bytes, Ordering::SeqCst);
    handle.shared.taken_bytes.fetch_add(taken_bytes as u64, Ordering::Relaxed);
    if !handle.shared.is_drain_told.swap(true, Ordering::SeqCst)
        && events.try_send(LinkEvent::Drained).is_err()
    {
        tracing::debug!("the session is not listening");
    }
}

impl Drop for LinkCore {
    fn drop(&mut self) {
        self.end(CloseCause::Remote);
    }
}
