"""Byte-level WordPiece: a word is read as the longest known beginning, then the longest known continuations.

The rule of BERT (arXiv 1810.04805) on the byte alphabet of BPE, so that nothing is unknown and every text comes back.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from groundup.events import SILENT, Reporter
from groundup.tokenizer._base import Tokenizer, byte_alphabet, special_tokens
from groundup.tokenizer._subwords import Subwords, pre_tokenizer, sample
from groundup.tokenizer.special import fitting

# BERT marks a continuation with "##", which code spells too; this letter is outside the byte alphabet.
INSIDE = "\u203f"
# The search for the longest piece is quadratic in the length of a word; words are cut so that a text's is linear.
WORD_BYTES = 64


class WordPiece(Subwords):
    """Byte-level WordPiece, trained on a bounded sample of the texts."""

    vocab_size: int = Field(4096, ge=513, le=200_000, description="ids, special tokens included")

    def train(self, texts: Iterable[str], progress: Reporter = SILENT) -> Tokenizer:
        """Learn the pieces. The same texts give the same tokenizer. Raises DataError when there is no text."""
        from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
        from tokenizers import Tokenizer as Backend

        special = fitting(self.vocab_size, smallest=512)
        # The library asks for a token for unknown words; with all bytes known there are none, so any will do.
        model: dict[str, Any] = {
            "continuing_subword_prefix": INSIDE,
            "max_input_chars_per_word": WORD_BYTES,
            "unk_token": "!",
        }
        words = pre_tokenizers.Sequence(
            [pre_tokenizer(self.pattern), pre_tokenizers.Split(Regex(rf"[\s\S]{{1,{WORD_BYTES}}}"), "isolated")]
        )
        learner = Backend(models.WordPiece(**model))
        learner.pre_tokenizer = words
        trainer = trainers.WordPieceTrainer(
            vocab_size=self.vocab_size - len(special),
            min_frequency=self.min_frequency,
            # As "special" tokens the continuations get ids in this order; the library's own order is by chance.
            special_tokens=[INSIDE + letter for letter in byte_alphabet()],
            initial_alphabet=list(byte_alphabet()),
            continuing_subword_prefix=INSIDE,
            show_progress=False,
        )
        with progress.task("learning pieces", unit="bytes") as bar:
            learner.train_from_iterator(sample(texts, self.sample_bytes, bar), trainer)
        backend = Backend(models.WordPiece(vocab=learner.get_vocab(), **model))
        backend.pre_tokenizer = words
        backend.decoder = decoders.Sequence([decoders.Replace(INSIDE, ""), decoders.Fuse(), decoders.ByteLevel()])
        backend.add_special_tokens(special_tokens(special))
        return Tokenizer(backend)
