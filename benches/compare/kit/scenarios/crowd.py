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
        uplinks = self.uplinks_bps
        return int(min(ORIGIN_UP_BPS, (ORIGIN_UP_BPS + sum(uplinks)) / len(uplinks)) * self.options.fraction)

    def make_file(self, folder):
        return data.make(folder, self.name, self.bitrate_bps // 8 * self.seconds, self.bitrate_bps)

    def run(self, lab, system, file):
        hub = lab.net.host("hub", delay_ms=self.delay_ms)
        self.origin = lab.net.host("origin", up_bps=ORIGIN_UP_BPS, delay_ms=self.delay_ms)
        uplinks = list(enumerate(self.uplinks_bps))
        viewers = [lab.net.host(f"viewer{number}", up, VIEWER_DOWN_BPS, self.delay_ms) for number, up in uplinks]
        self.running = running = system(lab, hub)
        self.origin_program = running.seed(self.origin, file)
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
        return self.result(file, viewers, before, lab.net.traffic())

    def moments(self, count):
        """When each viewer clicks, in order."""
        chance = random.Random(3)
        return sorted(chance.uniform(0, WITHIN_S) for _ in range(count))

    def befall(self, begun, viewers, file):
        """What happens once everybody has clicked."""

    def watch(self, viewer, file, seconds=None, from_s=0.0):
        """A reader at this viewer, begun."""
        reader = Reader(lambda: self.running.click(viewer, file), file, seconds or self.seconds, from_s=from_s)
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

    def result(self, file, viewers, before, after):
        """The numbers."""
        readers = self.counted()
        stalled = [reader.rebuffering() for reader in readers]
        # Who never began to play has waited until the end.
        starts = sorted(reader.startup_s if reader.startup_s is not None else 2 * self.seconds for reader in readers)
        counted = {reader.viewer for reader in readers}
        received = sum(after[name][0] - before[name][0] for name in counted)
        return {
            "rebuffering": sum(stalled) / len(stalled),
            "worst_rebuffering": max(stalled),
            "stalls_per_viewer": sum(reader.stalls for reader in readers) / len(counted),
            "startup_s": starts[len(starts) // 2],
            "worst_startup_s": starts[-1],
            "origin_copies": (after["origin"][1] - before["origin"][1]) / file.size,
            "wire_ratio": received / file.size / len(counted),
        }
