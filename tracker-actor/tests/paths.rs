//! Paths the tracker brings about: dial-backs, reversal, and relayed connections that carry frames.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test waits for one message among many")]

mod support;

use std::{sync::Arc, time::Duration};

use actix_web::{App, HttpRequest, HttpServer, web};
use bytes::Bytes;
use futures_util::StreamExt as _;
use peer_actor::{
    identity::Identity,
    node::{self, NodeConfig, NodeHandle},
    transport::{DialError, Dialled, LinkEvent, LinkEvents, LinkHandle, accept, dial, keep_socket},
};
use shared::{
    ContentId, LeafRange, MediaKind,
    wire::{
        Capabilities, Data, Frame, HandshakeMessage, Message, PathKind, PathOffer, PathRole, Reject,
        RejectReason, Role, TrackerMessage, Welcome, handshake_transcript,
    },
};
use support::{Client, Tracker, file};

use MediaKind::Video;

const CONTENT: ContentId = ContentId([1; 32]);

#[actix_rt::test]
async fn a_client_that_answers_a_dial_back_is_reached_directly() {
    let tracker = Tracker::start().await;
    let mut sharer = Client::connect(&tracker, Video).await;
    let port = listen_as(&sharer);
    sharer.register_at(Some(port)).await;
    sharer.share(1, &[file(1, Video)]);
    let mut viewer = Client::register(&tracker, Video).await;
    viewer.say(shared::wire::FindPeers { content_id: CONTENT, playhead_leaf: 0 });
    let plan = viewer.plan_where(|plan| !plan.sources.is_empty()).await;
    assert_eq!(plan.sources[0].path, PathKind::Direct);
    assert_eq!(plan.sources[0].addresses, [format!("127.0.0.1:{port}").parse().expect("an address")]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        viewer.find_peers(CONTENT).await.sources[0].path,
        PathKind::Direct,
        "it stays so once it was dialled"
    );
}

#[actix_rt::test]
async fn a_client_nobody_answers_for_is_reached_in_reverse() {
    let tracker = Tracker::start().await;
    // A port that is closed for sure: taken once and given back.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|taken| taken.local_addr())
        .expect("a port")
        .port();
    let mut sharer = Client::connect(&tracker, Video).await;
    sharer.register_at(Some(closed)).await;
    sharer.share(1, &[file(1, Video)]);
    let mut viewer = Client::connect(&tracker, Video).await;
    let port = listen_as(&viewer);
    viewer.register_at(Some(port)).await;
    viewer.say(shared::wire::FindPeers { content_id: CONTENT, playhead_leaf: 0 });
    let plan =
        viewer.plan_where(|plan| plan.sources.iter().any(|source| source.path == PathKind::Reversed)).await;
    assert_eq!(plan.sources[0].node, sharer.node());

    viewer.say(shared::wire::RequestPath { node: sharer.node(), kind: PathKind::Reversed });
    let dial_me = sharer.find_map(offer).await;
    assert_eq!((dial_me.node, dial_me.role), (viewer.node(), PathRole::Dial));
    assert_eq!(dial_me.addresses, [format!("127.0.0.1:{port}").parse().expect("an address")]);
    let await_it = viewer.find_map(offer).await;
    assert_eq!(
        (await_it.node, await_it.role, await_it.kind),
        (sharer.node(), PathRole::Accept, PathKind::Reversed)
    );
}

#[actix_rt::test]
async fn an_impostor_on_the_port_is_not_taken_for_the_client() {
    let tracker = Tracker::start().await;
    let impostor = Client::connect(&tracker, Video).await;
    let port = listen_as(&impostor);
    let mut sharer = Client::connect(&tracker, Video).await;
    sharer.register_at(Some(port)).await;
    sharer.share(1, &[file(1, Video)]);
    let mut viewer = Client::register(&tracker, Video).await;
    viewer.say(shared::wire::FindPeers { content_id: CONTENT, playhead_leaf: 0 });
    viewer.plan_where(|plan| plan.sources.iter().any(|source| source.path == PathKind::Relayed)).await;
}

#[actix_rt::test]
async fn a_relay_carries_frames_both_ways_unchanged() {
    let tracker = Tracker::start().await;
    let ((viewer_link, mut viewer_events), (source_link, mut source_events)) = relayed_pair(&tracker).await;
    for size in [1usize, 16_384, 1 << 20] {
        let there = data(size, 3);
        viewer_link.try_send(there.clone()).expect("room");
        assert_eq!(frame(&mut source_events).await, there);
        let back = data(size, 9);
        source_link.try_send(back.clone()).expect("room");
        assert_eq!(frame(&mut viewer_events).await, back);
    }
    let counters = &tracker.running.observatory().registry.counters;
    assert!(counters.relayed_bytes.get() > 2 << 20);
    assert_eq!(counters.relays.get(), 1);
    viewer_link.cut();
    while let Some(event) = source_events.next().await {
        if matches!(event, LinkEvent::Closed(_)) {
            break;
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(counters.relays.get(), 0);
}

#[actix_rt::test]
async fn a_slow_end_of_a_relay_holds_the_fast_one_back_and_loses_nothing() {
    let tracker = Tracker::start().await;
    let ((viewer_link, _viewer_events), (_source_link, mut source_events)) = relayed_pair(&tracker).await;
    const FRAMES: u32 = 60;
    let sending = actix_rt::spawn(async move {
        let (mut sent, mut refusals) = (0, 0u32);
        while sent < FRAMES {
            if viewer_link.try_send(numbered(sent)).is_ok() {
                sent += 1;
            } else {
                refusals += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        (viewer_link, refusals)
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    for n in 0..FRAMES {
        assert_eq!(frame(&mut source_events).await, numbered(n));
    }
    let (_link, refusals) = sending.await.expect("sent");
    assert!(refusals > 0, "60 MiB went into a link nobody read");
}

#[actix_rt::test]
async fn a_token_opens_once_for_each_end_and_never_again() {
    let tracker = Tracker::start().await;
    let token = offered_token(&tracker).await;
    let _first = dial(&tracker.url(&relay_path(token)), None).await.expect("the first end");
    let _second = dial(&tracker.url(&relay_path(token)), None).await.expect("the second end");
    assert!(dial(&tracker.url(&relay_path(token)), None).await.is_err());
    assert!(dial(&tracker.url(&relay_path([9; 16])), None).await.is_err());
}

#[actix_rt::test]
async fn a_peer_relays_what_the_tracker_granted_and_accounts_for_it() {
    let tracker = Tracker::start().await;
    let (relay, folder) = relaying_peer(&tracker).await;
    let mut sharer = Client::register(&tracker, Video).await;
    sharer.share(1, &[file(1, Video)]);
    let mut viewer = Client::register(&tracker, Video).await;
    viewer.say(shared::wire::FindPeers { content_id: CONTENT, playhead_leaf: 0 });
    viewer.plan_where(|plan| !plan.sources.is_empty()).await;
    viewer.say(shared::wire::RequestPath { node: sharer.node(), kind: PathKind::Relayed });
    let (mine, theirs) = (viewer.find_map(offer).await, sharer.find_map(offer).await);
    let at: std::net::SocketAddr = ([127, 0, 0, 1], relay.listen_port().expect("a port")).into();
    assert_eq!((&mine.addresses, &theirs.addresses), (&vec![at], &vec![at]));
    assert!(mine.token.is_some() && mine.token == theirs.token);

    let url = |token: [u8; 16]| format!("ws://{at}{}", relay_path(token));
    let token = mine.token.expect("a token");
    assert!(dial(&url([9; 16]), None).await.is_err(), "nobody granted that");
    let viewer_end = dial(&url(token), None).await.expect("the first end");
    let mut sharer_end = dial(&url(token), None).await.expect("the second end");
    assert!(dial(&url(token), None).await.is_err(), "both ends are there");
    let there = data(1 << 20, 5);
    viewer_end.link.try_send(there.clone()).expect("room");
    assert_eq!(frame(&mut sharer_end.events).await, there);

    let told = async {
        loop {
            let (_, status) = tracker.get("/api/status").await;
            let status: serde_json::Value = serde_json::from_str(&status).expect("json");
            if status["peer_relays"]["in_use"] == 1 {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(10), told).await.expect("the tracker hears of it");
    assert!(status["peer_relays"]["carried_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{status}");
    assert_eq!(
        (&status["relays"], &status["relayed_bytes"]),
        (&0.into(), &0.into()),
        "the tracker's line is spared"
    );
    let relaying = &relay.snapshot().relaying;
    assert_eq!(relaying.relays[0].ends, [viewer.node(), sharer.node()]);
    assert!(relaying.relays[0].carried_bytes[0] > 1 << 20);
    relay.stop().await;
    drop(folder);
}

#[actix_rt::test]
async fn relays_keep_to_the_limit_and_share_it() {
    const LIMIT_BPS: u64 = 8_000_000;
    let tracker = Tracker::start_with(|config| config.relay_limit_bps = LIMIT_BPS).await;
    let began = std::time::Instant::now();
    let pairs = [relayed_pair(&tracker).await, relayed_pair(&tracker).await];
    let sending = pairs.map(|((sender, _kept), (_link, mut events))| {
        actix_rt::spawn(async move {
            let (_sender, mut received) = (sender.clone(), 0u64);
            let until = tokio::time::sleep(Duration::from_secs(4));
            tokio::pin!(until);
            loop {
                // More than the relay takes is refused, and that is what keeps the sender back.
                while sender.try_send(data(16_384, 1)).is_ok() {}
                tokio::select! {
                    frame = frame(&mut events) => received += frame.payload.len() as u64,
                    () = &mut until => return (received, _kept, _link),
                }
            }
        })
    });
    let mut received = Vec::new();
    for sent in sending {
        received.push(sent.await.expect("sent").0);
    }
    let most = LIMIT_BPS / 8 * (began.elapsed().as_millis() as u64 + 100) / 1_000;
    let sum: u64 = received.iter().sum();
    assert!(sum <= most && sum > most / 2, "{sum} of {most} bytes");
    assert!(received[0].abs_diff(received[1]) < sum / 10, "{received:?}");
}

/// A real peer that is willing to relay and that the tracker knows for one.
async fn relaying_peer(tracker: &Tracker) -> (NodeHandle, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a folder");
    let config = NodeConfig {
        tracker_url: Some(format!("ws://{}", tracker.address())),
        listen: Some(([127, 0, 0, 1], 0).into()),
        ..NodeConfig::new(Role::Peer, Some(Video), data.path().to_owned())
    };
    let relay = node::start(config).await.expect("a peer");
    let offering = async {
        while tracker.running.observatory().planner().await.relays.offering == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), offering).await.expect("the tracker has dialled it");
    (relay, data)
}

async fn offered_token(tracker: &Tracker) -> [u8; 16] {
    let mut sharer = Client::register(tracker, Video).await;
    sharer.share(1, &[file(1, Video)]);
    let mut viewer = Client::register(tracker, Video).await;
    viewer.say(shared::wire::FindPeers { content_id: CONTENT, playhead_leaf: 0 });
    viewer.plan_where(|plan| !plan.sources.is_empty()).await;
    viewer.say(shared::wire::RequestPath { node: sharer.node(), kind: PathKind::Relayed });
    let (mine, theirs) = (viewer.find_map(offer).await, sharer.find_map(offer).await);
    assert_eq!((mine.role, theirs.role), (PathRole::Dial, PathRole::Accept));
    assert_eq!((mine.node, theirs.node), (sharer.node(), viewer.node()));
    assert!(mine.token.is_some() && mine.token == theirs.token);
    mine.token.expect("a token")
}

async fn relayed_pair(tracker: &Tracker) -> ((LinkHandle, LinkEvents), (LinkHandle, LinkEvents)) {
    let url = tracker.url(&relay_path(offered_token(tracker).await));
    let end = |dialled: Result<Dialled, DialError>| {
        let Dialled { link, events, .. } = dialled.expect("an end of the relay");
        (link, events)
    };
    (end(dial(&url, None).await), end(dial(&url, None).await))
}

fn relay_path(token: [u8; 16]) -> String {
    format!("/relay/{:032x}", u128::from_be_bytes(token))
}

fn offer(message: TrackerMessage) -> Option<PathOffer> {
    match message {
        TrackerMessage::PathOffer(offer) => Some(offer),
        _ => None,
    }
}

async fn frame(events: &mut LinkEvents) -> Frame {
    let arriving = async {
        loop {
            match events.next().await.expect("an open link") {
                LinkEvent::Frame(frame, _) => return frame,
                LinkEvent::Drained => {}
                LinkEvent::Closed(cause) => panic!("closed: {cause}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), arriving).await.expect("a frame in time")
}

fn data(size: usize, fill: u8) -> Frame {
    Frame::data(
        Data {
            id: 1,
            leaves: LeafRange::new(0, size.div_ceil(16_384) as u32),
            proof: Vec::new(),
            branch: Vec::new(),
        },
        Bytes::from(vec![fill; size]),
    )
}

fn numbered(n: u32) -> Frame {
    Frame::data(
        Data { id: n, leaves: LeafRange::new(n * 64, 64), proof: Vec::new(), branch: Vec::new() },
        Bytes::from(vec![n as u8; 1 << 20]),
    )
}

/// A peer endpoint that welcomes a peer of its kind as `client`, turns others away as a peer does, and no more than that.
fn listen_as(client: &Client) -> u16 {
    let identity = client.identity.clone();
    let server = HttpServer::new(move || {
        let identity = identity.clone();
        App::new().route(
            "/peer",
            web::get().to(move |request: HttpRequest, payload: web::Payload| {
                let identity = identity.clone();
                async move {
                    let (response, link, events) = accept(&request, payload)?;
                    actix_rt::spawn(welcome_all(identity, link, events));
                    Ok::<_, actix_web::Error>(response)
                }
            }),
        )
    });
    let server =
        server.workers(1).on_connect(keep_socket).disable_signals().bind("127.0.0.1:0").expect("a port");
    let port = server.addrs()[0].port();
    actix_rt::spawn(server.run());
    port
}

async fn welcome_all(identity: Arc<Identity>, link: LinkHandle, mut events: LinkEvents) {
    while let Some(event) = events.next().await {
        let LinkEvent::Frame(frame, _) = event else { continue };
        if let Message::Handshake(HandshakeMessage::Hello(hello)) = frame.message {
            if (hello.role, hello.kind) != (Role::Peer, Some(Video)) {
                link.try_send(Reject { reason: RejectReason::NotServed }).expect("room");
                continue;
            }
            let transcript =
                handshake_transcript(false, (hello.node, hello.nonce), (identity.node_id(), [8; 32]));
            let welcome = Welcome {
                node: identity.node_id(),
                role: Role::Peer,
                kind: Some(Video),
                capabilities: Capabilities::default(),
                nonce: [8; 32],
                signature: identity.sign(&transcript),
                agent: "test/1".to_owned(),
            };
            link.try_send(welcome).expect("room");
        }
    }
}
