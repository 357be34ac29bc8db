"""libtorrent, from its Python wheel, behind the gateway in `libtorrent_peer.py`: it has none of its own."""

import os
import subprocess
import sys

from .. import web
from .base import Unavailable, run
from .bittorrent import CONTROL_PORT, GATEWAY_PORT, PEER_PORT, Scripted

VERSION = "2.1.1"
SCRIPT = os.path.join(os.path.dirname(os.path.dirname(__file__)), "peers", "libtorrent_peer.py")


class Libtorrent(Scripted):
    """In order, with deadlines for the next pieces, over TCP: its best known streaming mode, and its fastest transport."""

    name = "libtorrent"
    trusts_seeds = True
    python = None

    @classmethod
    def prepare(cls, cache, may_install):
        venv = os.path.join(cache, "libtorrent")
        cls.python = os.path.join(venv, "bin/python")
        if cls._version() is None and may_install:
            os.makedirs(cache, exist_ok=True)
            run([sys.executable, "-m", "venv", venv], cache, what="libtorrent")
            run([cls.python, "-m", "pip", "install", "--quiet", f"libtorrent=={VERSION}"], venv, what="libtorrent")
        version = cls._version()
        if version is None:
            raise Unavailable("libtorrent's Python wheel is not installed")
        return version

    @classmethod
    def _version(cls):
        try:
            words = [cls.python, "-c", "import libtorrent; print(libtorrent.version)"]
            return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None

    def start(self, host, folder):
        words = [self.python, SCRIPT, f"{host.ip}:{PEER_PORT}", str(CONTROL_PORT), str(GATEWAY_PORT)]
        return self.await_control(host, self.lab.start(host.name, words, host))

    def seed_like(self, first, host, file):
        program = self.start(host, file.folder)
        self.add(host, file, file.folder, "&trust=1")
        return program

    def stream_url(self, host, file):
        return web.Url(host, "127.0.0.1", GATEWAY_PORT, "/stream")
