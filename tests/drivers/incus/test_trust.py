"""Panel and Incus server know each other, and the panel is let in nowhere else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from containers.drivers import Refused, Unreachable
from containers.drivers.incus import Client, IncusDriver, Server
from containers.drivers.incus.about import describe
from containers.drivers.incus.errors import NotTrusted
from containers.drivers.incus.trust import BadToken, join, make_identity, read_token, renew
from tests.drivers.conftest import finish
from tests.incus_node import IMAGE, IncusNode

from .conftest import questions, spec

pytestmark = pytest.mark.incus


def test_a_server_that_shows_another_certificate_is_not_spoken_to(
    driver: IncusDriver, other: IncusDriver
) -> None:
    impostor = IncusDriver(replace(driver.server, certificate=other.server.certificate))
    for question in questions(impostor, "ct-1"):
        with pytest.raises(Unreachable, match="not the one that was pinned"):
            question()


def test_a_server_that_does_not_know_the_panel_says_so(driver: IncusDriver, tmp_path: Path) -> None:
    stranger = IncusDriver(replace(driver.server, identity=make_identity(tmp_path / "new.pem")))
    for question in questions(stranger, "ct-1"):
        with pytest.raises(NotTrusted, match="does not accept the panel's certificate"):
            question()
    assert "does not let the panel in" in describe(stranger.client).obstacles[0]


def test_a_certificate_that_cannot_be_read_is_named(driver: IncusDriver, tmp_path: Path) -> None:
    for broken in ({"identity": tmp_path / "none.pem"}, {"certificate": "garbage"}):
        with pytest.raises(NotTrusted, match="cannot be read"):
            IncusDriver(replace(driver.server, **broken)).instances()


def test_the_panel_is_let_into_its_project_only(driver: IncusDriver) -> None:
    elsewhere = IncusDriver(replace(driver.server, project="default"))
    with pytest.raises(Refused):
        elsewhere.instances()
    with pytest.raises(Refused):
        finish(elsewhere.create(spec("ct-1")))
    assert "default" in describe(elsewhere.client).obstacles[0]


def test_a_token_goes_only_to_the_server_that_made_it(
    servers: list[IncusNode], tmp_path: Path
) -> None:
    token = read_token(servers[0].prepare())
    identity = make_identity(tmp_path / "new.pem")
    elsewhere = replace(token, addresses=(servers[1].address,))
    with pytest.raises(Unreachable, match="not the one that the token names"):
        join(elsewhere, identity)
    assert join(replace(token, addresses=(servers[1].address, *token.addresses)), identity)


def test_a_token_lets_in_once(servers: list[IncusNode], tmp_path: Path) -> None:
    text = servers[0].prepare()
    first, second = (make_identity(tmp_path / f"{each}.pem") for each in ("first", "second"))
    for _ in range(2):
        assert IncusDriver(join(read_token(text), first)).images() == [IMAGE]
    with pytest.raises(BadToken):
        join(read_token(text), second)


@pytest.mark.parametrize("text", ["", "token", "e30=", "bm90IGpzb24=", "eyJhZGRyZXNzZXMiOiBbXX0="])
def test_what_is_no_token_is_told_from_one(text: str) -> None:
    with pytest.raises(BadToken):
        read_token(text)


def test_a_token_for_another_project_is_refused(servers: list[IncusNode], tmp_path: Path) -> None:
    text = servers[0].incus("config", "trust", "add", "x", "--restricted", "--projects=default")
    with pytest.raises(BadToken):
        join(read_token(text.split()[-1]), make_identity(tmp_path / "new.pem"))


def test_the_panels_key_is_made_once_and_for_its_eyes_only(tmp_path: Path) -> None:
    file = make_identity(tmp_path / "keys/panel.pem")
    content = file.read_bytes()
    assert make_identity(file).read_bytes() == content
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["panel.pem"]


def test_the_panels_certificate_is_renewed(servers: list[IncusNode], tmp_path: Path) -> None:
    old, new = (make_identity(tmp_path / f"{each}.pem") for each in ("old", "new"))
    before = join(read_token(servers[0].prepare()), old)
    for _ in range(2):
        after = renew(before, new)
        assert IncusDriver(after).images() == [IMAGE]
    with pytest.raises(NotTrusted):
        IncusDriver(before).images()


def test_a_server_says_what_it_is(driver: IncusDriver) -> None:
    about = describe(driver.client)
    assert about.name == os.uname().nodename
    assert not about.members
    assert not about.obstacles


def test_what_stands_in_the_way_is_said_in_words(
    node: IncusNode, driver: IncusDriver, tmp_path: Path
) -> None:
    def obstacle(client: Client, pool: str = "default") -> str:
        [sentence] = describe(client, pool).obstacles
        return sentence

    assert "no storage pool 'fast'" in obstacle(driver.client, "fast")
    assert "no such file" in obstacle(Client(Server(str(tmp_path / "s")))).lower()
    node.kill()
    assert "does not answer" in obstacle(driver.client)
