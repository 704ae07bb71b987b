"""Published benchmarks put to a run's model, and what came of it kept in the run: `benchmarks-STAGE.json`.

    {"stage", "weights": fingerprint, "tasks": {KEY: {"facts", "asked": fingerprint, "items": {"ids", "scores", ...}}},
     "safety": facts}

A file is of the weights that it names. What was measured of other weights is dropped when the first new result comes.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.config import fingerprint
from groundup.errors import ConfigError, DataError, StoreError
from groundup.events import SILENT, Named, Reporter
from groundup.report.gather import benchmarks_file, gather
from groundup.stages.results import ENGINE_ROWS, chosen, tokenizer_folder
from groundup.stages.training import autocast_dtype, build_model

if TYPE_CHECKING:
    from groundup.corpus.document import Document
    from groundup.eval.harness import Order
    from groundup.eval.judged import Judge
    from groundup.eval.published import Marks, Read
    from groundup.eval.scorer import ModelScorer
    from groundup.eval.written import Pen
    from groundup.recipe import Recipe
    from groundup.store import Artifact, Store
    from groundup.tasks.published._records import LocalRecords, Records
    from groundup.tasks.published._sets import Entry

_LISTED = '{"task": "mmlu", "id": "anatomy/7"}'

TAUGHT = ("sft", "grpo", "adapt")
"""Stages whose model speaks the chat template."""

VERSION = 1
"""Raised when the same items of the same weights would be scored otherwise."""


@dataclass(frozen=True)
class Exam:
    """What is to be put to a run's model: `entries` of `records`, the items drawn with `seed`.

    `dirty` has ids of items, by benchmark, that the training text is known to hold. Of answers that are written there
    are `samples` to each prompt: one is greedy, several are drawn. Talks are rated by `judge`.
    """

    entries: "Sequence[Entry]"
    records: "Records"
    seed: int = 0
    samples: int = 1
    judge: "Judge | None" = None
    dirty: Mapping[str, Collection[str]] = field(default_factory=dict)


def measure(
    store: "Store", recipe: "Recipe", stage: str | None, exam: Exam, device: str = "cpu", progress: Reporter = SILENT
) -> dict[str, Any]:
    """The facts of every entry, by its key. Each is kept in the run when it is done; what is there already is not
    measured again. The caller holds the run's lock.

    Raises StoreError for a stage that is not done, DataError for records that are missing or broken.
    """
    weights = chosen(store, stage)
    kept = gather(store.root).benchmarks.get(weights.kind, {})
    subject = _Subject(recipe, tokenizer_folder(store), weights, device)
    found: dict[str, Any] = {}
    for entry in exam.entries:
        items = _items(entry, exam)
        dirty = exam.dirty.get(entry.benchmark.name)
        judge = exam.judge and exam.judge.model
        told = [repr(item) for item in items]
        asked = fingerprint([VERSION, entry.form, exam.samples, judge, told, dirty and sorted(dirty), dirty is None])
        if kept.get(entry.key, {}).get("asked") != asked:
            about, marks = _put(entry, items, subject, exam, Named(progress, entry.key))
            facts = {"about": about, **marks.facts(dirty)}
            kept = {**kept, entry.key: {"facts": facts, "asked": asked, "items": marks.columns()}}
            _keep(store, weights, tasks=kept)
        found[entry.key] = kept[entry.key]["facts"]
    return found


def _documents(store: "Store", split: str) -> "Iterator[Document]":
    """The documents of a run's own corpus. Raises StoreError where it has none."""
    from groundup.corpus import refine

    made = store.current().get("corpus")
    if made is None:
        raise StoreError(f"run {store.name!r} has no corpus of its own; ask the run that its model was made in")
    return refine.documents(made.path / "corpus", split)


def _keep(store: "Store", weights: "Artifact", **found: Mapping[str, Any]) -> None:
    """Write what was found of some weights beside what is known of them; what is known of others goes."""
    name = benchmarks_file(weights.kind)
    old = store.read_json(name) if (store.root / name).is_file() else {}
    kept = old if old.get("weights") == weights.fingerprint else {"tasks": {}}
    store.write_json(name, {**kept, "stage": weights.kind, "weights": weights.fingerprint, **found})


def measure_texts(
    store: "Store",
    recipe: "Recipe",
    stage: str | None,
    paths: Sequence[str],
    device: str = "cpu",
    progress: Reporter = SILENT,
) -> dict[str, Any]:
    """Bits per byte of any text that a corpus can be made of; every document is read whole, nothing is filtered.

    Raises DataError where there is none.
    """
    from groundup.corpus.document import Document
    from groundup.corpus.sources._base import open_specs
    from groundup.eval.likelihood import likelihood

    texts = [
        found.text
        for spec in open_specs(list(paths))
        for source in spec.sources
        for shard in source.shards()
        for found in source.read(shard)
        if isinstance(found, Document)
    ]
    weights = chosen(store, stage)
    scorer = open_scorer(recipe, tokenizer_folder(store), weights.path, device)
    model = scorer.model
    measured = likelihood(model, scorer.tokenizer, texts, model.config.length, dtype=scorer.dtype, progress=progress)
    return {"stage": weights.kind, "documents": len(texts), **measured.facts()}


def measure_safety(
    store: "Store", recipe: "Recipe", stage: str | None, seed: int = 0, device: str = "cpu", progress: Reporter = SILENT
) -> dict[str, Any]:
    """What a stage's model recites, tells and swears; kept in the run. The caller holds the run's lock.

    Raises StoreError for a stage that is not done, or a run without a corpus of its own.
    """
    from groundup.eval.safety import examine

    weights = chosen(store, stage)
    training, held_out = ([document.text for document in _documents(store, split)] for split in ("train", "held_out"))
    subject = _Subject(recipe, tokenizer_folder(store), weights, device)
    found = examine(
        subject.pen.engine, subject.scorer.tokenizer, training, held_out, seed=seed, progress=progress
    ).facts()
    _keep(store, weights, safety=found)
    return found


def run_harness(
    store: "Store",
    recipe: "Recipe",
    stage: str | None,
    python: Path,
    order: "Order",
    environment: Mapping[str, str],
    device: str = "cpu",
    progress: Reporter = SILENT,
) -> dict[str, Any]:
    """What lm-evaluation-harness finds of a stage's model. Raises ConfigError and ResourceError as `harness.run`."""
    from groundup.eval import harness

    subject = _Subject(recipe, tokenizer_folder(store), chosen(store, stage), device)
    return harness.run(python, order, subject.scorer, subject.pen, environment, progress)


def contaminated(
    store: "Store", entries: "Sequence[Entry]", records: "LocalRecords", progress: Reporter = SILENT
) -> dict[str, set[str]]:
    """Benchmark -> ids of its items that the run's training text holds, by the rule of `corpus/contamination.py`.

    Raises StoreError for a run without a corpus of its own, DataError for records that are missing or broken.
    """
    from groundup.corpus.contamination import Index
    from groundup.corpus.filters.contamination import Contamination
    from groundup.corpus.sources._walk import label_of

    benchmarks = {entry.benchmark.name: entry.benchmark for entry in entries}
    paths = sorted({path for each in benchmarks.values() for path in records.files(each.place.file)})
    index, near = Index([str(path) for path in paths]), Contamination().near
    found: set[str] = set()
    with progress.task("looking for the items in the training text", unit="documents") as bar:
        for document in _documents(store, "train"):
            hits = index.hits(document.text, near)
            found.update(hits.exact, hits.near)
            bar.advance()
    seen: dict[str, set[str]] = {}
    for name, benchmark in benchmarks.items():
        asked, items = benchmark.asked(records), benchmark.items(records)
        if len(asked) == len(items):  # not for texts, of which one record may hold many
            places = [record.where.rpartition(":") for record in asked]
            named = [f"{label_of(path)} {line}" for path, _, line in places]
            seen[name] = {item.id for item, place in zip(items, named, strict=True) if place in found}
    return seen


def read_contaminated(path: Path) -> dict[str, set[str]]:
    """Benchmark -> ids of its items that the training text is known to hold. Raises DataError with the line."""
    found: dict[str, set[str]] = {}
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; it lists items as {_LISTED}")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            found.setdefault(str(row["task"]), set()).add(str(row["id"]))
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{path}:{number}: not an item; write {_LISTED}, one a line") from None
    return found


def open_scorer(recipe: "Recipe", tokenizer: Path, weights: Path, device: str) -> "ModelScorer":
    """The model of a stage as one that says how likely texts are."""
    from groundup.eval.scorer import ModelScorer
    from groundup.tokenizer._base import load

    model = build_model(recipe, tokenizer, weights, device)
    return ModelScorer(model, load(tokenizer), dtype=autocast_dtype(recipe.precision))


def _items(entry: "Entry", exam: Exam) -> list[Any]:
    """What is asked of one entry."""
    from groundup.eval.published import sample

    return sample(entry.benchmark.items(exam.records), entry.limit, exam.seed)


@dataclass
class _Subject:
    """A stage's model, made into what a benchmark needs when the first one asks for it.

    A model that was taught to talk answers questions as messages; others go on from them as from text.
    """

    recipe: "Recipe"
    tokenizer: Path
    weights: "Artifact"
    device: str

    @cached_property
    def scorer(self) -> "ModelScorer":
        """It says how likely texts are."""
        return open_scorer(self.recipe, self.tokenizer, self.weights.path, self.device)

    @cached_property
    def pen(self) -> "Pen":
        """It writes."""
        from groundup.eval.written import Pen
        from groundup.infer.engine import Engine
        from groundup.tokenizer.chat import Chat

        model, learned = self.scorer.model, self.scorer.tokenizer
        engine = Engine(
            model, rows=ENGINE_ROWS, length=model.config.length, dtype=self.scorer.dtype, table=learned.token_bytes
        )
        return Pen(engine, learned, Chat(learned) if self.weights.kind in TAUGHT else None)


def _put(
    entry: "Entry", items: list[Any], subject: _Subject, exam: Exam, progress: Reporter
) -> "tuple[str, Marks | Read]":
    """What one benchmark is, and what was found. Raises ConfigError for talks that nobody is to rate."""
    from groundup.dialogue import Dialogue
    from groundup.eval.judged import converse, rate
    from groundup.eval.published import choose, read
    from groundup.eval.written import answer
    from groundup.tasks.published._base import MultipleChoice, Talks, Written

    benchmark = entry.benchmark
    marks: Marks | Read
    if isinstance(benchmark, MultipleChoice):
        marks = choose(items, entry.form or benchmark.form, subject.scorer, progress)
    elif isinstance(benchmark, Written):
        marks = answer(items, benchmark, subject.pen, samples=exam.samples, seed=exam.seed, progress=progress)
    elif isinstance(benchmark, Talks):
        if exam.judge is None or subject.pen.chat is None:
            raise ConfigError(
                f"{entry.key} needs a judge (--judge), and weights that were taught to chat (--stage sft)"
            )
        held = converse(items, Dialogue(subject.pen.engine, subject.pen.chat), progress)
        marks = rate(items, held, exam.judge, progress)
    else:
        marks = read(items, subject.scorer, progress)
    return (type(benchmark).__doc__ or "").partition("\n")[0], marks
