"""A flash crowd: one origin with a small uplink, eight viewers who start within five seconds, each a reader in real time."""

import random
import time

from .. import data
from ..reader import Reader
from .base import Measure, Scenario

ORIGIN_UP_BPS, VIEWER_UP_BPS, VIEWER_DOWN_BPS = 2_500_000, 1_200_000, 4_000_000
WITHIN_S, SECONDS = 5, 60


class Crowd(Scenario):
    """The bitrate is a fraction (`--fraction`) of r_max = min(u_s, (u_s + sum u_i) / N), the physical limit."""

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

    @property
    def bitrate_bps(self):
        """Of the media."""
        count = self.options.viewers
        r_max = min(ORIGIN_UP_BPS, (ORIGIN_UP_BPS + count * VIEWER_UP_BPS) / count)
        return int(r_max * self.options.fraction)

    def make_file(self, folder):
        return data.make(folder, "crowd", self.bitrate_bps // 8 * SECONDS, self.bitrate_bps)

    def run(self, lab, system, file):
        hub, origin = lab.net.host("hub"), lab.net.host("origin", up_bps=ORIGIN_UP_BPS)
        names = [f"viewer{number}" for number in range(self.options.viewers)]
        viewers = [lab.net.host(name, up_bps=VIEWER_UP_BPS, down_bps=VIEWER_DOWN_BPS) for name in names]
        running = system(lab, hub)
        running.seed(origin, file)
        for viewer in viewers:
            running.viewer(viewer, file)
        time.sleep(2)
        before = lab.net.traffic()
        chance = random.Random(3)
        moments = sorted(chance.uniform(0, WITHIN_S) for _ in viewers)
        begun, readers = time.monotonic(), []
        for viewer, moment in zip(viewers, moments):
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            readers.append(Reader(lambda viewer=viewer: running.click(viewer, file), file, SECONDS))
            readers[-1].start()
        for reader in readers:
            reader.join()
        after = lab.net.traffic()
        stalled = [reader.rebuffering() for reader in readers]
        # Who never began to play has waited until the end.
        starts = sorted(reader.startup_s if reader.startup_s is not None else 2 * SECONDS for reader in readers)
        received = sum(after[name][0] - before[name][0] for name in names)
        return {
            "rebuffering": sum(stalled) / len(stalled),
            "worst_rebuffering": max(stalled),
            "stalls_per_viewer": sum(reader.stalls for reader in readers) / len(readers),
            "startup_s": starts[len(starts) // 2],
            "worst_startup_s": starts[-1],
            "origin_copies": (after["origin"][1] - before["origin"][1]) / file.size,
            "wire_ratio": received / file.size / len(names),
        }
