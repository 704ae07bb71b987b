"""One self-contained page about a run: results, a conversation, plots, recipe, lineage. It asks for nothing outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from groundup.report import lineage, results, units
from groundup.report.chart import Series, chart
from groundup.report.corpus import Cleaning, cleaning
from groundup.report.gather import Row, Run, gather

MOMENTS = 6  # of learning that the page quotes samples from


@dataclass(frozen=True)
class Plot:
    """One chart of the page: lines that share an axis, each a field of a file of `metrics/`, and its label."""

    title: str
    y_label: str
    lines: Sequence[tuple[str, str, str]]
    from_zero: bool = False


TRAINING, HELD_OUT = "training", "held out"
PLOTS = (
    Plot("Pretraining loss", "nats per token",
         [("pretrain", "loss", TRAINING), ("pretrain_probe", "value", HELD_OUT)]),
    Plot("Learning rate", "of the stage's optimizer", [("pretrain", "lr", "learning rate")], from_zero=True),
    Plot("Throughput", "tokens per second", [("pretrain", "tokens_per_second", "tokens per second")], from_zero=True),
    Plot("Gradient norm", "before clipping", [("pretrain", "grad_norm", "gradient norm")], from_zero=True),
    Plot("Learning to answer (SFT)", "nats per token", [("sft", "loss", TRAINING), ("sft_probe", "value", HELD_OUT)]),
    Plot("Reinforcement (GRPO)", "mean reward of a step", [("grpo", "reward", "reward")], from_zero=True),
    Plot("Adapting", "loss", [("adapt", "loss", TRAINING), ("adapt_probe", "value", HELD_OUT)]),
)  # fmt: skip
DENSE = 60  # points from which a line is noisy enough to be drawn with its trend; measurements now and then get dots


@dataclass(frozen=True)
class Figure:
    """A drawn chart, its title and the names of its lines."""

    title: str
    names: Sequence[str]
    svg: Markup


@dataclass(frozen=True)
class Share:
    """One stage's part of the time."""

    stage: str
    text: str
    part: float


def page(run: Run) -> str:
    """The page as HTML text. Parts whose numbers are not there are left out."""
    parameters = results.parameters_of(run)
    return _template("page.html.jinja").render(
        run=run,
        title=run.name,
        style=Markup(style()),
        headline=results.headline(run),
        story=results.story(run),
        expectation=results.expectation(parameters) if parameters else "",
        results=results.results(run),
        yardsticks=results.yardsticks(run),
        settings_of_yardsticks=run.fact("eval", "yardstick_settings") or {},
        conversation=run.fact("eval", "conversation") or [],
        replies=run.fact("eval", "samples") or [],
        figures=figures(run),
        moments=moments(run.samples),
        shares=shares(run),
        inputs=inputs(run),
        faults=[(stage, fault) for stage, facts in run.facts().items() for fault in facts.get("faults", [])],
        cleaning=_cleaning(run),
        nodes=lineage.nodes(run),
        drawing=Markup(lineage.drawing(run)),
        units=units,
    )


def corpus_page(name: str, facts: Mapping[str, Any], folder: Path) -> str:
    """The page about a corpus that was built by itself: its facts, and examples out of its folder, as HTML text."""
    kept, n_bytes = (facts[field] + facts[f"held_out_{field}"] for field in ("documents", "bytes"))
    return _template("corpus_page.html.jinja").render(
        title=name,
        style=Markup(style()),
        headline=f"{kept:,} documents, {units.size(n_bytes)} of text, out of {facts['funnel'][0]['documents']:,}.",
        cleaning=cleaning(facts, folder),
        units=units,
    )


def style() -> str:
    """The style sheet, for others that look alike."""
    return _resource("page.css")


def write(root: Path, path: Path) -> None:
    """Write the page about the run in the folder `root` to the file `path`."""
    path.write_text(page(gather(root)), encoding="utf-8")


def figures(run: Run) -> list[Figure]:
    """Every chart for which there are numbers."""
    drawn = []
    for plot in PLOTS:
        lines = [line for stage, field, label in plot.lines if (line := series(run.metrics(stage), field, label)).x]
        svg = chart(lines, x_label="step", y_label=plot.y_label, from_zero=plot.from_zero)
        if svg:
            drawn.append(Figure(plot.title, [line.label for line in lines], Markup(svg)))
    return drawn


def moments(samples: Sequence[Row]) -> list[list[Row]]:
    """What the model wrote at a few moments, evenly spread from first to last; samples of one moment together."""
    grouped: dict[tuple[Any, int], list[Row]] = {}
    for sample in samples:
        grouped.setdefault((sample.get("stage"), sample["step"]), []).append(sample)
    every = list(grouped.values())
    if len(every) <= MOMENTS:
        return every
    return [every[round(at * (len(every) - 1) / (MOMENTS - 1))] for at in range(MOMENTS)]


def shares(run: Run) -> list[Share]:
    """Where the time went, stage by stage."""
    total = run.seconds or 1.0
    return [
        Share(stage, units.duration(artifact.seconds), artifact.seconds / total)
        for stage, artifact in run.artifacts.items()
    ]


def inputs(run: Run) -> list[tuple[str, str]]:
    """What went in: figures of corpus and tokenizer, as pairs of a name and a text."""
    rows: list[tuple[str, str]] = []
    if documents := run.fact("corpus", "documents"):
        rows.append(("Learnt from", f"{documents:,} documents, {units.size(run.fact('corpus', 'bytes') or 0)}"))
    if held_out := run.fact("corpus", "held_out_documents"):
        rows.append(("Held out", f"{held_out:,} documents, {units.size(run.fact('corpus', 'held_out_bytes') or 0)}"))
    if vocab_size := run.fact("tokenizer", "vocab_size"):
        rows.append(("Vocabulary", f"{vocab_size:,} tokens"))
    if ours := run.fact("tokenizer", "bytes_per_token"):
        beside = run.fact("tokenizer", "gpt2_bytes_per_token")
        rows.append(("Bytes per token", f"{ours:.2f}" + (f" (GPT-2: {beside:.2f})" if beside else "")))
    if tokens := run.fact("tokens", "tokens"):
        rows.append(("Training tokens", units.count(tokens)))
    for source in run.fact("corpus", "sources") or []:
        if isinstance(source, Mapping) and "sha256" in source:
            text = f"{source.get('interpreter', '')}, {units.size(source.get('source_bytes', 0))}"
            rows.append((f"Source {source.get('label', '')}", f"{text}, sha256 {source['sha256'][:16]}…"))
    return rows


def series(rows: Sequence[Row], field: str, label: str) -> Series:
    """One field of the numbers of a stage over its steps; rows without it are left out."""
    having = [row for row in rows if isinstance(row.get(field), int | float)]
    x, y = [row["step"] for row in having], [row[field] for row in having]
    dense = len(having) >= DENSE
    return Series(label, x, y, trend=dense and field != "lr", dots=not dense)


def _cleaning(run: Run) -> Cleaning | None:
    """What became of the run's text; None before that is known."""
    artifact = run.artifacts.get("corpus")
    return cleaning(artifact.facts, artifact.path / "corpus") if artifact else None


@cache
def _template(name: str) -> Any:
    # Strict: a name that the template misspells is a bug, not an empty place. Autoescape: texts come from anywhere.
    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _resource(name: str) -> str:
    return files("groundup.report").joinpath(name).read_text(encoding="utf-8")
