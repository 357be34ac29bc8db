"""rqbit: its server, driven over its own HTTP API, streaming through its own HTTP endpoint. TCP peers, no DHT, one HTTP tracker."""

import os
import subprocess

from .. import web
from ..proc import until
from .base import Unavailable, find, run
from .bittorrent import CONTROL_PORT, PEER_PORT, BitTorrent

VERSION = "9.1.0"


class Rqbit(BitTorrent):
    """The release build from the crates registry."""

    name = "rqbit"
    binary = None

    @classmethod
    def prepare(cls, cache, may_install):
        built = os.path.join(cache, "rqbit/bin/rqbit")
        cls.binary = built if os.path.exists(built) else find("rqbit")
        if not cls.binary and may_install and find("cargo"):
            words = ["cargo", "install", "rqbit", "--version", VERSION, "--locked", "--no-default-features", "--features", "default-tls"]
            env = {key: value for key, value in os.environ.items() if key != "CARGO_TARGET_DIR"}
            os.makedirs(os.path.dirname(os.path.dirname(built)), exist_ok=True)
            run([*words, "--root", os.path.join(cache, "rqbit")], os.path.join(cache, "rqbit"), env, "rqbit")
            cls.binary = built
        if not cls.binary:
            raise Unavailable("rqbit is not installed (cargo install rqbit)")
        return subprocess.run([cls.binary, "--version"], capture_output=True, text=True).stdout.split()[-1]

    def start(self, host, folder):
        words = ["--disable-dht", "--disable-lsd", "--disable-upnp-port-forward", "--ipv4-only"]
        words += ["--http-api-listen-addr", f"127.0.0.1:{CONTROL_PORT}", "--listen-port", str(PEER_PORT)]
        words += ["server", "start", "--disable-persistence", folder]
        program = self.lab.start(host.name, [self.binary, *words], host)
        until("rqbit to start", lambda: program.check() or web.answers(self._url(host, "/stats")))
        return program

    def add(self, host, file, folder):
        with open(self.torrent(file).path, "rb") as torrent:
            path = f"/torrents?overwrite=true&output_folder={folder}"
            web.call(self._url(host, path), "POST", torrent.read())

    def is_done(self, host):
        return web.call(self._url(host, "/torrents/0/stats/v1"))["finished"]

    def stream_url(self, host, file):
        return self._url(host, "/torrents/0/stream/0")

    def _url(self, host, path):
        return web.Url(host, "127.0.0.1", CONTROL_PORT, path)
