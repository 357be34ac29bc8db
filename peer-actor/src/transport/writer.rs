//! The way out of a link: messages become WebSocket frames (RFC 6455 section 5.2) and the kernel is given many of them at once.
//!
//! A payload is handed to the kernel where it lies. Only a dialler, whose frames the RFC wants masked, copies what it sends; data mostly
//! flows the other way, since viewers dial their sources.
//!
//! Invariant: frames leave whole, in order but for those that have a pace ([`super::paced`]), and only through here: on an accepted link the WebSocket actor itself never writes.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    time::Duration,
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use shared::{schedule::uploader::Pacing, wire::Names};
use socket2::SockRef;
use tokio::{net::TcpStream, sync::mpsc};

use super::{
    link::LinkHandle,
    paced::Paced,
    socket::{self, UnackedBound, UnsentBound},
};
use crate::{buffers::Buffer, clock, identity::random_bytes};

/// Messages are gathered up to this many bytes before the kernel is given them.
const COALESCE_BYTES: usize = 256 * 1024;
/// The most pieces the kernel is given at once.
const MAX_SLICES: usize = 32;
/// Who fills a link is told of room in steps of this, so that telling costs little.
const TELL_BYTES: usize = 64 * 1024;
/// How long what the other end sent before it stopped reading may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(500);

const BINARY: u8 = 0x82;
const PONG: u8 = 0x8a;
const MASKED: u8 = 0x80;

/// One message on its way out, in two pieces.
#[derive(Debug)]
pub(crate) struct Outgoing {
    opcode: u8,
    head: Bytes,
    payload: Bytes,
    /// How long it may wait for another to leave with.
    patience: Duration,
    pacing: Option<Pacing>,
}

impl Outgoing {
    /// A binary message: `head`, then `payload`.
    pub(crate) const fn message(head: Bytes, payload: Bytes) -> Self {
        Self { opcode: BINARY, head, payload, patience: Duration::ZERO, pacing: None }
    }

    /// The same message, to leave at its own pace.
    pub(crate) fn paced(self, pacing: Option<Pacing>) -> Self {
        Self { pacing, ..self }
    }

    /// The same message, which may wait so long for another to leave with.
    pub(crate) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The answer to a ping of the WebSocket itself.
    pub(crate) fn pong(text: Bytes) -> Self {
        Self { opcode: PONG, ..Self::message(text, Bytes::new()) }
    }

    /// Bytes of the message, without the WebSocket's own.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.payload.len()
    }
}

/// Writes what is queued until the link is cut or the socket takes no more; then cuts the link, once the other end's last words had
/// time to arrive.
pub(crate) async fn write_out(
    socket: TcpStream,
    queue: mpsc::Receiver<Outgoing>,
    masks: Option<Masks>,
    link: LinkHandle,
    is_sent: impl Fn(usize),
) {
    tokio::select! {
        () = pump(&socket, queue, masks, is_sent) => {}
        () = link.wait_cut() => return,
    }
    let last_words = tokio::time::timeout(LAST_WORDS, link.wait_cut());
    if last_words.await.is_err() {
        link.cut();
    }
}

async fn pump(
    socket: &TcpStream,
    mut queue: mpsc::Receiver<Outgoing>,
    masks: Option<Masks>,
    is_sent: impl Fn(usize),
) {
    let mut way = WayOut::new(socket, masks);
    let (mut unsent, mut unacked) = (UnsentBound::new(clock::now_us()), UnackedBound::default());
    let mut untold_bytes = 0;
    loop {
        while way.has_room()
            && let Ok(next) = queue.try_recv()
        {
            way.take_in(clock::now_us(), next);
        }
        let step = way.step(clock::now_us());
        untold_bytes += std::mem::take(&mut way.batch.saved_bytes);
        unacked.adjust(way.data_bytes_per_ms, SockRef::from(socket));
        match step {
            Step::Wait(wait) => {
                if untold_bytes > 0 {
                    is_sent(std::mem::take(&mut untold_bytes));
                }
                tokio::select! {
                    next = queue.recv(), if way.has_room() => match next {
                        Some(next) => way.take_in(clock::now_us(), next),
                        None => return,
                    },
                    () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                }
            }
            Step::Write(most) => match way.batch.write_to(socket, most) {
                Ok(taken) => {
                    untold_bytes += taken.of_messages;
                    unsent.taken(taken.of_messages);
                    way.paced.given(taken.bytes, way.batch.pieces.is_empty());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    unsent.adjust(clock::now_us(), SockRef::from(socket));
                    if untold_bytes > 0 {
                        is_sent(std::mem::take(&mut untold_bytes));
                    }
                    if socket.writable().await.is_err() {
                        return;
                    }
                }
                Err(error) => return tracing::debug!(%error, "the socket takes no more"),
            },
        }
        if untold_bytes >= TELL_BYTES {
            is_sent(std::mem::take(&mut untold_bytes));
        }
    }
}

/// What is on its way to the kernel: frames that may leave together, and those that leave at a pace.
#[derive(Debug)]
struct WayOut {
    batch: Batch,
    /// When the batch leaves, if nothing else comes to leave with.
    leave_us: u64,
    paced: Paced,
    /// How fast the last data leaves, at the most.
    data_bytes_per_ms: u32,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Give the kernel so many bytes at the most.
    Write(usize),
    /// Wait for another message, and so long at the most.
    Wait(Option<Duration>),
}

impl WayOut {
    fn new(socket: &TcpStream, masks: Option<Masks>) -> Self {
        let batch = Batch { masks, ..Batch::default() };
        Self { batch, leave_us: 0, paced: Paced::new(SockRef::from(socket)), data_bytes_per_ms: u32::MAX }
    }

    /// Whether another message may be taken in; one that leaves at a pace is finished first.
    const fn has_room(&self) -> bool {
        self.batch.bytes < COALESCE_BYTES && !self.paced.is_leaving()
    }

    fn take_in(&mut self, now_us: u64, message: Outgoing) {
        if let Some(pacing) = message.pacing {
            return self.paced.keep(pacing, message);
        }
        if !message.payload.is_empty() {
            self.data_bytes_per_ms = u32::MAX;
        }
        // A packet of its own and what acknowledges it cost several times what a small message says.
        let leave_us = now_us + message.patience.as_micros() as u64;
        self.leave_us = if self.batch.pieces.is_empty() { leave_us } else { self.leave_us.min(leave_us) };
        self.batch.push(message);
    }

    fn step(&mut self, now_us: u64) -> Step {
        if self.batch.pieces.is_empty()
            && let Some(message) = self.paced.begin(now_us)
        {
            self.data_bytes_per_ms = message.pacing.map_or(u32::MAX, |pacing| pacing.bytes_per_ms);
            self.batch.push(message);
        }
        let until = |at_us: u64| Duration::from_micros(at_us.saturating_sub(now_us));
        let due_us = self.paced.due_us();
        if self.batch.pieces.is_empty() {
            return Step::Wait(due_us.map(until));
        }
        let allowed_bytes = self.paced.allowed_bytes(now_us);
        let leave_us =
            if self.paced.is_leaving() { 0 } else { self.leave_us.min(due_us.unwrap_or(u64::MAX)) };
        match allowed_bytes {
            0 => Step::Wait(due_us.map(until)),
            _ if now_us < leave_us => Step::Wait(Some(until(leave_us))),
            most => Step::Write(most),
        }
    }
}

/// Frames the kernel is to be given next.
#[derive(Debug, Default)]
struct Batch {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// Of messages that were taken in, what need not be written.
    saved_bytes: usize,
    names: Names,
    masks: Option<Masks>,
}

/// Some bytes of the stream, the first of which are the WebSocket's own and not the message's.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    own_bytes: usize,
}

/// What the kernel took.
#[derive(Debug, Clone, Copy)]
struct Taken {
    bytes: usize,
    /// Without the WebSocket's own.
    of_messages: usize,
}

impl Batch {
    fn push(&mut self, mut message: Outgoing) {
        if message.opcode == BINARY
            && message.payload.is_empty()
            && let Some(short) = self.names.shorten(&message.head)
        {
            self.saved_bytes += message.head.len() - short.len();
            message.head = short;
        }
        let masks = self.masks.as_mut();
        for piece in framed(message, masks) {
            self.bytes += piece.bytes.len();
            self.pieces.push_back(piece);
        }
    }

    /// Writes once, `most` bytes at the most.
    fn write_to(&mut self, socket: &TcpStream, most: usize) -> io::Result<Taken> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let (mut count, mut left) = (0, most);
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            let bytes = piece.bytes.len().min(left);
            *slice = IoSlice::new(&piece.bytes[..bytes]);
            (count, left) = (count + 1, left - bytes);
            if left == 0 {
                break;
            }
        }
        let more_follows = left == 0 && self.bytes > most;
        match socket::write(socket, &slices[..count], more_follows)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            bytes => Ok(Taken { bytes, of_messages: self.advance(bytes) }),
        }
    }

    /// The kernel took so many bytes; how many of them are of messages.
    fn advance(&mut self, mut taken: usize) -> usize {
        self.bytes -= taken;
        let mut of_messages = 0;
        while let Some(piece) = self.pieces.front_mut().filter(|_| taken > 0) {
            let count = taken.min(piece.bytes.len());
            let own_bytes = count.min(piece.own_bytes);
            piece.own_bytes -= own_bytes;
            of_messages += count - own_bytes;
            taken -= count;
            piece.bytes.advance(count);
            if piece.bytes.is_empty() {
                self.pieces.pop_front();
            }
        }
        of_messages
    }
}

/// A message as pieces of the stream.
fn framed(message: Outgoing, masks: Option<&mut Masks>) -> impl Iterator<Item = Piece> {
    let Outgoing { opcode, head, payload, .. } = message;
    let mut front = BytesMut::with_capacity(MAX_OWN_BYTES + head.len());
    let mask_bit = if masks.is_some() { MASKED } else { 0 };
    front.put_u8(opcode);
    match head.len() + payload.len() {
        short @ 0..=125 => front.put_u8(mask_bit | short as u8),
        medium @ 126..=0xffff => {
            front.put_u8(mask_bit | 126);
            front.put_u16(medium as u16);
        }
        long => {
            front.put_u8(mask_bit | 127);
            front.put_u64(long as u64);
        }
    }
    let mut second = payload;
    if let Some(masks) = masks {
        let mask = masks.next();
        front.put_slice(&mask);
        let own_bytes = front.len();
        front.put_slice(&head);
        apply(mask, 0, &mut front[own_bytes..]);
        if !second.is_empty() {
            let mut masked = Buffer::of(second.len());
            masked.copy_from_slice(&second);
            apply(mask, head.len(), &mut masked);
            second = masked.freeze();
        }
        return pieces(front, own_bytes, second);
    }
    let own_bytes = front.len();
    front.put_slice(&head);
    pieces(front, own_bytes, second)
}

fn pieces(front: BytesMut, own_bytes: usize, second: Bytes) -> impl Iterator<Item = Piece> {
    let second = (!second.is_empty()).then_some(Piece { bytes: second, own_bytes: 0 });
    std::iter::once(Piece { bytes: front.freeze(), own_bytes }).chain(second)
}

/// Masks `bytes`, which lie `offset` bytes into the message.
fn apply(mask: [u8; 4], offset: usize, bytes: &mut [u8]) {
    let mut turned = mask;
    turned.rotate_left(offset % 4);
    let wide = u64::from(u32::from_ne_bytes(turned)) * 0x1_0000_0001;
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}

/// Two bytes, an eight-byte length, a mask.
const MAX_OWN_BYTES: usize = 14;

/// Masks nobody can foresee, which is what keeps a dialler's bytes from passing for anything else on their way. From the system's
/// randomness, many at a time.
#[derive(Debug)]
pub(crate) struct Masks {
    drawn: [u8; 256],
    used: usize,
}

impl Masks {
    pub(crate) const fn new() -> Self {
        Self { drawn: [0; 256], used: 256 }
    }

    fn next(&mut self) -> [u8; 4] {
        if self.used == self.drawn.len() {
            match random_bytes() {
                Ok(drawn) => self.drawn = drawn,
                Err(error) => tracing::error!(%error, "frames are masked foreseeably"),
            }
            self.used = 0;
        }
        let mask = std::array::from_fn(|at| self.drawn[self.used + at]);
        self.used += 4;
        mask
    }
}

#[cfg(test)]
mod tests {
    use actix_codec::Decoder as _;
    use actix_http::ws::{Codec, Frame};

    use super::*;

    fn messages() -> Vec<(Bytes, Bytes)> {
        let bytes = |len: usize| Bytes::from((0..len).map(|at| at as u8).collect::<Vec<_>>());
        [(1, 0), (3, 1), (100, 25), (100, 26), (9, 65_526), (9, 65_527), (7, 300_001)]
            .map(|(head, payload)| (bytes(head), bytes(payload)))
            .into()
    }

    #[test]
    fn what_is_written_is_what_a_websocket_reads_masked_or_not() {
        for is_dialler in [false, true] {
            let mut batch = Batch { masks: is_dialler.then(Masks::new), ..Batch::default() };
            for (head, payload) in messages() {
                batch.push(Outgoing::message(head, payload));
            }
            let mut stream = BytesMut::new();
            batch.pieces.iter().for_each(|piece| stream.extend_from_slice(&piece.bytes));
            assert_eq!(stream.len(), batch.bytes);
            let codec = Codec::new().max_size(1 << 20);
            let mut codec = if is_dialler { codec } else { codec.client_mode() };
            for (head, payload) in messages() {
                let Ok(Some(Frame::Binary(got))) = codec.decode(&mut stream) else {
                    panic!("a binary frame")
                };
                assert!(got == [head, payload].concat());
            }
            assert!(stream.is_empty());
        }
    }

    #[test]
    fn only_bytes_of_messages_are_counted_however_the_kernel_takes_them() {
        for step in [1, 5, 70, 4096, 1 << 20] {
            let mut batch = Batch::default();
            let expected: usize = messages().iter().map(|(head, payload)| head.len() + payload.len()).sum();
            for (head, payload) in messages() {
                batch.push(Outgoing::message(head, payload));
            }
            let mut counted = 0;
            while batch.bytes > 0 {
                counted += batch.advance(step.min(batch.bytes));
            }
            assert!(batch.pieces.is_empty());
            assert_eq!(counted, expected);
        }
    }

    /// What a way out does at a time: how many messages leave, or how long it waits.
    async fn way_out() -> WayOut {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        WayOut::new(&socket, None)
    }

    fn small(patience_ms: u64) -> Outgoing {
        Outgoing::message(Bytes::from_static(b"x"), Bytes::new()).patient(Duration::from_millis(patience_ms))
    }

    #[actix_rt::test]
    async fn what_may_wait_leaves_with_what_may_not() {
        let mut way = way_out().await;
        for patience_ms in [10, 20] {
            way.take_in(0, small(patience_ms));
        }
        assert_eq!(way.step(4_000), Step::Wait(Some(Duration::from_millis(6))));
        way.take_in(5_000, small(0));
        assert_eq!((way.step(5_000), way.batch.pieces.len()), (Step::Write(usize::MAX), 3));
        way.batch.advance(way.batch.bytes);
        way.take_in(6_000, small(20));
        assert_eq!(way.step(6_000), Step::Wait(Some(Duration::from_millis(20))), "its own patience counts");
        assert_eq!(way.step(26_000), Step::Write(usize::MAX), "nothing came");
    }

    #[actix_rt::test]
    async fn what_may_wait_leaves_before_what_has_a_pace_and_nothing_leaves_in_between() {
        let mut way = way_out().await;
        let pacing = Some(Pacing { start_ms: 5, bytes_per_ms: 100 });
        way.take_in(0, Outgoing::message(Bytes::new(), vec![0; 100_000].into()).paced(pacing));
        way.take_in(0, small(100));
        assert_eq!(way.step(0), Step::Wait(Some(Duration::from_millis(5))));
        assert_eq!((way.step(5_000), way.batch.pieces.len()), (Step::Write(usize::MAX), 1));
        way.batch.advance(way.batch.bytes);
        let Step::Write(slice) = way.step(5_000) else { panic!("its time has come") };
        assert!(slice < 100_000 && !way.has_room());
        way.batch.advance(slice);
        way.paced.given(slice, false);
        let Step::Wait(Some(wait)) = way.step(5_000) else { panic!("a slice has left") };
        assert_eq!(wait.as_millis() as usize, slice / 100);
    }

    #[test]
    fn masks_differ_and_masking_twice_is_nothing() {
        let mut masks = Masks::new();
        let drawn: std::collections::BTreeSet<[u8; 4]> = (0..1000).map(|_| masks.next()).collect();
        assert!(drawn.len() > 990);
        for (offset, len) in [(0, 0), (1, 7), (2, 8), (3, 1001)] {
            let bytes: Vec<u8> = (0..len).map(|at: usize| at as u8).collect();
            let mut masked = bytes.clone();
            apply([1, 2, 3, 4], offset, &mut masked);
            assert!(
                masked
                    .iter()
                    .zip(&bytes)
                    .enumerate()
                    .all(|(at, (m, b))| *m == *b ^ [1, 2, 3, 4][(offset + at) % 4])
            );
        }
    }
}
