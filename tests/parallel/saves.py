"""Run by torchrun: a small model saved in one layout and gone on with in others, and on one process.

    torchrun ... saves.py FOLDER LAYOUT ...      names of `cases.LAYOUTS`, and `one`

Each layout saves after SAVED steps; each takes up each of these. The first rank prints a line of JSON for each pair:
how far the next losses are apart at most (relative), whether the global batches were the same (by hash), whether the
weights were the same to the bit, and how far the running mean and the best weights are apart at most.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from groundup.mesh import Mesh
from groundup.optim._average import averaged, take_up
from groundup.optim._best import keep_best, take_best, with_best
from groundup.parallel.layout import spread
from groundup.parallel.settings import Parallel
from groundup.train import checkpoint
from groundup.train.batch import Batch
from groundup.train.feeds.conversations import Conversations
from groundup.train.objectives.likelihood import Likelihood
from groundup.train.saving import Checkpoints, Keep
from groundup.train.schedule import Wsd
from groundup.train.trainer import Trainer, backward
from parallel.cases import LAYOUTS, ROWS, built, optimizer
from train import toy

SAVED, MORE = 6, 20
DTYPE = torch.float64


class Seen(Conversations):
    """Rows of conversations, and the ids of those that were handed out."""

    ids: list[list[list[int]]]

    def __iter__(self) -> Iterator[Batch]:
        """As always."""
        self.ids = []
        for batch in super().__iter__():
            self.ids.append(batch.tokens.tolist())
            yield batch


def trainer(layout: str, mesh: Mesh) -> tuple[Trainer, Seen]:
    """A fresh one, in a layout; `one` is this process by itself."""
    model, way, ranks = built("qwen3", DTYPE), backward, 1
    roles = model.roles()
    if layout == "one":
        mesh = Mesh()
    else:
        laid = spread(model, Parallel(**LAYOUTS[mesh.world][layout]), mesh, backward)
        model, mesh, way = laid.model, laid.mesh, laid.backward
        ranks = mesh.size(*mesh.data_axes)
    each = ROWS // ranks
    micro = max(1, each // 4)
    feed = Seen(toy.rows(64), micro, 0, rank=mesh.place(*mesh.data_axes), world=ranks)
    made = Trainer(
        model, feed, Likelihood(), averaged(with_best(optimizer("muon", DTYPE).build(model, roles)), 0.9),
        Wsd(SAVED + MORE, 3, 0.5),
        accumulate=each // micro, mesh=mesh, backward=way,
    )  # fmt: skip
    return made, feed


def rest(made: Trainer, feed: Seen) -> tuple[list[float], str, list[dict[str, Any]]]:
    """The losses of the steps that are left, a hash of their global batches; the weights at the end, mean and best."""
    seen = len(getattr(feed, "ids", []))
    losses = [float(log.metrics["loss"]) for log in made.run()]
    mesh, ids = made.mesh, feed.ids[seen:]
    told: list[Any] = [(mesh.place(*mesh.data_axes), ids)]
    if mesh.world > 1:
        told = [None] * mesh.world
        distributed.all_gather_object(told, (mesh.place(*mesh.data_axes), ids))
    by_rank = dict(told)
    order = [by_rank[rank][micro] for micro in range(len(ids)) for rank in sorted(by_rank)]
    digest = hashlib.sha256(json.dumps([row for batch in order for row in batch]).encode()).hexdigest()
    ends = []
    for take in (None, take_up, take_best):
        if take is not None:
            take(made.optimizer)
        ends.append({name: value.clone() for name, value in mesh.collect(checkpoint.weights(made.model)).items()})
    return losses, digest, ends


def main(folder: Path, layouts: list[str]) -> None:
    """See the module."""
    torch.set_num_threads(1)
    mesh = Mesh.from_environment()
    for saver in layouts:
        whole: Any = None
        if saver != "one" or mesh.first:
            made, feed = trainer(saver, mesh)
            while made.done < SAVED:
                made.step()
                if made.done == SAVED - 1:
                    keep_best(made.optimizer)
            shelf = Checkpoints(Keep(folder / saver), lambda kind, text: None, mesh=made.mesh)
            shelf.save(made.done, {"trainer": made.state()})
            shelf.finish()
            whole = rest(made, feed)
        mesh.wait()
        for taker in layouts:
            if taker != "one" or mesh.first:
                made, feed = trainer(taker, mesh)
                shelf = Checkpoints(Keep(folder / saver), lambda kind, text: None, mesh=made.mesh)
                state = shelf.load(like=checkpoint.weights(made.model))
                assert state is not None
                made.restore(state["trainer"])
                losses, digest, ends = rest(made, feed)
                if mesh.first:
                    off = max(abs(a - b) / b for a, b in zip(losses, whole[0], strict=True))
                    equal = all(torch.equal(ends[0][name], value) for name, value in whole[2][0].items())
                    apart = [
                        float((ends[at][name] - whole[2][at][name]).abs().max()) for at in (1, 2) for name in ends[0]
                    ]
                    row = {"from": saver, "to": taker, "off": off, "batches": digest == whole[1], "bits": equal}
                    row |= {"notes": max(apart)}
                    print(json.dumps({**row, "steps": len(losses)}), flush=True)
            mesh.wait()
    mesh.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
