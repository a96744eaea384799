"""What is true on the nodes: every node is asked in parallel, and what it reports is recorded.

No node waits for another: each look has its own time-out, and a node that has not answered
the last one is not asked again meanwhile, but counted as missing once more.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from containers import strays
from containers.connect import connect
from containers.drivers import DriverError, Instance, Power
from containers.image_servers import ServerStocktaking
from containers.inventory import Stocktaking
from containers.models import Container, Node, Operation, StatusChange
from containers.news import Listener
from containers.operations.carrying import wake
from containers.operations.outcomes import record
from containers.statuses import NOWHERE, TRANSIENT, Status

logger = logging.getLogger(__name__)

# After a question without an answer the next follows so soon: a node that hangs is known to be
# off-line within 15 s, and one that is merely restarted has answered again by the third.
DOUBT = timedelta(seconds=2)
# Below, nobody cares how much faster a node has answered than the last time.
NOTICEABLE_MS = 20


@dataclass(frozen=True)
class Look:
    """What a node reported, or why it did not. `began` is before the question was sent: what
    changed after it is none of this look's business. Only `instances` are the panel's.
    `seconds` is how long the answer took."""

    began: datetime
    instances: dict[str, Instance] = field(default_factory=dict)
    by_hand: dict[str, Instance] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0


def look_at(node: Node) -> Look:
    """Ask one node. Never raises; reads and writes no row."""
    began, clock = timezone.now(), time.perf_counter()
    try:
        instances = connect(node, timeout=settings.WATCH_TIMEOUT).instances()
        return _sorted(began, instances, seconds=time.perf_counter() - clock)
    except DriverError as error:
        return Look(began, error=error.detail)
    except Exception as error:
        logger.exception("node %s", node.name)
        return Look(began, error=repr(error))


def _sorted(began: datetime, found: dict[str, Instance], *, seconds: float) -> Look:
    by_hand = {name: each for name, each in found.items() if each.by_hand}
    ours = {name: found[name] for name in found.keys() - by_hand.keys()}
    return Look(began, ours, by_hand, seconds=seconds)


class Watcher:
    """Asks every node in turn with `ask`, and writes down what has come back with `collect`.

    Now and then nodes and image servers are also asked what they have; nothing here waits for
    that answer.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=256, thread_name_prefix="look")
        self._pending: dict[Future[Look], Node] = {}
        self._stock = Stocktaking()
        self._servers = ServerStocktaking()
        self._news = Listener()
        self._wanted: set[int] = set()
        self._doubted: dict[int, datetime] = {}

    def ask(self) -> None:
        """Ask every node; one that still owes the last answer has missed once more."""
        nodes = list(Node.objects.all())
        silent = {node.pk for node in self._pending.values()}
        for node in nodes:
            if node.pk in silent:
                missed(node, "no answer in time")
            else:
                self._pending[self._pool.submit(look_at, node)] = node
            self._stock.begin_when_due(node)
        self._servers.begin_when_due()
        self._news.attend(nodes)

    def ask_out_of_turn(self) -> None:
        """Ask the nodes that have told of something, and soon again those that were on-line
        and did not answer. Where a question is still open, its answer may be older than the
        news: that node is asked once more after it."""
        due = {key for key, at in self._doubted.items() if at <= timezone.now()}
        for key in due:
            del self._doubted[key]
        self._wanted |= self._news.heard() | due
        silent = {node.pk for node in self._pending.values()}
        if now := self._wanted - silent:
            self._wanted -= now
            for node in Node.objects.filter(pk__in=now):
                self._pending[self._pool.submit(look_at, node)] = node

    def owed(self) -> bool:
        """Whether a node still owes an answer."""
        return bool(self._pending)

    def collect(self, *, seconds: float) -> None:
        """Record the answers that come within so many seconds; returns early when all have."""
        until = time.monotonic() + seconds
        answered: list[int] = []
        slower_or_faster: list[Node] = []
        while self._pending and (left := until - time.monotonic()) > 0:
            done, _ = wait(self._pending, timeout=left, return_when=FIRST_COMPLETED)
            for future in done:
                node = self._pending.pop(future)
                if future.result().error:
                    missed(node, future.result().error)
                    if node.online:
                        self._doubted[node.pk] = future.result().began + DOUBT
                else:
                    found(node, future.result())
                    answered.append(node.pk)
                    if _note_latency(node, future.result()):
                        slower_or_faster.append(node)
        self._stock.keep_what_came()
        self._servers.keep_what_came()
        if not answered:
            return
        with transaction.atomic():
            rows = Node.objects.filter(pk__in=answered)
            list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk"))
            rows.update(seen_at=timezone.now(), misses=0, problem="")
            Node.objects.bulk_update(slower_or_faster, ["latency_ms"], batch_size=100)


def _note_latency(node: Node, look: Look) -> bool:
    """Whether it takes so much more or less time to answer that it is worth writing down."""
    was, now = node.latency_ms, round(look.seconds * 1000)
    if was is not None and abs(now - was) <= max(now, was, NOTICEABLE_MS) / 2:
        return False
    node.latency_ms = now
    return True


def missed(node: Node, error: str) -> None:
    """One more look without an answer; the third in a row makes the node off-line."""
    Node.objects.filter(pk=node.pk).update(misses=F("misses") + 1, problem=error)
    node.refresh_from_db()
    if node.online and node.misses >= settings.MISSES_UNTIL_OFFLINE:
        _went_offline(node, error)


@transaction.atomic
def _went_offline(node: Node, error: str) -> None:
    now = timezone.now()
    here = Container.objects.filter(node=node, status__in=Container.sources_of("lost"))
    locked = here.select_for_update().order_by("pk").values_list("pk", "status")
    # Containers before nodes, as whoever places one does; and again for what was placed since.
    list(locked)
    if not Node.objects.filter(pk=node.pk, online=True).update(online=False, online_since=now):
        return
    affected = list(locked.all())
    because = f"node {node.name} does not answer"
    # One statement for thousands of containers: the only place where a status is written
    # without its transition, from the sources and to the target that the table gives it.
    here.update(
        status=Status.OFFLINE,
        status_since=now,
        revision=F("revision") + 1,
        problem=f"The connection to node {node.name} is broken. "
        "Nothing is lost: the status is read from the node as soon as it is back.",
    )
    StatusChange.objects.bulk_create(
        [
            StatusChange(
                container_id=pk, from_status=was, to_status=Status.OFFLINE, at=now, because=because
            )
            for pk, was in affected
        ],
        batch_size=500,
    )
    logger.error("node %s is off-line: %s", node.name, error)


def found(node: Node, look: Look) -> None:
    """Record what a node reported: only what differs is written."""
    # It may have been given up while its answer was on the way.
    node.refresh_from_db(fields=["online"])
    if not node.online:
        back = Node.objects.filter(pk=node.pk, online=False).update(
            online=True, online_since=timezone.now(), problem="", misses=0
        )
        if back:
            logger.warning("node %s is back", node.name)
    under_way = dict(
        Operation.objects.open()
        .filter(container__node=node, container__status=Status.OFFLINE)
        .values_list("container_id", "during")
    )
    here = list(Container.objects.filter(node=node).exclude(status__in=NOWHERE))
    for container in here:
        if _arrow(container, node, look, under_way.get(container.pk)):
            _correct(container.pk, node, look)
    instances = [*look.instances.values(), *look.by_hand.values()]
    strays.note(node, instances, began=look.began, known={container.pk for container in here})


def _arrow(
    container: Container, node: Node, look: Look, during: str | None
) -> tuple[str, str] | None:
    """The transition that makes a row say what its node reports, and the status it is told;
    no name where only its address or its problem is another.

    None where they agree, and where the node cannot tell yet. `during` is the transient
    status of an open Operation.
    """
    if container.status_since >= look.began or container.status in TRANSIENT:
        return None
    if container.status == Status.OFFLINE and during:
        return "resumed", during
    seen = look.instances.get(container.instance_name)
    if seen is None:
        if container.status != Status.OFFLINE:
            return "vanished", ""
        return None if container.missing else ("", "")
    if seen.power is Power.RUNNING and container.status != Status.RUNNING:
        return "found_running", ""
    if seen.power is Power.STOPPED and container.status in Container.sources_of("found_stopped"):
        return "found_stopped", ""
    if seen.address and seen.address != container.address:
        return "", ""
    return None


@transaction.atomic
def _correct(pk: int, node: Node, look: Look) -> None:
    """Look again with the row locked, and make its status what the node reports."""
    container = Container.objects.select_for_update().get(pk=pk)
    if container.node_id != node.pk:
        return
    operation = container.operations.open().select_for_update().first()
    arrow = _arrow(container, node, look, operation.during if operation else None)
    if arrow is None:
        return
    name, now = arrow
    was, was_missing = container.status, container.missing
    seen = look.instances.get(container.instance_name)
    if seen is not None and seen.address:
        container.address = seen.address
    if not name:
        if seen is None:
            container.missing, container.problem = True, _gone_from(node)
        container.revision += 1
        container.save(update_fields=["address", "missing", "problem", "revision"])
        return
    getattr(container, name)(**({"now": now} if now else {}))
    container.problem = _gone_from(node) if name == "vanished" else ""
    because = _because(name, was, node, was_missing=was_missing)
    record(container, was, operation, because=because)
    if operation is not None:
        _take_up_again(operation)


def _gone_from(node: Node) -> str:
    return f"Node {node.name} does not have this container any more. Support sees this on its list."


def _because(name: str, was: str, node: Node, *, was_missing: bool) -> str:
    if was == Status.OFFLINE:
        return f"node {node.name} has it again" if was_missing else f"node {node.name} is back"
    return {
        "found_running": f"node {node.name} reports that it was started there",
        "found_stopped": f"node {node.name} reports that it stopped by itself",
        "vanished": f"node {node.name} does not have it",
    }[name]


def _take_up_again(operation: Operation) -> None:
    """Work goes on where it was, with all the time that it had at first."""
    now = timezone.now()
    operation.deadline_at = now + Container.deadline_of(operation.kind)
    operation.not_before = operation.woken_at = now
    operation.save(update_fields=["deadline_at", "not_before", "woken_at"])
    wake(operation.pk)
