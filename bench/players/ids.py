"""What the players of the row `tokenizer` share: the texts, and a round that encodes them all."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from play import Round


def encoding(settings: dict[str, Any], encode: Callable[[list[str]], Iterable[Any]]) -> Round:
    """A round: ids of every text as an array, in megabytes a second; `ids` is the digest of them all."""
    texts = json.loads((Path(settings["folder"]) / "texts.json").read_text(encoding="utf-8"))

    def turn() -> dict[str, Any]:
        start = time.perf_counter()
        arrays = [np.asarray(ids, dtype=np.uint32) for ids in encode(texts)]
        seconds = time.perf_counter() - start
        digest = hashlib.sha256(b"".join(array.tobytes() + b"\xff" for array in arrays)).hexdigest()
        return {"value": settings["bytes"] / 1e6 / seconds, "ids": digest, "n": sum(map(len, arrays))}

    return turn
