"""A peer without a window streams a file far larger than memory should be, linked with fifty others that have it."""

import time

from .. import data, web
from .base import Measure, Scenario

NEIGHBOURS, EVERY_S = 50, 1.0
READ_BYTES = 1 << 20


class Memory(Scenario):
    """The reader takes all it gets. Memory is that of the viewer, sampled every second; growth compares its last third with its second."""

    name = "memory"
    summary = "a large file streamed from 50 neighbours, as fast as it comes"
    measures = (
        Measure("rss_mib", "RSS MiB, median"),
        Measure("peak_rss_mib", "RSS MiB, most"),
        Measure("anon_mib", "anonymous MiB, most"),
        Measure("growth_mib", "growth MiB"),
        Measure("mbps", "MB/s"),
        Measure("neighbours", "linked neighbours"),
    )
    reference = "rqbit"
    # Twice this file, the original and the copy, is more than many machines have memory for.
    in_memory = False

    def make_file(self, folder):
        return data.make(folder, "memory", self.options.memory_mib << 20, 8_000_000)

    def suits(self, system):
        if not system.trusts_seeds:
            return "each of the neighbours would first read the whole file"
        return None if system.has_many_sources else "a client of it has one source"

    def run(self, lab, system, file):
        hub, viewer = lab.net.host("hub"), lab.net.host("viewer")
        running = system(lab, hub)
        first = lab.net.host("source1")
        running.seed(first, file)
        for number in range(2, NEIGHBOURS + 1):
            running.seed_like(first, lab.net.host(f"source{number}"), file)
        program = running.viewer(viewer, file)
        running.await_sources(viewer, file, NEIGHBOURS)
        time.sleep(2)
        program.reset()
        begun = time.monotonic()
        body = web.Body(running.click(viewer, file), 0, patience_s=120)
        left, samples, neighbours, due = file.size, [], 0, begun
        while left:
            left -= len(body.read(min(READ_BYTES, left)))
            if time.monotonic() >= due:
                samples.append(program.rss_mib())
                neighbours = max(neighbours, running.neighbours(viewer, file))
                due += EVERY_S
        seconds = time.monotonic() - begun
        all_mib = [sample[0] for sample in samples]
        third = max(1, len(all_mib) // 3)
        return {
            "rss_mib": sorted(all_mib)[len(all_mib) // 2],
            "peak_rss_mib": program.peak_mib(),
            "anon_mib": max(sample[1] for sample in samples),
            "growth_mib": _mean(all_mib[-third:]) - _mean(all_mib[third:2 * third] or all_mib),
            "mbps": file.size / seconds / 1e6,
            "neighbours": neighbours,
        }


def _mean(values):
    return sum(values) / len(values)
