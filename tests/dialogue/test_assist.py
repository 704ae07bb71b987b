"""Tools in a talk: a call is answered and the model goes on, a malformed one is told what is wrong."""

from itertools import pairwise

import pytest
import torch

from dialogue.speaker import LENGTH, babbler, dialogue, tokenizer
from groundup.corpus.conversation import Message, parse_conversation, with_tools
from groundup.dialogue.assist import CALLS, Assistant, open_tools
from groundup.errors import ConfigError, DataError
from groundup.models._base import Model
from groundup.models.qwen3 import Qwen3
from groundup.tokenizer.special import ASSISTANT, END_OF_TURN, TOOL

ASK = (Message("user", "Hi"),)


def caller(call: str) -> Model:
    """A model that answers everything with the call of a tool; a table from a token to the next one."""
    special = tokenizer().special
    texts = tokenizer().encode(call)
    assert len(set(texts)) == len(texts), "each token must have one successor"
    model = Qwen3(layers=1, dim=64, heads=2, length=LENGTH, residual_init="zero").build(tokenizer().vocab_size)
    with torch.no_grad():
        model.head_weight.zero_()
        for dimension, (token, following) in enumerate(
            pairwise([special[ASSISTANT], special[TOOL], *texts, special[END_OF_TURN]])
        ):
            model.embedding.weight[token] = torch.eye(64)[dimension]
            model.head_weight[following, dimension] = 10.0
    return model.eval()


def test_a_call_is_answered_and_the_model_goes_on_while_there_is_room() -> None:
    assistant = Assistant(dialogue(caller("{9}")), open_tools(["calculator"]), described=False)
    (said,) = assistant.reply([ASK], max_tokens=20, temperature=0.0)
    assert [message.role for message in said[:2]] == ["assistant", "tool"]
    assert said[0] == Message("assistant", "", "{9}")
    assert said[1].content.startswith("error: the call cannot be read as JSON"), "told, and nothing crashed"
    assert len(said) <= 2 * CALLS + 1


def test_a_model_that_calls_nothing_says_what_it_would_without_tools() -> None:
    speaker = dialogue(babbler())
    plain = speaker.reply([ASK], max_tokens=12, seed=3)[0]
    (said,) = Assistant(speaker, open_tools(["calculator"]), described=False).reply([ASK], max_tokens=12, seed=3)
    assert said[0].content == plain.message.content


def test_definitions_calls_and_answers_of_openais_form_are_read() -> None:
    (calculator,) = open_tools(["calculator"])
    call = {"type": "function", "function": {"name": "calculator", "arguments": '{"expression": "6 * 7"}'}}
    talk = parse_conversation({
        "tools": [calculator.definition()],
        "messages": [
            {"role": "system", "content": "Be short."}, {"role": "user", "content": "6 * 7?"},
            {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "42"},
            {"role": "assistant", "content": "42"},
        ],
    })  # fmt: skip
    assert talk[0].content.startswith('Be short.\nTools:\n{"name": "calculator"')
    assert talk[2] == Message("assistant", "", '{"name": "calculator", "arguments": {"expression": "6 * 7"}}')
    assert with_tools(talk[1:], [calculator.definition()])[0].content == talk[0].content.removeprefix("Be short.\n")
    for wrong, told in (([call, call], "several tools"), ([{"function": {"name": 3}}], "without a name")):
        with pytest.raises(DataError, match=told):
            parse_conversation({"messages": [{"role": "assistant", "content": None, "tool_calls": wrong}]})


def test_a_tool_that_there_is_not_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'calculator'"):
        open_tools(["calculater"])
