"""Made-up texts, and corpora of them."""

import random
from pathlib import Path

from pyarrow import parquet

from groundup.corpus import refine
from groundup.corpus.filters.length import Length
from groundup.corpus.filters.repetition import Repetition
from groundup.corpus.settings import Corpus, Dedup
from groundup.corpus.split import HeldOut

WORDS = ["".join(random.Random(number).choices("aeioubcdfglmnprst", k=3 + number % 7)) for number in range(3000)]


def prose(seed: int, n_words: int = 300) -> str:
    """Text that no filter minds: paragraphs of 50 words, no two alike."""
    draw = random.Random(seed)
    drawn = [draw.choice(WORDS) for _ in range(n_words)]
    return "\n\n".join(" ".join(drawn[start : start + 50]) for start in range(0, n_words, 50)) + ".\n"


def build(folder: Path, out: Path, **options: object) -> dict:
    rules = {"filters": (Length(), Repetition()), "held_out": HeldOut(fraction=0.2), "dedup": Dedup()}
    settings = Corpus(**{key: options.pop(key, rule) for key, rule in rules.items()})  # type: ignore[arg-type]
    return refine.build([str(folder)], settings=settings, out=out, **{"workers": 1, **options})  # type: ignore[arg-type]


def removed(out: Path) -> list[dict]:
    rows = [row for path in sorted((out / "removed").glob("*")) for row in parquet.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: row["id"])


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
