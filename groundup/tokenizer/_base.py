"""What a tokenizer is: any text to ids and back, exactly; and what a tokenizer's config is.

There is one `Tokenizer` class, around Hugging Face `tokenizers`. The files beside this one differ in how they learn a
vocabulary; how the tokens of each spell bytes is told by the saved `tokenizer.json` itself.
"""

import json
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.config import Component
from groundup.errors import DataError
from groundup.events import SILENT, Reporter
from groundup.tokenizer._bulk import Bulk, Ids, open_bulk
from groundup.tokenizer.special import END_OF_TEXT, END_OF_TURN, PAD, SPECIAL, TEMPLATE

if TYPE_CHECKING:
    import tokenizers

PIECE_CHARACTERS = 1 << 16
"""Longer texts are cut into pieces of about this size: for all cores to share, and to bound what is held at once."""
BATCH_CHARACTERS = 1 << 22
"""Text that is tokenized in one call; the library holds about 100 bytes for each of its tokens."""

# All three pre-tokenization rules end a token between these, and look back at nothing: no rule can see such a cut.
_CUT = re.compile(r"(?<=[A-Za-z0-9])(?=[ \n])")
_SURROGATES = re.compile("([\ud800-\udfff]+)")


class Tokenizer:
    """Text to ids and back. `decode(encode(text)) == text` for every str, and no text yields a special id."""

    def __init__(self, backend: "tokenizers.Tokenizer") -> None:
        """Takes over a `tokenizers.Tokenizer`. Raises DataError when it has no token for some byte."""
        backend.encode_special_tokens = True  # special tokens in a text are text
        self._backend = backend
        added = {token.content: number for number, token in backend.get_added_tokens_decoder().items()}
        self.special: dict[str, int] = {name: added[name] for name in SPECIAL if name in added}
        """The id of each special token."""
        self.vocab_size: int = backend.get_vocab_size(with_added_tokens=True)
        """Number of ids, special ones included."""
        spell = _spelling(backend)
        self.token_bytes: list[bytes] = [b""] * self.vocab_size
        """The raw bytes that each id stands for; none for a special token."""
        for token, number in backend.get_vocab(with_added_tokens=False).items():
            if token not in added:
                self.token_bytes[number] = spell(token)
        # Backwards, so that of several tokens for one byte the first is taken.
        self._byte_ids = {data: number for number, data in reversed([*enumerate(self.token_bytes)]) if len(data) == 1}
        if len(self._byte_ids) < 256:
            raise DataError(
                f"the vocabulary can spell {len(self._byte_ids)} of the 256 bytes, so not every text; use one that is "
                "byte-level or falls back on bytes"
            )

    def encode(self, text: str) -> list[int]:
        """The ids of a text; never a special one."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, on all cores; never a special one."""
        result: list[list[int]] = [[] for _ in texts]
        for batch in _batches(texts):
            valid = ["" if isinstance(piece, bytes) else piece for _, piece in batch]
            encodings = self._backend.encode_batch_fast(valid, add_special_tokens=False)
            for (owner, piece), encoding in zip(batch, encodings, strict=True):
                result[owner] += self._bytewise(piece) if isinstance(piece, bytes) else encoding.ids
        return result

    def encode_stream(self, texts: Iterable[str]) -> Iterator[Ids]:
        """The ids of each text as an array, in order, in bounded memory: for whole corpora.

        The ids are those of `encode`. Texts are read as their ids are asked for.
        """
        if self._bulk is None:
            yield from self._stream(texts)
            return
        for text in texts:
            try:
                yield self._bulk.encode(text)
            except UnicodeEncodeError:  # a lone surrogate
                yield np.asarray(self.encode(text), dtype=np.uint32)

    @cached_property
    def _bulk(self) -> Bulk | None:
        return open_bulk(self._backend)

    def _stream(self, texts: Iterable[str]) -> Iterator[Ids]:
        """`encode_stream` by the canonical library, on all cores."""
        batch: list[str] = []
        held = 0
        for text in texts:
            batch.append(text)
            held += len(text)
            if held >= BATCH_CHARACTERS:
                yield from (np.asarray(ids, dtype=np.uint32) for ids in self.encode_batch(batch))
                batch, held = [], 0
        yield from (np.asarray(ids, dtype=np.uint32) for ids in self.encode_batch(batch))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids. Special ids are passed over; bytes that are no text come as U+FFFD."""
        data = b"".join([self.token_bytes[number] for number in ids])
        try:
            return data.decode("utf-8", errors="surrogatepass")  # a str of Python may hold lone surrogates
        except UnicodeDecodeError:
            return data.decode("utf-8", errors="replace")

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, which transformers reads as they are."""
        folder.mkdir(parents=True, exist_ok=True)
        settings: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "add_bos_token": False,
            "bos_token": END_OF_TEXT,
            "eos_token": END_OF_TEXT,
        }
        if len(self.special) == len(SPECIAL):
            settings |= {"eos_token": END_OF_TURN, "pad_token": PAD, "chat_template": TEMPLATE}
        (folder / "tokenizer.json").write_text(self._backend.to_str(pretty=True), encoding="utf-8")
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    def _bytewise(self, data: bytes) -> list[int]:
        return [self._byte_ids[data[place : place + 1]] for place in range(len(data))]


def load(folder: Path) -> Tokenizer:
    """The tokenizer that was saved in a folder. Raises DataError when there is none, or it is broken."""
    import tokenizers

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; give a folder that a tokenizer was saved in")
    try:
        return Tokenizer(tokenizers.Tokenizer.from_file(str(path)))
    except Exception as error:  # the library raises nothing narrower, and a foreign alphabet is a KeyError
        raise DataError(f"{path}: not a tokenizer: {error}; restore the file or train it again") from None


class TokenizerConfig(Component):
    """How a vocabulary is learnt from text."""

    vocab_size: int
    """Number of ids, special tokens included; fewer when the text is too short to fill it."""

    @abstractmethod
    def train(self, texts: Iterable[str], progress: Reporter = SILENT) -> Tokenizer:
        """Learn a vocabulary: the same for the same texts. Raises DataError when they hold no text."""


def special_tokens(names: Iterable[str]) -> "list[tokenizers.AddedToken]":
    """Special tokens in the library's form: matched as they are, spaces beside them kept."""
    from tokenizers import AddedToken

    return [AddedToken(name, special=True, normalized=False) for name in names]


def pieces(text: str) -> Iterator[str]:
    """Cut a long text where no tokenizer can tell: the ids of the pieces, joined, are those of the text.

    A piece has at least PIECE_CHARACTERS, but the last, and ends between a Latin letter or digit and a space or the
    end of a line; a text without such a place stays whole.
    """
    start = 0
    while len(text) - start > PIECE_CHARACTERS and (cut := _CUT.search(text, start + PIECE_CHARACTERS)):
        yield text[start : cut.start()]
        start = cut.start()
    yield text[start:] if start else text


@cache
def byte_alphabet() -> dict[str, int]:
    """The printable letter by which GPT-2's files write each byte (`bytes_to_unicode`, openai/gpt-2 src/encoder.py).

    In GPT-2's order, which is that of the letters, so the values are the bytes of its first 256 ids.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(256 + place): byte for place, byte in enumerate(others)}


def _batches(texts: Sequence[str]) -> Iterator[list[tuple[int, str | bytes]]]:
    """Pieces with the number of the text they are of, a bounded amount at a time; lone surrogates as bytes."""
    batch: list[tuple[int, str | bytes]] = []
    held = 0
    for owner, text in enumerate(texts):
        for piece in pieces(text):
            if piece.isascii() or not _SURROGATES.search(piece):
                batch.append((owner, piece))
            else:
                for place, run in enumerate(_SURROGATES.split(piece)):
                    batch.append((owner, run.encode("utf-8", errors="surrogatepass") if place % 2 else run))
            held += len(piece)
            if held >= BATCH_CHARACTERS:
                yield batch
                batch, held = [], 0
    if batch:
        yield batch


def _spelling(backend: "tokenizers.Tokenizer") -> Callable[[str], bytes]:
    """How the tokens of a vocabulary spell bytes."""
    from tokenizers import models

    letters = byte_alphabet()
    model: Any = backend.model
    if isinstance(model, models.BPE) and model.byte_fallback:
        return lambda token: bytes([int(token[3:5], 16)]) if len(token) == 6 else token.encode()
    inside = model.continuing_subword_prefix if isinstance(model, models.WordPiece) else ""
    return lambda token: bytes([letters[letter] for letter in token.removeprefix(inside)])
