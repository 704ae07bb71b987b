"""The view of a run: whole, half done, torn, taken up again."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.errors import StoreError
from groundup.report.gather import Setting, gather
from report.example_run import FACTS, build, print_of


def test_a_finished_run_is_seen_whole(finished: Path) -> None:
    run = gather(finished)
    assert run.name == "quick"
    assert list(run.artifacts) == list(FACTS)
    assert run.facts() == FACTS
    assert run.seconds == pytest.approx(596.9)
    assert run.headline_bits_per_byte == 1.214
    assert run.artifacts["tokenizer"].parents == (print_of("corpus"),)
    assert len(run.metrics("pretrain")) == 900
    assert run.about["format"] == 1


def test_settings_know_their_origin(finished: Path) -> None:
    run = gather(finished)
    assert Setting("minutes", 10.0, "command line") in run.settings
    assert Setting("seed", 1, "default") in run.settings
    assert [setting.field for setting in run.settings if not setting.chosen] == [
        "seed", "model.name", "train.warmup", "train.optim.name",
    ]  # fmt: skip
    assert run.setting("train.optim.lr") == 0.02
    assert run.setting("no.such.field") is None


@pytest.mark.parametrize(
    "path", [("corpus", "no"), ("no", "bytes"), ("corpus", "bytes", "deeper"), ("eval", "tasks", "no")]
)
def test_a_missing_fact_is_none(finished: Path, path: tuple[str, ...]) -> None:
    assert gather(finished).fact(*path) is None


def test_a_run_that_has_just_begun_is_empty(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    run = gather(tmp_path)
    assert (run.artifacts, run.settings, run.samples, run.metrics("pretrain"), run.seconds) == ({}, [], [], [], 0)
    assert run.headline_bits_per_byte is None


def test_metrics_cannot_leave_the_run(finished: Path) -> None:
    (finished / "secret.jsonl").write_text('{"step": 1}\n')
    assert gather(finished).metrics("../secret") == []


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, list[object]], Path]:
    def write(stage: str, lines: list[object]) -> Path:
        (tmp_path / "metrics").mkdir(exist_ok=True)
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        (tmp_path / "metrics" / f"{stage}.jsonl").write_text(text)
        return tmp_path

    return write


def test_steps_taken_twice_count_once(written: Callable[[str, list[object]], Path]) -> None:
    first = [{"step": step, "loss": 1.0} for step in (1, 2, 3, 4, 5)]
    again = [{"step": step, "loss": 0.5} for step in (3, 4)]
    rows = gather(written("pretrain", [*first, *again])).metrics("pretrain")
    assert [(row["step"], row["loss"]) for row in rows] == [(1, 1.0), (2, 1.0), (3, 0.5), (4, 0.5)]


def test_torn_and_foreign_lines_are_passed_over(written: Callable[[str, list[object]], Path]) -> None:
    root = written("sft", [{"step": 1, "loss": 2.0}, '{"step": 2, "lo', "[1]", '{"loss": 3}', {"step": 3, "loss": 1.0}])
    assert [row["step"] for row in gather(root).metrics("sft")] == [1, 3]


def test_samples_of_one_step_stand_together_and_stages_apart(written: Callable[[str, list[object]], Path]) -> None:
    def sample(stage: str, step: int, prompt: str, text: str) -> dict[str, object]:
        return {"stage": stage, "step": step, "prompt": prompt, "text": text}

    lines: list[object] = [
        sample("pretrain", 100, "a", "1"), sample("pretrain", 100, "b", "2"), sample("pretrain", 200, "a", "3"),
        sample("pretrain", 100, "a", "4"), sample("sft", 10, "a", "5"), {"stage": "sft", "step": 20},
    ]  # fmt: skip
    samples = gather(written("samples", lines)).samples
    assert [(row["step"], row["text"]) for row in samples] == [(100, "2"), (100, "4"), (10, "5")]


def test_a_damaged_file_is_named(finished: Path) -> None:
    (finished / "origins.json").write_text("{")
    with pytest.raises(StoreError, match=r"origins\.json"):
        gather(finished).settings


def test_a_run_that_stands_in_the_middle(tmp_path: Path) -> None:
    run = gather(build(tmp_path, "half", ["corpus", "tokenizer"]))
    assert list(run.artifacts) == ["corpus", "tokenizer"]
    assert run.fact("tokenizer", "vocab_size") == 4096
