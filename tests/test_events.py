"""Numbers and notices: what reaches the files and the screen, and that silence is complete."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from groundup.events import SILENT, Events, Named


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_numbers_go_to_a_file_for_each_stage(tmp_path: Path) -> None:
    events = Events(tmp_path / "metrics")
    events.record("pretrain", 1, loss=2.5, lr=0.1)
    events.record("sft", 1, loss=1.5)
    events.record("pretrain", 2, loss=2.25, lr=0.1)
    events.close()
    assert lines(tmp_path / "metrics" / "pretrain.jsonl") == [
        {"step": 1, "loss": 2.5, "lr": 0.1},
        {"step": 2, "loss": 2.25, "lr": 0.1},
    ]
    assert lines(tmp_path / "metrics" / "sft.jsonl") == [{"step": 1, "loss": 1.5}]


def test_a_later_command_appends_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    first = Events(tmp_path)
    first.record("pretrain", 1, loss=2.5)
    assert lines(tmp_path / "pretrain.jsonl") == [{"step": 1, "loss": 2.5}], "not before `close` is too late"
    first.close()
    second = Events(tmp_path)
    second.record("pretrain", 2, loss=2.0)
    second.close()
    assert [row["step"] for row in lines(tmp_path / "pretrain.jsonl")] == [1, 2]


def test_numbers_go_to_tensorboard_too(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    events = Events(tmp_path)
    events.record("pretrain", 1, loss=2.5)
    events.close()
    written = list((tmp_path / "tensorboard").iterdir())
    assert len(written) == 1
    assert b"pretrain/loss" in written[0].read_bytes()


def test_notices_go_to_the_screen_as_they_are_and_to_a_file(tmp_path: Path) -> None:
    shown = io.StringIO()
    events = Events(tmp_path, Console(file=shown, width=120))
    events.notice("[bold]kept[/bold] as written")
    events.close()
    assert shown.getvalue() == "[bold]kept[/bold] as written\n"
    assert lines(tmp_path / "notices.jsonl")[0]["text"] == "[bold]kept[/bold] as written"


def test_a_screen_that_is_no_terminal_gets_one_line_for_each_task() -> None:
    shown = io.StringIO()
    with Events(screen=Console(file=shown, width=120)).task("tokens", total=2, unit="documents") as bar:
        bar.advance(1, loss=2.5)
        bar.advance(1, loss=1.25)
    assert len(shown.getvalue().splitlines()) == 1
    assert shown.getvalue().startswith("  tokens:")
    assert "loss 1.25" in shown.getvalue()


def test_a_terminal_gets_a_bar_with_rate_and_numbers() -> None:
    shown = io.StringIO()
    screen = Console(file=shown, width=160, force_terminal=True, color_system=None)
    with Events(screen=screen).task("pretrain", unit="steps") as bar:
        bar.total(4)
        bar.advance(4, loss=1.5)
    assert "pretrain" in shown.getvalue()
    assert "100%" in shown.getvalue()
    assert "loss 1.5" in shown.getvalue()


def test_no_folder_and_no_screen_keep_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    events = Events()
    with events.task("a") as bar:
        bar.advance(1, loss=1.0)
    events.record("a", 1, loss=1.0)
    events.notice("a")
    events.close()
    assert list(tmp_path.iterdir()) == []


def test_silence_takes_every_call(capsys: pytest.CaptureFixture[str]) -> None:
    with SILENT.task("a", total=3, unit="b") as bar:
        bar.advance(1, loss=1.0)
        bar.total(4)
    SILENT.notice("a")
    SILENT.record("a", 1, loss=1.0)
    assert capsys.readouterr() == ("", "")


def test_a_caller_names_the_tasks_of_a_room_and_the_rest_passes_through(tmp_path: Path) -> None:
    shown = io.StringIO()
    events = Events(tmp_path, Console(file=shown, width=120))
    named = Named(events, "arithmetic, pass@8")
    with named.task("generating", total=2) as bar:
        bar.advance(1, **{"tok/s": 25_034.7, "loss": 2.34567})
    named.notice("said")
    named.record("sft", 1, loss=1.5)
    named.sample("sft", 1, "a", "b")
    events.close()
    first, second = shown.getvalue().splitlines()
    assert first.startswith("  arithmetic, pass@8: 0.0 s")
    assert first.endswith("tok/s 25,035  loss 2.346")
    assert second == "said"
    assert lines(tmp_path / "sft.jsonl") == [{"step": 1, "loss": 1.5}]
    assert [row["text"] for row in lines(tmp_path / "samples.jsonl")] == ["b"]
