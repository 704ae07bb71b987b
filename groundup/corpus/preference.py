"""What people liked better: pairs of replies and single verdicts, and the readers of the shapes they come in."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, takewhile
from pathlib import Path
from typing import Any

from groundup.corpus.conversation import Conversation, Message, Role, each_record, parse_messages
from groundup.corpus.document import Unreadable
from groundup.errors import DataError

TURN = re.compile(r"\n\n(Human|Assistant):[ ]?")
"""How HH-RLHF marks its turns (arXiv 2204.05862)."""

LIKED: Mapping[str, bool] = {
    **dict.fromkeys(("true", "1", "1.0", "up", "good", "desirable"), True),
    **dict.fromkeys(("false", "0", "0.0", "-1", "-1.0", "down", "bad", "undesirable"), False),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two ways to go on after the same messages, of which the first was preferred. Each begins with the assistant."""

    prompt: Conversation
    chosen: Conversation
    rejected: Conversation
    margin: float = 0.0
    """By how much, in log-odds; 0.0 where nobody said."""


@dataclass(frozen=True, slots=True)
class Thumb:
    """A reply by itself, liked or not."""

    prompt: Conversation
    reply: Conversation
    liked: bool


Preference = Pair | Thumb


def read_preferences(path: Path) -> Iterator[Preference | Unreadable]:
    """The preferences of a JSONL file, plain or compressed; the shape is found out for each record by itself.

    Pairs: `chosen` and `rejected`, each a text or messages, with a `prompt` (text or messages) or an `instruction` and
    `input`, or, as in HH-RLHF, with all turns in both texts. Thumbs: a `completion` (or `messages`) and a `label`.
    OpenAssistant trees: each two replies to one message whose `rank` differs. A line that holds none comes as
    `Unreadable`. Raises DataError when the file cannot be opened or no line is usable, naming the first bad line.
    """
    yield from each_record(path, parse_preferences, "preference")


def parse_preferences(value: Any) -> list[Preference]:
    """The preferences in one JSON record of any known shape.

    Raises DataError that says what is missing, without the file and line, which the caller knows.
    """
    if not isinstance(value, dict):
        raise DataError(f"not a JSON object but {type(value).__name__}")
    if isinstance(value.get("prompt"), dict) and "replies" in value["prompt"]:
        return list(_tree(value["prompt"]))
    if "chosen" in value and "rejected" in value:
        prompt = _prompt(value)
        good, bad = (_talk(value[side], prompt, side) for side in ("chosen", "rejected"))
        return [_pair(good, bad, value.get("margin", 0.0))]
    for key in ("label", "thumb", "liked"):
        if key in value:
            return [_thumb(value, key)]
    raise DataError(f"no chosen and rejected, no label, no tree of replies; it has the keys {sorted(value)}")


def _prompt(value: Mapping[str, Any]) -> Conversation:
    """What is asked, if a record says it apart from the replies."""
    prompt = value.get("prompt")
    if isinstance(prompt, list):
        return parse_messages(prompt)
    if isinstance(prompt, str):
        turns = _turns(prompt)
        opened = bool(turns) and turns[-1] == Message("assistant", "")  # "\n\nAssistant:", where the reply goes on
        return turns[: len(turns) - opened] or (Message("user", prompt),)
    if isinstance(value.get("instruction"), str):
        given = value.get("input")
        return (Message("user", f"{value['instruction']}\n\n{given}" if given else value["instruction"]),)
    return ()


def _talk(side: Any, prompt: Conversation, name: str) -> Conversation:
    """The whole conversation that one side of a record stands for. Raises DataError."""
    if isinstance(side, dict):
        side = [side]
    if isinstance(side, list):
        messages = parse_messages(side)
        return messages if messages and messages[0].role != "assistant" else (*prompt, *messages)
    if not isinstance(side, str):
        raise DataError(f"{name} is neither a text nor messages but {type(side).__name__}")
    turns = _turns(side)
    if turns:
        return turns
    if not prompt:
        raise DataError(f"{name} is a text without turns, and there is no prompt that it answers")
    return (*prompt, Message("assistant", side))


def _turns(text: str) -> Conversation:
    """The turns of a text in HH-RLHF's form; none where it does not begin with one."""
    head, *rest = TURN.split(text if text.startswith("\n\n") else f"\n\n{text}")
    if head or not rest:
        return ()
    speakers: list[Role] = ["user" if name == "Human" else "assistant" for name in rest[::2]]
    return tuple(Message(role, words.strip()) for role, words in zip(speakers, rest[1::2], strict=True))


def _pair(good: Conversation, bad: Conversation, margin: Any) -> Pair:
    """Two conversations as what they share and what they do not. Raises DataError."""
    shared = len(list(takewhile(lambda both: both[0] == both[1], zip(good, bad, strict=False))))
    chosen, rejected = _reply(good[shared:], "chosen"), _reply(bad[shared:], "rejected")
    if not isinstance(margin, int | float) or isinstance(margin, bool) or not abs(margin) < float("inf"):
        raise DataError(f"margin is {margin!r}; it must be a number")
    return Pair(_asked(good[:shared]), chosen, rejected, float(margin))


def _thumb(value: Mapping[str, Any], key: str) -> Thumb:
    label = str(value[key]).lower()
    if label not in LIKED:
        raise DataError(f"{key} is {value[key]!r}; it must be true or false, 1 or 0, up or down")
    said = next((value[name] for name in ("completion", "reply", "response", "messages") if name in value), None)
    talk = _talk(said, _prompt(value), "completion")
    if not talk or talk[-1].role != "assistant":
        raise DataError("the last message is not of the assistant, so there is no reply to judge")
    return Thumb(_asked(talk[:-1]), _reply(talk[-1:], "completion"), LIKED[label])


def _tree(node: Mapping[str, Any], before: Conversation = ()) -> Iterator[Pair]:
    """The pairs below a message of an OpenAssistant tree. Raises DataError."""
    here = (*before, *parse_messages([node]))
    replies = node.get("replies") or []
    if not isinstance(replies, list) or not all(isinstance(reply, dict) for reply in replies):
        raise DataError("replies of a message are not a list of messages")
    ranked: Iterable[Any] = [reply for reply in replies if isinstance(reply.get("rank"), int)]
    for one, other in combinations(sorted(ranked, key=lambda reply: reply["rank"]), 2):
        texts = one.get("text"), other.get("text")
        if here[-1].role == "user" and one["rank"] != other["rank"] and texts[0] != texts[1]:
            yield _pair((*here, *parse_messages([one])), (*here, *parse_messages([other])), 0.0)
    for reply in replies:
        yield from _tree(reply, here)


def _asked(prompt: Conversation) -> Conversation:
    if not prompt or prompt[0].role not in ("system", "user"):
        raise DataError("nothing is asked before the reply; the first message must be of the user or the system")
    return prompt


def _reply(messages: Conversation, name: str) -> Conversation:
    if not messages:
        raise DataError("chosen and rejected are the same; a preference needs a difference")
    if messages[0].role != "assistant":
        raise DataError(f"{name} differs from the other first in a message of the {messages[0].role}, not in a reply")
    if not any(message.role == "assistant" and message.content.strip() for message in messages):
        raise DataError(f"{name} has no text")
    return messages
