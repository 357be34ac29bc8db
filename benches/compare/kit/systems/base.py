"""The verbs of a system under comparison."""

import os
import shutil
import subprocess


class Unavailable(Exception):
    """The system is not here and cannot be had here; says why."""


class System:
    """One system, in one lab. A viewer is a program that runs already; `click` is what a person does then."""

    name = ""
    # Whether a viewer can take one file from several sources.
    has_many_sources = True
    # Whether further sources of a file need not read all of it first.
    trusts_seeds = False

    @classmethod
    def prepare(cls, cache, may_install):
        """Finds or installs it below `cache`; gives its version. Raises `Unavailable`."""
        raise NotImplementedError

    def __init__(self, lab, hub):
        """Starts what all hosts of the system share, on the host `hub`."""
        self.lab, self.hub = lab, hub

    def seed(self, host, file):
        """Starts a source of the whole file; gives its program once it serves."""
        raise NotImplementedError

    def viewer(self, host, file):
        """Starts an idle viewer; gives its program (None if it needs none) once a click on `file` would work."""
        raise NotImplementedError

    def click(self, host, file):
        """Begins to play the file at the viewer of `host`; gives the URL to read it from. The clock runs."""
        raise NotImplementedError

    def fetch(self, host, file):
        """Fetches the whole file on `host` as one would from a script; gives `(seconds, program, path)`. The program may run on."""
        raise NotImplementedError

    def seed_like(self, first, host, file):
        """A further source, spared the check of the file where the system allows it; `first` is one that serves already."""
        return self.seed(host, file)

    def await_sources(self, host, file, count):
        """Waits until the viewer of `host` could know so many sources."""

    def neighbours(self, host, file):
        """How many others the viewer of `host` is linked with for this file; 0 if it does not say."""
        return 0

    def counters(self, host, file):
        """What the viewer of `host` itself counts, as a dictionary; empty if it counts nothing."""
        return {}


def find(*names):
    """The path of the first of these programs that is installed."""
    for name in names:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        if path:
            return path
    return None


def run(argv, cwd=None, env=None, what=None, patience_s=3600):
    """Runs an installer; a failure means that the system cannot be had."""
    log = os.path.join(cwd or ".", "install.log")
    try:
        with open(log, "ab") as out:
            subprocess.run(argv, cwd=cwd, env=env, check=True, stdout=out, stderr=out, timeout=patience_s, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{what or argv[0]} does not install ({error}); see {log}") from error
