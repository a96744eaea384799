"""Adding real nodes, by a join token or a local socket; and renewing the key that the panel has for
them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Q

from containers import inventory
from containers.connect import incus, server_at
from containers.drivers import DriverError, Unreachable
from containers.drivers.incus import Client, Server
from containers.drivers.incus.about import Member, describe, members
from containers.drivers.incus.trust import join, make_identity, read_token, renew
from containers.models import Node
from containers.models.node import NodeQuerySet

NOBODY_THERE = "No Incus server answers there."
SHUT = (
    "The panel may not open this socket. Let its user into the group that may (adduser berth "
    "incus-admin), restart the panel, and try again."
)
# The key of an advisory lock of PostgreSQL: any number that is no other lock's.
_ADDING = 0x_BE27


class CannotAdd(Exception):
    """The server cannot be worked with; `sentences` say why, to an administrator. `name` is the one
    that is at fault, if it is a name."""

    def __init__(self, *sentences: str, name: str | None = None) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences
        self.name = name


@dataclass(frozen=True)
class Offer:
    """A server, or one member of a cluster, that can be added as a Node. Memory in MiB, disk in
    GiB. `problem` says why it cannot be added just now; `known_as` is the Node that it is
    already, if it is one."""

    name: str
    member: str | None
    cpus: int = 0
    memory_mb: int = 0
    disk_gb: int = 0
    version: str = ""
    images: tuple[str, ...] = ()
    problem: str = ""
    known_as: str = ""


def reach(where: str, *, project: str) -> Server:
    """How to reach the server that a join token or the path of a local socket leads to; a token
    is used up by this. Raises DriverError."""
    if where.startswith("/"):
        return _answering(server_at(where, "", project))
    identity = make_identity(settings.INCUS_IDENTITY)
    return join(read_token(where), identity, project=project, timeout=settings.NODE_TIMEOUT)


def _answering(server: Server) -> Server:
    """The server at a local socket, once it has said which one it is."""
    try:
        with closing(Client(server)) as client:
            about = client.get("/1.0")
    except Unreachable as failure:
        is_shut = os.strerror(errno.EACCES) in failure.detail
        raise Unreachable(failure.detail, SHUT if is_shut else NOBODY_THERE) from failure
    return replace(server, certificate=about["environment"]["certificate"])


def offers(server: Server, *, pool: str) -> list[Offer]:
    """What can be added of a server: itself, or each member of its cluster. Raises CannotAdd
    where the panel cannot work with it."""
    with closing(Client(server)) as client:
        about = describe(client, pool)
    if about.obstacles:
        raise CannotAdd(*about.obstacles)
    if not about.members:
        return [_offer(server, pool, about.name, None)]
    return [
        _offer(_own(server, member), pool, member.name, member.name)
        if member.is_online
        else Offer(member.name, member.name, problem=f"{member.status}: {member.message}")
        for member in about.members
    ]


def _offer(server: Server, pool: str, name: str, member: str | None) -> Offer:
    known = _same(server, member).first()
    try:
        driver = incus(_row(server, pool, member, name))
        has, images = driver.resources(), driver.images()
    except DriverError as error:
        return Offer(name, member, problem=error.detail)
    return Offer(
        name=name,
        member=member,
        images=tuple(images),
        known_as=known.name if known else "",
        **asdict(has),
    )


def add(server: Server, *, pool: str, chosen: Iterable[tuple[str, str | None]]) -> list[Node]:
    """Make a Node of each chosen pair of name and member. All of them, or none: raises
    CannotAdd where a name is taken or cannot be one, or a server is a Node already, and DriverError
    where one does not answer."""
    chosen = list(chosen)
    own = _by_member(server) if any(member for _, member in chosen) else {}
    nodes = [_row(own.get(member, server), pool, member, name) for name, member in chosen]
    for node in nodes:
        _check_name(node)
    found = [inventory.ask(node) for node in nodes]
    with transaction.atomic():
        _wait_for_others()
        for node, has in zip(nodes, found, strict=True):
            if Node.objects.filter(name=node.name).exists():
                taken = f"There is a node called {node.name} already. Choose another name."
                raise CannotAdd(taken, name=node.name)
            if same := _same(server, node.settings["member"]).first():
                raise CannotAdd(f"This server is node {same.name} already.")
            node.save()
            inventory.keep_all(node, has)
    return nodes


def _check_name(node: Node) -> None:
    try:
        node.clean_fields()
    except ValidationError as error:
        sentence = (
            f"{node.name!r} cannot be the name of a node: use letters, digits, hyphens and "
            "underscores, 63 at most."
        )
        raise CannotAdd(sentence, name=node.name) from error


def _wait_for_others() -> None:
    """Until the transaction ends nobody else adds a node, so that of two who add the same one finds
    it. On SQLite one writes at a time as it is."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADDING])


def _by_member(server: Server) -> dict[str | None, Server]:
    with closing(Client(server)) as client:
        return {member.name: _own(server, member) for member in members(client)}


def _own(server: Server, member: Member) -> Server:
    """How to reach a member of a cluster without the help of another, which might hang."""
    return server if server.is_local else replace(server, address=member.address)


def rotate() -> list[str]:
    """Give the panel a new key and certificate, at every server that it knows. Returns the
    addresses; asked again after a crash it goes on. Raises DriverError, with the old key still
    in use everywhere, where a server cannot be told."""
    fresh = make_identity(settings.INCUS_IDENTITY.with_suffix(".new"))
    known = Node.objects.filter(kind=Node.Kind.INCUS).values_list("settings", flat=True)
    servers = {
        server_at(has["address"], has["certificate"], has["project"])
        for has in known
        if not has["address"].startswith("/")
    }
    told = sorted(servers, key=lambda server: server.address)
    _check_all_answer(told, fresh)
    for number, server in enumerate(told):
        try:
            renew(server, fresh)
        except DriverError:
            for changed in told[:number]:
                with suppress(DriverError):
                    renew(replace(changed, identity=fresh), settings.INCUS_IDENTITY)
            raise
    fresh.replace(settings.INCUS_IDENTITY)
    return [server.address for server in told]


def _check_all_answer(servers: list[Server], fresh: Path) -> None:
    """Called before the first server is told of the new key, as from then on that one does not
    accept the old. Raises Unreachable, which names all servers that do not answer."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        problems = pool.map(lambda server: _problem_of(server, fresh), servers)
        silent = [problem for problem in problems if problem]
    if silent:
        raise Unreachable("; ".join(silent), "Not all servers answer: none was changed.")


def _problem_of(server: Server, fresh: Path) -> str:
    """Why a server could not be told of the new key; "" where it could, or has been already."""
    try:
        for known in (server, replace(server, identity=fresh)):
            with closing(Client(known)) as client:
                if client.is_trusted:
                    return ""
    except DriverError as error:
        return error.detail
    return f"{server.address}: it does not accept the panel's certificate"


def _row(server: Server, pool: str, member: str | None, name: str) -> Node:
    return Node(
        name=name,
        kind=Node.Kind.INCUS,
        settings={
            "address": server.address,
            "certificate": server.certificate,
            "project": server.project,
            "member": member,
            "pool": pool,
        },
    )


def _same(server: Server, member: str | None) -> NodeQuerySet:
    """The Nodes that are this server, or this member of a cluster, already."""
    # All members of a cluster show one certificate, at whichever address they were asked.
    same = Q(settings__certificate=server.certificate)
    if server.is_local:
        # Nodes at a socket did not keep it in 0.1.
        same |= Q(settings__address=server.address)
    return Node.objects.filter(same, kind=Node.Kind.INCUS, settings__member=member)
