"""The examples of an adapted run: their kind is found out, the wrong kind is refused by name, a part is held out."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from groundup.corpus.conversation import Message
from groundup.corpus.preference import Pair, Thumb
from groundup.errors import ConfigError, DataError, UnsupportedError
from groundup.recipe import Recipe
from groundup.stages.examples import Examples, asked, parse_example, read_examples

ASK, REPLY = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}
RECORDS: dict[str, tuple[dict[str, Any], type]] = {
    "messages": ({"messages": [ASK, REPLY]}, tuple),
    "sharegpt": ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}, tuple),
    "alpaca": ({"instruction": "Greet", "input": "", "output": "Hello."}, tuple),
    "pair": ({"prompt": "Hi", "chosen": "Hello.", "rejected": "Go."}, Pair),
    "alpaca pair": ({"instruction": "Greet", "output": "x", "chosen": "Hello.", "rejected": "Go."}, Pair),
    "hh": ({"chosen": "\n\nHuman: Hi\n\nAssistant: Hello.", "rejected": "\n\nHuman: Hi\n\nAssistant: Go."}, Pair),
    "thumb": ({"prompt": "Hi", "completion": "Hello.", "label": True}, Thumb),
    "tree": (
        {"prompt": {"text": "Hi", "role": "prompter", "replies": [
            {"text": "Hello.", "role": "assistant", "rank": 0}, {"text": "Go.", "role": "assistant", "rank": 1}]}},
        Pair,
    ),
}  # fmt: skip


def read(path: Path, method: str, **settings: Any) -> Examples:
    adapt = {"data": [str(path)], "objective": method, **settings}
    return read_examples(Recipe.from_tree({"imported": "x", "adapt": adapt}))


def pairs(path: Path, n: int = 200) -> Path:
    rows = [{"prompt": f"Ask {i}", "chosen": f"Yes {i}, please.", "rejected": f"No {i}."} for i in range(n)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_sets_count_as_often_as_they_are_told_to(tmp_path: Path) -> None:
    names = ("few.jsonl", "many.jsonl")
    for name, n in zip(names, (40, 80), strict=True):
        rows = [{"instruction": f"{name} {i}", "output": "Yes."} for i in range(n)]
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def found(*specs: str, method: str = "likelihood") -> Examples:
        adapt = {"data": [str(tmp_path / spec) for spec in specs], "objective": method}
        return read_examples(Recipe.from_tree({"imported": "x", "adapt": adapt}))

    weighed = found("few.jsonl=2.5", "many.jsonl")
    assert [weight for weight, _ in weighed.formed_sets()] == [2.5, 1.0]
    assert sum(len(talks) for _, talks in weighed.formed_sets()) == len(weighed.train)
    assert all(talk[0].content.startswith("few") for talk in weighed.formed_sets()[0][1])
    assert weighed.train == found(*names).train and not found(*names).formed_sets()
    with pytest.raises(ConfigError, match="counts 0 times"):
        found("few.jsonl=0", "many.jsonl")
    with pytest.raises(ConfigError, match="for sft and distill"):
        pairs(tmp_path / "pairs.jsonl")
        pairs(tmp_path / "others.jsonl", 20)
        found("pairs.jsonl=2", "others.jsonl", method="dpo")


@pytest.mark.parametrize("name", RECORDS)
def test_the_kind_of_a_record_is_found_out(name: str) -> None:
    record, kind = RECORDS[name]
    (example,) = parse_example(record)
    assert isinstance(example, kind)
    assert asked(example)[0].role == "user"


def test_a_method_takes_what_it_can_of_an_example(tmp_path: Path) -> None:
    path = pairs(tmp_path / "pairs.jsonl")
    talk = read(path, "likelihood").formed("train")[0]
    assert [message.role for message in talk] == ["user", "assistant"] and "please" in talk[1].content
    assert isinstance(read(path, "kto").formed("train")[0], Pair)
    assert read(path, "dpo").facts()["found"] == {"pairs": 200}


def test_what_a_method_cannot_learn_from_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    path.write_text(json.dumps(RECORDS["messages"][0]), encoding="utf-8")
    with pytest.raises(UnsupportedError, match=r"talks\.jsonl holds conversations, and dpo learns from pairs"):
        read(path, "dpo")
    with pytest.raises(DataError, match="0 of 1 examples would be held out"):
        read(path, "likelihood", held_out=1e-9)
    path.write_text('{"prompt": "Hi", "completion": "Go.", "label": 0}', encoding="utf-8")
    with pytest.raises(UnsupportedError, match="holds single verdicts, and sft learns from conversations"):
        read(path, "likelihood")


def test_the_first_bad_record_is_named(tmp_path: Path) -> None:
    path = pairs(tmp_path / "pairs.jsonl")
    path.write_text(path.read_text() + '\n{"prompt": "Hi", "chosen": "a"}\n', encoding="utf-8")
    facts = read(path, "dpo").facts()
    assert facts["unreadable"] == 1
    assert "pairs.jsonl: line 201: " in facts["first_unreadable"]


def test_a_tenth_is_held_out_by_what_is_asked_alone(tmp_path: Path) -> None:
    path = pairs(tmp_path / "pairs.jsonl", 600)
    found = read(path, "dpo")
    assert 35 <= len(found.held_out) <= 90
    assert len(found.train) + len(found.held_out) == 600
    lines = path.read_text().splitlines()
    with gzip.open(tmp_path / "again.jsonl.gz", "wt") as file:
        file.write("\n".join(reversed(lines)))
    again = read(tmp_path / "again.jsonl.gz", "dpo")
    assert set(again.held_out) == set(found.held_out), "neither the order nor the file decides"
    other = read_examples(
        Recipe.from_tree({"imported": "x", "seed": 2, "adapt": {"data": [str(path)], "objective": "dpo"}})
    )
    assert set(other.held_out) != set(found.held_out)
    question = (Message("user", "Ask 1"),)
    assert asked(Pair(question, (Message("assistant", "a"),), (Message("assistant", "b"),))) == question
