"""The verbs of a scenario."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A number a run gives: its key and its heading."""

    key: str
    heading: str


class Scenario:
    """One row of the table of what is compared."""

    name = ""
    summary = ""
    measures = ()
    # What ratios are taken against, if it took part.
    reference = "nginx"
    # Whether its files are kept in memory, so that no disk is measured.
    in_memory = True

    def __init__(self, options):
        self.options = options

    def make_file(self, folder):
        """The file that is moved, made in this folder of its own."""
        raise NotImplementedError

    def suits(self, system):
        """Why this system cannot do it; None if it can."""
        return None

    def run(self, lab, system, file):
        """Does it once with a system class; gives `{measure key: number}`."""
        raise NotImplementedError
