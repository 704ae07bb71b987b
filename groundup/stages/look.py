"""Published benchmarks looked at while a model trains: a few items of each, a dozen times a stage."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from groundup.errors import ConfigError
from groundup.stages._work import Work

if TYPE_CHECKING:
    import torch

    from groundup.models._base import Model
    from groundup.recipe import Training

Glimpse = Callable[[int], None]
SEED = 0
"""Of the items: the same for every stage and run."""


def looker(
    work: Work, settings: "Training", model: "Model", dtype: "torch.dtype | None", also: Glimpse | None
) -> Glimpse | None:
    """What is called with the step: it does what `also` does and looks at the benchmarks of `settings.look`, if any.

    Scores go to the metrics as `STAGE_tasks` and to the run's journal, from where `scores_seen` has them. Raises
    ConfigError for benchmarks whose answers are written (they take too long), DataError for records that are not there.
    """
    if settings.look is None:
        return also
    from pathlib import Path

    from groundup.eval.published import Marks, choose, read, sample
    from groundup.eval.scorer import ModelScorer
    from groundup.tasks.published._base import MultipleChoice, Texts
    from groundup.tasks.published._records import HubRecords, LocalRecords
    from groundup.tasks.published._sets import entries
    from groundup.tokenizer._base import load

    asked, folders = settings.look, tuple(Path(folder).expanduser() for folder in settings.look.data)
    records = LocalRecords(folders) if folders else HubRecords()
    items: list[tuple[Any, list[Any]]] = []
    for entry in entries(",".join(asked.tasks)):
        if not isinstance(entry.benchmark, MultipleChoice | Texts):
            raise ConfigError(f"look.tasks: the answers of {entry.key!r} are written; choose some that are told apart")
        items.append((entry, sample(entry.benchmark.items(records), asked.items, SEED)))
    learned = load(work.path("tokenizer" if "tokenizer" in work.needs else "import"))
    scorer = ModelScorer(model, learned, dtype=dtype)

    def look(step: int) -> None:
        if also is not None:
            also(step)
        found = {}
        for entry, own in items:
            chosen = isinstance(entry.benchmark, MultipleChoice)
            marks = choose(own, entry.form or entry.benchmark.form, scorer) if chosen else read(own, scorer)
            facts = marks.facts()
            found[entry.key] = facts["score"]
            if isinstance(marks, Marks) and "right_bits_per_byte" in facts:
                found[f"{entry.key}, bits"] = facts["right_bits_per_byte"]["value"]
        work.events.record(f"{work.name}_tasks", step, **found)
        work.note(event="look", step=step, scores=found)

    return look


def scores_seen(work: Work) -> dict[str, Any]:
    """The fact `looks`, where there is something: of each benchmark pairs of step and score, a kill or not."""
    rows = {row["step"]: row["scores"] for row in work.noted("look")}
    names = dict.fromkeys(name for scores in rows.values() for name in scores)
    seen = {name: [[step, rows[step][name]] for step in sorted(rows) if name in rows[step]] for name in names}
    return {"looks": seen} if seen else {}
