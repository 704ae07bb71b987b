"""The forecast of a run: the settings that the planner fills in, and what they will cost and give.

The dial is minutes. What a width costs per token is measured by running a training step of it; how good it gets
follows from a law of the Chinchilla form. Among the widths the one with the lowest forecast loss is taken. All that the
user has set stays as it is.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from groundup.config import Tree, leaves, merge, origins
from groundup.errors import ConfigError, ResourceError
from groundup.models._base import ModelConfig
from groundup.plan.fit import SECTIONS, fitted
from groundup.plan.machine import Machine, probe
from groundup.plan.memory import stage_bytes, training_bytes
from groundup.plan.quality import expected_bits, relative_loss
from groundup.plan.shape import WIDTHS, Cost, CostOf, batch_rows, context, measure_cost, vocabulary
from groundup.plan.stages import exams_that_fit, stage_seconds
from groundup.plan.text import Text, measure
from groundup.recipe import Evaluation, Grpo, Recipe, Sft
from groundup.report.units import duration

PLANNER = "planner"
DEFAULT_MINUTES = 10.0
LEAST_GRPO_MINUTES = 5.0  # a judgement between 3 minutes, where it did harm, and 10
MOST_MEMORY = 0.8
"""Of the free memory, what a plan may use."""

MIN_BYTES = 50_000
"""Less text than this teaches a tokenizer and a model next to nothing, and leaves no held-out part to measure on."""


@dataclass(frozen=True)
class Forecast:
    """What a run would be: its resolved recipe with the origin of each setting, and its price in time and space."""

    recipe: Recipe
    origins: Mapping[str, str]
    machine: Machine
    text: Text
    parameters: int
    tokens: float
    epochs: float
    bits: tuple[float, float, float]
    seconds: Mapping[str, float]
    memory: int
    disk: int
    seconds_per_token: float

    def basis(self) -> dict[str, Any]:
        """What a later command for the same run needs, so that it probes nothing."""
        return {
            "device": self.machine.device,
            "rate": self.machine.rate,
            "threads": self.machine.threads,
            "seconds_per_token": self.seconds_per_token,
            "text": asdict(self.text),
        }

    def money(self, price_per_hour: float) -> float:
        """What the whole command costs on a machine of that price."""
        return sum(self.seconds.values()) / 3600 * price_per_hour

    def lines(self, price_per_hour: float | None = None) -> list[tuple[str, str]]:
        """The forecast as a person reads it."""
        model, machine = self.recipe.model.tree(), self.machine
        rates = ", ".join(f"{kind} {rate / 1e9:,.0f}" for kind, rate in machine.matmul.items() if rate)
        value, low, high = self.bits
        rows = [
            ("machine", f"{machine.device_name}, {_cores(machine)}, {machine.memory / 2**30:.1f} GiB free"),
            ("  GFLOP/s", f"{rates}; takes {self.recipe.precision}"),
            ("text", f"{self.text.bytes / 1e6:,.1f} MB in {self.text.files:,} files, xz {self.text.xz:.2f} bits/byte"),
            ("model", f"{self.recipe.model.name}, {self.parameters / 1e6:.2f} M parameters: "
                      + ", ".join(f"{key} {model[key]}" for key in ("layers", "dim", "length") if key in model)
                      + f", vocabulary {self.recipe.tokenizer.tree().get('vocab_size', '?')}"),
            ("training", f"{self.tokens / 1e6:.1f} M tokens, {self.epochs:.1f} epochs"),
            ("bits per byte", f"{value:.2f} expected on held-out text ({low:.2f} to {high:.2f})"),
        ]  # fmt: skip
        total = sum(self.seconds.values())
        rows.append(("time", f"{duration(total)}: " + ", ".join(f"{k} {duration(v)}" for k, v in self.seconds.items())))
        rows.append(("peak memory", f"{self.memory / 1e9:.2f} GB"))
        rows.append(("disk", f"{self.disk / 1e6:,.0f} MB"))
        if price_per_hour is not None:
            rows.append(("money", f"{self.money(price_per_hour):.2f} at {price_per_hour:g} an hour"))
        return rows

    def facts(self, price_per_hour: float | None = None) -> dict[str, Any]:
        """The forecast as plain values."""
        value, low, high = self.bits
        return {
            "parameters": self.parameters,
            "tokens": round(self.tokens),
            "epochs": round(self.epochs, 2),
            "bits_per_byte": {"value": value, "low": low, "high": high},
            "seconds": {stage: round(seconds, 1) for stage, seconds in self.seconds.items()},
            "memory_bytes": self.memory,
            "disk_bytes": self.disk,
            "money": None if price_per_hour is None else round(self.money(price_per_hour), 4),
            "machine": {"device": self.machine.device_name, "cores": self.machine.cores, "matmul": self.machine.matmul},
            "text": {"bytes": self.text.bytes, "files": self.text.files, "xz": self.text.xz},
            "recipe": self.recipe.tree(),
        }


def plan(
    layers: Sequence[tuple[str, Tree]],
    runs: Path,
    frozen: Tree | None = None,
    *,
    machine: Machine | None = None,
    text: Text | None = None,
    cost: CostOf = measure_cost,
) -> Forecast:
    """The forecast for what the user wrote, in `layers` of rising strength; `frozen` is a run's earlier recipe.

    A `machine` and a `text` that are given are not measured, and `cost` may say what a training step reaches without
    running one: a plan for another machine.
    Raises ConfigError for a wrong setting, DataError for text that cannot be read, and ResourceError for a budget or a
    text that is too small, naming the smallest that works.
    """
    layers = [("recipe of the run", frozen), *layers] if frozen is not None else list(layers)
    user: Tree = {}
    for _, layer in layers:
        user = merge(user, layer)
    defaults = Recipe().tree()  # below it all, so that `grpo.optim.lr=1e-3` leaves the other fields of that optimizer
    wanted = Recipe.from_tree(merge(defaults, user))
    if wanted.minutes is None and wanted.train.steps is None:
        layers = [("default", {"minutes": DEFAULT_MINUTES}), *layers]
        user = merge({"minutes": DEFAULT_MINUTES}, user)
        wanted = Recipe.from_tree(merge(defaults, user))
    text = text or measure(wanted.data.text)
    if text.bytes < MIN_BYTES:
        raise ResourceError(
            f"{', '.join(wanted.data.text)}: {text.bytes:,} bytes of text are too few to learn a language from; "
            f"give at least {MIN_BYTES:,} (a few megabytes make a model worth talking to)"
        )
    planner = _Planner(
        wanted, set(leaves(user)), machine or probe(runs, threads=wanted.minutes is not None), text, cost
    )
    chosen = planner.choose() if frozen is None else {}
    if frozen is None:
        chosen = merge(chosen, planner.fit(Recipe.from_tree(merge(merge(defaults, chosen), user))))
    tree = Recipe.from_tree(merge(merge(defaults, chosen), user)).tree()
    return planner.forecast(Recipe.from_tree(tree), origins(tree, [(PLANNER, chosen), *layers]))


class _Planner:
    """Holds what is known while one forecast is made."""

    def __init__(self, wanted: Recipe, pinned: set[str], machine: Machine, text: Text, cost: CostOf) -> None:
        sizes = unpinned(sizes_for(wanted.minutes), pinned)
        self._wanted = Recipe.from_tree(merge(wanted.tree(), sizes))
        self._machine = replace(machine, asked=wanted.precision) if "precision" in pinned else machine
        if not self._machine.rate:
            runs = [kind for kind, rate in machine.matmul.items() if rate]
            raise ConfigError(f"precision={wanted.precision}: {machine.device_name} runs {', '.join(runs)} only")
        self._sizes, self._pinned, self._text = sizes, pinned, text
        self._cost, self._reached = cost, dict[int, float]()

    def choose(self) -> Tree:
        """The settings that the planner fills in: those of the width with the lowest forecast loss."""
        tree: Tree = {"precision": self._machine.precision}
        optimizer = self._wanted.train.optim
        if self._machine.precision == "fp32" and "iterate_in" in type(optimizer).model_fields:
            tree["train"] = {"optim": {"name": optimizer.name, "iterate_in": "fp32"}}
        if self._wanted.minutes is None:
            return tree
        width = self._guess()
        for _ in range(3):
            self._measure(width)
            better = min(WIDTHS, key=self._loss_at)
            if better in self._reached:
                break
            width = better
        width = min(self._reached, key=self._loss_at)
        self._tokens_at(width)
        config = self._config(width)
        rows = batch_rows(self._tokens_at(width), config.length)
        chosen: Tree = {"model": {"name": config.name, **config.tree()}, "train": {"rows": rows}}
        if "vocab_size" in type(self._wanted.tokenizer).model_fields:
            chosen["tokenizer"] = {"name": self._wanted.tokenizer.name, "vocab_size": self._vocab(width)}
        return merge(merge(merge(tree, self._sizes), self._exams(self._per_token(width))), chosen)

    def fit(self, recipe: Recipe) -> Tree:
        """Micros, recompute and, at the last, precision under which every stage fits in memory."""
        kinds = [recipe.precision]
        if "precision" not in self._pinned and recipe.precision == "fp32" and self._machine.matmul.get("bf16"):
            kinds.append("bf16")
        room = int(MOST_MEMORY * self._machine.memory)
        return fitted(recipe, self._vocab_of(recipe), room, self._machine.device, self._pinned, kinds)

    def forecast(self, recipe: Recipe, origin: Mapping[str, str]) -> Forecast:
        """What a resolved recipe will cost and give."""
        config, vocab = recipe.model, self._vocab_of(recipe)
        assert isinstance(config, ModelConfig)
        if not self._reached:
            self._reached[config.dim] = self._measured(config, vocab)
        per_token = Cost(self._machine, self._reached).seconds_per_token(config, vocab)
        seconds = stage_seconds(recipe, self._text, per_token)
        tokens = seconds["pretrain"] / per_token
        if recipe.train.steps is not None:
            tokens = max(1, recipe.train.steps) * recipe.train.rows * config.length
        unique = self._text.bytes / bytes_per_token(vocab)
        held = stage_bytes(recipe, vocab, self._machine.device)
        memory = max(held.values(), default=0)
        if memory > self._machine.memory:
            stage = max(held, key=lambda name: held[name])
            raise ResourceError(
                f"{stage} of this shape needs {memory / 1e9:.1f} GB and {self._machine.memory / 1e9:.1f} GB are free: "
                f"lower model.dim, model.layers or {SECTIONS[stage]}.micro_rows, set parallel.recompute=full, or close "
                "other programs"
            )
        disk = int(4 * self._text.bytes + 8 * 4 * config.parameters_count(vocab) + 20e6)
        if disk > self._machine.disk:
            raise ResourceError(
                f"the run needs {disk / 1e6:,.0f} MB of disk, {self._machine.disk / 1e6:,.0f} MB are free: "
                "free some, or put the run on another disk with --runs DIR"
            )
        return Forecast(
            recipe=recipe, origins=origin, machine=self._machine, text=self._text,
            parameters=config.parameters_count(vocab), tokens=tokens, epochs=tokens / unique,
            bits=expected_bits(self._text, learned(config, vocab), tokens, unique),
            seconds=seconds, memory=memory, disk=disk, seconds_per_token=per_token,
        )  # fmt: skip

    def _config(self, width: int) -> ModelConfig:
        """The wanted architecture at a width, with everything that the user has set kept."""
        kind = type(self._wanted.model)
        assert issubclass(kind, ModelConfig)
        free = {
            key: value
            for key, value in kind.of_width(width, context(width)).tree().items()
            if f"model.{key}" not in self._pinned
        }
        return kind.from_tree({**self._wanted.model.tree(), **free})

    def _vocab(self, width: int) -> int:
        if "tokenizer.vocab_size" in self._pinned:
            return self._vocab_of(self._wanted)
        return min(vocabulary(width), max(512, int(self._text.bytes / 400)))

    def _vocab_of(self, recipe: Recipe) -> int:
        return int(getattr(recipe.tokenizer, "vocab_size", 4096))

    def _tokens_at(self, width: int) -> float:
        per_token = self._per_token(width)
        sized = Recipe.from_tree(merge(self._wanted.tree(), self._exams(per_token)))
        return stage_seconds(sized, self._text, per_token)["pretrain"] / per_token

    def _per_token(self, width: int) -> float:
        return Cost(self._machine, self._reached).seconds_per_token(self._config(width), self._vocab(width))

    def _exams(self, per_token: float) -> Tree:
        """As many questions at the end as this machine has time for."""
        return unpinned({"eval": exams_that_fit(self._wanted, self._text, per_token)}, self._pinned)

    def _loss_at(self, width: int) -> float:
        config, vocab = self._config(width), self._vocab(width)
        unique = self._text.bytes / bytes_per_token(vocab)
        try:
            tokens = self._tokens_at(width)
        except ResourceError:
            return float("inf")
        smallest = training_bytes(config, vocab, 1, self._machine.precision, "muon", device=self._machine.device)
        if smallest > MOST_MEMORY * self._machine.memory:
            return float("inf")
        return relative_loss(learned(config, vocab), tokens, unique)

    def _guess(self) -> int:
        """Where to measure first: as if a step reached two fifths of the matmul rate."""
        self._reached = {256: 0.4}
        width = min(WIDTHS, key=self._loss_at)
        self._tokens_at(width)  # where even the smallest does not fit, this says so
        self._reached = {}
        return width

    def _measure(self, width: int) -> None:
        self._reached[width] = self._measured(self._config(width), self._vocab(width))

    def _measured(self, config: ModelConfig, vocab: int) -> float:
        rows = max(2, 4096 // config.length) if self._machine.device == "cpu" else max(8, 32768 // config.length)
        return self._cost(config, self._wanted.train.optim, vocab, self._machine, rows)


def _cores(machine: Machine) -> str:
    threads = machine.threads or machine.cores
    busy = "" if threads == machine.cores else f" of which {threads} pay: others keep the rest busy"
    return f"{machine.cores} cores{busy}"


def sizes_for(minutes: float | None) -> Tree:
    """What grows with the minutes up to eight, so that a short run is mostly training.

    Of the questions asked at the end and the conversations made, a share; of reinforcement too, and none of it under
    LEAST_GRPO_MINUTES: in its first steps the reward falls before it rises, and a run that ends there is worse for it
    (27.7 to 19.7 % in three minutes, docs/diary.md).
    """
    share = min(1.0, (minutes or 8) / 8)
    exams, sft, grpo = Evaluation(), Sft(), Grpo()
    short = minutes is not None and minutes < LEAST_GRPO_MINUTES
    return {
        "eval": {
            name: max(32, round(share * getattr(exams, name))) for name in ("arithmetic", "passages", "functions")
        },
        "sft": {"conversations": max(500, round(share * sft.conversations))},
        "grpo": {"steps": 0} if short else {"share": round(share * grpo.share, 3)},
    }


def unpinned(tree: Tree, pinned: Collection[str]) -> Tree:
    """The settings of a tree that the user has not set."""
    return {
        section: {key: value for key, value in fields.items() if f"{section}.{key}" not in pinned}
        for section, fields in tree.items()
    }


def learned(config: ModelConfig, vocab_size: int) -> float:
    """Parameters that every token passes: matrices and head, not embeddings."""
    return config.flops_per_token(vocab_size, 0) / 6


def bytes_per_token(vocab_size: int) -> float:
    """What a byte-level BPE of that size gives on mixed prose and code, about (measured at 2k, 4k, 8k)."""
    return max(1.0, 0.36 * (vocab_size**0.27))
