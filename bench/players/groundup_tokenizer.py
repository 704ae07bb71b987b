"""Ours in the row `tokenizer`: what the stage `tokens` does."""

from pathlib import Path
from typing import Any

from ids import encoding
from play import Round, play


def prepare(settings: dict[str, Any]) -> Round:
    """Load the vocabulary."""
    from groundup.tokenizer._base import load

    return encoding(settings, load(Path(settings["folder"]) / "vocabulary").encode_stream)


if __name__ == "__main__":
    play(prepare)
