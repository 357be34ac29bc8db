"""Play is clicked at a viewer that runs already: how long until 256 KiB have come through its gateway; then the same after seeks."""

import time

from .. import data, web
from .base import Measure, Scenario

FIRST_BYTES = 256 << 10
UPLINK_BPS = 20_000_000


class Start(Scenario):
    """One source with a slow uplink, and a viewer that has joined and idles."""

    name = "start"
    summary = "play click to the first 256 KiB over a 20 Mbit/s uplink, then seeks"
    measures = (
        Measure("start_s", "start s"),
        Measure("seek_s", "seek to 70 % s"),
        Measure("busy_seek_s", "seek to 40 % while reading s"),
        Measure("start_rx_kib", "received KiB at start"),
    )
    delay_ms = 0

    def make_file(self, folder):
        return data.make(folder, "start", 256 << 20, 5_000_000)

    def run(self, lab, system, file):
        hub = lab.net.host("hub")
        source = lab.net.host("source", up_bps=UPLINK_BPS)
        viewer = lab.net.host("viewer", delay_ms=self.delay_ms)
        running = system(lab, hub)
        running.seed(source, file)
        running.viewer(viewer, file)
        time.sleep(2)

        received = lab.net.traffic()["viewer"].received
        begun = time.monotonic()
        url = running.click(viewer, file)
        body = web.Body(url, 0, FIRST_BYTES)
        first = body.read(FIRST_BYTES)
        first_byte_s = time.monotonic() - begun
        first += body.take(FIRST_BYTES - len(first))
        start_s = time.monotonic() - begun
        body.close()
        start_rx = lab.net.traffic()["viewer"].received - received
        seek_s, second = web.timed(url, int(file.size * 0.7), FIRST_BYTES)

        # A player that reads on, full of what it asked for, and then jumps.
        body = web.Body(url, int(file.size * 0.2))
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            body.read(65536)
        begun = time.monotonic()
        body.close()
        _, third = web.timed(url, int(file.size * 0.4), FIRST_BYTES, is_open=True)
        busy_seek_s = time.monotonic() - begun

        for share, part in ((0, first), (0.7, second), (0.4, third)):
            check(file, int(file.size * share), part)
        return {
            "start_s": start_s,
            "seek_s": seek_s,
            "busy_seek_s": busy_seek_s,
            "first_byte_s": first_byte_s,
            "start_rx_kib": start_rx / 1024,
        }


class FarStart(Start):
    """The same, when every packet of the viewer takes 25 ms in each direction."""

    name = "far"
    summary = "the same with a round trip of 50 ms"
    delay_ms = 25


def check(file, start, part):
    """Raises if these are not the bytes of the file."""
    with open(file.path, "rb") as original:
        original.seek(start)
        if original.read(len(part)) != part:
            raise RuntimeError(f"wrong bytes at {start}")
