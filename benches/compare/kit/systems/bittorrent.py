"""What the BitTorrent programs have in common: a tracker on the hub, a torrent, and a click that is adding it."""

import os
import time

from .. import web
from ..proc import until
from ..torrent import Tracker, torrent_of
from .base import System

PEER_PORT, CONTROL_PORT, GATEWAY_PORT = 7801, 8090, 8091


def piece_bytes(file):
    """1 MiB as usual for large files; 64 KiB for media of a rate at which 1 MiB would be many seconds."""
    return 1 << 20 if file.bitrate_bps >= 2_000_000 else 1 << 16


class BitTorrent(System):
    """A program per host. Subclasses say how it starts and what it answers."""

    def __init__(self, lab, hub):
        super().__init__(lab, hub)
        self._tracker = lab.keep(Tracker(hub))

    def torrent(self, file):
        """The torrent of a file in this lab's network."""
        return torrent_of(file, self._tracker.announce, piece_bytes(file), os.path.dirname(file.folder))

    def seed(self, host, file):
        program = self.start(host, file.folder)
        self.add(host, file, file.folder)
        until(f"{self.name} to have checked the seed", lambda: program.check() or self.is_done(host), 300)
        return program

    def viewer(self, host, file):
        self.torrent(file)
        return self.start(host, self.lab.subfolder(host.name))

    def click(self, host, file):
        self.add(host, file, self.lab.subfolder(host.name))
        return self.stream_url(host, file)

    def fetch(self, host, file):
        program = self.viewer(host, file)
        time.sleep(0.5)
        program.reset()
        begun = time.monotonic()
        self.add(host, file, self.lab.subfolder(host.name))
        until(f"{self.name} to be done", lambda: program.check() or self.is_done(host), 600, 0.01)
        return time.monotonic() - begun, program, os.path.join(self.lab.subfolder(host.name), file.name)

    def start(self, host, folder):
        """Starts the program on a host, with nothing to do; gives it once it answers."""
        raise NotImplementedError

    def add(self, host, file, folder):
        """Tells it to fetch or seed."""
        raise NotImplementedError

    def is_done(self, host):
        """Whether it has the whole file."""
        raise NotImplementedError

    def stream_url(self, host, file):
        """Where it streams the file."""
        raise NotImplementedError


class Scripted(BitTorrent):
    """A library behind a small script of ours: `POST /add?folder=` with a torrent, `GET /stats`."""

    def add(self, host, file, folder, words=""):
        with open(self.torrent(file).path, "rb") as torrent:
            web.call(web.Url(host, "127.0.0.1", CONTROL_PORT, "/add?folder=" + folder + words), "POST", torrent.read())

    def is_done(self, host):
        return web.call(web.Url(host, "127.0.0.1", CONTROL_PORT, "/stats"))["done"]

    def await_control(self, host, program):
        """Waits until the script listens."""
        url = web.Url(host, "127.0.0.1", CONTROL_PORT, "/stats")
        until(f"{self.name} to start", lambda: program.check() or web.answers(url))
        return program
