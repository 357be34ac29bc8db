//! Discovery's rules under a virtual clock, against a tracker that is a list of what was said to it.

#![allow(clippy::wildcard_enum_match_arm, reason = "tests look for one thing among many")]

use shared::{
    MediaKind,
    wire::{
        CatalogueDelta, HintsReply, LinkMetric, PathRole, PeerGone, PlannedSource, Registered, Role, Seed,
        TrackerMessage as Said,
    },
};

use super::*;
use crate::{identity::Identity, session::LocalNode, transport::CloseCause};

const FILM: ContentId = ContentId([7; 32]);
const NODE: NodeId = NodeId([3; 32]);

struct World {
    state: DiscoveryState,
    now_ms: u64,
    sessions: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let local = LocalNode {
            identity: Arc::new(Identity::generate().unwrap()),
            role: Role::Peer,
            kind: Some(MediaKind::Video),
            agent: "test".into(),
        };
        let config = DiscoveryConfig {
            tracker_url: "ws://tracker.example:7000/".into(),
            local,
            listen_port: Some(4000),
            addresses: Vec::new(),
            upload_limit_bps: 0,
            relay_limit_bps: 1_000_000,
            seed,
        };
        Self { state: DiscoveryState::new(0, &config, true), now_ms: 0, sessions: 0 }
    }

    fn drain(&mut self) -> Vec<DiscoveryOutput> {
        std::iter::from_fn(|| self.state.poll_output()).collect()
    }

    fn said(&mut self) -> Vec<Said> {
        std::iter::from_fn(|| self.state.poll_send()).collect()
    }

    fn pass(&mut self, ms: u64) -> Vec<DiscoveryOutput> {
        let until_ms = self.now_ms + ms;
        let mut outputs = self.drain();
        while let Some((due_ms, _)) = self.state.poll_timeout().filter(|(due_ms, _)| *due_ms <= until_ms) {
            self.now_ms = due_ms.max(self.now_ms);
            self.state.handle_timeout(self.now_ms);
            outputs.append(&mut self.drain());
        }
        self.now_ms = until_ms;
        outputs
    }

    fn current(&self) -> SessionId {
        SessionId(self.sessions)
    }

    /// Dials when due and opens the session; what is said before the answer to Register.
    fn opens(&mut self) -> Vec<Said> {
        while self.state.link != Link::Dialling {
            let (due_ms, _) = self.state.poll_timeout().unwrap();
            self.pass(due_ms.saturating_sub(self.now_ms));
        }
        self.sessions += 1;
        self.state.handle_dialled(self.current());
        let tracker = "192.0.2.1:7000".parse().ok();
        self.state.handle_opened(self.now_ms, self.current(), tracker);
        self.said()
    }

    fn hears(&mut self, message: impl Into<Said>) -> Vec<DiscoveryOutput> {
        self.state.handle_message(self.now_ms, self.current(), message.into());
        self.drain()
    }

    fn registers(&mut self, files_version: u64) -> Vec<Said> {
        let observed = "198.51.100.1:5000".parse().unwrap();
        self.hears(Said::Registered(Registered { observed, files_version }));
        self.said()
    }

    fn connects(&mut self) -> Vec<Said> {
        let mut said = self.opens();
        said.extend(self.registers(0));
        said
    }

    fn loses(&mut self, reason: &CloseReason) {
        self.state.handle_closed(self.now_ms, self.current(), reason);
    }
}

const LOST: CloseReason = CloseReason::Link(CloseCause::Remote);

#[test]
fn the_endpoint_is_dialled_at_once_and_registered_with_first() {
    let mut world = World::new(1);
    let outputs = world.pass(0);
    assert!(outputs.contains(&DiscoveryOutput::Dial("ws://tracker.example:7000/tracker".into())));
    let said = world.opens();
    let [Said::Register(register)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(register.listen_port, Some(4000));
    assert_eq!(*world.state.status(), TrackerStatus::Connecting);
    world.registers(0);
    assert_eq!(*world.state.status(), TrackerStatus::Connected);
}

#[test]
fn the_first_retry_is_quick_and_a_restarted_tracker_is_found_within_ten_seconds() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        world.connects();
        world.pass(20_000);
        world.loses(&LOST);
        let mut outage_ms = 0;
        for attempt in 0..20 {
            let TrackerStatus::Waiting { retry_ms, .. } = *world.state.status() else { panic!("waits") };
            assert!(attempt > 0 || retry_ms < 500, "first retry after {retry_ms} ms");
            assert!(retry_ms <= 4_000, "a dial of 5 s and this pause stay below ten seconds");
            let dialled = |output: &DiscoveryOutput| matches!(output, DiscoveryOutput::Dial(_));
            assert!(world.pass(retry_ms).iter().any(dialled));
            outage_ms += retry_ms;
            world.state.handle_dial_failed(world.now_ms, "refused");
        }
        assert!(outage_ms > 20_000, "the pauses grow");
    }
}

#[test]
fn a_tracker_that_registers_and_drops_is_not_hammered() {
    let mut world = World::new(1);
    let mut pauses_ms = Vec::new();
    for _ in 0..8 {
        world.connects();
        world.loses(&LOST);
        let TrackerStatus::Waiting { retry_ms, .. } = *world.state.status() else { panic!("waits") };
        pauses_ms.push(retry_ms);
    }
    assert!(pauses_ms[7] >= 2_000, "{pauses_ms:?}");
}

#[test]
fn a_refusal_is_told_and_tried_again_slowly() {
    let mut world = World::new(1);
    world.opens();
    world.loses(&CloseReason::Rejected(RejectReason::Version(9)));
    let reason = "protocol version 9 is spoken here".to_owned();
    assert_eq!(*world.state.status(), TrackerStatus::Refused { reason });
    let dialled = |output: &DiscoveryOutput| matches!(output, DiscoveryOutput::Dial(_));
    assert!(!world.pass(29_999).iter().any(dialled));
    assert!(world.pass(1).iter().any(dialled));
    assert!(matches!(world.state.status(), TrackerStatus::Refused { .. }), "until it is otherwise");
}

#[test]
fn a_full_tracker_is_not_a_refusal() {
    let mut world = World::new(1);
    world.opens();
    world.loses(&CloseReason::Rejected(RejectReason::Full));
    assert!(matches!(world.state.status(), TrackerStatus::Waiting { .. }));
}

#[test]
fn a_tracker_that_does_not_answer_register_is_left() {
    let mut world = World::new(1);
    world.opens();
    let outputs = world.pass(10_000);
    assert!(outputs.contains(&DiscoveryOutput::Close(SessionId(1), GoodbyeReason::Idle)));
    assert!(matches!(world.state.status(), TrackerStatus::Waiting { .. } | TrackerStatus::Connecting));
}

#[test]
fn the_file_list_goes_out_in_batches_with_growing_versions_after_registration() {
    let mut world = World::new(1);
    world.state.handle_own_files((0..150).map(file).collect(), Vec::new());
    assert_eq!(world.opens().len(), 1, "nothing but Register before the answer");
    let deltas = files_said(&world.registers(0));
    assert_eq!(deltas, [(1, true, 64, 0), (2, false, 64, 0), (3, false, 22, 0)]);
    world.state.handle_own_files(vec![file(7), file(200)], vec![file(3).content_id, file(250).content_id]);
    assert_eq!(files_said(&world.said()), [(4, false, 2, 1)], "what was never there need not be taken back");
}

#[test]
fn an_empty_list_is_told_too_and_an_invalid_file_is_not() {
    let mut world = World::new(1);
    world.state.handle_own_files(vec![FileEntry { name: "a/b".into(), ..file(1) }], Vec::new());
    assert_eq!(files_said(&world.connects()), [(1, true, 0, 0)]);
}

#[test]
fn a_tracker_that_kept_the_list_is_told_the_difference_and_any_other_all_of_it() {
    let mut world = World::new(1);
    world.state.handle_own_files((0..3).map(file).collect(), Vec::new());
    world.connects();
    world.loses(&LOST);
    world.state.handle_own_files(vec![file(9)], Vec::new());
    world.opens();
    assert_eq!(files_said(&world.registers(1)), [(2, false, 1, 0)]);
    world.loses(&LOST);
    world.opens();
    assert_eq!(files_said(&world.registers(1)), [(3, true, 4, 0)]);
}

#[test]
fn everything_else_is_said_again_to_a_new_tracker() {
    let mut world = World::new(1);
    world.connects();
    world.state.handle_watch(FILM, 5);
    world.state.handle_watch(ContentId([8; 32]), 0);
    world.state.handle_holdings(Holdings { content_id: FILM, leaves: 40 });
    world.state.handle_report(report(true, 0));
    world.said();
    world.state.handle_watch(FILM, 90);
    world.state.handle_forget(ContentId([8; 32]));
    let said = world.said();
    assert!(matches!(said[..], [Said::ForgetPeers(_), Said::FindPeers(_)]), "{said:?}");
    world.loses(&LOST);
    let said = world.connects();
    let kinds: Vec<_> = said.iter().map(Said::name).collect();
    assert_eq!(kinds, ["Register", "FindPeers", "FilesDelta", "Holdings", "LinkReport"]);
    let Said::FindPeers(find) = &said[1] else { panic!("a find") };
    assert_eq!((find.content_id, find.playhead_leaf), (FILM, 90));
}

#[test]
fn what_is_held_no_longer_is_told_once_and_only_if_more_was_told_before() {
    let mut world = World::new(1);
    world.connects();
    let told = |world: &mut World, leaves| -> Vec<u32> {
        world.state.handle_holdings(Holdings { content_id: FILM, leaves });
        let said = world.said();
        said.iter()
            .filter_map(|said| match said {
                Said::Holdings(holdings) => Some(holdings.leaves),
                _ => None,
            })
            .collect()
    };
    assert_eq!(told(&mut world, 0), [] as [u32; 0]);
    assert_eq!(told(&mut world, 40), [40]);
    assert_eq!(told(&mut world, 0), [0]);
    assert_eq!(told(&mut world, 0), [] as [u32; 0]);
    assert_eq!(told(&mut world, 9), [9]);
}

#[test]
fn the_way_that_is_up_is_told_after_the_ways_that_failed_and_alone_the_next_time() {
    let mut world = World::new(1);
    world.connects();
    let links = vec![metric(PathKind::Direct, true, 0), metric(PathKind::Relayed, false, 2)];
    world.state.handle_report(LinkReport { links, uplink_bps: 0 });
    world.state.handle_report(LinkReport { links: vec![metric(PathKind::Relayed, false, 1)], uplink_bps: 0 });
    let told = |said: &[Said]| -> Vec<_> {
        let report = said.iter().find_map(|said| match said {
            Said::LinkReport(report) => Some(report),
            _ => None,
        });
        report.unwrap().links.iter().map(|link| (link.path, link.failures, link.connected)).collect()
    };
    assert_eq!(told(&world.said()), [(PathKind::Relayed, 3, false), (PathKind::Direct, 0, true)]);
    world.loses(&LOST);
    assert_eq!(told(&world.connects()), [(PathKind::Direct, 0, true)]);
}

#[test]
fn ways_that_were_replaced_take_no_place_from_those_that_are_up() {
    let mut world = World::new(1);
    world.connects();
    let mut told = Vec::new();
    let nodes = (0..2_000_u16).map(|n| {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    });
    for node in nodes.clone() {
        for path in [PathKind::Relayed, PathKind::Direct] {
            let links = vec![LinkMetric { node, ..metric(path, true, 0) }];
            world.state.handle_report(LinkReport { links, uplink_bps: 0 });
            told.extend(links_said(&world.said()));
        }
        let links = vec![LinkMetric { node, ..metric(PathKind::Direct, false, 0) }];
        world.state.handle_report(LinkReport { links, uplink_bps: 0 });
        told.extend(links_said(&world.said()));
    }
    let ways = [(PathKind::Relayed, true), (PathKind::Direct, true), (PathKind::Direct, false)];
    let all: Vec<_> = nodes.flat_map(|node| ways.map(|(path, connected)| (node, path, connected))).collect();
    assert!(told == all, "{} told of {}", told.len(), all.len());
}

#[test]
fn what_is_relayed_is_told_as_it_changes_and_no_byte_twice() {
    let mut world = World::new(1);
    world.connects();
    let told = |world: &mut World, in_use, carried_bytes| -> Vec<(u32, u64)> {
        world.state.handle_relay_use(in_use, carried_bytes);
        let said = world.said();
        let uses = said.iter().map(|said| match said {
            Said::RelayUse(told) => (told.in_use, told.carried_bytes),
            _ => panic!("something else: {said:?}"),
        });
        uses.collect()
    };
    assert_eq!(told(&mut world, 0, 0), []);
    assert_eq!(told(&mut world, 1, 500), [(1, 500)]);
    assert_eq!(told(&mut world, 1, 500), []);
    assert_eq!(told(&mut world, 2, 700), [(2, 200)]);
    world.loses(&LOST);
    let again = world.connects();
    let told_again = again.iter().find_map(|said| match said {
        Said::RelayUse(told) => Some((told.in_use, told.carried_bytes)),
        _ => None,
    });
    assert_eq!(told_again, Some((2, 0)), "a fresh link hears how many there are, and no byte again");
}

#[test]
fn a_grant_is_passed_on_and_its_answer_told() {
    let mut world = World::new(1);
    world.connects();
    let grant = shared::wire::RelayGrant { token: [7; 16], ends: [NODE; 2], valid_ms: 15_000 };
    assert_eq!(world.hears(Said::RelayGrant(grant)), [DiscoveryOutput::Grant(grant)]);
    world.state.handle_granted([7; 16], true);
    let answer = shared::wire::RelayAnswer { token: [7; 16], granted: true };
    assert_eq!(world.said(), [Said::RelayAnswer(answer)]);
}

#[test]
fn epochs_of_plans_grow_over_a_restart_of_the_tracker() {
    let mut world = World::new(1);
    world.connects();
    world.state.handle_watch(FILM, 0);
    let epochs = |outputs: &[DiscoveryOutput]| -> Vec<u64> {
        let plans = outputs.iter().filter_map(|output| match output {
            DiscoveryOutput::Plan(plan) => Some(plan.epoch),
            _ => None,
        });
        plans.collect()
    };
    let first = epochs(&world.hears(plan(900)))[0];
    assert!(epochs(&world.hears(plan(899))).is_empty(), "an older one is ignored");
    world.loses(&LOST);
    world.connects();
    let second = epochs(&world.hears(plan(1)))[0];
    assert!(second > first);
    world.state.handle_forget(FILM);
    let outputs = world.drain();
    let [DiscoveryOutput::Plan(last)] = &outputs[..] else { panic!("{outputs:?}") };
    assert!(last.epoch > second && last.sources.is_empty());
    assert!(world.hears(plan(2)).is_empty(), "a plan for a forgotten content goes no further");
}

#[test]
fn the_catalogue_outlives_the_link_is_sorted_and_of_one_kind() {
    let mut world = World::new(1);
    world.connects();
    let mut sound = entry(3);
    sound.file.kind = MediaKind::Audio;
    let changed = vec![entry(2), entry(1), sound];
    world.hears(Said::CatalogueDelta(CatalogueDelta {
        version: 1,
        reset: true,
        changed,
        removed: Vec::new(),
    }));
    let (files, _) = network(&world.pass(1_000)).unwrap();
    assert_eq!(
        files.iter().map(|entry| entry.file.name.as_str()).collect::<Vec<_>>(),
        ["001.mkv", "002.mkv"]
    );
    world.loses(&LOST);
    let (files, status) = network(&world.pass(0)).unwrap();
    assert_eq!(files.len(), 2);
    assert!(matches!(status, TrackerStatus::Waiting { .. }));
    world.connects();
    let delta = CatalogueDelta { version: 1, reset: true, changed: vec![entry(5)], removed: Vec::new() };
    world.hears(Said::CatalogueDelta(delta));
    assert_eq!(network(&world.pass(1_000)).unwrap().0.len(), 1);
}

#[test]
fn a_burst_of_deltas_is_published_a_few_times() {
    let mut world = World::new(1);
    world.connects();
    world.pass(1_000);
    let mut published = 0;
    for version in 0..500u16 {
        let delta = CatalogueDelta {
            version: u64::from(version),
            reset: false,
            changed: vec![entry(version)],
            removed: Vec::new(),
        };
        world.hears(Said::CatalogueDelta(delta));
        published += usize::from(network(&world.pass(2)).is_some());
    }
    assert!((2..=6).contains(&published), "{published}");
    assert_eq!(network(&world.pass(1_000)).unwrap().0.len(), 500);
}

#[test]
fn hints_are_asked_for_once_kept_and_given_up_after_five_seconds() {
    let mut world = World::new(1);
    world.state.handle_fetch_hints(0, FILM);
    world.state.handle_fetch_hints(0, FILM);
    let said = world.connects();
    assert_eq!(said.iter().filter(|said| matches!(said, Said::GetHints(_))).count(), 1);
    let hints = Hints { time_index: vec![(0, 0), (1_000, 50_000)], ..Hints::default() };
    let reply = HintsReply { content_id: FILM, hints: Some(hints.clone()) };
    let expected = DiscoveryOutput::Hints(FILM, Some(Arc::new(hints)));
    assert_eq!(world.hears(Said::HintsReply(reply.clone())), std::slice::from_ref(&expected));
    assert!(world.hears(Said::HintsReply(reply)).is_empty(), "nobody asked again");
    world.state.handle_fetch_hints(world.now_ms, FILM);
    assert_eq!(world.drain(), [expected]);
    assert!(world.said().is_empty());
    world.state.handle_fetch_hints(world.now_ms, ContentId([8; 32]));
    let given_up = DiscoveryOutput::Hints(ContentId([8; 32]), None);
    assert!(!world.pass(4_999).contains(&given_up));
    assert!(world.pass(1).contains(&given_up));
}

#[test]
fn own_hints_follow_the_list_one_at_a_time_and_not_too_fast() {
    let mut world = World::new(1);
    world.state.handle_own_files((0..30).map(file).collect(), Vec::new());
    world.connects();
    let start_ms = world.now_ms;
    let mut told = 0;
    while told < 30 {
        let outputs = world.pass(10);
        let read: Vec<_> = outputs
            .iter()
            .filter_map(|output| match output {
                DiscoveryOutput::ReadHints(content_id) => Some(*content_id),
                _ => None,
            })
            .collect();
        assert!(read.len() <= 1);
        for content_id in read {
            world.state.handle_own_hints(world.now_ms, content_id, Some(Hints::default()));
            told += world.said().iter().filter(|said| matches!(said, Said::PutHints(_))).count();
        }
    }
    assert!(world.now_ms - start_ms >= 29 * HINTS_INTERVAL_MS);
    assert!(!world.pass(10_000).iter().any(|output| matches!(output, DiscoveryOutput::ReadHints(_))));
}

#[test]
fn a_path_is_refused_at_once_while_the_tracker_is_away() {
    let mut world = World::new(1);
    let refused = PathRefused { node: NODE, kind: PathKind::Relayed };
    world.state.handle_ask_path(NODE, PathKind::Relayed);
    assert!(world.drain().contains(&DiscoveryOutput::Path(PathAnswer::Refused(refused))));
    world.connects();
    world.state.handle_ask_path(NODE, PathKind::Relayed);
    assert!(matches!(world.said()[..], [Said::RequestPath(_)]));
    assert!(world.drain().is_empty());
}

#[test]
fn a_relay_without_an_address_is_at_the_tracker() {
    let mut world = World::new(1);
    world.connects();
    let offer = |kind| PathOffer {
        node: NODE,
        kind,
        role: PathRole::Dial,
        addresses: Vec::new(),
        token: Some([1; 16]),
    };
    let outputs = world.hears(Said::PathOffer(offer(PathKind::Relayed)));
    let [DiscoveryOutput::Path(PathAnswer::Offered(relayed))] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(relayed.addresses, ["192.0.2.1:7000".parse().unwrap()]);
    let outputs = world.hears(Said::PathOffer(offer(PathKind::Reversed)));
    assert_eq!(outputs, [DiscoveryOutput::Path(PathAnswer::Offered(offer(PathKind::Reversed)))]);
}

#[test]
fn an_origin_without_an_address_is_at_the_tracker() {
    let mut world = World::new(1);
    world.connects();
    world.state.handle_watch(FILM, 0);
    world.drain();
    let Said::Plan(mut told) = plan(1) else { unreachable!() };
    for role in [Role::Origin, Role::Peer] {
        told.sources.push(PlannedSource {
            node: NODE,
            role,
            addresses: Vec::new(),
            path: PathKind::Direct,
            rate_bps: 0,
            rtt_us: 0,
            complete: true,
            uploads: true,
            share_bps: 0,
        });
    }
    let outputs = world.hears(Said::Plan(told));
    let [DiscoveryOutput::Plan(passed)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(passed.sources[0].addresses, ["192.0.2.1:7000".parse().unwrap()]);
    assert!(passed.sources[1].addresses.is_empty(), "a peer without an address cannot be dialled");
}

#[test]
fn news_of_an_older_session_change_nothing() {
    let mut world = World::new(1);
    world.connects();
    world.state.handle_closed(world.now_ms, SessionId(99), &LOST);
    world.state.handle_message(world.now_ms, SessionId(99), Said::PeerGone(PeerGone { node: NODE }));
    assert!(!world.drain().contains(&DiscoveryOutput::Gone(NODE)));
    assert_eq!(*world.state.status(), TrackerStatus::Connected);
}

#[test]
fn the_seeds_of_the_catalogue_are_planned_before_the_tracker_answers_and_the_tracker_has_the_last_word() {
    let mut world = World::new(1);
    world.connects();
    let seeds = vec![
        Seed { node: NODE, role: Role::Origin, address: None },
        Seed { node: NodeId([4; 32]), role: Role::Peer, address: "198.51.100.4:4000".parse().ok() },
    ];
    lists(&mut world, seeds);
    let film = file(1).content_id;
    world.state.handle_watch(film, 0);
    assert!(matches!(world.said()[..], [Said::FindPeers(_)]), "the tracker is asked all the same");
    let [DiscoveryOutput::Plan(ahead)] = &world.drain()[..] else { panic!("a plan") };
    let addresses: Vec<String> = ahead.sources.iter().map(|source| source.addresses[0].to_string()).collect();
    assert_eq!(addresses, ["192.0.2.1:7000", "198.51.100.4:4000"]);
    assert!(ahead.sources.iter().all(|source| source.complete));
    // A jump is no new opening.
    world.state.handle_watch(film, 99);
    assert_eq!(world.drain(), []);
    let Said::Plan(told) = plan(1) else { panic!("a plan") };
    let [DiscoveryOutput::Plan(last)] = &world.hears(Said::Plan(Plan { content_id: film, ..told }))[..]
    else {
        panic!("a plan")
    };
    assert!(last.epoch > ahead.epoch && last.sources.is_empty());
}

#[test]
fn a_seed_that_cannot_be_dialled_from_here_is_no_plan() {
    let mut world = World::new(1);
    world.connects();
    let at = |address: &str| Seed { node: NODE, role: Role::Peer, address: address.parse().ok() };
    lists(&mut world, vec![at("127.0.0.1:22"), at("[::ffff:127.0.0.1]:22")]);
    world.state.handle_watch(file(1).content_id, 0);
    assert_eq!(world.drain(), []);
}

#[test]
fn a_tracker_that_speaks_as_a_client_is_left() {
    let mut world = World::new(1);
    world.connects();
    let outputs = world.hears(Said::GetHints(GetHints { content_id: FILM }));
    assert_eq!(outputs, [DiscoveryOutput::Close(SessionId(1), GoodbyeReason::Violation)]);
}

#[test]
fn stopping_says_goodbye_and_nothing_is_due_any_more() {
    let mut world = World::new(1);
    world.connects();
    world.state.handle_stop();
    assert!(world.drain().contains(&DiscoveryOutput::Close(SessionId(1), GoodbyeReason::Leaving)));
    assert_eq!(world.state.poll_timeout(), None);
    world.state.handle_watch(FILM, 0);
    assert!(world.said().is_empty());
}

fn file(n: u16) -> FileEntry {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&n.to_be_bytes());
    FileEntry {
        content_id: ContentId(id),
        name: format!("{n:03}.mkv"),
        size_bytes: 1_000_000,
        kind: MediaKind::Video,
        duration_ms: 8_000,
        bitrate_bps: 1_000_000,
        container: "matroska".into(),
        codecs: vec!["h264".into()],
        width: 640,
        height: 360,
        title: String::new(),
        artist: String::new(),
        album: String::new(),
        has_cover: false,
    }
}

fn entry(n: u16) -> CatalogueEntry {
    CatalogueEntry { file: file(n), sources: 1, at_origin: false, seeds: Vec::new() }
}

/// The tracker lists the first file with these seeds.
fn lists(world: &mut World, seeds: Vec<Seed>) {
    let changed = vec![CatalogueEntry { seeds, ..entry(1) }];
    let delta = CatalogueDelta { version: 1, reset: true, changed, removed: Vec::new() };
    world.hears(Said::CatalogueDelta(delta));
    world.pass(1_000);
}

const fn plan(epoch: u64) -> Said {
    let sources = Vec::new();
    Said::Plan(Plan::of_sources(FILM, epoch, sources))
}

const fn metric(path: PathKind, connected: bool, failures: u32) -> LinkMetric {
    LinkMetric { node: NODE, path, rtt_us: 1_000, goodput_bps: 0, failures, connected }
}

fn report(connected: bool, failures: u32) -> LinkReport {
    LinkReport { links: vec![metric(PathKind::Direct, connected, failures)], uplink_bps: 0 }
}

/// `(node, path, connected)` of every link that was told of.
fn links_said(said: &[Said]) -> Vec<(NodeId, PathKind, bool)> {
    let links = said.iter().filter_map(|said| match said {
        Said::LinkReport(report) => Some(&report.links),
        _ => None,
    });
    links.flatten().map(|link| (link.node, link.path, link.connected)).collect()
}

/// `(version, reset, changed, removed)` of every file delta.
fn files_said(said: &[Said]) -> Vec<(u64, bool, usize, usize)> {
    let deltas = said.iter().filter_map(|said| match said {
        Said::FilesDelta(delta) => {
            Some((delta.version, delta.reset, delta.changed.len(), delta.removed.len()))
        }
        _ => None,
    });
    deltas.collect()
}

fn network(outputs: &[DiscoveryOutput]) -> Option<(Arc<Vec<CatalogueEntry>>, TrackerStatus)> {
    outputs.iter().rev().find_map(|output| match output {
        DiscoveryOutput::Network(files, status) => Some((files.clone(), status.clone())),
        _ => None,
    })
}
