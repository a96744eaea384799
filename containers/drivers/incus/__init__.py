"""Real system containers: the driver of Incus servers, alone or in a cluster.

client      HTTP, certificates, time-outs; limits: of every answer, in time and size;
            errors: what Incus' refusals mean
operations  its work in the background, found again and followed
instances   an instance, and the panel's notes on it
reading     what a node says; addresses, usage
driver      the driver itself; moving: from one server to another
files       the files of a stopped container; survey: all of them; sftp: the protocol beneath
trust       key pair, join token, registration
about       what a server is, and what stands in the way of working with it
catalogue   the images of an image server
news        the events that a server sends
"""

from .client import Client, Server
from .driver import IncusDriver

__all__ = ["Client", "IncusDriver", "Server"]
