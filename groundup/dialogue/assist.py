"""A reply that may call tools: the call is answered, and the model goes on from the answer.

What the model drew and what it was told stay apart in a `Transcript`, id for id: a talk, the server, and roll-outs that
are learned from have it in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from groundup.config import Folder
from groundup.corpus.conversation import Conversation, Message, with_tools
from groundup.dialogue.dialogue import Dialogue, seed_of
from groundup.infer.schedule import Request
from groundup.tokenizer.chat import Chat, Ending
from groundup.tools._base import Tool, answer

CALLS = 4
"""Calls in one reply; then the model's last word stands, whatever it is."""


@dataclass
class Transcript:
    """One reply on its way. `ids` follow the prompt of `request`; `drawn` tells which of them the model drew.

    The others are what tools answered, with the marks around it; their log-probability is 0.
    """

    chat: Chat
    request: Request
    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    drawn: list[bool] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    ending: Ending = Ending.CUT

    @property
    def stopped(self) -> bool:
        """The model ended its turn itself."""
        return self.ending is Ending.STOPPED

    @property
    def calls(self) -> bool:
        """It ended with the call of a tool that may be answered."""
        return self.stopped and bool(self.messages[-1].call) and self.n_answers < CALLS

    @property
    def n_answers(self) -> int:
        """Calls that were answered."""
        return sum(message.role == "tool" for message in self.messages)

    def take(self, ids: Sequence[int], logps: Sequence[float]) -> None:
        """What the model drew. A prompt that ends with the mark of a call is one whose reply has begun with it."""
        prompt = self.request.prompt
        opened = not self.ids and prompt[-1] == self.chat.call_id
        message, self.ending = self.chat.parse([prompt[-1], *ids] if opened else ids)
        self.messages.append(message)
        self.ids += ids
        self.logps += logps
        self.drawn += [True] * len(ids)

    def tell(self, said: str, length: int) -> Request | None:
        """What the tool answered; what to ask the engine for next, or None where a context of `length` holds no more.

        The model draws `max_tokens` of the first request in all; its guide is for what comes before the first answer.
        """
        answered = Message("tool", said)
        self.messages.append(answered)
        told = self.chat.prompt((answered,))
        prompt = [*self.request.prompt, *self.ids, *told]
        left = min(self.request.max_tokens - sum(self.drawn), length - len(prompt))
        if left < 1:
            return None
        self.ids += told
        self.logps += [0.0] * len(told)
        self.drawn += [False] * len(told)
        seed = seed_of(self.request.seed, self.n_answers)
        return replace(self.request, prompt=prompt, max_tokens=left, seed=seed, guide=None)


@dataclass(frozen=True)
class Assistant:
    """A model with tools. `described` says whether their definitions are told in a system message."""

    dialogue: Dialogue
    tools: tuple[Tool, ...]
    described: bool = True

    def reply(
        self, conversations: Sequence[Conversation], *, max_tokens: int, temperature: float = 1.0, seed: int = 0
    ) -> list[Conversation]:
        """What is said next in each conversation: messages with calls, the tools' answers, and the last word.

        A malformed call is told what is wrong, in the tool's place. A talk whose next answer the context does not hold
        ends there. The model draws up to `max_tokens` for each. Raises DataError when a conversation does not fit to
        begin with.
        """
        definitions = [tool.definition() for tool in self.tools] if self.described else []
        requests = [
            self.dialogue.request(
                with_tools(talk, definitions), max_tokens=max_tokens, temperature=temperature,
                seed=seed_of(seed, index), tools=bool(self.tools),
            )
            for index, talk in enumerate(conversations)
        ]  # fmt: skip
        return [tuple(transcript.messages) for transcript in self.run(requests)]

    def run(self, requests: Sequence[Request]) -> list[Transcript]:
        """Each request to the end of its reply, the calls answered on the way."""
        engine, chat = self.dialogue.engine, self.dialogue.chat
        transcripts = [Transcript(chat, request) for request in requests]
        going = list(zip(transcripts, requests, strict=True))
        while going:
            drawn = engine.complete([request for _, request in going])
            for (transcript, _), done in zip(going, drawn, strict=True):
                transcript.take(done.ids, done.logps)
            told = [
                (transcript, transcript.tell(answer(self.tools, transcript.messages[-1].call), engine.length))
                for transcript, _ in going
                if transcript.calls
            ]
            going = [(transcript, request) for transcript, request in told if request is not None]
        return transcripts


def open_tools(names: Sequence[str]) -> tuple[Tool, ...]:
    """The tools of these names. Raises ConfigError for one that there is not."""
    return tuple(tool for tool in map(Folder("tools").read, names) if isinstance(tool, Tool))
