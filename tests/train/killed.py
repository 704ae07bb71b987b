"""Training that is killed again and again: a process of its own, which forks one for each attempt and ends it.

    python killed.py FOLDER PLACE...      a moment of a save and which of them (`flushed:2`), or seconds (`0.4`)

At `behind:N` the N-th save hangs once its file is written, and the loop is ended while it trains on. After each kill
the newest checkpoint must be whole. Prints, as JSON, the digests of the weights of a run that nobody killed and of this
one, the attempts that a kill ended, and the notices of damage.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from groundup.events import Silent
from groundup.train import checkpoint
from groundup.train.drive import drive
from groundup.train.saving import Keep
from groundup.train.schedule import Wsd
from train import toy

STEPS, SAVE_STEPS = 40, 2
HANG_SECONDS = 0.05


class Heard(Silent):
    """Remembers what was noticed."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        """Kept."""
        self.texts.append(text)


def die_at(place: str) -> Callable[[str], None]:
    """What ends this process when the moment has come."""
    moment, _, count = place.partition(":")
    seen = 0

    def passing(now: str) -> None:
        nonlocal seen
        seen += now == ("written" if moment == "behind" else moment)
        if seen < int(count):
            return
        if moment == "behind":
            time.sleep(HANG_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    return passing


def train(folder: Path, keep: Keep) -> None:
    """A small run with dropout, to its end; its digest is written when it gets there."""
    net = toy.model()
    net.norm = nn.Sequential(net.norm, nn.Dropout(0.1))
    trainer = toy.trainer(of=net, schedule=Wsd(STEPS, 2, 0.5), rows_each=4, accumulate=2)
    drive(trainer, stage="toy", keep=keep, peak=0.01, note=lambda **entry: None)
    digest = hashlib.sha256(b"".join(weight.detach().numpy().tobytes() for weight in net.parameters()))
    (folder / "digest").write_text(digest.hexdigest())


def attempt(folder: Path, place: str | None) -> bool:
    """Train in a process of its own; was it killed?"""
    timed = place is not None and ":" not in place
    passing = die_at(place) if place and not timed else lambda moment: None
    child = os.fork()
    if child == 0:
        try:
            train(folder, Keep(folder / "kept", steps=SAVE_STEPS, passing=passing))
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    ended, found = 0, 0
    if timed:
        until = time.monotonic() + float(place or 0)
        while not ended and time.monotonic() < until:
            ended, found = os.waitpid(child, os.WNOHANG)
            time.sleep(0.002)
        if not ended:
            os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(found if ended else os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    return status != 0


def main() -> None:
    """One run to its end, and one that is killed at each place in turn."""
    folder, *places = sys.argv[1:]
    torch.set_num_threads(1)
    whole, killed, heard = Path(folder) / "whole", Path(folder) / "killed", Heard()
    for path in (whole, killed):
        path.mkdir(parents=True)
    assert not attempt(whole, None)
    kills = 0
    for place in places:
        kills += attempt(killed, place)
        checkpoint.load(killed / "kept", heard)
        if (killed / "digest").exists():
            assert (killed / "digest").read_text() == (whole / "digest").read_text()
            shutil.rmtree(killed)
            killed.mkdir()
    attempt(killed, None)
    digests = [(path / "digest").read_text() for path in (whole, killed)]
    print(json.dumps({"digests": digests, "kills": kills, "heard": heard.texts}))


if __name__ == "__main__":
    main()
