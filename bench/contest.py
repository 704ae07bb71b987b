"""Contestants in turn: every round holds each of them once, in another order, and ratios are taken within a round.

A contestant is a process of its own (`players/`), so that each has its own libraries, allocator and threads. It waits
without work while the others play. What slows the machine for a while then slows all of them alike.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from groundup.errors import ResourceError
from groundup.events import SILENT, Reporter

OURS = "groundup"
PLAYERS = Path(__file__).parent / "players"
TAIL = 600
"""Characters of a failed contestant's last words that are shown."""


@dataclass(frozen=True)
class Player:
    """A contestant: the file of `players/` that it runs, and with what."""

    name: str
    script: str
    settings: Mapping[str, Any]
    python: Path = Path(sys.executable)
    environment: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False
    """A new process for every round: where what was seen before must not count."""


@dataclass(frozen=True)
class Floor:
    """The best that the machine could do, in the unit of the contest, and what that is reckoned from."""

    value: float
    words: str


@dataclass(frozen=True)
class Contest:
    """One comparison. The first player is ours; `value` of an answer is in `unit`."""

    title: str
    unit: str
    players: Sequence[Player]
    more_is_better: bool = True
    floor: Floor | None = None
    same: str = ""
    """The part of an answer that must be the same for all players: the ids that a text became."""


@dataclass(frozen=True)
class Outcome:
    """What one player did, round by round."""

    name: str
    answers: Sequence[Mapping[str, Any]]
    failure: str = ""
    """Why it is left out."""

    @property
    def values(self) -> list[float]:
        """The value of each round."""
        return [float(answer["value"]) for answer in self.answers]


@dataclass(frozen=True)
class Result:
    """What a contest came to; the first outcome is ours."""

    contest: Contest
    outcomes: Sequence[Outcome]

    def ratios(self, other: Outcome) -> list[float]:
        """How many times as good ours was as another in each round both played; above 1 is ours."""
        pairs = zip(self.outcomes[0].values, other.values, strict=False)
        return [ours / theirs if self.contest.more_is_better else theirs / ours for ours, theirs in pairs]

    def share(self, outcome: Outcome) -> float | None:
        """The share of the floor that a player reached, at its median."""
        floor = self.contest.floor
        if floor is None or not outcome.answers:
            return None
        middle = median(outcome.values)
        return middle / floor.value if self.contest.more_is_better else floor.value / middle

    def differing(self) -> list[str]:
        """The players whose answers are not ours, where they have to be."""
        key = self.contest.same
        ours = {answer.get(key) for answer in self.outcomes[0].answers}
        return [each.name for each in self.outcomes if key and {answer.get(key) for answer in each.answers} - ours]

    def facts(self) -> dict[str, Any]:
        """Everything, as plain values."""
        floor = self.contest.floor
        return {
            "title": self.contest.title,
            "unit": self.contest.unit,
            "more_is_better": self.contest.more_is_better,
            "differing": self.differing(),
            "floor": None if floor is None else {"value": floor.value, "words": floor.words},
            "players": [
                {
                    "name": each.name,
                    "failure": each.failure,
                    **({} if each.failure else spread(each.values)),
                    "share_of_floor": self.share(each),
                    "times": spread(self.ratios(each)) if each is not self.outcomes[0] and each.answers else None,
                    "answers": [dict(answer) for answer in each.answers],
                }
                for each in self.outcomes
            ],
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most.

    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'low': 1.0, 'high': 3.0}
    """
    return {"median": median(values), "low": min(values), "high": max(values)}


def hold(contest: Contest, repeats: int, log: Path, progress: Reporter = SILENT) -> Result:
    """Let every player play `repeats` rounds in turn.

    A peer that fails is left out from then on, and the result says why. Raises ResourceError when ours does. What the
    players print goes to a file of their own in the folder `log`.
    """
    players = list(contest.players)
    answers: dict[str, list[Mapping[str, Any]]] = {player.name: [] for player in players}
    failures: dict[str, str] = {}
    with ExitStack() as stack, progress.task(contest.title, total=repeats * len(players), unit="rounds") as bar:
        seats = {player.name: _Seat(player, log) for player in players}
        for seat in seats.values():
            stack.callback(seat.stop)
        for turn in range(repeats):
            for player in players[turn % len(players) :] + players[: turn % len(players)]:
                if player.name in failures:
                    continue
                try:
                    answers[player.name].append(seats[player.name].round())
                except _PlayerError as error:
                    if player is players[0]:
                        raise ResourceError(f"{contest.title}: our own contestant failed: {error}") from None
                    failures[player.name] = str(error)
                    progress.notice(f"{contest.title}: {player.name} is left out: {error}")
                bar.advance()
    outcomes = [Outcome(player.name, answers[player.name], failures.get(player.name, "")) for player in players]
    return Result(contest, outcomes)


class _PlayerError(Exception):
    """A contestant's process ended, or did not answer."""


class _Seat:
    """A player's process: started when it first plays, or for every round."""

    def __init__(self, player: Player, log: Path) -> None:
        self._player = player
        self._log = log / (player.name.replace(" ", "-") + ".log")
        self._process: subprocess.Popen[str] | None = None

    def round(self) -> Mapping[str, Any]:
        """The answer to one round. Raises _PlayerError with the player's last words."""
        if self._process is None:
            self._start()
        answer = self._ask("play\n")
        if self._player.fresh:
            self.stop()
        return answer

    def stop(self) -> None:
        """End the process, if there is one; it ends by itself when it is sent no more."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _start(self) -> None:
        with self._log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [str(self._player.python), str(PLAYERS / self._player.script), json.dumps(dict(self._player.settings))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **self._player.environment},
                text=True,
            )
        self._ask(None)

    def _ask(self, words: str | None) -> Mapping[str, Any]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        with suppress(BrokenPipeError):
            if words is not None:
                process.stdin.write(words)
                process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            process.wait()
            said = self._log.read_text(encoding="utf-8", errors="replace")[-TAIL:].strip()
            raise _PlayerError(f"it ended with {process.returncode}: ... {said or 'without a word'} ({self._log})")
        answer: Mapping[str, Any] = json.loads(line)
        return answer
