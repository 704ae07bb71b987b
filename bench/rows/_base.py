"""What a row of the benchmark is: a config whose fields are its settings and whose verb names the contests."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.contest import Contest
from bench.peers import Peer
from groundup.config import Config
from groundup.events import Reporter

TUNED = {
    "MALLOC_MMAP_THRESHOLD_": "17179869184",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""The allocator settings that gave nanoGPT 1.4x on a CPU (../shared/design/baselines.md): memory is kept and huge."""


@dataclass(frozen=True)
class Ground:
    """Where contests are held: the peers that were asked for, and a folder for what the players share."""

    peers: Mapping[str, Peer]
    folder: Path
    progress: Reporter


class Row(Config):
    """One row of the benchmark: its fields are settings, `groundup bench ROW ROW.FIELD=VALUE`."""

    knows: ClassVar[tuple[str, ...]] = ()
    """The peers that it can be held with; others that are asked for are not for this row."""

    @abstractmethod
    def contests(self, ground: Ground) -> Iterator[Contest]:
        """The contests of this row; what the players share is made before each is handed out."""
