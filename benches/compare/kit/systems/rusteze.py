"""Rusteze, from the release binaries of this checkout: once with a sharing peer as the source, once with the tracker's own library."""

import os
import shutil
import subprocess
import time

from .. import web
from ..proc import until
from .base import System, Unavailable

TRACKER_PORT, PEER_PORT, GATEWAY_PORT = 7700, 7701, 8080
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../../.."))


class Rusteze(System):
    """A tracker on the hub, peers that share, peers that view."""

    name = "rusteze"
    trusts_seeds = True
    binaries = os.path.join(os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target"), "release")

    @classmethod
    def prepare(cls, cache, may_install):
        if may_install and shutil.which("cargo"):
            build = ["cargo", "build", "--release", "-p", "peer-actor", "-p", "tracker-actor", "--bins", "--quiet"]
            if subprocess.run(build, cwd=ROOT).returncode != 0:
                raise Unavailable("this checkout does not build")
        peer = os.path.join(cls.binaries, "rusteze-peer")
        if not os.path.exists(peer):
            raise Unavailable("not built: cargo build --release -p peer-actor -p tracker-actor")
        version = subprocess.run([peer, "--version"], capture_output=True, text=True).stdout.split()[-1]
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        return f"{version} ({commit})" if commit else version

    def __init__(self, lab, hub):
        super().__init__(lab, hub)
        self._content_id = None
        self._start_tracker(hub, [])

    def seed(self, host, file):
        program = self._peer(host, ["--share", file.folder])
        self._content_id = self._await_file(host, file, lambda entry: entry["is_local"])["content_id"]
        return program

    def viewer(self, host, file):
        program = self._peer(host, [])
        entry = self._await_file(host, file, lambda entry: entry["sources"] >= 1)
        self._content_id = entry["content_id"]
        return program

    def click(self, host, file):
        return web.Url(host, "127.0.0.1", GATEWAY_PORT, f"/stream/{self._content_id}")

    def click_on(self, host, file):
        """As `click`, where the source has several files."""
        content_id = self._await_file(host, file, lambda entry: entry["sources"] >= 1)["content_id"]
        return web.Url(host, "127.0.0.1", GATEWAY_PORT, f"/stream/{content_id}")

    def fetch(self, host, file):
        out = os.path.join(self.lab.subfolder(host.name), file.name)
        begun = time.monotonic()
        words = ["get", self._content_id, "--out", out, *self._peer_words(host)]
        program = self.lab.start(f"{host.name}-get", [os.path.join(self.binaries, "rusteze-peer"), *words], host)
        if program.wait(600) != 0:
            raise RuntimeError(program.log_tail())
        return time.monotonic() - begun, program, out

    def seed_like(self, first, host, file):
        # What the first found out about the file, without its identity; hash trees are only read and can be shared.
        there, here = self.lab.subfolder(f"{first.name}-data"), self.lab.subfolder(f"{host.name}-data")
        shutil.copy(os.path.join(there, "index.redb"), here)
        shutil.copytree(os.path.join(there, "outboards"), os.path.join(here, "outboards"), copy_function=os.link)
        return self.seed(host, file)

    def await_sources(self, host, file, count):
        self._await_file(host, file, lambda entry: entry["sources"] >= count)

    def neighbours(self, host, file):
        return sum(peer["connected"] for peer in self.counters(host, file)["peers"])

    def counters(self, host, file):
        return web.call(web.Url(host, "127.0.0.1", GATEWAY_PORT, f"/api/streams/{self._content_id}"))

    def _start_tracker(self, host, words):
        data = self.lab.subfolder("tracker-data")
        words = ["--listen", f"{host.ip}:{TRACKER_PORT}", "--data", data, *words]
        program = self.lab.start("tracker", [os.path.join(self.binaries, "rusteze-tracker"), *words], host)
        self._tracker = f"ws://{host.ip}:{TRACKER_PORT}"
        until("the tracker", lambda: program.check() or web.answers(web.Url(host, host.ip, TRACKER_PORT, "/ready")))
        return program

    def _peer_words(self, host):
        cache = self.lab.subfolder(f"{host.name}-data")
        return ["--tracker", self._tracker, "--kind", "audio", "--cache", cache, "--listen", f"0.0.0.0:{PEER_PORT}"]

    def _peer(self, host, words):
        words = [*self._peer_words(host), "--gateway", f"127.0.0.1:{GATEWAY_PORT}", *words]
        program = self.lab.start(host.name, [os.path.join(self.binaries, "rusteze-peer"), *words], host)
        until("the peer's gateway", lambda: program.check() or web.answers(web.Url(host, "127.0.0.1", GATEWAY_PORT, "/ready")))
        return program

    def _await_file(self, host, file, is_enough):
        url = web.Url(host, "127.0.0.1", GATEWAY_PORT, "/api/files")

        def entry():
            found = [entry for entry in web.call(url) if entry["name"] == file.name]
            return found and is_enough(found[0]) and found[0]

        return until(f"{file.name} in the catalogue of {host.name}", entry, 120)


class RustezeOrigin(Rusteze):
    """The source is the tracker itself, as with a web server: nobody shares but it."""

    name = "rusteze:origin"
    has_many_sources = False

    def __init__(self, lab, hub):
        System.__init__(self, lab, hub)
        self._content_id = None

    def seed(self, host, file):
        program = self._start_tracker(host, ["--library", file.folder])
        library = web.Url(host, host.ip, TRACKER_PORT, "/api/files")

        def entry():
            return next((entry for entry in web.call(library) if entry["name"] == file.name), None)

        self._content_id = until(f"{file.name} in the tracker's library", entry, 120)["content_id"]
        return program
