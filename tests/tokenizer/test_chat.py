"""The one renderer, against its laws and against its Jinja form."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.corpus.conversation import Conversation, Message, parse_conversation
from groundup.errors import ConfigError, DataError
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.bpe import BPE
from groundup.tokenizer.chat import Chat, Ending
from groundup.tokenizer.special import ASSISTANT, END_OF_TEXT, END_OF_TURN, SPECIAL, TOOL, USER

TOKENIZER = BPE(vocab_size=500).train(["How do you do? I do well, thank you. What is 17 + 25? It is 42.\n" * 30])
CHAT = Chat(TOKENIZER)
ID = TOKENIZER.special

texts = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from([*SPECIAL, " lead", "trail \n", ""])
talks = st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), texts), max_size=5).map(
    tuple
)
TALK = (
    Message("system", "Be short.\n"),
    Message("user", " How do you do? "),
    Message("assistant", "Well, thank you."),
    Message("tool", '{"a": [1, 2]}\n\n'),
    Message("user", "{{ 1 + 1 }} {% x %} 世界 \U0001f600"),
)


def test_a_conversation_is_headers_texts_and_ends_of_turn() -> None:
    ids, weights = CHAT.render((Message("user", "I do"), Message("assistant", "42.")))
    ask, reply = TOKENIZER.encode("I do"), TOKENIZER.encode("42.")
    assert ids == [ID[USER], *ask, ID[END_OF_TURN], ID[ASSISTANT], *reply, ID[END_OF_TURN]]
    assert weights == [0.0] * (len(ask) + 3) + [1.0] * (len(reply) + 1)


@settings(max_examples=150, deadline=None)
@given(talk=talks, reply=texts)
def test_a_prompt_is_a_prefix_of_the_conversation_with_the_reply(talk: Conversation, reply: str) -> None:
    ids, weights = CHAT.render((*talk, Message("assistant", reply)))
    prompt = CHAT.prompt(talk)
    assert ids[: len(prompt)] == prompt
    assert weights[len(prompt) :] == [1.0] * (len(ids) - len(prompt))
    assert len(weights) == len(ids)
    assert CHAT.parse(ids[len(prompt) :]) == (Message("assistant", reply), Ending.STOPPED)
    assert sum(token in CHAT.stop_ids for token in ids) == 2 * len(talk) + 2  # texts add no special token


@settings(max_examples=40, deadline=None)
@given(some=st.lists(talks, max_size=4))
def test_a_batch_renders_as_one_by_one(some: list[Conversation]) -> None:
    assert list(CHAT.render_batch(some)) == [CHAT.render(talk) for talk in some]


def test_how_a_reply_ended() -> None:
    reply = TOKENIZER.encode("well")
    assert CHAT.parse(reply) == (Message("assistant", "well"), Ending.CUT)
    assert CHAT.parse([]) == (Message("assistant", ""), Ending.CUT)
    assert CHAT.parse([ID[END_OF_TURN]]) == (Message("assistant", ""), Ending.STOPPED)
    for name in set(SPECIAL) - {END_OF_TURN, TOOL}:
        assert CHAT.parse([*reply, ID[name], *reply]) == (Message("assistant", "well"), Ending.MALFORMED)


def test_a_call_stands_behind_its_mark_and_is_the_assistants() -> None:
    talk = (Message("user", "I do"), Message("assistant", "42.", '{"name": "do"}'), Message("tool", "17"))
    ids, weights = CHAT.render(talk)
    say, call, end = TOKENIZER.encode("42."), TOKENIZER.encode('{"name": "do"}'), ID[END_OF_TURN]
    start = len(CHAT.prompt(talk[:1]))
    reply = [*say, ID[TOOL], *call, end]
    assert ids[start : start + len(reply)] == reply
    assert weights[start : start + len(reply)] == [1.0] * len(reply)
    assert sum(weights) == len(reply), "what the tool answers is read, not learned"
    assert CHAT.parse(reply) == (talk[1], Ending.STOPPED)
    assert CHAT.parse(reply[:-1]) == (talk[1], Ending.CUT)
    assert CHAT.parse([*say, ID[TOOL]]) == (Message("assistant", "42."), Ending.MALFORMED)
    assert CHAT.stop_ids - CHAT.stop_ids_with_tools == {ID[TOOL]}
    typed = Message("user", '<|tool|>{"name": "do"}')
    assert ID[TOOL] not in CHAT.render((typed,))[0], "what a person types is no call"


def test_the_jinja_form_of_a_call_agrees_id_for_id(theirs: Any) -> None:
    function = {"name": "do", "arguments": {"x": "17 + 25", "y": "世界"}}
    plain = [
        {"role": "user", "content": "I do"},
        {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": function}]},
        {"role": "tool", "content": "42"},
    ]
    talk = parse_conversation({"messages": plain})
    assert json.loads(talk[1].call) == function
    assert theirs.apply_chat_template(plain)["input_ids"] == CHAT.render(talk)[0]


def test_a_reply_can_always_be_printed() -> None:
    message, _ = CHAT.parse([*TOKENIZER.encode("\ud800"), TOKENIZER.token_bytes.index(b"\xff")])
    assert message.content.encode() and "\ufffd" in message.content


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder: Path = tmp_path_factory.mktemp("chat")
    TOKENIZER.save(folder)
    return AutoTokenizer.from_pretrained(str(folder))


@pytest.mark.parametrize("length", range(1, len(TALK) + 1))
def test_the_jinja_form_agrees_id_for_id(theirs: Any, length: int) -> None:
    talk = TALK[:length]
    plain = [{"role": message.role, "content": message.content} for message in talk]
    ask: Callable[..., Any] = theirs.apply_chat_template
    assert ask(plain, add_generation_prompt=True)["input_ids"] == CHAT.prompt(talk)
    assert ask(plain)["input_ids"] == CHAT.render(talk)[0]


def test_transformers_stops_where_we_do(theirs: Any) -> None:
    assert theirs.eos_token_id == ID[END_OF_TURN]
    assert theirs.bos_token_id == ID[END_OF_TEXT]


def test_a_vocabulary_without_room_for_a_chat_is_refused() -> None:
    small: Tokenizer = BPE(vocab_size=257).train(["abc"])
    with pytest.raises(ConfigError, match=r"vocab_size.*at least 263"):
        Chat(small)


def test_an_unknown_role_is_named() -> None:
    wrong: Any = "asistant"
    with pytest.raises(DataError, match=r"asistant.*did you mean 'assistant'"):
        CHAT.render((Message(wrong, "hi"),))
