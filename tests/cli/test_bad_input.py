"""What a person can get wrong: each is told in a sentence, exits with 2 and leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from spine import Said, write_text

Say = Callable[..., Said]


def refused(said: Said, *parts: str) -> None:
    assert said.status == 2, said
    assert said.out == ""
    assert said.err.startswith("groundup: ")
    assert "Traceback" not in said.err
    for part in parts:
        assert part in said.err, said.err


@pytest.mark.parametrize(
    "words", [("run", "--name", "../x"), ("rm", "../x", "--yes"), ("chat", "../x"), ("show", "..")]
)
def test_a_name_that_leaves_the_folder(say: Say, words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    refused(say(*words, "--runs", "runs"), "run name '..", "use up to 64 letters")
    assert (tmp_path / "x").is_dir()


def test_an_unknown_command_and_an_unknown_flag(say: Say) -> None:
    refused(say("rnu"), "there is no command 'rnu'", "did you mean 'run'?")
    refused(
        say("run", "--minuts", "3"), "there is no flag --minuts", "did you mean '--minutes'?", "groundup run --help"
    )
    refused(say("list", "mine"), "unrecognized arguments: mine")


@pytest.mark.parametrize(
    ("pair", "parts"),
    [
        ("train.stepz=3", ("train.stepz: there is no such setting", "did you mean 'steps'?")),
        ("model=quen3", ("did you mean 'qwen3'?",)),
        ("train.optim.lrr=3", ("train.optim.lrr", "did you mean 'lr'?")),
        ("train.rows=0", ("train.rows", "greater than 0", "it is 0")),
        ("train.rows=few", ("train.rows", "integer", "'few'")),
    ],
)
def test_a_setting_that_is_none(say: Say, pair: str, parts: tuple[str, ...], tmp_path: Path) -> None:
    refused(say("run", "--name", "mine", "--data", write_text(tmp_path / "text"), pair), *parts)
    assert not (tmp_path / "runs" / "mine").exists()


def test_a_misspelt_field_of_a_recipe_file_and_a_file_that_is_none(say: Say, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[train]\nstepz = 3\n", encoding="utf-8")
    refused(say("run", "a.toml"), "train.stepz: there is no such setting; did you mean 'steps'?")
    (tmp_path / "b.toml").write_text("[train\n", encoding="utf-8")
    refused(say("plan", "b.toml"), "b.toml: not a TOML file", "line 1")
    refused(say("plan", "c.toml"), "c.toml: there is no such recipe file")
    refused(say("plan", "mine", "other"), "'other': the run is already named 'mine'", "SECTION.FIELD=VALUE")


def test_data_that_holds_no_text(say: Say, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(say("run", "--data", "empty"), "empty: the folder holds no files", "put text")
    refused(say("run", "--data", "nowhere"), "nowhere: there is no such file or folder")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 40)
    refused(say("run", "--data", "binary.txt"), "binary.txt: no file here can be read", "a binary file")
    assert not any((tmp_path / "runs").glob("*"))


def test_too_little_text_names_how_much_works(say: Say, tmp_path: Path) -> None:
    small = write_text(tmp_path / "small", documents=6)
    refused(say("run", "--data", small), "bytes of text are too few", "give at least 50,000")
    refused(say("plan", "--data", small, "--minutes", "-3"), "minutes", "greater than 0")


@pytest.mark.slow
def test_too_few_minutes_name_how_many_work(say: Say, tmp_path: Path) -> None:
    enough = write_text(tmp_path / "enough")
    words = ("plan", "--data", enough, "--minutes", "0.2")
    refused(say(*words), "0.2 minutes are too few for this text on this machine", "give --minutes ")


def test_a_run_that_is_not_there(say: Say) -> None:
    refused(say("chat", "mine"), "there is no run 'mine'")
    refused(say("show", "mine"), "there is no run 'mine'")
    refused(say("eval", "mine"), "there is no run 'mine'")
    refused(say("eval", "mine", "train.rows=3"), "'train.rows=3': eval takes eval.FIELD=VALUE only")


def test_a_file_of_talks_without_one_is_told_before_anything_is_made(say: Say, tmp_path: Path) -> None:
    write_text(tmp_path / "texts")
    (tmp_path / "talks.jsonl").write_text('{"question": "x"}\n', encoding="utf-8")
    words = ("run", "--data", "texts", "--chat", "talks.jsonl", "--name", "mine")
    refused(say(*words), "talks.jsonl: line 1: no messages, conversations or instruction", "no line of the file")
    refused(say("run", "--data", "texts", "--chat", "gone.jsonl"), "gone.jsonl: there is no such file")
    assert not (tmp_path / "runs" / "mine").exists()
