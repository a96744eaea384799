"""Something behind every address, and everybody who may knock."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import SimpleCookie
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client

from containers.connect import simulated
from containers.drivers.simulated import Faults
from containers.models import Beat, Container, FileChange, Node
from containers.statuses import Status
from orders import checkout
from orders.models import Order, Payment, Plan, System
from panel.models import User
from tests.cast import PASSWORD, ContainerFactory
from tests.security.addresses import Address

NOTE = "/root/note"
TOTP = "JBSWY3DPEHPK3PXP"
FORM = "application/x-www-form-urlencoded"
# The pages about files that are about a folder.
OF_A_FOLDER = {"files", "file_new", "file_upload", "folder_new"}

# Who may knock, by the name of the fixture that makes them; a stranger has not signed in.
ROLES = ("stranger", "owner", "other", "administrator", "staff", "superuser")


@dataclass(frozen=True)
class House:
    """Lena's container, in repair, and her order, unpaid; and one that its node has lost."""

    node: Node
    container: Container
    lost: Container
    order: Order
    payment: Payment

    def at(self, address: Address) -> str:
        """The address of something that is there, and lena's where it can be somebody's."""
        row = self._row(address)
        place = address.at(
            pk=row,
            id=row,
            object_id=row,
            content_type_id=ContentType.objects.get_for_model(Container).pk,
            app_label="containers",
            number=self.lost.pk,
            name="forget",
            key="x",
            uidb36="1",
            token=self.payment.token,
            variant=self.payment.variant,
        )
        if "/files/" not in address.route:
            return place
        # Something that was sent before may have broken the node on purpose.
        simulated(self.node).set_faults(Faults())
        simulated(self.node).write_file(self.container.instance_name, NOTE, BytesIO(b"a note\n"))
        about = "/root" if address.name.partition(":")[2] in OF_A_FOLDER else NOTE
        return f"{place}?{urlencode({'path': about})}"

    def _row(self, address: Address) -> Any:
        """The key of what the address is about."""
        first, *more = address.route.split("/")
        about = {"containers": self.container, "nodes": self.node, "orders": self.order}
        if first != "admin":
            return about[first].pk if first in about else None
        if "<path:content_type_id>" in more:
            return self.container.pk
        if {"id", "object_id"} & set(address.parameters):
            rows = apps.get_model(more[0], more[1])._default_manager
            return rows.order_by("pk").values_list("pk", flat=True).first()
        return None


@pytest.fixture
def house(lena: User, node: Node, plan: Plan, system: System) -> House:
    repairing = ContainerFactory.create(customer=lena, node=node, status=Status.REPAIRING)
    lost = ContainerFactory.create(
        customer=lena, node=node, status=Status.OFFLINE, missing=True, on_node=False
    )
    order = checkout.place_order(customer=lena, by=lena, plan=plan, system=system, name="web-01")
    payment = checkout.open_payment(order, lena)
    ContainerFactory.create(customer=lena, node=node, status=Status.BOOTING)
    FileChange.objects.create(container=repairing, by=lena, did="edited", path=NOTE)
    EmailAddress.objects.create(user=lena, email=lena.email)
    Beat.objects.sign("watcher")
    Authenticator.objects.create(user=lena, type=Authenticator.Type.TOTP, data={"secret": TOTP})
    return House(node, repairing, lost, order, payment)


@pytest.fixture
def browsers(lena: User, omar: User, ada: User, sten: User, db: None) -> dict[str, Client]:
    """One for each role."""
    root = User.objects.create_superuser("root", password=PASSWORD)
    people = {"owner": lena, "other": omar, "administrator": ada, "staff": sten, "superuser": root}
    found = {"stranger": Client()}
    for role, person in people.items():
        found[role] = Client()
        found[role].force_login(person)
    return found


def knock(
    browser: Client,
    method: str,
    address: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> HttpResponseBase:
    """What is answered; all that was done by asking is undone, signing out too."""
    cookies = SimpleCookie(browser.cookies)
    with transaction.atomic():
        answer = browser.generic(method, address, body, FORM, headers=headers)
        transaction.set_rollback(True)
    browser.cookies = cookies
    return answer
