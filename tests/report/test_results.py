"""What came out, in words and in rows."""

from pathlib import Path

import pytest

from groundup.report import units
from groundup.report.gather import gather
from groundup.report.lineage import summary
from groundup.report.results import expectation, headline, results, story, yardsticks
from report.example_run import build


def test_the_headline_says_what_from_what_and_how_long(finished: Path) -> None:
    assert (
        headline(gather(finished)) == "A chatbot of 6.82 million parameters, built from 7.88 MB of text in 9 min 57 s."
    )


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([], "A language model in the making."),
        (["corpus"], "A language model in the making, built from 7.88 MB of text in 9.4 s."),
        (
            ["corpus", "pretrain"],
            "A language model of 6.82 million parameters, built from 7.88 MB of text in 6 min 30 s.",
        ),
    ],
)
def test_the_headline_of_a_half_done_run(tmp_path: Path, stages: list[str], expected: str) -> None:
    assert headline(gather(build(tmp_path, "half", stages))) == expected


def test_the_story_leaves_out_what_is_not_known(finished: Path, tmp_path: Path) -> None:
    assert story(gather(finished)) == (
        "The Python standard library and notes: 612 documents, 7.37 M tokens read in 3.2 passes, taught to answer, "
        "reinforced on arithmetic, on 2 CPU cores."
    )
    assert story(gather(build(tmp_path, "new", []))) == "The Python standard library and notes."
    assert story(gather(tmp_path)) == ""


def test_results_carry_interval_chance_and_what_stands_beside(finished: Path) -> None:
    bits, arithmetic, origin, functions = results(gather(finished))
    assert (bits.label, bits.text(bits.value), bits.interval, bits.chance) == (
        "Bits per byte",
        "1.214",
        "1.168 to 1.262",
        8.0,
    )
    assert bits.beside == ("PPMd, primed with the training text 1.198", "PPMd 1.281", "xz -9e 1.505")
    assert arithmetic.interval == "92.3 to 96.3 %"
    assert arithmetic.before == 0.702
    assert arithmetic.beside[:2] == ("70.2 % before GRPO, pass@8 93.0 %", "errors cut by 81.9 % (76.3 % to 87.1 %)")
    assert (origin.chance, origin.measured_on) == (0.25, "200 held-out questions")
    assert functions.beside[0] == "96.1 % of the real functions, by the same rule"


def test_the_model_stands_among_the_yardsticks(finished: Path) -> None:
    found = yardsticks(gather(finished))
    assert [entry.bits for entry in found] == [1.198, 1.214, 1.281, 1.505]
    assert [entry.label for entry in found if entry.ours] == ["this model"]


def test_a_run_without_evaluation_has_no_results(tmp_path: Path) -> None:
    run = gather(build(tmp_path, "half", ["corpus"]))
    assert (results(run), yardsticks(run)) == ([], [])


def test_what_to_expect_grows_with_the_model() -> None:
    said = [expectation(parameters) for parameters in (5e5, 5e6, 1e8, 3e9)]
    assert len(set(said)) == 4
    assert all("wrong things" in text for text in said)
    assert "500 thousand" in said[0]
    assert "3 billion" in said[3]


def test_a_summary_takes_the_facts_that_are_there() -> None:
    assert summary("tokenizer", {"vocab_size": 4096, "bytes_per_token": None}) == "vocabulary 4,096"
    assert summary("eval", {"bits_per_byte": {"value": 1.2}}) == "1.200 bits per byte"
    assert summary("no such stage", {"steps": 1}) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (603, "10 min 3 s"), (7300, "2 h 1 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00222, "0.00222"),
        (2.5, "2.5"),
        (999, "999"),
        (999.7, "1 k"),
        (12_345, "12.3 k"),
        (3.2e6, "3.2 M"),
        (1e12, "1 T"),
    ],
)
def test_counts(value: float, text: str) -> None:
    assert units.count(value) == text


def test_sizes() -> None:
    assert [units.size(n) for n in (0, 999, 1000, 7_876_311)] == ["0 bytes", "999 bytes", "1 kB", "7.88 MB"]
