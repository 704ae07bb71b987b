"""The lineage of a run's artifacts, drawn as a graph beside a list: each node below those it was made from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from groundup.config import leaves
from groundup.report.gather import Run
from groundup.report.units import count, duration, share, size
from groundup.store import Artifact

ROW = 58  # pixels; the page's rows are as high (page.css, --row)
NODE = 6
BEND = 9  # how far an edge leaves the spine for each row that it passes


@dataclass(frozen=True)
class Node:
    """One artifact as the page lists it."""

    stage: str
    summary: str
    fingerprint: str
    seconds: str
    size: str
    files: str


def nodes(run: Run) -> list[Node]:
    """The run's artifacts, in the order in which they were made."""
    return [_node(stage, artifact) for stage, artifact in run.artifacts.items()]


def drawing(run: Run) -> str:
    """The SVG of the edges between parents and children; a row of it belongs to a row of `nodes`."""
    artifacts = list(run.artifacts.values())
    rows = {artifact.fingerprint: row for row, artifact in enumerate(artifacts)}
    edges = [
        (rows[parent], row) for row, artifact in enumerate(artifacts) for parent in artifact.parents if parent in rows
    ]
    widest = max((below - above for above, below in edges), default=1)
    spine = NODE + 2 + max(0, widest - 1) * BEND
    paths = "".join(_edge(spine, above, below) for above, below in edges)
    dots = "".join(f'<circle class="node" cx="{spine}" cy="{_middle(row)}" r="{NODE}"/>' for row in range(len(rows)))
    width, height = spine + NODE + 4, len(artifacts) * ROW
    return (
        f'<svg class="lineage" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'aria-hidden="true">{paths}{dots}</svg>'
    )


def summary(stage: str, facts: Mapping[str, Any]) -> str:
    """The two or three facts of a stage that a reader looks for first."""
    known = leaves(facts)
    told = [(known.get(field), write) for field, write in SUMMARIES.get(stage, {}).items()]
    return ", ".join(write(value) for value, write in told if isinstance(value, int | float))


SUMMARIES: Mapping[str, Mapping[str, Callable[[Any], str]]] = {
    "import": {"parameters": lambda value: f"{count(value)} parameters"},
    "corpus": {"documents": lambda value: f"{value:,} documents", "bytes": size},
    "tokenizer": {
        "vocab_size": lambda value: f"vocabulary {value:,}",
        "bytes_per_token": lambda value: f"{value:.2f} bytes per token",
    },
    "tokens": {
        "tokens": lambda value: f"{count(value)} tokens",
        "held_out_tokens": lambda value: f"{count(value)} held out",
    },
    "pretrain": {"steps": lambda value: f"{value:,} steps", "loss": lambda value: f"loss {value:.3f}"},
    "sft": {"steps": lambda value: f"{value:,} steps", "held_out_loss": lambda value: f"held-out loss {value:.3f}"},
    "grpo": {
        "steps": lambda value: f"{value:,} steps",
        "reward_first": lambda value: f"reward {share(value)} at first",
        "reward_last": lambda value: f"{share(value)} at last",
    },
    "replies": {"train.questions": lambda value: f"best replies to {value:,} questions"},
    "reference": {"train": lambda value: f"{value:,} preferences"},
    "adapt": {
        "examples": lambda value: f"{value:,} examples",
        "steps": lambda value: f"{value:,} steps",
        "held_out.loss": lambda value: f"held-out loss {value:.3f}",
    },
    "eval": {"bits_per_byte.value": lambda value: f"{value:.3f} bits per byte"},
}


def _node(stage: str, artifact: Artifact) -> Node:
    files = [file for file in artifact.path.rglob("*") if file.is_file()]
    return Node(
        stage=stage,
        summary=summary(stage, artifact.facts),
        fingerprint=artifact.fingerprint,
        seconds=duration(artifact.seconds),
        size=size(sum(file.stat().st_size for file in files)),
        files=f"artifacts/{artifact.path.name}",
    )


def _edge(spine: float, above: int, below: int) -> str:
    """A straight line to the next row, else a bend to the left that is wider the more rows it passes."""
    start, end = _middle(above), _middle(below)
    if below - above == 1:
        return f'<path class="edge" d="M{spine} {start}V{end}"/>'
    out = spine - (below - above - 1) * BEND * 4 / 3  # a cubic goes out three quarters of the way to its handles
    return f'<path class="edge" d="M{spine} {start}C{out:.1f} {start} {out:.1f} {end} {spine} {end}"/>'


def _middle(row: int) -> int:
    return row * ROW + ROW // 2
