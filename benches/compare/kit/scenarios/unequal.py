"""Eight sources of unequal uplinks, together 1.15 times the bitrate; every ten seconds one dies and another takes its place."""

import contextlib
import threading
import time

from .. import data
from ..reader import Reader
from .base import Measure, Scenario

BITRATE_BPS, SUPPLY, SECONDS = 4_000_000, 1.15, 60
SHARES = (1, 2, 3, 4, 5, 6, 7, 8)
# TCP/IP headers take their part of an uplink, which is no supply of media.
HEADERS = 1.045
DEATH_EVERY_S, AWAY_S = 10, 1


class Unequal(Scenario):
    """A death is SIGKILL; a second later a source begins on the same link, with the same file and nothing else."""

    name = "unequal"
    summary = "8 sources of unequal rates, together 1.15 x the bitrate, one dying every 10 s, a reader in real time"
    measures = (
        Measure("stalls", "stalls"),
        Measure("stalled_s", "stalled s"),
        Measure("startup_s", "start s"),
        Measure("wire_ratio", "received / played"),
        Measure("own_wasted", "thrown away / played, as it counts itself"),
    )
    reference = "rqbit"

    def make_file(self, folder):
        return data.make(folder, "unequal", BITRATE_BPS // 8 * SECONDS, BITRATE_BPS)

    def suits(self, system):
        return None if system.has_many_sources else "a client of it has one source"

    def run(self, lab, system, file):
        hub, viewer = lab.net.host("hub"), lab.net.host("viewer")
        unit_bps = BITRATE_BPS * SUPPLY * HEADERS / sum(SHARES)
        sources = [lab.net.host(f"source{share}", up_bps=unit_bps * share) for share in SHARES]
        running = system(lab, hub)
        programs = [running.seed(source, file) for source in sources]
        running.viewer(viewer, file)
        running.await_sources(viewer, file, len(sources))
        time.sleep(2)
        received = lab.net.traffic()["viewer"].received
        reader = Reader(lambda: running.click(viewer, file), file, SECONDS)
        reader.start()
        deaths = threading.Thread(target=self._kill, args=(running, file, sources, programs, reader), daemon=True)
        deaths.start()
        own = self._counters_until_read(running, viewer, file, reader)
        received = lab.net.traffic()["viewer"].received - received
        deaths.join()
        if reader.error or reader.startup_s is None:
            raise RuntimeError(reader.error or "it never began to play")
        played = reader.played_s * BITRATE_BPS / 8
        result = {
            "stalls": reader.stalls,
            "stalled_s": reader.stalled_s,
            "startup_s": reader.startup_s,
            "wire_ratio": received / played,
        }
        if own:
            result["own_wasted"] = own["wasted_bytes"] / played
        return result

    @staticmethod
    def _counters_until_read(running, viewer, file, reader):
        """A stream that is read to its end long before it is played is closed, and its counters with it."""
        own = None
        while reader.is_alive():
            reader.join(1)
            with contextlib.suppress(OSError):
                own = running.counters(viewer, file) or own
        return own

    @staticmethod
    def _kill(running, file, sources, programs, reader):
        # Strong and weak ones by turns, the strongest first.
        order = [7, 2, 5, 0, 6, 3, 1, 4]
        for index in order:
            reader.join(DEATH_EVERY_S)
            if not reader.is_alive():
                return
            programs[index].kill()
            reader.join(AWAY_S)
            if reader.is_alive():
                programs[index] = running.seed(sources[index], file)
