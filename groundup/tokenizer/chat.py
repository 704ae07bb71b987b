"""A conversation to ids and weights, and back: the one renderer of training, evaluation, roll-outs and chat.

    <|user|>How are you?<|end_of_turn|><|assistant|>Well.<|end_of_turn|>

Every message is its role's header, its text as it is, and the end of the turn. A call of a tool stands before that end,
behind the mark that is also the header of the tool's answer:

    <|assistant|>Let me see.<|tool|>{"name": ..., "arguments": ...}<|end_of_turn|><|tool|>42<|end_of_turn|><|assistant|>

`special.TEMPLATE` says the same in
Jinja for other programs; they agree id for id unless a text spells a special token, which only this one keeps as text.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

from groundup.corpus.conversation import Conversation, Message
from groundup.errors import ConfigError, DataError, nearest
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.special import ASSISTANT, END_OF_TURN, SPECIAL, SYSTEM, TOOL, USER


class Ending(Enum):
    """How a reply ended."""

    STOPPED = "stopped"
    """With the end of the turn, as it should."""
    CUT = "cut"
    """Not at all: it ran out of tokens."""
    MALFORMED = "malformed"
    """With a special token that has no place in a reply."""


class Chat:
    """Renders conversations for one tokenizer, and reads replies."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Raises ConfigError when the vocabulary was too small to hold the special tokens of a chat."""
        missing = [name for name in SPECIAL if name not in tokenizer.special]
        if missing:
            raise ConfigError(
                f"tokenizer.vocab_size: {tokenizer.vocab_size} leaves no room for {', '.join(missing)}, which a chat "
                f"needs; set it to at least {tokenizer.vocab_size + len(missing)}"
            )
        self.tokenizer = tokenizer
        special = tokenizer.special
        headers = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT, "tool": TOOL}
        self._headers = {role: special[name] for role, name in headers.items()}
        self._end = special[END_OF_TURN]
        self.call_id: int = special[TOOL]
        """The mark before the call of a tool."""
        self.stop_ids: frozenset[int] = frozenset(special.values())
        """Where generation stops: at any special token, for none has a place inside a reply without tools."""
        self.stop_ids_with_tools = self.stop_ids - {self.call_id}
        """Where it stops when the reply may call a tool."""

    def render(self, conversation: Conversation) -> tuple[list[int], list[float]]:
        """The ids of a conversation, and the weight of each: 1.0 for what the assistant says and its end of turn.

        Raises DataError for a role that has no header.
        """
        return next(self.render_batch([conversation]))

    def render_batch(self, conversations: Iterable[Conversation]) -> Iterator[tuple[list[int], list[float]]]:
        """`render` of many conversations, in order, tokenized on all cores. Raises DataError."""
        talks = list(conversations)
        said = [text for talk in talks for message in talk for text in (message.content, message.call)]
        texts = iter(self.tokenizer.encode_batch(said))
        for talk in talks:
            ids: list[int] = []
            weights: list[float] = []
            for message in talk:
                content, call = next(texts), next(texts)
                content += [self.call_id, *call] if call else []
                weight = 1.0 if message.role == "assistant" else 0.0
                ids += [self._header(message), *content, self._end]
                weights += [0.0, *[weight] * (len(content) + 1)]
            yield ids, weights

    def prompt(self, conversation: Conversation) -> list[int]:
        """What the model is given so that the assistant speaks next: a prefix of the conversation with the reply.

        Raises DataError for a role that has no header.
        """
        return [*self.render(conversation)[0], self._headers["assistant"]]

    def parse(self, ids: Sequence[int]) -> tuple[Message, Ending]:
        """The message in the ids that were generated after a `prompt`, up to a special token or the end of a call.

        The text can always be printed and stored: bytes that are no UTF-8 come as U+FFFD.
        """
        stop = self._stop(ids)
        content, call = self._text(ids[:stop]), ""
        if stop is not None and ids[stop] == self.call_id and len(ids) > stop + 1:
            ids = ids[stop + 1 :]
            stop = self._stop(ids)
            call = self._text(ids[:stop])
        if stop is None:
            ending = Ending.CUT
        else:
            ending = Ending.STOPPED if ids[stop] == self._end else Ending.MALFORMED
        return Message("assistant", content, call), ending

    def _stop(self, ids: Sequence[int]) -> int | None:
        return next((place for place, token in enumerate(ids) if token in self.stop_ids), None)

    def _text(self, ids: Sequence[int]) -> str:
        table = self.tokenizer.token_bytes
        return b"".join(table[token] for token in ids).decode("utf-8", errors="replace")

    def _header(self, message: Message) -> int:
        header = self._headers.get(message.role)
        if header is None:
            raise DataError(f"a message has the role {message.role!r}; {nearest(message.role, self._headers)}")
        return header
