"""Byte-level BPE: the most frequent pair of tokens becomes a token, again and again (arXiv 1508.07909).

Every token is a string of bytes, and all 256 bytes are tokens, so any text can be written and none is unknown.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from groundup.events import SILENT, Reporter
from groundup.tokenizer._base import Tokenizer, byte_alphabet, special_tokens
from groundup.tokenizer._subwords import Subwords, pre_tokenizer, sample
from groundup.tokenizer.patterns import Pattern
from groundup.tokenizer.special import SPECIAL, fitting

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend


class BPE(Subwords):
    """Byte-level BPE, trained on a bounded sample of the texts."""

    vocab_size: int = Field(4096, ge=257, le=200_000, description="ids, special tokens included")

    def train(self, texts: Iterable[str], progress: Reporter = SILENT) -> Tokenizer:
        """Learn the merges. The same texts give the same tokenizer. Raises DataError when there is no text."""
        from tokenizers import Tokenizer as Backend
        from tokenizers import models, trainers

        special = fitting(self.vocab_size, smallest=256)
        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizer(self.pattern)
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size - len(special),
            min_frequency=self.min_frequency,
            initial_alphabet=list(byte_alphabet()),
            show_progress=False,
        )
        with progress.task("learning tokens", unit="bytes") as bar:
            backend.train_from_iterator(sample(texts, self.sample_bytes, bar), trainer)
        return _finish(backend, special)


def from_merges(merges: Sequence[tuple[str, str]], pattern: Pattern) -> Tokenizer:
    """A tokenizer from merges in order, written in GPT-2's byte alphabet; ids are GPT-2's, special tokens follow."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import models

    tokens = [*byte_alphabet(), *(left + right for left, right in merges)]
    backend = Backend(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=list(merges)))
    backend.pre_tokenizer = pre_tokenizer(pattern)
    return _finish(backend, SPECIAL)


def _finish(backend: "Backend", special: Iterable[str]) -> Tokenizer:
    from tokenizers import decoders

    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(special_tokens(special))
    return Tokenizer(backend)
