//! Hostile connections: nonsense, giants, floods and crowds. The tracker stays up, bounded and quick for everyone else.

mod support;

use std::{
    fs,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use shared::{
    MediaKind,
    limits::MAX_UNGREETED,
    wire::{FindPeers, Goodbye, GoodbyeReason, LinkMessage, Message, Ping, encode_into},
};
use support::{Client, Tracker, file};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use MediaKind::Video;

#[actix_rt::test]
async fn bytes_that_are_no_frame_end_the_session_alone() {
    let tracker = Tracker::start().await;
    let mut other = Client::register(&tracker, Video).await;
    for junk in [
        &b""[..],
        b"\x01",
        b"\xff\0\0\0\0\0\0\0",
        b"\x20\0\0\0\xff\xff\xff\xff",
        b"\x20\0\0\0\x02\0\0\0\xfd\xff",
    ] {
        let mut client = Client::register(&tracker, Video).await;
        let junk = bytes::Bytes::from_static(junk);
        client.link.try_send_encoded(junk, bytes::Bytes::new()).expect("sent");
        client.closed().await;
    }
    other.find_peers(file(1, Video).content_id).await;
    assert_eq!(tracker.running.observatory().registry.counters.violations.get(), 5);
}

#[actix_rt::test]
async fn a_frame_out_of_place_is_answered_with_goodbye() {
    let tracker = Tracker::start().await;
    let mut client = Client::connect(&tracker, Video).await;
    client.say(FindPeers { content_id: file(1, Video).content_id, playhead_leaf: 0 });
    let goodbye = Message::Link(LinkMessage::Goodbye(Goodbye { reason: GoodbyeReason::Violation }));
    assert_eq!(client.closed().await, Some(goodbye));
}

#[actix_rt::test]
async fn a_giant_frame_ends_its_connection_at_its_header_and_fills_no_memory() {
    let tracker = Tracker::start().await;
    let before = resident_bytes();
    for _ in 0..4 {
        let mut socket = upgrade(&tracker).await;
        // A masked binary frame that declares 8 GiB.
        let header = [&[0x82, 0xff][..], &(8u64 << 30).to_be_bytes(), &[1, 2, 3, 4]].concat();
        socket.write_all(&header).await.expect("sent");
        let chunk = vec![0u8; 1 << 20];
        let mut sent = 0u64;
        // Refused is a reset, or a socket nobody reads: both leave the bytes with their sender.
        let patience = Duration::from_secs(2);
        while sent < 64 << 20
            && matches!(tokio::time::timeout(patience, socket.write_all(&chunk)).await, Ok(Ok(())))
        {
            sent += 1 << 20;
        }
        assert!(sent < 64 << 20, "the tracker took 64 MiB of a frame it can never accept");
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "resident memory grew by {} KiB", grown >> 10);
}

#[actix_rt::test]
async fn a_flood_of_frames_is_slowed_down_and_others_are_answered() {
    let tracker = Tracker::start().await;
    let flooder = Client::register(&tracker, Video).await;
    let mut other = Client::register(&tracker, Video).await;
    let link = flooder.link.clone();
    let _keep = flooder;
    let flood = actix_rt::spawn(async move {
        while !link.is_closed() {
            if link.try_send(Ping { nonce: 1 }).is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let asked = Instant::now();
        other.find_peers(file(1, Video).content_id).await;
        slowest = slowest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    flood.abort();
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    let frames = tracker.running.observatory().registry.counters.frames_in.get();
    assert!(frames < 5_000, "{frames} frames were taken within two seconds");
}

#[actix_rt::test]
async fn thousands_of_junk_connections_are_bounded_and_the_tracker_stays_quick() {
    const JUNK: usize = 2_500;
    let tracker = Tracker::start().await;
    let mut client = Client::register(&tracker, Video).await;
    let before = resident_bytes();
    let mut sockets = Vec::with_capacity(JUNK);
    for n in 0..JUNK {
        let Ok(mut socket) = TcpStream::connect(tracker.address()).await else { continue };
        let words: &[u8] = match n % 3 {
            0 => b"",
            1 => b"GET /tracker HTTP/1.1\r\nhost: x\r\nx-slow: ",
            _ => UPGRADE,
        };
        if socket.write_all(words).await.is_ok() {
            sockets.push(socket);
        }
    }
    assert!(sockets.len() > JUNK * 9 / 10, "{} connections", sockets.len());
    assert!(tracker.running.observatory().registry.ungreeted() <= MAX_UNGREETED);
    let asked = Instant::now();
    client.find_peers(file(1, Video).content_id).await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(tracker.get("/ready").await.0, 200);
    let grown = resident_bytes().saturating_sub(before);
    assert!(
        grown / (sockets.len() as u64) < 100 << 10,
        "{} KiB a connection",
        (grown / sockets.len() as u64) >> 10
    );
    // Whoever has said nothing useful is cut when its time is over, with its socket still open at the other end.
    let began = Instant::now();
    while tracker.running.observatory().registry.ungreeted() > 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "strangers stay");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Client::register(&tracker, Video).await;
    drop(sockets);
}

#[actix_rt::test]
async fn a_message_in_endless_fragments_comes_to_an_end() {
    let tracker = Tracker::start().await;
    let mut socket = upgrade(&tracker).await;
    let first = [0x02, 0x80, 0, 0, 0, 0];
    let more = [0x00, 0x80, 0, 0, 0, 0].repeat(1_000);
    socket.write_all(&first).await.expect("sent");
    let (mut answers, mut fragments) = socket.split();
    let taken = std::pin::pin!(async { while fragments.write_all(&more).await.is_ok() {} });
    // A connection that is over need not refuse what is written: the kernel keeps the writer waiting for minutes. Its reader knows at once.
    let open = std::pin::pin!(async {
        let mut answer = [0; 512];
        while answers.read(&mut answer).await.is_ok_and(|length| length > 0) {}
    });
    let ended =
        tokio::time::timeout(Duration::from_secs(10), futures_util::future::select(taken, open)).await;
    assert!(ended.is_ok(), "fragments are taken without end");
    let began = Instant::now();
    while tracker.running.observatory().registry.ungreeted() > 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "the tracker keeps the connection");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[actix_rt::test]
async fn a_frame_in_drips_holds_up_nobody() {
    let tracker = Tracker::start().await;
    let mut other = Client::register(&tracker, Video).await;
    let mut socket = upgrade(&tracker).await;
    let mut frame = BytesMut::new();
    encode_into(&Ping { nonce: 1 }.into(), &mut frame);
    socket.write_all(&[0x82, 0x80 | frame.len() as u8, 0, 0, 0, 0]).await.expect("sent");
    for byte in frame {
        if socket.write_all(&[byte]).await.is_err() {
            break;
        }
        other.find_peers(file(1, Video).content_id).await;
    }
}

const UPGRADE: &[u8] = b"GET /tracker HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: rusteze.v1\r\n\r\n";

async fn upgrade(tracker: &Tracker) -> TcpStream {
    let mut socket = TcpStream::connect(tracker.address()).await.expect("connected");
    socket.write_all(UPGRADE).await.expect("sent");
    let mut answer = [0; 512];
    let length = socket.read(&mut answer).await.expect("an answer");
    assert!(answer[..length].starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer[..length]));
    socket
}

fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").expect("a status");
    let resident: u64 = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    resident * 4_096
}
