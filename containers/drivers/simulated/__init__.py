"""A node that is only a folder: the embedded default, and what the tests and the demo run on."""

from .driver import SimulatedDriver
from .store import Faults

__all__ = ["Faults", "SimulatedDriver"]
