//! A real tracker on a free port and real clients that speak the wire protocol to it over real WebSockets.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test waits for one message among many")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use peer_actor::{
    identity::Identity,
    transport::{Dialled, LinkEvent, LinkEvents, LinkHandle, dial},
};
use shared::{
    ContentId, MediaKind, NodeId,
    wire::{
        Capabilities, CatalogueDelta, Confirm, FileEntry, FilesDelta, FindPeers, Frame, HandshakeMessage,
        Hello, LinkMessage, Message, PROTOCOL_VERSION, Plan, Pong, Register, Registered, Role,
        TrackerMessage, handshake_transcript,
    },
};
use tempfile::TempDir;
use tracker_actor::{
    config::{ConsoleAccess, TrackerConfig},
    server::{self, RunningTracker},
};

/// Longer than anything that should happen at once takes, even on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// A tracker with a data folder of its own.
pub(crate) struct Tracker {
    pub(crate) running: RunningTracker,
    pub(crate) data: TempDir,
}

impl Tracker {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut TrackerConfig)) -> Self {
        // `RUST_LOG=tracker_actor=trace` shows what a failing test's tracker did.
        let logs = tracing_subscriber::EnvFilter::from_default_env();
        let _already = tracing_subscriber::fmt().with_env_filter(logs).with_test_writer().try_init().is_err();
        let data = tempfile::tempdir().expect("a folder");
        let mut config = TrackerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            library: Vec::new(),
            data: data.path().to_owned(),
            console: ConsoleAccess::Loopback,
            max_clients: 20_000,
            max_relays: 64,
            relay_limit_bps: 0,
            upload_limit_bps: 0,
        };
        change(&mut config);
        Self { running: server::start(config).await.expect("a tracker"), data }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address());
        let mut response = awc::Client::default().get(url).send().await.expect("an answer");
        let body = response.body().limit(8 << 20).await.expect("a body");
        (response.status().as_u16(), String::from_utf8_lossy(&body).into_owned())
    }
}

/// A client: answers pings, and keeps what it is told until it is looked at.
pub(crate) struct Client {
    pub(crate) identity: Arc<Identity>,
    pub(crate) link: LinkHandle,
    pub(crate) events: LinkEvents,
    pub(crate) answers_pings: bool,
}

impl Client {
    /// Connects and proves its key.
    pub(crate) async fn connect(tracker: &Tracker, kind: MediaKind) -> Self {
        Self::connect_as(tracker, kind, Identity::generate().expect("a key")).await
    }

    pub(crate) async fn connect_as(tracker: &Tracker, kind: MediaKind, identity: Identity) -> Self {
        let mut client = Self::dial(tracker, identity).await;
        client.greet(Role::Peer, Some(kind)).await;
        client
    }

    pub(crate) async fn dial(tracker: &Tracker, identity: Identity) -> Self {
        let Dialled { link, events, .. } = dial(&tracker.url("/tracker"), None).await.expect("a link");
        Self { identity: Arc::new(identity), link, events, answers_pings: true }
    }

    pub(crate) async fn greet(&mut self, role: Role, kind: Option<MediaKind>) {
        let nonce = [5; 32];
        self.say(self.hello(role, kind));
        let Message::Handshake(HandshakeMessage::Welcome(welcome)) = self.next().await else {
            panic!("a welcome")
        };
        let transcript = handshake_transcript(true, (self.node(), nonce), (welcome.node, welcome.nonce));
        self.say(Confirm { signature: self.identity.sign(&transcript) });
    }

    pub(crate) fn hello(&self, role: Role, kind: Option<MediaKind>) -> Hello {
        Hello {
            version: PROTOCOL_VERSION,
            node: self.node(),
            role,
            kind,
            capabilities: Capabilities::default(),
            nonce: [5; 32],
            agent: "test/1".to_owned(),
        }
    }

    /// Connects, registers without a port to be dialled at, and waits to be told so.
    pub(crate) async fn register(tracker: &Tracker, kind: MediaKind) -> Self {
        let mut client = Self::connect(tracker, kind).await;
        client.register_at(None).await;
        client
    }

    pub(crate) async fn register_at(&mut self, listen_port: Option<u16>) -> Registered {
        self.say(Register { listen_port, addresses: Vec::new(), upload_limit_bps: 0, relay_limit_bps: 0 });
        self.find_map(|message| match message {
            TrackerMessage::Registered(registered) => Some(registered),
            _ => None,
        })
        .await
    }

    pub(crate) fn node(&self) -> NodeId {
        self.identity.node_id()
    }

    pub(crate) fn say(&self, frame: impl Into<Frame>) {
        self.link.try_send(frame).expect("room on the link");
    }

    pub(crate) fn share(&self, version: u64, files: &[FileEntry]) {
        self.say(FilesDelta { version, reset: version == 1, changed: files.to_vec(), removed: Vec::new() });
    }

    pub(crate) async fn find_peers(&mut self, content_id: ContentId) -> Plan {
        self.say(FindPeers { content_id, playhead_leaf: 0 });
        self.plan_where(|plan| plan.content_id == content_id).await
    }

    pub(crate) async fn plan_where(&mut self, wanted: impl Fn(&Plan) -> bool) -> Plan {
        self.find_map(|message| match message {
            TrackerMessage::Plan(plan) if wanted(&plan) => Some(plan),
            _ => None,
        })
        .await
    }

    pub(crate) async fn catalogue(&mut self) -> CatalogueDelta {
        self.find_map(|message| match message {
            TrackerMessage::CatalogueDelta(delta) => Some(delta),
            _ => None,
        })
        .await
    }

    /// Waits for a message of the tracker's conversation that is wanted; others pass.
    pub(crate) async fn find_map<T>(&mut self, wanted: impl Fn(TrackerMessage) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Message::Tracker(message) = self.next().await
                    && let Some(found) = wanted(message)
                {
                    return found;
                }
            }
        };
        tokio::time::timeout(SOON, found).await.expect("told in time")
    }

    /// The next message, pings answered.
    pub(crate) async fn next(&mut self) -> Message {
        self.try_next().await.expect("the link is open")
    }

    /// The next message, or none when the link has closed.
    pub(crate) async fn try_next(&mut self) -> Option<Message> {
        loop {
            match self.events.next().await? {
                LinkEvent::Frame(frame, _) => match frame.message {
                    Message::Link(LinkMessage::Ping(ping)) => {
                        if self.answers_pings {
                            self.say(Pong { nonce: ping.nonce });
                        }
                    }
                    message => return Some(message),
                },
                LinkEvent::Drained => {}
                LinkEvent::Closed(_) => return None,
            }
        }
    }

    /// Everything told within a while.
    pub(crate) async fn listen(&mut self, during: Duration) -> Vec<Message> {
        let mut heard = Vec::new();
        let until = tokio::time::Instant::now() + during;
        while let Ok(message) = tokio::time::timeout_at(until, self.next()).await {
            heard.push(message);
        }
        heard
    }

    /// Waits until the tracker closes the link; what was said last.
    pub(crate) async fn closed(&mut self) -> Option<Message> {
        let closing = async {
            let mut last = None;
            while let Some(message) = self.try_next().await {
                last = Some(message);
            }
            last
        };
        tokio::time::timeout(Duration::from_secs(20), closing).await.expect("the tracker closes the link")
    }
}

pub(crate) fn file(n: u8, kind: MediaKind) -> FileEntry {
    FileEntry {
        content_id: ContentId([n; 32]),
        name: format!("{n}.{}", if kind == MediaKind::Video { "mp4" } else { "flac" }),
        size_bytes: 1_000_000,
        kind,
        duration_ms: 60_000,
        bitrate_bps: 133_333,
        container: "mp4".to_owned(),
        codecs: vec!["h264".to_owned()],
        width: 640,
        height: 360,
        title: String::new(),
        artist: String::new(),
        album: String::new(),
        has_cover: false,
    }
}
