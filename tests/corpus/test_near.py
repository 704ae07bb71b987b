"""Near copies: bands find pairs as their formula says, candidates are verified, and the result is everyone's."""

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from corpus.made import build, contents, prose, removed
from groundup.corpus import refine
from groundup.corpus.crew import crew
from groundup.corpus.judge import Batch
from groundup.corpus.minhash import RECALL, bands, minima, shape, unlikely
from groundup.corpus.near import Groups, candidates, verified
from groundup.corpus.refine import _batches, _judge
from groundup.corpus.settings import Corpus, Dedup
from groundup.corpus.sources._base import open_specs
from groundup.corpus.spans import prints
from groundup.corpus.split import HeldOut
from groundup.corpus.words import Hashes, mix, words
from groundup.errors import ConfigError
from groundup.events import SILENT

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "dedup"


@pytest.mark.parametrize("near", [0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_find_what_their_formula_says(near: float) -> None:
    n_bands, rows = shape(near)
    assert 1 - (1 - near**rows) ** n_bands >= RECALL and n_bands * rows <= 128
    draw = np.random.default_rng(int(near * 10))

    def both(members: Hashes, salt: str = "") -> Hashes:
        return bands(minima(members, near), near, salt)

    found, tries, size = 0, 200, 900
    shared = round(2 * size * near / (1 + near))
    for _ in range(tries):
        whole = mix(draw.integers(0, 1 << 63, 2 * size, np.uint64))
        left, right = whole[:size], np.concatenate([whole[:shared], whole[size : 2 * size - shared]])
        found += bool(np.intersect1d(both(left), both(right)).size)
    assert found / tries >= RECALL - 0.025
    other = mix(draw.integers(0, 1 << 63, size, np.uint64))
    assert not np.intersect1d(both(left), both(other)).size
    assert not np.intersect1d(both(left), both(left, "books")).size
    assert unlikely(near) <= np.mean(minima(left, near) == minima(left, near))


def test_groups_are_named_by_their_smallest_member() -> None:
    groups = Groups()
    for left, right in [(5, 9), (7, 3), (9, 7), (20, 21)]:
        groups.join(left, right)
    assert dict(groups.members()) == {3: [3, 5, 7, 9], 20: [20, 21]}
    assert groups.find(9) == 3 and groups.find(1) == 1


def test_candidates_of_small_groups_are_all_pairs_and_of_large_ones_linked() -> None:
    daft = pytest.importorskip("daft")
    rows = [(key, band) for band, size in ((1, 3), (2, 2), (3, 100)) for key in range(band * 1000, band * 1000 + size)]
    frame = daft.from_arrow(
        pa.table({"key": [key for key, _ in rows], "bands": pa.array([b for _, b in rows], pa.uint64())})
    )
    pairs = candidates(frame, len(rows))
    assert pairs[:4].tolist() == [[1000, 1001], [1000, 1002], [1001, 1002], [2000, 2001]]
    large = pairs[4:]
    assert len(large) == 99 + 98 and (large[:, 0] < large[:, 1]).all() and set(large.ravel()) == set(range(3000, 3100))


def changed(seed: int, places: int) -> str:
    words = prose(seed).split()
    for place in random.Random(places).sample(range(len(words)), places):
        words[place] = "another"
    return " ".join(words)


def test_of_near_copies_the_first_stays(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.txt").write_text(prose(number), encoding="utf-8")
    (folder / "5a.txt").write_text(changed(5, 4), encoding="utf-8")
    (folder / "5b.txt").write_text(changed(5, 5), encoding="utf-8")
    (folder / "5c.txt").write_text(changed(5, 100), encoding="utf-8")
    (folder / "6a.txt").write_text(prose(6).upper().replace("\n\n", "\n"), encoding="utf-8")
    for workers in (1, 3):
        facts = build(folder, tmp_path / str(workers), held_out=HeldOut(ids=("0.txt",)), workers=workers)
        assert facts["removed"] == {"duplicate": 1, "near_duplicate": 2}
        assert contents(tmp_path / str(workers)) == contents(tmp_path / "1")
    gone = {row["id"]: row for row in removed(tmp_path / "1")}
    assert gone["6a.txt"]["duplicate_of"] == "6.txt"
    assert gone["5a.txt"]["duplicate_of"] == gone["5b.txt"]["duplicate_of"] == "5.txt"
    assert 0.8 <= gone["5b.txt"]["value"] < 1.0 and gone["5b.txt"]["threshold"] == 0.8
    facts = build(folder, tmp_path / "off", held_out=HeldOut(ids=("0.txt",)), dedup=Dedup(near=0))
    assert facts["removed"] == {"duplicate": 1}


def test_sources_can_be_kept_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for number in range(6):
            (tmp_path / name / f"{name}{number}.txt").write_text(
                changed(number, number * (name == "two")), encoding="utf-8"
            )
    for across, expected in ((True, 6), (False, 0)):
        settings = Corpus(filters=(), dedup=Dedup(across=across))
        facts = refine.build(
            [str(tmp_path / "one"), str(tmp_path / "two")], settings=settings, out=tmp_path / str(across), workers=1
        )
        assert sum(facts["removed"].values()) == expected


def test_what_an_earlier_corpus_has_is_removed(tmp_path: Path) -> None:
    for name, seeds in (("old", range(10)), ("new", range(6, 16))):
        (tmp_path / name).mkdir()
        for seed in seeds:
            text = changed(seed, 3) if name == "new" and seed % 2 else prose(seed)
            (tmp_path / name / f"{name}{seed}.txt").write_text(text, encoding="utf-8")
    build(tmp_path / "old", tmp_path / "first")
    facts = build(tmp_path / "new", tmp_path / "second", dedup=Dedup(earlier=(str(tmp_path / "first" / "documents"),)))
    assert facts["removed"] == {"duplicate": 2, "near_duplicate": 2}
    assert facts["documents"] + facts["held_out_documents"] == 6
    assert {row["duplicate_of"] for row in removed(tmp_path / "second")} == {f"old{seed}.txt" for seed in range(6, 10)}


def test_a_bar_that_joins_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"use 0\.5 or more"):
        Corpus.from_tree({"dedup": {"near": 0.2}})


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_recall_and_precision_on_documents_with_known_copies(tmp_path: Path) -> None:
    from groundup.corpus.dedup import near_pairs
    from groundup.corpus.streams import chunks

    daft = pytest.importorskip("daft")
    truth = [json.loads(line) for line in b"".join(chunks(DATA / "neardup_pairs.jsonl.zst")).splitlines()]
    true = {frozenset((row["a"], row["b"])) for row in truth if row["jaccard_word5"] >= 0.8}
    specs = open_specs([str(DATA / "neardup_docs.jsonl.zst")])
    with crew(2, 60) as hands:
        batches = _batches(specs, Batch(0, (), (), Corpus(filters=()), tmp_path))
        _judge(hands, batches, SILENT)
        paths = [batch.path for batch in batches]
        frame = daft.read_parquet([str(path) for path in paths])
        _, edges = near_pairs(frame.where(daft.col("kept")), [], paths, 0.8, hands, every=True)
    names = {
        row["key"]: row["id"] for path in paths for row in parquet.read_table(path, columns=["key", "id"]).to_pylist()
    }
    found = {frozenset((names[edge.left], names[edge.right])) for edge in edges}
    assert len(true & found) / len(true) >= 0.98
    assert len(true & found) / len(found) >= 0.99


def test_only_as_many_pairs_are_verified_as_join_a_group(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text(changed(1, number), encoding="utf-8")
    with crew(1, 60) as hands:
        batches = _batches(open_specs([str(folder)]), Batch(0, (), (), Corpus(filters=()), tmp_path))
        _judge(hands, batches, SILENT)
        keys = np.array([(left, right) for left in range(6) for right in range(left + 1, 6)], np.int64)
        paths = [batch.path for batch in batches]
        assert len(verified(keys, paths, 0.5, hands)) == 5
        assert len(verified(keys, paths, 0.5, hands, every=True)) == 15


def test_passages_that_stand_twice_are_cut_where_they_stand_again(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    notice = " ".join(prose(99, 80).split())
    for number in range(6):
        (folder / f"{number}.txt").write_text(prose(number), encoding="utf-8")
    (folder / "1.txt").write_text(f"{prose(10)}\n{notice}\n{prose(11)}", encoding="utf-8")
    (folder / "2.txt").write_text(f"Here: {notice.upper()}, Zoë! {prose(12)}", encoding="utf-8")
    (folder / "3.txt").write_text(f"{prose(13)} {notice} {prose(14)} {' '.join(notice.split()[:49])}", encoding="utf-8")
    (folder / "4.txt").write_text(f"only {notice}", encoding="utf-8")
    for workers in (1, 3):
        rules = {"held_out": HeldOut(ids=("3.txt",)), "dedup": Dedup(spans=50), "filters": ()}
        facts = build(folder, tmp_path / str(workers), workers=workers, **rules)
        assert contents(tmp_path / str(workers)) == contents(tmp_path / "1")
    kept = {document.id: document.text for document in refine.documents(tmp_path / "1")}
    gone = {row["id"]: row for row in removed(tmp_path / "1")}
    assert facts["removed"] == {"duplicate_span": 3}
    assert sorted(gone) == ["1.txt#cut", "2.txt#cut", "4.txt"]
    assert notice in kept["3.txt"], "what is held out stays as it is"
    assert kept["1.txt"].split() == f"{prose(10)} {prose(11)}".split()
    assert kept["2.txt"] == f"Here: Zoë! {prose(12)}"
    assert gone["1.txt#cut"]["text"].split() == notice.split() and gone["1.txt#cut"]["threshold"] == 50


@pytest.mark.parametrize("n", [3, 10, 50])
def test_a_print_is_the_smallest_run_in_a_window(n: int) -> None:
    text = " ".join(prose(1, 30).split()[:400]) + " same words again" * 30
    grams = words(text).grams(n // 2).tolist()
    width = n - n // 2 + 1
    places = [min(range(at, at + width), key=grams.__getitem__) for at in range(len(grams) - width + 1)]
    assert prints(text, n).tolist() == [grams[place] for place in dict.fromkeys(places)]
    assert not len(prints("too short", n))
