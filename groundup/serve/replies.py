"""Replies in OpenAI's shapes, whole and in pieces."""

import base64
import json
import secrets
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from groundup.infer.engine import Event

Finish = Literal["stop", "length", "tool_calls"]
LEAST_LOGP = -9999.0  # what OpenAI writes for a token that cannot come: JSON has no infinity


@dataclass(frozen=True)
class Called:
    """A call of a tool that the client runs; the arguments are JSON."""

    id: str
    name: str
    arguments: str

    def shape(self) -> dict[str, Any]:
        """In OpenAI's shape."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True)
class Ran:
    """A call that the server answered itself, as the model wrote it."""

    call: str
    answer: str


@dataclass(frozen=True)
class Piece:
    """What one token added to one choice: `text` may be empty, and may hold back for a stop string or a character.

    A token of a tool's call is not `spoken`: it is no part of the text.
    """

    choice: int
    text: str
    event: Event | None
    finish: Finish | None
    spoken: bool = True
    call: Called | None = None
    ran: Ran | None = None


@dataclass
class Choice:
    """One reply, gathered from its pieces."""

    text: str = ""
    events: list[Event] = field(default_factory=list)
    finish: Finish | None = None
    call: Called | None = None
    ran: list[Ran] = field(default_factory=list)

    def add(self, piece: Piece) -> None:
        """Append a piece."""
        self.text += piece.text
        if piece.event is not None and piece.spoken:
            self.events.append(piece.event)
        self.finish = piece.finish or self.finish
        self.call = piece.call or self.call
        self.ran += [piece.ran] if piece.ran else []


@dataclass(frozen=True)
class Head:
    """What all parts of one reply say of it."""

    kind: str
    model: str
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    def fields(self, **more: Any) -> dict[str, Any]:
        """The fields, and some more."""
        prefix = "chatcmpl" if self.kind.startswith("chat") else "cmpl"
        head = {"id": f"{prefix}-{self.id}", "object": self.kind, "created": self.created, "model": self.model}
        return {**head, **more}


class ChatShape:
    """`/v1/chat/completions`."""

    def __init__(self, model: str, table: Sequence[bytes], special: frozenset[int], logprobs: bool) -> None:
        self._whole = Head("chat.completion", model)
        self._chunks = Head("chat.completion.chunk", model, self._whole.id, self._whole.created)
        self._table, self._special, self._logprobs = table, special, logprobs

    def whole(self, choices: Sequence[Choice], usage: Mapping[str, Any]) -> dict[str, Any]:
        """The reply in one body."""
        shaped = [
            {
                "index": index,
                "message": {"role": "assistant", **self._said(choice), "refusal": None},
                "logprobs": self._content(choice.events),
                "finish_reason": choice.finish,
            }
            for index, choice in enumerate(choices)
        ]
        return self._whole.fields(choices=shaped, usage=usage)

    def opening(self, n: int) -> list[dict[str, Any]]:
        """The first chunk of each choice: who speaks."""
        return [self._chunk(index, {"role": "assistant", "content": ""}, None, None) for index in range(n)]

    def chunk(self, piece: Piece) -> dict[str, Any]:
        """One piece."""
        delta: dict[str, Any] = {"content": piece.text} if piece.text or piece.finish is None else {}
        if piece.call is not None:
            delta["tool_calls"] = [{"index": 0, **piece.call.shape()}]
        if piece.ran is not None:
            delta["tool_runs"] = [asdict(piece.ran)]
        events = [piece.event] if piece.event and piece.spoken else []
        return self._chunk(piece.choice, delta, self._content(events), piece.finish)

    def closing(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The last chunk, where usage is asked for."""
        return self._chunks.fields(choices=[], usage=usage)

    def _chunk(self, index: int, delta: Mapping[str, Any], logprobs: Any, finish: Finish | None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._chunks.fields(choices=[choice])

    def _said(self, choice: Choice) -> dict[str, Any]:
        """The text, the call that the client is to answer, and those that were answered here."""
        said: dict[str, Any] = {"content": choice.text}
        if choice.call is not None:
            said = {"content": choice.text or None, "tool_calls": [choice.call.shape()]}
        if choice.ran:
            said["tool_runs"] = [asdict(ran) for ran in choice.ran]
        return said

    def _content(self, events: Sequence[Event]) -> dict[str, Any] | None:
        if not self._logprobs:
            return None
        said = [event for event in events if event.token not in self._special]
        return {
            "content": [
                {**self._one(event.token, event.logp), "top_logprobs": [self._one(*pair) for pair in event.top]}
                for event in said
            ],
            "refusal": None,
        }

    def _one(self, token: int, logp: float) -> dict[str, Any]:
        data = self._table[token]
        return {"token": _shown(data), "logprob": max(logp, LEAST_LOGP), "bytes": list(data)}


class CompletionShape:
    """`/v1/completions`. `echoes` are the prompts of the choices, where they are to be repeated."""

    def __init__(
        self, model: str, table: Sequence[bytes], special: frozenset[int], logprobs: bool, echoes: Sequence[str]
    ) -> None:
        self._head = Head("text_completion", model)
        self._table, self._special, self._logprobs, self._echoes = table, special, logprobs, echoes
        self._offsets = [0] * len(echoes)

    def whole(self, choices: Sequence[Choice], usage: Mapping[str, Any]) -> dict[str, Any]:
        """The reply in one body."""
        shaped = [
            self._choice(index, self._echoes[index] + choice.text, choice.events, choice.finish)
            for index, choice in enumerate(choices)
        ]
        return self._head.fields(choices=shaped, usage=usage)

    def opening(self, n: int) -> list[dict[str, Any]]:
        """The prompts, where they are to be repeated."""
        echoes = list(enumerate(self._echoes))
        return [self._head.fields(choices=[self._choice(index, echo, (), None)]) for index, echo in echoes if echo]

    def chunk(self, piece: Piece) -> dict[str, Any]:
        """One piece."""
        events = [piece.event] if piece.event else []
        return self._head.fields(choices=[self._choice(piece.choice, piece.text, events, piece.finish)])

    def closing(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The last chunk, where usage is asked for."""
        return self._head.fields(choices=[], usage=usage)

    def _choice(self, index: int, text: str, events: Sequence[Event], finish: Finish | None) -> dict[str, Any]:
        logprobs = self._logs(index, events) if self._logprobs else None
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}

    def _logs(self, index: int, events: Sequence[Event]) -> dict[str, Any]:
        logs: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for event in events:
            if event.token in self._special:
                continue
            shown = _shown(self._table[event.token])
            logs["tokens"].append(shown)
            logs["token_logprobs"].append(max(event.logp, LEAST_LOGP))
            top = {_shown(self._table[token]): max(logp, LEAST_LOGP) for token, logp in reversed(event.top)}
            logs["top_logprobs"].append(top)
            logs["text_offset"].append(self._offsets[index])
            self._offsets[index] += len(shown)
        return logs


def usage(prompt_tokens: int, reply_tokens: int) -> dict[str, int]:
    """What a request cost; `n` choices of one prompt count it once, as OpenAI does."""
    total = prompt_tokens + reply_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": reply_tokens, "total_tokens": total}


def embedding(vector: Sequence[float], index: int, form: str) -> dict[str, Any]:
    """One embedding: numbers, or base64 of little-endian float32."""
    shown = list(vector) if form == "float" else base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return {"object": "embedding", "index": index, "embedding": shown}


def as_json(value: Any) -> bytes:
    """JSON in UTF-8. A lone surrogate, which JSON can smuggle into a str, becomes `?`."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def as_event(value: Any) -> bytes:
    """A server-sent event."""
    return b"data: " + as_json(value) + b"\n\n"


def _shown(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
