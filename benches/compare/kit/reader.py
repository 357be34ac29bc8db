"""A viewer in real time: begins with some seconds buffered, stalls when it runs dry, goes on with a little again, reads no further
ahead than a player would. It thinks in media time, and media of constant rate.
"""

import threading
import time

from . import web

START_S, RESUME_S, AHEAD_S = 2.0, 1.0, 30.0
# What the kernel may hold for the reader counts as not read yet: it is kept small.
RECEIVE_BYTES = 64 << 10


class Reader(threading.Thread):
    """Plays a file of `bitrate_bps` once, from `from_s` to `seconds` of it. `click` gives its URL, and the clock starts before."""

    def __init__(self, click, file, seconds, give_up_s=None, from_s=0.0):
        super().__init__(daemon=True)
        self._click, self._file = click, file
        self._start = int(from_s * file.bitrate_bps / 8)
        self._bytes = min(file.size, int(seconds * file.bitrate_bps / 8)) - self._start
        self._is_stopped = False
        self._give_up_s = give_up_s or 2 * seconds + 30
        self.startup_s, self.stalled_s, self.stalls, self.played_s = None, 0.0, 0, 0.0
        # What broke the viewing off; a viewer that gave up waiting has none.
        self.error = None

    def run(self):
        try:
            self._play()
        except Exception as error:  # noqa: BLE001 - whatever ends a viewing is a result
            self.error = f"{type(error).__name__}: {error}"

    def _play(self):
        rate = self._file.bitrate_bps / 8
        begun = last = time.monotonic()
        deadline = begun + self._give_up_s
        url = self._click()
        try:
            body = web.Body(url, self._start, patience_s=self._give_up_s, receive_bytes=RECEIVE_BYTES)
        except TimeoutError:
            # It gave up before there was an answer, and so never began.
            return
        body.set_patience(0.05)
        received, is_playing = 0, False
        total_s = self._bytes / rate
        while self.played_s < total_s - 1e-6:
            ahead_s = received / rate - self.played_s
            if received < self._bytes and ahead_s < AHEAD_S:
                received += _some(body, min(65536, self._bytes - received))
            else:
                time.sleep(0.02)
            now = time.monotonic()
            passed, last = now - last, now
            held_s = received / rate
            is_whole = received >= self._bytes
            if is_playing:
                step = min(passed, held_s - self.played_s)
                self.played_s += step
                if step < passed and self.played_s < total_s - 1e-6:
                    self.stalls += 1
                    self.stalled_s += passed - step
                    is_playing = False
            else:
                if self.startup_s is not None:
                    self.stalled_s += passed
                needed_s = START_S if self.startup_s is None else RESUME_S
                if held_s - self.played_s >= needed_s or is_whole:
                    is_playing = True
                    if self.startup_s is None:
                        self.startup_s = now - begun
            if now > deadline or self._is_stopped:
                break
        body.close()

    def stop(self):
        """Hangs up, as whoever goes elsewhere."""
        self._is_stopped = True
        self.join()

    def rebuffering(self):
        """Stalled time / time since the start of playing; all of it if it never began."""
        total = self.stalled_s + self.played_s
        return self.stalled_s / total if total else 1.0


def _some(body, at_most):
    try:
        return len(body.read(at_most))
    except TimeoutError:
        return 0
