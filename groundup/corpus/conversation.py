"""Conversations, and the readers of the JSONL shapes in which people keep them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from groundup.corpus.document import Unreadable
from groundup.corpus.streams import lines, record
from groundup.errors import DataError, nearest

Role = Literal["system", "user", "assistant", "tool"]

T = TypeVar("T")

LINE_BYTES = 16 << 20

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


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


Conversation = tuple[Message, ...]


def read_conversations(path: Path) -> Iterator[Conversation | Unreadable]:
    """The conversations of a JSONL file, plain or compressed; the shape is found out for each record by itself.

    OpenAI `{"messages": [{"role", "content"}]}`, ShareGPT `{"conversations": [{"from", "value"}]}` (also `turns` and
    `text`), Alpaca `{"instruction", "input", "output"}`. A line that holds none comes as `Unreadable`. Raises DataError
    when the file cannot be opened, and after the last line when none was usable, naming the first bad line.
    """
    yield from each_record(path, lambda value: [parse_conversation(value)], "conversation")


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

    Raises DataError that says what is missing, without the file and line, which the caller knows.
    """
    if not isinstance(value, dict):
        raise DataError(f"not a JSON object but {type(value).__name__}")
    for key in ("messages", "conversations", "conversation", "turns"):
        if isinstance(value.get(key), list):
            return _checked(parse_messages(value[key]))
    reply = next((value[key] for key in ("output", "response") if isinstance(value.get(key), str)), None)
    if isinstance(value.get("instruction"), str) and reply is not None:
        given = value.get("input") or ""
        system = value.get("system") or ""
        ask = f"{value['instruction']}\n\n{given}" if given else value["instruction"]
        opening = (Message("system", system),) if system else ()
        return _checked((*opening, Message("user", ask), Message("assistant", reply)))
    raise DataError(f"no messages, conversations or instruction with output; it has the keys {sorted(value)}")


def parse_messages(turns: list[Any]) -> Conversation:
    """Messages from a JSON list of them, whatever they call their speakers. Raises DataError."""
    return tuple(_message(turn, number) for number, turn in enumerate(turns, 1))


def _message(turn: Any, number: int) -> Message:
    if not isinstance(turn, dict):
        raise DataError(f"message {number} is not an object with role and content")
    speaker = next((turn[key] for key in ("role", "from") if key in turn), None)
    if not isinstance(speaker, str) or speaker.lower() not in ROLES:
        raise DataError(f"message {number} has the role {speaker!r}; {nearest(str(speaker), ROLES)}")
    content = next((turn[key] for key in ("content", "value", "text") if turn.get(key) is not None), None)
    if isinstance(content, list):
        content = _joined(content, number)
    if not isinstance(content, str):
        raise DataError(f"message {number} has no text; tool calls are not read")
    return Message(ROLES[speaker.lower()], content)


def _joined(parts: list[Any], number: int) -> str:
    """The text of content that OpenAI's format gives in parts."""
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f"message {number} has a part that is not text; only text is read")
    return "".join(cast(list[str], texts))


def _checked(talk: Conversation) -> Conversation:
    """The conversation, if a model can learn from it."""
    if not any(message.role == "assistant" and message.content.strip() for message in talk):
        raise DataError("no message of the assistant has any text")
    if talk[0].role not in ("system", "user"):
        raise DataError(f"the first message is of the role {talk[0].role!r}; it must be the user or the system")
    return talk
