"""Published benchmarks: prompts letter by letter, the laws that every one keeps, its records from folder and hub."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from groundup.config import Folder
from groundup.errors import ConfigError, DataError
from groundup.eval.interval import wilson
from groundup.eval.published import choose, judge
from groundup.eval.scorer import Said
from groundup.tasks.published._base import Benchmark, MultipleChoice, Texts
from groundup.tasks.published._records import HubRecords, LocalRecords, Place, Record
from groundup.tasks.published._sets import entries
from tasks.benchmarks import PUBLISHED, hub

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
REAL = LocalRecords((SHARED / "eval", SHARED / "pretrain"))
NAMES = Folder("tasks.published").choices()


def made(name: str, **fields: Any) -> Any:
    benchmark = Folder("tasks.published").read({"name": name, **fields})
    assert isinstance(benchmark, Benchmark)
    return benchmark


CHOICES = [name for name in NAMES if isinstance(made(name), MultipleChoice)]


def by_hand(name: str, split: str = "") -> list[Record]:
    """As the hub's reader gives them."""
    return [
        Record("here", {"configuration": place.partition("/")[0], **row})
        for place, rows in PUBLISHED[name].items()
        if place.endswith(split)
        for row in rows
    ]


class ByHand:
    """The records of `PUBLISHED`, with no hub between."""

    def read(self, place: Place, split: str) -> list[Record]:
        return by_hand(place.file, f"/{split}")


class Voice:
    """A scorer that finds the right option likeliest (gold), all alike (even), or any by chance."""

    def __init__(self, kind: str, rights: list[int]) -> None:
        self.kind, self.rights, self.random = kind, rights, Random(7)

    def score(self, groups: Any, progress: Any = None) -> list[list[Said]]:
        return [
            [Said(self.logp(place == right), self.kind == "gold", 1, False) for place in range(len(group))]
            for group, right in zip(groups, self.rights, strict=True)
        ]

    def logp(self, right: bool) -> float:
        return {"gold": -0.001 if right else -1e6, "even": float("-inf")}.get(self.kind, -self.random.random())

    def read(self, texts: Any, progress: Any = None) -> list[float]:
        raise AssertionError("these are questions")


@pytest.mark.parametrize("name", CHOICES)
def test_gold_scores_one_nothing_scores_zero_and_a_guess_scores_chance(name: str) -> None:
    try:
        items = made(name).items(REAL)
    except DataError:
        items = made(name).items(ByHand())  # no real data here
    assert len({item.id for item in items}) == len(items)
    items = items[:: max(1, len(items) // 4000)]
    rights = [item.right for item in items]
    gold, even, guess = (choose(items, "acc", Voice(kind, rights)) for kind in ("gold", "even", "guess"))
    assert gold.score.value == 1.0
    assert even.score.value == 0.0
    sure = wilson(round(guess.score.value * len(items)), len(items), confidence=0.9999)
    assert sure.low <= guess.chance <= sure.high
    assert (guess.chance == 0.0) == (name == "lambada")


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_hub_gives_the_records_as_they_were_put_there(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    benchmark = made(name)
    with hub(benchmark.place.repository, PUBLISHED[name]) as address:
        items = benchmark.items(HubRecords(address, tmp_path))
    assert items == benchmark.items(ByHand())
    assert len(items) >= 10


def test_every_benchmark_has_records_by_hand() -> None:
    assert sorted(PUBLISHED) == NAMES


def test_what_the_hub_does_not_have_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with hub("some/other", {}) as address:
        with pytest.raises(DataError, match="baber/piqa: the hub has no such data set"):
            made("piqa").items(HubRecords(address, tmp_path))


PROMPTS = {
    "arc_easy": ("Question: Which colour has number 0?\nAnswer:", " red", 4),
    "blimp": ("", " The cats see 0.", 2),
    "boolq": ("red is seen.\nQuestion: is red a colour?\nAnswer:", " no", 2),
    "cb": ("He saw red.\nQuestion: it was red. True, False, or Neither?\nAnswer:", " True", 3),
    "copa": ("The wall was red because", "  she painted it red.", 2),
    "multirc": ("The wall is red.\nQuestion: What is the wall?\nAnswer:", " red\nIs the answer correct? yes", 2),
    "record": ("Ann painted 0 walls.\n\n  - Eve saw them.\n  - Uno was there.\n", "   - The painter was Ann", 4),
    "rte": ("He saw red.\nQuestion: It was red. True or False?\nAnswer:", " True", 2),
    "wic": (
        "Sentence 1: The paint is red.\nSentence 2: They paint in red.\n"
        "Question: Is the word 'paint' used in the same way in the two sentences above?\nAnswer:", " no", 2,
    ),
    "wsc": (
        "Passage: Ann gave Eve a red (old) hat, because *she* didn't want it.\n"
        'Question: In the passage above, does the pronoun "*she*" refer to "*Ann*"?\nAnswer:', " no", 2,
    ),
    "commonsenseqa": ("Question: What is red?\nA. red\nB. blue\nC. green\nD. white\nE. black\nAnswer:", " A", 5),
    "hellaswag": ("Painting: A man takes red. The man", " paints. ", 4),
    "lambada": ("He painted the old wall in", " red", 1),
    "mmlu": (
        "The following are multiple choice questions (with answers) about colour 0.\n\n"
        "Which of 0?\nA. red\nB. blue\nC. green\nD. white\nAnswer:", " A", 4,
    ),
    "openbookqa": ("The colour of 0 is", " red", 4),
    "piqa": ("Question: paint it red\nAnswer:", " use a brush", 2),
    "winogrande": ("Ann saw Eve, and Ann", " wore red.", 2),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_prompts_are_those_of_the_harness(name: str) -> None:
    item = made(name).items(ByHand())[0]
    given, said, n = PROMPTS[name]
    assert item.options[0] == (given, said)
    assert len(item.options) == n


def test_any_of_several_right_options_is_right() -> None:
    (item, *_) = made("record").items(ByHand())
    assert (item.right, item.also) == (0, (3,)), "Ann, and ann"
    said = [Said(logp, False, 1, False) for logp in (-3.0, -2.0, -2.5, -1.0)]
    assert judge(item, said).score == 1.0
    assert judge(item, [*said[:3], Said(-2.0, False, 1, False)]).score == 0.0, "a tie with a wrong one"


def test_shots_are_solved_and_never_the_question_itself() -> None:
    items = made("piqa", shots=3).items(ByHand())
    for item in items:
        *before, asked = item.options[0][0].split("\n\n")
        assert len(before) == len(set(before)) == 3
        assert asked not in {example.rpartition(" use a")[0] for example in before}
        assert all(example.endswith((" use a brush", " use a fish")) for example in before)
    assert items == made("piqa", shots=3).items(ByHand())
    with pytest.raises(DataError, match="use fewer"):
        made("piqa", shots=10).items(ByHand())


def test_mmlu_shows_the_first_of_the_subject() -> None:
    item = made("mmlu", shots=2).items(ByHand())[1]
    assert item.options[0][0].count("Which of") == 3
    assert "Which of 1?\nA. red\nB. blue\nC. green\nD. white\nAnswer: B\n\nWhich of 3?" in item.options[0][0]


def test_a_local_folder_is_read_by_name_and_split(tmp_path: Path) -> None:
    rows = PUBLISHED["piqa"]["default/validation"]
    for name, part in (("piqa_train", rows[:3]), ("piqa_valid", rows[3:]), ("piqa_hard", rows)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    records = LocalRecords((tmp_path,))
    place = made("piqa").place
    assert len(records.read(place, "train")) == 3
    assert len(records.read(place, "validation")) == 7
    assert not records.read(place, "test")
    with pytest.raises(DataError, match=r"no arc_easy\*\.jsonl there"):
        made("arc_easy").items(records)
    with pytest.raises(DataError, match="there is no such folder"):
        made("arc_easy").items(LocalRecords((tmp_path / "none",)))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"goal": "x", "sol1": "a", "label": 0}', "did you mean 'sol1'"),
        ('{"goal": "x", "sol1": "a", "sol2": "b", "label": 5}', "answer 5 of 2 options"),
        ('{"goal": "x", "sol1": "a", "sol2": "b", "label": "no"}', "no record of piqa"),
        ('{"goal": "x', "not JSON"),
        ("[1, 2]", "not an object"),
    ],
)
def test_a_broken_record_is_named_by_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    good = '{"goal": "x", "sol1": "a", "sol2": "b", "label": 0}'
    (tmp_path / "piqa.jsonl").write_text(f"{good}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=says) as error:
        made("piqa").items(LocalRecords((tmp_path,)))
    assert "piqa.jsonl:3" in str(error.value)


def test_words_of_tasks_are_sets_and_names() -> None:
    assert [entry.key for entry in entries("piqa, lambada,piqa")] == ["piqa", "lambada"]
    small = entries("small")
    assert {entry.key for entry in small} >= {"blimp", "lambada"} and all(entry.limit for entry in small)
    assert all(entry.limit == 5 for entry in entries("small", limit=5))
    keys = [entry.key for entry in entries("core")]
    assert "hellaswag" in keys and "hellaswag, 10 shots" in keys
    assert {entry.benchmark.name for entry in entries("all")} == set(NAMES) - {"mt_bench"}
    assert [entry.key for entry in entries("wikitext2,piqa", shots=2)] == ["wikitext2", "piqa, 2 shots"]
    with pytest.raises(ConfigError, match="did you mean 'hellaswag'"):
        entries("helaswag")
    with pytest.raises(ConfigError, match="names nothing"):
        entries(" ,")


def test_wikitext_is_cut_into_its_articles() -> None:
    benchmark = made("wikitext2")
    assert isinstance(benchmark, Texts)
    if not SHARED.is_dir():
        pytest.skip("the shared data are not here")
    items = benchmark.items(REAL)
    assert len(items) == 62
    words = sum(len(item.text.split()) for item in items)
    assert sum(item.n_bytes for item in items) == 1_256_449
    assert 200_000 < words < sum(item.n_words for item in items) < 260_000
    assert all(" @-@ " not in item.text for item in items)
