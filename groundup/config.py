"""Frozen, typed trees of settings: TOML in and out, dotted overrides, the origin of each value.

A *component* is a config that makes the thing it configures (`Qwen3(layers=6).build(...)`). It lives in a plug-in
folder, one file a component, and the file's name is the name a recipe uses. Nothing registers anything: the folder is
the registry, and a component's module is imported when it is chosen and not before (so `--help` needs no torch).
"""

import hashlib
import importlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from groundup.errors import ConfigError, nearest

Tree = dict[str, Any]

DEFAULT = "default"


class Config(BaseModel):
    """A frozen tree of settings. Unknown fields are refused, with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> Self:
        """Read plain nested values. Raises ConfigError, which names the dotted field and the value."""
        try:
            return cls.model_validate(dict(tree))
        except ValidationError as error:
            raise ConfigError(_explain(cls, error)) from None

    def tree(self) -> Tree:
        """Plain nested values that TOML and JSON can hold; fields that are None are left out."""
        return self.model_dump(mode="json", exclude_none=True)

    def override(self, *pairs: str) -> Self:
        """A copy with dotted settings changed: `override("train.optim.lr=3e-4", "model=llama")`.

        Raises ConfigError for a pair without `=`, an unknown field or a bad value.
        """
        return type(self).from_tree(merge(self.tree(), parse_pairs(pairs)))

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change when any value in the tree changes."""
        return fingerprint(self.tree())

    def to_toml(self) -> str:
        """The tree as TOML text."""
        return tomli_w.dumps(self.tree())


class Component(Config):
    """A config that lives alone in a file of a plug-in folder; the file's name is its `name`."""

    @property
    def name(self) -> str:
        """The name that a recipe uses: that of the file."""
        return type(self).__module__.rpartition(".")[2]


class Folder:
    """Marks a field that holds a component: `optim: Annotated[Component, Folder("optim")]`.

    Accepts a name (`"muon"`), a table (`{name = "muon", lr = 0.02}`) or a component; a table without a name is one of
    the `default`.
    """

    def __init__(self, path: str, default: str | None = None) -> None:
        self.path, self.default = path, default

    def choices(self) -> list[str]:
        """Names of the files in the folder that may be chosen: no leading underscore, not in the folder's BESIDES."""
        besides = getattr(importlib.import_module(f"groundup.{self.path}"), "BESIDES", ())
        folder = Path(__file__).parent.joinpath(*self.path.split("."))
        names = {file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")}
        return sorted(names.difference(besides))

    def find(self, name: str) -> type[Component]:
        """The component class of the file `name`. Raises ConfigError with the nearest name."""
        if name not in self.choices():
            raise ConfigError(f"{self.path} has no {name!r}; {nearest(name, self.choices())}")
        module = importlib.import_module(f"groundup.{self.path}.{name}")
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Component) and value.__module__ == module.__name__
        ]
        if len(own) != 1:
            raise TypeError(f"{module.__name__} must define exactly one Component, it defines {len(own)}")
        return own[0]

    def read(self, value: Any) -> Component:
        """A component from its name, its table or itself. Raises ConfigError."""
        if isinstance(value, Component):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Mapping) and "name" not in value and self.default is not None:
            value = {"name": self.default, **value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise ConfigError(f"needs a name out of {self.path}: {', '.join(self.choices())}; it is {value!r}")
        fields = {key: item for key, item in value.items() if key != "name"}
        return self.find(value["name"]).from_tree(fields)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic to read and write the field as this folder does."""
        return core_schema.no_info_plain_validator_function(
            self.read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda component: {"name": component.name, **component.tree()}
            ),
        )


AnyFilter = Annotated[Component, Folder("corpus.filters")]


def fingerprint(value: Any) -> str:
    """Sixteen hexadecimal digits of the sha256 of the value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_toml(path: Path) -> Tree:
    """The tree in a TOML file. Raises ConfigError with the file and the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such recipe file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None


def parse_pairs(pairs: Iterable[str]) -> Tree:
    """`["train.optim=muon", "model.layers=8"]` as a tree. Values are read as TOML, else taken as text.

    Raises ConfigError for a pair without `=`.
    """
    tree: Tree = {}
    for pair in pairs:
        dotted, equals, text = pair.partition("=")
        if not equals or not dotted:
            raise ConfigError(f"{pair!r} is not a setting; write it as section.field=value")
        try:
            value: Any = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        node: Tree = value if isinstance(value, dict) else {"": value}
        for part in reversed(dotted.split(".")):
            node = {part: node[""] if set(node) == {""} else node}
        tree = merge(tree, node)
    return tree


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """`over` laid on `base`. Choosing another component (a new name) drops the old one's fields."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, Mapping) and "name" in old and isinstance(value, str):
            value = {"name": value}
        if isinstance(old, str) and isinstance(value, Mapping):
            old = result[key] = {"name": old}
        if not isinstance(old, Mapping) or not isinstance(value, Mapping):
            result[key] = dict(value) if isinstance(value, Mapping) else value
        elif "name" in value and "name" in old and value["name"] != old["name"]:
            result[key] = dict(value)
        else:
            result[key] = merge(old, value)
    return result


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The tree as one flat table: `{"model.layers": 6, ...}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= leaves(value, f"{dotted}.")
        else:
            flat[dotted] = value
    return flat


def origins(resolved: Mapping[str, Any], layers: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """Where each leaf of a resolved tree came from: the last layer that names it, else "default"."""
    flat = leaves(resolved)
    found = dict.fromkeys(flat, DEFAULT)
    for origin, tree in layers:
        for dotted in leaves(tree):
            if dotted in found:
                found[dotted] = origin
            elif f"{dotted}.name" in found:
                found[f"{dotted}.name"] = origin
    return found


def _explain(cls: type[Config], error: ValidationError) -> str:
    """One line a problem: dotted field, value, what is wrong, the nearest field."""
    lines = []
    for problem in error.errors():
        dotted = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            *path, last = problem["loc"]
            known = _fields_at(cls, [str(part) for part in path])
            lines.append(f"{dotted}: there is no such setting; {nearest(str(last), known)}")
        elif isinstance(problem.get("ctx", {}).get("error"), ConfigError):
            inner = str(problem["ctx"]["error"])
            joint = "." if inner.partition(":")[0].replace(".", "").replace("_", "").isalnum() else ": "
            lines.append(f"{dotted}{joint}{inner}" if dotted else inner)
        else:
            lines.append(f"{dotted}: {problem['msg'].removeprefix('Value error, ')}; it is {problem['input']!r}")
    return "\n".join(lines)


def _fields_at(cls: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Names of the fields of the config at a dotted path below `cls`."""
    for part in path:
        field = cls.model_fields.get(part)
        inner = field.annotation if field is not None else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        cls = inner
    return list(cls.model_fields)
