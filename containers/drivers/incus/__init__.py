"""Real system containers: the driver of Incus servers, alone or in a cluster."""

from .client import Client, Server
from .driver import IncusDriver

__all__ = ["Client", "IncusDriver", "Server"]
