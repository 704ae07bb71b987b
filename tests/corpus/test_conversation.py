"""Conversations in every shape that people keep them in."""

import json
import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.corpus.conversation import Conversation, Message, each_record, parse_conversation
from groundup.corpus.document import Unreadable
from groundup.errors import DataError

HELLO = (Message("user", "Hello"), Message("assistant", "Hi there"))
SHAPES = {
    "openai": {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi there"}]},
    "openai parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
            {"role": "assistant", "content": "Hi there"},
        ]
    },
    "sharegpt": {"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi there"}]},
    "turns": {"turns": [{"role": "user", "text": "Hello"}, {"role": "assistant", "text": "Hi there"}]},
    "alpaca": {"instruction": "Hello", "input": "", "output": "Hi there"},
}
BAD = {
    "tool call": ({"messages": [{"role": "assistant", "content": None, "tool_calls": []}]}, "message 1 has no text"),
    "role": ({"messages": [{"role": "asistant", "content": "x"}]}, "role 'asistant'; did you mean 'assistant'"),
    "image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "message 1 has a part that is not text",
    ),
    "silent": ({"messages": [{"role": "user", "content": "x"}]}, "no message of the assistant"),
    "order": (
        {"messages": [{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]},
        "the first message is of the role 'assistant'",
    ),
    "empty": ({"messages": []}, "no message of the assistant"),
    "other": ({"question": "x"}, r"no messages, conversations or instruction with output; it has the keys \['question"),
    "list": ([1, 2], "not a JSON object but list"),
}


def read_conversations(path: Path) -> Iterator[Conversation | Unreadable]:
    return each_record(path, lambda value: [parse_conversation(value)], "conversation")


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_gives_the_same_conversation(shape: str, tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text(json.dumps(SHAPES[shape]) + "\n", encoding="utf-8")
    assert list(read_conversations(path)) == [HELLO]


def test_alpaca_joins_instruction_and_input(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    record = {"system": "Be brief.", "instruction": "Add.", "input": "1 + 1", "output": "2"}
    path.write_text(json.dumps(record), encoding="utf-8")
    (talk,) = read_conversations(path)
    assert talk == (Message("system", "Be brief."), Message("user", "Add.\n\n1 + 1"), Message("assistant", "2"))


def test_shapes_may_be_mixed_in_a_compressed_file_and_bad_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl.xz"
    lines = [json.dumps(shape) for shape in SHAPES.values()]
    path.write_bytes(lzma.compress("\n".join([lines[0], "{broken", "", *lines[1:]]).encode()))
    found = list(read_conversations(path))
    bad = [each for each in found if isinstance(each, Unreadable)]
    assert [each for each in found if not isinstance(each, Unreadable)] == [HELLO] * len(SHAPES)
    assert [each.id for each in bad] == ["talk.jsonl.xz:2"]
    assert "talk.jsonl.xz: line 2: not JSON: Expecting property name" in bad[0].detail


@pytest.mark.parametrize("kind", BAD)
def test_a_record_that_is_no_conversation_says_why(kind: str, tmp_path: Path) -> None:
    record, reason = BAD[kind]
    path = tmp_path / "talk.jsonl"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DataError, match=rf"talk.jsonl: line 1: .*{reason}.*; no line of the file is a usable"):
        list(read_conversations(path))


def test_of_two_people_the_first_to_speak_is_the_user() -> None:
    turns = [{"agent": "Anna", "text": "Hi?"}, {"agent": "bob", "text": "Hello."}, {"agent": "Anna", "text": "Bye."}]
    assert [message.role for message in parse_conversation({"turns": turns})] == ["user", "assistant", "user"]
    with pytest.raises(DataError, match="message 1 has the role 'Anna'"):
        parse_conversation({"turns": [*turns, {"agent": "Cy", "text": "Three?"}]})
    with pytest.raises(DataError, match="message 1 has the role 'usr'"):
        parse_conversation({"turns": [{"role": "usr", "text": "Hi?"}, {"role": "asistant", "text": "Hello."}]})


def test_empty_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match=r"empty.jsonl: the file is empty"):
        list(read_conversations(tmp_path / "empty.jsonl"))
    with pytest.raises(DataError, match=r"gone.jsonl: there is no such file"):
        list(read_conversations(tmp_path / "gone.jsonl"))


def test_nesting_without_end_is_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text("[" * 200_000 + "\n" + json.dumps(SHAPES["openai"]), encoding="utf-8")
    bad, good = read_conversations(path)
    assert isinstance(bad, Unreadable) and "nested too deep" in bad.detail
    assert good == HELLO
