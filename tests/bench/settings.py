"""The panel's settings with the URLs of the yardsticks, for processes of their own."""

from panel.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench.urls"
