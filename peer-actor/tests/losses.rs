//! Chunk scheduler and uploader over a real store: what they do when what is stored is lost, moved or deleted under them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

mod endpoint;
#[path = "store/sample.rs"]
#[allow(dead_code, reason = "the tests of the store need more of it")]
mod sample;

use std::{fs, io, path::PathBuf, sync::Arc};

use actix::{Actor, Addr, Context, Handler};
use endpoint::{Endpoint, within};
use futures_util::StreamExt as _;
use peer_actor::{
    chunk_scheduler::{
        ChunkSchedulerActor, ContentReader, Idlers, LeavesGained, LeavesLost, OpenStream, ReadError,
        SchedulerRoutes, UplinkState,
    },
    discovery::WatchContent,
    mailbox,
    path_planner::{ContentUnwanted, GoodputMeasured, LinkChanged, NodeBanned, UplinkMeasured},
    relay::{RelayLimits, RelayTally, Relays},
    session::{Remote, SessionFrame, SessionId, Side},
    store::{Content, Store, StoreConfig},
    traffic::Traffic,
    transport::{self, LinkEvent, LinkEvents, LinkHandle},
    uploader::{UploaderActor, UploaderRoutes},
};
use sample::Sample;
use shared::{
    ContentId, MediaKind, NodeId,
    snapshot::NetworkFile,
    wire::{Capabilities, Have, Message, Open, PathKind, PeerMessage, Role},
};
use tempfile::TempDir;
use tokio::sync::mpsc;

const MIB: u64 = 1 << 20;

#[actix_rt::test]
async fn what_is_lost_of_a_content_that_was_complete_is_looked_for() {
    let mut node = Node::start();
    let sample = Sample::of(8 * MIB, 1);
    let _reader = node.open(sample.fetch_into(&node.store)).await;
    // What nobody is about to read makes room for others.
    node.store.set_quota_bytes(7 * MIB);
    assert!(node.store.cache_bytes() < sample.size());
    assert_eq!(node.next_watched().await, sample.id);
}

#[actix_rt::test]
async fn a_file_that_was_renamed_while_it_is_played_is_read_where_it_lies_now() {
    let node = Node::start();
    let sample = Sample::of(MIB, 2);
    let old = node.open(node.share(&sample, "old name.flac")).await;
    assert_eq!(old.read_at(0, 100).await.unwrap(), sample.bytes[..100]);
    let renamed = node.share(&sample, "new name.flac");
    let refused = old.read_at(0, 100).await.unwrap_err();
    assert!(matches!(refused, ReadError::Io(error) if error.kind() == io::ErrorKind::NotFound));
    let new = node.open(renamed).await;
    assert_eq!(new.read_at(0, 100).await.unwrap(), sample.bytes[..100]);
}

#[actix_rt::test]
async fn who_follows_a_content_hears_that_it_was_deleted() {
    let node = Node::start();
    let sample = Sample::of(MIB, 3);
    drop(sample.fetch_into(&node.store));
    let uploader = node.uploader();
    let lost = uploader.clone().recipient();
    node.store.on_gone(move |content| mailbox::post(&lost, LeavesLost { content }));
    let mut endpoint = Endpoint::start();
    let (link, mut viewer) = (
        within(5, transport::dial(&endpoint.url(), None)).await.expect("a link").link,
        endpoint.next().await.1,
    );
    uploader.send(up(&link)).await.unwrap();
    let open = Open { content_id: sample.id };
    uploader.send(SessionFrame { frame: Some(open.into()), ..heard(link) }).await.unwrap();
    let before = next_have(&mut viewer).await;
    assert!(before.reset && before.complete);
    node.store.remove_partial(&sample.id);
    let after = next_have(&mut viewer).await;
    assert!(after.reset && !after.complete && after.ranges.is_empty());
}

struct Node {
    dir: TempDir,
    store: Store,
    scheduler: Addr<ChunkSchedulerActor>,
    watched: mpsc::Receiver<ContentId>,
}

impl Node {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let config = StoreConfig { cache_dir: dir.path().join("cache"), quota_bytes: 100 * MIB };
        let store = Store::open(config).unwrap();
        let (asked, watched) = mpsc::channel(8);
        let others = Others(asked).start();
        let routes = SchedulerRoutes {
            watch: Some(others.clone().recipient()),
            hints: None,
            forget: None,
            holdings: None,
            unwanted: others.clone().recipient(),
            banned: others.clone().recipient(),
            goodput: others.clone().recipient(),
            gained: others.clone().recipient(),
            lost: others.clone().recipient(),
            idlers: others.clone().recipient(),
            uploader: others.recipient(),
        };
        let scheduler = ChunkSchedulerActor::new(routes, Traffic::default(), 1).start();
        Self { dir, store, scheduler, watched }
    }

    /// Serves the sample from a file of this name, and of no other from now on.
    fn share(&self, sample: &Sample, name: &str) -> Arc<Content> {
        let path: PathBuf = self.dir.path().join(name);
        fs::write(&path, &sample.bytes).unwrap();
        self.store.add_complete(sample.id, path, sample.size(), sample.pairs.clone()).unwrap()
    }

    async fn open(&self, content: Arc<Content>) -> ContentReader {
        let file = Arc::new(file(&content));
        self.scheduler.send(OpenStream { file, content }).await.unwrap().unwrap()
    }

    /// The content the tracker is asked for next.
    async fn next_watched(&mut self) -> ContentId {
        within(20, self.watched.recv()).await.unwrap()
    }

    fn uploader(&self) -> Addr<UploaderActor> {
        let (asked, _) = mpsc::channel(1);
        let others = Others(asked).start();
        let routes = UploaderRoutes {
            uplink: others.clone().recipient(),
            viewers: others.clone().recipient(),
            opened: others.recipient(),
        };
        let relays = Arc::new(Relays::new(RelayLimits::NONE, RelayTally::default()));
        UploaderActor::new(self.store.clone(), Traffic::default(), 0, relays, routes).start()
    }
}

/// Everybody else: hears what the tracker is asked for, and nothing of the rest.
struct Others(mpsc::Sender<ContentId>);

impl Actor for Others {
    type Context = Context<Self>;
}

impl Handler<WatchContent> for Others {
    type Result = ();

    fn handle(&mut self, asked: WatchContent, _: &mut Self::Context) {
        self.0.try_send(asked.content_id).unwrap();
    }
}

macro_rules! unheard {
    ($($message:ty),+ $(,)?) => {
        $(impl Handler<$message> for Others {
            type Result = ();

            fn handle(&mut self, _: $message, _: &mut Self::Context) {}
        })+
    };
}

unheard!(
    ContentUnwanted,
    GoodputMeasured,
    Idlers,
    LeavesGained,
    LeavesLost,
    NodeBanned,
    SessionFrame,
    UplinkMeasured,
    UplinkState,
);

/// A viewer is reached by a link.
fn up(link: &LinkHandle) -> LinkChanged {
    LinkChanged::Up {
        node: viewer().node,
        remote: viewer(),
        link: link.clone(),
        path: PathKind::Direct,
        address: String::new(),
        rate_hint_bps: 0,
        rtt_us: 0,
    }
}

/// Something from the viewer at the other end of a link.
fn heard(link: LinkHandle) -> SessionFrame {
    SessionFrame { session: SessionId(1), remote: viewer(), link, frame: None, permit: None }
}

fn viewer() -> Arc<Remote> {
    Arc::new(Remote {
        node: NodeId([1; 32]),
        role: Role::Peer,
        kind: Some(MediaKind::Video),
        capabilities: Capabilities::default(),
        agent: "a test".to_owned(),
        side: Side::Dialler,
    })
}

/// What is next said to be held.
async fn next_have(events: &mut LinkEvents) -> Have {
    loop {
        let event = within(5, events.next()).await.expect("a link that stays");
        if let LinkEvent::Frame(frame, _) = event
            && let Message::Peer(PeerMessage::Have(have)) = frame.message
        {
            return have;
        }
    }
}

fn file(content: &Content) -> NetworkFile {
    serde_json::from_value(serde_json::json!({
        "content_id": content.content_id(), "name": "film.mp4", "size": content.size_bytes(), "kind": MediaKind::Video,
        "duration_ms": 60_000, "bitrate": 1_000_000, "codecs": ["h264"], "container": "mp4", "width": 1, "height": 1, "title": "",
        "artist": "", "album": "", "sources": 1, "at_origin": true, "has_cover": false, "is_local": false,
    }))
    .unwrap()
}
