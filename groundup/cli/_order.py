"""What the user asked for on the command line, as settings and the run they belong to."""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.config import Tree, merge, parse_pairs, read_toml
from groundup.errors import ConfigError, StoreError, nearest
from groundup.store import Store, check_name, runs_in


@dataclass(frozen=True)
class Order:
    """A run's name and the layers of settings that the user wrote, the later ones stronger."""

    runs: Path
    name: str
    layers: tuple[tuple[str, Tree], ...]

    @classmethod
    def read(cls, args: argparse.Namespace) -> "Order":
        """From parsed arguments. Raises ConfigError and StoreError for words that are no name, file or setting."""
        layers: list[tuple[str, Tree]] = []
        name, known = args.name, None
        pairs = []
        for word in args.words:
            if "=" in word:
                pairs.append(word)
            elif word.endswith(".toml"):
                layers.append((word, _rooted(read_toml(Path(word)), Path(word).parent)))
            elif name is None:
                name = known = word
            else:
                raise ConfigError(
                    f"{word!r}: the run is already named {name!r}; settings are written SECTION.FIELD=VALUE"
                )
        if known is not None:
            _must_exist(args.runs, known)
        flags = _flags(args)
        typed = _rooted(merge(parse_pairs(pairs), flags), Path())
        layers += [("command line", typed)] if typed else []
        name = check_name(name or _name_of(layers))
        if _is_begun(args.runs / name):  # what an import says is the weakest of what is written
            layers.insert(0, ("import", read_toml(args.runs / name / "recipe.toml")))
        return cls(args.runs, name, tuple(layers))

    def store(self) -> Store:
        """The run's folder, made if it is not there."""
        return Store.create(self.runs, self.name)

    def user_tree(self) -> Tree:
        """All that the user wrote, as one tree."""
        tree: Tree = {}
        for _, layer in self.layers:
            tree = merge(tree, layer)
        return tree

    def frozen(self) -> Tree | None:
        """The resolved recipe of a run that exists; None where there is none yet, or no more than an import."""
        path = self.runs / self.name / "recipe.toml"
        return read_toml(path) if path.is_file() and not _is_begun(self.runs / self.name) else None


def _is_begun(run: Path) -> bool:
    """Whether a run was imported and not planned yet: it has a recipe and no forecast."""
    return (run / "recipe.toml").is_file() and not (run / "forecast.json").is_file()


def _must_exist(runs: Path, name: str) -> None:
    """Raises StoreError for a run that is not there: a slip of the pen must not begin a new one."""
    if not Store(runs / check_name(name)).exists():
        raise StoreError(f"there is no run {name!r} in {runs}; {nearest(name, runs_in(runs))} (--name makes a new run)")


def _flags(args: argparse.Namespace) -> Tree:
    tree: Tree = {}
    if args.data:
        tree = merge(tree, {"data": {"text": args.data}})
    if args.chat:
        tree = merge(tree, {"data": {"chat": args.chat}})
    if args.minutes is not None:
        tree["minutes"] = args.minutes
    return tree


def _rooted(tree: Tree, folder: Path) -> Tree:
    """Settings whose paths do not depend on where the next command is typed: `folder` is where they stand.

    Those of a recipe file are relative to the file, those of the command line to the current folder.
    """

    def absolute(spec: Any) -> Any:
        if isinstance(spec, str) and spec.startswith("urls:"):
            return f"urls:{absolute(spec.removeprefix('urls:'))}"
        if not isinstance(spec, str) or re.match(r"python(=|$)|\w{2,}:", spec):
            return spec  # what is no text is refused with the field's name, later
        return str((folder / Path(spec).expanduser()).absolute())

    data, adapt = ({} if not isinstance(tree.get(key), dict) else tree[key] for key in ("data", "adapt"))
    lists = {key: [*map(absolute, data[key])] for key in ("text", "chat") if isinstance(data.get(key), list | tuple)}
    ranks = {"ranks": absolute(data["ranks"])} if data.get("ranks") else {}
    rooted: Tree = {"data": lists | ranks} if lists or ranks else {}
    if isinstance(adapt.get("data"), list | tuple):
        rooted["adapt"] = {"data": [*map(absolute, adapt["data"])]}
    return merge(tree, rooted)


def _name_of(layers: list[tuple[str, Any]]) -> str:
    """A run's name from its first data path, else 'quick'."""
    for _, layer in reversed(layers):
        text = layer.get("data", {}).get("text") if isinstance(layer.get("data"), dict) else None
        if text and not text[0].startswith("python"):
            stem = Path(text[0].partition("=")[0]).name.partition(".")[0]
            return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:64] or "quick"
    return "quick"
