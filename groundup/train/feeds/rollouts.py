"""What the live model answers, and how good that was: roll-outs for reinforcement (GRPO, arXiv 2402.03300).

Roll-outs come in phases. When the last ones are used up, the model as it is now answers `prompts` questions `group`
times each; these `prompts * group` rows are then handed out, so many to a batch. A phase that is one optimizer step is
wholly on-policy; in a longer one the later steps lean on the clipped ratio.

A group whose rewards are all equal has no better answer and no worse one: its advantages are zero, and with them its
gradient. Such groups are left out of the batches (DAPO, arXiv 2503.14476), unless a reference is asked for: the
divergence from it has a gradient of its own. On arithmetic they are a third of the roll-outs at the start and two
thirds at the end; without them the same seconds hold 1.5 times the steps (docs/diary.md).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from groundup.errors import ConfigError, DataError
from groundup.train.batch import Batch
from groundup.train.feeds._order import Shuffled, seed_of

Q = TypeVar("Q")


class Sampled(Protocol):
    """One answer, as the engine gives it."""

    @property
    def ids(self) -> Sequence[int]:
        """What follows the prompt: the tokens drawn, with the one that ended them, and what tools said between."""

    @property
    def logps(self) -> Sequence[float]:
        """Their log-probabilities under the model that drew them; of what it did not draw anything."""

    @property
    def drawn(self) -> Sequence[bool]:
        """Which of the ids the model drew: all, unless it was told something on the way."""

    @property
    def stopped(self) -> bool:
        """Whether the model ended the answer itself."""


Complete = Callable[[list[list[int]], list[int]], Sequence[Sampled]]
"""Prompts and a seed for each -> an answer to each, drawn at temperature 1 from the model as it is now."""


class Rollouts(Generic[Q]):
    """Groups of answers to one question, each weighed against the mean of its group.

    `prompt` gives a question's ids, `reward` an answer's worth. `reference` gives the log-probabilities (B, T) of a
    batch under a frozen model, for an objective that asks for them. With `scale` the advantage is divided by the
    group's standard deviation, as in GRPO; without, it is Dr. GRPO's (arXiv 2503.20783).
    """

    def __init__(
        self,
        questions: Sequence[Q],
        prompt: Callable[[Q], list[int]],
        complete: Complete,
        reward: Callable[[Q, Sampled], float],
        *,
        prompts: int,
        group: int,
        rows: int,
        seed: int,
        scale: bool = True,
        reference: Callable[[Batch], Tensor] | None = None,
        weigh: Callable[[Batch, np.ndarray], Batch] | None = None,
    ) -> None:
        """`weigh` gives a phase other advantages, out of its replies and the reward (n,) of each.

        Raises DataError without questions, and ConfigError where `rows` do not divide a phase."""
        if not questions:
            raise DataError("there is no question to roll out; give the task more to ask")
        if (prompts * group) % rows:
            raise ConfigError(
                f"prompts * group = {prompts * group} roll-outs do not divide into batches of {rows} rows"
            )
        self._questions = Shuffled(questions, seed)
        self._prompt, self._complete, self._reward, self._reference = prompt, complete, reward, reference
        self._weigh = weigh
        self._prompts, self._group, self._rows, self._seed, self._scale = prompts, group, rows, seed, scale
        self._position = 0
        self._unused: Batch | None = None
        self._left = 0
        self.metrics: dict[str, float] = {}
        """Of the latest phase: mean `reward`, its `reward_std`, the shares `stopped` and `even` (groups of one reward),
        `length` in tokens, and where there is a reference, `drift`: by how many nats a reply is likelier than under
        it, an estimate of the divergence."""

    def __iter__(self) -> Iterator[Batch]:
        """Batches without end; the model answers whenever there are no unused roll-outs."""
        while True:
            if self._unused is None:
                self._unused, self._left = self._roll(), self._prompts * self._group // self._rows
            n = len(self._unused.tokens)
            here = -(-n // self._left)
            batch = self._unused.cut(0, here)
            self._left -= 1
            self._unused = self._unused.cut(here, n) if self._left else None
            yield batch

    def state(self) -> dict[str, Any]:
        """The next question, the metrics, and the unused roll-outs with their log-probabilities and advantages."""
        unused = {} if self._unused is None else self._unused.tensors()
        return {"position": self._position, "metrics": dict(self.metrics), "unused": unused, "left": self._left}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Hand out the unused roll-outs that `state` holds, then go on at its question."""
        self._position, self.metrics = state["position"], dict(state["metrics"])
        unused = state["unused"]
        self._unused = Batch(**unused, count=float(unused["weights"].sum())) if unused else None
        self._left = state["left"]

    def _roll(self) -> Batch:
        places = range(self._position, self._position + self._prompts)
        asked = [self._questions.row(place) for place in places]
        given = [list(self._prompt(question)) for question in asked]
        questions = [question for question in asked for _ in range(self._group)]
        prompts = [prompt for prompt in given for _ in range(self._group)]
        seeds = [seed_of(self._seed, place, member) for place in places for member in range(self._group)]
        answers = self._complete(prompts, seeds)
        rewards = np.array(
            [self._reward(question, answer) for question, answer in zip(questions, answers, strict=True)]
        )
        groups = rewards.reshape(self._prompts, self._group)
        advantage = advantages(groups, self._scale).ravel()
        kept = self._kept(groups)
        batch = lay_out([prompts[row] for row in kept], [answers[row] for row in kept], advantage[kept])
        if self._reference is not None:
            parts = [batch.cut(start, start + self._rows) for start in range(0, len(kept), self._rows)]
            batch = replace(
                batch, ref_logp=torch.cat([self._reference(part) for part in parts]).to(batch.tokens.device)
            )
        if self._weigh is not None:
            batch = self._weigh(batch, rewards[kept])
        self._position = places.stop
        self.metrics = {
            "reward": float(rewards.mean()),
            "reward_std": float(rewards.std()),
            "stopped": float(np.mean([answer.stopped for answer in answers])),
            "even": float(np.mean(groups.min(1) == groups.max(1))),
            "length": float(np.mean([sum(answer.drawn) for answer in answers])),
        }
        if batch.ref_logp is not None and batch.old_logp is not None:
            ahead = (batch.old_logp - batch.ref_logp).masked_fill(batch.weights == 0, 0.0)
            self.metrics["drift"] = float(ahead.sum()) / len(kept)
        return batch

    def _kept(self, groups: np.ndarray) -> np.ndarray:
        """The rows that are trained on; all of them where what has a gradient would not give every batch a row."""
        teaches = np.repeat(groups.min(1) != groups.max(1), self._group)
        free = self._reference is None and self._weigh is None
        everything = not free or teaches.sum() < len(teaches) // self._rows
        return np.arange(len(teaches)) if everything else np.flatnonzero(teaches)


def advantages(rewards: np.ndarray, scale: bool = True) -> np.ndarray:
    """Each of the rewards (groups, members) less its group's mean, over its standard deviation if `scale`.

    A group whose rewards are all equal gets exactly zero.
    """
    even = rewards.min(1, keepdims=True) == rewards.max(1, keepdims=True)
    above = np.where(even, 0.0, rewards - rewards.mean(1, keepdims=True))
    return above / np.where(even, 1.0, rewards.std(1, keepdims=True)) if scale else above


def lay_out(prompts: Sequence[Sequence[int]], answers: Sequence[Sampled], advantage: np.ndarray) -> Batch:
    """One row an answer: its prompt, itself, and padding; weight 1.0 where the target was drawn by the model."""
    T = max(len(prompt) + len(answer.ids) for prompt, answer in zip(prompts, answers, strict=True)) - 1
    ids = np.zeros((len(answers), T + 1), dtype=np.int64)
    weights, old, worth = (np.zeros((len(answers), T), dtype=np.float32) for _ in range(3))
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        start, stop = len(prompt), len(prompt) + len(answer.ids)
        ids[row, :stop] = [*prompt, *answer.ids]
        reply, drawn = slice(start - 1, stop - 1), np.asarray(answer.drawn)
        weights[row, reply] = drawn
        old[row, reply], worth[row, reply] = np.where(drawn, answer.logps, 0.0), drawn * advantage[row]
    table = torch.from_numpy(ids)
    return Batch(
        tokens=table[:, :-1],
        targets=table[:, 1:],
        weights=torch.from_numpy(weights),
        count=float(weights.sum()),
        old_logp=torch.from_numpy(old),
        advantage=torch.from_numpy(worth),
    )
