"""The rows that are asked for, one after the other: `groundup bench` calls `run`, and draws what comes back."""

import importlib
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contest import Contest, Result, hold
from bench.peers import find
from bench.rows._base import Ground, Row
from groundup.config import parse_pairs
from groundup.errors import ConfigError, nearest
from groundup.events import SILENT, Reporter
from groundup.report.chart import Series, chart

ROWS = Path(__file__).parent / "rows"
CSS = Path(__file__).parents[1] / "groundup" / "report" / "page.css"


def names() -> list[str]:
    """Every row: the files of `rows/`."""
    return sorted(path.stem.replace("_", "-") for path in ROWS.glob("*.py") if not path.stem.startswith("_"))


def summary(name: str) -> str:
    """What a row measures, in a line."""
    return (importlib.import_module(_module(name)).__doc__ or "").partition("\n")[0]


def read(words: Sequence[str]) -> list[Row]:
    """The rows that words name, with the settings of `ROW.FIELD=VALUE`. Raises ConfigError for what is neither."""
    asked = [word for word in words if "=" not in word]
    tree = parse_pairs(word for word in words if "=" in word)
    for name in (*asked, *tree):
        if name not in names():
            raise ConfigError(f"there is no row {name!r}; {nearest(name, names())}")
    for name in tree:
        if name not in asked:
            raise ConfigError(f"{name}: there is a setting for it, and the row is not asked for; add {name}")
    rows = []
    for name in asked:
        (kind,) = (
            value
            for value in vars(importlib.import_module(_module(name))).values()
            if isinstance(value, type) and issubclass(value, Row) and value.__module__ == _module(name)
        )
        given = tree.get(name, {})
        if not isinstance(given, dict):
            raise ConfigError(f"{name}={given!r} is not a setting; write it as {name}.FIELD=VALUE")
        try:
            rows.append(kind.from_tree(given))
        except ConfigError as error:
            raise ConfigError(f"{name}.{error}") from None
    return rows


def run(
    rows: Sequence[Row], peers: Sequence[str], repeats: int, cache: Path, logs: Path, progress: Reporter = SILENT
) -> list[Result]:
    """Hold every contest of the rows. `cache` keeps the peers' environments, `logs` what players print.

    Raises ConfigError for a peer that none of the rows knows, and what `find` and `hold` raise.
    """
    known = {name for row in rows for name in row.knows}
    for word in peers:
        name = word.partition("=")[0]
        if name not in known:
            raise ConfigError(f"--peer {name}: these rows have no such peer; {nearest(name, known)}")
    found = find(peers, cache, progress)
    logs.mkdir(parents=True, exist_ok=True)
    results = []
    for row in rows:
        with tempfile.TemporaryDirectory(prefix="groundup-bench-") as folder:
            ground = Ground({name: found[name] for name in row.knows if name in found}, Path(folder), progress)
            for contest in row.contests(ground):
                results.append(hold(contest, repeats, logs, progress))
    return results


def facts(results: Sequence[Result], repeats: int) -> dict[str, Any]:
    """All results as plain values, with the machine and the day."""
    return {
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"processor": _processor(), "system": platform.platform(), "python": platform.python_version()},
        "repeats": repeats,
        "results": [result.facts() for result in results],
    }


def plot(results: Sequence[Result]) -> str:
    """A page of charts: the value of each round of each player, by round."""
    parts = []
    for result in results:
        contest = result.contest
        drawn = [each for each in result.outcomes if len(each.values) > 1]
        lines = [Series(each.name, range(1, len(each.values) + 1), each.values, dots=True) for each in drawn]
        picture = chart(lines, x_label="round", y_label=contest.unit, from_zero=True)
        keys = ", ".join(f"{number + 1}: {each.name}" for number, each in enumerate(drawn))
        parts.append(f"<h2>{contest.title}</h2>\n<p>{keys}</p>\n{picture}\n<pre>{table(contest, result)}</pre>")
    style = CSS.read_text(encoding="utf-8")
    title = "groundup bench"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
        f"</head><body><main><h1>{title}</h1>{''.join(parts)}</main></body></html>\n"
    )


def table(contest: Contest, result: Result) -> str:
    """A contest as lines of text: median and spread, how many times ours, the share of the floor."""
    told = result.facts()
    floor = told["floor"]
    lines = [contest.title] + ([f"  floor {_short(floor['value'])} {contest.unit}: {floor['words']}"] if floor else [])
    for player in told["players"]:
        if "median" not in player:
            lines.append(f"  {player['name']:<28} left out: {player['failure'].splitlines()[0][:80]}")
            continue
        line = f"  {player['name']:<28} {_short(player['median']):>9} {contest.unit}"
        line += f"  ({_short(player['low'])} to {_short(player['high'])})"
        if times := player["times"]:
            line += f"  ours {times['median']:.2f}x ({times['low']:.2f} to {times['high']:.2f})"
        if player["share_of_floor"] is not None:
            line += f"  {player['share_of_floor']:.1%} of the floor"
        last = player["answers"][-1]
        line += "".join(f"  {key} {last[key]:.4f}" for key in ("loss", "told") if last.get(key) is not None)
        lines.append(line)
    if told["differing"]:
        lines.append(f"  NOT THE SAME {contest.same} as ours: {', '.join(told['differing'])}")
    return "\n".join(lines)


def _module(name: str) -> str:
    return f"bench.rows.{name.replace('-', '_')}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _processor() -> str:
    from groundup.plan.machine import processor

    return processor()
