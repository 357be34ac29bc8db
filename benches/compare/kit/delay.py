"""A cable that takes time: two tun devices in two namespaces, and this process in between, which holds each packet a while.

Packets, not connections, are delayed, so TCP's own start-up, and everything else that waits for round trips, is as slow as on a long
line; and every system goes through the same cable, whatever protocol it speaks. The rate is not limited here. Ends when its standard
input closes.

    delay.py HOST_NETNS ROUTER_NETNS ROUTER_DEVICE DELAY_MS
"""

import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000
PACKET_BYTES = 65536


def tun(namespace, device):
    """A tun device of this name in this namespace."""
    with open(namespace, "rb") as handle:
        if ctypes.CDLL(None).setns(handle.fileno(), CLONE_NEWNET) != 0:
            raise OSError("cannot enter " + namespace)
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    return end


def drain(source, queue, delay_s):
    """Takes what has arrived at one end."""
    try:
        while True:
            queue.append((time.monotonic() + delay_s, os.read(source, PACKET_BYTES)))
    except BlockingIOError:
        pass


def deliver(queue, target):
    """Gives the other end what has travelled long enough."""
    now = time.monotonic()
    while queue and queue[0][0] <= now:
        try:
            os.write(target, queue.popleft()[1])
        except OSError:
            # A device that is not up yet, or a full queue: a wire drops such packets too.
            pass


def main():
    host, router, device, delay_ms = sys.argv[1:]
    delay_s = float(delay_ms) / 1000
    ends = tun(host, "eth0"), tun(router, device)
    queues = collections.deque(), collections.deque()
    print("ready", flush=True)
    poll = select.epoll()
    for descriptor in (*ends, sys.stdin.fileno()):
        poll.register(descriptor, select.EPOLLIN)
    while True:
        due = min((queue[0][0] for queue in queues if queue), default=None)
        events = poll.poll(-1 if due is None else max(0.0, due - time.monotonic()))
        if any(descriptor == sys.stdin.fileno() for descriptor, _ in events):
            return
        for source, target, queue in ((ends[0], ends[1], queues[0]), (ends[1], ends[0], queues[1])):
            drain(source, queue, delay_s)
            deliver(queue, target)


if __name__ == "__main__":
    main()
