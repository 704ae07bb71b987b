"""The model card: what the model is, how to open it, what the check of the export found."""

import json

import groundup
from groundup.formats._base import Bundle, Format
from groundup.formats.parity import Parity

FRONT = """---
library_name: transformers
pipeline_tag: text-generation
tags: [groundup]
---
"""
"""What model hubs read; the licence is the owner's to name."""


def card(format: Format, bundle: Bundle, parity: Parity) -> str:
    """The text of `README.md`."""
    config = bundle.model.config
    parameters = sum(weight.numel() for weight in bundle.model.parameters())
    shape = {"parameters": f"{parameters:,}", "vocabulary": f"{bundle.model.vocab_size:,}"}
    shape |= {key: json.dumps(value) for key, value in config.explicit().tree().items()}
    parts = [
        f"# {bundle.name}",
        f"A {config.name} language model of {parameters:,} parameters, exported by groundup "
        f"{groundup.__version__}; these are the weights of its {bundle.stage} stage.",
        bundle.about,
        "## How to open it",
        format.usage(bundle),
        "## Shape",
        _table(("field", "value"), shape),
        "## Checked",
        f"Before this folder was handed over it was read again by {parity.reader} and compared with the model that it "
        "was written from:",
        _table(("compared", "found"), {what: _figure(value) for what, value in parity.figures.items()}),
        "Settings of the export: " + (", ".join(f"{key} {value}" for key, value in format.tree().items()) or "none"),
    ]
    return FRONT + "\n" + "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _table(head: tuple[str, str], rows: dict[str, str]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {value} |" for what, value in rows.items())])


def _figure(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
