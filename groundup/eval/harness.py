"""EleutherAI's lm-evaluation-harness on a model of ours: it runs in its own environment, and asks through a pipe.

Its interface has three methods: how likely is this after that, how likely is this text, go on from this. Each arrives
as a line of JSON with all its requests, so that they are batched as our own benchmarks are.
"""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from groundup.errors import ConfigError, ResourceError
from groundup.eval.scorer import Scorer
from groundup.eval.written import Pen
from groundup.events import SILENT, Named, Reporter

PEER = Path(Path(__file__).parent, "_lm_eval.py")
MOST = 256
"""Tokens of a reply where the harness names no number (its own default)."""


@dataclass(frozen=True)
class Order:
    """What the harness is to run: its tasks by name, those of the folders in `include` among them."""

    tasks: Sequence[str]
    include: Sequence[Path] = ()
    shots: int | None = None
    limit: int | None = None


def run(
    python: Path,
    order: Order,
    scorer: Scorer,
    pen: Pen,
    environment: Mapping[str, str],
    progress: Reporter = SILENT,
) -> dict[str, Any]:
    """What the harness found: `results` by task, as it names them. `python` is that of an environment with lm-eval.

    Raises ConfigError for a python that is not there, ResourceError where the harness itself fails.
    """
    if not python.is_file():
        raise ConfigError(f"{python}: there is no such python; name that of an environment with lm-eval")
    asked = {
        "tasks": list(order.tasks), "include": [str(folder.resolve()) for folder in order.include] or None,
        "shots": order.shots, "limit": order.limit,
    }  # fmt: skip
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [str(python), "-X", "utf8", str(PEER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            text=True, encoding="utf-8", env=dict(environment),
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        try:
            _say(process.stdin, asked)
            for line in process.stdout:
                message = json.loads(line)
                if "results" in message:
                    return dict(message)
                _say(process.stdin, _answers(message["ask"], message["requests"], scorer, pen, progress))
        except BrokenPipeError:
            pass  # it has ended, and said why on its standard error
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        errors.seek(0)
        last = [line for line in errors.read().splitlines() if line.strip()][-1:] or ["it said nothing"]
    raise ResourceError(f"lm-eval failed: {last[0][:500]}; try the same tasks with {python} -m lm_eval")


def _say(stream: IO[str], value: Any) -> None:
    stream.write(json.dumps(value) + "\n")
    stream.flush()


def _answers(ask: str, requests: list[Any], scorer: Scorer, pen: Pen, progress: Reporter) -> list[Any]:
    """The answers to one question of the harness."""
    named = Named(progress, f"lm-eval, {ask}")
    if ask == "loglikelihood":
        groups = [[(given, said) for given, said in group] for _, group in groupby(requests, key=lambda pair: pair[0])]
        return [(said.logp, said.greedy) for row in scorer.score(groups, named) for said in row]
    if ask == "rolling":
        return [-nats for nats in scorer.read(requests, named)]
    return _written(requests, pen, named)


def _written(requests: list[Any], pen: Pen, progress: Reporter) -> list[str]:
    """Replies, those that are asked for alike together."""
    kinds: dict[str, list[int]] = {}
    for place, (_, settings) in enumerate(requests):
        kinds.setdefault(json.dumps(settings, sort_keys=True), []).append(place)
    replies = [""] * len(requests)
    for kind, places in kinds.items():
        settings = json.loads(kind)
        until = settings.get("until") or []
        temperature = float(settings.get("temperature") or 0.0) if settings.get("do_sample") else 0.0
        told = pen.write(
            [requests[place][0] for place in places],
            most=int(settings.get("max_gen_toks") or MOST),
            until=[until] if isinstance(until, str) else until,
            temperature=temperature,
            progress=progress,
        )
        for place, reply in zip(places, told, strict=True):
            replies[place] = reply
    return replies
