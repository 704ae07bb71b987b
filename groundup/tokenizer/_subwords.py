"""What BPE and WordPiece share: where a token may not cross, and the sample of text that they learn from."""

import heapq
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

from pydantic import Field

from groundup.errors import DataError
from groundup.events import SILENT, Bar
from groundup.tokenizer._base import TokenizerConfig, pieces
from groundup.tokenizer.patterns import PATTERNS, Pattern

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer


class Subwords(TokenizerConfig):
    """How pieces of words are learnt, from a bounded sample of the texts."""

    pattern: Pattern = Field("qwen2", description="pre-tokenization rule; qwen2 keeps digits single")
    sample_bytes: int = Field(64_000_000, ge=1_000_000, description="text to learn from, drawn evenly")
    min_frequency: int = Field(2, ge=1, description="how often a pair must occur to become a token")


def pre_tokenizer(pattern: Pattern) -> "PreTokenizer":
    """The rule `pattern`, its pieces written in GPT-2's byte alphabet."""
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(PATTERNS[pattern]), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def sample(texts: Iterable[str], limit_bytes: int, bar: Bar = SILENT) -> Iterator[str]:
    """Pieces of the texts, at most `limit_bytes` as UTF-8 together, drawn evenly over all of them.

    The draw goes by the hash of each piece, so the order of the texts has no part in it. Advances `bar` by bytes read.
    What is handed out is let go, so that no more than the sample is held. Lone surrogates are left out. Raises
    DataError, at once, when there is no text at all.
    """
    heap: list[tuple[bytes, bytes]] = []
    held = 0
    for text in texts:
        for piece in pieces(text):
            data = piece.encode("utf-8", errors="ignore")[:limit_bytes]
            if not data:
                continue
            heapq.heappush(heap, (blake2b(data, digest_size=16).digest(), data))
            held += len(data)
            bar.advance(len(data))
            while held > limit_bytes:
                held -= len(heapq.heappop(heap)[1])
    if not heap:
        raise DataError("the tokenizer was given no text to learn from; add documents, or loosen the filters")
    heap.sort(reverse=True)
    return _handed_out(heap)


def _handed_out(heap: list[tuple[bytes, bytes]]) -> Iterator[str]:
    while heap:
        yield heap.pop()[1].decode("utf-8", errors="ignore")
