"""What cleaning a large corpus takes on a cluster: hours, money, memory and disk, with the arithmetic in sight."""

from collections.abc import Mapping
from dataclasses import dataclass

from groundup.errors import ConfigError, nearest

# In the parent while it looks for copies: of each document, and more of each that is removed there (dedup.py).
DOCUMENT_BYTES, REMOVED_BYTES = 100, 500
# Files between the passes: text packed by zstd, and of each document its digests, 16 bands and 96 minima.
PACKED, JUDGED_BYTES = 0.4, 350
MEGA, GIGA, TERA, HOUR = 1e6, 1e9, 1e12, 3600.0
RATES: Mapping[str, str] = {
    "judge": "MB of text a second on one core: read, repair, filter, sign",
    "relate": "MB of text a second on one core: bands grouped, candidates verified",
    "parent": "documents a second, on one core of one machine whatever the cluster: groups, split, names",
    "publish": "MB of text a second on one core: documents and ledger written",
}
"""The rates of the passes. `python bench/corpus.py DATA passes` measures them."""


@dataclass(frozen=True)
class Cluster:
    """Machines that are alike. `use` is the share of ideal speed that waiting, stragglers and networks leave."""

    nodes: int
    cores: int
    price: float
    use: float = 0.8

    @property
    def hands(self) -> float:
        """Cores that work all the time."""
        return self.nodes * self.cores * self.use


@dataclass(frozen=True)
class Cost:
    """Seconds of each pass with the sum that gives them, and what the whole needs."""

    passes: Mapping[str, tuple[float, str]]
    money: float
    parent_bytes: float
    work_bytes: float

    @property
    def seconds(self) -> float:
        """All passes, one after the other."""
        return sum(seconds for seconds, _ in self.passes.values())


def cost(
    text_bytes: float,
    cluster: Cluster,
    rates: Mapping[str, float],
    *,
    document_bytes: float = 5000.0,
    copies: float = 0.3,
) -> Cost:
    """What the three passes take over so much text, as it is unpacked, in documents of so many bytes.

    `rates` has every name of `RATES`; `copies` is the share of documents that the second pass removes. Prices are for
    a node and an hour. Raises ConfigError for a rate that is missing, unknown or not above 0.
    """
    for name in rates:
        if name not in RATES:
            raise ConfigError(f"there is no rate {name!r}; {nearest(name, list(RATES))}")
    for name, about in RATES.items():
        if rates.get(name, 0.0) <= 0:
            raise ConfigError(f"rate {name}: give a number above 0, {about}")
    megabytes, documents = text_bytes / MEGA, text_bytes / document_bytes
    nodes = f"{cluster.nodes:,} nodes × {cluster.cores} cores × {cluster.use:g}"
    passes = {}
    for name in RATES:
        if name == "parent":
            seconds = documents / rates[name]
            passes[name] = seconds, f"{documents:,.0f} documents / {rates[name]:,.0f} a second"
        else:
            seconds = megabytes / (rates[name] * cluster.hands)
            passes[name] = seconds, f"{megabytes:,.0f} MB / ({rates[name]:g} MB/s × {nodes})"
    hours = sum(seconds for seconds, _ in passes.values()) / HOUR
    return Cost(
        passes,
        hours * cluster.nodes * cluster.price,
        documents * (DOCUMENT_BYTES + copies * REMOVED_BYTES),
        text_bytes * PACKED + documents * JUDGED_BYTES,
    )


def size_of(text: str) -> float:
    """Bytes from a size as people write it.

    >>> size_of("10TB"), size_of("2.5 GB"), size_of("300")
    (10000000000000.0, 2500000000.0, 300.0)

    Raises ConfigError for anything else.
    """
    number, unit = text.strip().rstrip("kKMGTPB "), text.strip().upper().lstrip("0123456789.").strip()
    scale = {"": 1.0, "B": 1.0, "KB": 1e3, "MB": MEGA, "GB": GIGA, "TB": TERA, "PB": 1e15}.get(unit)
    try:
        if scale is not None and float(number) > 0:
            return float(number) * scale
    except ValueError:
        pass
    raise ConfigError(f"{text!r} is no size; write it as 10TB or 500GB")
