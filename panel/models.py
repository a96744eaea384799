"""The people who use the panel, and the browsers in which they are signed in."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import connection, models
from django.db.models.functions import Concat

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase


class PeopleManager(UserManager["User"]):
    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """In small letters, as allauth keeps addresses: it would take the same one for two."""
        return super().normalize_email(email).lower()

    def with_whole_name(self) -> models.QuerySet[User]:
        """People, to be looked for by `whole_name`: the name that pages show, if they have one."""
        return self.alias(whole_name=Concat("first_name", models.Value(" "), "last_name"))

    def of_demo(self) -> models.QuerySet[User]:
        """Those who can sign in with the password of the demo, which everybody may know."""
        return self.filter(is_demo=True, is_active=True)

    def lock(self, person: User) -> None:
        """Until the transaction ends nobody else holds this person's row; rows that refer to it
        can be written meanwhile. On SQLite nobody else writes in any case."""
        if connection.features.has_select_for_update:
            row = self.filter(pk=person.pk).order_by().values_list("pk")
            row.select_for_update(no_key=True).get()

    def create_superuser(
        self,
        username: str,
        email: str | None = None,
        password: str | None = None,
        **extra_fields: Any,
    ) -> User:
        """The first person of a new installation: administrator and staff in one."""
        extra_fields.setdefault("is_administrator", True)
        return super().create_superuser(username, email, password, **extra_fields)


class User(AbstractUser):
    """A customer, unless one of the flags says more.

    `is_administrator` runs containers and nodes in the panel. `is_staff` looks after plans,
    orders and accounts in the Django admin. One person may be both.
    """

    is_administrator = models.BooleanField(
        "administrator", default=False, help_text="Runs every container and node in the panel."
    )
    is_demo = models.BooleanField(default=False, editable=False)

    objects: ClassVar[PeopleManager] = PeopleManager()

    class Meta(AbstractUser.Meta):
        # Lists of containers are sorted by it.
        indexes = [models.Index(fields=["last_name"])]

    def set_password(self, raw_password: str | None) -> None:
        """Whoever has a password of their own is none of the demo's people any more, whose password
        everybody may read."""
        super().set_password(raw_password)
        self.is_demo = False

    @property
    def administers(self) -> bool:
        """Whether this person runs containers and nodes, and has not been shut out."""
        return self.is_active and self.is_administrator

    @property
    def sees_everything(self) -> bool:
        """Whether lists show this person everybody's rows, or only their own."""
        return self.administers or (self.is_active and self.is_staff)

    @property
    def role_label(self) -> str:
        """The word beside the name in the top bar."""
        if self.is_administrator:
            return "administrator"
        return "staff" if self.is_staff else "customer"

    @property
    def initials(self) -> str:
        """One or two letters for the round mark of a person."""
        words = (self.get_full_name() or self.username).split()
        return "".join(word[0] for word in words[:2]).upper()

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Session(AbstractBaseSession):
    """What is kept for one browser. Whoever has its key is that browser: no page shows it.

    `person` is who is signed in there, None where nobody is; both are read in one query.
    """

    # Without a constraint: where the person was just deleted, Django would take its violation for a
    # session key that is taken already, and try one key after the other.
    person = models.ForeignKey(
        User, models.CASCADE, null=True, related_name="sessions", db_constraint=False
    )

    def __str__(self) -> str:
        return f"session of {self.person or 'nobody'}"

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        """Where it is written and read."""
        store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
        return store
