//! Who is asked to relay for whom, and what follows from every answer.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one message among many")]

use shared::{
    ContentId,
    wire::{FindPeers, LinkMetric, LinkReport, PathRefused, Register, RequestPath, Role},
};

use super::*;
use crate::{
    file_index::{HeldFile, HolderChange},
    path_planner::{ClientSays, NodeJoined, NodeLeft, PlannerRequest, ProbeFinished, view::Relay},
};

const CONTENT: ContentId = ContentId([77; 32]);
const BITRATE_BPS: u64 = 4_000_000;
const VIEWER: u8 = 1;
const SOURCE: u8 = 2;

#[test]
fn a_peer_relays_that_has_agreed_and_the_ends_are_told_where() {
    let mut net = Net::new();
    net.relays(7, 8_000_000);
    let grant = net.asks().expect("a peer is asked");
    assert_eq!((grant.relay, grant.ends), (id(7), [id(VIEWER), id(SOURCE)]));
    assert!(net.offers().is_empty(), "nobody is told before the relay knows the token");
    net.answers(7, grant.token, true);
    let offers = net.offers();
    let told: Vec<_> = offers.iter().map(|(to, offer)| (*to, offer.node, offer.role)).collect();
    assert_eq!(told, [(id(SOURCE), id(VIEWER), PathRole::Accept), (id(VIEWER), id(SOURCE), PathRole::Dial)]);
    for (_, offer) in offers {
        assert_eq!((offer.addresses, offer.token), (vec![at(7)], Some(grant.token)));
    }
    assert_eq!(net.here(), 0, "the tracker's line is spared");
    assert_eq!(net.planner.via(&id(SOURCE), &id(VIEWER)), Some(Via::Peer(id(7))));
}

#[test]
fn the_widest_relays_and_among_equals_the_nearest() {
    let mut net = Net::new();
    net.relays(5, 8_000_000).relays(6, 20_000_000).relays(7, 21_000_000).relays(8, 9_000_000);
    net.rtt(5, 1_000).rtt(6, 9_000).rtt(7, 50_000);
    assert_eq!(
        net.asks().map(|grant| grant.relay),
        Some(id(6)),
        "as wide as 7 within the margin, and nearer"
    );
}

#[test]
fn a_round_trip_that_turned_out_shorter_counts_at_once() {
    let mut net = Net::new();
    net.relays(6, 20_000_000).relays(7, 20_000_000);
    net.rtt(6, 9_000).rtt(7, 300_000).rtt(7, 1_000);
    assert_eq!(net.asks().map(|grant| grant.relay), Some(id(7)));
}

#[test]
fn who_is_not_fit_to_relay_is_not_asked() {
    let unfit: [(&str, Make); 8] = [
        ("it relays nothing", |net| _ = net.relays(7, 0)),
        ("its share is too narrow", |net| _ = net.relays(7, BITRATE_BPS)),
        ("its uplink is too narrow", |net| _ = net.relays(7, 8_000_000).uplink(7, 30_000_000)),
        ("it was not dialled yet", |net| _ = net.joins(7, 8_000_000, MediaKind::Video)),
        ("it cannot be dialled", |net| _ = net.relays(7, 8_000_000).probe(7, false)),
        ("it is of the other kind", |net| _ = net.joins(7, 8_000_000, MediaKind::Audio).probe(7, true)),
        ("it is gone", |net| {
            net.relays(7, 8_000_000);
            net.planner.handle_left(0, NodeLeft { node: id(7), session: SessionId(1) });
        }),
        ("it is an end", |net| {
            net.relays(VIEWER, 90_000_000).relays(SOURCE, 90_000_000);
        }),
    ];
    for (why, make) in unfit {
        let mut net = Net::new();
        make(&mut net);
        assert_eq!(net.asks(), None, "{why}");
        assert_eq!(net.here(), 1, "{why}: the tracker relays");
    }
}

#[test]
fn a_relay_is_told_to_none_who_could_not_reach_it() {
    let mut net = Net::new();
    let elsewhere = ["127.0.0.1:40000", "[2001:db8::7]:40000"];
    for observed in elsewhere {
        net.joins_from(7, 8_000_000, MediaKind::Video, observed).probe(7, true);
        assert_eq!(net.asks(), None, "{observed}");
    }
}

#[test]
fn each_relay_is_given_few_and_its_share_is_divided() {
    let mut net = Net::new();
    net.relays(7, 11_000_000);
    for wanted in [true, true, false] {
        let grant = net.asks();
        assert_eq!(
            grant.is_some(),
            wanted,
            "two shares of 5.5 Mbit/s carry 4 with a quarter more, three do not"
        );
        if let Some(grant) = grant {
            net.answers(7, grant.token, true);
        }
        net.forgets_offers();
    }
    net.now_ms += UNREPORTED_MS;
    assert!(net.asks().is_some(), "it says that it carries nothing");
    net.uses(7, PEER_RELAYS as u32, 5_000).relays(8, 900_000_000).uses(8, PEER_RELAYS as u32, 70);
    assert_eq!(net.asks(), None, "every place is taken");
    let known = net.planner.peer_relays();
    assert_eq!((known.offering, known.in_use, known.carried_bytes), (2, 16, 5_070));
}

#[test]
fn who_has_no_room_is_not_asked_again_for_a_while_and_the_tracker_relays() {
    let mut net = Net::new();
    net.relays(7, 8_000_000);
    let grant = net.asks().expect("asked");
    net.answers(7, grant.token, false);
    assert_eq!((net.here(), net.offers().len()), (1, 0));
    assert_eq!(net.asks(), None);
    net.now_ms += BUSY_MS;
    assert!(net.asks().is_some());
}

#[test]
fn who_does_not_answer_in_time_is_passed_over_and_its_late_word_means_nothing() {
    let mut net = Net::new();
    net.relays(7, 8_000_000);
    let grant = net.asks().expect("asked");
    assert_eq!(net.planner.next_grant_ms(), Some(GRANT_MS));
    net.now_ms = GRANT_MS;
    net.planner.handle_timeout(net.now_ms);
    net.drain();
    assert_eq!(net.here(), 1);
    net.answers(7, grant.token, true);
    assert!(net.offers().is_empty());
    assert_eq!(net.planner.next_grant_ms(), None);
}

#[test]
fn an_answer_to_what_another_was_asked_means_nothing() {
    let mut net = Net::new();
    net.relays(7, 8_000_000).relays(8, 2_000_000);
    let grant = net.asks().expect("asked");
    net.answers(8, grant.token, true).answers(7, [9; 16], true);
    assert!(net.offers().is_empty());
    net.answers(7, grant.token, true);
    assert_eq!(net.offers().len(), 2);
}

#[test]
fn a_relay_that_failed_for_a_pair_makes_way_at_once_for_the_tracker_and_for_that_pair_alone() {
    let mut net = Net::new();
    net.relays(7, 80_000_000).relays(8, 60_000_000).joins(3, 0, MediaKind::Video).holds(3);
    let grant = net.asks().expect("asked");
    net.answers(7, grant.token, true);
    assert_eq!(net.asks(), None, "it was of no use");
    assert_eq!(net.here(), 1);
    assert_eq!(net.planner.via(&id(VIEWER), &id(SOURCE)), Some(Via::Tracker));
    net.now_ms += UNREPORTED_MS;
    let other = net.asks_for(VIEWER, 3).expect("asked");
    assert_eq!(other.relay, id(7));
    net.answers(7, other.token, false);
    net.now_ms += FAILED_MS;
    assert_eq!(net.asks().map(|grant| grant.relay), Some(id(7)), "for a while");
}

#[test]
fn a_relay_that_a_viewer_complains_of_is_not_offered_to_it_again_however_long_it_held() {
    let mut net = Net::new();
    net.relays(7, 80_000_000);
    let grant = net.asks().expect("asked");
    net.answers(7, grant.token, true);
    net.now_ms += 100 * SOON_MS;
    net.is_linked(PathKind::Relayed, true);
    assert_eq!(net.asks().map(|grant| grant.relay), Some(id(7)), "asking again late is no complaint");
    let complaint = LinkMetric {
        node: id(SOURCE),
        path: PathKind::Relayed,
        rtt_us: 0,
        goodput_bps: 0,
        failures: 1,
        connected: false,
    };
    net.says(VIEWER, PlannerRequest::Links(LinkReport { links: vec![complaint], uplink_bps: 0 }));
    assert_eq!((net.asks(), net.here()), (None, 1));
}

#[test]
fn where_the_tracker_has_no_room_another_peer_takes_the_place_of_one_that_failed() {
    let mut net = Net::new();
    net.planner.handle_relays(4, 4, 0);
    net.relays(7, 80_000_000).relays(8, 60_000_000);
    let grant = net.asks().expect("asked");
    net.answers(7, grant.token, true);
    assert_eq!(net.asks().map(|grant| grant.relay), Some(id(8)));
}

#[test]
fn the_view_says_who_relays_and_what_comes_next() {
    let mut net = Net::new();
    let edge = |net: &Net| {
        let view = net.planner.view(net.now_ms, (MediaKind::Video, CONTENT)).expect("a swarm");
        let edge = view.edges.into_iter().next().expect("a plan");
        (edge.path, edge.relay, edge.why_path)
    };
    let asked_nobody = (PathKind::Relayed, None, "neither can be dialled".to_owned());
    assert_eq!(edge(&net), asked_nobody);
    net.asks();
    let here = "neither can be dialled; over the tracker".to_owned();
    assert_eq!(edge(&net), (PathKind::Relayed, Some(Relay::Tracker), here));
    net.relays(7, 8_000_000);
    let grant = net.asks().expect("asked");
    net.answers(7, grant.token, true);
    let there = format!("neither can be dialled; over peer {}", id(7).short());
    assert_eq!(edge(&net), (PathKind::Relayed, Some(Relay::Peer), there));
    net.is_linked(PathKind::Relayed, true);
    net.probe(SOURCE, true);
    net.planner.handle_timeout(net.now_ms);
    assert!(edge(&net).2.starts_with("relayed until the better way"), "{:?}", edge(&net));
}

#[test]
fn the_other_end_asking_as_well_is_no_failure() {
    let mut net = Net::new();
    net.relays(7, 80_000_000);
    net.says(SOURCE, PlannerRequest::Find(FindPeers { content_id: CONTENT, playhead_leaf: 0 }));
    let grant = net.asks().expect("asked");
    net.answers(7, grant.token, true);
    assert_eq!(net.asks_for(SOURCE, VIEWER).map(|grant| grant.relay), Some(id(7)));
}

#[test]
fn a_pair_moves_from_the_tracker_to_a_peer_that_appears() {
    let mut net = Net::new();
    assert_eq!(net.asks(), None);
    net.is_linked(PathKind::Relayed, true);
    net.relays(7, 8_000_000);
    assert_eq!(net.passes(9_000), [], "a young connection is left alone");
    let asked = net.passes(1_500);
    assert_eq!(asked.iter().map(|asked| asked.relay).collect::<Vec<_>>(), [id(7)]);
    net.answers(7, asked[0].token, true);
    assert_eq!((net.offers().len(), net.here()), (2, 0));
    assert_eq!(net.passes(60_000), [], "it is done");
}

#[test]
fn a_pair_that_cannot_move_or_needs_not_stays_as_it_is() {
    let mut net = Net::new();
    assert_eq!(net.asks(), None);
    net.is_linked(PathKind::Relayed, true);
    net.relays(7, 8_000_000);
    let asked = net.passes(10_500);
    net.answers(7, asked[0].token, false);
    assert_eq!((net.offers().len(), net.here()), (0, 0), "the link that is up stays");
    let again = net.passes(BUSY_MS + 5_000);
    assert_eq!(again.len(), 1);
    assert_eq!((net.passes(GRANT_MS), net.here()), (vec![], 0), "nor does silence change anything");
    net.is_linked(PathKind::Relayed, false);
    assert_eq!(net.passes(60_000), []);
    assert_eq!(net.planner.poll_timeout(), None, "nobody is relayed any more");
}

#[test]
fn a_viewer_that_is_gone_leaves_no_pair_behind() {
    let mut net = Net::new();
    assert_eq!(net.asks(), None);
    net.relays(7, 8_000_000);
    assert!(net.planner.poll_timeout().is_some());
    net.planner.handle_left(net.now_ms, NodeLeft { node: id(VIEWER), session: SessionId(1) });
    // The shares of who is left are settled.
    net.planner.handle_timeout(net.now_ms);
    assert_eq!(net.planner.poll_timeout(), None);
}

#[test]
fn a_pair_whose_peer_failed_does_not_go_back_to_it_for_a_while() {
    let mut net = Net::new();
    net.relays(7, 8_000_000);
    let grant = net.asks().expect("asked");
    net.answers(7, grant.token, true);
    assert_eq!(net.asks(), None);
    net.is_linked(PathKind::Relayed, true);
    assert_eq!(net.passes(FAILED_MS - 1_000), []);
    assert_eq!(net.passes(5_000).len(), 1);
}

#[test]
fn without_a_token_the_tracker_relays() {
    let mut net = Net::new();
    net.relays(7, 8_000_000);
    net.planner.broker.tokens.clear();
    assert_eq!(net.planner.tokens_wanted(), TOKENS);
    assert_eq!(net.asks(), None);
    assert_eq!(net.here(), 1);
}

#[test]
fn nothing_is_left_of_a_relay_that_answered_or_not() {
    let mut net = Net::new();
    net.relays(7, 900_000_000);
    for n in 0..3 {
        net.asks().expect("asked");
        net.now_ms += 2 * FAILED_MS * n;
        net.planner.handle_timeout(net.now_ms + GRANT_MS);
        net.drain();
        net.now_ms += FAILED_MS + BUSY_MS;
    }
    assert!(net.planner.broker.grants.is_empty() && net.planner.broker.due.is_empty());
    assert_eq!(net.planner.nodes.get(&id(VIEWER)).map(|node| node.offers.len()), Some(1));
}

type Make = fn(&mut Net);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    relay: NodeId,
    token: Token,
    ends: [NodeId; 2],
}

/// A viewer and a source behind routers, and whoever else there is.
struct Net {
    planner: PathPlannerState,
    now_ms: u64,
    outputs: Vec<Output>,
    tokens: u8,
}

impl Net {
    fn new() -> Self {
        let mut net = Self { planner: PathPlannerState::new(1), now_ms: 0, outputs: Vec::new(), tokens: 0 };
        net.planner.handle_relays(0, 64, 200_000_000);
        net.fills_tokens();
        for n in [VIEWER, SOURCE] {
            net.joins(n, 0, MediaKind::Video).probe(n, false);
        }
        net.holds(SOURCE);
        net.says(VIEWER, PlannerRequest::Find(FindPeers { content_id: CONTENT, playhead_leaf: 0 }));
        net.outputs.clear();
        net
    }

    fn relays(&mut self, n: u8, relay_limit_bps: u64) -> &mut Self {
        self.joins(n, relay_limit_bps, MediaKind::Video).probe(n, true)
    }

    fn joins(&mut self, n: u8, relay_limit_bps: u64, kind: MediaKind) -> &mut Self {
        self.joins_from(n, relay_limit_bps, kind, &format!("10.0.0.{n}:40000"))
    }

    fn joins_from(&mut self, n: u8, relay_limit_bps: u64, kind: MediaKind, observed: &str) -> &mut Self {
        let register = Register {
            listen_port: Some(at(n).port()),
            addresses: Vec::new(),
            upload_limit_bps: 0,
            relay_limit_bps,
        };
        let (node, session, role) = (id(n), SessionId(1), Role::Peer);
        let observed = observed.parse().expect("an address");
        let joined = NodeJoined { node, session, role, kind: Some(kind), observed, register };
        self.planner.handle_joined(self.now_ms, joined);
        self
    }

    fn probe(&mut self, n: u8, is_open: bool) -> &mut Self {
        let finished = ProbeFinished { node: id(n), session: SessionId(1), is_open };
        self.planner.handle_probe(self.now_ms, finished);
        self
    }

    fn holds(&mut self, n: u8) -> &mut Self {
        let gained = Some(HeldFile { size_bytes: 64 * 16_384, bitrate_bps: BITRATE_BPS });
        let key = (MediaKind::Video, CONTENT);
        let change = HolderChange { key, node: id(n), session: SessionId(1), gained };
        self.planner.handle_holders(self.now_ms, vec![change]);
        self
    }

    fn rtt(&mut self, n: u8, rtt_us: u32) -> &mut Self {
        self.says(n, PlannerRequest::TrackerRtt(rtt_us))
    }

    fn uplink(&mut self, n: u8, uplink_bps: u64) -> &mut Self {
        let report = LinkReport { links: Vec::new(), uplink_bps };
        self.says(n, PlannerRequest::Links(report))
    }

    fn uses(&mut self, n: u8, in_use: u32, carried_bytes: u64) -> &mut Self {
        self.says(n, PlannerRequest::RelayUse(RelayUse { in_use, carried_bytes }))
    }

    fn answers(&mut self, n: u8, token: Token, granted: bool) -> &mut Self {
        self.outputs.clear();
        self.says(n, PlannerRequest::RelayAnswer(RelayAnswer { token, granted }))
    }

    /// The viewer asks for the source over a relay; which peer is asked then.
    fn asks(&mut self) -> Option<Asked> {
        self.asks_for(VIEWER, SOURCE)
    }

    fn asks_for(&mut self, viewer: u8, source: u8) -> Option<Asked> {
        if !self.planner.broker.tokens.is_empty() {
            self.fills_tokens();
        }
        self.outputs.clear();
        self.says(viewer, PlannerRequest::Path(RequestPath { node: id(source), kind: PathKind::Relayed }));
        self.asked().first().copied()
    }

    fn fills_tokens(&mut self) {
        while self.planner.tokens_wanted() > 0 {
            self.tokens += 1;
            self.planner.handle_token([self.tokens; 16]);
        }
    }

    /// The viewer says whether it is linked with the source.
    fn is_linked(&mut self, path: PathKind, connected: bool) {
        let link = LinkMetric { node: id(SOURCE), path, rtt_us: 9, goodput_bps: 0, failures: 0, connected };
        self.says(VIEWER, PlannerRequest::Links(LinkReport { links: vec![link], uplink_bps: 0 }));
    }

    /// Time passes; which peers are asked meanwhile.
    fn passes(&mut self, ms: u64) -> Vec<Asked> {
        self.outputs.clear();
        let until_ms = self.now_ms + ms;
        while self.now_ms < until_ms {
            self.now_ms = (self.now_ms + 500).min(until_ms);
            self.planner.handle_timeout(self.now_ms);
            self.drain();
        }
        self.asked()
    }

    fn asked(&self) -> Vec<Asked> {
        let asked = self.outputs.iter().filter_map(|output| match output {
            Output::Tell(relay, _, TrackerMessage::RelayGrant(RelayGrant { token, ends, .. })) => {
                Some(Asked { relay: *relay, token: *token, ends: *ends })
            }
            _ => None,
        });
        asked.collect()
    }

    /// As if the pair had never been offered a relay.
    fn forgets_offers(&mut self) {
        self.planner.nodes.iter_mut().for_each(|node| node.offers.clear());
    }

    fn says(&mut self, n: u8, request: PlannerRequest) -> &mut Self {
        self.planner.handle_says(self.now_ms, ClientSays { node: id(n), session: SessionId(1), request });
        self.drain();
        self
    }

    fn drain(&mut self) {
        while let Some(output) = self.planner.poll_output() {
            let refused =
                matches!(&output, Output::Tell(_, _, TrackerMessage::PathRefused(PathRefused { .. })));
            assert!(!refused, "a path was refused");
            self.outputs.push(output);
        }
    }

    /// How often the tracker relays itself.
    fn here(&self) -> usize {
        self.outputs.iter().filter(|output| matches!(output, Output::OfferRelay { .. })).count()
    }

    fn offers(&self) -> Vec<(NodeId, PathOffer)> {
        let offers = self.outputs.iter().filter_map(|output| match output {
            Output::Tell(to, _, TrackerMessage::PathOffer(offer)) => Some((*to, offer.clone())),
            _ => None,
        });
        offers.collect()
    }
}

fn at(n: u8) -> SocketAddr {
    format!("10.0.0.{n}:7701").parse().expect("an address")
}

fn id(n: u8) -> NodeId {
    NodeId([n; 32])
}
