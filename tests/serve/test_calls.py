"""Tools over HTTP: what the server runs it goes on from, what the client runs it hands out in OpenAI's shape."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dialogue.speaker import dialogue, reciter, tokenizer
from groundup.corpus.conversation import Conversation, Message, with_tools
from groundup.dialogue.assist import open_tools
from groundup.serve.http import create_app
from groundup.tokenizer.chat import Chat
from groundup.tools._base import answer
from serve.house import listening

openai = pytest.importorskip("openai")

ASK: Conversation = (Message("user", "6 * 7?"),)
CALCULATOR = {"type": "calculator"}
WEATHER = {"name": "weather", "parameters": {"properties": {"town": {"enum": ["Rome"]}}, "required": ["town"]}}
CALL = '{"name": "calculator", "arguments": {"expression": "6 * 7"}}'
WRONG = '{"name": "calc"}'
FOREIGN = '{"name": "weather", "arguments": {"town": "Rome"}}'


def script(definitions: list[dict[str, Any]], *turns: Message) -> Any:
    """A model that says the assistant's turns of a talk where they stand in it, whatever it is told between."""
    chat = Chat(tokenizer())
    talk = with_tools(ASK, definitions)
    ids, weights = chat.render((*talk, *turns))
    return reciter({place - 1: token for place, (token, weight) in enumerate(zip(ids, weights, strict=True)) if weight})


@pytest.fixture(scope="module")
def client() -> "Iterator[openai.OpenAI]":
    (calculator,) = open_tools(["calculator"])
    own, theirs = [calculator.definition()], [WEATHER]
    models = {
        "counts": script(
            own, Message("assistant", "I see.", CALL), Message("tool", "42"), Message("assistant", "It is 42.")
        ),
        "stumbles": script(
            own,
            Message("assistant", "", WRONG),
            Message("tool", answer([calculator], WRONG)),
            Message("assistant", "Sorry."),
        ),
        "asks": script(theirs, Message("assistant", "", FOREIGN)),
    }
    app = create_app({name: dialogue(model) for name, model in models.items()}, tools=[calculator])
    with (
        listening(app) as port,
        openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="any", max_retries=0, timeout=600) as made,
    ):
        yield made


def ask(client: "openai.OpenAI", model: str, tools: list[dict[str, Any]], **more: Any) -> Any:
    messages = [{"role": "user", "content": ASK[0].content}]
    return client.chat.completions.create(model=model, messages=messages, tools=tools, temperature=0, **more)


def test_a_built_in_tool_is_run_and_the_model_goes_on(client: "openai.OpenAI") -> None:
    reply = ask(client, "counts", [CALCULATOR], logprobs=True)
    (choice,) = reply.choices
    assert (choice.message.content, choice.finish_reason) == ("I see.\nIt is 42.", "stop")
    assert choice.message.model_extra["tool_runs"] == [{"call": CALL, "answer": "42"}]
    said = "".join(bytes(entry.bytes).decode() for entry in choice.logprobs.content)
    assert said == "I see.It is 42.", "log-probabilities are those of what is said"
    drawn = sum(len(tokenizer().encode(text)) for text in ("I see.", CALL, "It is 42."))
    assert reply.usage.completion_tokens == drawn + 3


def test_a_stream_tells_the_same(client: "openai.OpenAI") -> None:
    deltas = [chunk.choices[0].delta for chunk in ask(client, "counts", [CALCULATOR], stream=True)]
    assert "".join(delta.content or "" for delta in deltas) == "I see.\nIt is 42."
    assert [run for d in deltas for run in d.model_extra.get("tool_runs", [])] == [{"call": CALL, "answer": "42"}]


def test_a_malformed_call_is_told_what_is_wrong(client: "openai.OpenAI") -> None:
    (choice,) = ask(client, "stumbles", [CALCULATOR]).choices
    assert choice.message.content == "Sorry."
    assert "there is no tool 'calc'" in choice.message.model_extra["tool_runs"][0]["answer"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_of_the_clients_is_called_in_openais_shape(client: "openai.OpenAI", stream: bool) -> None:
    found = ask(client, "asks", [{"type": "function", "function": WEATHER}], stream=stream)
    if stream:
        last = next(chunk.choices[0] for chunk in found if chunk.choices[0].finish_reason)
        (call,), reason = last.delta.tool_calls, last.finish_reason
    else:
        (call,), reason = found.choices[0].message.tool_calls, found.choices[0].finish_reason
        assert found.choices[0].message.content is None
    assert reason == "tool_calls" and call.id.startswith("call_") and call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"town": "Rome"})


def test_what_the_client_answers_is_read_as_the_template_has_it(client: "openai.OpenAI") -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Rome"}'}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sun."},
    ]
    reply = client.chat.completions.create(model="asks", messages=messages, max_tokens=1)
    talk = (Message("user", "Hi"), Message("assistant", "", FOREIGN), Message("tool", "Sun."))
    assert reply.usage.prompt_tokens == len(Chat(tokenizer()).prompt(talk))


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_a_call_can_be_demanded_of_any_model(client: "openai.OpenAI", choice: Any) -> None:
    pytest.importorskip("llguidance")
    found = ask(client, "counts", [{"type": "function", "function": WEATHER}], tool_choice=choice)
    (call,) = found.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"town": "Rome"})


def test_tools_may_be_told_of_and_not_be_called(client: "openai.OpenAI") -> None:
    (choice,) = ask(client, "asks", [{"type": "function", "function": WEATHER}], tool_choice="none").choices
    assert choice.message.tool_calls is None and choice.message.content == ""


@pytest.mark.parametrize(
    ("tools", "more", "told"),
    [
        ([{"type": "python"}], {}, "runs no tool 'python'"),
        ([CALCULATOR, CALCULATOR], {}, "two tools have one name"),
        ([{"type": "function"}], {}, "of the type function, with a function"),
        ([{"type": "function", "function": {"name": "f", "parameters": {"required": 3}}}], {}, "a list of names"),
        ([CALCULATOR], {"tool_choice": {"type": "function", "function": {"name": "f"}}}, "not among tools"),
        ([CALCULATOR], {"response_format": {"type": "json_object"}}, "together with tools is not supported"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(client: "openai.OpenAI", tools: Any, more: Any, told: str) -> None:
    with pytest.raises(openai.BadRequestError, match=told):
        ask(client, "counts", tools, **more)
