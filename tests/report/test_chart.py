"""Charts: round ticks, every point inside, letters escaped, nothing drawn from nothing."""

import re
from itertools import pairwise
from math import inf, nan
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.report.chart import HEIGHT, POINTS, WIDTH, Series, chart, thin, ticks, trend

finite = st.floats(-1e9, 1e9)


@given(finite, finite)
def test_ticks_hold_the_range_and_are_few_and_even(one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1e-12)
    assert found[0] <= low + slack
    assert found[-1] >= high - slack
    assert 2 <= len(found) <= 8
    steps = [b - a for a, b in pairwise(found)]
    assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-3)


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (2.1, 6.9, [2, 3, 4, 5, 6, 7])]
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_thin_keeps_the_mean_and_leaves_out_what_is_no_number() -> None:
    line = Series("loss", list(range(1000)), [nan, inf, *[float(at % 7) for at in range(998)]])
    found = thin(line)
    assert len(found.x) == POINTS
    assert sum(found.y) / POINTS == pytest.approx(3.0, abs=0.05)
    assert found.x == sorted(found.x)


def test_trend_follows_a_line_and_calms_noise() -> None:
    assert trend([2.0] * 100) == [2.0] * 100
    noisy = [float(at % 2) for at in range(400)]
    assert all(abs(value - 0.5) < 0.05 for value in trend(noisy)[20:-20])


def test_a_chart_is_well_formed_and_names_its_axes() -> None:
    text = chart([Series("a <b>", [1, 2, 3], [3.0, 2.0, 1.0])], x_label="step & more", y_label='nats "per" token')
    root = ElementTree.fromstring(text)
    words = [element.text for element in root.iter("text")]
    assert {"step & more", 'nats "per" token'} <= set(words)
    assert root.get("aria-label") == "a <b> by step & more"


@given(st.lists(st.tuples(st.integers(0, 10**6), finite), min_size=2, max_size=50, unique_by=lambda point: point[0]))
def test_lines_stay_on_the_drawing(points: list[tuple[int, float]]) -> None:
    x, y = zip(*sorted(points), strict=True)
    text = chart([Series("line", x, y)], x_label="x", y_label="y")
    (path,) = re.findall(r'class="line s0" d="M([^"]+)"', text)
    for point in path.split("L"):
        at_x, at_y = map(float, point.split())
        assert 0 <= at_x <= WIDTH
        assert 0 <= at_y <= HEIGHT


def test_values_at_close_ends_do_not_overlap() -> None:
    lines = [Series("a", [1, 2], [5.0, 1.0]), Series("b", [1, 2], [4.0, 1.001])]
    found = re.findall(r'class="end s\d" x="[\d.]+" y="([\d.]+)"', chart(lines, x_label="x", y_label="y"))
    assert abs(float(found[0]) - float(found[1])) >= 12


@pytest.mark.parametrize(
    "lines", [[], [Series("a", [], [])], [Series("a", [1], [1.0])], [Series("a", [1, 2], [nan, nan])]]
)
def test_nothing_is_drawn_from_nothing(lines: list[Series]) -> None:
    assert chart(lines, x_label="x", y_label="y") == ""
