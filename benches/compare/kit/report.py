"""Tables of what was measured: medians, least and most, and ratios within the same round."""

import math
import os
import platform
import statistics
import time


def table(scenario, results):
    """Markdown for one scenario. `results`: `{system: [{key: number} or None per round]}`."""
    shown = [measure for measure in scenario.measures if any(measure.key in run for runs in results.values() for run in runs if run)]
    lines = [f"### {scenario.name}: {scenario.summary}", ""]
    lines.append("| system | " + " | ".join(measure.heading for measure in shown) + " | runs |")
    lines.append("| --- " * (len(shown) + 2) + "|")
    for system, runs in results.items():
        cells = [_cell([run[measure.key] for run in runs if run and measure.key in run]) for measure in shown]
        lines.append(f"| {system} | " + " | ".join(cells) + f" | {sum(run is not None for run in runs)} |")
    reference = results.get(scenario.reference)
    if reference and any(reference) and len(results) > 1:
        lines += ["", f"Relative to {scenario.reference} in the same round:", ""]
        lines.append("| system | " + " | ".join(measure.heading for measure in shown) + " |")
        lines.append("| --- " * (len(shown) + 1) + "|")
        for system, runs in results.items():
            if system != scenario.reference:
                cells = [_cell(_ratios(runs, reference, measure.key)) for measure in shown]
                lines.append(f"| {system} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def machine():
    """What it was measured on, in a line."""
    with open("/proc/meminfo") as meminfo:
        gib = int(meminfo.readline().split()[1]) / 2**20
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, {gib:.0f} GiB, Linux {platform.release()}, load {load}"


def _ratios(runs, reference, key):
    pairs = [(run[key], other[key]) for run, other in zip(runs, reference) if run and other and key in run and key in other]
    return [value / other for value, other in pairs if other]


def _cell(values):
    values = [value for value in values if not math.isnan(value)]
    if not values:
        return "-"
    middle = _number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} [{_number(min(values))}-{_number(max(values))}]"


def _number(value):
    if value == 0:
        return "0"
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.3g}"
