//! The tracker's planner: a plan for every viewer of a crowd, one more when the crowd is there, and the plans that a node's going changes.
//! And the shares of uplinks: 10,000 receivers with ten ways each, from scratch and after one uplink has changed.
//!
//! Crowds are on one content, the worst case: everybody is a candidate for everybody.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shared::{
    ContentId, MediaKind, NodeId,
    wire::{FindPeers, LinkReport, Register, Role},
};
use tracker_actor::{
    file_index::{HeldFile, HolderChange},
    path_planner::{
        ClientSays, NodeJoined, NodeLeft, PathPlannerState, PlannerRequest, ProbeFinished,
        shares::{LineId, Shares, Way},
    },
    registry::SessionId,
};

const CONTENT: ContentId = ContentId([9; 32]);
const SIZE_BYTES: u64 = 1 << 30;

fn crowd(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan a crowd");
    group.sample_size(10);
    for viewers in [100u32, 1_000, 10_000] {
        group.throughput(Throughput::Elements(viewers.into()));
        group.bench_function(BenchmarkId::from_parameter(viewers), |bencher| {
            bencher.iter_batched(
                || joined(viewers),
                |mut planner| {
                    let told: usize = (0..viewers).map(|n| find(&mut planner, n)).sum();
                    let told = told + finish(&mut planner);
                    (planner, told)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn one_more(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan one viewer more");
    for viewers in [100u32, 1_000, 10_000] {
        let mut planner = joined(viewers + 1);
        (0..viewers).for_each(|n| _ = find(&mut planner, n));
        finish(&mut planner);
        group.bench_function(BenchmarkId::from_parameter(viewers), |bencher| {
            bencher.iter(|| find(&mut planner, viewers));
        });
    }
    group.finish();
}

/// A node of everybody's choice goes and comes again: those whose plans name it are planned for anew.
fn one_change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan after one has gone");
    for viewers in [100u32, 1_000, 10_000] {
        let mut planner = joined(viewers);
        (0..viewers).for_each(|n| _ = find(&mut planner, n));
        finish(&mut planner);
        let mut n = 0;
        group.bench_function(BenchmarkId::from_parameter(viewers), |bencher| {
            bencher.iter(|| {
                n = (n + 1) % viewers;
                planner.handle_left(0, NodeLeft { node: id(n), session: SessionId(1) });
                join(&mut planner, n);
                find(&mut planner, n);
                finish(&mut planner)
            });
        });
    }
    group.finish();
}

/// Everybody plays a film of its own, of which ten others have everything: 100,000 paths, and whose uplink is for whom. What follows the first
/// plans is spread over seconds.
fn library(criterion: &mut Criterion) {
    const VIEWERS: u32 = 10_000;
    let mut group = criterion.benchmark_group("plan and share a library of 10,000");
    group.sample_size(10);
    for (name, follow_up) in [("from scratch", false), ("from scratch until nothing moves", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || stocked(VIEWERS),
                |mut planner| {
                    let told: usize = (0..VIEWERS).map(|n| find_own(&mut planner, n)).sum();
                    let told = told + if follow_up { finish(&mut planner) } else { 0 };
                    (planner, told)
                },
                BatchSize::PerIteration,
            );
        });
    }
    let mut planner = stocked(VIEWERS);
    (0..VIEWERS).for_each(|n| _ = find_own(&mut planner, n));
    finish(&mut planner);
    group.sample_size(100);
    let mut n = 0u32;
    group.bench_function("one uplink changes", |bencher| {
        bencher.iter(|| {
            n += 1;
            let report = LinkReport {
                links: Vec::new(),
                uplink_bps: 3_000_000 + u64::from((n + n / VIEWERS) % 5) * 2_000_000,
            };
            let request = PlannerRequest::Links(report);
            let node = id(n.wrapping_mul(7_919) % VIEWERS);
            planner.handle_says(0, ClientSays { node, session: SessionId(1), request });
            finish(&mut planner)
        });
    });
    group.bench_function("one has gone and is back", |bencher| {
        bencher.iter(|| {
            n = (n + 1) % VIEWERS;
            planner.handle_left(0, NodeLeft { node: id(n), session: SessionId(1) });
            stock(&mut planner, n, VIEWERS);
            find_own(&mut planner, n);
            finish(&mut planner)
        });
    });
    group.bench_function("one request", |bencher| {
        bencher.iter(|| {
            n = (n + 1) % VIEWERS;
            find_own(&mut planner, n)
        });
    });
    group.finish();
}

fn shares(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("share 100,000 ways");
    group.sample_size(10);
    group.bench_function("from scratch", |bencher| {
        bencher.iter_batched(
            || swarm(10_000, 10).0,
            |mut shares| {
                shares.balance();
                shares
            },
            BatchSize::PerIteration,
        );
    });
    let (mut shares, lines) = swarm(10_000, 10);
    shares.balance();
    let mut change = 0u32;
    group.sample_size(100);
    group.bench_function("one uplink changes", |bencher| {
        bencher.iter(|| {
            change += 1;
            let line = change.wrapping_mul(7_919) % 10_000;
            shares.set_capacity(
                lines[line as usize],
                600_000 + u64::from((change + change / 10_000) % 5) * 300_000,
            );
            while !shares.settle(1_000) {}
        });
    });
    group.finish();
}

/// So many receivers that are sources of each other, a quarter of the ways relayed; uplinks are half of what is wanted.
fn swarm(receivers: u32, fan_in: u32) -> (Shares, Vec<LineId>) {
    let mut shares = Shares::default();
    let hash = |n: u32| n.wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(2_246_822_519) >> 8;
    let uplink = |n: u32| 500_000 + u64::from(hash(n) % 2_000_000);
    let lines: Vec<LineId> = (0..receivers).map(|n| shares.add_line(uplink(n), false)).collect();
    for n in 0..receivers {
        let ways = (0..fan_in).map(|k| {
            let [source, relay] = [2 * k, 2 * k + 1].map(|salt| hash(n * 64 + salt) % receivers);
            let is_relayed = k % 4 == 3 && source != relay;
            let crossed = [lines[source as usize], lines[relay as usize]];
            Way::new(&crossed[..if is_relayed { 2 } else { 1 }], None)
        });
        let (ways, receiver) = (ways.collect(), shares.add_receiver());
        shares.set_ways(receiver, 3_000_000, ways);
    }
    (shares, lines)
}

/// A planner with an origin that has the file and nodes that want it.
fn joined(nodes: u32) -> PathPlannerState {
    let mut planner = PathPlannerState::new(1);
    planner.handle_joined(0, node_joined(u32::MAX, Role::Origin));
    let gained = Some(HeldFile { size_bytes: SIZE_BYTES, bitrate_bps: 4_000_000 });
    let key = (MediaKind::Video, CONTENT);
    planner.handle_holders(0, vec![HolderChange { key, node: id(u32::MAX), session: SessionId(1), gained }]);
    (0..nodes).for_each(|n| join(&mut planner, n));
    drain(&mut planner);
    planner
}

/// A node comes, and whether it can be dialled is found out.
fn join(planner: &mut PathPlannerState, n: u32) {
    planner.handle_joined(0, node_joined(n, Role::Peer));
    let is_open = !n.is_multiple_of(3);
    planner.handle_probe(0, ProbeFinished { node: id(n), session: SessionId(1), is_open });
}

/// A planner with nodes that each have ten of the films the others want, and uplinks near what is wanted.
fn stocked(nodes: u32) -> PathPlannerState {
    let mut planner = PathPlannerState::new(1);
    (0..nodes).for_each(|n| stock(&mut planner, n, nodes));
    drain(&mut planner);
    planner
}

fn stock(planner: &mut PathPlannerState, n: u32, nodes: u32) {
    let node = id(n);
    join(planner, n);
    let report = LinkReport { links: Vec::new(), uplink_bps: 3_000_000 + u64::from(n % 7) * 500_000 };
    let request = PlannerRequest::Links(report);
    planner.handle_says(0, ClientSays { node, session: SessionId(1), request });
    let gained = Some(HeldFile { size_bytes: SIZE_BYTES, bitrate_bps: 4_000_000 });
    let films = (1..=10).map(|k| film((n + k * k * 97) % nodes));
    let changes =
        films.map(|film| HolderChange { key: (MediaKind::Video, film), node, session: SessionId(1), gained });
    planner.handle_holders(0, changes.collect());
}

fn film(n: u32) -> ContentId {
    ContentId(id(n).0)
}

fn find_own(planner: &mut PathPlannerState, n: u32) -> usize {
    let request = PlannerRequest::Find(FindPeers { content_id: film(n), playhead_leaf: 0 });
    planner.handle_says(0, ClientSays { node: id(n), session: SessionId(1), request });
    drain(planner)
}

fn find(planner: &mut PathPlannerState, n: u32) -> usize {
    let playhead_leaf = n.wrapping_mul(2_654_435_761) % 65_536;
    let request = PlannerRequest::Find(FindPeers { content_id: CONTENT, playhead_leaf });
    planner.handle_says(0, ClientSays { node: id(n), session: SessionId(1), request });
    drain(planner)
}

/// Lets the planner make every plan that is due, now or later.
fn finish(planner: &mut PathPlannerState) -> usize {
    let mut told = drain(planner);
    for now_ms in (0..20_000).step_by(10) {
        planner.handle_timeout(now_ms);
        told += drain(planner);
        if planner.poll_timeout().is_none() {
            break;
        }
    }
    told
}

fn drain(planner: &mut PathPlannerState) -> usize {
    std::iter::from_fn(|| planner.poll_output()).count()
}

fn node_joined(n: u32, role: Role) -> NodeJoined {
    let [_, b, c, d] = n.to_be_bytes();
    NodeJoined {
        node: id(n),
        session: SessionId(1),
        role,
        kind: (role == Role::Peer).then_some(MediaKind::Video),
        observed: ([10, b, c, d], 40_000).into(),
        register: Register {
            listen_port: Some(7_701),
            addresses: Vec::new(),
            upload_limit_bps: 0,
            relay_limit_bps: 0,
        },
    }
}

fn id(n: u32) -> NodeId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
    id[4..8].copy_from_slice(&n.to_be_bytes());
    NodeId(id)
}

criterion_group!(path_planning, crowd, one_more, one_change, library, shares);
criterion_main!(path_planning);
