"""Published benchmarks from the command line: measured once, kept, shown, compared."""

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from groundup.cli import main
from groundup.corpus import refine
from groundup.report.gather import benchmarks_file
from groundup.store import Store
from spine import Said
from tasks.benchmarks import PUBLISHED

Say = Callable[..., Said]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with the records of two benchmarks."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("piqa", "lambada"):
        ((_, rows),) = PUBLISHED[name].items()
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_benchmarks_are_measured_once_kept_shown_and_compared(own: Path, data: Path, say: Say) -> None:
    asked = ("--tasks", "piqa,lambada", "--tasks-data", data)
    for stage in ("pretrain", "sft"):
        done = say("eval", "tiny", *asked, "--stage", stage, "--json")
        assert done.status == 0, done.err
        found = json.loads(done.out)["tasks"]
        assert list(found) == ["piqa", "lambada"]
        assert (found["piqa"]["n"], found["piqa"]["chance"], found["lambada"]["chance"]) == (10, 0.5, 0.0)
    kept = own / "runs" / "tiny" / benchmarks_file("sft")
    stamp = kept.stat().st_mtime_ns
    again = say("eval", "tiny", *asked, "--stage", "sft")
    assert "10" in again.out and kept.stat().st_mtime_ns == stamp
    say("eval", "tiny", *asked, "--stage", "sft", "--limit", "4")
    assert kept.stat().st_mtime_ns != stamp

    stages = {row["stage"]: row["facts"] for row in json.loads(say("show", "tiny", "--json").out)["stages"]}
    assert stages["benchmarks of pretrain"]["piqa"]["n"] == 10
    assert stages["benchmarks of sft"]["piqa"]["n"] == 4
    assert "piqa (sft)" in (own / "runs" / "tiny" / "report.html").read_text(encoding="utf-8")

    compared = json.loads(say("compare", "tiny:pretrain", "tiny:sft", "--json").out)["tasks"]
    assert compared["piqa"]["n"] == compared["lambada"]["n"] == 4
    assert {"value", "low", "high"} == set(compared["piqa"]["score"])
    table = say("compare", "tiny:pretrain", "tiny:sft", "--tasks", "lambada").out
    assert "lambada" in table and "piqa" not in table


def test_what_was_seen_in_training_is_told_apart(own: Path, data: Path, say: Say) -> None:
    seen = data / "seen.jsonl"
    seen.write_text("".join(json.dumps({"task": "piqa", "id": str(n)}) + "\n" for n in range(3)), encoding="utf-8")
    done = say("eval", "tiny", "--tasks", "piqa", "--tasks-data", data, "--contaminated", seen, "--json")
    facts = json.loads(done.out)["tasks"]["piqa"]
    assert (facts["dirty"]["n"], facts["clean"]["n"]) == (3, 7)
    seen.write_text('{"task": "piqa"}\n', encoding="utf-8")
    done = say("eval", "tiny", "--tasks", "piqa", "--tasks-data", data, "--contaminated", seen)
    assert done.status == 2 and "seen.jsonl:1: not an item" in done.err


def test_items_that_stand_in_the_training_text_are_found(own: Path, data: Path, say: Say) -> None:
    (document,) = islice(refine.documents(Store(own / "runs" / "tiny").current()["corpus"].path / "corpus", "train"), 1)
    sentence = " ".join(document.text.split()[10:40])
    rows = [{"goal": sentence if n == 1 else f"number {n}", "sol1": "a", "sol2": "b", "label": 0} for n in range(4)]
    (data / "piqa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = ("--tasks", "piqa,lambada", "--tasks-data", data, "--contaminated", "corpus")
    found = json.loads(say("eval", "tiny", *asked, "--json").out)["tasks"]
    assert (found["piqa"]["dirty"]["n"], found["piqa"]["clean"]["n"]) == (1, 3)
    assert (found["lambada"]["dirty"]["n"], found["lambada"]["clean"]["n"]) == (0, 10)
    page = (own / "runs" / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "of the 1 that it holds" in page and "none that it holds" in page


def test_safety_is_kept_and_shown(own: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundup.eval.safety.STRETCHES", 20)
    monkeypatch.setattr("groundup.eval.safety.SAMPLES", 20)
    found = json.loads(say("eval", "tiny", "--safety", "--json").out)["safety"]
    assert found["stretches"] == 20 and found["recited_held_out"]["value"] <= 1
    assert "Recited training text (grpo)" in (own / "runs" / "tiny" / "report.html").read_text(encoding="utf-8")


def test_bits_per_byte_of_any_text(own: Path, say: Say) -> None:
    (own / "a.txt").write_text("A line of text that nobody has seen. " * 20, encoding="utf-8")
    facts = json.loads(say("eval", "tiny", "--text", own / "a.txt", "--json").out)
    assert (facts["documents"], facts["bytes"]) == (1, 740)
    assert 0 < facts["value"] < 20


def test_results_of_other_weights_are_not_shown(own: Path, data: Path, say: Say) -> None:
    say("eval", "tiny", "--tasks", "piqa", "--tasks-data", data)
    store = Store(own / "runs" / "tiny")
    store.write_json(benchmarks_file("grpo"), {**store.read_json(benchmarks_file("grpo")), "weights": "other"})
    assert "benchmarks" not in say("show", "tiny").out
    said = say("compare", "tiny", "tiny")
    assert said.status == 2 and "groundup eval tiny --tasks small" in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--tasks", "piqqa"), "did you mean 'piqa'"),
        (("--tasks", "piqa", "--tasks-data", "none"), "there is no such folder"),
        (("--tasks", "piqa", "--limit", "0"), "use 1 or more"),
        (("--harness", "lm-eval"), "--harness needs --tasks"),
        (("--tasks", "mt_bench", "--judge", "localhost"), "give the address of an OpenAI endpoint"),
        (("--tasks", "piqa", "--contaminated", "corpus"), "add --tasks-data DIR"),
        (("--tasks", "piqa", "eval.functions=3"), "leave --tasks or it out"),
        (("--tasks", "piqa", "--tasks-data", ".", "--stage", "rlhf"), "its rlhf stage is not done"),
    ],
)
def test_mistakes_are_explained(
    place: Path, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert main(["eval", "tiny", *words]) == 2
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said
