"""What is being learned, and beside it some of what was learned before: so that the one does not wash out the other.

InstructGPT mixes gradients of pretraining into reinforcement in this way (PPO-ptx, arXiv 2203.02155).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from groundup.train.batch import Batch
from groundup.train.feeds._base import Feed


class Rehearsal:
    """After every `micros` batches of `main` one of `aside`, whose mean loss counts `weight` times the mean of theirs.

    The batch from `aside` has a count of zero, so that all numbers of the step are still those of `main`; its weights
    carry the share. A step takes `micros + 1` batches; state is that between two steps.
    """

    def __init__(self, main: Feed, aside: Feed, *, micros: int, weight: float) -> None:
        self._main, self._aside, self._micros, self._weight = main, aside, micros, weight

    def __iter__(self) -> Iterator[Batch]:
        """Batches without end, in the order of a step."""
        learned, rehearsed = iter(self._main), iter(self._aside)
        while True:
            count = 0.0
            for _ in range(self._micros):
                batch = next(learned)
                count += batch.count
                yield batch
            known = next(rehearsed)
            yield replace(known, weights=known.weights * (self._weight * count / max(known.count, 1.0)), count=0.0)

    def state(self) -> dict[str, Any]:
        """Where both stand."""
        return {"main": self._main.state(), "aside": self._aside.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on, in both, where `state` was taken."""
        self._main.restore(state["main"])
        self._aside.restore(state["aside"])
