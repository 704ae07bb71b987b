"""A real tiny model that can talk, made on the spot: a tokenizer of bytes, a Qwen3 of two layers, an engine."""

from functools import cache

import torch
from groundup.infer.engine import Engine

from groundup.dialogue import Dialogue
from groundup.models.qwen3 import Qwen3
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.bpe import BPE
from groundup.tokenizer.chat import Chat

LENGTH = 96
SAYING = "The café is open: 日本 😀 naïve!"


@cache
def tokenizer() -> Tokenizer:
    """Two hundred and fifty-six bytes, a few merges and the special tokens."""
    return BPE(vocab_size=300, min_frequency=2).train(["the cat sat on the mat. " * 50])


@cache
def parrot() -> Qwen3:
    """A model trained until it answers everything with `SAYING`."""
    torch.manual_seed(0)
    model = Qwen3(layers=2, dim=64, heads=2, length=LENGTH).build(tokenizer().vocab_size, seed=1)
    return train(model)


def untrained():
    """A model with its initial weights: it babbles bytes, and seldom ends."""
    return Qwen3(layers=2, dim=64, heads=2, length=LENGTH).build(tokenizer().vocab_size, seed=1).eval()


def train(model):
    """Teach it the saying."""
    from groundup.corpus.conversation import Message

    chat = Chat(tokenizer())
    rows = [chat.render((Message("user", ask), Message("assistant", SAYING))) for ask in ("Hi", "Well?", "the cat sat")]
    width = max(len(ids) for ids, _ in rows)
    tokens = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])
    weights = torch.tensor([weights + [0.0] * (width - len(weights)) for _, weights in rows])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(120):
        scores = model.score(tokens[:, :-1], tokens[:, 1:])
        loss = -(scores.logp * weights[:, 1:]).sum() / weights.sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def dialogue(model, rows: int = 4, length: int = LENGTH) -> Dialogue:
    """A dialogue over a fresh engine."""
    return Dialogue(Engine(model, rows=rows, length=length), Chat(tokenizer()))
