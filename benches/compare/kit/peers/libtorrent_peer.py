"""A libtorrent session that is told what to do over HTTP, with a gateway: pieces in order, deadlines for those a reader needs next.

    libtorrent_peer.py IP:PEER_PORT CONTROL_PORT GATEWAY_PORT
"""

import http.server
import json
import re
import sys
import threading
import time
import urllib.parse

import libtorrent

# How far ahead pieces get deadlines: pieces of one deadline are asked for together and finish together, so few of the large ones.
AHEAD_BYTES, LEAST_PIECES, MOST_PIECES = 4 << 20, 4, 10

listen, control_port, gateway_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
session = libtorrent.session({
    "listen_interfaces": listen,
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_incoming_utp": False, "enable_outgoing_utp": False,
    "alert_mask": libtorrent.alert.category_t.status_notification | libtorrent.alert.category_t.storage_notification,
})
handles, pieces, arrived = [], {}, threading.Condition()


def pump():
    """Collects the pieces that were read."""
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, libtorrent.read_piece_alert):
                with arrived:
                    pieces[alert.piece] = alert.buffer
                    arrived.notify_all()


def piece(handle, index):
    """The bytes of a piece, once it is there."""
    info = handle.torrent_file()
    pieces_ahead = max(LEAST_PIECES, min(MOST_PIECES, AHEAD_BYTES // info.piece_length()))
    for ahead in range(min(pieces_ahead, info.num_pieces() - index)):
        if not handle.have_piece(index + ahead):
            handle.set_piece_deadline(index + ahead, 100 * (ahead + 1))
    while not handle.have_piece(index):
        time.sleep(0.002)
    handle.read_piece(index)
    with arrived:
        arrived.wait_for(lambda: index in pieces)
        return pieces.pop(index)


class Control(http.server.BaseHTTPRequestHandler):
    """`POST /add?folder=` and `GET /stats`."""

    def do_GET(self):
        status = handles[0].status() if handles else None
        self.reply({"done": bool(status and status.is_seeding), "received": status.total_payload_download if status else 0})

    def do_POST(self):
        words = urllib.parse.parse_qs(self.path.partition("?")[2])
        parameters = libtorrent.add_torrent_params()
        parameters.ti = libtorrent.torrent_info(libtorrent.bdecode(self.rfile.read(int(self.headers["Content-Length"]))))
        parameters.save_path = words["folder"][0]
        parameters.flags = (parameters.flags | libtorrent.torrent_flags.sequential_download) & ~(
            libtorrent.torrent_flags.auto_managed | libtorrent.torrent_flags.paused)
        if "trust" in words:
            parameters.flags |= libtorrent.torrent_flags.seed_mode
        handles.append(session.add_torrent(parameters))
        self.reply({})

    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Gateway(http.server.BaseHTTPRequestHandler):
    """`GET /stream`, with a single range."""

    def do_GET(self):
        handle = handles[0]
        info = handle.torrent_file()
        size, length = info.total_size(), info.piece_length()
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "bytes=0-"))
        start, end = int(found[1]), int(found[2]) + 1 if found[2] else size
        self.send_response(206)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        handle.clear_piece_deadlines()
        try:
            while start < end:
                index, offset = divmod(start, length)
                part = piece(handle, index)[offset:offset + end - start]
                self.wfile.write(part)
                start += len(part)
        except OSError:
            # The player has left.
            pass

    def log_message(self, *_):
        pass


threading.Thread(target=pump, daemon=True).start()
for port, handler in ((control_port, Control), (gateway_port, Gateway)):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
threading.Event().wait()
