"""Numbers as people read them."""


def count(value: float) -> str:
    """A number of things, to three figures from a thousand on.

    >>> count(950), count(12_345), count(3_200_000)
    ('950', '12.3 k', '3.2 M')
    """
    for size, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size * 0.9995:
            return f"{_figures(value / size)}{letter}"
    return _figures(value)


def size(n_bytes: float) -> str:
    """A number of bytes in decimal units.

    >>> size(950), size(7_876_311)
    ('950 bytes', '7.88 MB')
    """
    return f"{count(n_bytes)}B" if abs(n_bytes) >= 999.5 else f"{n_bytes:.0f} bytes"


def share(value: float) -> str:
    """A part of a whole in percent.

    >>> share(0.914)
    '91.4 %'
    """
    return f"{100 * value:.1f} %"


def duration(seconds: float) -> str:
    """A time in its two largest units.

    >>> duration(0.25), duration(42.4), duration(603), duration(7300)
    ('0.2 s', '42 s', '10 min 3 s', '2 h 1 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _figures(value: float) -> str:
    """Three figures, without zeros that say nothing."""
    if abs(value) < 0.995:
        return f"{value:.3g}"
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text
