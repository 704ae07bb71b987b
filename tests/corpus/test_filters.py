"""Filters: pure, with a reason for each drop; prose, drama, code and lists pass; repetition does not."""

import doctest
import importlib
import inspect
import random
from pathlib import Path

import pytest

from groundup.config import Folder
from groundup.corpus.document import Document, Filter
from groundup.corpus.filters.c4 import C4
from groundup.corpus.filters.fineweb import Fineweb
from groundup.corpus.filters.gopher import Gopher
from groundup.corpus.filters.language import Language
from groundup.corpus.filters.length import Length
from groundup.corpus.filters.license import License
from groundup.corpus.filters.profanity import Profanity
from groundup.corpus.filters.repetition import Repetition
from groundup.corpus.filters.symbols import Symbols
from groundup.corpus.filters.url import Url
from groundup.corpus.repair import repair
from groundup.corpus.settings import Corpus, filter_lists
from groundup.corpus.words import TECHNICAL_SYMBOLS, words
from groundup.errors import ConfigError, DataError

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
    assert words(text).symbols > TECHNICAL_SYMBOLS
    assert all(each.judge(document(text)).kept for each in (Repetition(), Gopher(), Symbols()))


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


PROSE = "The old house by the sea was quiet that winter, and nobody had come to see it for years. " * 6


@pytest.mark.parametrize(
    ("rule", "text", "reason"),
    [
        (Gopher(), "The sea and the sky.", "few_words"),
        (Gopher(most_words=60), PROSE, "many_words"),
        (Gopher(), "a b c the d e of f g " * 20, "short_words"),
        (Gopher(), "the internationalization of counterrevolutionaries " * 20, "long_words"),
        (Gopher(), "1914 1915 1916 the of " * 20, "few_letters"),
        (Gopher(), "Der Hund schläft heute im Garten hinter unserem Haus " * 10, "no_stop_words"),
        (Symbols(), "# tags #and #more of #them here\n" * 20, "hash_marks"),
        (Symbols(), "wait... what... no... and so on\n" * 20, "ellipses"),
        (Symbols(), "- a line of a list\n" * 20, "bullets"),
        (Symbols(), "this is a line of a page that goes on and on with more…\n" * 20, "trailing_ellipses"),
        (C4(), "Lorem ipsum dolor sit amet.", "lorem_ipsum"),
        (C4(), PROSE + "{", "curly_bracket"),
        (C4(), "Home\nNews\nThe one sentence that is left of it all.", "few_sentences"),
        (Fineweb(), "one line without an end\n" * 2 + "another of the kind\n", "few_line_ends"),
        (Fineweb(), f"{PROSE}\n" * 3, "copied_lines"),
        (Fineweb(), "\n".join(f"Short line {number}." for number in range(9)), "short_lines"),
    ],
)
def test_each_rule_has_its_reason(rule: Filter, text: str, reason: str) -> None:
    verdict = rule.judge(document(text))
    assert (verdict.kept, verdict.reason) == (False, reason)


def test_prose_passes_every_rule() -> None:
    assert all(rule.judge(document(PROSE)).kept for rule in (Gopher(), Symbols(), C4(), Fineweb()))


def test_rules_for_english_words_pass_over_other_languages() -> None:
    german = Document("d", "Der Hund schläft heute im Garten hinter unserem Haus " * 10, "s", "p", language="de")
    chinese = Document("d", "今天天气很好我们一起去公园散步吧。" * 30, "s", "p", language="zh")
    russian = Document("d", "Старый дом у моря был тих этой зимой и никто не приходил " * 10, "s", "p", language="ru")
    assert all(Gopher().judge(each).kept for each in (german, chinese, russian))


def test_the_default_list_keeps_what_is_no_prose() -> None:
    default = Corpus(filters="default").filters
    draw = random.Random(2)
    digits = " ".join(str(draw.randrange(1000)) for _ in range(300))
    names = "\n".join("".join(draw.choices("aeioubdlmnrst", k=6)) for _ in range(200))
    genes = "\n".join("".join(draw.choices("ACGT", k=70)) for _ in range(20))
    for text in (digits, names, genes):
        found = document(text)
        for rule in default:
            verdict = rule.judge(found)
            assert verdict.kept, verdict
            found = verdict.document or found


def test_c4_takes_out_what_is_no_sentence() -> None:
    page = (
        f"Home | News\n{PROSE}\nWe use cookies to make this site a better one.\nRead more...\nThe end of it all came."
    )
    left = C4().judge(document(page)).document
    assert left is not None and left.text == f"{PROSE}\nThe end of it all came.".strip("\n")
    assert "Home | News" not in left.text and C4(punctuation=False).judge(document(PROSE)).kept


def test_language_labels_and_drops() -> None:
    kept = Language(keep=("en", "fr")).judge(document("Le chat dort dans le jardin derrière la maison."))
    assert kept.kept and kept.document is not None and kept.document.language == "fr"
    gone = Language(keep=("en",)).judge(document("Der Hund schläft im Garten hinter dem Haus."))
    assert gone.reason == "language_de" and gone.document is not None and gone.document.language == "de"
    assert Language(keep=("en",)).judge(document("")).reason == "language_unknown"


def test_url_lists_cover_what_lies_below_them(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("# a list\nbad.example\n", encoding="utf-8")
    rule = Url(file=str(tmp_path / "domains"), words=("casino",))
    for url, reason in {
        "https://shop.bad.example/x": "url_domain",
        "bad.example/x": "url_domain",
        "https://notbad.example/x": "",
        "https://good.example/online-casino.html": "url_word",
        "https://good.example/casinos": "",
        "": "",
    }.items():
        assert rule.judge(Document("d", "text", "s", "p", url=url)).reason == reason, url
    with pytest.raises(DataError, match=r"url\.file"):
        Url(file=str(tmp_path / "none")).check()


def test_licences_are_read_from_records_and_notices() -> None:
    for text, license, reason in [
        ("x = 1", "MIT", ""),
        ("x = 1", "MIT OR GPL-3.0-only", ""),
        ("# SPDX-License-Identifier: Apache-2.0", "", ""),
        ("/* Permission is hereby granted, free\n * of charge, to any person */", "", ""),
        ("# This file is under the GNU\n# General Public License.", "", "license_GPL-3.0"),
        ("x = 1", "", "license_unstated"),
    ]:
        assert License().judge(Document("d", text, "s", "p", license=license)).reason == reason, text
    assert License(unstated=True).judge(document("x = 1")).kept


def test_profanity_is_a_share_of_words(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("darn\nheck\n", encoding="utf-8")
    rule = Profanity(file=str(tmp_path / "words"), share=0.05)
    assert rule.judge(document("Darn! What the heck.")).reason == "profanity"
    assert rule.judge(document(f"Darn, heck. {PROSE}")).kept
    assert Profanity().judge(document(PROSE)).kept


def test_words_count_in_their_own_language_alone() -> None:
    spanish = "El barco salió con la marea y volvió con el viento, con todos y con nadie."
    rule = Profanity(share=0.1)
    assert rule.judge(Document("d", spanish, "s", "p", language="es")).kept
    assert rule.judge(Document("d", spanish, "s", "p", language="fr")).reason == "profanity"
    assert rule.judge(Document("d", spanish, "s", "p")).reason == "profanity"
    assert rule.judge(Document("d", spanish, "s", "p", language="la")).kept


def test_sentences_of_other_scripts_are_sentences() -> None:
    chinese = "我们昨天去了海边。天气很好！你也想去吗？明天再说吧。"
    assert C4(punctuation=True).judge(Document("d", chinese, "s", "p", language="zh")).kept
    fewer = chinese.replace("。", "").replace("！", "")
    assert C4(punctuation=False).judge(Document("d", fewer, "s", "p", language="zh")).value == 1.0


def test_lists_of_filters_are_chosen_by_name() -> None:
    for name in filter_lists():
        assert Corpus(filters=name).filters == Corpus.from_tree(Corpus(filters=name).tree()).filters
    with pytest.raises(ConfigError, match="did you mean 'default'"):
        Corpus.from_tree({"filters": "defualt"})


def test_words_are_alike_whatever_their_case_and_the_punctuation_around() -> None:
    left, right = words("“Hello, World!” she said — twice…"), words("hello world She SAID twice")
    assert list(left.hashes) == list(right.hashes)
    assert list(left.lengths) == [5, 5, 3, 4, 5]
    assert len(set(words("a b ab ba aa naïve naive").hashes.tolist())) == 7
    assert list(words("one two").grams(2)) == list(words("ONE  two!").grams(2)) != list(words("two one").grams(2))
    assert len(words("").hashes) == len(words("one").grams(2)) == 0
