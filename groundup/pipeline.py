"""START HERE: the stages in order, raw text to chat.

    corpus -> tokenizer -> tokens -> pretrain -> sft -> grpo -> eval -> report
    import -> [reference | replies] -> adapt -> [folds] -> eval -> report                a run of `groundup finetune`

Each stage is a few lines in `stages/` that call one room, and leaves one artifact: a folder published whole or not at
all, with its facts and its fingerprint. The fingerprint covers the settings the stage reads, the artifacts it needs,
the user's files it looks at, and its own version: so a second `run` does nothing, and a changed setting re-makes only
what depends on it. Nothing here imports torch: to see that there is nothing to do must be quick.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from groundup.config import Tree, fingerprint, leaves
from groundup.errors import DataError
from groundup.events import Events
from groundup.mesh import Mesh
from groundup.recipe import Recipe
from groundup.stages import adapt, adapted, classes, grpo, reinforce, results, text, training
from groundup.stages._work import Clock, Following, Work
from groundup.stages.examples import weighed
from groundup.store import Artifact, Draft, Store


@dataclass(frozen=True)
class Stage:
    """One step of the way. Raise `version` when what `make` leaves changes for the same settings.

    `reads` are the sections of the recipe it depends on. A stage made `together` is every rank's work, any other the
    first one's alone. `timed` names the section whose `steps` may be left to the
    clock: then `minutes` is one of its settings. `files` is the setting that lists the user's files it looks at.
    """

    name: str
    make: Callable[[Work], None]
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    files: str = ""
    timed: str = ""
    version: int = 1
    together: bool = False

    def config(self, tree: Mapping[str, Any]) -> Tree:
        """The settings that this stage reads, as one flat table."""
        flat = {
            key: value
            for key, value in leaves(tree).items()
            if any(key == section or key.startswith(f"{section}.") for section in self.reads)
        }
        if self.timed and f"{self.timed}.steps" not in flat:
            flat["minutes"] = tree.get("minutes")
        return flat


MODEL = ("seed", "precision", "deterministic", "model")
PRETRAIN = (*MODEL, "data.mix", "tokens", "train", "imported")
STAGES = (
    Stage("corpus", text.corpus, reads=("data.text", "corpus"), files="data.text"),
    Stage("tokenizer", text.tokenizer, ("corpus",), ("tokenizer", "data.ranks", "imported")),
    Stage("tokens", text.tokens, ("corpus", "tokenizer")),
    Stage("pretrain", training.pretrain, ("corpus", "tokenizer", "tokens"), PRETRAIN, timed="train", together=True),
    Stage(
        "sft",
        training.sft,
        ("corpus", "tokenizer", "pretrain"),
        (*MODEL, "data.chat", "sft"),
        files="data.chat",
        timed="sft",
        together=True,
    ),
    Stage("grpo", grpo.grpo, ("corpus", "tokenizer", "sft"), (*MODEL, "grpo"), timed="grpo", version=3),
    Stage("eval", results.evaluate, ("corpus", "tokenizer", "pretrain", "sft", "grpo"), (*MODEL, "eval"), version=2),
    Stage("report", results.report, ("corpus", "tokenizer", "tokens", "pretrain", "sft", "grpo", "eval")),
)

EXAMPLES = (*MODEL, "adapt.data", "adapt.held_out", "adapt.seed", "adapt.objective.name")
DRAWN = ("adapt.best_of", "adapt.reward", "adapt.rollouts", "adapt.answers", "adapt.tools")
REFERENCE = Stage("reference", adapt.reference, ("import",), EXAMPLES, files="adapt.data")
REPLIES = Stage("replies", reinforce.replies, ("import",), (*EXAMPLES, *DRAWN), files="adapt.data")
ADAPT = Stage("adapt", adapt.adapt, ("import",), (*MODEL, "adapt"), files="adapt.data", timed="adapt")
FOLDS = Stage("folds", classes.folds, ("import", "adapt"), (*MODEL, "adapt"), files="adapt.data")
GAUGE = Stage("eval", adapted.evaluate, ("import", "adapt"), (*MODEL, "adapt"), files="adapt.data")


def stages_of(tree: Mapping[str, Any]) -> tuple[Stage, ...]:
    """The stages of a run with the settings in `tree`: from text to chat, or from another run's model on.

    What a run began with (`import`, `reward`, `teacher`) is needed as a stage is, and made by none.
    """
    settings = Recipe.from_tree(tree).adapt if "adapt" in tree else None
    if settings is None:
        return STAGES
    first = (REFERENCE,) if getattr(settings.objective, "refers", False) else ()
    judge = ("reward",) if settings.reward is not None else ()
    first = (replace(REPLIES, needs=(*REPLIES.needs, *judge)),) if settings.best_of is not None else first
    teacher = ("teacher",) if settings.teacher is not None else ()
    learn = replace(ADAPT, needs=(*ADAPT.needs, *judge, *teacher, *(stage.name for stage in first)))
    fold = (FOLDS,) if settings.folds else ()
    gauge = replace(GAUGE, needs=(*GAUGE.needs, *judge, *(stage.name for stage in fold)))
    return (*first, learn, *fold, gauge, Stage("report", results.report, (*gauge.needs, "eval")))


@dataclass(frozen=True)
class Status:
    """Where a stage stands: done, stale (and what made it so), or to do."""

    stage: Stage
    state: Literal["done", "stale", "to do"]
    fingerprint: str
    config: Tree
    parents: tuple[str, ...]
    because: str = ""
    artifact: Artifact | None = None


def status(store: Store, tree: Mapping[str, Any]) -> list[Status]:
    """Where every stage of a run stands under the settings in `tree`; nothing is made."""
    current = store.current()
    adapting = tree.get("adapt", {})
    given = {"import": tree.get("imported"), **{kind: adapting.get(kind) for kind in ("reward", "teacher")}}
    prints: dict[str, str] = {kind: print_ for kind, print_ in given.items() if print_ is not None}
    found = []
    for stage in stages_of(tree):
        config = stage.config(tree)
        if stage.files and leaves(tree).get(stage.files):
            config["files"] = _stamp(stage.files, leaves(tree)[stage.files], store)
        parents = tuple(prints[need] for need in stage.needs)
        if "imported" in config:
            parents += (config["imported"],)
        print_ = prints[stage.name] = fingerprint([stage.name, stage.version, config, parents])
        artifact = store.find(stage.name, print_)
        old = current.get(stage.name)
        if artifact is not None:
            found.append(Status(stage, "done", print_, config, parents, artifact=artifact))
        elif old is None:
            found.append(Status(stage, "to do", print_, config, parents))
        else:
            because = _what_changed(stage, old, config, parents)
            found.append(Status(stage, "stale", print_, config, parents, because, old))
    return found


def todo(store: Store, tree: Mapping[str, Any]) -> list[str]:
    """Names of the stages that a `run` would make."""
    return [entry.stage.name for entry in status(store, tree) if entry.state != "done"]


def run(
    store: Store,
    recipe: Recipe,
    events: Events,
    clock: Clock,
    device: str = "cpu",
    rate: float = 0.0,
    mesh: Mesh | None = None,
) -> list[str]:
    """Make every stage that is not done, in order; the names of those made. The caller holds the run's lock.

    `rate` is the machine's matmul rate in FLOP/s, for MFU. Of several ranks the first calls this, the others `follow`.
    """
    ranks = mesh or Mesh()
    made = []
    for entry in status(store, recipe.tree()):
        name = entry.stage.name
        if entry.state == "done" and entry.artifact is not None:
            store.point(name, entry.artifact)
            continue
        current, start = store.current(), time.perf_counter()
        with store.publish(name, entry.fingerprint, entry.parents, entry.config) as draft:
            given: dict[str, Any] = {
                "name": name,
                "recipe": recipe,
                "needs": {need: current[need] for need in entry.stage.needs},
                "scratch": store.scratch(name, entry.fingerprint),
                "store": store,
                "fingerprint": entry.fingerprint,
                "config": entry.config,
                "parents": entry.parents,
                "clock": clock,
                "device": device,
                "rate": rate,
            }
            share = ranks if entry.stage.together else Mesh()
            alone = not entry.stage.together
            entry.stage.make(Work(**share.agree(given), draft=draft, events=events, mesh=share, alone=alone))
            draft.seconds = time.perf_counter() - start
        store.note("run", recipe.fingerprint(), spent=clock.elapsed())
        made.append(name)
    if made:
        store.note("run", recipe.fingerprint(), spent=0.0)  # done: what is made again later has all its minutes
    store.prune(keep=())
    return made


def follow(mesh: Mesh) -> None:
    """Do this rank's part of the stages that are made together, until the first rank has made all: it says None."""
    make = {stage.name: stage.make for stage in STAGES}
    while (given := mesh.agree(cast(dict[str, Any] | None, None))) is not None:
        with tempfile.TemporaryDirectory() as folder:
            make[given["name"]](Following(**given, draft=Draft(Path(folder)), events=Events(), mesh=mesh))


def spent_before(store: Store, recipe: Recipe) -> float:
    """Seconds that interrupted commands for these very settings have used."""
    rows = store.journal("run", recipe.fingerprint())
    return float(rows[-1].get("spent", 0.0)) if rows else 0.0


def _what_changed(stage: Stage, old: Artifact, config: Tree, parents: Sequence[str]) -> str:
    """The settings, files or earlier stages that make an artifact stale, in words."""
    fields = [key for key in sorted({*config, *old.config}) if config.get(key) != old.config.get(key)]
    told = [f"{key} was {old.config.get(key)!r}, is {config.get(key)!r}" for key in fields if key != "files"]
    told += ["the files changed"] if "files" in fields else []
    pairs = zip(stage.needs, parents, old.parents, strict=False)
    told += [f"{need} is made again" for need, now, was in pairs if now != was]
    return "; ".join(told) or f"{stage.name} is made in a new way (version {stage.version})"


def _stamp(setting: str, paths: Sequence[str], store: Store) -> str:
    """A fingerprint of the user's files: path, size, content. Content is hashed again only where size or time changed.

    Files that are gone make the stage stale; it says so itself when it is made.
    """
    known = store.read_json("inputs.json") if (store.root / "inputs.json").is_file() else {}
    seen: dict[str, list[Any]] = {}
    try:
        for path in _input_files(setting, paths):
            stat = path.stat()
            size, mtime, digest = known.get(str(path), (None, None, ""))
            if (size, mtime) != (stat.st_size, stat.st_mtime_ns):
                digest = _digest(path)
            seen[str(path)] = [stat.st_size, stat.st_mtime_ns, digest]
    except (DataError, OSError) as error:
        return f"not readable: {error}"
    if any(known.get(path) != row for path, row in seen.items()):
        store.write_json("inputs.json", {**known, **seen})
    return fingerprint(sorted((path, row[0], row[2]) for path, row in seen.items()))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _input_files(setting: str, paths: Sequence[str]) -> list[Path]:
    """Every file of the user's that a setting names."""
    if setting != "data.text":
        return [weighed(path)[0] if setting == "adapt.data" else Path(path) for path in paths]
    from groundup.corpus.sources._base import open_specs

    sources = [source for each in open_specs(list(paths)) for source in each.sources]
    return [Path(file.path) for source in sources for file in source.manifest()]
