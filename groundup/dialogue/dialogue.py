"""A conversation in, a reply out. Chat, evaluation, roll-outs and the server all come through here."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any

import torch

from groundup.corpus.conversation import Conversation, Message
from groundup.errors import DataError
from groundup.events import SILENT, Reporter
from groundup.infer.engine import Engine
from groundup.infer.schedule import Request
from groundup.infer.text import Detokenizer
from groundup.tokenizer.chat import Chat, Ending

SCORED_ROWS = 32
"""Conversations that are scored in one pass."""


@dataclass(frozen=True)
class Reply:
    """What the model said, and the ids it was said in: `prompt`, then `ids` with the log-probability of each.

    `ids` end with the end-of-turn token when the model stopped by itself.
    """

    message: Message
    ending: Ending
    prompt: list[int]
    ids: list[int]
    logps: list[float]


class Dialogue:
    """An engine that speaks the chat template."""

    def __init__(self, engine: Engine, chat: Chat) -> None:
        self.engine = engine
        self.chat = chat

    def reply(
        self,
        conversations: Sequence[Conversation],
        *,
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int = 0,
        tools: bool = False,
        progress: Reporter = SILENT,
    ) -> list[Reply]:
        """The next message of each conversation, all of them in one batch that the engine keeps full.

        With `tools` a message may end with the call of one. The same seed and the same list give the same replies;
        equal conversations in a list get different samples. Raises DataError when a conversation does not fit in the
        context.
        """
        options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
        requests = [
            self.request(conversation, max_tokens=max_tokens, seed=seed_of(seed, index), tools=tools, **options)
            for index, conversation in enumerate(conversations)
        ]
        replies = []
        for request, done in zip(requests, self.engine.complete(requests, progress=progress), strict=True):
            message, ending = self.chat.parse(done.ids)
            replies.append(Reply(message, ending, list(request.prompt), done.ids, done.logps))
        return replies

    def stream(
        self,
        conversation: Conversation,
        *,
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int = 0,
    ) -> Generator[str, None, None]:
        """The next message in pieces, as they come: together the text that `reply` gives for the same arguments.

        A character whose bytes are spread over tokens comes whole, with the last of them. Closing the iterator
        cancels the request. Raises DataError when the conversation does not fit in the context.
        """
        options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
        request = self.request(conversation, max_tokens=max_tokens, seed=seed_of(seed, 0), **options)
        text = Detokenizer(self.chat.tokenizer.token_bytes)
        with closing(self.engine.stream(request)) as events:
            for event in events:
                if piece := text.add(event.token):
                    yield piece
        if rest := text.close():
            yield rest

    def request(
        self, conversation: Conversation, *, max_tokens: int, seed: int = 0, tools: bool = False, **options: Any
    ) -> Request:
        """What the engine is asked for the next message of a conversation; `options` are other fields of `Request`.

        With `tools` the message may end with the call of one. Raises DataError when the conversation does not fit in
        the context, ConfigError for an option out of range.
        """
        prompt = self.chat.prompt(conversation)
        self._check(len(prompt))
        most = min(max_tokens, self.engine.length - len(prompt))
        stop = self.chat.stop_ids_with_tools if tools else self.chat.stop_ids
        return Request(prompt=prompt, max_tokens=most, stop=stop, seed=seed, **options)

    def choose(self, questions: Sequence[Sequence[Conversation]]) -> list[int]:
        """The option of each question whose last message the model finds likeliest; all its options end alike.

        Raises DataError when an option does not fit in the context.
        """
        logps = iter(self.logps([option for options in questions for option in options]))
        scores = [[next(logps) for _ in options] for options in questions]
        return [max(range(len(row)), key=row.__getitem__) for row in scores]

    def logps(self, conversations: Sequence[Conversation]) -> list[float]:
        """The log-probability of the last message of each conversation, with its end of turn, in nats.

        Raises DataError when a conversation does not fit in the context.
        """
        found: list[float] = []
        for start in range(0, len(conversations), SCORED_ROWS):
            found += self._logps(conversations[start : start + SCORED_ROWS])
        return found

    def room(self, conversation: Conversation) -> int:
        """Tokens of the context that a conversation leaves for the reply; none or fewer when it does not fit."""
        return self.engine.length - len(self.chat.prompt(conversation))

    def fit(self, conversation: Conversation, room: int) -> Conversation:
        """The conversation without its oldest turns, as many as must go to leave `room` tokens for the reply.

        A system message stays. Raises DataError when the last message alone leaves no room at all.
        """
        system = conversation[:1] if conversation and conversation[0].role == "system" else ()
        turns = conversation[len(system) :]
        starts = [index for index, message in enumerate(turns) if message.role == "user"]
        for start in starts:
            shorter = (*system, *turns[start:])
            if self.room(shorter) >= room:
                return shorter
        last = (*system, *turns[starts[-1] if starts else 0 :])
        self._check(len(self.chat.prompt(last)))
        return last

    @torch.inference_mode()
    def _logps(self, conversations: Sequence[Conversation]) -> list[float]:
        rendered = [ids for ids, _ in self.chat.render_batch(conversations)]
        starts = [len(self.chat.prompt(conversation[:-1])) for conversation in conversations]
        width = max(map(len, rendered))
        self._check(width - 1)
        device = self.engine.model.head_weight.device
        tokens = torch.zeros(len(rendered), width, dtype=torch.int64)
        weights = torch.zeros(len(rendered), width - 1)
        for row, (ids, start) in enumerate(zip(rendered, starts, strict=True)):
            tokens[row, : len(ids)] = torch.tensor(ids)
            weights[row, start - 1 : len(ids) - 1] = 1.0
        tokens, weights = tokens.to(device), weights.to(device)
        scores = self.engine.model.score(tokens[:, :-1], tokens[:, 1:])
        return [float(total) for total in (scores.logp * weights).sum(1)]

    def _check(self, n_tokens: int) -> None:
        if n_tokens >= self.engine.length:
            raise DataError(
                f"the message takes {n_tokens} tokens and the context holds {self.engine.length}, "
                "the reply included; write a shorter one"
            )


def seed_of(seed: int, index: int) -> int:
    """A seed for each request, so that the same conversation twice in a list is sampled twice."""
    return Random(f"{seed} {index}").getrandbits(48)
