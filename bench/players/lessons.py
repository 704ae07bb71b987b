"""What the players that learn a vocabulary share: as much text as asked for, the clock, the most memory held."""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from play import Round

CHANGED = 0.05
"""Share of the words of each further copy of the texts that are made up, so that new words keep coming."""


def learning(settings: dict[str, Any], learn: Callable[[Iterator[str]], object]) -> Round:
    """A round: one vocabulary, in megabytes a second; `peak_mb` is the most memory that the process held."""
    texts = json.loads((Path(settings["folder"]) / "texts.json").read_text(encoding="utf-8"))

    def turn() -> dict[str, Any]:
        start = time.perf_counter()
        learn(lessons(texts, int(settings["learn"] * 1e6)))
        seconds = time.perf_counter() - start
        return {"value": settings["learn"] / seconds, "peak_mb": _peak_bytes() / 1e6}

    return turn


def lessons(texts: list[str], most_bytes: int) -> Iterator[str]:
    """The texts again and again, some words of each further copy made up, until so many bytes are handed out."""
    draw, size, copies = random.Random(0), 0, 0
    while True:
        for text in texts:
            if copies:
                words = text.split(" ")
                for _ in range(int(CHANGED * len(words))):
                    words[draw.randrange(len(words))] = f"w{draw.randrange(1_000_000)}"
                text = " ".join(words)
            yield text
            size += len(text)
            if size >= most_bytes:
                return
        copies += 1


def _peak_bytes() -> float:
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
