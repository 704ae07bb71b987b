"""The three pre-tokenization rules, and how fast they are."""

import time

import pytest

from groundup.tokenizer._subwords import pre_tokenizer
from groundup.tokenizer.bpe import BPE
from groundup.tokenizer.patterns import PATTERNS, Pattern

TEXT = "I'LL pay 1234 $now!\n\n  if x:\n\treturn  it's"
CUTS: dict[Pattern, list[str]] = {
    "qwen2": [
        "I", "'LL", " pay", " ", "1", "2", "3", "4", " $", "now", "!\n\n", " ", " if", " x", ":\n", "\treturn", " ",
        " it", "'s",
    ],
    "gpt-2": [
        "I", "'", "LL", " pay", " 1234", " $", "now", "!", "\n\n ", " if", " x", ":", "\n", "\t", "return", " ", " it",
        "'s",
    ],
    "llama3": [
        "I", "'LL", " pay", " ", "123", "4", " $", "now", "!\n\n", " ", " if", " x", ":\n", "\treturn", " ", " it",
        "'s",
    ],
}  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_where_a_rule_cuts(pattern: Pattern) -> None:
    spans = [span for _, span in pre_tokenizer(pattern).pre_tokenize_str(TEXT)]
    assert [TEXT[start:end] for start, end in spans] == CUTS[pattern]


def test_digits_stay_single_with_qwen2() -> None:
    tokenizer = BPE(vocab_size=600).train(["year 1984 and 2001 and 1984; " * 500])
    assert not [data for data in tokenizer.token_bytes if len(data) > 1 and any(48 <= byte < 58 for byte in data)]


@pytest.mark.slow
def test_nine_megabytes_train_and_encode_in_seconds() -> None:
    import random

    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(1, 9))) for _ in range(60_000)]
    weights = [1 / (rank + 10) for rank in range(len(words))]
    texts = [" ".join(draw.choices(words, weights, k=2700)) for _ in range(600)]
    assert sum(map(len, texts)) > 8_500_000
    start = time.perf_counter()
    tokenizer = BPE(vocab_size=4096).train(texts)
    trained = time.perf_counter()
    ids = tokenizer.encode_batch(texts)
    assert trained - start < 15  # measured 1.5 s on two cores
    assert time.perf_counter() - trained < 10  # measured 1.5 s
    assert tokenizer.decode(ids[-1]) == texts[-1]
