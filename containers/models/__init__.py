"""What is kept of containers: the container, its node, the work on it, its history, its usage."""

from containers.models.beat import Beat
from containers.models.container import Container
from containers.models.history import FileChange, StatusChange
from containers.models.lifecycle import Action, Lifecycle
from containers.models.name_index import NameIndex, PeopleIndex
from containers.models.node import Node, NodeImage
from containers.models.operation import Operation
from containers.models.server_image import ServerImage
from containers.models.stray import Stray
from containers.models.tally import Tally
from containers.models.usage import Span, UsageSample

__all__ = [
    "Action",
    "Beat",
    "Container",
    "FileChange",
    "Lifecycle",
    "NameIndex",
    "Node",
    "NodeImage",
    "Operation",
    "PeopleIndex",
    "ServerImage",
    "Span",
    "StatusChange",
    "Stray",
    "Tally",
    "UsageSample",
]
