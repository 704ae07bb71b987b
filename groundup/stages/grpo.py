"""Reinforcement by a reward that is checked: the stage grpo."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from groundup.stages._measure import scored
from groundup.stages._work import Work
from groundup.stages.training import (
    autocast_dtype,
    carry_over,
    micro_rows,
    model_of,
    packed_talks,
    stage_seed,
    train_stage,
)

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Model
    from groundup.train.batch import Batch
    from groundup.train.feeds._base import Feed


def grpo(work: Work) -> None:
    """Reinforcement on arithmetic: the model's own answers, weighed by whether they are right; and some rehearsal."""
    from groundup.infer.engine import Engine
    from groundup.infer.schedule import Request
    from groundup.plan.memory import PROMPT_ROOM
    from groundup.tasks.arithmetic import Arithmetic
    from groundup.tokenizer._base import load
    from groundup.tokenizer.chat import Chat, Ending
    from groundup.train.feeds.conversations import Conversations
    from groundup.train.feeds.rehearsal import Rehearsal
    from groundup.train.feeds.rollouts import Rollouts
    from groundup.train.objectives.policy import Policy

    recipe, settings, model = work.recipe, work.recipe.grpo, model_of(work, "sft")
    if settings.steps == 0:
        carry_over(work, model)
        return
    chat, task = Chat(load(work.path("tokenizer"))), Arithmetic()
    room = min(model.config.length, PROMPT_ROOM + settings.max_tokens)
    engine = Engine(
        model, rows=settings.drawn_rows or settings.rows, length=room, dtype=autocast_dtype(recipe.precision)
    )

    def complete(prompts: list[list[int]], seeds: list[int]) -> list[Any]:
        engine.refresh(model)
        requests = [
            Request(prompt=prompt, max_tokens=settings.max_tokens, temperature=1.0, stop=chat.stop_ids, seed=seed)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        return list(engine.complete(requests))

    def reward(example: Any, answer: Any) -> float:
        message, ending = chat.parse(answer.ids)
        return task.score(example, message.content) if ending is Ending.STOPPED else 0.0

    rollouts = Rollouts(
        task.examples("train", 1 << 20, stage_seed(work)),
        lambda example: chat.prompt(task.ask(example)),
        complete,
        reward,
        prompts=settings.rows // settings.group,
        group=settings.group,
        rows=micro_rows(settings),
        seed=stage_seed(work),
        reference=_reference(work, model) if settings.kl else None,
    )
    feed: Feed = rollouts
    micros = settings.rows // micro_rows(settings)
    if settings.rehearsal:
        known = Conversations(packed_talks(work, chat, "train"), settings.rehearsal_rows, stage_seed(work))
        feed, micros = Rehearsal(rollouts, known, micros=micros, weight=settings.rehearsal), micros + 1
    objective = Policy(clip_low=settings.clip_ratio, clip_high=settings.clip_ratio, kl=settings.kl)
    first: list[float] = []

    def numbers() -> Mapping[str, float]:
        first[:] = first or [rollouts.metrics["reward"]]
        return rollouts.metrics

    driven = train_stage(work, settings, model, feed, objective, micros=micros, extra=numbers)
    work.draft.facts |= {"reward_first": first[0] if first else None, "reward_last": driven.last.get("reward")}


def _reference(work: Work, model: "Model") -> "Callable[[Batch], Tensor]":
    """Log-probabilities under a frozen copy of the model as it is now."""
    import copy

    frozen = copy.deepcopy(model).eval().requires_grad_(False)
    return lambda batch: scored(work, frozen, batch).logp
