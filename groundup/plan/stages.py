"""Seconds that each stage will take, from what was measured of it, scaled to this text, shape and machine."""

from groundup.errors import ResourceError
from groundup.plan.text import Text
from groundup.recipe import Recipe, Training

START = 6.0
"""Imports, probe, measuring the text and a training step or two."""

CORPUS_BYTES, TOKENIZER_BYTES, TOKENS_BYTES = 4.0e6, 8.0e6, 8.0e6
"""Bytes of text a second on two cores (docs/diary.md)."""

PPMD_BYTES = 4.0e6
"""Bytes a second of the yardsticks; the primed one reads the training text up to a bound."""

MIN_PRETRAIN = 10.0
"""Seconds: with less, nothing is learned that SFT could build on."""

DECODE = 3.0
"""Cost of a generated token in a full batch over that of a trained one: fewer FLOPs, in one small product at a time."""

EXAM_TOKENS = {"arithmetic": 220, "passages": 60, "functions": 320}
"""Tokens generated for a question: ten replies to a sum (two models, pass@8), one to a passage, two function bodies."""

MOST_EXAMS, LEAST_EXAMS = 0.15, 32
"""The share of the minutes that questions may take, and how many are asked even so: a slow machine asks fewer."""


def stage_seconds(recipe: Recipe, text: Text, seconds_per_token: float) -> dict[str, float]:
    """Seconds of every stage of a run. Raises ResourceError for minutes in which the stages do not fit.

    Pretraining gets what the others leave.
    """
    seconds = {
        "start": START,
        "corpus": 1.0 + text.bytes / CORPUS_BYTES,
        "tokenizer": 0.5 + min(text.bytes, 100e6) / TOKENIZER_BYTES,
        "tokens": 0.5 + text.bytes / TOKENS_BYTES,
        "pretrain": 0.0,
        "sft": 0.0,
        "grpo": 0.0,
        "eval": eval_seconds(recipe, text, seconds_per_token),
        "report": 1.0,
    }
    if recipe.minutes is not None:
        for name, stage in (("sft", recipe.sft), ("grpo", recipe.grpo)):
            seconds[name] = stage.share * recipe.minutes * 60 if stage.steps is None else 0.0
        seconds["pretrain"] = recipe.minutes * 60 - sum(seconds.values())
        if seconds["pretrain"] < MIN_PRETRAIN and recipe.train.steps is None:
            fixed = sum(seconds[name] for name in ("start", "corpus", "tokenizer", "tokens", "eval", "report"))
            least = (fixed + MIN_PRETRAIN) / (1 - recipe.sft.share - recipe.grpo.share) / 60
            raise ResourceError(
                f"{recipe.minutes:g} minutes are too few for this text on this machine: preparing and measuring alone "
                f"take {fixed:.0f} seconds; give --minutes {least:.1f} or more, or less text"
            )
    length = int(getattr(recipe.model, "length", 256))
    trained: dict[str, Training] = {"pretrain": recipe.train, "sft": recipe.sft, "grpo": recipe.grpo}
    for name, settings in trained.items():
        if settings.steps is not None:
            width = length if name != "grpo" else 2 * recipe.grpo.max_tokens
            seconds[name] = settings.steps * settings.rows * width * seconds_per_token
    return seconds


def eval_seconds(recipe: Recipe, text: Text, seconds_per_token: float) -> float:
    """Seconds of the evaluation: likelihood in two overlapping passes, yardsticks, and what is generated."""
    held_out = min(0.08 * text.bytes, recipe.corpus.held_out.max_bytes)
    tokens = held_out / 3.0
    yardsticks = 1.0 + (3 * held_out + min(text.bytes, 16e6)) / PPMD_BYTES if recipe.eval.yardsticks else 0.0
    return 2.0 + 2 * tokens * seconds_per_token / 3 + exam_seconds(recipe, text, seconds_per_token) + yardsticks


def exam_seconds(recipe: Recipe, text: Text, seconds_per_token: float) -> float:
    """Seconds of the questions of the evaluation; functions are asked for where the text is code."""
    generated = sum(
        getattr(recipe.eval, name) * tokens
        for name, tokens in EXAM_TOKENS.items()
        if name != "functions" or text.code > 0.5
    )
    return generated * seconds_per_token * DECODE


def exams_that_fit(recipe: Recipe, text: Text, seconds_per_token: float) -> dict[str, int]:
    """The recipe's numbers of questions, all cut by one share where they would take more than MOST_EXAMS of a run."""
    asked = {name: getattr(recipe.eval, name) for name in EXAM_TOKENS}
    if recipe.minutes is None:
        return asked
    most = MOST_EXAMS * recipe.minutes * 60
    share = min(1.0, most / max(exam_seconds(recipe, text, seconds_per_token), 1e-9))
    return {name: max(min(count, LEAST_EXAMS), int(share * count)) for name, count in asked.items()}
