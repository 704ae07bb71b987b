"""Real models that talk, made on the spot: one whose weights say a saying, one that babbles, one that recites."""

from collections.abc import Mapping
from functools import cache
from itertools import pairwise

import torch

from groundup.dialogue import Dialogue
from groundup.infer.engine import Engine
from groundup.models._base import Model
from groundup.models.gpt2 import Gpt2
from groundup.models.qwen3 import Qwen3
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.bpe import BPE
from groundup.tokenizer.chat import Chat
from groundup.tokenizer.special import ASSISTANT, END_OF_TURN

LENGTH = 96
SAYING = "Hi, 日é😀ok!"


@cache
def tokenizer() -> Tokenizer:
    """Two hundred and fifty-six bytes, a few merges and the special tokens."""
    return BPE(vocab_size=300, min_frequency=2).train(["the cat sat on the mat. " * 50])


def babbler() -> Model:
    """A model with its initial weights: it babbles bytes, and seldom ends."""
    return Qwen3(layers=2, dim=64, heads=2, length=LENGTH).build(tokenizer().vocab_size, seed=1).eval()


def parrot() -> Model:
    """A model that answers everything with `SAYING`: each token of it has a dimension, and points to the next token.

    Blocks that add nothing (`residual_init="zero"`) make the model a table from a token to the next one.
    """
    model = Qwen3(layers=2, dim=64, heads=2, length=LENGTH, residual_init="zero").build(tokenizer().vocab_size)
    special = tokenizer().special
    chain = [special[ASSISTANT], *tokenizer().encode(SAYING), special[END_OF_TURN]]
    assert len(set(chain)) == len(chain), "each token of the saying must have one successor"
    with torch.no_grad():
        model.head_weight.zero_()
        for dimension, (token, following) in enumerate(pairwise(chain)):
            model.embedding.weight[token] = torch.eye(64)[dimension]
            model.head_weight[following, dimension] = 10.0
    return model.eval()


def reciter(script: Mapping[int, int], length: int = 640) -> Model:
    """A model that says `script[n]` after the token at place n, whatever was said: each place has a dimension."""
    model = Gpt2(layers=1, dim=length, heads=1, length=length, tied=False).build(tokenizer().vocab_size)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.zero_()
        model.wpe.weight.copy_(torch.eye(length))
        for place, token in script.items():
            model.head_weight[token, place] = 10.0
    return model.eval()


def dialogue(model: Model, rows: int = 4) -> Dialogue:
    """A dialogue over a fresh engine."""
    length = model.config.length
    return Dialogue(Engine(model, rows=rows, length=length, table=tokenizer().token_bytes), Chat(tokenizer()))
