"""A published benchmark put to a model: a verdict for every item, and from them scores, each with its interval.

An option is right when it is likelier than every other: a tie is wrong, so that a model that prefers nothing scores
nothing, and not what the order of the options happens to give.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import exp, inf, log, sqrt
from typing import Any, TypeVar

from groundup.eval.interval import Interval, bootstrap, mean
from groundup.eval.likelihood import CHANCE
from groundup.eval.scorer import Said, Scorer
from groundup.events import SILENT, Reporter
from groundup.tasks.published._base import FORMS, Form, Item, Passage

Some = TypeVar("Some")


@dataclass(frozen=True)
class Verdict:
    """What came of one item: its score (the form that counts, from 0 to 1), the other forms, and what the right answer
    cost. `nats` and `n_bytes` are None where nothing was measured in them."""

    id: str
    score: float
    forms: Mapping[str, float]
    group: str = ""
    nats: float | None = None
    n_bytes: int | None = None
    cut: bool = False


@dataclass(frozen=True)
class Marks:
    """The verdicts of one benchmark; `chance` is what guessing scores, `form` what the score is called.

    `extra` are facts that only some benchmarks have.
    """

    verdicts: Sequence[Verdict]
    chance: float | None
    form: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def score(self) -> Interval:
        """The mean score, with its interval."""
        return mean([verdict.score for verdict in self.verdicts])

    def facts(self, dirty: Collection[str] | None = None) -> dict[str, Any]:
        """Plain values for an artifact's facts. `dirty` are ids of items that the training text is known to hold."""
        facts: dict[str, Any] = {
            "score": self.score.value,
            "low": self.score.low,
            "high": self.score.high,
            "chance": self.chance,
            "n": len(self.verdicts),
            "form": self.form,
            "forms": {form: _mean(self.verdicts, form) for form in self.verdicts[0].forms},
        }
        if bits := right_bits(self.verdicts):
            facts["right_bits_per_byte"] = bits.facts()
        facts |= self.extra
        if cut := sum(verdict.cut for verdict in self.verdicts):
            facts["cut"] = cut
        groups = sorted({verdict.group for verdict in self.verdicts} - {""})
        if len(groups) > 1:
            facts["groups"] = {
                group: _share([verdict for verdict in self.verdicts if verdict.group == group]) for group in groups
            }
        if dirty is not None:
            for name, kept in (("clean", False), ("dirty", True)):
                part = [verdict for verdict in self.verdicts if (verdict.id in dirty) is kept]
                facts[name] = {**_share(part), "n": len(part)} if part else {"n": 0}
        return facts

    def columns(self) -> dict[str, list[Any]]:
        """Its items as columns: ids, scores, and what the right answers cost."""
        return {
            "ids": [verdict.id for verdict in self.verdicts],
            "scores": [verdict.score for verdict in self.verdicts],
            "nats": [verdict.nats for verdict in self.verdicts],
            "n_bytes": [verdict.n_bytes for verdict in self.verdicts],
        }


def choose(items: Sequence[Item], form: Form, scorer: Scorer, progress: Reporter = SILENT) -> Marks:
    """Put multiple-choice questions to a model. Guessing is to take any of a question's options."""
    said = scorer.score([item.options for item in items], progress)
    verdicts = [judge(item, each, form) for item, each in zip(items, said, strict=True)]
    chances = [(1 + len(item.also)) / len(item.options) if len(item.options) > 1 else 0.0 for item in items]
    return Marks(verdicts, sum(chances) / len(chances), form)


def judge(item: Item, said: Sequence[Said], form: Form = "acc") -> Verdict:
    """The verdict on one question from what was said of each of its options."""
    right, rights = item.right, {item.right, *item.also}
    if len(item.options) == 1:
        forms: dict[str, float] = {"acc": float(said[0].greedy)}
    else:
        forms = {}
        for each in FORMS:
            values = [one.logp / _size(option[1], one, each) for option, one in zip(item.options, said, strict=True)]
            others = [value for place, value in enumerate(values) if place not in rights]
            forms[each] = float(max(values[place] for place in rights) > max(others, default=-inf))
    n_bytes = len(item.options[right][1].encode())
    cut = any(one.cut for one in said)
    return Verdict(item.id, forms[form], forms, item.group, -said[right].logp, n_bytes, cut)


def _size(option: str, said: Said, form: Form) -> int:
    """What an option's log-probability is divided by. The space before it is not counted, as in the harness."""
    text = option.removeprefix(" ")
    sizes = {"acc": 1, "acc_norm": len(text), "acc_bytes": len(text.encode()), "acc_token": said.n_tokens}
    return max(1, sizes[form])


def right_bits(verdicts: Sequence[Verdict]) -> Interval | None:
    """Bits per byte of the right answers: what tells small models apart long before their choices do."""
    told = [(verdict.nats, verdict.n_bytes) for verdict in verdicts if verdict.nats is not None and verdict.n_bytes]
    if not told:
        return None
    return bootstrap([nats / log(2) for nats, _ in told], [float(n_bytes) for _, n_bytes in told])


@dataclass(frozen=True)
class Read:
    """What texts cost that were read whole: `nats` of each passage, over the bytes and words it was published with."""

    passages: Sequence[Passage]
    nats: Sequence[float]

    def facts(self, dirty: Collection[str] | None = None) -> dict[str, Any]:
        """Plain values for an artifact's facts; whole passages are resampled. `dirty` passages are not told apart."""
        n_bytes = sum(passage.n_bytes for passage in self.passages)
        n_words = sum(passage.n_words for passage in self.passages)
        bits = bootstrap([nats / log(2) for nats in self.nats], [float(each.n_bytes) for each in self.passages])
        return {
            "score": bits.value,
            "low": bits.low,
            "high": bits.high,
            "chance": CHANCE,
            "n": len(self.passages),
            "form": "bits_per_byte",
            "byte_perplexity": 2**bits.value,
            "word_perplexity": exp(sum(self.nats) / n_words),
            "bytes": n_bytes,
            "words": n_words,
        }

    def columns(self) -> dict[str, list[Any]]:
        """Its passages as columns: ids, and what each cost."""
        return {
            "ids": [passage.id for passage in self.passages],
            "nats": list(self.nats),
            "n_bytes": [passage.n_bytes for passage in self.passages],
        }


def read(passages: Sequence[Passage], scorer: Scorer, progress: Reporter = SILENT) -> Read:
    """Have a model read texts whole."""
    return Read(passages, scorer.read([passage.text for passage in passages], progress))


def sample(items: Sequence[Some], limit: int | None, seed: int) -> list[Some]:
    """Up to `limit` items, drawn with `seed`, in their order; with None all of them."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[place] for place in sorted(random.Random(seed).sample(range(len(items)), limit))]


def centred(facts: Sequence[Mapping[str, Any]]) -> Interval | None:
    """The mean of scores with chance at 0 and perfection at 1 (DCLM's CORE, 2406.11794); None where there is none.

    `facts` are those of benchmarks; one without a chance level is left out. The interval is the normal one: the
    scores are of different items, and a half-width adds as a standard error does.
    """
    told = [each for each in facts if each.get("chance") is not None and each["chance"] < 1]
    if not told:
        return None
    values = [(each["score"] - each["chance"]) / (1 - each["chance"]) for each in told]
    halves = [(each["high"] - each["low"]) / 2 / (1 - each["chance"]) for each in told]
    value, half = sum(values) / len(told), sqrt(sum(each**2 for each in halves)) / len(told)
    return Interval(value, value - half, value + half)


def _mean(verdicts: Sequence[Verdict], form: str) -> float:
    return sum(verdict.forms[form] for verdict in verdicts) / len(verdicts)


def _share(verdicts: Sequence[Verdict]) -> dict[str, float]:
    return mean([verdict.score for verdict in verdicts]).facts()
