"""What the user asked for: paths that mean the same wherever the next command is typed."""

from argparse import Namespace
from pathlib import Path

import pytest

from groundup.cli._order import Order


def read(words: list[str], **flags) -> dict:
    args = Namespace(words=words, name="x", data=None, chat=None, minutes=None, runs=Path("runs"), **flags)
    return Order.read(args).user_tree()["data"]


def test_paths_of_a_recipe_are_relative_to_it_and_those_typed_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "books.toml").write_text(
        '[data]\ntext = ["books=2", "python"]\nranks = "vocab.bpe"\n', encoding="utf-8"
    )
    data = read(["../books.toml", 'data.chat=["talk.jsonl"]'])
    assert [Path(spec).resolve() for spec in (data["text"][0], data["ranks"], data["chat"][0])] == [
        tmp_path / "books=2",
        tmp_path / "vocab.bpe",
        tmp_path / "here" / "talk.jsonl",
    ]
    assert data["text"][1] == "python"


def test_addresses_and_absolute_paths_stay() -> None:
    assert read(['data.text=["/t/a.txt", "python=0.5", "s3://bucket/a"]'])["text"] == [
        "/t/a.txt",
        "python=0.5",
        "s3://bucket/a",
    ]
