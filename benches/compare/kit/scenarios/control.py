"""A hundred viewers are served by one source, each in real time at a place of its own: how long do control messages take meanwhile?"""

import time

from .. import data, web
from .base import Measure, Scenario

VIEWERS, SECONDS = 100, 30
BITRATE_BPS = 1_000_000
EVERY_S = 2.0


class Control(Scenario):
    """The round trip is that of Rusteze's own pings as its viewers tell it (smoothed over a few), each sample of each viewer counted."""

    name = "control"
    summary = "100 viewers served by one source, unshaped"
    measures = (
        Measure("p99_ms", "control round trip p99 ms"),
        Measure("median_ms", "median ms"),
        Measure("status_p99_ms", "source's own HTTP status p99 ms"),
        Measure("served_mbps", "served MB/s", less_is_better=False),
        Measure("rss_source_mib", "peak RSS MiB, source"),
        Measure("cpu_source", "source's CPU, cores"),
    )
    reference = "rusteze"

    def make_file(self, folder):
        return data.make(folder, "control", 512 << 20, BITRATE_BPS)

    def suits(self, system):
        return None if system.name == "rusteze" else "it tells no round trips of control messages"

    def run(self, lab, system, file):
        hub, source = lab.net.host("hub"), lab.net.host("source")
        running = system(lab, hub)
        seeder = running.seed(source, file)
        viewers = [lab.net.host(f"v{number}") for number in range(VIEWERS)]
        for viewer in viewers:
            running.viewer(viewer, file)
        time.sleep(2)
        seeder.reset()
        sent = lab.net.traffic()["source"][1]
        begun = time.monotonic()
        step = file.size // VIEWERS
        bodies = [web.Body(running.click(viewer, file), step * place, receive_bytes=65536) for place, viewer in enumerate(viewers)]
        taken, round_trips, answers, due = 0, [], [], begun + EVERY_S
        while time.monotonic() < begun + SECONDS:
            allowed = (time.monotonic() - begun) * BITRATE_BPS / 8
            if taken + 32768 <= allowed:
                for body in bodies:
                    body.take(32768)
                taken += 32768
            else:
                time.sleep(0.01)
            if time.monotonic() >= due:
                due += EVERY_S
                round_trips += self._round_trips(running, viewers, file, source)
            answers.append(self._status(source))
        seconds = time.monotonic() - begun
        sent = lab.net.traffic()["source"][1] - sent
        return {
            "p99_ms": _percentile(round_trips, 0.99) / 1000,
            "median_ms": _percentile(round_trips, 0.5) / 1000,
            "status_p99_ms": _percentile(answers, 0.99) * 1000,
            "served_mbps": sent / seconds / 1e6,
            "rss_source_mib": seeder.peak_mib(),
            "cpu_source": seeder.cpu_s() / seconds,
        }

    @staticmethod
    def _round_trips(running, viewers, file, source):
        found = []
        for viewer in viewers:
            peers = running.counters(viewer, file)["peers"]
            found += [peer["rtt_us"] for peer in peers if peer["rtt_us"] and peer["address"].startswith(source.ip)]
        return found

    @staticmethod
    def _status(source):
        begun = time.monotonic()
        web.call(web.Url(source, "127.0.0.1", 8080, "/ready"))
        return time.monotonic() - begun


def _percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
