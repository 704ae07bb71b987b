"""Run by torchrun: a stage on several ranks that is killed, hurt or left alone, to its end.

    torchrun --max-restarts N ... driven.py FOLDER LAYOUT PLACE ...

In its n-th life a rank is hit as the n-th PLACE says: RANK:MOMENT:NUMBER (SIGKILL in the NUMBER-th save of that life),
RANK:SECONDS (SIGKILL), RANK:flip:STEP (a bit of its weights changes) or RANK:stop:STEP (SIGSTOP); then all are left
alone. At the end the first rank prints a line of JSON.
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from groundup.events import Silent
from groundup.mesh import Mesh, local
from groundup.parallel.layout import spread
from groundup.parallel.settings import Parallel
from groundup.train import checkpoint
from groundup.train.checkpoint import MOMENTS
from groundup.train.drive import drive
from groundup.train.feeds.conversations import Conversations
from groundup.train.objectives.likelihood import Likelihood
from groundup.train.saving import Keep
from groundup.train.schedule import Wsd
from groundup.train.trainer import Trainer, backward
from parallel.cases import LAYOUTS, built, optimizer
from train import toy
from train.killed import die_at

STEPS, SAVE, STALL = 30, 3, 6.0
ROWS = 24
"""Of a step: 2, 4 and 6 ranks divide them."""
NOBODY = "none"


class Out(Silent):
    """Notices go to standard error."""

    def notice(self, text: str) -> None:
        """Printed."""
        sys.stderr.write(f"{text}\n")

    def record(self, stage: str, step: int, **numbers: float) -> None:
        """Printed: how far it is, and how well."""
        sys.stderr.write(f"step {step} {numbers['loss']:.12g}\n")


def hit(place: str, rank: int, trainer: Trainer) -> tuple[Callable[[str], None], Callable[[], Mapping[str, float]]]:
    """What this rank suffers: in a save, and between two steps."""
    who, _, what = place.partition(":")
    moment, _, number = what.partition(":")
    if place == NOBODY or int(who) != rank:
        return lambda moment: None, dict
    if moment in (*MOMENTS, "behind"):
        return die_at(what), dict
    if moment not in ("flip", "stop"):
        threading.Timer(float(moment), os.kill, (os.getpid(), signal.SIGKILL)).start()
        return lambda moment: None, dict

    def between() -> Mapping[str, float]:
        if trainer.done == int(number) and moment == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if trainer.done == int(number) and moment == "flip" and not flipped:
            flipped.append(True)
            weight = local(next(weight for weight in trainer.model.parameters() if weight.dim() == 1)).detach()
            weight.view(torch.int64).view(-1)[0] ^= 1 << 40
        return {}

    flipped: list[bool] = []
    return lambda moment: None, between


def main(folder: Path, layout: str, places: list[str]) -> None:
    """See the module."""
    torch.set_num_threads(1)
    life = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    mesh = Mesh.from_environment()
    model = built("qwen3", torch.float64)
    roles = model.roles()
    laid = spread(model, Parallel(**LAYOUTS.get(mesh.world, {}).get(layout, {"zero": 3})), mesh, backward)
    ranks, each = laid.mesh.size(*laid.mesh.data_axes), ROWS // laid.mesh.size(*laid.mesh.data_axes)
    micro = max(1, each // 4)
    feed = Conversations(toy.rows(64), micro, 0, rank=laid.mesh.place(*laid.mesh.data_axes), world=ranks)
    trainer = Trainer(
        laid.model, feed, Likelihood(), optimizer("muon", torch.float64).build(laid.model, roles), Wsd(STEPS, 3, 0.5),
        accumulate=each // micro, mesh=laid.mesh, backward=laid.backward,
    )  # fmt: skip
    passing, between = hit(places[life] if life < len(places) else NOBODY, mesh.rank, trainer)
    rows: list[dict[str, Any]] = []
    begun = time.perf_counter()
    driven = drive(
        trainer, stage="toy", keep=Keep(folder, steps=SAVE, passing=passing), peak=0.01, progress=Out(),
        note=lambda **row: rows.append(row), extra=between, stall_seconds=STALL,
    )  # fmt: skip
    mesh.wait()
    weights = laid.mesh.collect(checkpoint.weights(laid.model))
    if mesh.first:
        digest = hashlib.sha256(b"".join(weights[name].numpy().tobytes() for name in sorted(weights))).hexdigest()
        faults = [row for row in rows if row["event"] == "fault"]
        told = {"digest": digest, "lives": life + 1, "faults": faults, "replicas": driven.replicas, "ranks": mesh.world}
        print(json.dumps({**told, "seconds": time.perf_counter() - begun}), flush=True)
    mesh.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
