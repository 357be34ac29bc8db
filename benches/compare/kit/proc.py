"""One program on one host: started with a log, measured through `/proc`, ended by its id."""

import os
import signal
import subprocess
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.05


class Program:
    """A running program. Use it in a `with` block, which ends it."""

    def __init__(self, argv, host, log, cwd=None, env=None):
        self.argv = [str(word) for word in argv]
        self.log = log
        self._usage = None
        self._peak_kib = self._peak_anon_kib = 0
        self._base_cpu_s = 0.0
        with open(log, "ab") as out, host.inside():
            self._child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env=env)
        self.pid = self._child.pid
        self.started = time.monotonic()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def is_running(self):
        """Whether it has not ended yet."""
        if self._usage is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._usage = usage
                self._child.returncode = os.waitstatus_to_exitcode(status)
        return self._usage is None

    def wait(self, patience_s):
        """Waits for its end; gives the exit code."""
        deadline = time.monotonic() + patience_s
        while self.is_running():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.argv[0]} still runs after {patience_s} s:\n{self.log_tail()}")
            time.sleep(0.005)
        return self._child.returncode

    def kill(self):
        """SIGKILL, and waits until it is gone."""
        if self.is_running():
            os.kill(self.pid, signal.SIGKILL)
            self.wait(20)

    def check(self):
        """Raises with the end of its log if it has ended."""
        if not self.is_running():
            raise RuntimeError(f"{self.argv[0]} ended with {self._child.returncode}:\n{self.log_tail()}")

    def reset(self):
        """Counts CPU time and peak memory from here."""
        self._base_cpu_s = self._cpu_s()
        try:
            with open(f"/proc/{self.pid}/clear_refs", "w") as refs:
                refs.write("5")
        except OSError:
            # Not allowed, or gone: the peak then counts from its start.
            pass
        self._peak_kib = self._peak_anon_kib = 0

    def cpu_s(self):
        """CPU seconds since the start or the last reset."""
        return self._cpu_s() - self._base_cpu_s

    def peak_mib(self):
        """The most resident memory since the start or the last reset, in MiB."""
        self._look()
        return self._peak_kib / 1024

    def peak_anon_mib(self):
        """The most anonymous memory that was seen, in MiB: what is neither a file's nor shared, at each sample."""
        self._look()
        return self._peak_anon_kib / 1024

    def rss_mib(self):
        """Resident memory now: (all, anonymous), in MiB."""
        fields = self._status()
        return fields.get("VmRSS", 0) / 1024, fields.get("RssAnon", 0) / 1024

    def log_tail(self, lines=20):
        """The end of what it said."""
        with open(self.log, "rb") as log:
            return b"\n".join(log.read().splitlines()[-lines:]).decode(errors="replace")

    def _cpu_s(self):
        if self._usage is not None:
            return self._usage.ru_utime + self._usage.ru_stime
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def _status(self):
        try:
            with open(f"/proc/{self.pid}/status") as status:
                rows = (line.split(":", 1) for line in status)
                return {key: int(value.split()[0]) for key, value in rows if value.strip().endswith("kB")}
        except (OSError, ProcessLookupError):
            return {}

    def _look(self):
        # The high-water mark of the address space: unlike the one of `wait4` it forgets what this kit was before `exec`.
        fields = self._status()
        self._peak_kib = max(self._peak_kib, fields.get("VmHWM", 0))
        self._peak_anon_kib = max(self._peak_anon_kib, fields.get("RssAnon", 0))

    def _sample(self):
        while self._usage is None:
            self._look()
            time.sleep(SAMPLE_S)


def until(what, condition, patience_s=30.0, every_s=0.02):
    """Waits until `condition()` gives something true, and gives that; raises when it does not in time."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {patience_s:.0f} s in vain for {what}")
        time.sleep(every_s)
