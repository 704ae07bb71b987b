"""What came out: the stages eval and report, and the run's model opened to be talked to."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import StoreError, UnsupportedError
from groundup.stages._work import Work
from groundup.stages.conversations import text_tasks
from groundup.stages.text import documents
from groundup.stages.training import autocast_dtype, build_model

if TYPE_CHECKING:
    from groundup.dialogue import Dialogue
    from groundup.eval.suite import Exam
    from groundup.events import Reporter
    from groundup.recipe import Recipe
    from groundup.store import Artifact, Store
    from groundup.tasks._base import Example, Task

CHAT_STAGES = ("adapt", "grpo", "sft", "pretrain", "import")
"""Whose weights are talked to: the last that is done."""

PASS_AT = 8
"""Samples a problem for SFT's pass@k: what reinforcement could at most make likely."""

QUESTIONS = ("Who are you?", "What is 17 + 25?")
"""Asked of every model at the end."""

ENGINE_ROWS = 128

ANSWER_ROOM = 8
"""Tokens that a question must leave beyond its own answer."""


def evaluate(work: Work) -> None:
    """Measure the base model by its likelihood and the chatbot by what it says."""
    from random import Random

    from groundup.eval.suite import Subject
    from groundup.eval.suite import evaluate as measure
    from groundup.tasks.functions import draw
    from groundup.tokenizer._base import load

    recipe, settings = work.recipe, work.recipe.eval
    learned = load(work.path("tokenizer"))
    base = build_model(recipe, work.path("tokenizer"), work.path("pretrain"), work.device)
    after = _dialogue(recipe, work.path("tokenizer"), work.path("grpo"), work.device)
    before = None
    if recipe.grpo.steps != 0:
        before = _dialogue(recipe, work.path("tokenizer"), work.path("sft"), work.device)
    length, dtype = base.config.length, autocast_dtype(recipe.precision)
    held_out = list(documents(work, "held_out"))
    exams = _exams(work, after, held_out)
    asked = draw(held_out, settings.functions, Random(recipe.seed)) if settings.functions else []
    work.draft.facts |= measure(
        Subject(
            model=base, tokenizer=learned, context=length, dialogue=after, before=before,
            compared=frozenset({"arithmetic"}), pass_at=PASS_AT, dtype=dtype,
        ),
        held_out=held_out,
        training=(document.text for document in documents(work, "train")),
        exams=exams,
        functions=asked,
        questions=[*QUESTIONS, *_own_questions(exams)],
        measure_yardsticks=settings.yardsticks,
        progress=work.events,
    )  # fmt: skip


def report(work: Work) -> None:
    """One self-contained page."""
    from groundup.report.page import write

    write(work.store.root, work.draft.path / "report.html")
    shutil.copyfile(work.draft.path / "report.html", work.store.root / "report.html")


def open_model(
    store: "Store",
    recipe: "Recipe",
    stage: str | None,
    device: str,
    rows: int = ENGINE_ROWS,
    compiled: "Reporter | None" = None,
) -> "Dialogue":
    """The run's chatbot, with memory for so many replies at a time; `compiled` as for `Engine`.

    Raises StoreError when the stage is not done, and UnsupportedError as `Engine` does.
    """
    weights = chosen(store, stage)
    return _dialogue(recipe, tokenizer_folder(store), weights.path, device, rows, compiled)


def tokenizer_folder(store: "Store") -> Path:
    """Where the run's tokenizer is: its own, or that of the model it was imported with."""
    current = store.current()
    return current["tokenizer" if "tokenizer" in current else "import"].path


def device_of(store: "Store") -> str:
    """The device that a run was planned for; one that was imported and not planned yet is opened on the CPU."""
    planned = (store.root / "forecast.json").is_file()
    return str(store.read_json("forecast.json")["basis"]["device"]) if planned else "cpu"


def chosen(store: "Store", stage: str | None) -> "Artifact":
    """The weights that are asked for: of a stage, or of the last that is done.

    Raises StoreError when it is not, UnsupportedError for a model that says nothing.
    """
    current = store.current()
    done = [name for name in CHAT_STAGES if name in current]
    if not done or (stage is not None and stage not in done):
        what = f"its {stage} stage is not done" if stage else "it has no model yet"
        raise StoreError(f"run {store.name!r}: {what}; `groundup run {store.name}` goes on")
    found = current[stage or done[0]]
    if outputs := found.facts.get("outputs"):
        kinds = {"reward": "is a reward model", "number": "gives texts a number"}
        what = kinds.get(outputs[0]) or f"tells {', '.join(outputs)} apart"
        raise UnsupportedError(
            f"run {store.name!r} {what} and makes no replies; `groundup show {store.name}` has its figures, and a "
            f"reward model judges those of another run: `groundup finetune RUN --method ppo --reward {store.name}`"
        )
    return found


def _dialogue(
    recipe: "Recipe",
    tokenizer: Path,
    weights: Path,
    device: str,
    rows: int = ENGINE_ROWS,
    compiled: "Reporter | None" = None,
) -> "Dialogue":
    from groundup.dialogue import Dialogue
    from groundup.infer.engine import Engine
    from groundup.tokenizer._base import load
    from groundup.tokenizer.chat import Chat

    model, learned = build_model(recipe, tokenizer, weights, device), load(tokenizer)
    dtype = autocast_dtype(recipe.precision)
    length, table = model.config.length, learned.token_bytes
    engine = Engine(model, rows=rows, length=length, dtype=dtype, table=table, compiled=compiled)
    return Dialogue(engine, Chat(learned))


def _fits(dialogue: "Dialogue", task: "Task", example: "Example") -> bool:
    """Does the context hold the question with a reply, and every option?"""
    encode = dialogue.chat.tokenizer.encode
    turns = [(task.ask(example), example.answer), *((option[:-1], option[-1].content) for option in example.options)]
    return all(dialogue.room(asked) > len(encode(said)) + ANSWER_ROOM for asked, said in turns)


def _exams(work: Work, dialogue: "Dialogue", held_out: list[Any]) -> "dict[str, Exam]":
    """The held-out questions that are put to the chatbot."""
    from groundup.eval.suite import Exam
    from groundup.tasks.arithmetic import Arithmetic

    settings, seed = work.recipe.eval, work.recipe.seed
    exams = {}
    if settings.arithmetic:
        task = Arithmetic()
        exams["arithmetic"] = Exam(task, task.examples("held_out", settings.arithmetic, seed))
    origin = text_tasks(work).get("origin")
    if settings.passages and origin is not None:
        # Bytes are only a guess at tokens: some more are made, and those that the context does not hold are left out.
        made = origin.examples("held_out", settings.passages * 3 // 2, seed, held_out)
        examples = [example for example in made if _fits(dialogue, origin, example)][: settings.passages]
        if examples:
            exams["origin"] = Exam(origin, examples)
    return exams


def _own_questions(exams: "dict[str, Exam]") -> list[str]:
    """A question on the user's own text, for the sample conversation."""
    return [exams["origin"].examples[0].question] if "origin" in exams else []
