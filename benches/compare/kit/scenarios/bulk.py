"""One source, one downloader, nothing shaped: how fast a whole file moves, and what it costs."""

import filecmp
import os
import time

from .. import data
from ..proc import until
from .base import Measure, Scenario


class Bulk(Scenario):
    """The file is compared with the original afterwards, off the clock."""

    name = "bulk"
    summary = "a random file, one source, one downloader, unshaped, in memory"
    measures = (
        Measure("mbps", "MB/s"),
        Measure("cpu_s_per_gib", "CPU s/GiB, both"),
        Measure("cpu_source_s_per_gib", "CPU s/GiB, source"),
        Measure("rss_source_mib", "peak RSS MiB, source"),
        Measure("rss_viewer_mib", "peak RSS MiB, downloader"),
        Measure("anon_viewer_mib", "peak anonymous MiB, downloader"),
        Measure("wire_ratio", "received / file"),
    )
    reference = "rqbit"

    def make_file(self, folder):
        return data.make(folder, "bulk", self.options.size_mib << 20, 8_000_000)

    def run(self, lab, system, file):
        hub, source, viewer = (lab.net.host(name) for name in ("hub", "source", "viewer"))
        running = system(lab, hub)
        seeder = running.seed(source, file)
        time.sleep(1)
        seeder.reset()
        received = lab.net.traffic()["viewer"].received
        seconds, leecher, path = running.fetch(viewer, file)
        cpu_source_s, cpu_viewer_s = seeder.cpu_s(), leecher.cpu_s()
        received = lab.net.traffic()["viewer"].received - received
        result = {
            "mbps": file.size / seconds / 1e6,
            "cpu_s_per_gib": (cpu_source_s + cpu_viewer_s) / file.size * 2**30,
            "cpu_source_s_per_gib": cpu_source_s / file.size * 2**30,
            "rss_source_mib": seeder.peak_mib(),
            "rss_viewer_mib": leecher.peak_mib(),
            "anon_viewer_mib": leecher.peak_anon_mib(),
            "wire_ratio": received / file.size,
        }
        until("what was fetched to be the file", lambda: _is_same(path, file), 10, 0.5)
        leecher.kill()
        return result


def _is_same(path, file):
    # Some are done before their last blocks are written: the program runs on until they are.
    filecmp.clear_cache()
    return os.path.getsize(path) == file.size and filecmp.cmp(path, file.path, shallow=False)
