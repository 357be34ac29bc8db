//! What came of a run, in numbers, and whether that is what was expected.

use std::fmt;

use serde::Serialize;
use shared::schedule::viewer::Viewer;

use super::{node::Node, player::Player, scenario::Scenario, world::World};

/// Longer than this nobody waits without being given anything while a neighbour has what it needs: whatever was asked in vain, of the
/// vanished or the silent, is moved before.
const STARVED_S: f64 = 12.0;

/// A run in numbers. Ratios and percentages are of payload bytes and of seconds.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which scenario.
    pub scenario: &'static str,
    /// Which seed.
    pub seed: u64,
    /// Rate of the media.
    pub rate_bps: u64,
    /// The rate over what the swarm could carry without headers; 0 without an origin.
    pub load: f64,
    /// Viewers and downloaders.
    pub viewers: usize,
    /// Of those, how many had all they came for.
    pub finished: usize,
    /// From opening to playing.
    pub start_median_s: f64,
    /// The longest of these.
    pub start_worst_s: f64,
    /// Stalled over stalled and played time of all viewers.
    pub stalled_percent: f64,
    /// The same of those that upload.
    pub givers_stalled_percent: f64,
    /// The same of those that do not.
    pub riders_stalled_percent: f64,
    /// How many those are.
    pub riders: usize,
    /// The same of the viewer that was worst off.
    pub stalled_worst_percent: f64,
    /// The longest that a viewer which waited for bytes was given none, though somebody it was linked to could have sent them.
    pub longest_wait_s: f64,
    /// How often a player ran dry.
    pub stalls: u32,
    /// The longest time from a jump to playing.
    pub seek_worst_s: f64,
    /// The middle one.
    pub seek_median_s: f64,
    /// Received in vain, in percent of what was received.
    pub wasted_percent: f64,
    /// Received over kept.
    pub received_ratio: f64,
    /// What the origin sent, in copies of the content.
    pub origin_copies: f64,
    /// What came from others than the origin, in percent.
    pub offload_percent: f64,
    /// Jain's index of how busy the viewers' uplinks were.
    pub jain: f64,
    /// Control bytes over payload bytes, in percent.
    pub control_percent: f64,
    /// Rate of a download of everything, if there is one.
    pub bulk_bps: u64,
    /// What the tracker says that the swarm can carry, over what it can; 0 without an origin.
    pub sigma_known: f64,
    /// Sources the tracker's plans changed, a viewer-minute.
    pub plan_churn: f64,
    /// Plans the tracker told.
    pub plans: u64,
    /// What one plan took the tracker on this machine, everything it is told included; not repeated by a seed.
    #[serde(skip)]
    pub plan_us: f64,
    /// Simulated time.
    pub lasted_s: f64,
    /// Events that happened.
    pub events: u64,
    /// What broke an invariant or fell short of what was expected.
    pub violations: Vec<String>,
}

impl Report {
    pub(super) fn new(world: &World, seed: u64) -> Self {
        let scenario = &world.scenario;
        let viewers: Vec<&Node> = world.nodes.iter().filter(|node| node.viewer.is_some()).collect();
        let players = || viewers.iter().filter_map(|node| node.player.as_ref());
        let mut starts: Vec<f64> =
            players().filter_map(|player| player.played.start_us).map(seconds).collect();
        starts.sort_by(f64::total_cmp);
        let mut seeks: Vec<f64> =
            players().flat_map(|player| player.played.seeks_us.iter().copied()).map(seconds).collect();
        seeks.sort_by(f64::total_cmp);
        let stalled_among = |is_meant: fn(&Node) -> bool| {
            let among = viewers.iter().filter(|node| is_meant(node)).filter_map(|node| node.player.as_ref());
            Stalled::of(among, world.now_us)
        };
        let stalled = stalled_among(|_| true);
        let received: u64 = viewers.iter().map(|node| node.ledger.received_bytes).sum();
        let held: u64 = viewers.iter().filter_map(|node| node.viewer.as_ref()).map(held_bytes(world)).sum();
        let sent = |node: &&Node| node.uplink.payload_bytes;
        let origin: u64 =
            world.nodes.iter().filter(|node| node.spec.is_origin()).map(|node| sent(&node)).sum();
        let all_sent: u64 = world.nodes.iter().map(|node| sent(&node)).sum();
        let control: u64 = world.nodes.iter().map(|node| node.uplink.control_bytes).sum();
        let is_done = |node: &&&Node| match (&node.player, &node.viewer) {
            (Some(player), _) => player.played.is_finished,
            (None, Some(viewer)) => viewer.is_complete(),
            (None, None) => false,
        };
        let wasted = received.saturating_sub(held);
        let mut report = Self {
            scenario: scenario.name,
            seed,
            rate_bps: world.content.rate_bps,
            load: if world.max_bps == 0 { 0.0 } else { world.content.rate_bps as f64 / world.max_bps as f64 },
            viewers: viewers.len(),
            finished: viewers.iter().filter(is_done).count(),
            start_median_s: middle(&starts),
            start_worst_s: starts.last().copied().unwrap_or(0.0),
            stalled_percent: stalled.percent,
            givers_stalled_percent: stalled_among(|node| node.spec.uploads()).percent,
            riders_stalled_percent: stalled_among(|node| !node.spec.uploads()).percent,
            riders: viewers.iter().filter(|node| !node.spec.uploads()).count(),
            stalled_worst_percent: stalled.worst_percent,
            longest_wait_s: viewers.iter().map(|node| seconds(node.longest_wait_us)).fold(0.0, f64::max),
            stalls: players().map(|player| player.played.stalls).sum(),
            seek_worst_s: seeks.last().copied().unwrap_or(0.0),
            seek_median_s: middle(&seeks),
            wasted_percent: percent(wasted as f64, received as f64),
            received_ratio: if held == 0 { 0.0 } else { received as f64 / held as f64 },
            origin_copies: origin as f64 / world.content.size_bytes as f64,
            offload_percent: percent((all_sent - origin) as f64, all_sent as f64),
            jain: jain(viewers.iter().filter(|node| node.spec.uploads())),
            control_percent: percent(control as f64, all_sent as f64),
            bulk_bps: bulk_bps(world, &viewers),
            sigma_known: match world.max_bps {
                0 => 0.0,
                max_bps => world.tracker.sustainable_bps as f64 / max_bps as f64,
            },
            plan_churn: 60.0 * world.tracker.changes as f64 / seconds(world.viewer_us()).max(1.0),
            plans: world.tracker.plans,
            plan_us: world.tracker.took.as_secs_f64() * 1e6 / world.tracker.plans.max(1) as f64,
            lasted_s: seconds(world.now_us),
            events: world.events_done,
            violations: world.violations.clone(),
        };
        report.judge(scenario);
        report
    }

    /// Whether no invariant broke and everything came as expected.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }

    fn judge(&mut self, scenario: &Scenario) {
        let expected = scenario.expected;
        let mut fall_short = |what: String| self.violations.push(what);
        if self.stalled_percent > expected.stalled_percent {
            fall_short(format!("stalled {:.2} %", self.stalled_percent));
        }
        if self.start_worst_s > expected.worst_start_ms as f64 / 1e3 {
            fall_short(format!("started after {:.1} s", self.start_worst_s));
        }
        if self.seek_worst_s > expected.worst_seek_ms as f64 / 1e3 {
            fall_short(format!("a seek took {:.1} s", self.seek_worst_s));
        }
        if self.received_ratio > expected.received_ratio {
            fall_short(format!("received {:.3} of what was kept", self.received_ratio));
        }
        if self.longest_wait_s > STARVED_S {
            fall_short(format!("a viewer that waited was given nothing for {:.1} s", self.longest_wait_s));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} seed {}: {:.2} Mbit/s ({:.2} r_max), {} of {} viewers finished in {:.1} s",
            self.scenario,
            self.seed,
            self.rate_bps as f64 / 1e6,
            self.load,
            self.finished,
            self.viewers,
            self.lasted_s
        )?;
        writeln!(
            f,
            "  start median {:.2} s, worst {:.2} s; stalled {:.2} %, worst viewer {:.1} %, {} stalls; seek median {:.2} s, worst {:.2} s",
            self.start_median_s,
            self.start_worst_s,
            self.stalled_percent,
            self.stalled_worst_percent,
            self.stalls,
            self.seek_median_s,
            self.seek_worst_s
        )?;
        write!(
            f,
            "  origin {:.2} copies, offload {:.0} %, received {:.3} x, waste {:.2} %, control {:.1} %, Jain {:.2}",
            self.origin_copies,
            self.offload_percent,
            self.received_ratio,
            self.wasted_percent,
            self.control_percent,
            self.jain
        )?;
        write!(
            f,
            "\n  tracker: {} plans of {:.0} us, {:.2} sources changed a viewer-minute, carries {:.2} r_max by its sums",
            self.plans, self.plan_us, self.plan_churn, self.sigma_known
        )?;
        if self.riders > 0 {
            write!(
                f,
                "\n  those who upload stalled {:.2} %, the {} who do not {:.2} %",
                self.givers_stalled_percent, self.riders, self.riders_stalled_percent
            )?;
        }
        if self.bulk_bps > 0 {
            write!(f, ", bulk {:.0} Mbit/s", self.bulk_bps as f64 / 1e6)?;
        }
        self.violations.iter().try_for_each(|what| write!(f, "\n  FAILED: {what}"))
    }
}

/// Stalled over stalled and played time of some viewers, together and of the worst off.
struct Stalled {
    percent: f64,
    worst_percent: f64,
}

impl Stalled {
    fn of<'a>(players: impl Iterator<Item = &'a Player>, now_us: u64) -> Self {
        let (mut stalled_s, mut stood_s, mut worst_percent) = (0.0, 0.0, 0.0f64);
        for player in players {
            let stalled = seconds(player.played.stalled_us);
            let all = stalled + seconds(player.played_us(now_us));
            (stalled_s, stood_s) = (stalled_s + stalled, stood_s + all);
            worst_percent = worst_percent.max(percent(stalled, all));
        }
        Self { percent: percent(stalled_s, stood_s), worst_percent }
    }
}

fn held_bytes(world: &World) -> impl Fn(&Viewer) -> u64 {
    let size = world.content.size_bytes;
    move |viewer| viewer.held().runs().map(|run| run.len_bytes(size)).sum()
}

fn bulk_bps(world: &World, viewers: &[&Node]) -> u64 {
    let whole = viewers.iter().filter(|node| node.player.is_none());
    let bytes: u64 = whole.map(|node| node.ledger.received_bytes).sum();
    (bytes as f64 * 8e6 / world.now_us.max(1) as f64) as u64
}

/// (sum x)^2 / (n sum x^2) of the busy shares of uplinks; 1 where all are alike.
fn jain<'a>(nodes: impl Iterator<Item = &'a &'a Node>) -> f64 {
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for node in nodes {
        let share = node.uplink.payload_bytes as f64 / node.spec.up_bps.max(1) as f64;
        (n, sum, squares) = (n + 1.0, sum + share, squares + share * share);
    }
    if squares == 0.0 { 1.0 } else { sum * sum / (n * squares) }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { 100.0 * part / whole }
}

fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
