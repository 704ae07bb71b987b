"""Models whose weights are a table from a token to the next one: what they say is known beforehand."""

from collections.abc import Mapping
from functools import cache
from itertools import pairwise

import torch

from groundup.dialogue import Dialogue
from groundup.infer.engine import Engine
from groundup.models._base import Model
from groundup.models.qwen3 import Qwen3
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.characters import Characters
from groundup.tokenizer.chat import Chat
from groundup.tokenizer.special import ASSISTANT, END_OF_TURN

LENGTH = 64


@cache
def tokenizer() -> Tokenizer:
    """Every byte and the special tokens."""
    return Characters(vocab_size=300).train(["What is 1 + 2 - 3? Calculate. How much Please work out\n\tx="])


def chain(following: Mapping[int, int], length: int = LENGTH) -> Model:
    """A model that says `following[token]` after each token; its blocks add nothing."""
    model = Qwen3(layers=1, dim=32, heads=2, length=length, residual_init="zero").build(tokenizer().vocab_size)
    with torch.no_grad():
        model.head_weight.zero_()
        for dimension, (token, after) in enumerate(following.items()):
            model.embedding.weight[token] = torch.eye(32)[dimension]
            model.head_weight[after, dimension] = 10.0
    return model


def continuing(text: str, end: str | None = None) -> Model:
    """A model that goes on from each character of `text` to the next, and to the special token `end` after the last."""
    ids = tokenizer().encode(text) + ([tokenizer().special[end]] if end else [])
    return chain(dict(pairwise(ids)))


def saying(text: str, length: int = LENGTH) -> Dialogue:
    """A chatbot that answers everything with `text`, whose characters are distinct."""
    special = tokenizer().special
    ids = [special[ASSISTANT], *tokenizer().encode(text), special[END_OF_TURN]]
    return Dialogue(engine(chain(dict(pairwise(ids)), length)), Chat(tokenizer()))


def engine(model: Model) -> Engine:
    """An engine of a few rows."""
    return Engine(model, rows=4, length=model.config.length)
