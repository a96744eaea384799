"""What is kept of containers: the container, its node, the work on it, its history."""

from containers.models.container import Container
from containers.models.history import FileChange, StatusChange
from containers.models.lifecycle import Action, Lifecycle
from containers.models.node import Node
from containers.models.operation import Operation

__all__ = ["Action", "Container", "FileChange", "Lifecycle", "Node", "Operation", "StatusChange"]
