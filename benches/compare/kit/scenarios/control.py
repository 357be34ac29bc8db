"""A hundred viewers are served by one source, each in real time at a place of its own: how long do control messages take meanwhile?"""

import json
import os
import subprocess
import time

from .. import data, web
from ..systems.base import Unavailable
from ..systems.rusteze import PEER_PORT, ROOT
from .base import Measure, Scenario

VIEWERS, BITRATE_BPS, SECONDS = 100, 2_000_000, 20


class Control(Scenario):
    """The viewers are those of `load.rs`: a hundred real ones would be a test of the machine. The same program asks and times."""

    name = "control"
    summary = "100 viewers of 2 Mbit/s served by one source, unshaped"
    measures = (
        Measure("p99_ms", "control round trip p99 ms"),
        Measure("median_ms", "median ms"),
        Measure("worst_ms", "worst ms"),
        Measure("served_mbps", "served MB/s"),
        Measure("late_chunks", "chunks later than the media"),
        Measure("rss_source_mib", "peak RSS MiB, source"),
        Measure("cpu_source", "source's CPU, cores"),
    )
    reference = "rusteze"

    def make_file(self, folder):
        return data.make(folder, "control", 512 << 20, BITRATE_BPS)

    def suits(self, system):
        return None if system.name == "rusteze" else "its control messages are not spoken here"

    def run(self, lab, system, file):
        hub, source, crowd = (lab.net.host(name) for name in ("hub", "source", "crowd"))
        running = system(lab, hub)
        seeder = running.seed(source, file)
        content = web.call(web.Url(source, "127.0.0.1", 8080, "/api/files"))[0]["content_id"]
        time.sleep(1)
        seeder.reset()
        words = [f"{source.ip}:{PEER_PORT}", "audio", content, file.size, VIEWERS, BITRATE_BPS, SECONDS]
        begun = time.monotonic()
        load = lab.start("load", [self._program(system), *words], crowd)
        if load.wait(SECONDS + 60) != 0:
            raise RuntimeError(load.log_tail())
        seconds = time.monotonic() - begun
        told = json.loads(load.log_tail(1))
        return {
            "p99_ms": told["p99_us"] / 1000,
            "median_ms": told["median_us"] / 1000,
            "worst_ms": told["worst_us"] / 1000,
            "served_mbps": told["served_bytes_per_s"] / 1e6,
            "late_chunks": told["late_chunks"],
            "rss_source_mib": seeder.peak_mib(),
            "cpu_source": seeder.cpu_s() / seconds,
        }

    def _program(self, system):
        path = os.path.join(system.binaries, "rusteze-load")
        if not self.options.no_install:
            build = ["cargo", "build", "--release", "-p", "benches", "--bin", "rusteze-load", "--quiet"]
            if subprocess.run(build, cwd=ROOT).returncode != 0:
                raise Unavailable("rusteze-load does not build")
        if not os.path.exists(path):
            raise Unavailable("rusteze-load is not built")
        return path
