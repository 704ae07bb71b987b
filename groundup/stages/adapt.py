"""A model of another run, made to do as examples say: the stages reference and adapt. The loop is that of every stage.

    import -> [reference | replies] -> adapt -> eval -> report

`import` is the copy of the other run's model that the run began with; `reward` and `teacher` are of others yet.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from groundup.errors import UnsupportedError
from groundup.stages._given import batched, chat_of, open_given, opened, with_head
from groundup.stages._measure import measured, scored
from groundup.stages._work import Work
from groundup.stages.examples import SPLITS, Examples, adapting, method_of, read_examples
from groundup.stages.incoming import learned_texts
from groundup.stages.reinforce import best_replies, rollouts
from groundup.stages.training import WEIGHTS, micro_rows, stage_seed, train_stage

if TYPE_CHECKING:
    from groundup.models._base import Model
    from groundup.recipe import Adapt, Adapter
    from groundup.tokenizer.chat import Chat
    from groundup.tokens.conversations import PackedConversations
    from groundup.tokens.mixture import Mixture
    from groundup.train.batch import Batch
    from groundup.train.feeds._base import Feed
    from groundup.train.feeds.preferences import PackedPreferences
    from groundup.train.objectives._base import Objective

REFERENCE = "reference.safetensors"
ADAPTER = "adapter"
"""The folder of an adapter in PEFT's layout, beside the weights that it is folded into."""

REPLIES = 2
"""A row of preferences holds so many contexts: both replies of a pair always fit."""


def reference(work: Work) -> None:
    """The log-probabilities of every reply under the model as it came, worked out once."""
    from safetensors.torch import save_file
    from torch import from_numpy

    from groundup.events import Named

    model, found = opened(work), read_examples(work.recipe)
    rows = _preferences(work, chat_of(work), found)
    for split, packed in rows.items():
        packed.refer(
            lambda batch: scored(work, model, batch).logp,
            micro_rows(adapting(work.recipe)),
            Named(work.events, f"reference, {split.replace('_', ' ')}"),
        )
    tensors = {split: from_numpy(packed.reference) for split, packed in rows.items()}
    save_file(tensors, work.draft.path / REFERENCE, metadata={"format": "pt"})
    work.draft.facts |= {split: packed.n_units for split, packed in rows.items()}


def adapt(work: Work) -> None:
    """Train on the examples; where an adapter is asked for, it is saved, and folded into the weights beside it."""
    from groundup.train import checkpoint

    settings = adapting(work.recipe)
    model, facts = learn(work, settings, read_examples(work.recipe))
    body = getattr(model, "body", model)
    if settings.adapter.kind != "none":
        _fold(work, body)
    if not facts["outputs"]:
        model = body  # a head for values was a help in training; what is left speaks
    facts["weights_sha256"] = checkpoint.save_weights(model, work.draft.path / WEIGHTS)
    work.draft.facts |= facts


def learn(work: Work, settings: "Adapt", found: Examples) -> "tuple[Model, dict[str, Any]]":
    """The model after training on the examples, and the facts of it."""
    from groundup.models._taught import Taught
    from groundup.train.drive import Probe

    objective = objective_of(settings)
    model = fitted(opened(work), settings, len(found.classes) or 1, stage_seed(work))
    if settings.teacher is not None:
        model = Taught(model, open_given(work, "teacher"), getattr(objective, "reverse", False))
    feed, looks, about = _fed(work, settings, objective, found, model)
    probe = Probe(lambda: measured(work, model, objective, looks)["loss"], settings.probe_steps, settings.patience)
    extra, first = _numbers(feed)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    paced = settings.model_copy(update={"steps": _steps(work, settings, about["rows"])})
    driven = train_stage(work, paced, model, feed, objective, probe=probe if looks else None, extra=extra)
    return model, {
        "method": method_of(objective.name) if settings.best_of is None else f"best of {settings.best_of}",
        "adapter": settings.adapter.kind,
        "trained_parameters": trained,
        **found.facts(),
        **about,
        "epochs": driven.steps * settings.rows / about["rows"],
        **({"held_out": measured(work, model, objective, looks)} if looks else {"first_rollouts": first}),
        "held_out_losses": [list(pair) for pair in driven.probes],
        "outputs": (found.classes or ["reward"]) if "pooled" in objective.asks else [],
    }


def objective_of(settings: "Adapt") -> "Objective":
    """The objective of an adapted run."""
    from groundup.train.objectives._base import Objective

    assert isinstance(settings.objective, Objective)
    return settings.objective


def fitted(model: "Model", settings: "Adapt", outputs: int, seed: int) -> "Model":
    """The model with its adapter, with what is frozen frozen, and with the head that its objective asks for.

    Raises UnsupportedError where nothing is left to train.
    """
    from groundup.layers.freeze import freeze
    from groundup.layers.lora import Lora, adapt
    from groundup.layers.nf4 import to_four_bits

    if settings.adapter.kind != "none":
        if settings.adapter.kind == "qlora":
            to_four_bits(model, settings.adapter.targets)
        adapt(model, Lora(dora=settings.adapter.kind == "dora", **_shape(settings.adapter)), seed=seed)
    if settings.freeze:
        freeze(model, settings.freeze)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise UnsupportedError(f"adapt.freeze {list(settings.freeze)} leaves nothing to train; freeze less")
    return with_head(model, outputs, seed) if {"pooled", "value"} & set(objective_of(settings).asks) else model


def _shape(adapter: "Adapter") -> dict[str, Any]:
    return {key: value for key, value in adapter.tree().items() if key != "kind"}


def _steps(work: Work, settings: "Adapt", n_rows: int) -> int | None:
    """The steps of the stage: as set, else by its epochs; None where the clock decides."""
    if settings.steps is not None or work.recipe.minutes is not None:
        return settings.steps
    return max(1, math.ceil(settings.epochs * n_rows / settings.rows))


def _numbers(feed: "Feed") -> tuple[Callable[[], Mapping[str, float]], dict[str, float]]:
    """What roll-outs say of themselves at each step, and what the first ones said; nothing of other feeds."""
    first: dict[str, float] = {}

    def numbers() -> Mapping[str, float]:
        found: Mapping[str, float] = getattr(feed, "metrics", {})
        first.update({} if first else found)
        return found

    return numbers, first


def _fed(
    work: Work, settings: "Adapt", objective: "Objective", found: Examples, model: "Model"
) -> "tuple[Feed, Sequence[Batch], dict[str, Any]]":
    """What the loop reads, the held-out batches that it is probed on (none of roll-outs), and facts on both."""
    from groundup.train.batch import collate
    from groundup.train.feeds.conversations import Conversations
    from groundup.train.feeds.documents import Documents
    from groundup.train.feeds.preferences import Preferences

    chat, micro = chat_of(work), micro_rows(settings)
    if objective.learns_from == "rollouts":
        questions = found.formed("train")
        first = opened(work).eval().requires_grad_(False)
        feed = rollouts(work, model, chat, first, questions, stage_seed(work), micro)
        return feed, [], {"rows": len(questions) * settings.rollouts.group}
    if objective.learns_from == "conversations":
        talks = _conversations(work, chat, found)
        train, held_out = talks["train"], talks["held_out"]
        looks = [collate(held_out[first : first + micro]) for first in range(0, len(held_out), micro)]
        about = {"rows": len(train), "cut_at_the_context": train.n_cut, "left_out": train.n_dropped}
        if settings.replay:
            mixed = _with_text(work, chat, train, settings.replay)
            return Documents(mixed, micro), looks, {**about, "rows": round(len(train) / (1 - settings.replay))}
        return Conversations(train, micro, stage_seed(work)), looks, about
    rows = _preferences(work, chat, found)
    if objective.refers:
        _refer(work, rows)
    about = {"rows": len(rows["train"]), "left_out": rows["train"].n_dropped}
    return Preferences(rows["train"], micro, stage_seed(work)), list(batched(rows["held_out"], micro)), about


def _conversations(work: Work, chat: "Chat", found: Examples) -> "Mapping[str, PackedConversations]":
    from groundup.tokens.conversations import pack_conversations

    length, pad = int(work.recipe.model.tree()["length"]), chat.tokenizer.special["<|pad|>"]
    drawn = work.needs.get("replies")
    talks = {split: best_replies(drawn.path, split) if drawn else found.formed(split) for split in SPLITS}
    return {split: pack_conversations(chat.render_batch(talks[split]), length, pad) for split in SPLITS}


def _with_text(work: Work, chat: "Chat", talks: "PackedConversations", share: float) -> "Mixture":
    """Rows of conversations, and among them a share of rows of the text that the model came from."""
    from groundup.tokenizer.special import END_OF_TEXT
    from groundup.tokens import shard
    from groundup.tokens.mixture import Mixture
    from groundup.tokens.pack import Packed
    from groundup.train.feeds._order import Shuffled

    texts, learned, seed = learned_texts(work.store), chat.tokenizer, stage_seed(work)
    if not texts:
        raise UnsupportedError("adapt.replay: the model came without the text that it learned from; set it to 0")
    path = work.scratch / "learned.tokens"
    shard.write(path, learned.encode_stream(texts), learned.vocab_size, learned.special[END_OF_TEXT])
    rows = Packed(shard.Shard.open(path), talks.length, seed)
    return Mixture([Shuffled(talks, seed), rows], [1 - share, share], seed)


def _preferences(work: Work, chat: "Chat", found: Examples) -> "Mapping[str, PackedPreferences]":
    """Rows of pairs, of single verdicts or of labelled texts, by split."""
    from groundup.train.feeds.preferences import PackedPreferences, label_units, pair_units, verdict_units

    context, pad = int(work.recipe.model.tree()["length"]), chat.tokenizer.special["<|pad|>"]
    if found.wanted == "labels":
        number = {label: place for place, label in enumerate(found.classes)}
        texts = {split: [(item.text, number[item.label]) for item in found.formed(split)] for split in SPLITS}
        return {
            split: PackedPreferences(label_units(texts[split], chat, context), context, context, pad)
            for split in SPLITS
        }
    units = verdict_units if found.wanted == "verdicts" else pair_units
    return {
        split: PackedPreferences(units(found.formed(split), chat), REPLIES * context, context, pad) for split in SPLITS
    }


def _refer(work: Work, rows: "Mapping[str, PackedPreferences]") -> None:
    """Give the rows what the stage reference has worked out."""
    from safetensors.torch import load_file

    tensors = load_file(work.path("reference") / REFERENCE)
    for split, packed in rows.items():
        packed.reference = tensors[split].numpy()


def _fold(work: Work, model: "Model") -> None:
    """Save the adapter in PEFT's layout, and fold it into the model's weights."""
    from groundup.layers.lora import merge
    from groundup.layers.peft import save_adapter

    prefix = model.stock.prefix if model.stock is not None else "model."
    save_adapter(model, work.draft.path / ADAPTER, prefix=prefix)
    merge(model)
