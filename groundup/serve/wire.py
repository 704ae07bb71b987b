"""What goes over the wire, in OpenAI's shapes: requests as they are checked, and errors.

Fields of OpenAI's API that change nothing here (`user`, `store`, `metadata` ...) are passed over. Those that would
change the reply and cannot be had (pictures, sound, several calls in one message) are refused by name.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from groundup.corpus.conversation import Conversation, parse_messages

MOST_CHOICES = 16
MOST_TOP_LOGPROBS = 20  # OpenAI's limit
MOST_STOPS = 4  # OpenAI's limit
MOST_TOOLS = 128  # OpenAI's limit

Share = Annotated[float, Field(gt=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Ids = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]


class ApiError(Exception):
    """An answer that is an error: an HTTP status, and what OpenAI's clients read from it."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None, retry: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param, self.code = param, code
        self.headers = {} if retry is None else {"Retry-After": str(retry)}

    def body(self) -> dict[str, Any]:
        """`{"error": {"message", "type", "param", "code"}}`."""
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


class Wire(BaseModel):
    """A request body. Unknown fields are passed over, so that newer clients still work."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class Part(Wire):
    """A part of a message; only text is understood."""

    type: Literal["text"]
    text: str


class FunctionCall(Wire):
    """What a call calls, and the text of its arguments."""

    name: str
    arguments: str = "{}"


class ToolCall(Wire):
    """The call of a tool in a message of the assistant."""

    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall


class ChatMessage(Wire):
    """One message of a chat. The assistant's may end with one call of a tool."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    tool_calls: list[ToolCall] | None = Field(None, max_length=1)
    tool_call_id: str | None = None

    def plain(self) -> dict[str, Any]:
        """As `corpus.conversation.parse_messages` reads it: the content as one text."""
        parts = self.content if isinstance(self.content, list) else []
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in parts)
        return {"role": self.role, "content": text, "tool_calls": [call.model_dump() for call in self.tool_calls or ()]}


def talk_of(messages: Sequence[ChatMessage]) -> Conversation:
    """The messages as the house knows them. Raises DataError for a call that is none."""
    return parse_messages([message.plain() for message in messages])


class FunctionDefinition(Wire):
    """A tool of the client's."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_a_schema(self) -> "FunctionDefinition":
        given = self.parameters or {}
        known, needed = given.get("properties", {}), given.get("required", [])
        if not isinstance(known, dict) or not all(isinstance(value, dict) for value in known.values()):
            raise ValueError("properties of parameters must be an object of objects")
        if not isinstance(needed, list) or not all(isinstance(name, str) for name in needed):
            raise ValueError("required of parameters must be a list of names")
        return self


class ToolAsked(Wire):
    """A tool that the model may call: a function of the client's, or by its name one that the server runs."""

    type: str = Field(max_length=64)
    function: FunctionDefinition | None = None

    @model_validator(mode="after")
    def _has_what_it_names(self) -> "ToolAsked":
        if (self.type == "function") != (self.function is not None):
            raise ValueError("a tool is of the type function, with a function, or of the name of a built-in one")
        return self


class NamedFunction(Wire):
    """The name of a function."""

    name: str


class NamedTool(Wire):
    """The tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Wire):
    """A schema, as `response_format` and its kin give it."""

    name: str = ""
    schema_: dict[str, Any] = Field({}, alias="schema")
    strict: bool | None = None


class ResponseFormat(Wire):
    """What the reply must be: any text, any JSON object, JSON of a schema, or text that a pattern matches whole."""

    type: Literal["text", "json_object", "json_schema", "regex"]
    json_schema: JsonSchema | None = None
    regex: str | None = Field(None, max_length=10_000)

    @model_validator(mode="after")
    def _has_what_it_names(self) -> "ResponseFormat":
        if self.type in ("json_schema", "regex") and getattr(self, self.type) is None:
            raise ValueError(f"response_format of type {self.type} needs the field {self.type}")
        return self


class StreamOptions(Wire):
    """How a stream ends."""

    include_usage: bool = False


class Generation(Wire):
    """What chat and completion have in common: how a reply is drawn, and where it ends."""

    model: str
    n: int = Field(1, ge=1, le=MOST_CHOICES)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: Share | None = None
    top_k: int | None = Field(None, ge=-1, lt=2**31)
    min_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: float | None = Field(None, ge=0.01, le=10)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Text | Annotated[list[Text], Field(max_length=MOST_STOPS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None

    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def options(self) -> dict[str, Any]:
        """The fields of `infer.schedule.Request` that say how tokens are drawn. Raises ApiError for a bad bias."""
        options: dict[str, Any] = {
            "temperature": self.temperature,
            "top_p": None if self.top_p == 1 else self.top_p,
            "top_k": None if self.top_k in (0, -1) else self.top_k,
            "min_p": self.min_p or None,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "repetition_penalty": self.repetition_penalty,
            "bias": _bias(self.logit_bias or {}),
            "stop_strings": self.stops(),
        }
        return {name: value for name, value in options.items() if value is not None}


class ChatRequest(Generation):
    """`POST /v1/chat/completions`."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST_TOP_LOGPROBS)
    tools: list[ToolAsked] | None = Field(None, max_length=MOST_TOOLS)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    functions: list[Any] | None = Field(None, max_length=0, description="not supported: must be empty")

    @model_validator(mode="after")
    def _asks_for_log_probabilities(self) -> "ChatRequest":
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs=true")
        return self

    @model_validator(mode="after")
    def _speaks_or_calls(self) -> "ChatRequest":
        if self.tools and self.response_format is not None and self.response_format.type != "text":
            raise ValueError("response_format together with tools is not supported; leave out one of them")
        return self

    def most_tokens(self) -> int | None:
        """The longest reply asked for."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens


class CompletionRequest(Generation):
    """`POST /v1/completions`."""

    prompt: str | Ids | Annotated[list[str | Ids], Field(min_length=1, max_length=MOST_CHOICES)] = ""
    max_tokens: int | None = Field(16, ge=1)
    logprobs: int | None = Field(None, ge=0, le=5)
    echo: bool = False
    suffix: Annotated[str, StringConstraints(max_length=0)] | None = None
    best_of: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _can_be_had(self) -> "CompletionRequest":
        if self.best_of is not None and self.best_of != self.n:
            raise ValueError("best_of is not supported; leave it out, or set it to n")
        if self.echo and self.logprobs is not None:
            raise ValueError("echo together with logprobs is not supported; leave out one of them")
        return self

    def prompts(self) -> "list[str | Ids]":
        """One text, or list of ids, for each prompt."""
        several = isinstance(self.prompt, list) and not isinstance(self.prompt[0], int)
        return self.prompt if several else [self.prompt]  # type: ignore[return-value,list-item]


class EmbeddingRequest(Wire):
    """`POST /v1/embeddings`."""

    model: str
    input: str | Ids | Annotated[list[str | Ids], Field(min_length=1, max_length=256)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1)

    def inputs(self) -> "list[str | Ids]":
        """One text, or list of ids, for each embedding."""
        several = isinstance(self.input, list) and not isinstance(self.input[0], int)
        return self.input if several else [self.input]  # type: ignore[return-value,list-item]


class TokenizeRequest(Wire):
    """`POST /tokenize`: a text, or the messages of a chat as the model sees them."""

    model: str | None = None
    prompt: str | None = None
    messages: list[ChatMessage] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one_of_them(self) -> "TokenizeRequest":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either prompt or messages")
        return self


class DetokenizeRequest(Wire):
    """`POST /detokenize`."""

    model: str | None = None
    tokens: list[Annotated[int, Field(ge=0, lt=2**31)]]


def _bias(given: Mapping[str, float]) -> dict[int, float]:
    bias = {}
    for token, value in given.items():
        if not (token.isascii() and token.isdigit() and len(token) < 10 and math.isfinite(value)):
            raise ApiError(400, "logit_bias has a key that is no token id; use ids as strings", param="logit_bias")
        bias[int(token)] = value
    return bias
