"""Nodes that tell of something are heard, for as long as there are any."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, unix_serve

from containers.connect import connect
from containers.models import Node
from containers.news import Listener
from tests.cast import NodeFactory
from tests.incus_node import wait_until

Tell = Callable[[str], None]


def event(member: str = "none") -> str:
    """As Incus tells that an instance was started."""
    return json.dumps({"metadata": {"action": "instance-started"}, "location": member})


@contextmanager
def server_of(node: Node) -> Iterator[Tell]:
    """Something that tells whoever connects what it is told to tell; `""` ends a connection."""
    to_tell: SimpleQueue[str] = SimpleQueue()

    def talk(connection: ServerConnection) -> None:
        try:
            while text := to_tell.get():
                connection.send(text)
        except ConnectionClosed:
            return

    # The paths of sockets are short: pytest's own folders may be too long.
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "socket")
        node.settings = {"address": path, "project": "berth", "pool": "default"} | node.settings
        node.save()
        with unix_serve(talk, path) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield to_tell.put
            to_tell.put("")


def heard_by(listener: Listener, node: Node) -> Callable[[], bool]:
    """Whether something of just this node has been heard since."""
    return lambda: listener.heard() == {node.pk}


@pytest.fixture
def teller(db: None) -> Node:
    return NodeFactory.create(kind=Node.Kind.INCUS, settings={"member": "node2"})


def test_who_begins_to_listen_looks_once_and_then_at_each_event(teller: Node) -> None:
    listener = Listener()
    with server_of(teller) as tell:
        listener.attend([teller])
        wait_until(heard_by(listener, teller))
        tell(event())
        wait_until(heard_by(listener, teller))


def test_what_happens_on_another_member_is_that_ones_news(teller: Node) -> None:
    listener = Listener()
    with server_of(teller) as tell:
        listener.attend([teller])
        wait_until(heard_by(listener, teller))
        tell(event("node1"))
        tell(event("node2"))
        wait_until(heard_by(listener, teller))
        assert listener.heard() == set()


@pytest.mark.parametrize("last_words", [[], ["no JSON"], ["[]"]])
def test_what_ends_with_a_connection_or_with_nonsense_is_begun_again(
    teller: Node, last_words: list[str]
) -> None:
    listener = Listener()
    with server_of(teller) as tell:
        listener.attend([teller])
        wait_until(heard_by(listener, teller))
        for words in (*last_words, ""):
            tell(words)

        def is_heard_again() -> bool:
            listener.attend([teller])
            return heard_by(listener, teller)()

        wait_until(is_heard_again)


def test_one_thread_is_enough_for_all_nodes(teller: Node) -> None:
    listener, before = Listener(), set(threading.enumerate())
    others = [NodeFactory.create(kind=Node.Kind.INCUS, settings=teller.settings) for _ in range(3)]
    with ExitStack() as servers:
        for node in (teller, *others):
            servers.enter_context(server_of(node))
        own = set(threading.enumerate()) - before
        listener.attend([teller, *others])
        heard: set[int] = set()

        def are_all_heard() -> bool:
            heard.update(listener.heard())
            return heard == {teller.pk, *(node.pk for node in others)}

        wait_until(are_all_heard)
        [only] = [each for each in set(threading.enumerate()) - before - own if each.name == "news"]
    assert only.is_alive()


def test_a_node_of_a_further_kind_is_not_taken_for_incus() -> None:
    listener = Listener()
    listener.attend([Node(pk=1, name="other", kind="other")])
    assert listener.heard() == set()
    with pytest.raises(KeyError, match="other"):
        connect(Node(name="other", kind="other"))
