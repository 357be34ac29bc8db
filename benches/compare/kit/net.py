"""Hosts, each a network namespace of its own, around one router; links of given rates and delays; byte counters.

The router forwards between cables and shapes nothing itself: a host's uplink is a token bucket on its own end, its downlink one on
the router's end. Invariant: a `Net` leaves no namespace behind, whatever happens inside its `with` block.
"""

import ctypes
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import NamedTuple

CLONE_NEWNET = 0x40000000
# One burst is 10 ms of the link, and never less than two full packets; a longer queue than 200 ms is dropped.
BURST_S, QUEUE_MS, MIN_BURST_BYTES = 0.010, 200, 2 * 1514

# What a frame on a cable has before its IP packet.
ETHERNET_BYTES = 14

_libc = ctypes.CDLL(None, use_errno=True)
_home = open("/proc/thread-self/ns/net", "rb")


def _enter(handle):
    if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def ip(*words):
    """Runs `ip` with these words."""
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True, text=True)


def why_impossible():
    """Why no namespace can be made here; None if one can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = f"rzprobe{os.getpid()}"
    try:
        ip("netns", "add", probe)
        ip("netns", "del", probe)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespace can be made: {getattr(error, 'stderr', error)}"
    return None


class Traffic(NamedTuple):
    """Bytes that have passed the cable of a host so far."""

    received: int
    sent: int
    # What was received, without the Ethernet headers around it.
    received_ip: int


class Host:
    """One machine of the laboratory."""

    def __init__(self, net, name, number):
        self.net, self.name, self.number = net, name, number
        self.ip = f"10.77.{number}.2"
        self.namespace = f"{net.tag}{name}"
        self.port = f"p{number}"
        self.cable = None
        ip("netns", "add", self.namespace)
        self.handle = open(f"/run/netns/{self.namespace}", "rb")

    @contextmanager
    def inside(self):
        """Sockets made and programs started by this thread within belong to this host."""
        _enter(self.handle)
        try:
            yield self
        finally:
            _enter(_home)

    def shape(self, up_bps=None, down_bps=None):
        """Limits what it may send and receive, in bits per second."""
        _tbf(self.namespace, "eth0", up_bps)
        _tbf(self.net.namespace, self.port, down_bps)


class Net:
    """A router and the hosts around it."""

    def __init__(self):
        self.tag = f"rz{os.getpid() % 100000}-{Net._count()}"
        self.namespace = f"{self.tag}router"
        self.hosts = {}

    _lock, _made = threading.Lock(), 0

    @classmethod
    def _count(cls):
        with cls._lock:
            cls._made += 1
            return cls._made

    def __enter__(self):
        ip("netns", "add", self.namespace)
        with open(f"/run/netns/{self.namespace}", "rb") as handle:
            _enter(handle)
            try:
                with open("/proc/sys/net/ipv4/ip_forward", "w") as switch:
                    switch.write("1")
                # An open file of /proc keeps the namespace it was opened in.
                self._counters = open("/proc/thread-self/net/dev")
            finally:
                _enter(_home)
        return self

    def __exit__(self, *_):
        for host in self.hosts.values():
            if host.cable:
                host.cable.stdin.close()
                host.cable.wait()
            host.handle.close()
            ip("netns", "del", host.namespace)
        self._counters.close()
        ip("netns", "del", self.namespace)

    def host(self, name, up_bps=None, down_bps=None, delay_ms=0):
        """A new host. Its packets take `delay_ms` in each direction, so a round trip takes twice that longer."""
        host = Host(self, name, len(self.hosts) + 1)
        self.hosts[name] = host
        if delay_ms:
            self._lay_delayed_cable(host, delay_ms)
        else:
            ip("link", "add", host.port, "netns", self.namespace, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
        router = f"10.77.{host.number}.1"
        for namespace, device, address in ((host.namespace, "eth0", host.ip), (self.namespace, host.port, router)):
            ip("-n", namespace, "addr", "add", f"{address}/24", "dev", device)
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "link", "set", device, "up")
            if up_bps or down_bps:
                # What a wire carries, and what its counters count, are packets and not the kernel's bundles of them.
                ip("-n", namespace, "link", "set", device, "gso_max_segs", "1")
        ip("-n", host.namespace, "route", "add", "default", "via", router)
        host.shape(up_bps, down_bps)
        return host

    def _lay_delayed_cable(self, host, delay_ms):
        program = os.path.join(os.path.dirname(__file__), "delay.py")
        words = [sys.executable, program, f"/run/netns/{host.namespace}", f"/run/netns/{self.namespace}", host.port, str(delay_ms)]
        host.cable = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if host.cable.stdout.readline() != b"ready\n":
            raise RuntimeError("no delayed cable: is there /dev/net/tun?")

    def traffic(self):
        """`{host name: Traffic}`, as seen on the host's cable. Packets are told from frames where the kernel does not bundle them."""
        self._counters.seek(0)
        rows = {}
        for line in self._counters.read().splitlines()[2:]:
            device, _, fields = line.partition(":")
            values = fields.split()
            # What the router's end has sent the host has received.
            rows[device.strip()] = [int(values[at]) for at in (0, 8, 9)]
        return {name: self._traffic(host, *rows[host.port]) for name, host in self.hosts.items()}

    @staticmethod
    def _traffic(host, sent, received, frames_received):
        # A delayed cable carries bare packets.
        header = 0 if host.cable else ETHERNET_BYTES
        return Traffic(received, sent, received - header * frames_received)


def _tbf(namespace, device, rate_bps):
    if not rate_bps:
        return
    burst = max(int(rate_bps / 8 * BURST_S), MIN_BURST_BYTES)
    words = ["tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", "tbf"]
    words += ["rate", f"{int(rate_bps)}bit", "burst", str(burst), "latency", f"{QUEUE_MS}ms"]
    subprocess.run(words, check=True, capture_output=True, text=True)
