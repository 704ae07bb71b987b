"""Vocabularies that others have published, as files: GPT-2's `vocab.bpe`, and the `.tiktoken` files of OpenAI."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from groundup.errors import DataError
from groundup.tokenizer._base import Tokenizer, byte_alphabet
from groundup.tokenizer.bpe import from_merges
from groundup.tokenizer.patterns import Pattern


def read_ranks(path: Path, pattern: Pattern = "gpt-2") -> Tokenizer:
    """A published vocabulary as a tokenizer: its ids are the published ones, our special tokens follow.

    `vocab.bpe` holds a merge a line, `*.tiktoken` a token in base64 and its rank. Raises DataError with the file and
    the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}; give a vocab.bpe or a .tiktoken file") from None
    if path.suffix == ".tiktoken":
        return from_merges(list(_merges_of(_tokens(path, lines))), pattern)
    merges = []
    for number, line in enumerate(lines, 1):
        left, _, right = line.partition(" ")
        if line.startswith("#version") or not line:
            continue
        if not (left and right) or not {*left, *right} <= byte_alphabet().keys():
            raise DataError(
                f"{path}: line {number}: {line[:60]!r} is not a merge; give a vocab.bpe or a .tiktoken file"
            )
        merges.append((left, right))
    return from_merges(merges, pattern)


def _tokens(path: Path, lines: list[str]) -> dict[bytes, int]:
    """The rank of each token of a `.tiktoken` file, checked to count up from 0 with GPT-2's order of bytes first."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(lines, 1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            raise DataError(f"{path}: line {number}: {line[:60]!r} is not a token in base64 and its rank") from None
    first = [bytes([byte]) for byte in byte_alphabet().values()]
    if list(ranks.values()) != list(range(len(ranks))) or list(ranks)[:256] != first:
        raise DataError(f"{path}: the ranks must count up from 0, and the 256 bytes come first; fetch the file again")
    return ranks


def _merges_of(ranks: Mapping[bytes, int]) -> Iterator[tuple[str, str]]:
    """The pair that each token was merged from: what is left of its bytes when all earlier merges are made."""
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    for token, rank in ranks.items():
        if len(token) == 1:
            continue
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            pairs = [ranks.get(left + right, rank) for left, right in pairwise(parts)]
            best = min(pairs)
            assert best < rank, "a token that no earlier tokens make up"
            place = pairs.index(best)
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        left, right = ("".join(letters[byte] for byte in part) for part in parts)
        yield left, right
