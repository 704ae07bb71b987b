"""What `groundup finetune` was asked for, as the recipe of a new run."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from groundup.config import Folder, Tree, leaves, merge, origins, parse_pairs, read_toml
from groundup.errors import ConfigError, StoreError, UnsupportedError, nearest
from groundup.recipe import Recipe
from groundup.stages.examples import METHODS, method_of
from groundup.store import Artifact, Store, check_name

OWN = ("adapt.", "seed=", "precision=", "deterministic=", "safety.")
"""How the settings begin that a run of `finetune` has of its own; the rest is its parent's."""

PLANNER = "planner"
BEST_OF, MANY = "best-of-n", 8
"""The method that learns from the best of so many replies of the model itself."""


@dataclass(frozen=True)
class Adaptation:
    """A model of a run, what it is to learn, and the run that comes of it."""

    parent: Store
    weights: Artifact
    inherited: Tree
    """Sections of the parent's recipe that its model depends on."""
    user: Tree
    name: str
    others: Mapping[str, tuple[Store, Artifact]]
    """What the run is given besides: `reward`, a model that judges its replies, and `teacher`, one to be like."""

    @classmethod
    def read(cls, args: argparse.Namespace) -> "Adaptation":
        """From parsed arguments. Raises ConfigError and StoreError for words that are no run, method or setting."""
        from groundup.stages.results import chosen

        for word in args.words:
            if not word.startswith(OWN):
                raise ConfigError(f"{word!r}: of settings, finetune takes those that begin with {', '.join(OWN)}")
        parent = Store.open(args.runs, args.parent)
        weights = chosen(parent, args.stage)
        tree = Recipe.from_tree(read_toml(parent.root / "recipe.toml")).tree()
        inherited = {key: tree[key] for key in ("seed", "precision", "deterministic", "safety", "model", "tokenizer")}
        told: Tree = {"data": [str(Path(path).expanduser().absolute()) for path in args.data], **method(args.method)}
        if args.adapter is not None:
            told["adapter"] = {"kind": args.adapter}
        typed = merge({"adapt": told}, parse_pairs(args.words))
        if args.minutes is not None:
            typed["minutes"] = args.minutes
        name = args.name or "-".join([args.parent, args.method, *([args.adapter] if args.adapter else [])])
        others = {}
        if args.reward is not None:
            judge = Store.open(args.runs, args.reward)
            others["reward"] = (judge, reward_model(judge))
        if args.teacher is not None:
            teacher = Store.open(args.runs, args.teacher)
            others["teacher"] = (teacher, chosen(teacher, None))
        for store, _ in others.values():
            same_vocabulary(parent, store)
        return cls(parent, weights, inherited, typed, check_name(name), others)

    def recipe(self, given: Mapping[str, str]) -> tuple[Recipe, dict[str, str]]:
        """The resolved recipe of the run that goes on from what is `given`, and where each setting came from.

        `given` has the fingerprint of its model (`import`), and of each of `others`. Raises ConfigError for a setting
        that is none.
        """
        from groundup.plan.adapting import adapting_settings

        adapt = {kind: print_ for kind, print_ in given.items() if kind in self.others}
        base = merge(self.inherited, {"imported": given["import"], "adapt": adapt})
        first = Recipe.from_tree(merge(base, self.user))
        assert first.adapt is not None
        planned = {"adapt": adapting_settings(first.adapt.objective.name, first.adapt.adapter.kind)}
        recipe = Recipe.from_tree(merge(merge(base, planned), self.user))
        layers = [(f"run {self.parent.name}", base), (PLANNER, planned), ("command line", self.user)]
        return recipe, origins(kept(recipe), layers)

    def store(self) -> Store:
        """The run to make or to go on with. Raises StoreError for one that is not of `finetune`."""
        store = Store(self.parent.root.parent / self.name)
        path = store.root / "recipe.toml"
        if path.is_file() and "adapt" not in read_toml(path):
            raise StoreError(
                f"there is a run {self.name!r} already, which finetune has not made; choose another --name"
            )
        return Store.create(self.parent.root.parent, self.name)

    def take(self, store: Store) -> dict[str, str]:
        """Copies of the models in the run; their fingerprints by kind. Raises StoreError for weights that are gone."""
        from groundup.stages.incoming import KIND, take
        from groundup.stages.results import tokenizer_folder

        given = {KIND: (self.parent, self.weights), **self.others}
        return {
            kind: take(store, run, weights, tokenizer_folder(run), model_of(run), kind)
            for kind, (run, weights) in given.items()
        }

    def basis(self, store: Store) -> Tree:
        """What later commands for the run need to know of the machine: as its parent was planned, if it was."""
        from groundup.stages.incoming import held_out_texts
        from groundup.stages.results import device_of

        planned = self.parent.root / "forecast.json"
        known = self.parent.read_json("forecast.json")["basis"] if planned.is_file() else {}
        return {
            "device": device_of(self.parent),
            "rate": known.get("rate", 0.0),
            "seconds_per_token": known.get("seconds_per_token", 0.0),
            "held_out_bytes": sum(len(text.encode(errors="surrogatepass")) for text in held_out_texts(store)),
        }


def method(name: str) -> Tree:
    """What a method is in the `adapt` section of a recipe. Raises ConfigError for one that there is not."""
    if name == BEST_OF:
        return {"objective": "likelihood", "best_of": MANY}
    names = {BEST_OF, *METHODS, *map(method_of, Folder("train.objectives").choices())}
    if name not in names:
        raise ConfigError(f"there is no method {name!r}; {nearest(name, names)}")
    return {"objective": METHODS.get(name, name)}


def model_of(store: Store) -> Tree:
    """The `model` section of a run's recipe, every field given."""
    return dict(Recipe.from_tree(read_toml(store.root / "recipe.toml")).tree()["model"])


def reward_model(store: Store) -> Artifact:
    """The run's reward model. Raises StoreError where it has none."""
    found = store.current().get("adapt")
    if found is None or found.facts["outputs"] != ["reward"]:
        raise StoreError(
            f"run {store.name!r} is no reward model; `groundup finetune RUN --data PAIRS --method reward` makes one"
        )
    return found


def same_vocabulary(parent: Store, other: Store) -> None:
    """Raises UnsupportedError where the models of two runs do not share their ids."""
    from groundup.stages.results import tokenizer_folder

    ours, theirs = ((tokenizer_folder(each) / "tokenizer.json").read_bytes() for each in (parent, other))
    if ours != theirs:
        raise UnsupportedError(
            f"run {other.name!r} reads another vocabulary than {parent.name!r}; take one made from the same run"
        )


def kept(recipe: Recipe) -> Tree:
    """The settings that a run of `finetune` reads: what is written in its recipe."""
    known = ("seed", "minutes", "imported", "precision", "deterministic", "safety", "tokenizer", "model", "adapt")
    return {key: value for key, value in recipe.tree().items() if key in known}


def write(store: Store, recipe: Recipe, origin: dict[str, str], basis: Tree) -> None:
    """Freeze the recipe of a run; the last file makes it one that can be taken up."""
    import tomli_w

    store.write_json("origins.json", {key: origin[key] for key in leaves(kept(recipe))})
    store.write_json("forecast.json", {"basis": basis})
    store.write_text("recipe.toml", tomli_w.dumps(kept(recipe)))


def same(store: Store, recipe: Recipe) -> bool:
    """Whether the run has these very settings and every stage of it is done."""
    from groundup.pipeline import todo

    path = store.root / "recipe.toml"
    return path.is_file() and read_toml(path) == kept(recipe) and not todo(store, kept(recipe))
