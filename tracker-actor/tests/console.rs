//! The debug console as a browser sees it: JSON over a WebSocket, sent only when asked for.

mod support;

use std::time::Duration;

use awc::ws::{Frame, Message};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use shared::{MediaKind, wire::FindPeers};
use support::{Client, SOON, Tracker, file};
use tracker_actor::config::ConsoleAccess;

#[actix_rt::test]
async fn the_tables_show_actors_sessions_and_swarms() {
    let tracker = Tracker::start().await;
    let sharer = Client::register(&tracker, MediaKind::Video).await;
    sharer.share(1, &[file(1, MediaKind::Video)]);
    let mut viewer = Client::register(&tracker, MediaKind::Video).await;
    while viewer.catalogue().await.changed.is_empty() {}
    viewer.find_peers(file(1, MediaKind::Video).content_id).await;

    let mut browser = Browser::open(&tracker).await;
    let tables = browser.update().await["tables"].clone();
    let actors: Vec<&str> =
        tables["actors"].as_array().expect("actors").iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(actors, ["file-index", "path-planner", "session", "console"]);
    let sessions = tables["sessions"].as_array().expect("sessions");
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0]["node"], sharer.node().to_string());
    assert_eq!(tables["swarms"][0]["name"], "1.mp4");
    assert_eq!(tables["swarms"][0]["viewers"], 1);
}

#[actix_rt::test]
async fn a_plan_is_explained_to_the_console_and_drawn_without_names_for_everybody() {
    let tracker = Tracker::start().await;
    let sharer = Client::register(&tracker, MediaKind::Video).await;
    sharer.share(1, &[file(1, MediaKind::Video)]);
    let mut viewer = Client::register(&tracker, MediaKind::Video).await;
    while viewer.catalogue().await.changed.is_empty() {}
    let content_id = file(1, MediaKind::Video).content_id;
    let plan = viewer.find_peers(content_id).await;

    let mut browser = Browser::open(&tracker).await;
    browser.say(&format!(r#"{{"say":"explain","content_id":"{content_id}"}}"#)).await;
    let explained = loop {
        let update = browser.update().await;
        if !update["tables"]["explained"].is_null() {
            break update["tables"]["explained"].clone();
        }
    };
    assert_eq!(explained["epoch"], plan.epoch);
    assert_eq!(explained["members"][0]["node"], sharer.node().to_string());
    let edge = &explained["edges"][0];
    assert_eq!((edge["viewer"].as_u64(), edge["source"].as_u64()), (Some(1), Some(0)));
    for reason in ["why_source", "why_path"] {
        assert!(edge[reason].as_str().is_some_and(|text| text.len() > 10), "{edge}");
    }

    let (status, drawn) = tracker.get(&format!("/api/swarms/{content_id}")).await;
    assert_eq!(status, 200);
    assert!(!drawn.contains(&sharer.node().to_string()) && !drawn.contains(&viewer.node().to_string()));
    let drawn: Value = serde_json::from_str(&drawn).expect("json");
    assert_eq!(drawn["nodes"].as_array().map(Vec::len), Some(2));
    assert_eq!(drawn["edges"][0]["path"], serde_json::to_value(plan.sources[0].path).expect("json"));
    assert_eq!(tracker.get("/api/swarms/nonsense").await.0, 404);
    assert_eq!(tracker.get(&format!("/api/swarms/{}", file(9, MediaKind::Video).content_id)).await.0, 404);
}

#[actix_rt::test]
async fn messages_are_shown_live_and_filtered_once_somebody_watches() {
    let tracker = Tracker::start().await;
    let viewer = Client::register(&tracker, MediaKind::Video).await;
    assert_eq!(tracker.running.observatory().registry.tap.last_number(), 0, "nobody watches yet");
    let mut browser = Browser::open(&tracker).await;
    browser.say(r#"{"say":"filter","frame":"find"}"#).await;
    browser.say(r#"{"say":"trace","on":true}"#).await;
    browser.update().await;
    viewer.say(FindPeers { content_id: file(7, MediaKind::Video).content_id, playhead_leaf: 3 });
    viewer.say(shared::wire::Ping { nonce: 1 });
    let line = loop {
        let update = browser.update().await;
        if let Some(line) = update["lines"].as_array().and_then(|lines| lines.first()) {
            break line.clone();
        }
    };
    assert_eq!((line["frame"].as_str(), line["direction"].as_str()), (Some("FindPeers"), Some("in")));
    assert_eq!(line["node"], viewer.node().to_string());
    assert!(line["text"].as_str().is_some_and(|text| text.contains("playhead_leaf: 3")), "{line}");
    drop(browser);
    let tap = &tracker.running.observatory().registry.tap;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if tap.watchers() == 0 {
            return;
        }
    }
    panic!("the browser has gone and the trace goes on");
}

#[actix_rt::test]
async fn a_browser_that_asks_for_nothing_is_sent_nothing() {
    let tracker = Tracker::start().await;
    let mut browser = Browser::open(&tracker).await;
    browser.update().await;
    let silence = tokio::time::timeout(Duration::from_millis(1_500), browser.socket.next()).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[actix_rt::test]
async fn nonsense_closes_the_console_of_who_said_it() {
    let tracker = Tracker::start().await;
    let mut browser = Browser::open(&tracker).await;
    browser.say("hello?").await;
    let closed = tokio::time::timeout(SOON, async {
        while let Some(Ok(frame)) = browser.socket.next().await {
            if matches!(frame, Frame::Close(_)) {
                return;
            }
        }
    });
    closed.await.expect("closed");
    Browser::open(&tracker).await.update().await;
}

#[actix_rt::test]
async fn a_console_that_is_off_or_asked_for_by_another_site_is_refused() {
    let tracker = Tracker::start_with(|config| config.console = ConsoleAccess::Off).await;
    assert_eq!(tracker.get("/console").await.0, 403);
    let tracker = Tracker::start().await;
    assert_eq!(tracker.get("/console").await.0, 200);
    let url = tracker.url("/console/ws");
    assert!(awc::Client::default().ws(url).origin("http://evil.example").connect().await.is_err());
}

struct Browser {
    socket: actix_codec::Framed<awc::BoxedSocket, awc::ws::Codec>,
}

impl Browser {
    async fn open(tracker: &Tracker) -> Self {
        let connecting =
            awc::Client::default().ws(tracker.url("/console/ws")).max_frame_size(1 << 20).connect();
        Self { socket: connecting.await.expect("a console").1 }
    }

    async fn say(&mut self, text: &str) {
        self.socket.send(Message::Text(text.to_owned().into())).await.expect("sent");
    }

    async fn update(&mut self) -> Value {
        self.say(r#"{"say":"more"}"#).await;
        let updating = async {
            loop {
                if let Frame::Text(text) =
                    self.socket.next().await.expect("an open console").expect("a frame")
                {
                    return serde_json::from_slice(&text).expect("JSON");
                }
            }
        };
        tokio::time::timeout(SOON, updating).await.expect("an update in time")
    }
}
