"""A run in Markdown, for the model card that goes out with its weights: what it is, was measured at, and came from."""

from collections.abc import Sequence

from groundup.report.gather import Run
from groundup.report.lineage import summary
from groundup.report.results import expectation, headline, parameters_of, results, story
from groundup.report.units import duration


def about(run: Run) -> str:
    """The sections of a model card that a run's own facts fill; those without facts are left out."""
    parts = [_beginning(run), headline(run) if {"pretrain", "adapt"} & run.artifacts.keys() else "", story(run)]
    if parameters := parameters_of(run):
        parts.append(expectation(parameters))
    if measured := results(run):
        rows = [
            (
                f"{each.label}: {each.about}",
                each.text(each.value),
                each.interval,
                "" if each.chance is None else each.text(each.chance),
                each.measured_on,
            )
            for each in measured
        ]
        parts += ["## Measured", _table(("what", "value", "95 % interval", "chance", "on"), rows)]
    if run.artifacts:
        steps = [
            (stage, summary(stage, artifact.facts), f"`{artifact.fingerprint}`", duration(artifact.seconds))
            for stage, artifact in run.artifacts.items()
        ]
        parts += ["## Where it comes from", _table(("stage", "made", "fingerprint", "time"), steps)]
    return "\n\n".join(part for part in parts if part)


def _beginning(run: Run) -> str:
    """Where the weights were first made."""
    if parent := run.fact("import", "run"):
        return f"It began as the model of the run `{parent}`, as its stage {run.fact('import', 'stage')} left it."
    if folder := run.fact("import", "folder"):
        return f"It began as an import of `{folder}`, a {run.fact('import', 'architecture')} made elsewhere."
    return "It was trained from the ground up: no weights of others went into it."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
