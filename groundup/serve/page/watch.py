"""How a run goes, worked out from its files: where it is, how long it takes still, its curves, what happened."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from groundup.report.chart import Series, chart
from groundup.report.gather import Row, Run
from groundup.report.page import series
from groundup.report.units import count, duration, share, size

STAGES = ("corpus", "tokenizer", "tokens", "pretrain", "sft", "grpo", "eval", "report")
ADAPTING = ("import", "reference", "replies", "adapt", "eval", "report")
TRAINED = {"pretrain": "train", "sft": "sft", "grpo": "grpo", "adapt": "adapt"}
"""The stages that train, and the section of the recipe that each reads."""

LIVE_SECONDS = 120
"""A run that was not written to for so long is not looked for among the processes."""

SPIKE_STEPS, SPIKE_DEVIATIONS = 64, 6.0
"""A loss is a spike if it is so many standard deviations above the mean of so many steps before."""


@dataclass(frozen=True)
class Curve:
    """One chart: a field of each step, what it is called, its unit."""

    title: str
    field: str
    unit: str
    from_zero: bool = True


CURVES: Mapping[str, Sequence[Curve]] = {
    "pretrain": (
        Curve("Loss", "loss", "nats per token", from_zero=False),
        Curve("Bits per byte", "bits", "on training text", from_zero=False),
    ),
    "sft": (Curve("Loss", "loss", "nats per token", from_zero=False),),
    "adapt": (Curve("Loss", "loss", "of the objective", from_zero=False), Curve("Reward", "reward", "mean of a step")),
    "grpo": (Curve("Reward", "reward", "mean of a step"), Curve("Length of replies", "length", "tokens")),
}
MACHINE = (
    Curve("Learning rate", "lr", "of the optimizer"),
    Curve("Gradient norm", "grad_norm", "before clipping"),
    Curve("Throughput", "tokens_per_second", "tokens per second"),
    Curve("MFU", "mfu", "share of the matmul rate"),
)


def holder(root: Path) -> psutil.Process | None:
    """The process that holds a run for writing, if there is one."""
    lock = str((root / "lock").resolve())
    for process in psutil.process_iter(["cmdline"]):
        try:
            ours = "groundup" in " ".join(process.info["cmdline"] or ())
            if ours and any(file.path == lock for file in process.open_files()):
                return process
        except psutil.Error:
            continue  # gone, or not ours to look at
    return None


def stages_of(run: Run) -> list[str]:
    """The stages that a run has or will have, in order."""
    if not any(setting.field.startswith("adapt.") for setting in run.settings):
        return [*(("import",) if "import" in run.artifacts else ()), *STAGES]
    always = {"import", "adapt", "eval", "report"}
    return [stage for stage in ADAPTING if stage in always or stage in run.artifacts]


def stage_of(run: Run) -> str:
    """The stage of training that was written to last; none yet: pretrain."""
    files = [run.root / "metrics" / f"{stage}.jsonl" for stage in TRAINED]
    there = [file for file in files if file.is_file()]
    return max(there, key=lambda file: file.stat().st_mtime).stem if there else "pretrain"


def bits_per_byte(run: Run, loss: float) -> float | None:
    """A loss in nats per token of the run's tokenizer, as bits per byte of text."""
    per_token = run.fact("tokenizer", "bytes_per_token")
    return loss / math.log(2) / per_token if per_token else None


def numbers(run: Run, stage: str) -> list[Row]:
    """The rows of a stage, with `bits` where they can be had."""
    rows = run.metrics(stage)
    if stage == "pretrain" and run.fact("tokenizer", "bytes_per_token"):
        rows = [row | {"bits": bits_per_byte(run, row["loss"])} if "loss" in row else row for row in rows]
    return rows


def last_step(run: Run, stage: str) -> int | None:
    """The step with which a stage will end, where that is known by now."""
    knots = [row["knots"] for row in run.journal if row.get("stage") == stage and row.get("knots")]
    steps = run.setting(f"{TRAINED[stage]}.steps")
    return int(knots[-1][-1][0]) if knots else steps if isinstance(steps, int) else None


def seconds_left(run: Run, stage: str, rows: Sequence[Row]) -> float | None:
    """For the stage: by its last step where that is known, else by the forecast."""
    if not rows:
        return None
    used, step = float(rows[-1].get("seconds", 0.0)), int(rows[-1]["step"])
    end = last_step(run, stage)
    if end is not None and step:
        return max(0.0, (end - step) * used / step)
    expected = run.forecast.get("seconds", {}).get(stage)
    return None if expected is None else max(0.0, float(expected) - used)


def figures_now(run: Run, stage: str, rows: Sequence[Row], process: psutil.Process | None) -> list[tuple[str, str]]:
    """What stands above the curves: a figure and what it is. Without a process the run rests."""
    if not rows:
        return []
    last, end = rows[-1], last_step(run, stage)
    found = [(f"{last['step']:,}", f"step of {end:,}" if end and process else "step")]
    for field, label, write in (
        ("loss", "nats per token", lambda value: f"{value:.3f}"),
        ("bits", "bits per byte", lambda value: f"{value:.3f}"),
        ("reward", "reward", share),
        ("tokens_per_second", "tokens per second", count),
        ("mfu", "MFU", share),
    ):
        value = last.get(field)
        if isinstance(value, int | float) and not (field == "loss" and stage == "grpo"):
            found.append((write(value), label))
    planned = run.forecast.get("memory_bytes")
    if process is not None:
        with process.oneshot():
            found.append((size(process.memory_info().rss), f"memory, {size(planned)} planned" if planned else "memory"))
        left = seconds_left(run, stage, rows)
        found.append((duration(left) if left is not None else "?", f"left of {stage}"))
    else:
        found.append((duration(last.get("seconds", 0.0)), "took"))
    return found


def curves(runs: Sequence[Run], stage: str) -> list[tuple[str, list[str], str]]:
    """Title, names of the lines and drawing of each chart: of one run with what was held out, of several together."""
    rows = {run.name: numbers(run, stage) for run in runs}
    drawn = []
    for curve in (*CURVES[stage], *MACHINE):
        lines = [series(rows[run.name], curve.field, run.name) for run in runs]
        if len(runs) == 1 and curve.field == "loss":
            lines = [series(rows[runs[0].name], "loss", "training")]
            lines.append(series(runs[0].metrics(f"{stage}_probe"), "value", "held out"))
        shown: list[Series] = [line for line in lines if len(line.x) > 1]
        if svg := chart(shown, x_label="step", y_label=curve.unit, from_zero=curve.from_zero):
            drawn.append((curve.title, [line.label for line in shown] if len(lines) > 1 else [], svg))
    return drawn


def spikes(rows: Sequence[Row]) -> list[int]:
    """Steps whose loss stood out far above those before; of several in a row the first."""
    losses = [(row["step"], float(row["loss"])) for row in rows if isinstance(row.get("loss"), int | float)]
    found: list[int] = []
    for at in range(SPIKE_STEPS, len(losses)):
        before = [loss for _, loss in losses[at - SPIKE_STEPS : at]]
        mean = sum(before) / SPIKE_STEPS
        deviation = math.sqrt(sum((loss - mean) ** 2 for loss in before) / SPIKE_STEPS)
        step, loss = losses[at]
        if loss > mean + SPIKE_DEVIATIONS * max(deviation, 1e-9) and (not found or step - found[-1] > SPIKE_STEPS):
            found.append(step)
    return found


def events(run: Run, stage: str, rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """What happened in a stage, the last first: its kind, at which step, and a sentence."""
    found: list[tuple[int, str, str]] = [(step, "spike", "the loss stood out") for step in spikes(rows)]
    for row in run.journal:
        if row.get("stage") != stage:
            continue
        if row.get("event") == "begun":
            found.append((0, "begun", "the stage began"))
        elif row.get("event") == "saved":
            found.append((row["step"], "checkpoint", "everything is saved: a kill loses nothing before this"))
        elif row.get("event") == "shortened":
            found.append((0, "shortened", "held-out loss no longer fell, so the stage ends early"))
    if moved := [row["knots"] for row in run.journal if row.get("stage") == stage and row.get("knots")]:
        text = f"the learning rate falls to its end at step {moved[-1][-1][0]:,}"
        again = f", moved {len(moved) - 1:,} times as the clock said" if len(moved) > 1 else ""
        found.append((int(moved[0][0][0]), "schedule", text + again))
    ordered = sorted(found, key=lambda each: each[0], reverse=True)
    return [(kind, f"{step:,}" if step else "", text) for step, kind, text in ordered]
