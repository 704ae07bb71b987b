"""Grammars over the bytes of ids: whatever is sampled keeps to them."""

import json
import re

import pytest
import torch

from dialogue.speaker import LENGTH, babbler, tokenizer
from groundup.errors import ConfigError
from groundup.infer.engine import Completion, Engine
from groundup.infer.grammar import Grammar, Grammars
from groundup.infer.schedule import Request
from groundup.tokenizer.special import END_OF_TURN


def grammars() -> Grammars:
    learned = tokenizer()
    special = frozenset(learned.special.values())
    return Grammars(learned.token_bytes, learned.encode, special, learned.special[END_OF_TURN])


def completions(grammar: Grammar, n: int = 12) -> list[Completion]:
    """What a model that babbles says within a grammar, at a high temperature."""
    end = frozenset({tokenizer().special[END_OF_TURN]})
    requests = [
        Request([65], LENGTH - 1, temperature=2.0, seed=seed, stop=end, guide=grammar.copy()) for seed in range(n)
    ]
    return Engine(babbler(), rows=4, length=LENGTH).complete(requests)


@pytest.mark.parametrize("pattern", ["[a-c]{2,6}", "(the cat|the dog) sat\\.", "(日|😀){1,3}", "x*"])
def test_replies_match_the_pattern(pattern: str) -> None:
    found = completions(grammars().regex(pattern))
    texts = [tokenizer().decode(completion.ids) for completion in found if completion.stopped]
    assert len(set(texts)) > 1 and all(re.fullmatch(pattern, text) for text in texts)


def test_replies_are_json_of_the_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 5},
            "age": {"type": "integer", "minimum": 1, "maximum": 9},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    found = completions(grammars().json(schema))
    assert all(completion.stopped for completion in found)
    for completion in found:
        value = json.loads(tokenizer().decode(completion.ids))
        assert set(value) == {"name", "age"} and len(value["name"]) <= 5 and 1 <= value["age"] <= 9


def test_what_is_cut_is_the_beginning_of_json() -> None:
    for completion in completions(grammars().json()):
        text = tokenizer().decode(completion.ids)
        assert text.startswith("{")
        assert not completion.stopped or isinstance(json.loads(text), dict)


def test_a_copy_goes_its_own_way() -> None:
    grammar = grammars().regex("ab|cd")
    other = grammar.copy()
    (a,), (b,) = tokenizer().encode("a"), tokenizer().encode("b")
    grammar.accept(a)
    assert torch.nonzero(grammar.allowed()).flatten().tolist() == [b]
    assert other.allowed()[a] and not other.allowed()[b]


@pytest.mark.parametrize("pattern", ["(((", "a(?=b)"])
def test_patterns_that_cannot_be_followed_are_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="the pattern cannot be followed"):
        grammars().regex(pattern)


@pytest.mark.parametrize("schema", [{"type": "nothing"}, {"$ref": "#/nowhere"}, {"not": {}}])
def test_schemas_that_cannot_be_followed_are_refused(schema: dict) -> None:
    with pytest.raises(ConfigError, match="the schema cannot be followed"):
        grammars().json(schema)
