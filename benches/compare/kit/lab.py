"""One run of one system: its network, its folder in memory, and every program started in it, all gone at the end."""

import contextlib
import os
import shutil
import tempfile

from .net import Net
from .proc import Program


class Lab:
    """Use it in a `with` block."""

    def __init__(self, scratch):
        self._scratch = scratch

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        self.folder = tempfile.mkdtemp(prefix="run-", dir=self._scratch)
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.net = self._stack.enter_context(Net())
        return self

    def __exit__(self, *failure):
        return self._stack.__exit__(*failure)

    def keep(self, thing):
        """Closes it with the lab."""
        return self._stack.enter_context(thing)

    def subfolder(self, name):
        """A new folder of this name, or the one that is there."""
        path = os.path.join(self.folder, name)
        os.makedirs(path, exist_ok=True)
        return path

    def start(self, name, argv, host, cwd=None, env=None):
        """Starts a program; `name` names its log."""
        log = os.path.join(self.folder, name + ".log")
        return self.keep(Program(argv, host, log, cwd, env))
