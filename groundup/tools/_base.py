"""What a tool is, and how a call that a model wrote is answered."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from groundup.config import Component
from groundup.errors import DataError, UnsupportedError, nearest

MOST_LETTERS = 2000
"""Of an answer: a tool's output becomes part of the context."""


class Tool(Component):
    """Something a model may call by the name of its file. Calls change nothing but what the tool says of itself."""

    description: ClassVar[str]
    """What it does, for the model."""
    parameters: ClassVar[Mapping[str, Any]]
    """Its arguments as a JSON schema of the type object."""

    @abstractmethod
    def call(self, arguments: Mapping[str, Any]) -> str:
        """The answer. Raises DataError, whose text the model is told, for arguments that are of no use."""

    def definition(self) -> dict[str, Any]:
        """The tool as OpenAI's API and chat templates write it."""
        described = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": described}


@dataclass(frozen=True)
class Call:
    """What a model wants done: the name of a tool, and its arguments."""

    name: str
    arguments: Mapping[str, Any]


def answer(tools: Sequence[Tool], call: str) -> str:
    """The answer to `{"name": ..., "arguments": {...}}` as a model wrote it; a malformed call is told what is wrong.

    Never raises for what the model wrote. Arguments may be an object or, as in OpenAI's API, its JSON text.
    """
    by_name = {tool.name: tool for tool in tools}
    try:
        read = read_call(call, {name: tool.parameters for name, tool in by_name.items()})
        said = by_name[read.name].call(read.arguments)
    except (DataError, UnsupportedError) as error:
        said = told(error)
    return said if len(said) <= MOST_LETTERS else f"{said[:MOST_LETTERS]}\n[cut at {MOST_LETTERS} letters]"


def told(error: Exception) -> str:
    """What stands in a tool's place where it gave no answer."""
    return f"error: {error}"


def read_call(text: str, schemas: Mapping[str, Mapping[str, Any]]) -> Call:
    """The call that a model wrote of one of the tools whose arguments are in `schemas` (JSON schemas, by name).

    Raises DataError, whose text the model is told, for one that is malformed, or lacks what its tool needs.
    """
    value = _json(text, "the call")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise DataError('a call is an object with a name and arguments: {"name": "...", "arguments": {}}')
    name = value["name"]
    if name not in schemas:
        raise DataError(f"there is no tool {name!r}; {nearest(name, schemas)}")
    arguments = value.get("arguments", {})
    if isinstance(arguments, str):
        arguments = _json(arguments, "arguments")
    if not isinstance(arguments, dict):
        raise DataError(f"arguments of {name} are not an object")
    known, open_ = schemas[name].get("properties", {}), "properties" not in schemas[name]
    for given in arguments:
        if given not in known and not schemas[name].get("additionalProperties", open_):
            raise DataError(f"{name} has no argument {given!r}; {nearest(given, known)}")
    for needed in schemas[name].get("required", ()):
        if needed not in arguments:
            raise DataError(f"{name} needs the argument {needed!r}")
    for given, said in arguments.items():
        if known.get(given, {}).get("type") == "string" and not isinstance(said, str):
            raise DataError(f"{given} of {name} must be a string")
    return Call(name, arguments)


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} cannot be read as JSON ({error})") from None
