"""Hugging Face tokenizers in the second contest of the row `tokenizer`: its trainer, with its own GPT-2 pattern."""

from collections.abc import Iterator
from typing import Any

from lessons import learning
from play import Round, play


def prepare(settings: dict[str, Any]) -> Round:
    """Nothing is kept between rounds."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    def learn(texts: Iterator[str]) -> None:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=settings["vocab"], show_progress=False))

    return learning(settings, learn)


if __name__ == "__main__":
    play(prepare)
