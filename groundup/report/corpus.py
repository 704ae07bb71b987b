"""What became of the text that went in, step by step: for the report of a run, and for a page of a corpus alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from groundup.report.histogram import histogram
from groundup.report.units import size

# What is written for the steps that are no filters.
STEPS = {
    "unread": "could not be read",
    "lost": "crashed or hung its worker",
    "exact": "exact copies",
    "near": "near copies",
    "spans": "passages that stood before",
    "rewritten": "taken out by filters that rewrite",
}
MEASURES = {"bytes": "size", "quality": "quality", "toxicity": "toxicity"}
LAYERS = ("kept", "removed")
LANGUAGES, DOMAINS = 20, 20


@dataclass(frozen=True)
class Step:
    """A step of the funnel: what it took (documents, bytes), what is left behind it, and that as shares of the whole.

    `kind` is "out" where something was taken, "ours" for what is left in the end.
    """

    label: str
    took: str
    documents: int
    bytes: int
    part: float
    part_bytes: float
    kind: str = ""


@dataclass(frozen=True)
class Shape:
    """A histogram that is drawn."""

    title: str
    svg: Markup


@dataclass(frozen=True)
class Reason:
    """Why documents were removed: how many, how their values lie about the bar (heights 0 to 1), and examples."""

    name: str
    documents: int
    bytes: int
    margins: Sequence[float] = ()
    examples: Sequence[Mapping[str, Any]] = field(default=())


@dataclass(frozen=True)
class Cleaning:
    """All of it, ready to be printed."""

    funnel: list[Step]
    shapes: list[Shape]
    languages: list[tuple[str, str, str, float]]
    domains: list[tuple[str, str, float]]
    contamination: list[tuple[str, int, int, int]]
    reasons: list[Reason]


def cleaning(facts: Mapping[str, Any], folder: Path | None) -> Cleaning | None:
    """What the facts of a corpus say, with examples from its folder; None where they tell of no funnel."""
    if not facts.get("funnel"):
        return None
    return Cleaning(
        funnel(facts),
        shapes(facts.get("histograms") or {}),
        languages(facts),
        _shares(facts.get("domains") or {}, facts["documents"] + facts["held_out_documents"])[:DOMAINS],
        [
            (name, found["items"], found["before"], found["after"])
            for name, found in (facts.get("contamination") or {}).items()
        ],
        reasons(facts, _examples(folder)),
    )


def funnel(facts: Mapping[str, Any]) -> list[Step]:
    """From all that was read down to what is learnt from."""
    first, *others = facts["funnel"]
    held = {"step": "held out for evaluation", "documents": facts["held_out_documents"]}
    whole, whole_bytes = max(1, first["documents"]), max(1, first["bytes"])
    left, left_bytes = first["documents"], first["bytes"]
    steps = [Step("read", "", left, left_bytes, 1.0, 1.0)]
    for row in [*others, {**held, "bytes": facts["held_out_bytes"]}]:
        left, left_bytes = left - row["documents"], left_bytes - row["bytes"]
        documents = f"−{row['documents']:,} documents" if row["documents"] else ""
        took = ", ".join(filter(None, (documents, f"−{size(row['bytes'])}" if row["bytes"] else ""))) or "none"
        label = STEPS.get(row["step"], row["step"])
        steps.append(Step(label, took, left, left_bytes, left / whole, left_bytes / whole_bytes, "out"))
    steps.append(Step("learnt from", "", left, left_bytes, left / whole, left_bytes / whole_bytes, "ours"))
    return steps


def shapes(histograms: Mapping[str, Any]) -> list[Shape]:
    """The histograms: of sizes, and of what classifiers said."""
    drawn = []
    for measure, name in MEASURES.items():
        if found := histograms.get(measure):
            told = _bound if measure == "bytes" else lambda bound: f"{bound:g}"
            layers = [found[layer] for layer in LAYERS]
            svg = histogram(found["edges"], layers, names=LAYERS, x_label=_axis(measure), told=told)
            drawn.append(Shape(f"Documents by {name}", Markup(svg)))
    return drawn


def languages(facts: Mapping[str, Any]) -> list[tuple[str, str, str, float]]:
    """Code, documents, bytes and share of the documents of each language that was found, the most frequent first."""
    whole = facts["documents"] + facts["held_out_documents"]
    sizes = facts.get("language_bytes") or {}
    found = [
        (code, f"{n:,}", size(sizes.get(code, 0)), n / max(1, whole))
        for code, n in list((facts.get("languages") or {}).items())[:LANGUAGES]
    ]
    unknown = whole - sum((facts.get("languages") or {}).values())
    if found and unknown:
        left = facts["bytes"] + facts["held_out_bytes"] - sum(sizes.values())
        found.append(("none that is sure", f"{unknown:,}", size(left), unknown / max(1, whole)))
    return found


def reasons(facts: Mapping[str, Any], examples: Mapping[str, Any]) -> list[Reason]:
    """Every reason, the most frequent first."""
    margins = facts.get("margins") or {}
    return [
        Reason(
            name.replace("_", " "),
            n,
            facts["removed_bytes"].get(name, 0),
            _heights(margins.get(name, ())),
            [_example(row) for row in examples.get(name, ())],
        )
        for name, n in sorted(facts["removed"].items(), key=lambda item: (-item[1], item[0]))
    ]


def _example(row: Mapping[str, Any]) -> dict[str, str]:
    """What is shown of a removed document: its name, the numbers that decided, how it begins."""
    bar = f"{row['value']:.4g}, the bar is {row['threshold']:.4g}" if row["value"] or row["threshold"] else ""
    copy = f"copy of {row['duplicate_of']}" if row["duplicate_of"] else ""
    why = "; ".join(filter(None, (bar, copy, row["detail"] or "")))
    return {"id": row["id"], "why": why, "text": row["text"] or ""}


def _heights(counts: Sequence[int]) -> list[float]:
    """The counts between MARGINS as heights, the highest 1; nothing where all lie in one part."""
    return [n / max(counts) for n in counts] if sum(map(bool, counts)) > 1 else []


def _examples(folder: Path | None) -> Mapping[str, Any]:
    path = folder and folder / "examples.json"
    if path is None or not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _shares(counts: Mapping[str, int], whole: int) -> list[tuple[str, str, float]]:
    return [(name, f"{n:,}", n / max(1, whole)) for name, n in counts.items()]


def _axis(measure: str) -> str:
    return "bytes" if measure == "bytes" else "probability"


def _bound(bytes_: float) -> str:
    """A size in powers of two, as short as it can be.

    >>> _bound(512), _bound(65536)
    ('512', '64 Ki')
    """
    for unit, letter in ((1 << 30, " Gi"), (1 << 20, " Mi"), (1 << 10, " Ki")):
        if bytes_ >= unit:
            return f"{bytes_ / unit:g}{letter}"
    return f"{bytes_:g}"
