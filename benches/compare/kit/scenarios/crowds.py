"""Variations of the crowd: more viewers, other links, deaths, latecomers, seeks."""

import time

from .. import data
from .base import Measure
from .crowd import ORIGIN_UP_BPS, VIEWER_UP_BPS, Crowd, limit_bps

KILLED_AT_S = 20
SOUGHT_AT_S = 15
LATE_AT_S = 300


class Crowd16(Crowd):
    """Sixteen viewers within the same five seconds."""

    name = "crowd-16"
    summary = "the crowd with 16 viewers"

    @property
    def uplinks_bps(self):
        return [VIEWER_UP_BPS] * 16


class CrowdUnequal(Crowd):
    """Uplinks from 0.3 to 4 Mbit/s, in no order."""

    name = "crowd-unequal"
    summary = "the crowd with uplinks of 0.3 to 4 Mbit/s"

    @property
    def uplinks_bps(self):
        return [900_000, 300_000, 4_000_000, 600_000, 1_300_000, 400_000, 1_900_000, 2_700_000]


class CrowdFar(Crowd):
    """Round trips of 40 ms between any two."""

    name = "crowd-far"
    summary = "the crowd with round trips of 40 ms"
    delay_ms = 10


class CrowdKilled(Crowd):
    """Every third viewer is killed; those that live on are counted."""

    name = "crowd-killed"
    summary = "the crowd, a third of whose viewers is killed at 20 s"

    def befall(self, begun, viewers, file):
        self.pause(begun, KILLED_AT_S)
        for program in self.programs[1::3]:
            if program:
                program.kill()

    def suits(self, system):
        return None if system.name != "nginx" else "its viewers are no programs of its own"

    def counted(self):
        return [reader for number, reader in enumerate(self.readers) if number % 3 != 1]


class CrowdOrphaned(Crowd):
    """The origin is killed as soon as its viewers hold every byte between them."""

    name = "crowd-orphaned"
    summary = "the crowd, whose origin is killed once the viewers together hold a full copy"

    def suits(self, system):
        return None if system.name.startswith("rusteze") else "it does not say what its viewers hold"

    def befall(self, begun, viewers, file):
        while any(reader.is_alive() for reader in self.readers):
            time.sleep(0.5)
            if self._is_whole(viewers, file):
                self.origin_program.kill()
                return
        raise RuntimeError("the viewers never held a full copy between them")

    def _is_whole(self, viewers, file):
        ranges = sorted(tuple(held) for viewer in viewers for held in self.running.counters(viewer, file)["verified_ranges"])
        reached = 0
        for start, end in ranges:
            if start > reached:
                return False
            reached = max(reached, end)
        return reached >= file.size


class CrowdLate(Crowd):
    """Seven watch six minutes and more of a film, and one joins at minute five; its start counts, and everybody's stalls."""

    name = "crowd-late"
    summary = "the crowd with its last viewer at minute 5 of a six-minute film"
    seconds = 360
    measures = (*Crowd.measures, Measure("late_startup_s", "start s, the late one"), Measure("late_rebuffering", "stalled / watched, the late one"))

    def moments(self, count):
        return [*super().moments(count - 1), LATE_AT_S]

    def result(self, file, before, after):
        late = self.readers[-1]
        own = {"late_startup_s": self.start_s(late), "late_rebuffering": late.rebuffering()}
        return {**super().result(file, before, after), **own}


class CrowdSeek(Crowd):
    """One viewer jumps to the middle at 15 s; the others' stalls count, and how long its picture takes to come back."""

    name = "crowd-seek"
    summary = "the crowd, one of which jumps to the middle at 15 s"
    measures = (*Crowd.measures, Measure("seek_s", "seek s"))

    def befall(self, begun, viewers, file):
        self.pause(begun, SOUGHT_AT_S)
        self.readers[3].stop()
        self.seeker = self.watch(viewers[3], file, from_s=self.seconds / 2)

    def counted(self):
        return [reader for number, reader in enumerate(self.readers) if number != 3]

    def result(self, file, before, after):
        self.seeker.join()
        self.check([self.seeker])
        return {**super().result(file, before, after), "seek_s": self.start_s(self.seeker)}


class CrowdTwo(Crowd):
    """Two films at once, half of the viewers each; the limit is that of the origin's uplink halved, or of each half."""

    name = "crowd-two"
    summary = "the crowd, half of which watches another film of the same origin"

    @property
    def bitrate_bps(self):
        return int(limit_bps(ORIGIN_UP_BPS / 2, self.uplinks_bps[::2]) * self.options.fraction)

    def make_file(self, folder):
        size = self.bitrate_bps // 8 * self.seconds
        self.second = data.make(folder, "second", size, self.bitrate_bps, seed=2)
        return data.make(folder, self.name, size, self.bitrate_bps)

    def suits(self, system):
        return None if system.name == "rusteze" else "a source of it is told one file"

    def click(self, viewer, file):
        return self.running.click_on(viewer, file)

    def watch(self, viewer, file, from_s=0.0):
        number = int(viewer.name.removeprefix("viewer"))
        return super().watch(viewer, self.second if number % 2 else file, from_s)


ALL = (Crowd16, CrowdUnequal, CrowdFar, CrowdKilled, CrowdOrphaned, CrowdLate, CrowdSeek, CrowdTwo)
