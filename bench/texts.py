"""Real text that every machine has: Python's own library, and the files that installed packages brought along."""

import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from groundup.corpus.document import Document, Raw
from groundup.corpus.sources._base import open_specs
from groundup.errors import DataError
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.bpe import BPE

SUFFIXES = {".py", ".pyi", ".md", ".rst", ".txt", ".h", ".hpp", ".json", ".js"}
LARGEST = 2_000_000
"""Bytes of a file: larger ones are tables of data."""


def documents(specs: Sequence[str], most_bytes: int) -> list[str]:
    """Texts of `--data` specs (folders, files, `python` ...), about `most_bytes` in all. Raises DataError for none."""
    texts: list[str] = []
    held = 0
    for source in [source for each in open_specs(list(specs)) for source in each.sources]:
        for shard in source.shards():
            for found in source.read(shard):
                document = found.taken() if isinstance(found, Raw) else found
                if isinstance(document, Document) and held < most_bytes:
                    texts.append(document.text)
                    held += len(document.text.encode("utf-8", "replace"))
    if not texts:
        raise DataError(f"no text in {', '.join(specs)}; name a folder or files with text")
    return texts


def installed(most_bytes: int) -> list[str]:
    """Texts of the files of installed packages, in the order of their paths; no two are the same."""
    texts: dict[str, None] = {}
    held = 0
    for path in _files(Path(sysconfig.get_paths()["purelib"])):
        if held >= most_bytes:
            break
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        if text not in texts:
            texts[text] = None
            held += path.stat().st_size
    return list(texts)


def vocabulary(size: int, most_bytes: int = 16_000_000) -> Tokenizer:
    """A byte-level BPE of `size` ids, learnt from Python's own library."""
    return BPE(vocab_size=size).train(documents(["python"], most_bytes))


def token_file(path: Path, vocab_size: int, n_tokens: int) -> None:
    """Write at least `n_tokens` ids of Python's own library as an array of uint16, repeated where it is shorter."""
    texts = documents(["python"], 5 * n_tokens)
    learned = BPE(vocab_size=vocab_size).train(texts)
    ids = np.concatenate([np.asarray(each, dtype=np.uint16) for each in learned.encode_stream(texts)])
    np.save(path, np.resize(ids, max(n_tokens, len(ids))))


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES and path.is_file() and path.stat().st_size <= LARGEST:
            yield path
