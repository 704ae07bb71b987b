"""Preferences in every shape people keep them in; what cannot be used is named by its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from groundup.corpus.conversation import Message
from groundup.corpus.document import Unreadable
from groundup.corpus.preference import Pair, Thumb, parse_preferences, read_preferences
from groundup.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"
ASK, GOOD, BAD = Message("user", "Why?"), Message("assistant", "Because."), Message("assistant", "Go away.")
PAIR = Pair((ASK,), (GOOD,), (BAD,))
AS_MESSAGES = {
    "ask": {"role": "user", "content": "Why?"},
    "good": {"role": "assistant", "content": "Because."},
    "bad": {"role": "assistant", "content": "Go away."},
}


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Why?", "chosen": "Because.", "rejected": "Go away."},
        {"instruction": "Why?", "input": "", "output": "x", "chosen": "Because.", "rejected": "Go away."},
        {"chosen": "\n\nHuman: Why?\n\nAssistant: Because.", "rejected": "\n\nHuman: Why?\n\nAssistant: Go away."},
        {"prompt": "\n\nHuman: Why?\n\nAssistant:", "chosen": "Because.", "rejected": "Go away."},
        {"prompt": [AS_MESSAGES["ask"]], "chosen": [AS_MESSAGES["good"]], "rejected": AS_MESSAGES["bad"]},
        {"chosen": [AS_MESSAGES["ask"], AS_MESSAGES["good"]], "rejected": [AS_MESSAGES["ask"], AS_MESSAGES["bad"]]},
        {"prompt": "Why?", "chosen": [AS_MESSAGES["ask"], AS_MESSAGES["good"]], "rejected": [AS_MESSAGES["bad"]]},
    ],
)
def test_a_pair_in_any_shape(record: dict[str, Any]) -> None:
    assert parse_preferences(record) == [PAIR]


def test_what_both_sides_share_is_the_prompt() -> None:
    before = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Why?\n\nAssistant: "
    (pair,) = parse_preferences({"chosen": before + "Because.", "rejected": before + "Go away.", "margin": 0.5})
    assert [message.content for message in pair.prompt] == ["Hi", "Hello", "Why?"]
    assert (pair.chosen, pair.rejected, pair.margin) == ((GOOD,), (BAD,), 0.5)


@pytest.mark.parametrize(("label", "liked"), [(True, True), ("down", False), (1, True), (-1, False)])
def test_a_thumb(label: Any, liked: bool) -> None:
    expected = [Thumb((ASK,), (GOOD,), liked)]
    assert parse_preferences({"prompt": "Why?", "completion": "Because.", "label": label}) == expected
    talk = [AS_MESSAGES["ask"], AS_MESSAGES["good"]]
    assert parse_preferences({"messages": talk, "thumb": label}) == expected


def test_a_tree_gives_each_two_siblings_of_different_rank() -> None:
    def node(role: str, text: str, rank: int | None, *replies: Any) -> dict[str, Any]:
        return {"text": text, "role": role, "rank": rank, "replies": list(replies)}

    later = node("prompter", "And?", None, node("assistant", "c", 1), node("assistant", "d", 0))
    replies = node("assistant", "b", 1, later), node("assistant", "a", 0), node("assistant", "z", 2)
    tree = node("prompter", "Why?", None, *replies)
    pairs = parse_preferences({"message_tree_id": "1", "prompt": tree})
    sides = [(pair.chosen[0].content, pair.rejected[0].content) for pair in pairs]
    assert sides == [("a", "b"), ("a", "z"), ("b", "z"), ("d", "c")]
    assert [message.content for message in pairs[-1].prompt] == ["Why?", "b", "And?"]


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ([], "not a JSON object"),
        ({"text": "x"}, "no chosen and rejected"),
        ({"chosen": "a", "rejected": "b"}, "no prompt"),
        ({"prompt": "p", "chosen": "a", "rejected": "a"}, "the same"),
        ({"prompt": "p", "chosen": "a", "rejected": " "}, "rejected has no text"),
        ({"prompt": "p", "chosen": 3, "rejected": "b"}, "chosen is neither"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "margin": "much"}, "margin is 'much'"),
        ({"prompt": "p", "completion": "a", "label": "perhaps"}, "label is 'perhaps'"),
        ({"messages": [AS_MESSAGES["ask"]], "label": True}, "not of the assistant"),
        ({"chosen": "\n\nAssistant: a", "rejected": "\n\nAssistant: b"}, "nothing is asked"),
        ({"chosen": "\n\nHuman: a", "rejected": "\n\nHuman: b"}, "message of the user"),
        ({"prompt": {"role": "prompter", "text": "p", "replies": "x"}}, "not a list of messages"),
    ],
)
def test_what_is_missing_is_said(record: Any, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        parse_preferences(record)


def test_the_first_bad_record_is_named_by_its_line(tmp_path: Path) -> None:
    good = json.dumps({"prompt": "Why?", "chosen": "Because.", "rejected": "Go away."})
    file = tmp_path / "pairs.jsonl"
    file.write_text(f"{good}\n\n{{}}\n{good}\nnonsense\n", encoding="utf-8")
    found = list(read_preferences(file))
    assert [type(item) for item in found] == [Pair, Unreadable, Pair, Unreadable]
    assert "line 3" in found[1].detail
    file.write_text('{"text": "x"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"pairs\.jsonl: line 1: .*no line of the file is a usable preference"):
        list(read_preferences(file))


@pytest.mark.parametrize(
    ("name", "usable", "unusable"),
    [
        ("preference/rasbt_instruction_preference", 1094, 6),
        ("preference/hh_rlhf_base_test", 4600, 66),
        ("sft/oasst_en_100_trees", 500, 0),
    ],
)
def test_published_files_are_read(name: str, usable: int, unusable: int) -> None:
    file = SHARED / f"{name}.jsonl.zst"
    if not file.exists():
        pytest.skip("needs the shared data")
    found = list(read_preferences(file))
    bad = [item for item in found if isinstance(item, Unreadable)]
    assert len(found) - len(bad) >= usable and len(bad) <= unusable
