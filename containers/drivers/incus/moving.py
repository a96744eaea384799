"""Moving a stopped container to another server, or to another member of the same cluster.

Between two servers the target fetches a copy. These are the steps, each noted on an instance
before the next begins, so that a move that is asked for again after a crash goes on:

1. The source is given the mark of this move. It loses it when it is used again, in any way.
2. The copy is made with the same mark, as one that is arriving: it is not shown as a container.
3. Copy and source are compared, file by file. A copy whose mark is not that of its source is
   out of date and thrown away.
4. The copy is whole from now on.
5. The source is deleted. If both are found whole, the same mark says that the source is the
   one to delete.

A cluster does all that by itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from containers.drivers import (
    Conflict,
    DriverError,
    NoRoom,
    NoSuchInstance,
    Progress,
    Refused,
    Unreachable,
)

from . import files
from .instances import ID, MOVE, STATE, WHOLE, IncusInstance, copy_of, refuse_unless_stopped
from .operations import Doing, cancel, follow, under_way
from .survey import Survey

if TYPE_CHECKING:
    from .driver import IncusDriver

_COPYING, _VERIFYING, _DELETING = "Copying", "Verifying the copy", "Deleting the original"
_CLEARING = "Clearing away the copy"


def check(source: IncusDriver, target: IncusDriver, name: str) -> None:
    """See `Driver.check_move`."""
    here = _ours(source.look(name))
    if here is None:
        raise NoSuchInstance(f"{source.label} has no {name}")
    environment = target.client.get("/1.0")["environment"]
    if here.raw["architecture"] not in environment["architectures"]:
        raise Refused(f"{name} is {here.raw['architecture']}, which {target.label} cannot run")
    if target.client.find(target.pool_url) is None:
        raise Refused(f"{target.label} has no storage pool {target.pool!r}")
    _refuse_another(here, target.look(name), target)


def move(source: IncusDriver, target: IncusDriver, name: str) -> Iterator[Progress]:
    """See `Driver.move`."""
    here, there = source.look(name), target.look(name)
    if _ours(here) is None and _ours(there) is None:
        raise NoSuchInstance(f"neither {source.label} nor {target.label} has {name}")
    if source.label == target.label:
        return
    environments = [driver.client.get("/1.0")["environment"] for driver in (source, target)]
    prints = {environment["certificate_fingerprint"] for environment in environments}
    if len(prints) > 1:
        yield from _carry_over(source, target, name, environments[0])
    elif source.member and target.member and source.member != target.member:
        yield from _within_cluster(source, target, name)


def give_up(source: IncusDriver, target: IncusDriver, name: str) -> Iterator[Progress]:
    """See `Driver.give_up_move`. A verified copy stays: another worker may be about to delete the
    source."""
    here, there = source.look(name), target.look(name)
    if not _is_whole(here) or (there and not _is_unverified(here, there)):
        return
    # A cluster gives up as well: its members offer and fetch as two servers do.
    _take_back(source, name)
    for driver in (source, target):
        for operation in under_way(driver.client, name, driver.member):
            with suppress(Refused, Conflict):
                yield from follow(driver.client, operation.id, _CLEARING)
    there = target.look(name)
    if there and _is_unverified(here, there):
        yield from target.discard(there, _CLEARING)


def _within_cluster(source: IncusDriver, target: IncusDriver, name: str) -> Iterator[Progress]:
    failure: DriverError | None = None
    for _ in range(2):  # once more where what was joined came to nothing
        if _is_whole(target.look(name)):
            return
        try:
            here = _fit_to_move(source, name)
        except NoSuchInstance:
            if _is_whole(target.look(name)):
                return  # it has arrived in between
            raise
        joined = [
            operation.id
            for operation in under_way(source.client, name, source.member)
            if operation.doing == Doing.MOVE and not operation.waits
        ]
        try:
            if not joined:
                source.complete(here)
                begun = source.client.change(
                    "POST", f"/1.0/instances/{name}", {"migration": True}, **target.at_member
                )
                joined = [begun["id"]]
            yield from _follow(source, joined[0])
        except Unreachable:
            raise
        except DriverError as error:
            failure = error
    if not _is_whole(target.look(name)):
        raise failure or Conflict(f"{name} is not on {target.member} yet")


def _carry_over(
    source: IncusDriver, target: IncusDriver, name: str, environment: dict[str, Any]
) -> Iterator[Progress]:
    for operation in under_way(target.client, name, target.member):
        if operation.doing == Doing.CREATE:
            with suppress(Refused, Conflict):  # what counts is what it has left
                yield from _follow(target, operation.id)
    here, there = source.look(name), target.look(name)
    if _ours(here) is None:
        if _is_whole(there):
            return
        raise Conflict(f"{target.label} has a copy of {name} that was never verified")
    assert here is not None
    _refuse_another(here, there, target)
    if there and not (_is_copy(here, there) and there.is_unpacked):
        yield from target.discard(there, "Clearing away an old copy")
        there = None
    if there is None:
        here = yield from _copy(source, target, name, environment)
        there = target.look(name)
    if there is None or not (_is_copy(here, there) and there.is_unpacked):
        raise Conflict(f"{name} on {target.label}: something came in between")
    if not there.is_whole:
        _fit_to_move(source, name)
        yield from _verify(source, target, here, there)
        target.note(name, STATE, WHOLE)
    yield from source.discard(here, _DELETING)
    target.note(name, MOVE, "")


def _refuse_another(here: IncusInstance, there: IncusInstance | None, target: IncusDriver) -> None:
    """Raise Refused where the target has something of this name that must stay."""
    if there is None:
        return
    if not there.is_ours or there.config[ID] != here.config[ID]:
        raise Refused(f"{target.label} has another {here.name}")
    if there.is_whole and not _is_copy(here, there):
        raise Refused(
            f"{target.label} has a {here.name} from an earlier move that was given up",
            "That node has an old copy of it. An administrator removes that on the node's page.",
        )


def _copy(
    source: IncusDriver, target: IncusDriver, name: str, environment: dict[str, Any]
) -> Generator[Progress, None, IncusInstance]:
    """Returns the source as it was when the copy began."""
    here = _fit_to_move(source, name)
    source.complete(here)
    source.note(name, MOVE, f"{uuid4().hex} {here.raw['last_used_at']}")
    here = _fit_to_move(source, name)
    _take_back(source, name)
    offer = source.client.change(
        "POST", f"/1.0/instances/{name}", {"migration": True, "live": False}
    )
    origin = {
        "type": "migration",
        "mode": "pull",
        "operation": f"{_address(source, environment)}/1.0/operations/{offer['id']}",
        "certificate": environment["certificate"],
        "secrets": offer["metadata"],
    }
    body = {**copy_of(here, target.pool), "source": origin}
    try:
        begun = target.client.change("POST", "/1.0/instances", body, **target.at_member)
        yield from _fetch(source, target, offer["id"], begun["id"])
    except DriverError:
        cancel(source.client, offer["id"])
        raise
    return here


def _take_back(source: IncusDriver, name: str) -> None:
    """Cancel what the source offers: from now on nobody can fetch it."""
    for operation in under_way(source.client, name, source.member):
        if operation.doing == Doing.MOVE:
            cancel(source.client, operation.id)


def _fetch(source: IncusDriver, target: IncusDriver, offer: str, begun: str) -> Iterator[Progress]:
    try:
        yield from _follow(target, begun)
        yield from _follow(source, offer)
    except (NoRoom, NoSuchInstance):
        raise
    except Refused as refusal:
        # Most of what breaks a copy off is gone at the next try.
        raise Conflict(refusal.detail) from refusal


def _follow(driver: IncusDriver, operation: str) -> Iterator[Progress]:
    """Without the percentage, which is that of the image, unpacked before anything is copied."""
    for progress in follow(driver.client, operation, _COPYING):
        yield replace(progress, percent=None)


def _verify(
    source: IncusDriver, target: IncusDriver, here: IncusInstance, there: IncusInstance
) -> Iterator[Progress]:
    surveys = []
    for driver in (source, target):
        surveys.append(Survey())
        with files.session(driver.client, here.name) as sftp:
            yield from surveys[-1].look(sftp, _VERIFYING)
    if surveys[0].digest != surveys[1].digest:
        yield from target.discard(there, "Clearing away a copy that is not the same")
        raise Conflict(f"the copy of {here.name} on {target.label} is not the same")
    now = source.look(here.name)
    if now is None or not _is_copy(now, there):
        raise Conflict(f"{here.name} was used while it was copied")


def _fit_to_move(driver: IncusDriver, name: str) -> IncusInstance:
    found = driver.look(name)
    if not (found and found.is_whole):
        raise NoSuchInstance(f"{driver.label} has no {name}")
    refuse_unless_stopped(found)
    return found


def _is_copy(here: IncusInstance, there: IncusInstance) -> bool:
    """Whether one is a copy of the other as it is now: not started, not changed since."""
    mark = here.config.get(MOVE, "")
    return bool(
        mark and mark == there.config.get(MOVE) and mark.endswith(f" {here.raw['last_used_at']}")
    )


def _is_unverified(here: IncusInstance | None, there: IncusInstance | None) -> bool:
    """Whether one is a copy of the other, however old, that has not become whole."""
    here, there = _ours(here), _ours(there)
    if here is None or there is None:
        return False
    return not there.is_whole and there.config[ID] == here.config[ID]


def _ours(found: IncusInstance | None) -> IncusInstance | None:
    return found if found and found.is_ours else None


def _is_whole(found: IncusInstance | None) -> bool:
    return found is not None and found.is_whole


def _address(source: IncusDriver, environment: dict[str, Any]) -> str:
    """Where the target finds the source: as the panel does, unless that is a local socket."""
    if not source.server.is_local:
        return source.server.address
    addresses = environment["addresses"]
    if not addresses:
        raise Refused(f"{source.label} listens on its local socket only")
    return f"https://{addresses[0]}"
