"""A model of another run, made to do as examples say: the stages reference and adapt. The loop is that of every stage.

    import -> [reference | replies] -> adapt -> eval -> report

`import` is the copy of the other run's model that the run began with; `reward` and `teacher` are of others yet.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from groundup.corpus.conversation import Conversation
from groundup.errors import UnsupportedError
from groundup.stages._given import batched, chat_of, open_given, opened, with_head
from groundup.stages._measure import measured, scored
from groundup.stages._work import Work
from groundup.stages.examples import SPLITS, Examples, adapting, method_of, objective_of, read_examples
from groundup.stages.incoming import learned_texts
from groundup.stages.numbers import scale_of, unscale
from groundup.stages.reinforce import best_replies, rollouts
from groundup.stages.training import WEIGHTS, micro_rows, stage_seed, train_stage

if TYPE_CHECKING:
    from groundup.models._base import Model
    from groundup.models._headed import Headed
    from groundup.recipe import Adapt, Adapter
    from groundup.tokenizer.chat import Chat
    from groundup.tokens.conversations import PackedConversations
    from groundup.tokens.pack import Packed
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
    found = read_examples(work.recipe)
    model, facts = learn(work, settings, found)
    body = getattr(model, "body", model)
    if facts["outputs"] == ["number"]:
        unscale(cast("Headed", model), found)
    if settings.adapter.kind != "none":
        _fold(work, body)
    if not facts["outputs"]:
        model = body  # a head for values was a help in training; what is left speaks
    facts["weights_sha256"] = checkpoint.save_weights(model, work.draft.path / WEIGHTS)
    work.draft.facts |= facts


def learn(work: Work, settings: "Adapt", found: Examples) -> "tuple[Model, dict[str, Any]]":
    """The model after training on the examples, and the facts of it."""
    from groundup.layers.noise import add_noise
    from groundup.models._taught import Taught
    from groundup.train.drive import Probe

    objective = objective_of(work.recipe)
    model = fitted(opened(work), settings, len(found.classes) or 1, stage_seed(work))
    if settings.teacher is not None:
        model = Taught(model, open_given(work, "teacher"), getattr(objective, "reverse", False))
    feed, looks, about = _fed(work, settings, objective, found, model)
    probe = Probe(lambda: measured(work, model, objective, looks)["loss"], settings.probe_steps, settings.patience)
    extra, first = _numbers(feed)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    paced = settings.model_copy(update={"steps": _steps(work, settings, about["rows"])})
    if settings.noise:
        add_noise(model.embedding, settings.noise)
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
        "outputs": _outputs(found) if "pooled" in objective.asks else [],
    }


def _outputs(found: Examples) -> list[str]:
    """What a model says that makes no replies."""
    return found.classes or ["number" if found.wanted == "numbers" else "reward"]


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
    headed = {"pooled", "value"} & set(getattr(settings.objective, "asks", ()))
    return with_head(model, outputs, seed) if headed else model


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
    from groundup.train.feeds.preferences import Preferences

    chat, micro = chat_of(work), micro_rows(settings)
    if objective.learns_from == "rollouts":
        first = opened(work).eval().requires_grad_(False)
        feed = rollouts(work, model, chat, first, found, stage_seed(work), micro)
        return feed, [], {"rows": len(found.formed("train")) * settings.rollouts.group}
    if objective.learns_from == "conversations":
        return _talks_fed(work, settings, found)
    rows = _preferences(work, chat, found)
    if objective.refers:
        _refer(work, rows)
    about = {"rows": len(rows["train"]), "left_out": rows["train"].n_dropped}
    return Preferences(rows["train"], micro, stage_seed(work)), list(batched(rows["held_out"], micro)), about


def _talks_fed(work: Work, settings: "Adapt", found: Examples) -> "tuple[Feed, Sequence[Batch], dict[str, Any]]":
    """`_fed` of conversations: one set, or several by weight, and text that was learned before among them."""
    from groundup.tokens.mixture import Mixture
    from groundup.train.batch import collate
    from groundup.train.feeds._order import Shuffled
    from groundup.train.feeds.conversations import Conversations
    from groundup.train.feeds.documents import Documents

    micro, seed = micro_rows(settings), stage_seed(work)
    drawn = work.needs.get("replies")
    talks = {split: best_replies(drawn.path, split) if drawn else found.formed(split) for split in SPLITS}
    sets = [(weight, _packed(work, own)) for weight, own in found.formed_sets() if own and not drawn]
    sets = sets or [(1.0, _packed(work, talks["train"]))]
    held_out = _packed(work, talks["held_out"])
    looks = [collate(held_out[first : first + micro]) for first in range(0, len(held_out), micro)]
    about: dict[str, Any] = {
        "rows": sum(len(rows) for _, rows in sets),
        "cut_at_the_context": sum(rows.n_cut for _, rows in sets),
        "left_out": sum(rows.n_dropped for _, rows in sets),
    }
    if len(sets) == 1 and not settings.replay:
        return Conversations(sets[0][1], micro, seed), looks, about
    sources: list[Any] = [Shuffled(rows, seed) for _, rows in sets]
    whole = sum(weight * len(rows) for weight, rows in sets)
    weights = [(1 - settings.replay) * weight * len(rows) / whole for weight, rows in sets]
    if settings.replay:
        sources.append(_learned(work))
        weights.append(settings.replay)
    about |= {"rows": round(about["rows"] / (1 - settings.replay)), "shares": weights}
    return Documents(Mixture(sources, weights, seed), micro), looks, about


def _packed(work: Work, talks: Sequence[Conversation]) -> "PackedConversations":
    from groundup.tokens.conversations import pack_conversations

    chat, length = chat_of(work), int(work.recipe.model.tree()["length"])
    return pack_conversations(chat.render_batch(talks), length, chat.tokenizer.special["<|pad|>"])


def _learned(work: Work) -> "Packed":
    """Rows of the text that the model came from."""
    from groundup.tokenizer.special import END_OF_TEXT
    from groundup.tokens import shard
    from groundup.tokens.pack import Packed

    texts, learned = learned_texts(work.store), chat_of(work).tokenizer
    if not texts:
        raise UnsupportedError("adapt.replay: the model came without the text that it learned from; set it to 0")
    path = work.scratch / "learned.tokens"
    shard.write(path, learned.encode_stream(texts), learned.vocab_size, learned.special[END_OF_TEXT])
    return Packed(shard.Shard.open(path), int(work.recipe.model.tree()["length"]), stage_seed(work))


def _preferences(work: Work, chat: "Chat", found: Examples) -> "Mapping[str, PackedPreferences]":
    """Rows of pairs, of single verdicts or of labelled texts, by split."""
    from groundup.train.feeds.preferences import (
        PackedPreferences,
        label_units,
        number_units,
        pair_units,
        verdict_units,
    )

    context, pad = int(work.recipe.model.tree()["length"]), chat.tokenizer.special["<|pad|>"]
    if found.wanted == "labels":
        number = {label: place for place, label in enumerate(found.classes)}
        texts = {split: [(item.text, number[item.label]) for item in found.formed(split)] for split in SPLITS}
        return {
            split: PackedPreferences(label_units(texts[split], chat, context), context, context, pad)
            for split in SPLITS
        }
    if found.wanted == "numbers":
        mean, spread = scale_of(found)
        scaled = {
            split: [(item.text, (float(item.label) - mean) / spread) for item in found.formed(split)]
            for split in SPLITS
        }
        return {
            split: PackedPreferences(number_units(scaled[split], chat, context), context, context, pad)
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
