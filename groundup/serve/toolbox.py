"""The tools of one chat request: those that the server runs, and those whose calls the client gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from groundup.errors import DataError, nearest
from groundup.serve.wire import ApiError, ChatRequest, FunctionDefinition, NamedTool
from groundup.tools._base import Call, Tool, answer, read_call, told


@dataclass(frozen=True)
class Toolbox:
    """The tools of one request: `own` are run here, `theirs` are the client's."""

    own: tuple[Tool, ...] = ()
    theirs: Mapping[str, FunctionDefinition] = field(default_factory=dict)
    may: bool = False
    """The model may call one."""
    must: tuple[str, ...] = ()
    """It begins with the call of one of these."""

    @classmethod
    def of(cls, asked: ChatRequest, built_in: Sequence[Tool]) -> "Toolbox":
        """What a request asks for. Raises ApiError for a tool that there is not."""
        named = {tool.name: tool for tool in built_in}
        own, theirs = [], {}
        for each in asked.tools or ():
            if each.function is not None:
                theirs[each.function.name] = each.function
            elif each.type in named:
                own.append(named[each.type])
            else:
                message = f"the server runs no tool {each.type!r}; {nearest(each.type, named)}"
                raise ApiError(400, message, param="tools")
        names = [*(tool.name for tool in own), *theirs]
        if len(set(names)) < len(asked.tools or ()):
            raise ApiError(400, "two tools have one name; rename one of them", param="tools")
        choice = asked.tool_choice
        must = (choice.function.name,) if isinstance(choice, NamedTool) else tuple(names) * (choice == "required")
        if not set(must) <= set(names) or (choice == "required" and not names):
            raise ApiError(400, "tool_choice asks for a tool that is not among tools", param="tool_choice")
        return cls(tuple(own), theirs, bool(names) and choice != "none", must)

    def __bool__(self) -> bool:
        """There is a tool in it."""
        return bool(self.own or self.theirs)

    @cached_property
    def schemas(self) -> dict[str, Mapping[str, Any]]:
        """The arguments of each tool, by its name."""
        theirs = {name: given.parameters or {} for name, given in self.theirs.items()}
        return {**{tool.name: tool.parameters for tool in self.own}, **theirs}

    def definitions(self) -> list[dict[str, Any]]:
        """What the model is told of them."""
        return [
            *(tool.definition() for tool in self.own),
            *(given.model_dump(exclude_none=True) for given in self.theirs.values()),
        ]

    def forced(self) -> dict[str, Any] | None:
        """The JSON schema of the call that must be made, if one must."""
        calls = [
            {
                "type": "object",
                "properties": {"name": {"const": name}, "arguments": self._arguments(name)},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for name in self.must
        ]
        return {"anyOf": calls} if calls else None

    def _arguments(self, name: str) -> dict[str, Any]:
        """The schema of a tool's arguments; no others than it lists, unless it says so: else a call may have no end."""
        schema = self.schemas[name]
        return {"type": "object", "additionalProperties": "properties" not in schema, **schema}

    def theirs_in(self, call: str) -> Call | None:
        """The call of a tool of the client's; None for what is to be answered here."""
        try:
            read = read_call(call, self.schemas)
        except DataError:
            return None
        return read if read.name in self.theirs else None

    def answer(self, call: str) -> str:
        """What a call is answered here: by its tool, or with what is wrong with it."""
        try:
            read_call(call, self.schemas)
        except DataError as error:
            return told(error)
        return answer(self.own, call)
