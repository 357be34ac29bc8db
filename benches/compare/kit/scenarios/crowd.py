"""A flash crowd: one origin with a small uplink, viewers who start within five seconds, each a reader in real time; and what may befall it.

The bitrate is a fraction (`--fraction`) of r_max = min(u_s, (u_s + sum u_i) / N), the physical limit of the crowd as it begins.
"""

import random
import time

from .. import data
from ..reader import Reader
from .base import Measure, Scenario

ORIGIN_UP_BPS, VIEWER_UP_BPS, VIEWER_DOWN_BPS = 2_500_000, 1_200_000, 4_000_000
WITHIN_S = 5


def limit_bps(origin_bps, uplinks_bps):
    """r_max of viewers with these uplinks."""
    return min(origin_bps, (origin_bps + sum(uplinks_bps)) / len(uplinks_bps))


class Crowd(Scenario):
    """The reference crowd, and what its variations have in common."""

    name = "crowd"
    summary = "origin 2.5 Mbit/s up, 8 viewers with 1.2 up and 4 down, all in real time"
    measures = (
        Measure("rebuffering", "stalled / watched, mean"),
        Measure("worst_rebuffering", "the same, worst viewer"),
        Measure("stalls_per_viewer", "stalls/viewer"),
        Measure("startup_s", "start s, median viewer"),
        Measure("worst_startup_s", "start s, worst viewer"),
        Measure("origin_copies", "origin sent / file"),
        Measure("wire_ratio", "received / file, per viewer"),
        Measure("packets_ratio", "received / file as IP packets"),
    )
    reference = "nginx"
    seconds = 60
    # One way, on each host's cable: a path has two.
    delay_ms = 0

    @property
    def uplinks_bps(self):
        """Of the viewers."""
        return [VIEWER_UP_BPS] * self.options.viewers

    @property
    def bitrate_bps(self):
        """Of the media."""
        return int(limit_bps(ORIGIN_UP_BPS, self.uplinks_bps) * self.options.fraction)

    def make_file(self, folder):
        return data.make(folder, self.name, self.bitrate_bps // 8 * self.seconds, self.bitrate_bps)

    def run(self, lab, system, file):
        hub = lab.net.host("hub", delay_ms=self.delay_ms)
        origin = lab.net.host("origin", up_bps=ORIGIN_UP_BPS, delay_ms=self.delay_ms)
        uplinks = list(enumerate(self.uplinks_bps))
        viewers = [lab.net.host(f"viewer{number}", up, VIEWER_DOWN_BPS, self.delay_ms) for number, up in uplinks]
        self.running = running = system(lab, hub)
        self.origin_program = running.seed(origin, file)
        self.programs = [running.viewer(viewer, file) for viewer in viewers]
        time.sleep(2)
        before = lab.net.traffic()
        self.readers = []
        begun = time.monotonic()
        for viewer, moment in zip(viewers, self.moments(len(viewers))):
            self.pause(begun, moment)
            self.readers.append(self.watch(viewer, file))
        self.befall(begun, viewers, file)
        for reader in self.readers:
            reader.join()
        return self.result(file, before, lab.net.traffic())

    def moments(self, count):
        """When each viewer clicks, in order."""
        chance = random.Random(3)
        return sorted(chance.uniform(0, WITHIN_S) for _ in range(count))

    def befall(self, begun, viewers, file):
        """What happens once everybody has clicked."""

    def click(self, viewer, file):
        """The URL of the file at this viewer."""
        return self.running.click(viewer, file)

    def watch(self, viewer, file, from_s=0.0):
        """A reader at this viewer, begun."""
        reader = Reader(lambda: self.click(viewer, file), file, self.seconds, from_s=from_s)
        reader.viewer = viewer.name
        reader.start()
        return reader

    @staticmethod
    def pause(begun, moment):
        """Sleeps until so many seconds after the beginning."""
        time.sleep(max(0.0, begun + moment - time.monotonic()))

    def counted(self):
        """The readers whose viewing counts."""
        return self.readers

    def start_s(self, reader):
        """After how long it began; who never did has waited until the end."""
        return 2 * self.seconds if reader.startup_s is None else reader.startup_s

    @staticmethod
    def check(readers):
        """Raises if a viewing broke off: what was played until then says nothing of what would have followed."""
        broken = [f"{reader.viewer}: {reader.error}" for reader in readers if reader.error]
        if broken:
            raise RuntimeError(f"viewings broke off: {'; '.join(broken)}")

    def result(self, file, before, after):
        """The numbers."""
        readers = self.counted()
        self.check(readers)
        stalled = [reader.rebuffering() for reader in readers]
        starts = sorted(map(self.start_s, readers))
        viewers = [(before[reader.viewer], after[reader.viewer]) for reader in readers]
        received = sum(now.received - then.received for then, now in viewers)
        received_ip = sum(now.received_ip - then.received_ip for then, now in viewers)
        return {
            "rebuffering": sum(stalled) / len(stalled),
            "worst_rebuffering": max(stalled),
            "stalls_per_viewer": sum(reader.stalls for reader in readers) / len(readers),
            "startup_s": starts[len(starts) // 2],
            "worst_startup_s": starts[-1],
            "origin_copies": (after["origin"].sent - before["origin"].sent) / file.size,
            "wire_ratio": received / file.size / len(readers),
            "packets_ratio": received_ip / file.size / len(readers),
        }
