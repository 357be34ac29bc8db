//! The tracker's planner: a plan for every viewer of a crowd, and one more when the crowd is there.
//!
//! Crowds are on one content, the worst case: everybody is a candidate for everybody.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shared::{
    ContentId, MediaKind, NodeId,
    wire::{FindPeers, Register, Role},
};
use tracker_actor::{
    file_index::{HeldFile, HolderChange},
    path_planner::{ClientSays, NodeJoined, PathPlannerState, PlannerRequest, ProbeFinished},
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
                    (0..viewers).for_each(|n| find(&mut planner, n));
                    finish(&mut planner)
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
        (0..viewers).for_each(|n| find(&mut planner, n));
        finish(&mut planner);
        group.bench_function(BenchmarkId::from_parameter(viewers), |bencher| {
            bencher.iter(|| {
                find(&mut planner, viewers);
                drain(&mut planner)
            });
        });
    }
    group.finish();
}

/// A planner with an origin that has the file and nodes that want it.
fn joined(nodes: u32) -> PathPlannerState {
    let mut planner = PathPlannerState::new(1);
    planner.handle_joined(0, node_joined(u32::MAX, Role::Origin));
    let gained = Some(HeldFile { size_bytes: SIZE_BYTES, bitrate_bps: 4_000_000 });
    let key = (MediaKind::Video, CONTENT);
    planner.handle_holders(0, vec![HolderChange { key, node: id(u32::MAX), session: SessionId(1), gained }]);
    for n in 0..nodes {
        planner.handle_joined(0, node_joined(n, Role::Peer));
        planner.handle_probe(0, ProbeFinished { node: id(n), session: SessionId(1), is_open: n % 3 != 0 });
    }
    drain(&mut planner);
    planner
}

fn find(planner: &mut PathPlannerState, n: u32) {
    let playhead_leaf = n.wrapping_mul(2_654_435_761) % 65_536;
    let request = PlannerRequest::Find(FindPeers { content_id: CONTENT, playhead_leaf });
    planner.handle_says(0, ClientSays { node: id(n), session: SessionId(1), request });
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
            relays: false,
        },
    }
}

fn id(n: u32) -> NodeId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
    id[4..8].copy_from_slice(&n.to_be_bytes());
    NodeId(id)
}

criterion_group!(path_planning, crowd, one_more);
criterion_main!(path_planning);
