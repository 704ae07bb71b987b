"""Items of evaluation sets in texts: found by long runs and by most of their shorter ones, and by nothing less."""

import json
from pathlib import Path

import pytest

from corpus.made import build, prose, removed
from groundup.corpus.contamination import Index, by_set
from groundup.corpus.filters.contamination import Contamination
from groundup.corpus.refine import documents
from groundup.corpus.streams import chunks
from groundup.errors import ConfigError, DataError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
QUESTION = (
    "Which of these rivers rises in the high mountains of the south and reaches the sea after crossing four countries"
)


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    rows = [
        {"id": 1, "question": QUESTION, "choices": ["Rhine", "Loire"], "answer": 0},
        {"id": 2, "question": "What is two and two?", "choices": ["four", "five"]},
        {"id": 3, "passage": prose(1, 60)},
    ]
    path = tmp_path / "quiz.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_long_run_or_most_short_ones_are_a_hit(quiz: Path) -> None:
    index = Index([str(quiz)])
    assert index.sizes == {"quiz": 3}
    words = QUESTION.split()
    for text, exact, near in [
        (f"He asked: {QUESTION.upper()}! And then", ("quiz 1",), ()),
        (" ".join(words[:13]), ("quiz 1",), ()),
        (" ".join(words[:12]), (), ()),
        (" ".join([*words[:11], "however", *words[11:]]), (), ("quiz 1",)),
        ("What is two and two? Four or five.", (), ()),
        (f"{prose(1, 60)} {QUESTION}", ("quiz 1", "quiz 3"), ()),
    ]:
        hits = index.hits(text, 0.4)
        assert (hits.exact, hits.near) == (exact, near), text
    assert index.hits(" ".join([*words[:11], "however", *words[11:]]), 0).near == ()


def test_what_holds_an_item_is_removed_and_counted_by_set(quiz: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text(prose(10 + number), encoding="utf-8")
    (folder / "5.txt").write_text(f"{prose(15)} {QUESTION} {prose(16)} {prose(1, 60)}", encoding="utf-8")
    facts = build(folder, tmp_path / "out", filters=(Contamination(sets=(str(quiz),)),))
    (gone,) = removed(tmp_path / "out")
    assert (gone["id"], gone["reason"], gone["value"]) == ("5.txt", "contaminated", 2.0)
    assert gone["detail"] == "quiz 1; quiz 3"
    assert facts["contamination"] == {"quiz": {"items": 3, "before": 2, "after": 0}}
    assert facts["unreadable"] == []


def test_a_passage_alone_is_cut_with_its_margins_and_kept_in_the_ledger(quiz: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text(prose(10 + number), encoding="utf-8")
    before, after = prose(15).strip(), f"Zoë {prose(16).strip()}"
    text = f"{before} {QUESTION}. {after} {prose(1, 60)}"
    (folder / "5.txt").write_text(text, encoding="utf-8")
    (folder / "6.txt").write_text(f"He asked: {QUESTION}?", encoding="utf-8")
    facts = build(folder, tmp_path / "out", filters=(Contamination(sets=(str(quiz),), action="cut"),))
    cut, whole = removed(tmp_path / "out")
    assert (cut["id"], cut["reason"], whole["id"], whole["reason"]) == (
        "5.txt#cut",
        "contaminated",
        "6.txt",
        "contaminated",
    )
    assert cut["detail"] == "quiz 1; quiz 3" and QUESTION in cut["text"] and "Zoë" in cut["text"]
    (left,) = (document.text for document in documents(tmp_path / "out") if document.id == "5.txt")
    assert before[:-250] in left and after[250:-250] in left
    assert sorted(f"{left} {cut['text']}".split()) == sorted(text.split())  # no word is lost, none is broken
    assert not Index([str(quiz)]).hits(left, 0.5).exact
    assert facts["contamination"] == {"quiz": {"items": 3, "before": 2, "after": 0}}
    took = {row["step"]: row["documents"] for row in facts["funnel"]}
    assert (took["read"], took["contamination"], facts["documents"] + facts["held_out_documents"]) == (7, 1, 6)


def test_a_set_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name the evaluation sets"):
        Contamination().check()
    with pytest.raises(DataError, match="there is no such file"):
        Contamination(sets=("none.jsonl",)).check()
    (tmp_path / "bad.jsonl").write_text('{"a": "b"}\n{"a":', encoding="utf-8")
    with pytest.raises(DataError, match=r"bad.jsonl: line 2: not JSON"):
        Contamination(sets=(str(tmp_path / "bad.jsonl"),)).check()


def test_items_are_counted_by_set() -> None:
    assert by_set(["a b 1", "a b 2", "c 1"]) == {"a b": 2, "c": 1}


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_known_overlaps_of_textbooks_are_found() -> None:
    index = Index([str(SHARED / "eval" / name) for name in ("mmlu.jsonl.zst", "boolq.jsonl.zst")])
    lines = b"".join(chunks(SHARED / "pretrain" / "textbooks_openstax.jsonl.zst")).splitlines()
    found = {item for line in lines for item in index.hits(json.loads(line)["text"], 0).exact}
    assert by_set(found) == {"boolq": 4, "mmlu": 47}  # 45 in questions, 2 in choices alone
