"""What the BitTorrent programs need to meet: torrent files, and a tracker that knows who is in which swarm."""

import hashlib
import http.server
import os
import socket
import threading
import urllib.parse


def bencode(value):
    """The bencoding of numbers, texts, lists and dictionaries."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    pairs = sorted((key.encode() if isinstance(key, str) else key, item) for key, item in value.items())
    return b"d" + b"".join(bencode(key) + bencode(item) for key, item in pairs) + b"e"


class Torrent:
    """The torrent of one file, kept in `folder`."""

    def __init__(self, file, announce, piece_bytes, folder):
        hashes = []
        with open(file.path, "rb") as data:
            while piece := data.read(piece_bytes):
                hashes.append(hashlib.sha1(piece).digest())
        info = {"length": file.size, "name": file.name, "piece length": piece_bytes, "pieces": b"".join(hashes)}
        self.info_hash = hashlib.sha1(bencode(info)).hexdigest()
        self.bytes = bencode({"announce": announce, "info": info})
        self.path = os.path.join(folder, f"{file.name}.{piece_bytes}.torrent")
        with open(self.path, "wb") as out:
            out.write(self.bytes)


_made = {}


def torrent_of(file, announce, piece_bytes, folder):
    """The same, made once for all rounds: hashing is no part of what is compared."""
    key = file.path, announce, piece_bytes
    if key not in _made:
        _made[key] = Torrent(file, announce, piece_bytes, folder)
    return _made[key]


class Tracker:
    """An HTTP tracker on a host: answers every announce with everybody else in the swarm."""

    def __init__(self, host, port=6969):
        self.announce = f"http://{host.ip}:{port}/announce"
        swarms, lock = {}, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                raw = dict(pair.split("=", 1) for pair in self.path.partition("?")[2].split("&") if "=" in pair)
                infohash = urllib.parse.unquote_to_bytes(raw.get("info_hash", ""))
                me = self.client_address[0], int(raw.get("port", "0"))
                with lock:
                    swarm = swarms.setdefault(infohash, {})
                    if raw.get("event") == "stopped":
                        swarm.pop(me, None)
                    else:
                        swarm[me] = raw.get("left") == "0"
                    others = [peer for peer in swarm if peer != me]
                    seeds = sum(swarm.values())
                packed = b"".join(socket.inet_aton(ip) + port.to_bytes(2, "big") for ip, port in others)
                counts = {"complete": seeds, "incomplete": len(swarm) - seeds}
                answer = bencode({"interval": 30, "min interval": 5, "peers": packed, **counts})
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        with host.inside():
            self._server = http.server.ThreadingHTTPServer((host.ip, port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
