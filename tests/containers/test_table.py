"""The table of statuses, tried as a whole: every status, every transition, every role, by POST.

What is expected is the table of the design, written down once, here. Everything else is asked
of the model.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import models
from django.test import Client
from django.utils import timezone
from django_fsm import FSMField

from containers import who
from containers.models import Container, Node, Operation, StatusChange
from containers.statuses import NOWHERE, TRANSIENT, Status
from panel.models import User
from tests.cast import ContainerFactory

# The buttons of the design's table; "stopping" is one that takes longer than it should.
FOR_THE_OWNER = {
    "stopped": ["start", "repair"],
    "running": ["stop", "restart"],
    "repairing": ["stop"],
}
FOR_ADMINISTRATORS = {
    "ordered": ["create"],
    "stopped": ["start", "repair", "migrate", "destroy"],
    "running": ["stop", "restart", "migrate"],
    "stopping": ["force_off"],
    "repairing": ["stop", "destroy"],
}
LEADS_TO = {
    "create": "creating",
    "start": "booting",
    "stop": "stopping",
    "restart": "stopping",
    "repair": "repairing",
    "force_off": "stopping",
    "migrate": "migrating",
    "destroy": "destroying",
}
BUTTONS = {
    "owner": FOR_THE_OWNER,
    "administrator": FOR_ADMINISTRATORS,
    "staff": {},
    "another customer": {},
    "signed out": {},
}
EVERYTHING = sorted({arrow.name for arrow in Container.transitions()})


@pytest.fixture
def browsers(
    client_of: Callable[[User], Client], lena: User, omar: User, ada: User, sten: User
) -> dict[str, Client]:
    return {
        "owner": client_of(lena),
        "administrator": client_of(ada),
        "staff": client_of(sten),
        "another customer": client_of(omar),
        "signed out": Client(),
    }


@pytest.fixture
def a_container(lena: User, node: Node) -> Callable[..., Container]:
    def make(status: str, *, on_node: bool = False, hours: float = 1) -> Container:
        return ContainerFactory.create(
            customer=lena,
            status=status,
            node=None if status in NOWHERE else node,
            status_since=timezone.now() - timedelta(hours=hours),
            on_node=on_node,
        )

    return make


def press(browser: Client, container: Container, action: str) -> Any:
    """The POST of a button whose question was answered with yes."""
    return browser.post(
        f"/containers/{container.pk}/act/",
        {"action": action, "confirmed": "yes", "name": container.name},
    )


def buttons_on(page: Any) -> list[str]:
    """The buttons of the action bar, in their order."""
    [bar] = re.findall(r'<form class="actions" id="act".*?</form>', page.content.decode(), re.S)
    return re.findall(r'<button [^>]*name="action" value="(\w+)"', bar)


@pytest.mark.parametrize("role", BUTTONS)
@pytest.mark.parametrize("status", list(Status))
def test_a_button_works_exactly_where_the_table_has_it(
    role: str,
    status: Status,
    browsers: dict[str, Client],
    a_container: Callable[..., Container],
    other_node: Node,
) -> None:
    allowed = BUTTONS[role].get(status, [])
    answer_of_others = {"another customer": 404, "signed out": 302}.get(role, 409)
    refusing = a_container(status)
    before = Container.objects.filter(pk=refusing.pk).values().get()
    operations = Operation.objects.count()

    for name in EVERYTHING:
        if name in allowed:
            continue
        answer = press(browsers[role], refusing, name)
        assert answer.status_code == answer_of_others, name
        if answer.status_code == 409:
            assert buttons_on(answer) == allowed
            assert f"{refusing.name} is {status.label} now" in answer.content.decode()
        if answer.status_code == 302:
            assert answer.url.startswith("/account/login/")
    assert Container.objects.filter(pk=refusing.pk).values().get() == before
    assert Operation.objects.count() == operations
    assert not StatusChange.objects.exists()

    for name in allowed:
        pressed = a_container(status)
        answer = press(browsers[role], pressed, name)
        assert (answer.status_code, answer.url) == (302, f"/containers/{pressed.pk}/"), name
        pressed.refresh_from_db()
        assert pressed.status == LEADS_TO[name]


@pytest.mark.parametrize("role", ["owner", "administrator", "staff"])
@pytest.mark.parametrize("status", list(Status))
def test_the_action_bar_shows_exactly_the_buttons_of_the_table(
    role: str,
    status: Status,
    browsers: dict[str, Client],
    a_container: Callable[..., Container],
) -> None:
    container = a_container(status)
    page = browsers[role].get(f"/containers/{container.pk}/")
    assert page.status_code == 200
    assert buttons_on(page) == BUTTONS[role].get(status, [])
    assert f'data-status="{status}"' in page.content.decode()


@pytest.mark.parametrize("role", ["another customer", "signed out"])
def test_a_page_that_is_not_yours_is_not_there(
    role: str, browsers: dict[str, Client], a_container: Callable[..., Container]
) -> None:
    container = a_container("running")
    page = browsers[role].get(f"/containers/{container.pk}/")
    assert page.status_code == {"another customer": 404, "signed out": 302}[role]


def test_force_off_is_not_offered_before_stopping_takes_too_long(
    browsers: dict[str, Client], a_container: Callable[..., Container]
) -> None:
    container = a_container("stopping", hours=0)
    assert buttons_on(browsers["administrator"].get(f"/containers/{container.pk}/")) == []
    assert press(browsers["administrator"], container, "force_off").status_code == 409


def test_a_cancelled_order_leaves_nothing_to_create(
    browsers: dict[str, Client], a_container: Callable[..., Container]
) -> None:
    container = a_container("ordered")
    Container.objects.update(withdrawn_at=timezone.now())
    assert press(browsers["administrator"], container, "create").status_code == 404
    container.refresh_from_db()
    assert not container.actions_for(None)


@pytest.mark.parametrize("name", [n for n, a in Container.actions().items() if a.warning])
def test_what_loses_something_is_asked_first(
    name: str, browsers: dict[str, Client], a_container: Callable[..., Container]
) -> None:
    status = next(s for s, buttons in FOR_ADMINISTRATORS.items() if name in buttons)
    container = a_container(status)
    action = Container.actions()[name]
    question = browsers["administrator"].post(
        f"/containers/{container.pk}/act/", {"action": name, "name": "another-name"}
    )
    assert question.status_code == (422 if action.typed else 200)
    assert action.warning in question.content.decode()
    container.refresh_from_db()
    assert container.status == status


def test_a_button_does_with_the_node_what_it_says(
    browsers: dict[str, Client], a_container: Callable[..., Container], worker: Any
) -> None:
    container = a_container("stopped", on_node=True)
    press(browsers["owner"], container, "start")
    worker.carry_out_all()
    container.refresh_from_db()
    assert container.status == "running"


# --- what the table promises of itself ------------------------------------------------------


def models_with_a_status() -> list[tuple[type[models.Model], FSMField]]:
    return [
        (model, field)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, FSMField)
    ]


def every_transition() -> list[Any]:
    return [
        pytest.param(model, arrow, id=f"{model.__name__}-{arrow.name}-from-{arrow.source}")
        for model, field in models_with_a_status()
        for arrow in field.get_all_transitions(model)
    ]


@pytest.mark.parametrize(("model", "arrow"), every_transition())
def test_a_transition_names_who_may_make_it(model: Any, arrow: Any) -> None:
    assert arrow.permission in {who.owner, who.administrator, who.bookkeeper, who.nobody}
    assert ("label" in arrow.custom) == (arrow.permission is not who.nobody)


@pytest.mark.parametrize(("model", "arrow"), every_transition())
def test_a_transition_only_sets_plain_fields(model: Any, arrow: Any) -> None:
    function = ast.parse(textwrap.dedent(inspect.getsource(arrow.method))).body[0]
    assert isinstance(function, ast.FunctionDef)
    plain = {field.attname for field in model._meta.concrete_fields if not field.is_relation}
    for statement in function.body:
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                continue
            case ast.Assign(targets=[ast.Attribute(value=ast.Name("self"), attr=name)]):
                calls = [ast.unparse(n) for n in ast.walk(statement) if isinstance(n, ast.Call)]
                assert name in plain
                assert set(calls) <= {"timezone.now()"}
            case _:
                pytest.fail(f"{arrow.name} does more: {ast.unparse(statement)}")


@pytest.mark.parametrize(("model", "field"), models_with_a_status())
def test_a_status_cannot_be_written_by_hand(model: Any, field: Any) -> None:
    assert field.protected
    thing = model()
    with pytest.raises(AttributeError):
        setattr(thing, field.name, getattr(thing, field.name))


def test_an_action_is_the_same_from_wherever_it_is_taken() -> None:
    for name in Container.actions():
        arrows = [arrow for arrow in Container.transitions() if arrow.name == name]
        assert len({arrow.target for arrow in arrows}) == 1
        assert len({repr(arrow.custom) for arrow in arrows}) == 1


def test_work_begins_in_a_status_at_rest() -> None:
    for arrow in Container.transitions():
        if arrow.custom.get("deadline"):
            assert arrow.source not in TRANSIENT


def test_the_panel_itself_may_what_an_administrator_may(ada: User) -> None:
    for status in Status:
        container = Container(status=status, status_since=timezone.now() - timedelta(hours=1))
        assert container.actions_for(None) == container.actions_for(ada)
