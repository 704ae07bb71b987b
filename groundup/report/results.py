"""What came out of a run, in words and in rows: for the table at the end of `run` and for the page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from groundup.report.gather import Run
from groundup.report.units import count, duration, share, size

YARDSTICKS = {"xz": "xz -9e", "ppmd": "PPMd", "ppmd_primed": "PPMd, primed with the training text"}
CLEAN = {"clean": "that the training text does not hold", "dirty": "that it holds"}
TAUGHT = {"sft": "taught to answer", "grpo": "reinforced on arithmetic", "adapt": "adapted to examples"}


@dataclass(frozen=True)
class Result:
    """One measured number with its 95 % interval, what chance gives, and what stands beside it.

    `scale` is the end of the axis that it is drawn on, which begins at 0.
    """

    label: str
    about: str
    unit: Literal["share", "bits"]
    value: float
    low: float
    high: float
    chance: float | None
    measured_on: str
    beside: tuple[str, ...] = ()
    before: float | None = None

    @property
    def scale(self) -> float:
        """The end of the axis."""
        return 1.0 if self.unit == "share" else 8.0

    def text(self, value: float) -> str:
        """A value of this result as it is printed."""
        return share(value) if self.unit == "share" else f"{value:.3f}"

    @property
    def interval(self) -> str:
        """Both ends of the 95 % interval."""
        return f"{self.text(self.low).removesuffix(' %')} to {self.text(self.high)}"


@dataclass(frozen=True)
class Yardstick:
    """What a compressor, or the model, makes of the held-out text, in bits per byte."""

    label: str
    bits: float
    ours: bool = False


def results(run: Run) -> list[Result]:
    """Every result that the evaluation left, the likelihood first."""
    rows = []
    if bits := run.fact("eval", "bits_per_byte"):
        rows.append(_likelihood(run, bits))
    for name, score in (run.fact("eval", "tasks") or {}).items():
        rows.append(_task(name, score))
    if functions := run.fact("eval", "functions"):
        rows.append(_functions("Functions that parse", "the chatbot is given the def line", functions))
        if continued := functions.get("base_model"):
            rows.append(_functions("Functions, base model", "it goes on from the def line as from text", continued))
    several = len(run.benchmarks) > 1
    for stage, tasks in run.benchmarks.items():
        rows += [_published(f"{key} ({stage})" if several else key, kept["facts"]) for key, kept in tasks.items()]
    for stage, found in run.safety.items():
        rows += _safety(stage, found)
    return rows


def yardsticks(run: Run) -> list[Yardstick]:
    """The model among the compressors, the best first; nothing where either was not measured."""
    ours = run.headline_bits_per_byte
    measured: Mapping[str, float] = run.fact("eval", "yardsticks") or {}
    if ours is None or not measured:
        return []
    others = [Yardstick(YARDSTICKS.get(name, name), bits) for name, bits in measured.items() if bits is not None]
    return sorted([Yardstick("this model", ours, ours=True), *others], key=lambda entry: entry.bits)


def parameters_of(run: Run) -> float:
    """The parameters of the run's model; 0 before it is known."""
    return float(run.fact("pretrain", "parameters") or run.fact("import", "parameters") or 0)


def headline(run: Run) -> str:
    """What was built, from what, in what time: as much of it as is known."""
    parameters, n_bytes = parameters_of(run), run.fact("corpus", "bytes")
    what = f"A language model of {_millions(parameters)} parameters" if parameters else "A language model in the making"
    if parameters and {"sft", "adapt"} & run.artifacts.keys():
        what = f"A chatbot of {_millions(parameters)} parameters"
    source = f", built from {size(n_bytes)} of text" if n_bytes else ""
    if parent := run.fact("import", "run"):
        source = f", adapted from {parent} by {run.fact('adapt', 'method') or '...'}"
    return f"{what}{source} in {duration(run.seconds)}." if run.seconds else f"{what}{source}."


def story(run: Run) -> str:
    """The way from text to chat in one sentence."""
    parts = []
    if documents := run.fact("corpus", "documents"):
        parts.append(f"{documents:,} documents")
    if tokens := run.fact("pretrain", "tokens"):
        epochs = run.fact("pretrain", "epochs")
        parts.append(f"{count(tokens)} tokens read" + (f" in {epochs:.1f} passes" if epochs else ""))
    parts += [text for stage, text in TAUGHT.items() if stage in run.artifacts]
    if device := run.fact("pretrain", "device"):
        parts.append(f"on {device}")
    sources = _sources(run)
    return ": ".join(text for text in (sources, ", ".join(parts)) if text) + "." if sources or parts else ""


def expectation(parameters: float) -> str:
    """What a model of that size can do, and what it cannot, in one sentence."""
    if parameters < 1e6:
        ability = "spells most words and keeps a phrase together"
    elif parameters < 2e7:
        ability = "writes sentences that are mostly well formed, and answers the kinds of question it was trained on"
    elif parameters < 3e8:
        ability = "writes paragraphs that hold together, and repeats facts that stood in its text often"
    else:
        ability = "writes fluently, and knows much of what stood in its text"
    return (
        f"A model of {_millions(parameters)} parameters {ability}; it does not reason, it does not know what its text "
        "did not say, and it will say wrong things with confidence."
    )


def _likelihood(run: Run, bits: Mapping[str, Any]) -> Result:
    beside = [f"{entry.label} {entry.bits:.3f}" for entry in yardsticks(run) if not entry.ours]
    if before := bits.get("before"):
        lost = bits["lost"]
        beside.append(
            f"{before['value']:.3f} before adapting: {lost['value']:+.1%} ({lost['low']:+.1%} to {lost['high']:+.1%})"
        )
    n_bytes = bits.get("bytes") or run.fact("corpus", "held_out_bytes")
    return Result(
        "Bits per byte",
        "what the model needs to write held-out text down; less is better",
        "bits",
        **_ends(bits, "value"),
        chance=bits.get("chance", 8.0),
        measured_on=f"{size(n_bytes)} of held-out text" if n_bytes else "held-out text",
        beside=tuple(beside),
    )


def _task(name: str, score: Mapping[str, Any]) -> Result:
    beside = []
    before = score.get("before")
    if before:
        drawn = [
            f"{key.replace('pass_at_', 'pass@')} {share(at['value'])}" for key, at in before.items() if "pass" in key
        ]
        beside.append(", ".join([f"{share(before['score'])} before {before.get('what', 'GRPO')}", *drawn]))
    if cut := score.get("errors_cut"):
        beside.append(f"errors cut by {share(cut['value'])} ({share(cut['low'])} to {share(cut['high'])})")
    if margin := score.get("margin"):
        beside.append(f"by {margin['value']:.2f} nats ({margin['low']:.2f} to {margin['high']:.2f})")
    if judge := score.get("judge"):
        beside.append(f"the judge is right on {share(judge['value'])} of held-out replies")
    if went := score.get("divergence"):
        old, new = score["reward_before"]["value"], score["reward"]["value"]
        beside.append(f"mean reward {old:.2f} before, {new:.2f} now; {went['value']:.2f} nats a reply away from it")
    if ended := score.get("ended"):
        beside.append(f"{share(ended['value'])} of replies end by themselves")
    return Result(
        name.replace("_", " ").capitalize(),
        score.get("about", ""),
        "share",
        **_ends(score, "score"),
        chance=score.get("chance"),
        measured_on=f"{score['n']:,} held-out {score.get('unit', 'questions')}" if "n" in score else "",
        beside=tuple(beside),
        before=before["score"] if before else None,
    )


def _functions(label: str, how: str, score: Mapping[str, Any]) -> Result:
    beside = []
    if real := score.get("real"):
        beside.append(f"{share(real['value'])} of the real functions, by the same rule")
    if "median_lines" in score and "real_median_lines" in score:
        beside.append(f"median {score['median_lines']:g} lines, the real ones {score['real_median_lines']:g}")
    return Result(
        label,
        f"{how}; an empty, endless or repeated body fails",
        "share",
        **_ends(score, "score"),
        chance=score.get("chance"),
        measured_on=f"{score['n']:,} held-out functions" if "n" in score else "",
        beside=tuple(beside),
    )


def _published(label: str, score: Mapping[str, Any]) -> Result:
    """What a published benchmark found: the form that counts, and the others beside it."""
    others = {form: value for form, value in score.get("forms", {}).items() if form != score["form"]}
    beside = [f"{form.replace('_', ' ')} {share(value)}" for form, value in others.items()]
    if bits := score.get("right_bits_per_byte"):
        beside.append(f"{bits['value']:.3f} bits per byte of the right answers")
    if perplexity := score.get("word_perplexity"):
        beside.append(f"perplexity {perplexity:,.1f} a word")
    for part in ("clean", "dirty"):
        if part in score and not score[part]["n"]:
            beside.append(f"none {CLEAN[part]}")
        elif part in score:
            beside.append(f"{share(score[part]['value'])} of the {score[part]['n']:,} {CLEAN[part]}")
    beside += [f"pass@{k} {share(at['value'])}" for k, at in score.get("pass_at", {}).items()]
    if cut := score.get("cut"):
        beside.append(f"{cut:,} questions were longer than the context")
    return Result(
        label,
        score.get("about", ""),
        "bits" if score["form"] == "bits_per_byte" else "share",
        **_ends(score, "score"),
        chance=score.get("chance"),
        measured_on=f"{score['n']:,} items, {score['form'].replace('_', ' ')}",
        beside=tuple(beside),
    )


def _safety(stage: str, found: Mapping[str, Any]) -> list[Result]:
    """What a stage's model recites, tells and swears: less is better in all three."""
    control = found["recited_held_out"]
    given, copied = found["tokens"]
    drawn = f"{found['samples']:,} samples from nothing, temperature 1"
    recited = Result(
        f"Recited training text ({stage})",
        f"shown {given} tokens of it, the next {copied} come word for word",
        "share",
        **_ends(found["recited"], "value"),
        chance=None,
        measured_on=f"{found['stretches']:,} stretches",
        beside=(f"{share(control['value'])} of text that it never saw",) if control else (),
    )
    personal = Result(
        f"Samples with personal data ({stage})",
        "addresses, numbers of telephones and cards, keys: what looks like them",
        "share",
        **_ends(found["personal"], "value"),
        chance=None,
        measured_on=drawn,
        beside=(f"{found['leaked']:,} such pieces stand in the training text",),
    )
    profane = Result(
        f"Samples with foul words ({stage})",
        "two words and one in a hundred from C4's list",
        "share",
        **_ends(found["profane"], "value"),
        chance=None,
        measured_on=drawn,
        beside=(),
    )
    return [recited, personal, profane]


def _ends(score: Mapping[str, Any], key: str) -> dict[str, float]:
    value = float(score[key])
    return {"value": value, "low": float(score.get("low", value)), "high": float(score.get("high", value))}


def _sources(run: Run) -> str:
    """What the text came from, without weights and without the folders that it lies in."""
    specs = [re.sub(r"=[\d.]+$", "", str(spec)) for spec in run.setting("data.text") or ()]
    names = ["the Python standard library" if spec == "python" else Path(spec).name or spec for spec in specs]
    text = ", ".join(names[:-1]) + (" and " if names[1:] else "") + "".join(names[-1:])
    return text[:1].upper() + text[1:]


def _millions(parameters: float) -> str:
    """A count of parameters as people say it: 3.2 million."""
    for unit, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if parameters >= unit:
            return f"{parameters / unit:.3g} {word}"
    return f"{parameters:.0f}"
