"""Ours in the row `corpus`: the first pass of the corpus engine in a worker process, with the rules that both have."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from play import Round, play


def prepare(settings: dict[str, Any]) -> Round:
    """Open the files and let a worker import what it needs; it lives as long as this process."""
    from groundup.corpus import refine
    from groundup.corpus.crew import crew
    from groundup.corpus.judge import Batch, judge_batch
    from groundup.corpus.settings import Corpus, Dedup
    from groundup.corpus.sources._base import open_specs

    c4 = {"name": "c4", "punctuation": False}
    rules = Corpus(filters=("gopher", "symbols", "repetition", c4, "fineweb"), dedup=Dedup(near=0.8))
    opened = open_specs([settings["texts"]])

    def turn() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=settings["out"]) as folder, crew(1, 600) as hands:
            template = Batch(0, (), (), rules, Path(folder))
            list(hands.run(judge_batch, [replace(template, path=Path(folder) / "first")]))
            batches = refine._batches(opened, template)
            start = time.perf_counter()
            judged = sum(counts.judged for _, counts in hands.run(judge_batch, batches))
            return {"value": judged / (time.perf_counter() - start), "documents": judged}

    return turn


if __name__ == "__main__":
    play(prepare)
