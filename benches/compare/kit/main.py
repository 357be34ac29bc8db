"""The command line: which scenarios on which systems, in turns, and a table at the end."""

import argparse
import json
import os
import shutil
import sys
import tempfile
import traceback

from . import net, report
from .lab import Lab
from .scenarios import ALL as SCENARIOS
from .systems import ALL as SYSTEMS
from .systems import Unavailable

DEFAULT = ("bulk", "start", "far", "seeks", "unequal")


def main():
    """Runs what was asked for; the exit code is 0 if every run of Rusteze succeeded."""
    options = _options()
    impossible = net.why_impossible()
    if impossible:
        sys.exit(f"compare: {impossible}")
    cache = os.path.abspath(options.cache or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "rusteze-compare"))
    os.makedirs(cache, exist_ok=True)
    systems, versions = _prepare(options, cache)
    chosen = [scenario(options) for scenario in SCENARIOS if scenario.name in options.scenarios]
    print(f"\n{report.machine()}\n" + "\n".join(versions) + "\n", flush=True)
    everything, is_whole = {}, True
    for scenario in chosen:
        results = _compare(scenario, systems, options)
        everything[scenario.name] = results
        is_whole &= all(run for name, runs in results.items() if name.startswith("rusteze") for run in runs)
        print("\n" + report.table(scenario, results), flush=True)
        if options.json:
            with open(options.json, "w") as out:
                json.dump({"machine": report.machine(), "versions": versions, "results": everything}, out, indent=1)
    sys.exit(0 if is_whole else 1)


def _options():
    parser = argparse.ArgumentParser(prog="benches/compare/run", description="Runs Rusteze beside what one would use instead.")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(names)}, or `all` (default: {' '.join(DEFAULT)})")
    parser.add_argument("--systems", help="only these, separated by commas: " + ", ".join(system.name for system in SYSTEMS))
    parser.add_argument("--rounds", type=int, default=3, help="how often each system gets its turn (default 3)")
    parser.add_argument("--size-mib", type=int, default=1024, help="the file of bulk (default 1024)")
    parser.add_argument("--memory-mib", type=int, default=10_000, help="the file of memory (default 10000)")
    parser.add_argument("--viewers", type=int, default=8, help="viewers of crowd (default 8)")
    parser.add_argument("--fraction", type=float, default=0.6, help="bitrate of crowd as a part of the physical limit (default 0.6)")
    parser.add_argument("--json", metavar="FILE", help="every number of every run, written after each scenario")
    parser.add_argument("--cache", metavar="DIR", help="where rivals are installed (default: rusteze-compare in the user's cache)")
    parser.add_argument("--no-install", action="store_true", help="neither build nor install anything: take what is there")
    parser.add_argument("--keep-logs", metavar="DIR", help="where logs of failed runs are kept")
    options = parser.parse_args()
    options.scenarios = names if options.scenarios == ["all"] else options.scenarios or list(DEFAULT)
    unknown = set(options.scenarios) - set(names)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    return options


def _prepare(options, cache):
    wanted = options.systems.split(",") if options.systems else [system.name for system in SYSTEMS]
    unknown = set(wanted) - {system.name for system in SYSTEMS}
    if unknown:
        sys.exit(f"compare: no such system: {', '.join(sorted(unknown))}")
    systems, versions = [], []
    for system in SYSTEMS:
        if system.name not in wanted:
            continue
        try:
            version = system.prepare(cache, not options.no_install)
        except Unavailable as reason:
            versions.append(f"* {system.name}: skipped, {reason}")
        else:
            systems.append(system)
            versions.append(f"* {system.name}: {version}")
    return systems, versions


def _compare(scenario, systems, options):
    """Every system once in each round, each round beginning with another one."""
    scratch = tempfile.mkdtemp(prefix="rusteze-compare-", dir="/dev/shm" if scenario.in_memory else None)
    results = {}
    try:
        file = scenario.make_file(os.path.join(scratch, "file"))
        for system in systems:
            reason = scenario.suits(system)
            if reason:
                print(f"{scenario.name}: without {system.name}, {reason}", flush=True)
            else:
                results[system.name] = []
        taking_part = [system for system in systems if system.name in results]
        for number in range(options.rounds):
            first = number % max(1, len(taking_part))
            for system in taking_part[first:] + taking_part[:first]:
                result = _once(scenario, system, file, scratch, options)
                results[system.name].append(result)
                told = "failed" if result is None else "  ".join(f"{key}={value:.4g}" for key, value in result.items())
                print(f"{scenario.name} {number + 1}/{options.rounds} {system.name}: {told}", flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return results


def _once(scenario, system, file, scratch, options):
    lab = Lab(scratch)
    try:
        with lab:
            try:
                return scenario.run(lab, system, file)
            except Exception:
                if options.keep_logs:
                    target = os.path.join(options.keep_logs, f"{scenario.name}-{system.name.replace(':', '-')}")
                    shutil.copytree(lab.folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.wav", "*-data"))
                raise
    except Exception:  # noqa: BLE001 - one failed run is a result, and the others go on
        traceback.print_exc()
        return None
