"""Hugging Face tokenizers in the row `tokenizer`: its batches in parallel, a few megabytes at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ids import encoding
from play import Round, play

BATCH_CHARACTERS = 1 << 22
"""It holds about 100 bytes for each token of a batch."""


def prepare(settings: dict[str, Any]) -> Round:
    """Load the vocabulary."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(settings["folder"]) / "vocabulary" / "tokenizer.json"))
    tokenizer.encode_special_tokens = True

    def encode(texts: list[str]) -> Iterator[list[int]]:
        batch: list[str] = []
        for number, text in enumerate(texts):
            batch.append(text)
            if number == len(texts) - 1 or sum(map(len, batch)) >= BATCH_CHARACTERS:
                yield from (found.ids for found in tokenizer.encode_batch_fast(batch, add_special_tokens=False))
                batch = []

    return encoding(settings, encode)


if __name__ == "__main__":
    play(prepare)
