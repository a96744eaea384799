"""Who and what is in the demo, and what has happened to each of its containers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """Somebody of the demo. Without a `part` nobody can sign in as them."""

    first_name: str
    last_name: str
    part: str = ""


PEOPLE = {
    "admin": Person("Ada", "Meyer", "administrator"),
    "staff": Person("Sten", "Holm", "staff"),
    "lena": Person("Lena", "Fischer", "customer"),
    "omar": Person("Omar", "Okafor", "customer"),
    "rosa": Person("Rosa", "Alvarez"),
    "dubois": Person("Jean", "Dubois"),
    "kim": Person("Kim", "Park"),
}

SYSTEMS = {
    "Debian 12": "debian/12",
    "Debian 13": "debian/13",
    "Ubuntu 24.04": "ubuntu/24.04",
    "Alpine 3.20": "alpine/3.20",
}
# No simulated node has it: it can be ordered once `make incus` has added a real one.
REAL_SYSTEM = "BusyBox"
REAL_IMAGE = "busybox"
REAL_PLAN = "Small 1 GB"


@dataclass(frozen=True)
class Offer:
    """A plan. Memory and disk in GiB, the price for a month."""

    description: str
    cpus: int
    memory: int
    disk: int
    price: str
    is_offered: bool = True


PLANS = {
    "Small 1 GB": Offer("For a site, a bot, a name server", 1, 1, 20, "4.90"),
    "Standard 2 GB": Offer("For a shop or a small team", 1, 2, 40, "8.90"),
    "Standard 4 GB": Offer("For a database, for builds", 2, 4, 80, "15.90"),
    "Standard 8 GB": Offer("For many visitors", 4, 8, 160, "28.90"),
    "Large 60 GB": Offer("Not sold any more: it fills a node", 16, 60, 600, "179.00", False),
}

NODES = ["fsn-1", "fsn-2", "nbg-1"]
UNPLUGGED = "nbg-1"


@dataclass(frozen=True)
class Past:
    """What happened to one container since it was ordered, `days` ago, oldest first.

    A word is an action of the table. "!" behind it: it failed; "…": it is still under way. The
    other words: "pay", "decline" (the gateway did), "cancel" and "refund" of the order;
    "hurry", an administrator who creates without waiting for payment; "wait", for room;
    "crash", it stopped by itself; "lost", with its node.
    """

    customer: str
    name: str
    plan: str
    system: str
    node: str
    days: float
    words: str


PASTS = [
    Past("lena", "web-01", "Standard 2 GB", "Debian 12", "fsn-1", 41.3,
         "pay create start restart crash start restart"),
    Past("lena", "shop-db", "Standard 4 GB", "Debian 12", "fsn-1", 41.26,
         "pay create start stop start"),
    Past("lena", "staging", "Small 1 GB", "Debian 13", "fsn-2", 12.4, "pay create start stop"),
    Past("lena", "legacy", "Small 1 GB", "Debian 12", "fsn-1", 30.1,
         "pay create start stop repair"),
    Past("lena", "blog", "Small 1 GB", "Debian 12", "", 0.03, ""),
    Past("lena", "cache", "Small 1 GB", "Alpine 3.20", "fsn-2", 3.3, "pay create start! start!"),
    Past("lena", "old-shop", "Standard 2 GB", "Debian 12", "fsn-2", 60.2,
         "pay create start stop destroy"),
    Past("lena", "spring-sale", "Small 1 GB", "Debian 12", "", 25.15, "cancel"),
    Past("omar", "mail", "Small 1 GB", "Debian 12", "fsn-2", 33.4, "pay create start stop start…"),
    Past("omar", "build-7", "Standard 8 GB", "Ubuntu 24.04", "fsn-2", 0.003, "pay create…"),
    Past("omar", "build-6", "Standard 8 GB", "Ubuntu 24.04", "fsn-1", 20.3, "pay create start"),
    Past("omar", "build-5", "Standard 4 GB", "Ubuntu 24.04", "fsn-2", 20.1,
         "pay create start stop destroy…"),
    Past("omar", "wiki", "Small 1 GB", "Debian 13", "fsn-1", 15.2, "pay create start migrate"),
    Past("omar", "tickets", "Standard 2 GB", "Debian 13", "fsn-2", 14.35,
         "decline pay create! create start"),
    Past("omar", "render", "Large 60 GB", "Ubuntu 24.04", "", 0.2, "pay wait"),
    Past("omar", "vpn", "Small 1 GB", "Alpine 3.20", "fsn-1", 9.1,
         "pay create start stop repair stop"),
    Past("rosa", "files", "Small 1 GB", "Debian 12", "fsn-1", 44.4,
         "pay create start stop migrate…"),
    Past("rosa", "photos", "Standard 4 GB", "Debian 12", "fsn-2", 40.2, "pay create start"),
    Past("rosa", "radio", "Small 1 GB", "Debian 12", "fsn-1", 22.1, "pay create start stop…"),
    Past("rosa", "archive", "Standard 8 GB", "Debian 12", "nbg-1", 51.3, "pay create start lost"),
    Past("rosa", "forum", "Standard 2 GB", "Debian 13", "fsn-2", 5.2, "pay create start"),
    Past("rosa", "trial", "Small 1 GB", "Debian 12", "fsn-1", 8.3,
         "pay create! create! create! create! create! refund"),
    Past("dubois", "ci-runner", "Standard 4 GB", "Ubuntu 24.04", "nbg-1", 37.2,
         "pay create start stop start… lost"),
    Past("dubois", "registry", "Standard 4 GB", "Ubuntu 24.04", "nbg-1", 37.15,
         "pay create start stop lost"),
    Past("dubois", "portal", "Standard 2 GB", "Debian 12", "fsn-1", 29.4,
         "pay create start restart"),
    Past("dubois", "intranet", "Standard 2 GB", "Debian 12", "fsn-2", 29.3, "pay create start"),
    Past("dubois", "metrics", "Small 1 GB", "Debian 13", "fsn-1", 18.2, "pay create start"),
    Past("dubois", "sandbox", "Small 1 GB", "Debian 13", "fsn-2", 2.3, "hurry start"),
    Past("dubois", "backup", "Standard 8 GB", "Debian 12", "fsn-2", 1.2,
         "pay create! create! create! create! create!"),
    Past("kim", "notes", "Small 1 GB", "Debian 12", "", 0.1, "decline"),
    Past("kim", "api", "Standard 2 GB", "Debian 13", "fsn-1", 17.3,
         "pay create start restart! start"),
    Past("kim", "api-test", "Small 1 GB", "Debian 13", "fsn-2", 17.2, "pay create start stop"),
    Past("kim", "game", "Standard 4 GB", "Debian 12", "fsn-2", 11.15,
         "pay create start migrate! restart"),
    Past("kim", "game-old", "Standard 2 GB", "Debian 12", "fsn-1", 70.1,
         "pay create start stop destroy"),
    Past("kim", "sketch", "Small 1 GB", "Alpine 3.20", "fsn-1", 4.25, "pay create"),
    Past("kim", "dns", "Small 1 GB", "Alpine 3.20", "fsn-2", 26.4, "pay create start"),
]  # fmt: skip
