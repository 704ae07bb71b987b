"""What filters would do to some documents, with examples: nothing is written, and it takes seconds."""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from groundup.config import Component, Folder, parse_pairs
from groundup.corpus.document import Document, Filter
from groundup.corpus.reading import documents_of
from groundup.errors import ConfigError

FILTERS = Folder("corpus.filters")
# Commas between settings, not those of a list.
SETTINGS = re.compile(r",(?![^\[]*\])")
EXCERPT = 160
SECONDS = 60.0


@dataclass
class Outcome:
    """What one filter did for one reason: how many documents, their bytes, and some of them.

    The reason of what was changed and kept is "changed"; its examples have what stood there before.
    """

    filter: str
    reason: str
    documents: int = 0
    bytes: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Trial:
    """The documents that were looked at, and what the filters did to them, each filter seeing all of them."""

    documents: int = 0
    bytes: int = 0
    whole: bool = True
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Plain values."""
        outcomes = [vars(outcome) for outcome in self.ordered()]
        return {"documents": self.documents, "bytes": self.bytes, "whole": self.whole, "outcomes": outcomes}

    def ordered(self) -> list[Outcome]:
        """The outcomes, most documents first."""
        return sorted(self.outcomes.values(), key=lambda each: (-each.documents, each.filter, each.reason))


def split_words(words: Sequence[str]) -> tuple[list[Filter], list[str]]:
    """The filters and the paths in `gopher length=minimum:200,maximum:5000 crawl/`.

    A word is a filter when its part before `=` is the name of one and no such path exists. Raises ConfigError for a
    setting that a filter has not, or when a kind of word is missing.
    """
    filters: list[Component] = []
    paths = []
    for word in words:
        name, _, settings = word.partition("=")
        if name not in FILTERS.choices() or os.path.exists(word):  # noqa: PTH110 - a word, mostly no path at all
            paths.append(word)
            continue
        pairs = [pair.replace(":", "=", 1) for pair in SETTINGS.split(settings) if pair]
        filters.append(FILTERS.read({"name": name, **parse_pairs(pairs)}))
    if not filters or not paths:
        raise ConfigError(f"name at least one filter and one path; filters are {', '.join(FILTERS.choices())}")
    return cast(list[Filter], filters), paths


def try_filters(filters: Sequence[Filter], specs: Sequence[str], most: int, n_examples: int) -> Trial:
    """Judge the first `most` documents of some data, for a minute at the longest.

    Raises DataError for data that cannot be opened, ConfigError or DataError for a filter that lacks a file.
    """
    for each in filters:
        each.check()
    trial, end = Trial(), time.monotonic() + SECONDS
    for document in documents_of(specs):
        if trial.documents >= most or time.monotonic() > end:
            trial.whole = False
            break
        trial.documents += 1
        trial.bytes += len(document.text.encode("utf-8", "replace"))
        for each in filters:
            document = _judge(trial, each, document, n_examples)
    return trial


def _judge(trial: Trial, each: Filter, document: Document, n_examples: int) -> Document:
    """Add what a filter does to a document; the document as it goes on."""
    verdict = each.judge(document)
    after = verdict.document or document
    if verdict.kept and after.text == document.text:
        return after
    reason = "changed" if verdict.kept else verdict.reason
    outcome = trial.outcomes.setdefault((each.name, reason), Outcome(each.name, reason))
    outcome.documents += 1
    outcome.bytes += len(document.text.encode("utf-8", "replace"))
    if len(outcome.examples) < n_examples:
        at = _first_difference(document.text, after.text) if verdict.kept else 0
        example = {"id": document.id, "text": _excerpt(document.text, at)}
        told = {"after": _excerpt(after.text, at)} if verdict.kept else _numbers(verdict.value, verdict.threshold)
        outcome.examples.append(example | told)
    return after


def _numbers(value: float, threshold: float) -> dict[str, float]:
    return {"value": value, "threshold": threshold}


def _first_difference(left: str, right: str) -> int:
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if left[:middle] == right[:middle] else (low, middle - 1)
    return low


def _excerpt(text: str, at: int) -> str:
    """One line of a text from a little before a place."""
    return " ".join(text[max(0, at - EXCERPT // 4) : at + EXCERPT].split())[:EXCERPT]
