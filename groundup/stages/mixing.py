"""What pretraining reads, in which shares: the recipe's `data.mix` over the user's sources, phase by phase."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from groundup.errors import ConfigError, nearest

if TYPE_CHECKING:
    from groundup.recipe import Mix, Pretrain
    from groundup.tokens.mixture import Curriculum
    from groundup.tokens.pack import Rows

WHOLE = "whole"
"""The one phase of a recipe that names none."""


def curriculum(
    mix: "Mix", train: "Pretrain", weights: dict[str, float], packed: "Sequence[Rows]", seed: int
) -> "Curriculum":
    """The rows of all phases; `weights` are those behind the paths, by label, in the order of `packed`.

    Raises ConfigError for limits that cannot be kept, labels that no source has, and phases without a number of steps.
    """
    from groundup.recipe import Phase
    from groundup.tokens.mixture import Curriculum, mixed

    for setting in ("epochs", "phases"):
        if getattr(mix, setting) and not train.steps:
            raise ConfigError(f"data.mix.{setting}: a timed run does not know its end beforehand; set train.steps")
    rows = [each.rows for each in packed]
    phases: list[tuple[list[float], int]] = []
    done = share = 0.0
    for phase in mix.phases or (Phase(name=WHOLE, share=1.0),):
        share += phase.share
        needed = (round(share * (train.steps or 1)) - round(done)) * train.rows
        done = round(share * (train.steps or 1))
        chosen = _chosen(phase.name, phase.weights, weights)
        sized = [weight * count for weight, count in zip(chosen, rows, strict=True)]
        if (mix.temperature, mix.most, mix.epochs) != (1.0, 1.0, 0.0):
            limits = {"temperature": mix.temperature, "most": mix.most, "epochs": mix.epochs}
            before = Curriculum(packed, phases, seed).used(sum(count for _, count in phases))
            sized = mixed(sized, rows, max(1, needed), **limits, used=before)
        phases.append((sized, needed))
    return Curriculum(packed, phases, seed)


def mixture_facts(mix: "Mix", read: "Curriculum", labels: Sequence[str], tokens: int, length: int) -> dict[str, Any]:
    """Of each source its share, tokens and epochs in the `tokens` that were read, rows being `length` long.

    Of each phase that the recipe names the same, as far as it came.
    """
    rows = max(1, tokens // length)

    def told(numbers: Sequence[int], counts: Sequence[int]) -> dict[str, Any]:
        whole = max(1, sum(counts))
        return {
            labels[number]: {
                "share": count / whole,
                "tokens": count * length,
                "epochs": count / max(1, read.sources[number].rows),
            }
            for number, count in zip(numbers, counts, strict=True)
        }

    facts: dict[str, Any] = {"mixture": told(range(len(labels)), read.used(rows))}
    if mix.phases:
        facts["phases"] = [
            {
                "name": phase.name,
                "first_row": read.starts[at],
                "mixture": told(read.members[at], read.in_phase(at, rows)),
            }
            for at, phase in enumerate(mix.phases)
        ]
    return facts


def _chosen(name: str, wanted: dict[str, float], weights: dict[str, float]) -> list[float]:
    """The weights of a phase. Raises ConfigError for a label that no source has, and where nothing is left."""
    for label in wanted:
        if label not in weights:
            raise ConfigError(f"data.mix.phases.{name}: there is no --data {label!r}; {nearest(label, list(weights))}")
    chosen = [wanted.get(label, weight) for label, weight in weights.items()]
    if not any(chosen):
        raise ConfigError(f"data.mix.phases.{name}: every source has weight 0; give one more than 0")
    return chosen
