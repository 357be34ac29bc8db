//! Path planners over real WebSockets on loopback: links come up, are lost, doubled, refused and banned.

#![allow(clippy::wildcard_enum_match_arm, reason = "tests look for one thing among many")]

mod endpoint;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use actix::{Actor, Addr, Context, Handler};
use endpoint::{Endpoint, serve, within};
use futures_util::StreamExt as _;
use peer_actor::{
    discovery::{AskPath, PathAnswer, PlanArrived},
    identity::Identity,
    path_planner::{
        ContentUnwanted, LinkChanged, NodeBanned, PathPlannerActor, PathPlannerConfig, PathPlannerRoutes,
        Stop,
    },
    session::{LocalNode, SessionFrame},
    transport::{self, Dialled, LinkEvent, LinkHandle},
};
use shared::{
    ContentId, MediaKind, NodeId,
    wire::{
        self, GoodbyeReason, Message, PathKind, PathOffer, PathRefused, PathRole, PeerMessage, Plan,
        PlannedSource, Role,
    },
};
use tokio::sync::mpsc;

const FILM: ContentId = ContentId([7; 32]);

/// Collects what a planner tells; frames for the viewer and the source arrive beside the changes they must not overtake.
struct Listener(mpsc::Sender<Told>);

#[derive(Debug)]
enum Told {
    Change(LinkChanged),
    Frame(SessionFrame),
    Asked(AskPath),
}

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<LinkChanged> for Listener {
    type Result = ();

    fn handle(&mut self, change: LinkChanged, _: &mut Context<Self>) {
        self.0.try_send(Told::Change(change)).expect("a reader");
    }
}

impl Handler<SessionFrame> for Listener {
    type Result = ();

    fn handle(&mut self, frame: SessionFrame, _: &mut Context<Self>) {
        if frame.frame.is_some() {
            self.0.try_send(Told::Frame(frame)).expect("a reader");
        }
    }
}

impl Handler<AskPath> for Listener {
    type Result = ();

    fn handle(&mut self, ask: AskPath, _: &mut Context<Self>) {
        self.0.try_send(Told::Asked(ask)).expect("a reader");
    }
}

/// A planner with an endpoint of its own.
struct Peer {
    node: NodeId,
    address: SocketAddr,
    planner: Addr<PathPlannerActor>,
    told: mpsc::Receiver<Told>,
    /// Who is linked, as far as what was told has been read.
    linked: BTreeSet<NodeId>,
    server: actix_web::dev::ServerHandle,
}

impl Peer {
    fn start() -> Self {
        Self::of_kind(MediaKind::Video)
    }

    fn of_kind(kind: MediaKind) -> Self {
        let identity = Arc::new(Identity::generate().expect("a key"));
        let node = identity.node_id();
        let local = LocalNode { identity, role: Role::Peer, kind: Some(kind), agent: "test".into() };
        let (sender, told) = mpsc::channel(4096);
        let listener = Listener(sender).start();
        let routes = PathPlannerRoutes {
            ask_path: Some(listener.clone().recipient()),
            report: None,
            links: vec![listener.clone().recipient()],
            to_viewer: listener.clone().recipient(),
            to_source: listener.recipient(),
        };
        let config = PathPlannerConfig { local, can_accept: true, seed: 1 };
        let planner = PathPlannerActor::new(config.clone(), routes).start();
        let Endpoint { address, server, .. } =
            Endpoint::of_peer(config.local.clone(), planner.clone().recipient());
        Self { node, address, planner, told, linked: BTreeSet::new(), server }
    }

    async fn wants(&self, sources: Vec<PlannedSource>, epoch: u64) {
        let plan = Plan::of_sources(FILM, epoch, sources);
        self.planner.send(PlanArrived(plan)).await.expect("a planner");
    }

    fn as_source(&self, path: PathKind) -> PlannedSource {
        PlannedSource {
            node: self.node,
            role: Role::Peer,
            addresses: vec![self.address],
            path,
            rate_bps: 1_000_000,
            rtt_us: 500,
            complete: true,
            uploads: true,
            share_bps: 0,
        }
    }

    /// The next thing told that `pick` takes.
    async fn next<T>(&mut self, mut pick: impl FnMut(Told) -> Option<T>) -> T {
        within(10, async {
            loop {
                let told = self.told.recv().await.expect("a planner");
                self.note(&told);
                if let Some(picked) = pick(told) {
                    return picked;
                }
            }
        })
        .await
    }

    async fn up(&mut self) -> (NodeId, PathKind, LinkHandle) {
        self.next(|told| match told {
            Told::Change(LinkChanged::Up { node, path, link, .. }) => Some((node, path, link)),
            Told::Change(LinkChanged::Down { node }) => panic!("{node:?} went down"),
            _ => None,
        })
        .await
    }

    async fn down(&mut self) -> NodeId {
        self.next(|told| match told {
            Told::Change(LinkChanged::Down { node }) => Some(node),
            _ => None,
        })
        .await
    }

    /// Every change of links that is told while `ms` pass.
    async fn changes_within(&mut self, ms: u64) -> Vec<&'static str> {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let mut changes = Vec::new();
        while let Ok(told) = self.told.try_recv() {
            self.note(&told);
            match told {
                Told::Change(LinkChanged::Up { .. }) => changes.push("up"),
                Told::Change(LinkChanged::Down { .. }) => changes.push("down"),
                _ => {}
            }
        }
        changes
    }

    fn note(&mut self, told: &Told) {
        match told {
            Told::Change(LinkChanged::Up { node, .. }) => self.linked.insert(*node),
            Told::Change(LinkChanged::Down { node }) => self.linked.remove(node),
            _ => return,
        };
    }

    fn linked_to(&mut self) -> Vec<NodeId> {
        while let Ok(told) = self.told.try_recv() {
            self.note(&told);
        }
        self.linked.iter().copied().collect()
    }
}

#[actix_rt::test]
async fn a_planned_source_is_linked_directly_and_frames_flow_both_ways_after_that() {
    let (mut viewer, mut source) = (Peer::start(), Peer::start());
    viewer.wants(vec![source.as_source(PathKind::Direct)], 1).await;
    let (node, path, link) = viewer.up().await;
    assert_eq!((node, path), (source.node, PathKind::Direct));
    link.try_send(wire::Open { content_id: FILM }).expect("room");
    // The source hears of the link before it hears anything on it.
    let (node, _, back) = source.up().await;
    assert_eq!(node, viewer.node);
    let asked = |told| match told {
        Told::Frame(SessionFrame { remote, frame: Some(frame), .. }) => match frame.message {
            Message::Peer(PeerMessage::Open(open)) => Some((remote.node, open.content_id)),
            _ => None,
        },
        _ => None,
    };
    assert_eq!(source.next(asked).await, (viewer.node, FILM));
    let refuse = wire::Refuse { id: 0, content_id: FILM, reason: wire::RefuseReason::NotHere };
    back.try_send(refuse).expect("room");
    let refused = |told| match told {
        Told::Frame(SessionFrame { frame: Some(frame), .. }) => {
            matches!(frame.message, Message::Peer(PeerMessage::Refuse(_))).then_some(())
        }
        _ => None,
    };
    viewer.next(refused).await;
    let measured = |told| match told {
        Told::Change(LinkChanged::Measured { node, rtt_us }) => Some((node, rtt_us)),
        _ => None,
    };
    assert_eq!(viewer.next(measured).await.0, source.node);
}

#[actix_rt::test]
async fn a_source_that_is_cut_off_is_noticed_within_a_second_and_linked_again() {
    let (mut viewer, mut source) = (Peer::start(), Peer::start());
    viewer.wants(vec![source.as_source(PathKind::Direct)], 1).await;
    viewer.up().await;
    let (_, _, theirs) = source.up().await;
    // As when its process dies: the socket closes without a word.
    theirs.cut();
    assert_eq!(within(1, viewer.down()).await, source.node);
    assert_eq!(within(1, source.down()).await, viewer.node);
    let (node, ..) = within(5, viewer.up()).await;
    assert_eq!(node, source.node);
}

#[actix_rt::test]
async fn a_source_that_stops_says_so_and_is_not_hammered() {
    let (mut viewer, mut source) = (Peer::start(), Peer::start());
    viewer.wants(vec![source.as_source(PathKind::Direct)], 1).await;
    viewer.up().await;
    source.up().await;
    source.planner.send(Stop).await.expect("a planner");
    source.server.stop(false).await;
    assert_eq!(within(1, viewer.down()).await, source.node);
    assert!(viewer.changes_within(1_000).await.is_empty());
    assert!(viewer.linked_to().is_empty());
}

#[actix_rt::test]
async fn nodes_that_dial_each_other_at_once_end_with_one_link_and_no_gap() {
    for _ in 0..5 {
        let (mut one, mut two) = (Peer::start(), Peer::start());
        let (to_one, to_two) = (one.as_source(PathKind::Direct), two.as_source(PathKind::Direct));
        tokio::join!(one.wants(vec![to_two], 1), two.wants(vec![to_one], 1));
        one.up().await;
        two.up().await;
        for peer in [&mut one, &mut two] {
            assert!(!peer.changes_within(700).await.contains(&"down"));
        }
        assert_eq!((one.linked_to(), two.linked_to()), (vec![two.node], vec![one.node]));
        // Both mean the same link: what one closes, the other loses.
        one.planner.send(NodeBanned { node: two.node, reason: "test".into() }).await.expect("a planner");
        assert_eq!(within(1, two.down()).await, one.node);
    }
}

#[actix_rt::test]
async fn a_banned_node_is_dropped_and_stays_out() {
    let (mut viewer, mut source) = (Peer::start(), Peer::start());
    viewer.wants(vec![source.as_source(PathKind::Direct)], 1).await;
    viewer.up().await;
    source.up().await;
    let banned = NodeBanned { node: source.node, reason: "wrong bytes".into() };
    viewer.planner.send(banned).await.expect("a planner");
    assert_eq!(within(1, viewer.down()).await, source.node);
    assert_eq!(within(1, source.down()).await, viewer.node);
    source.wants(vec![viewer.as_source(PathKind::Direct)], 1).await;
    viewer.wants(vec![source.as_source(PathKind::Direct)], 2).await;
    assert!(!viewer.changes_within(1_500).await.contains(&"up"));
    assert!(viewer.linked_to().is_empty());
}

#[actix_rt::test]
async fn the_other_kind_is_not_linked() {
    let (mut viewer, mut source) = (Peer::start(), Peer::of_kind(MediaKind::Audio));
    viewer.wants(vec![source.as_source(PathKind::Direct)], 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(viewer.linked_to().is_empty() && source.linked_to().is_empty());
}

#[actix_rt::test]
async fn an_address_where_nobody_answers_costs_a_quarter_of_a_second() {
    let (mut viewer, source) = (Peer::start(), Peer::start());
    // A socket that accepts and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addresses = vec![silent.local_addr().expect("bound"), source.address];
    let source = PlannedSource { addresses, ..source.as_source(PathKind::Direct) };
    viewer.wants(vec![source], 1).await;
    within(2, viewer.up()).await;
}

#[actix_rt::test]
async fn a_source_that_cannot_be_dialled_is_reached_by_its_own_dial() {
    let (mut viewer, mut source) = (Peer::start(), Peer::start());
    let hidden = PlannedSource { addresses: Vec::new(), ..source.as_source(PathKind::Reversed) };
    viewer.wants(vec![hidden], 1).await;
    let asked = |told| match told {
        Told::Asked(ask) => Some(ask),
        _ => None,
    };
    assert_eq!(viewer.next(asked).await, AskPath { node: source.node, kind: PathKind::Reversed });
    let offer = PathOffer {
        node: viewer.node,
        kind: PathKind::Reversed,
        role: PathRole::Dial,
        addresses: vec![viewer.address],
        token: None,
    };
    source.planner.send(PathAnswer::Offered(offer)).await.expect("a planner");
    assert_eq!(viewer.up().await.1, PathKind::Reversed);
    assert_eq!(source.up().await.1, PathKind::Reversed);
}

#[actix_rt::test]
async fn two_nodes_that_cannot_be_dialled_meet_at_a_relay_and_find_a_direct_path_later() {
    let (mut viewer, mut source) = (Peer::start(), Peer::start());
    let relay = relay();
    let hidden = PlannedSource { addresses: Vec::new(), ..source.as_source(PathKind::Reversed) };
    viewer.wants(vec![hidden], 1).await;
    let refused = PathRefused { node: source.node, kind: PathKind::Reversed };
    viewer.planner.send(PathAnswer::Refused(refused)).await.expect("a planner");
    let offer = |node, role| {
        let token = Some([0xab; 16]);
        PathAnswer::Offered(PathOffer { node, kind: PathKind::Relayed, role, addresses: vec![relay], token })
    };
    viewer.planner.send(offer(source.node, PathRole::Dial)).await.expect("a planner");
    source.planner.send(offer(viewer.node, PathRole::Accept)).await.expect("a planner");
    assert_eq!(viewer.up().await.1, PathKind::Relayed);
    assert_eq!(source.up().await.1, PathKind::Relayed);
    // The tracker learned an address: the link moves over without going down.
    viewer.wants(vec![source.as_source(PathKind::Direct)], 2).await;
    assert_eq!(viewer.up().await.1, PathKind::Direct);
    assert_eq!(source.up().await.1, PathKind::Direct);
    assert!(viewer.changes_within(700).await.is_empty() && source.changes_within(10).await.is_empty());
    assert_eq!(viewer.linked_to(), [source.node]);
}

#[actix_rt::test]
async fn a_connection_that_says_nothing_is_dropped_after_the_handshake_time() {
    let peer = Peer::start();
    let Dialled { link: _link, mut events, .. } =
        transport::dial(&format!("ws://{}/peer", peer.address), None).await.expect("a link");
    let closed = within(7, async {
        while let Some(event) = events.next().await {
            if let LinkEvent::Closed(cause) = event {
                return cause;
            }
        }
        panic!("a link ends with a reason");
    });
    assert_eq!(closed.await, transport::CloseCause::Remote);
}

#[actix_rt::test]
async fn a_link_that_is_left_says_goodbye() {
    let (mut viewer, source) = (Peer::start(), Peer::start());
    viewer.wants(vec![source.as_source(PathKind::Direct)], 1).await;
    viewer.up().await;
    viewer.planner.send(ContentUnwanted { content_id: FILM }).await.expect("a planner");
    assert!(!viewer.changes_within(300).await.contains(&"down"), "an unwanted link is kept for a while");
    viewer.planner.send(Stop).await.expect("a planner");
    let mut source = source;
    assert_eq!(within(1, source.down()).await, viewer.node);
}

/// Splices the two connections that are opened to it, as a tracker does, byte for byte above the WebSocket.
fn relay() -> SocketAddr {
    use actix_web::{HttpRequest, web};
    let (sender, mut ends) = mpsc::channel(16);
    let (address, _) = serve(move |app| {
        let sender = sender.clone();
        let join = move |request: HttpRequest, payload: web::Payload| {
            let sender = sender.clone();
            async move {
                let (response, link, events) = transport::accept(&request, payload)?;
                sender.send((link, events)).await.map_err(actix_web::error::ErrorInternalServerError)?;
                Ok::<_, actix_web::Error>(response)
            }
        };
        app.route("/relay/{token}", web::get().to(join));
    });
    actix_rt::spawn(async move {
        let (Some((one, mut from_one)), Some((two, mut from_two))) = (ends.recv().await, ends.recv().await)
        else {
            return;
        };
        let pass = |event: Option<LinkEvent>, to: &LinkHandle| match event {
            Some(LinkEvent::Frame(frame, _)) => to.try_send(frame).is_ok(),
            Some(LinkEvent::Drained) => true,
            Some(LinkEvent::Closed(_)) | None => false,
        };
        loop {
            let goes_on = tokio::select! {
                event = from_one.next() => pass(event, &two),
                event = from_two.next() => pass(event, &one),
            };
            if !goes_on {
                one.cut();
                return two.cut();
            }
        }
    });
    address
}

/// A goodbye is understood on a bare link too.
#[actix_rt::test]
async fn a_goodbye_before_the_handshake_ends_the_session() {
    let mut peer = Peer::start();
    let Dialled { link, mut events, .. } =
        transport::dial(&format!("ws://{}/peer", peer.address), None).await.expect("a link");
    link.try_send(wire::Goodbye { reason: GoodbyeReason::Leaving }).expect("room");
    within(2, async {
        while events.next().await.is_some_and(|event| !matches!(event, LinkEvent::Closed(_))) {}
    })
    .await;
    assert!(peer.linked_to().is_empty());
}
