//! Clients that go: politely, suddenly, silently, or without ever reading. Those it concerns hear of it in time.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test waits for one message among many")]

mod support;

use std::time::{Duration, Instant};

use shared::{
    ContentId, MediaKind,
    limits::{MAX_CODECS, MAX_DELTA_FILES, MAX_NAME_BYTES, MAX_TEXT_BYTES},
    wire::{FileEntry, Goodbye, GoodbyeReason, Message, TrackerMessage},
};
use support::{Client, Tracker, file};

use MediaKind::Video;

#[actix_rt::test]
async fn a_closed_client_is_noticed_within_a_second_and_its_viewers_told() {
    let tracker = Tracker::start().await;
    let (mut viewer, sharer) = swarm(&tracker).await;
    let gone_node = sharer.node();
    let began = Instant::now();
    sharer.link.cut();
    let gone = viewer.find_map(gone_notice).await;
    assert_eq!(gone, gone_node);
    let plan = viewer.plan_where(|plan| plan.sources.is_empty()).await;
    assert_eq!(plan.content_id, ContentId([1; 32]));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let removed = viewer
        .find_map(|message| match message {
            TrackerMessage::CatalogueDelta(delta) if !delta.removed.is_empty() => Some(delta.removed),
            _ => None,
        })
        .await;
    assert_eq!(removed, [ContentId([1; 32])]);
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[actix_rt::test]
async fn a_client_that_says_goodbye_is_gone_at_once() {
    let tracker = Tracker::start().await;
    let (mut viewer, sharer) = swarm(&tracker).await;
    sharer.say(Goodbye { reason: GoodbyeReason::Leaving });
    assert_eq!(viewer.find_map(gone_notice).await, sharer.node());
}

#[actix_rt::test]
async fn a_silent_client_is_noticed_within_fifteen_seconds_and_an_answering_one_stays() {
    let tracker = Tracker::start().await;
    let (mut viewer, mut sharer) = swarm(&tracker).await;
    sharer.answers_pings = false;
    let gone_node = sharer.node();
    let began = Instant::now();
    let noticed = async {
        loop {
            if let Some(node) = viewer.try_next().await.and_then(|message| match message {
                shared::wire::Message::Tracker(message) => gone_notice(message),
                _ => None,
            }) {
                return node;
            }
        }
    };
    let node = tokio::time::timeout(Duration::from_secs(20), noticed).await.expect("noticed");
    assert_eq!(node, gone_node);
    assert!(began.elapsed() > Duration::from_secs(10), "given up too soon: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(!viewer.link.is_closed());
}

#[actix_rt::test]
async fn a_client_that_does_not_read_is_cut_and_harms_nobody() {
    use std::io::Write as _;

    let tracker = Tracker::start().await;
    let (mut viewer, sharer) = swarm(&tracker).await;
    // A registered client whose socket is never read from again, while it goes on asking.
    let deaf = Client::register(&tracker, Video).await;
    let (deaf_link, deaf_events) = (deaf.link.clone(), deaf.events);
    let asking = actix_rt::spawn(async move {
        // Holding the events unread keeps every permit, so the transport stops reading the socket.
        let _unread = deaf_events;
        let question = shared::wire::FindPeers { content_id: ContentId([1; 32]), playhead_leaf: 0 };
        while !deaf_link.is_closed() {
            if deaf_link.try_send(question).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let registry = &tracker.running.observatory().registry;
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    while registry.session_count() > 2 {
        assert!(began.elapsed() < Duration::from_secs(25), "the deaf client is still there");
        let asked = Instant::now();
        viewer.find_peers(ContentId([1; 32])).await;
        slowest = slowest.max(asked.elapsed());
        sharer.say(shared::wire::Ping { nonce: 1 });
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    writeln!(std::io::stderr(), "cut after {:?}, slowest answer to another {slowest:?}", began.elapsed())
        .expect("written");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    asking.abort();
}

#[actix_rt::test]
async fn a_client_that_reads_slowly_is_told_a_long_catalogue_and_answered_meanwhile() {
    const FILES: u32 = 4_096;
    let tracker = Tracker::start().await;
    let sharer = Client::register(&tracker, Video).await;
    let files: Vec<FileEntry> = (0..FILES).map(wordy_file).collect();
    for (version, page) in (1..).zip(files.chunks(MAX_DELTA_FILES)) {
        while sharer.link.queued_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sharer.share(version, page);
    }
    let registry = &tracker.running.observatory().registry;
    let all_listed = async {
        while registry.library(Video).0 < FILES as usize {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all_listed).await.expect("all are listed");

    // Nothing is read from its socket at first beyond what the transport takes by itself, while it asks and is answered.
    let mut slow = Client::register(&tracker, Video).await;
    for _ in 0..60 {
        slow.say(shared::wire::FindPeers { content_id: ContentId([1; 32]), playhead_leaf: 0 });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (mut told, mut plans) = (0, 0);
    let reading = async {
        while told < FILES as usize || plans < 60 {
            match slow.next().await {
                Message::Tracker(TrackerMessage::CatalogueDelta(delta)) => told += delta.changed.len(),
                Message::Tracker(TrackerMessage::Plan(_)) => plans += 1,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("told everything");
    assert_eq!((told, plans), (FILES as usize, 60));
    assert_eq!(registry.counters.lost.get(), 0);
}

/// A file of which as much is said as may be.
fn wordy_file(n: u32) -> FileEntry {
    let word = "x".repeat(MAX_TEXT_BYTES);
    let mut content_id = [2; 32];
    content_id[..4].copy_from_slice(&n.to_be_bytes());
    FileEntry {
        content_id: ContentId(content_id),
        name: "x".repeat(MAX_NAME_BYTES),
        container: word.clone(),
        codecs: vec![word.clone(); MAX_CODECS],
        title: word.clone(),
        artist: word.clone(),
        album: word,
        ..file(1, Video)
    }
}

/// A viewer whose plan names a sharer.
async fn swarm(tracker: &Tracker) -> (Client, Client) {
    let sharer = Client::register(tracker, Video).await;
    sharer.share(1, &[file(1, Video)]);
    let mut viewer = Client::register(tracker, Video).await;
    while viewer.catalogue().await.changed.is_empty() {}
    viewer.say(shared::wire::FindPeers { content_id: ContentId([1; 32]), playhead_leaf: 0 });
    viewer.plan_where(|plan| !plan.sources.is_empty()).await;
    (viewer, sharer)
}

fn gone_notice(message: TrackerMessage) -> Option<shared::NodeId> {
    match message {
        TrackerMessage::PeerGone(gone) => Some(gone.node),
        _ => None,
    }
}
