"""Benchmarks whose answers a model writes: replies, cut where the benchmark says, and what they score."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from groundup.corpus.conversation import Message
from groundup.eval.interval import mean, pass_at
from groundup.eval.published import Marks, Verdict
from groundup.events import SILENT, Reporter
from groundup.infer.engine import Engine
from groundup.infer.schedule import Request
from groundup.tasks.published._base import Prompt, Written
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.chat import Chat
from groundup.tokenizer.special import END_OF_TEXT

TEMPERATURE = 0.8
"""Of samples, where there are several of each prompt (Chen et al. 2021, 2107.03374, section 3.3: best for many)."""
WORKERS = 2
"""Programs that are judged at a time: each is a process of its own."""
SHOWN = 3
"""Replies that the facts quote."""


class Pen:
    """A model that writes: it goes on from a prompt as from text, or with `chat` answers it as a message."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer, chat: Chat | None = None) -> None:
        self.engine, self.tokenizer, self.chat = engine, tokenizer, chat

    def write(
        self,
        texts: Sequence[str],
        *,
        most: int,
        until: Sequence[str] = (),
        temperature: float = 0.0,
        seed: int = 0,
        progress: Reporter = SILENT,
    ) -> list[str]:
        """A reply of at most `most` tokens to each text, which ends before the first of `until`.

        A text that leaves no room for it loses its beginning; a reply gets half of the context at least.
        """
        room = min(most, self.engine.length // 2)
        stop = frozenset({self.tokenizer.special[END_OF_TEXT]}) if self.chat is None else self.chat.stop_ids
        asked = zip(self._prompts(texts, self.engine.length - room), range(seed, seed + len(texts)), strict=True)
        requests = [
            Request(ids, room, temperature=temperature, stop=stop, seed=each, stop_strings=tuple(until))
            for ids, each in asked
        ]
        done = self.engine.complete(requests, progress=progress)
        return [_before(self.tokenizer.decode(each.ids), until) for each in done]

    def _prompts(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        """The ids of each prompt, `longest` at most."""
        encoded = self.tokenizer.encode_batch(list(texts))
        if self.chat is None:
            return [[self.tokenizer.special[END_OF_TEXT], *ids[-(longest - 1) :]] for ids in encoded]
        around = len(self.chat.prompt((Message("user", ""),)))
        said = [
            text if len(ids) + around <= longest else self.tokenizer.decode(ids[-(longest - around) :])
            for text, ids in zip(texts, encoded, strict=True)
        ]
        return [self.chat.prompt((Message("user", text),)) for text in said]


def answer(
    prompts: Sequence[Prompt],
    benchmark: Written,
    pen: Pen,
    *,
    samples: int = 1,
    seed: int = 0,
    progress: Reporter = SILENT,
) -> Marks:
    """Have a model answer every prompt, greedily or with several samples of each, and score what it wrote.

    Raises UnsupportedError where a benchmark needs a sandbox and this machine has none.
    """
    replies = pen.write(
        [prompt.text for prompt in prompts for _ in range(samples)],
        most=benchmark.most, until=benchmark.until, temperature=TEMPERATURE if samples > 1 else 0.0, seed=seed,
        progress=progress,
    )  # fmt: skip
    return mark(prompts, benchmark, [replies[first : first + samples] for first in range(0, len(replies), samples)])


def mark(prompts: Sequence[Prompt], benchmark: Written, replies: Sequence[Sequence[str]]) -> Marks:
    """Score `replies`, one or more for each prompt: those of one prompt count as one item.

    Raises UnsupportedError where a benchmark needs a sandbox and this machine has none.
    """
    pairs = [(prompt, reply) for prompt, row in zip(prompts, replies, strict=True) for reply in row]
    with ThreadPoolExecutor(WORKERS) as workers:
        told = iter(list(workers.map(lambda pair: benchmark.forms(*pair), pairs)))
    rows = [[next(told) for _ in row] for row in replies]
    verdicts = [_verdict(prompt, row, benchmark.form) for prompt, row in zip(prompts, rows, strict=True)]
    extra: dict[str, Any] = {"shown": _shown(prompts, replies, verdicts)}
    n = len(replies[0])
    if n > 1:
        right = [sum(forms[benchmark.form] == 1.0 for forms in row) for row in rows]
        extra["pass_at"] = {
            str(k): mean([pass_at(k, n, each) for each in right]).facts() for k in sorted({1, 10, 100, n}) if k <= n
        }
    return Marks(verdicts, benchmark.chance, benchmark.form, extra)


def _verdict(prompt: Prompt, row: Sequence[dict[str, float]], form: str) -> Verdict:
    forms = {each: sum(told[each] for told in row) / len(row) for each in row[0]}
    return Verdict(prompt.id, forms[form], forms, prompt.group)


def _shown(
    prompts: Sequence[Prompt], replies: Sequence[Sequence[str]], verdicts: Sequence[Verdict]
) -> list[dict[str, Any]]:
    """The first replies, right or wrong."""
    first = list(zip(prompts, replies, verdicts, strict=True))[:SHOWN]
    return [
        {"prompt": prompt.text, "reply": row[0], "expected": prompt.answer, "score": verdict.score}
        for prompt, row, verdict in first
    ]


def _before(text: str, until: Sequence[str]) -> str:
    """A text before the first of some strings."""
    for stop in until:
        text = text.partition(stop)[0]
    return text
