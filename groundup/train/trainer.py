"""THE loop. Pretraining, fine-tuning and reinforcement differ in the feed and the objective they bring, not here."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from groundup.mesh import Mesh
from groundup.models._base import Model
from groundup.optim._optimizer import Optimizer
from groundup.train.batch import Batch
from groundup.train.checkpoint import set_weights, weights
from groundup.train.feeds._base import Feed
from groundup.train.feeds._order import seed_of
from groundup.train.objectives._base import Objective
from groundup.train.precision import Precision
from groundup.train.schedule import Schedule


@dataclass(frozen=True)
class StepLog:
    """What one step did. `metrics` are tensors: reading one waits for the device, which is the caller's choice."""

    done: int
    """Steps done, this one among them."""
    scale: float
    """Learning rate of this step, as a share of its peak."""
    tokens: int
    """Tokens that went through the model, over all ranks, trained on or not."""
    count: float
    """What the loss was divided by, over all ranks: trained tokens."""
    norm: float
    """Global norm of the gradient, before clipping."""
    applied: bool
    """False where the gradient was not finite and the weights were left as they were."""
    metrics: dict[str, Tensor]
    """The objective's sums over that count: `loss` in nats per trained token ..."""


class Backward(Protocol):
    """The one seam for parallelism in the loop: gradients of all micros, summed; the objective's summed metrics."""

    def __call__(
        self,
        model: Model,
        objective: Objective,
        micros: Sequence[Batch],
        divisor: float,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> dict[str, Tensor]:
        """`autocast` is the context of a forward pass; the backward pass runs outside it."""


def backward(
    model: Model,
    objective: Objective,
    micros: Sequence[Batch],
    divisor: float,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> dict[str, Tensor]:
    """Score each micro and send its loss over `divisor` back, one after the other."""
    sums: dict[str, Tensor] = {}
    for micro in micros:
        with autocast():
            scores = model.score(
                micro.tokens,
                micro.targets,
                positions=micro.positions,
                segments=micro.segments,
                weights=micro.weights,
                ask=objective.asks,
            )
        total, metrics = objective(scores, micro)
        if scores.aux is not None:
            total = total + scores.aux
        (total / divisor).backward()
        for name, value in metrics.items():
            sums[name] = sums[name] + value if name in sums else value
        del scores, total  # and with them what the head kept: the next forward pass needs the room
    return sums


class Trainer:
    """One model on its way. The caller steps it, and logs, probes, saves and watches the clock between the steps.

    `accumulate` micros make a step. What the model draws at random (dropout) depends on (seed, step) alone, so what the
    caller does between two steps cannot change the next.
    """

    def __init__(
        self,
        model: Model,
        feed: Feed,
        objective: Objective,
        optimizer: Optimizer,
        schedule: Schedule,
        *,
        precision: Precision | None = None,
        accumulate: int = 1,
        clip: float | None = 1.0,
        seed: int = 0,
        mesh: Mesh | None = None,
        backward: Backward = backward,
    ) -> None:
        self.model, self.feed, self.objective, self.optimizer, self.schedule = (
            model,
            feed,
            objective,
            optimizer,
            schedule,
        )
        self.device = next(model.parameters()).device
        self.precision = precision or Precision("fp32", self.device)
        self.accumulate, self.clip, self.seed, self.backward = accumulate, clip, seed, backward
        self.mesh = mesh or Mesh()
        self.done = 0
        """Steps done."""
        self.source = iter(feed)

    def step(self) -> StepLog:
        """One optimizer step. Raises ConfigError after too many steps in a row without a finite gradient."""
        micros = [next(self.source).to(self.device) for _ in range(self.accumulate)]
        count = self.mesh.sum(sum(micro.count for micro in micros), axes=self.mesh.data_axes)
        torch.manual_seed(seed_of(self.seed, self.done, self.mesh.stream))
        sums = self.backward(
            self.model.train(), self.objective, micros, max(count, 1.0) / self.precision.scale, self.precision.autocast
        )
        good, norm = self.precision.finish(self.model, self.clip, self.mesh)
        scale = self.schedule(self.done)
        self.optimizer.step(scale, apply=good)
        self.model.after_step(self.mesh)
        self.done += 1
        means = {name: self.mesh.sum(value, self.mesh.data_axes) / max(count, 1.0) for name, value in sums.items()}
        tokens = self.mesh.sum(sum(micro.tokens.numel() for micro in micros), self.mesh.data_axes)
        return StepLog(self.done, scale, tokens, count, norm, good, means)

    def run(self) -> Iterator[StepLog]:
        """Steps until the schedule ends; forever if it does not know an end (yet)."""
        while self.schedule.steps is None or self.done < self.schedule.steps:
            yield self.step()

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, but for the schedule: live tensors and plain values, to be saved at once.

        Of several ranks each has the parts that it holds.
        A schedule is a function of the step; the knots of a `Pace` are its caller's to keep.
        """
        return {
            "done": self.done,
            "weights": weights(self.model),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.precision.state_dict(),
            "feed": self.feed.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: the next step is, to the last bit, the one that would have followed it.

        Raises StoreError where it is the state of another model or optimizer.
        """
        set_weights(self.model, self._own(state["weights"], weights(self.model)))
        self.optimizer.load_state_dict(self._own(state["optimizer"], self.optimizer.names()))
        self.precision.load_state_dict(state["precision"])
        self.feed.restore(state["feed"])
        self.source = iter(self.feed)
        self.done = state["done"]

    def _own(self, values: Mapping[str, Tensor], names: Collection[str]) -> Mapping[str, Tensor]:
        """What of a whole state belongs to the layers that this rank holds."""
        if self.mesh.size("pipeline") == 1:
            return values
        return {name: value for name, value in values.items() if name in names or name.rpartition(".")[0] in names}
