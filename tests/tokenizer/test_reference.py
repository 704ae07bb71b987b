"""Against published vocabularies, ids and a published training run, where the shared data is at hand."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zstandard

from groundup.errors import DataError
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer._subwords import pre_tokenizer
from groundup.tokenizer.bpe import BPE, from_merges
from groundup.tokenizer.compression import facts, fertility
from groundup.tokenizer.ranks import read_ranks

SHARED = Path(__file__).parents[3] / "shared" / "data" / "tokenizer"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared reference data is not on this machine")


def unpacked(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(zstandard.ZstdDecompressor().stream_reader((SHARED / f"{name}.zst").read_bytes()).read())
    return path


def records(name: str) -> Iterator[dict[str, Any]]:
    with (SHARED / name).open("rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
            yield json.loads(line)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return read_ranks(unpacked("gpt2_vocab.bpe", tmp_path_factory.mktemp("gpt2")))


@needs_shared
def test_gpt2_merges_give_gpt2_ids(gpt2: Tokenizer) -> None:
    seen = 0
    for record in records("ms_tokenizer_vectors.jsonl.zst"):
        if record["encoding"] in ("gpt2", "r50k_base"):
            assert gpt2.encode(record["text"]) == record["ids"]
            seen += 1
    assert seen == 2


@needs_shared
def test_gpt2_ids_on_the_known_plans(gpt2: Tokenizer, tmp_path: Path) -> None:
    lines = unpacked("gpt_tokenizer_TestPlans.txt", tmp_path).read_text(encoding="utf-8")
    seen = 0
    for block in lines.split("EncodingName: ")[1:]:
        encoding, _, rest = block.partition("\nSample: ")
        text, _, ids = rest.rpartition("\nEncoded: ")
        if encoding.strip() == "r50k_base":
            assert gpt2.encode(text) == json.loads(ids)
            seen += 1
    assert seen > 50


@needs_shared
def test_a_tiktoken_file_gives_what_the_merges_give(gpt2: Tokenizer, tmp_path: Path) -> None:
    assert read_ranks(unpacked("r50k_base.tiktoken", tmp_path)).token_bytes == gpt2.token_bytes


@needs_shared
@pytest.mark.slow
def test_the_llama3_rule_gives_cl100k_ids(tmp_path: Path) -> None:
    tokenizer = read_ranks(unpacked("cl100k_base.tiktoken", tmp_path), pattern="llama3")
    (record,) = (record for record in records("ms_tokenizer_vectors.jsonl.zst") if record["encoding"] == "cl100k_base")
    assert tokenizer.encode(record["text"]) == record["ids"]


def pair_counts(words: Counter[tuple[str, ...]]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for parts, times in words.items():
        for pair in pairwise(parts):
            counts[pair] += times
    return counts


def merged(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    made: list[str] = []
    place = 0
    while place < len(parts):
        step = 2 if parts[place : place + 2] == pair else 1
        made.append("".join(parts[place : place + step]))
        place += step
    return tuple(made)


@needs_shared
def test_training_merges_a_most_frequent_pair_each_time_as_the_reference_does(tmp_path: Path) -> None:
    files = {record["file"]: record["text"] for record in records("cs336_bpe_training_reference.jsonl.zst")}
    lines = files["train-bpe-reference-merges.txt"].splitlines()
    reference = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    learnt = BPE(vocab_size=256 + len(lines) + 7, pattern="gpt-2").train([files["corpus.en"]])
    learnt.save(tmp_path)
    ours = [tuple(pair) for pair in json.loads((tmp_path / "tokenizer.json").read_text())["model"]["merges"]]
    assert len(ours) == len(reference)
    # They differ in how they break ties, so a few of the rarest merges differ, and nothing else.
    assert len({left + right for left, right in ours} ^ {left + right for left, right in reference}) <= 6

    words = Counter(tuple(word) for word, _ in pre_tokenizer("gpt-2").pre_tokenize_str(files["corpus.en"]))
    for pair in ours[:120]:
        counts = pair_counts(words)
        assert counts[pair] == max(counts.values())
        joined: Counter[tuple[str, ...]] = Counter()
        for parts, times in words.items():
            joined[merged(parts, pair)] += times
        words = joined


@needs_shared
def test_facts_stand_beside_gpt2(tmp_path: Path) -> None:
    held_out = [unpacked("minbpe_taylorswift.txt", tmp_path).read_text(encoding="utf-8")]
    tokenizer = BPE(vocab_size=1000).train(held_out)
    found = facts(tokenizer, held_out, unpacked("gpt2_vocab.bpe", tmp_path))
    n_tokens = len(tokenizer.encode(held_out[0]))
    assert found["vocab_size"] == 1000
    assert found["bytes_per_token"] == pytest.approx(len(held_out[0].encode()) / n_tokens)
    assert found["tokens_per_word"] == pytest.approx(n_tokens / len(held_out[0].split()))
    assert found["gpt2_bytes_per_token"] > 2.5
    assert "gpt2_bytes_per_token" not in facts(tokenizer, held_out)


def test_fertility_of_no_text_is_zero() -> None:
    assert fertility(from_merges([], "gpt-2"), []).bytes_per_token == 0.0


def test_bytes_are_counted_raw() -> None:
    counted = fertility(from_merges([], "gpt-2"), ["é 世\ud800", "a b"])
    assert (counted.n_bytes, counted.n_tokens, counted.n_words) == (12, 12, 4)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("vocab.bpe", "#version: 0.2\na b\nonly\n", "line 3: 'only' is not a merge"),
        ("r.tiktoken", "IQ== 0\n???? 1\n", "line 2"),
        ("r.tiktoken", "IQ== 5\n", "count up from 0"),
        ("r.tiktoken", None, "cannot be read"),
    ],
)
def test_a_broken_vocabulary_names_the_line(tmp_path: Path, name: str, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=told):
        read_ranks(tmp_path / name)
