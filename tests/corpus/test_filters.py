"""Filters: pure, with a reason for each drop; prose, drama, code and lists pass; repetition does not."""

import doctest
import importlib
import inspect
import random
from pathlib import Path

import pytest

from groundup.config import Folder
from groundup.corpus.document import Document, Filter
from groundup.corpus.filters.length import Length
from groundup.corpus.filters.repetition import Repetition
from groundup.corpus.repair import repair
from groundup.corpus.words import words

FILTERS = Folder("corpus.filters")
SPAM = "Buy the best cheap watches online now, buy them today. " * 40


def document(text: str) -> Document:
    return Document("d", text, "s", "p")


@pytest.mark.parametrize("name", FILTERS.choices())
def test_every_filter_is_pure_and_names_what_it_drops(name: str) -> None:
    judge = FILTERS.find(name)()
    assert isinstance(judge, Filter)
    for text in ("", "short", SPAM, Path(__file__).read_text(encoding="utf-8"), "\ud800" * 100):
        verdict = judge.judge(document(text))
        assert verdict == judge.judge(document(text))
        assert verdict.kept or (verdict.reason and verdict.value != verdict.threshold)


@pytest.mark.parametrize("name", FILTERS.choices())
def test_the_examples_of_every_filter_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"groundup.corpus.filters.{name}"))
    assert result.attempted and not result.failed


def test_length_counts_bytes_without_the_white_space_around() -> None:
    assert Length(minimum=3).judge(document("  äa \n")).kept
    assert Length(minimum=4).judge(document("  äa \n")).reason == "too_short"
    assert Length(minimum=0, maximum=2).judge(document("äa")).reason == "too_long"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("It rained all day in the old town by the sea\n" * 30, "repeated_lines"),
        (SPAM, "top_2_gram"),
    ],
)
def test_repetition_is_dropped_by_the_rule_it_breaks(text: str, reason: str) -> None:
    verdict = Repetition().judge(document(text))
    assert (verdict.kept, verdict.reason) == (False, reason)
    assert verdict.value > verdict.threshold


def test_repeated_passages_are_dropped_by_their_share() -> None:
    draw = random.Random(0)
    vocabulary = [f"w{number}x" for number in range(500)]
    fresh = [" ".join(draw.choices(vocabulary, k=20)) for _ in range(60)]
    passage = " ".join(draw.choices(vocabulary, k=20))
    little = " ".join([*fresh, passage, passage])
    much = " ".join(part for line in fresh for part in (line, passage))
    assert Repetition().judge(document(little)).kept
    assert Repetition(technical=100).judge(document(much)).reason.startswith(("top_", "repeated_"))


@pytest.mark.parametrize("module", [doctest, inspect, random, pytest.Session.__module__ and importlib, FILTERS])
def test_source_code_passes(module: object) -> None:
    path = inspect.getsourcefile(module if inspect.ismodule(module) else type(module))
    assert path is not None
    text = Path(path).read_text(encoding="utf-8")
    assert words(text).symbols > 0.06
    assert Repetition().judge(document(text)).kept


def test_drama_and_verse_with_a_refrain_pass() -> None:
    draw = random.Random(1)
    vocabulary = [f"word{chr(97 + number % 26)}{chr(97 + number // 26)}" for number in range(400)]
    speeches = [f"ROMEO:\n{' '.join(draw.choices(vocabulary, k=20))}.\n" for _ in range(40)]
    verses = ["\n".join([*(" ".join(draw.choices(vocabulary, k=7)) for _ in range(7)), "Sing on"]) for _ in range(20)]
    assert Repetition().judge(document("\n".join(speeches))).kept
    assert Repetition().judge(document("\n\n".join(verses))).kept


@pytest.mark.parametrize(
    ("broken", "mended", "mojibake"),
    [
        ("plain\ttext\n", "plain\ttext\n", False),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd", False),
        ("bell\x07 and\x00 null\ufeff", "bell and null", False),
        ("e\u0301", "é", False),
        ("lone \ud83d surrogate", "lone \ufffd surrogate", False),
        ("The Mona Lisa doesnâ€™t have eyebrows, she saysâ€¦", "The Mona Lisa doesn’t have eyebrows, she says…", True),
        ("sÃ³ nÃ£o vÃª", "só não vê", True),
        ("“Curly quotes — and ‘these’…”", "“Curly quotes — and ‘these’…”", False),
        ("&lt;b&gt; ﬁne Ａ", "&lt;b&gt; ﬁne Ａ", False),
    ],
)
def test_repair_mends_encodings_and_leaves_the_rest(broken: str, mended: str, mojibake: bool) -> None:
    assert repair(broken) == (mended, mojibake)
    assert repair(mended) == (mended, False)


def test_words_are_alike_whatever_their_case_and_the_punctuation_around() -> None:
    left, right = words("“Hello, World!” she said — twice…"), words("hello world She SAID twice")
    assert list(left.hashes) == list(right.hashes)
    assert list(left.lengths) == [5, 5, 3, 4, 5]
    assert len(set(words("a b ab ba aa naïve naive").hashes.tolist())) == 7
    assert list(words("one two").grams(2)) == list(words("ONE  two!").grams(2)) != list(words("two one").grams(2))
    assert len(words("").hashes) == len(words("one").grams(2)) == 0
