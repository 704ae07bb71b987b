"""The ledger of what was removed, trials of filters, and the commands for both."""

import json
from pathlib import Path

import pytest
from pyarrow import parquet

from corpus.made import build, prose
from groundup.cli import main
from groundup.corpus.ledger import reasons, removed
from groundup.corpus.trial import split_words, try_filters
from groundup.errors import ConfigError, DataError


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.txt").write_text(prose(number), encoding="utf-8")
        (folder / f"short{number}.txt").write_text(f"Number {number} is too short.", encoding="utf-8")
    (folder / "copy.txt").write_text(prose(3), encoding="utf-8")
    (folder / "mail.txt").write_text(f"{prose(20)} Write to ann@example.org. {prose(21)}", encoding="utf-8")
    return folder


def test_removed_documents_are_found_by_reason_source_and_text(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(texts, out)
    assert reasons(out) == {"duplicate": 1, "too_short": 8}
    assert [row["id"] for row in removed(out, reason="too")] == [f"short{number}.txt" for number in range(8)]
    (copy,) = removed(out, reason="duplicate")
    assert (copy["id"], copy["duplicate_of"]) == ("copy.txt", "3.txt")
    assert [row["id"] for row in removed(out, grep="NUMBER 5")] == ["short5.txt"]
    assert [row["id"] for row in removed(out, grep="short5.t")] == ["short5.txt"]
    assert removed(out, source="elsewhere") == []
    assert len(removed(out, sample=4)) == 4 and removed(out, sample=4) == removed(out, sample=4)
    assert removed(out, sample=4) != removed(out, sample=4, seed=1)
    with pytest.raises(DataError, match="did you mean 'too_short'"):
        removed(out, reason="tooo_short")
    with pytest.raises(DataError, match="no corpus in this folder"):
        removed(texts)


def test_a_trial_says_what_each_filter_would_do(texts: Path) -> None:
    filters, places = split_words(["length=minimum:100", "personal", str(texts)])
    trial = try_filters(filters, places, most=100, n_examples=2)
    assert (trial.documents, trial.whole) == (18, True)
    short, mail = trial.ordered()
    assert (short.filter, short.reason, short.documents, len(short.examples)) == ("length", "too_short", 8, 2)
    assert (mail.filter, mail.reason, mail.documents) == ("personal", "changed", 1)
    assert "ann@example.org" in mail.examples[0]["text"] and "[EMAIL]" in mail.examples[0]["after"]
    assert not try_filters(filters, places, most=5, n_examples=2).whole


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gopher"], "at least one filter and one path"),
        (["texts"], "at least one filter and one path"),
        (["gopher=leest_words:3", "texts"], "did you mean 'least_words'"),
    ],
)
def test_words_that_make_no_trial_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_words(words)


def test_the_commands_build_show_and_try(texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[corpus]\nfilters = ["length", "personal"]\n', encoding="utf-8")
    out = tmp_path / "out"
    words = ["corpus", "build", str(texts), "--out", str(out), "--workers", "1", "--config", str(recipe)]
    assert main([*words, "--json", "corpus.held_out.fraction=0.2", "corpus.dedup.near=0"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["removed"] == {"duplicate": 1, "too_short": 8} and facts["masked"] == 1
    assert facts["removed_bytes"]["too_short"] == 8 * len("Number 1 is too short.")
    rows = [row for path in (out / "documents").iterdir() for row in parquet.read_table(path).to_pylist()]
    mail = next(row for row in rows if row["id"] == "mail.txt")
    assert "[EMAIL]" in mail["text"] and mail["masked"] == 1 and mail["source"] == "texts"
    assert main(words) == 0
    assert "too_short" in capsys.readouterr().out
    assert main(["corpus", "removed", str(out), "--reason", "duplicate"]) == 0
    assert "copy of 3.txt" in capsys.readouterr().out
    assert main(["corpus", "try", "length=minimum:100", str(texts), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcomes"][0]["reason"] == "too_short"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["corpus.filters=defualt"], "did you mean 'default'"),
        (["corpus.dedup.neer=1"], "did you mean 'near'"),
        (['corpus.filters=["quality"]'], "quality.file: name the classifier"),
    ],
)
def test_mistakes_are_named(
    words: list[str], message: str, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["corpus", "build", str(texts), "--out", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err
