"""Simulated nodes: folders that behave like servers.

driver   the driver itself
node     what a node does, and goes on doing while nobody looks
store    the files that a node keeps
rootfs   the files of a container; chroot: paths that never lead out of it
image    what a fresh container has on its disk; copy: moving it to another node
usage    what a container uses, made up
"""

from .driver import SimulatedDriver
from .store import Faults

__all__ = ["Faults", "SimulatedDriver"]
