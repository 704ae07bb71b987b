"""The server's routes: OpenAI's API over one or more models. `create_app` makes it; the page mounts under `/ui`."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager
from typing import Any, TextIO, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from groundup.dialogue import Dialogue
from groundup.errors import GroundupError, nearest
from groundup.infer.schedule import Request as Asked
from groundup.serve.calls import converse
from groundup.serve.guard import Guard, Limits
from groundup.serve.replies import ChatShape, Choice, CompletionShape, Piece, as_event, as_json, embedding, usage
from groundup.serve.served import Served
from groundup.serve.telemetry import METRICS_TYPE, Telemetry
from groundup.serve.toolbox import Toolbox
from groundup.serve.wire import (
    ApiError,
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    TokenizeRequest,
    talk_of,
)
from groundup.tools._base import Tool

T = TypeVar("T")

DONE = b"data: [DONE]\n\n"


class ErrorBody(BaseModel):
    """What every error looks like."""

    error: dict[str, Any]


class Json(JSONResponse):
    """JSON that any text survives."""

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return as_json(content)


class Api(FastAPI):
    """FastAPI, whose OpenAPI description names the models that are there."""

    def openapi(self) -> dict[str, Any]:
        """The description."""
        names = list(self.state.models)
        if self.openapi_schema is None and names:
            for body in super().openapi()["components"]["schemas"].values():
                model = body.get("properties", {}).get("model", {})
                for kind in [model, *model.get("anyOf", [])]:
                    if kind.get("type") == "string":
                        kind["enum"] = names
        return self.openapi_schema or super().openapi()


def create_app(
    models: Mapping[str, Dialogue],
    *,
    limits: Limits | None = None,
    key: str | None = None,
    log: TextIO | None = None,
    tools: Sequence[Tool] = (),
) -> FastAPI:
    """The application over `models`, by the names under which clients ask for them; each engine becomes the app's own.

    With `key` every route but `/health` needs it, those that are mounted later too. `app.state` has `models` (a mount
    may add to them), `limits`, `telemetry`, and whether there is a `page`. `log` gets a JSON line for each request,
    without what people say. `tools` are those that a chat may ask the server to run.
    """
    limits, telemetry = limits or Limits(), Telemetry(log)
    served = {name: Served(name, dialogue, limits, telemetry) for name, dialogue in models.items()}

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        for model in served.values():
            model.start()
        try:
            yield
        finally:
            with ExitStack() as stack:  # all of them, even where one fails
                for model in served.values():
                    stack.callback(model.stop)

    app = Api(
        title="groundup",
        lifespan=alive,
        docs_url=None,  # those pages load their scripts from elsewhere
        redoc_url=None,
        responses={"4XX": {"model": ErrorBody, "description": "An error in OpenAI's shape"}},
    )
    app.state.models, app.state.limits, app.state.telemetry = served, limits, telemetry
    app.state.page = False
    app.add_middleware(Guard, limits=limits, telemetry=telemetry, key=key)
    _add_errors(app)
    _add_generation(app, served, tools)
    _add_text(app, served)
    _add_insight(app, served, telemetry)
    return app


def _add_generation(app: FastAPI, served: Mapping[str, Served], tools: Sequence[Tool]) -> None:
    """Chat and completion."""

    streams: dict[int | str, Any] = {200: {"content": {"text/event-stream": {}}, "description": "Whole, or a stream"}}

    @app.post("/v1/chat/completions", response_class=Json, responses=streams)
    async def chat(request: Request, body: ChatRequest) -> Response:
        """The next message of a chat."""
        model = _find(served, body.model)
        box = Toolbox.of(body, tools)
        asked = await asyncio.to_thread(model.chat_requests, body, box)
        shape = ChatShape(model.name, model.table, model.special, bool(body.logprobs))
        pieces = converse(model, asked, box) if box else model.pieces(asked)
        return await _reply(request, body, _Tally(request, model, asked, body.n), pieces, len(asked), shape)

    @app.post("/v1/completions", response_class=Json, responses=streams)
    async def complete(request: Request, body: CompletionRequest) -> Response:
        """What follows a text."""
        model = _find(served, body.model)
        asked = await asyncio.to_thread(model.completion_requests, body)
        decode = model.dialogue.chat.tokenizer.decode
        said = [prompt if isinstance(prompt, str) else decode(prompt) for prompt in body.prompts()]
        echoes = [text if body.echo else "" for text in said for _ in range(body.n)]
        shape = CompletionShape(model.name, model.table, model.special, body.logprobs is not None, echoes)
        tally = _Tally(request, model, asked, body.n)
        return await _reply(request, body, tally, model.pieces(asked), len(asked), shape)


def _add_text(app: FastAPI, served: Mapping[str, Served]) -> None:
    """Texts to vectors, to ids and back."""

    @app.post("/v1/embeddings", response_class=Json)
    async def embed(request: Request, body: EmbeddingRequest) -> Json:
        """A vector for each text: the mean of its last hidden states, of length 1."""
        model = _find(served, body.model)
        texts = [await asyncio.to_thread(model.encode, text) for text in body.inputs()]
        vectors = [_shortened(vector, body.dimensions) for vector in await model.embed(texts)]
        data = [embedding(vector, index, body.encoding_format) for index, vector in enumerate(vectors)]
        n = sum(map(len, texts))
        request.scope["facts"] = {"prompt_tokens": n}
        return Json(
            {"object": "list", "data": data, "model": model.name, "usage": {"prompt_tokens": n, "total_tokens": n}}
        )

    @app.post("/tokenize", response_class=Json)
    async def tokenize(body: TokenizeRequest) -> Json:
        """The ids of a text, or of a chat as the model sees it. A text yields no special id."""
        model = _find(served, body.model)
        if body.prompt is not None:
            ids = await asyncio.to_thread(model.dialogue.chat.tokenizer.encode, body.prompt)
        else:
            talk = talk_of(body.messages or ())
            ids = await asyncio.to_thread(model.dialogue.chat.prompt, talk)
        return Json({"tokens": ids, "count": len(ids), "max_model_len": model.length})

    @app.post("/detokenize", response_class=Json)
    async def detokenize(body: DetokenizeRequest) -> Json:
        """The text of ids; special ones have none."""
        model = _find(served, body.model)
        if not all(token < len(model.table) for token in body.tokens):
            raise ApiError(400, f"tokens has ids outside 0..{len(model.table) - 1}", param="tokens")
        return Json({"prompt": model.dialogue.chat.tokenizer.decode(body.tokens)})


def _add_insight(app: FastAPI, served: Mapping[str, Served], telemetry: Telemetry) -> None:
    """What is served, and how it goes."""

    @app.get("/v1/models", response_class=Json)
    async def models() -> Json:
        """The models."""
        return Json({"object": "list", "data": [model.card() for model in served.values()]})

    @app.get("/v1/models/{name:path}", response_class=Json)
    async def model(name: str) -> Json:
        """One model."""
        return Json(_find(served, name).card())

    @app.get("/health", response_class=Json)
    async def health() -> Json:
        """The server answers."""
        return Json({"status": "ok"})

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Metrics in Prometheus' text format."""
        return Response(telemetry.scrape(), media_type=METRICS_TYPE)


def _add_errors(app: FastAPI) -> None:
    """Every error in OpenAI's shape, and without what the user sent."""

    async def known(request: Request, error: Exception) -> Json:
        assert isinstance(error, ApiError)
        return Json(error.body(), error.status, error.headers)

    async def invalid(request: Request, error: Exception) -> Json:
        assert isinstance(error, RequestValidationError)
        param, message = _complaint(error)
        return Json(ApiError(400, message, param=param).body(), 400)

    async def other(request: Request, error: Exception) -> Json:
        assert isinstance(error, HTTPException)
        told = {404: "there is no such route; /openapi.json lists them", 405: "the route has no such method"}
        message = told.get(error.status_code, "the request cannot be read")
        return Json(ApiError(error.status_code, message).body(), error.status_code, error.headers)

    async def mistaken(request: Request, error: Exception) -> Json:
        return Json(ApiError(400, str(error)).body(), 400)

    app.add_exception_handler(ApiError, known)
    app.add_exception_handler(GroundupError, mistaken)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, other)


def _complaint(error: RequestValidationError) -> tuple[str | None, str]:
    """The field that is wrong, and a sentence on it. Of a field with several types pydantic has tried them all."""
    found = sorted(error.errors(), key=lambda one: one["type"].endswith("_type"))[0]
    path = itertools.takewhile(
        lambda part: isinstance(part, int) or (part.isidentifier() and part != "str"), found["loc"][1:]
    )
    param = ".".join(str(part) for part in path) or None
    return param, f"{param}: {found['msg']}" if param else str(found["msg"])


async def _reply(
    request: Request,
    body: ChatRequest | CompletionRequest,
    tally: "_Tally",
    replies: AsyncGenerator[Piece, None],
    n: int,
    shape: ChatShape | CompletionShape,
) -> Response:
    """Answer with `n` replies, whole or as a stream; a client that goes away ends them."""
    pieces = tally.counted(replies)
    if not body.stream:
        choices = await _unless_gone(request, _gather(pieces, n))
        return Json(shape.whole(choices, tally.usage()))
    try:  # an error before the first token still gets its own status
        first = await _unless_gone(request, anext(pieces))
    except BaseException:
        await pieces.aclose()
        raise

    async def stream() -> AsyncGenerator[bytes, None]:
        async with aclosing(pieces):
            for chunk in shape.opening(n):
                yield as_event(chunk)
            yield as_event(shape.chunk(first))
            try:
                async for piece in pieces:
                    yield as_event(shape.chunk(piece))
            except ApiError as error:
                yield as_event(error.body())
            if body.stream_options is not None and body.stream_options.include_usage:
                yield as_event(shape.closing(tally.usage()))
            yield DONE

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


class _Tally:
    """Counts the tokens of one HTTP request, for its usage, the metrics and the log."""

    def __init__(self, request: Request, model: Served, asked: Sequence[Asked], n: int) -> None:
        telemetry: Telemetry = request.app.state.telemetry
        self._facts = request.scope["facts"] = {
            "model": model.name,
            "prompt_tokens": sum(len(one.prompt) for one in asked[::n]),
            "reply_tokens": 0,
        }
        telemetry.prompt_tokens.labels(model.name).inc(self._facts["prompt_tokens"])
        self._replies = telemetry.reply_tokens.labels(model.name)

    def usage(self) -> dict[str, int]:
        """In OpenAI's shape."""
        return usage(self._facts["prompt_tokens"], self._facts["reply_tokens"])

    async def counted(self, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
        """The same pieces."""
        async with aclosing(pieces):
            async for piece in pieces:
                if piece.event is not None:
                    self._facts["reply_tokens"] += 1
                    self._replies.inc()
                yield piece


async def _gather(pieces: AsyncGenerator[Piece, None], n: int) -> list[Choice]:
    """All pieces of all choices."""
    choices = [Choice() for _ in range(n)]
    async with aclosing(pieces):
        async for piece in pieces:
            choices[piece.choice].add(piece)
    return choices


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client goes. Raises ConnectionResetError then."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ConnectionResetError
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def _find(served: Mapping[str, Served], name: str | None) -> Served:
    """The model of a name; the first where none is given. Raises ApiError for an unknown one."""
    model = next(iter(served.values()), None) if name is None else served.get(name)
    if model is None:
        message = f"there is no model of that name; {nearest(str(name)[:100], served)}"
        raise ApiError(404, message, param="model", code="model_not_found")
    return model


def _shortened(vector: list[float], dimensions: int | None) -> list[float]:
    """The first numbers of a vector, of length 1 again. Raises ApiError when there are fewer."""
    if dimensions is None or dimensions == len(vector):
        return vector
    if dimensions > len(vector):
        raise ApiError(400, f"the model has {len(vector)} dimensions; ask for at most these", param="dimensions")
    norm = sum(number * number for number in vector[:dimensions]) ** 0.5 or 1.0
    return [number / norm for number in vector[:dimensions]]
