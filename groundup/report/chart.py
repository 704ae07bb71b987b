"""Line charts as inline SVG that take their colours and letters from the page, so that they follow light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10
from sys import float_info

import numpy as np

from groundup.report.units import count

WIDTH, HEIGHT = 420, 230  # on a phone the letters then keep nearly their size
LEFT, RIGHT, TOP, BOTTOM = 46, 50, 12, 40
POINTS = 240  # to draw; more than one for every two pixels is not seen
LABEL_GAP = 15  # between the values at the ends of two lines


@dataclass(frozen=True)
class Series:
    """One line: `y` over `x`. `trend` draws it faint under its own moving average; `dots` marks sparse measurements."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    trend: bool = False
    dots: bool = False


def chart(series: Sequence[Series], *, x_label: str, y_label: str, from_zero: bool = False) -> str:
    """The SVG of a chart; an empty string where no series has two points that can be drawn."""
    drawn = [thin(line) for line in series]
    drawn = [line for line in drawn if len(line.x) > 1]
    if not drawn:
        return ""
    plane = _Plane.around(drawn, from_zero)
    parts = [_axes(plane, x_label, y_label)]
    # A viewport of its own cuts off what lies above the axis: the fall of the first steps.
    box = f"{LEFT - 4} {TOP - 4} {WIDTH - LEFT - RIGHT + 8} {HEIGHT - TOP - BOTTOM + 8}"
    x, y, width, height = box.split()
    lines = "".join(_line(plane, line, number) for number, line in enumerate(drawn))
    parts.append(f'<svg x="{x}" y="{y}" width="{width}" height="{height}" viewBox="{box}">{lines}</svg>')
    parts.append(_end_values(plane, drawn))
    names = ", ".join(line.label for line in drawn)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{names} by {x_label}")}">{"".join(parts)}</svg>'
    )


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, about so many.

    >>> ticks(0.0, 9.3)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    if (high - low) / about < float_info.min:  # nothing, or too little for a float to divide
        low, high = low - (abs(low) * 0.1 or 1.0), high + (abs(high) * 0.1 or 1.0)
    rough = (high - low) / about
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.9999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def thin(line: Series) -> Series:
    """The line in at most `POINTS` points, each the mean of its neighbours; what is not a number is left out."""
    pairs = [(x, y) for x, y in zip(line.x, line.y, strict=True) if isfinite(x) and isfinite(y)]
    groups = np.array_split(np.array(pairs, dtype=float).reshape(-1, 2), min(POINTS, len(pairs)) or 1)
    means = np.array([group.mean(axis=0) for group in groups if len(group)]).reshape(-1, 2)
    return Series(line.label, means[:, 0].tolist(), means[:, 1].tolist(), line.trend, line.dots)


def trend(y: Sequence[float]) -> list[float]:
    """The moving average over a twentieth of the line, shorter towards its ends."""
    half = max(1, len(y) // 40)
    return [float(np.mean(y[max(0, at - half) : at + half + 1])) for at in range(len(y))]


@dataclass(frozen=True)
class _Plane:
    """Where values lie on the drawing; both axes end at a tick, x or y."""

    x_low: float
    x_high: float
    y_ticks: list[float]

    @classmethod
    def around(cls, lines: Sequence[Series], from_zero: bool) -> "_Plane":
        """A plane that shows the lines whole, but for the fall of the first steps, which would flatten the rest."""
        x_low = min(min(line.x) for line in lines)
        x_high = max(max(line.x) for line in lines)
        y: list[float] = []
        for line in lines:
            settled = line.y[len(line.y) // 30 :] if line.trend else line.y
            y += settled
        low, high = min(y), max(y)
        return cls(x_low, x_high, ticks(0.0 if from_zero else low, high))

    def x(self, value: float) -> float:
        part = (value - self.x_low) / (self.x_high - self.x_low) if self.x_high > self.x_low else 0.5
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP)


def _axes(plane: _Plane, x_label: str, y_label: str) -> str:
    parts = []
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in plane.y_ticks:
        y = plane.y(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{figures(value)}</text>')
    for value in ticks(plane.x_low, plane.x_high):
        if plane.x_low <= value <= plane.x_high:
            x = plane.x(value)
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{figures(value)}</text>'
            )
    parts.append(f'<text class="axis" x="{right}" y="{HEIGHT - 5}" text-anchor="end">{escape(x_label)}</text>')
    parts.append(f'<text class="axis" x="{LEFT}" y="{HEIGHT - 5}">{escape(y_label)}</text>')
    return "".join(parts)


def _line(plane: _Plane, line: Series, number: int) -> str:
    style = f"line s{number}"
    if line.trend and len(line.y) > 10:
        raw = f'<path class="{style} raw" d="{_path(plane, line.x, line.y)}"/>'
        return raw + f'<path class="{style}" d="{_path(plane, line.x, trend(line.y))}"/>'
    dots = ""
    if line.dots:
        at = zip(line.x, line.y, strict=True)
        dots = "".join(
            f'<circle class="dot s{number}" cx="{plane.x(x):.1f}" cy="{plane.y(y):.1f}" r="3"/>' for x, y in at
        )
    return f'<path class="{style}" d="{_path(plane, line.x, line.y)}"/>{dots}'


def _path(plane: _Plane, x: Sequence[float], y: Sequence[float]) -> str:
    return "M" + "L".join(f"{plane.x(a):.1f} {plane.y(b):.1f}" for a, b in zip(x, y, strict=True))


def _end_values(plane: _Plane, lines: Sequence[Series]) -> str:
    """The last value of each line beside its end, kept apart where lines end close together."""
    ends = []
    for number, line in enumerate(lines):
        last = trend(line.y)[-1] if line.trend else line.y[-1]
        ends.append((plane.y(last) + 4, plane.x(line.x[-1]), number, last))
    parts, lowest = [], -LABEL_GAP * 1.0
    for y, x, number, value in sorted(ends):
        lowest = max(y, lowest + LABEL_GAP)
        parts.append(f'<text class="end s{number}" x="{x + 6:.1f}" y="{lowest:.1f}">{figures(value)}</text>')
    return "".join(parts)


def figures(value: float) -> str:
    """A value beside an axis, in six letters at most."""
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.0e}".replace("e-0", "e-")
    return count(value).replace(" ", "")
