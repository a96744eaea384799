"""The panel's processes, its nodes and what is between them: started, killed, healed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Container, Mapping
from pathlib import Path

import httpx

from containers import registration
from containers.connect import incus, simulated
from containers.drivers import Power, Resources
from containers.drivers.simulated import Faults, SimulatedDriver
from containers.models import Node, NodeImage
from orders.models import Plan, System
from panel.models import User
from tests.cast import PASSWORD
from tests.incus_node import IMAGE, PROJECT, ROOT, IncusNode, wait_until
from tests.panel.line import Line

MANAGE = (sys.executable, "manage.py")
COMMANDS: dict[str, tuple[str, ...]] = {
    "web": (sys.executable, "-m", "gunicorn", "panel.wsgi"),
    "worker-1": (*MANAGE, "run_huey"),
    "worker-2": (*MANAGE, "run_huey"),
    "watcher": (*MANAGE, "watch"),
}  # fmt: skip
# Of each simulated node: what the real ones have, so that all are chosen as often.
MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
ROOM = Resources(cpus=64, memory_mb=MEMORY, disk_gb=4000)
# What a power state is called by Incus itself.
POWERS = {"Running": Power.RUNNING, "Stopped": Power.STOPPED}


class Process:
    """One process of the panel, with all that it starts."""

    def __init__(self, name: str, command: tuple[str, ...], folder: Path) -> None:
        self.name, self._command = name, command
        self._log = folder / f"{name}.log"
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._running.pid if self._running else 0

    @property
    def is_up(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(
                self._command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """SIGKILL, to its children as well: gunicorn's would go on serving."""
        if self._running is not None and self._running.poll() is None:
            os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait(10)


class World:
    """Everything that can be broken. `start` it, and `stop` it whatever happens.

    Of the real nodes every second one is reached through a line.
    """

    def __init__(self, folder: Path, port: int, *, daemons: list[IncusNode]) -> None:
        bind = ("--bind", f"127.0.0.1:{port}")
        self.processes = {
            name: Process(name, command + (bind if name == "web" else ()), folder)
            for name, command in COMMANDS.items()
        }
        self.address = f"http://127.0.0.1:{port}"
        self.lines: dict[str, Line] = {}
        self._made = daemons
        self.daemons: dict[str, IncusNode] = {}
        self.simulated: dict[str, SimulatedDriver] = {}

    def start(self, customers: int, *, simulated_nodes: int = 2) -> None:
        """People, a plan, nodes with their daemons, then the processes."""
        for number in range(customers):
            User.objects.create_user(f"customer{number}", password=PASSWORD)
        for name in ("ada", "ben"):
            User.objects.create_user(name, password=PASSWORD, is_administrator=True, is_staff=True)
        system = System.objects.create(name="BusyBox", image=IMAGE)
        plan = Plan.objects.create(name="Tiny", cpus=1, memory_mb=64, disk_gb=1, price="1.90")
        plan.systems.add(system)
        for number in range(simulated_nodes):
            self._add_simulated(f"sim-{number}")
        for number, daemon in enumerate(self._made):
            self._add_real(f"real-{number}", daemon, through_line=bool(number % 2))
        for process in self.processes.values():
            process.start()

    def _add_simulated(self, name: str) -> None:
        node = Node.objects.create(
            name=name, kind=Node.Kind.SIMULATED,
            cpus=ROOM.cpus, memory_mb=ROOM.memory_mb, disk_gb=ROOM.disk_gb,
        )  # fmt: skip
        NodeImage.objects.create(node=node, name=IMAGE)
        SimulatedDriver.install(simulated(node).root, ROOM, [IMAGE], pace=0.5)
        self.simulated[name] = simulated(node)

    def _add_real(self, name: str, daemon: IncusNode, *, through_line: bool) -> None:
        server = registration.reach(daemon.prepare(), project=PROJECT)
        [node] = registration.add(server, pool="default", chosen=[(name, None)])
        self.daemons[name] = daemon
        if through_line:
            self.lines[name] = Line(daemon.port)
            node.settings["address"] = f"https://127.0.0.1:{self.lines[name].port}"
            node.save(update_fields=["settings"])
        assert incus(node).resources()

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
        for line in self.lines.values():
            line.cut()

    def truth(self) -> dict[str, Mapping[str, Power]]:
        """What is on each node, asked past the panel's own way to it where there is one."""
        return {name: _listed(daemon) for name, daemon in self.daemons.items()} | {
            name: {found.name: found.power for found in driver.instances().values()}
            for name, driver in self.simulated.items()
        }

    def revive(self, but: Container[str]) -> list[str]:
        """As a supervisor does: start those anew that ended by themselves. Returns which."""
        fallen = [
            process
            for process in self.processes.values()
            if process.name not in but and not process.is_up
        ]
        for process in fallen:
            process.start()
        return [process.name for process in fallen]

    def answers(self) -> bool:
        """Whether pages are served."""
        try:
            return httpx.get(f"{self.address}/healthz", timeout=1).status_code == 200
        except httpx.TransportError:
            return False

    def mend(self, name: str) -> None:
        """A simulated node has no faults any more."""
        self.simulated[name].set_faults(Faults())

    def restart(self, daemon: IncusNode) -> None:
        daemon.start()
        wait_until(lambda: bool(daemon.incus("info")))


def _listed(daemon: IncusNode) -> Mapping[str, Power]:
    found = daemon.query(f"/1.0/instances?recursion=1&project={PROJECT}")
    return {one["name"]: POWERS.get(one["status"], Power.BUSY) for one in found}
