"""HTTP as a player speaks it, from inside a host: ranges, and the time each takes. One client for every system, so all are timed alike."""

import http.client
import json
import socket
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Url:
    """Where a file is read from: a host of the laboratory, and an address as seen from there."""

    host: object
    ip: str
    port: int
    path: str


def connect(host, ip, port, patience_s=60, receive_bytes=None):
    """A TCP connection made from `host`."""
    with host.inside():
        plug = socket.socket()
    plug.settimeout(patience_s)
    if receive_bytes:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    plug.connect((ip, port))
    plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plug


def request(url, method="GET", body=None, headers=None, patience_s=60, receive_bytes=None):
    """Sends a request on a new connection; gives `(connection, answer)` once the answer's head is there."""
    connection = http.client.HTTPConnection(url.ip, url.port)
    connection.sock = connect(url.host, url.ip, url.port, patience_s, receive_bytes)
    connection.request(method, url.path, body=body, headers=headers or {})
    answer = connection.getresponse()
    if answer.status >= 400:
        text = answer.read(500)
        connection.close()
        raise OSError(f"{method} {url.path}: {answer.status} {text!r}")
    return connection, answer


def call(url, method="GET", body=None, headers=None, patience_s=30):
    """The whole answer, from JSON if it is JSON."""
    connection, answer = request(url, method, body, headers, patience_s)
    try:
        text = answer.read()
    finally:
        connection.close()
    try:
        return json.loads(text)
    except ValueError:
        return text


def answers(url):
    """Whether something answers there, well or badly."""
    try:
        call(url, patience_s=2)
    except (ConnectionError, TimeoutError):
        return False
    except OSError:
        return True
    return True


class Body:
    """The bytes of a URL from `start` on, up to `end` (exclusive) or to the end of the file, as they come."""

    def __init__(self, url, start=0, end=None, patience_s=60, receive_bytes=None):
        field = f"bytes={start}-" + ("" if end is None else str(end - 1))
        head = f"GET {url.path} HTTP/1.1\r\nHost: {url.ip}:{url.port}\r\nRange: {field}\r\n\r\n"
        # A plain socket, since a reader that must not wait has to know what is there, and buffers of a library hide it.
        self._plug = connect(url.host, url.ip, url.port, patience_s, receive_bytes)
        self._plug.sendall(head.encode())
        self._rest = b""
        while b"\r\n\r\n" not in self._rest:
            part = self._plug.recv(65536)
            if not part:
                raise EOFError(f"no answer to {url.path}: {self._rest!r}")
            self._rest += part
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1]
        if status not in (b"200", b"206") or b"chunked" in head.lower():
            raise OSError(f"{url.path}: {head.decode(errors='replace')}")

    def read(self, at_most):
        """What is there, at least a byte."""
        if self._rest:
            part, self._rest = self._rest[:at_most], self._rest[at_most:]
            return part
        part = self._plug.recv(at_most)
        if not part:
            raise EOFError("the answer ended early")
        return part

    def set_patience(self, seconds):
        """How long a read waits."""
        self._plug.settimeout(seconds)

    def take(self, count):
        """Exactly so many bytes."""
        parts = []
        while count:
            parts.append(self.read(min(count, 65536)))
            count -= len(parts[-1])
        return b"".join(parts)

    def close(self):
        """Hangs up, as a player does that seeks."""
        self._plug.close()


def timed(url, start, count, is_open=False):
    """Seconds from the request to the last of `count` bytes at `start`. `is_open`: asks for all that follows, and leaves early."""
    begun = time.monotonic()
    body = Body(url, start, None if is_open else start + count)
    data = body.take(count)
    took = time.monotonic() - begun
    body.close()
    return took, data
