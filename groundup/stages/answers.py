"""Replies checked by what the examples say: a reward without a reward model, and the share of right ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from groundup.corpus.conversation import Conversation, Message
from groundup.errors import DataError
from groundup.stages.examples import Examples, adapting, asked, good_talks
from groundup.stages.training import autocast_dtype
from groundup.tasks.published._numbers import last_number

if TYPE_CHECKING:
    from groundup.dialogue.assist import Transcript
    from groundup.models._base import Model
    from groundup.recipe import Adapt
    from groundup.stages._work import Work
    from groundup.tokenizer.chat import Chat

ROWS = 64
"""Questions that are answered at a time."""


class Answers:
    """What the examples answer to each question. `how` is `same` (the text) or `number` (the last one in it)."""

    def __init__(self, found: Examples, how: str) -> None:
        """Raises DataError where the examples answer nothing."""
        self._read = last_number if how == "number" else str.strip
        self._known: dict[Conversation, set[str]] = {}
        for example in (*found.train, *found.held_out):
            for talk in good_talks(example):
                if answer := self._read(talk[-1].content):
                    self._known.setdefault(asked(example), set()).add(answer)
        if not self._known:
            raise DataError(f"adapt.answers: no example ends with an answer to check by ({how}); set it to unchecked")

    def __contains__(self, question: Conversation) -> bool:
        return question in self._known

    def right(self, question: Conversation, said: Sequence[Message]) -> bool:
        """Whether the last of the messages that were said is the answer."""
        return self._read(said[-1].content) in self._known.get(question, ())


def checked(settings: "Adapt", found: Examples) -> Answers | None:
    """The answers that replies are checked by, where the settings ask for it. Raises DataError as `Answers`."""
    return None if settings.answers == "unchecked" else Answers(found, settings.answers)


def answer_facts(
    work: "Work", before: "Model", after: "Model", questions: Sequence[Conversation], answers: Answers, chat: "Chat"
) -> "tuple[dict[str, Any], list[tuple[Conversation, Transcript]]]":
    """The share of questions that are answered right before and after, with the tools there are and without them; and
    what the model says to them after. The likeliest token is taken each time.
    """
    from groundup.eval.interval import wilson

    known = [question for question in questions if question in answers]
    tools = adapting(work.recipe).tools
    facts: dict[str, Any] = {}
    shown: list[Transcript] = []
    for name, given in [("answers", tools), *([("answers without tools", ())] if tools else [])]:
        was, now = (replied(work, model, known, given, chat) for model in (before, after))
        first, right = (
            sum(each.stopped and answers.right(asked, each.messages) for asked, each in zip(known, said, strict=True))
            for said in (was, now)
        )
        score = wilson(right, len(known))
        facts[name] = {
            "about": "Held-out questions whose reply ends with the example's own answer.",
            "score": score.value, "low": score.low, "high": score.high, "n": len(known),
            "before": {"score": first / max(1, len(known)), "what": "adapting"},
        }  # fmt: skip
        shown = shown or now
    return facts, list(zip(known, shown, strict=True))


def replied(
    work: "Work", model: "Model", questions: Sequence[Conversation], tools: Sequence[str], chat: "Chat"
) -> "list[Transcript]":
    """What a model says to each question when it takes the likeliest token, with the tools of these names."""
    from groundup.dialogue import Dialogue
    from groundup.dialogue.assist import Assistant, open_tools
    from groundup.infer.engine import Engine

    engine = Engine(model, rows=ROWS, length=model.config.length, dtype=autocast_dtype(work.recipe.precision))
    dialogue, most = Dialogue(engine, chat), adapting(work.recipe).rollouts.max_tokens
    requests = [
        dialogue.request(question, max_tokens=most, temperature=0.0, tools=bool(tools)) for question in questions
    ]
    return Assistant(dialogue, open_tools(tools)).run(requests)
