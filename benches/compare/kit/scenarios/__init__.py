"""What is done with each system. A scenario makes its file once, and runs in a fresh lab each time."""

from .bulk import Bulk
from .control import Control
from .crowd import Crowd
from .crowds import ALL as CROWDS
from .memory import Memory
from .seeks import Seeks
from .start import FarStart, Start
from .unequal import Unequal

ALL = (Bulk, Start, FarStart, Seeks, Unequal, Memory, Control, Crowd, *CROWDS)

__all__ = ["ALL"]
