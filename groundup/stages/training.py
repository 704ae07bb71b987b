"""Ids to a model that answers: the stages pretrain and sft, and the one way in which all stages train."""

import gc
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import ConfigError
from groundup.stages._measure import measured
from groundup.stages._memory import enduring, offloaded
from groundup.stages._together import Together, together
from groundup.stages._work import Work
from groundup.stages.conversations import talks
from groundup.stages.examples import Split
from groundup.stages.incoming import imported
from groundup.stages.look import looker, scores_seen
from groundup.stages.mixing import curriculum, mixture_facts
from groundup.stages.text import documents

if TYPE_CHECKING:
    from groundup.models._base import Model, Role
    from groundup.recipe import Pretrain, Training
    from groundup.store import Artifact
    from groundup.tokenizer.chat import Chat
    from groundup.tokens.conversations import PackedConversations
    from groundup.train.drive import Driven, Probe
    from groundup.train.feeds._base import Feed
    from groundup.train.objectives._base import Objective
    from groundup.train.saving import Keep
    from groundup.train.schedule import Schedule
    from groundup.train.trainer import Trainer

WEIGHTS = "weights.safetensors"
MOST = {"sft": 1.0, "grpo": 1.5}
"""The longest that a stage may take, as a multiple of its share: grpo makes up for an sft that stops early."""

PROBE_ROWS = 16
"""Held-out rows that are measured together."""

LEAST_SECONDS = 2.0
"""A timed stage gets at least this long, even when the ones before it took more than was forecast."""


def pretrain(work: Work) -> None:
    """Next-token prediction on the user's text."""
    from groundup.corpus.crew import usable_cores
    from groundup.corpus.sources._base import open_specs
    from groundup.tokens.pack import Packed
    from groundup.tokens.shard import Shard
    from groundup.train.feeds.documents import Documents
    from groundup.train.objectives.likelihood import Likelihood

    recipe, model = work.recipe, model_of(work)
    if given := imported(work.store, recipe):
        open_weights(given.path, model)
        if recipe.train.steps == 0:
            carry_over(work, model)
        return
    length = model.config.length
    opened = open_specs(list(recipe.data.text))
    packed = [
        Packed(
            Shard.open(work.path("tokens") / f"{each.label}.tokens"),
            length,
            seed=stage_seed(work),
            isolate=recipe.tokens.isolate,
        )
        for each in opened
    ]
    weights = {each.label: each.weight for each in opened}
    mixture = curriculum(recipe.data.mix, recipe.train, weights, packed, stage_seed(work))
    start_rows = _start_rows(recipe.train, length)
    feed = Documents(mixture, micro_rows(recipe.train), start_length=recipe.train.start_length, start_rows=start_rows)
    driven = train_stage(
        work, recipe.train, model, feed, Likelihood(), start=_finished_before(work), glimpse=_glimpse(work, model)
    )
    work.clock.observe(driven.tokens, driven.seconds)
    work.draft.facts |= {
        "device": f"{usable_cores()} CPU cores" if work.device == "cpu" else work.device,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "epochs": driven.tokens / (sum(rows.rows for rows in packed) * length),
        **mixture_facts(recipe.data.mix, mixture, list(weights), driven.tokens, length),
    }


def _start_rows(settings: "Pretrain", length: int) -> int:
    """Rows that come in rows of `train.start_length`. Raises ConfigError where that is no divisor of the context."""
    if settings.start_length is None:
        return 0
    if length % settings.start_length:
        raise ConfigError(
            f"train.start_length={settings.start_length} does not divide model.length={length}; choose a divisor"
        )
    return (settings.start_steps or 0) * settings.rows


def carry_over(work: Work, model: "Model") -> None:
    """Hand on the weights as they came: a stage of no steps."""
    from groundup.train import checkpoint

    work.draft.facts |= {
        "steps": 0,
        "tokens": 0,
        "weights_sha256": checkpoint.save_weights(model, work.draft.path / WEIGHTS),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


def sft(work: Work) -> None:
    """From a model that continues text to one that answers: conversations, loss on what the assistant says."""
    from groundup.tokenizer._base import load
    from groundup.tokenizer.chat import Chat
    from groundup.train.batch import collate
    from groundup.train.drive import Probe
    from groundup.train.feeds.conversations import Conversations
    from groundup.train.objectives.likelihood import Likelihood

    recipe, model = work.recipe, model_of(work, "pretrain")
    if recipe.sft.steps == 0:
        carry_over(work, model)
        return
    chat = Chat(load(work.path("tokenizer")))
    train, held_out = packed_talks(work, chat, "train"), packed_talks(work, chat, "held_out")
    feed = Conversations(train, micro_rows(recipe.sft), stage_seed(work))
    looks = [collate(held_out[first : first + PROBE_ROWS]) for first in range(0, len(held_out), PROBE_ROWS)]
    objective = Likelihood()
    probe = Probe(lambda: measured(work, model, objective, looks)["loss"], recipe.sft.probe_steps, recipe.sft.patience)
    driven = train_stage(work, recipe.sft, model, feed, objective, probe=probe)
    work.draft.facts |= {
        "conversations": train.n_conversations,
        "held_out_conversations": held_out.n_conversations,
        "cut_at_the_context": train.n_cut,
        "rows": len(train),
        "epochs": feed.epoch,
        "held_out_loss": driven.probes[-1][1],
        "held_out_losses": [list(pair) for pair in driven.probes],
    }


def packed_talks(work: Work, chat: "Chat", split: Split) -> "PackedConversations":
    """The rows of a split that sft learns from, or is measured on."""
    from groundup.tokens.conversations import pack_conversations

    length = int(work.recipe.model.tree()["length"])
    return pack_conversations(chat.render_batch(talks(work, split)), length, chat.tokenizer.special["<|pad|>"])


def open_weights(store_path: Path, model: "Model") -> None:
    """Read the weights that a training stage left into `model`."""
    from groundup.train.checkpoint import load_weights

    load_weights(model, store_path / WEIGHTS)


def autocast_dtype(precision: str) -> Any:
    """The torch dtype of a precision; None for fp32."""
    import torch

    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def build_model(recipe: Any, tokenizer_folder: Path, weights: Path | None, device: str) -> "Model":
    """The recipe's model for a tokenizer, with the weights of a stage or fresh ones."""
    from groundup.models._base import ModelConfig
    from groundup.tokenizer._base import load

    assert isinstance(recipe.model, ModelConfig)
    model = recipe.model.build(load(tokenizer_folder).vocab_size, seed=recipe.seed)
    if weights is not None:
        open_weights(weights, model)
    return model.to(device)


def model_of(work: Work, weights_of: str | None = None) -> "Model":
    """The recipe's model on the device, with the weights that another stage left or fresh ones."""
    weights = work.path(weights_of) if weights_of else None
    return build_model(work.recipe, work.path("tokenizer"), weights, work.device)


def stage_seed(work: Work) -> int:
    """The seed of the stage: order, draws, noise."""
    settings = getattr(work.recipe, "train" if work.name == "pretrain" else work.name)
    return work.recipe.seed + int(settings.seed)


def micro_rows(settings: "Training") -> int:
    """Rows in one forward. Raises ConfigError where they do not divide a step."""
    micro = settings.micro_rows or settings.rows
    if settings.rows % micro:
        raise ConfigError(f"micro_rows={micro} do not divide rows={settings.rows}; choose a divisor")
    return micro


def train_stage(
    work: Work,
    settings: "Training",
    model: "Model",
    feed: "Feed",
    objective: "Objective",
    *,
    micros: int | None = None,
    probe: "Probe | None" = None,
    start: "Artifact | None" = None,
    extra: Callable[[], Mapping[str, float]] = dict,
    glimpse: Callable[[int], None] | None = None,
) -> "Driven":
    """Train `model` for the stage's steps or seconds, leave its weights in the draft, and the facts all stages share.

    `micros` are the batches of one step, where they are not rows / micro_rows. `start` is a finished artifact of the
    same stage that is taken up before its decay. A stage that is given seconds ends with the weights of its best look
    at what is held out: a small set is soon known by heart, and the decay comes after that.
    """
    from groundup.optim._average import take_up
    from groundup.optim._best import keep_best, take_best
    from groundup.train.drive import drive
    from groundup.train.watch import Watch

    keep, safety, flops = _keep(work, settings), work.recipe.safety, model.flops_per_token(model.config.length)
    if not keep.storage().names():
        work.note(event="begun")  # what an attempt decided that left no checkpoint binds no one
    if start is not None and work.mesh.first and not keep.folder.exists():
        _take_up(work, keep, start)
    ranks = together(work, settings, model, feed, micros or settings.rows // micro_rows(settings))
    kept = probe is not None and probe.patience is not None and settings.steps is None
    trainer = _trainer(work, settings, ranks, model.roles(), feed, objective, best=kept)
    seen = looker(work, settings, model, autocast_dtype(work.recipe.precision), glimpse)
    if probe is not None:
        probe.look = ranks.looking(probe.look)
    if probe is not None and kept:
        probe.keep, probe.take = partial(keep_best, trainer.optimizer), partial(take_best, trainer.optimizer)
    gc.freeze()  # what is there now outlives the stage: the collector need not go through it again and again
    driven = drive(
        trainer,
        stage=work.name,
        keep=keep,
        peak=float(getattr(settings.optim, "lr", 1.0)),
        note=work.note,
        progress=work.events,
        probe=probe,
        extra=extra,
        glimpse=ranks.looking(seen) if seen is not None else None,
        flops_per_token=flops,
        rate=work.rate * work.mesh.world,
        watch=Watch(safety.spike, safety.window, safety.rollbacks, work.recipe.precision),
        stall_seconds=safety.stall_seconds,
    )
    take_up(trainer.optimizer)
    _leave(work, keep, ranks, driven, flops)
    work.draft.facts |= scores_seen(work)
    return driven


def _leave(work: Work, keep: "Keep", ranks: Together, driven: "Driven", flops: float) -> None:
    """Put the weights and the states that are kept into the draft, and the facts that all stages of training share."""
    from groundup.train import checkpoint

    digest = checkpoint.save_weights(ranks.model, work.draft.path / WEIGHTS, ranks.mesh)
    if work.mesh.first:
        _leave_states(work, keep)
    speed = driven.tokens / max(driven.seconds, 1e-9)
    work.draft.facts |= {
        "steps": driven.steps,
        "tokens": driven.tokens,
        "seconds": driven.seconds,
        "tokens_per_second": speed,
        "mfu": speed * flops / (work.rate * work.mesh.world) if work.rate else None,
        "loss": driven.last.get("loss"),
        "weights_sha256": digest,
        "faults": _faults(work.noted("fault")),
        **({"replicas": driven.replicas} if work.mesh.world > 1 else {}),
    }


def _faults(noted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What went wrong in a stage and what was done, once each: what a kill made it live through again is the same."""
    rows = [{key: row[key] for key in ("step", "kind", "text")} for row in noted]
    return [row for place, row in enumerate(rows) if row not in rows[:place]]


def _keep(work: Work, settings: "Training") -> "Keep":
    """Where and how often the stage is saved."""
    from groundup.corpus.fetch.remote import below
    from groundup.train.saving import Keep

    safety = work.recipe.safety
    to = below(safety.to, work.store.name, work.scratch.name) if safety.to else None
    return Keep(work.scratch / "train", settings.save_seconds, settings.save_steps, safety.keep, safety.milestones, to)


def _take_up(work: Work, keep: "Keep", start: "Artifact") -> None:
    """Begin with the state of a finished artifact before its decay."""
    from groundup.train import checkpoint

    state = checkpoint.load(start.path / "before_decay", work.events)
    if state is not None:
        step = state["trainer"]["done"]
        checkpoint.save(keep.folder, step, state)
        work.events.notice(f"{work.name}: taken up before its decay, at step {step:,}")


def _leave_states(work: Work, keep: "Keep") -> None:
    """Put the checkpoints that are kept for good beside the weights; elsewhere they stay, and the others go."""
    from groundup.train.storage import Local, step_of

    if keep.before_decay.exists():
        keep.before_decay.rename(work.draft.path / "before_decay")
    storage = keep.storage()
    for name in storage.names():
        if keep.milestones is None or step_of(name) % keep.milestones:
            storage.remove(name)
        elif isinstance(storage, Local):
            (work.draft.path / "milestones").mkdir(exist_ok=True)
            (storage.folder / name).rename(work.draft.path / "milestones" / name)


def _trainer(
    work: Work,
    settings: "Training",
    ranks: Together,
    roles: "Mapping[str, Role]",
    feed: "Feed",
    objective: "Objective",
    best: bool,
) -> "Trainer":
    """A trainer as the settings of the stage say; `best`: with a place for the best weights."""
    from groundup.optim._average import averaged
    from groundup.optim._base import OptimizerConfig
    from groundup.optim._best import with_best
    from groundup.train.precision import Precision, repeat_to_the_bit
    from groundup.train.trainer import Trainer

    assert isinstance(settings.optim, OptimizerConfig)
    if work.recipe.deterministic:
        repeat_to_the_bit()
    rules = offloaded(work, settings.optim.build(ranks.model, roles))
    optimizer = averaged(with_best(rules) if best else rules, getattr(settings, "average", None) or 0.0)
    return Trainer(
        ranks.model, feed, objective, optimizer, _schedule(work, settings),
        precision=Precision(work.recipe.precision, work.device), accumulate=ranks.micros, clip=settings.clip,
        seed=stage_seed(work), mesh=ranks.mesh, backward=enduring(work, ranks.backward),
    )  # fmt: skip


def _schedule(work: Work, settings: "Training") -> "Schedule":
    """The learning rate: over a fixed number of steps, or paced by what the clock leaves for this stage."""
    from groundup.train.schedule import schedule

    seconds = work.clock.left_for(work.name)
    if seconds is not None and work.recipe.minutes is not None:
        most = MOST.get(work.name, math.inf) * getattr(settings, "share", 1.0) * work.recipe.minutes * 60
        seconds = max(min(seconds, most), LEAST_SECONDS)
    for row in work.noted("shortened"):
        seconds = min(seconds or row["seconds"], row["seconds"])
    knots = [knot for row in work.noted("knots") for knot in row["knots"]]
    seconds, knots = work.mesh.agree((seconds, knots))
    return schedule(
        settings.schedule,
        warmup=settings.warmup,
        decay=settings.decay,
        floor=settings.floor,
        steps=settings.steps,
        seconds=seconds,
        knots=knots,
    )


def _finished_before(work: Work) -> "Artifact | None":
    """The newest finished artifact of this stage that differs in its minutes alone: it is gone on with."""
    for artifact in reversed(work.store.all(work.name)):
        same = {**artifact.config, "minutes": None} == {**work.config, "minutes": None}
        if same and artifact.parents == work.parents and (artifact.path / "before_decay").exists():
            return artifact
    return None


def _glimpse(work: Work, model: "Model") -> Callable[[int], None]:
    """Have the model go on from the first line of a held-out document, and keep what it wrote."""
    from groundup.infer.engine import Engine
    from groundup.infer.schedule import Request
    from groundup.tokenizer._base import load
    from groundup.tokenizer.special import END_OF_TEXT

    learned = load(work.path("tokenizer"))
    end = learned.special[END_OF_TEXT]
    text = next((document.text for document in documents(work, "held_out")), "")
    line = next((line for line in text.splitlines() if len(line.split()) > 3), text[:40])
    prompt = [end, *learned.encode(line)[: model.config.length // 4]]

    def write(step: int) -> None:
        engine = Engine(model, rows=1, length=model.config.length)
        request = Request(
            prompt=prompt, max_tokens=model.config.length // 3, temperature=0.8, stop=frozenset({end}), seed=1
        )
        (written,) = engine.complete([request])
        work.events.sample(work.name, step, learned.decode(prompt), learned.decode(written.ids))

    return write
