"""What a tool is, and how a call that a model wrote is answered."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from groundup.config import Component
from groundup.errors import DataError, nearest

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


def answer(tools: Sequence[Tool], call: str) -> str:
    """The answer to `{"name": ..., "arguments": {...}}` as a model wrote it; a malformed call is told what is wrong.

    Never raises for what the model wrote. Arguments may be an object or, as in OpenAI's API, its JSON text.
    """
    try:
        said = _call(tools, call)
    except DataError as error:
        said = f"error: {error}"
    return said if len(said) <= MOST_LETTERS else f"{said[:MOST_LETTERS]}\n[cut at {MOST_LETTERS} letters]"


def _call(tools: Sequence[Tool], text: str) -> str:
    value = _json(text, "the call")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise DataError('a call is an object with a name and arguments: {"name": "...", "arguments": {}}')
    by_name = {tool.name: tool for tool in tools}
    tool = by_name.get(value["name"])
    if tool is None:
        raise DataError(f"there is no tool {value['name']!r}; {nearest(value['name'], by_name)}")
    arguments = value.get("arguments", {})
    if isinstance(arguments, str):
        arguments = _json(arguments, "arguments")
    if not isinstance(arguments, dict):
        raise DataError(f"arguments of {tool.name} are not an object")
    known = tool.parameters["properties"]
    for name in arguments:
        if name not in known:
            raise DataError(f"{tool.name} has no argument {name!r}; {nearest(name, known)}")
    for name in tool.parameters.get("required", ()):
        if name not in arguments:
            raise DataError(f"{tool.name} needs the argument {name!r}")
    for name, given in arguments.items():
        if known[name]["type"] == "string" and not isinstance(given, str):
            raise DataError(f"{name} of {tool.name} must be a string")
    return tool.call(arguments)


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} cannot be read as JSON ({error})") from None
