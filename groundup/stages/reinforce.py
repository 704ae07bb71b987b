"""The model's own replies, judged by a reward model: roll-outs for PPO, GRPO and their kin, and the best of n."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.corpus.conversation import Conversation, Message
from groundup.errors import DataError
from groundup.stages._given import chat_of, opened
from groundup.stages._measure import scored
from groundup.stages._work import Work
from groundup.stages.examples import SPLITS, Split, adapting, read_examples
from groundup.stages.judge import Judge
from groundup.stages.training import autocast_dtype

if TYPE_CHECKING:
    from numpy import ndarray

    from groundup.models._base import Model
    from groundup.tokenizer.chat import Chat
    from groundup.train.batch import Batch
    from groundup.train.feeds.rollouts import Rollouts

ROWS = 128
"""Replies that are drawn at a time, where it is not for a step."""


@dataclass(frozen=True)
class Judged:
    """One reply that the model drew, with what the reward model says of it."""

    ids: Sequence[int]
    logps: Sequence[float]
    stopped: bool
    reward: float


class Drawer:
    """Draws replies from a model as it is when asked, and has them judged."""

    def __init__(self, work: Work, model: "Model", chat: "Chat", judge: Judge, rows: int) -> None:
        from groundup.infer.engine import Engine

        self._chat, self._judge = chat, judge
        self._most = adapting(work.recipe).rollouts.max_tokens
        self.engine = Engine(model, rows=rows, length=model.config.length, dtype=autocast_dtype(work.recipe.precision))

    def __call__(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Judged]:
        """A reply to each prompt, drawn at temperature 1 with its seed."""
        from groundup.infer.schedule import Request

        requests = [
            Request(prompt=prompt, max_tokens=self._most, temperature=1.0, stop=self._chat.stop_ids, seed=seed)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        drawn = self.engine.complete(requests)
        rewards = self._judge([(prompt, done.ids) for prompt, done in zip(prompts, drawn, strict=True)])
        return [
            Judged(done.ids, done.logps, done.stopped, float(reward))
            for done, reward in zip(drawn, rewards, strict=True)
        ]

    def fitting(self, questions: Sequence[Conversation]) -> list[Conversation]:
        """The questions that leave room for a whole reply. Raises DataError where none does."""
        kept = [talk for talk in questions if len(self._chat.prompt(talk)) + self._most <= self.engine.length]
        if not kept:
            raise DataError(
                f"none of {len(questions)} questions leaves room for a reply of {self._most} tokens in a context of "
                f"{self.engine.length}; set adapt.rollouts.max_tokens lower"
            )
        return kept


def rollouts(
    work: Work, model: "Model", chat: "Chat", first: "Model", questions: Sequence[Conversation], seed: int, rows: int
) -> "Rollouts[Conversation]":
    """Phases of replies of the live model; `first` is the one that it must not leave too far behind.

    A model with a value head learns by PPO's advantages, any other by those of its groups. `rows` to a micro.
    """
    from groundup.train.feeds.rollouts import Rollouts

    settings = adapting(work.recipe)
    drawer = Drawer(work, model, chat, Judge(work, chat), settings.rows * settings.rollouts.steps)

    def complete(prompts: list[list[int]], seeds: list[int]) -> list[Judged]:
        drawer.engine.refresh(model)
        return drawer(prompts, seeds)

    def reward(question: Conversation, answer: Any) -> float:
        return float(answer.reward)

    valued = "value" in getattr(settings.objective, "asks", ())
    return Rollouts(
        drawer.fitting(questions),
        chat.prompt,
        complete,
        reward,
        prompts=max(1, settings.rows * settings.rollouts.steps // settings.rollouts.group),
        group=settings.rollouts.group,
        rows=rows,
        seed=seed,
        reference=lambda batch: scored(work, first, batch).logp,
        weigh=partial(_weighed, work, model, rows) if valued else None,
    )


def replies(work: Work) -> None:
    """Draw several replies to every question from the model as it came, and keep the best of each."""
    from groundup.train.feeds._order import seed_of

    settings, found, chat = adapting(work.recipe), read_examples(work.recipe), chat_of(work)
    n, seed = settings.best_of or 1, work.recipe.seed + settings.seed
    drawer = Drawer(work, opened(work), chat, Judge(work, chat), ROWS)
    for split in SPLITS:
        asked = drawer.fitting(found.formed(split))
        rewards, lines, together = [], [], max(1, ROWS // n)
        with work.events.task(f"best of {n}, {split.replace('_', ' ')}", len(asked), "questions") as bar:
            for first in range(0, len(asked), together):
                part = asked[first : first + together]
                seeds = [seed_of(seed, first + place, member) for place in range(len(part)) for member in range(n)]
                drawn = drawer([chat.prompt(question) for question in part for _ in range(n)], seeds)
                for place, question in enumerate(part):
                    own = drawn[place * n : (place + 1) * n]
                    best = max(own, key=lambda each: each.reward)
                    rewards.append((own[0].reward, best.reward))
                    said, _ = chat.parse(best.ids)
                    lines.append([{"role": each.role, "content": each.content} for each in (*question, said)])
                bar.advance(len(part))
        (work.draft.path / f"{split}.json").write_text(json.dumps(lines), encoding="utf-8")
        one, best_of = (sum(column) / len(rewards) for column in zip(*rewards, strict=True))
        work.draft.facts[split] = {"questions": len(asked), "reward": one, f"reward_best_of_{n}": best_of}


def best_replies(folder: Path, split: Split) -> list[Conversation]:
    """The conversations that `replies` left."""
    talks = json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))
    return [tuple(Message(each["role"], each["content"]) for each in talk) for talk in talks]


def _weighed(work: Work, model: "Model", rows: int, batch: "Batch", rewards: "ndarray") -> "Batch":
    """PPO's advantages and returns: the value head as the critic, the divergence taken off the reward."""
    import torch

    from groundup.train.feeds.advantage import gae, token_rewards, whitened

    assert batch.old_logp is not None and batch.ref_logp is not None
    parts = [scored(work, model, batch.cut(at, at + rows), ("value",)).value for at in range(0, len(rewards), rows)]
    value = torch.cat([part.cpu() for part in parts if part is not None])
    shaped = token_rewards(
        torch.from_numpy(rewards), batch.old_logp, batch.ref_logp, batch.weights, adapting(work.recipe).rollouts.kl
    )
    advantage, returns = gae(shaped, value, batch.weights)
    return replace(batch, advantage=whitened(advantage, batch.weights), returns=returns, old_value=value)
