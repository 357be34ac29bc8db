//! Registration, catalogue, hints and plans, as a client lives them.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test waits for one message among many")]

mod support;

use std::time::Duration;

use peer_actor::identity::Identity;
use shared::{
    ContentId, MediaKind,
    wire::{
        FilesDelta, GetHints, Goodbye, GoodbyeReason, HandshakeMessage, Hints, LinkMessage, Message,
        PROTOCOL_VERSION, PathKind, PutHints, RejectReason, Role, TrackerMessage,
    },
};
use support::{Client, Tracker, file};

use MediaKind::{Audio, Video};

#[actix_rt::test]
async fn a_client_registers_shares_and_is_found() {
    let tracker = Tracker::start().await;
    let mut sharer = Client::connect(&tracker, Video).await;
    let registered = sharer.register_at(None).await;
    assert_eq!(registered.files_version, 0);
    assert!(registered.observed.ip().is_loopback());
    sharer.share(1, &[file(1, Video)]);

    let mut viewer = Client::register(&tracker, Video).await;
    let delta = loop {
        let delta = viewer.catalogue().await;
        if !delta.changed.is_empty() {
            break delta;
        }
    };
    assert_eq!(delta.changed[0].file, file(1, Video));
    assert_eq!(delta.changed[0].sources, 1);
    viewer.say(shared::wire::FindPeers { content_id: ContentId([1; 32]), playhead_leaf: 0 });
    let plan = viewer.plan_where(|plan| !plan.sources.is_empty()).await;
    assert_eq!(plan.sources[0].node, sharer.node());
    assert!(plan.sources[0].complete);
    assert_eq!(plan.sources[0].path, PathKind::Relayed, "neither end can be dialled");
}

#[actix_rt::test]
async fn the_first_delta_resets_and_later_ones_tell_what_changed() {
    let tracker = Tracker::start().await;
    let mut viewer = Client::register(&tracker, Video).await;
    let first = viewer.catalogue().await;
    assert!(first.reset && first.changed.is_empty());
    let sharer = Client::register(&tracker, Video).await;
    sharer.share(1, &[file(1, Video), file(2, Video)]);
    let second = viewer.catalogue().await;
    assert!(!second.reset && second.version > first.version);
    assert_eq!(second.changed.len(), 2);
    sharer.say(FilesDelta {
        version: 2,
        reset: false,
        changed: Vec::new(),
        removed: vec![ContentId([1; 32])],
    });
    assert_eq!(viewer.catalogue().await.removed, [ContentId([1; 32])]);
}

#[actix_rt::test]
async fn a_client_is_never_told_anything_of_the_other_kind() {
    let tracker = Tracker::start().await;
    let mut listener = Client::register(&tracker, Audio).await;
    let mut viewer = Client::register(&tracker, Video).await;
    let sharer = Client::register(&tracker, Video).await;
    sharer.share(1, &[file(1, Video)]);
    let hints = Hints { cover_jpeg: vec![1, 2, 3], ..Hints::default() };
    sharer.say(PutHints { content_id: ContentId([1; 32]), hints });
    // Once the viewer has heard of the file, the listener has had its chance to.
    while viewer.catalogue().await.changed.is_empty() {}

    let about = ContentId([1; 32]);
    listener.say(GetHints { content_id: about });
    listener.say(shared::wire::FindPeers { content_id: about, playhead_leaf: 0 });
    listener.say(shared::wire::RequestPath { node: sharer.node(), kind: PathKind::Relayed });
    let mut answers = 0;
    for message in listener.listen(Duration::from_millis(700)).await {
        match message {
            Message::Tracker(TrackerMessage::CatalogueDelta(delta)) => assert!(delta.changed.is_empty()),
            Message::Tracker(TrackerMessage::HintsReply(reply)) => {
                assert_eq!(reply.hints, None);
                answers += 1;
            }
            Message::Tracker(TrackerMessage::Plan(plan)) => {
                assert!(plan.sources.is_empty());
                answers += 1;
            }
            Message::Tracker(TrackerMessage::PathRefused(_)) => answers += 1,
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(answers, 3);
}

#[actix_rt::test]
async fn a_file_of_the_wrong_kind_is_left_out() {
    let tracker = Tracker::start().await;
    let mut viewer = Client::register(&tracker, Video).await;
    let liar = Client::register(&tracker, Audio).await;
    liar.share(1, &[file(1, Video), file(2, Audio)]);
    let mut listener = Client::register(&tracker, Audio).await;
    let heard = loop {
        let delta = listener.catalogue().await;
        if !delta.changed.is_empty() {
            break delta.changed;
        }
    };
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].file.kind, Audio);
    let seen = viewer.listen(Duration::from_millis(300)).await;
    assert!(seen.iter().all(|message| matches!(message, Message::Tracker(TrackerMessage::CatalogueDelta(delta)) if delta.changed.is_empty())));
}

#[actix_rt::test]
async fn hints_reach_those_who_ask() {
    let tracker = Tracker::start().await;
    let sharer = Client::register(&tracker, Video).await;
    sharer.share(1, &[file(1, Video)]);
    let hints = Hints {
        startup_ranges: vec![(0, 4_096)],
        time_index: vec![(0, 0), (1_000, 9_000)],
        cover_jpeg: vec![7; 900],
        waveform: vec![255; 300],
    };
    sharer.say(PutHints { content_id: ContentId([1; 32]), hints: hints.clone() });
    let mut viewer = Client::register(&tracker, Video).await;
    let told = loop {
        viewer.say(GetHints { content_id: ContentId([1; 32]) });
        let reply = viewer
            .find_map(|message| match message {
                TrackerMessage::HintsReply(reply) => Some(reply),
                _ => None,
            })
            .await;
        if let Some(hints) = reply.hints {
            break hints;
        }
    };
    assert_eq!(told, hints);
}

#[actix_rt::test]
async fn a_gap_in_the_list_asks_for_all_of_it() {
    let tracker = Tracker::start().await;
    let mut sharer = Client::register(&tracker, Video).await;
    sharer.share(1, &[file(1, Video)]);
    sharer.share(5, &[file(2, Video)]);
    let asked = sharer
        .find_map(|message| match message {
            TrackerMessage::Registered(registered) => Some(registered),
            _ => None,
        })
        .await;
    assert_eq!(asked.files_version, 0);
}

#[actix_rt::test]
async fn a_client_that_returns_takes_its_place_and_its_list_at_once() {
    let tracker = Tracker::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    let identity = || Identity::load_or_create(&key).expect("a key");
    let mut first = Client::connect_as(&tracker, Video, identity()).await;
    first.register_at(None).await;
    first.share(1, &[file(1, Video)]);
    let mut viewer = Client::register(&tracker, Video).await;
    while viewer.catalogue().await.changed.is_empty() {}

    let mut second = Client::connect_as(&tracker, Video, identity()).await;
    let goodbye = Message::Link(LinkMessage::Goodbye(Goodbye { reason: GoodbyeReason::Replaced }));
    assert_eq!(first.closed().await, Some(goodbye));
    assert_eq!(second.register_at(None).await.files_version, 1);
    let plan = viewer.find_peers(ContentId([1; 32])).await;
    assert_eq!(plan.sources.iter().map(|source| source.node).collect::<Vec<_>>(), [second.node()]);
    assert_eq!(tracker.running.observatory().registry.session_count(), 2);
}

#[actix_rt::test]
async fn strangers_and_impostors_are_told_why_they_are_not_wanted() {
    let tracker = Tracker::start().await;
    for (role, kind, version, reason) in [
        (Role::Origin, None, PROTOCOL_VERSION, RejectReason::NotServed),
        (Role::Tracker, None, PROTOCOL_VERSION, RejectReason::NotServed),
        (Role::Peer, Some(Video), PROTOCOL_VERSION + 1, RejectReason::Version(PROTOCOL_VERSION)),
    ] {
        let mut client = Client::dial(&tracker, Identity::generate().expect("a key")).await;
        client.say(shared::wire::Hello { version, ..client.hello(role, kind) });
        let last = client.closed().await;
        assert!(
            matches!(&last, Some(Message::Handshake(HandshakeMessage::Reject(reject))) if reject.reason == reason),
            "{last:?}"
        );
    }
}

#[actix_rt::test]
async fn a_full_tracker_says_so() {
    let tracker = Tracker::start_with(|config| config.max_clients = 1).await;
    let _first = Client::register(&tracker, Video).await;
    let mut second = Client::connect(&tracker, Video).await;
    let last = second.closed().await;
    assert!(
        matches!(&last, Some(Message::Handshake(HandshakeMessage::Reject(reject))) if reject.reason == RejectReason::Full)
    );
}

#[actix_rt::test]
async fn a_client_that_returns_finds_its_place_in_a_full_tracker() {
    let tracker = Tracker::start_with(|config| config.max_clients = 1).await;
    let folder = tempfile::tempdir().expect("a folder");
    let identity = || Identity::load_or_create(&folder.path().join("key")).expect("a key");
    // Its connection is dead, and the tracker does not know yet.
    let mut before = Client::connect_as(&tracker, Video, identity()).await;
    before.register_at(None).await;
    let mut after = Client::connect_as(&tracker, Video, identity()).await;
    after.register_at(None).await;
    before.closed().await;
    assert_eq!(tracker.running.observatory().registry.client_count(), 1);
    after.say(Goodbye { reason: GoodbyeReason::Leaving });
    after.closed().await;
    Client::register(&tracker, Video).await;
}

#[actix_rt::test]
async fn hints_that_others_gave_before_are_no_refused_files() {
    let tracker = Tracker::start().await;
    let mut sharers = [Client::register(&tracker, Video).await, Client::register(&tracker, Video).await];
    for sharer in &mut sharers {
        sharer.share(1, &[file(1, Video)]);
        sharer.say(PutHints { content_id: ContentId([1; 32]), hints: Hints::default() });
        // Words are heard in the order they are said.
        sharer.find_peers(ContentId([1; 32])).await;
    }
    assert_eq!(tracker.running.observatory().registry.counters.files_refused.get(), 0);
}

#[actix_rt::test]
async fn the_status_says_when_the_files_have_changed() {
    let tracker = Tracker::start().await;
    let sharer = Client::register(&tracker, Video).await;
    let mut versions = Vec::new();
    for version in 1..=2 {
        sharer.share(version, &[file(version as u8, Video)]);
        let sampled = async {
            loop {
                let (_, status) = tracker.get("/api/status").await;
                let status: serde_json::Value = serde_json::from_str(&status).expect("json");
                let told = status["catalogue_version"].as_u64().expect("a version");
                if versions.last().is_none_or(|before| told > *before) && told > 0 {
                    return told;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        versions.push(tokio::time::timeout(Duration::from_secs(10), sampled).await.expect("a sample"));
    }
    assert!(tracker.get("/api/files").await.1.contains("\"name\":\"2.mp4\""));
}

#[actix_rt::test]
async fn the_pages_and_the_json_are_served() {
    let tracker = Tracker::start().await;
    let sharer = Client::register(&tracker, Video).await;
    sharer.share(1, &[file(1, Video)]);
    let files = loop {
        let (status, files) = tracker.get("/api/files").await;
        assert_eq!(status, 200);
        if files != "[]" {
            break files;
        }
    };
    assert!(files.contains("\"name\":\"1.mp4\"") && files.contains("\"size\":1000000"), "{files}");
    assert_eq!(tracker.get("/ready").await.0, 200);
    assert!(tracker.get("/").await.1.contains("<html"));
    assert!(tracker.get("/metrics").await.1.contains("rusteze_tracker_frames_in_total"));
    assert!(tracker.get("/api/status").await.1.contains("\"video_clients\":1"));
    assert!(tracker.get("/api/clients").await.1.contains("test/1"));
    assert_eq!(tracker.get("/api/swarms").await.1, "[]");
    assert_eq!(tracker.get("/api/cover/nonsense").await.0, 404);
    assert_eq!(tracker.get("/relay/nonsense").await.0, 404);
}
