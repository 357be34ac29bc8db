"""webtorrent on Node, behind its own HTTP server. TCP wires; WebRTC is left out, since its native part does not come with the package."""

import json
import os
import subprocess
import urllib.parse

from .. import web
from .base import Unavailable, find, run
from .bittorrent import CONTROL_PORT, GATEWAY_PORT, PEER_PORT, Scripted

VERSION = "2.8.5"
SCRIPT = os.path.join(os.path.dirname(os.path.dirname(__file__)), "peers", "webtorrent_peer.mjs")
# uint8-util 2.3 no longer takes the texts that webtorrent 2.8.5 gives it.
OVERRIDES = {"webrtc-polyfill": "file:./no-webrtc", "uint8-util": "2.2.5"}
NO_WEBRTC = "export const RTCPeerConnection = undefined, RTCSessionDescription = undefined, RTCIceCandidate = undefined\nexport default {}\n"


class Webtorrent(Scripted):
    """Pieces in order (`strategy: sequential`)."""

    name = "webtorrent"
    folder = None

    @classmethod
    def prepare(cls, cache, may_install):
        if not find("node"):
            raise Unavailable("node is not installed")
        cls.folder = os.path.join(cache, "webtorrent")
        if not os.path.exists(cls._manifest()) and may_install and find("npm"):
            cls._install()
        if not os.path.exists(cls._manifest()):
            raise Unavailable("webtorrent is not installed (npm)")
        with open(cls._manifest()) as manifest:
            version = json.load(manifest)["version"]
        node = subprocess.run([find("node"), "--version"], capture_output=True, text=True).stdout.strip()
        return f"{version}, node {node}"

    @classmethod
    def _manifest(cls):
        return os.path.join(cls.folder, "node_modules/webtorrent/package.json")

    @classmethod
    def _install(cls):
        stub = os.path.join(cls.folder, "no-webrtc")
        os.makedirs(stub, exist_ok=True)
        package = {"dependencies": {"webtorrent": VERSION}, "overrides": OVERRIDES}
        texts = {
            "package.json": json.dumps({"private": True, "type": "module", **package}),
            "no-webrtc/package.json": json.dumps({"name": "webrtc-polyfill", "version": "99.0.0", "type": "module", "main": "index.js"}),
            "no-webrtc/index.js": NO_WEBRTC,
        }
        for name, text in texts.items():
            with open(os.path.join(cls.folder, name), "w") as out:
                out.write(text)
        run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], cls.folder, what="webtorrent")

    def start(self, host, folder):
        library = os.path.join(self.folder, "node_modules/webtorrent/index.js")
        words = [find("node"), SCRIPT, library, str(PEER_PORT), str(CONTROL_PORT), str(GATEWAY_PORT)]
        return self.await_control(host, self.lab.start(host.name, words, host))

    def stream_url(self, host, file):
        path = f"/webtorrent/{self.torrent(file).info_hash}/{urllib.parse.quote(file.name)}"
        return web.Url(host, "127.0.0.1", GATEWAY_PORT, path)
