"""Times and spans as the pages tell them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from pytest_django import Settings

from containers.templatetags.spans import clock, in_full, when, when_exactly
from tests.conftest import Clock

AT = datetime(2026, 3, 24, 10, 39, 7, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_vienna(settings: Settings, clock: Clock) -> None:
    """It is an evening in Vienna, some days later."""
    settings.TIME_ZONE = "Europe/Vienna"
    clock.advance(by=datetime(2026, 3, 27, 22, tzinfo=UTC) - clock.now())


def words(element: str) -> str:
    return re.sub("<[^>]*>", "", element)


def test_a_moment_is_told_with_its_day_and_to_the_minute(clock: Clock) -> None:
    assert words(when(AT)) == "24 Mar, 11:39"
    assert words(when(AT.replace(year=2025))) == "24 Mar 2025, 11:39"
    clock.advance(by=AT - clock.now())
    assert words(when(AT)) == "11:39"


def test_history_is_told_to_the_second_and_what_is_told_in_full_names_its_zone() -> None:
    assert words(when_exactly(AT)) == "24 Mar, 11:39:07"
    assert words(in_full(AT)) == "24 Mar 2026, 11:39:07 CET"
    assert words(clock(AT)) == "11:39:07 CET"


@pytest.mark.parametrize("tell", [when, when_exactly, in_full, clock])
def test_whoever_points_at_a_time_reads_all_of_it(tell: object) -> None:
    assert 'title="24 Mar 2026, 11:39:07 CET"' in tell(AT)  # type: ignore[operator]
