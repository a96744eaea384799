"""What is true on the nodes: every node is asked in parallel, and what it reports is recorded.

No node waits for another: each look has its own time-out, and a node that has not answered
the last one is not asked again meanwhile, but counted as missing once more.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from containers import reports, strays
from containers.connect import connect
from containers.drivers import DriverError, Instance
from containers.inventory import Stocktaking
from containers.models import Container, Node, Operation, Stray
from containers.news import Listener
from containers.reports import Look
from containers.server_inventory import ServerStocktaking
from containers.statuses import NOWHERE, Status

logger = logging.getLogger(__name__)

# How soon a node that did not answer is asked again: soon enough that one that hangs is known to be
# off-line within 15 s, and late enough that one that is merely restarted answers the third time.
DOUBT = timedelta(seconds=2)
# A change of latency of no more than half of this is not written down, whatever it was before.
NOTICEABLE_MS = 20


def look_at(node: Node) -> Look:
    """Ask one node. Never raises; reads and writes no row."""
    began, clock = timezone.now(), time.perf_counter()
    try:
        instances = connect(node, timeout=settings.WATCH_TIMEOUT).instances()
        return _look(began, instances, seconds=time.perf_counter() - clock)
    except DriverError as error:
        return Look(began, error=error.detail)
    except Exception as error:
        logger.exception("node %s", node.name)
        return Look(began, error=repr(error))


def _look(began: datetime, found: dict[str, Instance], *, seconds: float) -> Look:
    """What was found, with the panel's instances apart from those made by hand."""
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
        """Ask the nodes that have sent an event, and soon again those that were on-line and did not
        answer. Where a question is still open, its answer may be older than the event: that node
        is asked once more after it."""
        due = {key for key, at in self._doubted.items() if at <= timezone.now()}
        for key in due:
            del self._doubted[key]
        self._wanted |= self._news.heard() | due
        silent = {node.pk for node in self._pending.values()}
        if now := self._wanted - silent:
            self._wanted -= now
            for node in Node.objects.filter(pk__in=now):
                self._pending[self._pool.submit(look_at, node)] = node

    def collect(self, *, seconds: float) -> None:
        """Record the answers that come within so many seconds; returns early when all have."""
        until = time.monotonic() + seconds
        answered: dict[Node, Look] = {}
        while self._pending and (left := until - time.monotonic()) > 0:
            done, _ = wait(self._pending, timeout=left, return_when=FIRST_COMPLETED)
            looks: dict[Node, Look] = {}
            for future in done:
                node = self._pending.pop(future)
                if future.result().error:
                    missed(node, future.result().error)
                    if node.online:
                        self._doubted[node.pk] = future.result().began + DOUBT
                else:
                    looks[node] = future.result()
            record_looks(looks)
            answered |= looks
        if answered:
            _note_answers(answered)
        self._stock.keep_what_came()
        self._servers.keep_what_came()


def _note_answers(answered: dict[Node, Look]) -> None:
    with transaction.atomic():
        rows = Node.objects.filter(pk__in=[node.pk for node in answered])
        list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk"))
        rows.update(seen_at=timezone.now(), misses=0, problem="")
        if seen := [
            node.pk
            for node, look in answered.items()
            if node.may_have_up_to is not None and look.tells_all
        ]:
            Node.objects.filter(pk__in=seen).update(may_have_up_to=None)
        other = [node for node, look in answered.items() if _note_latency(node, look)]
        Node.objects.bulk_update(other, ["latency_ms"], batch_size=100)


def _note_latency(node: Node, look: Look) -> bool:
    """Set the latency of a node in memory; whether it has changed enough to be written down."""
    was, now = node.latency_ms, round(look.seconds * 1000)
    if was is not None and abs(now - was) <= max(now, was, NOTICEABLE_MS) / 2:
        return False
    node.latency_ms = now
    return True


def missed(node: Node, error: str) -> None:
    """Count one more look without an answer; the third in a row makes the node off-line."""
    if not Node.objects.filter(pk=node.pk).update(misses=F("misses") + 1, problem=error):
        return  # it was deleted while its answer was on the way
    node.refresh_from_db()
    if node.online and node.misses >= settings.MISSES_UNTIL_OFFLINE:
        reports.lose(node, error)


def record_looks(looks: dict[Node, Look]) -> None:
    """Record what nodes reported: only what differs is written. Asks the database a few
    questions, however many nodes have answered."""
    # Some may have been given up, or deleted, while their answer was on the way.
    rows = Node.objects.filter(pk__in=[node.pk for node in looks])
    online = dict(rows.values_list("pk", "online"))
    looks = {node: look for node, look in looks.items() if node.pk in online}
    for node in looks:
        if not online[node.pk]:
            _mark_online(node)
    by_node: dict[int, list[Container]] = defaultdict(list)
    containers = Container.objects.filter(node__in=looks).exclude(status__in=NOWHERE)
    for container in containers.only(*reports.COMPARED):
        by_node[container.node_id or 0].append(container)
    waiting = Operation.objects.open().filter(
        container__node__in=looks, container__status=Status.OFFLINE
    )
    under_way = dict(waiting.values_list("container_id", "during"))
    with_strays = set(Stray.objects.filter(node__in=looks).values_list("node_id", flat=True))
    for node, look in looks.items():
        known = by_node[node.pk]
        reported = look.instances | look.by_hand
        look = look.of(known)
        differing = [
            container.pk
            for container in known
            if reports.correction_of(container, look, under_way.get(container.pk))
        ]
        if differing:
            reports.correct(node, look, differing)
        its_own = {each.pk for each in known if each.instance_name in look.instances}
        if node.pk in with_strays or len(reported) > len(its_own):
            strays.note(node, reported.values(), began=look.began, known=its_own)


def _mark_online(node: Node) -> None:
    back = Node.objects.filter(pk=node.pk, online=False).update(
        online=True, online_since=timezone.now(), problem="", misses=0
    )
    if back:
        logger.warning("node %s is back", node.name)
