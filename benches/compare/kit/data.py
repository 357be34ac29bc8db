"""Files to move: random bytes in a WAV header, so that they are a medium of any wished bitrate and nothing can be compressed.

Rusteze shares media alone, and the others do not care. Eight-bit mono sound has as many bytes as samples a second, so its
sample rate is the byte rate. From 4 GiB on the header is an RF64 one.
"""

import os
import random
import struct

BLOCK_BYTES = 1 << 20
HEADER_BYTES = 80


class File:
    """A file to move: where it is, its size and its rate."""

    def __init__(self, path, bitrate_bps):
        self.path, self.bitrate_bps = path, bitrate_bps
        self.name = os.path.basename(path)
        self.folder = os.path.dirname(path)
        self.size = os.path.getsize(path)


def make(folder, name, size, bitrate_bps, seed=1):
    """Makes `folder/name.wav` of exactly `size` bytes, always the same for the same arguments."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name + ".wav")
    generator = random.Random(seed)
    with open(path, "wb") as out:
        out.write(_header(size, bitrate_bps // 8))
        left = size - HEADER_BYTES
        while left:
            block = generator.randbytes(min(left, BLOCK_BYTES))
            out.write(block)
            left -= len(block)
    return File(path, bitrate_bps)


def _header(size, rate):
    samples = size - HEADER_BYTES
    is_large = size >= 1 << 32
    kind, riff_size, data_size = (b"RF64", 0xFFFFFFFF, 0xFFFFFFFF) if is_large else (b"RIFF", size - 8, samples)
    # In a small file the space of the long sizes is a chunk that readers pass over.
    sizes = struct.pack("<4sIQQQI", b"ds64" if is_large else b"JUNK", 28, size - 8, samples, samples, 0)
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate, 1, 8)
    header = struct.pack("<4sI4s", kind, riff_size, b"WAVE") + sizes + fmt + struct.pack("<4sI", b"data", data_size)
    assert len(header) == HEADER_BYTES
    return header
