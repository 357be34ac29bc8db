//! Runs a simulated swarm and prints what came of it: `simulate SCENARIO [--seed N | --seeds A..B] [--load F] [--viewers N] [--json]`,
//! `simulate --list`.
//!
//! A seed that fails is told on standard error as the command line that repeats it, and the exit code is 1.

use std::{io::Write as _, ops::RangeInclusive, process::ExitCode, time::Instant};

use anyhow::{Context as _, bail};
use benches::simulation::{Report, Scenario, scenario, simulate};

const USAGE: &str = "usage: simulate SCENARIO [--seed N | --seeds A..B] [--load F] [--viewers N] [--no-tokens] [--no-shares] [--json]\n       simulate --list";

const OPTIONS: &str = "\
  --seed N       of the world's chance (default 1); the same seed gives the same run
  --seeds A..B   all of these, both included, and a summary of them
  --load F       bitrate over what the crowd could carry without headers, instead of the scenario's own
  --viewers N    so many viewers instead of the scenario's own
  --no-tokens    viewers ask the origin for no fresh chunks
  --no-shares    viewers do not keep to the shares that the tracker tells
  --json         one JSON object per run";

struct Arguments {
    scenario: Scenario,
    seeds: RangeInclusive<u64>,
    load: Option<f64>,
    no_tokens: bool,
    no_shares: bool,
    is_json: bool,
}

impl Arguments {
    /// The command line that repeats the run of one seed.
    fn again(&self, seed: u64) -> String {
        let load = self.load.map(|load| format!(" --load {load}"));
        let viewers = self.scenario.viewers.map(|viewers| format!(" --viewers {viewers}"));
        let flags = [(self.no_tokens, " --no-tokens"), (self.no_shares, " --no-shares")];
        let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect();
        format!(
            "cargo run --release -p benches --bin simulate -- {} --seed {seed}{}{}{flags}",
            self.scenario.name,
            load.unwrap_or_default(),
            viewers.unwrap_or_default()
        )
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout().lock();
    let has = |names: &[&str]| arguments.iter().any(|argument| names.contains(&argument.as_str()));
    let is_help = has(&["--help", "-h"]);
    if is_help {
        writeln!(out, "{USAGE}\n\n{OPTIONS}\n\nscenarios:")?;
    }
    if is_help || has(&["--list"]) {
        for scenario in scenario::all() {
            writeln!(out, "{:20} {}", scenario.name, scenario.about)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = parse(&mut arguments)?;
    let mut failed = 0;
    let mut reports = Vec::new();
    for seed in arguments.seeds.clone() {
        let began = Instant::now();
        let report = simulate(&arguments.scenario, seed);
        let took_s = began.elapsed().as_secs_f64();
        if arguments.is_json {
            writeln!(out, "{}", serde_json::to_string(&report)?)?;
        } else if arguments.seeds.start() == arguments.seeds.end() || !report.is_good() {
            writeln!(out, "{report}")?;
            writeln!(
                out,
                "  {} events in {took_s:.2} s, {:.1} x real time",
                report.events,
                report.lasted_s / took_s
            )?;
        }
        if !report.is_good() {
            failed += 1;
            writeln!(std::io::stderr(), "again: {}", arguments.again(seed))?;
        }
        reports.push(report);
    }
    if !arguments.is_json && reports.len() > 1 {
        writeln!(out, "{}", summary(&reports))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse(arguments: &mut Vec<String>) -> anyhow::Result<Arguments> {
    let mut value_of = |name: &str| -> anyhow::Result<Option<String>> {
        let Some(at) = arguments.iter().position(|argument| argument == name) else { return Ok(None) };
        if at + 1 >= arguments.len() {
            bail!("{name} needs a value\n{USAGE}");
        }
        arguments.remove(at);
        Ok(Some(arguments.remove(at)))
    };
    let seed = value_of("--seed")?;
    let seeds = value_of("--seeds")?;
    let load = value_of("--load")?.map(|text| text.parse::<f64>()).transpose().context("--load")?;
    let viewers = value_of("--viewers")?.map(|text| text.parse::<u32>()).transpose().context("--viewers")?;
    let mut has_flag = |name: &str| {
        let before = arguments.len();
        arguments.retain(|argument| argument != name);
        arguments.len() < before
    };
    let (is_json, no_tokens, no_shares) =
        (has_flag("--json"), has_flag("--no-tokens"), has_flag("--no-shares"));
    let [name] = arguments.as_slice() else { bail!("{USAGE}") };
    let Some(mut scenario) = scenario::find(name) else {
        bail!("there is no scenario {name}; --list shows them");
    };
    if let Some(share) = load {
        if !(share.is_finite() && share > 0.0) {
            bail!("--load takes a part of what the crowd could carry, such as 0.85");
        }
        if scenario.origin_bps == 0 {
            bail!("{name} has no origin, and so no limit that --load could be a part of");
        }
        scenario.rate = scenario::Rate::OfMax(share);
    }
    scenario.tokens &= !no_tokens;
    scenario.shares &= !no_shares;
    scenario.viewers = viewers;
    let seeds = match (seed, seeds) {
        (Some(one), None) => {
            let one = one.parse().context("--seed")?;
            one..=one
        }
        (None, Some(range)) => {
            let (from, to) = range.split_once("..").context("--seeds takes A..B, both included")?;
            from.parse().context("--seeds")?..=to.parse().context("--seeds")?
        }
        (None, None) => 1..=1,
        (Some(_), Some(_)) => bail!("either --seed or --seeds"),
    };
    Ok(Arguments { scenario, seeds, load, no_tokens, no_shares, is_json })
}

/// The runs together: means, and the worst of each.
fn summary(reports: &[Report]) -> String {
    let mean = |of: fn(&Report) -> f64| reports.iter().map(of).sum::<f64>() / reports.len() as f64;
    let worst = |of: fn(&Report) -> f64| reports.iter().map(of).fold(0.0, f64::max);
    let apart = if reports.iter().any(|report| report.riders > 0) {
        format!(
            ", those who upload {:.2} %, those who do not {:.2} %",
            mean(|report| report.givers_stalled_percent),
            mean(|report| report.riders_stalled_percent)
        )
    } else {
        String::new()
    };
    format!(
        "{} x{} ({:.2} r_max): stalled {:.2} % (worst seed {:.2}, worst viewer {:.1}){}; start {:.2} / {:.2} s; seek {:.2} / {:.2} s; origin {:.2} copies; received {:.3} (worst {:.3}); control {:.1} %; Jain {:.2}; failed {}",
        reports[0].scenario,
        reports.len(),
        mean(|report| report.load),
        mean(|report| report.stalled_percent),
        worst(|report| report.stalled_percent),
        worst(|report| report.stalled_worst_percent),
        apart,
        mean(|report| report.start_median_s),
        worst(|report| report.start_worst_s),
        mean(|report| report.seek_median_s),
        worst(|report| report.seek_worst_s),
        mean(|report| report.origin_copies),
        mean(|report| report.received_ratio),
        worst(|report| report.received_ratio),
        mean(|report| report.control_percent),
        mean(|report| report.jain),
        reports.iter().filter(|report| !report.is_good()).count()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_repeated_with_all_that_was_changed() {
        for changed in ["", " --load 0.7", " --load 0.7 --viewers 5 --no-tokens --no-shares", " --no-shares"]
        {
            let words = format!("crowd --seeds 3..9{changed}");
            let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let told = parse(&mut words).unwrap().again(4);
            let expected = format!(" simulate -- crowd --seed 4{changed}");
            assert!(told.ends_with(&expected), "{told}");
        }
    }
}
