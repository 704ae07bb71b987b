"""The token file: what goes in comes out, and damage is found."""

import errno
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import DataError
from groundup.tokens.shard import Shard, write


@pytest.mark.parametrize(("vocab_size", "width"), [(300, 2), (1 << 16, 2), ((1 << 16) + 1, 4), (200_000, 4)])
def test_what_goes_in_comes_out(tmp_path: Path, vocab_size: int, width: int) -> None:
    documents = [[1, 2, vocab_size - 1], [], np.arange(257, dtype=np.uint16), [0]]
    facts = write(tmp_path / "a.tokens", documents, vocab_size, separator=256)
    shard = Shard.open(tmp_path / "a.tokens")
    assert [list(ids) for ids in shard.documents()] == [list(ids) for ids in documents]
    assert all(shard.ids[int(start)] == 256 for start in shard.offsets[:-1])
    assert (shard.vocab_size, shard.separator, shard.sha256) == (vocab_size, 256, facts.sha256)
    assert (facts.n_documents, facts.n_tokens) == (shard.n_documents, shard.n_tokens) == (4, 265)
    assert facts.n_bytes == (tmp_path / "a.tokens").stat().st_size
    assert shard.ids.dtype.itemsize == width
    assert [path.name for path in tmp_path.iterdir()] == ["a.tokens"]


@settings(max_examples=40, deadline=None)
@given(documents=st.lists(st.lists(st.integers(0, 299), max_size=20), max_size=20))
def test_any_documents_come_back(tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]]) -> None:
    path = tmp_path_factory.mktemp("shard") / "a.tokens"
    write(path, iter(documents), 300, separator=0)
    assert [list(ids) for ids in Shard.open(path).documents()] == documents


def test_the_same_documents_give_the_same_file(tmp_path: Path) -> None:
    documents = [[1, 2, 3], [4]]
    facts = [write(tmp_path / name, documents, 300, separator=0) for name in ("a", "b")]
    assert facts[0] == facts[1]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert write(tmp_path / "c", documents, 300, separator=9).sha256 != facts[0].sha256


def test_a_file_that_fails_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a", [[7]], 300, separator=0)
    before = (tmp_path / "a").read_bytes()

    def full_disk() -> Iterator[list[int]]:
        yield [1, 2]
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "a", full_disk(), 300, separator=0)
    assert (tmp_path / "a").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("bad", [300, -1])
def test_an_id_outside_the_vocabulary_is_named(tmp_path: Path, bad: int) -> None:
    with pytest.raises(DataError, match=rf"document 1 holds the id {bad}, the vocabulary has 300"):
        write(tmp_path / "a", [[1], [2, bad, 3]], 300, separator=0)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    write(tmp_path / "a", [[1, 2, 3], list(range(40))], 300, separator=0)
    return tmp_path / "a"


def test_every_altered_byte_is_found(good: Path) -> None:
    data = good.read_bytes()
    for place in range(len(data)):
        good.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(DataError, match="run again"):
            Shard.open(good)


def test_every_torn_end_is_found_even_unread(good: Path) -> None:
    data = good.read_bytes()
    for size in range(len(data)):
        good.write_bytes(data[:size])
        with pytest.raises(DataError, match=r"torn|not a token file"):
            Shard.open(good, verify=False)


def test_other_files_are_refused(tmp_path: Path, good: Path) -> None:
    with pytest.raises(DataError, match="no such token file"):
        Shard.open(tmp_path / "missing")
    (tmp_path / "text").write_text("x" * 500)
    with pytest.raises(DataError, match="not a token file"):
        Shard.open(tmp_path / "text")
    good.write_bytes(good.read_bytes()[:8] + b"\2" + good.read_bytes()[9:])
    with pytest.raises(DataError, match="version 2, this program reads 1"):
        Shard.open(good)
