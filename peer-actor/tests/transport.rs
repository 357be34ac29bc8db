//! The transport over real sockets on loopback: what a hostile, stuck or vanished other end can do, and how fast an honest one is.

mod endpoint;

use std::time::{Duration, Instant};

use bytes::Bytes;
use endpoint::{Endpoint, within};
use futures_util::StreamExt as _;
use peer_actor::transport::{
    self, CloseCause, DialError, Dialled, LinkEvent, LinkEvents, LinkHandle, Permit,
};
use shared::{
    LeafRange, MediaKind, NodeId,
    limits::{LEAF_BYTES, LINK_INBOUND_BYTES, LINK_OUTBOUND_BYTES, MAX_FRAME_BYTES, MAX_GREETING_CHARS},
    wire::{self, Frame, HandshakeMessage, Message, RejectReason},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const CHUNK_LEAVES: u32 = 16;
const CHUNK_BYTES: usize = CHUNK_LEAVES as usize * LEAF_BYTES as usize;

async fn pair(endpoint: &mut Endpoint) -> ((LinkHandle, LinkEvents), (LinkHandle, LinkEvents)) {
    let Dialled { link, events, .. } =
        within(5, transport::dial(&endpoint.url(), None)).await.expect("a link");
    ((link, events), endpoint.next().await)
}

fn chunk(id: u32) -> Frame {
    let head =
        wire::Data { id, leaves: LeafRange::new(0, CHUNK_LEAVES), proof: Vec::new(), branch: Vec::new() };
    Frame::data(head, Bytes::from(vec![id as u8; CHUNK_BYTES]))
}

/// The next frame, or why there is none.
async fn frame(events: &mut LinkEvents) -> Result<(Frame, Permit), CloseCause> {
    loop {
        match events.next().await {
            Some(LinkEvent::Frame(frame, permit)) => return Ok((frame, permit)),
            Some(LinkEvent::Drained) => {}
            Some(LinkEvent::Closed(cause)) => return Err(cause),
            None => panic!("a link ends with a reason"),
        }
    }
}

/// Reads until the link ends; what was on its way may still come.
async fn end(events: &mut LinkEvents) -> CloseCause {
    loop {
        if let Err(cause) = frame(events).await {
            return cause;
        }
    }
}

/// Sends whenever the link has room.
async fn send_all(link: LinkHandle, frames: u32) {
    for id in 0..frames {
        while link.try_send(chunk(id)).is_err() {
            assert!(!link.is_closed(), "the link stays");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A bare socket past the WebSocket upgrade, to misbehave with.
async fn raw(endpoint: &Endpoint) -> TcpStream {
    let mut socket = TcpStream::connect(endpoint.address).await.expect("a socket");
    let upgrade = format!(
        "GET /peer HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rusteze.v1\r\n\r\n",
        endpoint.address
    );
    socket.write_all(upgrade.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(within(5, socket.read_u8()).await.expect("an answer"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    socket
}

#[actix_rt::test]
async fn frames_arrive_in_order_both_ways_and_the_addresses_are_known() {
    let mut endpoint = Endpoint::start();
    let ((ours, mut our_events), (theirs, mut their_events)) = pair(&mut endpoint).await;
    assert_eq!(ours.remote(), Some(endpoint.address));
    assert!(theirs.remote().is_some());
    for nonce in 0..100 {
        ours.try_send(wire::Ping { nonce }).expect("room");
        theirs.try_send(wire::Pong { nonce }).expect("room");
    }
    for nonce in 0..100 {
        let (here, _) = within(5, frame(&mut our_events)).await.expect("a frame");
        let (there, _) = within(5, frame(&mut their_events)).await.expect("a frame");
        assert_eq!((here, there), (wire::Pong { nonce }.into(), wire::Ping { nonce }.into()));
    }
}

#[actix_rt::test]
async fn a_giant_frame_ends_the_link_at_its_header() {
    let mut endpoint = Endpoint::start();
    let mut socket = raw(&endpoint).await;
    let (_, mut events) = endpoint.next().await;
    let mut header = vec![0x82, 0xff];
    header.extend_from_slice(&(MAX_FRAME_BYTES as u64 + 1).to_be_bytes());
    header.extend_from_slice(&[1, 2, 3, 4]);
    socket.write_all(&header).await.expect("sent");
    // Not a byte of the body was sent, and yet the end is known.
    let cause = within(1, end(&mut events)).await;
    assert!(matches!(cause, CloseCause::Framing | CloseCause::Remote), "{cause:?}");
    let mut rest = Vec::new();
    within(2, socket.read_to_end(&mut rest)).await.unwrap_or_default();
}

#[actix_rt::test]
async fn bytes_that_are_no_frame_end_the_link() {
    let mut endpoint = Endpoint::start();
    let mut socket = raw(&endpoint).await;
    let (_, mut events) = endpoint.next().await;
    socket.write_all(&[0x82, 0x84, 0, 0, 0, 0, 9, 9, 9, 9]).await.expect("sent");
    let cause = within(1, end(&mut events)).await;
    assert!(matches!(cause, CloseCause::Decode(_)), "{cause:?}");
}

#[actix_rt::test]
async fn a_giant_frame_from_the_dialled_end_ends_the_link_too() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/peer", listener.local_addr().expect("bound"));
    let (dialled, mut socket) = tokio::join!(transport::dial(&url, None), async {
        let (mut socket, _) = listener.accept().await.expect("a socket");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(socket.read_u8().await.expect("a request"));
        }
        let text = String::from_utf8(request).expect("text");
        let key = text.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
        let accept = actix_http::ws::hash_key(key.as_bytes());
        let accept = std::str::from_utf8(&accept).expect("text");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        socket.write_all(answer.as_bytes()).await.expect("sent");
        socket
    });
    let Dialled { link: _link, mut events, .. } = dialled.expect("a link");
    let mut header = vec![0x82, 0x7f];
    header.extend_from_slice(&(1u64 << 40).to_be_bytes());
    socket.write_all(&header).await.expect("sent");
    assert_eq!(within(1, end(&mut events)).await, CloseCause::Framing);
}

#[actix_rt::test]
async fn a_greeting_is_answered_with_the_upgrade_and_its_answer_is_the_first_frame() {
    let mut endpoint = Endpoint::start();
    let dialled = within(5, transport::dial(&endpoint.greeting_url(), Some(&hello()))).await.expect("a link");
    assert!(dialled.is_answered);
    let mut events = dialled.events;
    let (first, _) = within(1, frame(&mut events)).await.expect("a frame");
    assert_eq!(first, wire::Reject { reason: RejectReason::Full }.into());
    let (theirs, mut their_events) = endpoint.next().await;
    // Frames go both ways behind it as on any link.
    theirs.try_send(wire::Ping { nonce: 5 }).expect("room");
    dialled.link.try_send(wire::Ping { nonce: 6 }).expect("room");
    let (here, _) = within(5, frame(&mut events)).await.expect("a frame");
    let (there, _) = within(5, frame(&mut their_events)).await.expect("a frame");
    assert_eq!((here, there), (wire::Ping { nonce: 5 }.into(), wire::Ping { nonce: 6 }.into()));
}

#[actix_rt::test]
async fn an_end_that_knows_no_greetings_is_dialled_all_the_same() {
    let endpoint = Endpoint::start();
    let dialled = within(5, transport::dial(&endpoint.url(), Some(&hello()))).await.expect("a link");
    assert!(!dialled.is_answered);
}

#[actix_rt::test]
async fn a_greeting_that_is_none_is_refused_in_words() {
    let endpoint = Endpoint::start();
    let confirm = wire::Confirm { signature: wire::Signature([[7; 32]; 2]) };
    for (value, why) in [
        ("nonsense!".to_owned(), "not base64"),
        ("AAAA".to_owned(), "not a frame"),
        ("A".repeat(MAX_GREETING_CHARS + 4), "more than"),
        (wire::encode_greeting(&HandshakeMessage::Confirm(confirm)), "Confirm is no greeting"),
    ] {
        let mut socket = TcpStream::connect(endpoint.address).await.expect("a socket");
        let request = format!(
            "GET /greeting HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nRusteze-Greeting: {value}\r\n\r\n",
            endpoint.address
        );
        socket.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = vec![0; 1024];
        let length = within(5, socket.read(&mut answer)).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains(why), "{answer}");
    }
}

#[actix_rt::test]
async fn an_answer_that_is_no_greeting_is_an_error() {
    let endpoint = Endpoint::start();
    let url = format!("ws://{}/garbled", endpoint.address);
    let dialled = within(5, transport::dial(&url, Some(&hello()))).await;
    assert!(matches!(dialled, Err(DialError::Greeting(_))), "{dialled:?}");
}

fn hello() -> HandshakeMessage {
    HandshakeMessage::Hello(wire::Hello {
        version: wire::PROTOCOL_VERSION,
        node: NodeId([1; 32]),
        role: wire::Role::Peer,
        kind: Some(MediaKind::Video),
        capabilities: wire::Capabilities::default(),
        nonce: [2; 32],
        agent: "test".into(),
    })
}

#[actix_rt::test]
async fn a_reader_that_never_reads_is_refused_more_and_can_be_cut_at_once() {
    let mut endpoint = Endpoint::start();
    let mut socket = raw(&endpoint).await;
    let (link, mut events) = endpoint.next().await;
    let mut taken = 0;
    let mut refused_for = 0;
    // The kernel takes some; then the queue fills; then nothing is taken for as long as one cares to ask.
    while refused_for < 200 {
        if link.try_send(chunk(0)).is_ok() {
            (taken, refused_for) = (taken + 1, 0);
        } else {
            refused_for += 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(taken * CHUNK_BYTES < 64 << 20, "a stuck reader takes without end");
    }
    assert!(link.queued_bytes() <= LINK_OUTBOUND_BYTES + CHUNK_BYTES + 64);
    let started = Instant::now();
    link.cut();
    assert_eq!(within(1, end(&mut events)).await, CloseCause::Cut);
    let mut rest = Vec::new();
    within(1, socket.read_to_end(&mut rest)).await.unwrap_or_default();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(link.try_send(wire::Ping { nonce: 1 }).is_err(), "a cut link takes nothing");
}

#[actix_rt::test]
async fn a_dialled_end_that_never_reads_is_refused_more_and_can_be_cut() {
    let mut endpoint = Endpoint::start();
    let ((ours, mut our_events), (_theirs, mut their_events)) = pair(&mut endpoint).await;
    // The accepting end takes frames off the socket, but nobody handles them: its gate closes.
    let mut refused_for = 0;
    while refused_for < 100 {
        if ours.try_send(chunk(0)).is_ok() {
            refused_for = 0;
        } else {
            refused_for += 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    ours.cut();
    assert_eq!(within(1, end(&mut our_events)).await, CloseCause::Cut);
    let cause = within(1, end(&mut their_events)).await;
    assert!(matches!(cause, CloseCause::Remote | CloseCause::Cut), "{cause:?}");
}

#[actix_rt::test]
async fn both_ends_learn_of_a_cut_within_a_second() {
    let mut endpoint = Endpoint::start();
    for cuts_dialler in [true, false] {
        let ((ours, mut our_events), (theirs, mut their_events)) = pair(&mut endpoint).await;
        if cuts_dialler {
            ours.cut()
        } else {
            theirs.cut()
        }
        let (here, there) =
            within(1, async { tokio::join!(end(&mut our_events), end(&mut their_events)) }).await;
        let (cutter, other) = if cuts_dialler { (here, there) } else { (there, here) };
        assert_eq!((cutter, other), (CloseCause::Cut, CloseCause::Remote));
    }
}

#[actix_rt::test]
async fn what_is_not_handled_stops_the_reading_and_handling_resumes_it() {
    let mut endpoint = Endpoint::start();
    let ((ours, _our_events), (_theirs, mut their_events)) = pair(&mut endpoint).await;
    let frames = 64;
    let sending = actix_rt::spawn(send_all(ours, frames));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut held = Vec::new();
    let patience = Duration::from_millis(300);
    while let Ok(arrived) = tokio::time::timeout(patience, frame(&mut their_events)).await {
        held.push(arrived.expect("a frame"));
    }
    let held_bytes: usize = held.iter().map(|(frame, _)| frame.payload.len()).sum();
    assert!(
        (LINK_INBOUND_BYTES - CHUNK_BYTES..=LINK_INBOUND_BYTES + CHUNK_BYTES).contains(&held_bytes),
        "{held_bytes}"
    );
    let mut seen = held.len();
    held.clear();
    while seen < frames as usize {
        within(5, frame(&mut their_events)).await.expect("a frame");
        seen += 1;
    }
    within(5, sending).await.expect("all sent");
}

#[actix_rt::test]
async fn chunks_arrive_whole_while_both_ends_send_at_once() {
    let mut endpoint = Endpoint::start();
    exchange(&mut endpoint, 64).await;
}

/// `cargo test --release -p peer-actor --test transport -- --ignored --nocapture` prints the rate.
#[actix_rt::test]
#[ignore = "moves 2 GiB"]
async fn a_gibibyte_each_way_shows_what_a_link_carries() {
    let mut endpoint = Endpoint::start();
    let frames = (1 << 30) / CHUNK_BYTES as u32;
    let started = Instant::now();
    exchange(&mut endpoint, frames).await;
    let megabytes = 2.0 * f64::from(frames) * CHUNK_BYTES as f64 / 1e6;
    println!("{:.0} MB/s, both ways together", megabytes / started.elapsed().as_secs_f64());
}

async fn exchange(endpoint: &mut Endpoint, frames: u32) {
    let ((ours, our_events), (theirs, their_events)) = pair(endpoint).await;
    let senders = [actix_rt::spawn(send_all(ours, frames)), actix_rt::spawn(send_all(theirs, frames))];
    let all = |mut events: LinkEvents| async move {
        for expected in 0..frames {
            let (frame, _) = within(10, frame(&mut events)).await.expect("a chunk");
            assert!(is_chunk(&frame, expected), "chunk {expected} is damaged or out of order");
        }
    };
    tokio::join!(all(our_events), all(their_events));
    for sender in senders {
        within(5, sender).await.expect("all sent");
    }
}

fn is_chunk(frame: &Frame, id: u32) -> bool {
    let Message::Peer(wire::PeerMessage::Data(data)) = &frame.message else { return false };
    data.id == id && frame.payload.len() == CHUNK_BYTES && frame.payload.iter().all(|byte| *byte == id as u8)
}
