"""Conversations, and the readers of the JSONL shapes in which people keep them."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from groundup.corpus.document import Unreadable
from groundup.corpus.streams import lines, record
from groundup.errors import DataError, nearest

Role = Literal["system", "user", "assistant", "tool"]

T = TypeVar("T")

LINE_BYTES = 16 << 20

TOOLS = "Tools:"
"""What stands before the definitions of tools in a system message."""

# What each format calls the speakers: OpenAI, ShareGPT, Open Assistant.
ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
# Fields that say who speaks: by a role, or by the name of one of two people, who then have these in turn.
SPEAKER, PERSON = ("role", "from"), ("agent", "speaker")
PEOPLE: tuple[Role, Role] = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. The assistant may end its own with the call of a tool: a JSON object as text."""

    role: Role
    content: str
    call: str = ""


Conversation = tuple[Message, ...]


def each_record(path: Path, parse: Callable[[Any], Iterable[T]], kind: str) -> Iterator[T | Unreadable]:
    """What `parse` finds in each record of a JSONL file, plain or compressed; a line without any is `Unreadable`.

    `kind` is the word for one such thing. Raises DataError when the file cannot be opened, and after the last line when
    none was usable, naming the first bad line.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; give a JSONL file of {kind}s")
    usable, first_bad = 0, ""
    for line in lines(path, path.name, LINE_BYTES):
        found: list[T] | Unreadable
        if isinstance(line, Unreadable):
            found = line
        else:
            number, data = line
            if not data.strip():
                continue
            try:
                found = list(parse(record(data)[0]))
            except DataError as error:
                detail = f"{path}: line {number}: {error}"
                found = Unreadable(f"{path.name}:{number}", str(path), "broken_record", detail)
        if isinstance(found, Unreadable):
            first_bad = first_bad or found.detail
            yield found
        else:
            usable += len(found)
            yield from found
    if not usable:
        raise DataError(f"{first_bad or f'{path}: the file is empty'}; no line of the file is a usable {kind}")


def parse_conversation(value: Any) -> Conversation:
    """The conversation in one JSON record of any known shape.

    OpenAI `{"messages": [{"role", "content"}]}`, ShareGPT `{"conversations": [{"from", "value"}]}` (also `turns` and
    `text`), two people's talk (`agent` or `speaker` in place of a role), Alpaca `{"instruction", "input", "output"}`.
    Raises DataError that says what is missing, without the file and line, which the caller knows.
    """
    if not isinstance(value, dict):
        raise DataError(f"not a JSON object but {type(value).__name__}")
    for key in ("messages", "conversations", "conversation", "turns"):
        if isinstance(value.get(key), list):
            tools = value.get("tools")
            return _checked(with_tools(parse_messages(value[key]), tools if isinstance(tools, list) else ()))
    reply = next((value[key] for key in ("output", "response") if isinstance(value.get(key), str)), None)
    if isinstance(value.get("instruction"), str) and reply is not None:
        given = value.get("input") or ""
        system = value.get("system") or ""
        ask = f"{value['instruction']}\n\n{given}" if given else value["instruction"]
        opening = (Message("system", system),) if system else ()
        return _checked((*opening, Message("user", ask), Message("assistant", reply)))
    raise DataError(f"no messages, conversations or instruction with output; it has the keys {sorted(value)}")


def with_tools(talk: Conversation, tools: Sequence[Any]) -> Conversation:
    """The conversation after a system message that says which tools may be called; the talk itself where there is none.

    `tools` are definitions as OpenAI's API has them, or the functions in them alone.
    """
    functions = [tool.get("function", tool) if isinstance(tool, Mapping) else tool for tool in tools]
    if not functions:
        return talk
    lines = [TOOLS, *(json.dumps(function, ensure_ascii=False) for function in functions)]
    system, rest = (talk[:1], talk[1:]) if talk and talk[0].role == "system" else ((), talk)
    return (Message("system", "\n".join([*(message.content for message in system), *lines])), *rest)


def parse_messages(turns: list[Any]) -> Conversation:
    """Messages from a JSON list of them, whatever they call their speakers. Raises DataError.

    Where people talk (two of them, named in `agent` or `speaker`), who speaks first is the user.
    """
    people = list(dict.fromkeys(filter(None, map(_person, turns))))
    roles = {**ROLES, **dict(zip(people, PEOPLE, strict=True))} if len(people) == len(PEOPLE) else ROLES
    return tuple(_message(turn, number, roles) for number, turn in enumerate(turns, 1))


def _person(turn: Any) -> str | None:
    """The name, in small letters, of someone who has no role."""
    if not isinstance(turn, dict) or any(key in turn for key in SPEAKER):
        return None
    name = next((turn[key] for key in PERSON if isinstance(turn.get(key), str)), None)
    return None if name is None or name.lower() in ROLES else name.lower()


def _message(turn: Any, number: int, roles: Mapping[str, Role]) -> Message:
    if not isinstance(turn, dict):
        raise DataError(f"message {number} is not an object with role and content")
    speaker = next((turn[key] for key in (*SPEAKER, *PERSON) if key in turn), None)
    if not isinstance(speaker, str) or speaker.lower() not in roles:
        raise DataError(f"message {number} has the role {speaker!r}; {nearest(str(speaker), ROLES)}")
    role = roles[speaker.lower()]
    content = next((turn[key] for key in ("content", "value", "text") if turn.get(key) is not None), None)
    call = _call(turn["tool_calls"], number) if turn.get("tool_calls") else ""
    if isinstance(content, list):
        content = _joined(content, number)
    if content is None and call:
        content = ""
    if not isinstance(content, str):
        raise DataError(f"message {number} has no text and calls no tool")
    if call and role != "assistant":
        raise DataError(f"message {number} of the role {speaker!r} calls a tool; only the assistant may")
    return Message(role, content, call)


def _call(calls: Any, number: int) -> str:
    """The call of a tool as OpenAI's format has it, as one JSON object: `{"name", "arguments"}`."""
    if not isinstance(calls, list) or len(calls) != 1:
        raise DataError(f"message {number} calls several tools at once; one a message is read")
    function = calls[0].get("function", calls[0]) if isinstance(calls[0], dict) else {}
    name, arguments = function.get("name"), function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            raise DataError(f"message {number}: the arguments of its tool call are not JSON") from None
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise DataError(f"message {number} has a tool call without a name, or whose arguments are no object")
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def _joined(parts: list[Any], number: int) -> str:
    """The text of content that OpenAI's format gives in parts."""
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f"message {number} has a part that is not text; only text is read")
    return "".join(cast(list[str], texts))


def _checked(talk: Conversation) -> Conversation:
    """The conversation, if a model can learn from it."""
    if not any(message.role == "assistant" and (message.content.strip() or message.call) for message in talk):
        raise DataError("no message of the assistant has any text")
    if talk[0].role not in ("system", "user"):
        raise DataError(f"the first message is of the role {talk[0].role!r}; it must be the user or the system")
    return talk
