//! Shares of uplinks against the true optimum, which a linear program finds: the largest fraction of its demand that everybody can have.
//!
//! Swarms of 100 run here, with a solver in Rust. `make optimum` uses HiGHS and adds those of 1,000 and
//! 3,000; it is compiled with cmake, which takes minutes.

#![expect(clippy::print_stderr, reason = "what was reached is worth knowing also where it suffices")]

#[cfg(feature = "highs")]
use good_lp::highs as solver;
#[cfg(not(feature = "highs"))]
use good_lp::microlp as solver;
use good_lp::{Expression, ProblemVariables, Solution as _, SolverModel as _, variable};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::index};
use tracker_actor::path_planner::shares::{LineId, Shares, Way};

/// What the optimum is to be reached of.
const REACHED: f64 = 0.97;
/// Sources a receiver may choose from.
const FAN_IN: usize = 8;
/// Bits per second in the program's unit, so that its numbers are near 1.
const UNIT_BPS: f64 = 1e6;

#[test]
fn swarms_of_100_are_planned_near_the_optimum() {
    compare(100);
}

#[cfg(feature = "highs")]
#[test]
fn swarms_of_1000_are_planned_near_the_optimum() {
    compare(1_000);
}

#[cfg(feature = "highs")]
#[test]
fn swarms_of_3000_are_planned_near_the_optimum() {
    compare(3_000);
}

/// Every scarcity, spread of uplinks and share of relayed ways.
fn compare(receivers: usize) {
    let mut worst = f64::INFINITY;
    for scarcity in [1.0, 1.0 / 2.0, 1.0 / 3.0, 1.0 / 5.0] {
        for is_skewed in [false, true] {
            for relayed in [0.0, 0.25, 0.6] {
                let swarm = Swarm::new(receivers, scarcity, is_skewed, relayed, 7);
                let (planned, optimum) = (swarm.planned(), swarm.optimum());
                let reached = planned / optimum;
                worst = worst.min(reached);
                eprintln!(
                    "{receivers} receivers, uplinks {scarcity:.2} of the demand, {}, {:.0} % relayed: {planned:.4} of {optimum:.4}, {reached:.4}",
                    if is_skewed { "skewed" } else { "uniform" },
                    relayed * 100.0
                );
                assert!(planned <= optimum * 1.000_1, "more than there is: {planned} of {optimum}");
                assert!(reached >= REACHED, "{planned} of {optimum}");
            }
        }
    }
    eprintln!("{receivers} receivers: {worst:.4} of the optimum at the least");
}

/// Receivers with uplinks, downlinks and a choice of sources among each other.
struct Swarm {
    uplinks: Vec<f64>,
    downlinks: Vec<f64>,
    demands: Vec<f64>,
    /// Of each receiver: lines that are crossed, uplinks first by number, then downlinks; and what the link carries.
    ways: Vec<Vec<(Vec<usize>, f64)>>,
}

impl Swarm {
    fn new(receivers: usize, scarcity: f64, is_skewed: bool, relayed: f64, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed + receivers as u64);
        let demands: Vec<f64> = (0..receivers).map(|_| [1.5e6, 3e6, 6e6][rng.random_range(0..3)]).collect();
        // A Pareto distribution: a fifth of the uplinks carries more than half.
        let mut width = || match is_skewed {
            true => (1.0 - rng.random::<f64>()).powf(-1.0 / 1.5),
            false => rng.random_range(0.5..1.5),
        };
        let widths: Vec<f64> = (0..receivers).map(|_| width()).collect();
        let unit = demands.iter().sum::<f64>() * scarcity / widths.iter().sum::<f64>();
        let downlinks = demands.iter().map(|demand| demand * rng.random_range(2.0..6.0)).collect();
        let ways = (0..receivers).map(|receiver| {
            let mut ways = Vec::new();
            while ways.len() < FAN_IN {
                let [source, relay] = [0, 1].map(|at| index::sample(&mut rng, receivers, 2).index(at));
                if source == receiver || relay == receiver || source == relay {
                    continue;
                }
                let mut lines = vec![source];
                if rng.random_bool(relayed) {
                    lines.extend([receivers + relay, relay]);
                }
                lines.push(receivers + receiver);
                ways.push((lines, demands[receiver] * rng.random_range(0.3..1.3)));
            }
            ways
        });
        let ways = ways.collect();
        Self { uplinks: widths.iter().map(|width| width * unit).collect(), downlinks, demands, ways }
    }

    fn lines(&self) -> impl Iterator<Item = f64> {
        self.uplinks.iter().chain(&self.downlinks).copied()
    }

    /// The smallest rate / demand as planned.
    fn planned(&self) -> f64 {
        let mut shares = Shares::default();
        let lines: Vec<LineId> = self.lines().map(|bps| shares.add_line(bps as u64, false)).collect();
        for (demand, ways) in self.demands.iter().zip(&self.ways) {
            let ways = ways.iter().map(|(crossed, link)| {
                let crossed: Vec<LineId> = crossed.iter().map(|line| lines[*line]).collect();
                Way::new(&crossed, Some(*link as u64))
            });
            let (ways, receiver) = (ways.collect(), shares.add_receiver());
            shares.set_ways(receiver, *demand as u64, ways);
        }
        shares.balance();
        shares.smallest_fraction()
    }

    /// The largest smallest rate / demand there is.
    fn optimum(&self) -> f64 {
        let mut variables = ProblemVariables::new();
        let fraction = variables.add(variable().min(0.0).max(1.0));
        let mut loads: Vec<Expression> = self.lines().map(|_| Expression::from(0.0)).collect();
        let mut received = Vec::new();
        for ways in &self.ways {
            let mut sum = Expression::from(0.0);
            for (lines, link) in ways {
                let rate = variables.add(variable().min(0.0).max(link / UNIT_BPS));
                sum += rate;
                lines.iter().for_each(|line| loads[*line] += rate);
            }
            received.push(sum);
        }
        let mut model = variables.maximise(fraction).using(solver);
        for (sum, demand) in received.into_iter().zip(&self.demands) {
            model.add_constraint((sum - fraction * (demand / UNIT_BPS)).geq(0.0));
        }
        for (load, bps) in loads.into_iter().zip(self.lines()) {
            model.add_constraint(load.leq(bps / UNIT_BPS));
        }
        model.solve().expect("a solution").value(fraction)
    }
}
