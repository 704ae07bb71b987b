"""A reply that may call tools: the call is answered, and the model goes on from the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from groundup.config import Folder
from groundup.corpus.conversation import Conversation, Message, with_tools
from groundup.dialogue.dialogue import Dialogue
from groundup.tools._base import Tool, answer

CALLS = 4
"""Calls in one turn; then the model's last word stands, whatever it is."""


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
        ends there. Raises DataError when a conversation does not fit to begin with.
        """
        definitions = [tool.definition() for tool in self.tools] if self.described else []
        talks = [with_tools(talk, definitions) for talk in conversations]
        said: list[list[Message]] = [[] for _ in talks]
        going = list(range(len(talks)))
        for turn in range(CALLS + 1):
            asked = [(*talks[place], *said[place]) for place in going]
            replies = self.dialogue.reply(
                asked, max_tokens=max_tokens, temperature=temperature, seed=seed + turn, tools=True
            )
            for place, reply in zip(going, replies, strict=True):
                said[place].append(reply.message)
                if reply.message.call and turn < CALLS:
                    said[place].append(Message("tool", answer(self.tools, reply.message.call)))
            going = [
                place
                for place in going
                if said[place][-1].role == "tool" and self.dialogue.room((*talks[place], *said[place])) > 0
            ]
            if not going:
                break
        return [tuple(messages) for messages in said]


def open_tools(names: Sequence[str]) -> tuple[Tool, ...]:
    """The tools of these names. Raises ConfigError for one that there is not."""
    return tuple(tool for tool in map(Folder("tools").read, names) if isinstance(tool, Tool))
