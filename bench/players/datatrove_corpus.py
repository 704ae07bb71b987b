"""datatrove in the row `corpus`: its filters and its signature, one document after the other."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from play import Round, play


def prepare(settings: dict[str, Any]) -> Round:
    """Read the texts, and let a first one go through everything."""
    sys.path.append(str(Path(__file__).parents[1]))
    from datatrove.data import Document  # type: ignore[import-not-found]

    from datatrove_peer import judge, rules

    filters, minhash = rules(settings["out"])
    files = sorted(Path(settings["texts"]).glob("*.jsonl"))
    texts = [json.loads(line)["text"] for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    judge(Document("A first sentence that warms it up. " * 40, "0"), filters, minhash)

    def turn() -> dict[str, Any]:
        start = time.perf_counter()
        kept = sum(judge(Document(text, str(number)), filters, minhash) for number, text in enumerate(texts))
        return {"value": len(texts) / (time.perf_counter() - start), "documents": len(texts), "kept": kept}

    return turn


if __name__ == "__main__":
    play(prepare)
