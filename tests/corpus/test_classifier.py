"""The linear classifier: it learns what can be learnt, keeps it in a file, and says what is no such file."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from groundup.cli import main
from groundup.corpus.classifier import LETTERS, WORDS, Features, auc, folds, load, measured, train
from groundup.corpus.document import Document
from groundup.corpus.filters.quality import Quality
from groundup.corpus.filters.toxicity import Toxicity
from groundup.corpus.streams import chunks
from groundup.errors import ConfigError, DataError

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "pii_toxicity"
GOOD, BAD = (
    ["harbour", "winter", "reason", "because", "chapter", "slowly"],
    ["click", "buy", "cheap", "win", "now", "offer"],
)


def texts(count: int, seed: int) -> tuple[list[str], list[bool]]:
    """Texts of one vocabulary or another, with a few words of each in the other."""
    draw = random.Random(seed)
    labels = [number % 3 > 0 for number in range(count)]
    return [
        " ".join(draw.choices(GOOD if label else BAD, k=12) + draw.choices(GOOD + BAD, k=8)) for label in labels
    ], labels


@pytest.mark.parametrize("features", [WORDS, LETTERS, Features((), (3,), 12)])
def test_it_learns_and_is_the_same_from_a_file(features: Features, tmp_path: Path) -> None:
    learned = train(*texts(90, 1), features)
    unseen, labels = texts(60, 2)
    scores = [learned.score(text) for text in unseen]
    assert auc(scores, labels) > 0.97
    assert np.mean([(score > 0.5) == label for score, label in zip(scores, labels, strict=True)]) > 0.9
    learned.save(tmp_path / "a.safetensors")
    train(*texts(90, 1), features).save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    again = load(str(tmp_path / "a.safetensors"))
    assert again.score("") == pytest.approx(learned.score(""))
    assert [again.score(text) for text in unseen] == pytest.approx(scores, abs=1e-6)


def test_filters_label_and_drop_by_it(tmp_path: Path) -> None:
    train(*texts(90, 1)).save(tmp_path / "c.safetensors")
    good, bad = (Document("d", " ".join(words * 3), "s", "p") for words in (GOOD, BAD))
    quality, toxicity = (kind(file=str(tmp_path / "c.safetensors")) for kind in (Quality, Toxicity))
    kept = quality.judge(good).document
    assert kept is not None and kept.quality is not None and kept.quality > 0.5
    assert quality.judge(bad).reason == "low_quality" and toxicity.judge(good).reason == "toxic"
    assert toxicity.judge(bad).kept


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"quality.file: name the classifier"):
        Quality().check()
    (tmp_path / "x").write_bytes(b"no tensors")
    for path in (tmp_path / "x", tmp_path / "none"):
        with pytest.raises(DataError, match="not a classifier"):
            Toxicity(file=str(path)).check()
    with pytest.raises(DataError, match="texts of both kinds"):
        train(["a", "b"], [True, True])


def test_a_file_with_other_places_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundup.corpus.classifier.VERSION", 1)
    train(["good words", "bad words"], [True, False]).save(tmp_path / "old")
    monkeypatch.undo()
    with pytest.raises(
        DataError, match=r"/old: made by an earlier groundup; make it again with `groundup corpus train`$"
    ):
        load(str(tmp_path / "old"))


def test_folds_cover_everything_once_in_equal_shares() -> None:
    labels = [number < 30 for number in range(90)]
    measured = [test for _, test in folds(labels, 5)]
    assert sorted(np.concatenate(measured).tolist()) == list(range(90))
    assert all(np.array(labels)[test].sum() == 6 and len(test) == 18 for test in measured)
    assert all(not set(learn) & set(test) for learn, test in folds(labels, 5))


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_toxic_comments_are_told_from_others() -> None:
    rows = [json.loads(line) for line in b"".join(chunks(DATA / "surge_toxicity_en.jsonl.zst")).splitlines()]
    comments, labels = [row["text"] for row in rows], np.array([row["is_toxic"] == "Toxic" for row in rows])
    areas = measured(comments, labels.tolist(), LETTERS)
    assert np.mean(areas) >= 0.94


def test_the_command_trains_from_two_folders_or_from_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, labels = texts(60, 3)
    rows = [{"text": text, "kind": "good" if label else "bad"} for text, label in zip(made, labels, strict=True)]
    (tmp_path / "both.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for kind in ("good", "bad"):
        lines = [json.dumps({"text": row["text"]}) + "\n" for row in rows if row["kind"] == kind]
        (tmp_path / f"{kind}.jsonl").write_text("".join(lines), encoding="utf-8")
    command = ["corpus", "train", "--json", "--out"]
    one = ["--labelled", str(tmp_path / "both.jsonl"), "--label", "kind=good"]
    two = ["--yes", str(tmp_path / "good.jsonl"), "--no", str(tmp_path / "bad.jsonl")]
    for name, words in (("one", one), ("two", two)):
        assert main([*command, str(tmp_path / name), *words]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["yes"], facts["no"]) == (40, 20) and min(facts["auc"]) > 0.9
        assert load(str(tmp_path / name)).score(" ".join(GOOD)) > 0.5
    assert main([*command, str(tmp_path / "x"), "--yes", str(tmp_path)]) == 2
    assert "give --yes PATH --no PATH" in capsys.readouterr().err
