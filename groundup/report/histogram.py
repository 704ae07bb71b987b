"""Histograms as inline SVG: bars of what was kept, and upon them of what was removed, in the colours of the page."""

from collections.abc import Callable, Sequence
from html import escape

from groundup.report.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, figures, ticks

TICKS = 6  # names of bounds under the bars
GAP = 1.5


def histogram(
    edges: Sequence[float],
    layers: Sequence[Sequence[int]],
    *,
    names: Sequence[str],
    x_label: str,
    told: Callable[[float], str],
) -> str:
    """The SVG of a histogram; an empty string where nothing was counted.

    `edges` are the bounds of the parts, one more than there are counts in each layer; layers are drawn upon each other.
    `told` writes a bound.
    """
    totals = [sum(column) for column in zip(*layers, strict=True)]
    if not any(totals):
        return ""
    heights = ticks(0.0, max(totals))
    bottom, width = HEIGHT - BOTTOM, (WIDTH - LEFT - RIGHT) / len(totals)
    scale = (bottom - TOP) / heights[-1]
    parts = []
    for height in heights:
        y = bottom - height * scale
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{figures(height)}</text>')
    for place, column in enumerate(zip(*layers, strict=True)):
        base, span = bottom, f"{told(edges[place])} to {told(edges[place + 1])}"
        for layer, count in enumerate(column):
            if count:
                tall = max(count * scale, 0.75)  # one document among a million is still there
                base -= tall
                parts.append(
                    f'<rect class="bar s{layer}" x="{LEFT + place * width + GAP / 2:.1f}" y="{base:.1f}" '
                    f'width="{max(width - GAP, 1):.1f}" height="{tall:.1f}">'
                    f"<title>{escape(f'{span}: {count:,} {names[layer]}')}</title></rect>"
                )
    step = max(1, -(-len(totals) // TICKS))
    for place in range(0, len(totals) + 1, step):
        x = LEFT + place * width
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{told(edges[place])}</text>'
        )
    parts.append(f'<text class="axis" x="{WIDTH - RIGHT}" y="{HEIGHT - 5}" text-anchor="end">{escape(x_label)}</text>')
    parts.append(f'<text class="axis" x="{LEFT}" y="{HEIGHT - 5}">documents</text>')
    label = escape(f"documents by {x_label}: {', '.join(names)}")
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
