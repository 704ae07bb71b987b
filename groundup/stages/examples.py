"""The examples that an adapted run learns from: the user's files, their kind found out, some of them held out."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from groundup.corpus.classes import Labelled, is_table, read_classes
from groundup.corpus.conversation import Conversation, Message, each_record, parse_conversation
from groundup.corpus.document import Unreadable
from groundup.corpus.preference import Pair, Thumb, parse_preferences
from groundup.errors import ConfigError, DataError, UnsupportedError

if TYPE_CHECKING:
    from groundup.recipe import Adapt, Recipe
    from groundup.train.objectives._base import Objective, Wanted

Split = Literal["train", "held_out"]

Example = Conversation | Pair | Thumb | Labelled
SPLITS: tuple[Split, ...] = ("train", "held_out")

KINDS: dict[type, str] = {tuple: "conversations", Pair: "pairs", Thumb: "single verdicts", Labelled: "labelled texts"}

METHODS: dict[str, str | dict[str, Any]] = {
    "sft": "likelihood",
    "cdpo": {"name": "dpo", "smoothing": 0.1},
    "grpo": "policy",
}
"""Names of methods that are not those of an objective's file."""

INSTEAD: "dict[Wanted, str]" = {
    "conversations": "conversations, or pairs and liked replies to take the good ones of",
    "pairs": "pairs (chosen and rejected)",
    "verdicts": "pairs, or replies with a label (liked or not)",
    "rollouts": "questions",
    "labels": "texts with a label (a table with the columns text and label)",
    "numbers": "texts whose label is a number (a table with the columns text and label)",
}


@dataclass(frozen=True)
class Examples:
    """What the files hold that a method can learn from, in two parts; and what was found on the way."""

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    wanted: "Wanted"
    kinds: dict[str, int]
    """How many of each kind the files hold."""
    unreadable: tuple[Unreadable, ...]
    sets: tuple[tuple[float, tuple[Example, ...]], ...] = ()
    """The training part by file, and how many times each counts; none where all count alike."""

    def formed(self, split: Split) -> list[Any]:
        """The examples of a split in the form that the method wants, each once."""
        items = self.train if split == "train" else self.held_out
        return self._formed(items)

    def _formed(self, items: Sequence[Example]) -> list[Any]:
        return list(dict.fromkeys(form for item in items for form in FORMS[self.wanted](item)))

    def formed_sets(self) -> list[tuple[float, list[Any]]]:
        """How many times each set counts, and its training examples in the form that the method wants."""
        return [(weight, self._formed(items)) for weight, items in self.sets]

    @property
    def classes(self) -> list[str]:
        """The labels there are, sorted; none of examples without, or whose labels are numbers."""
        if self.wanted == "numbers":
            return []
        return sorted({item.label for item in (*self.train, *self.held_out) if isinstance(item, Labelled)})

    def facts(self) -> dict[str, Any]:
        """Plain values for an artifact's facts."""
        return {
            "examples": len(self.train),
            "held_out_examples": len(self.held_out),
            "found": self.kinds,
            "unreadable": len(self.unreadable),
            "first_unreadable": self.unreadable[0].detail if self.unreadable else None,
        }


def adapting(recipe: "Recipe") -> "Adapt":
    """The section of a recipe that says how a model is adapted, which this run has."""
    assert recipe.adapt is not None
    return recipe.adapt


def objective_of(recipe: "Recipe") -> "Objective":
    """The objective of an adapted run."""
    from groundup.train.objectives._base import Objective

    objective = adapting(recipe).objective
    assert isinstance(objective, Objective)
    return objective


def method_of(objective: str) -> str:
    """What people call the method of an objective."""
    return next((name for name, given in METHODS.items() if given == objective), objective)


def read_examples(recipe: "Recipe") -> Examples:
    """The examples of a recipe's files, for its objective.

    Raises DataError for files that cannot be read or hold too few, UnsupportedError for those that hold what the
    method cannot learn from, ConfigError for weights of sets that it has no use for.
    """
    settings = adapting(recipe)
    wanted = "rollouts" if settings.best_of is not None else objective_of(recipe).learns_from
    found = _read(settings.data, wanted)
    sets: dict[str, list[Example]] = {}
    for path, items in found.items():
        read = [item for item in items if not isinstance(item, Unreadable)]
        good = [item for item in read if FORMS[wanted](item)]
        if not good:
            raise UnsupportedError(
                f"{path} holds {KINDS[type(read[0])]}, and {method_of(settings.objective.name)} learns from "
                f"{INSTEAD[wanted]}; choose another --method, or give other --data"
            )
        sets[path] = good
    usable = [item for items in sets.values() for item in items]
    held = [share_of(item, recipe.seed + settings.seed) < settings.held_out for item in usable]
    if all(held) or not any(held):
        raise DataError(
            f"{', '.join(settings.data)}: {sum(held)} of {len(usable)} examples would be held out, and both parts need "
            "one; give more examples, or change adapt.held_out"
        )
    out = {item for item, apart in zip(usable, held, strict=True) if apart}
    weights = {str(path): weight for path, weight in map(weighed, settings.data)}
    even = len(set(weights.values())) == 1
    if not even and wanted != "conversations":
        raise ConfigError(f"adapt.data: sets are weighed for sft and distill, not for {settings.objective.name}")
    everything = [item for items in found.values() for item in items]
    kinds = [KINDS[type(item)] for item in everything if not isinstance(item, Unreadable)]
    return Examples(
        train=tuple(item for item, out in zip(usable, held, strict=True) if not out),
        held_out=tuple(item for item, out in zip(usable, held, strict=True) if out),
        wanted=wanted,
        kinds={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        unreadable=tuple(item for item in everything if isinstance(item, Unreadable)),
        sets=() if even else tuple((weights[path], _without(items, out)) for path, items in sets.items()),
    )


def weighed(spec: str) -> tuple[Path, float]:
    """The file that one `adapt.data` names, and how many times it counts: PATH or PATH=W. Raises ConfigError for 0."""
    from groundup.corpus.sources._base import WEIGHT

    match = WEIGHT.match(spec)
    if match is None or Path(spec).exists():
        return Path(spec), 1.0
    if not float(match.group(2)):
        raise ConfigError(f"adapt.data: {spec} counts 0 times; leave it out, or give it a weight")
    return Path(match.group(1)), float(match.group(2))


def asked(example: Example) -> Conversation:
    """What is asked, up to where the assistant speaks first: examples that share it are held out together."""
    if isinstance(example, Labelled):
        return (Message("user", example.text),)
    talk = example if isinstance(example, tuple) else example.prompt
    first = next((place for place, message in enumerate(talk) if message.role == "assistant"), len(talk))
    return talk[:first]


def parse_example(value: Any) -> list[Example]:
    """The examples in one JSON record of any known shape.

    Raises DataError that says what is missing, without the file and line, which the caller knows.
    """
    judged = {"chosen", "rejected", "label", "thumb", "liked"}
    if isinstance(value, dict) and (judged & value.keys() or isinstance(value.get("prompt"), dict)):
        return [*parse_preferences(value)]
    return [parse_conversation(value)]


def _read(paths: Sequence[str], wanted: "Wanted") -> dict[str, list[Example | Unreadable]]:
    if not paths:
        raise ConfigError("adapt.data names no file; give --data FILE")
    found: dict[str, list[Example | Unreadable]] = {}
    for path, _ in map(weighed, paths):
        table = wanted in ("labels", "numbers") or is_table(path)
        found[str(path)] = list(read_classes(path) if table else each_record(path, parse_example, "example"))
    return found


def share_of(example: Example, seed: int) -> float:
    """A number from 0 to 1 that depends on what is asked and the seed alone."""
    words = "\0".join(f"{message.role}\0{message.content}" for message in asked(example))
    digest = sha256(f"{seed}\0{words}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def is_number(text: str) -> bool:
    """Whether a label is a finite number."""
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False


def _without(items: Sequence[Example], out: Container[Example]) -> tuple[Example, ...]:
    return tuple(item for item in items if item not in out)


def good_talks(example: Example) -> tuple[Conversation, ...]:
    """The conversation that an example shows as a good one, if it does."""
    if isinstance(example, tuple):
        return (example,)
    if isinstance(example, Pair):
        return ((*example.prompt, *example.chosen),)
    return ((*example.prompt, *example.reply),) if isinstance(example, Thumb) and example.liked else ()


FORMS: "dict[Wanted, Callable[[Example], tuple[Example, ...]]]" = {
    "conversations": good_talks,
    "pairs": lambda example: (example,) if isinstance(example, Pair) else (),
    "verdicts": lambda example: (example,) if isinstance(example, Pair | Thumb) else (),
    "rollouts": lambda example: () if isinstance(example, Labelled) else (asked(example),),
    "labels": lambda example: (example,) if isinstance(example, Labelled) else (),
    "numbers": lambda example: (example,) if isinstance(example, Labelled) and is_number(example.label) else (),
}
"""An example as a method can learn from it: none where it cannot."""
