"""What memory decides: rows in one forward pass, recompute and, at the last, precision. Never the global batch."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from groundup.config import Tree, merge
from groundup.plan.memory import stage_bytes
from groundup.recipe import Recipe

SECTIONS = {"pretrain": "train", "sft": "sft", "grpo": "grpo"}
RECOMPUTES = ("none", "selective", "full")

LEAST_TOKENS = 1024
"""Fewer in one forward pass leave the machine idle: rather recompute (a judgement)."""


def fitted(
    recipe: Recipe, vocab_size: int, room: int, device: str, pinned: Collection[str], precisions: Sequence[str]
) -> Tree:
    """The settings, of those that the user has not set, under which every stage holds at most `room` bytes.

    In this order: smaller micros, recompute, micros of single rows and fewer roll-outs at a time, and the next of
    `precisions`. Where nothing is
    enough, the last that was tried.
    """
    tree: Tree = {}
    for tree, least in _ways(pinned, precisions):
        tried = Recipe.from_tree(merge(recipe.tree(), tree))
        tree = merge(tree, _micros(tried, vocab_size, room, device, pinned, least))
        held = stage_bytes(Recipe.from_tree(merge(recipe.tree(), tree)), vocab_size, device)
        if max(held.values(), default=0) <= room:
            break
    return tree


def _ways(pinned: Collection[str], precisions: Sequence[str]) -> Iterator[tuple[Tree, int]]:
    """What is tried, and the fewest tokens of a micro in it; the first one is to change nothing."""
    kinds = RECOMPUTES if "parallel.recompute" not in pinned else ("",)
    for number, precision in enumerate(precisions):
        told: Tree = {"precision": precision} if number else {}
        for kind in kinds:
            yield {**told, **({"parallel": {"recompute": kind}} if kind not in ("", "none") else {})}, LEAST_TOKENS
        yield {**told, **({"parallel": {"recompute": kinds[-1]}} if kinds[-1] else {})}, 1


def _micros(
    recipe: Recipe, vocab_size: int, room: int, device: str, pinned: Collection[str], least: int
) -> Mapping[str, Tree]:
    """Rows of a step that are read at once, of each stage: all of them, or a half, a quarter, an eighth ..."""
    found: dict[str, Tree] = {}
    for name in stage_bytes(recipe, vocab_size, device):
        section = SECTIONS[name]
        settings = getattr(recipe, section)
        if f"{section}.micro_rows" in pinned:
            continue
        length = int(recipe.model.tree()["length"])
        micro = settings.rows
        while (
            micro % 2 == 0
            and micro // 2 * length >= least
            and _of(recipe, section, micro, vocab_size, device)[name] > room
        ):
            micro //= 2
        if micro < settings.rows:
            found[section] = {"micro_rows": micro}
    if "grpo" in found and "grpo.drawn_rows" not in pinned and least == 1:
        found["grpo"] = {
            **found["grpo"],
            **_drawn(Recipe.from_tree(merge(recipe.tree(), found)), vocab_size, room, device),
        }
    return found


def _drawn(recipe: Recipe, vocab_size: int, room: int, device: str) -> Tree:
    """Roll-outs of a step that are drawn at once: all of them, or a half, a quarter, an eighth ..."""
    rows = drawn = recipe.grpo.rows
    while drawn % 2 == 0 and stage_bytes(recipe, vocab_size, device)["grpo"] > room:
        drawn //= 2
        recipe = recipe.override(f"grpo.drawn_rows={drawn}")
    return {"drawn_rows": drawn} if drawn < rows else {}


def _of(recipe: Recipe, section: str, micro: int, vocab_size: int, device: str) -> dict[str, int]:
    return stage_bytes(Recipe.from_tree(merge(recipe.tree(), {section: {"micro_rows": micro}})), vocab_size, device)
