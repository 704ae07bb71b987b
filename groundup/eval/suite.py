"""Everything that is measured at the end of a run, in the form that the report prints."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from groundup.corpus.document import Document
from groundup.dialogue import Dialogue
from groundup.eval.compression import settings, to_bytes, yardsticks
from groundup.eval.generation import (
    Answers,
    answer,
    converse,
    errors_cut,
    function_facts,
    real_functions,
    write_functions,
)
from groundup.eval.interval import wilson
from groundup.eval.likelihood import likelihood
from groundup.events import SILENT, Named, Reporter
from groundup.infer.engine import Engine
from groundup.models._base import Model
from groundup.tasks._base import Example, Task
from groundup.tasks.functions import Sample
from groundup.tokenizer._base import Tokenizer

BASE_ROWS = 128  # of the base model's engine
SHOWN = 3  # replies of each task, and functions, that the report quotes


@dataclass(frozen=True)
class Subject:
    """What is examined: a language model by its likelihood, and the chatbot made from it by what it says.

    `before` is the chatbot before GRPO: the exams named in `compared` are put to it too, and where `pass_at` is given,
    with so many samples a question at temperature 1.0 besides (what reinforcement could make likely).
    """

    model: Model
    tokenizer: Tokenizer
    context: int
    dialogue: Dialogue
    before: Dialogue | None = None
    compared: frozenset[str] = field(default_factory=frozenset)
    pass_at: int | None = None
    dtype: torch.dtype | None = None


@dataclass(frozen=True)
class Exam:
    """A task, the held-out examples of it to ask, and how long a reply may be."""

    task: Task
    examples: Sequence[Example]
    max_tokens: int = 48


def evaluate(
    subject: Subject,
    *,
    held_out: Sequence[Document] = (),
    training: Iterable[str] = (),
    measure_yardsticks: bool = True,
    exams: Mapping[str, Exam] | None = None,
    functions: Sequence[Example] = (),
    questions: Sequence[str] = (),
    reply_tokens: int = 96,
    progress: Reporter = SILENT,
) -> dict[str, Any]:
    """The facts of an evaluation: of each part that is given something to measure, and nothing of the others.

    `held_out` documents are laid end to end for the yardsticks, in the order given; the primed one reads `training`
    first. `functions` are those that the chatbot is to write, given their `def` lines. `questions` make the sample
    conversation, of replies of up to `reply_tokens`.
    """
    facts: dict[str, Any] = {}
    if held_out:
        facts |= language_facts(subject, held_out, training, measure_yardsticks, progress)
    facts["tasks"], facts["samples"] = {}, []
    for name, exam in (exams or {}).items():
        if exam.examples:
            scores, shown = exam_facts(subject, name, exam, progress)
            facts["tasks"][name] = scores
            facts["samples"] += shown
            if all(example.options for example in exam.examples):
                facts["tasks"][f"{name} by likelihood"] = choice_facts(subject.dialogue, exam)
    if functions:
        facts["functions"], written = _functions(subject, functions, progress)
        facts["samples"] += [
            {"task": "functions", "prompt": sample.signature, "reply": sample.text} for sample in written[:SHOWN]
        ]
    talk = converse(subject.dialogue, questions, max_tokens=reply_tokens)
    facts["conversation"] = [{"role": message.role, "content": message.content} for message in talk]
    return facts


def language_facts(
    subject: Subject,
    held_out: Sequence[Document],
    training: Iterable[str] = (),
    measure_yardsticks: bool = True,
    progress: Reporter = SILENT,
) -> dict[str, Any]:
    """Bits per byte of the held-out documents, by the model and by what anyone can install."""
    texts = [document.text for document in held_out]
    measured = likelihood(
        subject.model, subject.tokenizer, texts, subject.context, dtype=subject.dtype, progress=progress
    )
    facts: dict[str, Any] = {"bits_per_byte": measured.facts()}
    if measure_yardsticks:
        facts["yardsticks"] = yardsticks(b"".join(map(to_bytes, texts)), training, progress=progress)
        facts["yardstick_settings"] = settings()
    return facts


def exam_facts(
    subject: Subject, name: str, exam: Exam, progress: Reporter = SILENT
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The score of one exam, beside that of the chatbot before GRPO, and a few of the replies."""
    named = Named(progress, name)
    answers = answer(exam.task, exam.examples, subject.dialogue, max_tokens=exam.max_tokens, progress=named)
    facts = {"about": (inspect.getdoc(type(exam.task)) or "").partition("\n")[0], **answers.facts()}
    if subject.before is not None and name in subject.compared:
        facts |= _comparison(subject.before, subject.pass_at, exam, answers, named)
    first = zip(exam.examples[:SHOWN], answers.replies, answers.scores[:, 0], strict=False)
    shown = [
        {
            "task": name,
            "prompt": exam.task.ask(example)[-1].content,
            "reply": reply.message.content,
            "expected": exam.task.answer(example),
            "score": float(score),
        }
        for example, reply, score in first
    ]
    return facts, shown


def choice_facts(dialogue: Dialogue, exam: Exam) -> dict[str, Any]:
    """How often the model finds the right option of an example likelier than the others."""
    chosen = dialogue.choose([example.options for example in exam.examples])
    right = [choice == example.right for choice, example in zip(chosen, exam.examples, strict=True)]
    score = wilson(sum(right), len(right))
    return {
        "about": "The same questions, answered by which option makes the passage likeliest.",
        "score": score.value,
        "low": score.low,
        "high": score.high,
        "chance": 1 / len(exam.examples[0].options),
        "n": len(right),
    }


def _functions(subject: Subject, asked: Sequence[Example], progress: Reporter) -> tuple[dict[str, Any], list[Sample]]:
    """What the chatbot writes, given the `def` lines as questions; beside it what the base model goes on with."""
    base = Engine(subject.model, rows=BASE_ROWS, length=subject.context, dtype=subject.dtype)
    real = real_functions(subject.tokenizer, asked)
    continued = write_functions(base, subject.tokenizer, asked, progress=progress)
    written = write_functions(
        subject.dialogue.engine, subject.tokenizer, asked, chat=subject.dialogue.chat, progress=progress
    )
    return {**function_facts(written, real), "base_model": function_facts(continued, real)}, written


def _comparison(before: Dialogue, pass_at: int | None, exam: Exam, after: Answers, named: Named) -> dict[str, Any]:
    """The same questions put to the chatbot as it was: its score, its pass@k, and the share of its errors now gone."""
    earlier = answer(
        exam.task, exam.examples, before, max_tokens=exam.max_tokens,
        progress=Named(named.to, f"{named.label} before GRPO"),
    )  # fmt: skip
    facts: dict[str, Any] = {"before": {key: earlier.facts()[key] for key in ("score", "low", "high")}}
    if pass_at is not None:
        drawn = answer(
            exam.task, exam.examples, before, max_tokens=exam.max_tokens, samples=pass_at, temperature=1.0,
            progress=Named(named.to, f"{named.label} pass@{pass_at}"),
        )  # fmt: skip
        facts["before"][f"pass_at_{pass_at}"] = drawn.pass_at(pass_at).facts()
    cut = errors_cut(earlier, after)
    return facts | ({"errors_cut": cut.facts()} if cut else {})
