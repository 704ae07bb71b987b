"""OpenAI's own client against the server: everything it offers that a language model can do."""

import base64
import json
import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pydantic
import pytest

from dialogue.speaker import LENGTH, SAYING, babbler, dialogue, tokenizer
from groundup.corpus.conversation import Message
from groundup.dialogue import Dialogue
from serve.house import House

openai = pytest.importorskip("openai")
HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def client(house: House) -> "Iterator[openai.OpenAI]":
    with openai.OpenAI(base_url=f"{house.root}/v1", api_key="any", max_retries=0, timeout=30) as made:
        yield made


@pytest.fixture(scope="module")
def alone() -> Dialogue:
    """The babbler outside of any server."""
    return dialogue(babbler())


def test_models_are_listed_and_found_by_name(client: "openai.OpenAI") -> None:
    assert [model.id for model in client.models.list()] == ["parrot", "babbler"]
    assert client.models.retrieve("babbler").owned_by == "groundup"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("parot")
    assert "did you mean 'parrot'?" in error.value.message and error.value.code == "model_not_found"


def test_a_chat_is_answered_and_counted(client: "openai.OpenAI") -> None:
    reply = client.chat.completions.create(model="parrot", messages=HI, temperature=0)
    assert reply.choices[0].message.content == SAYING
    assert reply.choices[0].finish_reason == "stop"
    n = len(tokenizer().encode(SAYING)) + 1
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (5, n, n + 5)


def test_a_reply_is_the_one_the_dialogue_gives(client: "openai.OpenAI", alone: Dialogue) -> None:
    reply = client.chat.completions.create(model="babbler", messages=HI, temperature=0, max_tokens=20)
    (expected,) = alone.reply([(Message("user", "Hi"),)], max_tokens=20, temperature=0)
    assert reply.choices[0].message.content == expected.message.content
    assert reply.choices[0].finish_reason == "length"


def test_roles_and_parts_of_a_message(client: "openai.OpenAI") -> None:
    talk = [
        {"role": "developer", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "d"},
    ]
    reply = client.chat.completions.create(model="parrot", messages=talk, temperature=0)
    assert reply.choices[0].message.content == SAYING
    assert reply.usage.prompt_tokens == len("abcd") + 2 * 4 + 1


def test_a_stream_gives_the_same_text_in_pieces(client: "openai.OpenAI") -> None:
    options = {"model": "babbler", "messages": HI, "seed": 5, "max_tokens": 30}
    whole = client.chat.completions.create(**options)
    chunks = list(client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].usage == whole.usage and not chunks[-1].choices
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_character_of_several_tokens_streams_whole(client: "openai.OpenAI") -> None:
    stream = client.chat.completions.create(model="parrot", messages=HI, temperature=0, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert "".join(pieces) == SAYING and "日" in pieces and "😀" in pieces


def test_a_seed_decides_and_choices_differ(client: "openai.OpenAI") -> None:
    def said(**options: object) -> list[str]:
        reply = client.chat.completions.create(model="babbler", messages=HI, max_tokens=12, **options)
        return [choice.message.content for choice in reply.choices]

    first = said(seed=7, n=3)
    assert first == said(seed=7, n=3) and len(set(first)) == 3
    assert said(seed=7) == first[:1] != said(seed=8)
    assert said() != said()


def test_streamed_choices_are_told_apart(client: "openai.OpenAI") -> None:
    options = {"model": "babbler", "messages": HI, "max_tokens": 8, "seed": 7, "n": 3}
    whole = client.chat.completions.create(**options)
    texts = {0: "", 1: "", 2: ""}
    for chunk in client.chat.completions.create(**options, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert [texts[index] for index in range(3)] == [choice.message.content for choice in whole.choices]


@pytest.mark.parametrize("stream", [False, True])
def test_stop_strings_end_the_reply_before_them(client: "openai.OpenAI", stream: bool) -> None:
    options = {"model": "parrot", "messages": HI, "temperature": 0, "stop": ["zzz", "日é"]}
    if stream:
        chunks = list(client.chat.completions.create(**options, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        finish = chunks[-1].choices[0].finish_reason
    else:
        choice = client.chat.completions.create(**options).choices[0]
        text, finish = choice.message.content, choice.finish_reason
    assert (text, finish) == ("Hi, ", "stop")


def test_log_probabilities_of_a_chat(client: "openai.OpenAI", alone: Dialogue) -> None:
    options = {"model": "babbler", "messages": HI, "max_tokens": 6, "temperature": 0}
    reply = client.chat.completions.create(**options, logprobs=True, top_logprobs=3)
    content = reply.choices[0].logprobs.content
    (expected,) = alone.reply([(Message("user", "Hi"),)], max_tokens=6, temperature=0)
    assert [entry.logprob for entry in content] == pytest.approx(expected.logps, abs=1e-4)
    assert b"".join(bytes(entry.bytes) for entry in content).decode("utf-8", "replace") == (
        reply.choices[0].message.content
    )
    for entry in content:
        assert len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].logprob == entry.logprob, "at temperature 0 the likeliest is taken"
    plain = client.chat.completions.create(**options, logprobs=True)
    assert plain.choices[0].logprobs.content[0].top_logprobs == []
    streamed = client.chat.completions.create(**options, logprobs=True, stream=True)
    entries = [e for chunk in streamed if chunk.choices[0].logprobs for e in chunk.choices[0].logprobs.content]
    assert [entry.logprob for entry in entries] == pytest.approx(expected.logps, abs=1e-4)


def test_penalties_and_biases_reach_the_engine(client: "openai.OpenAI") -> None:
    letter = tokenizer().encode("x")[0]
    options = {"model": "babbler", "messages": HI, "max_tokens": 5, "temperature": 0}
    reply = client.chat.completions.create(**options, logit_bias={str(letter): 100})
    assert reply.choices[0].message.content == "xxxxx"
    reply = client.chat.completions.create(**options, logit_bias={str(letter): 100}, frequency_penalty=2)
    assert reply.choices[0].message.content == "xxxxx", "100 less 2 for each is still far ahead"
    with pytest.raises(openai.BadRequestError, match="bias has ids"):
        client.chat.completions.create(**options, logit_bias={"5000": 1})


def test_a_reply_of_a_json_schema(client: "openai.OpenAI") -> None:
    schema = {
        "type": "object",
        "properties": {
            "ok": {"type": "boolean"},
            "mood": {"enum": ["good", "bad"]},
            "n": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3},
        },
        "required": ["ok", "mood", "n"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "report", "schema": schema, "strict": True}}
    options = {"model": "babbler", "messages": HI, "response_format": form, "max_tokens": 80, "seed": 3, "n": 4}
    reply = client.chat.completions.create(**options)
    for choice in reply.choices:
        found = json.loads(choice.message.content)
        assert set(found) == {"ok", "mood", "n"} and found["mood"] in ("good", "bad") and len(found["n"]) <= 3
        assert choice.finish_reason == "stop"
    assert len({choice.message.content for choice in reply.choices}) > 1
    parsed = client.chat.completions.parse(model="babbler", messages=HI, response_format=Report, max_tokens=80, seed=1)
    assert isinstance(parsed.choices[0].message.parsed, Report)


def test_a_reply_of_any_json_and_of_a_pattern(client: "openai.OpenAI") -> None:
    options = {"model": "babbler", "messages": HI, "seed": 3}
    brace = {str(tokenizer().encode("}")[0]): 100}
    reply = client.chat.completions.create(**options, response_format={"type": "json_object"}, logit_bias=brace)
    assert json.loads(reply.choices[0].message.content) == {}
    form = {"type": "regex", "regex": "(日|é){3}!"}
    reply = client.chat.completions.create(**options, extra_body={"response_format": form})
    text = reply.choices[0].message.content
    assert len(text) == 4 and set(text[:3]) <= {"日", "é"} and text[3] == "!"


class Report(pydantic.BaseModel):
    """What `parse` is asked for."""

    ok: bool
    mood: Literal["good", "bad"]


def test_completions_of_texts_and_of_ids(client: "openai.OpenAI") -> None:
    options = {"model": "babbler", "max_tokens": 6, "temperature": 0}
    text = client.completions.create(**options, prompt="the cat")
    end = tokenizer().special["<|end_of_text|>"]
    ids = client.completions.create(**options, prompt=[end, *tokenizer().encode("the cat")])
    assert text.choices[0].text == ids.choices[0].text
    assert text.usage == ids.usage
    several = client.completions.create(**options, prompt=["the cat", "mat"], n=2)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    assert several.choices[0].text == several.choices[1].text == text.choices[0].text != several.choices[2].text
    echo = client.completions.create(**options, prompt="the cat", echo=True)
    assert echo.choices[0].text == "the cat" + text.choices[0].text


def test_completion_log_probabilities_and_stream(client: "openai.OpenAI") -> None:
    options = {"model": "babbler", "max_tokens": 6, "temperature": 0, "prompt": "the cat"}
    whole = client.completions.create(**options, logprobs=2).choices[0]
    logs = whole.logprobs
    assert len(logs.tokens) == len(logs.token_logprobs) == len(logs.text_offset) == 6
    assert logs.text_offset[0] == 0 and logs.text_offset[2] == len("".join(logs.tokens[:2]))
    assert all(max(top.values()) == logp for top, logp in zip(logs.top_logprobs, logs.token_logprobs, strict=True))
    chunks = list(client.completions.create(**options, logprobs=2, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.text
    assert [o for c in chunks for o in c.choices[0].logprobs.text_offset] == logs.text_offset


def test_embeddings_as_numbers_and_in_base64(client: "openai.OpenAI") -> None:
    texts = ["the cat", "the cat sat", "the cat"]
    found = client.embeddings.create(model="babbler", input=texts)
    vectors = np.array([entry.embedding for entry in found.data])
    assert vectors.shape == (3, 64)
    np.testing.assert_allclose((vectors**2).sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-5)
    assert vectors[0] @ vectors[1] < 0.999
    plain = client.embeddings.create(model="babbler", input=texts, encoding_format="float")
    np.testing.assert_allclose(vectors, [entry.embedding for entry in plain.data], atol=1e-6)
    raw = client.with_raw_response.embeddings.create(model="babbler", input="a", encoding_format="base64")
    assert len(base64.b64decode(raw.http_response.json()["data"][0]["embedding"])) == 64 * 4
    short = client.embeddings.create(model="babbler", input="the cat", dimensions=8).data[0].embedding
    assert len(short) == 8 and math.isclose(sum(x * x for x in short), 1, abs_tol=1e-5)
    assert found.usage.prompt_tokens == sum(len(tokenizer().encode(text)) + 1 for text in texts)


@pytest.mark.parametrize(
    "change, message, param",
    [
        ({"model": "none"}, "no model of that name", "model"),
        ({"temperature": -1}, "greater than or equal to 0", "temperature"),
        ({"max_tokens": 0}, "greater than or equal to 1", "max_tokens"),
        ({"n": 1000}, "less than or equal to 16", "n"),
        ({"top_logprobs": 2}, "top_logprobs needs logprobs", None),
        ({"messages": []}, "at least 1 item", "messages"),
        ({"messages": [{"role": "user", "content": "x" * LENGTH}]}, f"the context holds {LENGTH}", "messages"),
        ({"tools": [{"type": "python"}]}, "runs no tool 'python'", "tools"),
        ({"stop": ["a"] * 5}, "at most 4 items", None),
        ({"logit_bias": {"x": 1}}, "no token id", "logit_bias"),
    ],
)
def test_errors_are_told_as_openai_tells_them(
    client: "openai.OpenAI", change: dict, message: str, param: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as error:
        client.chat.completions.create(**{"model": "parrot", "messages": HI, **change})
    assert error.value.status_code in (400, 404)
    assert message in error.value.message
    assert error.value.type == "invalid_request_error"
    assert param is None or error.value.param == param
