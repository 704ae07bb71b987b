"""What came of a build, in numbers: counted batch by batch, added up, and laid out as the facts of a report."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

from groundup.corpus.contamination import CONTAMINATED, by_set, index
from groundup.corpus.filters.contamination import Contamination
from groundup.corpus.settings import Corpus
from groundup.corpus.sources._base import Opened
from groundup.corpus.tables import EXACT, LOST, NEAR, SPANS, UNREAD

HELD_OUT, TRAIN = "held_out", "train"
# What filters took out of documents that stay, and no ledger holds.
REWRITTEN = "rewritten"
EXAMPLES, EXCERPT, SHOWN_DETAILS = 20, 240, 20
# How far a value lies from its bar, as a multiple of it: the edges between the counts of a margin.
MARGINS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
KEPT, REMOVED = "kept", "removed"
# Labels that are shares: counted in 20 equal parts.
SHARES, PARTS = ("quality", "toxicity"), 20


@dataclass(slots=True)
class Tally:
    """What came of some batches.

    `documents` and `bytes` are by (source, split) of what is kept, `removed` and `removed_bytes` by (source, reason) of
    the ledger's rows; `steps` and `step_bytes` by what removed it, documents as a whole alone. `read` counts all that
    was found, `read_bytes` its text. `languages` and `domains` are of what is kept; `shapes` counts (measure, kept or
    removed, part): a size by its power of two, a share by its twentieth; `margins` counts (reason, place between
    MARGINS). `masked` are places where personal data stood, `contaminated` the items of evaluation sets that were
    found, `examples` of each reason the rows whose ids have the smallest hashes: a sample that depends on no order.
    """

    documents: Counter[tuple[str, str]] = field(default_factory=Counter)
    bytes: Counter[tuple[str, str]] = field(default_factory=Counter)
    removed: Counter[tuple[str, str]] = field(default_factory=Counter)
    removed_bytes: Counter[tuple[str, str]] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    step_bytes: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    language_bytes: Counter[str] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)
    shapes: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    margins: Counter[tuple[str, int]] = field(default_factory=Counter)
    contaminated: set[str] = field(default_factory=set)
    examples: dict[str, list[tuple[int, dict[str, Any]]]] = field(default_factory=dict)
    read: int = 0
    read_bytes: int = 0
    masked: int = 0
    repaired: int = 0
    details: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take in another batch's numbers."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter | set):
                mine.update(theirs)
            elif each.name != "examples":
                setattr(self, each.name, mine + theirs)
        for reason, rows in other.examples.items():
            self.examples[reason] = _fewest([*self.examples.get(reason, []), *rows])

    def keep(self, row: Mapping[str, Any], split: str) -> None:
        """Count a document that is kept."""
        self._come(row)
        self.documents[row["source"], split] += 1
        self.bytes[row["source"], split] += row["bytes"]
        self.repaired += row["repaired"]
        self.masked += row["masked"] or 0
        self._shape(row, KEPT)
        if row["language"]:
            self.languages[row["language"]] += 1
            self.language_bytes[row["language"]] += row["bytes"]
        if domain := urlsplit(row["url"] or "").netloc:
            self.domains[domain] += 1

    def remove(self, row: Mapping[str, Any]) -> None:
        """Count a row of the ledger: a document, or a passage that was cut out of one (its `read_bytes` are None)."""
        self._come(row)
        reason = row["reason"]
        self.removed[row["source"], reason] += 1
        self.removed_bytes[row["source"], reason] += row["bytes"]
        self.step_bytes[row["step"]] += row["bytes"]
        if row["read_bytes"] is not None:
            self.steps[row["step"]] += 1
            self._shape(row, REMOVED)
        if row["threshold"]:
            self.margins[reason, bisect_right(MARGINS, row["value"] / row["threshold"])] += 1
        if reason == CONTAMINATED:
            self.contaminated.update(row["detail"].split("; "))
        elif row["detail"]:
            self.details = [*self.details, row["detail"]][:SHOWN_DETAILS]
        self._exemplify(row)

    def _come(self, row: Mapping[str, Any]) -> None:
        if row["read_bytes"] is not None:
            self.read += 1
            self.read_bytes += row["read_bytes"]

    def _shape(self, row: Mapping[str, Any], fate: str) -> None:
        if row["step"] not in (UNREAD, LOST):
            self.shapes["bytes", fate, row["bytes"].bit_length()] += 1
        for name in SHARES:
            if (share := row[name]) is not None:
                self.shapes[name, fate, min(PARTS - 1, int(share * PARTS))] += 1

    def _exemplify(self, row: Mapping[str, Any]) -> None:
        """Let the row be an example of its reason where its hash is among the smallest."""
        held = self.examples.setdefault(row["reason"], [])
        order = crc32(row["id"].encode())
        if len(held) == EXAMPLES and order > held[-1][0]:
            return
        told = {name: row[name] for name in ("id", "source", "value", "threshold", "detail", "duplicate_of")}
        text = " ".join((row["text"] or "")[: 2 * EXCERPT].split())[:EXCERPT]
        self.examples[row["reason"]] = _fewest([*held, (order, {**told, "text": text})])


def examples_of(tally: Tally) -> dict[str, list[dict[str, Any]]]:
    """Of each reason up to twenty removed rows, drawn evenly, by id: what it was, its numbers, how it begins."""
    return {
        reason: sorted((row for _, row in rows), key=lambda row: str(row["id"]))
        for reason, rows in sorted(tally.examples.items())
    }


def facts_of(opened: Sequence[Opened], settings: Corpus, tally: Tally) -> dict[str, Any]:
    """The numbers that the report prints."""

    def of(counter: Counter[tuple[str, str]], split: str, label: str | None = None) -> int:
        return sum(count for (source, key), count in counter.items() if key == split and label in (None, source))

    removals = sorted(tally.removed.items())
    sources = [
        {
            "label": each.label,
            "spec": each.spec,
            "weight": each.weight,
            "documents": of(tally.documents, TRAIN, each.label),
            "bytes": of(tally.bytes, TRAIN, each.label),
            "held_out_documents": of(tally.documents, HELD_OUT, each.label),
            "held_out_bytes": of(tally.bytes, HELD_OUT, each.label),
            "removed": {reason: count for (source, reason), count in removals if source == each.label},
        }
        | {name: value for source in each.sources for name, value in source.facts().items()}
        for each in opened
    ]
    return {
        "documents": of(tally.documents, TRAIN),
        "bytes": of(tally.bytes, TRAIN),
        "held_out_documents": of(tally.documents, HELD_OUT),
        "held_out_bytes": of(tally.bytes, HELD_OUT),
        "repaired": tally.repaired,
        "masked": tally.masked,
        "removed": _by_reason(tally.removed),
        "removed_bytes": _by_reason(tally.removed_bytes),
        "funnel": _funnel(settings, tally),
        "histograms": _histograms(tally),
        "margins": {
            reason: [tally.margins[reason, place] for place in range(len(MARGINS) + 1)]
            for reason in sorted({reason for reason, _ in tally.margins})
        },
        "contamination": _contamination(settings, tally),
        "languages": dict(tally.languages.most_common()),
        "language_bytes": dict(tally.language_bytes.most_common()),
        "domains": dict(tally.domains.most_common(SHOWN_DETAILS)),
        "unreadable": tally.details[:SHOWN_DETAILS],
        "sources": sources,
    }


def _funnel(settings: Corpus, tally: Tally) -> list[dict[str, Any]]:
    """What each step removed, in their order, behind what was read: documents as a whole, and bytes with passages."""
    dedup = settings.dedup
    steps = [UNREAD, LOST, *(each.name for each in settings.filters), EXACT]
    steps += [NEAR] * (dedup.near > 0) + [SPANS] * (dedup.spans > 0)
    steps += sorted(tally.steps)
    rows = [
        {"step": step, "documents": tally.steps[step], "bytes": tally.step_bytes[step]} for step in dict.fromkeys(steps)
    ]
    rows = [row for row in rows if row["step"] not in (UNREAD, LOST) or row["documents"]]
    left = tally.read_bytes - tally.step_bytes.total() - tally.bytes.total()
    if left:
        rows.append({"step": REWRITTEN, "documents": 0, "bytes": left})
    return [{"step": "read", "documents": tally.read, "bytes": tally.read_bytes}, *rows]


def _histograms(tally: Tally) -> dict[str, dict[str, Any]]:
    """How many documents were kept and removed by size, and by the shares that they were labelled with.

    `edges` are the bounds of the counts: bytes, or shares.
    """
    found = {}
    for measure in ("bytes", *SHARES):
        places = [place for name, _, place in tally.shapes if name == measure]
        if places:
            first, last = (min(places), max(places)) if measure == "bytes" else (0, PARTS - 1)
            bounds = range(first, last + 2)
            edges = [2**place // 2 for place in bounds] if measure == "bytes" else [place / PARTS for place in bounds]
            counts = {
                fate: [tally.shapes[measure, fate, place] for place in range(first, last + 1)]
                for fate in (KEPT, REMOVED)
            }
            found[measure] = {"edges": edges, **counts}
    return found


def _contamination(settings: Corpus, tally: Tally) -> dict[str, dict[str, int]]:
    """Of each evaluation set that was looked for: its items, and how many the corpus held before and holds after."""
    found = by_set(tally.contaminated)
    return {
        label: {"items": items, "before": found.get(label, 0), "after": 0}
        for each in settings.filters
        if isinstance(each, Contamination)
        for label, items in index(each.sets).sizes.items()
    }


def _by_reason(removals: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Removals of all sources together."""
    total: dict[str, int] = {}
    for (_, reason), count in sorted(removals.items()):
        total[reason] = total.get(reason, 0) + count
    return total


def _fewest(rows: list[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
    return sorted(rows, key=lambda each: (each[0], str(each[1]["id"])))[:EXAMPLES]
