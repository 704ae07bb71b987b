"""Scores of what a model says: a task answered through the dialogue, and functions written from their `def` line."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundup.corpus.conversation import Conversation, Message
from groundup.dialogue import Dialogue, Reply
from groundup.eval.interval import Interval, bootstrap, mean, pass_at, wilson
from groundup.events import SILENT, Reporter
from groundup.infer.engine import Engine
from groundup.infer.schedule import Request
from groundup.tasks._base import Example, Task
from groundup.tasks.functions import Sample, body_of, judge, n_lines
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.chat import Chat, Ending
from groundup.tokenizer.special import END_OF_TEXT


@dataclass(frozen=True)
class Answers:
    """Replies to the examples of a task: `samples` of each, those of one example together."""

    task: Task
    examples: Sequence[Example]
    replies: Sequence[Reply]

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """(examples, samples), each from 0.0 to 1.0."""
        samples = len(self.replies) // len(self.examples)
        asked = [example for example in self.examples for _ in range(samples)]
        pairs = zip(asked, self.replies, strict=True)
        found = [self.task.score(example, reply.message.content) for example, reply in pairs]
        return np.array(found, dtype=np.float64).reshape(len(self.examples), samples)

    @property
    def score(self) -> Interval:
        """The mean score; the samples of one example count as one."""
        return mean(self.scores.mean(axis=1).tolist())

    @property
    def ended(self) -> Interval:
        """The share of replies that end with the end-of-turn token."""
        return wilson(sum(reply.ending is Ending.STOPPED for reply in self.replies), len(self.replies))

    def pass_at(self, k: int) -> Interval:
        """The chance that one of `k` samples is right. Raises ValueError when there are fewer samples."""
        n = self.scores.shape[1]
        return mean([pass_at(k, n, int(right)) for right in (self.scores == 1.0).sum(axis=1)])

    def facts(self) -> dict[str, Any]:
        """Plain values for an artifact's facts."""
        score = self.score
        return {
            "score": score.value,
            "low": score.low,
            "high": score.high,
            "chance": self.task.chance,
            "n": len(self.examples),
            "ended": self.ended.facts(),
        }


def answer(
    task: Task,
    examples: Sequence[Example],
    dialogue: Dialogue,
    *,
    max_tokens: int,
    samples: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Reporter = SILENT,
) -> Answers:
    """Ask every example `samples` times. Raises ValueError for no examples."""
    if not examples:
        raise ValueError(f"{task.name} has no examples to ask; give it documents, or leave it out")
    asked = [task.ask(example) for example in examples for _ in range(samples)]
    replies = dialogue.reply(asked, max_tokens=max_tokens, temperature=temperature, seed=seed, progress=progress)
    return Answers(task, examples, replies)


def errors_cut(before: Answers, after: Answers) -> Interval | None:
    """The share of the errors of `before` that are gone in `after`, over the same examples; None if there were none."""
    wrong, still = 1 - before.scores.mean(axis=1), 1 - after.scores.mean(axis=1)
    if not wrong.any():
        return None
    left = bootstrap(still, wrong)
    return Interval(1 - left.value, 1 - left.high, 1 - left.low)


def converse(dialogue: Dialogue, questions: Sequence[str], *, max_tokens: int, seed: int = 0) -> Conversation:
    """One conversation: each question in turn, and what the model said, with what was said before it.

    The oldest turns are left out where the context would not hold them. Raises DataError for a question that alone does
    not fit.
    """
    talk: Conversation = ()
    for question in questions:
        talk = (*talk, Message("user", question))
        said = dialogue.fit(talk, max_tokens)
        (reply,) = dialogue.reply([said], max_tokens=max_tokens, temperature=0.0, seed=seed)
        talk = (*talk, reply.message)
    return talk


def write_functions(
    engine: Engine,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    *,
    chat: Chat | None = None,
    max_tokens: int = 200,
    temperature: float = 0.8,
    seed: int = 0,
    progress: Reporter = SILENT,
) -> list[Sample]:
    """What the model writes after each `def` line; a sample is broken off once it has a line in column 0.

    With `chat` the line is what the user says and the sample is the reply; else the model goes on from it as from text.
    """
    end = tokenizer.special[END_OF_TEXT]
    stop = frozenset({end}) if chat is None else chat.stop_ids
    requests = []
    for seeded, example in enumerate(examples, seed):
        said = (Message("user", example.question),)
        prompt = chat.prompt(said) if chat else [end, *tokenizer.encode(f"{example.question}\n")]
        requests.append(Request(prompt=prompt, max_tokens=max_tokens, temperature=temperature, stop=stop, seed=seeded))
    numbers = {engine.submit(request): index for index, request in enumerate(requests)}
    written: list[list[int]] = [[] for _ in requests]
    samples = [Sample(example.question, "") for example in examples]
    with progress.task("functions" if chat else "functions, base model", total=len(requests), unit="functions") as bar:
        while numbers:
            for event in engine.step():
                index = numbers.get(event.request_id)
                if index is None:
                    continue
                stopped = event.token in stop
                if not stopped:
                    written[index].append(event.token)
                breaks = not event.done and body_of(tokenizer.decode(written[index]))[1]
                if breaks:
                    engine.cancel(event.request_id)
                if breaks or event.done:
                    del numbers[event.request_id]
                    samples[index] = Sample(examples[index].question, tokenizer.decode(written[index]), stopped)
                    bar.advance(1)
    return samples


def function_facts(samples: Sequence[Sample], real: Sequence[Sample]) -> dict[str, Any]:
    """The share of samples that are functions by the rule of `tasks/functions.py`, beside that of the real ones."""
    faults, real_faults = judge(samples), judge(real)
    share = wilson(faults.count(""), len(faults))
    return {
        "score": share.value,
        "low": share.low,
        "high": share.high,
        "chance": None,
        "n": len(samples),
        "faults": dict(Counter(fault for fault in faults if fault)),
        "median_lines": median(n_lines(sample.text) for sample in samples),
        "real": wilson(real_faults.count(""), len(real)).facts(),
        "real_median_lines": median(n_lines(sample.text) for sample in real),
    }


def real_functions(tokenizer: Tokenizer, examples: Sequence[Example], *, max_tokens: int = 200) -> list[Sample]:
    """The functions as they were written, as samples under the same limit of tokens."""
    sizes = [len(ids) for ids in tokenizer.encode_batch([example.answer for example in examples])]
    return [
        Sample(example.question, example.answer, stopped=size < max_tokens)
        for example, size in zip(examples, sizes, strict=True)
    ]
