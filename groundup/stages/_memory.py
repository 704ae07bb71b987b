"""What a stage does about memory: micros that are halved where it runs out, a state that is kept elsewhere."""

from typing import TYPE_CHECKING

from groundup.errors import UnsupportedError
from groundup.stages._work import Work

if TYPE_CHECKING:
    from groundup.optim._optimizer import Optimizer
    from groundup.train.trainer import Backward


def enduring(work: Work, inner: "Backward") -> "Backward":
    """`inner`, with micros that are halved where they do not fit; of several ranks as it is."""
    from groundup.train.backoff import Backoff

    if work.mesh.world > 1:
        return inner

    def halved(pieces: int) -> None:
        work.note(event="halved", pieces=pieces)
        work.events.notice(
            f"{work.name}: out of memory; from here on a forward pass reads one {pieces}th of the rows that it was to. "
            "The steps stay what they are"
        )

    return Backoff(inner, max((row["pieces"] for row in work.noted("halved")), default=1), halved)


def offloaded(work: Work, optimizer: "Optimizer") -> "Optimizer":
    """The optimizer, its state in the host's memory where `parallel.offload` says so.

    Raises UnsupportedError for several ranks: they share the state.
    """
    if not work.recipe.parallel.offload:
        return optimizer
    if work.mesh.world > 1:
        raise UnsupportedError(
            f"parallel.offload is for one process; {work.mesh.world} ranks share the state already "
            f"(parallel.zero={work.recipe.parallel.zero}): leave it out"
        )
    from groundup.parallel.offload import offload

    return offload(optimizer)
