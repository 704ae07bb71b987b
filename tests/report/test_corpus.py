"""The part of the report on the text: the funnel adds up, whatever was read is safe to show, one page is enough."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from corpus.made import build, prose
from groundup.report.corpus import cleaning, funnel
from groundup.report.histogram import histogram
from groundup.report.page import corpus_page
from report.test_page import read

EVIL = "<script>alert(1)</script> & so on, again and again\n"


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[dict, Path]:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.txt").write_text(prose(number), encoding="utf-8")
    for number in range(30):
        (folder / f"short{number}.txt").write_text(f"Number {number}.", encoding="utf-8")
    (folder / "<b>evil.txt").write_text(EVIL * 40, encoding="utf-8")
    (folder / "copy.txt").write_text(prose(3), encoding="utf-8")
    return build(folder, tmp_path / "out"), tmp_path / "out"


def test_the_funnel_goes_down_to_what_is_learnt_from(corpus: tuple[dict, Path]) -> None:
    facts, _ = corpus
    steps = funnel(facts)
    labels = [step.label for step in steps]
    assert labels[0] == "read" and labels[-3:] == ["near copies", "held out for evaluation", "learnt from"]
    assert (steps[0].documents, steps[-1].documents) == (42, facts["documents"])
    assert steps[-1].bytes == facts["bytes"]
    assert all(above.part >= below.part >= 0 for above, below in pairwise(steps))
    assert next(step for step in steps if step.label == "length").took.startswith("−30 documents")


def test_of_each_reason_twenty_examples_are_shown_and_none_can_break_the_page(corpus: tuple[dict, Path]) -> None:
    facts, out = corpus
    found = cleaning(facts, out)
    assert found is not None
    by_name = {reason.name: reason for reason in found.reasons}
    assert (by_name["too short"].documents, len(by_name["too short"].examples)) == (30, 20)
    assert by_name["duplicate"].examples[0]["why"] == "1, the bar is 1; copy of 3.txt"
    text = corpus_page("mine", facts, out)
    read(text)
    assert EVIL.strip() not in text and "&lt;script&gt;alert(1)" in text and "&lt;b&gt;evil.txt" in text
    assert text.count('<details class="reason">') == 3 and '<section id="corpus">' in text
    assert not re.search(r"https?://|<script|src=", text)
    assert cleaning({"documents": 1}, out) is None  # a corpus of before


def test_a_histogram_draws_every_count() -> None:
    svg = histogram([0, 1, 2, 4], [[3, 0, 5], [1, 2, 0]], names=("kept", "removed"), x_label="size", told=str)
    assert svg.count("<rect") == 4 and "2 to 4: 5 kept" in svg and "0 to 1: 1 removed" in svg
    assert histogram([0, 1], [[0], [0]], names=("kept", "removed"), x_label="size", told=str) == ""
