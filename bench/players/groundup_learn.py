"""Ours in the second contest of the row `tokenizer`: the stage `tokenizer`, its sample as large as the text."""

from typing import Any

from lessons import learning
from play import Round, play


def prepare(settings: dict[str, Any]) -> Round:
    """Nothing is kept between rounds."""
    from groundup.tokenizer.bpe import BPE

    config = BPE(vocab_size=settings["vocab"], sample_bytes=max(1_000_000, int(2 * settings["learn"] * 1e6)))
    return learning(settings, config.train)


if __name__ == "__main__":
    play(prepare)
