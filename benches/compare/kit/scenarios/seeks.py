"""A person looks for a scene: ten seeks in a row, each left after 256 KiB. What was fetched that nobody read?"""

import random
import time

from .. import data, web
from .base import Measure, Scenario
from .start import FIRST_BYTES, UPLINK_BPS, check

SEEKS = 10
# After the last read a player has paused; what still comes until then was on its way when it left.
SETTLE_S = 0.3


class Seeks(Scenario):
    """Received bytes are those of the viewer's cable, so headers and proofs count as unwanted too."""

    name = "seeks"
    summary = "ten seeks in a row of 256 KiB each over a 20 Mbit/s uplink"
    measures = (
        Measure("unwanted_kib_per_seek", "unwanted KiB/seek, on the cable"),
        Measure("own_unwanted_kib_per_seek", "the same, as it counts itself"),
        Measure("wasted_kib_per_seek", "of these received and thrown away"),
        Measure("seek_s", "seek s, mean"),
        Measure("worst_seek_s", "seek s, worst"),
    )

    def make_file(self, folder):
        return data.make(folder, "seeks", 256 << 20, 5_000_000)

    def run(self, lab, system, file):
        hub, source = lab.net.host("hub"), lab.net.host("source", up_bps=UPLINK_BPS)
        viewer = lab.net.host("viewer")
        running = system(lab, hub)
        running.seed(source, file)
        running.viewer(viewer, file)
        time.sleep(2)
        url = running.click(viewer, file)
        body = web.Body(url, 0)
        body.take(FIRST_BYTES)
        body.close()

        before, own_before = lab.net.traffic()["viewer"].received, running.counters(viewer, file)
        # Distinct places, no two within eight megabytes of each other.
        places = random.Random(7).sample(range(1, file.size >> 23), SEEKS)
        times = []
        for place in places:
            took, part = web.timed(url, (place << 23) + 12345, FIRST_BYTES, is_open=True)
            check(file, (place << 23) + 12345, part)
            times.append(took)
        time.sleep(SETTLE_S)
        received = lab.net.traffic()["viewer"].received - before
        own = running.counters(viewer, file)
        wanted = SEEKS * FIRST_BYTES
        result = {
            "unwanted_kib_per_seek": (received - wanted) / SEEKS / 1024,
            "seek_s": sum(times) / SEEKS,
            "worst_seek_s": max(times),
        }
        if own:
            result["own_unwanted_kib_per_seek"] = (own["received_bytes"] - own_before["received_bytes"] - wanted) / SEEKS / 1024
            result["wasted_kib_per_seek"] = (own["wasted_bytes"] - own_before["wasted_bytes"]) / SEEKS / 1024
        return result
