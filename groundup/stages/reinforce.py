"""The model's own replies and their worth: roll-outs for PPO, GRPO and their kin, and the best of n.

A reward model judges them, or the examples' own answers do (`adapt.answers`), or both. Calls of tools are run.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.corpus.conversation import Conversation, Message
from groundup.errors import DataError
from groundup.stages._given import chat_of, opened
from groundup.stages._measure import scored
from groundup.stages._work import Work
from groundup.stages.answers import Answers, checked
from groundup.stages.examples import SPLITS, Examples, Split, adapting, objective_of, read_examples
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
    """One reply: what the model drew and what tools said between, and what the reward model says of it, if one does."""

    ids: Sequence[int]
    logps: Sequence[float]
    drawn: Sequence[bool]
    messages: Sequence[Message]
    stopped: bool
    reward: float


class Drawer:
    """Draws replies from a model as it is when asked, runs the tools that they call, and has them judged."""

    def __init__(self, work: Work, model: "Model", chat: "Chat", judge: Judge | None, rows: int) -> None:
        from groundup.dialogue import Dialogue
        from groundup.dialogue.assist import Assistant, open_tools
        from groundup.infer.engine import Engine

        settings = adapting(work.recipe)
        self._chat, self._judge, self._most = chat, judge, settings.rollouts.max_tokens
        self.engine = Engine(model, rows=rows, length=model.config.length, dtype=autocast_dtype(work.recipe.precision))
        self._assistant = Assistant(Dialogue(self.engine, chat), open_tools(settings.tools))
        self._stop = chat.stop_ids_with_tools if settings.tools else chat.stop_ids

    def __call__(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Judged]:
        """A reply to each prompt, drawn at temperature 1 with its seed."""
        from groundup.infer.schedule import Request

        said = self._assistant.run([
            Request(prompt=prompt, max_tokens=self._most, temperature=1.0, stop=self._stop, seed=seed)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ])  # fmt: skip
        replies = [(prompt, each.ids) for prompt, each in zip(prompts, said, strict=True)]
        rewards = self._judge(replies) if self._judge is not None else [0.0] * len(said)
        return [
            Judged(each.ids, each.logps, each.drawn, each.messages, each.stopped, float(reward))
            for each, reward in zip(said, rewards, strict=True)
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
    work: Work, model: "Model", chat: "Chat", first: "Model", found: Examples, seed: int, rows: int
) -> "Rollouts[Conversation]":
    """Phases of replies of the live model; `first` is the one that it must not leave too far behind.

    A model with a value head learns by PPO's advantages, any other by those of its groups. `rows` to a micro.
    """
    from groundup.train.feeds.rollouts import Rollouts

    settings, objective = adapting(work.recipe), objective_of(work.recipe)
    judge = Judge(work, chat) if settings.reward is not None else None
    speaker = getattr(model, "body", model)
    drawer = Drawer(work, speaker, chat, judge, settings.rows * settings.rollouts.steps)

    def complete(prompts: list[list[int]], seeds: list[int]) -> list[Judged]:
        drawer.engine.refresh(speaker)
        return drawer(prompts, seeds)

    valued = "value" in objective.asks
    held = valued or judge is not None or bool(getattr(objective, "kl", 0.0))
    return Rollouts(
        drawer.fitting(found.formed("train")),
        chat.prompt,
        complete,
        partial(_worth, checked(settings, found)),
        prompts=max(1, settings.rows * settings.rollouts.steps // settings.rollouts.group),
        group=settings.rollouts.group,
        rows=rows,
        seed=seed,
        reference=(lambda batch: scored(work, first, batch).logp) if held else None,
        weigh=partial(_weighed, work, model, rows) if valued else None,
    )


def _worth(answers: Answers | None, question: Conversation, reply: Any) -> float:
    """What a reply is worth: what the reward model says, and 1 where it is the right answer."""
    right = answers is not None and reply.stopped and answers.right(question, reply.messages)
    return float(reply.reward) + right


def replies(work: Work) -> None:
    """Draw several replies to every question from the model as it came, and keep the best of each."""
    from groundup.eval.interval import mean
    from groundup.train.feeds._order import seed_of

    settings, found, chat = adapting(work.recipe), read_examples(work.recipe), chat_of(work)
    n, seed, answers = settings.best_of or 1, work.recipe.seed + settings.seed, checked(settings, found)
    judge = Judge(work, chat) if settings.reward is not None else None
    drawer = Drawer(work, opened(work), chat, judge, ROWS)
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
                    worth = [_worth(answers, question, each) for each in own]
                    best = max(range(n), key=worth.__getitem__)
                    rewards.append((worth[0], worth[best]))
                    lines.append([asdict(each) for each in (*question, *own[best].messages)])
                bar.advance(len(part))
        (work.draft.path / f"{split}.json").write_text(json.dumps(lines), encoding="utf-8")
        one, best_of = (sum(column) / len(rewards) for column in zip(*rewards, strict=True))
        gain = mean([best - first for first, best in rewards])
        told = {"questions": len(asked), "reward": one, f"reward_best_of_{n}": best_of, "gain": gain.facts()}
        work.draft.facts[split] = told


def best_replies(folder: Path, split: Split) -> list[Conversation]:
    """The conversations that `replies` left."""
    talks = json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))
    return [tuple(Message(**each) for each in talk) for talk in talks]


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
