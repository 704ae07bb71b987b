"""One token a character: the most frequent ones have ids of their own, any other is written as its UTF-8 bytes."""

from collections import Counter
from collections.abc import Iterable

from pydantic import Field

from groundup.errors import DataError
from groundup.events import SILENT, Reporter
from groundup.tokenizer._base import Tokenizer, TokenizerConfig, special_tokens
from groundup.tokenizer.special import SPECIAL, fitting


class Characters(TokenizerConfig):
    """Characters, with bytes to fall back on."""

    vocab_size: int = Field(512, ge=257, le=200_000, description="ids at most, special tokens and bytes included")

    def train(self, texts: Iterable[str], progress: Reporter = SILENT) -> Tokenizer:
        """Count the characters. The same texts give the same tokenizer. Raises DataError when there is no text."""
        from tokenizers import Tokenizer as Backend
        from tokenizers import decoders, models

        counts: Counter[str] = Counter()
        with progress.task("counting characters", unit="characters") as bar:
            for text in texts:
                counts.update(text)
                bar.advance(len(text))
        if not counts:
            raise DataError("the tokenizer was given no text to learn from; add documents, or loosen the filters")
        special = fitting(self.vocab_size, smallest=256)
        ranked = sorted(counts, key=lambda letter: (-counts[letter], letter))
        known = [letter for letter in ranked if not "\ud800" <= letter <= "\udfff"]
        tokens = [f"<0x{byte:02X}>" for byte in range(256)] + known[: max(0, self.vocab_size - 256 - len(SPECIAL))]
        # BPE without a merge: each character is a token.
        vocab = {token: number for number, token in enumerate(tokens)}
        backend = Backend(models.BPE(vocab=vocab, merges=[], byte_fallback=True))
        backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
        backend.add_special_tokens(special_tokens(special))
        return Tokenizer(backend)
