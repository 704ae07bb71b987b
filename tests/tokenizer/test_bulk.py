"""The fast encoder gives the ids of the canonical `tokenizer.json`, whatever the text, in linear time."""

import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.tokenizer._bulk import open_bulk
from groundup.tokenizer.bpe import BPE
from groundup.tokenizer.characters import Characters
from groundup.tokenizer.special import SPECIAL

pytest.importorskip("gigatoken")

TEXT = (
    "It was the best of times, it was the worst of times; don't ask 1234 people why.\n\n"
    "def sum_of(values):\n    total = 0\n    for value in values:\n        total += value  # ### no comment ###\n"
    "    return total\r\n\r\n\tДобрый день, 世界! Ça va? \U0001f600 aaaa      bbbb ======== --------\n\n\n\n"
) * 20
PATTERNS = ("qwen2", "gpt-2", "llama3")
LEARNED = {pattern: BPE(vocab_size=700, pattern=pattern).train([TEXT]) for pattern in PATTERNS}
BULK = {pattern: open_bulk(learned._backend) for pattern, learned in LEARNED.items()}

parts = st.sampled_from(
    [*SPECIAL, "\0", "\x85", "\u2028", "\r\n", "\r", "\n", " ", "  ", "\t", "\u00a0", "\u3000", "don't", "WE'LL", "'s",
     "\u017f", "'\u017f", "123", "１２", "½", "e\u0301", "\u200d", "\U0001f600", "\ufeff", "ﬁ", "İ", "世", "ب", "##",
     "\U000e0001", "_", "--", "x" * 300, " " * 70, "\n" * 40, "9" * 70]
)  # fmt: skip
texts = st.lists(parts | st.text(st.characters(codec="utf-8"), max_size=20), max_size=12).map("".join)


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_ids_are_those_of_the_canonical_library(pattern: str, text: str) -> None:
    bulk, learned = BULK[pattern], LEARNED[pattern]
    assert bulk is not None
    assert bulk.encode(text).tolist() == learned.encode(text)


@pytest.mark.parametrize("unit", ["a", " ", "=", "7", "\n", "é", "世", "\u0301", "\U0001f600", "ab"])
def test_a_million_like_characters_take_linear_time(unit: str) -> None:
    bulk, learned = BULK["qwen2"], LEARNED["qwen2"]
    assert bulk is not None
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    ids = bulk.encode(text)
    assert time.process_time() - start < 5.0  # measured 0.01 to 0.23; quadratic would be hours
    assert learned.decode(ids) == text


def test_what_is_no_byte_level_bpe_stays_with_the_canonical_library() -> None:
    learned = Characters(vocab_size=400).train([TEXT])
    assert open_bulk(learned._backend) is None
    assert [ids.tolist() for ids in learned.encode_stream([TEXT, "x"])] == learned.encode_batch([TEXT, "x"])


def test_a_pattern_that_is_read_differently_is_refused() -> None:
    backend = tokenizers.Tokenizer.from_str(LEARNED["qwen2"]._backend.to_str())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(r"\S\S|\s"), "isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    assert open_bulk(backend) is None


def test_the_encoder_is_renewed_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundup.tokenizer._bulk.RENEW_BYTES", 3000)
    bulk, learned = open_bulk(LEARNED["qwen2"]._backend), LEARNED["qwen2"]
    assert bulk is not None
    first = bulk._encoder
    assert [bulk.encode(TEXT).tolist() for _ in range(3)] == [learned.encode(TEXT)] * 3
    assert bulk._encoder is not first


@pytest.mark.slow
def test_a_hundred_megabytes_have_the_canonical_ids() -> None:
    from bench.texts import installed, vocabulary

    learned = vocabulary(32768)
    texts = installed(100_000_000)
    assert sum(map(len, texts)) > 20_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, (text, ids) in enumerate(zip(texts, learned.encode_stream(texts), strict=True)):
        assert ids.tolist() == learned.encode(text), number
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_000_000  # kB


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="counts the memory of a child process, which Windows does not")
def test_learning_holds_no_more_than_the_sample_twice(tmp_path: Path) -> None:
    """A quarter of the gigabyte of `groundup bench tokenizer`, for which the bound is 4 GB."""
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(200_000)]
    (tmp_path / "words").write_text(" ".join(words), encoding="utf-8")
    script = (
        "import random, resource, sys\n"
        "from groundup.tokenizer.bpe import BPE\n"
        "words = open(sys.argv[1]).read().split()\n"
        "draw = random.Random(2)\n"
        "texts = (' '.join(draw.choices(words, k=150_000)) for _ in range(250))\n"
        "BPE(vocab_size=32768, sample_bytes=250_000_000).train(texts)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "words")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1_000_000  # kB
