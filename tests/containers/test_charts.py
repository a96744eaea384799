"""The geometry of charts: nothing is lost, nothing leaves the frame, a gap stays a gap."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers import charts

START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=10)

amounts = st.floats(0, 1e13)
curves = st.lists(st.none() | amounts, min_size=1, max_size=60)


def points(path: str) -> list[tuple[float, float]]:
    """The corners of a line."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


@given(curves)
def test_every_value_is_a_point_in_the_middle_of_its_bucket_and_inside_the_frame(
    values: list[float | None],
) -> None:
    top = charts.top_of(values, charts.ROUND)
    drawn = points(charts.line(values, top))
    known = [(bucket, value) for bucket, value in enumerate(values) if value is not None]
    assert [x for x, _ in drawn] == [bucket + 0.5 for bucket, _ in known]
    for (_, value), (_, y) in zip(known, drawn, strict=True):
        assert 0 <= y <= charts.HEIGHT
        assert y == pytest.approx(charts.HEIGHT * (1 - value / top), abs=0.051)


@given(curves)
def test_a_gap_interrupts_the_line_and_the_area(values: list[float | None]) -> None:
    stretches = sum(known for known, _ in groupby(values, lambda value: value is not None))
    top = charts.top_of(values, charts.ROUND)
    line, area = charts.line(values, top), charts.area(values, top)
    assert line.count("M") == area.count("M") == area.count("Z") == stretches


def test_a_value_between_two_gaps_is_a_dot() -> None:
    assert charts.line([None, 5.0, None], 10) == "M1.5 50h0"


def test_an_area_stands_on_the_ground() -> None:
    assert charts.area([10.0, 5.0], 10) == "M0.5 0L1.5 50V100H0.5Z"


@given(curves, st.sampled_from([charts.ROUND, charts.ROUND_BYTES]), st.floats(0, 1e6))
def test_a_scale_ends_above_all_values_and_not_far_above(
    values: list[float | None], choices: list[float], least: float
) -> None:
    top = charts.top_of(values, choices, least)
    peak = max([least, *(value for value in values if value is not None)])
    assert peak <= top
    assert top <= max(choices[0], 2.6 * peak)


def test_a_scale_that_is_just_enough_is_enough() -> None:
    assert charts.top_of([5.0], charts.ROUND) == 5


def test_what_is_beyond_the_scale_stays_in_the_frame() -> None:
    assert charts.line([-1.0, 20.0], 10) == "M0.5 100L1.5 0"
    assert charts.line([0.0], charts.top_of([0.0], [])) == "M0.5 100h0"


def test_without_choices_a_scale_ends_where_it_is_told_or_at_the_peak() -> None:
    assert charts.top_of([1.0, None], [], 4) == 4
    assert charts.top_of([5.0], [], 4) == 5


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(1, 60), st.none() | amounts)))
def test_an_average_weighs_each_sample_and_lies_between_them(
    given_samples: list[tuple[int, int, float | None]],
) -> None:
    samples = [(START + timedelta(minutes=m), w, value) for m, w, value in given_samples]
    found = charts.averages(samples, START, STEP, 6)
    assert len(found) == 6
    for bucket, average in enumerate(found):
        inside = [
            (weight, value)
            for minute, weight, value in given_samples
            if minute // 10 == bucket and value is not None
        ]
        if average is None:
            assert not inside
            continue
        expected = sum(w * v for w, v in inside) / sum(w for w, _ in inside)
        assert average == pytest.approx(expected)
        low, high = min(v for _, v in inside), max(v for _, v in inside)
        assert low == pytest.approx(average) or low < average
        assert high == pytest.approx(average) or average < high


def test_what_is_older_or_newer_than_the_chart_is_left_out() -> None:
    samples = [(START - timedelta(seconds=1), 1, 7.0), (START + 6 * STEP, 1, 7.0)]
    assert charts.averages(samples, START, STEP, 6) == [None] * 6
