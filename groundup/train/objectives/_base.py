"""What an objective is. Objectives are components, and import no torch to be read."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from groundup.config import Component

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


Wanted = Literal["conversations", "pairs", "verdicts", "rollouts", "labels", "numbers"]


class Objective(Component):
    """A pure function of one micro; it never sees another.

    Law: the sum is additive over rows, and where the weight is zero so is the gradient.
    """

    learns_from: ClassVar[Wanted]
    """What its feed holds."""
    refers: ClassVar[bool] = False
    """Whether it measures from a reference model, and so needs `ref_logp`."""

    @property
    def asks(self) -> tuple[str, ...]:
        """What the model is asked for beside `logp` and `lse`: "entropy", "value" ..."""
        return ()

    @abstractmethod
    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss summed over the micro, and detached sums to report; both are divided by the step's count later."""
