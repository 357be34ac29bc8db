//! Simulated swarms: invariants for any seed, and what a viewer may expect.
//!
//! A few seeds run here; `cargo run --release -p benches --bin simulate -- SCENARIO --seeds 1..100` runs many.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use benches::simulation::{Report, Scenario, scenario, simulate};

#[test]
fn the_same_seed_gives_the_same_report() {
    let crowd = named("crowd");
    let (once, again, other) = (simulate(&crowd, 5), simulate(&crowd, 5), simulate(&crowd, 6));
    assert_eq!(serde_json::to_string(&once).unwrap(), serde_json::to_string(&again).unwrap());
    assert_ne!(once.events, other.events);
}

#[test]
fn nothing_stalls_and_nothing_breaks_where_supply_is_to_spare() {
    for name in ["bulk", "dying-sources", "ten-seeks", "patient-seeks"] {
        for seed in 1..=2 {
            good(&simulate(&named(name), seed));
        }
    }
}

#[test]
fn the_reference_crowd_streams_near_the_limit_of_the_wire() {
    let mut crowd = named("crowd");
    for (load, stalled_percent, worst_start_s) in [(0.6, 0.1, 3.0), (0.8, 0.8, 4.5), (0.85, 1.0, 5.0)] {
        crowd.rate = scenario::Rate::OfMax(load);
        let reports: Vec<Report> = (1..=1).map(|seed| simulate(&crowd, seed)).collect();
        for report in &reports {
            good(report);
            assert!(report.finished == 8 && report.start_worst_s <= worst_start_s, "{report}");
            assert!(report.stalled_percent <= stalled_percent, "{report}");
            assert!(report.origin_copies <= 1.9 && report.received_ratio <= 1.05, "{report}");
        }
    }
}

#[test]
fn a_swarm_survives_deaths_free_riders_and_the_loss_of_its_origin() {
    for name in ["third-killed", "origin-killed", "free-riders"] {
        let mut swarm = named(name);
        swarm.rate = scenario::Rate::OfMax(0.75);
        good(&simulate(&swarm, 1));
    }
}

#[test]
fn uplinks_of_a_tenth_of_others_do_not_hold_a_crowd_up() {
    let mut unequal = named("unequal");
    unequal.rate = scenario::Rate::OfMax(0.5);
    good(&simulate(&unequal, 1));
}

/// Two of eight say that they have everything, to the origin too, and send nothing: at first every chunk is asked of them. Where they are
/// believed, the others stall a third of the time.
#[test]
fn those_who_give_lose_little_to_forgers() {
    let mut forgers = named("forgers");
    forgers.rate = scenario::Rate::OfMax(0.8);
    for seed in 1..=3 {
        let report = simulate(&forgers, seed);
        assert!(report.finished == 8 && report.givers_stalled_percent < 4.0, "{report}");
    }
}

/// Where there is not enough for all, those who give nothing stall about as much as the others. If they were served alike they would stall
/// half as much, since they lose nothing to the requests that they leave unanswered.
#[test]
fn a_shortage_does_not_spare_those_who_give_nothing() {
    let mut riders = named("secret-free-riders");
    riders.rate = scenario::Rate::OfMax(1.0);
    let reports: Vec<Report> = (1..=4).map(|seed| simulate(&riders, seed)).collect();
    let mean = |of: fn(&Report) -> f64| reports.iter().map(of).sum::<f64>() / reports.len() as f64;
    let givers = mean(|report| report.givers_stalled_percent);
    let takers = mean(|report| report.riders_stalled_percent);
    assert!(givers < 1.4 * takers, "those who give stalled {givers:.1} %, the others {takers:.1} %");
}

/// Films that one seed alone has are played as well as those that two have, for the tracker tells those with a choice to leave that seed
/// alone. Without, some begin minutes late.
#[test]
fn shares_keep_a_source_free_for_those_who_have_no_other() {
    for (name, seed) in [("narrow", 1), ("narrow-unequal", 1), ("narrow-unequal", 3)] {
        let mut library = named(name);
        let shared = simulate(&library, seed);
        good(&shared);
        library.shares = false;
        let unshared = simulate(&library, seed);
        let is_worse = unshared.stalled_percent > 5.0 || unshared.start_worst_s > 60.0;
        assert!(is_worse, "shares make no difference here any more:\n{shared}\n{unshared}");
    }
}

fn named(name: &str) -> Scenario {
    scenario::find(name).unwrap()
}

/// A seed that fails is a command line.
fn good(report: &Report) {
    let (name, seed) = (report.scenario, report.seed);
    assert!(
        report.is_good(),
        "{report}\nagain: cargo run --release -p benches --bin simulate -- {name} --seed {seed}"
    );
}
