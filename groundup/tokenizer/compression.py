"""How well a tokenizer fits a text: how many bytes a token stands for, and how many tokens a word takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.ranks import read_ranks


@dataclass(frozen=True)
class Fertility:
    """Counts over some texts. A word is what stands between white space."""

    n_bytes: int = 0
    n_words: int = 0
    n_tokens: int = 0

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes that a token stands for; more is better compression. 0.0 without text."""
        return self.n_bytes / max(1, self.n_tokens)

    @property
    def tokens_per_word(self) -> float:
        """What the literature calls fertility; fewer is better (arXiv 2012.15613). 0.0 without text."""
        return self.n_tokens / max(1, self.n_words)


def fertility(tokenizer: Tokenizer, texts: Iterable[str]) -> Fertility:
    """Count the texts, read once and in bounded memory."""
    n_bytes = n_words = n_tokens = 0

    def counted() -> Iterable[str]:
        nonlocal n_bytes, n_words
        for text in texts:
            n_bytes += len(text.encode("utf-8", errors="surrogatepass"))
            n_words += len(text.split())
            yield text

    for ids in tokenizer.encode_stream(counted()):
        n_tokens += len(ids)
    return Fertility(n_bytes, n_words, n_tokens)


def facts(tokenizer: Tokenizer, texts: Sequence[str], gpt2: Path | None = None) -> dict[str, Any]:
    """What a report says of a tokenizer, measured on held-out texts.

    `gpt2` is GPT-2's own vocabulary, for comparison: a `vocab.bpe` or an `r50k_base.tiktoken`. Raises DataError when
    that file cannot be read.
    """
    own = fertility(tokenizer, texts)
    found: dict[str, Any] = {
        "vocab_size": tokenizer.vocab_size,
        "bytes_per_token": own.bytes_per_token,
        "tokens_per_word": own.tokens_per_word,
    }
    if gpt2 is not None:
        found["gpt2_bytes_per_token"] = fertility(read_ranks(gpt2), texts).bytes_per_token
    return found
